//! Bytes that are no message, as far as they were kept: to be refused, and named in the log by their size and digest.

use std::ops::Deref;

use bytes::Bytes;

/// What is refused, as far as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    bytes: Bytes,
    /// How long it is.
    pub(crate) size: u64,
    /// Whether that is all of it, or there was more to come.
    pub(crate) ended: bool,
}

impl Unread {
    /// Whether only its beginning was kept.
    pub(crate) fn is_cut(&self) -> bool {
        self.size > self.bytes.len() as u64 || !self.ended
    }

    /// The same with its end found after so many bytes more.
    pub(crate) fn ending(self, more: u64) -> Unread {
        Unread { size: self.size + more, ended: true, ..self }
    }

    /// The beginning of a line that goes on.
    pub(crate) fn beginning(bytes: &Bytes, limit: usize) -> Unread {
        // However the pieces came in which it was read: the digest of equal lines is the same.
        Unread { size: bytes.len() as u64, bytes: bytes.slice(..limit.min(bytes.len())), ended: false }
    }
}

impl From<Bytes> for Unread {
    fn from(bytes: Bytes) -> Unread {
        Unread { size: bytes.len() as u64, bytes, ended: true }
    }
}

impl Deref for Unread {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}
