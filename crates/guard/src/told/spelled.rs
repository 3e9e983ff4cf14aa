//! What a text says once is written out what the decoders leave that all guards share: entities of HTML by their names and with zeros
//! before their numbers, octets and words of mail (RFC 2045 and 2047), and numbers with an exponent or a fraction of zeros.
//!
//! Each way of reading is tried once, on what came of the ways before it, and beside the text as it stands: what one of them makes
//! worse is found without it.

use std::borrow::Cow;
use std::ops::Range;

use bartizan_detect::normal::Normal;
use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::reading::Reading;
use crate::numeral;

/// Of mail with or without padding, and with bits at the end that say nothing.
pub(super) const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The longest entity, in bytes, with `&`: longer than any name, and than what zeros are put before a number.
const LONGEST_ENTITY: usize = 40;
/// The longest name of a set of characters in a word of mail, with its language.
const LONGEST_CHARSET: usize = 64;
/// Digits of the longest number that is written out, with its point and exponent.
const LONGEST_NUMBER: usize = 96;

/// Readings of a text, each of what the one before it says.
#[derive(Debug, Default)]
pub(super) struct Spelled(Vec<Reading>);

impl Spelled {
    pub(super) fn of(text: &str) -> Spelled {
        let mut all = Spelled::default();
        for read in [entities, octets, entities, numbers] {
            let said = all.0.last().map_or(text, Reading::text);
            all.0.extend(read(said));
        }
        all
    }

    /// What each of them says, and which one it is.
    pub(super) fn texts(&self) -> impl Iterator<Item = (usize, &str)> {
        self.0.iter().map(Reading::text).enumerate()
    }

    /// Where in the text a part of one of them comes from, and whether any of that is in an encoding.
    pub(super) fn original(&self, which: usize, part: Range<usize>) -> (Range<usize>, bool) {
        let readings = self.0.get(..=which).unwrap_or_default();
        readings.iter().rev().fold((part, false), |(part, is_encoded), reading| {
            let (from, is_too) = reading.original(&part);
            (from, is_encoded || is_too)
        })
    }
}

/// A text with something in it written out; none if there is nothing.
#[derive(Default)]
struct Written {
    reading: Reading,
    at: usize,
}

impl Written {
    fn put(&mut self, text: &str, from: Range<usize>, said: &str, is_encoded: bool) {
        self.reading.copied(text, self.at..from.start);
        self.at = from.end;
        if is_encoded { self.reading.encoded(said, from) } else { self.reading.spelled(said, from) }
    }

    fn done(mut self, text: &str) -> Option<Reading> {
        if self.at == 0 {
            return None;
        }
        self.reading.copied(text, self.at..text.len());
        Some(self.reading)
    }
}

fn entities(text: &str) -> Option<Reading> {
    let mut written = Written::default();
    for at in memchr::memchr_iter(b'&', text.as_bytes()) {
        if let Some((said, length)) = text.get(at..).filter(|_| at >= written.at).and_then(entity) {
            written.put(text, at..at + length, &said, false);
        }
    }
    written.done(text)
}

/// What the entity says that stands at the beginning, and how long it is.
fn entity(text: &str) -> Option<(Cow<'static, str>, usize)> {
    let bytes = text.as_bytes().get(..LONGEST_ENTITY.min(text.len()))?;
    let digits_from = match bytes {
        [b'&', b'#', b'x' | b'X', ..] => 3,
        [b'&', b'#', ..] => 2,
        _ => {
            let end = memchr::memchr(b';', bytes)?;
            let name = text.get(1..end).filter(|name| !name.is_empty())?;
            return name.bytes().all(|byte| byte.is_ascii_alphanumeric()).then(|| (named(name), end + 1));
        }
    };
    let radix = if digits_from == 3 { 16 } else { 10 };
    let digits = bytes.iter().skip(digits_from).take_while(|byte| char::from(**byte).is_digit(radix)).count();
    let end = digits_from + digits;
    let number = u32::from_str_radix(text.get(digits_from..end)?, radix).ok()?;
    // Whoever reads pages reads it without its end as well.
    let length = end + usize::from(bytes.get(end) == Some(&b';'));
    Some((plain(char::from_u32(number)?.encode_utf8(&mut [0; 4])).into(), length))
}

/// What an entity of that name says: a letter without its accent, as texts are read, or a sign. Of which one there is none here, a sign
/// stands that is in no value: what goes by letters and digits is found beside it.
fn named(name: &str) -> Cow<'static, str> {
    const ACCENTS: [&str; 21] = [
        "uml", "acute", "grave", "circ", "tilde", "cedil", "ring", "slash", "caron", "breve", "macr", "ogon", "dot",
        "dblac", "strok", "midot", "nodot", "fr", "scr", "opf", "circled",
    ];
    let sign = match name {
        "amp" => "&",
        "commat" => "@",
        "period" => ".",
        "plus" => "+",
        "hyphen" | "dash" | "ndash" | "mdash" | "minus" => "-",
        "lowbar" | "UnderBar" => "_",
        "sol" => "/",
        "comma" => ",",
        "num" => "#",
        "lpar" => "(",
        "rpar" => ")",
        "semi" => ";",
        "rsquo" | "lsquo" => "'",
        "shy" | "zwj" | "zwnj" | "lrm" | "rlm" | "NoBreak" | "ZeroWidthSpace" | "af" | "ic" | "it"
        | "ApplyFunction" | "InvisibleComma" | "InvisibleTimes" => "",
        "szlig" => "\u{DF}",
        "aelig" => "\u{E6}",
        "AElig" => "\u{C6}",
        "oelig" => "\u{153}",
        "OElig" => "\u{152}",
        "eth" => "\u{F0}",
        "ETH" => "\u{D0}",
        "thorn" => "\u{FE}",
        "THORN" => "\u{DE}",
        "fflig" => "ff",
        "filig" => "fi",
        "fllig" => "fl",
        _ => {
            let mut letters = name.chars();
            let letter = letters.next().filter(|c| c.is_ascii_alphabetic() && ACCENTS.contains(&letters.as_str()));
            return letter.map_or(Cow::Borrowed("\u{FFFD}"), |letter| letter.to_string().into());
        }
    };
    if sign.is_ascii() { sign.into() } else { plain(sign).into() }
}

/// As texts are read that stand for themselves.
fn plain(text: &str) -> String {
    Normal::of(text).text().to_owned()
}

/// Octets of mail as they are meant, breaks of lines that mean nothing left out, and words.
fn octets(text: &str) -> Option<Reading> {
    let mut written = Written::default();
    let bytes = text.as_bytes();
    for at in memchr::memchr_iter(b'=', bytes) {
        if at < written.at {
            continue;
        }
        let rest = bytes.get(at..).unwrap_or_default();
        match rest {
            [b'=', b'?', ..] => {
                if let Some((said, length)) = words(text.get(at..).unwrap_or_default()) {
                    written.put(text, at..at + length, &said, true);
                }
            }
            [b'=', b'\n', ..] => written.put(text, at..at + 2, "", false),
            [b'=', b'\r', b'\n', ..] => written.put(text, at..at + 3, "", false),
            _ => {
                if let Some((said, count)) = character(rest) {
                    written.put(text, at..at + 3 * count, &said, false);
                }
            }
        }
    }
    written.done(text)
}

/// The character that octets at the beginning spell, and how many they are. One that is no UTF-8 is one of Latin-1.
fn character(bytes: &[u8]) -> Option<(String, usize)> {
    let first = octet(bytes)?;
    let further = match first {
        0xC2..=0xDF => 1,
        0xE0..=0xEF => 2,
        0xF0..=0xF4 => 3,
        _ => 0,
    };
    let all = (0..=further).map(|at| octet(bytes.get(3 * at..)?)).collect::<Option<Vec<u8>>>();
    match all.as_deref().map(str::from_utf8) {
        Some(Ok(said)) => Some((plain(said), further + 1)),
        _ => Some((plain(char::from(first).encode_utf8(&mut [0; 2])), 1)),
    }
}

fn octet(bytes: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*bytes.get(at)?).to_digit(16);
    bytes.first().filter(|byte| **byte == b'=')?;
    u8::try_from(digit(1)? * 16 + digit(2)?).ok()
}

/// What the words say that stand at the beginning, only spaces between them, and how long they are together.
fn words(text: &str) -> Option<(String, usize)> {
    let (mut said, mut end, mut at) = (Vec::new(), 0, 0);
    while let Some((part, length)) = text.get(at..).and_then(word) {
        said.extend(part);
        end = at + length;
        let behind = text.get(end..).unwrap_or_default();
        at = end + (behind.len() - behind.trim_start().len());
    }
    // A character may go on in the next word.
    (end > 0).then(|| (plain(&String::from_utf8_lossy(&said)), end))
}

/// The bytes of UTF-8 that one word says.
fn word(text: &str) -> Option<(Vec<u8>, usize)> {
    let mut parts = text.strip_prefix("=?")?.splitn(4, '?');
    let (charset, how, held, behind) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if charset.len() > LONGEST_CHARSET || held.contains(['\n', ' ']) || !behind.starts_with('=') {
        return None;
    }
    let bytes = match how {
        "B" | "b" => LENIENT.decode(held).ok()?,
        "Q" | "q" => of_q(held.as_bytes()),
        _ => return None,
    };
    let is_utf8 = charset.get(..5).is_some_and(|name| name.eq_ignore_ascii_case("utf-8"));
    let said =
        if is_utf8 { bytes } else { bytes.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes() };
    Some((said, "=????=".len() + charset.len() + how.len() + held.len()))
}

fn of_q(mut held: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(held.len());
    while let Some((first, rest)) = held.split_first() {
        let (byte, rest) = match octet(held) {
            Some(byte) => (byte, held.get(3..).unwrap_or_default()),
            None => (if *first == b'_' { b' ' } else { *first }, rest),
        };
        bytes.push(byte);
        held = rest;
    }
    bytes
}

/// Whole numbers that have an exponent or a fraction of zeros, without.
fn numbers(text: &str) -> Option<Reading> {
    let mut written = Written::default();
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(start) =
        bytes.get(at..).and_then(|rest| rest.iter().position(u8::is_ascii_digit)).map(|next| at + next)
    {
        let is_within = start.checked_sub(1).and_then(|before| bytes.get(before)).is_some_and(|byte| goes_on(*byte));
        let rest = bytes.get(start..).unwrap_or_default();
        let length = number(rest);
        at = start + length;
        let ends = match rest.get(length..).unwrap_or_default() {
            [b'.', behind, ..] => !goes_on(*behind),
            [b'.'] | [] => true,
            [behind, ..] => !goes_on(*behind),
        };
        let raw = text.get(start..at).filter(|raw| !is_within && ends && raw.len() <= LONGEST_NUMBER);
        let digits = raw.and_then(|raw| numeral::digits(raw).filter(|digits| **digits != *raw));
        if let Some(digits) = digits {
            written.put(text, start..at, &digits, false);
        }
    }
    written.done(text)
}

/// How long the number is that stands at the beginning, with its fraction and exponent.
fn number(bytes: &[u8]) -> usize {
    let digits =
        |from: usize| bytes.get(from..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut end = digits(0);
    if bytes.get(end) == Some(&b'.') && digits(end + 1) > 0 {
        end += 1 + digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        end += if exponent > 0 { 1 + sign + exponent } else { 0 };
    }
    end
}

/// Whether a number that such a byte stands beside is a part of something else.
fn goes_on(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last reading of a text.
    fn read(text: &str) -> String {
        Spelled::of(text).texts().last().map_or(text, |(_, said)| said).to_owned()
    }

    #[test]
    fn what_is_spelled_out_is_read() {
        for (text, expected) in [
            ("anna&period;berger&commat;corp.example", "anna.berger@corp.example"),
            ("M&uuml;ller, S&oslash;n, &Eacute;mile &Afr;", "Muller, Son, Emile A"),
            ("&#0000000064; &#x00000040; &#64 &#64x", "@ @ @ @x"),
            ("so&shy;ft &unheardof; &nothing", "soft \u{FFFD} &nothing"),
            ("to=3A anna=40corp.example=\nand =C3=BC =FC =zz =4", "to: anna@corp.exampleand u u =zz =4"),
            ("=?utf-8?B?YW5uYUBjb3Jw?= said", "anna@corp said"),
            ("=?UTF-8*en?q?Anna_B=65rger?=", "Anna Berger"),
            ("=?utf-8?B?QmVyZ2Vy?=\r\n =?utf-8?B?YWM?= x", "Bergerac x"),
            ("=?iso-8859-1?Q?M=FCller?=", "Muller"),
            ("=?utf-8?X?a?= =?utf-8?B?*?= =?a?b", "=?utf-8?X?a?= =?utf-8?B?*?= =?a?b"),
            ("4.82e7 48213377.0 4.8213377E+7 -48213377.00", "48200000 48213377 48213377 -48213377"),
            ("10.0.0.1 v1.0 1.5 1e400 0x4e7 4e7a 12", "10.0.0.1 v1.0 1.5 1e400 0x4e7 4e7a 12"),
            ("nothing of the kind", "nothing of the kind"),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn it_leads_back_through_all_of_them() {
        let text = "say &amp;commat; and =?utf-8?Q?B=65rger?= for 4.82e7 now";
        let spelled = Spelled::of(text);
        let (which, said) = spelled.texts().last().unwrap();
        assert_eq!(said, "say @ and Berger for 48200000 now");
        for (part, from, is_encoded) in
            [("Berger", "=?utf-8?Q?B=65rger?=", true), ("48200000", "4.82e7", false), ("now", "now", false)]
        {
            let at = said.find(part).unwrap();
            let (span, encoded) = spelled.original(which, at..at + part.len());
            assert_eq!((text.get(span).unwrap(), encoded), (from, is_encoded));
        }
    }

    /// However often it is begun, what is read stays within a few times the text.
    #[test]
    fn no_text_is_read_for_longer_than_it_is() {
        for piece in ["&", "&#", "=?", "=?a?B?", "=?utf-8?B?QQ?= ", "=4", "=41", "1e", "1.", "9", "&amp;"] {
            let text = piece.repeat(200_000 / piece.len());
            let all: usize = Spelled::of(&text).texts().map(|(_, said)| said.len()).sum();
            assert!(all <= 12 * text.len(), "{piece}");
        }
    }
}
