//! What can go wrong with a lock file.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// What can go wrong with a lock file. None of it may be taken for an empty one.
#[derive(Debug, Error)]
pub enum LockError {
    /// It cannot be read or written.
    #[error("cannot {action} {}: {error}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        error: io::Error,
    },
    /// It is not what this program writes.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// What is wrong there.
        message: String,
    },
    /// A later program wrote it.
    #[error("{} has version {version}, and this program knows version {known} at most", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: i64,
        /// The latest version known.
        known: i64,
    },
    /// A definition came with something else in the place of a digest.
    #[error("`{0}` is no SHA-256 in 64 hexadecimal digits")]
    NoDigest(String),
    /// More would have to be kept than one server may bring.
    #[error("server `{server}` has more than {limit} definitions")]
    TooMany {
        /// The server.
        server: String,
        /// The limit.
        limit: usize,
    },
    /// One server would take more of a file that is read as a whole and serves all servers.
    #[error("what is kept of server `{server}` takes more than {limit} bytes")]
    TooLarge {
        /// The server.
        server: String,
        /// The limit.
        limit: usize,
    },
}
