//! `bartizan schema`, `completions` and `man`.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{bartizan, bartizan_at, conforms, write_log};

fn schema(name: &str) -> Value {
    serde_json::from_str(&bartizan(&["schema", name]).status(0).stdout).unwrap()
}

/// Outputs are checked wherever a test reads one; this is about the schemas as such.
#[test]
fn every_format_has_a_schema_that_refuses_another() {
    let names = bartizan(&["schema"]).status(0).stdout;
    assert!(names.lines().count() >= 10, "{names}");
    for name in names.lines() {
        let schema = schema(name);
        assert_eq!(schema["title"], name);
        let validator = jsonschema::validator_for(&schema).unwrap();
        assert!(!validator.is_valid(&json!({"format": "another/1", "seq": "x", "server": 5})), "{name}");
    }
    assert_eq!(schema("bartizan.why"), schema("bartizan.why/1"));
    assert_eq!(schema("why"), schema("bartizan.why/1"));
    assert_eq!(schema("audit.verify/1"), schema("bartizan.audit.verify/1"));
    let end = bartizan(&["schema", "bartizan.why/2"]).status(2);
    assert!(end.stderr.contains("bartizan.why/1"), "{}", end.stderr);
}

#[test]
fn the_page_lists_every_format() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/commands.md");
    let names = bartizan(&["schema"]).status(0).stdout;
    assert!(fs::read_to_string(path).unwrap().contains(&format!("$ bartizan schema\n{names}```\n")), "{names}");
}

#[test]
fn every_format_that_the_program_names_is_published() {
    let names = bartizan(&["schema"]).status(0).stdout;
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/commands");
    let mut all = vec![source];
    let mut seen = 0;
    while let Some(file) = all.pop() {
        if file.is_dir() {
            all.extend(fs::read_dir(file).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        for (at, _) in fs::read_to_string(&file).unwrap().match_indices("\"bartizan.") {
            let text = fs::read_to_string(&file).unwrap();
            let name = text.get(at + 1..).and_then(|rest| rest.split('"').next()).unwrap_or_default().to_owned();
            if name.ends_with(|c: char| c.is_ascii_digit()) {
                assert!(names.lines().any(|line| line == name), "{name} of {}", file.display());
                seen += 1;
            }
        }
    }
    assert!(seen >= 10, "{seen}");
}

#[test]
fn the_published_schema_of_the_configuration_is_the_one() {
    let one: Value = bartizan(&["config", "schema"]).status(0).json();
    let mut other = schema("bartizan.config");
    other["title"] = one["title"].clone();
    assert_eq!(one, other);
}

#[test]
fn entries_of_the_log_conform() {
    let home = tempfile::tempdir().unwrap();
    write_log(home.path(), &[("message", json!({"decision": "allow"}))]);
    let shown = bartizan_at(home.path(), &["audit", "tail", "--json"]).status(0).stdout;
    let schema = schema("bartizan.audit.entry/1");
    assert_eq!(shown.lines().count(), 2);
    shown.lines().for_each(|line| conforms(&serde_json::from_str(line).unwrap(), &schema));
}

#[test]
fn shells_get_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = bartizan(&["completions", shell]).status(0).stdout;
        assert!(script.contains("standalone") && script.contains("schema"), "{shell}");
        assert!(script.contains("daemon") && !script.contains("demo-server"), "{shell} is offered what is hidden");
    }
    bartizan(&["completions", "cobol"]).status(2);
}

#[test]
fn every_command_has_a_manual_page() {
    let page = bartizan(&["man"]).status(0).stdout;
    assert!(page.contains(".TH bartizan 1") && page.contains("serve"), "{page}");
    assert!(page.contains("Exit status:") && page.contains("BARTIZAN_LOG") && page.contains("Files:"), "{page}");
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("man1");
    bartizan(&["man", "--out", &out.display().to_string()]).status(0);
    for name in ["bartizan", "bartizan-run", "bartizan-audit", "bartizan-audit-verify", "bartizan-man"] {
        let page = fs::read_to_string(out.join(format!("{name}.1"))).unwrap();
        assert!(page.contains(&format!(".TH {name} 1")), "{page}");
    }
    assert!(!out.join("bartizan-demo-server.1").exists(), "what is hidden stays so");
    let end = bartizan(&["man", "--out", "/dev/null/x"]).status(3);
    assert!(end.stderr.contains("/dev/null/x"), "{}", end.stderr);
}
