//! The errors of OAuth, by the words that clients know.

use std::borrow::Cow;

use serde::Serialize;

/// An error as a client is told: RFC 6749, sections 4.1.2.1 and 5.2; RFC 8707; RFC 7591; RFC 9449.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OAuthError {
    /// Such as `invalid_grant`.
    pub error: &'static str,
    /// For whoever writes the client; it holds nothing that came in but names of parameters.
    pub error_description: Cow<'static, str>,
}

impl OAuthError {
    pub(super) fn new(error: &'static str, description: impl Into<Cow<'static, str>>) -> OAuthError {
        OAuthError { error, error_description: description.into() }
    }

    pub(super) fn request(description: impl Into<Cow<'static, str>>) -> OAuthError {
        OAuthError::new("invalid_request", description)
    }

    pub(super) fn target(description: impl Into<Cow<'static, str>>) -> OAuthError {
        OAuthError::new("invalid_target", description)
    }

    pub(super) fn scope(description: impl Into<Cow<'static, str>>) -> OAuthError {
        OAuthError::new("invalid_scope", description)
    }

    /// What was shown is not good; why is said to nobody, since it would help whoever guesses.
    #[must_use]
    pub fn grant() -> OAuthError {
        OAuthError::new("invalid_grant", "not known, used before, expired, revoked, or not this client's")
    }

    /// The client is not one that there is, or it authenticates in a way that there is not.
    #[must_use]
    pub fn client(description: &'static str) -> OAuthError {
        OAuthError::new("invalid_client", description)
    }

    /// The person did not agree.
    #[must_use]
    pub fn denied() -> OAuthError {
        OAuthError::new("access_denied", "the person did not agree")
    }

    /// No client registers itself here. Where it cannot, it shows this to who uses it, who may have no other word of it.
    #[must_use]
    pub fn registration_off() -> OAuthError {
        let said = "clients do not register themselves here; `client_registration = true` under [sign_in] lets them, or the \
                    operator sets this one up as [sign_in.client.NAME]";
        OAuthError::new("access_denied", said)
    }

    /// It cannot be done now.
    #[must_use]
    pub fn unavailable() -> OAuthError {
        OAuthError::new("temporarily_unavailable", "try again later")
    }

    /// A request cannot be read.
    #[must_use]
    pub fn unreadable(description: impl Into<Cow<'static, str>>) -> OAuthError {
        OAuthError::request(description)
    }

    /// A proof of possession is not good (RFC 9449).
    #[must_use]
    pub fn proof() -> OAuthError {
        OAuthError::new("invalid_dpop_proof", "the DPoP proof is not good, or not of the key that this is bound to")
    }
}
