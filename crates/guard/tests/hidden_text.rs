//! What goes through once goes through again as it is, and no number of hidden texts is too large to be dealt with.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod common;

use bartizan_guard::{
    Decision, Direction, Event, GuardSettings, How, Pipeline, Principal, Report, Session, Settings, Timestamp, guards,
};
use bartizan_mcp::{Limits, Message};
use proptest::prelude::*;

fn pipeline(how: How) -> Pipeline {
    let settings = GuardSettings { how, ..GuardSettings::default() };
    Pipeline::new(Settings { guards: [("hidden_text".to_owned(), settings)].into(), ..Settings::default() }).unwrap()
}

/// The message as it is passed on; `None` if it is denied.
fn admitted(pipeline: &Pipeline, message: &Message) -> Option<Message> {
    let verdict = common::judge(pipeline, message, Direction::ToClient);
    let again = common::judge(pipeline, message, Direction::ToClient);
    assert_eq!(common::summary(&verdict, message), common::summary(&again, message));
    match verdict.decision {
        Decision::Allow => Some(message.clone()),
        Decision::Transform(edits) => Some(message.edited(&edits, &Limits::default()).unwrap()),
        Decision::RequireApproval(_) => panic!("nothing asks for approval"),
        Decision::Deny(_) => None,
    }
}

fn texts() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "a",
        "Z",
        " ",
        "\n",
        "\r",
        "\r\n",
        "0",
        "\"",
        "\\",
        "<b hidden>",
        "</b>",
        "<!-- x -->",
        "\u{1b}",
        "[1m",
        "]0;",
        "\u{7}",
        "\u{8}",
        "\u{0}",
        "\u{9b}",
        "\u{AD}",
        "\u{200B}",
        "\u{200C}",
        "\u{200D}",
        "\u{FEFF}",
        "\u{202A}",
        "\u{202C}",
        "\u{202E}",
        "\u{2066}",
        "\u{2069}",
        "\u{200E}",
        "ש",
        "ی",
        "क",
        "ไ",
        "☺",
        "👩",
        "\u{1F3F4}",
        "\u{E0067}",
        "\u{E0062}",
        "\u{E007F}",
        "\u{FE0F}",
        "\u{FE01}",
        "\u{E0100}",
        "葛",
        "\u{206A}",
        "\u{3164}",
    ]);
    prop::collection::vec(pieces, 0..24).prop_map(|pieces| pieces.concat())
}

fn messages() -> impl Strategy<Value = Message> {
    let templates = prop::sample::select(vec![
        r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":A},{"type":"text","text":B}]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a","description":A},{"name":"b","title":B},{"name":"c"}]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":A,"data":{"more":[B]}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"structuredContent":{"x":A,"y":{"z":B}},"_meta":{"k":B}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{"message":A,"other":B}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":[A,B]}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"data":{"name":A,"in":[{"uri":B}]}}}"#,
    ]);
    (templates, texts(), texts()).prop_map(|(template, a, b)| {
        let quoted = |text: &str| serde_json::to_string(text).unwrap();
        let (before, rest) = template.split_once('A').unwrap();
        common::message(&format!("{before}{}{}", quoted(&a), rest.replace('B', &quoted(&b))))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn admitting_twice_changes_nothing_further(message in messages()) {
        for how in [How::Neutralise, How::Cut, How::Mask] {
            let pipeline = pipeline(how);
            let Some(once) = admitted(&pipeline, &message) else { continue };
            let verdict = common::judge(&pipeline, &once, Direction::ToClient);
            prop_assert!(matches!(verdict.decision, Decision::Allow), "{:?}", verdict.findings);
        }
    }
}

fn content(texts: &[String]) -> Message {
    let list: Vec<String> = texts.iter().map(|text| serde_json::to_string(text).unwrap()).collect();
    common::message(&format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[{}]}}}}"#, list.join(",")))
}

#[test]
fn many_hidden_texts_are_all_cut_or_none_passes() {
    let pipeline = pipeline(How::Neutralise);
    for (count, passes) in [(300, true), (Report::MAX_FINDINGS, true), (Report::MAX_FINDINGS + 1, false)] {
        let message = content(&vec!["a\u{E0041}\u{200B}b".to_owned(); count / 2 + count % 2]);
        match admitted(&pipeline, &message) {
            Some(edited) => {
                assert!(passes && !String::from_utf8_lossy(edited.bytes()).contains(['\u{E0041}', '\u{200B}']));
            }
            None => assert!(!passes, "{count} findings were not dealt with"),
        }
    }
}

#[test]
fn many_hidden_places_in_one_text_are_all_cut() {
    let message = content(&["a\u{200B}b\u{1b}[0m\u{E0041}".repeat(10_000)]);
    let edited = admitted(&pipeline(How::Neutralise), &message).unwrap();
    assert_eq!(edited.bytes(), content(&["ab".repeat(10_000)]).bytes());
    // One finding for each way of hiding, however many places there are.
    assert_eq!(common::judge(&pipeline(How::Neutralise), &message, Direction::ToClient).findings.len(), 3);
}

#[test]
fn a_flood_is_denied() {
    let message = content(&["a\u{200B}".repeat(70_000)]);
    let verdict = common::judge(&pipeline(How::Neutralise), &message, Direction::ToClient);
    assert!(matches!(verdict.decision, Decision::Deny(denial) if denial.rule == "hidden_text.flood"));
}

#[test]
fn keys_that_become_the_same_leave_no_message() {
    let message =
        common::message(r#"{"jsonrpc":"2.0","id":1,"result":{"structuredContent":{"a":1,"a\udb40\udc41":2}}}"#);
    let verdict = common::judge(&pipeline(How::Neutralise), &message, Direction::ToClient);
    assert!(matches!(verdict.decision, Decision::Deny(denial) if denial.rule == "pipeline.edit_unsafe"));
}

#[test]
fn requests_take_long_that_use_a_large_definition_which_has_to_be_looked_through() {
    let off = |name: &str| (name.to_owned(), GuardSettings { enabled: false, ..GuardSettings::default() });
    let others = guards::ALL.iter().map(|spec| spec.name).filter(|name| *name != "hidden_text").map(off);
    let pipeline = Pipeline::new(Settings { guards: others.collect(), ..Settings::default() }).unwrap();
    let tool = |name: &str, text: &str| format!(r#"{{"name":"{name}","description":"{text}"}}"#);
    let (long, blank) = ("a".repeat(70_000), " ".repeat(70_000));
    let tools = [
        tool("plain", &long),
        tool("accents", &format!("é{long}")),
        tool("blank", &format!("{blank}é")),
        tool("short", "é"),
    ];
    let list = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{}]}}}}"#, tools.join(","));
    let listed = common::judge(&pipeline, &common::message(&list), Direction::ToClient);
    let session = Session::default().with(&listed.facts);
    let takes_long = |method: &str, name: &str, direction| {
        let text = format!(r#"{{"jsonrpc":"2.0","id":2,"method":"{method}","params":{{"name":"{name}"}}}}"#);
        let event = Event {
            message: &common::message(&text),
            direction,
            answers: None,
            principal: &Principal::new("local:alice"),
            server: &common::profile("server"),
            evidence: &[],
            grant: None,
            now: Timestamp(0),
        };
        pipeline.takes_long(&event, &session)
    };
    for (method, name, expected) in [
        ("tools/call", "plain", false),
        ("tools/call", "accents", true),
        ("tools/call", "blank", true),
        ("tools/call", "short", false),
        ("tools/call", "none", false),
        ("prompts/get", "accents", false),
    ] {
        assert_eq!(takes_long(method, name, Direction::ToServer), expected, "{method} {name}");
    }
    assert!(!takes_long("tools/call", "accents", Direction::ToClient));
}

#[test]
fn a_reason_says_how_long_it_is_and_only_the_quote_what_it_is() {
    let tags =
        |text: &str| -> String { text.chars().map(|c| char::from_u32(0xE0000 + u32::from(c)).unwrap()).collect() };
    let long = "y".repeat(300);
    for (text, why, quoting) in [
        (format!("a{}", tags("secret")), "tag characters that hide 6 characters", Some("“secret”")),
        (format!("a{}b{}", tags("s"), tags("t")), "tag characters that hide 1 character, and 1 more", Some("“s”")),
        (format!("a{}", tags(&long)), "tag characters that hide 256 characters or more", Some("yyy…”")),
        ("a<!-- secret -->".to_owned(), "a comment that hides 15 characters", Some("that hides “<!-- secret -->”")),
        ("a\u{202e}b".to_owned(), "controls of direction", None),
    ] {
        let text = bartizan_mcp::quote(&text);
        let message = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[{{"type":"text","text":{text}}}]}}}}"#);
        let verdict = common::judge(&pipeline(How::Neutralise), &common::message(&message), Direction::ToClient);
        let finding = &verdict.findings[0].finding;
        assert_eq!(finding.why, why);
        match (&finding.quoting, quoting) {
            (Some(found), Some(expected)) => assert!(found.contains(expected), "{found}"),
            (found, expected) => assert_eq!(found.as_deref(), expected),
        }
    }
}

#[test]
fn whoever_is_refused_is_not_told_what_is_hidden() {
    let hidden: String = "secret".chars().map(|c| char::from_u32(0xE0000 + u32::from(c)).unwrap()).collect();
    let text =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{{"name":"t","arguments":{{"a":"{hidden}"}}}}}}"#)
            .replace("\"x\"", "\"tools/call\"");
    let verdict = common::judge(&pipeline(How::Neutralise), &common::message(&text), Direction::ToServer);
    let Decision::Deny(denial) = verdict.decision else { panic!("{:?}", verdict.decision) };
    assert!(denial.why.contains("hide 6 characters") && !denial.why.contains("secret"), "{}", denial.why);
}
