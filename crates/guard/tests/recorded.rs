//! What real clients and servers say to each other passes the default guards, and nothing is edited.
#![cfg(test)]

use std::collections::BTreeMap;
use std::sync::Arc;

use bartizan_guard::{
    CallSummary, Decision, Direction, Event, Pins, Pipeline, Principal, ServerProfile, Session, Settings, Timestamp,
    Verdict,
};
use bartizan_mcp::{Limits, Message, Revision};
use serde::Deserialize;

#[derive(Deserialize)]
struct Recorded {
    from: String,
    talk: usize,
    answers: Option<usize>,
    text: String,
}

fn recorded(revision: Revision) -> Vec<Recorded> {
    let path = format!("{}/../mcp/tests/data/recorded/{revision}.jsonl", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn parse(text: &str) -> Message {
    Message::parse(text.to_owned(), &Limits::default()).unwrap()
}

fn judge(pipeline: &Pipeline, line: &Recorded, asked: Option<&Message>, session: &Session) -> Verdict {
    let answers = asked.and_then(CallSummary::of);
    let server = ServerProfile { name: "server".into(), pins: Arc::new(Pins::default()), elsewhere: Arc::new([]) };
    let event = Event {
        message: &parse(&line.text),
        direction: if line.from == "client" { Direction::ToServer } else { Direction::ToClient },
        answers: answers.as_ref(),
        principal: &Principal::new("local:ann"),
        server: &server,
        evidence: &[],
        grant: None,
        now: Timestamp(0),
    };
    pipeline.judge(&event, session)
}

#[test]
fn recorded_messages_pass_unedited() {
    let pipeline = Pipeline::new(Settings::default()).unwrap();
    let mut held = 0;
    for revision in Revision::ALL {
        let lines = recorded(revision);
        let mut sessions: BTreeMap<usize, Session> = BTreeMap::new();
        for line in &lines {
            let asked = line.answers.map(|number| parse(&lines[number - 1].text));
            let session = sessions.entry(line.talk).or_default();
            let verdict = judge(&pipeline, line, asked.as_ref(), session);
            assert!(matches!(verdict.decision, Decision::Allow), "{revision}: {:?}: {}", verdict.decision, line.text);
            held += verdict.facts.len();
            *session = session.with(&verdict.facts);
        }
    }
    assert!(held > 100, "the calls are held against the recorded tools: {held}");
}
