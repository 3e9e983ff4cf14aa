//! The strict scanner: any bytes are either refused or read in exactly one way, and kept as they are.
#![no_main]

use bartizan_mcp::{Digest, Limits, Message};
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits::default();
    let first = Message::parse(bytes.to_vec(), &limits);
    let second = Message::parse(bytes.to_vec(), &limits);
    match (first, second) {
        (Ok(first), Ok(second)) => {
            assert_eq!(first.bytes().as_ref(), bytes, "a message keeps its bytes");
            assert_eq!(facts(&first), facts(&second), "reading twice gives the same");
            assert!(serde_json::from_slice::<IgnoredAny>(bytes).is_ok(), "what is accepted is JSON to others too");
        }
        (Err(first), Err(second)) => {
            assert_eq!(first, second, "refusing twice gives the same");
            assert!(first.offset <= bytes.len(), "a refusal points into the message");
        }
        (first, second) => panic!("read in two ways: {first:?} and {second:?}"),
    }
});

fn facts(message: &Message) -> (String, Digest, Vec<(String, String)>) {
    let document = message.document();
    let parts = message.parts().map(|part| (document.pointer(part.id()), part.text().into_owned())).collect();
    (format!("{message:?}"), Digest::of(message.root()), parts)
}
