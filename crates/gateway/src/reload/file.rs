//! What is held of a configuration file to tell later whether it has changed.

use std::path::{Path, PathBuf};

use bartizan_config::Config;

use crate::stamp::Stamp;

/// A configuration file, and what it held before it was read: whatever happened to it since then is a change.
#[derive(Debug)]
pub struct ConfigFile {
    pub(super) path: PathBuf,
    /// None if there was no file.
    pub(super) content: Option<Vec<u8>>,
    /// The files with policies that it names, and what is to be seen of them from outside.
    pub(super) policies: Vec<(PathBuf, Stamp)>,
}

impl ConfigFile {
    /// That at `path`, which need not be there.
    #[must_use]
    pub fn at(path: PathBuf) -> ConfigFile {
        ConfigFile { content: content(&path), policies: policies_of(&path), path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

pub(super) fn content(file: &Path) -> Option<Vec<u8>> {
    if file.is_file() { std::fs::read(file).ok() } else { None }
}

pub(super) fn policies_of(file: &Path) -> Vec<(PathBuf, Stamp)> {
    let stamped = |file: PathBuf| {
        let stamp = Stamp::of([&*file]);
        (file, stamp)
    };
    Config::named_policies(file).into_iter().map(stamped).collect()
}
