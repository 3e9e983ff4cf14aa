//! The two servers, which speak MCP over stdio: one message a line.

mod honest;
mod hostile;

use std::io::{self, BufRead, Write};

use bartizan_mcp::quote;
use serde_json::{Value, json};

/// Which server to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Does what it says.
    Honest,
    /// Tries what servers should not.
    Hostile,
}

impl Role {
    /// Its name in the configuration, in records and in the output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Role::Honest => "honest",
            Role::Hostile => "hostile",
        }
    }
}

/// Answers requests until the input ends.
///
/// # Errors
/// If nobody reads the answers any more, or the input cannot be read.
pub fn serve(role: Role, input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    let mut server: Box<dyn Server> = match role {
        Role::Honest => Box::new(honest::Honest::default()),
        Role::Hostile => Box::new(hostile::Hostile::default()),
    };
    for line in input.lines() {
        let Ok(message) = serde_json::from_str::<Value>(&line?) else { continue };
        let (Some(id), Some(method)) = (message.get("id"), message.get("method").and_then(Value::as_str)) else {
            continue;
        };
        let params = message.get("params").unwrap_or(&Value::Null);
        let answer = match method {
            "initialize" => Ok(Answer::from(hello(role, &*server, params))),
            "ping" => Ok(Answer::from(json!({}))),
            _ => server.answer(method, params),
        };
        let (body, notification) = match answer {
            Ok(answer) => (format!(r#""result":{}"#, answer.result), answer.notification),
            Err(refused) => (format!(r#""error":{{"code":{},"message":{}}}"#, refused.code, quote(&refused.why)), None),
        };
        writeln!(output, r#"{{"jsonrpc":"2.0","id":{id},{body}}}"#)?;
        if let Some(method) = notification {
            writeln!(output, r#"{{"jsonrpc":"2.0","method":"{method}"}}"#)?;
        }
        output.flush()?;
    }
    Ok(())
}

/// What a server does besides starting and answering pings.
trait Server {
    /// What it can do, as `initialize` says it.
    fn capabilities(&self) -> Value;

    /// Answers a request.
    fn answer(&mut self, method: &str, params: &Value) -> Result<Answer, Refused>;
}

/// A result, as JSON text because a hostile one need not be a sound value; and what is announced after it.
struct Answer {
    result: String,
    notification: Option<&'static str>,
}

impl From<Value> for Answer {
    fn from(result: Value) -> Self {
        Answer { result: result.to_string(), notification: None }
    }
}

/// An error of JSON-RPC.
struct Refused {
    code: i64,
    why: String,
}

impl Refused {
    fn method(method: &str) -> Self {
        Refused { code: -32_601, why: format!("there is no method {method}") }
    }

    fn params(why: impl Into<String>) -> Self {
        Refused { code: -32_602, why: why.into() }
    }
}

const REVISIONS: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

fn hello(role: Role, server: &dyn Server, params: &Value) -> Value {
    let asked = params.get("protocolVersion").and_then(Value::as_str);
    let [latest, ..] = REVISIONS;
    let revision = REVISIONS.into_iter().find(|revision| asked == Some(revision)).unwrap_or(latest);
    json!({
        "protocolVersion": revision, "capabilities": server.capabilities(),
        "serverInfo": {"name": format!("bartizan-demo-{}", role.name()), "version": env!("CARGO_PKG_VERSION")},
    })
}

/// A result of one text.
fn text(text: &str) -> Value {
    json!({"content": [{"type": "text", "text": text}]})
}

/// The schema of an object with these members, all of them required.
fn object(properties: &Value) -> Value {
    let names: Vec<_> = properties.as_object().into_iter().flat_map(|members| members.keys()).collect();
    json!({"type": "object", "properties": properties, "required": names, "additionalProperties": false})
}

/// The tool that `tools/call` names, and its arguments.
fn called(params: &Value) -> (&str, &Value) {
    let name = params.get("name").and_then(Value::as_str).unwrap_or_default();
    (name, params.get("arguments").unwrap_or(&Value::Null))
}
