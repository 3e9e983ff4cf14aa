//! Where a file is: for the log, and to be watched; and how one is opened that may be something else.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// Opens a regular file to be read. A pipe in its place would have whoever opens it wait for somebody who writes to it.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let wait = OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(wait).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a regular file")) }
}

/// A configuration file as the log names it: whoever reads that may be in another directory.
pub(crate) fn place_of(file: &Path) -> String {
    std::path::absolute(file).unwrap_or_else(|_| file.to_owned()).display().to_string()
}

/// The directory of a file, to be watched.
pub(crate) fn directory_of(file: &Path) -> PathBuf {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}
