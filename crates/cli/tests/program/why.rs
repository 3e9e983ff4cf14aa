//! `bartizan why`.

use bartizan_config::{Config, Environment};
use bartizan_guard::Timestamp;
use serde_json::{Value, json};

use crate::support::{bartizan_at, write_log};

fn call(decision: &str, rule: Option<&str>, findings: &Value) -> (&'static str, Value) {
    let mut fields = json!({
        "direction": "to_server", "principal": "local:alice", "server": "files", "session": "s1", "form": "request",
        "method": "tools/call", "tool": "read_file", "request": "7", "bytes": 312, "digest": "ab", "decision": decision,
        "findings": findings,
    });
    if let Some(rule) = rule {
        fields["rule"] = rule.into();
        fields["why"] = "it is too much".into();
    }
    ("message", fields)
}

fn finding(rule: &str, action: &str, by: &str) -> Value {
    json!({"rule": rule, "action": action, "by": by, "at": "/params/arguments/path", "span": [3, 9], "confidence": 1000, "why": "it is too much"})
}

/// The explanation of one entry.
#[track_caller]
fn explain(entry: (&'static str, Value)) -> (String, Value) {
    let home = tempfile::tempdir().unwrap();
    let ids = write_log(home.path(), &[entry]);
    let text = bartizan_at(home.path(), &["why", &ids[0]]).status(0).stdout;
    let json = bartizan_at(home.path(), &["why", &ids[0], "--json"]).status(0).json();
    assert_eq!(json["entry"]["id"], ids[0].as_str());
    (text, json)
}

/// What the advice says to write can be written: the configuration with it loads.
#[track_caller]
fn advice(json: &Value) -> Vec<String> {
    let list = json["advice"].as_array().unwrap();
    let writes: Vec<_> = list.iter().filter_map(|advice| advice["write"].as_str()).map(str::to_owned).collect();
    let environment = Environment {
        variables: [("HOME".to_owned(), "/h".to_owned())].into(),
        directory: "/etc".into(),
        now: Timestamp(0),
    };
    for text in writes.iter().filter(|text| text.contains('=') && !text.ends_with('…')) {
        Config::parse(text, "advice", &environment).unwrap_or_else(|found| panic!("{found}"));
    }
    writes
}

#[test]
fn a_refused_call() {
    let (text, json) = explain(call("deny", Some("rate.tool"), &json!([finding("rate.tool", "deny", "rule default")])));
    for part in [
        "2026-01-02T03:04:05.000000Z",
        "A request `tools/call` of the tool `read_file` (312 bytes) went from local:alice to the server `files`.",
        "Decision: deny. It was refused by the rule rate.tool: it is too much.",
        "1. rate.tool (medium) — The principal exceeds its rate for one tool.",
        "where: /params/arguments/path, bytes 3 to 9; certain",
        "action: deny, the default of the rule",
        "    tool = \"read_file\"",
        "    expires = 2026-03-01",
        "    [guard.rate.servers.\"files\"]",
        "    rules = { \"rate.tool\" = \"observe\" }",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert_eq!(json["rules"][0]["id"], "rate.tool");
    assert_eq!(advice(&json).len(), 2);
}

#[test]
fn the_advice_is_at_the_level_of_the_setting_that_decided() {
    for (by, expected) in [
        ("guard.action", "[guard.rate.servers.\"files\"]\nrules = { \"rate.tool\" = \"observe\" }"),
        ("guard.rules", "[guard.rate]\nrules = { \"rate.tool\" = \"observe\" }"),
        ("guard.servers.action", "[guard.rate.servers.\"files\"]\nrules = { \"rate.tool\" = \"observe\" }"),
        ("guard.servers.tools", "[guard.rate.servers.\"files\"]\ntools = { \"read_file\" = \"observe\" }"),
    ] {
        let (_, json) = explain(call("deny", Some("rate.tool"), &json!([finding("rate.tool", "deny", by)])));
        assert_eq!(advice(&json)[1], expected, "{by}");
    }
}

#[test]
fn what_was_only_observed() {
    let mut found = finding("rate.tool", "observe", "mode");
    found["would"] = "deny".into();
    let (text, json) = explain(call("allow", None, &json!([found])));
    assert!(text.contains("Decision: allow. It passed unchanged."), "{text}");
    assert!(text.contains("because the mode is `observe`; without that it would have been deny"), "{text}");
    assert_eq!(advice(&json), ["mode = \"enforce\""]);
}

#[test]
fn what_passed_has_no_advice() {
    let (text, json) = explain(call("allow", None, &json!([])));
    assert!(text.contains("no guard found anything") && !text.contains("What would change"), "{text}");
    assert!(advice(&json).is_empty());
}

#[test]
fn what_could_not_be_read() {
    let entry = json!({
        "direction": "to_client", "principal": "local:alice", "server": "files", "session": "s", "bytes": 99, "digest": "x",
        "decision": "deny", "rule": "conformance.size", "why": "too large",
    });
    let (text, json) = explain(("unreadable", entry));
    assert!(
        text.contains("A message that could not be read (99 bytes) came from the server `files` for local:alice."),
        "{text}"
    );
    assert_eq!(advice(&json), ["[limits]\nmessage_bytes = …"]);
}

#[test]
fn hostile_names_are_shown_harmless() {
    let hostile = "x\u{1b}[2J\"\u{202e}\u{e0041}\n";
    let mut entry = call("deny", Some("rate.tool"), &json!([finding("rate.tool", "deny", "guard.servers.tools")]));
    entry.1["tool"] = hostile.into();
    entry.1["method"] = hostile.into();
    entry.1["why"] = hostile.into();
    let (text, json) = explain(entry);
    assert!(!text.contains(['\u{1b}', '\u{202e}', '\u{e0041}']), "{text:?}");
    assert_eq!(json["entry"]["tool"], hostile);
    assert_eq!(advice(&json).len(), 2);
}

#[test]
fn an_entry_that_is_not_there() {
    let home = tempfile::tempdir().unwrap();
    write_log(home.path(), &[]);
    let end = bartizan_at(home.path(), &["why", "01KE0000000000000000000000"]).status(3);
    assert!(end.stderr.contains("has no entry 01KE0000000000000000000000"), "{}", end.stderr);
}
