//! The key of one file: AES-256-GCM, with the number of the record as the nonce.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

/// Bytes of a key.
pub(crate) const KEY: usize = 32;
/// By how many bytes sealing makes longer.
pub(crate) const TAG: usize = 16;

/// Cryptography itself failed, or what was sealed does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broken;

/// What seals and opens the records of one file. Each key is of one file, whose records have each its own number, so no
/// nonce is used twice.
pub(crate) struct FileKey(LessSafeKey);

impl FileKey {
    pub(crate) fn new(bytes: &[u8; KEY]) -> Result<FileKey, Broken> {
        UnboundKey::new(&AES_256_GCM, bytes).map(|key| FileKey(LessSafeKey::new(key))).map_err(|_| Broken)
    }

    /// Seals what stands in `content` in place, as the record with that number of the file that `head` is the digest of.
    pub(crate) fn seal(&self, head: &[u8; 32], number: u64, content: &mut Vec<u8>) -> Result<(), Broken> {
        self.0.seal_in_place_append_tag(nonce(number), aad(head, number), content).map_err(|_| Broken)
    }

    /// Opens what was sealed so, in place.
    pub(crate) fn open(&self, head: &[u8; 32], number: u64, sealed: &mut Zeroizing<Vec<u8>>) -> Result<(), Broken> {
        let opened = self.0.open_in_place(nonce(number), aad(head, number), sealed.as_mut_slice());
        let length = opened.map_err(|_| Broken)?.len();
        sealed.truncate(length);
        Ok(())
    }
}

/// Bytes that nobody knows.
pub(crate) fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, Broken> {
    let mut bytes = Zeroizing::new([0; N]);
    aws_lc_rs::rand::fill(bytes.as_mut_slice()).map_err(|_| Broken)?;
    Ok(bytes)
}

fn nonce(number: u64) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes.iter_mut().rev().zip(number.to_be_bytes().iter().rev()).for_each(|(to, from)| *to = *from);
    Nonce::assume_unique_for_key(bytes)
}

fn aad(head: &[u8; 32], number: u64) -> Aad<[u8; 40]> {
    let mut bytes = [0; 40];
    bytes.iter_mut().zip(head.iter().chain(&number.to_be_bytes())).for_each(|(to, from)| *to = *from);
    Aad::from(bytes)
}
