//! Proofs that whoever shows a token has the key that it is bound to (DPoP, RFC 9449).
//!
//! **Threat.** A token is copied, and so is the proof that was shown with it. A proof is good for one request: with this
//! token, of this method, to this address, within a minute or so, and once.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;

use crate::token::{Jws, Key, TokenError, encode};

const SECOND: i64 = 1_000_000;
/// How old a proof may be, in microseconds.
const AGE: i64 = 60 * SECOND;
/// By how much the clock of whoever made it may be ahead.
const AHEAD: i64 = 10 * SECOND;

/// What a proof has to be about.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The method of the request.
    pub method: &'a str,
    /// Its address, without a query.
    pub uri: &'a str,
    /// The token that is shown with it.
    pub token: &'a str,
    /// The thumbprint of the key that the token is bound to.
    pub bound_to: &'a str,
    /// The nonces of which one has to be in it, if one has to be.
    pub nonces: Option<&'a [String]>,
    /// When that is, in microseconds since 1970-01-01 UTC.
    pub now: i64,
}

/// What a proof has to be about with which somebody asks for a token, and has none yet.
#[derive(Debug, Clone, Copy)]
pub struct First<'a> {
    /// The method of the request.
    pub method: &'a str,
    /// Its address, without a query.
    pub uri: &'a str,
    /// When that is, in microseconds since 1970-01-01 UTC.
    pub now: i64,
}

/// Why a proof is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProofError {
    /// It is no signed text, or its header is not accepted.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// It is of another key than the token.
    #[error("it is of another key than the token")]
    OtherKey,
    /// It has no nonce, or one that is not good any more.
    #[error("it has no nonce that is good")]
    Nonce,
    /// It was shown before.
    #[error("it was shown before")]
    Replayed,
    /// There is no room to remember that it was shown.
    #[error("too many proofs were shown")]
    Crowded,
}

/// Checks a proof, but not whether it was shown before; what it is to be remembered by, and of which key it is.
///
/// # Errors
/// If it is not good.
pub fn check(text: &str, request: &Request<'_>) -> Result<Shown, ProofError> {
    let Request { method, uri, now, .. } = *request;
    let (jws, key) = read(text, &First { method, uri, now })?;
    let text = |name: &'static str| jws.claims.get(name).and_then(Value::as_str).ok_or(TokenError::Claim(name));
    let digest = encode(&Sha256::digest(request.token));
    if !bool::from(text("ath")?.as_bytes().ct_eq(digest.as_bytes())) {
        return Err(TokenError::Claim("ath").into());
    }
    if key.thumbprint() != request.bound_to {
        return Err(ProofError::OtherKey);
    }
    if let Some(nonces) = request.nonces
        && !text("nonce").is_ok_and(|nonce| nonces.iter().any(|known| known == nonce))
    {
        return Err(ProofError::Nonce);
    }
    Ok(shown(text("jti")?, &key))
}

/// Checks a proof of a key that a token is to be bound to, but not whether it was shown before; what it is to be remembered
/// by, and the thumbprint of the key.
///
/// # Errors
/// If it is not good.
pub fn check_first(text: &str, request: &First<'_>) -> Result<(Shown, String), ProofError> {
    let (jws, key) = read(text, request)?;
    let id = jws.claims.get("jti").and_then(Value::as_str).ok_or(TokenError::Claim("jti"))?;
    Ok((shown(id, &key), key.thumbprint().to_owned()))
}

/// What is to be right in every proof.
fn read<'a>(text: &'a str, request: &First<'_>) -> Result<(Jws<'a>, Key), ProofError> {
    let jws = Jws::parse(text)?;
    if jws.kind().as_deref() != Some("dpop+jwt") {
        return Err(TokenError::Header("typ").into());
    }
    let jwk = jws.header.get("jwk").and_then(Value::as_object);
    let key = jwk.and_then(Key::of).ok_or(TokenError::Header("jwk"))?;
    if !key.verifies(jws.algorithm()) {
        return Err(TokenError::Header("alg").into());
    }
    if !jws.is_signed_by(&key) {
        return Err(TokenError::Signature.into());
    }
    let text = |name: &'static str| jws.claims.get(name).and_then(Value::as_str).ok_or(TokenError::Claim(name));
    if text("htm")? != request.method {
        return Err(TokenError::Claim("htm").into());
    }
    if !is_same_address(text("htu")?, request.uri) {
        return Err(TokenError::Claim("htu").into());
    }
    Some(text("jti")?).filter(|id| (1..=256).contains(&id.len())).ok_or(TokenError::Claim("jti"))?;
    let made = jws.claims.get("iat").and_then(Value::as_i64).and_then(|seconds| seconds.checked_mul(SECOND));
    let made = made.ok_or(TokenError::Claim("iat"))?;
    if made > request.now.saturating_add(AHEAD) || made < request.now.saturating_sub(AGE) {
        return Err(TokenError::Claim("iat").into());
    }
    Ok((jws, key))
}

fn shown(id: &str, key: &Key) -> Shown {
    let key = key.thumbprint();
    Shown { proof: Sha256::digest(format!("{key}\n{id}")).into(), key: Sha256::digest(key).into() }
}

/// Whether two addresses are the same but for a query, a fragment, and how scheme, host and port are written.
fn is_same_address(shown: &str, own: &str) -> bool {
    let parts = |text: &str| {
        let text = text.split(['?', '#']).next().unwrap_or_default();
        let (scheme, rest) = text.split_once("://")?;
        let (host, path) = rest.find('/').and_then(|at| rest.split_at_checked(at)).unwrap_or((rest, "/"));
        let (scheme, host) = (scheme.to_ascii_lowercase(), host.to_ascii_lowercase());
        let usual = match &*scheme {
            "https" => ":443",
            "http" => ":80",
            _ => return None,
        };
        Some((scheme, host.strip_suffix(usual).unwrap_or(&host).to_owned(), path.to_owned()))
    };
    parts(shown).is_some_and(|shown| Some(shown) == parts(own))
}

/// What a proof is remembered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    proof: [u8; 32],
    key: [u8; 32],
}

/// Proofs that were shown, for as long as they could be shown again.
#[derive(Debug)]
pub struct Replays {
    most: usize,
    /// Those of now and those of before: who is in either was shown.
    generations: Mutex<[Generation; 2]>,
}

#[derive(Debug, Default)]
struct Generation {
    began: i64,
    proofs: HashSet<[u8; 32]>,
    /// How many are of one key.
    by_key: HashMap<[u8; 32], usize>,
}

/// What part of all one key may have, so that no holder of a token keeps out the others.
const SHARE: usize = 8;

impl Replays {
    /// None yet; so many are remembered at a time at most.
    #[must_use]
    pub fn new(most: usize) -> Replays {
        Replays { most, generations: Mutex::default() }
    }

    /// Remembers that a proof was shown.
    ///
    /// # Errors
    /// If it was shown before, or there is no room to remember it.
    pub fn show(&self, shown: &Shown, now: i64) -> Result<(), ProofError> {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let [current, before] = &mut *generations;
        // A proof can be shown from `AHEAD` before its time on, for `AGE` after it.
        if now >= current.began.saturating_add(AGE + AHEAD) {
            let is_over = now >= current.began.saturating_add(2 * (AGE + AHEAD));
            *before = if is_over { Generation::default() } else { std::mem::take(current) };
            *current = Generation { began: now, ..Generation::default() };
        }
        if current.proofs.contains(&shown.proof) || before.proofs.contains(&shown.proof) {
            return Err(ProofError::Replayed);
        }
        let of_key = current.by_key.entry(shown.key).or_default();
        if *of_key >= self.most / 2 / SHARE || current.proofs.len() >= self.most / 2 {
            return Err(ProofError::Crowded);
        }
        *of_key += 1;
        current.proofs.insert(shown.proof);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
