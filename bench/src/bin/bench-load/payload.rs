//! The bytes of a tools/call request, built once and completed with an id for each call.

use std::cell::Cell;

use bartizan_bench::{Era, STATELESS_VERSION};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::options::{Call, Direction};

/// One request, but for its id.
pub(crate) struct Payload {
    pub(crate) tool: String,
    /// Bytes of text, as they are before JSON escaping.
    pub(crate) size: usize,
    /// What follows the id; where each call has a text of its own, before and after that.
    tail: Vec<u8>,
    after: Option<Vec<u8>>,
    /// How many texts were made.
    made: Cell<u64>,
}

/// Stands for the text where each call has its own.
const PLACE: &str = "@text@";

impl Payload {
    pub(crate) fn new(call: &Call) -> Self {
        let size = call.payload;
        let arguments = match call.direction {
            Direction::Down => json!({ "size": size }),
            Direction::Both if call.fresh => json!({ "text": PLACE }),
            Direction::Both => json!({ "text": bartizan_bench::report(size) }),
        };
        let mut params = json!({ "name": call.tool, "arguments": arguments });
        if call.era() == Era::Stateless
            && let Some(params) = params.as_object_mut()
        {
            params.insert("_meta".to_owned(), meta());
        }
        let tail = format!(r#","method":"tools/call","params":{params}}}"#);
        let (tail, after) = match tail.split_once(PLACE) {
            Some((before, after)) => (before.to_owned(), Some(after.as_bytes().to_vec())),
            None => (tail, None),
        };
        Payload { tool: call.tool.clone(), size, tail: tail.into_bytes(), after, made: Cell::new(0) }
    }

    /// The request with this id.
    pub(crate) fn with_id(&self, id: u64) -> Bytes {
        let head = format!(r#"{{"jsonrpc":"2.0","id":{id}"#);
        let Some(after) = &self.after else { return [head.as_bytes(), &self.tail].concat().into() };
        self.made.set(self.made.get() + 1);
        let text = bartizan_bench::words(self.size, self.made.get());
        [head.as_bytes(), &self.tail, text.as_bytes(), after].concat().into()
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

    fn payload(protocol: &str, direction: Direction, fresh: bool) -> Payload {
        Payload::new(&Call {
            protocol: protocol.into(),
            tool: "echo".into(),
            payload: 1000,
            direction,
            fresh,
            timeout: Duration::from_secs(1),
        })
    }

    fn sent(payload: &Payload) -> Value {
        serde_json::from_slice(&payload.with_id(7)).unwrap()
    }

    fn request(protocol: &str, direction: Direction) -> Value {
        sent(&payload(protocol, direction, false))
    }

    #[test]
    fn each_call_has_a_text_of_its_own_where_that_is_asked_for() {
        let payload = payload(STATELESS_VERSION, Direction::Both, true);
        let texts = [sent(&payload), sent(&payload)].map(|sent| {
            assert!(sent["params"].get("_meta").is_some());
            sent["params"]["arguments"]["text"].as_str().unwrap().to_owned()
        });
        assert_eq!(texts.each_ref().map(String::len), [1000, 1000]);
        let rows = |text: &str| {
            let words: Vec<_> = text.split(' ').map(str::to_owned).collect();
            words.windows(5).map(<[_]>::to_vec).collect::<std::collections::HashSet<_>>()
        };
        let [one, other] = texts.each_ref().map(|text| rows(text));
        assert!(one.intersection(&other).count() < 5, "{texts:?}");
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
