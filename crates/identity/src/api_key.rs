//! The keys that Bartizan hands out.
//!
//! **Threat.** Keys end up in repositories, logs and chats. So one can be told from every other text by how it begins, and
//! from a typing error by its checksum, without asking anybody: `btz_ID_SECRETCHECK`, where the parts are digits and
//! letters of ASCII: 12 of the id, 43 of the secret (256 random bits), 6 of the checksum over all that stands before it. A
//! scanner's pattern is `btz_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}`. Of the secret only a digest is kept, so who reads the store
//! has no key.

use std::fmt;

use sha2::Digest as _;
use subtle::ConstantTimeEq;
use thiserror::Error;

const PREFIX: &str = "btz_";
const ID: usize = 12;
/// 62 ^ 43 is more than 2 ^ 256.
const SECRET: usize = 43;
const CHECK: usize = 6;
const LENGTH: usize = PREFIX.len() + ID + 1 + SECRET + CHECK;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What a key is called. It is no secret: lists and records show it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ApiKeyId([u8; ID]);

impl ApiKeyId {
    /// The id in a text that is one.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(text: &str) -> Result<ApiKeyId, NotAKey> {
        let id: [u8; ID] = text.as_bytes().try_into().map_err(|_| NotAKey)?;
        if id.iter().all(u8::is_ascii_alphanumeric) { Ok(ApiKeyId(id)) } else { Err(NotAKey) }
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // It holds nothing but ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for ApiKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ApiKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKeyId({self})")
    }
}

/// What is kept of a secret.
#[derive(Clone, Copy)]
pub struct Digest([u8; 32]);

impl Digest {
    /// As it was kept.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Digest {
        Digest(bytes)
    }

    /// Of a secret that has as many random bits as the digest, so that nobody guesses it however fast this is.
    pub(crate) fn of(secret: &[u8]) -> Digest {
        Digest(sha2::Sha256::digest(secret).into())
    }

    /// To be kept.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 32] {
        self.0
    }
}

/// In the same time wherever they differ.
impl PartialEq for Digest {
    fn eq(&self, other: &Digest) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Digest {}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest")
    }
}

/// A key. Nothing shows it but [`ApiKey::expose`].
pub struct ApiKey {
    text: String,
    id: ApiKeyId,
}

/// A text is no key of ours, or there is a mistake in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a key")]
pub struct NotAKey;

impl ApiKey {
    /// A new one. `fill` fills with random bytes that nobody can foresee.
    ///
    /// # Errors
    /// Whatever `fill` fails with.
    pub fn generate<E>(mut fill: impl FnMut(&mut [u8]) -> Result<(), E>) -> Result<ApiKey, E> {
        let mut text = String::with_capacity(LENGTH);
        text.push_str(PREFIX);
        push_random(&mut text, ID, &mut fill)?;
        text.push('_');
        push_random(&mut text, SECRET, &mut fill)?;
        let check = checksum(&text);
        text.extend(check.map(char::from));
        let id = text.get(PREFIX.len()..PREFIX.len() + ID).and_then(|id| ApiKeyId::parse(id).ok());
        Ok(ApiKey { text, id: id.unwrap_or(ApiKeyId([b'0'; ID])) })
    }

    /// Whether a text was meant as one, however wrong it may be.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    /// Reads a key that a client shows. Whether it is known is for its holder to find out.
    ///
    /// # Errors
    /// If it is none, or was not typed as it was handed out.
    pub fn parse(text: &str) -> Result<ApiKey, NotAKey> {
        let rest = text.strip_prefix(PREFIX).filter(|_| text.len() == LENGTH).ok_or(NotAKey)?;
        let (id, secret) = rest.split_once('_').ok_or(NotAKey)?;
        let id = ApiKeyId::parse(id)?;
        if !secret.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(NotAKey);
        }
        let (checked, check) = text.split_at_checked(LENGTH - CHECK).ok_or(NotAKey)?;
        // The checksum is no secret: everybody can compute it.
        if checksum(checked) != check.as_bytes() {
            return Err(NotAKey);
        }
        Ok(ApiKey { text: text.to_owned(), id })
    }

    /// What it is called.
    #[must_use]
    pub fn id(&self) -> &ApiKeyId {
        &self.id
    }

    /// What is kept of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.text.as_bytes())
    }

    /// The key itself, for the one whom it is handed out to.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({})", self.id)
    }
}

/// Letters and digits, each as likely as every other.
pub(crate) fn push_random<E>(
    text: &mut String,
    count: usize,
    fill: &mut impl FnMut(&mut [u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut left = count;
    let mut bytes = [0; 64];
    while left > 0 {
        fill(&mut bytes)?;
        // Six bits are one of 64, of which two stand for nothing.
        let letters = bytes.iter().filter_map(|byte| ALPHABET.get(usize::from(byte & 0x3F)));
        for letter in letters.take(left) {
            text.push(char::from(*letter));
            left -= 1;
        }
    }
    Ok(())
}

/// CRC-32 in base 62, the most significant digit first.
pub(crate) fn checksum(text: &str) -> [u8; CHECK] {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut check = [b'0'; CHECK];
    for place in check.iter_mut().rev() {
        *place = ALPHABET.get((rest % 62) as usize).copied().unwrap_or(b'0');
        rest /= 62;
    }
    check
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(seed: u64) -> ApiKey {
        let mut state = seed;
        let fill = |bytes: &mut [u8]| {
            for byte in bytes {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                *byte = (state >> 56) as u8;
            }
            Ok::<(), ()>(())
        };
        ApiKey::generate(fill).unwrap()
    }

    #[test]
    fn a_key_looks_as_scanners_expect_it() {
        let text = "btz_AAAAAAAAAAAA_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg";
        let check = checksum(text);
        assert_eq!(check, *b"1Zqv71", "the format is fixed: {}", String::from_utf8_lossy(&check));
        let whole = format!("{text}{}", String::from_utf8_lossy(&check));
        assert_eq!(ApiKey::parse(&whole).unwrap().id().as_str(), "AAAAAAAAAAAA");
        assert_eq!(whole.len(), LENGTH);
    }

    #[test]
    fn nothing_shows_a_key_by_accident() {
        let key = key(1);
        let secret = key.expose().get(PREFIX.len() + ID + 1..).unwrap();
        for shown in [format!("{key:?}"), format!("{:?}", key.digest()), format!("{:?} {}", key.id(), key.id())] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }

    #[test]
    fn what_cannot_be_random_is_no_key() {
        assert!(ApiKey::generate(|_| Err("no entropy")).is_err());
    }

    proptest! {
        #[test]
        fn what_is_generated_is_read_alike(seed: u64) {
            let key = key(seed);
            let read = ApiKey::parse(key.expose()).unwrap();
            prop_assert_eq!(read.id(), key.id());
            prop_assert!(read.digest() == key.digest());
            prop_assert!(key.digest() != self::key(seed ^ 1).digest());
        }

        #[test]
        fn one_wrong_letter_is_noticed(seed: u64, at in 0..LENGTH, letter in "[ -~\u{e9}]") {
            let text = key(seed).expose().to_owned();
            let wrong: String = text.chars().enumerate().map(|(place, old)| if place == at { letter.clone() } else { old.to_string() }).collect();
            prop_assert!(wrong == text || ApiKey::parse(&wrong).is_err());
        }

        #[test]
        fn other_texts_are_none(text in ".{0,80}|btz_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}") {
            prop_assert!(ApiKey::parse(&text).is_err());
        }
    }
}
