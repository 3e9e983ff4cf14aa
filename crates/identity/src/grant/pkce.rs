//! Who redeems a code has to know what who asked for it has made up (RFC 7636).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::OAuthError;

/// What who asks for a code shows of its secret: the only method is `S256`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge([u8; 32]);

impl Challenge {
    /// Reads `code_challenge` with its `code_challenge_method`.
    ///
    /// # Errors
    /// If there is none, it is of another method, or of none that there could be.
    pub fn read(challenge: Option<&str>, method: Option<&str>) -> Result<Challenge, OAuthError> {
        let challenge = challenge.ok_or_else(|| OAuthError::request("code_challenge is missing: PKCE is required"))?;
        // Without a method it would be `plain`.
        if method != Some("S256") {
            return Err(OAuthError::request("code_challenge_method has to be S256"));
        }
        Challenge::of_text(challenge).ok_or_else(|| OAuthError::request("code_challenge is no SHA-256 in base64url"))
    }

    /// As it was kept.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Challenge {
        Challenge(bytes)
    }

    /// To be kept.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0
    }

    /// Whether it was made of this.
    #[must_use]
    pub fn fits(&self, verifier: &str) -> bool {
        // Of other lengths and letters it can be guessed, or is none.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let digest: [u8; 32] = Sha256::digest(verifier.as_bytes()).into();
        (43..=128).contains(&verifier.len()) && verifier.bytes().all(plain) && bool::from(digest.ct_eq(&self.0))
    }

    fn of_text(text: &str) -> Option<Challenge> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Challenge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636, appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn the_one_that_it_was_made_of_fits() {
        let challenge = Challenge::read(Some(CHALLENGE), Some("S256")).unwrap();
        assert!(challenge.fits(VERIFIER));
        let kept = Challenge::from_bytes(challenge.to_bytes());
        for other in
            ["", CHALLENGE, &VERIFIER.to_lowercase(), VERIFIER.get(..42).unwrap(), &format!("{VERIFIER} "), "a"]
        {
            assert!(!kept.fits(other), "{other}");
        }
        // Too long a secret, even if the challenge is its digest.
        let long = "a".repeat(129);
        assert!(!Challenge(Sha256::digest(&long).into()).fits(&long));
        let short = "a".repeat(42);
        assert!(!Challenge(Sha256::digest(&short).into()).fits(&short));
    }

    #[test]
    fn there_is_one_method() {
        for (challenge, method) in [
            (None, None),
            (None, Some("S256")),
            (Some(CHALLENGE), None),
            (Some(CHALLENGE), Some("plain")),
            (Some(CHALLENGE), Some("s256")),
            (Some(VERIFIER), Some("plain")),
            (Some("short"), Some("S256")),
            (Some(format!("{CHALLENGE}=").as_str()), Some("S256")),
            (Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM"), Some("S256")),
        ] {
            let error = Challenge::read(challenge, method).unwrap_err();
            assert_eq!(error.error, "invalid_request", "{challenge:?} {method:?}");
        }
    }
}
