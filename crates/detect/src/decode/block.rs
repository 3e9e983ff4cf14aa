//! Texts whose bytes are spelled in an alphabet of digits: base64, hex, zeros and ones, decimal numbers.

use std::ops::Range;

use super::{Encoding, Found};
use crate::ascii::{self, Head};
use crate::normal::Map;

/// The shortest base64 that is looked at: twelve bytes. By chance, letters decode to that much text in one of 100,000.
const MIN_BASE64: usize = 16;
/// The fewest bytes in hex or in zeros and ones, and the fewest numbers.
const MIN_BYTES: usize = 8;
/// A line of base64 that goes on in the next one is at least this long.
const MIN_LINE: usize = 56;
/// Bytes decoded before it is first looked whether they are text.
const TASTE: usize = 24;

/// Adds every part of `text` that is text in such an encoding.
pub(super) fn find(text: &str, found: &mut Vec<Found>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        let start = at + ascii::run(bytes, at, Head::no_sextets);
        if start >= bytes.len() {
            break;
        }
        let end = run_end(bytes, start);
        at = match read(bytes, start, end) {
            Some((how, span, decoded)) => {
                let mut map = Map::default();
                map.stands_for(0, span.clone());
                let end = span.end;
                found.push(Found { how, text: decoded, map });
                end.max(start + 1)
            }
            None => end.max(start + 1),
        };
    }
}

type Read = (Encoding, Range<usize>, String);

/// What the run from `start` to `end`, or the numbers that it begins, say.
fn read(bytes: &[u8], start: usize, end: usize) -> Option<Read> {
    let run = bytes.get(start..end)?;
    if run.len() >= MIN_BASE64 {
        let digits = run.iter().all(u8::is_ascii_hexdigit).then(|| numbers(bytes, start, Encoding::Hex)).flatten();
        return digits.or_else(|| numbers(bytes, start, Encoding::Binary)).or_else(|| base64(bytes, start, end));
    }
    // Nearly all runs are words, and nearly all numbers are not followed by another one.
    run.first().filter(|first| first.is_ascii_hexdigit())?;
    let word = run.iter().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(run.len());
    let after = start + word;
    let gap = separator(bytes.get(after..)?, Encoding::Hex);
    let goes_on = gap > 0 && bytes.get(after + gap).is_some_and(u8::is_ascii_hexdigit);
    (goes_on && word <= 8 || word >= MIN_BYTES).then_some(())?;
    [Encoding::Binary, Encoding::Hex, Encoding::Decimal].into_iter().find_map(|how| numbers(bytes, start, how))
}

/// The value of a digit of base64, of either alphabet.
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

fn run_end(bytes: &[u8], start: usize) -> usize {
    start + ascii::run(bytes, start, Head::sextets)
}

/// Base64 from one of the first places of the run on, over as many lines as it has.
fn base64(bytes: &[u8], start: usize, end: usize) -> Option<Read> {
    // What stands before it without a space may put it out of step.
    (start..start + 4).find_map(|from| {
        begins_a_text(bytes.get(from..end.min(from + TASTE * 4 / 3))?).then_some(())?;
        let mut end = end;
        while end - from >= MIN_LINE && bytes.get(end) == Some(&b'\n') {
            let next = run_end(bytes, end + 1);
            if next == end + 1 {
                break;
            }
            end = next;
        }
        let (decoded, digits) = sextets(bytes, from, end)?;
        let text = (digits >= MIN_BASE64).then(|| text_of(decoded)).flatten()?;
        let padding = bytes.get(end..).map_or(0, |rest| rest.iter().take(2).take_while(|&&byte| byte == b'=').count());
        Some((Encoding::Base64, from..end + padding, text))
    })
}

/// Whether the bytes that the digits spell can be the beginning of a text.
fn begins_a_text(digits: &[u8]) -> bool {
    let mut decoded = [0; TASTE];
    let mut length = 0;
    for (four, three) in digits.chunks_exact(4).zip(decoded.chunks_exact_mut(3)) {
        let bits = four.iter().fold(0_u32, |bits, &digit| bits << 6 | u32::from(sextet(digit).unwrap_or(0)));
        three.copy_from_slice(bits.to_be_bytes().get(1..).unwrap_or(&[0; 3]));
        // Most of what is no text shows so at once.
        if three.iter().any(|&byte| is_control(byte)) {
            return false;
        }
        length += 3;
    }
    might_be_text(decoded.get(..length).unwrap_or_default())
}

/// The bytes that the digits between two places spell, and how many digits there are.
fn sextets(bytes: &[u8], from: usize, to: usize) -> Option<(Vec<u8>, usize)> {
    let digits = bytes.get(from..to.min(bytes.len()))?;
    let mut decoded = Vec::with_capacity(digits.len() / 4 * 3 + 3);
    let (mut bits, mut count, mut used) = (0_u32, 0, 0);
    for digit in digits.iter().filter_map(|&byte| sextet(byte)) {
        bits = bits << 6 | u32::from(digit);
        count += 6;
        used += 1;
        if count >= 8 {
            count -= 8;
            decoded.push((bits >> count & 0xFF) as u8);
        }
    }
    Some((decoded, used))
}

/// Numbers from `start` on, in whatever way they are separated.
fn numbers(bytes: &[u8], start: usize, how: Encoding) -> Option<Read> {
    // A number in the middle of a word is none.
    if start.checked_sub(1).and_then(|before| bytes.get(before)).is_some_and(u8::is_ascii_alphanumeric) {
        return None;
    }
    let mut end = start;
    let next = |end: &mut usize| {
        let at = if *end == start { start } else { *end + separator(bytes.get(*end..).unwrap_or_default(), how) };
        let (byte, length) = number(bytes.get(at..)?, how)?;
        *end = at + length;
        Some(byte)
    };
    // Hardly any number is followed by as many others.
    let mut few = [0; MIN_BYTES];
    for place in &mut few {
        *place = next(&mut end)?;
    }
    let mut decoded = few.to_vec();
    while let Some(byte) = next(&mut end) {
        decoded.push(byte);
        if decoded.len() == TASTE && !might_be_text(&decoded) {
            return None;
        }
    }
    // Hex without spaces ends where its word does.
    let goes_on = bytes.get(end).is_some_and(u8::is_ascii_alphanumeric);
    let text = (decoded.len() >= MIN_BYTES && !goes_on).then(|| text_of(decoded)).flatten()?;
    Some((how, start..end, text))
}

/// One number at the beginning of `bytes`, and how long it is.
fn number(bytes: &[u8], how: Encoding) -> Option<(u8, usize)> {
    let digits = |from: usize, count: usize, radix: u32| {
        let digit = |value: u32, byte: &u8| Some(value * radix + char::from(*byte).to_digit(radix)?);
        u8::try_from(bytes.get(from..from + count)?.iter().try_fold(0, digit)?).ok()
    };
    match how {
        Encoding::Hex => match bytes {
            [b'0', b'x' | b'X', ..] => Some((digits(2, 2, 16)?, 4)),
            _ => Some((digits(0, 2, 16)?, 2)),
        },
        Encoding::Binary => Some((digits(0, 8, 2)?, 8)),
        _ => {
            let length = bytes.iter().take(4).take_while(|byte| byte.is_ascii_digit()).count();
            // Of a number of more digits the first three are none.
            Some((digits(0, Some(length).filter(|length| (1..=3).contains(length))?, 10)?, length))
        }
    }
}

/// How much stands between two numbers; decimal ones need something.
fn separator(bytes: &[u8], how: Encoding) -> usize {
    let length = match bytes {
        [b',' | b':' | b';', b' ', ..] => 2,
        [b' ' | b',' | b':' | b'-' | b'\n', ..] => 1,
        _ => 0,
    };
    if length == 0 && how == Encoding::Decimal { bytes.len() } else { length }
}

fn is_control(byte: u8) -> bool {
    byte < 0x20 && !matches!(byte, b'\n' | b'\r' | b'\t') || byte == 0x7F
}

/// Whether bytes can be the beginning of a text.
fn might_be_text(bytes: &[u8]) -> bool {
    let valid = match str::from_utf8(bytes) {
        Ok(_) => true,
        // A character may go on where it was cut.
        Err(error) => error.error_len().is_none(),
    };
    valid && !bytes.iter().any(|&byte| is_control(byte))
}

/// The text that bytes are; nothing if they are none.
fn text_of(mut bytes: Vec<u8>) -> Option<String> {
    if !might_be_text(&bytes) {
        return None;
    }
    let valid = str::from_utf8(&bytes).map_or_else(|error| error.valid_up_to(), str::len);
    bytes.truncate(valid);
    let text = String::from_utf8(bytes).ok()?;
    let counted = |is: fn(char) -> bool| text.chars().filter(|&c| is(c)).count();
    let (all, plain, letters) =
        (text.chars().count(), counted(|c| c.is_alphanumeric() || c == ' '), counted(char::is_alphabetic));
    (2 * plain >= all && (letters > 0)).then_some(text)
}
