//! The demo, as people run it: every step has the outcome it should have, and the log says so.
#![cfg(test)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use serde_json::{Value, json};

const ANY_PORT: &str = "127.0.0.1:0";

/// What should become of each step, in order.
const STEPS: &[(&str, &str, &str, Option<&str>)] = &[
    ("honest_list", "honest", "passed", None),
    ("hidden_text", "hostile", "stopped", Some("hidden_text.tags")),
    ("poisoned_tool", "hostile", "stopped", Some("tool_poisoning.wants_conversation")),
    ("honest_about_conversations", "honest", "passed", None),
    ("arguments_fit", "honest", "passed", None),
    ("arguments_do_not_fit", "client", "stopped", Some("schema.arguments")),
    ("long_reply", "honest", "passed", None),
    ("oversized_reply", "hostile", "stopped", Some("conformance.size")),
    ("unusual_text", "honest", "passed", None),
    ("cleaned_text", "hostile", "cleaned", Some("hidden_text.tags")),
    ("prompt_and_resource", "honest", "passed", None),
    ("injected_result", "hostile", "cleaned", Some("prompt_injection.override")),
    ("honest_reminder", "honest", "passed", None),
    ("ambiguous_reply", "hostile", "stopped", Some("conformance.duplicate_key")),
    ("before_the_change", "hostile", "passed", None),
    ("changed_tool", "hostile", "stopped", Some("tool_pinning.changed")),
    ("honest_list_again", "honest", "passed", None),
    ("all_servers", "both", "passed", None),
];

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bartizan"));
    command.env_clear().env("BARTIZAN_HOME", "/nowhere");
    command
}

/// Runs the demo to its end.
fn demo(arguments: &[&str]) -> (ExitStatus, String, String) {
    let output = program().args(["demo", "--once"]).args(arguments).output().unwrap();
    (output.status, String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// A demo that stays up until it is told to end.
struct Staying {
    child: Child,
    said: Value,
}

impl Staying {
    fn start() -> Staying {
        let mut command = program();
        command.args(["demo", "--json", "--listen", ANY_PORT]).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut text = String::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
            text.push_str(&line);
            if line == "}" {
                break;
            }
        }
        Staying { child, said: serde_json::from_str(&text).unwrap() }
    }

    fn end(mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        self.child.wait().unwrap()
    }
}

impl Drop for Staying {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[track_caller]
fn check(said: &Value) {
    let schema = program().args(["schema", "bartizan.demo/1"]).output().unwrap().stdout;
    let validator = jsonschema::validator_for(&serde_json::from_slice(&schema).unwrap()).unwrap();
    let wrong: Vec<_> = validator.iter_errors(said).map(|error| error.to_string()).collect();
    assert!(wrong.is_empty(), "{wrong:?}: {said:#}");
    assert_eq!(said["format"], "bartizan.demo/1");
    let steps = said["steps"].as_array().unwrap();
    let seen: Vec<_> =
        steps.iter().map(|step| json!([step["name"], step["from"], step["outcome"], step["rule"]])).collect();
    let expected: Vec<_> = STEPS.iter().map(|(name, from, outcome, rule)| json!([name, from, outcome, rule])).collect();
    assert_eq!(seen, expected, "{said:#}");
    assert_eq!((&said["ok"], &said["audit"]["ok"]), (&json!(true), &json!(true)), "{said:#}");
}

#[test]
fn every_step_has_the_outcome_it_should_have() {
    let (status, out, err) = demo(&["--json", "--listen", ANY_PORT]);
    assert_eq!((status.code(), &*err), (Some(0), ""), "{out}");
    let said: Value = serde_json::from_str(&out).unwrap();
    check(&said);
    let home = Path::new(said["log"].as_str().unwrap()).parent().unwrap();
    assert!(!home.exists(), "{}", home.display());
}

#[test]
fn it_notices_what_gets_through() {
    let (status, out, _) = demo(&["--json", "--listen", ANY_PORT, "--observe"]);
    assert_eq!(status.code(), Some(1), "{out}");
    let said: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(said["ok"], false);
    let wrong = said["steps"].as_array().unwrap().iter().filter(|step| step["ok"] == false);
    let wrong: Vec<_> = wrong.map(|step| step["name"].as_str().unwrap()).collect();
    // What no reader could understand safely is stopped in any mode.
    let expected =
        ["hidden_text", "poisoned_tool", "arguments_do_not_fit", "cleaned_text", "injected_result", "changed_tool"];
    assert_eq!(wrong, expected, "{said:#}");
}

#[test]
fn what_observing_lets_through_is_no_failure_of_the_gateway() {
    let (status, out, _) = demo(&["--listen", ANY_PORT, "--observe"]);
    assert_eq!(status.code(), Some(1), "{out}");
    assert_eq!(out.matches("passed through: nothing stops it in observe").count(), 6, "{out}");
    assert!(!out.contains("failed ") && !out.contains("should"), "{out}");
    assert!(out.contains("6 got through because of observe"), "{out}");
    let (_, out, _) = demo(&["--listen", ANY_PORT]);
    assert!(!out.contains("through") && out.contains("each as it should be"), "{out}");
}

#[test]
fn the_page_fits_and_shows_nothing_raw() {
    let (status, out, _) = demo(&["--listen", ANY_PORT]);
    assert_eq!(status.code(), Some(0), "{out}");
    assert!(out.lines().count() <= 34 && out.lines().all(|line| line.chars().count() <= 100), "{out}");
    assert!(!out.chars().any(|c| c != '\n' && c.is_control()), "{out:?}");
    assert!(!out.chars().any(|c| ('\u{e0000}'..'\u{e0fff}').contains(&c)), "{out:?}");
    // Its log is gone: no id is shown that nothing could explain.
    let is_id = |word: &str| word.len() == 26 && word.chars().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase());
    assert!(!out.split_whitespace().any(is_id) && out.contains("without --once it stays"), "{out}");
    for (_, _, outcome, rule) in STEPS {
        assert!(out.contains(outcome) && out.contains(rule.unwrap_or_default()), "{outcome} {rule:?}: {out}");
    }
}

#[test]
fn an_id_stands_apart_and_can_be_copied() {
    let mut child = program().args(["demo", "--listen", ANY_PORT]).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut said = Vec::new();
    for line in lines {
        let is_last = line.starts_with("end ");
        said.push(line);
        if is_last {
            break;
        }
    }
    let staying = Staying { child, said: Value::Null };
    let is_id = |word: &&str| word.len() == 26 && word.chars().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase());
    let stopped: Vec<_> = said.iter().filter(|line| line.starts_with(['✘', '~'])).collect();
    assert_eq!(stopped.len(), STEPS.iter().filter(|(_, _, outcome, _)| *outcome != "passed").count(), "{said:#?}");
    for line in stopped {
        assert!(line.split_whitespace().next_back().is_some_and(|last| is_id(&last)), "{line}");
        assert!(line.chars().count() <= 100, "{line}");
    }
    assert_eq!(staying.end().code(), Some(0));
}

#[test]
fn it_stays_up_beside_others_and_explains_what_it_did() {
    let staying = Staying::start();
    check(&staying.said);
    let log = staying.said["log"].as_str().unwrap();
    for step in staying.said["steps"].as_array().unwrap() {
        let Some(decision) = step["decision"].as_str() else { continue };
        let why = program().args(["why", decision, "--log", log]).output().unwrap();
        let text = String::from_utf8(why.stdout).unwrap();
        assert!(why.status.success() && text.contains(step["rule"].as_str().unwrap()), "{text}");
    }
    let (status, out, err) = demo(&["--json", "--listen", ANY_PORT]);
    assert!(status.success(), "{out}{err}");
    let taken = staying.said["address"].as_str().unwrap();
    let (status, _, err) = demo(&["--listen", taken]);
    assert!(!status.success() && err.contains(taken), "{err}");
    let home = Path::new(log).parent().unwrap().to_owned();
    assert!(home.exists());
    assert_eq!(staying.end().code(), Some(0));
    assert!(!home.exists(), "{}", home.display());
}
