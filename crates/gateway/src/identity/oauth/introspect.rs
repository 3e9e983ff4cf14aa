//! Asks an issuer about tokens that are not signed (RFC 7662).
//!
//! **Threat.** Whoever sends tokens that are none has the gateway ask its issuer each time, and a token that was revoked is
//! good for as long as nobody asks again. So an answer counts for a short time, whatever it is, few are asked for at a
//! time, and without an answer nobody comes in.

use std::net::IpAddr;
use std::sync::Arc;

use bartizan_config::Introspection;
use bartizan_identity::token;
use http::Uri;
use serde_json::{Map, Value};

use super::fetch::{Fetcher, encoded};
use super::places::Places;

pub(super) struct Introspector {
    settings: Introspection,
    fetcher: Arc<Fetcher>,
    places: Places,
}

impl Introspector {
    pub(super) fn new(settings: Introspection, fetcher: Arc<Fetcher>) -> Introspector {
        Introspector { settings, fetcher, places: Places::default() }
    }

    /// How long an answer counts, in microseconds.
    pub(super) fn cached(&self) -> i64 {
        i64::try_from(self.settings.cache.as_micros()).unwrap_or_default()
    }

    /// What the issuer says of a token that is new and came from there, or was good before; why nobody knows, otherwise.
    pub(super) async fn ask(&self, text: &str, from: Option<IpAddr>) -> Result<Map<String, Value>, String> {
        let _place = self.places.take(from).await.ok_or("too many tokens at once")?;
        let uri: Uri = self.settings.url.parse().map_err(|_| "its address is no URL")?;
        let form = format!("token={}&token_type_hint=access_token", encoded(text));
        let who = (self.settings.client_id.as_str(), self.settings.client_secret.expose());
        let answer = self.fetcher.post(&uri, who, form).await?;
        token::object(&answer).ok_or_else(|| "its answer is no JSON object".to_owned())
    }
}
