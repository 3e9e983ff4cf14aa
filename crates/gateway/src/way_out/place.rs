//! A directory for one start of a server: the socket of its way out, and whose certificates it trusts.
//!
//! Threat: who may write to the directory that this one lies in can put a link or another socket in its place, and have a server
//! reach any socket of the machine, or send its traffic to somebody else. So it lies in the directory of Bartizan's own, which no
//! server may write to.

use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Once;

use rustix::fs::{FlockOperation, OFlags, flock};

use crate::random;

/// Directories are called this, the number of the process they belong to, and something random.
const PREFIX: &str = "bartizan-egress-";
const SOCKET: &str = "socket";
/// What is there only while Bartizan runs, in its directory.
const RUN: &str = "ways-out";
/// Files with certificates are called this and something else.
const CERTIFICATES: &str = "authorities";

/// A directory that only this user can look into, removed with what is in it when this goes; or, where this process is killed, by
/// the launcher of the server that it was made for.
#[derive(Debug)]
pub(super) struct Place {
    directory: PathBuf,
    /// By its lock it is known that the directory is in use, also to who does not see this process.
    _held: std::fs::File,
}

impl Place {
    /// A new one. Those that nobody holds any more, as a launcher was killed as well, are removed once in the life of this process.
    pub(super) fn make() -> io::Result<Place> {
        static SWEPT: Once = Once::new();
        let home = bartizan_config::bartizan_home(|name| std::env::var(name).ok());
        let home =
            home.ok_or_else(|| io::Error::other("nothing says where Bartizan's files are; set HOME or BARTIZAN_HOME"))?;
        let private = |directory: &Path| std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
        private(&home).and_then(|()| private(&home.join(RUN)))?;
        // A sandbox sees a path that has no link in it.
        let parent = std::fs::canonicalize(home.join(RUN))?;
        SWEPT.call_once(|| sweep_all(&parent));
        let name = random::tag().map_err(io::Error::other)?;
        let directory = parent.join(format!("{PREFIX}{}-{name}", std::process::id()));
        std::fs::DirBuilder::new().mode(0o700).create(&directory)?;
        let held = std::fs::File::open(&directory).and_then(|held| {
            flock(&held, FlockOperation::LockShared)?;
            Ok(held)
        });
        match held {
            Ok(held) => Ok(Place { directory, _held: held }),
            Err(error) => {
                std::fs::remove_dir(&directory).ok();
                Err(error)
            }
        }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.directory.join(SOCKET)
    }

    /// Writes certificates into a file that nobody changes any more.
    pub(super) fn certificates(&self, number: usize, pem: &[&str]) -> io::Result<PathBuf> {
        let path = self.directory.join(format!("{CERTIFICATES}-{number}.pem"));
        let mut file = std::fs::File::options().write(true).create_new(true).mode(0o400).open(&path)?;
        pem.iter().try_for_each(|text| file.write_all(text.as_bytes()))?;
        Ok(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        empty(&self.directory).ok();
    }
}

/// Removes a directory with what one of these holds; what holds anything else stays.
fn empty(directory: &Path) -> io::Result<()> {
    std::fs::remove_file(directory.join(SOCKET)).ok();
    for entry in std::fs::read_dir(directory)?.flatten() {
        let name = entry.file_name();
        let ours =
            name.to_str().and_then(|name| name.strip_prefix(CERTIFICATES)).is_some_and(|rest| rest.ends_with(".pem"));
        if ours {
            std::fs::remove_file(entry.path()).ok();
        }
    }
    std::fs::remove_dir(directory)
}

/// Removes what processes left behind that were killed.
fn sweep_all(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)).and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| pid.parse::<u32>().is_ok()) {
            sweep(&entry.path()).ok();
        }
    }
}

/// Removes a directory that nobody holds any more. This place belongs to all, so somebody else's stays.
fn sweep(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let no_link = (OFlags::NOFOLLOW | OFlags::DIRECTORY).bits().cast_signed();
    let held = std::fs::File::options().read(true).custom_flags(no_link).open(directory)?;
    if held.metadata()?.uid() != rustix::process::getuid().as_raw() {
        return Ok(());
    }
    flock(&held, FlockOperation::NonBlockingLockExclusive)?;
    empty(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_holds_is_removed_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let made = |name: &str| {
            let directory = parent.path().join(name);
            std::fs::create_dir(&directory).unwrap();
            std::fs::write(directory.join(SOCKET), "").unwrap();
            directory
        };
        let (left, held, other) = (made("left"), made("held"), made("other"));
        std::fs::write(other.join("somebody's"), "").unwrap();
        let holds = std::fs::File::open(&held).unwrap();
        flock(&holds, FlockOperation::LockShared).unwrap();
        std::os::unix::fs::symlink(&left, parent.path().join("link")).unwrap();
        assert!(sweep(&parent.path().join("link")).is_err() && left.exists());
        assert!(sweep(&held).is_err() && held.join(SOCKET).exists());
        assert!(sweep(&other).is_err() && other.join("somebody's").exists());
        sweep(&left).unwrap();
        assert!(!left.exists());
    }

    #[test]
    fn a_place_goes_with_what_is_in_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let place = Place::make().unwrap();
        let directory = place.directory.clone();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let file = place.certificates(0, &["one\n", "two\n"]).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "one\ntwo\n");
        assert_eq!((mode(&directory), mode(&file)), (0o700, 0o400));
        assert!(place.certificates(0, &["other"]).is_err(), "what is there stays as it is");
        std::fs::write(place.socket(), "").unwrap();
        assert_ne!(Place::make().unwrap().directory, directory);
        drop(place);
        assert!(!directory.exists());
    }
}
