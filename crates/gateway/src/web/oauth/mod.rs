//! The authorization server for small set-ups: a client that knows the address of the gateway and nothing else is given
//! access by a person in a browser (OAuth 2.1; RFC 8414, 8707, 9207).
//!
//! **Threat.** See `bartizan_identity::grant`, which holds the rules. Here they meet a browser and a store: nothing is given
//! unless a person who is signed in has agreed to exactly that, on a page of ours, in a form that was made for their
//! browser. Whoever is not signed in cannot have the gateway fetch anything, nor learn which servers there are.
//!
//! `authorize` is what a browser comes with and the page that it sees, `token` what a client says afterwards, `register` how
//! one makes itself known, `clients` who one is, `document` how its word is read.

mod authorize;
mod clients;
mod document;
mod rate;
mod register;
mod token;
pub(super) mod words;

use std::net::IpAddr;
use std::sync::Arc;

use bartizan_guard::Scope;
use bartizan_identity::grant::OAuthError;
use bartizan_identity::grant::authorize::SECOND_FACTOR;
use bartizan_identity::token::Algorithm;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use serde::Serialize;
use serde_json::{Value, json};

use self::clients::Clients;
use self::rate::Rate;
use super::trouble::Trouble;
use super::{Web, page};
use crate::issuer::{Issuer, IssuerError};
use crate::seldom::Seldom;

pub(crate) use self::clients::Settings;

const METADATA: &str = "/.well-known/oauth-authorization-server";
const AUTHORIZE: &str = "/bartizan/oauth/authorize";
const TOKEN: &str = "/bartizan/oauth/token";
const REVOKE: &str = "/bartizan/oauth/revoke";
const REGISTER: &str = "/bartizan/oauth/register";
/// Where a client registers that reads no metadata, or none with an address for that (MCP, 2025-03-26).
const FALLBACK: &str = "/register";
const JWKS: &str = "/bartizan/oauth/jwks";

/// The largest request of a client.
const LARGEST: usize = 16 * 1024;

/// The authorization server of one gateway.
pub(crate) struct OAuth {
    issuer: Arc<Issuer>,
    clients: Clients,
    /// Whether there is a server of that name.
    is_server: Box<dyn Fn(&str) -> bool + Send + Sync>,
    registrations: Rate,
    /// Of clients that would register, and cannot.
    unregistered: Seldom,
}

/// Whether a path is one that clients use, and no page.
pub(crate) fn is_endpoint(path: &str) -> bool {
    [METADATA, TOKEN, REVOKE, REGISTER, FALLBACK, JWKS].contains(&path)
}

/// Whether it is one that is answered. Who may register is told where, and needs no second address for it.
pub(super) fn is_served(path: &str, oauth: Option<&OAuth>) -> bool {
    is_endpoint(path) && (path != FALLBACK || oauth.is_some_and(|oauth| !oauth.clients.lets_register()))
}

impl OAuth {
    /// With keys and grants of `issuer`.
    pub(crate) fn new(
        issuer: Arc<Issuer>,
        settings: Settings,
        is_server: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> OAuth {
        let clients = Clients::new(settings);
        let (registrations, unregistered) = (Rate::new(100, 10), Seldom::default());
        OAuth { issuer, clients, is_server: Box::new(is_server), registrations, unregistered }
    }

    /// The server that a resource of ours is, or none for all of them together; nothing if it is none of ours.
    fn server_of<'a>(&self, resource: &'a str) -> Option<Option<&'a str>> {
        let path = resource.strip_prefix(self.issuer.url())?.strip_prefix("/mcp")?;
        if path.is_empty() {
            return Some(None);
        }
        path.strip_prefix('/').filter(|name| (self.is_server)(name)).map(Some)
    }

    /// Whether a scope says anything at a resource.
    fn is_scope(&self, resource: &str, scope: &str) -> bool {
        let Some(at) = self.server_of(resource) else { return false };
        match Scope::parse(scope) {
            Ok(Scope::All) => true,
            Ok(Scope::Server(server) | Scope::Thing(_, server, _)) => {
                at.map_or_else(|| (self.is_server)(&server), |at| at == &*server)
            }
            Err(_) => false,
        }
    }

    fn default_scope(&self, resource: &str) -> String {
        self.server_of(resource).flatten().map_or_else(|| "mcp".to_owned(), |server| format!("server:{server}"))
    }

    /// What clients need to know (RFC 8414).
    fn metadata(&self) -> Value {
        let url = self.issuer.url();
        let at = |path: &str| format!("{url}{path}");
        let mut said = json!({
            "issuer": url,
            "authorization_endpoint": at(AUTHORIZE),
            "token_endpoint": at(TOKEN),
            "revocation_endpoint": at(REVOKE),
            "jwks_uri": at(JWKS),
            // Whoever may not come in does not learn which servers there are.
            "scopes_supported": ["mcp"],
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_methods_supported": ["none"],
            "revocation_endpoint_auth_methods_supported": ["none"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
            "dpop_signing_alg_values_supported": Algorithm::names().collect::<Vec<_>>(),
            "acr_values_supported": [SECOND_FACTOR],
            "client_id_metadata_document_supported": self.clients.reads_documents(),
        });
        if let Some(said) = said.as_object_mut().filter(|_| self.clients.lets_register()) {
            said.insert("registration_endpoint".to_owned(), at(REGISTER).into());
        }
        said
    }
}

impl Web {
    pub(super) fn oauth(&self) -> Result<&OAuth, Trouble> {
        self.oauth.as_ref().ok_or(Trouble::Nowhere)
    }

    /// Answers a client. The rule is there if it was refused.
    pub(super) async fn endpoint(
        &self,
        request: Request<Incoming>,
        from: IpAddr,
    ) -> (Response<Bytes>, Option<&'static str>) {
        let (head, body) = request.into_parts();
        let answered = async {
            let body = self.body(body, LARGEST).await?;
            let oauth = self.oauth()?;
            match (&head.method, head.uri.path()) {
                (&Method::GET, METADATA) => Ok(cached(&oauth.metadata())),
                (&Method::GET, JWKS) => Ok(cached(&oauth.issuer.jwks().await?)),
                (&Method::POST, TOKEN) => Box::pin(self.token(oauth, &head, &body, from)).await,
                (&Method::POST, REVOKE) => Box::pin(self.revoke(oauth, &head, &body, from)).await,
                (&Method::POST, REGISTER | FALLBACK) => Box::pin(self.register(oauth, &head, &body, from)).await,
                _ => Err(Refused::from(Trouble::Method)),
            }
        };
        match answered.await {
            Ok(response) => (response, None),
            Err(Refused { response, rule }) => (*response, rule),
        }
    }
}

/// What a client is told that gets nothing, and the rule that counts it.
struct Refused {
    response: Box<Response<Bytes>>,
    rule: Option<&'static str>,
}

impl Refused {
    fn new(status: StatusCode, error: &OAuthError) -> Refused {
        Refused { response: Box::new(answer(status, error)), rule: Some("edge.grant") }
    }
}

impl From<OAuthError> for Refused {
    fn from(error: OAuthError) -> Self {
        let status = match error.error {
            "invalid_client" => StatusCode::UNAUTHORIZED,
            "temporarily_unavailable" => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        let mut refused = Refused::new(status, &error);
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static(r#"Basic realm="bartizan""#);
            refused.response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        refused
    }
}

impl From<Trouble> for Refused {
    fn from(trouble: Trouble) -> Self {
        Refused { rule: trouble.rule(), response: Box::new(trouble.page()) }
    }
}

impl From<IssuerError> for Refused {
    fn from(error: IssuerError) -> Self {
        tracing::error!(%error, "the authorization server cannot answer");
        Refused::from(OAuthError::unavailable())
    }
}

impl From<bartizan_store::StoreError> for Refused {
    fn from(error: bartizan_store::StoreError) -> Self {
        Refused::from(IssuerError::from(error))
    }
}

impl From<getrandom::Error> for Refused {
    fn from(_: getrandom::Error) -> Self {
        Refused::from(OAuthError::unavailable())
    }
}

impl From<IssuerError> for Trouble {
    fn from(error: IssuerError) -> Self {
        tracing::error!(%error, "the authorization server cannot answer");
        Trouble::Unavailable
    }
}

/// JSON for one client.
fn answer(status: StatusCode, content: &impl Serialize) -> Response<Bytes> {
    let text = serde_json::to_vec(content).unwrap_or_default();
    let mut response = page::with(status, "application/json", text.into());
    response.headers_mut().insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// JSON that is the same for everybody for a while.
fn cached(content: &Value) -> Response<Bytes> {
    let mut response = answer(StatusCode::OK, content);
    response.headers_mut().remove(header::PRAGMA);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    response
}

/// Whether the body is of that type.
fn is_of_type(head: &Parts, wanted: &str) -> bool {
    let mut types = head.headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(kind), None) = (types.next(), types.next()) else { return false };
    let kind = kind.to_str().ok().and_then(|kind| kind.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case(wanted))
}

/// Clients do not authenticate here, so who tries to was told something else by somebody.
fn check_unauthenticated(headers: &HeaderMap) -> Result<(), OAuthError> {
    match headers.contains_key(header::AUTHORIZATION) {
        true => Err(OAuthError::client("clients do not authenticate here: token_endpoint_auth_method is none")),
        false => Ok(()),
    }
}
