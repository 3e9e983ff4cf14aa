//! Content that only a key opens, and files that hold such keys.
//!
//! [`Key`] seals a small content for a purpose and an owner (AES-256-GCM), and says in what it makes which key opens it. A
//! [`KeyFile`] is a file with one key in each line, for its owner only: the first is the one in use, and what follows opens what was
//! sealed before. What is sealed, and when a key is made or changed, is nothing to this crate.

mod envelope;
mod file;

pub use envelope::{Key, KeyId, Unopened, id_of};
pub use file::{KeyFile, KeyFileError, Named, random};
