//! One MCP client: its session, its calls, and the check that an answer is the right one.

use std::borrow::Cow;

use anyhow::{Context as _, Result, anyhow, bail};
use bartizan_bench::{Era, STATELESS_VERSION};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::http::Http;
use crate::payload::{Payload, client_info, meta};
use crate::stdio::Stdio;

/// What carries the messages of one client.
pub(crate) enum Transport {
    Http(Http),
    Stdio(Stdio),
}

/// A message on its way out, with what a transport may have to say about it beside the body.
pub(crate) struct Outgoing<'a> {
    pub(crate) body: Bytes,
    pub(crate) method: &'static str,
    pub(crate) name: Option<&'a str>,
}

/// A client on a connection of its own.
pub(crate) struct Client {
    transport: Transport,
    protocol: String,
    era: Era,
    next_id: u64,
    checked: bool,
}

impl Client {
    pub(crate) fn new(transport: Transport, protocol: &str, era: Era) -> Self {
        Client { transport, protocol: protocol.to_owned(), era, next_id: 1, checked: false }
    }

    /// The server's process, when this client started it.
    pub(crate) fn server_pid(&self) -> Option<u32> {
        match &self.transport {
            Transport::Http(_) => None,
            Transport::Stdio(stdio) => stdio.pid(),
        }
    }

    /// Opens the session; in the stateless era, asks what the server is, as a client does.
    pub(crate) async fn open(&mut self) -> Result<()> {
        if self.era == Era::Stateless {
            self.set_version(STATELESS_VERSION)?;
            self.ask("server/discover", json!({ "_meta": meta() })).await?;
            return Ok(());
        }
        let asked = json!({ "protocolVersion": self.protocol, "capabilities": {}, "clientInfo": client_info() });
        let result = self.ask("initialize", asked).await?;
        let version = result.get("protocolVersion").and_then(Value::as_str);
        self.set_version(version.context("initialize: no protocol version")?)?;
        let body = Bytes::from_static(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        let notice = Outgoing { body, method: "notifications/initialized", name: None };
        match &mut self.transport {
            Transport::Http(http) => http.notify(notice).await,
            Transport::Stdio(stdio) => stdio.send(&notice.body).await,
        }
    }

    /// Reads the tools, as clients do before they call one.
    pub(crate) async fn list_tools(&mut self) -> Result<()> {
        let params = if self.era == Era::Stateless { json!({ "_meta": meta() }) } else { json!({}) };
        let result = self.ask("tools/list", params).await?;
        match result.get("tools").and_then(Value::as_array) {
            Some(tools) if !tools.is_empty() => Ok(()),
            _ => bail!("tools/list: no tools"),
        }
    }

    /// Calls the tool once. The first answer is checked in full, later ones for being such a result.
    pub(crate) async fn call(&mut self, payload: &Payload) -> Result<()> {
        let id = self.id();
        let name = Some(&*payload.tool);
        let reply = self.exchange(id, Outgoing { body: payload.with_id(id), method: "tools/call", name }).await?;
        let Some(result) = result_of(&reply, id)? else { bail!("the call was not answered") };
        if self.checked {
            return looks_good(result, payload.size);
        }
        whole(result, payload.size)?;
        self.checked = true;
        Ok(())
    }

    /// Ends the session, as a tidy client does. Its failure is of no interest.
    pub(crate) async fn close(self) {
        match self.transport {
            Transport::Http(http) => http.close().await,
            Transport::Stdio(stdio) => stdio.close().await,
        }
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }

    fn set_version(&mut self, version: &str) -> Result<()> {
        match &mut self.transport {
            Transport::Http(http) => http.set_version(version, self.era),
            Transport::Stdio(_) => Ok(()),
        }
    }

    async fn ask(&mut self, method: &'static str, params: Value) -> Result<Value> {
        let id = self.id();
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string();
        let reply = self.exchange(id, Outgoing { body: body.into(), method, name: None }).await;
        let reply = reply.with_context(|| method)?;
        let Some(result) = result_of(&reply, id).with_context(|| method)? else { bail!("{method} was not answered") };
        Ok(serde_json::from_str(result)?)
    }

    async fn exchange(&mut self, id: u64, message: Outgoing<'_>) -> Result<Bytes> {
        match &mut self.transport {
            Transport::Http(http) => http.exchange(message).await,
            Transport::Stdio(stdio) => {
                let mut reply = stdio.exchange(&message.body).await?;
                // Over stdio a server may say something else first.
                while result_of(&reply, id)?.is_none() {
                    reply = stdio.next().await?;
                }
                Ok(reply)
            }
        }
    }
}

/// Just enough of a JSON-RPC message to know whether it is the good answer.
#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct CallResult<'a> {
    #[serde(borrow, default)]
    content: Vec<Content<'a>>,
    #[serde(default, rename = "isError")]
    is_error: bool,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow, default)]
    text: Cow<'a, str>,
}

/// The result that answers `id`; `None` when the message is one the server began.
fn result_of(reply: &[u8], id: u64) -> Result<Option<&str>> {
    let text = std::str::from_utf8(reply).context("an answer that is not UTF-8")?;
    let reply: Reply<'_> = serde_json::from_str(text).map_err(|error| anyhow!("{error}: {}", clip(text)))?;
    if reply.method.is_some() {
        return Ok(None);
    }
    if let Some(error) = reply.error {
        bail!("JSON-RPC error: {}", clip(error.get()));
    }
    if reply.id.is_none_or(|got| got.get().parse() != Ok(id)) {
        bail!("an answer with another id: {}", clip(text));
    }
    match reply.result {
        Some(result) => Ok(Some(result.get())),
        None => bail!("no result: {}", clip(text)),
    }
}

fn whole(result: &str, size: usize) -> Result<()> {
    let result: CallResult<'_> = serde_json::from_str(result).context("tool result")?;
    let text = result.content.first().map_or("", |content| &*content.text);
    if result.is_error {
        bail!("the tool failed: {}", clip(text));
    }
    if text.len() != size {
        bail!("{} bytes came back, not {size}", text.len());
    }
    Ok(())
}

fn looks_good(result: &str, size: usize) -> Result<()> {
    let bytes = result.as_bytes();
    let tail = bytes.get(bytes.len().saturating_sub(200)..).unwrap_or(bytes);
    let failed = tail.windows(14).any(|window| window == br#""isError":true"#);
    if bytes.len() < size || failed {
        bail!("a result that is not the echo: {}", clip(result));
    }
    Ok(())
}

/// The beginning of a text, short enough for a report.
pub(crate) fn clip(text: &str) -> String {
    text.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(reply: &str, expected: Option<Option<&str>>) {
        assert_eq!(result_of(reply.as_bytes(), 3).ok(), expected, "{reply}");
    }

    #[test]
    fn only_the_result_of_that_id_is_good() {
        check(r#"{"jsonrpc":"2.0","id":3,"result":{}}"#, Some(Some("{}")));
        check(r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#, Some(None));
        check(r#"{"jsonrpc":"2.0","id":3,"method":"ping"}"#, Some(None));
        check(r#"{"jsonrpc":"2.0","id":4,"result":{}}"#, None);
        check(r#"{"jsonrpc":"2.0","id":"3","result":{}}"#, None);
        check(r#"{"jsonrpc":"2.0","id":3,"error":{"code":1}}"#, None);
        check(r#"{"jsonrpc":"2.0","id":3}"#, None);
        check("<html>", None);
    }

    #[test]
    fn a_result_is_the_echo_or_an_error() {
        let good = r#"{"content":[{"type":"text","text":"abc\n"}],"isError":false}"#;
        assert!(whole(good, 4).is_ok() && looks_good(good, 4).is_ok());
        assert!(whole(good, 5).is_err());
        let failed = r#"{"content":[{"type":"text","text":"abcd"}],"isError":true}"#;
        assert!(whole(failed, 4).is_err() && looks_good(failed, 4).is_err());
        assert!(looks_good(r#"{"content":[]}"#, 100).is_err());
    }
}
