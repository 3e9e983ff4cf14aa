//! The id of what is refused: whoever reads the message at all finds the same one, and no later part of a message changes
//! it into another.
#![no_main]

use bartizan_gateway::fuzzing::ids;
use bartizan_mcp::{Limits, Message};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

fuzz_target!(|input: (u16, &[u8])| {
    let (at, bytes) = input;
    let (asking, answered) = ids(bytes, false);
    assert!(asking.is_none() || asking == answered, "a request has one id");
    if let (Some(id), Ok(read)) = (&answered, serde_json::from_slice::<Map<String, Value>>(bytes)) {
        assert_eq!(read.get("id").map(Value::to_string).as_ref(), Some(id), "another reader finds it too");
    }
    if let Ok(message) = Message::parse(bytes.to_vec(), &Limits::default()) {
        let id = message.id().map(|id| id.to_json().to_string());
        assert!(answered.is_none() || answered == id, "the strict reader finds {id:?}, this one {answered:?}");
        assert!(!message.is_response() || asking.is_none(), "an answer asks nothing");
    }
    let (beginning, _) = bytes.split_at(usize::from(at).min(bytes.len()));
    if let ((_, Some(early)), Some(late)) = (ids(beginning, true), &answered) {
        assert_eq!(&early, late, "the beginning had another one");
    }
});
