//! Whatever a server was given back and however it says it again: nobody who looks into what is left finds it.
#![cfg(test)]

use std::sync::Arc;

use bartizan_detect::decode::Views;
use bartizan_guard::pseudonym::{Kind, Root};
use bartizan_guard::{
    CallSummary, Decision, Direction, Event, Evidence, GuardSettings, Names, Pins, Pipeline, Principal, Pseudonym,
    ServerProfile, Session, Settings, Timestamp, Told,
};
use bartizan_mcp::{Limits, Message, NodeKind};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;
use serde_json::json;

/// A value, and how it is said again.
#[derive(Debug, Clone)]
struct Said {
    value: String,
    how: u8,
    around: (String, String),
}

fn said() -> impl Strategy<Value = Said> {
    let value = prop_oneof![
        "[A-Z][a-z]{5,11}",
        "[A-Z][a-z]{3,7} [A-Z][a-z]{4,9}",
        "[1-9][0-9]{6,11}",
        "\\+49 [1-9][0-9]{2} [1-9][0-9]{5}",
        "[a-z]{3,8}\\.[a-z]{3,8}@[a-z]{4,9}\\.example",
        "[A-Z][a-zäöüéñ]{6,9}",
    ];
    (value, 0..9_u8, ("[a-z ]{0,12}", "[a-z ]{0,12}")).prop_map(|(value, how, around)| Said { value, how, around })
}

impl Said {
    fn text(&self) -> String {
        let (before, behind) = &self.around;
        let sentence = format!("{before}{}{behind}", self.value);
        let each = |spell: fn(u8) -> String| sentence.bytes().map(spell).collect::<String>();
        match self.how {
            0 => sentence,
            1 => sentence.to_uppercase(),
            2 => sentence.to_lowercase(),
            3 => format!("see {} there", BASE64_STANDARD.encode(format!("it goes to {sentence} now"))),
            4 => format!("see {} there", each(|byte| format!("{byte:02x}"))),
            5 => each(|byte| format!("%{byte:02X}")),
            6 => sentence.chars().map(|letter| format!("&#{};", u32::from(letter))).collect(),
            7 => format!(
                "{before} {} {behind}",
                self.value.chars().map(|letter| format!("{letter}-")).collect::<String>()
            ),
            _ => json!({"to": sentence, "more": [self.value]}).to_string(),
        }
    }
}

/// What the client gets of it; nothing if it is refused.
fn shown(all: &[Said], message: &Message) -> Option<Message> {
    let names = Names::new(Arc::new(Root::new(&[7; 32]).namer("tenant", "default")));
    let kind = Kind::parse("person_name").unwrap();
    let values = all.iter().map(|said| Pseudonym::of(names.name(kind, &said.value), said.value.as_str().into()));
    let evidence = [Evidence::Told(Told::of(values.collect()).unwrap().into()), Evidence::Names(names)];
    let settings =
        Settings { guards: [("personal_data".to_owned(), GuardSettings::default())].into(), ..Settings::default() };
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"send"}}"#;
    let call = CallSummary::of(&Message::parse(call, &Limits::default()).unwrap()).unwrap();
    let server = ServerProfile { name: "office".into(), pins: Arc::new(Pins::default()), elsewhere: Arc::from([]) };
    let event = Event {
        message,
        direction: Direction::ToClient,
        answers: message.is_response().then_some(&call),
        principal: &Principal::new("anonymous"),
        server: &server,
        evidence: &evidence,
        grant: None,
        now: Timestamp(0),
    };
    match Pipeline::new(settings).unwrap().judge(&event, &Session::default()).decision {
        Decision::Allow => Some(message.clone()),
        Decision::Transform(edits) => Some(message.edited(&edits, &Limits::default()).unwrap()),
        Decision::Deny(_) | Decision::RequireApproval(_) => None,
    }
}

/// Whether somebody who looks into all texts and numbers of a message finds a value.
fn finds(message: &Message, value: &str) -> bool {
    let bare =
        |text: &str| text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
    let plain = |text: &str| Views::of(text).iter().next().map(|view| view.text().to_lowercase()).unwrap_or_default();
    let value = plain(value);
    let texts = message.root().subtree().filter_map(|held| match held.kind() {
        NodeKind::String | NodeKind::Key => Some(held.text()),
        NodeKind::Number => Some(held.raw().into()),
        _ => None,
    });
    let has =
        |text: &str| text.to_lowercase().contains(&value) || bare(text).contains(&bare(&value)) && value.contains('1');
    texts.into_iter().any(|text| Views::of(&text).iter().any(|view| has(view.text())))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn nobody_finds_it_in_what_is_left(all in proptest::collection::vec(said(), 1..5), place in 0..5_u8, number in any::<bool>()) {
        let text = all.iter().map(Said::text).collect::<Vec<_>>().join("\n");
        let digits = all.iter().find(|said| said.value.bytes().all(|byte| byte.is_ascii_digit()));
        let data = json!({"said": text, "n": digits.filter(|_| number).and_then(|said| said.value.parse::<u64>().ok())});
        let message = match place {
            0 => json!({"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": text}], "structuredContent": data}}),
            1 => json!({"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": text, "data": data}}),
            2 => json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": "p", "progress": 1, "message": text}}),
            3 => json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": data}}),
            _ => json!({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": {"message": text, "requestedSchema": {"type": "object", "properties": {}}}}),
        };
        let message = Message::parse(message.to_string(), &Limits::default()).unwrap();
        if let Some(left) = shown(&all, &message) {
            for said in &all {
                prop_assert!(!finds(&left, &said.value), "{} in {}", said.value, String::from_utf8_lossy(left.bytes()));
            }
        }
    }
}

#[test]
fn what_nobody_was_given_back_passes_as_it_is() {
    let text =
        r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"sent to Steinert and 48213399"}]}}"#;
    let message = Message::parse(text, &Limits::default()).unwrap();
    let said = Said { value: "Bergerac".to_owned(), how: 0, around: Default::default() };
    assert_eq!(shown(&[said], &message).unwrap().bytes(), message.bytes());
}
