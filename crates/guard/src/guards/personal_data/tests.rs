mod numbers;
mod records;

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bartizan_mcp::{Limits, Message};
use bartizan_pseudonym::Root;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{CallSummary, Decision, Direction, GuardSettings, How, Pins, Pipeline, Principal, ServerProfile, Settings};
use crate::{Revealed, Timestamp, Verdict};

fn names() -> Names {
    Names::new(Arc::new(Root::new(&[7; 32]).namer("tenant", "default")))
}

fn pipeline(how: How, options: Value) -> Pipeline {
    let held = GuardSettings { action: Some(Action::Redact), how, options, ..GuardSettings::default() };
    let settings = Settings { guards: [(SPEC.name.to_owned(), held)].into(), ..Settings::default() };
    Pipeline::new(settings).unwrap()
}

fn judge(pipeline: &Pipeline, message: &Message, evidence: &[Evidence]) -> Verdict {
    let server = ServerProfile { name: "crm".into(), pins: Arc::new(Pins::default()), elsewhere: Arc::from([]) };
    let call = Message::parse(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"find"}}"#, &Limits::default());
    let call = CallSummary::of(&call.unwrap()).unwrap();
    let direction = if message.is_response() { Direction::ToClient } else { Direction::ToServer };
    let event = Event {
        message,
        direction,
        answers: message.is_response().then_some(&call),
        principal: &Principal::new("anonymous"),
        server: &server,
        evidence,
        grant: None,
        now: Timestamp(0),
    };
    pipeline.judge(&event, &Session::default())
}

fn result(content: &Value, structured: &Value) -> Message {
    let result = json!({"content": [{"type": "text", "text": content}], "structuredContent": structured});
    let text = json!({"jsonrpc": "2.0", "id": 1, "result": result}).to_string();
    Message::parse(text, &Limits::default()).unwrap()
}

/// What is left of a message, and the names in it.
fn edited(pipeline: &Pipeline, message: &Message) -> (String, Vec<Pseudonym>) {
    let verdict = judge(pipeline, message, &[Evidence::Names(names())]);
    match verdict.decision {
        Decision::Transform(edits) => {
            let bytes = edits.apply(message.document());
            (String::from_utf8(bytes.to_vec()).unwrap(), verdict.pseudonyms)
        }
        Decision::Allow => (String::from_utf8(message.bytes().to_vec()).unwrap(), verdict.pseudonyms),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_found_in_one_place_is_hidden_in_all() {
    let pipeline = pipeline(How::Pseudonymise, json!({}));
    // "anna.berger@example.org" once more in base64.
    let encoded = "YW5uYS5iZXJnZXJAZXhhbXBsZS5vcmc=";
    let message = result(
        &json!(format!("Please write to Anna.Berger@example.org; her IBAN is DE89 3704 0044 0532 0130 00. {encoded}")),
        &json!({"mail": "anna.berger@example.org", "note": "ANNA.BERGER@EXAMPLE.ORG", "iban": "DE89370400440532013000",
            "phone": "+49 30 901820", "card": 4111111111111111_u64, "float": -4111111111111111.0, "count": 12345678, "city": "Lyon"}),
    );
    let (left, pseudonyms) = edited(&pipeline, &message);
    for gone in ["erger@", "EXAMPLE", "3704", "901820", "4111", encoded] {
        assert!(!left.contains(gone), "{gone} in {left}");
    }
    for kept in ["Please write to person_", "\"count\":12345678", "Lyon", "\"card\":0", "\"float\":0", "[redacted]"] {
        assert!(left.contains(kept), "no {kept} in {left}");
    }
    let found = bartizan_pseudonym::find(&left);
    assert_eq!(found.len(), 6, "{left}");
    for (_, token) in &found {
        assert!(pseudonyms.iter().any(|held| held.token == *token), "{token}");
    }
    // The same with what it brought: nothing is left to be found, and nothing in it is taken for data.
    let again = Message::parse(left.clone(), &Limits::default()).unwrap();
    assert_eq!(edited(&pipeline, &again).0, left);
}

#[test]
fn nothing_is_shown_that_cannot_be_named() {
    let message = result(&json!("write to anna@example.org"), &json!({}));
    let without = judge(&pipeline(How::Pseudonymise, json!({})), &message, &[]);
    assert!(matches!(&without.decision, Decision::Deny(denial) if denial.rule == "personal_data.email"), "{without:?}");
    assert!(without.pseudonyms.is_empty());
    for (how, expected) in [(How::Mask, "write to [redacted]"), (How::Cut, "write to \"")] {
        assert!(edited(&pipeline(how, json!({})), &message).0.contains(expected));
    }
    let harmless = result(&json!("see section 4 of the manual"), &json!({"total": 17}));
    assert!(matches!(judge(&pipeline(How::Pseudonymise, json!({})), &harmless, &[]).decision, Decision::Allow));
}

#[test]
fn what_others_look_up_and_files_stay_as_they_are() {
    let pipeline = pipeline(How::Pseudonymise, json!({}));
    let state = BASE64_STANDARD.encode("{\"after\": \"anna.berger@example.org\"}");
    for result in [
        json!({"content": [{"type": "text", "text": "more"}], "nextCursor": state}),
        json!({"content": [{"type": "image", "mimeType": "image/png", "data": state}]}),
    ] {
        let text = json!({"jsonrpc": "2.0", "id": 1, "result": result}).to_string();
        let message = Message::parse(text.clone(), &Limits::default()).unwrap();
        assert_eq!(edited(&pipeline, &message).0, text);
    }
}

#[test]
fn what_a_form_calls_like_a_file_is_looked_at() {
    let pipeline = pipeline(How::Mask, json!({}));
    for name in ["data", "blob"] {
        let answer = json!({"jsonrpc": "2.0", "id": 1, "result": {"action": "accept", "content": {name: "anna.berger@example.org"}}});
        let message = Message::parse(answer.to_string(), &Limits::default()).unwrap();
        assert!(!edited(&pipeline, &message).0.contains("anna.berger"), "{name}");
    }
}

#[test]
fn a_key_cannot_be_renamed() {
    let pipeline = pipeline(How::Pseudonymise, json!({}));
    let message = result(&json!("ok"), &json!({"anna@example.org": 1}));
    assert!(matches!(judge(&pipeline, &message, &[Evidence::Names(names())]).decision, Decision::Deny(_)));
}

#[test]
fn what_was_given_back_to_a_tool_is_not_taken_again() {
    let pipeline = pipeline(How::Pseudonymise, json!({}));
    let text = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"send",
        "arguments":{"to":"anna@example.org","cc":"otto@example.org"}}}"#;
    let call = Message::parse(text, &Limits::default()).unwrap();
    let token = names().name(Kind::Email, "anna@example.org");
    let evidence = [Evidence::Names(names()), Evidence::Revealed(Arc::from([token]))];
    let verdict = judge(&pipeline, &call, &evidence);
    let Decision::Transform(edits) = verdict.decision else { panic!("{:?}", verdict.decision) };
    let left = edits.apply(call.document());
    let left = std::str::from_utf8(&left).unwrap();
    assert!(left.contains("anna@example.org") && !left.contains("otto"), "{left}");
}

#[test]
fn what_was_given_back_is_in_no_reason() {
    let text = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"send_email","arguments":{"to":"eve@evil.example"}}}"#;
    let call = Message::parse(text, &Limits::default()).unwrap();
    let tool = json!([{"name": "crm/send_email", "recipients": ["anna@example.org"]}]);
    let held = GuardSettings { options: json!({"tool": tool}), ..GuardSettings::default() };
    let settings = Settings { guards: [("flow".to_owned(), held)].into(), ..Settings::default() };
    let pipeline = Pipeline::new(settings).unwrap();
    let token = names().name(Kind::Email, "eve@evil.example");
    for (evidence, shows) in [(vec![], true), (vec![Evidence::Revealed(Arc::from([token]))], false)] {
        let verdict = judge(&pipeline, &call, &evidence);
        let why = match &verdict.decision {
            Decision::Deny(denial) => &denial.why,
            Decision::RequireApproval(approval) => &approval.why,
            other => panic!("{other:?}"),
        };
        assert_eq!(why.contains("evil"), shows, "{why}");
        assert!(shows || verdict.findings.iter().all(|held| !format!("{held:?}").contains("evil")), "{verdict:?}");
    }
}

#[test]
fn without_a_table_nothing_is_looked_for() {
    let pipeline = Pipeline::new(Settings::default()).unwrap();
    let verdict = judge(&pipeline, &result(&json!("write to anna@example.org"), &json!({})), &[]);
    assert!(verdict.findings.iter().all(|held| !held.finding.rule.id.starts_with("personal_data")));
}

#[test]
fn options_say_what_there_is() {
    let build = |options: Value| {
        let held = GuardSettings { options, ..GuardSettings::default() };
        let settings = Settings { guards: [(SPEC.name.to_owned(), held)].into(), ..Settings::default() };
        Pipeline::new(settings).map(drop)
    };
    for (options, why) in [
        (json!({"also": ["palce"]}), "`palce`"),
        (json!({"entitled": [{"server": "a", "tool": "b", "kinds": ["mail"]}]}), "`mail`"),
        (json!({"confidence": 0.2}), "from 0.4"),
        (json!({"purpose": "a b"}), "`a b`"),
        (json!({"purposes": {"crm": ""}}), "a purpose has"),
        (json!({"keep_days": 0}), "at least 1"),
        (json!({"server_share": 0.0}), "above 0"),
        (json!({"server_share": 1.5}), "at most 1"),
        (json!({"entitled": [{"server": "a"}]}), "missing field"),
        (json!({"recognisers_file": "[[recogniser]]"}), ""),
    ] {
        let said = build(options).unwrap_err().to_string();
        assert!(said.contains(why), "{said}");
    }
    assert!(build(json!({"also": ["place"], "purposes": {"crm": "support"}})).is_ok());
    let elsewhere = GuardSettings { how: How::Pseudonymise, ..GuardSettings::default() };
    let settings = Settings { guards: [("secrets".to_owned(), elsewhere)].into(), ..Settings::default() };
    assert!(Pipeline::new(settings).is_err_and(|error| error.to_string().contains("cannot `pseudonymise`")));
}

#[test]
fn every_kind_has_a_rule_and_a_pseudonym() {
    for kind in PersonalKind::ALL {
        assert!(rule_of(kind).is_some(), "{kind:?}");
        assert!(Kind::parse(kind.as_str()).is_some(), "{kind:?}");
    }
}

#[test]
fn parts_of_a_text_are_found_among_many() {
    let covered = Covered::of(vec![8..10, 2..4, 3..6, 20..21]);
    assert_eq!(covered.0, [2..6, 8..10, 20..21]);
    for (span, expected) in [(0..2, false), (1..3, true), (5..6, true), (6..8, false), (4..30, true), (21..25, false)] {
        assert_eq!(covered.reach(&span), expected, "{span:?}");
    }
}

#[test]
fn keys_are_read_as_words() {
    for (key, expected) in [("phoneNumber", "phone number: "), ("date_of_birth", "date of birth: "), ("IBAN", "iban: ")] {
        assert_eq!(words(key), expected);
    }
}

/// Something that stands in a text, and how.
#[derive(Debug, Clone)]
struct Placed {
    value: String,
    how: u8,
}

fn placed() -> impl Strategy<Value = Placed> {
    // Of letters that make no word which says of a number beside it what that is, such as *bvn*.
    let mail = "[v-z]{3,9}\\.[v-z]{3,9}@[v-z]{4,9}\\.(example|org|com)";
    let phone = "\\+49 30 [1-9][0-9]{6}";
    // Both are told wherever they stand, which is no matter of this.
    let value = prop_oneof![mail, phone];
    (value, 0..6_u8).prop_map(|(value, how)| Placed { value, how })
}

fn grouped(text: &str) -> String {
    text.as_bytes().chunks(4).map(|group| std::str::from_utf8(group).unwrap()).collect::<Vec<_>>().join(" ")
}

fn card() -> impl Strategy<Value = String> {
    "4[0-9]{14}".prop_map(|others| {
        let doubled = others.bytes().rev().enumerate().map(|(at, digit)| u32::from(digit - b'0') * if at % 2 == 0 { 2 } else { 1 });
        let sum: u32 = doubled.map(|digit| digit / 10 + digit % 10).sum();
        grouped(&format!("{others}{}", (10 - sum % 10) % 10))
    })
}

fn iban() -> impl Strategy<Value = String> {
    "[0-9]{18}".prop_map(|account| {
        // `DE` and two zeros behind it, as numbers.
        let remainder = format!("{account}131400").bytes().fold(0, |sum, digit| (sum * 10 + u32::from(digit - b'0')) % 97);
        grouped(&format!("DE{:02}{account}", 98 - remainder))
    })
}

impl Placed {
    fn text(&self) -> String {
        let value = &self.value;
        match self.how {
            0 => format!("Please ask {value}, they know."),
            1 => json!({"contact": value, "n": 1}).to_string(),
            2 => format!("in a token: {}", BASE64_STANDARD.encode(format!("see {value} for it"))),
            3 => json!({"in": json!({"contact": value, "n": "a\nb"}).to_string()}).to_string(),
            4 => format!("```\n[{}, 1.5]\n```", json!(value)),
            _ => value.to_uppercase(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    /// What the model sees holds none of it, however it was written, and what its pseudonyms stand for is what was there.
    #[test]
    fn whatever_is_hidden_comes_back(all in proptest::collection::vec(placed(), 1..6), twice: bool, preserves: bool) {
        let how = if preserves { How::Preserve } else { How::Pseudonymise };
        let pipeline = pipeline(how, json!({"confidence": 0.4}));
        let texts: Vec<String> = all.iter().map(Placed::text).collect();
        let structured = json!({"rows": all.iter().map(|held| &held.value).collect::<Vec<_>>()});
        let message = result(&json!(texts.join("\n")), if twice { &structured } else { &Value::Null });
        let verdict = judge(&pipeline, &message, &[Evidence::Names(names())]);
        let Decision::Transform(edits) = &verdict.decision else { return Err(TestCaseError::fail(format!("{verdict:?}"))) };
        let edited = message.edited(edits, &Limits::default()).unwrap();
        for part in edited.parts() {
            let text = part.text();
            for view in Views::of(&text).iter() {
                for held in &all {
                    let is_there = view.text().to_lowercase().contains(&held.value.to_lowercase());
                    prop_assert!(!is_there, "{} in {}", held.value, text);
                }
            }
        }
        let shown = std::str::from_utf8(edited.bytes()).unwrap();
        for (_, token) in bartizan_pseudonym::find(shown) {
            let held = verdict.pseudonyms.iter().find(|held| held.token == token);
            prop_assert!(held.is_some_and(|held| all.iter().any(|one| one.value.eq_ignore_ascii_case(&held.value))), "{}", token);
        }
        for held in &verdict.pseudonyms {
            let call = format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"t","arguments":{{"to":"{}"}}}}}}"#,
                held.token
            );
            let call = Message::parse(call, &Limits::default()).unwrap();
            prop_assert_eq!(names().in_arguments(&call), vec![held.token]);
            let given = Revealed::new([(held.token, &*held.value)]).in_arguments(&call).unwrap();
            let got = call.edited(&given.edits, &Limits::default()).unwrap();
            let got = got.params().unwrap().at(&["arguments", "to"]).unwrap().text().into_owned();
            prop_assert_eq!(&*got, &*held.value);
        }
    }
}
