//! A file under its name, and whether it is still that one.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file that was found under a name.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    path: PathBuf,
    file: (u64, u64),
}

impl Place {
    /// The file under that name now.
    pub(crate) fn of(path: &Path) -> io::Result<Place> {
        Ok(Place { file: identity(&fs::symlink_metadata(path)?), path: path.to_owned() })
    }

    /// Its name.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the name still leads to it: what was removed, moved or replaced is another one than others use.
    pub(crate) fn is_there(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|meta| identity(&meta) == self.file)
    }
}

fn identity(meta: &Metadata) -> (u64, u64) {
    (meta.dev(), meta.ino())
}
