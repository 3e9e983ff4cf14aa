//! A log that is sealed: nothing of it is to be read without its key, and whatever is done to it is noticed as in a plain one.

#![expect(clippy::unwrap_used, reason = "test code")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use bartizan_audit::{
    At, AuditError, Closed, Head, Keys, Log, Options, Problem, Proof, find, iter, last, prove, trace, verify,
};
use common::{append, files_of, id, keys, other_keys, quick};
use tempfile::TempDir;

fn open<'a>(log: impl Into<At<'a>>, max_file_bytes: u64, seal: bool) -> (Log, bartizan_audit::Recovery) {
    Log::open(log, &Options { max_file_bytes, seal }).unwrap()
}

/// A sealed log with so many entries of the test.
fn sealed(entries: u64, max_file_bytes: u64) -> (TempDir, Head) {
    let dir = quick();
    let (log, _) = open((dir.path(), &keys()), max_file_bytes, true);
    (0..entries).for_each(|number| _ = append(&log, number));
    let head = log.head();
    drop(log);
    (dir, head)
}

/// A log of seven entries in three files, and the paths of these in order.
fn three_files() -> (TempDir, Head, Vec<PathBuf>) {
    let (dir, head) = sealed(6, 1000);
    let files = lines_in(dir.path());
    assert_eq!(files.len(), 3, "{files:?}");
    check(dir.path(), Some(&head)).unwrap();
    (dir, head, files)
}

fn lines_in(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "sealed" || end == "jsonl"));
    files.sort();
    files
}

fn check(dir: &Path, head: Option<&Head>) -> Result<bartizan_audit::Report, bartizan_audit::Fault> {
    verify((dir, &keys()), head)
}

fn texts(dir: &Path) -> Vec<String> {
    iter((dir, &keys())).unwrap().map(|record| record.unwrap().text().to_owned()).collect()
}

#[test]
fn what_is_sealed_is_read_with_the_key_and_shows_nothing_without() {
    let (dir, head) = sealed(600, 20_000);
    let report = check(dir.path(), Some(&head)).unwrap();
    assert_eq!((report.entries, report.first, report.unfinished_bytes), (601, 1, 0));
    assert!(report.files > 3 && report.checkpoint.unwrap().size == 601);
    assert_eq!(find((dir.path(), &keys()), id(5)).unwrap().unwrap().value()["number"], 5);
    assert_eq!(last((dir.path(), &keys()), "test.entry", 5_000).unwrap().unwrap().value()["number"], 599);
    assert!(trace((dir.path(), &keys()), id(300), &[]).unwrap().unwrap().broken.is_none());
    let known = texts(dir.path());
    // A word of them, or the key of the checkpoint, is in no file.
    for file in files_of(dir.path()) {
        let bytes = fs::read(&file).unwrap();
        for word in ["test.entry", "log.opened", "number", "\"seq\"", "2026-", &id(5).to_string(), "PRIVATE+KEY"] {
            let is_in = bytes.windows(word.len()).any(|window| window == word.as_bytes());
            assert!(!is_in, "{word} in {}", file.display());
        }
    }
    for keys in [Keys::NONE, other_keys()] {
        let at = || At::from((dir.path(), &keys));
        let is_closed = |problem: &Problem| matches!(problem, Problem::Closed(Closed::Key { .. }));
        assert!(is_closed(&verify(at(), None).unwrap_err().problem));
        assert!(is_closed(&find(at(), id(5)).unwrap_err().problem));
        assert!(is_closed(&iter(at()).unwrap().next().unwrap().unwrap_err().problem));
        let error = Log::open(at(), &Options::default()).unwrap_err();
        assert!(matches!(error, AuditError::Sealed(Closed::Key { .. })), "{error}");
        assert!(error.to_string().contains("put that key back"), "{error}");
    }
    assert_eq!(texts(dir.path()), known, "nothing was changed by that");
}

#[test]
fn a_proof_is_the_same_as_in_a_plain_log() {
    let (dir, _) = sealed(300, 1 << 20);
    let key = check(dir.path(), None).unwrap().key.unwrap();
    let proof = prove((dir.path(), &keys()), id(7)).unwrap().unwrap().to_string();
    let (proof, checkpoint) = Proof::open(&proof, &key).unwrap();
    assert_eq!((proof.record.value()["number"].as_u64(), checkpoint.size), (Some(7), 301));
}

#[test]
fn every_flipped_byte_is_detected() {
    let (dir, head, files) = three_files();
    for file in files.iter().chain(&files_of(&dir.path().join("keys"))) {
        let good = fs::read(file).unwrap();
        for at in 0..good.len() {
            for mask in [1, 32, 128, 255] {
                let mut bad = good.clone();
                bad[at] ^= mask;
                fs::write(file, &bad).unwrap();
                let place = format!("{} byte {at} mask {mask}", file.display());
                let fault = check(dir.path(), None).err().unwrap_or_else(|| panic!("not detected: {place}"));
                // Of a key it is where that is needed; and a last line that does not end is not there.
                let is_elsewhere =
                    file.parent() != Some(dir.path()) || fault.file == "checkpoint" && at == good.len() - 1;
                assert!(is_elsewhere || file.ends_with(&fault.file), "{place}: blames {fault}");
            }
        }
        fs::write(file, &good).unwrap();
    }
    check(dir.path(), Some(&head)).unwrap();
}

#[test]
fn every_truncation_is_detected() {
    let (dir, head, files) = three_files();
    for file in &files {
        let good = fs::read(file).unwrap();
        for length in 0..good.len() {
            fs::write(file, &good[..length]).unwrap();
            assert!(check(dir.path(), None).is_err(), "{} cut to {length}", file.display());
            assert!(check(dir.path(), Some(&head)).is_err(), "{} cut to {length}", file.display());
        }
        fs::write(file, &good).unwrap();
    }
}

#[test]
fn lines_that_were_moved_doubled_or_removed_are_detected() {
    type Change = fn(&mut Vec<Vec<u8>>);
    let changes: [Change; 5] = [
        |lines| lines.swap(2, 3),
        |lines| drop(lines.remove(3)),
        |lines| drop(lines.remove(1)),
        |lines| lines.insert(3, lines[2].clone()),
        |lines| lines.insert(3, Vec::new()),
    ];
    for change in changes {
        let (dir, _) = sealed(6, 1 << 20);
        let file = dir.path().join("audit.sealed");
        let mut lines: Vec<_> = fs::read(&file).unwrap().split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        change(&mut lines);
        fs::write(&file, lines.join(&b'\n')).unwrap();
        assert!(check(dir.path(), None).is_err());
    }
    // Those of one file are none of another, of the same log or not.
    let (dir, _, files) = three_files();
    let (first, second) = (fs::read(&files[0]).unwrap(), fs::read(&files[1]).unwrap());
    fs::write(&files[1], [&second[..], first.split_inclusive(|byte| *byte == b'\n').next_back().unwrap()].concat())
        .unwrap();
    assert!(matches!(check(dir.path(), None).unwrap_err().problem, Problem::Sealed));
}

#[test]
fn a_log_cut_anywhere_opens_again_and_says_what_it_removed() {
    let (origin, _) = sealed(3, 1 << 20);
    let good = fs::read(origin.path().join("audit.sealed")).unwrap();
    let header = good.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    for length in 0..good.len() {
        let dir = quick();
        fs::create_dir(dir.path().join("keys")).unwrap();
        for key in files_of(&origin.path().join("keys")) {
            fs::copy(&key, dir.path().join("keys").join(key.file_name().unwrap())).unwrap();
        }
        fs::write(dir.path().join("audit.sealed"), &good[..length]).unwrap();
        let opened = Log::open((dir.path(), &keys()), &Options::default());
        if length < header {
            // A file is put in its place once its first line is on disk, so no crash leaves this.
            assert!(opened.is_err(), "cut to {length}");
            continue;
        }
        let (log, recovery) = opened.unwrap();
        append(&log, 1_000_000);
        check(dir.path(), Some(&log.head())).unwrap();
        let whole = good[..length].iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
        assert_eq!(recovery.created, whole == header, "cut to {length}");
        let removed: Vec<_> = recovery.torn.iter().map(|torn| (torn.offset, torn.bytes)).collect();
        let expected = (whole < length).then_some((whole as u64, (length - whole) as u64));
        assert_eq!(removed, Vec::from_iter(expected), "cut to {length}");
    }
}

#[test]
fn a_log_may_become_sealed_and_plain_again() {
    let dir = quick();
    let at = (dir.path(), &keys());
    let mut number = 0;
    let mut add = |log: Log| {
        (0..3).for_each(|_| {
            append(&log, number);
            number += 1;
        });
        log.head()
    };
    add(Log::open(dir.path(), &Options::default()).unwrap().0);
    assert!(dir.path().join("audit.jsonl").is_file());
    for seal in [true, false, true, true] {
        let head = add(open(at, 1 << 20, seal).0);
        assert_eq!(check(dir.path(), Some(&head)).unwrap().unfinished_bytes, 0);
        let current: Vec<_> =
            lines_in(dir.path()).into_iter().filter(|path| !path.to_str().unwrap().contains("audit-")).collect();
        assert_eq!(current, [dir.path().join(if seal { "audit.sealed" } else { "audit.jsonl" })]);
    }
    let numbers: Vec<_> = iter(at).unwrap().filter_map(|record| record.unwrap().value()["number"].as_u64()).collect();
    assert_eq!(numbers, (0..15).collect::<Vec<_>>());
}

#[test]
fn a_new_key_wraps_what_there_is_and_the_old_one_opens_what_was_copied_before() {
    let place = quick();
    let path = place.path().join("audit.key");
    let dir = quick();
    let old = Keys::kept(&path, dir.path()).unwrap();
    let (log, _) = open((dir.path(), &old), 2_000, true);
    (0..20).for_each(|number| _ = append(&log, number));
    drop(log);
    let backup = quick();
    for file in files_of(dir.path()) {
        let to = backup.path().join(file.strip_prefix(dir.path()).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(file, to).unwrap();
    }

    assert!(Keys::renew(&place.path().join("none")).unwrap().is_none(), "none is made where one may be lost");
    let both = Keys::renew(&path).unwrap().unwrap();
    assert_eq!(both.names().skip(1).collect::<Vec<_>>(), old.names().collect::<Vec<_>>());
    let (log, _) = open((dir.path(), &both), 2_000, true);
    (20..40).for_each(|number| _ = append(&log, number));
    let head = log.head();
    drop(log);
    let aside = Keys::set_aside(&path).unwrap().unwrap();
    assert_eq!(Keys::set_aside(&path).unwrap(), None);
    let new = Keys::read(&path).unwrap().unwrap();
    assert_eq!(new.names().count(), 1);
    verify((dir.path(), &new), Some(&head)).unwrap();
    assert!(verify((dir.path(), &old), None).is_err());
    Log::open((dir.path(), &new), &Options::default()).unwrap();

    assert!(verify((backup.path(), &new), None).is_err());
    assert_eq!(verify((backup.path(), &old), None).unwrap().entries, 21);
    // Of several that were set aside none is lost.
    Keys::renew(&path).unwrap();
    Keys::set_aside(&path).unwrap();
    let aside = Keys::read(&aside).unwrap().unwrap();
    assert_eq!(aside.names().collect::<Vec<_>>(), new.names().chain(old.names()).collect::<Vec<_>>());
    assert_eq!(verify((backup.path(), &aside), None).unwrap().entries, 21);
}

#[test]
fn nothing_is_sealed_twice_with_one_nonce_over_many_starts() {
    let dir = quick();
    for number in 0..40 {
        let (log, _) = open((dir.path(), &keys()), 1 << 20, true);
        append(&log, number);
    }
    let bytes = fs::read(dir.path().join("audit.sealed")).unwrap();
    let lines: Vec<_> = bytes.split(|byte| *byte == b'\n').skip(1).filter(|line| !line.is_empty()).collect();
    // Escapes make some of these longer, and none the same.
    let starts: BTreeSet<_> = lines.iter().map(|line| &line[..12]).collect();
    assert_eq!((starts.len(), lines.len()), (41, 41));
}

proptest::proptest! {
    #[test]
    fn any_bytes_may_be_read(line: Vec<u8>) {
        let (dir, _) = sealed(1, 1 << 20);
        let file = dir.path().join("audit.sealed");
        let good = fs::read(&file).unwrap();
        fs::write(&file, &line).unwrap();
        proptest::prop_assert!(check(dir.path(), None).is_err());
        fs::write(&file, [&good[..], &line, b"\n"].concat()).unwrap();
        proptest::prop_assert!(check(dir.path(), None).is_err());
    }
}
