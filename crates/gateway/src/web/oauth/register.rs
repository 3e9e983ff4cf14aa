//! A client makes itself known (RFC 7591), where the configuration lets it.
//!
//! **Threat.** Anybody may do that, as often as they like, under any name. So it is off unless it is switched on, slow, and
//! bounded; who registered is shown to people as unknown, and they are asked each time.

use std::net::IpAddr;

use bartizan_identity::grant::OAuthError;
use bartizan_identity::grant::client::Client;
use bartizan_store::grants::{RegisteredClient, Registration};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;

use super::{OAuth, Refused, answer, is_of_type};
use crate::clock;
use crate::random;
use crate::web::Web;

impl OAuth {
    /// What a client is told that would register and may not. It is said to the operator, too, as such a client cannot come in
    /// at all, and who uses it may not see why.
    fn no_registration(&self, from: IpAddr) -> Refused {
        let error = OAuthError::registration_off();
        if let Some(more) = self.unregistered.next() {
            tracing::warn!(%from, more, "a client tried to register: {}", error.error_description);
        }
        Refused { rule: Some("edge.registration_off"), ..Refused::new(StatusCode::FORBIDDEN, &error) }
    }
}

impl Web {
    /// A client registers.
    pub(super) async fn register(
        &self,
        oauth: &OAuth,
        head: &Parts,
        body: &[u8],
        from: IpAddr,
    ) -> Result<Response<Bytes>, Refused> {
        if !oauth.clients.lets_register() {
            return Err(oauth.no_registration(from));
        }
        if !is_of_type(head, "application/json") {
            return Err(OAuthError::unreadable("client metadata is JSON").into());
        }
        let client = Client::from_registration(&format!("dcr-{}", random::key()?), body).map_err(|why| why.error())?;
        if let Err(seconds) = oauth.registrations.take(from, clock::steady()) {
            let mut refused = Refused::new(StatusCode::TOO_MANY_REQUESTS, &OAuthError::unavailable());
            refused.response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            return Err(refused);
        }
        let now = clock::now().0;
        let kept = RegisteredClient {
            id: client.id.clone(),
            name: client.name.clone(),
            redirect_uris: client.redirect_uris.iter().map(|uri| uri.as_str().to_owned()).collect(),
            refreshes: client.refreshes,
            registered_at: now,
        };
        if oauth.issuer.store().await?.register_client(&kept).await? == Registration::Full {
            tracing::warn!("a client cannot register: there are as many as there may be");
            return Err(OAuthError::unavailable().into());
        }
        let said = json!({"client": client.id, "client_name": client.name, "redirect_uris": kept.redirect_uris});
        self.gateway.recorder.note("client.registered", &said).map_err(|_| OAuthError::unavailable())?;
        let grants: &[&str] =
            if client.refreshes { &["authorization_code", "refresh_token"] } else { &["authorization_code"] };
        let answered = json!({
            "client_id": client.id,
            "client_id_issued_at": now / 1_000_000,
            "client_name": client.name,
            "redirect_uris": kept.redirect_uris,
            "grant_types": grants,
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        });
        Ok(answer(StatusCode::CREATED, &answered))
    }
}
