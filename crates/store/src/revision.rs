//! Whether anything was written since one looked.
//!
//! **Threat.** A key that was revoked by one process is still in the memory of another. To ask the database at every
//! request costs more than all the rest of authentication; to ask it now and then leaves a time in which what was
//! revoked is good.
//!
//! A number in a file beside the database says it. It is odd before a transaction is committed and even, and larger, after
//! it; a reader that finds the number which it found when it read the database has what the database holds. Whoever
//! writes holds a lock on the file, so of two writers neither undoes the other's mark. If a writer dies in between, the
//! number stays odd until somebody finds that nobody holds the lock, and readers ask the database until then.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, flock};

use crate::place::Place;

/// How long a writer waits for another.
const PATIENCE: Duration = Duration::from_secs(10);

/// A state of the store: two equal ones are the same state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revision(u64);

impl Revision {
    /// The state with this number; an odd one is none.
    pub(crate) fn of(number: u64) -> Option<Revision> {
        number.is_multiple_of(2).then_some(Revision(number))
    }

    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

/// The file, for those who read.
#[derive(Debug)]
pub(crate) struct Marks {
    path: PathBuf,
    place: Place,
    file: File,
}

impl Marks {
    pub(crate) fn open(path: PathBuf) -> io::Result<Marks> {
        let file = open(&path, true)?;
        let place = Place::of(&path)?;
        let marks = Marks { path, place, file };
        if marks.file.metadata()?.len() == 0 {
            // No number that an earlier file may have had.
            drop(marks.begin()?);
        }
        Ok(marks)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether writers mark another file by now.
    pub(crate) fn is_replaced(&self) -> bool {
        !self.place.is_there()
    }

    /// The state now. None while one is being written, and if it cannot be told.
    pub(crate) fn read(&self) -> Option<Revision> {
        let number = number(&self.file).ok()??;
        Revision::of(number).filter(|_| !self.is_replaced())
    }

    /// Makes good what a writer left that died: without one that lives, an odd number says nothing.
    pub(crate) fn settle(&self) -> io::Result<()> {
        let file = open(&self.path, false)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            match number(&file)? {
                Some(even) if even % 2 == 0 => {}
                odd => {
                    let even = odd.unwrap_or_else(new_number).wrapping_add(1) & !1;
                    file.write_all_at(&even.to_le_bytes(), 0)?;
                }
            }
        }
        Ok(())
    }

    /// Begins to write, once nobody else does, which is waited for.
    pub(crate) fn begin(&self) -> io::Result<Writing> {
        // A lock belongs to an opening of the file.
        let file = open(&self.path, false)?;
        let until = Instant::now() + PATIENCE;
        while let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if error != rustix::io::Errno::WOULDBLOCK || Instant::now() > until {
                return Err(error.into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let odd = number(&file)?.unwrap_or_else(new_number) | 1;
        // What a writer left odd that died was never even, so nobody relies on it.
        file.write_all_at(&odd.to_le_bytes(), 0)?;
        Ok(Writing { file, even: odd.wrapping_add(1) })
    }
}

/// While it is there, no reader relies on what it has.
#[derive(Debug)]
pub(crate) struct Writing {
    file: File,
    even: u64,
}

impl Drop for Writing {
    fn drop(&mut self) {
        // If this fails the number stays odd, which costs time and nothing else.
        self.file.write_all_at(&self.even.to_le_bytes(), 0).ok();
    }
}

fn open(path: &Path, create: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(create).truncate(false).mode(0o600).custom_flags(libc_nofollow());
    options.open(path)
}

/// A link in its place could have us write anywhere.
fn libc_nofollow() -> i32 {
    i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default()
}

/// The number in the file; none if there is none, or only a part of it.
fn number(file: &File) -> io::Result<Option<u64>> {
    let mut bytes = [0; 8];
    match file.read_exact_at(&mut bytes, 0) {
        Ok(()) => Ok(Some(u64::from_le_bytes(bytes))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// A number that no earlier file has had: they count writes, and this counts microseconds.
fn new_number() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks() -> (tempfile::TempDir, Marks) {
        let directory = tempfile::tempdir().unwrap();
        let marks = Marks::open(directory.path().join("state.rev")).unwrap();
        (directory, marks)
    }

    #[test]
    fn a_revision_is_one_state() {
        let (_directory, marks) = marks();
        let first = marks.read().unwrap();
        assert_eq!(marks.read(), Some(first), "nothing was written");
        let writing = marks.begin().unwrap();
        assert_eq!(marks.read(), None, "while it is written nobody knows");
        drop(writing);
        let second = marks.read().unwrap();
        assert_ne!(first, second);
        drop(marks.begin().unwrap());
        assert!(![first, second].contains(&marks.read().unwrap()), "no number comes again");
    }

    #[test]
    fn writers_wait_for_each_other() {
        let (_directory, marks) = marks();
        let first = marks.begin().unwrap();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| drop(marks.begin().unwrap()));
            while !second.is_finished() && marks.read().is_some() {
                std::thread::yield_now();
            }
            assert!(!second.is_finished(), "the first still writes");
            drop(first);
            second.join().unwrap();
        });
        assert!(marks.read().is_some());
    }

    #[test]
    fn a_writer_that_dies_leaves_it_unknown_until_the_next() {
        let (_directory, marks) = marks();
        let before = marks.read();
        let mut writing = marks.begin().unwrap();
        // As if it had died: the lock is gone, the number odd.
        writing.even = writing.even.wrapping_sub(1);
        drop(writing);
        assert_eq!(marks.read(), None);
        drop(marks.begin().unwrap());
        let after = marks.read();
        assert!(after.is_some() && after != before);
    }

    #[test]
    fn what_a_dead_writer_left_is_made_good_and_what_a_living_one_does_is_let_alone() {
        let (_directory, marks) = marks();
        let mut writing = marks.begin().unwrap();
        let before = writing.even;
        marks.settle().unwrap();
        assert_eq!(marks.read(), None, "it still writes");
        writing.even = writing.even.wrapping_sub(1);
        drop(writing);
        assert_eq!(marks.read(), None, "it died");
        marks.settle().unwrap();
        assert_eq!(marks.read(), Some(Revision(before)));
        marks.settle().unwrap();
        assert_eq!(marks.read(), Some(Revision(before)), "nothing is left to do");
    }

    #[test]
    fn what_is_removed_replaced_or_cut_is_not_relied_upon() {
        let (directory, marks) = marks();
        let path = directory.path().join("state.rev");
        drop(marks.begin().unwrap());
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..3]).unwrap();
        assert_eq!(marks.read(), None);
        drop(marks.begin().unwrap());
        assert!(marks.read().is_some(), "the next writer makes a whole number of it");
        std::fs::write(&path, &bytes).unwrap();
        assert!(marks.read().is_some());
        let moved = directory.path().join("moved");
        std::fs::rename(&path, &moved).unwrap();
        assert_eq!(marks.read(), None, "nobody marks it any more");
        std::fs::rename(&moved, &path).unwrap();
        assert!(marks.read().is_some());
        std::fs::hard_link(&path, &moved).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(marks.read(), None, "nor one that only another name leads to");
        drop(Marks::open(path.clone()).unwrap());
        assert!(marks.is_replaced() && marks.read().is_none());
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(directory.path().join("elsewhere"), &path).unwrap();
        assert!(Marks::open(path).is_err(), "a link is not followed");
    }
}
