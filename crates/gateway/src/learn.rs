//! Learns a server's tools before the first call of one, if nobody has listed them in this session.
//!
//! **Threat.** A client that remembers tools from an earlier session calls one at once, and the server has changed it
//! meanwhile: neither the approved definition nor the schema could be held against the call. So the gateway lists the
//! tools itself, on the client's account and judged like any list; what it brings is remembered, not delivered.

use std::sync::Arc;
use std::time::Duration;

use bartizan_guard::DefinitionKind;
use bartizan_mcp::{Limits, Message, Value, meta, method, quote};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::admit::Admitted;
use crate::exchange;
use crate::link::Link;
use crate::upstream::Relay;

/// How long the call waits for that; then it is judged without.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a server that did not list its tools is not asked again.
const AGAIN: Duration = Duration::from_secs(30);
/// Pages of one list.
const PAGES: usize = 100;

/// How far one session has got. Whoever needs the tools holds it while they are listed, so that calls which come
/// meanwhile wait as well: none is judged on less than the first.
#[derive(Debug, Default)]
pub(crate) struct Learned(Mutex<State>);

#[derive(Debug, Default)]
enum State {
    #[default]
    Unasked,
    /// The server did not list them.
    Failed(Instant),
    Done,
}

/// How a server is asked on the gateway's account.
#[derive(Clone, Copy)]
pub(crate) enum Way<'a> {
    /// By an exchange of its own, with the particulars of the client's.
    Exchange(&'a Arc<Link>, &'a Relay),
    /// In the one stream of a client over stdio.
    Stream(&'a Link),
}

impl Way<'_> {
    fn link(&self) -> &Link {
        match self {
            Way::Exchange(link, _) => link,
            Way::Stream(link) => link,
        }
    }

    /// The answer, judged like any, if there is one that may be read.
    async fn ask(&self, request: Message) -> Option<Admitted> {
        match self {
            Way::Exchange(link, relay) => exchange::ask(link, request, relay).await,
            Way::Stream(link) => link.ask_own(request).await,
        }
    }
}

/// Lists the tools if this session has not, before `call` is judged.
pub(crate) async fn before(call: &Message, way: Way<'_>) {
    let link = way.link();
    if call.method() != Some(method::TOOLS_CALL) || !link.session().catalog.lacks(DefinitionKind::Tool) {
        return;
    }
    let mut state = link.learned.0.lock().await;
    match *state {
        State::Done => return,
        State::Failed(at) if at.elapsed() < AGAIN => return,
        _ => {}
    }
    *state = match tokio::time::timeout(PATIENCE, all(call, way)).await {
        Ok(true) => State::Done,
        Ok(false) | Err(_) => {
            tracing::warn!(server = %link.server.name, "the server's tools could not be listed before a call");
            State::Failed(Instant::now())
        }
    };
}

/// Whether the list came to its end.
async fn all(call: &Message, way: Way<'_>) -> bool {
    let mut cursor: Option<String> = None;
    for page in 0..PAGES {
        let Some(request) = request(call, page, cursor.as_deref()) else { return false };
        let Some(answer) = way.ask(request).await else { return false };
        let Some(result) = answer.message().result() else { return false };
        cursor = result.get("nextCursor").and_then(Value::as_str).map(|cursor| cursor.into_owned());
        // Clients take an empty cursor for the end.
        if cursor.as_deref().is_none_or(str::is_empty) {
            return true;
        }
    }
    false
}

/// A request for one page, with the particulars of `call` where its era demands them.
fn request(call: &Message, page: usize, cursor: Option<&str>) -> Option<Message> {
    let said = call.params().and_then(|params| params.get("_meta"));
    let particulars = meta::REQUIRED.iter().chain([&meta::CLIENT_INFO]).filter_map(|key| {
        let value = said?.get(key)?;
        Some(format!("{}:{}", quote(key), value.raw()))
    });
    let particulars: Vec<_> = particulars.collect();
    let mut params = Vec::new();
    if !particulars.is_empty() {
        params.push(format!("\"_meta\":{{{}}}", particulars.join(",")));
    }
    if let Some(cursor) = cursor {
        params.push(format!("\"cursor\":{}", quote(cursor)));
    }
    let params = params.join(",");
    let json =
        format!(r#"{{"jsonrpc":"2.0","id":"bartizan/tools/{page}","method":"tools/list","params":{{{params}}}}}"#);
    Message::parse(json, &Limits::default()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_has_the_particulars_of_its_era() {
        let check = |call: &str, cursor: Option<&str>, expected: &str| {
            let call = Message::parse(call.to_owned(), &Limits::default()).unwrap();
            assert_eq!(request(&call, 0, cursor).unwrap().params().unwrap().raw(), expected);
        };
        let legacy =
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","_meta":{"progressToken":1}}}"#;
        check(legacy, None, "{}");
        check(legacy, Some("\"n"), r#"{"cursor":"\"n"}"#);
        let stateless = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","_meta":{"progressToken":1,"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"roots":{}}}}}"#;
        check(
            stateless,
            None,
            r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"roots":{}}}}"#,
        );
    }
}
