//! The tree over a log: what proves an entry, what notices that a log was put back or written anew, and what a start finds.

#![expect(clippy::unwrap_used, reason = "test code")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use bartizan_audit::{AuditError, Checkpoint, Fault, Known, Log, LogKey, Options, Problem, Proof, Report};
use bartizan_audit::{iter, prove, verify, verify_against};
use common::{append, files_of, id, make, quick, reopen};
use tempfile::TempDir;

/// A log with so many entries of the test, closed.
fn log_of(entries: u64) -> (TempDir, Report) {
    let dir = quick();
    make(dir.path(), entries, 20_000);
    let report = verify(dir.path(), None).unwrap();
    (dir, report)
}

fn fill(log: &Log, numbers: std::ops::Range<u64>) {
    for number in numbers {
        append(log, number);
    }
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

/// The log as it is on disk now, as a kill or a backup would leave it.
fn copy(dir: &Path) -> TempDir {
    let to = quick();
    for file in files_of(dir) {
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
        let kept = files_of(&dir.path().join("tile")).len() as u64;
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
    let dir = quick();
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
fn whoever_ends_has_all_under_a_checkpoint_first() {
    let dir = quick();
    let (log, _) = Log::open(dir.path(), &Options::default()).unwrap();
    for number in 0..5 {
        append(&log, number);
        log.settle();
        assert_eq!(prove(dir.path(), id(number)).unwrap().unwrap().record.seq, number + 2);
    }
    log.settle();
    assert_eq!(size(&verify(dir.path(), None).unwrap()), 6);
    // Where no checkpoint can be made, nobody waits for it for ever, and nothing is lost.
    fs::remove_dir_all(dir.path().join("tile")).unwrap();
    fs::write(dir.path().join("tile"), "").unwrap();
    append(&log, 9);
    log.settle();
    assert!(log.behind().unwrap().contains("cannot be written"));
    fs::remove_file(dir.path().join("tile")).unwrap();
    append(&log, 10);
    while log.behind().is_some() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    drop(log);
    reopen(dir.path());
    assert_eq!(size(&verify(dir.path(), None).unwrap()), 9);
}

#[test]
fn every_flipped_byte_of_a_checkpoint_and_of_the_tiles_is_detected() {
    let (dir, _) = log_of(300);
    let tiles = files_of(&dir.path().join("tile"));
    assert_eq!(tiles.len(), 3, "{tiles:?}");
    for file in tiles.iter().chain([&dir.path().join("checkpoint")]) {
        let good = fs::read(file).unwrap();
        let step = if good.len() > 500 { 13 } else { 1 };
        for at in (0..good.len()).step_by(step) {
            for mask in [1, 128] {
                let mut bad = good.clone();
                bad[at] ^= mask;
                fs::write(file, &bad).unwrap();
                let fault = verify(dir.path(), None).err().unwrap_or_else(|| panic!("{} {at} {mask}", file.display()));
                let blamed = file.display().to_string();
                assert!(blamed.contains(&fault.file), "{blamed} {at}: {fault}");
                let is_right = match fault.problem {
                    Problem::Tile => fault.file.starts_with("tile"),
                    Problem::Checkpoint(_) | Problem::Root { .. } | Problem::Shorter { .. } => {
                        fault.file == "checkpoint"
                    }
                    _ => false,
                };
                assert!(is_right, "{blamed} {at}: {fault}");
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
        fill(&log, first..first + 5);
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
    check(|dir| fs::write(dir.join("checkpoint"), "nonsense").unwrap(), "checkpoint was not one of its key", true);
    check(|dir| fs::remove_dir_all(dir.join("tile")).unwrap(), "tile", true);
    check(|dir| fs::write(files_of(&dir.join("tile/0/002.p")).pop().unwrap(), [0; 32]).unwrap(), "tile", true);
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
fn a_tile_that_is_full_and_needed_is_made_anew_as_well() {
    // 256 entries: nothing but full tiles and what is above them.
    for (entries, more) in [(255, 0), (255, 3), (511, 0), (600, 0)] {
        for change in [
            |file: &Path| fs::remove_file(file).unwrap(),
            |file: &Path| {
                let mut bytes = fs::read(file).unwrap();
                let last = bytes.len() - 1;
                bytes[last] ^= 1;
                fs::write(file, bytes).unwrap();
            },
        ] {
            let (dir, _) = log_of(entries);
            let (log, _) = Log::open(dir.path(), &Options::default()).unwrap();
            fill(&log, 2_000..2_000 + more);
            // The entries behind the checkpoint are there, and a later one is not.
            let killed = copy(dir.path());
            drop(log);
            let mut tiles = files_of(&killed.path().join("tile/0"));
            tiles.sort();
            change(tiles.last().unwrap());
            assert!(verify(killed.path(), None).is_err());
            let recovery = reopen(killed.path());
            assert!(recovery.anew.is_some_and(|why| why.contains("tile")), "{entries} {more}: {recovery:?}");
            prove(killed.path(), id(3)).unwrap().unwrap();
        }
    }
}

#[test]
fn what_a_checkpoint_says_has_to_hold_whoever_signed_it() {
    for change in [
        |dir: &Path| fs::remove_file(dir.join("checkpoint.key")).unwrap(),
        |dir: &Path| {
            let note = note(dir);
            fs::write(dir.join("checkpoint"), note.trim_end()).unwrap();
        },
    ] {
        let (dir, _) = log_of(40);
        change(dir.path());
        let file = dir.path().join("audit.jsonl");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.split_inclusive('\n').take(20).collect::<String>()).unwrap();
        let error = Log::open(dir.path(), &Options::default()).unwrap_err();
        assert!(
            matches!(&error, AuditError::Damaged(fault) if matches!(fault.problem, Problem::Shorter { .. })),
            "{error}"
        );
        fs::write(&file, text).unwrap();
        reopen(dir.path());
    }
    // What is no text at all is none, and what is under it is made anew.
    for nothing in [&b"\xff\xfe"[..], &[b'x'; 200 << 10]] {
        let (dir, _) = log_of(3);
        fs::write(dir.path().join("checkpoint"), nothing).unwrap();
        let fault = verify(dir.path(), None).unwrap_err();
        assert!(matches!(fault.problem, Problem::Checkpoint(_)), "{fault}");
        assert!(reopen(dir.path()).anew.is_some());
    }
}

#[test]
fn a_log_is_whole_at_each_step_of_a_start_with_another_key() {
    let (dir, first) = log_of(30);
    let old = note(dir.path());
    fs::remove_file(dir.path().join("checkpoint.key")).unwrap();
    reopen(dir.path());
    let later = verify(dir.path(), None).unwrap();
    assert_ne!(later.key, first.key);
    // Killed before the new checkpoint: the one before is of the key that the log named then.
    let new = note(dir.path());
    fs::write(dir.path().join("checkpoint"), &old).unwrap();
    let between = verify(dir.path(), None).unwrap();
    assert_eq!((&between.key, size(&between)), (&first.key, 31));
    fs::write(dir.path().join("checkpoint"), &new).unwrap();
    // What was kept before it is of this log all the same.
    verify_against(dir.path(), &Known { checkpoint: Some(&old), ..Known::default() }).unwrap();
}

#[test]
fn who_looks_while_a_log_begins_sees_no_fault() {
    for _ in 0..40 {
        let dir = quick();
        std::thread::scope(|scope| {
            let looking = scope.spawn(|| {
                let mut seen = 0;
                while seen < 20 {
                    match verify(dir.path(), None) {
                        Ok(_) => seen += 1,
                        Err(Fault { problem: Problem::Empty, .. }) => {}
                        Err(fault) => panic!("{fault}"),
                    }
                }
            });
            let (log, _) = Log::open(dir.path(), &Options::default()).unwrap();
            append(&log, 1);
            looking.join().unwrap();
        });
    }
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
    let dir = quick();
    let (log, _) = Log::open(dir.path(), &Options { max_file_bytes: 20_000, ..Options::default() }).unwrap();
    let mut number = 0;
    for burst in [1, 254, 3, 255, 256, 257, 10] {
        (0..burst).for_each(|_| {
            append(&log, number);
            number += 1;
        });
        // What is being replaced while it is copied is no state that a kill leaves.
        let killed = loop {
            let before = note(dir.path());
            let killed = std::panic::catch_unwind(|| copy(dir.path()));
            if let (Ok(killed), true) = (killed, note(dir.path()) == before) {
                break killed;
            }
        };
        let before = verify(killed.path(), None).unwrap();
        assert!(size(&before) <= before.entries && before.entries == number + 1);
        let recovery = reopen(killed.path());
        assert_eq!((recovery.anew, recovery.torn.len()), (None, 0));
        let after = verify(killed.path(), None).unwrap();
        assert_eq!((size(&after), after.entries), (number + 2, number + 2));
        prove(killed.path(), id(number - 1)).unwrap().unwrap();
    }
}
