//! The rules by which tokens are not good, and what is said of one to the operator.

use bartizan_identity::token::{Seen, TokenError};

/// The rules by which refused tokens are counted.
pub(super) const FORM: &str = "edge.token_form";
pub(super) const ISSUER: &str = "edge.token_issuer";
pub(super) const AUDIENCE: &str = "edge.token_audience";
pub(super) const BINDING: &str = "edge.token_binding";
pub(in crate::identity) const PRINCIPAL: &str = "edge.token_principal";
pub(super) const INACTIVE: &str = "edge.token_inactive";
pub(super) const ENDED: &str = "edge.token_ended";
/// What is said of proofs, of issuers that do not answer, and of tokens that are good for nothing or for less.
pub(super) const PROOF: &str = "edge.token_proof";
pub(super) const SILENT: &str = "edge.token_unknown";
pub(super) const SCOPE: &str = "edge.token_scope";
pub(super) const CLAIMS: &str = "edge.token_claims";

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

/// In which way a token is not good.
pub(super) fn why(text: &str, error: &TokenError) -> String {
    match error {
        TokenError::Claim(name) if Seen::of(text).lacks(name) => format!("its claim `{name}` is missing"),
        error => error.to_string(),
    }
}

/// Seconds since 1970-01-01 UTC as a moment, and how long ago that was.
fn moment(seconds: &str, now: i64) -> Option<String> {
    const SECOND: i64 = 1_000_000;
    let at = seconds.parse::<i64>().ok()?.checked_mul(SECOND)?;
    let (ago, what) = match now.checked_sub(at)? / SECOND {
        ago if ago < 0 => (ago.saturating_neg(), "s ahead"),
        ago => (ago, "s ago"),
    };
    let at = bartizan_audit::rfc3339(at).replace(".000000", "");
    Some(format!("{seconds} ({at}, {ago} {what})"))
}

/// What a token says where it is not good.
pub(super) fn said(text: &str, error: &TokenError, now: i64) -> Option<String> {
    let seen = Seen::of(text);
    let of = |names: &[&str]| {
        let found: Vec<_> = names.iter().filter_map(|name| Some(format!("{name}={}", seen.get(name)?))).collect();
        (!found.is_empty()).then(|| found.join(" "))
    };
    match error {
        TokenError::Header(name) | TokenError::Claim(name) => of(&[name]),
        TokenError::UnknownKey => of(&["kid"]),
        TokenError::Signature => of(&["alg", "kid"]),
        TokenError::Expired => {
            let exp = seen.get("exp")?;
            Some(format!("exp={}", moment(&exp, now).unwrap_or(exp)))
        }
        TokenError::Early => of(&["nbf", "iat"]),
        TokenError::Form => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_as_people_read_them() {
        let now = 1_764_282_061_500_000;
        assert_eq!(moment("1764282000", now).as_deref(), Some("1764282000 (2025-11-27T22:20:00Z, 61 s ago)"));
        assert_eq!(moment("1764282121", now).as_deref(), Some("1764282121 (2025-11-27T22:22:01Z, 59 s ahead)"));
        for strange in ["", "\"1764282000\"", "9223372036854775807", "1e3"] {
            assert_eq!(moment(strange, now), None, "{strange}");
        }
    }
}
