//! Characters spelled out: escapes of JSON and of programs, entities of HTML, and octets of URLs.

use std::borrow::Cow;

use crate::normal::{Map, Normal};

/// How often what was read is read again: `%2569` is `%69`, which is `i`.
const MAX_ROUNDS: usize = 3;

/// What `text` is meant to say with escapes read, and the way back.
pub(super) fn read(text: &str) -> (Cow<'_, str>, Map) {
    let (mut meant, mut map) = Normal::of(text).into_parts();
    for _ in 0..MAX_ROUNDS {
        let Some((read, back)) = once(&meant) else { break };
        // What was spelled out may be in disguise as well.
        let (again, normal) = Normal::of(&read).into_parts();
        map = normal.through(&back, read.len()).through(&map, meant.len());
        meant = Cow::Owned(again.into_owned());
    }
    (meant, map)
}

/// Reads all escapes once; nothing if there are none.
fn once(text: &str) -> Option<(String, Map)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut copied_to = 0;
    let mut out = String::new();
    let mut map = Map::default();
    while let Some(offset) = bytes.get(at..).and_then(|rest| memchr::memchr3(b'\\', b'&', b'%', rest)) {
        at += offset;
        let rest = text.get(at..).unwrap_or_default();
        let Some((meant, length)) = one(rest) else {
            at += 1;
            continue;
        };
        map.copied(out.len(), copied_to);
        out.push_str(text.get(copied_to..at).unwrap_or_default());
        map.stands_for(out.len(), at..at + length);
        out.push(meant);
        at += length;
        copied_to = at;
    }
    if copied_to == 0 {
        return None;
    }
    map.copied(out.len(), copied_to);
    out.push_str(text.get(copied_to..).unwrap_or_default());
    Some((out, map))
}

/// The character that is spelled at the beginning of `text`, and by how many bytes.
fn one(text: &str) -> Option<(char, usize)> {
    let bytes = text.as_bytes();
    match bytes {
        [b'\\', kind, ..] => backslash(*kind, text),
        [b'&', ..] => entity(text),
        [b'%', ..] => octets(bytes),
        _ => None,
    }
}

fn backslash(kind: u8, text: &str) -> Option<(char, usize)> {
    match kind {
        b'n' | b'r' => Some(('\n', 2)),
        b't' => Some(('\t', 2)),
        b'"' => Some(('"', 2)),
        b'/' => Some(('/', 2)),
        // What was escaped twice, as an escape within JSON is, is read in the next round.
        b'\\' => Some(('\\', 2)),
        b'x' => Some((hex(text.get(2..4)?)?, 4)),
        b'u' => match text.get(2..)?.strip_prefix('{') {
            Some(braced) => {
                let head = braced.as_bytes().get(..7.min(braced.len()))?;
                let digits = braced.get(..memchr::memchr(b'}', head)?)?;
                Some((hex(digits)?, digits.len() + 4))
            }
            None => unit(text),
        },
        _ => None,
    }
}

/// `\uXXXX`, or two of them for one character.
fn unit(text: &str) -> Option<(char, usize)> {
    let of = |at: usize| u16::from_str_radix(text.get(at..at + 4).filter(|digits| is_hex(digits))?, 16).ok();
    let first = of(2)?;
    if let Some(c) = char::from_u32(first.into()) {
        return Some((c, 6));
    }
    let second = of(8).filter(|_| text.get(6..8) == Some("\\u"))?;
    let c = char::decode_utf16([first, second]).next()?.ok()?;
    Some((c, 12))
}

fn is_hex(digits: &str) -> bool {
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn hex(digits: &str) -> Option<char> {
    char::from_u32(u32::from_str_radix(Some(digits).filter(|digits| is_hex(digits))?, 16).ok()?)
}

/// The longest name of an entity that is known, with `&` and `;`, and of a number.
const MAX_ENTITY: usize = 10;

fn entity(text: &str) -> Option<(char, usize)> {
    let head = text.as_bytes().get(..MAX_ENTITY.min(text.len()))?;
    let end = memchr::memchr(b';', head)?;
    let name = text.get(1..end)?;
    let c = match name.strip_prefix('#') {
        Some(number) => match number.strip_prefix(['x', 'X']) {
            Some(digits) => hex(digits)?,
            None => char::from_u32(number.parse().ok()?)?,
        },
        None => match name {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            "nbsp" | "ensp" | "emsp" | "thinsp" => ' ',
            "Tab" => '\t',
            "NewLine" => '\n',
            "colon" => ':',
            "excl" => '!',
            _ => return None,
        },
    };
    Some((c, end + 1))
}

/// The octets of one character, each `%XX`.
fn octets(bytes: &[u8]) -> Option<(char, usize)> {
    let of = |index: usize| {
        let octet = bytes.get(3 * index..3 * index + 3)?;
        let digits = str::from_utf8(octet.strip_prefix(b"%")?).ok()?;
        u8::from_str_radix(Some(digits).filter(|digits| is_hex(digits))?, 16).ok()
    };
    let first = of(0)?;
    let count = match first {
        0..=0x7F => 1,
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => return None,
    };
    let mut encoded = [0; 4];
    let encoded = encoded.get_mut(..count)?;
    for (index, octet) in encoded.iter_mut().enumerate() {
        *octet = of(index)?;
    }
    let c = str::from_utf8(encoded).ok()?.chars().next()?;
    Some((c, 3 * count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read() {
        for (text, meant) in [
            (r#"{\"a\": \"first\nIgnore\tit\"}"#, "{\"a\": \"first\nIgnore\tit\"}"),
            (r"\u0069gnore \x61ll \u{70}revious \ud83d\ude00", "ignore all previous 😀"),
            ("&#105;gn&#x6F;re &lt;b&gt; &amp;lt; Q&A; &unknown; AT&T", "ignore <b> < Q&A; &unknown; AT&T"),
            ("%69gnore%20all %c3%a9 100% of %zz %2569", "ignore all e 100% of %zz i"),
            // Not all of them: what stops in the middle stays.
            (r"\ud83d alone, \u12 and \x4, C:\dir", r"\ud83d alone, \u12 and \x4, C:\dir"),
            ("%e2%82 %ff &#x110000; &#; &;", "%e2%82 %ff &#x110000; &#; &;"),
        ] {
            assert_eq!(read(text).0, meant, "{text}");
        }
    }

    #[test]
    fn what_is_read_leads_back() {
        let text = "a\u{200B} %2569gn&#111;re";
        let (read, map) = read(text);
        assert_eq!(read, "a ignore");
        let back = |word: &str| {
            let at = read.find(word).unwrap();
            text.get(map.original(at..at + word.len(), read.len())).unwrap()
        };
        assert_eq!(back("ignore"), "%2569gn&#111;re");
        assert_eq!(back("o"), "&#111;");
        assert_eq!(back("gn"), "gn");
    }
}
