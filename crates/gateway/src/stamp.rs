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

    /// Whether all of them are there.
    pub(crate) fn is_whole(&self) -> bool {
        self.0.iter().all(Option::is_some)
    }
}
