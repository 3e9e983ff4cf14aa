use proptest::prelude::*;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, RootCertStore};

use super::*;

/// What a real client says first.
fn real(name: &str) -> Vec<u8> {
    let config = crate::tls::trusting(RootCertStore::empty()).unwrap();
    let mut client = ClientConnection::new(config, ServerName::try_from(name.to_owned()).unwrap()).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

fn vector(width: usize, bytes: &[u8]) -> Vec<u8> {
    [&bytes.len().to_be_bytes()[8 - width..], bytes].concat()
}

fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector(2, data)].concat()
}

fn sni(name: &str) -> Vec<u8> {
    extension(0, &vector(2, &[&[0][..], &vector(2, name.as_bytes())].concat()))
}

/// A message with these extensions.
fn message(extensions: &[Vec<u8>]) -> Vec<u8> {
    let body = [&[3, 3][..], &[7; 32], &[0], &[0, 2, 0x13, 1], &[1, 0], &vector(2, &extensions.concat())].concat();
    [&[1][..], &vector(3, &body)].concat()
}

fn record(bytes: &[u8]) -> Vec<u8> {
    [&[22, 3, 1][..], &vector(2, bytes)].concat()
}

fn named(name: &str, encrypted: bool) -> Read {
    Read::Whole(Hello { server_name: Some(Host::parse(name).unwrap()), encrypted })
}

#[test]
fn a_real_handshake_is_read_however_it_is_cut() {
    let bytes = real("api.example.com");
    assert_eq!(read(&bytes), named("api.example.com", false));
    for cut in 0..bytes.len() {
        assert_eq!(read(&bytes[..cut]), Read::Partial, "{cut}");
    }
    for size in [1, 2, 3, 5, 100] {
        let pieces: Vec<u8> = bytes[5..].chunks(size).flat_map(record).collect();
        if pieces.len() < LONGEST {
            assert_eq!(read(&pieces), named("api.example.com", false), "records of {size}");
        }
    }
    // An address is not named.
    assert_eq!(read(&real("127.0.0.1")), Read::Whole(Hello { server_name: None, encrypted: false }));
}

#[test]
fn what_handshakes_say() {
    let one = |extensions: &[Vec<u8>]| read(&record(&message(extensions)));
    let nobody = Read::Whole(Hello { server_name: None, encrypted: false });
    let lists = |bytes: &[u8]| extension(0, bytes);
    let name = [&[0][..], &vector(2, b"a.example")].concat();
    for (extensions, expected) in [
        (vec![sni("a.example")], named("a.example", false)),
        (vec![sni("A.Example")], named("a.example", false)),
        (vec![extension(10, &[0]), sni("a.example"), extension(0xaaaa, &[])], named("a.example", false)),
        (vec![], nobody.clone()),
        (vec![extension(16, &[0])], nobody),
        (vec![sni("a.example"), extension(0xfe0d, &[0; 100])], named("a.example", true)),
        (vec![sni("a.example"), extension(0xffce, &[0; 100])], named("a.example", true)),
        (vec![sni("a.example"), sni("a.example")], Read::Malformed),
        (vec![sni("a.example"), sni("b.example")], Read::Malformed),
        (vec![extension(16, &[]), extension(16, &[])], Read::Malformed),
        (vec![lists(&vector(2, &[name.clone(), name.clone()].concat()))], Read::Malformed),
        (vec![lists(&[vector(2, &name), vec![0]].concat())], Read::Malformed),
        (vec![lists(&[])], Read::Malformed),
        (vec![lists(&vector(2, &[]))], Read::Malformed),
        (vec![lists(&vector(2, &[&[1][..], &vector(2, b"a.example")].concat()))], Read::Malformed),
        (vec![sni("a.example\0.evil.example")], Read::Malformed),
        (vec![sni("a.example\0")], Read::Malformed),
        (vec![sni("a.example.")], Read::Malformed),
        (vec![sni("")], Read::Malformed),
        (vec![sni("127.0.0.1")], Read::Malformed),
        (vec![sni("bücher.example")], Read::Malformed),
        (vec![sni(&"a".repeat(300))], Read::Malformed),
        ((0..300).map(|kind| extension(kind + 100, &[])).collect(), Read::Malformed),
    ] {
        assert_eq!(one(&extensions), expected, "{extensions:?}");
    }
}

#[test]
fn what_is_no_handshake() {
    let good = message(&[sni("a.example")]);
    let whole = record(&good);
    let changed = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        bytes
    };
    for (what, bytes) in [
        ("another record", changed(0, 23)),
        ("an old version", changed(1, 2)),
        ("another message", changed(5, 2)),
        ("a longer message", changed(6, 1)),
        ("another version", changed(9, 2)),
        ("a longer session", changed(43, 33)),
        ("an empty record", [record(&[]), whole.clone()].concat()),
        ("a large record", vec![22, 3, 1, 0x40, 1]),
        ("more in the record", record(&[&good[..], &[0]].concat())),
        ("a message behind it", record(&[&good[..], &good].concat())),
        ("requests", b"GET / HTTP/1.1\r\n".to_vec()),
        ("of version 2", vec![0x80, 0x2e, 1, 0, 2]),
        ("another kind of record in between", [record(&good[..10]), vec![21, 3, 1, 0, 2, 1, 0]].concat()),
        ("a message without end", [vec![22, 3, 1, 0x40, 0], vec![1, 0, 0x7f, 0xff], vec![0; LONGEST]].concat()),
    ] {
        assert_eq!(read(&bytes), Read::Malformed, "{what}");
    }
    assert_eq!(read(&[]), Read::Partial);
}

proptest! {
    /// Whatever the bytes are they are read without a panic, and what is whole was not when less of it was there.
    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0_usize..200) {
        let good = record(&message(&[sni("a.example"), extension(5, &bytes)]));
        let mut damaged = good.clone();
        let at = at % damaged.len();
        damaged[at] = damaged[at].wrapping_add(1);
        for bytes in [&bytes, &good, &damaged] {
            if let Read::Whole(hello) = read(bytes) {
                prop_assert_eq!(read(&bytes[..bytes.len() - 1]), Read::Partial);
                if let Some(Host::Name(name)) = hello.server_name {
                    prop_assert!(bytes.to_ascii_lowercase().windows(name.len()).any(|window| window == name.as_bytes()));
                }
            }
        }
    }
}
