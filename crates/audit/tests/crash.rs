//! The log when things end badly: the process is killed, the disk is full, a second process wants in.
//!
//! The other process is this test program again, running only `child`, which is told by the environment what to do.

#![expect(clippy::unwrap_used, reason = "test code")]

mod common;

use std::collections::BTreeSet;
use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bartizan_audit::{AuditError, Entry, Id, Keys, Log, Options, State, iter, verify};
use common::{append, entry, keys, make, reopen};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

const ROLE: &str = "AUDIT_TEST_ROLE";
const DIR: &str = "AUDIT_TEST_DIR";

fn spawn(role: &str, dir: &Path) -> Child {
    // The shell ignores SIGXFSZ for the child, which then gets an error where it would be killed.
    Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env(ROLE, role)
        .env(DIR, dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "this is the other process of the tests in this file"]
fn child() {
    let Ok(role) = env::var(ROLE) else { return };
    let dir = env::var_os(DIR).unwrap();
    let max_file_bytes = if role.starts_with("append") { 30_000 } else { Options::default().max_file_bytes };
    let keys = if role == "append sealed" { keys() } else { Keys::NONE };
    let (log, _) = Log::open((dir.as_ref(), &keys), &Options { max_file_bytes, ..Options::default() }).unwrap();
    match role.as_str() {
        "append" | "append sealed" => append_forever(&log),
        "fill" => fill(&log),
        "hold" => {
            say("open");
            std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        }
        _ => panic!("unknown role {role}"),
    }
}

/// One line to the parent, at once.
fn say(line: &str) {
    std::io::stdout().write_all(format!("\nchild: {line}\n").as_bytes()).unwrap();
}

/// Complete lines the child said.
fn heard(line: &str) -> Option<&str> {
    line.strip_suffix('\n')?.strip_prefix("child: ")
}

fn append_forever(log: &Log) {
    thread::scope(|scope| {
        for thread in 0..2 {
            scope.spawn(move || {
                for number in 0.. {
                    let mut random = [thread; 10];
                    random[1..5].copy_from_slice(&std::process::id().to_be_bytes());
                    random[6..].copy_from_slice(&u32::to_be_bytes(number));
                    let fields = json!({"padding": "x".repeat(number as usize % 3000)});
                    let entry = Entry { id: Id::new(1, random), at_micros: 1, kind: "test", fields: &fields };
                    let receipt = log.append(&entry).unwrap();
                    let receipt = if number % 16 == 0 { log.make_durable(receipt).wait().unwrap() } else { receipt };
                    say(&receipt.id().to_string());
                }
            });
        }
    });
}

/// Twenty kills, of which every run has the first; the long version has a thousand.
#[test]
fn what_was_acknowledged_survives_sigkill() {
    let logs = if env::var_os("BARTIZAN_TEST_LONG").is_some() { 50 } else { 1 };
    (0..logs).for_each(|nth| kill_twenty_times(nth, "append", &Keys::NONE));
}

#[test]
fn what_was_sealed_and_acknowledged_survives_sigkill() {
    let logs = if env::var_os("BARTIZAN_TEST_LONG").is_some() { 50 } else { 1 };
    (0..logs).for_each(|nth| kill_twenty_times(nth, "append sealed", &keys()));
}

/// In a log of its own, as all of it is read after each kill.
fn kill_twenty_times(nth: u64, role: &str, keys: &Keys) {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeSet::new();
    for round in nth * 20..(nth + 1) * 20 {
        let mut child = spawn(role, dir.path());
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, acknowledgements) = mpsc::channel();
        let listener = thread::spawn(move || {
            let mut line = String::new();
            while stdout.read_line(&mut line).unwrap() > 0 {
                if let Some(id) = heard(&line) {
                    sender.send(id.parse::<Id>().unwrap()).unwrap();
                }
                line.clear();
            }
        });
        acknowledged.insert(acknowledgements.recv().unwrap());
        // Spread over the first tens of milliseconds, at no round number.
        thread::sleep(Duration::from_micros(round * 7919 % 40_000));
        child.kill().unwrap();
        child.wait().unwrap();
        listener.join().unwrap();
        acknowledged.extend(acknowledgements);

        verify((dir.path(), keys), None).unwrap();
        let found: BTreeSet<_> = iter((dir.path(), keys)).unwrap().map(|record| record.unwrap().id).collect();
        let missing: Vec<_> = acknowledged.difference(&found).collect();
        assert!(missing.is_empty(), "round {round}: {missing:?} were acknowledged and are gone");
    }
    assert!(acknowledged.len() > 100, "only {} entries", acknowledged.len());
    reopen((dir.path(), keys));
    assert!(verify((dir.path(), keys), None).unwrap().files > 1);
}

/// Fills the "disk", which is a limit on the size of files, then makes room and goes on.
fn fill(log: &Log) {
    let limit = getrlimit(Resource::Fsize);
    let room = |bytes| setrlimit(Resource::Fsize, Rlimit { current: bytes, ..limit }).unwrap();
    let file = log.dir().join("audit.jsonl");
    let length = || std::fs::metadata(&file).unwrap().len();
    let text = |size: usize| json!({"padding": "x".repeat(size)});
    for round in 0..20 {
        room(Some(length() + 1000 + round * 37));
        let mut number = 0;
        let head = loop {
            number += 1;
            let head = log.head();
            match log.append(&entry(round * 1000 + number, &text(300))) {
                Ok(receipt) => say(&receipt.id().to_string()),
                Err(error) => {
                    assert!(matches!(error, AuditError::Write(_)), "{error}");
                    break head;
                }
            }
        };
        let good = length();
        assert!(log.append(&entry(1, &text(2000))).is_err());
        assert_eq!((log.state(), log.head(), length()), (State::Failed, head, good));
        assert_eq!(verify(log.dir(), Some(&head)).unwrap().unfinished_bytes, 0);
        room(limit.current);
        say(&append(log, round * 1000 + 999).id().to_string());
        assert_eq!(log.state(), State::Writing);
    }
    say("done");
}

#[test]
fn a_full_disk_loses_nothing_and_ends() {
    let dir = tempfile::tempdir().unwrap();
    let output = spawn("fill", dir.path()).wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let mut said: Vec<_> = said.split_inclusive('\n').filter_map(heard).collect();
    assert_eq!(said.pop(), Some("done"), "the child failed");
    let report = verify(dir.path(), None).unwrap();
    let found: Vec<_> = iter(dir.path()).unwrap().map(|record| record.unwrap().id.to_string()).collect();
    assert_eq!(found[1..], said, "what was acknowledged and what is there");
    assert_eq!((report.entries, report.unfinished_bytes), (said.len() as u64 + 1, 0));
    assert!(said.len() > 40);
}

#[test]
fn a_directory_has_one_writer() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), 1, 1 << 20);
    let mut child = spawn("hold", dir.path());
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while heard(&line) != Some("open") {
        line.clear();
        assert!(stdout.read_line(&mut line).unwrap() > 0, "the child could not open the log");
    }
    match Log::open(dir.path(), &Options::default()) {
        Err(error @ AuditError::Locked { pid, .. }) => {
            assert_eq!(pid, Some(child.id()));
            assert!(error.to_string().contains("already being written by process"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    verify(dir.path(), None).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let recovery = reopen(dir.path());
    assert!(recovery.torn.is_empty() && !recovery.created);

    let first = Log::open(dir.path(), &Options::default()).unwrap();
    let second = Log::open(dir.path(), &Options::default());
    assert!(matches!(second, Err(AuditError::Locked { .. })), "{second:?}");
    drop(first);
}
