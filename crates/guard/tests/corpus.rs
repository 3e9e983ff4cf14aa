//! What the guards make of our own texts: attacks of many families, and honest texts that look like them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use bartizan_guard::{Action, Direction, Pipeline, Settings};

/// Each text of a folder, with its family and kind.
fn texts(folder: &str) -> Vec<(String, String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../detect/corpus").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    let lines = files.iter().flat_map(|file| {
        let content = std::fs::read_to_string(file).unwrap();
        content.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<serde_json::Value>>()
    });
    let member = |line: &serde_json::Value, name: &str| line[name].as_str().unwrap().to_owned();
    lines.map(|line| (member(&line, "family"), member(&line, "kind"), member(&line, "text"))).collect()
}

/// Whether anything but recording happens to a message that brings the text, and by which rules.
fn acted_upon(pipeline: &Pipeline, kind: &str, text: &str) -> Vec<&'static str> {
    let text = serde_json::to_string(text).unwrap();
    let result = |result: String| format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{{result}}}}}"#);
    let (message, direction) = match kind {
        "tool_description" => (
            result(format!(r#""tools":[{{"name":"a","description":{text},"inputSchema":{{"type":"object"}}}}]"#)),
            Direction::ToClient,
        ),
        "argument" => (
            format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"a","arguments":{{"b":{text}}}}}}}"#
            ),
            Direction::ToServer,
        ),
        "document" => (result(format!(r#""contents":[{{"uri":"a:b","text":{text}}}]"#)), Direction::ToClient),
        _ => (result(format!(r#""content":[{{"type":"text","text":{text}}}]"#)), Direction::ToClient),
    };
    let verdict = common::judge(pipeline, &common::message(&message), direction);
    let acted = verdict.findings.iter().filter(|held| held.action > Action::Observe);
    acted.map(|held| held.finding.rule.id).filter(|id| id.starts_with("prompt_injection.")).collect()
}

#[test]
fn honest_texts_pass_and_attacks_do_not_all() {
    let pipeline = Pipeline::new(Settings::default()).unwrap();
    let share = |folder: &str, report: bool| {
        let texts: Vec<_> =
            texts(folder).into_iter().filter(|(_, kind, _)| kind != "user_prompt" && kind != "argument").collect();
        let mut rules: BTreeMap<_, usize> = BTreeMap::new();
        let mut hits = 0;
        for (family, kind, text) in &texts {
            let acted = acted_upon(&pipeline, kind, text);
            hits += usize::from(!acted.is_empty());
            acted.into_iter().for_each(|rule| *rules.entry((family.clone(), rule)).or_default() += 1);
        }
        if report {
            rules.iter().for_each(|((family, rule), count)| println!("{folder} {family} {rule} {count}"));
        }
        println!("{folder}: {hits} of {}", texts.len());
        hits as f64 / texts.len() as f64
    };
    let (honest, attacks) = (share("benign", true), share("attack", false));
    // What docs/src/detection.md says: 3.0 % and 24 %, as they are rounded there.
    assert_eq!((format!("{:.1}", 100.0 * honest), format!("{:.0}", 100.0 * attacks)), ("3.0".into(), "24".into()));
}
