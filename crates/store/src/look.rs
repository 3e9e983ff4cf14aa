//! Looking whether the store changed, as cheaply as can be, since every request does it.
//!
//! To read the number and to look at both names are three system calls. As long as a [`Bell`] that hangs on the files
//! has not rung, what they said last is what they say now.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use crate::bell::Bell;
use crate::place::Place;
use crate::revision::{Marks, Revision};

/// So often, in milliseconds, the files are looked at all the same: of what is mounted in their place no bell rings.
const NOW_AND_THEN: u64 = 1_000;

/// No number of a state: those are even.
const NOTHING: u64 = 1;

/// Both files, and what they said last.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) marks: Marks,
    pub(crate) database: Place,
    /// Hung by the first who looks; none if that cannot be.
    bell: OnceLock<Option<Bell>>,
    /// What was found last; nothing while somebody finds out anew.
    found: AtomicU64,
    /// When, in milliseconds since `begun`.
    at: AtomicU64,
    begun: Instant,
    /// Held by the one who finds out anew.
    finding: Mutex<()>,
}

impl Look {
    pub(crate) fn new(marks: Marks, database: Place) -> Look {
        Look {
            marks,
            database,
            bell: OnceLock::new(),
            found: AtomicU64::new(NOTHING),
            at: AtomicU64::default(),
            begun: Instant::now(),
            finding: Mutex::default(),
        }
    }

    /// The state now, as in [`crate::Store::revision`].
    pub(crate) fn revision(&self) -> Option<Revision> {
        let bell = self.bell.get_or_init(|| Bell::hang(self.marks.path(), self.database.path()).ok());
        let Some(bell) = bell else { return self.read() };
        // In this order: who silences the bell first takes away what was found.
        if !bell.rang()
            && let Some(found) = Revision::of(self.found.load(Ordering::SeqCst))
            && self.now().saturating_sub(self.at.load(Ordering::Relaxed)) < NOW_AND_THEN
        {
            return Some(found);
        }
        self.find(bell)
    }

    /// Looks at the files themselves.
    fn read(&self) -> Option<Revision> {
        self.marks.read().filter(|_| self.database.is_there())
    }

    fn find(&self, bell: &Bell) -> Option<Revision> {
        let _one = self.finding.lock().unwrap_or_else(PoisonError::into_inner);
        self.found.store(NOTHING, Ordering::SeqCst);
        let silenced = bell.silence();
        // What is done from here on rings again, so the next one does not rely on what is found.
        let at = self.now();
        let found = self.read();
        if let (Ok(()), Some(found)) = (silenced, found) {
            self.at.store(at, Ordering::Relaxed);
            self.found.store(found.number(), Ordering::SeqCst);
        }
        found
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::atomic::AtomicBool;

    use super::*;

    /// Two files in a directory in a directory.
    fn look(root: &Path) -> Look {
        let directory = root.join("own/state");
        fs::create_dir_all(&directory).unwrap();
        let database = directory.join("state.db");
        fs::write(&database, "").unwrap();
        let marks = Marks::open(directory.join("state.db.rev")).unwrap();
        Look::new(marks, Place::of(&database).unwrap())
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_bell_rings_for_all_that_the_files_say() {
        type Way = (&'static str, fn(&Path));
        let ways: [Way; 10] = [
            ("begun", |path| drop(Marks::open(path.join("own/state/state.db.rev")).unwrap().begin().unwrap())),
            ("cut", |path| fs::write(path.join("own/state/state.db.rev"), "abc").unwrap()),
            ("removed", |path| fs::remove_file(path.join("own/state/state.db.rev")).unwrap()),
            ("moved", |path| fs::rename(path.join("own/state/state.db.rev"), path.join("x")).unwrap()),
            ("replaced", |path| {
                fs::write(path.join("x"), [0; 8]).unwrap();
                fs::rename(path.join("x"), path.join("own/state/state.db.rev")).unwrap();
            }),
            ("database removed", |path| fs::remove_file(path.join("own/state/state.db")).unwrap()),
            ("database moved", |path| fs::rename(path.join("own/state/state.db"), path.join("x")).unwrap()),
            ("database replaced", |path| {
                fs::write(path.join("x"), "").unwrap();
                fs::rename(path.join("x"), path.join("own/state/state.db")).unwrap();
            }),
            ("directory moved", |path| fs::rename(path.join("own/state"), path.join("x")).unwrap()),
            ("directory of it moved", |path| fs::rename(path.join("own"), path.join("x")).unwrap()),
        ];
        for (way, change) in ways {
            let directory = tempfile::tempdir().unwrap();
            let look = look(directory.path());
            let before = look.revision();
            let bell = look.bell.get().unwrap().as_ref().expect("a bell");
            assert!(before.is_some() && !bell.rang() && look.revision() == before, "{way}: at rest");
            change(directory.path());
            assert!(bell.rang(), "{way}");
            let after = look.revision();
            assert!(after != before && after == look.read(), "{way}: {after:?}");
        }
    }

    #[test]
    fn who_looks_once_something_is_written_is_told_whoever_else_looks() {
        let directory = tempfile::tempdir().unwrap();
        let look = look(directory.path());
        let written = AtomicU64::new(look.revision().unwrap().number());
        let done = AtomicBool::new(false);
        let told = std::thread::scope(|scope| {
            let readers = [(); 4].map(|()| {
                scope.spawn(|| {
                    let mut told = 0;
                    while !done.load(Ordering::SeqCst) {
                        let at_least = written.load(Ordering::SeqCst);
                        if let Some(found) = look.revision() {
                            assert!(found.number() >= at_least, "{found:?} {at_least}");
                            told += 1;
                        }
                    }
                    told
                })
            });
            for _ in 0..2_000 {
                drop(look.marks.begin().unwrap());
                let number = fs::read(look.marks.path()).unwrap();
                written.store(u64::from_le_bytes(number.try_into().unwrap()), Ordering::SeqCst);
                std::thread::yield_now();
            }
            done.store(true, Ordering::SeqCst);
            readers.map(|reader| reader.join().unwrap())
        });
        assert!(told.iter().sum::<usize>() > 0);
        assert_eq!(look.revision().map(Revision::number), Some(written.into_inner()));
    }

    #[test]
    fn without_a_bell_the_files_say_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let look = look(directory.path());
        look.bell.set(None).unwrap();
        let before = look.revision();
        let writing = look.marks.begin().unwrap();
        assert!(before.is_some() && look.revision().is_none());
        drop(writing);
        assert!(look.revision().is_some_and(|after| Some(after) != before));
        fs::remove_file(directory.path().join("own/state/state.db")).unwrap();
        assert_eq!(look.revision(), None);
    }
}
