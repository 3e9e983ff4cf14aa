//! A stateless server's answers in the form that a legacy client reads.
//!
//! All of it is edits to messages that were judged as the server sent them: the client's own id, an error code of its
//! era, and no `resultType`. That member is taken out when it says `complete`, because clients of the older revisions
//! may refuse results with members that they do not know; what else a result holds passes as it came.

use std::borrow::Cow;

use bartizan_mcp::{Edits, Id, Limits, Message, Value, header::Mismatch, meta, meta::Meta, method, quote};

use super::client::is_object;
use crate::bridge::tasks;
use crate::codes::{MISSING_CAPABILITY, UNSUPPORTED_VERSION};

/// What a server's response comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is the answer.
    Answer,
    /// The server has to know something first.
    Questions,
    /// The server missed a header, so it has not done anything yet.
    HeaderMismatch,
    /// It is a kind of result that no legacy client knows.
    Unknown(&'static str),
}

/// What this response comes to.
pub(super) fn outcome(message: &Message) -> Outcome {
    if code(message) == Some(Mismatch::CODE) {
        return Outcome::HeaderMismatch;
    }
    match message.result().and_then(|result| result.get("resultType")) {
        None => Outcome::Answer,
        Some(kind) => match kind.as_str().as_deref() {
            Some("complete") => Outcome::Answer,
            Some("input_required") => Outcome::Questions,
            Some("task") => Outcome::Unknown("a task"),
            // What it calls it is the server's words, and the client would read them as the gateway's.
            _ => Outcome::Unknown("another kind of result"),
        },
    }
}

/// What turns a response into the client's own.
pub(super) fn response(message: &Message, id: &Id) -> Edits {
    let mut edits = Edits::new();
    if let Some(own) = message.root().get("id").filter(|own| Id::read(*own).as_ref() != Some(id)) {
        edits.set_json(own.id(), id.to_json());
    }
    if let Some(result) = message.result()
        && let Some(kind) = result.get("resultType").filter(|kind| kind.is_text("complete"))
    {
        edits.remove(result.id(), kind.id());
    }
    let translated = match code(message) {
        // Nothing that the client did is wrong.
        Some(Mismatch::CODE) => Some((-32603, "the server refuses the headers made for it")),
        Some(MISSING_CAPABILITY) => {
            Some((-32600, "the server needs something that this client has not said it can do"))
        }
        Some(UNSUPPORTED_VERSION) => Some((-32602, "the server does not speak the revision it was asked in")),
        _ => None,
    };
    if let (Some((code, why)), Some(error)) = (translated, message.error())
        && let (Some(old), Some(said)) = (error.get("code"), error.get("message"))
    {
        edits.set_json(old.id(), code.to_string());
        edits.set_text(said.id(), &format!("{why}: {}", said.text()));
    }
    edits
}

/// What turns a notification of a subscription into an ordinary one.
pub(super) fn notification(message: &Message) -> Edits {
    let mut edits = Edits::new();
    if let Some(all) = Meta::of(message).object()
        && let Some(subscription) = all.get(meta::SUBSCRIPTION_ID)
    {
        edits.remove(all.id(), subscription.id());
    }
    edits
}

/// The answer to `initialize` out of the one to `server/discover`.
pub(super) fn hello(id: &Id, revision: &str, server: &str, discovered: Value<'_>, info: Option<Value<'_>>) -> String {
    let capabilities = tasks::without(discovered.get("capabilities"));
    let unnamed = || format!(r#"{{"name":{},"version":"0"}}"#, quote(server));
    let info = info.filter(|info| is_object(*info)).map_or_else(unnamed, |info| info.raw().to_owned());
    let instructions = discovered.get("instructions").filter(|text| text.as_str().is_some());
    let instructions = instructions.map(|text| format!(r#","instructions":{}"#, text.raw())).unwrap_or_default();
    let id = id.to_json();
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"protocolVersion":"{revision}","capabilities":{capabilities},"serverInfo":{info}{instructions}}}}}"#
    )
}

/// A question of the server's as a request to the client.
pub(super) fn question(id: &str, asked: Value<'_>, limits: &Limits) -> Option<String> {
    let (asks, quoted) = (asked.get("method")?, quote(id));
    let params = match asked.get("params") {
        Some(params) if asks.is_text(method::ELICITATION_CREATE) => {
            format!(r#","params":{}"#, with_elicitation_id(params, id))
        }
        Some(params) => format!(r#","params":{}"#, params.raw()),
        None => String::new(),
    };
    let json = format!(r#"{{"jsonrpc":"2.0","id":{quoted},"method":{}{params}}}"#, asks.raw());
    Message::parse(json.clone(), limits).ok().filter(|message| message.params().is_some() || params.is_empty())?;
    Some(json)
}

/// In the older revision a page that the user is sent to has an id, by which its end could be told.
fn with_elicitation_id<'a>(params: Value<'a>, id: &str) -> Cow<'a, str> {
    let raw = params.raw();
    let is_page = params.get("mode").is_some_and(|mode| mode.is_text("url")) && params.get("elicitationId").is_none();
    match raw.strip_prefix('{') {
        Some(rest) if is_page => Cow::Owned(format!(r#"{{"elicitationId":{},{rest}"#, quote(id))),
        _ => Cow::Borrowed(raw),
    }
}

fn code(message: &Message) -> Option<i64> {
    message.error()?.get("code")?.as_i64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Message {
        Message::parse(text.to_owned(), &Limits::default()).unwrap()
    }

    fn edited(message: &Message, edits: &Edits) -> String {
        String::from_utf8(edits.apply(message.document()).to_vec()).unwrap()
    }

    #[test]
    fn responses_become_the_clients_own() {
        let cases = [
            (
                r#"{"jsonrpc":"2.0","id":"b-1","result":{"n": 1.0,"resultType":"complete"}}"#,
                r#"{"jsonrpc":"2.0","id":7,"result":{"n": 1.0}}"#,
            ),
            (
                r#"{ "jsonrpc":"2.0","id":7,"result":{"x":{"resultType":"complete"}}}"#,
                r#"{ "jsonrpc":"2.0","id":7,"result":{"x":{"resultType":"complete"}}}"#,
            ),
            (
                r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32021,"message":"no","data":{"requiredCapabilities":{}}}}"#,
                r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32600,"message":"the server needs something that this client has not said it can do: no","data":{"requiredCapabilities":{}}}}"#,
            ),
            (
                r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32020,"message":"no"}}"#,
                r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32603,"message":"the server refuses the headers made for it: no"}}"#,
            ),
            (
                r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32022,"message":"no"}}"#,
                r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"the server does not speak the revision it was asked in: no"}}"#,
            ),
            (
                r#"{"jsonrpc":"2.0","id":"b","error":{"code":-32601,"message":"no"}}"#,
                r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"no"}}"#,
            ),
            (
                r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"no"}}"#,
                r#"{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"no"}}"#,
            ),
        ];
        for (came, seen) in cases {
            let came = message(came);
            assert_eq!(edited(&came, &response(&came, &Id::from(7))), seen);
        }
    }

    #[test]
    fn results_are_told_apart() {
        let cases = [
            (r#""result":{}"#, Outcome::Answer),
            (r#""result":{"resultType":"complete"}"#, Outcome::Answer),
            (r#""result":{"resultType":"input_required"}"#, Outcome::Questions),
            (r#""result":{"resultType":"task"}"#, Outcome::Unknown("a task")),
            (r#""result":{"resultType":"ignore all"}"#, Outcome::Unknown("another kind of result")),
            (r#""result":{"resultType":1}"#, Outcome::Unknown("another kind of result")),
            (r#""error":{"code":-32020,"message":"m"}"#, Outcome::HeaderMismatch),
            (r#""error":{"code":-32603,"message":"m"}"#, Outcome::Answer),
        ];
        for (body, expected) in cases {
            assert_eq!(outcome(&message(&format!(r#"{{"jsonrpc":"2.0","id":1,{body}}}"#))), expected, "{body}");
        }
    }

    #[test]
    fn notifications_lose_their_subscription() {
        let cases = [
            (
                r#"{"jsonrpc":"2.0","method":"n","params":{"uri":"u","_meta":{"io.modelcontextprotocol/subscriptionId":"s","a":1}}}"#,
                r#"{"jsonrpc":"2.0","method":"n","params":{"uri":"u","_meta":{"a":1}}}"#,
            ),
            (r#"{"jsonrpc":"2.0","method":"n"}"#, r#"{"jsonrpc":"2.0","method":"n"}"#),
        ];
        for (came, seen) in cases {
            let came = message(came);
            assert_eq!(edited(&came, &notification(&came)), seen);
        }
    }

    #[test]
    fn a_discovery_is_a_hello() {
        let discovered = message(
            r#"{"jsonrpc":"2.0","id":1,"result":{"capabilities":{"tools":{"listChanged":true},"tasks":{},
            "extensions":{"io.modelcontextprotocol/tasks":{},"io.modelcontextprotocol/ui":{}}},"instructions":"Be \u0041"}}"#,
        );
        let expected = r#"{"jsonrpc":"2.0","id":"i","result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{"listChanged":true},"extensions":{"io.modelcontextprotocol/ui":{}}},"serverInfo":{"name":"s","version":"0"},"instructions":"Be \u0041"}}"#;
        assert_eq!(hello(&Id::from("i"), "2025-06-18", "s", discovered.result().unwrap(), None), expected);
    }

    #[test]
    fn questions_are_requests() {
        let cases = [
            (r#"{"method":"roots/list"}"#, Some(r#"{"jsonrpc":"2.0","id":"q","method":"roots/list"}"#)),
            (
                r#"{"method":"elicitation/create","params":{"mode":"url","url":"https://a.example"}}"#,
                Some(
                    r#"{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"elicitationId":"q","mode":"url","url":"https://a.example"}}"#,
                ),
            ),
            (
                r#"{"method":"sampling/createMessage","params":{"n": 1.0}}"#,
                Some(r#"{"jsonrpc":"2.0","id":"q","method":"sampling/createMessage","params":{"n": 1.0}}"#),
            ),
            (r#"{"method":"roots/list","params":[]}"#, None),
            (r#"{"method":1}"#, None),
            ("1", None),
        ];
        for (asked, expected) in cases {
            let wrapped = message(&format!(r#"{{"jsonrpc":"2.0","id":1,"result":{asked}}}"#));
            assert_eq!(question("q", wrapped.result().unwrap(), &Limits::default()).as_deref(), expected, "{asked}");
        }
    }
}
