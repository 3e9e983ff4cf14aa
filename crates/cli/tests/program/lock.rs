//! `bartizan lock`.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use bartizan_trust::{Definition, Lock};

use crate::support::{End, bartizan_at};

fn definition(name: &str, json: &str, digit: &str) -> Definition {
    let sha256 = sha256(json);
    Definition {
        kind: "tool".to_owned(),
        name: name.to_owned(),
        sha256,
        body: Some(digit.repeat(64)),
        json: json.to_owned(),
    }
}

/// The lock file knows texts by their SHA-256.
fn sha256(text: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Two tools were approved, one has changed and a third has come.
fn waiting(home: &Path) {
    let mut lock = Lock::open(home.join("mcp.lock")).unwrap();
    lock.set_identity("files", "npx files").unwrap();
    let approved = [definition("read", r#"{"name":"read"}"#, "1"), definition("write", r#"{"name":"write"}"#, "2")];
    lock.record_first_seen("files", &approved, SystemTime::now()).unwrap();
    lock.set_complete("files", "tool").unwrap();
    let evil = "{\"description\":\"a\u{1b}[2J\u{e0041}\",\"name\":\"read\"}";
    lock.note_pending("files", &[definition("read", evil, "3"), definition("new", r#"{"name":"new"}"#, "4")]).unwrap();
}

fn lock(home: &Path, arguments: &[&str]) -> End {
    let file = home.join("mcp.lock").display().to_string();
    bartizan_at(home, &[&["lock"], arguments, &["--lock", &file]].concat())
}

#[test]
fn changes_are_shown_and_accepted_one_by_one() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    waiting(home);
    let end = lock(home, &["diff"]).status(1);
    for part in [
        "tool `new` of files: added",
        "tool `read` of files: changed",
        "+   \"description\": \"a\\u{1b}[2J\\u{e0041}\"",
    ] {
        assert!(end.stdout.contains(part), "{part} is not in\n{}", end.stdout);
    }
    assert!(!end.stdout.contains(['\u{1b}', '\u{e0041}']), "{:?}", end.stdout);
    let json = lock(home, &["diff", "read", "--json"]).status(1).json();
    assert_eq!(json["changes"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&json["changes"][0]["what"], &json["changes"][0]["old"]),
        (&"changed".into(), &r#"{"name":"read"}"#.into())
    );
    assert_eq!(lock(home, &["verify"]).status(1).stdout, "waiting: 1 servers, 2 definitions approved, 2 waiting\n");

    let end = lock(home, &["update", "read", "raed"]).status(2);
    assert!(end.stderr.contains("nothing waits under the name `raed`"), "{}", end.stderr);
    lock(home, &["diff", "read"]).status(1);

    assert_eq!(lock(home, &["update", "read"]).status(0).stdout, "accepted: tool `read` of files: changed\n");
    lock(home, &["diff", "read"]).status(0);
    lock(home, &["diff"]).status(1);
    lock(home, &["diff", "--server", "other"]).status(0);
    lock(home, &["update"]).status(0);
    lock(home, &["diff"]).status(0);
    assert_eq!(lock(home, &["verify", "--json"]).status(0).json()["definitions"], 3);
    assert!(lock(home, &["update"]).status(0).stdout.starts_with("nothing waits"));
}

#[test]
fn a_lock_file_that_is_not_there_or_not_whole() {
    let home = tempfile::tempdir().unwrap();
    lock(home.path(), &["diff"]).status(0);
    lock(home.path(), &["verify"]).status(3);
    fs::write(home.path().join("mcp.lock"), "version = 1\n[servers.a]\nidentity = 5\n").unwrap();
    let end = lock(home.path(), &["verify"]).status(1);
    assert!(end.stdout.starts_with("broken: ") && end.stdout.contains("mcp.lock:3:"), "{}", end.stdout);
    lock(home.path(), &["diff"]).status(2);
    lock(home.path(), &["update"]).status(2);
}

#[test]
fn without_a_name_it_is_the_users_own() {
    let home = tempfile::tempdir().unwrap();
    waiting(home.path());
    bartizan_at(home.path(), &["lock", "diff"]).status(1);
    bartizan_at(Path::new("/nowhere"), &["lock", "diff"]).status(0);
}
