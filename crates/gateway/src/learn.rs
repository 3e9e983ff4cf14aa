//! Learns a server's tools before the first call of one, if nobody has listed them in this session.
//!
//! **Threat.** A client that remembers tools from an earlier session calls one at once, and the server has changed it
//! meanwhile: neither the approved definition nor the schema could be held against the call. So the gateway lists the
//! tools itself, on the client's account and judged like any list; what it brings is remembered, not delivered.

use std::sync::Arc;
use std::time::Duration;

use bartizan_guard::DefinitionKind;
use bartizan_mcp::{Limits, Message, Value, meta, method, quote};

use crate::exchange::{self, Delivery};
use crate::link::Link;
use crate::relay;
use crate::upstream::Relay;

/// How long the call waits for that; then it is judged without.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pages of one list.
const PAGES: usize = 100;

/// Lists the tools if this session has not, before `call` is judged.
pub(crate) async fn before(link: &Arc<Link>, call: &Message, relay: &Relay) {
    if call.method() != Some(method::TOOLS_CALL) || !link.session().catalog.lacks(DefinitionKind::Tool) {
        return;
    }
    let learn = async {
        if tokio::time::timeout(PATIENCE, all(link, call, relay)).await.is_err() {
            tracing::warn!(server = %link.server.name, "the server's tools could not be listed before a call");
        }
    };
    // Calls that come meanwhile wait as well: none is judged on less than the first.
    link.learned.get_or_init(|| learn).await;
}

async fn all(link: &Arc<Link>, call: &Message, relay: &Relay) {
    let mut cursor = None;
    for page in 0..PAGES {
        let Some(request) = request(call, page, cursor.as_deref()) else { return };
        let relay = relay_for(&request, relay);
        let Ok(mut exchange) = Box::pin(exchange::begin(link, request, &relay)).await else { return };
        cursor = None;
        while let Some(delivery) = exchange.next().await {
            if let Delivery::Message(message, _) = delivery
                && exchange.is_finished()
            {
                let next = message.message().result().and_then(|result| result.get("nextCursor"));
                cursor = next.and_then(Value::as_str).map(|cursor| cursor.into_owned());
            }
        }
        if cursor.is_none() {
            return;
        }
    }
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

fn relay_for(request: &Message, like: &Relay) -> Relay {
    let mut relay = Relay { version: like.version.clone(), ..Relay::default() };
    if !like.routing.is_empty() {
        relay.routing = relay::routing(request).collect();
    }
    relay
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
