//! Browsers in which somebody has signed in before (device cookies, as OWASP calls them).
//!
//! **Threat.** Somebody is wrong on purpose, in another's name, so that the other cannot sign in. A browser that has signed in
//! somebody before keeps a token that only this gateway can have made, and is counted by itself when that person signs in
//! there. The token signs nobody in.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::Response;
use sha2::{Digest, Sha256};

use super::Web;
use super::trouble::Trouble;
use super::visit::Visit;

const PURPOSE: &str = "totp";
/// Half a year.
const LIFETIME: u64 = 180 * 24 * 3600;

impl Web {
    /// What stands for this browser, if that person has signed in there before.
    pub(super) async fn known(&self, visit: &Visit, name: &str) -> Result<Option<[u8; 32]>, Trouble> {
        let Some(token) = visit.cookie(self.known_cookie()).filter(|token| token.len() < 512) else { return Ok(None) };
        let Ok(sealed) = URL_SAFE_NO_PAD.decode(token) else { return Ok(None) };
        let sealer = self.store().await?.sealer().await?;
        let opened = sealer.unseal(PURPOSE, &owner(name), &sealed).ok();
        Ok(opened.map(|random| Sha256::digest(&*random).into()))
    }

    /// Has the browser known for this person from now on.
    pub(super) async fn make_known(&self, response: &mut Response<Bytes>, name: &str) -> Result<(), Trouble> {
        let mut random = [0; 16];
        getrandom::fill(&mut random)?;
        let sealed = self.store().await?.sealer().await?.seal(PURPOSE, &owner(name), &random)?;
        self.set_cookie(response, self.known_cookie(), &URL_SAFE_NO_PAD.encode(sealed), LIFETIME);
        Ok(())
    }

    fn known_cookie(&self) -> &'static str {
        if self.is_secure() { "__Host-bartizan-known" } else { "bartizan-known" }
    }
}

fn owner(name: &str) -> String {
    format!("browser {}", name.to_ascii_lowercase())
}
