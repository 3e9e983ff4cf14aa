//! Secrets of every format: none passes, and nothing of one is said.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

mod common;
#[path = "../../detect/tests/samples/mod.rs"]
#[allow(dead_code, reason = "each test uses its part of it")]
mod samples;

use std::collections::BTreeMap;

use bartizan_detect::secrets::{Group, Scanner};
use bartizan_guard::guards::{self, secrets};
use bartizan_guard::{Action, Decision, Direction, GuardSettings, Pipeline, Settings};
use bartizan_mcp::Limits;
use samples::{Sample, samples};
use serde_json::json;

fn pipeline() -> Pipeline {
    let only = |name: &str| GuardSettings { enabled: name == "secrets", ..GuardSettings::default() };
    let guards = guards::ALL.iter().map(|spec| (spec.name.to_owned(), only(spec.name))).collect();
    Pipeline::new(Settings { guards, ..Settings::default() }).unwrap()
}

/// Eight bytes of it and eight of the next, and so on.
fn pieces(text: &str) -> Vec<&str> {
    (0..text.len().saturating_sub(7)).filter_map(|at| text.get(at..at + 8)).collect()
}

fn written(sample: &Sample) -> String {
    if sample.needs_name { format!("{}={}\n", sample.name, sample.text) } else { format!("It is {} .", sample.text) }
}

#[test]
fn nothing_of_a_secret_is_said() {
    let (pipeline, scanner) = (pipeline(), Scanner::built_in());
    let mut said = 0;
    for seed in 0..2 {
        for sample in samples(&scanner, seed) {
            let text = written(&sample);
            let result = json!({"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": text}]}});
            let halves = sample.text.split_at(sample.text.floor_char_boundary(sample.text.len() / 2));
            let arguments = json!({"text": text, "one": halves.0, "two": halves.1, "token": sample.text});
            let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "a", "arguments": arguments}});
            for (message, direction) in [(result, Direction::ToClient), (call, Direction::ToServer)] {
                let verdict = common::judge(&pipeline, &common::message(&message.to_string()), direction);
                assert!(!verdict.findings.is_empty(), "{}: {message}", sample.id);
                let denied = match &verdict.decision {
                    Decision::Deny(denial) => denial.why.clone(),
                    _ => String::new(),
                };
                let whys = verdict
                    .findings
                    .iter()
                    .map(|held| &held.finding)
                    .flat_map(|finding| [Some(&finding.why), finding.quoting.as_ref()]);
                for why in whys.flatten().chain([&denied]) {
                    // What stands before a secret, such as the host of a URL, is none.
                    let secret = sample.text.get(sample.around.min(sample.text.len())..).unwrap();
                    let piece = pieces(secret).into_iter().find(|piece| why.contains(piece));
                    assert!(piece.is_none_or(|piece| sample.shape.contains(piece)), "{}: {why}", sample.id);
                    said += 1;
                }
            }
        }
    }
    assert!(said > 2_000, "{said}");
}

#[test]
fn no_secret_that_its_form_tells_passes() {
    let (pipeline, scanner) = (pipeline(), Scanner::built_in());
    let groups: BTreeMap<_, _> = scanner.formats().iter().map(|format| (&*format.id, format.group)).collect();
    for sample in samples(&scanner, 9).into_iter().filter(|sample| groups[&*sample.id] != Group::Credential) {
        let text = written(&sample);
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "a", "arguments": {"text": text}}});
        let verdict = common::judge(&pipeline, &common::message(&call.to_string()), Direction::ToServer);
        assert!(matches!(verdict.decision, Decision::Deny(_)), "{}: {text}", sample.id);
        let result = json!({"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": text}]}});
        let message = common::message(&result.to_string());
        let verdict = common::judge(&pipeline, &message, Direction::ToClient);
        let Decision::Transform(edits) = verdict.decision else { panic!("{}: {:?}", sample.id, verdict.decision) };
        let edited = message.edited(&edits, &Limits::default()).unwrap();
        let left: String = edited.parts().map(|part| part.text().into_owned()).collect();
        assert!(!left.contains(&sample.text), "{}: {left}", sample.id);
    }
}

#[test]
fn a_secret_that_is_known_passes_by_its_digest() {
    let scanner = Scanner::built_in();
    let sample = samples(&scanner, 4).into_iter().find(|sample| sample.id == "github").unwrap();
    let (key, other) = ("a key of the operator's", "another key of the operator's");
    for (made_with, expected) in [(key, None), (other, Some(Action::Deny))] {
        let options = json!({"allow": [secrets::digest(made_with, &sample.text)], "allow_key": key});
        let held = GuardSettings { options, ..GuardSettings::default() };
        let settings = Settings { guards: [("secrets".to_owned(), held)].into(), ..Settings::default() };
        let pipeline = Pipeline::new(settings).unwrap();
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "prompts/get", "params": {"name": "a", "arguments": {"text": sample.text}}});
        let verdict = common::judge(&pipeline, &common::message(&call.to_string()), Direction::ToServer);
        let found = verdict.findings.iter().find(|held| held.finding.rule.id.starts_with("secrets."));
        assert_eq!(found.map(|held| held.action), expected);
    }
}

#[test]
fn the_digests_of_the_cases_are_right() {
    let text = include_str!("cases/secrets.json");
    let token = text
        .split('"')
        .flat_map(|text| text.split(' '))
        .find(|text| text.starts_with("btz_") && text.len() == 66)
        .unwrap();
    let digest = secrets::digest("a key of the operator's", token);
    assert!(text.contains(&digest), "write {digest}");
}

/// A name belongs to all texts of a list, however many these are and however long it is.
#[test]
fn a_long_name_is_not_copied_for_each_text() {
    let (pipeline, scanner) = (pipeline(), Scanner::built_in());
    let sample = samples(&scanner, 4).into_iter().find(|sample| sample.id == "github").unwrap();
    let halves = sample.text.split_at(sample.text.len() / 2);
    // With an escape, it is made anew wherever it is read: 200 KB each for 50,000 texts would be 10 GB.
    let name = format!("\n{}", "n".repeat(200_000));
    for (texts, is_found) in [(vec![""; 50_000], false), ([vec![""; 50_000], vec![halves.0, halves.1]].concat(), true)]
    {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "a", "arguments": {&name: texts}}});
        let verdict = common::judge(&pipeline, &common::message(&call.to_string()), Direction::ToServer);
        assert_eq!(matches!(verdict.decision, Decision::Deny(_)), is_found);
    }
}
