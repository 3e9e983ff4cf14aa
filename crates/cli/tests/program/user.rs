//! `bartizan user`.

use std::path::Path;

use serde_json::Value;

use crate::support::{End, bartizan_at};

fn user(home: &Path, arguments: &[&str]) -> End {
    let store = home.join("state.db").display().to_string();
    bartizan_at(home, &[&["user"], arguments, &["--store", &store]].concat())
}

fn json(home: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&user(home, &[arguments, &["--json"]].concat()).status(0).stdout).unwrap()
}

#[test]
fn a_link_is_printed_once_alone_and_is_in_no_list() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    assert!(user(home, &["list"]).status(3).stderr.contains("there is nothing yet"));
    let end = user(home, &["add", "ann"]).status(0);
    let (link, token) = (end.stdout.trim(), end.stdout.trim().rsplit('=').next().unwrap());
    assert!(link.starts_with("http://127.0.0.1:8484/bartizan/invite?token=") && token.len() == 64, "{link}");
    assert!(!end.stderr.contains(token) && end.stderr.contains("good once"), "{end:?}");
    for list in [&["list"][..], &["list", "--json"]] {
        let shown = user(home, list).status(0).stdout;
        assert!(shown.contains("ann") && shown.contains("invited") && !shown.contains(token), "{shown}");
    }
    let again = user(home, &["add", "Ann"]).status(2).stderr;
    assert!(again.contains("there is a person `ann` already"), "{again}");
}

#[test]
fn a_link_leads_to_where_browsers_find_the_gateway() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let file = home.join("bartizan.toml");
    let config = file.display().to_string();
    for (listen, start) in [
        ("address = '127.0.0.1:9999'", "http://127.0.0.1:9999/"),
        ("public_url = 'https://MCP.example.com:443'", "https://mcp.example.com/"),
        ("tls = { certificate = 'gone.pem', key = 'gone.pem' }", "https://127.0.0.1:8484/"),
    ] {
        std::fs::write(&file, format!("[listen]\n{listen}\n[server.a]\nurl = '${{NOT_SET}}'\n")).unwrap();
        let name = format!("p{}", start.len());
        let end = bartizan_at(home, &["user", "add", &name, "--config", &config]).status(0);
        assert!(end.stdout.starts_with(&format!("{start}bartizan/invite?token=")), "{}", end.stdout);
    }
    std::fs::write(&file, "[listen]\npublic_url = 'ftp://a'\n").unwrap();
    let end = bartizan_at(home, &["user", "add", "ann", "--config", &config]).status(2);
    assert!(end.stderr.contains("not a URL of scheme, host and port only"), "{}", end.stderr);
}

#[test]
fn what_is_done_is_said_as_json() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let added = json(home, &["add", "ann", "--expires", "1h"]);
    assert!(added["link"].is_string() && added["expires_at"].is_string(), "{added}");
    let states = || json(home, &["list"])["people"][0]["state"].clone();
    assert_eq!(states(), "invited");
    for (command, now, changed, state) in [
        ("disable", "disabled", true, "disabled"),
        ("disable", "disabled", false, "disabled"),
        ("enable", "enabled", true, "invited"),
        ("enable", "enabled", false, "invited"),
    ] {
        let said = json(home, &[command, "ann"]);
        assert_eq!((&said["now"], &said["changed"]), (&now.into(), &changed.into()), "{said}");
        assert_eq!(states(), state);
    }
    assert_ne!(json(home, &["reset", "ann"])["link"], added["link"]);
    assert_eq!(json(home, &["remove", "ann"])["now"], "removed");
    assert_eq!(json(home, &["list"])["people"], Value::Array(Vec::new()));
    assert!(user(home, &["reset", "ann"]).status(2).stderr.contains("there is no person `ann`"));
}

#[test]
fn who_is_added_where_nobody_signs_in_is_told_so() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let file = home.join("bartizan.toml");
    let config = file.display().to_string();
    for (number, (table, warned)) in
        [("", true), ("[sign_in]\n", false), ("[sign_in.client.x]\n", false)].into_iter().enumerate()
    {
        std::fs::write(&file, format!("[store]\npath = 'state.db'\n{table}")).unwrap();
        let name = format!("p{number}");
        let end = bartizan_at(home, &["user", "add", &name, "--config", &config]).status(0);
        let said =
            format!("warning: nobody signs in here, so {name} cannot until the configuration has a table [sign_in]");
        assert_eq!(end.stderr.contains(&said), warned, "{}", end.stderr);
        assert!(end.stdout.contains("/bartizan/invite?token="), "{}", end.stdout);
    }
    // Of a store alone nobody can tell.
    assert!(!user(home, &["add", "eve"]).status(0).stderr.contains("warning"));
}

#[test]
fn who_cannot_be_added_is_told_what_can_be_done() {
    let home = tempfile::tempdir().unwrap();
    user(home.path(), &["add", "ann"]).status(0);
    let end = user(home.path(), &["add", "Ann"]).status(2);
    assert!(
        end.stderr.contains("there is a person `ann` already; `bartizan user reset NAME` prints a new link"),
        "{}",
        end.stderr
    );
    let characters = "1 to 64 of the letters a to z, digits, `-`, `_`, `.` and `@`";
    for name in ["Eve Smith", "eve:smith"] {
        let end = user(home.path(), &["add", name]).status(2);
        assert!(end.stderr.contains(characters), "{}", end.stderr);
    }
    let help = user(home.path(), &["add", "--help"]).status(0).stdout;
    assert!(help.split_whitespace().collect::<Vec<_>>().join(" ").contains(characters), "{help}");
}
