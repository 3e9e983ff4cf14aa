//! Asks an issuer something over HTTP.
//!
//! **Threat.** Whoever can have the gateway ask elsewhere, or answer in the issuer's place, decides who comes in. So only
//! what the operator has named is asked, or what that names itself over a connection as safe; no redirect is followed, and
//! an answer is small and comes soon.

use std::time::Duration;

use bartizan_config::ServerTls;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::uri::Scheme;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};

use crate::upstream::{Connections, connections};

/// How long an answer may take in all.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer.
const LARGEST: usize = 512 * 1024;

/// Asks one issuer.
pub(super) struct Fetcher {
    connections: Connections,
    /// Whether it is on this machine and spoken to unencrypted, as the operator has said.
    is_local: bool,
}

impl Fetcher {
    /// For the issuer of this address, and what else the configuration names of it; over TLS, in a way of their `own` if they
    /// have one.
    pub(super) fn new<'a>(
        issuer: &'a str,
        others: impl Iterator<Item = &'a str>,
        own: Option<&ServerTls>,
    ) -> std::io::Result<Fetcher> {
        let is_local = issuer.starts_with("http://");
        let all: Vec<Uri> = std::iter::once(issuer).chain(others).filter_map(|text| text.parse().ok()).collect();
        // If any of them is secure, so has the client to be.
        let secure = all.iter().find(|uri| uri.scheme() == Some(&Scheme::HTTPS));
        let of = secure.or(all.first()).cloned().unwrap_or_default();
        Ok(Fetcher { connections: connections(TIMEOUT, (&of, own))?, is_local })
    }

    /// The address that an issuer names itself, if it is as safe as the issuer's own.
    pub(super) fn address(&self, text: &str) -> Result<Uri, String> {
        let uri: Uri = text.parse().map_err(|_| "it names something that is no URL".to_owned())?;
        let host = uri.host().unwrap_or_default();
        let is_loopback = ["localhost", "127.0.0.1", "[::1]"].contains(&host);
        let is_safe = uri.scheme() == Some(&Scheme::HTTPS) || (self.is_local && is_loopback);
        let is_plain = !host.is_empty() && !uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
        if is_safe && is_plain { Ok(uri) } else { Err("it names an address that is not behind https://".to_owned()) }
    }

    /// What is there.
    pub(super) async fn get(&self, uri: &Uri) -> Result<Bytes, String> {
        let request = Request::get(uri.clone()).header(header::ACCEPT, "application/json").body(Full::default());
        self.ask(request.map_err(|error| error.to_string())?).await
    }

    /// What it answers to a form, from somebody with a name and a secret.
    pub(super) async fn post(&self, uri: &Uri, (id, secret): (&str, &str), form: String) -> Result<Bytes, String> {
        let pair = STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret)));
        let mut shown = HeaderValue::try_from(format!("Basic {pair}")).map_err(|error| error.to_string())?;
        shown.set_sensitive(true);
        let request = Request::builder()
            .method(Method::POST)
            .uri(uri.clone())
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::AUTHORIZATION, shown)
            .body(Full::from(form));
        self.ask(request.map_err(|error| error.to_string())?).await
    }

    async fn ask(&self, request: Request<Full<Bytes>>) -> Result<Bytes, String> {
        let asked = async {
            let response = self.connections.request(request).await.map_err(|error| cause(&error))?;
            if response.status() != StatusCode::OK {
                return Err(format!("it answers {}", response.status().as_u16()));
            }
            let body = Limited::new(response.into_body(), LARGEST).collect().await;
            body.map(http_body_util::Collected::to_bytes).map_err(|error| error.to_string())
        };
        tokio::time::timeout(TIMEOUT, asked).await.map_err(|_| "it does not answer in time".to_owned())?
    }
}

/// The innermost cause, which says most.
fn cause(error: &dyn std::error::Error) -> String {
    let mut at = error;
    while let Some(source) = at.source() {
        at = source;
    }
    at.to_string()
}

/// As forms have it.
pub(super) fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_names_only_what_is_as_safe_as_itself() {
        for (issuer, address, good) in [
            ("https://idp.example", "https://keys.example/jwks", true),
            ("https://idp.example", "http://idp.example/jwks", false),
            ("https://idp.example", "http://127.0.0.1/jwks", false),
            ("https://idp.example", "http://169.254.169.254/latest", false),
            ("https://idp.example", "file:///etc/passwd", false),
            ("https://idp.example", "https://a@keys.example/jwks", false),
            ("http://127.0.0.1:1", "http://127.0.0.1:1/jwks", true),
            ("http://localhost:1", "http://[::1]:1/jwks", true),
            ("http://127.0.0.1:1", "http://idp.example/jwks", false),
        ] {
            let fetcher = Fetcher {
                connections: connections(TIMEOUT, (&Uri::default(), None)).unwrap(),
                is_local: issuer.starts_with("http:"),
            };
            assert_eq!(fetcher.address(address).is_ok(), good, "{issuer} {address}");
        }
    }
}
