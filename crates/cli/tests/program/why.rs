//! `bartizan why`.

use std::time::UNIX_EPOCH;

use bartizan_config::{Config, Environment};
use bartizan_guard::Timestamp;
use serde_json::{Value, json};

use crate::support::{bartizan_at, bartizan_with, write_log};

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
        now: Timestamp(i64::try_from(UNIX_EPOCH.elapsed().unwrap().as_micros()).unwrap()),
    };
    for text in writes.iter().filter(|text| text.contains('=') && !text.ends_with('…')) {
        // Nor would it do nothing: an exception that is over already, or one for no server that there is.
        let text = format!("{text}\n[server.files]\nurl = 'https://files.example/mcp'\n");
        let (_, warnings) = Config::parse(&text, "advice", &environment).unwrap_or_else(|found| panic!("{found}"));
        assert_eq!(warnings, [], "{text}");
    }
    writes
}

#[test]
fn who_shows_nothing_is_not_told_to_sign_in_to_a_server() {
    for (who, what) in [("anonymous", "a key, a token or a certificate"), ("ann", "run `bartizan upstream login")] {
        let mut entry = call("deny", Some("upstream.sign_in"), &json!([]));
        entry.1["principal"] = who.into();
        let (text, _) = explain(entry);
        assert!(text.contains(what) && text.contains("key create") == (who == "anonymous"), "{who}: {text}");
    }
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
        "    [guard.rate]",
        "    per_tool = …",
        "    tool = \"read_file\"",
        "    expires = 20",
        "    [guard.rate.servers.\"files\"]",
        "    tools = { \"read_file\" = \"observe\" }",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert_eq!(json["rules"][0]["id"], "rate.tool");
    assert_eq!(advice(&json).len(), 3);
}

#[test]
fn whoever_may_not_do_it_is_told_what_they_would_need() {
    for (rule, expected) in [
        ("policy.denied", Some("bartizan policy explain local:alice files/read_file")),
        ("access.scope", Some("--scope tool:files/read_file")),
        ("access.server", Some("--scope tool:files/read_file")),
        ("access.handed_out", None),
    ] {
        let (_, json) = explain(call("deny", Some(rule), &json!([finding(rule, "deny", "fixed")])));
        assert_eq!(advice(&json).first().map(String::as_str), expected, "{rule}: {json:#}");
        assert_eq!(json["advice"].as_array().unwrap().len(), 1);
    }
}

/// What is advised works where it is typed.
#[test]
fn a_command_that_would_not_find_the_configuration_names_it() {
    let place = tempfile::tempdir().unwrap();
    let home = place.path().join("home");
    let file = place.path().join("my team.toml");
    let role =
        "[role.reader]\nallow = [\"server:notes\"]\n[group.all]\nmembers = [\"local:alice\"]\nroles = [\"reader\"]\n";
    let log = home.join("audit");
    let text = format!("[audit]\ndirectory = {log:?}\n[server.files]\nurl = 'https://files.example/mcp'\n{role}");
    std::fs::write(&file, text).unwrap();
    let shown = file.display().to_string();
    let denied = || call("deny", Some("policy.denied"), &json!([finding("policy.denied", "deny", "fixed")]));
    let mut asked = call("approve", Some("policy.approval"), &json!([finding("policy.approval", "approve", "fixed")]));
    asked.1["approval"] = "4mz0k7q2x9cd".into();
    let started = |file: &str| ("gateway.started", json!({"version": "1", "config": file}));
    let ids = write_log(&home, &[denied(), started(&shown), denied(), asked]);
    let variables = home.display().to_string();
    let environment = [("BARTIZAN_HOME", &*variables), ("HOME", "/h")];
    let run = |words: &[&str], directory: &std::path::Path| bartizan_with(&environment, directory, words);
    let advised = |id: &str, more: &[&str], directory: &std::path::Path| {
        advice(&run(&[&["why", id, "--json"], more].concat(), directory).status(0).json())
    };
    let plain = "bartizan policy explain local:alice files/read_file";
    let named = format!("{plain} --config '{shown}'");
    let elsewhere = std::path::Path::new("/");
    // As the log says which was in force; as was said; and neither.
    assert_eq!(advised(&ids[2], &[], elsewhere), [&*named]);
    assert_eq!(advised(&ids[0], &["--config", &shown], elsewhere), [&*named]);
    assert_eq!(advised(&ids[0], &[], elsewhere), [plain]);
    let approve = format!("bartizan approve 4mz0k7q2x9cd --config '{shown}'");
    assert_eq!(advised(&ids[3], &[], elsewhere), [&*approve, &*named]);
    let said = run(&["why", &ids[3]], elsewhere).status(0).stdout;
    assert!(said.contains(&format!("    {approve}\n")), "{said}");
    let words = ["policy", "explain", "local:alice", "files/read_file", "--config", &shown];
    assert!(run(&words, elsewhere).status(0).stdout.contains("roles   reader"));
    // Where the command finds it by itself, it is not named.
    let here = place.path().join("bartizan.toml");
    std::fs::copy(&file, &here).unwrap();
    let ids = write_log(&home.join("run"), &[started(&here.display().to_string()), denied()]);
    let log = home.join("run/audit").display().to_string();
    assert_eq!(advised(&ids[1], &["--log", &log], place.path()), [plain]);
    assert!(advised(&ids[1], &["--log", &log], elsewhere)[0].ends_with("bartizan.toml"));
}

#[test]
fn the_advice_for_an_operators_rule_names_it() {
    let mut found = finding("prompt_injection.custom", "deny", "rule default");
    found["own"] = "prompt_injection.custom.names".into();
    let (text, json) = explain(call("deny", Some("prompt_injection.custom"), &json!([found])));
    let advice: Vec<_> = json["advice"].as_array().unwrap().iter().map(|one| one["write"].as_str().unwrap()).collect();
    assert!(advice.len() == 2 && advice[0].contains("rule = \"prompt_injection.custom.names\"\n"), "{advice:?}");
    assert!(text.contains("1. prompt_injection.custom.names (high) — "), "{text}");
}

#[test]
fn what_is_said_to_the_gateway_itself_is_about_no_server() {
    let (kind, mut fields) =
        call("deny", Some("rate.principal"), &json!([finding("rate.principal", "deny", "rule default")]));
    fields["server"] = "*".into();
    let (text, json) = explain((kind, fields));
    let limit = "[guard.rate]\nper_principal = …";
    assert_eq!(advice(&json), [limit, "[guard.rate]\nrules = { \"rate.principal\" = \"observe\" }"]);
    assert!(text.contains("everywhere"), "{text}");
}

#[test]
fn the_advice_opens_no_more_than_is_needed() {
    for by in ["rule default", "guard.action", "guard.rules", "guard.servers.action", "guard.servers.tools"] {
        let entry = call("deny", Some("rate.tool"), &json!([finding("rate.tool", "deny", by)]));
        let (_, json) = explain(entry.clone());
        let advice_for_tool = advice(&json);
        assert!(
            advice_for_tool[1].contains("rule = \"rate.tool\"\nserver = \"files\"\ntool = \"read_file\"\n"),
            "{by}"
        );
        let expected = "[guard.rate.servers.\"files\"]\ntools = { \"read_file\" = \"observe\" }";
        assert_eq!(advice_for_tool[2], expected, "{by}");
        // What is about no tool is opened for the server, and it is said.
        let (kind, mut fields) = entry;
        fields.as_object_mut().unwrap().remove("tool");
        let (text, json) = explain((kind, fields));
        let expected = "[guard.rate.servers.\"files\"]\nrules = { \"rate.tool\" = \"observe\" }";
        assert_eq!(advice(&json)[2], expected, "{by}");
        assert!(text.contains("from all of this server, as it is about no tool"), "{text}");
    }
}

#[test]
fn each_withheld_definition_of_a_listing_is_accepted_by_its_name() {
    let of = |rule: &str, name: &str| {
        let mut found = finding(rule, "deny", "rule default");
        found["subject"] = name.into();
        found
    };
    let listing = |findings: &Value| {
        let (kind, mut fields) = call("transform", None, findings);
        fields["tool"] = Value::Null;
        (kind, fields)
    };
    let found = json!([
        of("tool_pinning.changed", "read"),
        of("tool_pinning.added", "--all"),
        of("tool_pinning.changed", "a b")
    ]);
    let (text, json) = explain(listing(&found));
    assert!(text.contains("where: /params/arguments/path, of `a b`, bytes"), "{text}");
    let writes = advice(&json);
    for (at, expected) in [
        (0, "bartizan lock diff --server files read"),
        (1, "bartizan lock update --server files read"),
        (5, "bartizan lock update --server files -- --all"),
        (9, "bartizan lock update --server files 'a b'"),
    ] {
        assert_eq!(writes[at], expected, "{writes:#?}");
    }
    assert!(writes[2].contains("\ntool = \"read\"\n") && writes[3].contains("tools = { \"read\" = "), "{writes:#?}");
    // An entry that does not say which: then nothing is accepted before it was looked at.
    let (_, json) = explain(listing(&json!([finding("tool_pinning.changed", "deny", "rule default")])));
    assert_eq!(advice(&json)[1], "bartizan lock update --server files NAME…");
    // What the lock file does not hold cannot be accepted.
    let (text, _) = explain(listing(&json!([of("tool_pinning.duplicate", "read")])));
    assert!(!text.contains("bartizan lock"), "{text}");
    let many: Vec<_> = (0..20).map(|number| of("tool_pinning.added", &format!("tool{number}"))).collect();
    let (text, _) = explain(listing(&json!(many)));
    assert!(text.contains("the same for 12 more, each by its own name") && !text.contains("files tool8\n"), "{text}");
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
fn the_configuration_that_was_in_force_then() {
    let home = tempfile::tempdir().unwrap();
    let started = |config: Value| ("gateway.started", json!({"version": "1", "config": config}));
    let call = || call("allow", None, &json!([]));
    let entries = [
        call(),
        ("gateway.started", json!({"version": "0"})),
        call(),
        started(Value::Null),
        call(),
        ("config.reloaded", json!({"servers": [], "config": "/c/two\u{1b}.toml"})),
        ("config.refused", json!({})),
        call(),
        started("/c/one.toml".into()),
        call(),
    ];
    let ids = write_log(home.path(), &entries);
    let home = home.path().display().to_string();
    let environment = [("BARTIZAN_HOME", &*home), ("HOME", "/h")];
    for (index, said, config) in [
        (0, None, None),
        (2, None, None),
        (4, Some("none, so the defaults; yours would be /h/.config/bartizan/bartizan.toml"), None),
        (7, Some("/c/two\\u{1b}.toml"), Some("/c/two\u{1b}.toml")),
        (9, Some("/c/one.toml"), Some("/c/one.toml")),
    ] {
        let text = bartizan_with(&environment, "/".as_ref(), &["why", &ids[index]]).status(0).stdout;
        let found = text.lines().find_map(|line| line.strip_prefix("Configuration: "));
        assert_eq!(found, said, "{text}");
        let json = bartizan_with(&environment, "/".as_ref(), &["why", &ids[index], "--json"]).status(0).json();
        assert_eq!(json["config"].as_str(), config, "{json:#}");
    }
}

#[test]
fn what_passed_has_no_advice() {
    let (text, json) = explain(call("allow", None, &json!([])));
    assert!(text.contains("no guard found anything") && !text.contains("What would change"), "{text}");
    assert!(advice(&json).is_empty());
}

#[test]
fn what_a_server_speaks() {
    for (speaks, said) in [
        ("legacy", "the revisions with sessions (until 2025-11-25) and no other"),
        ("modern", "2026-07-28 and no older revision"),
        ("both", "both, the revisions with sessions and 2026-07-28"),
    ] {
        let (text, _) = explain(("server.eras", json!({"server": "files", "speaks": speaks})));
        assert!(text.contains(&format!("The server `files` was asked what it speaks: {said}.")), "{text}");
    }
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
fn every_kind_of_refusal_says_what_why_and_what_to_do() {
    let cases = [
        (
            "edge.refused",
            json!({"second_micros": 0, "total": 4, "other_sources": 1, "sources": [{"source": "10.0.0.7", "count": 3}],
                "hosts": ["mcp.example.com", "b\u{1b}"], "reasons": [{"rule": "edge.host", "count": 3}, {"rule": "edge.too_slow", "count": 1}]}),
            &[
                "4 requests were refused before there was a message in them, from 10.0.0.7 (3), others (1).",
                "  3 × edge.host: the `Host` header does not name this gateway; it was \"mcp.example.com\", \"b",
                "edge.host: if clients are meant to use that name, add it to `allowed_hosts` under [listen]",
                "edge.too_slow: raise `body_timeout`",
            ][..],
        ),
        (
            // As versions wrote it that did not count by rule.
            "edge.refused",
            json!({"second_micros": 0, "total": 1, "sources": [{"source": "10.0.0.7", "count": 1}], "other_sources": 0}),
            &["1 request was refused", "(the entry does not say why)"],
        ),
        (
            "upstream.strays",
            json!({"second_micros": 0, "total": 900, "sources": [{"source": "files", "count": 900}], "other_sources": 0,
                "reasons": [{"rule": "upstream.unheard", "count": 900}]}),
            &[
                "900 messages were dropped, which nobody had asked for, from files (900).",
                "upstream.unheard: nothing: ",
            ],
        ),
        (
            "config.refused",
            json!({"config": "/etc/my bartizan.toml", "problems": ["3:1: unknown key `adress`", "9:2: there is no rule `x`"]}),
            &[
                "A change of the configuration /etc/my bartizan.toml was refused, and the one before stayed in force.",
                "\n  3:1: unknown key `adress`\n  9:2: there is no rule `x`\n",
                "bartizan config check '/etc/my bartizan.toml'",
            ],
        ),
        (
            "lock.gone",
            json!({"lock": "/x/mcp.lock"}),
            &["written again as it was known, and nothing in it was approved anew"],
        ),
        ("config.refused", json!({}), &["was refused", "(the entry does not say why)", "bartizan config check FILE"]),
        (
            "upstream.failed",
            json!({"server": "files", "session": "s", "decision": "deny", "rule": "upstream.timeout", "method": "tools/call",
                "why": "the server did not answer within 60 s"}),
            &[
                "A request that was not answered `tools/call` concerned the server `files`.",
                "The client got an error in its place by the rule upstream.timeout: the server did not answer within 60 s.",
                "upstream.timeout: raise `timeout` of the server",
            ],
        ),
        (
            "headers",
            json!({"server": "files", "method": "tools/call", "names": ["mcp-param-a"], "decision": "deny",
                "rule": "hidden_text.tags", "why": "hidden characters"}),
            &["What a client said in headers beside `tools/call` concerned", "It was refused by", "[[exception]]"],
        ),
        (
            "dropped",
            json!({"server": "files", "decision": "deny", "rule": "gateway.shared_unattributed", "why": "whose", "bytes": 9}),
            &["What a shared server said (9 bytes)", "It was dropped by the rule", "set `shared = false`"],
        ),
    ];
    for (kind, fields, parts) in cases {
        let (text, json) = explain((kind, fields));
        for part in parts {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        advice(&json);
        let list = json["advice"].as_array().unwrap();
        assert!(!list.is_empty() || text.contains("does not say why"), "{text}");
    }
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
    assert_eq!(advice(&json).len(), 3);
}

#[test]
fn an_entry_that_is_not_there() {
    let home = tempfile::tempdir().unwrap();
    write_log(home.path(), &[]);
    let end = bartizan_at(home.path(), &["why", "01KE0000000000000000000000"]).status(3);
    assert!(end.stderr.contains("has no entry 01KE0000000000000000000000"), "{}", end.stderr);
    write_log(&home.path().join("run"), &[]);
    let end = bartizan_at(home.path(), &["why", "01KE0000000000000000000000"]).status(3);
    let last = format!("\n  {}\n", home.path().join("run/audit").display());
    assert!(end.stderr.ends_with(&last), "{}", end.stderr);
}

#[test]
fn an_id_may_be_retyped_in_small_letters_or_have_the_end_of_a_sentence() {
    let home = tempfile::tempdir().unwrap();
    let ids = write_log(home.path(), &[call("allow", None, &json!([]))]);
    for id in [ids[0].to_lowercase(), format!("{}.", ids[0])] {
        let text = bartizan_at(home.path(), &["why", &id]).status(0).stdout;
        assert!(text.contains(&ids[0]), "{text}");
    }
    bartizan_at(home.path(), &["why", "01kei000000000000000000000"]).status(2);
}

#[test]
fn an_entry_behind_a_change_is_shown_as_not_verified() {
    let home = tempfile::tempdir().unwrap();
    let entries = ["allow", "deny", "allow"].map(|decision| call(decision, None, &json!([])));
    let ids = write_log(home.path(), &entries);
    let file = home.path().join("audit/audit.jsonl");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("\"decision\":\"deny\"", "\"decision\":\"allow\"", 1)).unwrap();
    let why = |id: &str, more: &[&str]| bartizan_at(home.path(), &[&["why", id], more].concat());
    assert!(!why(&ids[0], &[]).status(0).stdout.contains("NOT verified"));
    assert_eq!(why(&ids[0], &["--json"]).status(0).json()["verified"], true);
    for id in [&ids[1], &ids[2]] {
        let end = why(id, &[]).status(1);
        let expected = "NOT verified: audit.jsonl, line 3, byte ";
        assert!(end.stdout.contains(expected) && end.stdout.contains("entry 3 was changed"), "{}", end.stdout);
        let json = why(id, &["--json"]).status(1).json();
        assert!(json["verified"] == false && json["problem"].as_str().unwrap().contains("entry 3 was changed"));
    }
}

#[test]
fn of_a_server_that_is_another_one_it_says_what_to_do() {
    let changed = json!({"server": "files", "before": "command /a arguments 1", "now": "command /b arguments 1"});
    let (text, json) = explain(("server.changed", changed));
    for part in [
        "concerned the server `files`.",
        "What was approved was command /a arguments 1; this is command /b arguments 1.",
        "What can be done",
        "    bartizan lock diff --server files\n    bartizan lock update --server files",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert_eq!(advice(&json).len(), 1);
    let (text, json) = explain(("server.restarted", json!({"server": "files"})));
    assert!(text.contains("No decision was made about it.") && !text.contains("bartizan lock"), "{text}");
    assert_eq!(advice(&json).len(), 0);
}

#[test]
fn of_what_was_done_it_says_by_whom_to_whom_and_with_what() {
    let revoked = json!({"key": "I4QWK3DC6rrC", "by": "uid:0", "principal": "ann\u{1b}[2J", "roles": ["lead", "dev"], "change": 7});
    let (text, _) = explain(("key.revoked", revoked));
    let expected = "An event of the kind `key.revoked` was recorded.\nNo decision was made about it.\n  by: uid:0\n  principal: \
                    ann\\u{1b}[2J\n  key: I4QWK3DC6rrC\n  roles: lead, dev\n";
    assert!(text.contains(expected), "{text}");
    // The twins: what is about a message says it in words, and what is said in words is said once.
    for entry in [call("allow", None, &json!([])), ("config.refused", json!({"config": "a.toml", "problems": ["no"]}))]
    {
        let (text, _) = explain(entry);
        assert!(!text.contains("\n  principal: ") && !text.contains("\n  config: "), "{text}");
    }
    let one = json!({"total": 1, "reasons": [{"rule": "edge.head", "count": 1}]});
    assert!(explain(("edge.refused", one)).0.contains("1 request was refused before there was a message in it."));
}

#[test]
fn what_may_be_the_id_of_a_key_is_said_to_be_none_of_a_request() {
    let home = tempfile::tempdir().unwrap();
    write_log(home.path(), &[]);
    for (id, may_be) in [("I4QWK3DC6rrC", true), ("i4qwk3dc6rrc", false)] {
        let end = bartizan_at(home.path(), &["why", id]).status(3);
        assert!(end.stderr.contains("no entry about a request for approval i4qwk3dc6rrc"), "{}", end.stderr);
        assert_eq!(end.stderr.contains("bartizan key list --all"), may_be, "{}", end.stderr);
    }
}

#[test]
fn what_it_says_to_type_is_about_the_lock_file_that_was_in_force() {
    let home = tempfile::tempdir().unwrap();
    let own = home.path().join("mcp.lock").display().to_string();
    let changed = json!({"server": "files", "before": "command /a arguments 1", "now": "command /b arguments 1"});
    let pinned =
        call("deny", Some("tool_pinning.changed"), &json!([finding("tool_pinning.changed", "deny", "rule default")]));
    for (lock, option) in
        [(own.as_str(), ""), ("/srv/team/mcp.lock", " --lock /srv/team/mcp.lock"), ("/a b", " --lock '/a b'")]
    {
        let place = tempfile::tempdir().unwrap();
        let started = ("gateway.started", json!({"config": "/x.toml", "lock": lock}));
        let ids = write_log(place.path(), &[started, ("server.changed", changed.clone()), pinned.clone()]);
        let log = place.path().join("audit").display().to_string();
        for id in &ids[1..] {
            let text = bartizan_at(home.path(), &["why", id, "--log", &log]).status(0).stdout;
            for command in ["diff", "update"] {
                let line = format!("bartizan lock {command} --server files{option}");
                let found = text.lines().find(|found| found.trim().starts_with(&line));
                assert!(found.is_some_and(|found| found.contains(" --lock ") != option.is_empty()), "{line}: {text}");
            }
        }
    }
}

#[test]
fn what_is_named_by_its_digest_and_size() {
    let mut found = finding("hidden_text.tags", "deny", "rule default");
    found["digest"] = "a1b2".into();
    let (text, _) = explain(call("deny", Some("hidden_text.tags"), &json!([found])));
    assert!(text.contains("where: /params/arguments/path, bytes 3 to 9; digest a1b2; certain"), "{text}");
    let fields = json!({
        "direction": "to_server", "principal": "local:alice", "server": "files", "bytes": 10_500_000, "at_least": true,
        "decision": "deny", "rule": "conformance.size", "why": "message larger than the limit",
    });
    let (text, _) = explain(("unreadable", fields));
    assert!(text.contains("A message that could not be read (at least 10500000 bytes) went"), "{text}");
}

/// A call that waited, the decision about it, and the same call again.
fn approved() -> Vec<(&'static str, Value)> {
    let of = |mut fields: Value| {
        for (key, value) in
            [("approval", "4mz0k7q2x9cd"), ("principal", "ann"), ("server", "bank"), ("what", "tool pay")]
        {
            fields[key] = value.into();
        }
        fields
    };
    let asks =
        json!([{"rule": "policy.approval", "policy": "large", "need": "approval", "approvers": ["group:leads"]}]);
    let call = |decision: &str, rule: Option<&str>, action: &str, by: &str| {
        let (kind, fields) = call(decision, rule, &json!([finding("policy.approval", action, by)]));
        (kind, of(fields))
    };
    vec![
        call("approve", Some("policy.approval"), "approve", "fixed"),
        (
            "approval.asked",
            of(json!({"by": "ann", "done_at": "2026-01-02T03:04:05.000000Z", "asks": asks, "four_eyes": true,
            "needs_yes": true, "fresh": true, "expires_at": "2026-01-02T04:04:05.000000Z"})),
        ),
        (
            "approval.approved",
            of(json!({"by": "bea", "done_at": "2026-01-02T03:10:00.000000Z", "way": "page", "reason": "as agreed",
            "second_factor_at": "2026-01-02T03:09:58.000000Z", "expires_at": "2026-01-02T04:10:00.000000Z"})),
        ),
        call("allow", None, "observe", "approval"),
        ("approval.used", of(json!({"by": "ann", "done_at": "2026-01-02T03:11:00.000000Z"}))),
    ]
}

#[test]
fn a_call_that_passed_by_an_approval_and_the_request_itself() {
    let home = tempfile::tempdir().unwrap();
    let ids = write_log(home.path(), &approved());
    let why = |id: &str| bartizan_at(home.path(), &["why", id]).status(0).stdout;
    let passed = why(&ids[3]);
    for part in [
        "It passed unchanged, once, as what its request for approval asks for was met.",
        "Request 4mz0k7q2x9cd  tool pay of the server `bank`, for ann: used",
        "asked     2026-01-02T03:04:05Z by ann, good until 2026-01-02T04:04:05Z",
        "because   the policy `large` (policy.approval) wants somebody's approval, of group:leads",
        "rule      four eyes: whoever asks may not agree",
        "approved  2026-01-02T03:10:00Z by bea, on a page, signed in with a second factor (last shown 2026-01-02T03:09:58Z): as agreed",
        &format!("used      2026-01-02T03:11:00Z by the call {}", ids[3]),
        "action: observe, as it was agreed to",
    ] {
        assert!(passed.contains(part), "{part} is not in\n{passed}");
    }
    // No exception lifts such a rule, and `config check` refuses one.
    let waited = why(&ids[0]);
    for text in [&passed, &waited] {
        assert!(!text.contains("[[exception]]") && !text.contains("[guard."), "{text}");
    }
    assert!(waited.contains("    bartizan approve 4mz0k7q2x9cd\n"), "{waited}");
    // The request by its name, also as people retype it.
    for name in ["4mz0k7q2x9cd", "4MZ0K7Q2X9CD."] {
        let said = why(name);
        let story = said.trim_end();
        assert!(story.starts_with("Request 4mz0k7q2x9cd") && passed.contains(story), "{said}");
    }
    let json = bartizan_at(home.path(), &["why", "4mz0k7q2x9cd", "--json"]).status(0).json();
    assert_eq!(
        (&json["state"], &json["spent_by"], json["calls"].as_array().unwrap().len()),
        (&"used".into(), &ids[3].clone().into(), 2)
    );
    let json = bartizan_at(home.path(), &["why", &ids[3], "--json"]).status(0).json();
    assert_eq!((&json["approval"]["request"], json["advice"].as_array().unwrap().len()), (&"4mz0k7q2x9cd".into(), 0));
}

#[test]
fn a_request_that_is_not_decided_was_denied_or_is_not_there() {
    for (many, state) in [(2, "expired"), (3, "expired"), (4, "used")] {
        let home = tempfile::tempdir().unwrap();
        write_log(home.path(), approved().get(..many).unwrap());
        let json = bartizan_at(home.path(), &["why", "4mz0k7q2x9cd", "--json"]).status(0).json();
        assert_eq!(json["state"], state, "{many}");
    }
    let home = tempfile::tempdir().unwrap();
    let mut entries = approved();
    for fields in entries.iter_mut().map(|(_, fields)| fields).filter(|fields| fields["expires_at"].is_string()) {
        fields["expires_at"] = "2999-01-02T03:04:05.000000Z".into();
    }
    write_log(home.path(), &entries[..2]);
    let said = bartizan_at(home.path(), &["why", "4mz0k7q2x9cd"]).status(0).stdout;
    assert!(said.contains("for ann: waits\n") && said.contains("`bartizan approve 4mz0k7q2x9cd` shows it"), "{said}");
    // What somebody agreed to who was reset or removed since is to be decided again, and what was only proven is not.
    for (taken, state) in [("yes", "pending"), ("proof", "approved")] {
        let withdrawn = entries[1].1.as_object().unwrap().iter().filter(|(name, _)| *name != "expires_at");
        let mut withdrawn: Value = withdrawn.map(|(name, value)| (name.clone(), value.clone())).collect();
        withdrawn["by"] = "uid:7".into();
        withdrawn["of"] = "bea".into();
        withdrawn["taken"] = json!([taken]);
        let home = tempfile::tempdir().unwrap();
        write_log(home.path(), &[entries[1].clone(), entries[2].clone(), ("approval.withdrawn", withdrawn)]);
        let json = bartizan_at(home.path(), &["why", "4mz0k7q2x9cd", "--json"]).status(0).json();
        assert_eq!(json["state"], state, "{taken}");
        let said = bartizan_at(home.path(), &["why", "4mz0k7q2x9cd"]).status(0).stdout;
        assert!(said.contains("withdrawn 2026-01-02T03:04:05Z by uid:7: what bea had given"), "{said}");
    }
    let mut no = entries[2].1.clone();
    no["way"] = "command".into();
    no["second_factor_at"] = Value::Null;
    let home = tempfile::tempdir().unwrap();
    write_log(home.path(), &[entries[1].clone(), ("approval.denied", no)]);
    let said = bartizan_at(home.path(), &["why", "4mz0k7q2x9cd"]).status(0).stdout;
    assert!(said.contains("for ann: denied\n"), "{said}");
    assert!(said.contains("by bea, with a command on the gateway's machine: as agreed\n"), "{said}");
    let end = bartizan_at(home.path(), &["why", "4mz0k7q2x9ce"]).status(3);
    assert!(end.stderr.contains("has no entry about a request for approval 4mz0k7q2x9ce"), "{}", end.stderr);
}

#[test]
fn what_permitted_a_call_and_the_version_of_the_policies() {
    let (kind, mut fields) = call("allow", None, &json!([]));
    fields["policies"] = "3f1c9a2b7d5e4f60".into();
    let (text, _) = explain((kind, fields.clone()));
    assert!(
        text.contains("\nPolicies: version 3f1c9a2b7d5e4f60, which `bartizan policy show 3f1c9a2b7d5e4f60` prints\n"),
        "{text}"
    );
    fields["permitted_by"] = json!(["git", "role.developer.allow tool:git/git_log"]);
    let (text, _) = explain((kind, fields));
    assert!(
        text.contains("Policies: permitted by `git` and the role `developer` (`tool:git/git_log`); version 3f1c"),
        "{text}"
    );
    let (kind, mut fields) = call("allow", None, &json!([]));
    assert!(!explain((kind, fields.clone())).0.contains("Policies:"));
    (fields["policies"], fields["permitted_by"]) = ("3f1c9a2b7d5e4f60".into(), json!([]));
    let (text, _) = explain((kind, fields));
    assert!(
        text.contains(
            "Policies: no policy says anything about it, which `default = \"permit\"` lets pass; version 3f1c"
        ),
        "{text}"
    );
}

#[test]
fn whoever_is_refused_learns_with_which_roles_they_were_judged() {
    let shown = |session: &str, roles: Value, groups: Value, tenant: Value, left_out: u64| {
        let fields = json!({"session": session, "principal": "corp:ann", "key": "token:corp:1", "from": "127.0.0.1",
            "roles": roles, "groups": groups, "tenant": tenant, "left_out": left_out});
        ("access.shown", fields)
    };
    let denied = |session: &str| {
        let (kind, mut fields) =
            call("deny", Some("policy.denied"), &json!([finding("policy.denied", "deny", "fixed")]));
        fields["principal"] = "corp:ann".into();
        fields["session"] = session.into();
        (kind, fields)
    };
    let old = json!({"session": "s4", "principal": "corp:ann", "key": "token:corp:4", "from": "127.0.0.1"});
    let home = tempfile::tempdir().unwrap();
    let entries = [
        shown("s2", json!(["else"]), json!([]), json!(null), 0),
        // The message that begins a session comes before what is shown in it.
        denied("s1"),
        shown("s1", json!(["reader"]), json!(["staff", "on call", "-x\u{1b}[2J"]), json!("t1"), 2),
        denied("s1"),
        shown("s3", json!([]), json!([]), json!(null), 0),
        denied("s3"),
        ("access.shown", old),
        denied("s4"),
        denied("s5"),
    ];
    let ids = write_log(home.path(), &entries);
    let explain = "bartizan policy explain corp:ann files/read_file";
    for index in [1, 3] {
        let text = bartizan_at(home.path(), &["why", &ids[index]]).status(0).stdout;
        let words = "Judged with: roles reader, groups staff 'on call' '-x\\u{1b}[2J', tenant t1 (and 2 more), as the credential";
        assert!(text.contains(words), "{text}");
        let command = "--role reader --group staff --group 'on call' --group='-x\\u{1b}[2J' --tenant t1\n";
        assert!(text.contains(&format!("    {explain} {command}")), "{text}");
        let json = bartizan_at(home.path(), &["why", &ids[index], "--json"]).status(0).json();
        assert_eq!(json["brought"]["roles"], json!(["reader"]));
    }
    let text = bartizan_at(home.path(), &["why", &ids[5]]).status(0).stdout;
    assert!(text.contains("Judged with: the name alone") && text.contains(&format!("    {explain}\n")), "{text}");
    for index in [7, 8] {
        let text = bartizan_at(home.path(), &["why", &ids[index]]).status(0).stdout;
        assert!(!text.contains("Judged with") && text.contains("with --role, --group and --tenant"), "{text}");
    }
}

#[test]
fn what_is_found_alike_in_a_list_is_said_once() {
    let of = |number: usize, rule: &str, by: &str| {
        let mut found = finding(rule, "deny", by);
        found["subject"] = format!("tool-{number:02}").into();
        found["at"] = format!("/result/tools/{number}").into();
        found
    };
    let denied: Vec<_> = (0..39).map(|number| of(number, "policy.denied", "fixed")).collect();
    let (text, json) = explain(call("transform", None, &denied.into()));
    assert!(text.contains("where: 39 places: tool-00, tool-01, ") && text.contains("tool-11 and 27 more\n"), "{text}");
    assert_eq!(text.matches("policy.denied").count(), 2, "the finding and the advice: {text}");
    assert_eq!(json["advice"].as_array().unwrap().len(), 1);
    assert_eq!(json["entry"]["findings"].as_array().unwrap().len(), 39);
    // Another reason is another finding, and what is about one tool is said of each.
    let mixed: Vec<_> =
        [of(0, "policy.denied", "fixed"), of(1, "rate.tool", "rule default"), of(2, "rate.tool", "rule default")]
            .into();
    let (text, json) = explain(call("transform", None, &mixed.into()));
    assert!(text.contains("2. rate.tool") && text.contains(", of `tool-00`"), "{text}");
    let writes = advice(&json);
    assert!(
        writes.iter().any(|text| text.contains("tool-01")) && writes.iter().any(|text| text.contains("tool-02")),
        "{writes:?}"
    );
}

#[test]
fn what_a_client_was_given_is_told_by_its_entries_and_by_its_name() {
    let id = format!("g-{}", "0a".repeat(16));
    let of = |more: Value| {
        let mut fields = json!({"person": "ann", "client": "https://app.example/c", "client_name": "App\u{1b}[31m", "by": "ann", "done_at": "2026-11-27T09:12:44.123456Z"});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        fields
    };
    let terms = json!({"resource": "https://mcp.example/mcp", "scopes": ["server:a"]});
    let given = json!({"grant": id, "resource": "https://mcp.example/mcp", "scopes": ["server:a"], "expires_at": "2026-12-27T09:12:44.000000Z"});
    let home = tempfile::tempdir().unwrap();
    let ended = json!({"grant": id, "why": "operator", "by": "uid:7"});
    let other = json!({"grant": format!("g-{}", "0b".repeat(16)), "why": "person"});
    let entries = [
        ("consent.given", of(terms)),
        ("grant.given", of(given)),
        ("grant.ended", of(ended)),
        ("grant.ended", of(other)),
    ];
    let ids = write_log(home.path(), &entries);
    let text = bartizan_at(home.path(), &["why", &ids[0]]).status(0).stdout;
    let consent = "2026-11-27T09:12:44Z: ann let the client https://app.example/c (App\\u{1b}[31m) have server:a at https://mcp.example/mcp.";
    assert!(text.contains(consent) && !text.contains("No decision"), "{text}");
    let text = bartizan_at(home.path(), &["why", &ids[1]]).status(0).stdout;
    assert!(text.contains("server:a, until 2026-12-27T09:12:44Z (grant g-0a0a"), "{text}");
    let text = bartizan_at(home.path(), &["why", &id]).status(0).stdout;
    assert!(
        text.contains("it ended, for operator, by uid:7") && !text.contains("0b0b") && !text.contains("grant revoke"),
        "{text}"
    );
    let json = bartizan_at(home.path(), &["why", &id, "--json"]).status(0).json();
    assert_eq!((json["verified"].as_bool(), json["events"].as_array().unwrap().len()), (Some(true), 2));
    bartizan_at(home.path(), &["why", &format!("g-{}", "0c".repeat(16))]).status(3);
    let end = bartizan_at(home.path(), &["why", "g-1"]).status(2);
    assert!(end.stderr.contains("of a grant (`g-…`)") && end.stderr.contains("request for approval"), "{}", end.stderr);
}
