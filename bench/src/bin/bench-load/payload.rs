//! The bytes of a tools/call request, built once and completed with an id for each call.

use bartizan_bench::{Era, STATELESS_VERSION};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::options::{Call, Direction};

/// One request, but for its id.
pub(crate) struct Payload {
    pub(crate) tool: String,
    /// Bytes of text, as they are before JSON escaping.
    pub(crate) size: usize,
    tail: Vec<u8>,
}

impl Payload {
    pub(crate) fn new(call: &Call) -> Self {
        let size = call.payload;
        let arguments = match call.direction {
            Direction::Down => json!({ "size": size }),
            Direction::Both => json!({ "text": bartizan_bench::report(size) }),
        };
        let mut params = json!({ "name": call.tool, "arguments": arguments });
        if call.era() == Era::Stateless
            && let Some(params) = params.as_object_mut()
        {
            params.insert("_meta".to_owned(), meta());
        }
        let tail = format!(r#","method":"tools/call","params":{params}}}"#).into_bytes();
        Payload { tool: call.tool.clone(), size, tail }
    }

    /// The request with this id.
    pub(crate) fn with_id(&self, id: u64) -> Bytes {
        let head = format!(r#"{{"jsonrpc":"2.0","id":{id}"#);
        [head.as_bytes(), &self.tail].concat().into()
    }
}

/// The metadata every request of the stateless revision carries.
pub(crate) fn meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": STATELESS_VERSION,
        "io.modelcontextprotocol/clientInfo": client_info(),
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}

/// Who the load says it is.
pub(crate) fn client_info() -> Value {
    json!({ "name": "bench-load", "version": env!("CARGO_PKG_VERSION") })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bartizan_bench::SESSION_VERSION;

    use super::*;

    fn request(protocol: &str, direction: Direction) -> Value {
        let call = Call {
            protocol: protocol.into(),
            tool: "echo".into(),
            payload: 1000,
            direction,
            timeout: Duration::from_secs(1),
        };
        serde_json::from_slice(&Payload::new(&call).with_id(7)).unwrap()
    }

    #[test]
    fn a_request_carries_the_text_of_that_size() {
        for (protocol, has_meta) in [(SESSION_VERSION, false), (STATELESS_VERSION, true)] {
            let value = request(protocol, Direction::Both);
            assert_eq!(value["id"], 7);
            assert_eq!(value["params"]["arguments"]["text"].as_str().unwrap().len(), 1000);
            assert_eq!(value["params"].get("_meta").is_some(), has_meta);
        }
        assert_eq!(request(SESSION_VERSION, Direction::Down)["params"]["arguments"], json!({ "size": 1000 }));
    }
}
