//! Keeps the requests of several clients apart on one child process.
//!
//! Ids and progress tokens are each client's own choice, and most clients count from one. Whoever asks under an id
//! that is in use gets another one on the wire, and the answer comes back under the client's own. Where nothing
//! collides nothing is changed.

use bartizan_mcp::{Edits, Id, Limits, Message, meta, meta::Meta};
use bytes::Bytes;

/// What a client chose and the wire does not carry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Chosen {
    /// Its id, if another one stands on the wire.
    pub(super) id: Option<Id>,
    /// Its progress token as JSON, if another one stands on the wire.
    pub(super) token: Option<Box<str>>,
}

/// The progress token of a request, as JSON.
pub(super) fn token(request: &Message) -> Option<&str> {
    Some(Meta::of(request).get(meta::PROGRESS_TOKEN)?.raw())
}

/// The request as it goes on the wire.
pub(super) fn outward(request: &Message, chosen: &Chosen, id: &Id, wire_token: Option<&str>) -> Bytes {
    let mut edits = Edits::new();
    if let (Some(_), Some(own)) = (&chosen.id, request.root().get("id")) {
        edits.set_json(own.id(), id.to_json());
    }
    if let (Some(_), Some(wire), Some(own)) = (&chosen.token, wire_token, Meta::of(request).get(meta::PROGRESS_TOKEN)) {
        edits.set_json(own.id(), wire);
    }
    if edits.is_empty() { request.bytes().clone() } else { edits.apply(request.document()) }
}

/// The child's message as the client is to see it.
pub(super) fn inward(message: Message, chosen: &Chosen, id: &Id, limits: &Limits) -> Message {
    let mut edits = Edits::new();
    if let Some(own) = &chosen.id {
        if let Some(at) = message.root().get("id").filter(|_| message.is_response()) {
            edits.set_json(at.id(), own.to_json());
        }
        let subscription = Meta::of(&message).get(meta::SUBSCRIPTION_ID);
        if let Some(at) = subscription.filter(|at| Id::read(*at).as_ref() == Some(id)) {
            edits.set_json(at.id(), own.to_json());
        }
    }
    if let (Some(own), Some(at)) = (&chosen.token, progress_token(&message)) {
        edits.set_json(at.id(), &**own);
    }
    if edits.is_empty() {
        return message;
    }
    // Only a message at the very limit can have outgrown it; then its reader finds that it answers nothing.
    message.edited(&edits, limits).unwrap_or(message)
}

/// The token that a progress notification carries.
pub(super) fn progress_token(message: &Message) -> Option<bartizan_mcp::Value<'_>> {
    message.params().filter(|_| message.method() == Some("notifications/progress"))?.get("progressToken")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Message {
        Message::parse(text.to_owned(), &Limits::default()).unwrap()
    }

    #[test]
    fn what_collides_is_replaced_and_comes_back() {
        let chosen = Chosen { id: Some(Id::from(1)), token: Some(r#""t""#.into()) };
        let (id, token) = (Id::from("wire"), Some("7"));
        let request = r#"{ "jsonrpc":"2.0","id":1,"method":"x","params":{"n":1.0,"_meta":{"progressToken":"t"}}}"#;
        let sent = r#"{ "jsonrpc":"2.0","id":"wire","method":"x","params":{"n":1.0,"_meta":{"progressToken":7}}}"#;
        assert_eq!(outward(&message(request), &chosen, &id, token), sent);
        let cases = [
            (
                r#"{"jsonrpc":"2.0","id":"wire","result":{"id":"wire"}}"#,
                r#"{"jsonrpc":"2.0","id":1,"result":{"id":"wire"}}"#,
            ),
            (
                r#"{"jsonrpc":"2.0","id":"wire","error":{"code":1,"message":"m"}}"#,
                r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"m"}}"#,
            ),
            (
                r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":7,"progress":0.0}}"#,
                r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t","progress":0.0}}"#,
            ),
            (
                r#"{"jsonrpc":"2.0","method":"n","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"wire"}}}"#,
                r#"{"jsonrpc":"2.0","method":"n","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":1}}}"#,
            ),
            // A request of the child's own has an id of its own.
            (
                r#"{"jsonrpc":"2.0","id":"wire","method":"roots/list"}"#,
                r#"{"jsonrpc":"2.0","id":"wire","method":"roots/list"}"#,
            ),
        ];
        for (came, seen) in cases {
            assert_eq!(inward(message(came), &chosen, &id, &Limits::default()).bytes(), seen);
            assert_eq!(inward(message(came), &Chosen::default(), &id, &Limits::default()).bytes(), came);
        }
        assert_eq!(outward(&message(request), &Chosen::default(), &Id::from(1), None), request);
    }
}
