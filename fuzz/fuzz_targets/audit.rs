//! The audit log: files with any bytes are either refused with their place or read, by verification and by looking.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use bartizan_audit::{Record, find, iter, verify};
use libfuzzer_sys::fuzz_target;

static DIRECTORY: LazyLock<PathBuf> = LazyLock::new(|| {
    let shared = PathBuf::from("/dev/shm");
    let base = if shared.is_dir() { shared } else { std::env::temp_dir() };
    let directory = base.join(format!("bartizan-fuzz-audit-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory of its own");
    directory
});

fuzz_target!(|bytes: &[u8]| {
    fs::write(DIRECTORY.join("audit.jsonl"), bytes).expect("writes what it will read");
    let lines = bytes.iter().filter(|&&byte| byte == b'\n').count() as u64 + 1;
    let records: Vec<_> = match iter(&DIRECTORY) {
        Ok(records) => records.take(lines as usize + 1).collect(),
        Err(_) => return,
    };
    match verify(&DIRECTORY, None) {
        Ok(report) => {
            assert_eq!(report.entries, records.len() as u64, "looking finds what was verified");
            assert_eq!(report.last - report.first + 1, report.entries, "no number is missing");
            assert_eq!(verify(&DIRECTORY, Some(&report.head)).ok(), Some(report), "it contains its own head");
        }
        Err(fault) => assert!(fault.line <= lines && fault.offset <= bytes.len() as u64, "{fault}"),
    }
    for record in records.into_iter().flatten() {
        assert_eq!(Record::parse(record.text().as_bytes()).ok().as_ref(), Some(&record), "an entry is its text");
        assert!(record.value().is_object());
        assert!(find(&DIRECTORY, record.id).is_ok_and(|found| found.is_some_and(|found| found.id == record.id)));
    }
});
