//! `bartizan config`.

use std::fs;

use serde_json::json;

use crate::support::bartizan;

fn check(text: &str, more: &[&str]) -> (String, crate::support::End) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("bartizan.toml");
    fs::write(&file, text).unwrap();
    let file = file.display().to_string();
    let end = bartizan(&[&["config", "check", &file], more].concat());
    (file, end)
}

#[test]
fn a_good_file() {
    let (file, end) = check("[server.a]\nurl = 'https://a.example/mcp'\n", &[]);
    let end = end.status(0);
    assert_eq!(end.stdout, format!("{file}: ok, 1 server, 0 exceptions, 0 warnings\n"));
    assert_eq!(end.stderr, "");
}

#[test]
fn that_nothing_is_enforced_is_noted() {
    let server = "[server.a]\nurl = 'https://a.example/mcp'\n";
    let of = |mode: &str| check(&format!("mode = '{mode}'\n{server}"), &[]).1.status(0).stderr;
    let said = of("observe");
    assert!(said.starts_with("note: mode = \"observe\": ") && said.matches("note:").count() == 1, "{said}");
    assert_eq!(of("enforce"), "");
    for (mode, expected, status) in
        [("observe", json!("observe"), 0), ("enforce", json!("enforce"), 0), ("x", json!(null), 2)]
    {
        let end = check(&format!("mode = '{mode}'\n{server}"), &["--json"]).1.status(status);
        assert_eq!(end.json()["mode"], expected);
    }
}

#[test]
fn that_content_is_recorded_is_noted() {
    let server = "[server.a]\nurl = 'https://a.example/mcp'\n[store]\npath = 'state.db'\n";
    let capture = |more: &str| format!("{server}[capture]\npath = 'captured'\n{more}");
    let said = check(&capture(""), &[]).1.status(0).stderr;
    assert!(
        said.starts_with("note: what clients ask of all servers is recorded with its content, sealed, in "),
        "{said}"
    );
    assert!(said.contains("/captured for 7 days, ") && said.contains("[capture]"), "{said}");
    let said = check(&capture("only = ['server:a']\nkeep = '36h'\n"), &[]).1.status(0).stderr;
    assert!(said.contains("ask of what `only` names") && said.contains(" for 36 hours"), "{said}");
    let notes = |text: &str| check(text, &["--json"]).1.status(0).json()["notes"].as_array().unwrap().len();
    assert_eq!((notes(&capture("")), notes(server)), (1, 0));
    assert_eq!(check(server, &[]).1.status(0).stderr, "");
}

#[test]
fn a_baseline_that_nothing_can_be_held_against_is_warned_about() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name).display().to_string();
    let server = "[server.a]\nurl = 'https://a.example/mcp'\n";
    fs::write(path("bartizan.toml"), server).unwrap();
    let written =
        ["redteam", "--config", &path("bartizan.toml"), "--sample", "4", "--write-baseline", &path("good.json")];
    bartizan(&written).status(0);
    fs::write(path("bad.json"), "{").unwrap();
    for (name, sample, said) in [
        ("good.json", 4, None),
        ("good.json", 5, Some("with --sample 4, and this is with --sample 5")),
        ("bad.json", 4, Some("EOF")),
        ("none.json", 4, Some("No such file")),
    ] {
        fs::write(path("bartizan.toml"), format!("[redteam]\nbaseline = '{name}'\nsample = {sample}\n{server}"))
            .unwrap();
        let end = bartizan(&["config", "check", &path("bartizan.toml")]).status(0);
        let is_warned = end.stderr.contains("warning: [redteam]: no trial can be held against `baseline`: ");
        assert!(is_warned == said.is_some() && end.stderr.contains(said.unwrap_or_default()), "{name}: {}", end.stderr);
        let json = bartizan(&["config", "check", &path("bartizan.toml"), "--json"]).status(0).json();
        assert_eq!(json["problems"].as_array().unwrap().len(), usize::from(said.is_some()), "{json:#}");
    }
}

#[test]
fn a_bad_file_is_explained_on_stderr() {
    let (file, end) = check("[listen]\nadress = '127.0.0.1:1'\n", &[]);
    let end = end.status(2);
    assert_eq!(end.stdout, "");
    let expected = format!(
        "error: unknown key `adress`\n --> {file}:2:1\n  |\n2 | adress = …\n  | ^^^^^^\n  = help: did you mean `address`?\n"
    );
    assert_eq!(end.stderr, expected);
}

#[test]
fn json_says_the_same() {
    let (file, end) = check("[listen]\nadress = '127.0.0.1:1'\n", &["--json"]);
    let json = end.status(2).json();
    let problem = &json["problems"][0];
    assert_eq!(
        (json["ok"].as_bool(), problem["line"].as_u64(), problem["column"].as_u64()),
        (Some(false), Some(2), Some(1))
    );
    assert_eq!((problem["file"].as_str(), problem["severity"].as_str()), (Some(file.as_str()), Some("error")));
    assert_eq!(problem["help"], "did you mean `address`?");

    let expired = "[[exception]]\nrule = 'rate.tool'\nreason = 'x'\nexpires = 2020-01-01\n";
    let json = check(expired, &["--json"]).1.status(0).json();
    assert_eq!((json["ok"].as_bool(), json["problems"][0]["severity"].as_str()), (Some(true), Some("warning")));
}

#[test]
fn a_warning_is_no_failure() {
    let (file, end) = check("[[exception]]\nrule = 'rate.tool'\nreason = 'x'\nexpires = 2020-01-01\n", &[]);
    let end = end.status(0);
    assert_eq!(end.stdout, format!("{file}: ok, 0 servers, 1 exception, 1 warning\n"));
    assert!(end.stderr.starts_with("warning: the exception for `rate.tool` has expired"), "{}", end.stderr);
    assert!(end.stderr.contains("note: no server is configured"), "{}", end.stderr);
}

#[test]
fn a_file_without_a_server_is_good_and_that_is_said() {
    let off = "[server.a]\nurl = 'https://a.example/mcp'\nenabled = false\n";
    for text in ["", "mode = 'observe'\n", off] {
        let (file, end) = check(text, &[]);
        let end = end.status(0);
        assert_eq!(end.stdout, format!("{file}: ok, 0 servers, 0 exceptions, 0 warnings\n"));
        assert!(end.stderr.starts_with("note: no server is configured"), "{text}: {}", end.stderr);
        // What the help says to write is right.
        let begin = end.stderr.split("write ").nth(1).and_then(|rest| rest.split(';').next()).unwrap();
        let (_, good) = check(&begin.replace("[server.NAME] and ", "[server.a]\n"), &[]);
        assert!(good.status(0).stdout.contains("ok, 1 server"), "{begin}");
    }
}

#[test]
fn a_file_that_is_not_there() {
    let end = bartizan(&["config", "check", "/nowhere/bartizan.toml"]).status(2);
    assert!(end.stderr.contains("/nowhere/bartizan.toml") && end.stderr.contains("No such file"), "{}", end.stderr);
}

#[test]
fn the_schema_has_every_guard() {
    let schema = bartizan(&["config", "schema"]).status(0).json();
    let guards = schema["properties"]["guard"]["properties"].as_object().unwrap();
    for spec in bartizan_guard::guards::ALL {
        assert!(guards.contains_key(spec.name), "{}", spec.name);
    }
}
