//! Where a file is: for the log, and to be watched.

use std::path::{Path, PathBuf};

/// A configuration file as the log names it: whoever reads that may be in another directory.
pub(crate) fn place_of(file: &Path) -> String {
    std::path::absolute(file).unwrap_or_else(|_| file.to_owned()).display().to_string()
}

/// The directory of a file, to be watched.
pub(crate) fn directory_of(file: &Path) -> PathBuf {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}
