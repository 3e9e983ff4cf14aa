//! What the gateway says of itself where it asks on its own account, or where no client has said what it is.

use bartizan_mcp::Revision;

/// What it is called, as JSON.
pub(crate) fn info() -> String {
    format!(r#"{{"name":"bartizan","version":"{}"}}"#, env!("CARGO_PKG_VERSION"))
}

/// With what it begins in the legacy era, under an id that is JSON: it can do nothing that a server could ask of it.
pub(crate) fn initialize(id: &str) -> String {
    let (revision, info) = (Revision::LATEST_LEGACY, info());
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"initialize","params":{{"protocolVersion":"{revision}","capabilities":{{}},"clientInfo":{info}}}}}"#
    )
}

/// A request of the stateless era without parameters, under an id that is JSON.
pub(crate) fn stateless(id: &str, method: &str) -> String {
    let (revision, info) = (Revision::V2026_07_28, info());
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{"_meta":{{"io.modelcontextprotocol/protocolVersion":"{revision}","io.modelcontextprotocol/clientCapabilities":{{}},"io.modelcontextprotocol/clientInfo":{info}}}}}}}"#
    )
}

#[cfg(test)]
mod tests {
    use bartizan_mcp::{Kind, Limits, Message, meta::Meta};

    use super::*;

    #[test]
    fn what_it_asks_can_be_read_and_lacks_nothing() {
        for (request, complete) in [(initialize("0"), false), (stateless(r#""probe""#, "server/discover"), true)] {
            let message = Message::parse(request, &Limits::default()).unwrap();
            assert_eq!((message.kind(), Meta::of(&message).missing().is_empty()), (Kind::Request, complete));
        }
    }
}
