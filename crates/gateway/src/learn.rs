//! Learns what a server lists before the first use of it, if this session has not listed all of it.
//!
//! **Threat.** A client that remembers tools from an earlier session calls one at once, and the server has changed it
//! meanwhile: neither the approved definition nor the schema could be held against the call. So the gateway lists the
//! tools itself, on the client's account and judged like any list; what it brings is remembered, not delivered.
//!
//! Once a tool or prompt is used, all of its kind counts as seen, and what comes later is withheld. A client that reads
//! one page of several and uses something on it would by that withhold the other pages from everybody. So the list is
//! read to its end before, and what was listed counts as all only where that fails.

use std::sync::Arc;
use std::time::Duration;

use bartizan_guard::DefinitionKind;
use bartizan_mcp::{Limits, Message, Value, meta, method, quote};
use tokio::time::Instant;

use crate::admit::Admitted;
use crate::exchange;
use crate::learned::State;
use crate::link::Link;
use crate::random;
use crate::relay::Relay;

/// How long the call waits for that; then it is judged without.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a server that did not come to the end of a list is not asked again.
const AGAIN: Duration = Duration::from_secs(30);
/// Pages of one list.
const PAGES: usize = 100;

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

/// Lists what `call` is one of, if that is needed before it is judged.
pub(crate) async fn before(call: &Message, way: Way<'_>) {
    let link = way.link();
    if let Some(kind) = needed(call, link) {
        // Rare, and large.
        Box::pin(list(kind, call, way)).await;
    }
}

async fn list(kind: DefinitionKind, call: &Message, way: Way<'_>) {
    let link = way.link();
    let mut learned = link.learned.0.lock().await;
    let key = (kind, link.abilities());
    match learned.get(&key) {
        Some(State::Done) => return,
        Some(State::Failed(at)) if at.elapsed() < AGAIN => return,
        _ => {}
    }
    let state = match tokio::time::timeout(PATIENCE, all(kind, call, way)).await {
        Ok(true) => State::Done,
        Ok(false) | Err(_) => {
            let (server, what) = (&link.server.name, kind.list_member());
            tracing::warn!(%server, %what, "a list could not be read to its end before the first use of something on it");
            State::Failed(Instant::now())
        }
    };
    learned.insert(key, state);
}

/// What has to be listed before `call` is judged: tools of which this one is not known, and tools and prompts that
/// would count as all there are because one of them is used.
fn needed(call: &Message, link: &Link) -> Option<DefinitionKind> {
    let kind = match call.method()? {
        method::TOOLS_CALL => DefinitionKind::Tool,
        method::PROMPTS_GET => DefinitionKind::Prompt,
        _ => return None,
    };
    link.note_abilities(call);
    let catalog = &link.session().catalog;
    let known = call.param("name").is_some_and(|name| catalog.get(kind, &name).is_some());
    let unknown = kind == DefinitionKind::Tool && !known;
    let completes = || !catalog.lacks(kind) && !link.profile().pins.is_complete(kind);
    (unknown || completes()).then_some(kind)
}

/// Whether the list came to its end.
async fn all(kind: DefinitionKind, call: &Message, way: Way<'_>) -> bool {
    let mut cursor: Option<String> = None;
    let Ok(key) = random::key() else { return false };
    for page in 0..PAGES {
        let id = format!("bartizan/{}/{page}/{key}", kind.list_member());
        let Some(request) = request(kind, call, &id, cursor.as_deref()) else { return false };
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
///
/// Its id is one that a client cannot have in use: it would go on without having been read otherwise.
fn request(kind: DefinitionKind, call: &Message, id: &str, cursor: Option<&str>) -> Option<Message> {
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
    let list = kind.list_member();
    let json = format!(r#"{{"jsonrpc":"2.0","id":{},"method":"{list}/list","params":{{{params}}}}}"#, quote(id));
    Message::parse(json, &Limits::default()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_has_the_particulars_of_its_era() {
        let check = |call: &str, cursor: Option<&str>, expected: &str| {
            let call = Message::parse(call.to_owned(), &Limits::default()).unwrap();
            assert_eq!(request(DefinitionKind::Tool, &call, "i", cursor).unwrap().params().unwrap().raw(), expected);
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
