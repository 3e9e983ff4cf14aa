//! What an authorization server gives, and asking it for that.

use bartizan_store::upstream_tokens::PURPOSE;
use bartizan_store::{SealError, Sealer, Unopened};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use form_urlencoded::Serializer;
use http::{HeaderValue, StatusCode, Uri};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::fetch::{self, FetchError, Form, Reach, Way};

/// A token that is longer is of no use in a header.
const LONGEST: usize = 16 * 1024;
/// A year is as good as for ever.
const YEAR: f64 = 31_536_000.0;

/// Tokens of somebody, and all it takes to renew them; this is what is sealed.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Grant {
    pub(super) access_token: Zeroizing<String>,
    pub(super) refresh_token: Option<Zeroizing<String>>,
    pub(super) token_endpoint: String,
    pub(super) revocation_endpoint: Option<String>,
    pub(super) client: Client,
    /// How near these addresses could be when they were named; none of what was kept before that was written down.
    #[serde(default)]
    pub(super) reach: Option<Reach>,
}

/// What the gateway is to the authorization server.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Client {
    pub(super) id: String,
    pub(super) secret: Option<Zeroizing<String>>,
    pub(super) proof: Proof,
}

/// How it proves that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Proof {
    /// Not at all.
    None,
    /// By its secret in a header.
    Basic,
    /// By its secret in the form.
    Post,
}

impl Grant {
    pub(super) fn seal(&self, sealer: &Sealer, owner: &str) -> Result<Vec<u8>, SealError> {
        let text = Zeroizing::new(serde_json::to_vec(self).unwrap_or_default());
        sealer.seal(PURPOSE, owner, &text)
    }

    pub(super) fn unseal(sealer: &Sealer, owner: &str, sealed: &[u8]) -> Result<Grant, SealError> {
        let text = sealer.unseal(PURPOSE, owner, sealed)?;
        serde_json::from_slice(&text).map_err(|_| Unopened::Form.into())
    }

    /// What is sent to the server.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        bartizan_config::bearer(&self.access_token)
    }
}

/// What a token endpoint answers.
#[derive(Deserialize)]
pub(super) struct Tokens {
    pub(super) access_token: Zeroizing<String>,
    token_type: String,
    #[serde(default)]
    pub(super) refresh_token: Option<Zeroizing<String>>,
    #[serde(default)]
    pub(super) expires_in: Option<f64>,
    #[serde(default)]
    pub(super) scope: Option<String>,
}

impl Tokens {
    /// When the access token ends, in microseconds.
    pub(super) fn expires_at(&self, now: i64) -> Option<i64> {
        self.expires_in.and_then(|seconds| moment(now, seconds))
    }
}

/// So many seconds after `now`, in microseconds; nothing if that is no number.
pub(super) fn moment(now: i64, seconds: f64) -> Option<i64> {
    let seconds = Some(seconds).filter(|seconds| seconds.is_finite())?.clamp(0.0, YEAR);
    #[expect(clippy::cast_possible_truncation, reason = "it is within a year")]
    let seconds = seconds as i64;
    Some(now.saturating_add(seconds * 1_000_000))
}

/// Whether a token can be shown to a server: it has visible ASCII characters only, and not too many.
pub(super) fn is_plain(token: &str) -> bool {
    (1..=LONGEST).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic())
}

#[derive(Deserialize)]
pub(super) struct Refused {
    pub(super) error: String,
}

/// Why there are no tokens.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum TokenError {
    /// The authorization server says so, by one of its codes.
    #[error("the authorization server refuses: {0}")]
    Refused(String),
    /// It cannot do that now, and has not.
    #[error("the authorization server cannot do that now (status {0})")]
    Later(u16),
    /// It was not asked.
    #[error(transparent)]
    NotAsked(FetchError),
    /// It may have done what it was asked for.
    #[error("it is not known what the authorization server did: {0}")]
    Unsure(String),
}

/// Asks a token endpoint.
pub(super) async fn ask(
    endpoint: &str,
    client: &Client,
    fields: &[(&str, &str)],
    way: &Way,
) -> Result<Tokens, TokenError> {
    let answer = send(endpoint, client, fields, way).await.map_err(|error| match error {
        FetchError::Url(_) | FetchError::Address(_) | FetchError::Unreachable(..) => TokenError::NotAsked(error),
        _ => TokenError::Unsure(error.to_string()),
    })?;
    if answer.status == StatusCode::OK {
        let tokens: Tokens = serde_json::from_slice(&answer.body)
            .map_err(|_| TokenError::Unsure("its answer holds no tokens".to_owned()))?;
        if !tokens.token_type.eq_ignore_ascii_case("bearer") || !is_plain(&tokens.access_token) {
            return Err(TokenError::Unsure("its token is none that a client can show".to_owned()));
        }
        return Ok(tokens);
    }
    match serde_json::from_slice::<Refused>(&answer.body) {
        Ok(refused) if answer.status.is_client_error() => Err(TokenError::Refused(code(&refused.error).to_owned())),
        _ if matches!(answer.status.as_u16(), 429 | 503) => Err(TokenError::Later(answer.status.as_u16())),
        _ => Err(TokenError::Unsure(format!("status {}", answer.status.as_u16()))),
    }
}

/// Tells an authorization server that a token is not needed any more.
pub(super) async fn revoke(grant: &Grant, way: &Way) -> Result<(), FetchError> {
    let Some(endpoint) = &grant.revocation_endpoint else { return Ok(()) };
    let (token, hint) = match &grant.refresh_token {
        Some(token) => (token, "refresh_token"),
        None => (&grant.access_token, "access_token"),
    };
    send(endpoint, &grant.client, &[("token", token), ("token_type_hint", hint)], way).await.map(drop)
}

async fn send(
    endpoint: &str,
    client: &Client,
    fields: &[(&str, &str)],
    way: &Way,
) -> Result<fetch::Fetched, FetchError> {
    let uri: Uri = endpoint.parse().map_err(|_| FetchError::Url("the endpoint".to_owned()))?;
    let (body, authorization) = form(client, fields);
    let form = Form { kind: "application/x-www-form-urlencoded", body: &body, authorization: authorization.as_ref() };
    fetch::post(&uri, form, way).await
}

/// What is sent, and the header by which the client proves who it is, if it does so there.
pub(super) fn form(client: &Client, fields: &[(&str, &str)]) -> (Zeroizing<String>, Option<HeaderValue>) {
    let mut form = Serializer::new(String::new());
    form.extend_pairs(fields);
    let mut authorization = None;
    match (client.proof, &client.secret) {
        (Proof::Basic, Some(secret)) => {
            // Both are encoded as in a form first (RFC 6749, 2.3.1).
            let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let pair = Zeroizing::new(format!("{}:{}", encoded(&client.id), encoded(secret)));
            let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair.as_bytes()))).ok();
            value.iter_mut().for_each(|value| value.set_sensitive(true));
            authorization = value;
        }
        (Proof::Post, Some(secret)) => {
            form.append_pair("client_id", &client.id).append_pair("client_secret", secret);
        }
        _ => {
            form.append_pair("client_id", &client.id);
        }
    }
    (Zeroizing::new(form.finish()), authorization)
}

/// An error code as RFC 6749 has them; other words are not passed on.
pub(super) fn code(text: &str) -> &str {
    let plain = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if plain { text } else { "an error" }
}
