//! Passwords of people who sign in: how they are kept, and whether one is right.
//!
//! **Threat.** Somebody gets hold of the store and tries passwords as fast as their machines can. So what is kept is an
//! Argon2id digest with a salt of its own, which takes memory and time to compute (RFC 9106). The parameters are the second
//! that OWASP's Password Storage Cheat Sheet recommends: it takes 19 MiB, so a gateway that checks a few at a time stays small.

use std::sync::LazyLock;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use thiserror::Error;

/// The fewest characters of a password.
pub const SHORTEST: usize = 12;
/// The most bytes of one: longer texts would only keep us busy.
pub const LONGEST: usize = 1024;

/// Memory in KiB, passes and lanes.
const MEMORY: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// What is verified for those who have no password, so that it takes as long as for those who have one.
static NOBODY: LazyLock<Option<String>> = LazyLock::new(|| hash("", &[0; 16]).ok());

/// Why a text does not do as a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unfit {
    /// It has too few characters.
    #[error("a password has at least {SHORTEST} characters")]
    Short,
    /// It has too many bytes.
    #[error("a password has at most {LONGEST} bytes")]
    Long,
    /// It is the name of whose it is, or one character again and again.
    #[error("that password is too easy to guess")]
    Simple,
}

/// A password could not be hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the password cannot be hashed")]
pub struct NotHashed;

/// Whether a text does as the password of this person.
///
/// # Errors
/// Why it does not.
pub fn check_fit(password: &str, name: &str) -> Result<(), Unfit> {
    if password.len() > LONGEST {
        return Err(Unfit::Long);
    }
    if password.chars().count() < SHORTEST {
        return Err(Unfit::Short);
    }
    let first = password.chars().next();
    if password.chars().all(|c| Some(c) == first) || password.eq_ignore_ascii_case(name) {
        return Err(Unfit::Simple);
    }
    Ok(())
}

/// What is kept of a password: its digest with all that is needed to verify it, as a text. `salt` is random.
///
/// # Errors
/// If it cannot be computed.
pub fn hash(password: &str, salt: &[u8; 16]) -> Result<String, NotHashed> {
    let hashed: PasswordHash = argon2()?.hash_password_with_salt(password.as_bytes(), salt).map_err(|_| NotHashed)?;
    Ok(hashed.to_string())
}

/// Whether `password` is the one of which `kept` is kept. With nothing kept it is not, and that takes as long.
#[must_use]
pub fn verify(password: &str, kept: Option<&str>) -> bool {
    let Some(against) = kept.or(NOBODY.as_deref()) else { return false };
    let right = PasswordHash::new(against)
        .is_ok_and(|parsed| Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok());
    right && kept.is_some() && password.len() <= LONGEST
}

/// Whether what is kept is as it would be kept today.
#[must_use]
pub fn is_current(kept: &str) -> bool {
    let parsed = PasswordHash::new(kept).ok().filter(|parsed| parsed.algorithm.as_str() == "argon2id");
    let params = parsed.and_then(|parsed| Params::try_from(&parsed).ok());
    params.is_some_and(|params| (params.m_cost(), params.t_cost(), params.p_cost()) == (MEMORY, PASSES, LANES))
}

fn argon2() -> Result<Argon2<'static>, NotHashed> {
    let params = Params::new(MEMORY, PASSES, LANES, None).map_err(|_| NotHashed)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_password_is_right_and_no_other() {
        let kept = hash("correct horse battery", &[7; 16]).unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert!(!kept.contains("correct"));
        assert!(verify("correct horse battery", Some(&kept)));
        for wrong in ["correct horse batterY", "correct horse battery ", "", "correct"] {
            assert!(!verify(wrong, Some(&kept)), "{wrong}");
        }
        assert_ne!(kept, hash("correct horse battery", &[8; 16]).unwrap(), "the salt counts");
    }

    #[test]
    fn who_has_no_password_has_no_right_one() {
        // What is verified in its stead takes as long as any, and is no way in either.
        assert!(is_current(NOBODY.as_deref().unwrap()));
        for text in ["", "correct horse battery"] {
            assert!(!verify(text, None), "{text}");
        }
        for broken in ["", "$argon2id$", "plain", "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ"] {
            assert!(!verify("", Some(broken)), "{broken}");
            assert!(!is_current(broken), "{broken}");
        }
    }

    #[test]
    fn what_was_kept_with_other_parameters_is_right_and_not_current() {
        let params = Params::new(8 * 1024, 1, 1, None).unwrap();
        let old = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let old: PasswordHash = old.hash_password_with_salt(b"correct horse battery", &[1; 16]).unwrap();
        let old = old.to_string();
        assert!(verify("correct horse battery", Some(&old)));
        assert!(!is_current(&old));
        assert!(is_current(&hash("x", &[1; 16]).unwrap()));
    }

    #[test]
    fn a_password_has_a_length() {
        for (text, expected) in [
            ("correct horse", Ok(())),
            ("täglich grüßt", Ok(())),
            ("elevenchars", Err(Unfit::Short)),
            ("", Err(Unfit::Short)),
            ("aaaaaaaaaaaaaaaa", Err(Unfit::Simple)),
            ("Ann.Example.Longname", Err(Unfit::Simple)),
            (&"ab".repeat(513), Err(Unfit::Long)),
        ] {
            assert_eq!(check_fit(text, "ann.example.longname"), expected, "{text}");
        }
    }
}
