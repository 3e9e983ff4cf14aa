//! Names that a server may not change, also where they do not exist.
//!
//! Threat: a server with a writable directory plants what the user's own programs run or read later: a hook of git, a
//! list of MCP servers, an editor's tasks. What is there can be mounted read-only; what is not there has to be made
//! first, as nothing can be mounted on nothing. So placeholders are made, and taken away by the last server that
//! needed them. Directories on the way to a protected name are mounted as well, because a mount point cannot be
//! renamed, and what lies in a renamed directory is elsewhere.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{
    AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, ResolveFlags, Stat, flock, inotify, mkdirat, openat, openat2,
    statat, unlinkat,
};
use rustix::io::Errno;

use super::{Failed, Step};
use crate::{Confinement, Protected};

/// By this time of change a placeholder is known as one, also to another server and after a crash.
const MADE: Duration = Duration::from_secs(1_000_000_007);

/// How often a placeholder is tried that others take away.
const TRIES: u32 = 16;
/// How often, and how soon again, a lock is tried that somebody else has.
const LOCK_TRIES: u32 = 200;
const SOON: Duration = Duration::from_millis(10);

/// What becomes of a mount point. The stricter counts where several names lead through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hold {
    /// It is on the way to another, and cannot be moved.
    Way,
    /// It cannot be changed.
    Fixed,
    /// It is seen empty.
    Hidden,
}

/// Each path that is to be a mount point.
pub(super) type Points = BTreeMap<PathBuf, Hold>;

/// A name in a writable directory that is not as free as the rest of it.
struct Kept {
    name: PathBuf,
    directory: bool,
    hold: Hold,
}

/// All of them: those that are protected in each directory, and what the profile hides or fixes inside of one.
fn kept(root: &Path, confinement: &Confinement) -> Vec<Kept> {
    let protected = confinement.protected.iter();
    let mut all: Vec<Kept> = protected
        .map(|Protected { name, directory }| Kept { name: name.clone(), directory: *directory, hold: Hold::Fixed })
        .collect();
    for (paths, hold) in [(&confinement.read_only, Hold::Fixed), (&confinement.hidden, Hold::Hidden)] {
        let inside =
            paths.iter().filter_map(|path| path.strip_prefix(root).ok()).filter(|name| !name.as_os_str().is_empty());
        // What is missing is held as a file.
        all.extend(inside.map(|name| Kept { name: name.to_owned(), directory: false, hold }));
    }
    all
}

/// The mount points that hold the protected names of all writable directories. All of them have to exist.
pub(super) fn points(confinement: &Confinement) -> Step<Points> {
    let mut points = Points::new();
    walk(confinement, |step| {
        let found = step.stat()?;
        let directory = kind(&found) == FileType::Directory;
        let hold = if step.last || !directory { step.hold } else { Hold::Way };
        let point = points.entry(step.path.to_owned()).or_insert(hold);
        *point = hold.max(*point);
        Ok(directory)
    })?;
    Ok(points)
}

/// Placeholders, each held as long as this lives and then removed, unless another server holds it too.
#[derive(Default)]
pub(super) struct Placeholders(Vec<Held>);

/// One of them, by the directory it is in, so that nobody can put another in its way.
struct Held {
    parent: OwnedFd,
    path: PathBuf,
    file: File,
}

impl Placeholders {
    /// Makes what is missing. What was made so far goes if something fails.
    pub(super) fn make(confinement: &Confinement) -> Step<Self> {
        let mut made = Self::default();
        walk(confinement, |step| made.hold(step))?;
        for held in &made.0 {
            // Entries that were made later changed the times of the directories they are in.
            held.file.set_times(marked()).ok();
        }
        Ok(made)
    }

    /// Makes the name, or holds what an earlier server made; false if nothing can lie below it.
    fn hold(&mut self, step: &Stage<'_>) -> io::Result<bool> {
        for _ in 0..TRIES {
            if let Some(goes_on) = self.try_to_hold(step)? {
                return Ok(goes_on);
            }
        }
        Err(io::Error::other("it is made and taken away all the time"))
    }

    /// The same; none if it was taken away meanwhile by whoever held it until now.
    fn try_to_hold(&mut self, step: &Stage<'_>) -> io::Result<Option<bool>> {
        let made =
            if step.directory { mkdirat(step.parent, step.name, Mode::from_raw_mode(0o755)) } else { make_file(step) };
        let new = match made {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(error) => return Err(error.into()),
        };
        let found = step.stat()?;
        if new || u64::try_from(found.st_mtime) == Ok(MADE.as_secs()) && found.st_mtime_nsec == 0 {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
            let file = File::from(openat(step.parent, step.name, flags, Mode::empty())?);
            if new {
                // At once, so that another server that starts meanwhile takes it for one.
                file.set_times(marked())?;
            }
            share(&file)?;
            let now = statat(step.parent, step.name, AtFlags::SYMLINK_NOFOLLOW);
            let held = file.metadata()?;
            if !now.is_ok_and(|now| (now.st_dev, now.st_ino) == (held.dev(), held.ino())) {
                return Ok(None);
            }
            self.0.push(Held { parent: step.parent.try_clone_to_owned()?, path: step.path.to_owned(), file });
        }
        Ok(Some(kind(&found) == FileType::Directory))
    }
}

/// Has it stay as long as this process holds it. Who removes one has it alone for a moment; who keeps it so is somebody else.
fn share(file: &File) -> io::Result<()> {
    for _ in 0..LOCK_TRIES {
        match flock(file, FlockOperation::NonBlockingLockShared) {
            Err(Errno::WOULDBLOCK) => std::thread::sleep(SOON),
            done => return Ok(done?),
        }
    }
    Err(io::Error::other("another program has a lock on it"))
}

impl Drop for Placeholders {
    fn drop(&mut self) {
        // What is inside goes first.
        while let Some(held) = self.0.pop() {
            held.remove().ok();
        }
    }
}

impl Held {
    fn remove(mut self) -> io::Result<()> {
        let Some(name) = self.path.file_name() else { return Ok(()) };
        // Another server needs it still.
        flock(&self.file, FlockOperation::NonBlockingLockExclusive)?;
        let (held, now) = (self.file.metadata()?, statat(&self.parent, name, AtFlags::SYMLINK_NOFOLLOW)?);
        if (held.dev(), held.ino()) != (now.st_dev, now.st_ino) {
            return Ok(());
        }
        if held.is_dir() {
            // One that is not empty is not removed by the system either.
            return Ok(unlinkat(&self.parent, name, AtFlags::REMOVEDIR)?);
        }
        if holds(&mut self.file, content(&self.path)) {
            unlinkat(&self.parent, name, AtFlags::empty())?;
        }
        Ok(())
    }
}

/// Notices when a protected name is another file or directory than the one that is mounted.
///
/// A mount holds a file and not a name. Where somebody outside replaces the file, as most editors and git do, the kernel
/// takes the mount away, and the server could write to what is there now.
pub(super) struct Guard {
    events: OwnedFd,
    held: Vec<(PathBuf, u64, u64)>,
}

impl Guard {
    /// Watches the mount points; none if there are none.
    pub(super) fn new(confinement: &Confinement) -> Step<Option<Self>> {
        let points = points(confinement)?;
        if points.is_empty() {
            return Ok(None);
        }
        let failed = |error: Errno| Failed::errno("watch protected names", error);
        let events = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK).map_err(failed)?;
        let changes = inotify::WatchFlags::CREATE
            | inotify::WatchFlags::DELETE
            | inotify::WatchFlags::MOVE
            | inotify::WatchFlags::ONLYDIR
            | inotify::WatchFlags::DONT_FOLLOW;
        let mut held = Vec::new();
        for path in points.into_keys() {
            if let Some(parent) = path.parent() {
                inotify::add_watch(&events, parent, changes).map_err(failed)?;
            }
            let found = fs::symlink_metadata(&path).map_err(|error| Failed::at("watch", &path, &error))?;
            held.push((path, found.dev(), found.ino()));
        }
        Ok(Some(Self { events, held }))
    }

    /// Readable when something changed.
    pub(super) fn events(&self) -> &OwnedFd {
        &self.events
    }

    /// Whether all names are still what they were.
    pub(super) fn holds(&self) -> bool {
        let mut records = [0; 4096];
        while rustix::io::read(&self.events, &mut records).is_ok_and(|got| got > 0) {}
        self.held.iter().all(|(path, device, inode)| {
            fs::symlink_metadata(path).is_ok_and(|now| (now.dev(), now.ino()) == (*device, *inode))
        })
    }
}

/// One name on the way to a protected one, with nothing before it that could be a link.
struct Stage<'a> {
    parent: std::os::fd::BorrowedFd<'a>,
    name: &'a OsStr,
    path: &'a Path,
    /// Whether it is the protected name itself.
    last: bool,
    /// What it is to be, if it is missing.
    directory: bool,
    /// What becomes of it.
    hold: Hold,
}

impl Stage<'_> {
    /// What is there.
    fn stat(&self) -> io::Result<Stat> {
        let found = statat(self.parent, self.name, AtFlags::SYMLINK_NOFOLLOW)?;
        if kind(&found) == FileType::Symlink {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "a symbolic link cannot be protected"));
        }
        Ok(found)
    }
}

/// Goes to each protected name of each writable directory, as long as `each` says that it can go on.
fn walk(confinement: &Confinement, mut each: impl FnMut(&Stage<'_>) -> io::Result<bool>) -> Step<()> {
    for root in confinement.writable.iter().filter(|path| path.is_dir()) {
        for Kept { name, directory, hold } in kept(root, confinement) {
            let mut parent = open_at(CWD, root).map_err(|error| Failed::at("open", root, &error.into()))?;
            let mut path = root.clone();
            let count = name.components().count();
            for (index, part) in name.components().enumerate() {
                path.push(part);
                let last = index.saturating_add(1) == count;
                let name = part.as_os_str();
                let stage =
                    Stage { parent: parent.as_fd(), name, path: &path, last, directory: !last || directory, hold };
                let go_on = each(&stage).map_err(|error| Failed::at("hold the protected name", &path, &error))?;
                if last || !go_on {
                    break;
                }
                parent = open_at(parent.as_fd(), Path::new(name))
                    .map_err(|error| Failed::at("open", &path, &error.into()))?;
            }
        }
    }
    Ok(())
}

fn marked() -> FileTimes {
    FileTimes::new().set_modified(SystemTime::UNIX_EPOCH + MADE)
}

/// A directory, to go on from; not by way of a link.
fn open_at(parent: impl AsFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    openat2(parent, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::NO_SYMLINKS)
}

fn kind(found: &Stat) -> FileType {
    FileType::from_raw_mode(found.st_mode)
}

fn make_file(step: &Stage<'_>) -> rustix::io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(step.parent, step.name, flags, Mode::from_raw_mode(0o600))?);
    file.write_all(content(step.path)).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

/// What a placeholder for a file holds: something that those who read the name take for nothing.
fn content(path: &Path) -> &'static [u8] {
    if path.extension().is_some_and(|extension| extension == "json") {
        b"{}\n"
    } else if path.file_name().is_some_and(|name| name == "commondir") {
        // To git an empty one is a broken repository, and this one is the directory that it is in.
        b".\n"
    } else {
        b""
    }
}

fn holds(file: &mut File, content: &[u8]) -> bool {
    let mut found = Vec::new();
    file.take(64).read_to_end(&mut found).is_ok() && found == content
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
        assert_eq!(content(Path::new("/x/.git/commondir")), b".\n");
        assert_eq!(points(&confinement).unwrap().values().filter(|hold| **hold == Hold::Fixed).count(), 3);
        let second = Placeholders::make(&confinement).unwrap();
        drop(first);
        assert_eq!(names(root.path()), [".git", ".mcp.json"]);
        drop(second);
        assert_eq!(names(root.path()), [""; 0]);
        // Left behind by a crash, they are found and taken away by the next.
        for held in Placeholders::make(&confinement).unwrap().0.drain(..) {
            drop(held);
        }
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
        assert_eq!(points(&confinement).unwrap().get(&root.path().join(".git")), Some(&Hold::Fixed));
        drop(held);
        fs::remove_file(root.path().join(".git")).unwrap();
        std::os::unix::fs::symlink("/etc", root.path().join(".git")).unwrap();
        confinement.protected.truncate(1);
        assert!(points(&confinement).is_err() && Placeholders::make(&confinement).is_err());
        assert!(!Path::new("/etc/hooks").exists());
    }

    #[test]
    fn a_name_that_is_replaced_is_noticed() {
        let root = tempfile::tempdir().unwrap();
        let confinement = confinement(root.path());
        let _held = Placeholders::make(&confinement).unwrap();
        let guard = Guard::new(&confinement).unwrap().unwrap();
        fs::write(root.path().join("other"), "").unwrap();
        fs::write(root.path().join(".git/config"), "written in place").unwrap();
        assert!(guard.holds());
        fs::rename(root.path().join("other"), root.path().join(".git/config")).unwrap();
        assert!(!guard.holds());
        assert!(Guard::new(&Confinement::default()).unwrap().is_none());
    }
}
