//! Codes and refresh tokens: random texts of which only a digest is kept.

use std::fmt;

use crate::api_key::{checksum, push_random};
use crate::{Digest, NotAKey};

/// 62 ^ 43 is more than 2 ^ 256.
const RANDOM: usize = 43;
const CHECK: usize = 6;

/// What a secret is for; it can be seen by how it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretKind {
    /// What a browser brings to a client, for one use.
    Code,
    /// What a client gets new access tokens with.
    Refresh,
}

impl SecretKind {
    fn prefix(self) -> &'static str {
        match self {
            SecretKind::Code => "btc_",
            SecretKind::Refresh => "btr_",
        }
    }
}

/// A code or a refresh token. Nothing shows it but [`Secret::expose`].
pub struct Secret(String);

impl Secret {
    /// A new one. `fill` fills with random bytes that nobody can foresee.
    ///
    /// # Errors
    /// Whatever `fill` fails with.
    pub fn generate<E>(kind: SecretKind, mut fill: impl FnMut(&mut [u8]) -> Result<(), E>) -> Result<Secret, E> {
        let mut text = kind.prefix().to_owned();
        push_random(&mut text, RANDOM, &mut fill)?;
        let check = checksum(&text);
        text.extend(check.map(char::from));
        Ok(Secret(text))
    }

    /// Reads one that somebody shows.
    ///
    /// # Errors
    /// If it is none of that kind.
    pub fn parse(kind: SecretKind, text: &str) -> Result<Secret, NotAKey> {
        let prefix = kind.prefix();
        let (checked, check) = text.split_at_checked(prefix.len() + RANDOM).ok_or(NotAKey)?;
        let random = checked.strip_prefix(prefix).ok_or(NotAKey)?;
        // The checksum is no secret: it tells a typing error from a guess without asking the store.
        if check.len() != CHECK || checksum(checked) != check.as_bytes() {
            return Err(NotAKey);
        }
        let plain = random.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if plain { Ok(Secret(text.to_owned())) } else { Err(NotAKey) }
    }

    /// What is kept of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }

    /// The secret itself, for the one whom it is for.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(kind: SecretKind, byte: u8) -> Secret {
        Secret::generate(kind, |bytes| {
            bytes.iter_mut().zip(byte..).for_each(|(place, byte)| *place = byte);
            Ok::<_, ()>(())
        })
        .unwrap()
    }

    #[test]
    fn each_kind_is_read_as_itself() {
        for (kind, other, begins) in
            [(SecretKind::Code, SecretKind::Refresh, "btc_"), (SecretKind::Refresh, SecretKind::Code, "btr_")]
        {
            let made = secret(kind, 1);
            assert!(made.expose().starts_with(begins) && made.expose().len() == 53, "{}", made.expose());
            assert!(Secret::parse(kind, made.expose()).unwrap().digest() == made.digest());
            assert!(Secret::parse(other, made.expose()).is_err());
            assert!(made.digest() != secret(kind, 2).digest());
            assert!(!format!("{made:?}").contains(begins));
            let wrong = made.expose().replace(begins, "btz_");
            assert!(Secret::parse(kind, &wrong).is_err());
            assert!(Secret::parse(kind, made.expose().get(..52).unwrap()).is_err());
        }
    }
}
