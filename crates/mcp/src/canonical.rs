//! One digest for one meaning: SHA-256 over a canonical form of a JSON value.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::TextDigest;
use crate::document::{NodeKind, Value};
use crate::text::quote_into;

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Its first half, for what is named by 128 bits.
    #[must_use]
    pub fn half(&self) -> TextDigest {
        let mut half = TextDigest::default();
        half.iter_mut().zip(self.0).for_each(|(to, from)| *to = from);
        half
    }

    /// The digest of a value's canonical form: no white space, the fewest escapes, members sorted by UTF-16 units
    /// as in RFC 8785. Unlike there, numbers keep their text, so that no two numbers are ever taken for one; `1`
    /// and `1.0` therefore differ.
    #[must_use]
    pub fn of(value: Value<'_>) -> Digest {
        Digest::of_canonical(&canonical(value))
    }

    /// The digest of a value whose canonical form is at hand.
    #[must_use]
    pub fn of_canonical(text: &str) -> Digest {
        Digest(Sha256::digest(text.as_bytes()).into())
    }

    /// The digest written as 64 hexadecimal digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        self.to_string()
    }

    /// Reads 64 hexadecimal digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Digest> {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let mut bytes = [0; 32];
        if pairs.len() != bytes.len() || !rest.is_empty() {
            return None;
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            let digit = |c: u8| char::from(c).to_digit(16);
            *byte = u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?;
        }
        Some(Digest(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The canonical form that [`Digest::of`] is over.
#[must_use]
pub fn canonical(value: Value<'_>) -> String {
    let mut text = String::with_capacity(value.raw().len());
    write_canonical(value, &mut text);
    text
}

/// Recurses as deep as the document nests, which the scanner has bounded.
fn write_canonical(value: Value<'_>, out: &mut String) {
    match value.kind() {
        NodeKind::Object => {
            let mut members: Vec<_> = value.members().map(|(key, value)| (key.text(), value)).collect();
            members.sort_by(|(left, _), (right, _)| left.encode_utf16().cmp(right.encode_utf16()));
            out.push('{');
            for (position, (key, value)) in members.into_iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                quote_into(&key, out);
                out.push(':');
                write_canonical(value, out);
            }
            out.push('}');
        }
        NodeKind::Array => {
            out.push('[');
            for (position, element) in value.elements().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                write_canonical(element, out);
            }
            out.push(']');
        }
        NodeKind::String | NodeKind::Key => quote_into(&value.text(), out),
        _ => out.push_str(value.raw()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;
    use crate::scan::scan;

    fn canonical(text: &str) -> String {
        let document = scan(text.to_owned().into(), &Limits::default()).unwrap();
        let mut out = String::new();
        write_canonical(document.root(), &mut out);
        let digest = Digest(Sha256::digest(out.as_bytes()).into());
        assert_eq!(Digest::of(document.root()), digest);
        out
    }

    #[test]
    fn canonical_form() {
        let cases = [
            (" { \"b\" : [ 1 , true ] ,\n\"a\":null } ", r#"{"a":null,"b":[1,true]}"#),
            (r#"{"\u0061":"\/\u00e9\u000a\u001F"}"#, r#"{"a":"/é\n\u001f"}"#),
            ("[1,1.0,1e0,-0]", "[1,1.0,1e0,-0]"),
            // UTF-16 puts what is outside of the basic plane before its last characters; UTF-8 does not.
            (r#"{"\ufb33":1,"\ud83d\ude00":2,"a":3,"":4}"#, "{\"\":4,\"a\":3,\"😀\":2,\"\u{fb33}\":1}"),
            (r#""\ud83d\ude00""#, "\"😀\""),
        ];
        for (text, expected) in cases {
            assert_eq!(canonical(text), expected, "{text}");
        }
    }

    #[test]
    fn digests_are_read_back() {
        let digest = Digest(Sha256::digest(b"abc").into());
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest.to_hex(), hex);
        assert_eq!(Digest::from_hex(&hex.to_uppercase()), Some(digest));
        for wrong in [
            "",
            "ab",
            hex.trim_start_matches('b'),
            &format!("{hex}0"),
            &format!("{hex}00"),
            &hex.replace('b', "g"),
            &hex.replace('b', "+"),
        ] {
            assert_eq!(Digest::from_hex(wrong), None, "{wrong}");
        }
    }
}
