//! The rules by which tokens are not good, and what is said of one to the operator.

use bartizan_identity::token::{Seen, TokenError};

/// The rules by which refused tokens are counted.
pub(super) const FORM: &str = "edge.token_form";
pub(super) const ISSUER: &str = "edge.token_issuer";
pub(super) const AUDIENCE: &str = "edge.token_audience";
pub(super) const BINDING: &str = "edge.token_binding";
pub(super) const PRINCIPAL: &str = "edge.token_principal";
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
