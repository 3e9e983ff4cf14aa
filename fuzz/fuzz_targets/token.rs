//! Tokens, keys and proofs that anybody may show: nothing is good that no key has signed.
#![no_main]

use bartizan_identity::dpop::{Request, check};
use bartizan_identity::token::{Access, Expected, Jws, KeySet, object};
use libfuzzer_sys::fuzz_target;

const NOW: i64 = 1_800_000_000_000_000;

fuzz_target!(|bytes: &[u8]| {
    let (set, rest) = bytes.split_at(bytes.iter().position(|byte| *byte == 0).unwrap_or(0));
    let keys = KeySet::parse(set).unwrap_or_default();
    let text = String::from_utf8_lossy(rest.strip_prefix(&[0]).unwrap_or(rest));
    let request = Request { method: "POST", uri: "https://a/mcp", token: "t", bound_to: "", nonces: None, now: NOW };
    assert!(check(&text, &request).is_err(), "of no key");
    let expected = Expected { issuer: "https://idp.example", untyped: true, leeway: 0 };
    if let Some(claims) = object(text.as_bytes()) {
        look(Access::of_introspection(claims, &expected, NOW).ok());
    }
    let Ok(jws) = Jws::parse(&text) else { return };
    // Whoever can make one of these has broken the signature, or the fuzzer was given a signed one.
    if keys.is_empty() {
        assert!(jws.check_signature(&keys).is_err(), "signed by nobody");
    } else {
        jws.check_signature(&keys).ok();
    }
    look(Access::of_jws(jws, &expected).ok());
});

fn look(access: Option<Access>) {
    let Some(access) = access else { return };
    access.when.check(NOW).ok();
    assert!(!access.audiences.is_empty());
}
