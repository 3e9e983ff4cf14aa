//! First messages of TLS: what is whole is so from its last byte on and not before, names what stands in it, and is the same in other records.
#![no_main]

use bartizan_egress::hello::{LONGEST, Read, read};
use bartizan_egress::host::Host;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = input;
    let Read::Whole(hello) = read(bytes) else { return };
    let end = (0..bytes.len()).find(|cut| read(&bytes[..*cut]) != Read::Partial).unwrap_or(bytes.len());
    // What stands behind it is of other messages.
    for cut in end..bytes.len() {
        assert_eq!(read(&bytes[..cut]), Read::Whole(hello.clone()), "cut at {cut}");
    }
    let bytes = &bytes[..end];
    if let Some(name) = &hello.server_name {
        let Host::Name(name) = name else { panic!("an address is named") };
        let joined = message(bytes).to_ascii_lowercase();
        assert!(joined.windows(name.len()).any(|window| window == name.as_bytes()), "{name} stands nowhere");
    }
    let other: Vec<u8> = message(bytes).chunks(usize::from(size).max(1)).flat_map(record).collect();
    if other.len() < LONGEST {
        assert_eq!(read(&other), Read::Whole(hello), "in records of {size}");
    }
});

/// What is in the records.
fn message(mut bytes: &[u8]) -> Vec<u8> {
    let mut joined = Vec::new();
    while let [_, _, _, high, low, rest @ ..] = bytes {
        let (piece, others) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        joined.extend_from_slice(piece);
        bytes = others;
    }
    joined
}

fn record(piece: &[u8]) -> Vec<u8> {
    let length = u16::try_from(piece.len()).expect("a piece is short");
    [&[22, 3, 3][..], &length.to_be_bytes(), piece].concat()
}
