//! Where confined servers were ever let write, whichever Bartizan of this user started them.
//!
//! Threat: a server that `bartizan run` wraps leaves a link in a directory that it may write to, and another one, which is
//! started later or by another process, is given what that leads to. The configuration knows nothing of either.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// A line of JSON for each directory, in the directory of Bartizan's own.
const FILE: &str = "writable.jsonl";
/// Bytes that are read of it.
const LARGEST: u64 = 4 << 20;

fn place() -> Option<PathBuf> {
    // What tests of this crate have confined is none of the user's business.
    if cfg!(test) {
        return None;
    }
    bartizan_config::bartizan_home(|name| std::env::var(name).ok()).map(|home| home.join(FILE))
}

/// All of them.
///
/// # Errors
/// If they cannot be read.
pub(crate) fn known() -> io::Result<Vec<PathBuf>> {
    place().map_or(Ok(Vec::new()), |place| read(&place))
}

/// Adds these, before anything starts that may write there.
///
/// # Errors
/// If they cannot be kept.
pub(crate) fn remember(directories: &[PathBuf]) -> io::Result<()> {
    place().map_or(Ok(()), |place| add(&place, directories))
}

fn read(place: &Path) -> io::Result<Vec<PathBuf>> {
    let failed = |why: String| io::Error::other(format!("{}: {why}", place.display()));
    let file = match std::fs::File::open(place) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error.to_string())),
    };
    let mut text = String::new();
    file.take(LARGEST + 1).read_to_string(&mut text).map_err(|error| failed(error.to_string()))?;
    if text.len() as u64 > LARGEST {
        return Err(failed(
            "it names more directories than are kept; remove the lines of those that are gone".to_owned(),
        ));
    }
    // A line that was cut off is of something that never started.
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

fn add(place: &Path, directories: &[PathBuf]) -> io::Result<()> {
    let known = read(place)?;
    let mut lines = String::new();
    for directory in directories.iter().filter(|directory| !known.contains(directory)) {
        // What stands before is not added to, even if it was cut off.
        lines.extend(["\n", &serde_json::to_string(directory)?, "\n"]);
    }
    if lines.is_empty() {
        return Ok(());
    }
    if let Some(home) = place.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(home)?;
    }
    let mut file = std::fs::File::options().append(true).create(true).mode(0o600).open(place)?;
    file.write_all(lines.as_bytes())?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_once_stays_known() {
        let home = tempfile::tempdir().unwrap();
        let place = home.path().join("state").join(FILE);
        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(read(&place).unwrap(), paths(&[]));
        add(&place, &paths(&["/a", "/b\n\"c"])).unwrap();
        add(&place, &paths(&["/a", "/d"])).unwrap();
        assert_eq!(read(&place).unwrap(), paths(&["/a", "/b\n\"c", "/d"]));
        let size = std::fs::metadata(&place).unwrap().len();
        add(&place, &paths(&["/d", "/a"])).unwrap();
        assert_eq!(std::fs::metadata(&place).unwrap().len(), size, "what is known is not written again");
        // Cut off at any byte, nothing but the last one is lost, and the next one is kept.
        let whole = std::fs::read(&place).unwrap();
        for cut in (whole.len() - 5)..whole.len() {
            std::fs::write(&place, whole.get(..cut).unwrap()).unwrap();
            add(&place, &paths(&["/e"])).unwrap();
            let found = read(&place).unwrap();
            assert!(found.starts_with(&paths(&["/a", "/b\n\"c"])) && found.ends_with(&paths(&["/e"])), "{found:?}");
        }
        std::fs::write(&place, vec![b'\n'; usize::try_from(LARGEST).unwrap() + 1]).unwrap();
        assert!(read(&place).unwrap_err().to_string().contains("remove the lines"));
    }
}
