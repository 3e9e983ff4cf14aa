//! What the guards do about labelled texts: `acted_upon FILE…` prints, for each file of JSON lines with `text`, `label` and
//! `kind`, how many are acted upon and by which rules.
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::collections::BTreeMap;

use bartizan_guard::{
    Action, CallSummary, Direction, Event, Pins, Pipeline, Principal, ServerProfile, Session, Settings, Timestamp,
};
use bartizan_mcp::{Limits, Message};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pipeline = Pipeline::new(Settings::default())?;
    println!("| file | label | kind | texts | acted upon | recorded | by |\n|---|---|---|--:|--:|--:|---|");
    for file in std::env::args().skip(1) {
        let mut groups: BTreeMap<(String, String), Group> = BTreeMap::new();
        for line in std::fs::read_to_string(&file)?.split('\n').filter(|line| !line.is_empty()) {
            let line: serde_json::Value = serde_json::from_str(line)?;
            let member = |name: &str| line.get(name).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
            groups.entry((member("label"), member("kind"))).or_default().add(
                &pipeline,
                &member("kind"),
                &member("text"),
            )?;
        }
        let name = std::path::Path::new(&file).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for ((label, kind), group) in groups {
            let mut rules: Vec<_> = group.rules.into_iter().collect();
            rules.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            let rules: Vec<_> = rules.into_iter().take(4).map(|(rule, count)| format!("{rule} {count}")).collect();
            println!(
                "| {name} | {label} | {kind} | {} | {} | {} | {} |",
                group.all,
                group.acted,
                group.recorded,
                rules.join(", ")
            );
        }
    }
    Ok(())
}

#[derive(Default)]
struct Group {
    all: usize,
    acted: usize,
    recorded: usize,
    rules: BTreeMap<&'static str, usize>,
}

impl Group {
    fn add(&mut self, pipeline: &Pipeline, kind: &str, text: &str) -> Result<(), Box<dyn std::error::Error>> {
        let text = serde_json::to_string(text)?;
        let (method, result) = match kind {
            "tool_description" => (
                "tools/list",
                format!(r#""tools":[{{"name":"a","description":{text},"inputSchema":{{"type":"object"}}}}]"#),
            ),
            "document" => ("resources/read", format!(r#""contents":[{{"uri":"a:b","text":{text}}}]"#)),
            "user_prompt" => {
                ("prompts/get", format!(r#""messages":[{{"role":"user","content":{{"type":"text","text":{text}}}}}]"#))
            }
            _ => ("tools/call", format!(r#""content":[{{"type":"text","text":{text}}}]"#)),
        };
        let read = |json: String| Message::parse(json, &Limits::default()).map_err(|error| format!("{error:?}"));
        let message = read(format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{{result}}}}}"#))?;
        let asked =
            read(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{"name":"a","uri":"a:b"}}}}"#))?;
        let server = ServerProfile { name: "a".into(), pins: Pins::default().into(), elsewhere: Vec::new().into() };
        let (answers, principal) = (CallSummary::of(&asked), Principal::new("local:user"));
        let event = Event {
            message: &message,
            direction: Direction::ToClient,
            answers: answers.as_ref(),
            principal: &principal,
            server: &server,
            evidence: &[],
            grant: None,
            now: Timestamp(0),
        };
        let verdict = pipeline.judge(&event, &Session::default());
        let acted: Vec<_> = verdict.findings.iter().filter(|held| held.action > Action::Observe).collect();
        self.all += 1;
        self.acted += usize::from(!acted.is_empty());
        self.recorded += usize::from(!verdict.findings.is_empty() && acted.is_empty());
        acted.into_iter().for_each(|held| *self.rules.entry(held.finding.rule.id).or_default() += 1);
        Ok(())
    }
}
