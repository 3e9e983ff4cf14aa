//! The form of a file.
//!
//! ```text
//! head    mark | id (16) | created (8) | length (2) | wrapped key
//! record  length (4) | sealed: kind (1), content | tag (16)
//! ```
//!
//! Numbers are big-endian. The head is authenticated with every record, as the digest of all its bytes.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};

use crate::key::TAG;

/// How a file begins; another form will begin otherwise.
pub(crate) const MARK: &[u8; 19] = b"bartizan-capture-1\n";
/// The same of any version.
pub(crate) const ANY_MARK: &[u8; 17] = b"bartizan-capture-";
/// Bytes of a sealed record at most, so that a wrong length has nobody take much memory.
pub(crate) const LONGEST: usize = 256 << 20;
/// Bytes before the content of a sealed record.
pub(crate) const BEFORE: usize = 4;
/// What sealing adds to content in a file.
pub(crate) const OVERHEAD: usize = BEFORE + 1 + TAG;

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Something that was to be recorded.
    Content = 1,
    /// How many could not be, before what follows.
    Gap = 2,
    /// The file was closed, so nothing is missing behind it.
    End = 3,
}

impl Kind {
    pub(crate) fn of(byte: u8) -> Option<Kind> {
        [Kind::Content, Kind::Gap, Kind::End].into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// What a file is called, whatever name it has. Its key is wrapped for exactly this one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId(pub(crate) [u8; 16]);

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The head of a file; none if the wrapped key is longer than any.
pub(crate) fn head(id: FileId, created: i64, wrapped: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(wrapped.len()).ok()?.to_be_bytes();
    Some([MARK.as_slice(), &id.0, &created.to_be_bytes(), &length, wrapped].concat())
}

pub(crate) fn digest_of(head: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(digest(&SHA256, head).as_ref()).for_each(|(to, from)| *to = *from);
    bytes
}
