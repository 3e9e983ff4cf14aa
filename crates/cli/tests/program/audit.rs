//! `bartizan audit`.

use std::fs;
use std::path::Path;

use bartizan_audit::{Entry, Id, Keys, Log, Options};
use serde_json::json;

use crate::support::{End, bartizan, bartizan_at, bartizan_with, write_log};

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
    let end = bartizan_at(home.path(), &["audit", "verify"]).status(1);
    assert!(end.stdout.contains("was cut back: the checkpoint has 3 entries, and the log has 2"), "{}", end.stdout);
    let end = bartizan_at(home.path(), &["audit", "verify", "--head", &head]).status(1);
    assert!(end.stdout.contains("was cut back"), "{}", end.stdout);
}

#[test]
fn a_new_master_key_is_that_of_all_logs_and_none_is_lost() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("audit.key");
    // Without it none is made: it may be lost.
    let end = bartizan_at(home.path(), &["audit", "rotate-key"]).status(3);
    assert!(end.stderr.contains("put it back") && !path.exists(), "{}", end.stderr);

    let logs = ["audit", "run/audit", "standalone/one-17/audit"].map(|log| home.path().join(log));
    let write = |log: &Path| {
        let keys = Keys::kept(&path, log).unwrap();
        let (log, _) = Log::open((log, &keys), &Options::default()).unwrap();
        let entry = Entry { id: Id::new(1, [1; 10]), at_micros: 1, kind: "test", fields: &json!({}) };
        let _receipt = log.append(&entry).unwrap();
        log
    };
    logs.iter().for_each(|log| drop(write(log)));
    let first = fs::read_to_string(&path).unwrap();

    let end = bartizan_at(home.path(), &["audit", "rotate-key"]).status(0);
    assert_eq!(end.stdout.matches("2 keys are wrapped anew").count(), 3, "{}", end.stdout);
    assert!(fs::read_to_string(&path).unwrap().ends_with(&first));
    let held = write(&logs[1]);
    let end = bartizan_at(home.path(), &["audit", "rotate-key", "--set-aside"]).status(3);
    assert!(end.stderr.contains("run/audit is open"), "{}", end.stderr);
    drop(held);
    bartizan_at(home.path(), &["audit", "rotate-key", "--set-aside"]).status(0);
    assert_eq!(fs::read_to_string(path.with_extension("key.old")).unwrap(), first);
    assert!(!fs::read_to_string(&path).unwrap().contains(&first));
    let end = bartizan_at(home.path(), &["audit", "verify"]).status(0);
    assert_eq!(end.stdout.matches("ok: ").count(), 3, "{}", end.stdout);

    // What another key opens is named, and left.
    fs::write(&path, format!("bartizan-log-key-1:{}\n", "ab".repeat(32))).unwrap();
    let end = bartizan_at(home.path(), &["audit", "rotate-key"]).status(1);
    assert_eq!(end.stdout.matches("2 stay as they are").count(), 3, "{}", end.stdout);
}

#[test]
fn an_entry_is_proven_to_whoever_has_the_key() {
    let home = tempfile::tempdir().unwrap();
    let ids =
        write_log(home.path(), &[("message", json!({"decision": "allow"})), ("message", json!({"tool": "a\u{1b}"}))]);
    write_log(&home.path().join("run"), &[("message", json!({"decision": "deny"}))]);
    let directory = home.path().join("audit").display().to_string();
    let key = |of: &str| {
        let directory = home.path().join(of).join("audit").display().to_string();
        bartizan(&["audit", "verify", &directory, "--json"]).status(0).json()["key"].as_str().unwrap().to_owned()
    };
    let (own, other) = (key(""), key("run"));
    let file = home.path().join("one.tlog-proof").display().to_string();
    let made = bartizan_at(home.path(), &["audit", "prove", &ids[1], "--out", &file]).status(0);
    assert!(made.stdout.is_empty() && made.stderr.contains(&format!("the log in {directory}")), "{made:?}");
    let printed = bartizan_at(home.path(), &["audit", "prove", &ids[1], "--log", &directory]).status(0).stdout;
    assert_eq!(fs::read_to_string(&file).unwrap(), printed);
    let end = bartizan(&["audit", "verify", "--proof", &file, "--key", &own]).status(0);
    assert!(end.stdout.starts_with("ok: entry 3 is among the first 3 of the log bartizan/"), "{}", end.stdout);
    assert!(end.stdout.contains(&ids[1]) && !end.stdout.contains('\u{1b}'), "{}", end.stdout);
    let end = bartizan(&["audit", "verify", "--proof", &file, "--key", &other]).status(1);
    assert_eq!(end.stdout, "not proven: the key has not signed it\n");
    let json = bartizan(&["audit", "verify", "--proof", &file, "--key", &other, "--json"]).status(1).json();
    assert_eq!((json["ok"].as_bool(), json["problem"].as_str()), (Some(false), Some("the key has not signed it")));

    // The checkpoint of a log is its own, and so is its key.
    let checkpoint = format!("{directory}/checkpoint");
    for (words, status) in [
        (&["--checkpoint", &checkpoint, "--key", &own][..], 0),
        (&["--checkpoint", &checkpoint], 0),
        (&["--key", &other], 1),
        (&["--checkpoint", &format!("{directory}/audit.jsonl")], 3),
        (&["--checkpoint", &format!("{}/run/audit/checkpoint", home.path().display())], 1),
        (&["--checkpoint", "/nowhere"], 3),
        (&["--key", "nonsense"], 2),
    ] {
        bartizan_at(home.path(), &[&["audit", "verify", &directory], words].concat()).status(status);
    }
    let end = bartizan_at(home.path(), &["audit", "verify", "--checkpoint", &checkpoint]).status(0);
    assert_eq!(end.stdout.lines().count(), 1, "of the log that it is of: {}", end.stdout);
    for (words, status) in [
        (&["audit", "prove", &ids[1], "--out", &file][..], 3),
        (&["audit", "prove", "01M8CD2C2EZZ2M0R12R4XY0B44"], 3),
        (&["audit", "prove", "nonsense"], 2),
        (&["audit", "verify", "--proof", &file], 2),
        (&["audit", "verify", "--proof", &directory, "--key", &own], 3),
    ] {
        bartizan_at(home.path(), words).status(status);
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), printed, "what is there stays");
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
    assert!(end.stdout.contains("run/audit: audit.jsonl is there and holds no entry"), "{}", end.stdout);
}

/// The head of the log below `place`.
fn head(home: &Path, place: &str) -> String {
    let directory = home.join(place).join("audit").display().to_string();
    bartizan(&["audit", "verify", &directory, "--json"]).status(0).json()["head"].as_str().unwrap().to_owned()
}

#[test]
fn a_head_is_looked_for_in_every_log() {
    let home = tempfile::tempdir().unwrap();
    write_log(home.path(), &[("message", json!({"decision": "deny"}))]);
    write_log(&home.path().join("run"), &[("message", json!({})), ("message", json!({"decision": "deny"}))]);
    let run = head(home.path(), "run");
    let verify = |head: &str| bartizan_at(home.path(), &["audit", "verify", "--head", head]);
    let end = verify(&run).status(0);
    let place = home.path().join("run/audit").display().to_string();
    assert!(end.stdout.starts_with(&format!("ok: {place}: 3 entries")), "{}", end.stdout);
    assert_eq!(end.stdout.lines().count(), 1, "{}", end.stdout);
    verify(&head(home.path(), "")).status(0);

    let stranger = tempfile::tempdir().unwrap();
    write_log(stranger.path(), &[("message", json!({})), ("message", json!({"decision": "allow"}))]);
    let stranger = head(stranger.path(), "");
    let end = verify(&stranger).status(1);
    assert!(end.stdout.contains("was cut back") && end.stdout.contains("was rewritten"), "{}", end.stdout);
    assert!(end.stderr.contains(&format!("no log of yours contains {stranger}")), "{}", end.stderr);
    let report = bartizan_at(home.path(), &["audit", "verify", "--head", &stranger, "--json"]).status(1).json();
    assert_eq!((report["ok"].as_bool(), report["logs"].as_array().unwrap().len()), (Some(false), 2));

    // What was done to the log of a head is noticed, and the others do not hide it.
    fs::write(home.path().join("run/audit/audit.jsonl"), "").unwrap();
    verify(&run).status(1);
}

#[test]
fn a_head_of_another_log_is_told_from_a_log_that_was_rewritten() {
    let home = tempfile::tempdir().unwrap();
    write_log(home.path(), &[("message", json!({"decision": "deny"}))]);
    write_log(&home.path().join("run"), &[("message", json!({})), ("message", json!({"decision": "deny"}))]);
    let place = |place: &str| home.path().join(place).display().to_string();
    let verify = |directory: &str, more: &[&str]| {
        bartizan_at(home.path(), &[&["audit", "verify", &place(directory)], more].concat())
    };
    // Shorter and longer than the log that it is held against.
    for (of, held) in [("", "run/audit"), ("run", "audit")] {
        let head = head(home.path(), of);
        let own = home.path().join(of).join("audit").display().to_string();
        let end = verify(held, &["--head", &head]).status(1);
        assert_eq!(end.stdout, format!("not this log: what was kept is of another log, the one in {own}\n"));
        assert!(end.stderr.contains("this one was replaced"), "{}", end.stderr);
        let json = verify(held, &["--head", &head, "--json"]).status(1).json();
        assert!(json["ok"] == false && json["problem"].as_str().unwrap().ends_with(&own), "{json}");
    }
    // One that no log has may be of a log that is elsewhere, or of this one as it was.
    let stranger = tempfile::tempdir().unwrap();
    write_log(stranger.path(), &[]);
    let end = verify("audit", &["--head", &head(stranger.path(), "")]).status(1);
    let expected =
        "does not contain what was kept of it: the log was rewritten, or the head is of another log: entry 1";
    assert!(end.stdout.starts_with(expected) && end.stderr.contains("its entries hold together"), "{}", end.stdout);
    // One that is broken besides is called that.
    let file = home.path().join("audit/audit.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("\"deny\"", "\"pass\"")).unwrap();
    let end = verify("audit", &["--head", &head(stranger.path(), "")]).status(1);
    assert!(end.stdout.starts_with("broken: "), "{}", end.stdout);
}

#[test]
fn the_end_of_the_log_is_shown_of_somebody_a_server_a_tool_or_a_time() {
    let home = tempfile::tempdir().unwrap();
    let call = |who: &str, server: &str, tool: &str, decision: &str| json!({"direction": "to_server", "principal": who, "server": server, "method": "tools/call", "tool": tool, "decision": decision});
    let entries = [
        ("message", call("ann", "files", "read", "allow")),
        ("message", call("bea", "files", "write", "deny")),
        ("key.created", json!({"key": "K1", "by": "uid:0", "principal": "ann"})),
        ("message", call("ann", "bank", "read", "deny")),
        ("approval.asked", json!({"approval": "a1", "principal": "bea", "server": "bank", "what": "tool pay"})),
    ];
    write_log(home.path(), &entries);
    // The log begins with an entry of its own.
    for (options, expected) in [
        (&["--who", "ann"][..], &[2, 4, 5][..]),
        (&["--who", "uid:0"], &[4]),
        (&["--who", "an"], &[]),
        (&["--server", "files"], &[2, 3]),
        (&["--tool", "read"], &[2, 5]),
        (&["--tool", "pay"], &[6]),
        (&["--who", "ann", "--server", "bank"], &[5]),
        (&["--who", "ann", "--denied"], &[5]),
        (&["--who", "ann", "-n", "1"], &[5]),
        (&["--since", "2026-01-02"], &[2, 3, 4, 5, 6]),
        (&["--since", "2026-01-02T03:04:06Z", "--who", "ann"], &[]),
        (&["--since", "2026-01-02", "--who", "bea"], &[3, 6]),
        (&["--since", "1h", "--who", "ann"], &[]),
    ] {
        let end = bartizan_at(home.path(), &[&["audit", "tail", "--json"], options].concat()).status(0);
        let lines = end.stdout.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let found: Vec<_> =
            lines.filter(|entry| entry["kind"] != "log.opened").map(|entry| entry["seq"].as_u64().unwrap()).collect();
        assert_eq!(found, expected, "{options:?}: {}", end.stdout);
    }
    let many: Vec<_> = (0..30).map(|_| ("message", call("carl", "files", "read", "allow"))).collect();
    let other = tempfile::tempdir().unwrap();
    write_log(other.path(), &many);
    for (options, expected) in
        [(&[][..], 20), (&["--since", "2026-01-02"], 30), (&["--since", "2026-01-02", "-n", "3"], 3)]
    {
        let end = bartizan_at(other.path(), &[&["audit", "tail", "--who", "carl"], options].concat()).status(0);
        assert_eq!(end.stdout.lines().count(), expected, "{options:?}");
    }
    let end = bartizan_at(home.path(), &["audit", "tail", "--since", "3y"]).status(2);
    assert!(end.stderr.contains("a number and one of s, min, h, d"), "{}", end.stderr);
}

#[test]
fn a_log_that_is_not_there_could_not_be_checked() {
    let home = tempfile::tempdir().unwrap();
    let end = bartizan_at(home.path(), &["audit", "verify"]).status(3);
    let only = format!(
        "error: there is no audit log in {}/audit: nothing was recorded there, or it was removed\n",
        home.path().display()
    );
    assert_eq!((end.stdout.as_str(), end.stderr.as_str()), ("", only.as_str()));
    fs::create_dir_all(home.path().join("run/audit")).unwrap();
    for command in ["tail", "verify"] {
        let end = bartizan_at(home.path(), &["audit", command]).status(3);
        assert!(end.stderr.contains("there is no audit log in ") && end.stderr.contains("run/audit"), "{}", end.stderr);
    }
    for arguments in [&["audit", "verify"][..], &["audit", "tail"], &["why", "01KE0000000000000000000000"]] {
        let end = bartizan(arguments).status(3);
        assert!(end.stderr.contains("/nowhere/audit"), "{}", end.stderr);
    }
    let end = bartizan_at(home.path(), &["audit", "tail", "--log", "/nope"]).status(3);
    assert!(end.stderr.contains("there is one in ") && end.stderr.contains("run/audit"), "{}", end.stderr);
    let end = bartizan(&["audit", "verify", "/nope", "--json"]).status(3);
    let problem = end.json();
    assert_eq!((problem["ok"].as_bool(), problem["file"].as_str()), (Some(false), Some("/nope")));
    assert!(!end.stderr.contains("line 0"), "{}", end.stderr);
}

#[test]
fn a_log_that_cannot_be_looked_at_is_not_one_that_is_not_there() {
    let home = tempfile::tempdir().unwrap();
    // It leads to itself: like a directory without permission, nothing behind it can be looked at.
    std::os::unix::fs::symlink("audit", home.path().join("audit")).unwrap();
    for arguments in [&["audit", "verify"][..], &["audit", "tail"], &["why", "01KE0000000000000000000000"]] {
        let end = bartizan_at(home.path(), arguments).status(3);
        let expected = format!("error: the audit log in {}/audit: cannot be read: ", home.path().display());
        assert!(end.stderr.starts_with(&expected), "{}", end.stderr);
    }
}

#[test]
fn a_log_that_was_emptied_is_there() {
    let home = tempfile::tempdir().unwrap();
    write_log(home.path(), &[]);
    let file = home.path().join("audit/audit.jsonl");
    fs::write(&file, "").unwrap();
    let expected =
        "audit.jsonl is there and holds no entry, although each log begins with one; keep it, it is evidence";
    for command in ["tail", "verify"] {
        let end = bartizan_at(home.path(), &["audit", command]).status(3);
        assert!(end.stderr.contains(expected), "{}", end.stderr);
    }
    write_log(&home.path().join("run"), &[]);
    let end = bartizan_at(home.path(), &["audit", "verify"]).status(3);
    assert!(
        end.stdout.contains(&format!("not checked: {}/audit: {expected}\n", home.path().display())),
        "{}",
        end.stdout
    );
}

#[test]
fn who_reads_needs_no_secrets() {
    let home = tempfile::tempdir().unwrap();
    let ids = write_log(home.path(), &[("message", json!({"decision": "deny"}))]);
    fs::write(home.path().join("mcp.lock"), "version = 1\n").unwrap();
    let file = home.path().join("good.toml");
    let place = file.display().to_string();
    let servers = "[server.t]\nurl = \"https://t.example/\"\nheaders = { A = \"Bearer ${TICKETS_TOKEN}\" }\n\
                   [server.f]\ncommand = [\"x\"]\nenv = { B = \"file:/nope\" }\n";
    let commands = [
        &["audit", "verify", "--config", &place][..],
        &["audit", "tail", "--config", &place],
        &["why", &ids[0], "--config", &place],
        &["lock", "diff", "--config", &place],
        &["lock", "verify", "--config", &place],
    ];
    fs::write(&file, format!("[audit]\ndirectory = \"audit\"\n{servers}")).unwrap();
    for command in commands {
        bartizan(command).status(0);
    }
    // What serves does need them, and a place that cannot be told is said.
    let end = bartizan(&["config", "check", &place]).status(2);
    assert!(end.stderr.contains("`TICKETS_TOKEN` is not set"), "{}", end.stderr);
    for path in
        ["[audit]\ndirectory = \"${LOGS}/audit\"\n", "[audit]\ndirectory = \"audit\"\n[lock]\npath = \"${LOGS}/x\"\n"]
    {
        fs::write(&file, format!("{path}{servers}")).unwrap();
        for command in commands {
            let end = bartizan(command).status(2);
            assert!(end.stderr.contains("`LOGS` is not set") && !end.stderr.contains("TICKETS"), "{}", end.stderr);
        }
    }
}

#[test]
fn a_file_of_a_log_is_not_the_log() {
    let home = tempfile::tempdir().unwrap();
    write_log(home.path(), &[]);
    let directory = home.path().join("audit").display().to_string();
    let file = format!("{directory}/audit.jsonl");
    let end = bartizan_with(&[], &home.path().join("audit"), &["audit", "verify", "audit.jsonl"]).status(2);
    assert!(end.stderr.ends_with("audit.jsonl is a file; a log is named by its directory, .\n"), "{}", end.stderr);
    for arguments in [&["audit", "verify", &file][..], &["audit", "tail", "--log", &file]] {
        let end = bartizan(arguments).status(2);
        assert!(end.stderr.ends_with(&format!("a log is named by its directory, {directory}\n")), "{}", end.stderr);
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

#[test]
fn the_tail_is_of_all_logs_and_of_refusals_alone_if_asked() {
    let home = tempfile::tempdir().unwrap();
    let entry = |tool: &str, decision: &str| ("message", json!({"tool": tool, "decision": decision, "rule": "a.b"}));
    write_log(home.path(), &[entry("one", "allow"), entry("two", "deny")]);
    let failed = ("upstream.failed", json!({"tool": "five", "decision": "deny", "rule": "upstream.timeout"}));
    write_log(&home.path().join("run"), &[entry("three", "approve"), entry("four", "transform"), failed]);
    let tail = |more: &[&str]| bartizan_at(home.path(), &[&["audit", "tail"], more].concat());
    let tools = |end: &End| {
        let tools = ["one", "two", "three", "four", "five"].into_iter();
        tools.filter(|tool| end.stdout.contains(&format!(" {tool}  "))).collect::<Vec<_>>()
    };
    let all = tail(&[]).status(0);
    assert_eq!(tools(&all), ["one", "two", "three", "four", "five"], "{}", all.stdout);
    assert!(all.stdout.lines().any(|line| line.starts_with("serve       ")), "{}", all.stdout);
    assert!(all.stdout.lines().any(|line| line.starts_with("run         ")), "{}", all.stdout);
    assert_eq!(tools(&tail(&["--denied"]).status(0)), ["two", "three", "four", "five"]);
    let run = home.path().join("run/audit").display().to_string();
    let one = tail(&["--log", &run, "--denied"]).status(0);
    assert!(tools(&one) == ["three", "four", "five"] && one.stdout.starts_with("     2  "), "{}", one.stdout);

    // The entries that opened the logs are of now, and the others of one day.
    let json = tail(&["-n", "4", "--json"]).status(0).stdout;
    let times: Vec<_> = json
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["at"].as_str().unwrap().to_owned())
        .collect();
    assert!(times.len() == 4 && times.is_sorted(), "{times:?}");

    // One that is gone is said, and hides no other.
    fs::write(home.path().join("run/audit/audit.jsonl"), "").unwrap();
    let end = tail(&[]).status(3);
    assert!(tools(&end) == ["one", "two"] && end.stderr.contains("run/audit"), "{}{}", end.stdout, end.stderr);
}

#[test]
fn the_tail_says_which_rules_changed_what_passed() {
    let home = tempfile::tempdir().unwrap();
    let found = |rule: &str, action: &str| json!({"rule": rule, "action": action});
    let findings = [found("hidden_text.tags", "redact"), found("schema.result", "observe")];
    write_log(home.path(), &[("message", json!({"decision": "transform", "findings": findings}))]);
    let shown = bartizan_at(home.path(), &["audit", "tail"]).status(0).stdout;
    assert!(shown.contains("hidden_text.tags") && !shown.contains("schema.result"), "{shown}");
}

#[test]
fn the_tail_shows_refusals_that_were_only_counted() {
    let home = tempfile::tempdir().unwrap();
    let counted =
        json!({"total": 2, "reasons": [{"rule": "edge.host", "count": 1}, {"rule": "edge.path", "count": 1}]});
    write_log(home.path(), &[("edge.refused", counted), ("config.reloaded", json!({}))]);
    let shown = bartizan_at(home.path(), &["audit", "tail", "--denied"]).status(0).stdout;
    assert!(shown.ends_with("edge.refused ×2  edge.host, edge.path\n") && shown.lines().count() == 1, "{shown}");
}

#[test]
fn the_tail_of_a_log_that_was_changed_is_no_proof() {
    let home = tempfile::tempdir().unwrap();
    write_log(home.path(), &[("message", json!({"decision": "deny"})), ("message", json!({"decision": "deny"}))]);
    let file = home.path().join("audit/audit.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("\"deny\"", "\"allow\"", 1)).unwrap();
    let end = bartizan_at(home.path(), &["audit", "tail", "-n", "1"]).status(1);
    assert_eq!(end.stdout.lines().count(), 1, "{}", end.stdout);
    assert!(end.stderr.contains("NOT verified") && end.stderr.contains("entry 2 was changed"), "{}", end.stderr);
}

#[test]
fn the_tail_goes_on_with_what_comes() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let home = tempfile::tempdir().unwrap();
    write_log(home.path(), &[("message", json!({"tool": "one", "decision": "deny"}))]);
    let mut tail = Command::new(env!("CARGO_BIN_EXE_bartizan"))
        .args(["audit", "tail", "--follow", "--denied", "-n", "1"])
        .env_clear()
        .env("BARTIZAN_HOME", home.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.next().unwrap().ends_with("  one"));
    write_log(home.path(), &[("message", json!({"tool": "two", "decision": "allow"}))]);
    write_log(home.path(), &[("message", json!({"tool": "three", "decision": "deny"}))]);
    assert!(lines.next().unwrap().ends_with("  three"));
    // A log that was not there before.
    write_log(&home.path().join("standalone/new-7"), &[("message", json!({"tool": "four", "decision": "deny"}))]);
    let line = lines.next().unwrap();
    assert!(line.starts_with("standalone/new-7  ") && line.ends_with("  four"), "{line}");
    tail.kill().unwrap();
    tail.wait().unwrap();
}

#[test]
fn the_tail_says_who_and_with_what_and_what_waits() {
    let home = tempfile::tempdir().unwrap();
    let call = |who: &str, decision: &str, approval: Option<&str>| {
        let fields = json!({"direction": "to_server", "principal": who, "server": "bank", "method": "tools/call", "tool": "pay",
            "decision": decision, "rule": "policy.approval", "approval": approval});
        ("message", fields)
    };
    let four = ["a", "b", "c", "d"].map(|of| json!({"source": of, "count": 2}));
    let entries = [
        call("ann", "approve", Some("4mz0k7q2x9cd")),
        call("service:ci", "approve", None),
        call("ann", "allow", Some("4mz0k7q2x9cd")),
        (
            "approval.approved",
            json!({"approval": "4mz0k7q2x9cd", "principal": "ann", "server": "bank", "what": "tool pay", "by": "bea"}),
        ),
        ("key.revoked", json!({"key": "k1", "by": "uid:0"})),
        ("person.removed", json!({"person": "carl", "by": "uid:0"})),
        ("person.signed_in", json!({"person": "carl"})),
        (
            "edge.refused",
            json!({"total": 3, "sources": [{"source": "192.0.2.7", "count": 3}], "other_sources": 0,
            "reasons": [{"rule": "edge.host", "count": 3}]}),
        ),
        (
            "edge.refused",
            json!({"total": 9, "sources": four, "other_sources": 1,
            "reasons": [{"rule": "edge.host", "count": 9}]}),
        ),
    ];
    write_log(home.path(), &entries);
    let shown = bartizan_at(home.path(), &["audit", "tail", "-n", "9"]).status(0).stdout;
    let lines: Vec<_> = shown.lines().filter_map(|line| line.get(65..)).collect();
    let expected = [
        "→ waits      ann         bank tools/call pay  policy.approval",
        "→ deny       service:ci  bank tools/call pay  policy.approval",
        "→ allow      ann         bank tools/call pay  policy.approval",
        "             bea         approval.approved 4mz0k7q2x9cd tool pay bank for ann",
        "             uid:0       key.revoked k1",
        "             uid:0       person.removed carl",
        "             carl        person.signed_in",
        "                         edge.refused ×3 from 192.0.2.7  edge.host",
        "                         edge.refused ×9 from a ×2, b ×2, c ×2, others  edge.host",
    ];
    assert_eq!(lines, expected, "{shown}");
}

#[test]
fn the_summary_says_what_was_done_and_what_would_have_been() {
    let home = tempfile::tempdir().unwrap();
    let finding = |rule: &str, action: &str, would: Option<&str>| {
        let mut finding = json!({"rule": rule, "action": action, "by": "mode", "at": "#"});
        would.into_iter().for_each(|would| finding["would"] = would.into());
        finding
    };
    let message = |tool: &str, decision: &str, rule: Option<&str>, findings: &[serde_json::Value]| {
        let fields = json!({"direction": "to_server", "principal": "ann", "server": "mail", "method": "tools/call", "tool": tool,
            "decision": decision, "rule": rule, "findings": findings});
        ("message", fields)
    };
    let place = finding("flow.untrusted_destination", "observe", Some("approve"));
    let shape = finding("schema.arguments", "observe", Some("deny"));
    let entries = [
        message("send", "allow", None, std::slice::from_ref(&place)),
        message("send", "allow", None, &[place, shape]),
        message("send", "allow", None, &[]),
        message("list", "transform", None, &[finding("secrets.token", "redact", None)]),
        message("send", "deny", Some("schema.arguments"), &[finding("schema.arguments", "deny", None)]),
        message("send", "deny", Some("gateway.too_many_requests"), &[]),
        message("send", "allow", Some("policy.approval"), &[]),
        ("edge.refused", json!({"total": 4, "sources": [], "other_sources": 0, "reasons": []})),
        ("key.revoked", json!({"key": "k1", "by": "uid:0"})),
    ];
    let ids = write_log(home.path(), &entries);
    let summary = bartizan_at(home.path(), &["audit", "summary", "--json"]).status(0).json();
    let expected = json!({"total": 7, "allowed": 4, "changed": 1, "asked": 0, "refused": 2,
        "would_be_changed": 0, "would_be_asked": 1, "would_be_refused": 1});
    assert_eq!((&summary["messages"], summary["refused_before"].as_u64()), (&expected, Some(4)));
    let rows: Vec<_> = summary["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let text = |key: &str| row[key].as_str().unwrap_or("-").to_owned();
            format!(
                "{} {} {} {} {}",
                text("rule"),
                text("action"),
                text("would"),
                row["times"],
                row["places"][0]["place"]
            )
        })
        .collect();
    assert_eq!(
        rows,
        [
            r#"gateway.too_many_requests deny - 1 "mail/send""#,
            r#"schema.arguments deny - 1 "mail/send""#,
            r#"schema.arguments observe deny 1 "mail/send""#,
            r#"flow.untrusted_destination observe approve 2 "mail/send""#,
            r#"secrets.token redact - 1 "mail/list""#,
        ]
    );
    assert_eq!(summary["rules"][3]["last"].as_str(), Some(&*ids[1]));

    let told = bartizan_at(home.path(), &["audit", "summary", "--observed"]).status(0).stdout;
    let lines: Vec<_> = told.lines().collect();
    assert!(lines[0].contains("7 messages") && lines[0].contains("4 passed as they were"), "{told}");
    assert!(lines[1].contains("0 would have been changed, 1 asked about, 1 refused"), "{told}");
    assert!(lines[2].starts_with("4 requests were refused before"), "{told}");
    let row = lines.last().unwrap();
    assert!(
        row.contains("approve") && row.contains("flow.untrusted_destination") && row.contains("mail/send ×2"),
        "{told}"
    );
    assert_eq!(lines.len(), 7, "{told}");

    // What is asked for alone counts, and nothing is not an error.
    let summary = bartizan_at(home.path(), &["audit", "summary", "--json", "--tool", "list"]).status(0).json();
    assert_eq!((summary["messages"]["total"].as_u64(), summary["rules"].as_array().unwrap().len()), (Some(1), 1));
    let told = bartizan_at(home.path(), &["audit", "summary", "--who", "nobody"]).status(0).stdout;
    assert_eq!(told, "no message was recorded\n");
    // One that was changed is no proof; one that is not there is none at all.
    let file = home.path().join("audit/audit.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("\"deny\"", "\"allow\"", 1)).unwrap();
    let end = bartizan_at(home.path(), &["audit", "summary"]).status(1);
    assert!(end.stderr.contains("NOT verified"), "{}", end.stderr);
    let end = bartizan_at(home.path(), &["audit", "summary", "--log", "/nowhere"]).status(3);
    assert!(end.stdout.is_empty() && end.stderr.contains("no audit log"), "{end:?}");
}

#[test]
fn the_log_is_searched_by_rule_text_and_time() {
    let home = tempfile::tempdir().unwrap();
    let found = |rule: &str| json!({"rule": rule, "action": "observe", "by": "mode", "at": "#"});
    let entries = [
        (
            "message",
            json!({"decision": "deny", "rule": "secrets.token", "server": "mail", "tool": "send", "why": "a Token was found"}),
        ),
        (
            "message",
            json!({"decision": "allow", "server": "mail", "tool": "list", "findings": [found("secrets.key"), found("hidden_text.tags")]}),
        ),
        (
            "message",
            json!({"decision": "allow", "server": "files", "tool": "read", "findings": [{"rule": "rules.own", "own": "house.rule"}]}),
        ),
        (
            "edge.refused",
            json!({"total": 1, "sources": [], "other_sources": 0, "reasons": [{"rule": "edge.host", "count": 1}]}),
        ),
        (
            "egress.refused",
            json!({"server": "files", "host": "x.example", "port": 443, "reason": "egress.not_allowed"}),
        ),
    ];
    let ids = write_log(home.path(), &entries);
    let shown = |words: &[&str]| -> Vec<usize> {
        let end = bartizan_at(home.path(), &[&["audit", "tail", "--json"], words].concat()).status(0);
        let of =
            |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_str().unwrap().to_owned();
        end.stdout.lines().filter_map(|line| ids.iter().position(|id| *id == of(line))).collect()
    };
    for (words, expected) in [
        (&["--rule", "secrets.token"][..], &[0][..]),
        (&["--rule", "secrets."], &[0, 1]),
        (&["--rule", "secrets"], &[]),
        (&["--rule", "house.rule"], &[2]),
        (&["--rule", "edge.host"], &[3]),
        (&["--rule", "egress.not_allowed"], &[4]),
        (&["--text", "TOKEN was"], &[0]),
        (&["--text", "token", "--server", "files"], &[]),
        (&["--text", "x.EXAMPLE"], &[4]),
        (&["--text", "decision"], &[]),
        (&["--until", "2020-01-01"], &[]),
        (&["--until", "1s", "--rule", "secrets."], &[0, 1]),
    ] {
        assert_eq!(shown(words), expected, "{words:?}");
    }
    for (words, what) in [(["--until", "yesterday"], "--until is neither"), (["--since", "soon"], "--since is neither")]
    {
        let end = bartizan_at(home.path(), &[&["audit", "tail"], &words[..]].concat()).status(2);
        assert!(end.stderr.contains(what), "{}", end.stderr);
    }
}

#[test]
fn what_is_handed_out_is_checked_wherever_it_is() {
    let home = tempfile::tempdir().unwrap();
    let message = |tool: &str| ("message", json!({"decision": "allow", "principal": "ann", "tool": tool}));
    write_log(home.path(), &[message("a"), message("b"), message("a"), message("c")]);
    write_log(&home.path().join("run"), &[message("a")]);
    let place = |place: &str| home.path().join(place).display().to_string();
    let (log, out) = (place("audit"), place("out"));
    let key =
        |log: &str| bartizan(&["audit", "verify", log, "--json"]).status(0).json()["key"].as_str().unwrap().to_owned();
    let export = |words: &[&str]| bartizan_at(home.path(), &[&["audit", "export", "--out", &out], words].concat());
    let end = export(&[]).status(2);
    assert!(end.stderr.contains("there are several logs; name one with --log"), "{}", end.stderr);
    let made = export(&["--log", &log, "--tool", "a"]).status(0);
    assert!(made.stdout.starts_with("2 entries (2 to 4) of the first 5 of the log bartizan/"), "{}", made.stdout);
    let check = |key: &str| bartizan(&["audit", "verify", "--export", &out, "--key", key]);
    let end = check(&key(&log)).status(0);
    assert!(end.stdout.starts_with("ok: 2 entries (2 to 4)"), "{}", end.stdout);
    let end = check(&key(&place("run/audit"))).status(1);
    assert_eq!(end.stdout, "not proven: manifest: the key has not signed it\n");
    // Whoever has the key cannot make a part of the log out to be all of it.
    let manifest = format!("{out}/manifest");
    let signed = fs::read_to_string(&manifest).unwrap();
    let said: serde_json::Value = serde_json::from_str(signed.lines().nth(1).unwrap()).unwrap();
    for (change, is_ok) in [
        (json!({}), true),
        (json!({"asked": {}}), false),
        (json!({"asked": {}, "of": 2}), false),
        (json!({"first": 1}), false),
        (json!({"last": 5}), false),
        (json!({"of": 99}), false),
        (json!({"entries": 3}), false),
        (json!({"files": []}), false),
        (json!({"log": "bartizan/other"}), false),
    ] {
        let mut other = said.clone();
        change.as_object().unwrap().iter().for_each(|(name, value)| other[name] = value.clone());
        let text = |_: &bartizan_audit::LogKey| format!("bartizan.audit.export/1\n{other}\n");
        fs::write(&manifest, bartizan_audit::sign(Path::new(&log), text).unwrap()).unwrap();
        let end = check(&key(&log)).status(i32::from(!is_ok));
        assert!(is_ok || end.stdout.contains("manifest: it"), "{change}: {}", end.stdout);
    }
    fs::write(&manifest, signed).unwrap();
    fs::write(format!("{out}/more.csv"), "").unwrap();
    let end = check(&key(&log)).status(0);
    assert!(end.stderr.contains("more.csv is not among what was signed"), "{}", end.stderr);
    // One that was put together of two is none, whoever has signed its parts.
    let other = place("other");
    bartizan_at(home.path(), &["audit", "export", "--out", &other, "--log", &log, "--tool", "b"]).status(0);
    fs::copy(format!("{other}/entries.jsonl"), format!("{out}/entries.jsonl")).unwrap();
    let end = check(&key(&log)).status(1);
    assert_eq!(end.stdout, "not proven: entries.jsonl: it is not the file that was signed\n");
    fs::remove_file(format!("{out}/entries.jsonl")).unwrap();
    check(&key(&log)).status(3);
    fs::remove_file(format!("{out}/manifest")).unwrap();
    check(&key(&log)).status(3);
    // Nothing is handed out of a log that is broken.
    let file = home.path().join("audit/audit.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("\"ann\"", "\"bob\"", 1)).unwrap();
    let end = bartizan_at(home.path(), &["audit", "export", "--out", &place("third"), "--log", &log]).status(3);
    assert!(end.stderr.contains("is broken, and nothing is handed out of it"), "{}", end.stderr);
    assert!(!home.path().join("third").exists());
}
