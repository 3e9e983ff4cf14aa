//! What a text says in base64, hex, zeros and ones or decimal numbers that are too short, or have too few letters, for the decoders
//! that all guards share. By chance much of a text reads as a few letters, so this is only for looking for what is known.

use std::ops::Range;

use super::reading::Reading;

/// Fewer digits of base64 carry one letter at most.
const SHORTEST: usize = 3;
/// In a longer run only what all of it says is read: pieces of text among other bytes are in every picture.
const LONG_RUN: usize = 1_024;
/// Shorter pieces of text among other bytes are there by chance.
const SHORTEST_PIECE: usize = 4;
/// What stands between two numbers is not longer.
const BETWEEN: usize = 3;

/// All that is read, by the way of reading.
pub(super) fn readings(text: &str) -> impl Iterator<Item = Reading> {
    let base64 = (0..4).map(move |skipped| base64(text, skipped));
    let numbers = [Spelling::Hex(0), Spelling::Hex(1), Spelling::Binary, Spelling::Decimal];
    let numbers = numbers.into_iter().map(move |how| self::numbers(text, how));
    base64.chain(numbers).filter(|reading| !reading.text().is_empty())
}

fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

/// What each run of digits of base64 says, but for the first ones: what stands before it without a space may put it out of step.
fn base64(text: &str, skipped: usize) -> Reading {
    let mut reading = Reading::default();
    let bytes = text.as_bytes();
    let (mut at, mut said) = (0, Vec::new());
    while let Some(start) = next(bytes, at, |byte| sextet(byte).is_some()) {
        at = next(bytes, start, |byte| sextet(byte).is_none()).unwrap_or(bytes.len());
        let run = bytes.get(start..at).unwrap_or_default();
        // Of what is encoded hardly anything has none, and most words do.
        let may_be = run.len() >= SHORTEST + skipped && run.iter().any(|byte| !byte.is_ascii_lowercase());
        if may_be && decoded(run.get(skipped..).unwrap_or_default(), &mut said) {
            let padding = bytes.iter().skip(at).take(2).take_while(|byte| **byte == b'=').count();
            let is_long = run.len() > LONG_RUN;
            pieces(&said, is_long, |piece, _| line(&mut reading, piece, start..at + padding));
        }
    }
    reading
}

/// Puts the bytes into `said` that the digits spell. Of a long run only as long as they are text; whether any are.
fn decoded(run: &[u8], said: &mut Vec<u8>) -> bool {
    said.clear();
    let (mut bits, mut count) = (0_u32, 0);
    for value in run.iter().filter_map(|byte| sextet(*byte)) {
        bits = (bits << 6 | u32::from(value)) & 0xFFFF;
        count += 6;
        if count >= 8 {
            count -= 8;
            let byte = (bits >> count & 0xFF) as u8;
            if run.len() > LONG_RUN && is_control(byte) {
                return false;
            }
            said.push(byte);
        }
    }
    !said.is_empty()
}

const fn is_control(byte: u8) -> bool {
    byte < 0x20 && !matches!(byte, b'\n' | b'\r' | b'\t') || byte == 0x7F
}

/// Calls `each` with all of some bytes if they are text, and with the pieces of text among them if they are not.
fn pieces(bytes: &[u8], only_all: bool, mut each: impl FnMut(&str, Range<usize>)) {
    if let Ok(all) = str::from_utf8(bytes)
        && !bytes.iter().any(|byte| is_control(*byte))
    {
        return each(all, 0..bytes.len());
    }
    let mut at = 0;
    for chunk in bytes.utf8_chunks().filter(|_| !only_all) {
        let mut start = at;
        for piece in chunk.valid().split(|c: char| c.is_ascii() && is_control(c as u8)) {
            if piece.len() >= SHORTEST_PIECE {
                each(piece, start..start + piece.len());
            }
            start += piece.len() + 1;
        }
        at += chunk.valid().len() + chunk.invalid().len();
    }
}

fn line(reading: &mut Reading, said: &str, from: Range<usize>) {
    reading.encoded(said, from.clone());
    reading.encoded("\n", from);
}

/// Where the next byte is that is such.
fn next(bytes: &[u8], at: usize, is_one: impl Fn(u8) -> bool) -> Option<usize> {
    bytes.get(at..)?.iter().position(|byte| is_one(*byte)).map(|next| at + next)
}

/// How bytes are written as numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spelling {
    /// Two digits each, behind so many that belong to none.
    Hex(usize),
    Binary,
    /// A number for each character.
    Decimal,
}

/// Numbers that follow each other, as bytes, and where each of them is.
#[derive(Default)]
struct Row {
    bytes: Vec<u8>,
    from: Vec<Range<usize>>,
}

impl Row {
    fn end(&self) -> usize {
        self.from.last().map_or(0, |last| last.end)
    }

    fn flush(&mut self, reading: &mut Reading) {
        pieces(&self.bytes, false, |piece, place| {
            let from = self.from.get(place).unwrap_or_default();
            if let (Some(first), Some(last)) = (from.first(), from.last()) {
                line(reading, piece, first.start..last.end);
            }
        });
        self.bytes.clear();
        self.from.clear();
    }
}

fn numbers(text: &str, how: Spelling) -> Reading {
    let (mut reading, mut row) = (Reading::default(), Row::default());
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(start) = next(bytes, at, |byte| byte.is_ascii_alphanumeric()) {
        at = next(bytes, start, |byte| !byte.is_ascii_alphanumeric()).unwrap_or(bytes.len());
        if start - row.end() > BETWEEN {
            row.flush(&mut reading);
        }
        if !how.read(bytes.get(start..at).unwrap_or_default(), start, &mut row) {
            row.flush(&mut reading);
        }
    }
    row.flush(&mut reading);
    reading
}

impl Spelling {
    /// Adds what a word says; whether it may be such.
    fn read(self, word: &[u8], start: usize, row: &mut Row) -> bool {
        match self {
            Spelling::Hex(skipped) => {
                let prefix = if matches!(word, [b'0', b'x' | b'X', ..]) { 2 } else { skipped };
                self.bytes(word.get(prefix..).unwrap_or_default(), start + prefix, row)
            }
            Spelling::Binary => self.bytes(word, start, row),
            Spelling::Decimal => {
                let code = str::from_utf8(word).ok().filter(|word| word.len() <= 4).and_then(|word| word.parse().ok());
                let Some(said) = code.and_then(char::from_u32) else { return false };
                for byte in said.encode_utf8(&mut [0; 4]).bytes() {
                    row.bytes.push(byte);
                    row.from.push(start..start + word.len());
                }
                true
            }
        }
    }

    /// Adds bytes that are written with as many digits each.
    fn bytes(self, digits: &[u8], start: usize, row: &mut Row) -> bool {
        let (radix, width) = if self == Spelling::Binary { (2, 8) } else { (16, 2) };
        if !digits.iter().all(|byte| char::from(*byte).is_digit(radix)) {
            return false;
        }
        for (at, digits) in digits.chunks_exact(width).enumerate() {
            let value = str::from_utf8(digits).ok().and_then(|digits| u8::from_str_radix(digits, radix).ok());
            let place = start + at * width;
            row.bytes.extend(value);
            row.from.extend(value.map(|_| place..place + width));
        }
        digits.len() >= width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where it is said in an encoding.
    fn place<'t>(text: &'t str, said: &str) -> Option<&'t str> {
        readings(text).find_map(|reading| {
            let at = reading.text().find(said)?;
            let (from, is_encoded) = reading.original(&(at..at + said.len()));
            assert!(is_encoded);
            text.get(from)
        })
    }

    #[test]
    fn what_is_short_or_has_no_letters_is_read() {
        for (text, said, expected) in [
            ("sent to QW5uYQ==, see", "Anna", "QW5uYQ=="),
            ("sent to NDgyMTMzNzc=", "48213377", "NDgyMTMzNzc="),
            ("tokenQmVyZ2Vy.", "Berger", "tokenQmVyZ2Vy"),
            ("xQmVyZ2Vy", "Berger", "xQmVyZ2Vy"),
            ("QmVy Z2Vy YWM=", "Ber\nger\nac", "QmVy Z2Vy YWM="),
            ("MTExMSAxMTExIDExMTEgMTExMQ== ok", "1111 1111 1111 1111", "MTExMSAxMTExIDExMTEgMTExMQ=="),
            ("as 426572676572.", "Berger", "426572676572"),
            ("as 42 65 72 67 65 72.", "Berger", "42 65 72 67 65 72"),
            ("as 0x42, 0x65, 0x72, 0x67, 0x65, 0x72.", "Berger", "42, 0x65, 0x72, 0x67, 0x65, 0x72"),
            ("be 42:65:72:67:65:72", "Berger", "42:65:72:67:65:72"),
            ("a426572676572", "Berger", "426572676572"),
            ("3438323133333737", "48213377", "3438323133333737"),
            ("66 101 114 103 101 114", "Berger", "66 101 114 103 101 114"),
            ("01000001 01101110 01101110 01100001", "Anna", "01000001 01101110 01101110 01100001"),
        ] {
            assert_eq!(place(text, said), Some(expected), "{text}");
        }
        for text in ["", "words of no meaning to anybody", "2024-12-10", "10.0.0.1"] {
            assert!(readings(text).all(|reading| reading.text().len() < 30), "{text}");
        }
    }

    #[test]
    fn it_is_read_once() {
        for piece in ["QmVy", "a ", "42", "42 ", "0x42,", "66 ", "01000001", "=", "aA/", "9f-"] {
            let text = piece.repeat(200_000 / piece.len());
            let all: usize = readings(&text).map(|reading| reading.text().len()).sum();
            assert!(all <= 9 * text.len(), "{piece}");
        }
    }
}
