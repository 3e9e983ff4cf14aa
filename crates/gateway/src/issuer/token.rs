//! The access tokens that are given out (RFC 9068).

use bartizan_guard::Timestamp;
use bartizan_identity::grant::authorize::SECOND_FACTOR;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{IssuerError, Key};
use crate::random;

/// How long one is good, in seconds: a client that has a refresh token gets the next one by itself.
pub(super) const LIFETIME: i64 = 600;
const SECOND: i64 = 1_000_000;
/// The one method that is no second factor.
const PASSWORD: &str = "pwd";

/// What a token says. Moments are microseconds.
#[derive(Debug, Clone)]
pub(crate) struct Given<'a> {
    pub(crate) grant: &'a str,
    pub(crate) person: &'a str,
    pub(crate) client: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) scopes: &'a [String],
    /// The thumbprint of the key that whoever shows it has to have.
    pub(crate) proof_key: Option<&'a str>,
    pub(crate) signed_in_at: i64,
    pub(crate) methods: &'a [String],
    /// When the grant is over.
    pub(crate) until: i64,
}

impl Given<'_> {
    /// How long a token of now is good, in seconds.
    pub(crate) fn lifetime(&self, now: Timestamp) -> i64 {
        (self.until.saturating_sub(now.0) / SECOND).clamp(0, LIFETIME)
    }
}

/// A token, signed.
pub(super) fn sign(key: &Key, issuer: &str, given: &Given<'_>, now: Timestamp) -> Result<String, IssuerError> {
    let seconds = now.0 / SECOND;
    let id = random::key().map_err(|error| IssuerError::Key(error.to_string()))?;
    let mut claims = json!({
        "iss": issuer, "sub": given.person, "aud": given.resource, "client_id": given.client,
        "scope": given.scopes.join(" "), "iat": seconds, "exp": seconds + given.lifetime(now), "jti": id,
        "auth_time": given.signed_in_at / SECOND, "amr": given.methods, "grant": given.grant,
    });
    if let Some(claims) = claims.as_object_mut() {
        if let Some(key) = given.proof_key {
            claims.insert("cnf".to_owned(), json!({ "jkt": key }));
        }
        // Whoever shows a second factor has shown a password in the same session, or a passkey, which is both.
        if given.methods.iter().any(|method| method != PASSWORD) {
            claims.insert("acr".to_owned(), SECOND_FACTOR.into());
        }
    }
    let head = json!({"typ": "at+jwt", "alg": "ES256", "kid": key.id()});
    let [head, claims] = [head, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let text = format!("{head}.{claims}");
    let signature = key.sign(text.as_bytes())?;
    Ok(format!("{text}.{signature}"))
}

/// The grant and the client of a token that one of these keys signed for this issuer, whether it is still good or not.
pub(super) fn grant_of(keys: &[std::sync::Arc<Key>], issuer: &str, token: &str) -> Option<(String, String)> {
    let (text, signature) = token.rsplit_once('.')?;
    let (head, claims) = text.split_once('.')?;
    let json = |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
    let (head, claims) = (json(head)?, json(claims)?);
    let key = keys.iter().find(|key| Some(key.id()) == head.get("kid").and_then(Value::as_str))?;
    let is_ours = key.has_signed(text.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).ok()?);
    let said = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
    let is_ours = is_ours && said("iss").as_deref() == Some(issuer);
    if is_ours { Some((said("grant")?, said("client_id")?)) } else { None }
}
