//! What is held of a configuration file to tell later whether it has changed.

use std::io;
use std::path::{Path, PathBuf};

use bartizan_config::Config;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::stamp::Stamp;

/// A configuration file, and what it held before it was read: whatever happened to it since then is a change, and each SIGHUP since
/// then a word to read it again.
#[derive(Debug)]
pub struct ConfigFile {
    pub(super) path: PathBuf,
    /// None if there was no file.
    pub(super) content: Option<Vec<u8>>,
    /// The files with policies that it names, and what is to be seen of them from outside.
    pub(super) policies: Vec<(PathBuf, Stamp)>,
    pub(super) hangups: Signal,
}

impl ConfigFile {
    /// That at `path`, which need not be there. From now on SIGHUP ends this process no more.
    ///
    /// # Errors
    /// If the system lets nobody receive signals.
    ///
    /// # Panics
    /// Outside of a runtime of tokio.
    pub fn at(path: PathBuf) -> io::Result<ConfigFile> {
        let hangups = signal(SignalKind::hangup())?;
        Ok(ConfigFile { content: content(&path), policies: policies_of(&path), path, hangups })
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
