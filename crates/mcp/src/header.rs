//! The HTTP headers of the stateless era that repeat parts of the body, so that they can be routed on.
//!
//! Threat: a load balancer or a firewall decides by the header, the server by the body. Whoever makes the two differ
//! gets a call past the first that it would have stopped. So they are compared before anything else, and what goes
//! upstream is made anew from the body.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use crate::meta::Meta;
use crate::{Kind, Message, method};

mod param;

pub use param::{BadAnnotation, Param, check_params, declared_params, regenerate_params};

/// The revision, as `_meta` says it too.
pub const PROTOCOL_VERSION: &str = "mcp-protocol-version";
/// The method of the body.
pub const METHOD: &str = "mcp-method";
/// The tool, prompt, resource or task that the body names.
pub const NAME: &str = "mcp-name";
/// What the headers for single arguments begin with.
pub const PARAM_PREFIX: &str = "mcp-param-";

/// A header that does not say what the body says.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the header {header} {problem}")]
pub struct Mismatch {
    /// Its name, in lower case.
    pub header: String,
    /// What is wrong with it.
    pub problem: Problem,
}

impl Mismatch {
    /// The error code that answers it, `HeaderMismatch`, with HTTP status 400.
    pub const CODE: i64 = -32020;

    fn new(header: impl Into<String>, problem: Problem) -> Self {
        Mismatch { header: header.into(), problem }
    }
}

/// What is wrong with a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Problem {
    /// The body says something that the header must repeat.
    #[error("is missing")]
    Missing,
    /// It occurs more than once; readers of the first and of the last would disagree.
    #[error("occurs more than once")]
    Repeated,
    /// It is not visible ASCII, or its `=?base64?…?=` holds no canonical Base64 of UTF-8.
    #[error("is not encoded as it should be")]
    Malformed,
    /// It says something else than the body.
    #[error("differs from the body")]
    Differs,
    /// It repeats something that the body does not say.
    #[error("has no counterpart in the body")]
    Unexpected,
}

/// What `mcp-name` must say about this message, if anything.
#[must_use]
pub fn expected_name(message: &Message) -> Option<Cow<'_, str>> {
    if message.kind() != Kind::Request {
        return None;
    }
    let param = match message.method()? {
        method::TOOLS_CALL | method::PROMPTS_GET => "name",
        method::RESOURCES_READ => "uri",
        method::TASKS_GET | method::TASKS_UPDATE | method::TASKS_CANCEL => "taskId",
        _ => return None,
    };
    message.param(param)
}

/// Compares the headers of a POST with its body. All of them are given, names in any case.
///
/// A request must carry the headers; a notification may, and then they must be right. A response has none to check.
///
/// # Errors
/// The first header that is missing or wrong, the version first, then method and name.
pub fn check<'h>(headers: impl IntoIterator<Item = (&'h str, &'h [u8])>, message: &Message) -> Result<(), Mismatch> {
    let Some(method) = message.method() else { return Ok(()) };
    let headers = Headers::of_mcp(headers);
    let required = message.kind() == Kind::Request;
    let compare = |name: &str, expected: Option<&str>, required: bool| match (headers.get(name)?, expected) {
        (None, Some(_)) if required => Err(Mismatch::new(name, Problem::Missing)),
        (Some(found), Some(expected)) if found != expected => Err(Mismatch::new(name, Problem::Differs)),
        _ => Ok(()),
    };
    let version = Meta::of(message).protocol_version();
    compare(PROTOCOL_VERSION, version.as_deref(), required)?;
    compare(METHOD, Some(method), required)?;
    compare(NAME, expected_name(message).as_deref(), required)
}

/// The headers that a POST of this message carries, names in lower case, values fit to be sent.
#[must_use]
pub fn regenerate(message: &Message) -> Vec<(&'static str, String)> {
    let Some(method) = message.method() else { return Vec::new() };
    let version = Meta::of(message).protocol_version();
    [(PROTOCOL_VERSION, version), (METHOD, Some(Cow::Borrowed(method))), (NAME, expected_name(message))]
        .into_iter()
        .filter_map(|(name, value)| Some((name, encode(&value?).into_owned())))
        .collect()
}

/// The value of a header for this text: itself, or its UTF-8 as `=?base64?…?=` if a header could not carry it.
#[must_use]
pub fn encode(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let edge = |byte: Option<&u8>| byte.is_none_or(|&byte| byte == b' ');
    let plain = bytes.iter().all(|byte| (0x20..0x7F).contains(byte))
        // Proxies trim white space at the edges and drop empty headers.
        && !edge(bytes.first())
        && !edge(bytes.last())
        // In other case it would be text for us and something encoded for others.
        && !looks_wrapped(text);
    if plain { Cow::Borrowed(text) } else { Cow::Owned(format!("{OPEN}{}{CLOSE}", STANDARD.encode(text))) }
}

/// The text that the value of a header stands for; `None` if it is encoded wrongly.
#[must_use]
pub fn decode(value: &[u8]) -> Option<Cow<'_, str>> {
    let value = std::str::from_utf8(value.trim_ascii()).ok()?;
    if let Some(encoded) = wrapped(value) {
        // Only the one canonical form, so that nobody else can read it differently.
        return String::from_utf8(STANDARD.decode(encoded).ok()?).ok().map(Cow::Owned);
    }
    value.bytes().all(|byte| byte == b'\t' || (0x20..0x7F).contains(&byte)).then_some(Cow::Borrowed(value))
}

/// Whether a value spells `=?base64?…?=` in other case. By the specification, which spells it in one way, that is text;
/// whoever takes no notice of case, as in the headers of mail, decodes it. Without a body that says the same, nobody can
/// know which of the two is meant.
#[must_use]
pub fn is_ambiguous(value: &[u8]) -> bool {
    std::str::from_utf8(value.trim_ascii()).is_ok_and(|value| looks_wrapped(value) && wrapped(value).is_none())
}

const OPEN: &str = "=?base64?";
const CLOSE: &str = "?=";

fn wrapped(value: &str) -> Option<&str> {
    value.strip_prefix(OPEN)?.strip_suffix(CLOSE)
}

fn looks_wrapped(value: &str) -> bool {
    let parts = value.split_at_checked(OPEN.len());
    parts.is_some_and(|(open, rest)| open.eq_ignore_ascii_case(OPEN) && rest.ends_with(CLOSE))
}

/// The few headers of a request that repeat its body.
struct Headers<'h>(Vec<(&'h str, &'h [u8])>);

impl<'h> Headers<'h> {
    fn of_mcp(all: impl IntoIterator<Item = (&'h str, &'h [u8])>) -> Self {
        let is_ours = |name: &str| name.as_bytes().get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"mcp-"));
        Headers(all.into_iter().filter(|(name, _)| is_ours(name)).collect())
    }

    /// The decoded value of a header that may occur at most once.
    fn get(&self, name: &str) -> Result<Option<Cow<'h, str>>, Mismatch> {
        let mut values = self.0.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| *value);
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(Mismatch::new(name, Problem::Repeated));
        }
        decode(value).map(Some).ok_or_else(|| Mismatch::new(name, Problem::Malformed))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Limits;

    fn message(text: &str) -> Message {
        Message::parse(text.to_owned(), &Limits::default()).unwrap()
    }

    fn checked(headers: &[(&str, &str)], body: &str) -> Result<(), (String, Problem)> {
        let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
        check(headers, &message(body)).map_err(|mismatch| (mismatch.header, mismatch.problem))
    }

    const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"\u00e9cho","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
    const VERSION: (&str, &str) = ("MCP-Protocol-Version", "2026-07-28");
    const CALLS: (&str, &str) = ("Mcp-Method", "tools/call");
    const ECHO: (&str, &str) = ("Mcp-Name", "=?base64?w6ljaG8=?=");

    #[test]
    fn headers_are_held_against_the_body() {
        let wrong = |header: &str, problem| Err((header.to_owned(), problem));
        let bare = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
        let notice = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
        let answer = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
        type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, Result<(), (String, Problem)>);
        let cases: [Case<'_>; 16] = [
            (&[VERSION, CALLS, ECHO], CALL, Ok(())),
            (&[ECHO, ("MCP-METHOD", " tools/call\t"), VERSION], CALL, Ok(())),
            (&[CALLS, ECHO], CALL, wrong(PROTOCOL_VERSION, Problem::Missing)),
            (&[("mcp-protocol-version", "2025-11-25"), CALLS, ECHO], CALL, wrong(PROTOCOL_VERSION, Problem::Differs)),
            (&[VERSION, ECHO], CALL, wrong(METHOD, Problem::Missing)),
            (&[VERSION, ("mcp-method", "TOOLS/CALL"), ECHO], CALL, wrong(METHOD, Problem::Differs)),
            (&[VERSION, CALLS, CALLS, ECHO], CALL, wrong(METHOD, Problem::Repeated)),
            (&[VERSION, CALLS], CALL, wrong(NAME, Problem::Missing)),
            (&[VERSION, CALLS, ("mcp-name", "echo")], CALL, wrong(NAME, Problem::Differs)),
            (&[VERSION, CALLS, ("mcp-name", "=?base64?w6ljaG8?=")], CALL, wrong(NAME, Problem::Malformed)),
            (&[VERSION, CALLS, ("mcp-name", "\u{e9}cho")], CALL, wrong(NAME, Problem::Malformed)),
            (&[("mcp-method", "tools/list")], bare, Ok(())),
            (&[("mcp-method", "tools/list"), ("mcp-name", "x")], bare, Ok(())),
            (&[], notice, Ok(())),
            (&[CALLS], notice, wrong(METHOD, Problem::Differs)),
            (&[CALLS], answer, Ok(())),
        ];
        for (headers, body, expected) in cases {
            assert_eq!(checked(headers, body), expected, "{headers:?} {body}");
        }
    }

    #[test]
    fn names_come_from_where_the_method_says() {
        let cases = [
            ("tools/call", r#"{"name":"a","uri":"b","taskId":"c"}"#, Some("a")),
            ("prompts/get", r#"{"name":"a","uri":"b","taskId":"c"}"#, Some("a")),
            ("resources/read", r#"{"name":"a","uri":"b","taskId":"c"}"#, Some("b")),
            ("tasks/get", r#"{"name":"a","uri":"b","taskId":"c"}"#, Some("c")),
            ("tasks/update", r#"{"name":"a","uri":"b","taskId":"c"}"#, Some("c")),
            ("tasks/cancel", r#"{"name":"a","uri":"b","taskId":"c"}"#, Some("c")),
            ("tasks/result", r#"{"taskId":"c"}"#, None),
            ("tools/list", r#"{"name":"a"}"#, None),
            ("tasks/get", r#"{"taskId":1}"#, None),
            ("tools/call", "{}", None),
        ];
        for (method, params, expected) in cases {
            let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
            assert_eq!(expected_name(&message(&text)).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_sent_upstream_passes_the_check() {
        let sent = regenerate(&message(CALL));
        assert_eq!(
            sent,
            [
                (PROTOCOL_VERSION, "2026-07-28".to_owned()),
                (METHOD, "tools/call".to_owned()),
                (NAME, "=?base64?w6ljaG8=?=".to_owned()),
            ]
        );
        assert!(regenerate(&message(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#)).is_empty());
    }

    #[test]
    fn values_are_encoded_when_a_header_could_not_carry_them() {
        let cases = [
            ("us-west1", "us-west1"),
            ("a b", "a b"),
            ("", "=?base64??="),
            (" a", "=?base64?IGE=?="),
            ("a ", "=?base64?YSA=?="),
            ("a\tb", "=?base64?YQli?="),
            ("a\r\nEvil: 1", "=?base64?YQ0KRXZpbDogMQ==?="),
            ("=?base64?YQ==?=", "=?base64?PT9iYXNlNjQ/WVE9PT89?="),
            ("=?base64?YQ==", "=?base64?YQ=="),
            ("=?BASE64?YQ==?=", "=?base64?PT9CQVNFNjQ/WVE9PT89?="),
            ("=?Base64?YQ==", "=?Base64?YQ=="),
        ];
        for (text, value) in cases {
            assert_eq!(encode(text), value);
            assert_eq!(decode(value.as_bytes()).as_deref(), Some(text));
        }
    }

    #[test]
    fn values_encoded_wrongly_are_refused() {
        // Without padding, outside the alphabet, with bits left over, not UTF-8, plain but not ASCII, control characters.
        let cases: [&[u8]; 7] = [
            b"=?base64?SGVsbG8?=",
            b"=?base64?SGVs!!!bG8=?=",
            b"=?base64?YR==?=",
            b"=?base64?/w==?=",
            b"caf\xc3\xa9",
            b"\xff",
            b"a\0b",
        ];
        for value in cases {
            assert_eq!(decode(value), None, "{value:?}");
        }
        assert_eq!(decode(b"SGVsbG8").as_deref(), Some("SGVsbG8"));
        assert_eq!(decode(b"=?BASE64?YQ==?=").as_deref(), Some("=?BASE64?YQ==?="));
    }

    #[test]
    fn what_is_encoded_for_some_and_text_for_others_is_noticed() {
        for value in ["=?BASE64?YQ==?=", " =?Base64?YQ==?=\t", "=?basE64??="] {
            assert!(is_ambiguous(value.as_bytes()), "{value}");
        }
        for value in [
            "=?base64?YQ==?=",
            "=?BASE64?YQ==",
            "BASE64?YQ==?=",
            "=?BASE64?=",
            "x =?BASE64?YQ==?=",
            "=?UTF-8?B?YQ==?=",
            "",
        ] {
            assert!(!is_ambiguous(value.as_bytes()), "{value}");
        }
        // Beside a body it is compared as the text that it is.
        let called = |name: &str| CALL.replace("\\u00e9cho", name);
        let named = ("mcp-name", "=?BASE64?YQ==?=");
        assert_eq!(checked(&[VERSION, CALLS, named], &called("=?BASE64?YQ==?=")), Ok(()));
        assert_eq!(checked(&[VERSION, CALLS, named], &called("a")), Err((NAME.to_owned(), Problem::Differs)));
    }

    proptest! {
        #[test]
        fn every_text_survives_a_header(text in any::<String>()) {
            let value = encode(&text);
            prop_assert!(value.bytes().all(|byte| (0x20..0x7F).contains(&byte)));
            let decoded = decode(value.as_bytes());
            prop_assert_eq!(decoded.as_deref(), Some(&*text));
        }

        #[test]
        fn every_call_passes_with_the_headers_made_from_it(name in any::<String>()) {
            let text = format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{{"uri":{}}}}}"#,
                crate::quote(&name)
            );
            let message = message(&text);
            let headers = regenerate(&message);
            let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
            prop_assert_eq!(check(headers, &message), Ok(()));
        }
    }
}
