//! However many definitions are pinned and listed, none is held against all others.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod common;

use std::sync::Arc;

use bartizan_guard::{
    Decision, DefinitionKind, Direction, Event, Pin, Pins, Pipeline, Principal, Session, Settings, Timestamp,
};
use bartizan_mcp::Message;

fn list(names: impl Iterator<Item = String>, rest: impl Fn(usize) -> String) -> Message {
    let tools: Vec<_> = names.enumerate().map(|(at, name)| format!(r#"{{"name":"{name}"{}}}"#, rest(at))).collect();
    common::message(&format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{}]}}}}"#, tools.join(",")))
}

/// Compared one by one, these would be a hundred million pairs.
#[test]
fn thousands_of_new_tools_beside_thousands_of_pinned_ones() {
    const MANY: usize = 10_000;
    let pipeline = Pipeline::new(Settings::default()).unwrap();
    let named = |prefix: &'static str| (0..MANY).map(move |number| format!("{prefix}{number}"));
    let each = |at: usize| format!(r#","title":"{at}""#);
    let same = |_: usize| String::new();
    for (rest, rule) in [(&each as &dyn Fn(usize) -> String, "tool_pinning.renamed"), (&same, "tool_pinning.added")] {
        let mut pins = Pins::default();
        let before = list(named("old"), rest);
        let tools = before.result().unwrap().get("tools").unwrap();
        tools.elements().for_each(|tool| pins.insert(Pin::of(DefinitionKind::Tool, tool).unwrap()));
        pins.set_complete(DefinitionKind::Tool);
        let mut server = common::profile("server");
        server.pins = Arc::new(pins);
        // Listed again, the old ones are nobody's former names; all of one body are asked for at each new one then.
        let names = if rule == "tool_pinning.added" {
            named("old").chain(named("new")).collect()
        } else {
            named("new").collect::<Vec<_>>()
        };
        let message = list(names.into_iter(), rest);
        let event = Event {
            message: &message,
            direction: Direction::ToClient,
            answers: None,
            principal: &Principal::new("local:alice"),
            server: &server,
            evidence: &[],
            grant: None,
            now: Timestamp(0),
        };
        let verdict = pipeline.judge(&event, &Session::default());
        let Decision::Deny(denial) = verdict.decision else { panic!("{:?}", verdict.decision) };
        assert_eq!(denial.rule, rule);
    }
}
