//! The protocol half that the HTTP and the stdio upstream share.
//!
//! It is deliberately the cheapest server that is still correct: a request is read once, values it does not need
//! stay raw JSON, and the echoed text is spliced into the answer without being unescaped or escaped again. What a
//! measurement shows above the direct figure is therefore the gateway's.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::value::RawValue;

/// The revision answered when a client asks for one this server does not know.
pub const SESSION_VERSION: &str = "2025-11-25";
/// The stateless revision: no handshake, no session, metadata in every request.
pub const STATELESS_VERSION: &str = "2026-07-28";

const SESSION_VERSIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", SESSION_VERSION];
const SERVER_INFO: &str = r#"{"name":"bench-upstream","version":"0.1.0"}"#;
const CACHE_HINTS: &str = r#","ttlMs":60000,"cacheScope":"public""#;
const PROSE: &[u8] = b"The quick brown fox jumps over the lazy dog while it reads the report. ";

/// What a call carries by default: ordinary text with quotes and line ends, so that a gateway has something to unescape.
const REPORT: &str = "The quarterly report says that \"net revenue\" rose by 4.2 percent.\nIt was read by the whole \
team on Monday, and each of them left a comment about the forecast for next year.\n";

/// The first `size` bytes of a text of any length.
pub fn report(size: usize) -> String {
    REPORT.chars().cycle().take(size).collect()
}

/// `size` bytes of the words of that text in an order of its own for each number; nothing in it has to be escaped.
pub fn words(size: usize, number: u64) -> String {
    let all: Vec<&str> =
        REPORT.split_whitespace().filter(|word| word.bytes().all(|byte| byte.is_ascii_lowercase())).collect();
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut text = String::with_capacity(size + 16);
    while text.len() < size {
        // Knuth's generator of 64 bits, of which the upper ones are good.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = usize::try_from(state >> 33).unwrap_or_default().checked_rem(all.len()).unwrap_or_default();
        text.push_str(all.get(at).copied().unwrap_or_default());
        text.push(' ');
    }
    text.truncate(size);
    text
}

/// Which half of the protocol's history a message belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Era {
    /// Revisions up to 2025-11-25, which open with `initialize`.
    Session,
    /// 2026-07-28, in which every request stands alone.
    Stateless,
}

/// What a transport has to know about an answer besides its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A notification or a response: nothing is answered.
    Silent,
    /// `initialize`: the transport opens a session.
    Initialize,
    /// Any other answered request.
    Ordinary,
    /// A method this server does not have.
    UnknownMethod,
}

/// A JSON-RPC message as a client sends it.
#[derive(Deserialize)]
pub struct Request<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Cow<'a, str>,
    #[serde(borrow, default)]
    params: Params<'a>,
}

#[derive(Deserialize, Default)]
struct Params<'a> {
    #[serde(default)]
    name: Option<String>,
    #[serde(borrow, default)]
    arguments: Arguments<'a>,
    #[serde(default, rename = "protocolVersion")]
    protocol_version: Option<String>,
    #[serde(default, rename = "_meta")]
    meta: Meta,
}

#[derive(Deserialize, Default)]
struct Arguments<'a> {
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(default)]
    size: Option<usize>,
}

#[derive(Deserialize, Default)]
struct Meta {
    #[serde(default, rename = "io.modelcontextprotocol/protocolVersion")]
    protocol_version: Option<String>,
}

impl<'a> Request<'a> {
    /// Reads one message; `None` when the bytes are not one.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// The era its `_meta` claims, which over stdio is the only place that says so.
    pub fn era(&self) -> Era {
        match self.params.meta.protocol_version.as_deref() {
            Some(STATELESS_VERSION) => Era::Stateless,
            _ => Era::Session,
        }
    }

    /// `params.name`, which the stateless revision mirrors in a header.
    pub fn name(&self) -> Option<&str> {
        self.params.name.as_deref()
    }

    /// The method, empty for a response.
    pub fn method(&self) -> &str {
        &self.method
    }
}

/// The server's tools, written once.
pub struct Server {
    tools: String,
}

impl Server {
    /// A server whose `tools/list` names `tools` tools; the first two are `echo` and `blob`.
    pub fn new(tools: usize) -> Self {
        let mut list = String::from(
            r#"{"name":"echo","description":"Returns its text.","inputSchema":{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}},{"name":"blob","description":"Returns text of the size asked for.","inputSchema":{"type":"object","properties":{"size":{"type":"integer","minimum":0}},"required":["size"]}}"#,
        );
        for n in 2..tools {
            let _ = write!(
                list,
                r#",{{"name":"tool_{n:04}","description":"Filler tool number {n}; it answers as echo does.","inputSchema":{{"type":"object","properties":{{"text":{{"type":"string","description":"What to return."}}}},"required":["text"]}}}}"#
            );
        }
        Server { tools: list }
    }

    /// Appends the answer to a message, if it has one, to `out`.
    pub fn answer(&self, request: &Request<'_>, era: Era, out: &mut Vec<u8>) -> Kind {
        let (Some(id), false) = (request.id, request.method.is_empty()) else { return Kind::Silent };
        push(out, &[r#"{"jsonrpc":"2.0","id":"#, id.get(), ","]);
        let (complete, cache) = match era {
            Era::Session => ("", ""),
            Era::Stateless => (r#""resultType":"complete","#, CACHE_HINTS),
        };
        match (&*request.method, era) {
            ("initialize", Era::Session) => {
                initialize(request, out);
                return Kind::Initialize;
            }
            ("server/discover", Era::Stateless) => discover(cache, out),
            ("ping", Era::Session) => push(out, &[r#""result":{}}"#]),
            ("tools/call", _) => call(&request.params.arguments, complete, out),
            ("tools/list", _) => list("tools", &self.tools, complete, cache, out),
            // Answered so that a gateway which asks for everything gets an empty list, not an error.
            ("prompts/list", _) => list("prompts", "", complete, cache, out),
            ("resources/list", _) => list("resources", "", complete, cache, out),
            ("resources/templates/list", _) => list("resourceTemplates", "", complete, cache, out),
            _ => {
                push(out, &[r#""error":{"code":-32601,"message":"Method not found"}}"#]);
                return Kind::UnknownMethod;
            }
        }
        Kind::Ordinary
    }
}

fn initialize(request: &Request<'_>, out: &mut Vec<u8>) {
    let asked = request.params.protocol_version.as_deref().unwrap_or(SESSION_VERSION);
    let version = if SESSION_VERSIONS.contains(&asked) { asked } else { SESSION_VERSION };
    let capabilities = r#"","capabilities":{"tools":{"listChanged":false}},"serverInfo":"#;
    push(out, &[r#""result":{"protocolVersion":""#, version, capabilities, SERVER_INFO, "}}"]);
}

fn discover(cache: &str, out: &mut Vec<u8>) {
    let versions = [r#""result":{"resultType":"complete","supportedVersions":[""#, STATELESS_VERSION, r#"",""#];
    push(out, &versions);
    let capabilities = r#""],"capabilities":{"tools":{}},"_meta":{"io.modelcontextprotocol/serverInfo":"#;
    push(out, &[SESSION_VERSION, capabilities, SERVER_INFO, "}", cache, "}}"]);
}

fn list(key: &str, items: &str, complete: &str, cache: &str, out: &mut Vec<u8>) {
    push(out, &[r#""result":{"#, complete, "\"", key, r#"":["#, items, "]", cache, "}}"]);
}

fn call(arguments: &Arguments<'_>, complete: &str, out: &mut Vec<u8>) {
    push(out, &[r#""result":{"#, complete, r#""content":[{"type":"text","text":"#]);
    match (arguments.text, arguments.size) {
        (Some(text), _) => push(out, &[text.get()]),
        (None, size) => {
            out.push(b'"');
            out.extend(PROSE.iter().copied().cycle().take(size.unwrap_or(0)));
            out.push(b'"');
        }
    }
    push(out, &[r#"}],"isError":false}}"#]);
}

fn push(out: &mut Vec<u8>, pieces: &[&str]) {
    for piece in pieces {
        out.extend_from_slice(piece.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(body: &str, era: Era, kind: Kind, pointer: &str, expected: &Value) {
        let request = Request::parse(body.as_bytes()).expect("a message");
        let mut out = Vec::new();
        assert_eq!(Server::new(5).answer(&request, era, &mut out), kind, "{body}");
        let answer: Value = serde_json::from_slice(&out).unwrap_or_default();
        assert_eq!(answer.pointer(pointer).unwrap_or(&Value::Null), expected, "{body} {pointer}");
    }

    #[test]
    fn answers() {
        use Era::{Session, Stateless};
        let echo = r#"{"jsonrpc":"2.0","id":"a\"1","method":"tools/call","params":{"name":"echo","arguments":{"text":"x\n\u00e9\""}}}"#;
        check(echo, Session, Kind::Ordinary, "/id", &json!("a\"1"));
        check(echo, Session, Kind::Ordinary, "/result/content/0/text", &json!("x\né\""));
        check(echo, Session, Kind::Ordinary, "/result/resultType", &Value::Null);
        check(echo, Stateless, Kind::Ordinary, "/result/resultType", &json!("complete"));
        let blob = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"blob","arguments":{"size":5}}}"#;
        check(blob, Session, Kind::Ordinary, "/result/content/0/text", &json!("The q"));
        let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
        check(list, Session, Kind::Ordinary, "/result/tools/4/name", &json!("tool_0004"));
        check(list, Stateless, Kind::Ordinary, "/result/cacheScope", &json!("public"));
        let prompts = r#"{"jsonrpc":"2.0","id":1,"method":"prompts/list"}"#;
        check(prompts, Session, Kind::Ordinary, "/result/prompts", &json!([]));
    }

    #[test]
    fn the_handshake_belongs_to_its_era() {
        use Era::{Session, Stateless};
        let initialize = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}"#;
        check(initialize, Session, Kind::Initialize, "/result/protocolVersion", &json!("2025-06-18"));
        check(initialize, Stateless, Kind::UnknownMethod, "/error/code", &json!(-32601));
        let unknown = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"1999-01-01"}}"#;
        check(unknown, Session, Kind::Initialize, "/result/protocolVersion", &json!(SESSION_VERSION));
        let discover = r#"{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{}}"#;
        check(discover, Stateless, Kind::Ordinary, "/result/supportedVersions/0", &json!(STATELESS_VERSION));
        check(discover, Session, Kind::UnknownMethod, "/error/code", &json!(-32601));
        let notice = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        check(notice, Session, Kind::Silent, "", &Value::Null);
    }
}
