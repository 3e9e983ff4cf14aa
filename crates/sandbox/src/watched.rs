//! What a watched server did, as plain data: what it named, in as far as it can be told from outside.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Different things that are kept: more than any server names that does its work.
const MOST: usize = 16_384;
/// Bytes of their names together.
const MOST_BYTES: usize = 4 << 20;

/// What a server asked the system for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    /// Whether something is there, and what it is.
    Look(PathBuf),
    /// To read a file, or whatever else lies there.
    Read(PathBuf),
    /// To list a directory.
    List(PathBuf),
    /// To run a program.
    Execute(PathBuf),
    /// To change, make or remove something.
    Change(PathBuf),
    /// A connection to this address: an address and a port, or the name of a socket.
    Connect(String),
    /// A socket of a kind that servers are refused.
    Socket(SocketKind),
    /// Namespaces of its own, or another root.
    Namespaces,
}

/// Kinds of sockets that are refused unless an exception lets them through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SocketKind {
    /// Between processes of one machine.
    Unix,
    /// To the kernel, about interfaces and routes.
    Route,
    /// Any other, by the number of its family.
    Other(u32),
}

/// One thing that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// What it was.
    pub asked: Asked,
    /// The file name of the program that asked first.
    pub by: OsString,
    /// How often it was asked for.
    pub times: u64,
}

/// All that was seen of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// Each thing once, in an order of its own.
    pub wishes: Vec<Wish>,
    /// Calls whose arguments could not be read.
    pub unread: u64,
    /// Calls that named something else after there were too many different things to keep.
    pub left_out: u64,
    /// Calls that were looked at.
    pub calls: u64,
    /// The most memory that was seen in use at a time, in bytes.
    pub memory: u64,
    /// The most processes and threads that were seen at a time.
    pub pids: u64,
    /// Whether the watch ended before the server did.
    pub lost: bool,
}

/// Where it is kept while the server runs.
#[derive(Clone, Debug, Default)]
pub struct Watch(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    wishes: BTreeMap<Asked, (OsString, u64)>,
    bytes: usize,
    rest: Watched,
}

impl Watch {
    /// What was seen so far.
    #[must_use]
    pub fn so_far(&self) -> Watched {
        let kept = self.kept();
        let wishes = kept.wishes.iter();
        let wishes = wishes.map(|(asked, (by, times))| Wish { asked: asked.clone(), by: by.clone(), times: *times });
        Watched { wishes: wishes.collect(), ..kept.rest.clone() }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "nothing is watched where nothing is confined"))]
impl Watch {
    /// Notes what was asked for; `by` is looked up only for what is new.
    pub(crate) fn note(&self, asked: Asked, by: impl FnOnce() -> OsString) {
        let mut kept = self.kept();
        if let Some((_, times)) = kept.wishes.get_mut(&asked) {
            *times = times.saturating_add(1);
            return;
        }
        let size = match &asked {
            Asked::Look(path) | Asked::Read(path) | Asked::List(path) | Asked::Execute(path) | Asked::Change(path) => {
                path.as_os_str().len()
            }
            Asked::Connect(to) => to.len(),
            Asked::Socket(_) | Asked::Namespaces => 0,
        };
        let bytes = kept.bytes.saturating_add(size);
        if kept.wishes.len() >= MOST || bytes > MOST_BYTES {
            kept.rest.left_out = kept.rest.left_out.saturating_add(1);
            return;
        }
        kept.bytes = bytes;
        kept.wishes.insert(asked, (by(), 1));
    }

    pub(crate) fn count_call(&self) {
        let mut kept = self.kept();
        kept.rest.calls = kept.rest.calls.saturating_add(1);
    }

    pub(crate) fn count_unread(&self) {
        let mut kept = self.kept();
        kept.rest.unread = kept.rest.unread.saturating_add(1);
    }

    pub(crate) fn note_use(&self, memory: u64, pids: u64) {
        let mut kept = self.kept();
        kept.rest.memory = kept.rest.memory.max(memory);
        kept.rest.pids = kept.rest.pids.max(pids);
    }

    pub(crate) fn note_lost(&self) {
        self.kept().rest.lost = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_is_kept_once_and_what_is_too_much_is_counted() {
        let watch = Watch::default();
        for _ in 0..3 {
            watch.note(Asked::Read("/a".into()), || "node".into());
        }
        watch.note(Asked::Look("/a".into()), || "sh".into());
        let read = Wish { asked: Asked::Read("/a".into()), by: "node".into(), times: 3 };
        let seen = watch.so_far();
        assert!(seen.wishes.len() == 2 && seen.wishes.contains(&read), "{seen:?}");
        for number in 0..MOST + 10 {
            watch.note(Asked::Read(format!("/{number}").into()), || "x".into());
        }
        let seen = watch.so_far();
        assert_eq!((seen.wishes.len(), seen.left_out), (MOST, 12));
        // What is known already is counted all the same.
        watch.note(Asked::Read("/a".into()), || "y".into());
        assert!(watch.so_far().wishes.iter().any(|wish| wish.times == 4));
    }

    #[test]
    fn long_names_take_no_more_memory_than_many() {
        let watch = Watch::default();
        for number in 0..3000 {
            watch.note(Asked::Change(format!("/{number}{}", "x".repeat(4000)).into()), || "x".into());
        }
        let seen = watch.so_far();
        assert!(seen.wishes.len() < 1100 && seen.left_out > 1900, "{} {}", seen.wishes.len(), seen.left_out);
    }
}
