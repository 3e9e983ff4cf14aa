//! What is not edited passes byte for byte, in every revision: unknown members, big numbers, `null` ids and all.

#![cfg(test)]

mod common;

use bartizan_mcp::{Edits, Limits, Message, Revision};
use common::Json;
use proptest::prelude::*;

/// Requests, notifications, results and errors of a revision; `$` stands for random JSON, `@` for a random object,
/// `#` for a random number and `%` for a random string.
fn templates(revision: Revision) -> Vec<&'static str> {
    let mut templates = vec![
        r#""method":"x/unknown","params":@"#,
        r#""id":#i,"method":"tools/list","params":{"cursor":%,"unknown":$}"#,
        r#""id":%,"method":"tools/call","params":{"name":%,"arguments":@,"unknown":$}"#,
        r#""id":#i,"method":"tools/call","params":{"name":%,"arguments":@,"_meta":{"progressToken":%,"unknown":$}}"#,
        r#""method":"notifications/progress","params":{"progressToken":#i,"progress":#,"total":#,"message":%}"#,
        r#""method":"notifications/message","params":{"level":"info","data":$}"#,
        r#""id":#i,"result":{"content":[{"type":"text","text":%,"unknown":$}],"isError":false,"unknown":$}"#,
        r#""id":#i,"result":{"tools":[{"name":%,"inputSchema":@,"annotations":@},{"name":%,"inputSchema":{"x":#}}]}"#,
        r#""id":#i,"result":{"messages":[{"role":"user","content":{"type":"image","data":%,"mimeType":%}}]}"#,
        r#""id":null,"error":{"code":#i,"message":%,"data":$}"#,
        r#""error":{"code":-32700,"message":%},"unknown":$"#,
        r#""id":%,"error":{"code":-32601,"message":%,"unknown":$}"#,
    ];
    if revision < Revision::V2026_07_28 {
        templates.extend([
            r#""id":#i,"method":"initialize","params":{"protocolVersion":!,"capabilities":@,"clientInfo":{"name":%,"version":%}}"#,
            r#""id":#i,"result":{"protocolVersion":!,"capabilities":@,"serverInfo":@,"instructions":%}"#,
            r#""id":%,"method":"ping""#,
            r#""id":#i,"method":"sampling/createMessage","params":{"messages":[$],"maxTokens":#,"temperature":#}"#,
            r#""id":#i,"result":{"role":"assistant","model":%,"content":@}"#,
        ]);
    }
    if revision >= Revision::V2025_06_18 {
        templates.extend([
            r#""id":#i,"method":"elicitation/create","params":{"message":%,"requestedSchema":@}"#,
            r#""id":#i,"result":{"content":[],"structuredContent":@}"#,
            r#""id":#i,"result":{"content":[{"type":"resource_link","uri":%,"size":#}]}"#,
        ]);
    }
    if revision >= Revision::V2025_11_25 {
        templates.extend([
            r#""id":#i,"method":"tools/call","params":{"name":%,"arguments":@,"task":{"ttl":#}}"#,
            r#""id":#i,"result":{"tools":[{"name":%,"icons":[{"src":%}],"execution":{"taskSupport":"optional"}}]}"#,
            r#""id":#i,"error":{"code":-32042,"message":%,"data":{"elicitations":[{"mode":"url","url":%}]}}"#,
        ]);
    }
    if revision == Revision::V2026_07_28 {
        templates.extend([
            r#""id":#i,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":!,"io.modelcontextprotocol/clientCapabilities":@}}"#,
            r#""id":#i,"method":"tools/call","params":{"name":%,"requestState":%,"inputResponses":{%:@}}"#,
            r#""id":#i,"result":{"resultType":"input_required","inputRequests":{%:{"method":"elicitation/create","params":@}},"requestState":%}"#,
            r#""id":#i,"result":{"tools":[],"ttlMs":#,"cacheScope":"public","_meta":{"io.modelcontextprotocol/serverInfo":@}}"#,
            r#""method":"notifications/resources/updated","params":{"uri":%,"_meta":{"io.modelcontextprotocol/subscriptionId":#i}}"#,
        ]);
    }
    templates
}

/// What the holes of one message are filled with; they are reused when there are more holes.
#[derive(Debug)]
struct Filling {
    values: Vec<Json>,
    objects: Vec<Json>,
    texts: Vec<Json>,
    numbers: Vec<Json>,
    integers: Vec<i64>,
}

fn filling() -> impl Strategy<Value = Filling> {
    use proptest::collection::vec;
    (
        vec(common::json(), 1..4),
        vec(common::object(), 1..4),
        vec(common::key().prop_map(Json::Text), 1..4),
        vec(common::number().prop_map(Json::Number), 1..4),
        vec(any::<i64>(), 1..3),
    )
        .prop_map(|(values, objects, texts, numbers, integers)| Filling {
            values,
            objects,
            texts,
            numbers,
            integers,
        })
}

fn fill(template: &str, revision: Revision, filling: &Filling, style: &mut common::Style) -> String {
    let mut message = String::from(r#"{"jsonrpc":"2.0","#);
    let mut hole = 0;
    let mut characters = template.chars().peekable();
    while let Some(character) = characters.next() {
        let of = |list: &[Json]| list[hole % list.len()].clone();
        let json = match character {
            '$' => of(&filling.values),
            '@' => of(&filling.objects),
            '%' => of(&filling.texts),
            '#' if characters.next_if_eq(&'i').is_some() => {
                Json::Number(filling.integers[hole % filling.integers.len()].to_string())
            }
            '#' => of(&filling.numbers),
            '!' => Json::Text(revision.as_str().to_owned()),
            other => {
                message.push(other);
                continue;
            }
        };
        hole += 1;
        message.push_str(&json.write(style));
    }
    message + "}\n"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_message_keeps_its_bytes(filling in filling(), mut style in common::style()) {
        for revision in Revision::ALL {
            for template in templates(revision) {
                let text = fill(template, revision, &filling, &mut style);
                let limits = Limits::default();
                let message = Message::parse(text.clone(), &limits).unwrap_or_else(|why| panic!("{why}: {text}"));
                prop_assert_eq!(message.bytes(), text.as_bytes());
                let edited = message.edited(&Edits::new(), &limits).unwrap();
                prop_assert_eq!(edited.bytes(), text.as_bytes());
                prop_assert_eq!((edited.kind(), edited.id(), edited.method()), (message.kind(), message.id(), message.method()));
            }
        }
    }
}

#[test]
fn revisions_are_known_by_their_dates() {
    for revision in Revision::ALL {
        assert_eq!(revision.as_str().parse(), Ok(revision));
        assert_eq!(revision.to_string(), revision.as_str());
    }
    assert!(Revision::ALL.is_sorted());
    for unknown in ["", "2024-10-07", "2025-11-25 ", "2026-07-29", "DRAFT"] {
        assert!(unknown.parse::<Revision>().is_err());
    }
}
