//! A definition that could not be asked for, or not be pinned, is taken out of its list, and the others stay.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod common;

use std::collections::BTreeSet;

use bartizan_guard::{
    Decision, DefinitionKind, Direction, Event, Fact, Mode, Pins, Pipeline, Principal, ServerProfile, Session,
    Settings, Timestamp, Verdict,
};
use bartizan_mcp::{Limits, Message};

fn judge(message: &Message, pins: &Pins, mode: Mode) -> Verdict {
    let event = Event {
        message,
        direction: Direction::ToClient,
        answers: None,
        principal: &Principal::new("local:alice"),
        server: &ServerProfile { name: "s".into(), pins: pins.clone().into(), elsewhere: [].into() },
        evidence: &[],
        grant: None,
        now: Timestamp(0),
    };
    Pipeline::new(Settings { mode, ..Settings::default() }).unwrap().judge(&event, &Session::default())
}

fn list(kind: DefinitionKind, names: &[String]) -> Message {
    let elements: Vec<_> = names.iter().map(|name| format!(r#"{{"{}":"{name}"}}"#, kind.name_member())).collect();
    let text = format!(
        r#"{{"jsonrpc":"2.0","id":1,"result":{{"{}":[{}],"nextCursor":"2"}}}}"#,
        kind.list_member(),
        elements.join(",")
    );
    Message::parse(text, &Limits::default()).unwrap()
}

/// The names that pass, and those that are pinned by that.
fn admitted(message: &Message, verdict: &Verdict) -> (Vec<String>, Vec<String>) {
    let edited = match &verdict.decision {
        Decision::Allow => message.clone(),
        Decision::Transform(edits) => message.edited(edits, &Limits::default()).unwrap(),
        other => panic!("{other:?}"),
    };
    let names = DefinitionKind::lists_of(&edited).flat_map(|listing| {
        let name =
            move |element: bartizan_mcp::Value<'_>| element.get(listing.kind.name_member()).unwrap().text().into();
        listing.list.elements().map(name).collect::<Vec<_>>()
    });
    let pinned = verdict.facts.iter().filter_map(|fact| match fact {
        Fact::FirstSeen(pin) => Some(pin.name.to_string()),
        _ => None,
    });
    (names.collect(), pinned.collect())
}

#[test]
fn a_name_that_nobody_could_ask_for_is_taken_out_of_the_list_in_every_mode() {
    use DefinitionKind::{Prompt, Resource, ResourceTemplate, Tool};
    let most = [(Tool, 1024), (Prompt, 1024), (Resource, 16 * 1024), (ResourceTemplate, 16 * 1024)];
    for (kind, most) in most {
        for mode in [Mode::Enforce, Mode::Observe] {
            let good = vec!["a".to_owned(), "x".repeat(most)];
            let message = list(kind, &[&*good, &["x".repeat(most + 1), "y".repeat(1 << 20)]].concat());
            let verdict = judge(&message, &Pins::default(), mode);
            assert_eq!(admitted(&message, &verdict), (good.clone(), good), "{kind:?} {mode:?}");
            let rules: BTreeSet<_> = verdict.findings.iter().map(|held| held.finding.rule.id).collect();
            assert!(rules.contains("conformance.name_length"), "{rules:?}");
            let listed = verdict.facts.iter().find_map(|fact| match fact {
                Fact::Listed(definitions) => Some(definitions.len()),
                _ => None,
            });
            assert_eq!(listed, Some(2), "nor is it remembered");
        }
    }
}

#[test]
fn what_is_more_than_one_server_may_have_pinned_is_taken_out_and_the_others_stay() {
    let tool = DefinitionKind::Tool;
    let numbered = |from: usize, count: usize, width: usize| -> Vec<String> {
        (from..from + count).map(|number| format!("{number:0>width$}")).collect()
    };
    // By their number, and by the length of their names.
    for (width, most) in [(5, Pins::MAX_ENTRIES), (1_000, Pins::MAX_NAMES / 1_000)] {
        let mut pins = Pins::default();
        let first = list(tool, &numbered(0, most - 3, width));
        for fact in judge(&first, &pins, Mode::Enforce).facts {
            if let Fact::FirstSeen(pin) = fact {
                pins.insert(pin);
            }
        }
        let verdict = judge(&first, &pins, Mode::Enforce);
        assert_eq!(admitted(&first, &verdict), (numbered(0, most - 3, width), vec![]), "what is pinned goes on");
        let next = list(tool, &numbered(most - 5, 10, width));
        let verdict = judge(&next, &pins, Mode::Enforce);
        let expected = (numbered(most - 5, 5, width), numbered(most - 3, 3, width));
        assert_eq!(admitted(&next, &verdict), expected, "{width}");
        assert_eq!(verdict.findings.iter().filter(|held| held.finding.rule.id == "tool_pinning.no_room").count(), 5);
    }
}

#[test]
fn many_resources_take_no_place_from_tools_and_pass_without_being_pinned() {
    let (resource, tool) = (DefinitionKind::Resource, DefinitionKind::Tool);
    let names: Vec<_> = (0..Pins::MAX_ENTRIES + 5).map(|number| format!("file:///{number}")).collect();
    let all = list(resource, &names);
    let verdict = judge(&all, &Pins::default(), Mode::Enforce);
    let (passed, pinned) = admitted(&all, &verdict);
    assert_eq!((passed.len(), pinned.len()), (names.len(), Pins::MAX_ENTRIES));
    let more = verdict.findings.iter().filter(|held| held.finding.rule.id == "tool_pinning.resource_added");
    assert_eq!(more.count(), 5);
    let mut pins = Pins::default();
    for fact in verdict.facts {
        if let Fact::FirstSeen(pin) = fact {
            pins.insert(pin);
        }
    }
    let tools = list(tool, &["a".to_owned()]);
    let verdict = judge(&tools, &pins, Mode::Enforce);
    assert_eq!(admitted(&tools, &verdict), (vec!["a".to_owned()], vec!["a".to_owned()]));
}
