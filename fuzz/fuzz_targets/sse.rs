//! Server-sent events: however a stream is cut into pieces the events are the same, and what is written reads back.
#![no_main]

use bartizan_mcp::sse::{Decoder, Event, Fault, encode};
use libfuzzer_sys::fuzz_target;

/// Small enough that the fuzzer reaches it.
const LIMIT: usize = 512;

fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = input;
    let whole = decode(bytes, bytes.len().max(1), LIMIT);
    assert_eq!(whole, decode(bytes, 1, LIMIT), "byte by byte");
    assert_eq!(whole, decode(bytes, usize::from(size).max(1), LIMIT), "in pieces of {size}");
    for event in &whole.0 {
        assert!(event.data.len() <= LIMIT, "an event stays within the bound");
    }
    round_trip(bytes);
});

fn decode(bytes: &[u8], piece: usize, limit: usize) -> (Vec<Event>, Option<Fault>) {
    let mut decoder = Decoder::new(limit);
    let mut events = Vec::new();
    for piece in bytes.chunks(piece) {
        decoder.push(piece);
        loop {
            match decoder.next() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(fault) => return (events, Some(fault)),
            }
        }
    }
    (events, None)
}

/// A carriage return is a line end in a stream and comes back as a line feed, which in JSON means the same.
fn round_trip(data: &[u8]) {
    let expected: Vec<u8> = data.iter().map(|&byte| if byte == b'\r' { b'\n' } else { byte }).collect();
    let (events, fault) = decode(&encode(Some("7"), data), 16, usize::MAX);
    assert_eq!(fault, None);
    let [event] = events.as_slice() else { panic!("one event became {}", events.len()) };
    assert_eq!((event.id.as_deref(), event.data.as_ref()), (Some("7"), expected.as_slice()));
}
