//! JSON string literals to text and back.

use std::borrow::Cow;

/// Decodes a literal with its quotes; `escaped` says whether it holds a backslash. The scanner has checked it.
pub(crate) fn unquote(literal: &str, escaped: bool) -> Cow<'_, str> {
    let inner = literal.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(literal);
    if !escaped {
        return Cow::Borrowed(inner);
    }
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        let (plain, escape) = rest.split_at(at);
        text.push_str(plain);
        let (character, length) = decode_escape(escape);
        text.push(character);
        rest = escape.get(length..).unwrap_or_default();
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// The character an escape stands for, and the bytes it takes.
fn decode_escape(escape: &str) -> (char, usize) {
    let character = match escape.as_bytes().get(1) {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return decode_unit(escape),
        Some(&other) => char::from(other),
        None => char::REPLACEMENT_CHARACTER,
    };
    (character, 2)
}

/// Where the literal, without its quotes, has so many characters of text; nothing if it does not have more.
pub(crate) fn place_after(inner: &str, characters: usize) -> Option<usize> {
    let (mut at, mut left) = (0, characters);
    while let Some(first) = inner.get(at..)?.chars().next() {
        if left == 0 {
            return Some(at);
        }
        left -= 1;
        let escape = inner.get(at..).filter(|_| first == '\\');
        at += escape.map_or(first.len_utf8(), |escape| decode_escape(escape).1);
    }
    None
}

fn decode_unit(escape: &str) -> (char, usize) {
    let unit = |from: usize| {
        let digits = escape.get(from..from + 4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    let first = unit(2).unwrap_or_default();
    let pair = [first, unit(8).unwrap_or_default()];
    match char::decode_utf16(pair).next() {
        Some(Ok(character)) => (character, character.len_utf16() * 6),
        _ => (char::REPLACEMENT_CHARACTER, 6),
    }
}

/// Writes `text` as a JSON string literal with the fewest escapes (RFC 8785, section 3.2.2.2).
#[must_use]
pub fn quote(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    quote_into(text, &mut literal);
    literal
}

pub(crate) fn quote_into(text: &str, literal: &mut String) {
    use std::fmt::Write as _;
    literal.push('"');
    for character in text.chars() {
        match character {
            '"' => literal.push_str("\\\""),
            '\\' => literal.push_str("\\\\"),
            '\u{8}' => literal.push_str("\\b"),
            '\u{c}' => literal.push_str("\\f"),
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            '\t' => literal.push_str("\\t"),
            control if control < ' ' => {
                let _ = write!(literal, "\\u{:04x}", u32::from(control));
            }
            plain => literal.push(plain),
        }
    }
    literal.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_stand_for_their_characters() {
        let cases = [
            (r#""""#, ""),
            (r#""a""#, "a"),
            (r#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"),
            (r#""\u0041\u00e9\u00E9\u20ac""#, "Aéé€"),
            (r#""\ud83d\ude00x\uD83D\uDE00""#, "😀x😀"),
            (r#""\u0000""#, "\0"),
            (r#""\\u0041""#, "\\u0041"),
            (r#""\u0041\\dc00é""#, "A\\dc00é"),
            (r#""é\né""#, "é\né"),
        ];
        for (literal, text) in cases {
            assert_eq!(unquote(literal, literal.contains('\\')), text, "{literal}");
        }
    }

    #[test]
    fn characters_are_counted_as_they_are_meant() {
        let inner = r"a\n\u00e9é\ud83d\ude00x";
        for (characters, rest) in
            [(0, inner), (1, r"\n\u00e9é\ud83d\ude00x"), (3, r"é\ud83d\ude00x"), (4, r"\ud83d\ude00x"), (5, "x")]
        {
            assert_eq!(place_after(inner, characters).and_then(|at| inner.get(at..)), Some(rest));
        }
        assert_eq!(place_after(inner, 6), None);
        assert_eq!(place_after("", 0), None);
    }

    #[test]
    fn texts_are_quoted_with_the_fewest_escapes() {
        assert_eq!(quote("a/é\u{7f}\u{2028}😀"), "\"a/é\u{7f}\u{2028}😀\"");
        assert_eq!(quote("\"\\\u{8}\u{c}\n\r\t\0\u{1f}"), r#""\"\\\b\f\n\r\t\u0000\u001f""#);
    }

    proptest! {
        #[test]
        fn what_is_quoted_is_unquoted_again(text in any::<String>()) {
            let literal = quote(&text);
            prop_assert_eq!(unquote(&literal, literal.contains('\\')), &*text);
            prop_assert_eq!(serde_json::from_str::<String>(&literal).unwrap(), text);
        }
    }
}
