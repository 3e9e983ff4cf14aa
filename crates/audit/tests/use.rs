//! The log in ordinary use: many threads, rotation, reading while writing, and its place in the file system.

#![expect(clippy::panic, reason = "test code")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use bartizan_audit::{AuditError, Entry, Level, Log, Options, State, find, iter, last, verify};
use common::{append, entry, id, make, reopen};
use serde::{Serialize, Serializer};
use serde_json::json;

#[test]
fn eight_threads_write_one_chain_while_readers_look_on() {
    let dir = tempfile::tempdir().unwrap();
    let (log, recovery) = Log::open(dir.path(), &Options { max_file_bytes: 20_000, ..Options::default() }).unwrap();
    assert!(recovery.created);
    let done = AtomicBool::new(false);
    let seqs = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut last = 0;
            while !done.load(Ordering::SeqCst) {
                let report = verify(dir.path(), None).unwrap();
                assert!(report.last >= last, "the log shrank");
                last = report.last;
                assert!(iter(dir.path()).unwrap().all(|record| record.is_ok()));
            }
        });
        let writers: Vec<_> = (0..8)
            .map(|thread| {
                scope.spawn({
                    let log = &log;
                    move || {
                        (0..200)
                            .map(|number| {
                                let receipt = append(log, thread * 1000 + number);
                                assert_eq!(
                                    (receipt.id(), receipt.level()),
                                    (id(thread * 1000 + number), Level::Written)
                                );
                                if number % 50 == 0 {
                                    let receipt = log.make_durable(receipt).wait().unwrap();
                                    assert_eq!(receipt.level(), Level::Durable);
                                    return receipt.seq();
                                }
                                receipt.seq()
                            })
                            .collect::<Vec<_>>()
                    }
                })
            })
            .collect();
        let seqs: Vec<_> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        done.store(true, Ordering::SeqCst);
        reader.join().unwrap();
        seqs
    });
    assert!(seqs.iter().all(|seqs| seqs.is_sorted()));
    assert_eq!(seqs.concat().into_iter().collect::<BTreeSet<_>>(), (2..=1601).collect());
    let report = verify(dir.path(), Some(&log.head())).unwrap();
    assert_eq!((report.entries, report.first, report.last), (1601, 1, 1601));
    assert!(report.files > 10, "{report:?}");
}

#[test]
fn records_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let head = make(dir.path(), 5, 700);
    let records: Vec<_> = iter(dir.path()).unwrap().map(Result::unwrap).collect();
    assert_eq!(records.iter().map(|record| record.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(records[0].kind, "log.opened");
    assert_eq!(records[5].head(), head);
    let found = find(dir.path(), id(3)).unwrap().unwrap();
    assert_eq!(found, records[4]);
    assert_eq!((found.kind.as_str(), found.at_micros), ("test.entry", 1_767_323_045_678_904));
    assert_eq!(found.value()["text"], "\"ä\\\n");
}

#[test]
fn the_last_entry_of_a_kind_is_found_from_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let (log, _) = Log::open(dir, &Options { max_file_bytes: 4096, ..Options::default() }).unwrap();
    let note = |number: u64, kind: &str| {
        // What a text holds is no kind.
        let fields = json!({"number": number, "text": "\",\"kind\":\"test.rare\""});
        log.append(&Entry { id: id(number), at_micros: 1_767_323_045_678_901, kind, fields: &fields }).unwrap();
    };
    let found = |kind, within| {
        let found = last(dir, kind, within).unwrap();
        found.map(|record| record.value()["number"].as_u64().unwrap())
    };
    note(1, "test.rare");
    note(2, "test.rare");
    assert_eq!((found("test.rare", u64::MAX), found("test.rar", u64::MAX)), (Some(2), None));
    (3..100).for_each(|number| note(number, "test.entry"));
    assert!(fs::read_dir(dir).unwrap().count() > 4, "it is in another file now");
    assert_eq!((found("test.rare", u64::MAX), found("test.entry", u64::MAX)), (Some(2), Some(99)));
    // Not farther than one wants to look, wherever in a line that is.
    for within in 0..700 {
        assert_eq!(found("test.rare", within), None);
        assert!(found("test.entry", within).is_none_or(|number| number == 99), "{within}");
    }
    assert!(last(&dir.join("none"), "test.rare", 1).is_err());
}

#[test]
fn reading_goes_on_where_it_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { max_file_bytes: 700, ..Options::default() };
    make(dir.path(), 2, 700);
    let mut records = iter(dir.path()).unwrap();
    let mut seen = 0;
    for round in 0..4 {
        seen += records.by_ref().map(Result::unwrap).count();
        assert_eq!(seen, 3 + 6 * round, "whatever was closed meanwhile");
        records.resume().unwrap();
        assert!(records.next().is_none(), "nothing twice");
        let (log, _) = Log::open(dir.path(), &options).unwrap();
        let first = 10 * (round as u64 + 1);
        (first..first + 6).for_each(|number| {
            let _receipt = append(&log, number);
        });
        drop(log);
        records.resume().unwrap();
    }
    assert!(records.broken().is_none() && verify(dir.path(), None).unwrap().files > 3);

    // Half a line is read once it is whole.
    records.by_ref().for_each(drop);
    let file = dir.path().join("audit.jsonl");
    let (log, _) = Log::open(dir.path(), &options).unwrap();
    let _receipt = append(&log, 99);
    drop(log);
    let text = fs::read(&file).unwrap();
    fs::write(&file, text.get(..text.len() - 10).unwrap()).unwrap();
    records.resume().unwrap();
    assert!(records.next().is_none());
    fs::write(&file, &text).unwrap();
    records.resume().unwrap();
    assert_eq!(records.next().unwrap().unwrap().id, id(99));
    assert!(records.broken().is_none());

    fs::remove_file(&file).unwrap();
    assert!(records.resume().is_err());
}

#[test]
fn a_line_being_written_is_not_an_error_for_readers() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), 2, 1 << 20);
    let file = dir.path().join("audit.jsonl");
    let text = fs::read_to_string(&file).unwrap() + "{\"seq\":4,\"id\":\"";
    fs::write(&file, text).unwrap();
    assert_eq!(iter(dir.path()).unwrap().map(Result::unwrap).count(), 3);
    assert_eq!(verify(dir.path(), None).unwrap().unfinished_bytes, 15);
    assert_eq!(find(dir.path(), id(9)).unwrap(), None);
}

#[test]
fn a_rotation_that_stopped_at_any_step_is_taken_up() {
    let check = |stop: fn(&Path)| {
        let dir = tempfile::tempdir().unwrap();
        make(dir.path(), 2, 1 << 20);
        stop(dir.path());
        assert_eq!(verify(dir.path(), None).unwrap().entries, 3);
        let recovery = reopen(dir.path());
        assert_eq!((recovery.created, recovery.head.seq), (false, 3));
        reopen(dir.path());
        assert!(!dir.path().join("audit.next").exists());
    };
    check(|dir| fs::write(dir.join("audit.next"), "").unwrap());
    check(|dir| {
        fs::write(dir.join("audit.next"), "").unwrap();
        fs::rename(dir.join("audit.jsonl"), dir.join("audit-00000000000000000001.jsonl")).unwrap();
    });
    check(|dir| {
        fs::rename(dir.join("audit.jsonl"), dir.join("audit-00000000000000000001.jsonl")).unwrap();
        fs::write(dir.join("audit.jsonl"), "").unwrap();
    });
}

#[test]
fn a_rotation_that_fails_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    // A directory in the way of the next file's name cannot be removed as a file.
    let (log, _) = Log::open(dir.path(), &Options { max_file_bytes: 700, ..Options::default() }).unwrap();
    fs::create_dir(dir.path().join("audit.next")).unwrap();
    for number in 0..10 {
        append(&log, number);
    }
    assert_eq!(verify(dir.path(), Some(&log.head())).unwrap().files, 1);
    fs::remove_dir(dir.path().join("audit.next")).unwrap();
    append(&log, 10);
    assert_eq!(verify(dir.path(), Some(&log.head())).unwrap().files, 2);
}

#[test]
fn a_rejected_entry_leaves_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(dir.path(), &Options::default()).unwrap();
    let head = log.head();
    assert!(matches!(log.append(&entry(1, &json!([]))), Err(AuditError::Entry(_))));
    assert!(matches!(log.append(&entry(1, &json!({"chain": 1}))), Err(AuditError::Entry(_))));
    let large = "x".repeat(bartizan_audit::MAX_ENTRY_BYTES);
    assert!(matches!(log.append(&entry(1, &json!({"a": large}))), Err(AuditError::TooLarge { .. })));
    assert_eq!((log.head(), log.state()), (head, State::Writing));
    append(&log, 2);
    assert_eq!(verify(dir.path(), Some(&log.head())).unwrap().entries, 2);
}

/// Fields whose code has a bug.
struct Panics;

impl Serialize for Panics {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("a bug in the caller's code")
    }
}

#[test]
fn a_panic_in_the_callers_code_does_not_stop_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(dir.path(), &Options::default()).unwrap();
    let panicked = thread::scope(|scope| scope.spawn(|| drop(log.append(&entry(1, &Panics)))).join());
    assert!(panicked.is_err());
    append(&log, 2);
    assert_eq!(verify(dir.path(), Some(&log.head())).unwrap().entries, 2);
}

#[test]
fn a_deleted_file_is_noticed_and_final() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(dir.path(), &Options::default()).unwrap();
    fs::remove_file(dir.path().join("audit.jsonl")).unwrap();
    let fields = json!({});
    let mut late = entry(1, &fields);
    late.at_micros += 5_000_000;
    for _ in 0..2 {
        assert!(matches!(log.append(&late), Err(AuditError::Removed)));
        assert_eq!(log.state(), State::Dead);
    }
}

#[test]
fn the_log_belongs_to_its_owner_alone() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("state/audit");
    make(&dir, 4, 700);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for file in fs::read_dir(&dir).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
    }
    fs::set_permissions(dir.join("audit.jsonl"), fs::Permissions::from_mode(0o644)).unwrap();
    reopen(&dir);
    assert_eq!(mode(&dir.join("audit.jsonl")), 0o600);

    fs::set_permissions(&dir, fs::Permissions::from_mode(0o770)).unwrap();
    let refused = Log::open(&dir, &Options::default());
    assert!(matches!(refused, Err(AuditError::Insecure { .. })), "{refused:?}");
}

#[test]
fn a_link_or_a_directory_in_the_logs_place_is_refused() {
    let check = |place: fn(&Path)| {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("elsewhere"), "").unwrap();
        place(dir.path());
        let refused = Log::open(dir.path(), &Options::default());
        assert!(matches!(refused, Err(AuditError::Io { .. })), "{refused:?}");
        assert!(verify(dir.path(), None).is_err());
        assert_eq!(fs::read(dir.path().join("elsewhere")).unwrap(), b"");
    };
    check(|dir| symlink(dir.join("elsewhere"), dir.join("audit.jsonl")).unwrap());
    check(|dir| fs::create_dir(dir.join("audit.jsonl")).unwrap());
}
