//! What a server is told of a client's HTTP request: made anew from the message, nothing else gets across.

use bartizan_mcp::{Message, Revision, header as mcp_header};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::event_id::LAST_EVENT;

const VERSION: &str = "mcp-protocol-version";

/// What of a client's HTTP request concerns the server as well; everything else of it stays behind.
#[derive(Debug, Default, Clone)]
pub struct Relay {
    /// `MCP-Protocol-Version`, checked.
    pub version: Option<HeaderValue>,
    /// Where to resume a stream.
    pub last_event_id: Option<HeaderValue>,
    /// `Mcp-Method`, `Mcp-Name` and `Mcp-Param-*`, made anew from the message.
    pub routing: Vec<(HeaderName, HeaderValue)>,
}

impl Relay {
    /// The revision that the client's header names, if it is one.
    pub(crate) fn revision(&self) -> Option<Revision> {
        self.version.as_ref()?.to_str().ok()?.parse().ok()
    }
}

/// What the server is told of the client's request, made anew.
pub(crate) fn of(headers: &HeaderMap, message: &Message) -> Relay {
    let mut relay = of_stream(headers);
    relay.last_event_id = None;
    if headers.contains_key(mcp_header::METHOD) {
        relay.routing.extend(routing(message));
        relay.routing.extend(params(headers));
    }
    relay
}

/// The headers for single arguments, as they came.
pub(crate) fn params(headers: &HeaderMap) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let params = headers.iter().filter(|(name, _)| name.as_str().starts_with(mcp_header::PARAM_PREFIX));
    params.map(|(name, value)| (name.clone(), value.clone()))
}

/// The headers of the stateless era by which a message is routed, as its body wants them; the version is not among
/// them, since that is agreed on once.
pub(crate) fn routing(message: &Message) -> impl Iterator<Item = (HeaderName, HeaderValue)> + use<> {
    let made = mcp_header::regenerate(message).into_iter().filter(|(name, _)| *name != mcp_header::PROTOCOL_VERSION);
    made.filter_map(|(name, value)| Some((HeaderName::from_static(name), HeaderValue::try_from(value).ok()?)))
}

/// The same for the stream that no request asked for.
pub(crate) fn of_stream(headers: &HeaderMap) -> Relay {
    let last_event_id = headers.get(LAST_EVENT).cloned();
    Relay { version: headers.get(VERSION).cloned(), last_event_id, routing: Vec::new() }
}
