//! The record of what is installed, beside it.

use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The name of the record.
const RECORD: &str = "installed.json";
/// Where in the directory of one installation that is which is seen.
pub(super) const TREE: &str = "tree";
/// What an installer keeps for the next time, which there is none.
pub(super) const CACHE: &str = "cache";

/// What is installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// In which directory beside the record.
    pub generation: u64,
    /// The packages, as they were asked for.
    pub packages: Vec<String>,
    /// The version of the first one, where it is known.
    pub version: Option<String>,
    /// The program, below what is installed.
    pub program: PathBuf,
    /// The digest of all of it.
    pub digest: String,
    /// How much it is.
    pub bytes: u64,
    /// Of how many files, directories and links.
    pub files: u64,
}

impl Held {
    /// The record in a directory; none if there is none.
    pub(super) fn read(directory: &Path) -> Result<Option<Held>, String> {
        let path = directory.join(RECORD);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| format!("{} is no record: {error}", path.display()))
    }

    /// Puts it in the place of the one that was there.
    pub(super) fn write(&self, directory: &Path) -> io::Result<()> {
        let (path, new) = (directory.join(RECORD), directory.join(format!("{RECORD}.new")));
        let file = std::fs::File::options().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
        serde_json::to_writer_pretty(&file, self)?;
        file.sync_all()?;
        std::fs::rename(new, path)
    }

    /// Where what it is about is.
    pub(super) fn tree(&self, directory: &Path) -> PathBuf {
        directory.join(self.generation.to_string()).join(TREE)
    }
}

/// The number of the next installation, which no other has had.
pub(super) fn next(directory: &Path) -> io::Result<u64> {
    Ok(numbers(directory)?.max().unwrap_or(0).saturating_add(1))
}

/// Removes all installations but the one that counts now, and the one that did before: a running server may still see it.
pub(super) fn sweep(directory: &Path, now: u64, before: Option<u64>) {
    let Ok(numbers) = numbers(directory) else { return };
    for number in numbers.filter(|number| *number != now && Some(*number) != before).collect::<Vec<_>>() {
        super::tree::remove(&directory.join(number.to_string())).ok();
    }
}

fn numbers(directory: &Path) -> io::Result<impl Iterator<Item = u64>> {
    let entries = std::fs::read_dir(directory)?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_is_read_and_old_installations_go() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!((Held::read(root.path()), next(root.path()).unwrap()), (Ok(None), 1));
        for number in ["1", "2", "3"] {
            std::fs::create_dir_all(root.path().join(number).join(TREE)).unwrap();
        }
        let held = Held {
            generation: 3,
            packages: vec!["a".into()],
            version: None,
            program: "bin/a".into(),
            digest: "d".into(),
            bytes: 1,
            files: 1,
        };
        held.write(root.path()).unwrap();
        assert_eq!(Held::read(root.path()), Ok(Some(held.clone())));
        assert_eq!(next(root.path()).unwrap(), 4);
        // The second one was broken off.
        sweep(root.path(), 3, Some(1));
        let left: Vec<_> = ["1", "2", "3"].map(|number| root.path().join(number).exists()).into();
        assert_eq!(left, [true, false, true]);
        std::fs::write(root.path().join(RECORD), "{}").unwrap();
        assert!(Held::read(root.path()).unwrap_err().contains("no record"));
    }
}
