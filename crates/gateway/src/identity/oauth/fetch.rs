//! Asks an issuer something over HTTP.
//!
//! **Threat.** Whoever can have the gateway ask elsewhere, or answer in the issuer's place, decides who comes in. So only
//! what the operator has named is asked, or what that names itself over a connection as safe and no nearer to this machine than it
//! is itself; no redirect is followed, and an answer is small and comes soon.

use std::time::Duration;

use bartizan_config::ServerTls;
use bartizan_identity::token;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::uri::Scheme;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use serde_json::{Map, Value};

use crate::fetch::{self, Form, Spot, Way, origin};
use crate::upstream::{Connections, connections};

/// How long an answer may take in all.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer.
const LARGEST: usize = 512 * 1024;

/// Asks one issuer.
pub(crate) struct Fetcher {
    issuer: Box<str>,
    connections: Connections,
    /// The origins that the operator has named.
    named: Vec<String>,
    own: Option<ServerTls>,
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
        let connections = connections(TIMEOUT, (&of, own))?;
        let named = all.iter().map(origin).collect();
        Ok(Fetcher { issuer: issuer.into(), connections, named, own: own.cloned(), is_local })
    }

    /// The address that an issuer names itself, if it is as safe as the issuer's own.
    pub(crate) fn address(&self, text: &str) -> Result<Uri, String> {
        let uri: Uri = text.parse().map_err(|_| "it names something that is no URL".to_owned())?;
        let host = uri.host().unwrap_or_default();
        let is_loopback = ["localhost", "127.0.0.1", "[::1]"].contains(&host);
        let is_safe = uri.scheme() == Some(&Scheme::HTTPS) || (self.is_local && is_loopback);
        let is_plain = !host.is_empty() && !uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
        if is_safe && is_plain { Ok(uri) } else { Err("it names an address that is not behind https://".to_owned()) }
    }

    /// What is there.
    pub(super) async fn get(&self, uri: &Uri) -> Result<Bytes, String> {
        if !self.named.contains(&origin(uri)) {
            return good(self.elsewhere(uri, None).await?);
        }
        let request = Request::get(uri.clone()).header(header::ACCEPT, "application/json").body(Full::default());
        good(self.ask(request.map_err(|error| error.to_string())?).await?)
    }

    /// What it says of itself: RFC 8414, or what OpenID Connect has instead.
    pub(crate) async fn discover(&self) -> Result<Map<String, Value>, String> {
        let (scheme, rest) = self.issuer.split_once("://").unwrap_or(("https", &self.issuer));
        let rest = rest.trim_end_matches('/');
        let (host, path) = rest.find('/').and_then(|at| rest.split_at_checked(at)).unwrap_or((rest, ""));
        let places = [
            format!("{scheme}://{host}/.well-known/oauth-authorization-server{path}"),
            format!("{scheme}://{host}{path}/.well-known/openid-configuration"),
        ];
        let mut why = String::new();
        for place in places {
            let uri = place.parse().map_err(|_| "its identifier is no URL".to_owned())?;
            match self.get(&uri).await {
                Ok(bytes) => return self.read(&bytes),
                Err(error) => why = error,
            }
        }
        Err(format!("its metadata cannot be read: {why}"))
    }

    fn read(&self, bytes: &[u8]) -> Result<Map<String, Value>, String> {
        let metadata = token::object(bytes).ok_or("its metadata are no JSON object")?;
        match metadata.get("issuer").and_then(Value::as_str) {
            Some(issuer) if *issuer == *self.issuer => Ok(metadata),
            _ => Err("its metadata are those of another issuer".to_owned()),
        }
    }

    /// What it answers to a form, from somebody with a name and a secret.
    pub(super) async fn post(&self, uri: &Uri, (id, secret): (&str, &str), form: String) -> Result<Bytes, String> {
        let pair = STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret)));
        let mut shown = HeaderValue::try_from(format!("Basic {pair}")).map_err(|error| error.to_string())?;
        shown.set_sensitive(true);
        good(self.send(uri, Some(shown), form.into()).await?)
    }

    /// What it answers to a form, and with which status.
    pub(crate) async fn send(
        &self,
        uri: &Uri,
        authorization: Option<HeaderValue>,
        form: Bytes,
    ) -> Result<(StatusCode, Bytes), String> {
        if !self.named.contains(&origin(uri)) {
            let body = str::from_utf8(&form).map_err(|error| error.to_string())?;
            let form = Form { kind: "application/x-www-form-urlencoded", body, authorization: authorization.as_ref() };
            return self.elsewhere(uri, Some(form)).await;
        }
        let request = Request::builder()
            .method(Method::POST)
            .uri(uri.clone())
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::from(form));
        let mut request = request.map_err(|error| error.to_string())?;
        if let Some(authorization) = authorization {
            request.headers_mut().insert(header::AUTHORIZATION, authorization);
        }
        self.ask(request).await
    }

    /// Asks where the issuer says, and not the operator.
    async fn elsewhere(&self, uri: &Uri, form: Option<Form<'_>>) -> Result<(StatusCode, Bytes), String> {
        let asked = async {
            let issuer: Uri = self.issuer.parse().map_err(|_| "its identifier is no URL".to_owned())?;
            let own = self.own.as_ref();
            let way = Way::from(Spot::of(&issuer).await.reach()).by(&issuer, own, own);
            let fetched = match form {
                Some(form) => fetch::post(uri, form, &way).await,
                None => fetch::get(uri, &way).await,
            };
            fetched.map(|fetched| (fetched.status, fetched.body)).map_err(|error| error.to_string())
        };
        tokio::time::timeout(TIMEOUT, asked).await.map_err(|_| "it does not answer in time".to_owned())?
    }

    async fn ask(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), String> {
        let asked = async {
            let response = self.connections.request(request).await.map_err(|error| cause(&error))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), LARGEST).collect().await;
            Ok((status, body.map_err(|error| error.to_string())?.to_bytes()))
        };
        tokio::time::timeout(TIMEOUT, asked).await.map_err(|_| "it does not answer in time".to_owned())?
    }
}

/// What was answered, if it is what was asked for.
fn good((status, body): (StatusCode, Bytes)) -> Result<Bytes, String> {
    if status == StatusCode::OK { Ok(body) } else { Err(format!("it answers {}", status.as_u16())) }
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
                issuer: issuer.into(),
                connections: connections(TIMEOUT, (&Uri::default(), None)).unwrap(),
                named: Vec::new(),
                own: None,
                is_local: issuer.starts_with("http:"),
            };
            assert_eq!(fetcher.address(address).is_ok(), good, "{issuer} {address}");
        }
    }

    /// Answers once at an address of this machine; where, and whether somebody has come.
    async fn answering() -> (String, tokio::task::JoinHandle<()>) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let came = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nkeys").await.unwrap();
        });
        (origin, came)
    }

    #[tokio::test]
    async fn what_an_issuer_names_is_no_nearer_than_it_is_itself() {
        for (issuer, expected) in [
            // The operator has named one on this machine, so it may name another there.
            ("http://127.0.0.1:1", true),
            // One that everybody reaches sends nobody to this machine.
            ("https://8.8.8.8", false),
            ("https://10.0.0.1", false),
        ] {
            let (named, came) = answering().await;
            let fetcher = Fetcher::new(issuer, std::iter::empty(), None).unwrap();
            let got = fetcher.get(&format!("{named}/jwks").parse().unwrap()).await;
            assert_eq!(got.is_ok_and(|keys| keys == "keys"), expected, "{issuer}");
            assert_eq!(came.is_finished(), expected, "{issuer}");
        }
        // What the operator has named is asked wherever it is.
        let (named, came) = answering().await;
        let fetcher = Fetcher::new("https://8.8.8.8", [named.as_str()].into_iter(), None).unwrap();
        assert_eq!(fetcher.get(&format!("{named}/jwks").parse().unwrap()).await.unwrap(), "keys");
        came.await.unwrap();
        for place in ["https://169.254.169.254/latest", "https://metadata.google.internal/"] {
            let fetcher = Fetcher::new("http://127.0.0.1:1", std::iter::empty(), None).unwrap();
            let why = fetcher.get(&place.parse().unwrap()).await.unwrap_err();
            assert!(why.contains("not asked"), "{place}: {why}");
        }
    }
}
