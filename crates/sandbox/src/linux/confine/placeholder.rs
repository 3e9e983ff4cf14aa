//! Names that a server may not change, also where they do not exist.
//!
//! Threat: a server with a writable directory plants what the user's own programs run or read later: a hook of git, a
//! list of MCP servers, an editor's tasks. What is there can be mounted read-only; what is not there has to be made
//! first, as nothing can be mounted on nothing. So placeholders are made, and taken away by the last server that
//! needed them. Directories on the way to a protected name are mounted as well, because a mount point cannot be
//! renamed, and what lies in a renamed directory is elsewhere.

use std::collections::BTreeMap;
use std::fs::{self, File, FileTimes};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::FlockOperation;

use super::{Failed, Step};
use crate::{Confinement, Protected};

/// By this time of change a placeholder is known as one, also to another server and after a crash.
const MADE: Duration = Duration::from_secs(1_000_000_007);

/// Each path that is to be a mount point, and whether it is read-only.
pub(super) type Points = BTreeMap<PathBuf, bool>;

/// The mount points that hold the protected names of all writable directories. All of them have to exist.
pub(super) fn points(confinement: &Confinement) -> Step<Points> {
    let mut points = Points::new();
    for (root, protected) in pairs(confinement) {
        for (path, last) in steps(root, protected) {
            let found =
                fs::symlink_metadata(&path).map_err(|error| Failed::at("find a protected name", &path, &error))?;
            if found.is_symlink() {
                return Err(Failed::at("protect a symbolic link", &path, &io::ErrorKind::Unsupported.into()));
            }
            let last = last || !found.is_dir();
            // What is read-only for one name stays so for another that leads through it.
            *points.entry(path).or_insert(false) |= last;
            if last {
                break;
            }
        }
    }
    Ok(points)
}

/// Placeholders, each held as long as this lives and then removed, unless another server holds it too.
#[derive(Default)]
pub(super) struct Placeholders(Vec<(PathBuf, File)>);

impl Placeholders {
    /// Makes what is missing. What was made so far goes if something fails.
    pub(super) fn make(confinement: &Confinement) -> Step<Self> {
        let mut made = Self::default();
        for (root, protected) in pairs(confinement) {
            for (path, last) in steps(root, protected) {
                let hold = made.hold(&path, !last || protected.directory);
                if !hold.map_err(|error| Failed::at("hold a protected name", &path, &error))? {
                    break;
                }
            }
        }
        for (_, file) in &made.0 {
            // Entries that were made later changed the times of the directories they are in.
            file.set_times(FileTimes::new().set_modified(SystemTime::UNIX_EPOCH + MADE)).ok();
        }
        Ok(made)
    }

    /// Makes `path`, or holds what an earlier server made; false if nothing can lie below it.
    fn hold(&mut self, path: &Path, directory: bool) -> io::Result<bool> {
        let made = if directory { fs::create_dir(path) } else { make_file(path) };
        let new = match made {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(error),
        };
        let found = fs::symlink_metadata(path)?;
        let ours = new || found.modified().is_ok_and(|time| time == SystemTime::UNIX_EPOCH + MADE);
        if ours {
            let file = open(path)?;
            rustix::fs::flock(&file, FlockOperation::LockShared)?;
            self.0.push((path.to_owned(), file));
        }
        Ok(found.is_dir())
    }
}

impl Drop for Placeholders {
    fn drop(&mut self) {
        // What is inside goes first.
        while let Some((path, mut file)) = self.0.pop() {
            if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
                continue;
            }
            // A directory that is not empty is not removed by the system either.
            let removed = if file.metadata().is_ok_and(|found| found.is_dir()) {
                fs::remove_dir(&path)
            } else if holds(&mut file, content(&path)) {
                fs::remove_file(&path)
            } else {
                continue;
            };
            removed.ok();
        }
    }
}

fn pairs(confinement: &Confinement) -> impl Iterator<Item = (&PathBuf, &Protected)> {
    let directories = confinement.writable.iter().filter(|path| path.is_dir());
    directories.flat_map(|root| confinement.protected.iter().map(move |protected| (root, protected)))
}

/// The paths on the way from `root` to the protected name, and whether each is the name itself.
fn steps<'a>(root: &Path, protected: &'a Protected) -> impl Iterator<Item = (PathBuf, bool)> + use<'a> {
    let count = protected.name.components().count();
    let mut path = root.to_owned();
    protected.name.components().enumerate().map(move |(index, part)| {
        path.push(part);
        (path.clone(), index + 1 == count)
    })
}

fn make_file(path: &Path) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content(path))
}

/// What a placeholder for a file holds: something that those who read the name take for nothing.
fn content(path: &Path) -> &'static [u8] {
    if path.extension().is_some_and(|extension| extension == "json") { b"{}\n" } else { b"" }
}

fn holds(file: &mut File, content: &[u8]) -> bool {
    let mut found = Vec::new();
    file.take(64).read_to_end(&mut found).is_ok() && found == content
}

fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confinement(root: &Path) -> Confinement {
        let protected = |name: &str, directory| Protected { name: name.into(), directory };
        Confinement {
            writable: vec![root.to_owned()],
            protected: vec![
                protected(".git/hooks", true),
                protected(".git/config", false),
                protected(".mcp.json", false),
            ],
            ..Confinement::default()
        }
    }

    fn names(root: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_missing_is_held_and_goes_with_the_last_who_needs_it() {
        let root = tempfile::tempdir().unwrap();
        let confinement = confinement(root.path());
        let first = Placeholders::make(&confinement).unwrap();
        assert_eq!(fs::read(root.path().join(".mcp.json")).unwrap(), b"{}\n");
        assert_eq!(points(&confinement).unwrap().values().filter(|read_only| **read_only).count(), 3);
        let second = Placeholders::make(&confinement).unwrap();
        drop(first);
        assert_eq!(names(root.path()), [".git", ".mcp.json"]);
        drop(second);
        assert_eq!(names(root.path()), [""; 0]);
        // Left behind by a crash, they are found and taken away by the next.
        std::mem::forget(
            Placeholders::make(&confinement).unwrap().0.drain(..).map(|(path, _)| path).collect::<Vec<_>>(),
        );
        drop(Placeholders::make(&confinement).unwrap());
        assert_eq!(names(root.path()), [""; 0]);
    }

    #[test]
    fn what_the_user_has_stays() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join(".git/hooks")).unwrap();
        fs::write(root.path().join(".mcp.json"), "{}\n").unwrap();
        let confinement = confinement(root.path());
        drop(Placeholders::make(&confinement).unwrap());
        assert_eq!(names(root.path()), [".git", ".mcp.json"]);
        assert_eq!(names(&root.path().join(".git")), ["hooks"]);
        // What was put into a placeholder is nobody's to throw away.
        let held = Placeholders::make(&confinement).unwrap();
        fs::write(root.path().join(".git/config"), "mine").unwrap();
        drop(held);
        assert_eq!(fs::read(root.path().join(".git/config")).unwrap(), b"mine");
    }

    #[test]
    fn a_file_on_the_way_is_protected_itself_and_a_link_is_refused() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(".git"), "gitdir: elsewhere").unwrap();
        let mut confinement = confinement(root.path());
        let held = Placeholders::make(&confinement).unwrap();
        assert_eq!(points(&confinement).unwrap().get(&root.path().join(".git")), Some(&true));
        drop(held);
        fs::remove_file(root.path().join(".git")).unwrap();
        std::os::unix::fs::symlink("/etc", root.path().join(".git")).unwrap();
        confinement.protected.truncate(1);
        assert!(points(&confinement).is_err());
    }
}
