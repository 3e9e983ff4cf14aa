//! Where the system notes nothing by the time that it is done, the files are looked at each time.

use std::io;
use std::path::Path;

/// Never hung.
#[derive(Debug)]
pub(crate) enum Bell {}

impl Bell {
    pub(crate) fn hang(_: &Path, _: &Path) -> io::Result<Bell> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn rang(&self) -> bool {
        match *self {}
    }

    pub(crate) fn silence(&self) -> io::Result<()> {
        match *self {}
    }
}
