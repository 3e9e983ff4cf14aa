//! Headers that repeat the body: what is made from a message passes the check against it, and values read back.
#![no_main]

use bartizan_mcp::header::{check, check_params, declared_params, decode, encode, regenerate, regenerate_params};
use bartizan_mcp::{Limits, Message};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(text) = decode(bytes) {
        assert_eq!(decode(encode(&text).as_bytes()).as_deref(), Some(&*text), "what was read can be sent on");
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let value = encode(text);
        assert!(value.bytes().all(|byte| (0x20..0x7F).contains(&byte)), "a header can carry it");
        assert_eq!(decode(value.as_bytes()).as_deref(), Some(text), "every text survives");
    }
    let Ok(message) = Message::parse(bytes.to_vec(), &Limits::default()) else { return };
    let made = regenerate(&message);
    assert_eq!(check(made.iter().map(|(name, value)| (*name, value.as_bytes())), &message), Ok(()));
    round_trip_params(&message);
});

/// The parameters hold both a schema and the arguments for it.
fn round_trip_params(message: &Message) {
    let Some(body) = message.params() else { return };
    let Some(Ok(params)) = body.get("schema").map(declared_params) else { return };
    let arguments = body.get("arguments");
    let made = regenerate_params(&params, arguments);
    let headers = made.iter().map(|(name, value)| (&**name, value.as_bytes()));
    assert_eq!(check_params(headers, &params, arguments), Ok(()));
}
