//! What can go wrong with the store.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::SealError;

/// Why something could not be read or kept.
#[derive(Debug, Error)]
pub enum StoreError {
    /// A file cannot be made, opened or read.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Others than its owner can read or replace a file.
    #[error("{}: others than its owner may use it; chmod go= {}", .0.display(), .0.display())]
    Exposed(PathBuf),
    /// There is a second name for it, and each would have a number of its own that says whether it changed.
    #[error("{}: the file has a second name (a hard link); a copy has to be made with its own", .0.display())]
    Linked(PathBuf),
    /// This user, or this file system, lets nobody write to it, and even a look at it writes.
    #[error(
        "{}: the store cannot be opened for writing, which even a look at it needs ({why}); the file and its directory have to \
         belong to this user, on a disk that is not mounted read-only",
        path.display()
    )]
    Unwritable {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        why: String,
    },
    /// Somebody else is writing to it for too long.
    #[error("{}: somebody else has been writing for too long; which process holds it, `fuser` says", .0.display())]
    Busy(PathBuf),
    /// It was written by a later version of Bartizan.
    #[error("{}: written by a later version (schema {found}, this one knows {known})", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The latest schema that this version knows.
        known: i64,
    },
    /// The database does not do what it is asked to.
    #[error("the store cannot be used: {0}")]
    Database(#[from] sqlx::Error),
    /// What is sealed cannot be opened, or nothing sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// There is none of that name.
    #[error("there is no {what} `{name}`")]
    Unknown {
        /// What was looked for.
        what: &'static str,
        /// Under which name.
        name: String,
    },
    /// A tenant has as many pseudonyms as it may have.
    #[error(
        "there are {most} pseudonyms of this tenant, and no more are kept; what is not used any more goes by itself in time"
    )]
    Full {
        /// So many may be.
        most: i64,
    },
    /// Who brings them has brought as many pseudonyms as one may.
    #[error(
        "`{by}` has brought {most} pseudonyms of this tenant, and no more of it are kept; what is not used any more goes by itself in time"
    )]
    SourceFull {
        /// Who that is.
        by: String,
        /// So many may be.
        most: i64,
    },
    /// What somebody has shown was taken from them meanwhile.
    #[error("what was shown is not good any more")]
    Stale,
    /// It is not in a state in which this makes sense.
    #[error("{0}")]
    State(String),
}

impl StoreError {
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> StoreError {
        let path = path.into();
        move |error| StoreError::File { path, error }
    }

    /// The same, with the path if it is about the file as a whole.
    pub(crate) fn at(self, path: &Path) -> StoreError {
        /// `SQLITE_READONLY` and `SQLITE_CANTOPEN`; what is above the lowest byte says more precisely why.
        const UNWRITABLE: [i32; 2] = [8, 14];
        let StoreError::Database(sqlx::Error::Database(error)) = &self else { return self };
        let code = error.code().and_then(|code| code.parse::<i32>().ok());
        match code.is_some_and(|code| UNWRITABLE.contains(&(code & 0xFF))) {
            true => StoreError::Unwritable { path: path.to_owned(), why: error.message().to_owned() },
            false => self,
        }
    }
}

/// The result of what uses the store.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;
