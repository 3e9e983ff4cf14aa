//! What is signed and travels as text: header, payload and signature (RFC 7515, compact serialisation).

use serde_json::{Map, Value};
use thiserror::Error;

use super::json;
use super::key::{Algorithm, Key, KeySet, decode};

/// The longest token. Those that carry many groups have some ten thousand bytes.
pub const LONGEST: usize = 16 * 1024;

/// Why a token is not good. It is for the operator: to whoever shows the token nothing more is said than that it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TokenError {
    /// It is too long, or not of the form that signed tokens have.
    #[error("it is no signed token")]
    Form,
    /// Something in its header is missing, of the wrong kind, or not accepted.
    #[error("`{0}` in its header is not accepted")]
    Header(&'static str),
    /// The key that it names is none of its issuer's.
    #[error("its issuer has no such key")]
    UnknownKey,
    /// It was not signed by that key, or was changed since.
    #[error("its signature is wrong")]
    Signature,
    /// Something that it says is missing, of the wrong kind, or not what it has to be.
    #[error("`{0}` is not what it has to be")]
    Claim(&'static str),
    /// It has expired.
    #[error("it has expired")]
    Expired,
    /// It is of later than now.
    #[error("it is not good yet")]
    Early,
}

/// A signed text that was read. Nothing in it is known to be true before [`Jws::check_signature`].
#[derive(Debug)]
pub struct Jws<'a> {
    signed: &'a str,
    signature: Vec<u8>,
    algorithm: Algorithm,
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
}

/// Where keys could come from that somebody else has chosen, and what would have to be understood to be safe.
const REFUSED: [&str; 6] = ["crit", "jku", "x5u", "x5c", "b64", "zip"];

impl<'a> Jws<'a> {
    /// Reads one.
    ///
    /// # Errors
    /// If it is none, or its header has something that is not accepted.
    pub fn parse(text: &'a str) -> Result<Jws<'a>, TokenError> {
        if text.len() > LONGEST {
            return Err(TokenError::Form);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(TokenError::Form)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Form)?;
        let part = |text: &str| decode(text).and_then(|bytes| json::object(&bytes)).ok_or(TokenError::Form);
        let (header, claims) = (part(header)?, part(claims)?);
        if let Some(name) = REFUSED.into_iter().find(|name| header.contains_key(*name)) {
            return Err(TokenError::Header(name));
        }
        let algorithm = header.get("alg").and_then(Value::as_str).and_then(Algorithm::of);
        let algorithm = algorithm.ok_or(TokenError::Header("alg"))?;
        let signature = decode(signature).filter(|bytes| !bytes.is_empty()).ok_or(TokenError::Form)?;
        Ok(Jws { signed, signature, algorithm, header, claims })
    }

    /// Whether a text looks like one; others are opaque.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        // A header begins with `{"`, which is this in base64url.
        text.starts_with("eyJ") && text.bytes().filter(|byte| *byte == b'.').count() == 2
    }

    /// How it says that it is signed.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Who it says has issued it, which is not known to be true.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }

    /// The key that it names.
    ///
    /// # Errors
    /// If it names none.
    pub fn key_id(&self) -> Result<&str, TokenError> {
        let id = self.header.get("kid").and_then(Value::as_str);
        id.filter(|id| (1..=256).contains(&id.len())).ok_or(TokenError::Header("kid"))
    }

    /// What kind of token it says it is, without the beginning that may be left out.
    pub(crate) fn kind(&self) -> Option<String> {
        let kind = self.header.get("typ").and_then(Value::as_str)?.to_ascii_lowercase();
        Some(kind.strip_prefix("application/").map_or(kind.clone(), str::to_owned))
    }

    /// Whether one of the keys that it names has signed it.
    ///
    /// # Errors
    /// If not.
    pub fn check_signature(&self, keys: &KeySet) -> Result<(), TokenError> {
        if self.header.contains_key("jwk") {
            return Err(TokenError::Header("jwk"));
        }
        let id = self.key_id()?;
        if !keys.knows(id) {
            return Err(TokenError::UnknownKey);
        }
        let mut keys = keys.find(id, self.algorithm).peekable();
        if keys.peek().is_none() {
            return Err(TokenError::Header("alg"));
        }
        if keys.any(|key| self.is_signed_by(key)) { Ok(()) } else { Err(TokenError::Signature) }
    }

    pub(crate) fn is_signed_by(&self, key: &Key) -> bool {
        key.has_signed(self.algorithm, self.signed.as_bytes(), &self.signature)
    }
}
