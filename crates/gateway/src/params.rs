//! `Mcp-Param-*`: headers that repeat single arguments of a tool call, as the tool's input schema asks.
//!
//! Threat: something on the way decides by the header, the server by the argument. For a tool whose definition the
//! session has seen the two are compared, and what goes to the server is made anew. Headers that no known definition
//! asks for are passed on, as the protocol wants; what they say is judged like an argument, or they would carry what no
//! argument may.

use std::sync::Arc;

use bartizan_guard::{Definition, DefinitionKind, Direction, Session};
use bartizan_mcp::header::{self, Mismatch, PARAM_PREFIX, Param, Problem};
use bartizan_mcp::{Message, Value, method};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::admit::Refusal;
use crate::beside;
use crate::learn;
use crate::link::Link;
use crate::relay::Relay;

/// Makes the headers with which a message goes to its server what its arguments want, once it is known what that is.
///
/// # Errors
/// If those that came with it are missing or wrong, or say what must not pass.
pub(crate) async fn settle(
    link: &Arc<Link>,
    relay: &mut Relay,
    headers: &HeaderMap,
    message: &Message,
) -> Result<(), Refusal> {
    if relay.routing.is_empty() {
        return Ok(());
    }
    learn::before(message, learn::Way::Exchange(link, relay)).await;
    let session = link.session();
    check(&session, headers, message).map_err(|mismatch| refuse(link, message, &mismatch))?;
    judge_others(link, &session, headers, message).await?;
    regenerate(&session, &mut relay.routing, message);
    Ok(())
}

/// Compares the headers of a request that a bridge takes over. They end there, but somebody before it may have decided by
/// them.
///
/// `outward` is the request in the words of the server, which is asked for its tools if need be.
///
/// # Errors
/// If they are missing or wrong.
pub(crate) async fn compare(
    link: &Arc<Link>,
    relay: &Relay,
    headers: &HeaderMap,
    (request, outward): (&Message, &Message),
) -> Result<(), Refusal> {
    learn::before(outward, learn::Way::Exchange(link, relay)).await;
    check(&link.session(), headers, request).map_err(|mismatch| refuse(link, request, &mismatch))
}

/// Compares the headers of a tool call with its arguments.
///
/// # Errors
/// The first header that is missing or wrong.
fn check(session: &Session, headers: &HeaderMap, call: &Message) -> Result<(), Mismatch> {
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

/// Judges and records the headers that no known definition asks for.
async fn judge_others(
    link: &Arc<Link>,
    session: &Session,
    headers: &HeaderMap,
    message: &Message,
) -> Result<(), Refusal> {
    let others = others(session, headers, message).map_err(|mismatch| refuse(link, message, &mismatch))?;
    if others.is_empty() {
        return Ok(());
    }
    let protest = |rule, why, code| link.protest(message, Direction::ToServer, None, (rule, why), code);
    let said = others.iter().map(|(name, text)| (*name, text));
    if let Some(problem) = beside::objection(link, said).await {
        return Err(protest(problem.rule, problem.why, problem.code));
    }
    let names: Vec<_> = others.iter().map(|(name, _)| name).collect();
    let fields = serde_json::json!({
        "server": link.server.name, "session": link.name, "method": message.method(),
        "request": message.id().map(ToString::to_string), "names": names,
    });
    // Without the log that refusal says why; nothing passes then.
    let unrecorded =
        |_| protest("gateway.log_unwritable", "the headers cannot be recorded".to_owned(), crate::admit::CODE_OURS);
    link.gateway.recorder.note("headers", &fields).map(drop).map_err(unrecorded)
}

/// The headers for single arguments that no known definition asks for, by name, and the text of each.
fn others<'h>(session: &Session, headers: &'h HeaderMap, call: &Message) -> Result<Vec<(&'h str, String)>, Mismatch> {
    let declared =
        with_params(session, call, |params, _| params.iter().map(|param| param.header.clone()).collect::<Vec<_>>());
    let declared = declared.unwrap_or_default();
    let names = headers.keys().map(HeaderName::as_str).filter(|name| name.starts_with(PARAM_PREFIX));
    let others = names.filter(|name| !declared.iter().any(|declared| declared == name)).map(|name| {
        let mut values = headers.get_all(name).iter();
        let value = values.next().map(HeaderValue::as_bytes).filter(|value| !header::is_ambiguous(value));
        match (value.and_then(header::decode), values.next()) {
            (Some(text), None) => Ok((name, text.into_owned())),
            (_, Some(_)) => Err(Mismatch { header: name.to_owned(), problem: Problem::Repeated }),
            (None, None) => Err(Mismatch { header: name.to_owned(), problem: Problem::Malformed }),
        }
    });
    others.collect()
}

fn refuse(link: &Link, message: &Message, mismatch: &Mismatch) -> Refusal {
    let problem = ("conformance.header_mismatch", mismatch.to_string());
    link.protest(message, Direction::ToServer, None, problem, Mismatch::CODE)
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
    fn what_nobody_asked_for_has_one_meaning() {
        for (tool, value, text) in [
            ("plain", "a b", Some("a b")),
            ("plain", "=?base64?YSBi?=", Some("a b")),
            ("plain", "=?base64?YSBi?= ", Some("a b")),
            ("plain", "=?BASE64?YSBi?=", None),
            ("plain", "=?base64?YSBi", Some("=?base64?YSBi")),
            // This one is compared with an argument instead.
            ("marked", "=?BASE64?YSBi?=", Some("")),
        ] {
            let (session, given, call) = (session(), headers(&[("mcp-param-region", value)]), call(tool, "{}"));
            let found = others(&session, &given, &call);
            let found = found.ok().map(|found| found.into_iter().map(|(_, text)| text).collect::<String>());
            assert_eq!(found.as_deref(), text, "{tool} {value}");
        }
        let literal = call("marked", r#"{"region":"=?BASE64?YSBi?="}"#);
        assert!(check(&session(), &headers(&[("mcp-param-region", "=?BASE64?YSBi?=")]), &literal).is_ok());
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
