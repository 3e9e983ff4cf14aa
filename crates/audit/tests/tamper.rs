//! Whatever is done to the files of a log, `verify` notices.

#![expect(clippy::unwrap_used, reason = "test code")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use bartizan_audit::{AuditError, Fault, Head, Log, Options, Problem, find, iter, trace, verify};
use common::{id, make, quick, reopen};
use tempfile::TempDir;

/// A log of seven entries in three files, and the paths of these in order.
fn three_files() -> (TempDir, Head, Vec<PathBuf>) {
    let dir = quick();
    let head = make(dir.path(), 6, 700);
    let files = files(dir.path());
    assert_eq!(files.len(), 3, "{files:?}");
    verify(dir.path(), Some(&head)).unwrap();
    (dir, head, files)
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    // "audit-…" sorts before "audit.jsonl", so this is the log's order.
    files.sort();
    files
}

#[test]
fn every_flipped_byte_is_detected() {
    let (dir, head, files) = three_files();
    let mut flips = 0;
    for file in &files {
        let good = fs::read(file).unwrap();
        for at in 0..good.len() {
            for mask in [1, 4, 32, 128, 255] {
                let mut bad = good.clone();
                bad[at] ^= mask;
                fs::write(file, &bad).unwrap();
                let result = verify(dir.path(), None);
                let place = format!("{} byte {at} mask {mask}", file.display());
                let fault = result.err().unwrap_or_else(|| panic!("not detected: {place}"));
                assert!(file.ends_with(&fault.file), "{place}: blames {fault}");
                assert!(fault.offset <= at as u64, "{place}: blames {fault}");
                flips += 1;
            }
        }
        fs::write(file, &good).unwrap();
    }
    assert!(flips > 5 * 1500);
    verify(dir.path(), Some(&head)).unwrap();
}

#[test]
fn every_truncation_is_detected() {
    let (dir, head, files) = three_files();
    for (number, file) in files.iter().enumerate() {
        let good = fs::read(file).unwrap();
        for length in 0..good.len() {
            fs::write(file, &good[..length]).unwrap();
            let place = format!("{} cut to {length}", file.display());
            assert!(verify(dir.path(), Some(&head)).is_err(), "{place}: not detected against the head");
            let fault = verify(dir.path(), None).unwrap_err();
            let last = number == files.len() - 1;
            assert_eq!(matches!(fault.problem, Problem::Shorter { expected: 7, .. }), last, "{place}: {fault}");
        }
        fs::write(file, &good).unwrap();
    }
}

#[test]
fn a_log_cut_anywhere_opens_again_and_says_what_it_removed() {
    let origin = quick();
    make(origin.path(), 3, 1 << 20);
    let good = fs::read(origin.path().join("audit.jsonl")).unwrap();
    for length in 0..good.len() {
        let dir = quick();
        fs::write(dir.path().join("audit.jsonl"), &good[..length]).unwrap();
        let whole = good[..length].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let recovery = reopen(dir.path());
        assert_eq!(recovery.created, whole == 0, "cut to {length}");
        let removed: Vec<_> = recovery.torn.iter().map(|torn| (torn.offset, torn.bytes)).collect();
        let expected = (whole < length).then_some((whole as u64, (length - whole) as u64));
        assert_eq!(removed, Vec::from_iter(expected), "cut to {length}");
        let log = fs::read_to_string(dir.path().join("audit.jsonl")).unwrap();
        assert_eq!(log.contains("log.recovered"), whole < length, "cut to {length}");
    }
}

#[test]
fn bytes_that_were_never_written_are_removed_at_open() {
    // What some file systems leave after a power loss: a length without contents.
    let dir = quick();
    make(dir.path(), 2, 1 << 20);
    let file = dir.path().join("audit.jsonl");
    let mut bytes = fs::read(&file).unwrap();
    bytes.resize(bytes.len() + 3 * bartizan_audit::MAX_ENTRY_BYTES, 0);
    fs::write(&file, bytes).unwrap();
    assert!(verify(dir.path(), None).is_err());
    assert_eq!(reopen(dir.path()).torn.len(), 1);
}

/// Changes the lines of a one-file log and expects a fault; `blame` picks the right kind.
fn check_lines(change: impl Fn(&mut Vec<String>), blame: impl Fn(&Problem) -> bool) {
    let dir = quick();
    make(dir.path(), 6, 1 << 20);
    let file = dir.path().join("audit.jsonl");
    let mut lines: Vec<_> = fs::read_to_string(&file).unwrap().lines().map(str::to_owned).collect();
    change(&mut lines);
    fs::write(&file, lines.join("\n") + "\n").unwrap();
    let fault = verify(dir.path(), None).unwrap_err();
    assert!(blame(&fault.problem), "{fault}");
}

#[test]
fn reordered_doubled_and_removed_lines_are_detected() {
    let seq = |problem: &Problem| matches!(problem, Problem::Seq { .. });
    check_lines(|lines| lines.swap(2, 3), seq);
    check_lines(|lines| lines.swap(0, 1), seq);
    check_lines(|lines| drop(lines.remove(3)), seq);
    check_lines(|lines| drop(lines.remove(0)), seq);
    check_lines(|lines| lines.insert(3, lines[2].clone()), seq);
    let chain = |problem: &Problem| matches!(problem, Problem::Chain { seq: 4, .. });
    check_lines(|lines| lines[3] = lines[3].replace("\"number\":2", "\"number\":7"), chain);
    let json = |problem: &Problem| matches!(problem, Problem::Json(_));
    check_lines(|lines| lines[3] = "not json".into(), json);
    check_lines(|lines| lines.insert(3, String::new()), json);
}

#[test]
fn a_line_of_another_log_does_not_fit() {
    let other = quick();
    make(other.path(), 6, 1 << 20);
    let other = fs::read_to_string(other.path().join("audit.jsonl")).unwrap();
    let line = other.lines().nth(3).unwrap();
    check_lines(|lines| lines[3] = line.to_owned(), |problem| matches!(problem, Problem::Chain { seq: 4, .. }));
}

#[test]
fn missing_renamed_and_swapped_files_are_detected() {
    let check = |change: fn(&[PathBuf])| {
        let (dir, _, files) = three_files();
        change(&files);
        let result = verify(dir.path(), None);
        assert!(result.is_err(), "{result:?}");
    };
    check(|files| fs::remove_file(&files[0]).unwrap());
    check(|files| fs::remove_file(&files[1]).unwrap());
    check(|files| fs::rename(&files[0], files[0].with_file_name("audit-00000000000000000002.jsonl")).unwrap());
    check(|files| {
        let first = fs::read(&files[0]).unwrap();
        fs::rename(&files[1], &files[0]).unwrap();
        fs::write(&files[1], first).unwrap();
    });
    check(|files| fs::write(&files[1], "").unwrap());
    check(|files| files.iter().for_each(|file| fs::remove_file(file).unwrap()));
}

#[test]
fn a_rolled_back_or_rewritten_log_is_detected_against_the_head() {
    let (dir, head, files) = three_files();
    fs::remove_file(&files[2]).unwrap();
    assert!(matches!(verify(dir.path(), Some(&head)).unwrap_err().problem, Problem::CutBack { .. }));
    assert!(matches!(verify(dir.path(), None).unwrap_err().problem, Problem::Shorter { expected: 7, .. }));

    let (dir, head, _) = three_files();
    let rewritten = quick();
    make(rewritten.path(), 6, 700);
    assert!(matches!(verify(rewritten.path(), Some(&head)).unwrap_err().problem, Problem::Rewritten { .. }));

    let earlier = head;
    reopen(dir.path());
    verify(dir.path(), Some(&earlier)).expect("a log that has grown still holds the earlier head");
}

#[test]
fn opening_refuses_a_changed_end_and_leaves_it_as_it_is() {
    let dir = quick();
    make(dir.path(), 3, 1 << 20);
    let file = dir.path().join("audit.jsonl");
    let bad = fs::read_to_string(&file).unwrap().replace("\"number\":2", "\"number\":3") + "{\"torn";
    fs::write(&file, &bad).unwrap();
    let error = Log::open(dir.path(), &Options::default()).unwrap_err();
    assert!(matches!(&error, AuditError::Damaged(fault) if fault.line == 4), "{error}");
    assert_eq!(fs::read_to_string(&file).unwrap(), bad);
}

#[test]
fn damage_elsewhere_does_not_hide_an_entry() {
    let (dir, _, files) = three_files();
    fs::write(&files[0], "damaged\n").unwrap();
    let record = find(dir.path(), id(5)).unwrap().unwrap();
    assert_eq!(record.value()["number"], 5);
    assert_eq!(find(dir.path(), id(99)).unwrap(), None);
    // Nor does an unreadable one under its name, which by itself is no entry.
    let whole = record.text().strip_suffix('}').unwrap();
    fs::write(&files[0], format!("{whole}\n{}\n", whole.replace(&id(5).to_string(), &id(99).to_string()))).unwrap();
    assert_eq!(find(dir.path(), id(5)).unwrap(), Some(record));
    assert!(find(dir.path(), id(99)).is_err());
}

/// Puts `start` and so many `x` in front of the lines of a file.
fn put_in_front(file: &Path, start: &str, long: usize) {
    let text = fs::read_to_string(file).unwrap();
    fs::write(file, format!("{start}{}\n{text}", "x".repeat(long))).unwrap();
}

#[test]
fn a_line_longer_than_any_entry_hides_none() {
    const MAX: usize = bartizan_audit::MAX_ENTRY_BYTES;
    for long in [MAX, MAX + 1, MAX * 3 / 2, 5 * MAX] {
        let (dir, _, files) = three_files();
        let all = iter(dir.path()).unwrap().map(Result::unwrap).collect::<Vec<_>>();
        put_in_front(&files[1], "", long);
        let too_long =
            |fault: &Fault| matches!(fault.problem, Problem::TooLong) && (fault.line, fault.offset) == (1, 0);
        assert!(too_long(&verify(dir.path(), None).unwrap_err()));

        let found = trace(dir.path(), id(5), &[]).unwrap().unwrap();
        assert_eq!(found.record.value()["number"], 5);
        assert!(too_long(&found.broken.unwrap()), "{long}");
        let before = trace(dir.path(), id(0), &[]).unwrap().unwrap();
        assert!(before.broken.is_none(), "it stands before the damage");
        assert_eq!(find(dir.path(), id(99)).unwrap(), None);

        let mut records = iter(dir.path()).unwrap();
        let read = records.by_ref().collect::<Vec<_>>();
        let faults = read.iter().filter_map(|read| read.as_ref().err()).collect::<Vec<_>>();
        assert!(faults.len() == 1 && too_long(faults[0]), "{faults:?}");
        assert_eq!(read.into_iter().filter_map(Result::ok).collect::<Vec<_>>(), all);
        assert!(too_long(records.broken().unwrap()));
        records.resume().unwrap();
        assert!(records.next().is_none(), "nothing twice");
    }
    // One that claims to be an entry is none, and does not hide the one of its name.
    let (dir, _, files) = three_files();
    let start = |number| format!("{{\"seq\":9,\"id\":\"{}\",\"at\":\"", id(number));
    put_in_front(&files[1], &start(99), MAX);
    assert!(matches!(find(dir.path(), id(99)).unwrap_err().problem, Problem::TooLong));
    put_in_front(&files[1], &start(5), MAX);
    assert!(find(dir.path(), id(5)).unwrap().is_some());
}

#[test]
fn a_closed_file_that_breaks_off_or_is_empty_hides_no_entry() {
    for (text, flaw) in [("", "the file is empty"), ("{\"seq\":1,", "the line does not end")] {
        let (dir, _, files) = three_files();
        fs::write(&files[0], text).unwrap();
        assert!(verify(dir.path(), None).unwrap_err().to_string().contains(flaw));
        let found = trace(dir.path(), id(5), &[]).unwrap().unwrap();
        assert!(found.broken.unwrap().to_string().contains(flaw));
        assert_eq!(iter(dir.path()).unwrap().filter(Result::is_err).count(), 1);
    }
}

#[test]
fn an_entry_is_proven_up_to_the_first_change_and_not_from_there_on() {
    let (dir, _, files) = three_files();
    let broken = |number| trace(dir.path(), id(number), &[]).unwrap().unwrap().broken.map(|fault| fault.to_string());
    assert!((0..6).all(|number| broken(number).is_none()));
    assert!(iter(dir.path()).unwrap().all(|record| record.is_ok()));

    let text = fs::read_to_string(&files[1]).unwrap();
    let number = (0..6).find(|number| text.contains(&id(*number).to_string())).unwrap();
    fs::write(&files[1], text.replacen("\"kind\":\"test.entry\"", "\"kind\":\"test.other\"", 1)).unwrap();
    assert!((0..number).all(|before| broken(before).is_none()));
    for from_there in number..6 {
        assert!(broken(from_there).unwrap().contains("was changed"), "{from_there}");
    }
    let mut records = iter(dir.path()).unwrap();
    assert!(records.by_ref().all(|record| record.is_ok()));
    assert_eq!(records.broken().unwrap().line, 1);
}

proptest::proptest! {
    #[test]
    fn any_bytes_may_be_read(line: Vec<u8>) {
        let dir = quick();
        fs::write(dir.path().join("audit.jsonl"), &line).unwrap();
        proptest::prop_assert!(verify(dir.path(), None).is_err());
        proptest::prop_assert!(bartizan_audit::Record::parse(&line).is_err());
    }
}
