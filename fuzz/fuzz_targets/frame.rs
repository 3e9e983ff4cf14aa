//! What a bridge and the user's Bartizan say to each other: what is read is what is written, and nothing else is read.
#![no_main]

use bartizan_gateway::fuzzing::{frames, hello};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (count, written) = frames(bytes);
    assert!(bytes.starts_with(&written), "a frame is its bytes");
    assert_eq!(frames(&written), (count, written), "what is written reads back");
    if let Some(again) = hello(bytes) {
        assert_eq!(hello(&again).as_ref(), Some(&again), "a hello that is understood can be said again");
    }
});
