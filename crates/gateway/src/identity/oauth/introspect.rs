//! Asks an issuer about tokens that are not signed (RFC 7662).
//!
//! **Threat.** Whoever sends tokens that are none has the gateway ask its issuer each time, and a token that was revoked is
//! good for as long as nobody asks again. So an answer counts for a short time, whatever it is, few are asked for at a
//! time, and without an answer nobody comes in.

use std::sync::Arc;
use std::time::Duration;

use bartizan_config::Introspection;
use bartizan_identity::token;
use http::Uri;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use super::fetch::{Fetcher, encoded};

/// How many are asked about at a time.
const AT_ONCE: usize = 32;
/// How long one waits until it can be asked about.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Introspector {
    settings: Introspection,
    fetcher: Arc<Fetcher>,
    places: Semaphore,
}

impl Introspector {
    pub(super) fn new(settings: Introspection, fetcher: Arc<Fetcher>) -> Introspector {
        Introspector { settings, fetcher, places: Semaphore::new(AT_ONCE) }
    }

    /// How long an answer counts, in microseconds.
    pub(super) fn cached(&self) -> i64 {
        i64::try_from(self.settings.cache.as_micros()).unwrap_or_default()
    }

    /// What the issuer says of a token; why nobody knows, otherwise.
    pub(super) async fn ask(&self, text: &str) -> Result<Map<String, Value>, String> {
        let place = tokio::time::timeout(PATIENCE, self.places.acquire()).await;
        let _place = place.map_err(|_| "too many tokens at once")?.map_err(|error| error.to_string())?;
        let uri: Uri = self.settings.url.parse().map_err(|_| "its address is no URL")?;
        let form = format!("token={}&token_type_hint=access_token", encoded(text));
        let who = (self.settings.client_id.as_str(), self.settings.client_secret.expose());
        let answer = self.fetcher.post(&uri, who, form).await?;
        token::object(&answer).ok_or_else(|| "its answer is no JSON object".to_owned())
    }
}
