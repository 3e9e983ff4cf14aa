//! Every guard is documented, tried out by cases, and shown every kind of part.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod common;

use std::collections::BTreeSet;

use bartizan_guard::guards::{self, LooksAt};
use bartizan_guard::{Action, Direction, GuardSettings, Pipeline, Settings};
use bartizan_mcp::PartKind;

/// Rules that no case can show, with the test that does.
const SHOWN_ELSEWHERE: &[(&str, &str)] = &[
    ("hidden_text.flood", "tests/hidden_text.rs, where the text is made large enough"),
    ("tool_pinning.no_room", "tests/names.rs, where there are definitions enough"),
    ("prompt_injection.opinion", "tests/opinions.rs, where somebody is asked"),
    ("prompt_injection.no_opinion", "tests/opinions.rs"),
    ("prompt_injection.unasked", "tests/opinions.rs"),
    ("prompt_injection.opinion_required", "tests/opinions.rs"),
    ("prompt_injection.cleared", "tests/opinions.rs"),
];

#[test]
fn every_guard_says_what_it_is_for() {
    let mut ids = BTreeSet::new();
    for spec in guards::ALL {
        assert!(spec.threat.len() > 20, "{} states no threat", spec.name);
        assert!(!spec.rules.is_empty() && !spec.actions.is_empty(), "{}", spec.name);
        assert!(spec.actions.contains(&Action::Observe), "{} cannot be tried out", spec.name);
        for rule in spec.rules {
            assert!(rule.id.starts_with(&format!("{}.", spec.name)), "{} is not of {}", rule.id, spec.name);
            assert!(ids.insert(rule.id), "{} is there twice", rule.id);
            assert!(rule.summary.ends_with('.'), "{}: {}", rule.id, rule.summary);
            let defaults = rule.by_kind.iter().map(|(_, action)| *action).chain([rule.default]);
            for action in defaults {
                assert!(spec.actions.contains(&action), "{} cannot {} by default", rule.id, action.as_str());
            }
        }
        if let LooksAt::Else(what) = spec.looks_at {
            assert!(what.ends_with('.'), "{} does not say what it looks at", spec.name);
        }
        for (kind, reason) in spec.skips {
            assert!(reason.len() > 10, "{} gives no reason for passing over {}", spec.name, kind.as_str());
        }
        assert!((spec.options)().as_object().is_some_and(|schema| schema.contains_key("type")), "{}", spec.name);
    }
}

#[test]
fn every_rule_is_shown_by_a_case() {
    let cases = common::all();
    let shown: BTreeSet<&str> =
        cases.iter().flat_map(|(_, case)| case.expect.findings.keys()).map(String::as_str).collect();
    let rules = guards::ALL.iter().flat_map(|spec| spec.rules);
    // Fixed rules of `conformance` name what the scanner and the gateway refuse; the guard itself reports but one of
    // them, which tests/names.rs shows.
    let missing: Vec<&str> = rules
        .filter(|rule| !(rule.fixed && rule.id.starts_with("conformance.")))
        .map(|rule| rule.id)
        .filter(|id| !shown.contains(id) && SHOWN_ELSEWHERE.iter().all(|(other, _)| other != id))
        .collect();
    assert!(missing.is_empty(), "no case shows {missing:?}");
}

#[test]
fn every_guard_sees_every_kind_of_part() {
    for spec in guards::ALL {
        let LooksAt::Texts(text) = spec.looks_at else { continue };
        let pipeline = only(spec.name);
        for kind in PartKind::ALL {
            for (template, direction) in places(kind) {
                let message = common::message(&template.replace("HERE", text));
                let verdict = common::judge(&pipeline, &message, direction);
                let seen = verdict.findings.iter().any(|held| held.finding.kind == kind);
                let skipped = spec.skips.iter().any(|(skipped, _)| *skipped == kind);
                assert!(seen != skipped, "{} in {}: {template}", spec.name, kind.as_str());
            }
        }
    }
}

fn only(name: &str) -> Pipeline {
    let off = |enabled| GuardSettings { enabled, ..GuardSettings::default() };
    let guards = guards::ALL.iter().map(|spec| (spec.name.to_owned(), off(spec.name == name))).collect();
    Pipeline::new(Settings { guards, ..Settings::default() }).unwrap()
}

/// Messages with a text of that kind at `HERE`, in values and in keys.
fn places(kind: PartKind) -> Vec<(String, Direction)> {
    let request = |rest: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":{rest}}}"#);
    let result = |rest: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{{rest}}}}}"#);
    let (to_server, to_client) = (Direction::ToServer, Direction::ToClient);
    match kind {
        PartKind::ToolDefinition => vec![
            (result(r#""tools":[{"name":"a","description":"HERE"}]"#), to_client),
            (result(r#""tools":[{"name":"a","inputSchema":{"properties":{"HERE":{}}}}]"#), to_client),
            (request(r#""sampling/createMessage","params":{"tools":[{"name":"a","description":"HERE"}]}"#), to_client),
        ],
        PartKind::PromptDefinition => {
            vec![(result(r#""prompts":[{"name":"a","arguments":[{"name":"HERE"}]}]"#), to_client)]
        }
        PartKind::ResourceDefinition => vec![
            (result(r#""resources":[{"uri":"a:b","name":"HERE"}]"#), to_client),
            (result(r#""resourceTemplates":[{"uriTemplate":"a:{b}","name":"HERE"}]"#), to_client),
        ],
        PartKind::Instructions => vec![
            (result(r#""instructions":"HERE""#), to_client),
            (result(r#""serverInfo":{"name":"HERE"}"#), to_client),
        ],
        PartKind::Argument => vec![
            (request(r#""tools/call","params":{"name":"a","arguments":{"b":["HERE"]}}"#), to_server),
            (request(r#""prompts/get","params":{"name":"a","arguments":{"HERE":"b"}}"#), to_server),
            (request(r#""completion/complete","params":{"argument":{"name":"a","value":"HERE"}}"#), to_server),
            (
                request(r#""tools/call","params":{"inputResponses":{"a":{"action":"accept","content":{"b":"HERE"}}}}"#),
                to_server,
            ),
        ],
        PartKind::Content => vec![
            (result(r#""content":[{"type":"text","text":"HERE"}]"#), to_client),
            (result(r#""contents":[{"uri":"a:b","text":"HERE"}]"#), to_client),
            (result(r#""messages":[{"role":"user","content":{"type":"text","text":"HERE"}}]"#), to_client),
            (result(r#""completion":{"values":["HERE"]}"#), to_client),
            (result(r#""result":{"content":[{"type":"text","text":"HERE"}]}"#), to_client),
            (result(r#""content":{"type":"text","text":"HERE"}"#), to_server),
        ],
        PartKind::StructuredContent => vec![(result(r#""structuredContent":{"a":{"HERE":1}}"#), to_client)],
        PartKind::Error => {
            let error = |rest: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":1,{rest}}}}}"#);
            vec![(error(r#""message":"HERE""#), to_client), (error(r#""message":"","data":{"a":"HERE"}"#), to_server)]
        }
        PartKind::Sampling => vec![
            (request(r#""sampling/createMessage","params":{"systemPrompt":"HERE"}"#), to_client),
            (
                result(r#""inputRequests":{"a":{"method":"sampling/createMessage","params":{"systemPrompt":"HERE"}}}"#),
                to_client,
            ),
        ],
        PartKind::Elicitation => vec![
            (request(r#""elicitation/create","params":{"message":"HERE"}"#), to_client),
            (result(r#""inputRequests":{"a":{"method":"elicitation/create","params":{"message":"HERE"}}}"#), to_client),
        ],
        PartKind::Notification => vec![
            (r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"HERE"}}"#.to_owned(), to_client),
            (
                r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"reason":"HERE"}}"#.to_owned(),
                to_server,
            ),
        ],
        PartKind::Metadata => vec![
            (request(r#""tools/call","params":{"name":"a","_meta":{"b":"HERE"}}"#), to_server),
            (result(r#""_meta":{"HERE":1}"#), to_client),
        ],
        PartKind::Other => vec![
            (request(r#""tools/call","params":{"name":"HERE"}"#), to_server),
            (request(r#""HERE""#), to_server),
            (result(r#""nextCursor":"HERE""#), to_client),
            (r#"{"jsonrpc":"2.0","id":1,"result":{},"unknown":["HERE"]}"#.to_owned(), to_client),
        ],
    }
}
