//! Whether files have changed, without reading them.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What can be told of some files from outside. Links are followed, so one that leads elsewhere now is a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp(Vec<Option<[i128; 5]>>);

impl Stamp {
    pub(crate) fn of<'a>(files: impl IntoIterator<Item = &'a Path>) -> Stamp {
        let one = |file| {
            let meta = std::fs::metadata(file).ok()?;
            Some([
                meta.dev().into(),
                meta.ino().into(),
                meta.len().into(),
                meta.ctime().into(),
                meta.ctime_nsec().into(),
            ])
        };
        Stamp(files.into_iter().map(one).collect())
    }
}

/// Files that were read, and how they have looked since.
#[derive(Debug)]
pub(crate) struct Watched<T> {
    pub(crate) settings: T,
    /// As they were read, or found wrong.
    read: Stamp,
    /// As they were at the last look.
    last: Stamp,
    /// Whether they are such that they could not be put in force.
    pub(crate) wrong: bool,
}

impl<T> Watched<T> {
    pub(crate) fn new(settings: T, read: Stamp) -> Self {
        Watched { settings, last: read.clone(), read, wrong: false }
    }

    /// Whether they are others than were read, and the same as at the look before: a certificate and its key are written one
    /// after the other. That is said once of each change.
    pub(crate) fn has_settled(&mut self, now: Stamp) -> bool {
        let settled = now == self.last && now != self.read;
        if settled {
            self.read = now.clone();
        }
        self.last = now;
        settled
    }
}
