//! The scanner against hostile texts, and against `serde_json` on texts of every kind.

#![cfg(test)]

mod common;

use bartizan_mcp::{Fault, Id, Kind, Limits, Message, NodeKind};
use proptest::prelude::*;

fn fault(text: impl AsRef<[u8]>) -> Option<Fault> {
    Message::parse(text.as_ref().to_vec(), &Limits::default()).err().map(|rejection| rejection.fault)
}

/// Each text is a request's parameter.
fn fault_of_value(value: &str) -> Option<Fault> {
    fault(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{{"arguments":{value}}}}}"#))
}

/// Values as the standard has them.
const SOUND: &[&str] = &[
    "0",
    "-0",
    "1",
    "-1",
    "10",
    "0.5",
    "1.0",
    "1e3",
    "1E+3",
    "1e-3",
    "0e0",
    "-1.5e+10",
    "1e999",
    "123456789012345678901234567890",
    "true",
    "false",
    "null",
    "[]",
    "{}",
    "[ ]",
    "{ }",
    "[[],{}]",
    "\t\n\r [ 1 , 2 ] ",
    r#""""#,
    r#""\"\\\/\b\f\n\r\t""#,
    r#""\u0000""#,
    r#""\ud83d\ude00""#,
    r#""\uD83D\uDE00""#,
    "\"\u{7f}\u{80}\u{2028}\"",
    "\"\u{feff}\"",
    "\"\u{10ffff}\"",
    r#"{"a":1,"A":2}"#,
    r#"{"":1}"#,
    r#"{"a":{"a":{"a":1}}}"#,
    r#"[{"a":1},{"a":1}]"#,
];

/// Texts that are no value, whatever some parser makes of them.
const UNSOUND: &[&str] = &[
    "",
    "01",
    "-01",
    "-",
    "+1",
    ".5",
    "5.",
    "1.e3",
    "1e",
    "1e+",
    "0x10",
    "1_000",
    "NaN",
    "Infinity",
    "-Infinity",
    "True",
    "nul",
    "nulll",
    "tru",
    "[1,]",
    "[,1]",
    "[1 2]",
    "[",
    "]",
    "[1}",
    "{]",
    "{,}",
    r#"{"a"}"#,
    r#"{"a":}"#,
    r#"{"a":1,}"#,
    r#"{"a":1 "b":2}"#,
    r#"{"a" 1}"#,
    "{a:1}",
    "{1:1}",
    "{null:1}",
    "'a'",
    r#"{'a':1}"#,
    "\"",
    "\"a",
    r#""\"#,
    r#""\x""#,
    r#""\u""#,
    r#""\u12""#,
    r#""\u12g4""#,
    r#""\u+123""#,
    r#""\U0041""#,
    "\"\t\"",
    "\"\n\"",
    "\"\0\"",
    "\"\u{1f}\"",
    "\0",
    "\u{a0}1",
    "\u{c}1",
    "\u{feff}1",
    "/* */1",
    "1//",
    "1 2",
    "\"a\"\"b\"",
    r#""\ud83d\uzzzz""#,
];

#[test]
fn values() {
    for value in SOUND {
        assert_eq!(fault_of_value(value), None, "{value:?}");
    }
    for value in UNSOUND {
        assert_eq!(fault_of_value(value), Some(Fault::Syntax), "{value:?}");
    }
    for value in
        [r#""\ud83d""#, r#""\ude00""#, r#""\ud83dx""#, r#""\ud83d\n""#, r#""\ud83d\u0041""#, r#""\ud83d\ud83d\ude00""#]
    {
        assert_eq!(fault_of_value(value), Some(Fault::LoneSurrogate), "{value:?}");
        assert_eq!(fault_of_value(&format!("{{{value}:1}}")), Some(Fault::LoneSurrogate), "{value:?}");
    }
}

#[test]
fn duplicate_keys() {
    let many = |keys: &[&str]| {
        let members: Vec<_> = (0..20).map(|number| format!(r#""key{number}":0"#)).collect();
        let more: Vec<_> = keys.iter().map(|key| format!(r#""{key}":[{{"x":1}}]"#)).collect();
        format!("{{{},{}}}", more.join(","), members.join(","))
    };
    let refused = [
        r#"{"a":1,"a":1}"#.to_owned(),
        r#"{"a":1,"b":{},"a":2}"#.to_owned(),
        r#"{"a":1,"\u0061":2}"#.to_owned(),
        r#"{"\u0061":1,"a":2}"#.to_owned(),
        r#"{"\u00e9":1,"\u00E9":2}"#.to_owned(),
        r#"{"/":1,"\/":2}"#.to_owned(),
        r#"{"":1,"":2}"#.to_owned(),
        "{\"😀\":1,\"\\ud83d\\ude00\":2}".to_owned(),
        r#"[[{"x":{"a":[1,{"b":2}],"a":1}}]]"#.to_owned(),
        many(&["key19"]),
        many(&[r"\u006bey7"]),
        many(&["same", "other", r"s\u0061me"]),
    ];
    for value in refused {
        assert_eq!(fault_of_value(&value), Some(Fault::DuplicateKey), "{value}");
    }
    assert_eq!(fault_of_value(&many(&["other", "Key1"])), None);
}

#[test]
fn whole_texts() {
    let cases: [(&[u8], Option<Fault>); 24] = [
        (br#"{"jsonrpc":"2.0","method":"x"}"#, None),
        (b" \t\r\n{ \"jsonrpc\" : \"2.0\" , \"method\" : \"x\" }\n\n ", None),
        (br#"{"\u006asonrpc":"2\u002e0","m\u0065thod":"x"}"#, None),
        (b"", Some(Fault::Syntax)),
        (b" ", Some(Fault::Syntax)),
        (b"\xef\xbb\xbf{\"jsonrpc\":\"2.0\",\"method\":\"x\"}", Some(Fault::Utf8)),
        (b"{\"jsonrpc\":\"2.0\",\"method\":\"\xff\"}", Some(Fault::Utf8)),
        (b"{\"jsonrpc\":\"2.0\",\"method\":\"\xc0\xaf\"}", Some(Fault::Utf8)),
        (b"{\"jsonrpc\":\"2.0\",\"method\":\"\xed\xa0\x80\"}", Some(Fault::Utf8)),
        (b"{\0\"\0j\0\"\0", Some(Fault::Syntax)),
        (br#"{"jsonrpc":"2.0","method":"x"}{}"#, Some(Fault::Syntax)),
        (br#"{"jsonrpc":"2.0","method":"x"},"#, Some(Fault::Syntax)),
        (b"{\"jsonrpc\":\"2.0\",\"method\":\"x\"}\0", Some(Fault::Syntax)),
        (br#"{"jsonrpc":"2.0","method":"x"#, Some(Fault::Syntax)),
        (br#"[{"jsonrpc":"2.0","method":"x"}]"#, Some(Fault::Batch)),
        (b"[]", Some(Fault::Batch)),
        (b"null", Some(Fault::NotJsonRpc)),
        (br#""x""#, Some(Fault::NotJsonRpc)),
        (b"{}", Some(Fault::NotJsonRpc)),
        (br#"{"method":"x"}"#, Some(Fault::NotJsonRpc)),
        (br#"{"jsonrpc":"1.0","method":"x"}"#, Some(Fault::NotJsonRpc)),
        (br#"{"jsonrpc":2.0,"method":"x"}"#, Some(Fault::NotJsonRpc)),
        (br#"{"jsonrpc":"2.0","method":"x","method":"y"}"#, Some(Fault::DuplicateKey)),
        (br#"{"jsonrpc":"2.0","method":"x","m\u0065thod":"y"}"#, Some(Fault::DuplicateKey)),
    ];
    for (text, expected) in cases {
        assert_eq!(fault(text), expected, "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn envelopes() {
    use Fault::{Ambiguous, BadEnvelope, BadId, CaseVariant};
    let cases = [
        (r#""id":1,"method":"x""#, Ok(Kind::Request)),
        (r#""method":"x""#, Ok(Kind::Notification)),
        (r#""id":1,"result":{}"#, Ok(Kind::Result)),
        (r#""id":1,"result":null"#, Ok(Kind::Result)),
        (r#""id":1,"error":{"code":-1,"message":""}"#, Ok(Kind::Error)),
        (r#""id":null,"error":{"code":-1,"message":"","data":null}"#, Ok(Kind::Error)),
        (r#""error":{"code":-1,"message":""}"#, Ok(Kind::Error)),
        (r#""id":1,"method":"x","extension":{"Id":1}"#, Ok(Kind::Request)),
        (r#""id":1"#, Err(Ambiguous)),
        ("\"x\":1", Err(Ambiguous)),
        (r#""id":1,"params":{}"#, Err(Ambiguous)),
        (r#""id":1,"result":{},"error":{"code":1,"message":""}"#, Err(Ambiguous)),
        (r#""id":1,"method":"x","result":{}"#, Err(Ambiguous)),
        (r#""id":1,"method":"x","error":null"#, Err(Ambiguous)),
        (r#""id":1,"result":{},"error":null"#, Err(Ambiguous)),
        (r#""id":1,"result":{},"params":{}"#, Err(BadEnvelope)),
        (r#""id":1,"method":"x","params":[]"#, Err(BadEnvelope)),
        (r#""id":1,"method":"x","params":null"#, Err(BadEnvelope)),
        (r#""id":1,"method":"x","params":"""#, Err(BadEnvelope)),
        (r#""id":1,"method":1"#, Err(BadEnvelope)),
        (r#""id":1,"method":null"#, Err(BadEnvelope)),
        (r#""id":1,"error":null"#, Err(BadEnvelope)),
        (r#""id":1,"error":"x""#, Err(BadEnvelope)),
        (r#""id":1,"error":{"code":"1","message":""}"#, Err(BadEnvelope)),
        (r#""id":1,"error":{"code":1.5,"message":""}"#, Err(BadEnvelope)),
        (r#""id":1,"error":{"code":1}"#, Err(BadEnvelope)),
        (r#""id":1,"error":{"message":""}"#, Err(BadEnvelope)),
        (r#""id":null,"method":"x""#, Err(BadId)),
        (r#""id":null,"result":{}"#, Err(BadId)),
        (r#""result":{}"#, Err(BadId)),
        (r#""id":true,"method":"x""#, Err(BadId)),
        (r#""id":[1],"method":"x""#, Err(BadId)),
        (r#""id":{},"error":{"code":1,"message":""}"#, Err(BadId)),
        (r#""id":1.0,"method":"x""#, Err(BadId)),
        (r#""id":1e3,"method":"x""#, Err(BadId)),
        (r#""id":9223372036854775807,"method":"x""#, Ok(Kind::Request)),
        (r#""id":9223372036854775808,"method":"x""#, Err(BadId)),
        (r#""id":-9223372036854775808,"method":"x""#, Ok(Kind::Request)),
        (r#""id":"","method":"x""#, Ok(Kind::Request)),
        (r#""id":1,"method":"x","Method":"y""#, Err(CaseVariant)),
        (r#""ID":1,"method":"x""#, Err(CaseVariant)),
        (r#""id":1,"\u004dethod":"x""#, Err(CaseVariant)),
        ("\"id\":1,\"method\":\"x\",\"param\u{17f}\":{}", Err(CaseVariant)),
        (r#""method":"x","re\u017fult":1"#, Err(CaseVariant)),
        (r#""method":"x","\u0131d":1"#, Err(CaseVariant)),
        (r#""id":1,"method":"x","params":{"Name":1}"#, Err(CaseVariant)),
        (r#""id":1,"method":"x","params":{"name":"a","NAME":"b"}"#, Err(CaseVariant)),
        (r#""id":1,"method":"x","params":{"ta\u017fkId":"b"}"#, Err(CaseVariant)),
        ("\"id\":1,\"method\":\"x\",\"params\":{\"tas\u{212a}Id\":1}", Err(CaseVariant)),
        (r#""id":1,"method":"x","params":{"arguments":{"Name":1,"name":2}}"#, Ok(Kind::Request)),
        (r#""id":1,"result":{"Tools":[]}"#, Err(CaseVariant)),
        (r#""id":1,"result":{"content":[],"i\u017fError":true}"#, Err(CaseVariant)),
        (r#""id":1,"result":{"tools":[{"name":"a"},{"name":"b","Name":"c"}]}"#, Err(CaseVariant)),
        (r#""id":1,"result":{"prompts":[{"Description":"b"}]}"#, Err(CaseVariant)),
        (
            r#""id":1,"result":{"tools":[{"name":"a","inputSchema":{"properties":{"Name":{},"name":{}}}}]}"#,
            Ok(Kind::Result),
        ),
        (r#""id":1,"result":{"structuredContent":{"Tools":1,"tools":2}}"#, Ok(Kind::Result)),
        (r#""id":1,"error":{"code":1,"Code":2,"message":""}"#, Err(CaseVariant)),
    ];
    for (members, expected) in cases {
        let text = format!(r#"{{"jsonrpc":"2.0",{members}}}"#);
        let read = Message::parse(text, &Limits::default());
        assert_eq!(read.map(|message| message.kind()).map_err(|rejection| rejection.fault), expected, "{members}");
    }
}

#[test]
fn what_a_message_is_about_is_a_text() {
    use Fault::{BadName, CaseVariant};
    let cases = [
        ("tools/call", r#""params":{"name":"a"}"#, None),
        ("tools/call", r#""params":{"name":""}"#, None),
        ("tools/call", r#""params":{"name":["a"]}"#, Some(BadName)),
        ("tools/call", r#""params":{"name":{"toString":"a"}}"#, Some(BadName)),
        ("tools/call", r#""params":{"name":1}"#, Some(BadName)),
        ("tools/call", r#""params":{"name":null}"#, Some(BadName)),
        ("tools/call", r#""params":{"arguments":{"name":"a"}}"#, None),
        ("tools/call", r#""x":1"#, None),
        ("prompts/get", r#""params":{"name":"a"}"#, None),
        ("prompts/get", r#""params":{"name":["a"]}"#, Some(BadName)),
        ("resources/read", r#""params":{"uri":"a:b"}"#, None),
        ("resources/read", r#""params":{"uri":["a:b"]}"#, Some(BadName)),
        ("resources/read", r#""params":{"name":"a:b"}"#, None),
        ("resources/subscribe", r#""params":{"uri":{}}"#, Some(BadName)),
        ("resources/unsubscribe", r#""params":{"uri":true}"#, Some(BadName)),
        ("notifications/resources/updated", r#""params":{"uri":["a:b"]}"#, Some(BadName)),
        (
            "completion/complete",
            r#""params":{"ref":{"type":"ref/prompt","name":"a"},"argument":{"name":"b","value":""}}"#,
            None,
        ),
        ("completion/complete", r#""params":{"ref":{"type":"ref/resource","uri":"a:{b}"}}"#, None),
        ("completion/complete", r#""params":{"ref":{"type":"ref/tool"}}"#, None),
        ("completion/complete", r#""params":{}"#, None),
        ("completion/complete", r#""params":{"ref":"a"}"#, Some(BadName)),
        ("completion/complete", r#""params":{"ref":{"name":"a"}}"#, Some(BadName)),
        ("completion/complete", r#""params":{"ref":{"type":["ref/prompt"],"name":"a"}}"#, Some(BadName)),
        ("completion/complete", r#""params":{"ref":{"type":"ref/prompt","uri":"a:b"}}"#, None),
        ("completion/complete", r#""params":{"ref":{"type":"ref/prompt","name":["a"]}}"#, Some(BadName)),
        ("completion/complete", r#""params":{"ref":{"type":"ref/prompt","name":"a","uri":["b"]}}"#, Some(BadName)),
        ("completion/complete", r#""params":{"ref":{"type":"ref/prompt","name":"a","Name":"b"}}"#, Some(CaseVariant)),
        ("completion/complete", r#""params":{"ref":{"type":"ref/prompt","Type":"c","name":"a"}}"#, Some(CaseVariant)),
        (
            "completion/complete",
            r#""params":{"ref":{"type":"ref/prompt","name":"a"},"argument":{"name":"b","Value":""}}"#,
            Some(CaseVariant),
        ),
        ("subscriptions/listen", r#""params":{}"#, None),
        ("subscriptions/listen", r#""params":{"notifications":{"resourceSubscriptions":["a:b"],"taskIds":[]}}"#, None),
        ("subscriptions/listen", r#""params":{"notifications":[]}"#, Some(BadName)),
        ("subscriptions/listen", r#""params":{"notifications":{"resourceSubscriptions":"a:b"}}"#, Some(BadName)),
        ("subscriptions/listen", r#""params":{"notifications":{"resourceSubscriptions":[["a:b"]]}}"#, Some(BadName)),
        ("subscriptions/listen", r#""params":{"notifications":{"taskIds":[1]}}"#, Some(BadName)),
        ("subscriptions/listen", r#""params":{"Notifications":{}}"#, Some(CaseVariant)),
        ("subscriptions/listen", r#""params":{"notifications":{"ResourceSubscriptions":["a:b"]}}"#, Some(CaseVariant)),
        // What the specification does not know names things as it likes.
        ("x/call", r#""params":{"name":["a"],"uri":1,"ref":[]}"#, None),
        ("initialize", r#""params":{"notifications":1}"#, None),
    ];
    for (method, rest, expected) in cases {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}",{rest}}}"#);
        let read = Message::parse(text, &Limits::default());
        assert_eq!(read.err().map(|rejection| rejection.fault), expected, "{method} {rest}");
    }
}

#[test]
fn ids_and_methods_are_decoded() {
    let message = Message::parse(r#"{"id":"a\u0062","jsonrpc":"2.0","method":"t\/x"}"#, &Limits::default()).unwrap();
    assert_eq!((message.id(), message.method()), (Some(&Id::from("ab")), Some("t/x")));
    let message = Message::parse(r#"{"id":-7,"jsonrpc":"2.0","result":[]}"#, &Limits::default()).unwrap();
    assert_eq!((message.id(), message.method(), message.params().is_none()), (Some(&Id::from(-7)), None, true));
}

#[test]
fn limits() {
    let nested =
        |depth: usize| format!(r#"{{"jsonrpc":"2.0","method":"x","e":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    let check = |text: &str, limits: Limits, expected: Option<Fault>| {
        let read = Message::parse(text.to_owned(), &limits);
        assert_eq!(read.err().map(|rejection| rejection.fault), expected, "{limits:?} {text:.80}");
    };
    let limits = Limits { depth: 10, ..Limits::default() };
    check(&nested(9), limits, None);
    check(&nested(10), limits, Some(Fault::TooDeep));
    check(&"[".repeat(100_000), limits, Some(Fault::TooDeep));
    check(&r#"{"a":"#.repeat(100_000), limits, Some(Fault::TooDeep));
    let boundless = Limits { depth: usize::MAX, ..Limits::default() };
    check(&nested(Limits::MAX_DEPTH - 1), boundless, None);
    check(&nested(Limits::MAX_DEPTH), boundless, Some(Fault::TooDeep));

    // The object, four keys and values, the array and its elements.
    let list = |count: usize| format!(r#"{{"jsonrpc":"2.0","method":"x","e":[0{}]}}"#, ",0".repeat(count - 1));
    let limits = Limits { nodes: 20, ..Limits::default() };
    check(&list(13), limits, None);
    check(&list(14), limits, Some(Fault::TooMany));

    let text = list(10);
    check(&text, Limits { bytes: text.len(), ..Limits::default() }, None);
    check(&text, Limits { bytes: text.len() - 1, ..Limits::default() }, Some(Fault::TooLarge));

    let named = |id: &str, method: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}"}}"#);
    let limits = Limits { name_bytes: 12, ..Limits::default() };
    check(&named("\"0123456789ab\"", "0123456789ab"), limits, None);
    check(&named("\"0123456789abc\"", "x"), limits, Some(Fault::LongName));
    check(&named("1", "0123456789abc"), limits, Some(Fault::LongName));
    check(&named("1", r"\u0030123456789ab"), limits, None);
}

#[test]
fn what_is_kept_of_a_message_is_short() {
    let check = |text: &str, expected: Option<Fault>| {
        let read = Message::parse(text.to_owned(), &Limits::default());
        assert_eq!(read.err().map(|rejection| rejection.fault), expected, "{text:.80}");
    };
    let params = |params: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{params}}}"#);
    let result = |result: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#);
    let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes));
    type Shape = fn(&str) -> String;
    let names: [Shape; 7] = [
        |name| format!(r#"{{"name":{name}}}"#),
        |name| format!(r#"{{"taskId":{name}}}"#),
        |name| format!(r#"{{"requestId":{name}}}"#),
        |name| format!(r#"{{"progressToken":{name}}}"#),
        |name| format!(r#"{{"_meta":{{"progressToken":{name}}}}}"#),
        |name| format!(r#"{{"ref":{{"type":"ref/prompt","name":{name}}}}}"#),
        |name| format!(r#"{{"notifications":{{"taskIds":["t",{name}]}}}}"#),
    ];
    let uris: [Shape; 3] = [
        |uri| format!(r#"{{"uri":{uri}}}"#),
        |uri| format!(r#"{{"ref":{{"type":"ref/resource","uri":{uri}}}}}"#),
        |uri| format!(r#"{{"notifications":{{"resourceSubscriptions":[{uri}]}}}}"#),
    ];
    let bounds = names.map(|shape| (shape, Limits::NAME_BYTES)).into_iter();
    for (shape, most) in bounds.chain(uris.map(|shape| (shape, Limits::URI_BYTES))) {
        check(&params(&shape(&text(most))), None);
        check(&params(&shape(&text(most + 1))), Some(Fault::LongName));
    }
    // No token that the protocol knows, but kept like one.
    check(&params(&format!(r#"{{"_meta":{{"progressToken":[{}]}}}}"#, text(1024))), Some(Fault::LongName));
    for shape in [r#"{"taskId":NAME}"#, r#"{"task":{"taskId":NAME}}"#] {
        check(&result(&shape.replace("NAME", &text(1024))), None);
        check(&result(&shape.replace("NAME", &text(1025))), Some(Fault::LongName));
    }
    // Content has no such bound, whatever its members are called.
    let long = text(2 << 20);
    for content in [
        format!(r#"{{"contents":[{{"uri":{long},"text":{long}}}]}}"#),
        format!(r#"{{"content":[{{"type":"resource_link","uri":{long},"name":{long}}}]}}"#),
        format!(r#"{{"structuredContent":{{"name":{long},"taskId":{long}}},"nextCursor":{long}}}"#),
    ] {
        check(&result(&content), None);
    }
    check(&params(&format!(r#"{{"name":"t","arguments":{{"name":{long},"uri":{long}}},"cursor":{long}}}"#)), None);
}

#[test]
fn a_rejection_says_where() {
    let cases = [
        (r#"{"jsonrpc":"2.0","a":1,"b":2,"a":3}"#, 29),
        (r#"{"jsonrpc":"2.0","a":tru}"#, 21),
        (r#"{"jsonrpc":"2.0","id":1.0,"method":"x"}"#, 22),
        (r#"{"jsonrpc":"2.0","Id":1}"#, 17),
        (r#"{"jsonrpc":"2.0","a":"x\ud800"}"#, 23),
    ];
    for (text, offset) in cases {
        let rejection = Message::parse(text, &Limits::default()).unwrap_err();
        assert_eq!(rejection.offset, offset, "{text}: {rejection}");
    }
}

/// What the scanner refuses although it is JSON, and `serde_json` does not look at.
fn ours(fault: Fault) -> bool {
    matches!(fault, Fault::DuplicateKey | Fault::CaseVariant | Fault::TooDeep)
}

/// Whether `serde_json` takes it for JSON. It refuses numbers that no `f64` can hold; we keep their text.
fn is_json(text: &str) -> bool {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(_) => true,
        // It stops at such a number; without reading numbers it goes on to the end.
        Err(error) => {
            error.to_string().starts_with("number out of range")
                && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
        }
    }
}

/// Text that is JSON, or nearly.
fn nearly_json() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        6 => prop_oneof![Just("["), Just("]"), Just("{"), Just("}"), Just(","), Just(":")].prop_map(str::to_owned),
        2 => "\"[a-c]?\"|true|false|null|0|-1|1\\.5|2e1|[ \t\r\n]",
        1 => "\"(\\\\[\"\\\\/bfnrtux]|\\\\u[0-9a-fA-F]{4}|\\\\ud83d\\\\ude00|[ -~é])*\"",
        1 => "[-+0-9.eE]{1,6}|\\PC|\"\\PC{0,3}\"",
    ];
    let valid = || (common::json(), common::style()).prop_map(|(json, mut style)| json.write(&mut style));
    let broken = (valid(), any::<prop::sample::Index>(), any::<char>(), 0..3_u8).prop_map(|(text, at, new, how)| {
        let mut characters: Vec<char> = text.chars().collect();
        let at = at.index(characters.len());
        match how {
            0 => drop(characters.remove(at)),
            1 => characters.insert(at, new),
            _ => characters[at] = new,
        }
        characters.into_iter().collect()
    });
    prop_oneof![
        proptest::collection::vec(token, 0..12).prop_map(|tokens| tokens.concat()),
        broken,
        valid(),
        any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn what_is_json_is_what_serde_json_says(text in nearly_json()) {
        let message = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","e":{text}}}"#);
        match fault(&message) {
            // A text that closes the object early is not one value.
            None => prop_assert!(is_json(&message), "accepted {text:?}"),
            Some(fault) if ours(fault) => {}
            Some(fault) => prop_assert!(!is_json(&message) || fault != Fault::Syntax && fault != Fault::LoneSurrogate, "{fault:?} {text:?}"),
        }
    }

    #[test]
    fn whole_texts_that_are_json_are_what_serde_json_says(text in nearly_json()) {
        let refused = matches!(fault(&text), Some(Fault::Syntax | Fault::LoneSurrogate | Fault::Utf8));
        let known = matches!(fault(&text), Some(fault) if ours(fault));
        prop_assert!(known || refused != is_json(&text), "{text:?}");
    }

    #[test]
    fn bytes_of_any_kind_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        prop_assert_eq!(fault(&bytes).is_none(), false);
    }

    #[test]
    fn texts_and_keys_are_what_serde_json_decodes(json in common::json(), mut style in common::style()) {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"e":{}}}}}"#, json.write(&mut style));
        let message = Message::parse(text.clone(), &Limits::default()).unwrap();
        let mut decoded = 0;
        for value in message.root().subtree().filter(|value| matches!(value.kind(), NodeKind::String | NodeKind::Key)) {
            prop_assert_eq!(serde_json::from_str::<String>(value.raw()).unwrap(), value.text());
            prop_assert!(value.is_text(&value.text()));
            decoded += 1;
        }
        prop_assert!(decoded >= 5);
        // Numbers may be out of its range.
        if let Ok(model) = serde_json::from_str::<serde_json::Value>(&text) {
            assert_same(message.root(), &model);
        }
    }

    #[test]
    fn pointers_lead_back(json in common::json(), mut style in common::style()) {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{}}}"#, json.write(&mut style));
        let message = Message::parse(text.clone(), &Limits::default()).unwrap();
        let Ok(model) = serde_json::from_str::<serde_json::Value>(&text) else { return Ok(()) };
        for value in message.root().subtree().filter(|value| value.kind() != NodeKind::Key) {
            let pointer = message.document().pointer(value.id());
            assert_same(value, model.pointer(&pointer).unwrap());
        }
    }
}

fn assert_same(value: bartizan_mcp::Value<'_>, model: &serde_json::Value) {
    use serde_json::Value as Json;
    match model {
        Json::Null => assert_eq!(value.kind(), NodeKind::Null),
        Json::Bool(yes) => assert_eq!(value.kind(), if *yes { NodeKind::True } else { NodeKind::False }),
        Json::Number(number) => {
            assert_eq!(value.kind(), NodeKind::Number);
            assert_eq!(serde_json::from_str::<serde_json::Number>(value.raw()).unwrap(), *number);
        }
        Json::String(text) => assert_eq!(value.as_str().as_deref(), Some(&**text)),
        Json::Array(elements) => {
            assert_eq!(value.elements().count(), elements.len());
            value.elements().zip(elements).for_each(|(value, model)| assert_same(value, model));
        }
        Json::Object(members) => {
            assert_eq!(value.members().count(), members.len());
            for (key, model) in members {
                assert_same(value.get(key).unwrap(), model);
            }
        }
    }
}
