use proptest::prelude::*;

use super::*;

fn labels(name: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> =
        name.split('.').flat_map(|label| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat()).collect();
    bytes.push(0);
    bytes
}

fn query(name: &[u8], kind: u16, class: u16) -> Vec<u8> {
    let header = [0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    [&header[..], name, &kind.to_be_bytes(), &class.to_be_bytes()].concat()
}

#[test]
fn what_is_answered() {
    let mut names = Names::default();
    let longest = vec!["a".repeat(60); 4].join(".");
    for (name, kind, class, code, address) in [
        ("a.example", 1, 1, 0, Some([127, 1, 0, 1])),
        ("A.Example", 1, 1, 0, Some([127, 1, 0, 1])),
        ("b.example", 1, 1, 0, Some([127, 1, 0, 2])),
        (&longest, 1, 1, 0, Some([127, 1, 0, 3])),
        ("localhost", 1, 1, 0, Some([127, 0, 0, 1])),
        ("a.localhost", 1, 1, 0, Some([127, 0, 0, 1])),
        // No address of version 6, nothing about HTTPS, no text, no reverse.
        ("a.example", 28, 1, 0, None),
        ("a.example", 65, 1, 0, None),
        ("a.example", 16, 1, 0, None),
        ("a.example", 255, 1, 0, None),
        ("1.0.0.127.in-addr.arpa", 12, 1, 0, None),
        ("a.example", 1, 3, 5, None),
        ("127.0.0.1", 1, 1, 3, None),
        ("a b.example", 1, 1, 3, None),
        ("a\0.example", 1, 1, 3, None),
        ("-a.example", 1, 1, 3, None),
    ] {
        let query = query(&labels(name), kind, class);
        let said = answer(&query, &mut names).unwrap();
        assert_eq!(said[..4], [0xab, 0xcd, 0x85, 0x80 | code], "{name}");
        assert_eq!(said[12..query.len()], query[12..], "the question is repeated");
        let found = address.map(|address| [&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4][..], &address].concat());
        assert_eq!(said[query.len()..], found.unwrap_or_default(), "{name} {kind}");
        assert_eq!(said[4..12], [0, 1, 0, u8::from(address.is_some()), 0, 0, 0, 0]);
    }
    assert_eq!(answer(&query(&[0], 1, 1), &mut names).unwrap()[3] & 15, 3, "the root");
}

#[test]
fn what_is_no_query() {
    let good = query(&labels("a.example"), 1, 1);
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    for (what, bytes, code) in [
        ("an answer", with(2, 0x80), None),
        ("nothing", Vec::new(), None),
        ("half a header", good[..11].to_vec(), None),
        ("too long", [good.clone(), vec![0; 500]].concat(), None),
        ("a status request", with(2, 2 << 3), Some(4)),
        ("no question", with(5, 0), Some(1)),
        ("two questions", with(5, 2), Some(1)),
        ("an answer in a query", with(7, 1), Some(1)),
        ("an authority in a query", with(9, 1), Some(1)),
        ("a pointer", query(&[0xc0, 0x0c], 1, 1), Some(1)),
        ("a pointer behind a label", query(&[1, b'a', 0xc0, 0x0c], 1, 1), Some(1)),
        ("a reserved label", query(&[0x40, 0], 1, 1), Some(1)),
        ("a label beyond the end", query(&[63, b'a', 0], 1, 1), Some(1)),
        ("no end", good[..good.len() - 6].to_vec(), Some(1)),
        ("no class", good[..good.len() - 1].to_vec(), Some(1)),
        ("more than was said", [good.clone(), vec![0]].concat(), Some(1)),
        ("a long name", query(&[labels(&vec!["a"; 128].join(".")), vec![]].concat(), 1, 1), Some(1)),
    ] {
        let said = answer(&bytes, &mut Names::default());
        assert_eq!(said.as_ref().map(|said| (said[3] & 15, said.len())), code.map(|code| (code, 12)), "{what}");
    }
    // What goes with a query is not looked at.
    let more = [with(11, 1), vec![0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]].concat();
    assert_eq!(answer(&more, &mut Names::default()).unwrap()[7], 1);
}

proptest! {
    #[test]
    fn any_bytes_are_answered_within_bounds(bytes in prop::collection::vec(any::<u8>(), 0..600), at in 0_usize..40, byte: u8) {
        let mut damaged = query(&labels("abc.example"), 1, 1);
        let at = at % damaged.len();
        damaged[at] = byte;
        for bytes in [bytes, damaged] {
            if let Some(said) = answer(&bytes, &mut Names::default()) {
                prop_assert!(said.len() <= LONGEST + 16 && said[..2] == bytes[..2] && said[2] & 0x80 != 0);
            }
        }
    }
}
