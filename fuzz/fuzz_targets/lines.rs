//! Lines of stdio: however they arrive they are the same, none is longer than the limit, and each message is one.
#![no_main]

use bartizan_gateway::fuzzing::{line, lines};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

/// Small enough that the fuzzer reaches it.
const LIMIT: usize = 64;

fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = input;
    // How much of a line that is too long has come when that shows depends on the pieces; that it is does not.
    let facts = |size| lines(bytes, size, LIMIT).into_iter().map(|(whole, text)| whole.then_some(text)).collect::<Vec<_>>();
    let found = facts(1);
    assert_eq!(found, facts(usize::from(size)), "in pieces of {size}");
    assert_eq!(found, facts(bytes.len()), "all at once");
    let expected: Vec<_> = bytes
        .split(|&byte| byte == b'\n')
        .filter(|text| text.len() > LIMIT || !text.trim_ascii().is_empty())
        .map(|text| (text.len() <= LIMIT).then(|| Bytes::copy_from_slice(text)))
        .collect();
    assert_eq!(found, expected);
    let one = line(&Bytes::copy_from_slice(bytes));
    assert!(one.iter().position(|&byte| byte == b'\n') == Some(bytes.len()), "a message ends its line and no other");
});
