//! What clients are told about signing in: where the issuers of tokens are, and what a token has to be for (RFC 9728, and what
//! RFC 6750 and RFC 9449 have for challenges).
//!
//! **Threat.** Whoever has no credential must not find out from this which servers there are: of each name that a server could
//! have the same is said.

use std::time::Duration;

use bartizan_guard::Scope;
use bartizan_identity::token::Algorithm;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, header};
use serde_json::json;

use super::body::Reply;
use super::respond;
use crate::clock;
use crate::identity::Caller;
use crate::identity::oauth::{Oauth, Token};

/// Where clients look for it.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// What was asked, as something that tokens are for.
pub(super) struct Resource<'a> {
    pub(super) public: &'a str,
    pub(super) path: &'a str,
    /// Nothing if there is nobody whose tokens are good.
    pub(super) tokens: Option<&'a Oauth>,
}

/// An error of RFC 6750, in words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Error<'a>(pub(super) &'a str, pub(super) &'a str);

/// The answer to a request for metadata; nothing if it is for something else, or there are none.
pub(super) fn metadata(resource: &Resource<'_>, method: &Method) -> Option<Response<Reply>> {
    let tokens = resource.tokens?;
    let rest = resource.path.strip_prefix(WELL_KNOWN)?;
    let path = if rest.is_empty() { "/mcp" } else { rest };
    let scope = scope_of(path)?;
    if ![Method::GET, Method::HEAD].contains(method) {
        return Some(respond::not_allowed("GET, HEAD"));
    }
    let proofs = tokens.proofs();
    let text = json!({
        "resource": format!("{}{path}", resource.public),
        "authorization_servers": tokens.identifiers(),
        "scopes_supported": tokens.called(&scope),
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": Algorithm::names().collect::<Vec<_>>(),
        "dpop_bound_access_tokens_required": proofs.all,
    });
    let mut response = Response::new(Reply::from(Bytes::from(text.to_string())));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Some(response)
}

/// The scope that is good for all behind a path; none if nothing can be there.
fn scope_of(path: &str) -> Option<String> {
    if path == "/mcp" {
        return Some("mcp".to_owned());
    }
    let scope = format!("server:{}", path.strip_prefix("/mcp/")?);
    matches!(Scope::parse(&scope), Ok(Scope::Server(_))).then_some(scope)
}

impl Resource<'_> {
    /// What is asked for.
    pub(super) fn challenge(&self, error: Option<Error<'_>>) -> Vec<String> {
        let Some(proofs) = self.tokens.map(Oauth::proofs) else {
            return vec![self.written("Bearer", error, None)];
        };
        let scope = self.scope();
        let bearer = (!proofs.all).then(|| self.written("Bearer", error, scope.as_deref()));
        let proof = proofs.some.then(|| self.written("DPoP", error, scope.as_deref()));
        bearer.into_iter().chain(proof).collect()
    }

    /// The same for who has a token, and did not prove to have its key.
    pub(super) fn proof(&self, error: Error<'_>) -> String {
        self.written("DPoP", Some(error), None)
    }

    /// That a credential has to be good for a scope as well, beside those that it is good for.
    pub(super) fn needs(&self, caller: &Caller, scope: &str) -> String {
        const WHY: &str = "insufficient_scope";
        let token = caller.credential.as_ref().and_then(|credential| credential.token());
        let Some(token) = token else { return format!(r#"Bearer realm="bartizan", error="{WHY}", scope="{scope}""#) };
        let granted = caller.principal.scopes.iter().map(ToString::to_string).chain([scope.to_owned()]);
        let mut all: Vec<_> = granted.map(|scope| token.called(&scope)).collect();
        all.sort();
        all.dedup();
        let scheme = if token.is_bound() { "DPoP" } else { "Bearer" };
        self.written(scheme, Some(Error(WHY, "the token is not good for this")), Some(&all.join(" ")))
    }

    /// That whoever a token is of has to have shown a second factor no longer ago than that (RFC 9470, section 3).
    pub(super) fn needs_proof(&self, token: &Token, max_age: Duration) -> String {
        const WHY: &str = "a sign-in with a second factor is needed that is not as long ago";
        let scheme = if token.is_bound() { "DPoP" } else { "Bearer" };
        let mut text = self.written(scheme, Some(Error("insufficient_user_authentication", WHY)), None);
        let values = token.acr_values();
        if !values.is_empty() {
            text.push_str(&format!(r#", acr_values="{}""#, values.join(" ")));
        }
        format!(r#"{text}, max_age="{}""#, max_age.as_secs())
    }

    pub(super) fn nonce(&self) -> Option<HeaderValue> {
        HeaderValue::try_from(self.tokens?.nonce(clock::now())?).ok()
    }

    /// What a client should ask for, if all issuers call it the same.
    fn scope(&self) -> Option<String> {
        let scope = scope_of(self.path).unwrap_or_else(|| "mcp".to_owned());
        let called = self.tokens?.called(&scope);
        <[String; 1]>::try_from(called).ok().map(|[only]| only)
    }

    fn written(&self, scheme: &str, error: Option<Error<'_>>, scope: Option<&str>) -> String {
        let mut text = format!(r#"{scheme} realm="bartizan""#);
        if let Some(Error(code, words)) = error {
            text.push_str(&format!(r#", error="{code}", error_description="{words}""#));
        }
        if self.tokens.is_none() {
            return text;
        }
        if let Some(scope) = scope {
            text.push_str(&format!(r#", scope="{scope}""#));
        }
        let path = scope_of(self.path).map_or("/mcp", |_| self.path);
        text.push_str(&format!(r#", resource_metadata="{}{WELL_KNOWN}{path}""#, self.public));
        if scheme == "DPoP" {
            text.push_str(&format!(r#", algs="{}""#, Algorithm::names().collect::<Vec<_>>().join(" ")));
        }
        text
    }
}

/// Adds challenges to an answer. Their scopes have no quotation marks and no control characters.
pub(super) fn add(headers: &mut HeaderMap, challenges: Vec<String>) {
    for challenge in challenges {
        if let Ok(challenge) = HeaderValue::try_from(challenge) {
            headers.append(header::WWW_AUTHENTICATE, challenge);
        }
    }
}
