//! The tree over a log: what proves an entry, what notices that a log was put back or written anew, and what a start finds.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "test code")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use bartizan_audit::{AuditError, Checkpoint, Fault, Known, Log, LogKey, Options, Problem, Proof, Report};
use bartizan_audit::{iter, prove, verify, verify_against};
use common::{append, id, make, reopen};
use tempfile::TempDir;

/// A log with so many entries of the test, closed.
fn log_of(entries: u64) -> (TempDir, Report) {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), entries, 20_000);
    let report = verify(dir.path(), None).unwrap();
    (dir, report)
}

fn key(report: &Report) -> LogKey {
    report.key.clone().unwrap()
}

fn size(report: &Report) -> u64 {
    report.checkpoint.as_ref().unwrap().size
}

fn note(dir: &Path) -> String {
    fs::read_to_string(dir.join("checkpoint")).unwrap()
}

/// All files of a folder, with those of folders in it.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The log as it is on disk now, as a kill or a backup would leave it.
fn copy(dir: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    for file in files(dir) {
        let place = to.path().join(file.strip_prefix(dir).unwrap());
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy(file, place).unwrap();
    }
    to
}

#[test]
fn a_log_that_was_closed_has_all_entries_under_its_checkpoint() {
    for entries in [0, 1, 254, 255, 256, 600] {
        let (dir, report) = log_of(entries);
        assert_eq!((size(&report), report.entries), (entries + 1, entries + 1));
        assert_eq!(Checkpoint::open(&note(dir.path()), &key(&report)), Ok(report.checkpoint.clone().unwrap()));
        reopen(dir.path());
        let later = verify(dir.path(), None).unwrap();
        assert_eq!((size(&later), &later.key), (entries + 2, &report.key), "the key stays");
        let kept = files(&dir.path().join("tile")).len() as u64;
        assert!(kept <= (entries + 2) / 256 + 2, "{kept} tiles of {entries} entries");
    }
}

#[test]
fn each_entry_is_proven_to_whoever_has_the_key() {
    let (dir, report) = log_of(600);
    let key = key(&report);
    for number in (0..600).step_by(7).chain([254, 255, 256, 599]) {
        let proof = prove(dir.path(), id(number)).unwrap().unwrap();
        assert_eq!(proof.record.value()["number"], number);
        let text = proof.to_string();
        let (read, checkpoint) = Proof::open(&text, &key).unwrap();
        assert_eq!((read, checkpoint), (proof, report.checkpoint.clone().unwrap()));
    }
    assert_eq!(prove(dir.path(), id(9_999)).unwrap(), None);
    let text = prove(dir.path(), id(300)).unwrap().unwrap().to_string();
    let (_, other) = log_of(1);
    assert!(Proof::open(&text, other.key.as_ref().unwrap()).is_err());
    // What is left of a proof, or is another one, proves nothing.
    for at in 0..text.len() {
        for mask in [1, 4, 32, 64] {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= mask;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            assert!(Proof::open(&changed, &key).is_err(), "{changed}");
        }
        assert!(text.get(..at).is_none_or(|cut| Proof::open(cut, &key).is_err()));
    }
    let another = prove(dir.path(), id(301)).unwrap().unwrap().to_string();
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    for line in 0..3 {
        let mut mixed = lines(&text);
        mixed[line] = lines(&another)[line].clone();
        assert!(mixed == lines(&text) || Proof::open(&(mixed.join("\n") + "\n"), &key).is_err(), "{line}");
    }
}

#[test]
fn an_entry_that_is_new_is_proven_a_little_later() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(dir.path(), &Options::default()).unwrap();
    append(&log, 1);
    let mut tries = 0;
    loop {
        match prove(dir.path(), id(1)) {
            Ok(proof) => break assert_eq!(proof.unwrap().record.seq, 2),
            Err(Fault { problem: Problem::NotYet { seq: 2, .. }, .. }) if tries < 1000 => tries += 1,
            other => panic!("{other:?}"),
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(log.behind(), None);
}

#[test]
fn every_flipped_byte_of_a_checkpoint_and_of_the_tiles_is_detected() {
    let (dir, _) = log_of(300);
    let tiles = files(&dir.path().join("tile"));
    assert_eq!(tiles.len(), 3, "{tiles:?}");
    for file in tiles.iter().chain([&dir.path().join("checkpoint")]) {
        let good = fs::read(file).unwrap();
        let step = if good.len() > 2000 { 31 } else { 1 };
        for at in (0..good.len()).step_by(step) {
            for mask in [1, 128] {
                let mut bad = good.clone();
                bad[at] ^= mask;
                fs::write(file, &bad).unwrap();
                let fault = verify(dir.path(), None).err().unwrap_or_else(|| panic!("{} {at} {mask}", file.display()));
                let blamed = file.display().to_string();
                assert!(blamed.contains(&fault.file), "{blamed} {at}: {fault}");
            }
        }
        for length in [0, 1, good.len() / 2, good.len() - 1] {
            fs::write(file, &good[..length]).unwrap();
            assert!(verify(dir.path(), None).is_err(), "{} cut to {length}", file.display());
        }
        fs::remove_file(file).unwrap();
        assert!(verify(dir.path(), None).is_err(), "{} removed", file.display());
        fs::write(file, &good).unwrap();
    }
    verify(dir.path(), None).unwrap();
}

#[test]
fn a_log_that_was_put_back_or_written_anew_is_detected_with_a_checkpoint_that_was_kept() {
    let (dir, first) = log_of(20);
    let (early, early_note) = (copy(dir.path()), note(dir.path()));
    reopen(dir.path());
    let late_note = note(dir.path());
    let key = key(&first);
    let against = |dir: &Path, note: &str, key: Option<&LogKey>| {
        verify_against(dir, &Known { checkpoint: Some(note), key, ..Known::default() })
    };
    for key in [None, Some(&key)] {
        assert_eq!(size(&against(dir.path(), &early_note, key).unwrap()), 22, "it has grown from there");
        against(dir.path(), &late_note, key).unwrap();
        // Put back to an earlier state as a whole, it is a log like any other.
        verify(early.path(), None).unwrap();
        let fault = against(early.path(), &late_note, key).unwrap_err();
        assert!(matches!(fault.problem, Problem::Shorter { expected: 22, found: 21 }), "{fault}");
    }
    // Going on from there with something else.
    let (log, _) = Log::open(early.path(), &Options::default()).unwrap();
    append(&log, 77);
    append(&log, 78);
    drop(log);
    assert_eq!(size(&verify(early.path(), None).unwrap()), 23);
    let fault = against(early.path(), &late_note, None).unwrap_err();
    assert!(matches!(fault.problem, Problem::Root { size: 22 }), "{fault}");
    // Whoever writes a new one has no key for it.
    let (other, report) = log_of(30);
    verify_against(other.path(), &Known { key: report.key.as_ref(), ..Known::default() }).unwrap();
    let fault = verify_against(other.path(), &Known { key: Some(&key), ..Known::default() }).unwrap_err();
    assert!(matches!(fault.problem, Problem::Checkpoint(_)), "{fault}");
    for wrong in ["", "x", &late_note.replacen("22", "21", 1)] {
        assert!(against(dir.path(), wrong, None).is_err(), "{wrong}");
    }
}

#[test]
fn a_log_that_is_shorter_than_its_checkpoint_is_neither_whole_nor_opened() {
    let (dir, _) = log_of(40);
    let file = dir.path().join("audit.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    let lines: Vec<_> = text.lines().collect();
    for left in 1..lines.len() {
        fs::write(&file, lines[..left].join("\n") + "\n").unwrap();
        assert!(matches!(verify(dir.path(), None).unwrap_err().problem, Problem::Shorter { expected: 41, .. }));
        let error = Log::open(dir.path(), &Options::default()).unwrap_err();
        assert!(matches!(&error, AuditError::Damaged(fault) if fault.file == "checkpoint"), "{error}");
    }
    fs::write(&file, &text).unwrap();
    reopen(dir.path());
}

#[test]
fn a_log_with_other_entries_than_its_checkpoint_is_not_opened() {
    let (dir, _) = log_of(20);
    let (one, other) = (copy(dir.path()), copy(dir.path()));
    for (dir, first) in [(&one, 100), (&other, 200)] {
        let (log, _) = Log::open(dir.path(), &Options::default()).unwrap();
        (first..first + 5).for_each(|number| drop(append(&log, number)));
    }
    let file = |dir: &TempDir| dir.path().join("audit.jsonl");
    fs::copy(file(&other), file(&one)).unwrap();
    assert!(matches!(verify(one.path(), None).unwrap_err().problem, Problem::Root { size: 26 }));
    let refused = |dir: &TempDir| {
        let error = Log::open(dir.path(), &Options::default()).unwrap_err();
        assert!(
            matches!(&error, AuditError::Damaged(fault) if matches!(fault.problem, Problem::Root { .. })),
            "{error}"
        );
    };
    refused(&one);
    // Nor where it goes on behind them.
    let bare = copy(other.path());
    for name in ["checkpoint", "checkpoint.key"] {
        fs::remove_file(bare.path().join(name)).unwrap();
    }
    reopen(bare.path());
    fs::copy(file(&bare), file(&one)).unwrap();
    refused(&one);
}

#[test]
fn what_is_missing_of_the_tree_is_made_anew_and_the_log_says_so() {
    let kinds = |dir: &Path| iter(dir).unwrap().map(|record| record.unwrap().kind).collect::<Vec<_>>();
    let check = |remove: fn(&Path), why: &str, is_same_key: bool| {
        let (dir, report) = log_of(600);
        remove(dir.path());
        let recovery = reopen(dir.path());
        assert!(recovery.anew.unwrap().contains(why), "{recovery:?}");
        let later = verify(dir.path(), None).unwrap();
        assert_eq!(later.key == report.key, is_same_key);
        assert_eq!(size(&later), later.entries);
        let kinds = kinds(dir.path());
        assert_eq!(kinds.iter().filter(|kind| *kind == "log.tree").count(), 1);
        assert_eq!(kinds.iter().any(|kind| kind == "log.key"), !is_same_key);
        assert!(reopen(dir.path()).anew.is_none(), "once");
        assert!(prove(dir.path(), id(3)).unwrap().is_some());
    };
    let remove = |path: PathBuf| fs::remove_file(path).unwrap();
    check(|dir| fs::remove_file(dir.join("checkpoint")).unwrap(), "checkpoint was not there", true);
    check(|dir| fs::write(dir.join("checkpoint"), "nonsense").unwrap(), "checkpoint was none", true);
    check(|dir| fs::remove_dir_all(dir.join("tile")).unwrap(), "tile", true);
    check(|dir| fs::write(files(&dir.join("tile/0/002.p")).pop().unwrap(), [0; 32]).unwrap(), "tile", true);
    check(|dir| fs::remove_file(dir.join("checkpoint.key")).unwrap(), "key was not there", false);
    // One that was written before there were any.
    let (dir, _) = log_of(5);
    let file = dir.path().join("audit.jsonl");
    ["checkpoint", "checkpoint.key"].into_iter().for_each(|name| remove(dir.path().join(name)));
    fs::remove_dir_all(dir.path().join("tile")).unwrap();
    assert!(matches!(verify(dir.path(), None).unwrap_err().problem, Problem::NoCheckpoint));
    assert!(file.exists() && reopen(dir.path()).anew.is_some());
    // A key that is none is nobody's to replace.
    fs::write(dir.path().join("checkpoint.key"), "nonsense").unwrap();
    assert!(matches!(Log::open(dir.path(), &Options::default()), Err(AuditError::Damaged(_))));
}

#[test]
fn a_start_after_a_kill_in_a_file_without_a_whole_line_takes_the_one_before() {
    let (dir, _) = log_of(100);
    let text = fs::read_to_string(dir.path().join("audit.jsonl")).unwrap();
    // The last file was closed, and a new one is begun.
    let killed = copy(dir.path());
    fs::remove_file(killed.path().join("checkpoint")).unwrap();
    let first: u64 = text.strip_prefix("{\"seq\":").unwrap().split(',').next().unwrap().parse().unwrap();
    let closed = killed.path().join(format!("audit-{first:020}.jsonl"));
    fs::rename(killed.path().join("audit.jsonl"), closed).unwrap();
    for torn in ["", "{\"seq\":102,\"id"] {
        fs::write(killed.path().join("audit.jsonl"), torn).unwrap();
        let again = copy(killed.path());
        let recovery = reopen(again.path());
        assert_eq!((recovery.torn.len(), recovery.anew.is_some()), (usize::from(!torn.is_empty()), true));
    }
}

#[test]
fn a_start_after_a_kill_takes_the_entries_behind_the_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(dir.path(), &Options { max_file_bytes: 20_000 }).unwrap();
    let mut number = 0;
    for burst in [1, 254, 3, 255, 256, 257, 10] {
        (0..burst).for_each(|_| {
            append(&log, number);
            number += 1;
        });
        let killed = copy(dir.path());
        let before = verify(killed.path(), None).unwrap();
        assert!(size(&before) <= before.entries && before.entries == number + 1);
        let recovery = reopen(killed.path());
        assert_eq!((recovery.anew, recovery.torn.len()), (None, 0));
        let after = verify(killed.path(), None).unwrap();
        assert_eq!((size(&after), after.entries), (number + 2, number + 2));
        prove(killed.path(), id(number - 1)).unwrap().unwrap();
    }
}
