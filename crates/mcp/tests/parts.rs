//! Every text of a message is a part exactly once, and plays the role that its place gives it.

#![cfg(test)]

mod common;

use bartizan_mcp::{Limits, Message, NodeKind, PartKind};
use proptest::prelude::*;

fn parse(text: &str) -> Message {
    Message::parse(text.to_owned(), &Limits::default()).unwrap()
}

/// The role of the text at each pointer; keys are written with a `#` in front.
#[track_caller]
fn check(text: &str, expected: &[(&str, PartKind)]) {
    let message = parse(text);
    for (pointer, kind) in expected {
        let (is_key, pointer) = pointer.strip_prefix('#').map_or((false, *pointer), |pointer| (true, pointer));
        let found = message
            .parts()
            .find(|part| part.is_key() == is_key && message.document().pointer(part.id()) == pointer)
            .unwrap_or_else(|| panic!("no part at {pointer} of {text}"));
        assert_eq!(found.kind, *kind, "{pointer} of {text}");
    }
}

#[test]
fn requests_of_clients() {
    use PartKind::{Argument, Metadata, Other};
    check(
        r#"{"jsonrpc":"2.0","id":"i","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"experimental":{"x":"y"}},"clientInfo":{"name":"c","version":"1"}}}"#,
        &[("/id", Other), ("/method", Other), ("/params/protocolVersion", Other), ("/params/clientInfo/name", Other)],
    );
    check(
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"q":{"deep":["x"]}},"task":{"ttl":1},"unknown":"u","_meta":{"progressToken":"p","k":"v"}}}"#,
        &[
            ("/params/name", Other),
            ("/params/arguments/q/deep/0", Argument),
            ("#/params/arguments/q/deep", Argument),
            ("#/params/arguments", Argument),
            ("#/params/task/ttl", Other),
            ("/params/unknown", Other),
            ("/params/_meta/progressToken", Metadata),
            ("#/params/_meta/k", Metadata),
        ],
    );
    check(
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","requestState":"s","inputResponses":{"a":{"action":"accept","content":{"x":"y"}}},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#,
        &[
            ("/params/requestState", Other),
            ("/params/inputResponses/a/content/x", Argument),
            ("/params/_meta/io.modelcontextprotocol~1protocolVersion", Metadata),
        ],
    );
    check(
        r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"p","arguments":{"a":"b"}}}"#,
        &[("/params/name", Other), ("/params/arguments/a", Argument)],
    );
    check(
        r#"{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a","value":"v"},"context":{"arguments":{"b":"c"}}}}"#,
        &[("/params/ref/name", Other), ("/params/argument/value", Argument), ("/params/context/arguments/b", Argument)],
    );
    check(
        r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///x"}}"#,
        &[("/params/uri", Other)],
    );
    check(
        r#"{"jsonrpc":"2.0","id":1,"method":"vendor/own","params":{"arguments":{"a":"b"},"x":"y"},"extra":"e"}"#,
        &[("/params/arguments/a", Argument), ("/params/x", Other), ("/extra", Other), ("#/extra", Other)],
    );
}

#[test]
fn requests_of_servers() {
    use PartKind::{Elicitation, Metadata, Sampling, ToolDefinition};
    check(
        r#"{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{"messages":[{"role":"user","content":{"type":"text","text":"t"}}],"systemPrompt":"s","tools":[{"name":"n","description":"d","inputSchema":{"properties":{"p":{}}}}],"toolChoice":{"mode":"auto"},"_meta":{"a":"b"}}}"#,
        &[
            ("/params/messages/0/content/text", Sampling),
            ("/params/systemPrompt", Sampling),
            ("#/params/tools", Sampling),
            ("/params/tools/0/name", ToolDefinition),
            ("/params/tools/0/description", ToolDefinition),
            ("#/params/tools/0/inputSchema/properties/p", ToolDefinition),
            ("/params/toolChoice/mode", Sampling),
            ("/params/_meta/a", Metadata),
        ],
    );
    check(
        r#"{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{"messages":[{"tools":["t"]}],"tools":"x"}}"#,
        &[("/params/messages/0/tools/0", Sampling), ("/params/tools", ToolDefinition)],
    );
    check(
        r#"{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{"tools":[{"description":"d"}]}}"#,
        &[("/params/tools/0/description", Elicitation)],
    );
    check(
        r#"{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{"message":"m","requestedSchema":{"properties":{"p":{"type":"string","title":"t"}}}}}"#,
        &[
            ("/params/message", Elicitation),
            ("#/params/requestedSchema/properties/p", Elicitation),
            ("/params/requestedSchema/properties/p/title", Elicitation),
        ],
    );
    check(
        r#"{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{"mode":"url","url":"https://x","elicitationId":"e","message":"m"}}"#,
        &[("/params/url", Elicitation)],
    );
}

#[test]
fn notifications() {
    use PartKind::{Metadata, Notification};
    for (method, params, pointer) in [
        ("notifications/message", r#"{"level":"info","logger":"l","data":{"a":["b"]}}"#, "/params/data/a/0"),
        ("notifications/progress", r#"{"progressToken":1,"progress":0.5,"message":"m"}"#, "/params/message"),
        ("notifications/cancelled", r#"{"requestId":"1","reason":"r"}"#, "/params/reason"),
        ("notifications/resources/updated", r#"{"uri":"u"}"#, "/params/uri"),
        ("notifications/tasks/status", r#"{"taskId":"t","statusMessage":"s"}"#, "/params/statusMessage"),
        ("notifications/vendor", r#"{"arguments":"x"}"#, "/params/arguments"),
    ] {
        check(&format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#), &[(pointer, Notification)]);
    }
    check(
        r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"s"}}}"#,
        &[("/params/_meta/io.modelcontextprotocol~1subscriptionId", Metadata)],
    );
}

#[track_caller]
fn result(result: &str, expected: &[(&str, PartKind)]) {
    check(&format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#), expected);
}

#[test]
fn results_that_define() {
    use PartKind::*;
    result(
        r#"{"protocolVersion":"2025-06-18","serverInfo":{"name":"s"},"instructions":"i","capabilities":{"x":"y"},"_meta":{"a":"b"}}"#,
        &[
            ("/result/serverInfo/name", Instructions),
            ("/result/instructions", Instructions),
            ("/result/capabilities/x", Other),
            ("/result/_meta/a", Metadata),
        ],
    );
    result(
        r#"{"tools":[{"name":"n","description":"d","inputSchema":{"properties":{"p":{"enum":["e"]}}},"_meta":{"a":"b"}}],"nextCursor":"c","ttlMs":1}"#,
        &[
            ("#/result/tools", Other),
            ("/result/tools/0/description", ToolDefinition),
            ("#/result/tools/0/inputSchema/properties/p", ToolDefinition),
            ("/result/tools/0/inputSchema/properties/p/enum/0", ToolDefinition),
            ("/result/tools/0/_meta/a", ToolDefinition),
            ("/result/nextCursor", Other),
        ],
    );
    result(
        r#"{"prompts":[{"name":"n","arguments":[{"name":"a"}]}]}"#,
        &[("/result/prompts/0/arguments/0/name", PromptDefinition)],
    );
    result(r#"{"resources":[{"uri":"u"}]}"#, &[("/result/resources/0/uri", ResourceDefinition)]);
    result(
        r#"{"resourceTemplates":[{"uriTemplate":"u"}]}"#,
        &[("/result/resourceTemplates/0/uriTemplate", ResourceDefinition)],
    );
    result(r#"{"tools":"not a list"}"#, &[("/result/tools", ToolDefinition)]);
}

#[test]
fn results_with_content() {
    use PartKind::*;
    result(
        r#"{"content":[{"type":"text","text":"t","annotations":{"x":"y"}},{"type":"resource","resource":{"uri":"u","text":"r"}}],"structuredContent":{"a":{"b":"c"}},"isError":false,"resultType":"complete"}"#,
        &[
            ("/result/content/0/text", Content),
            ("/result/content/0/annotations/x", Content),
            ("/result/content/1/resource/text", Content),
            ("/result/structuredContent/a/b", StructuredContent),
            ("#/result/structuredContent/a", StructuredContent),
            ("/result/resultType", Other),
        ],
    );
    result(r#"{"contents":[{"uri":"u","text":"t"}]}"#, &[("/result/contents/0/text", Content)]);
    result(
        r#"{"description":"d","messages":[{"role":"user","content":{"type":"text","text":"t"}}]}"#,
        &[("/result/description", Content), ("/result/messages/0/content/text", Content)],
    );
    result(r#"{"completion":{"values":["v"]}}"#, &[("/result/completion/values/0", Content)]);
    result(
        r#"{"resultType":"input_required","inputRequests":{"a":{"method":"elicitation/create","params":{"message":"m"}},"b":{"method":"sampling/createMessage","params":{"systemPrompt":"s","tools":[{"description":"d"}]},"tools":["t"]},"c":{"method":"new/kind","params":{"x":"y","tools":["t"]}}},"requestState":"r"}"#,
        &[
            ("/result/inputRequests/a/params/message", Elicitation),
            ("#/result/inputRequests/a", Elicitation),
            ("#/result/inputRequests/b", Sampling),
            ("/result/inputRequests/b/method", Sampling),
            ("/result/inputRequests/b/params/systemPrompt", Sampling),
            ("#/result/inputRequests/b/params/tools", Sampling),
            ("/result/inputRequests/b/params/tools/0/description", ToolDefinition),
            ("/result/inputRequests/b/tools/0", Sampling),
            ("/result/inputRequests/c/params/tools/0", Elicitation),
            ("/result/inputRequests/c/params/x", Elicitation),
            ("/result/requestState", Other),
        ],
    );
    result(
        r#"{"taskId":"t","status":"completed","result":{"content":[{"type":"text","text":"x"}],"result":{"content":"y"}}}"#,
        &[
            ("/result/status", Other),
            ("/result/result/content/0/text", Content),
            ("/result/result/result/content", Other),
        ],
    );
    result(
        r#"{"role":"assistant","model":"m","content":{"type":"text","text":"t"}}"#,
        &[("/result/content/text", Content)],
    );
    result(r#"{"unknown":{"a":"b"}}"#, &[("/result/unknown/a", Other)]);
    result(r#""bare""#, &[("/result", Content)]);
}

#[test]
fn errors() {
    use PartKind::Error;
    check(
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32042,"message":"m","data":{"elicitations":[{"url":"https://x"}]}}}"#,
        &[("/error/message", Error), ("/error/data/elicitations/0/url", Error), ("#/error/data", Error)],
    );
}

#[test]
fn parts_of_a_list_know_their_element() {
    let message =
        parse(r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"},{"name":"b","x":["y"]}],"nextCursor":"c"}}"#);
    let elements: Vec<_> = message
        .parts()
        .map(|part| (part.text().into_owned(), part.element.map(|element| message.document().pointer(element))))
        .filter(|(text, _)| ["a", "b", "y", "tools", "c"].contains(&&**text))
        .collect();
    let (first, second) = (Some("/result/tools/0".to_owned()), Some("/result/tools/1".to_owned()));
    let expected = [("tools", None), ("a", first), ("b", second.clone()), ("y", second), ("c", None)];
    assert_eq!(elements, expected.map(|(text, element)| (text.to_owned(), element)));
}

#[test]
fn tools_handed_to_a_model_are_elements_of_no_list() {
    for text in [
        r#"{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{"tools":[{"name":"a"}]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"inputRequests":{"q":{"method":"sampling/createMessage","params":{"tools":[{"name":"a"}]}}}}}"#,
    ] {
        let message = parse(text);
        let tool: Vec<_> = message.parts().filter(|part| part.kind == PartKind::ToolDefinition).collect();
        assert!(tool.len() == 2 && tool.iter().all(|part| part.element.is_none()), "{text}");
    }
}

#[test]
fn names_of_kinds_are_distinct() {
    let mut names: Vec<_> = PartKind::ALL.iter().map(|kind| kind.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), PartKind::ALL.len());
}

/// Messages of each form with random JSON in every member, protocol keys mixed in.
fn message() -> impl Strategy<Value = String> {
    let methods = prop::sample::select(vec![
        "tools/call",
        "sampling/createMessage",
        "elicitation/create",
        "notifications/message",
        "vendor/own",
    ]);
    let keys = prop::sample::select(vec![
        "_meta",
        "arguments",
        "tools",
        "prompts",
        "resources",
        "inputRequests",
        "content",
        "result",
        "label",
        "other",
    ]);
    let body = (proptest::collection::hash_map(keys, common::json(), 0..5), common::style()).prop_map(
        |(members, mut style)| {
            let members: Vec<_> =
                members.iter().map(|(key, value)| format!("\"{key}\":{}", value.write(&mut style))).collect();
            format!("{{{}}}", members.join(","))
        },
    );
    (0..3, methods, body, common::json(), common::style()).prop_map(|(form, method, body, extra, mut style)| {
        let extra = extra.write(&mut style);
        match form {
            0 => format!(r#"{{"extra":{extra},"jsonrpc":"2.0","params":{body},"method":"{method}","id":"i"}}"#),
            1 => format!(r#"{{"jsonrpc":"2.0","id":1,"result":{body},"extra":{extra}}}"#),
            _ => format!(r#"{{"jsonrpc":"2.0","error":{{"code":1,"message":"m","data":{body}}},"extra":{extra}}}"#),
        }
    })
}

proptest! {
    #[test]
    fn every_text_is_a_part_exactly_once_and_in_order(text in message()) {
        let message = parse(&text);
        let root = message.root();
        let envelope = ["jsonrpc", "id", "method", "params", "result", "error"];
        let mut expected = Vec::new();
        for (key, value) in root.members() {
            let is_envelope = envelope.iter().any(|name| key.is_text(name));
            let key = (!is_envelope).then_some(key);
            let below = value.subtree().filter(|_| value.id() != root.get("jsonrpc").unwrap().id());
            let texts = key.into_iter().chain(below);
            expected.extend(texts.filter(|v| matches!(v.kind(), NodeKind::String | NodeKind::Key)).map(|v| v.id()));
        }
        let found: Vec<_> = message.parts().map(|part| part.id()).collect();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn a_pointer_is_cut_where_it_gets_too_long() {
    let long = "é~".repeat(1_000_000);
    let text = format!(r#"{{"jsonrpc":"2.0","method":"x","params":{{"a":{{"{long}":{{"b":[1,2]}}}}}}}}"#);
    let message = Message::parse(text, &Limits::default()).unwrap();
    let deep = message.params().unwrap().get("a").unwrap().get(&long).unwrap().get("b").unwrap();
    let whole = message.document().pointer(deep.id());
    assert!(whole.ends_with("~0/b") && whole.len() == "/params/a//b".len() + long.len() + 1_000_000);
    for most in [0, 9, 10, 11, 12, 13, 14, 15, 100] {
        let cut = message.document().pointer_within(deep.id(), most);
        let head = cut.strip_suffix('…').unwrap();
        assert!(whole.starts_with(head) && head.len() <= most && head.len() + 1 >= most, "{most}: {cut}");
    }
    assert_eq!(message.document().pointer_within(deep.id(), whole.len()), whole);
}

#[test]
fn many_pointers_are_found_at_once() {
    let text = r#"{"jsonrpc":"2.0","method":"x","params":{"a":[[1,{"b":"c"}],2,[]],"d/e":{"f~":[3]},"":{"":0}}}"#;
    let message = Message::parse(text, &Limits::default()).unwrap();
    let document = message.document();
    let mut all: Vec<_> = document.root().subtree().map(|value| value.id()).collect();
    all.reverse();
    for most in [usize::MAX, 9, 3, 0] {
        let one_by_one: Vec<_> = all.iter().map(|id| document.pointer_within(*id, most)).collect();
        assert_eq!(document.pointers_within(&all, most), one_by_one);
    }
    let of = |path: &[&str]| document.root().at(path).unwrap().id();
    let places = [of(&["params", "d/e", "f~"]), of(&["params", "", ""]), document.root().id()];
    assert_eq!(document.pointers_within(&places, 99), ["/params/d~1e/f~0", "/params//", ""]);
}
