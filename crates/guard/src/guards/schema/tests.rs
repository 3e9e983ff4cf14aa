use std::sync::Arc;

use bartizan_mcp::{Limits, Message};
use serde_json::{Value, json};

use super::*;
use crate::{CallSummary, Principal, ServerProfile, Timestamp};

fn message(value: &Value) -> Message {
    let limits = Limits { depth: Limits::MAX_DEPTH, ..Limits::default() };
    Message::parse(value.to_string(), &limits).unwrap()
}

fn session(tools: &Value) -> Session {
    let list = message(&json!({"jsonrpc": "2.0", "id": 1, "result": {"tools": tools}}));
    let listing = DefinitionKind::lists_of(&list).next().unwrap();
    let listed = listing.list.elements().filter_map(|tool| Definition::read(listing.kind, tool)).map(Arc::new).collect();
    Session::default().with(&[crate::Fact::Listed(listed)])
}

/// What `judge` makes of the message as an event between one principal and one server.
fn with_event<T>(
    message: &Message,
    direction: Direction,
    answers: Option<&CallSummary>,
    judge: impl FnOnce(&Event<'_>) -> T,
) -> T {
    let server = ServerProfile { name: "s".into(), pins: Arc::default(), elsewhere: Arc::new([]) };
    let principal = Principal::new("p");
    judge(&Event {
        message,
        direction,
        answers,
        principal: &principal,
        server: &server,
        evidence: &[],
        grant: None,
        now: Timestamp(0),
    })
}

fn inspect(message: &Message, direction: Direction, answers: Option<&CallSummary>, session: &Session) -> Report {
    let mut report = Report::default();
    with_event(message, direction, answers, |event| SchemaGuard::default().inspect(event, session, &mut report));
    report
}

fn rules(report: &Report) -> Vec<&'static str> {
    report.findings().map(|finding| finding.rule.id).collect()
}

/// What a call with these arguments runs into.
fn call(schema: &Value, arguments: &Value) -> Report {
    let session = session(&json!([{"name": "t", "inputSchema": schema}]));
    let params = json!({"name": "t", "arguments": arguments});
    let call = message(&json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params}));
    inspect(&call, Direction::ToServer, None, &session)
}

fn list(tools: &Value) -> Report {
    let list = message(&json!({"jsonrpc": "2.0", "id": 1, "result": {"tools": tools}}));
    inspect(&list, Direction::ToClient, None, &Session::default())
}

fn reply(schema: &Value, result: &Value) -> Report {
    let session = session(&json!([{"name": "t", "inputSchema": {"type": "object"}, "outputSchema": schema}]));
    let reply = message(&json!({"jsonrpc": "2.0", "id": 2, "result": result}));
    let answers =
        CallSummary::of(&message(&json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "t"}}))).unwrap();
    inspect(&reply, Direction::ToClient, Some(&answers), &session)
}

#[test]
fn arguments() {
    let typed = json!({"type": "object", "properties": {"path": {"type": "string", "maxLength": 8},
        "mode": {"enum": ["r", "w"]}}, "required": ["path"], "additionalProperties": false});
    let tree = json!({"$defs": {"t": {"type": "object", "properties": {"v": {"type": "integer"},
        "kids": {"type": "array", "items": {"$ref": "#/$defs/t"}}}, "required": ["v"]}}, "$ref": "#/$defs/t"});
    let draft7 = json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object",
        "properties": {"pair": {"items": [{"type": "string"}, {"type": "integer"}], "additionalItems": false}}});
    for (schema, arguments, expected) in [
        (&typed, json!({"path": "a"}), vec![]),
        (&typed, json!({"path": "a", "mode": "r"}), vec![]),
        (&typed, json!({}), vec!["/params/arguments: lacks the required `path`"]),
        (&typed, json!({"path": 1}), vec!["/params/arguments/path: not of type string"]),
        (&typed, json!({"path": "too long for it"}), vec!["/params/arguments/path: violates `maxLength`"]),
        (&typed, json!({"path": "a", "mode": "x"}), vec!["/params/arguments/mode: violates `enum`"]),
        (&typed, json!({"path": "a", "sidenote": "s"}), vec!["/params/arguments: has `sidenote`, which `additional"]),
        (&tree, json!({"v": 1, "kids": [{"v": 2, "kids": []}]}), vec![]),
        (&tree, json!({"v": 1, "kids": [{"v": 2}, {"v": "3"}]}), vec!["/params/arguments/kids/1/v: not of type integer"]),
        (&draft7, json!({"pair": ["a", 1]}), vec![]),
        (&draft7, json!({"pair": ["a", 1, 2]}), vec!["/params/arguments/pair: violates `additionalItems`"]),
    ] {
        let session = session(&json!([{"name": "t", "inputSchema": schema}]));
        let params = json!({"name": "t", "arguments": arguments});
        let call = message(&json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params}));
        let report = inspect(&call, Direction::ToServer, None, &session);
        assert_eq!(report.findings().count(), expected.len(), "{arguments} {report:?}");
        for (finding, expected) in report.findings().zip(expected) {
            let (place, why) = expected.split_once(": ").unwrap();
            assert_eq!(call.document().pointer(finding.at), place);
            assert!(finding.why.contains(why), "{}", finding.why);
            assert_eq!(finding.rule.id, "schema.arguments");
        }
    }
}

#[test]
fn null_stands_for_an_argument_that_is_left_out() {
    let schema = json!({"type": "object", "properties": {"path": {"type": "string"}, "mode": {"enum": ["r", "w"]},
        "deep": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
        "any": {"type": ["string", "null"]}}, "required": ["path"], "additionalProperties": false});
    for (arguments, expected) in [
        (json!({"path": "a", "mode": null}), vec!["schema.null_argument"]),
        (json!({"path": "a", "deep": null, "mode": null}), vec!["schema.null_argument"]),
        (json!({"path": "a", "any": null}), vec![]),
        (json!({"path": null}), vec!["schema.arguments"]),
        (json!({"path": "a", "deep": {"n": null}}), vec!["schema.arguments"]),
        (json!({"path": "a", "mode": null, "deep": 1}), vec!["schema.arguments"]),
        (json!({"path": "a", "extra": null}), vec!["schema.arguments"]),
    ] {
        assert_eq!(rules(&call(&schema, &arguments)), expected, "{arguments}");
    }
}

#[test]
fn the_reason_never_holds_a_value() {
    let secret = "hunter2-hunter2";
    for schema in [
        json!({"properties": {"a": {"type": "integer"}}}),
        json!({"properties": {"a": {"enum": ["x"]}}}),
        json!({"properties": {"a": {"const": "x"}}}),
        json!({"properties": {"a": {"pattern": "^x$"}}}),
        json!({"properties": {"a": {"maxLength": 2}}}),
        json!({"properties": {"a": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}}),
        json!({"properties": {"a": {"oneOf": [{"type": "string"}, {"minLength": 1}]}}}),
        json!({"properties": {"a": {"not": {"type": "string"}}}}),
        json!({"properties": {"a": false}}),
    ] {
        let report = call(&schema, &json!({"a": secret}));
        assert_eq!(rules(&report), ["schema.arguments"], "{schema}");
        assert!(report.findings().all(|finding| !finding.why.contains("hunter")), "{report:?}");
    }
}

#[test]
fn replies() {
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]});
    for (result, expected) in [
        (json!({"content": [], "structuredContent": {"n": 1}}), vec![]),
        (json!({"content": [], "structuredContent": {"n": "1"}}), vec!["schema.output"]),
        (json!({"content": [], "structuredContent": [1]}), vec!["schema.output"]),
        (json!({"content": []}), vec!["schema.missing_output"]),
        (json!({"content": [], "isError": true}), vec![]),
        (json!({"content": [], "isError": true, "structuredContent": {"n": "1"}}), vec![]),
        (json!({"content": [], "isError": false, "structuredContent": {"n": "1"}}), vec!["schema.output"]),
        (json!({"resultType": "input_required", "inputRequests": {}}), vec![]),
        (json!({"resultType": "complete", "content": []}), vec!["schema.missing_output"]),
        (json!({"task": {"taskId": "1", "status": "working"}}), vec![]),
    ] {
        assert_eq!(rules(&reply(&schema, &result)), expected, "{result}");
    }
}

#[test]
fn definitions() {
    let many: Vec<_> = (0..5000).map(|_| json!({"type": "string"})).collect();
    for (tool, expected) in [
        (json!({"name": "a/b.c-d_1", "inputSchema": {"type": "object"}}), vec![]),
        (json!({"name": "a b", "inputSchema": {"type": "object"}}), vec!["schema.tool_name"]),
        (json!({"name": "a".repeat(129), "inputSchema": {}}), vec!["schema.tool_name"]),
        (json!({"name": "a"}), vec!["schema.invalid_definition"]),
        (json!({"name": "a", "inputSchema": {"type": 1}}), vec!["schema.invalid_definition"]),
        (json!({"name": "a", "inputSchema": true}), vec!["schema.invalid_definition"]),
        (json!({"name": "a", "inputSchema": {"$ref": "#"}}), vec!["schema.invalid_definition"]),
        (json!({"name": "a", "inputSchema": {"$ref": "http://127.0.0.1/x"}}), vec!["schema.external_ref"]),
        (json!({"name": "a", "inputSchema": {}, "outputSchema": {"$ref": "x.json"}}), vec!["schema.external_ref"]),
        (json!({"name": "a", "inputSchema": {"anyOf": many}}), vec!["schema.too_complex"]),
        (json!({"name": "a", "inputSchema": {"$schema": "https://example.com/dialect"}}), vec!["schema.unsupported"]),
        (json!({"name": "a", "inputSchema": {"not": {"$id": "https://example.com/"}}}), vec!["schema.unsupported"]),
    ] {
        let report = list(&json!([{"name": "ok", "inputSchema": {"type": "object"}}, tool]));
        assert_eq!(rules(&report), expected, "{tool:.200}");
        for finding in report.findings() {
            assert!(finding.element.is_some() && finding.subject.as_deref() == tool["name"].as_str());
        }
    }
}

#[test]
fn calls_of_tools_without_a_usable_schema() {
    for (schema, expected) in [
        (json!({"$ref": "https://example.com/x"}), vec!["schema.external_ref"]),
        (json!({"type": 1}), vec!["schema.unverified"]),
        (json!({"$schema": "https://example.com/dialect"}), vec!["schema.unverified"]),
    ] {
        assert_eq!(rules(&call(&schema, &json!({}))), expected, "{schema}");
    }
    let call = message(&json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "t"}}));
    for (tools, expected) in [
        (json!([]), vec!["schema.unlisted"]),
        (json!([{"name": "T", "inputSchema": {}}]), vec!["schema.unknown_tool"]),
        (json!([{"name": "t", "inputSchema": {"type": "object"}}]), vec![]),
        (json!([{"name": "t", "inputSchema": {"type": "object", "required": ["a"]}}]), vec!["schema.arguments"]),
    ] {
        assert_eq!(rules(&inspect(&call, Direction::ToServer, None, &session(&tools))), expected, "{tools}");
    }
}

#[test]
fn patterns_beyond_the_linear_engine() {
    let look = "^(?!\\.)(?!.*\\.\\.)[a-z.]+@[a-z.]+$";
    for (schema, arguments, expected) in [
        (json!({"properties": {"a": {"pattern": "^[a-z]{1,8}$"}}}), json!({"a": "1"}), vec!["schema.arguments"]),
        (json!({"properties": {"a": {"pattern": look, "maxLength": 9}}}), json!({"a": ".x"}), vec!["schema.unverified"]),
        (
            json!({"properties": {"a": {"pattern": look, "maxLength": 9}}}),
            json!({"a": "longer than nine"}),
            vec!["schema.unverified", "schema.arguments"],
        ),
        (json!({"properties": {"a": {"not": {"pattern": look}}}}), json!({"a": 1}), vec!["schema.unverified"]),
        (json!({"patternProperties": {"(?<=a)b": {}}}), json!({"a": 1}), vec!["schema.unverified"]),
        (json!({"properties": {"a": {"pattern": "(a{1000}){1000}"}}}), json!({"a": "b"}), vec!["schema.unverified"]),
    ] {
        assert_eq!(rules(&call(&schema, &arguments)), expected, "{schema} {arguments}");
    }
}

/// Each of these took seconds and up to a gigabyte to compile before anything was bounded.
#[test]
fn patterns_that_are_slow_to_compile() {
    let spread = |pattern: &dyn Fn(usize) -> String| {
        let patterns = (0..18_500).map(|number| json!({"pattern": pattern(number)})).collect::<Vec<_>>();
        json!({"properties": {"a": {"pattern": "(?=x)"}}, "unknown": patterns})
    };
    for (schema, expected) in [
        (json!({"pattern": format!("(?i){}", r"\pL".repeat(25_000))}), vec!["schema.too_complex"]),
        (json!({"pattern": r"[^\p{L}]".repeat(25_000)}), vec!["schema.too_complex"]),
        (json!({"pattern": "(?i)[ -\u{10ffff}]".repeat(500)}), vec!["schema.too_complex"]),
        (json!({"pattern": r"\cA".repeat(25_000)}), vec!["schema.too_complex"]),
        (json!({"patternProperties": {r"\d".repeat(25_000): {}}}), vec!["schema.too_complex"]),
        (spread(&|number| format!(r"\w{{30}}{number}")), vec!["schema.too_complex"]),
        // The same one again and again is compiled once.
        (spread(&|_| r"\w{30}".to_owned()), vec!["schema.unverified"]),
        (json!({"properties": {"a": {"pattern": r"^[\p{L}\p{N} .,'-]{1,200}$"}}}), vec![]),
        (json!({"properties": {"a": {"pattern": format!("^(?:{}x)$", "Europe/Vienna|".repeat(600))}}}), vec![]),
    ] {
        let start: String = schema.to_string().chars().take(100).collect();
        assert_eq!(rules(&call(&schema, &json!({"a": "x"}))), expected, "{start}");
        let at_once = if expected == ["schema.too_complex"] { expected } else { vec![] };
        assert_eq!(rules(&list(&json!([{"name": "t", "inputSchema": schema}]))), at_once, "{start}");
    }
}

#[test]
fn many_patterns_left_out_are_not_all_listed() {
    let long = "k".repeat(100_000);
    let members: serde_json::Map<_, _> =
        (0..1_000).map(|number| (format!("p{number}"), json!({"pattern": "(?=x)"}))).collect();
    let report = call(&json!({"properties": {long: {"properties": members}}}), &json!({}));
    assert_eq!(rules(&report), ["schema.unverified"]);
    assert!(report.findings().all(|finding| finding.why.len() < 1_000 && finding.why.contains("and 996 more")));
}

#[test]
fn only_the_first_message_held_against_a_schema_takes_long() {
    let tools = json!([{"name": "t", "inputSchema": {"type": "object"}, "outputSchema": {"type": "object"}},
        {"name": "plain", "inputSchema": {"type": 1}}]);
    let (guard, session) = (SchemaGuard::default(), session(&tools));
    let answers =
        CallSummary::of(&message(&json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "t"}}))).unwrap();
    let call = |name: &str| {
        message(&json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": name}}))
    };
    let reply = message(&json!({"jsonrpc": "2.0", "id": 2, "result": {"structuredContent": {}}}));
    let ping = message(&json!({"jsonrpc": "2.0", "id": 2, "method": "ping"}));
    let took_long = |message: &Message, direction, answers| {
        with_event(message, direction, answers, |event| {
            let long = guard.takes_long(event, &session);
            guard.inspect(event, &session, &mut Report::default());
            long
        })
    };
    let (to_server, to_client) = (Direction::ToServer, Direction::ToClient);
    for (message, direction, answers, expected) in [
        (&call("t"), to_server, None, true),
        (&call("t"), to_server, None, false),
        (&reply, to_client, Some(&answers), true),
        (&reply, to_client, Some(&answers), false),
        (&reply, to_client, None, false),
        (&call("plain"), to_server, None, true),
        (&call("plain"), to_server, None, false),
        (&call("unknown"), to_server, None, false),
        (&ping, to_server, None, false),
    ] {
        assert_eq!(took_long(message, direction, answers), expected, "{message:?}");
    }
}

/// Each of these would run for years, or overflow the stack, if nothing bounded it.
#[test]
fn hostile_schemas_and_values() {
    let link = |keyword: &str, below: &Value| json!({keyword: [below, below]});
    let doubling = |keyword: &str| {
        let defs: serde_json::Map<_, _> = (1..40)
            .map(|i| (format!("d{i}"), link(keyword, &json!({"$ref": format!("#/$defs/d{}", i - 1)}))))
            .chain([("d0".to_owned(), json!({"type": "string"}))])
            .collect();
        json!({"$defs": defs, "properties": {"a": {"$ref": "#/$defs/d39"}}})
    };
    let branching = json!({"anyOf": [{"properties": {"a": {"$ref": "#"}}, "required": ["b"]},
        {"properties": {"a": {"$ref": "#"}}, "required": ["c"]}, {"type": "integer"}]});
    let chain: serde_json::Map<_, _> = (0..1000)
        .map(|i| (format!("d{i}"), json!({"$ref": format!("#/$defs/d{}", i + 1)})))
        .chain([("d1000".to_owned(), json!({"properties": {"a": {"$ref": "#/$defs/d0"}}}))])
        .collect();
    let deep = (0..200).fold(json!(1), |below, _| json!({"a": below}));
    let wide = json!({"a": vec!["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"; 20_000]});
    for (schema, arguments, expected) in [
        (doubling("anyOf"), json!({"a": 1}), vec!["schema.too_complex"]),
        (doubling("oneOf"), json!({"a": 1}), vec!["schema.too_complex"]),
        (doubling("allOf"), json!({"a": 1}), vec!["schema.too_complex"]),
        (branching, deep.clone(), vec!["schema.too_complex"]),
        (json!({"$defs": chain, "$ref": "#/$defs/d0"}), deep.clone(), vec!["schema.too_complex"]),
        (json!({"properties": {"a": {"$ref": "#"}}, "additionalProperties": false}), deep, vec![]),
        (json!({"properties": {"a": {"items": {"pattern": "^(a+)+$"}}}}), wide.clone(), vec!["schema.arguments"]),
        (json!({"properties": {"a": {"items": {"pattern": "(.{1,40}){1,40}x"}}}}), wide, vec!["schema.too_complex"]),
    ] {
        assert_eq!(rules(&call(&schema, &arguments)), expected, "{schema:.300}");
    }
}

#[test]
fn the_deepest_that_is_tried_fits_the_stack() {
    // Each level of the value takes several subschemas within each other.
    let link = json!({"allOf": [{"anyOf": [{"oneOf": [{"$ref": "#/$defs/t"}]}]}]});
    let schema = json!({"$defs": {"t": {"properties": {"a": link}}}, "$ref": "#/$defs/t"});
    let deep = |levels| (0..levels).fold(json!(1), |below, _| json!({"a": below}));
    let refused = (1..200).find(|levels| rules(&call(&schema, &deep(*levels))) == ["schema.too_complex"]);
    assert!((80..150).contains(&refused.unwrap()), "{refused:?}");
    let bad = (0..refused.unwrap() - 1).fold(json!({"a": {"a": 1}}), |below, _| json!({"a": below}));
    drop(call(&json!({"$defs": {"t": {"properties": {"a": {"allOf": [{"anyOf": [{"oneOf": [{"$ref": "#/$defs/t"},
        {"type": "string"}]}]}]}}}}, "$ref": "#/$defs/t"}), &bad));
}

/// Long strings are not copied where nothing looks into them; that must never change an outcome.
#[test]
fn long_strings_count_where_a_keyword_reads_them() {
    let long = "x".repeat(1000);
    let check = |property: Value, value: Value, fits: bool| {
        let schema = json!({"type": "object", "properties": {"a": property}});
        let found = rules(&call(&schema, &json!({"a": value})));
        assert_eq!(found.is_empty(), fits, "{schema} {found:?}");
    };
    check(json!({"type": "string"}), json!(long), true);
    check(json!({"type": "integer"}), json!(long), false);
    check(json!({"type": "string", "minLength": 1000}), json!(long), true);
    check(json!({"type": "string", "maxLength": 999}), json!(long), false);
    check(json!({"pattern": "^x+$"}), json!(long), true);
    check(json!({"pattern": "y"}), json!(long), false);
    check(json!({"enum": [long]}), json!(long), true);
    check(json!({"enum": [""]}), json!(long), false);
    check(json!({"const": ""}), json!(long), false);
    check(json!({"uniqueItems": true}), json!([long, format!("{long}y")]), true);
    check(json!({"uniqueItems": true}), json!([long, long]), false);
    check(json!({"anyOf": [{"not": {"const": long}}]}), json!(long), false);
}
