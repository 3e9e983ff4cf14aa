//! Where things are kept unless the configuration says otherwise.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

/// The directory for Bartizan's own state: `$BARTIZAN_HOME`, else `$XDG_STATE_HOME/bartizan`, else
/// `~/.local/state/bartizan`. A relative path counts as not set. None if nothing says where the user's home is.
#[must_use]
pub fn bartizan_home(variable: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let directory = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    directory("BARTIZAN_HOME")
        .or_else(|| directory("XDG_STATE_HOME").map(|state| state.join("bartizan")))
        .or_else(|| directory("HOME").map(|home| home.join(".local/state/bartizan")))
}

/// Where the user's own configuration file is, or would be: `bartizan/bartizan.toml` in `$XDG_CONFIG_HOME`, else in
/// `~/.config`. A relative path counts as not set. None if nothing says where the user's home is.
#[must_use]
pub fn user_config_place(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let directory = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let directory = directory("XDG_CONFIG_HOME").or_else(|| directory("HOME").map(|home| home.join(".config")));
    directory.map(|directory| directory.join("bartizan/bartizan.toml"))
}

/// Whether a word of a command is meant as a path: what else it may be, such as a command or the name of a package, might be
/// the name of a directory too, in a place that somebody else filled.
#[must_use]
pub fn is_path(word: &Path) -> bool {
    matches!(word.components().next(), Some(Component::RootDir | Component::CurDir | Component::ParentDir))
}

/// The name of a lock file, unless the configuration says otherwise.
const LOCK: &str = "mcp.lock";

/// The lock file in `directory`.
pub(crate) fn lock_in(directory: &Path) -> PathBuf {
    directory.join(LOCK)
}

/// The lock file of a user whose configuration names none: the one in `home`, unless the only one that is there is
/// beside the configuration, in one of `beside`. With it, the others that are there: which one holds what was approved,
/// nobody can tell then.
///
/// It does not depend on whether there is a configuration. To write the first one, or to remove it, must not put an empty
/// lock file in force, by which whatever a server lists next would be approved.
pub(crate) fn lock_of_user<'a>(home: &Path, beside: impl Iterator<Item = &'a Path>) -> (PathBuf, Vec<PathBuf>) {
    let default = lock_in(home);
    let mut there: Vec<(PathBuf, PathBuf)> = Vec::new();
    for place in std::iter::once(default.clone()).chain(beside.map(lock_in)).filter(|place| may_exist(place)) {
        let file = place.canonicalize().unwrap_or_else(|_| place.clone());
        if there.iter().all(|(_, other)| *other != file) {
            there.push((place, file));
        }
    }
    let mut there = there.into_iter().map(|(place, _)| place);
    (there.next().unwrap_or(default), there.collect())
}

/// What cannot be looked at may well be there.
fn may_exist(path: &Path) -> bool {
    let nothing = |kind| matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory);
    std::fs::symlink_metadata(path).map_or_else(|error| !nothing(error.kind()), |_| true)
}

/// Whether both paths lead to one file.
pub(crate) fn is_same_file(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// The path without `.` and `..`, as it would be without links.
#[must_use]
pub fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

/// The path as seen from `directory`, without `.` in front.
pub(crate) fn beside(directory: &Path, path: &Path) -> PathBuf {
    directory.join(path.strip_prefix(".").unwrap_or(path))
}

/// The text of a file that the configuration names, of at most so many bytes.
///
/// # Errors
/// Why it cannot be read, in words.
pub(crate) fn text(path: &Path, most: u64) -> Result<String, String> {
    let meta = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !meta.is_file() || meta.len() > most {
        return Err(format!("not a regular file of at most {most} bytes"));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_absolute_directory_wins() {
        for (set, expected) in [
            (&[("BARTIZAN_HOME", "/b"), ("HOME", "/h")][..], Some("/b")),
            (&[("XDG_STATE_HOME", "/x"), ("HOME", "/h")], Some("/x/bartizan")),
            (&[("HOME", "/h"), ("XDG_STATE_HOME", "x")], Some("/h/.local/state/bartizan")),
            (&[("BARTIZAN_HOME", ""), ("HOME", "/h")], Some("/h/.local/state/bartizan")),
            (&[], None),
        ] {
            let variable = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            assert_eq!(bartizan_home(variable), expected.map(PathBuf::from), "{set:?}");
        }
    }

    #[test]
    fn the_users_lock_is_the_one_that_is_there_and_of_several_none_is_the_right_one() {
        let root = tempfile::tempdir().unwrap();
        let [home, beside, linked] = ["home", "beside", "linked"].map(|name| root.path().join(name));
        [&home, &beside].iter().for_each(|directory| std::fs::create_dir(directory).unwrap());
        std::os::unix::fs::symlink(&beside, &linked).unwrap();
        let lock = || lock_of_user(&home, [&*beside, &*linked].into_iter());
        assert_eq!(lock(), (lock_in(&home), vec![]));
        std::fs::write(lock_in(&beside), "").unwrap();
        assert_eq!(lock(), (lock_in(&beside), vec![]));
        std::fs::write(lock_in(&home), "").unwrap();
        assert_eq!(lock(), (lock_in(&home), vec![lock_in(&beside)]));
        std::fs::remove_file(lock_in(&beside)).unwrap();
        assert_eq!(lock(), (lock_in(&home), vec![]));
        // One that leads nowhere yet is there.
        std::os::unix::fs::symlink(root.path().join("none"), lock_in(&beside)).unwrap();
        assert_eq!(lock().1.first(), Some(&lock_in(&beside)));
    }
}
