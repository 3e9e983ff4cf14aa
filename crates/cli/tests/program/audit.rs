//! `bartizan audit`.

use std::fs;

use serde_json::json;

use crate::support::{bartizan, bartizan_at, write_log};

#[test]
fn a_whole_log_verifies_and_a_changed_one_does_not() {
    let home = tempfile::tempdir().unwrap();
    write_log(home.path(), &[("message", json!({"decision": "allow"})), ("message", json!({"decision": "deny"}))]);
    let directory = home.path().join("audit").display().to_string();
    let end = bartizan(&["audit", "verify", &directory]).status(0);
    assert!(end.stdout.starts_with("ok: 3 entries (1 to 3) in 1 file\nhead 3:"), "{}", end.stdout);
    let report = bartizan(&["audit", "verify", &directory, "--json"]).status(0).json();
    let head = report["head"].as_str().unwrap().to_owned();
    assert_eq!((report["ok"].as_bool(), report["entries"].as_u64()), (Some(true), Some(3)));
    bartizan_at(home.path(), &["audit", "verify", "--head", &head]).status(0);

    let file = home.path().join("audit/audit.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("\"deny\"", "\"pass\"")).unwrap();
    let end = bartizan(&["audit", "verify", &directory]).status(1);
    assert!(end.stdout.starts_with("broken: audit.jsonl, line 3"), "{}", end.stdout);
    let report = bartizan(&["audit", "verify", &directory, "--json"]).status(1).json();
    assert_eq!((report["ok"].as_bool(), report["line"].as_u64()), (Some(false), Some(3)));

    let two: String = text.split_inclusive('\n').take(2).collect();
    fs::write(&file, two).unwrap();
    bartizan_at(home.path(), &["audit", "verify"]).status(0);
    let end = bartizan_at(home.path(), &["audit", "verify", "--head", &head]).status(1);
    assert!(end.stdout.contains("was cut back"), "{}", end.stdout);
}

#[test]
fn without_arguments_every_log_of_the_user_is_checked() {
    let home = tempfile::tempdir().unwrap();
    let places = ["", "run", "standalone/one-17", "standalone/two-18"];
    for place in places {
        write_log(&home.path().join(place), &[("message", json!({"decision": "deny"}))]);
    }
    let end = bartizan_at(home.path(), &["audit", "verify"]).status(0);
    let lines: Vec<_> = end.stdout.lines().collect();
    assert_eq!(lines.len(), places.len(), "{}", end.stdout);
    for place in places {
        let expected =
            format!("ok: {}: 2 entries (1 to 2) in 1 file; head 2:", home.path().join(place).join("audit").display());
        assert!(lines.iter().any(|line| line.starts_with(&expected)), "{expected} in {}", end.stdout);
    }

    let broken = home.path().join("standalone/one-17/audit/audit.jsonl");
    let text = fs::read_to_string(&broken).unwrap();
    fs::write(&broken, text.replace("\"deny\"", "\"pass\"")).unwrap();
    fs::write(home.path().join("run/audit/audit.jsonl"), "").unwrap();
    let end = bartizan_at(home.path(), &["audit", "verify"]).status(1);
    let count = |word: &str| end.stdout.lines().filter(|line| line.starts_with(word)).count();
    assert_eq!((count("ok: "), count("broken: "), count("not checked: ")), (2, 1, 1), "{}", end.stdout);
    let report = bartizan_at(home.path(), &["audit", "verify", "--json"]).status(1).json();
    assert_eq!((report["ok"].as_bool(), report["logs"].as_array().map(Vec::len)), (Some(false), Some(4)));
    let of = |log: &&serde_json::Value| log["directory"].as_str().is_some_and(|place| place.contains("one-17"));
    let log = report["logs"].as_array().unwrap().iter().find(of).unwrap();
    assert_eq!((log["ok"].as_bool(), log["line"].as_u64()), (Some(false), Some(2)));

    fs::write(&broken, text).unwrap();
    let end = bartizan_at(home.path(), &["audit", "verify"]).status(3);
    assert!(end.stderr.contains("run/audit"), "{}", end.stderr);
}

#[test]
fn a_log_that_is_not_there_could_not_be_checked() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir_all(home.path().join("run/audit")).unwrap();
    let end = bartizan_at(home.path(), &["audit", "tail"]).status(3);
    assert!(end.stderr.contains("there is one in ") && end.stderr.contains("run/audit"), "{}", end.stderr);
    let end = bartizan_at(home.path(), &["audit", "verify"]).status(3);
    assert!(end.stderr.contains("there is no audit log in ") && end.stderr.contains("run/audit"), "{}", end.stderr);
    for arguments in [&["audit", "verify"][..], &["audit", "tail"], &["why", "01KE0000000000000000000000"]] {
        let end = bartizan(arguments).status(3);
        assert!(end.stderr.contains("/nowhere/audit"), "{}", end.stderr);
    }
}

#[test]
fn the_configuration_says_where_the_log_is() {
    let home = tempfile::tempdir().unwrap();
    write_log(home.path(), &[]);
    let file = home.path().join("bartizan.toml");
    fs::write(&file, "[audit]\ndirectory = 'audit'\n").unwrap();
    bartizan(&["audit", "verify", "--config", &file.display().to_string()]).status(0);
}

#[test]
fn the_tail_shows_the_last_entries_and_nothing_raw() {
    let home = tempfile::tempdir().unwrap();
    let entry = |tool: &str| {
        (
            "message",
            json!({"direction": "to_server", "server": "files", "method": "tools/call", "tool": tool, "decision": "deny", "rule": "rate.tool"}),
        )
    };
    let ended = ("server.ended", json!({"server": "files"}));
    write_log(home.path(), &[ended, entry("two"), entry("evil\u{1b}[2J\u{202e}\n")]);
    let all = bartizan_at(home.path(), &["audit", "tail"]).status(0).stdout;
    assert!(all.contains("server.ended files") && all.contains("log.opened"), "{all}");
    let shown = bartizan_at(home.path(), &["audit", "tail", "-n", "2"]).status(0).stdout;
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines.len(), 2, "{shown}");
    assert!(lines[0].ends_with("→ deny       files tools/call two  rate.tool"), "{shown}");
    assert!(lines[1].contains("evil\\u{1b}[2J\\u{202e}\\n"), "{shown}");
    assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown:?}");

    let json = bartizan_at(home.path(), &["audit", "tail", "-n", "1", "--json"]).status(0);
    assert!(!json.stdout.contains(['\u{1b}', '\u{202e}']), "{}", json.stdout);
    assert_eq!(json.json()["tool"], "evil\u{1b}[2J\u{202e}\n");
    assert_eq!(bartizan_at(home.path(), &["audit", "tail", "-n", "0"]).status(0).stdout, "");
}
