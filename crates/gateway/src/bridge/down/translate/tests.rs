use super::*;

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

fn message(members: &str) -> Message {
    Message::parse(format!(r#"{{"jsonrpc":"2.0",{members}}}"#), &Limits::default()).unwrap()
}

fn edited(message: &Message, edits: &Edits) -> String {
    String::from_utf8(edits.apply(message.document()).to_vec()).unwrap()
}

#[test]
fn a_request_loses_what_only_the_stateless_era_has() {
    let cases = [
        (format!(r#""params":{{"name":"x","n":1.0,{META}}}"#), r#""params":{"name":"x","n":1.0}"#),
        (format!(r#""params":{{{META}}}"#), r#""params":{}"#),
        (
            r#""params":{"_meta":{"io.modelcontextprotocol/logLevel":"info","progressToken":7,"traceparent":"t"},"name":"x"}"#.to_owned(),
            r#""params":{"_meta":{"progressToken":7,"traceparent":"t"},"name":"x"}"#,
        ),
        (r#""params":{"inputResponses":{"a":{}},"requestState":"s","name":"x"}"#.to_owned(), r#""params":{"name":"x"}"#),
        (r#""params":{"task":{"ttl":1},"name":"x"}"#.to_owned(), r#""params":{"name":"x"}"#),
        // Arguments are the tool's, whatever they are called.
        (r#""params":{"arguments":{"task":{}}}"#.to_owned(), r#""params":{"arguments":{"task":{}}}"#),
        (
            r#""params":{"arguments":{"requestState":"s","_meta":{"io.modelcontextprotocol/x":1}}}"#.to_owned(),
            r#""params":{"arguments":{"requestState":"s","_meta":{"io.modelcontextprotocol/x":1}}}"#,
        ),
    ];
    for (before, after) in cases {
        let request = message(&format!(r#""id":"client","method":"tools/call",{before}"#));
        let sent = outward(&request, Some(&Id::from(3)), &Limits::default()).unwrap();
        assert_eq!(sent.bytes(), &format!(r#"{{"jsonrpc":"2.0","id":3,"method":"tools/call",{after}}}"#));
    }
}

#[test]
fn a_response_gains_what_the_stateless_era_asks_for() {
    let hints = r#""ttlMs":0,"cacheScope":"private","#;
    let complete = r#""resultType":"complete","#;
    let info = r#""io.modelcontextprotocol/serverInfo":{"name":"s"}"#;
    let cases = [
        (
            "tools/call",
            r#""result":{"content":[],"_meta":{}}"#,
            format!(r#""result":{{{complete}"content":[],"_meta":{{{info}}}}}"#),
        ),
        (
            "tools/list",
            r#""result":{"tools":[],"_meta":{}}"#,
            format!(r#""result":{{{complete}{hints}"tools":[],"_meta":{{{info}}}}}"#),
        ),
        (
            "prompts/get",
            r#""result":{"messages":[]}"#,
            format!(r#""result":{{{complete}"_meta":{{{info}}},"messages":[]}}"#),
        ),
        (
            "resources/read",
            r#""result":{"contents":[],"ttlMs":9,"cacheScope":"private","_meta":{}}"#,
            format!(r#""result":{{{complete}"contents":[],"ttlMs":9,"cacheScope":"private","_meta":{{{info}}}}}"#),
        ),
        // No server of the legacy era asks like this; one that tries does not get past the gateway.
        (
            "tools/call",
            r#""result":{"resultType":"input_required","requestState":"s","_meta":{}}"#,
            format!(r#""result":{{"resultType":"complete","requestState":"s","_meta":{{{info}}}}}"#),
        ),
        (
            "resources/read",
            r#""error":{"code":-32002,"message":"m"}"#,
            r#""error":{"code":-32602,"message":"m"}"#.to_owned(),
        ),
        (
            "tools/call",
            r#""error":{"code":-32002,"message":"m"}"#,
            r#""error":{"code":-32002,"message":"m"}"#.to_owned(),
        ),
        ("x", r#""error":{"code":-32601,"message":"m"}"#, r#""error":{"code":-32601,"message":"m"}"#.to_owned()),
    ];
    for (asked, before, after) in cases {
        let response = message(&format!(r#""id":3,{before}"#));
        let edits = completed(&response, asked, &Id::from("client"), Some(r#"{"name":"s"}"#));
        assert_eq!(
            edited(&response, &edits),
            format!(r#"{{"jsonrpc":"2.0","id":"client",{after}}}"#),
            "{asked} {before}"
        );
    }
}

#[test]
fn changes_belong_to_a_subscription() {
    let stamp = r#""_meta":{"io.modelcontextprotocol/subscriptionId":7}"#;
    let cases = [
        (r#""params":{"uri":"u"}"#, format!(r#""params":{{{stamp},"uri":"u"}}"#)),
        (
            r#""params":{"_meta":{"a":1}}"#,
            r#""params":{"_meta":{"io.modelcontextprotocol/subscriptionId":7,"a":1}}"#.to_owned(),
        ),
        (r#""params":{"_meta":{"io.modelcontextprotocol/subscriptionId":8}}"#, format!(r#""params":{{{stamp}}}"#)),
    ];
    for (before, after) in cases {
        let change = message(&format!(r#""method":"n",{before}"#));
        let expected = format!(r#"{{"jsonrpc":"2.0","method":"n",{after}}}"#);
        assert_eq!(edited(&change, &stamped(&change, &Id::from(7))), expected);
    }
    let bare = message(r#""method":"n""#);
    let expected = format!(r#"{{"params":{{{stamp}}},"jsonrpc":"2.0","method":"n"}}"#);
    assert_eq!(edited(&bare, &stamped(&bare, &Id::from(7))), expected);
}

#[test]
fn the_handshake_is_translated() {
    let request = message(
        r#""id":1,"method":"x","params":{"_meta":{"io.modelcontextprotocol/clientCapabilities":{"tasks":{},"elicitation":{"url":{}}},
        "io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"}}}"#,
    );
    let hello = initialize(&request, &Id::from(0));
    let hello = Message::parse(hello, &Limits::default()).unwrap();
    let params = hello.params().unwrap();
    assert_eq!(params.get("capabilities").unwrap().raw(), r#"{"elicitation":{"url":{}}}"#);
    assert_eq!(params.get("clientInfo").unwrap().raw(), r#"{"name":"c","version":"1"}"#);
    assert!(params.get("protocolVersion").unwrap().is_text("2025-11-25"));
    let answer = message(
        r#""id":0,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true},"tasks":{}},
        "serverInfo":{"name":"s"},"instructions":"i"}"#,
    );
    let expected = concat!(
        r#"{"jsonrpc":"2.0","id":"d","result":{"resultType":"complete","supportedVersions":["2026-07-28"],"#,
        r#""capabilities":{"tools":{"listChanged":true}},"instructions":"i","ttlMs":0,"cacheScope":"private","#,
        r#""_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s"}}}}"#,
    );
    assert_eq!(discovered(&answer, &Id::from("d")), expected);
}

#[test]
fn only_what_the_client_declared_can_be_asked() {
    let cases = [
        (r#"{"roots":{}}"#, r#""method":"roots/list""#, true),
        ("{}", r#""method":"roots/list""#, false),
        (r#"{"sampling":{}}"#, r#""method":"sampling/createMessage","params":{}"#, true),
        (r#"{"sampling":{}}"#, r#""method":"sampling/createMessage","params":{"tools":[]}"#, false),
        (r#"{"sampling":{"tools":{}}}"#, r#""method":"sampling/createMessage","params":{"tools":[]}"#, true),
        (r#"{"elicitation":{}}"#, r#""method":"elicitation/create","params":{}"#, true),
        (r#"{"elicitation":{}}"#, r#""method":"elicitation/create","params":{"mode":"url"}"#, false),
        (r#"{"elicitation":{"url":{}}}"#, r#""method":"elicitation/create","params":{"mode":"url"}"#, true),
        (r#"{"elicitation":{"url":{}}}"#, r#""method":"elicitation/create","params":{"mode":"form"}"#, false),
        (r#"{"elicitation":null}"#, r#""method":"elicitation/create","params":{}"#, false),
        (r#"{"roots":{}}"#, r#""method":"vendor/ask""#, false),
    ];
    for (capabilities, question, expected) in cases {
        let question = message(&format!(r#""id":1,{question}"#));
        for (method, asks_back) in
            [("tools/call", true), ("prompts/get", true), ("resources/read", true), ("tools/list", false)]
        {
            let request = message(&format!(
                r#""id":1,"method":"{method}","params":{{"_meta":{{"io.modelcontextprotocol/clientCapabilities":{capabilities}}}}}"#
            ));
            assert_eq!(
                can_be_asked(&request, &question),
                expected && asks_back,
                "{capabilities} {question:?} {method}"
            );
        }
    }
}

#[test]
fn a_retry_must_ask_the_same() {
    let of = |members: &str| essence(&message(&format!(r#""id":1,{members}"#)));
    let first =
        of(r#""method":"tools/call","params":{"name":"x","arguments":{"a":1,"b":2},"_meta":{"progressToken":1}}"#);
    let same = [
        r#""method":"tools/call","params":{"arguments":{"b":2,"a":1},"name":"x"}"#,
        r#""method":"tools/call","params":{"name":"x","arguments":{"a":1,"b":2},"inputResponses":{"q":{}},"requestState":"s"}"#,
    ];
    let other = [
        r#""method":"prompts/get","params":{"name":"x","arguments":{"a":1,"b":2}}"#,
        r#""method":"tools/call","params":{"name":"y","arguments":{"a":1,"b":2}}"#,
        r#""method":"tools/call","params":{"name":"x","arguments":{"a":1,"b":3}}"#,
        r#""method":"tools/call","params":{"name":"x","arguments":{"a":1.0,"b":2}}"#,
        r#""method":"tools/call","params":{"name":"x"}"#,
    ];
    assert!(same.iter().all(|members| of(members) == first));
    assert!(other.iter().all(|members| of(members) != first));
}

#[test]
fn questions_keep_their_parameters_to_the_byte() {
    let question = message(r#""id":"s-1","method":"elicitation/create","params":{ "message":"m" , "n":1.0}"#);
    let asked = [("question-1".to_owned(), input_request(&question))];
    let expected = concat!(
        r#"{"jsonrpc":"2.0","id":4,"result":{"resultType":"input_required","inputRequests":{"question-1":"#,
        r#"{"method":"elicitation/create","params":{ "message":"m" , "n":1.0}}},"requestState":"s"}}"#,
    );
    assert_eq!(input_required(&Id::from(4), "s", asked.into_iter()), expected);
}

#[test]
fn the_gist_of_a_request_has_what_questions_need_and_is_small() {
    let meta = |rest: &str| {
        format!(
            r#""_meta":{{"progressToken":7,"io.modelcontextprotocol/logLevel":"info","io.modelcontextprotocol/clientCapabilities":{{"roots":{{}}{rest}}}"#
        )
    };
    let large = "x".repeat(GIST);
    let of = |members: &str| {
        let members = format!(r#""id":1,"method":"tools/call","params":{{{members}}}"#);
        gist(&message(&members), &Limits::default())
    };
    let asked =
        of(&format!(r#""name":"x","arguments":{{"a":"{large}"}},{},"traceparent":"{large}"}}"#, meta(""))).unwrap();
    let kept = format!(r#""id":1,"method":"tools/call","params":{{"name":"x",{}}}}}"#, meta(""));
    assert_eq!(asked.bytes(), message(&kept).bytes());
    assert!(can_be_asked(&asked, &message(r#""id":9,"method":"roots/list""#)));
    assert!(of(&format!("{}}}", meta(&format!(r#","more":"{large}""#)))).is_none());
    assert!(of("").is_some());
}
