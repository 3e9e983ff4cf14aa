//! The form of what is sealed: AES-256-GCM behind a header that says with which key.
//!
//! ```text
//! version (1) | id of the key (8) | nonce (12) | ciphertext | tag (16)
//! ```
//!
//! The header is authenticated, and so is what the content is for and whose it is, which stand nowhere in it: content that
//! is moved to another row or taken for another purpose does not open.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{SHA256, digest};
use thiserror::Error;
use zeroize::Zeroizing;

/// What is sealed in another way than this will begin with another number.
const VERSION: u8 = 1;
const ID: usize = 8;
const HEADER: usize = 1 + ID;

/// Why something does not open, or cannot be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unopened {
    /// It was changed, or sealed for another purpose or owner.
    #[error("it was changed, or sealed for something else")]
    Broken,
    /// It is not what sealing makes.
    #[error("it is nothing that was sealed")]
    Form,
    /// A later version sealed it.
    #[error("a later version of Bartizan sealed it")]
    Newer,
    /// Cryptography itself failed.
    #[error("it cannot be sealed")]
    Failed,
}

/// What a key is called.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(pub [u8; ID]);

impl KeyId {
    /// A name for a key that is nowhere beside its name: the same key of that `kind` has the same one.
    #[must_use]
    pub fn of(kind: &str, key: &[u8; 32]) -> KeyId {
        let named = digest(&SHA256, &[b"bartizan ", kind.as_bytes(), b"\0", key.as_slice()].concat());
        let mut id = [0; ID];
        id.iter_mut().zip(named.as_ref()).for_each(|(to, from)| *to = *from);
        KeyId(id)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A key that seals.
pub struct Key {
    id: KeyId,
    key: RandomizedNonceKey,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Key {
    /// The key of these bytes, under that name.
    ///
    /// # Errors
    /// If cryptography fails.
    pub fn new(id: KeyId, bytes: &[u8; 32]) -> Result<Key, Unopened> {
        Ok(Key { id, key: RandomizedNonceKey::new(&AES_256_GCM, bytes).map_err(|_| Unopened::Failed)? })
    }

    /// What it is called.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Seals `plain`, so that it opens for the same purpose and owner only. Its nonces are random: of one key fewer than 2^32 may be
    /// drawn, which nothing comes near that seals keys and small secrets.
    ///
    /// # Errors
    /// If cryptography fails.
    pub fn seal(&self, purpose: &str, owner: &str, plain: &[u8]) -> Result<Vec<u8>, Unopened> {
        let mut content = Zeroizing::new(Vec::with_capacity(plain.len() + AES_256_GCM.tag_len()));
        content.extend_from_slice(plain);
        let aad = Aad::from(context(self.id, purpose, owner));
        let nonce = self.key.seal_in_place_append_tag(aad, &mut *content).map_err(|_| Unopened::Failed)?;
        Ok([&[VERSION], self.id.0.as_slice(), nonce.as_ref(), content.as_slice()].concat())
    }

    /// Opens what it sealed for this purpose and owner.
    ///
    /// # Errors
    /// If it was sealed for another or with another key, or was changed.
    pub fn unseal(&self, purpose: &str, owner: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        let (nonce, content) =
            sealed.get(HEADER..).and_then(|rest| rest.split_at_checked(NONCE_LEN)).ok_or(Unopened::Form)?;
        if id_of(sealed)? != self.id {
            return Err(Unopened::Form);
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Unopened::Form)?;
        let mut content = Zeroizing::new(content.to_vec());
        let aad = Aad::from(context(self.id, purpose, owner));
        let opened = self.key.open_in_place(nonce, aad, &mut content).map_err(|_| Unopened::Broken)?.len();
        content.truncate(opened);
        Ok(content)
    }
}

/// With which key something was sealed.
///
/// # Errors
/// If it is nothing that this version sealed.
pub fn id_of(sealed: &[u8]) -> Result<KeyId, Unopened> {
    match sealed.split_first() {
        Some((&VERSION, rest)) => rest.first_chunk().map(|id| KeyId(*id)).ok_or(Unopened::Form),
        Some(_) => Err(Unopened::Newer),
        None => Err(Unopened::Form),
    }
}

/// What is authenticated beside the content. The length in the middle keeps one purpose and owner from reading like another.
fn context(id: KeyId, purpose: &str, owner: &str) -> Vec<u8> {
    let length = u64::try_from(purpose.len()).unwrap_or(u64::MAX).to_be_bytes();
    [&[VERSION], id.0.as_slice(), length.as_slice(), purpose.as_bytes(), owner.as_bytes()].concat()
}
