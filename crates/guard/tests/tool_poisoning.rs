//! Texts of the corpora as definitions: what is withheld of attacks, and that nothing is of what only looks like one.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::path::Path;
use std::sync::Arc;

use bartizan_guard::guards;
use bartizan_guard::{
    Action, Direction, Event, GuardSettings, Pins, Pipeline, Principal, ServerProfile, Session, Settings, Timestamp,
    Verdict,
};
use bartizan_mcp::{Limits, Message};
use serde_json::{Value, json};

fn only(name: &str) -> Pipeline {
    let off = |enabled| GuardSettings { enabled, ..GuardSettings::default() };
    let guards = guards::ALL.iter().map(|spec| (spec.name.to_owned(), off(spec.name == name))).collect();
    Pipeline::new(Settings { guards, ..Settings::default() }).unwrap()
}

/// Texts of a family that are descriptions.
fn descriptions(path: &str) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../detect/corpus").join(path);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let described = rows.filter(|row| row["kind"] == "tool_description");
    described.map(|row| (row["id"].as_str().unwrap().to_owned(), row["text"].as_str().unwrap().to_owned())).collect()
}

/// Judges a list with one tool beside those of other servers.
fn listed(pipeline: &Pipeline, tool: &Value) -> Verdict {
    let text = json!({"jsonrpc": "2.0", "id": 1, "result": {"tools": [tool]}}).to_string();
    let message = Message::parse(text, &Limits::default()).unwrap();
    let mut elsewhere: Vec<(Box<str>, Arc<str>)> =
        ["send_email", "git_push", "write_file", "transfer", "read_mail", "pay_invoice"]
            .map(|name| (name.into(), "other".into()))
            .to_vec();
    elsewhere.sort();
    let event = Event {
        message: &message,
        direction: Direction::ToClient,
        answers: None,
        principal: &Principal::new("local:alice"),
        server: &ServerProfile { name: "s".into(), pins: Arc::new(Pins::default()), elsewhere: elsewhere.into() },
        evidence: &[],
        grant: None,
        now: Timestamp(0),
    };
    pipeline.judge(&event, &Session::default())
}

/// A text as a definition: a schema as it is, any other text as what the tool says of itself.
fn tool(text: &str) -> Value {
    match serde_json::from_str::<Value>(text) {
        Ok(tool) if tool.get("name").is_some() => tool,
        Ok(schema) if schema.get("properties").is_some() => {
            json!({"name": "convert", "description": "Converts a unit.", "inputSchema": schema})
        }
        _ => json!({"name": "convert", "description": text, "inputSchema": {"type": "object"}}),
    }
}

fn denied(verdict: &Verdict) -> Vec<&'static str> {
    verdict.findings.iter().filter(|held| held.action == Action::Deny).map(|held| held.finding.rule.id).collect()
}

#[test]
fn no_honest_description_is_withheld() {
    let pipeline = only("tool_poisoning");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../detect/corpus/benign");
    let (mut seen, mut wrong) = (0, Vec::new());
    for file in std::fs::read_dir(folder).unwrap() {
        let name = file.unwrap().file_name().to_string_lossy().into_owned();
        for (id, text) in descriptions(&format!("benign/{name}")) {
            seen += 1;
            let rules = denied(&listed(&pipeline, &tool(&text)));
            if !rules.is_empty() {
                wrong.push((id, rules));
            }
        }
    }
    assert!(seen >= 50, "{seen} descriptions");
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn a_share_of_each_family_of_attacks_is_withheld() {
    let pipeline = only("tool_poisoning");
    // Of what is said in English prose and in schemas; the rest is for `prompt_injection`, which reads all texts.
    for (family, least) in [("parameter", 45), ("shadowing", 40), ("preference", 25), ("secret_read", 50)] {
        let texts = descriptions(&format!("attack/{family}.jsonl"));
        let missed: Vec<_> = texts
            .iter()
            .filter(|(_, text)| denied(&listed(&pipeline, &tool(text))).is_empty())
            .map(|(id, text)| (id, text))
            .collect();
        let withheld = texts.len() - missed.len();
        assert!(100 * withheld >= least * texts.len(), "{family}: {withheld} of {}; missed {missed:#?}", texts.len());
    }
}
