//! What browsers hand over of passkeys: whatever it is, nothing is signed by a key that has signed nothing, and a new one is
//! only what was made here for what was asked.
#![no_main]

use bartizan_identity::passkey::{ALGORITHMS, Expected, check, check_new};
use libfuzzer_sys::fuzz_target;

const EXPECTED: Expected<'static> = Expected { challenge: "Y2hhbGxlbmdl", origin: "https://a.example", host: "a.example" };

/// The piece that begins here, after its length in two bytes, and what comes then.
fn piece(bytes: &[u8]) -> (&[u8], &[u8]) {
    let Some((length, rest)) = bytes.split_first_chunk::<2>() else { return (&[], &[]) };
    rest.split_at(usize::from(u16::from_be_bytes(*length)).min(rest.len()))
}

fuzz_target!(|bytes: &[u8]| {
    let Some((which, rest)) = bytes.split_first() else { return };
    let algorithm = ALGORITHMS.get(usize::from(*which)).copied().unwrap_or_default();
    let (client, rest) = piece(rest);
    let (authenticator, rest) = piece(rest);
    let (key, signature) = piece(rest);
    assert!(check(EXPECTED, client, authenticator, signature, (algorithm, key)).is_err(), "signed by nobody");
    let Ok(made) = check_new(EXPECTED, client, authenticator, (algorithm, key)) else { return };
    let said: serde_json::Value = serde_json::from_slice(client).unwrap();
    assert_eq!((&said["type"], &said["challenge"], &said["origin"]), (
        &"webauthn.create".into(), &EXPECTED.challenge.into(), &EXPECTED.origin.into(),
    ));
    assert!((1..=1023).contains(&made.id.len()) && authenticator.len() >= 55 + made.id.len());
    assert_eq!(authenticator[32] & 0x45, 0x45, "present, verified, and a new one");
});
