//! Makes small logs for the tests.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, dead_code, reason = "test code, shared by several test files")]

use std::fs;
use std::path::{Path, PathBuf};

use bartizan_audit::{At, Entry, Head, Id, Keys, Log, Options, Receipt, iter, verify};
use serde_json::json;

/// A directory where putting something on disk takes no time, if there is such a place: these logs are many and short.
pub(crate) fn quick() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// The keys of the logs here that are sealed, and others.
pub(crate) fn keys() -> Keys {
    Keys::given(&"07".repeat(32), "a test").unwrap()
}

pub(crate) fn other_keys() -> Keys {
    Keys::given(&"08".repeat(32), "a test").unwrap()
}

/// All files of a folder, with those of folders in it.
pub(crate) fn files_of(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_of(&path) } else { vec![path] }).collect()
}

/// Appends entry number `number` of a test.
pub(crate) fn append(log: &Log, number: u64) -> Receipt {
    log.append(&entry(number, &json!({"number": number, "text": "\"ä\\\n", "list": [1, {"seq": 2}]}))).unwrap()
}

pub(crate) fn entry<T>(number: u64, fields: &T) -> Entry<'_, T> {
    Entry { id: id(number), at_micros: 1_767_323_045_678_901 + number as i64, kind: "test.entry", fields }
}

pub(crate) fn id(number: u64) -> Id {
    let mut bytes = [1; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    Id::from(bytes)
}

/// A log with `entries` entries besides its first.
pub(crate) fn make(dir: &Path, entries: u64, max_file_bytes: u64) -> Head {
    let (log, _) = Log::open(dir, &Options { max_file_bytes, ..Options::default() }).unwrap();
    for number in 0..entries {
        append(&log, number);
    }
    log.head()
}

/// Opens the log, appends to it and checks that all of it is good; returns what opening said.
pub(crate) fn reopen<'a>(at: impl Into<At<'a>>) -> bartizan_audit::Recovery {
    let at = at.into();
    let (log, recovery) = Log::open(at, &Options::default()).unwrap();
    append(&log, 1_000_000);
    let report = verify(at, Some(&log.head())).unwrap();
    assert_eq!(report.unfinished_bytes, 0);
    assert_eq!(iter(at).unwrap().map(Result::unwrap).count() as u64, report.entries);
    recovery
}
