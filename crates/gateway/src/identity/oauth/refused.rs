//! Says to the operator why tokens are refused. Whoever shows one is told nothing of it.
//!
//! **Threat.** Whoever sends tokens that are none fills the log, or writes into it what they like. So of each issuer and each
//! reason one line is said in [`EVERY`], with how many there were meanwhile, and of a token only what [`Seen`] shows, escaped
//! and cut.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bartizan_guard::excerpt;
use bartizan_identity::token::{Seen, TokenError};

use crate::clock;

/// For how long nothing more is said of the same, in microseconds.
const EVERY: i64 = 10 * 1_000_000;

/// The rules by which refused tokens are counted.
pub(super) const FORM: &str = "edge.token_form";
pub(super) const ISSUER: &str = "edge.token_issuer";
pub(super) const AUDIENCE: &str = "edge.token_audience";
pub(super) const BINDING: &str = "edge.token_binding";
pub(super) const PRINCIPAL: &str = "edge.token_principal";
pub(super) const INACTIVE: &str = "edge.token_inactive";
pub(super) const ENDED: &str = "edge.token_ended";
/// What is said of proofs, of issuers that do not answer, and of tokens that are good for nothing.
pub(super) const PROOF: &str = "edge.token_proof";
pub(super) const SILENT: &str = "edge.token_unknown";
pub(super) const SCOPE: &str = "edge.token_scope";

/// What was said already.
#[derive(Default)]
pub(super) struct Refused(Mutex<HashMap<(String, &'static str), Said>>);

/// When something was said last, and how often it happened since.
struct Said {
    at: i64,
    more: u64,
}

/// What is wrong with one token.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// In a sentence without an end.
    pub(super) why: String,
    /// What the token says, and what it should.
    pub(super) said: Option<String>,
    pub(super) expected: Option<String>,
}

impl Refused {
    /// Says it, unless the same was said a short while ago.
    pub(super) fn tell(&self, issuer: &str, reason: &'static str, words: impl FnOnce() -> Words) {
        let Some(more) = self.is_time((issuer.to_owned(), reason), clock::now().0) else { return };
        let Words { why, said, expected } = words();
        let (said, expected) = (said.as_deref().map(excerpt), expected.as_deref().map(excerpt));
        let what = match reason {
            SILENT => "it cannot be told whether a token is good, so it is refused",
            SCOPE => "a token is good for nothing here",
            _ => "a token is refused",
        };
        tracing::warn!(issuer, reason, why, said, expected, more, "{what}");
    }

    /// How often it happened unsaid, if it is to be said now.
    fn is_time(&self, of: (String, &'static str), now: i64) -> Option<u64> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(&of) {
            Some(said) if (0..EVERY).contains(&now.saturating_sub(said.at)) => {
                said.more = said.more.saturating_add(1);
                None
            }
            known => {
                let more = known.map_or(0, |said| said.more);
                all.insert(of, Said { at: now, more: 0 });
                Some(more)
            }
        }
    }
}

/// The rule by which a token is counted that is not good in that way.
pub(super) fn rule(error: &TokenError) -> &'static str {
    match error {
        TokenError::Form => FORM,
        TokenError::Header("typ") => "edge.token_type",
        TokenError::Header("alg") => "edge.token_algorithm",
        TokenError::Header("kid") | TokenError::UnknownKey => "edge.token_key",
        TokenError::Header(_) => "edge.token_header",
        TokenError::Signature => "edge.token_signature",
        TokenError::Claim("iss") => ISSUER,
        TokenError::Claim("aud") => AUDIENCE,
        TokenError::Claim("active") => INACTIVE,
        TokenError::Claim("cnf") => BINDING,
        TokenError::Claim(_) => "edge.token_claim",
        TokenError::Expired => "edge.token_expired",
        TokenError::Early => "edge.token_early",
    }
}

/// Who a token says has issued it.
pub(super) fn issuer(text: &str) -> Option<String> {
    serde_json::from_str(&Seen::of(text).get("iss")?).ok()
}

/// What a token says where it is not good.
pub(super) fn said(text: &str, error: &TokenError) -> Option<String> {
    let seen = Seen::of(text);
    let of = |names: &[&str]| {
        let found: Vec<_> = names.iter().filter_map(|name| Some(format!("{name}={}", seen.get(name)?))).collect();
        (!found.is_empty()).then(|| found.join(" "))
    };
    match error {
        TokenError::Header(name) | TokenError::Claim(name) => of(&[name]),
        TokenError::UnknownKey => of(&["kid"]),
        TokenError::Signature => of(&["alg", "kid"]),
        TokenError::Expired => of(&["exp"]),
        TokenError::Early => of(&["nbf", "iat"]),
        TokenError::Form => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_once_in_a_while_and_something_else_at_once() {
        let (refused, corp) = (Refused::default(), || "corp".to_owned());
        assert_eq!(refused.is_time((corp(), AUDIENCE), 0), Some(0));
        for at in [1, EVERY - 1] {
            assert_eq!(refused.is_time((corp(), AUDIENCE), at), None);
        }
        assert_eq!(refused.is_time((corp(), ISSUER), 1), Some(0));
        assert_eq!(refused.is_time(("other".to_owned(), AUDIENCE), 1), Some(0));
        assert_eq!(refused.is_time((corp(), AUDIENCE), EVERY), Some(2));
        // A clock that is set back does not silence it.
        assert_eq!(refused.is_time((corp(), AUDIENCE), EVERY - 1), Some(0));
    }
}
