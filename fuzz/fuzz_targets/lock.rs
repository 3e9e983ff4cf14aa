//! The lock file: any text is refused with its place or read, and what is written says the same again.
#![no_main]

use bartizan_trust::{LockError, rewritten};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match rewritten(text) {
        Ok(written) => assert_eq!(rewritten(&written).ok(), Some(written), "what is written reads back"),
        Err(LockError::Corrupt { line, column, .. }) => {
            assert!(line >= 1 && column >= 1 && line <= text.matches('\n').count() + 1, "{line}:{column}");
        }
        Err(LockError::Newer { version, known, .. }) => assert!(version > known),
        Err(other) => panic!("reading a text cannot fail like this: {other}"),
    }
});
