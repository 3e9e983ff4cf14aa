//! `Mcp-Param-*`: headers that repeat single arguments of a tool call, as the tool's input schema asks.
//!
//! Threat: something on the way decides by the header, the server by the argument. For a tool whose definition the
//! session has seen the two are compared, and what goes to the server is made anew. Headers that no known definition
//! asks for are passed on, as the protocol wants.

use bartizan_guard::{Definition, DefinitionKind, Session};
use bartizan_mcp::header::{self, Mismatch, Param};
use bartizan_mcp::{Message, Value, method};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Compares the headers of a tool call with its arguments.
///
/// # Errors
/// The first header that is missing or wrong.
pub(crate) fn check(session: &Session, headers: &HeaderMap, call: &Message) -> Result<(), Mismatch> {
    let given = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    with_params(session, call, |params, arguments| header::check_params(given, params, arguments)).unwrap_or(Ok(()))
}

/// The headers for a tool call as its arguments want them, instead of those that `headers` holds for the same
/// arguments.
pub(crate) fn regenerate(session: &Session, headers: &mut Vec<(HeaderName, HeaderValue)>, call: &Message) {
    with_params(session, call, |params, arguments| {
        headers.retain(|(name, _)| !params.iter().any(|param| param.header == name.as_str()));
        headers.extend(
            header::regenerate_params(params, arguments).into_iter().filter_map(|(name, value)| {
                Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
            }),
        );
    });
}

/// Shows which arguments the called tool wants in headers, and the arguments; `None` if that is not known.
fn with_params<T>(
    session: &Session,
    call: &Message,
    show: impl FnOnce(&[Param<'_>], Option<Value<'_>>) -> T,
) -> Option<T> {
    if call.method() != Some(method::TOOLS_CALL) {
        return None;
    }
    let tool = session.catalog.get(DefinitionKind::Tool, &call.param("name")?)?;
    if !may_declare(tool) {
        return None;
    }
    let arguments = call.params().and_then(|params| params.get("arguments"));
    tool.with_value(|tool| {
        let params = header::declared_params(tool.get("inputSchema")?).ok()?;
        Some(show(&params, arguments))
    })?
}

/// Most tools ask for no headers, and their definitions need not be read again. An escaped annotation looks different.
fn may_declare(tool: &Definition) -> bool {
    let has = |needle: &[u8]| memchr::memmem::find(&tool.json, needle).is_some();
    has(b"x-mcp-header") || has(b"\\u")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bartizan_guard::Fact;
    use bartizan_mcp::Limits;

    use super::*;

    fn message(text: &str) -> Message {
        Message::parse(text.to_owned(), &Limits::default()).unwrap()
    }

    fn session() -> Session {
        let list = message(
            r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[
                {"name":"marked","inputSchema":{"type":"object","properties":{
                    "region":{"type":"string","x-mcp-header":"Region"},"n":{"type":"integer","x-mcp-\u0068eader":"N"}}}},
                {"name":"plain","inputSchema":{"type":"object","properties":{"region":{"type":"string"}}}},
                {"name":"wrong","inputSchema":{"type":"object","properties":{"a":{"type":"object","x-mcp-header":"Region"}}}}
            ]}}"#,
        );
        let tools = list.result().unwrap().get("tools").unwrap().elements();
        let tools = tools.filter_map(|tool| Definition::read(DefinitionKind::Tool, tool).map(Arc::new));
        Session::default().with(&[Fact::Listed(tools.collect())])
    }

    fn call(tool: &str, arguments: &str) -> Message {
        let params = format!(r#"{{"name":"{tool}","arguments":{arguments}}}"#);
        message(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#))
    }

    fn headers(given: &[(&'static str, &'static str)]) -> HeaderMap {
        given.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn headers_of_known_tools_are_held_against_the_arguments() {
        type Case<'a> = (&'a str, &'a str, &'a [(&'static str, &'static str)], bool);
        let cases: [Case<'_>; 10] = [
            ("marked", r#"{"region":"eu"}"#, &[("mcp-param-region", "eu")], true),
            ("marked", r#"{"region":"eu"}"#, &[("mcp-param-region", "us")], false),
            ("marked", r#"{"region":"eu"}"#, &[("mcp-param-region", "=?base64?ZXU?=")], false),
            ("marked", r#"{"region":"eu"}"#, &[], false),
            ("marked", "{}", &[("mcp-param-region", "eu")], false),
            ("marked", r#"{"n":7}"#, &[], false),
            ("marked", r#"{"n":7}"#, &[("mcp-param-n", "7"), ("mcp-param-other", "x")], true),
            ("plain", r#"{"region":"eu"}"#, &[("mcp-param-region", "us")], true),
            ("wrong", r#"{"a":{}}"#, &[("mcp-param-region", "us")], true),
            ("unseen", r#"{"region":"eu"}"#, &[("mcp-param-region", "us")], true),
        ];
        for (tool, arguments, given, right) in cases {
            let checked = check(&session(), &headers(given), &call(tool, arguments));
            assert_eq!(checked.is_ok(), right, "{tool} {arguments} {given:?}");
        }
        let other = message(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"name":"marked"}}"#);
        assert!(check(&session(), &headers(&[("mcp-param-region", "us")]), &other).is_ok());
    }

    #[test]
    fn what_goes_on_is_made_from_the_arguments() {
        let given = || headers(&[("mcp-param-region", "=?base64?ZXU=?="), ("mcp-param-other", "x")]).into_iter();
        let cases = [
            (
                "marked",
                r#"{"region":"eu","n":7}"#,
                vec!["mcp-param-n: 7", "mcp-param-other: x", "mcp-param-region: eu"],
            ),
            ("marked", "{}", vec!["mcp-param-other: x"]),
            ("plain", r#"{"region":"eu"}"#, vec!["mcp-param-other: x", "mcp-param-region: =?base64?ZXU=?="]),
        ];
        for (tool, arguments, expected) in cases {
            let mut made: Vec<_> = given().filter_map(|(name, value)| Some((name?, value))).collect();
            regenerate(&session(), &mut made, &call(tool, arguments));
            let mut made: Vec<_> =
                made.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
            made.sort();
            assert_eq!(made, expected, "{tool} {arguments}");
        }
    }
}
