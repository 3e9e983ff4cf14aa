//! Keys for each tenant and purpose, derived from one.

use std::fmt;

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use crate::{Namer, Preserving, Unfit};

/// What a derived key is for. One is never used for two things.
pub(crate) enum Use {
    Id,
    Check,
    Preserve,
}

impl Use {
    fn label(self) -> &'static [u8] {
        match self {
            Use::Id => b"bartizan pseudonym id 1",
            Use::Check => b"bartizan pseudonym check 1",
            Use::Preserve => b"bartizan pseudonym ff1 1",
        }
    }
}

/// The key that all others are derived from. It never shows itself.
pub struct Root(hmac::Key);

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Root")
    }
}

impl Root {
    /// With 256 bits that nobody can foresee.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Root {
        Root(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// What makes names of one tenant for one purpose.
    #[must_use]
    pub fn namer(&self, tenant: &str, purpose: &str) -> Namer {
        let key = |of| hmac::Key::new(hmac::HMAC_SHA256, self.derive(of, tenant, purpose).as_slice());
        // Without it there are names only.
        Namer::new(key(Use::Id), key(Use::Check), self.preserving(tenant, purpose).ok())
    }

    /// What encrypts numbers of one tenant for one purpose.
    ///
    /// # Errors
    /// If the cryptography itself fails.
    pub fn preserving(&self, tenant: &str, purpose: &str) -> Result<Preserving, Unfit> {
        Preserving::new(&self.derive(Use::Preserve, tenant, purpose), tenant, purpose)
    }

    fn derive(&self, of: Use, tenant: &str, purpose: &str) -> Zeroizing<[u8; 32]> {
        let text = framed(&[of.label(), tenant.as_bytes(), purpose.as_bytes()]);
        let mut key = Zeroizing::new([0; 32]);
        let tag = hmac::sign(&self.0, &text);
        key.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
        key
    }
}

/// The parts, each behind its length, so that no other parts read like them.
pub(crate) fn framed(parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| 8 + part.len()).sum()));
    for part in parts {
        text.extend_from_slice(&(part.len() as u64).to_be_bytes());
        text.extend_from_slice(part);
    }
    text
}
