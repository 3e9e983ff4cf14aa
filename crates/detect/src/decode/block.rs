//! Texts whose bytes are spelled in an alphabet of digits: base64, hex, zeros and ones, decimal numbers.

use std::mem;
use std::ops::Range;

use super::{Encoding, Found};
use crate::ascii::{self, BLOCK, Block, Head};
use crate::normal::Map;

/// The shortest base64 that is looked at: twelve bytes. By chance, letters decode to that much text in one of 100,000.
const MIN_BASE64: usize = 16;
/// The fewest bytes in hex or in zeros and ones, and the fewest numbers.
const MIN_BYTES: usize = 8;
/// A line of base64 that goes on in the next one is at least this long.
const MIN_LINE: usize = 56;
/// The fewest bytes of text in a row among others that are none: by chance they are there in one of 100,000 places.
const MIN_STRETCH: usize = 12;

/// Adds every part of `text` that is text in such an encoding.
///
/// Linear, whatever stands there: what was read once is not read again from a later place, and a byte that is no text does not
/// hide those around it.
pub(super) fn find(text: &str, found: &mut Vec<Found>) {
    let bytes = text.as_bytes();
    let mut candidates = Candidates::from(bytes, 0);
    let mut reach = Reach::default();
    let mut end = 0;
    while let Some(start) = candidates.next() {
        // Many numbers may begin in one run, of which the end is looked for once.
        if start >= end {
            end = run_end(bytes, start);
        }
        read(bytes, start, end, &mut reach);
        if let Some((how, span, decoded)) = reach.best.take() {
            if span.end > end {
                candidates = Candidates::from(bytes, run_start(bytes, start, span.end));
            }
            let mut map = Map::default();
            map.stands_for(0, span);
            found.push(Found { how, text: decoded, map });
        }
    }
}

/// The places at which a run of digits of base64 begins that may say something: a long one, or one with which as many numbers
/// may begin as have to. Of sixty-four bytes at once it is told that nothing begins in them.
struct Candidates<'t> {
    bytes: &'t [u8],
    /// Where the block begins of which those that are left are bits of `left`.
    at: usize,
    left: u64,
    /// The block after it, as far as it has to be known.
    next: Digits,
    /// Whether the block ends within a run, and within a word.
    within: [bool; 2],
}

/// Which bytes of a block are digits of what.
#[derive(Clone, Copy)]
struct Digits {
    sextets: u64,
    /// Letters and digits.
    words: u64,
    hexadecimal: u64,
    /// What numbers and what separates them consist of.
    numbers: u64,
}

/// What may stand between two numbers, and what those to the base of sixteen may begin with.
const AROUND: [(u8, u8); 8] =
    [(b'\t', b'\n'), (b' ', b' '), (b',', b'/'), (b':', b';'), (b'|', b'|'), (b'_', b'_'), (b'x', b'x'), (b'X', b'X')];

impl Digits {
    fn of(bytes: &[u8], at: usize) -> Digits {
        if at >= bytes.len() {
            return Digits { sextets: 0, words: 0, hexadecimal: 0, numbers: 0 };
        }
        let block = Block::of(bytes, at);
        let hexadecimal = block.hexadecimal();
        let (sextets, words) = (block.sextets(), block.letters() | block.digits());
        Digits { sextets, words, hexadecimal, numbers: hexadecimal | block.within(AROUND) }
    }
}

/// The places in `here` from which on as many are set as `more` and one are together.
#[inline(always)]
fn row(here: u64, next: u64, more: [u32; 4]) -> u64 {
    let mut row = u128::from(next) << 64 | u128::from(here);
    for more in more {
        row &= row >> more;
    }
    row as u64
}

const _: () = assert!(MIN_BASE64 == 16, "`look` wants as many digits of base64 in a row");
const _: () = assert!(
    2 * MIN_BYTES - 1 == 15,
    "`look` wants as many bytes of numbers in a row: of each a digit, and what separates them"
);

impl<'t> Candidates<'t> {
    /// Those from `at` on; a run that goes on there counts as one that begins.
    fn from(bytes: &'t [u8], at: usize) -> Candidates<'t> {
        let mut candidates = Candidates { bytes, at, left: 0, next: Digits::of(bytes, at), within: [false; 2] };
        candidates.look();
        candidates
    }

    /// Looks at the next block, which begins at `at`.
    fn look(&mut self) {
        let here = self.next;
        self.next = Digits::of(self.bytes, self.at + BLOCK);
        let [run, word] = self.within.map(u64::from);
        let runs = here.sextets & !(here.sextets << 1 | run);
        let words = here.words & !(here.words << 1 | word);
        self.within = [here.sextets >> 63 == 1, here.words >> 63 == 1];
        let long = row(here.sextets, self.next.sextets, [1, 2, 4, 8]);
        let numbers = row(here.numbers, self.next.numbers, [1, 2, 4, 7]);
        self.left = runs & long | words & here.hexadecimal & numbers;
    }
}

impl Iterator for Candidates<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        while self.left == 0 {
            self.at += BLOCK;
            if self.at >= self.bytes.len() {
                return None;
            }
            self.look();
        }
        let start = self.at + self.left.trailing_zeros() as usize;
        self.left &= self.left - 1;
        Some(start)
    }
}

/// What was read.
#[derive(Default)]
struct Reach {
    /// Room for the bytes that something spells, kept to save an allocation for each word.
    room: Vec<u8>,
    /// Up to where each encoding was read, whatever came of it: from a place within that it would say the end of the same.
    tried: [usize; 4],
    /// Up to where lines of base64 were read as one.
    joined: usize,
    /// What says most from one place on.
    best: Option<(Encoding, Range<usize>, String)>,
}

impl Reach {
    /// Up to where that encoding was read.
    fn tried(&mut self, how: Encoding) -> &mut usize {
        let [base64, hex, binary, decimal] = &mut self.tried;
        match how {
            Encoding::Base64 => base64,
            Encoding::Hex => hex,
            Encoding::Binary => binary,
            _ => decimal,
        }
    }

    fn add(&mut self, how: Encoding, span: Range<usize>, decoded: &[u8]) {
        let Some(text) = text_of(decoded) else { return };
        if self.best.as_ref().is_none_or(|(_, _, best)| best.len() < text.len()) {
            self.best = Some((how, span, text));
        }
    }
}

/// Where the run begins that goes on at `at`, if that is behind `start`; what ends within it may have taken its first digits only.
fn run_start(bytes: &[u8], start: usize, at: usize) -> usize {
    let before = bytes.get(start..at).unwrap_or_default();
    let begin = at - before.iter().rev().take_while(|byte| sextet(**byte).is_some()).count();
    if begin > start { begin } else { at }
}

/// What the run from `start` to `end`, or the numbers that it begins, say.
fn read(bytes: &[u8], start: usize, end: usize, reach: &mut Reach) {
    let run = bytes.get(start..end).unwrap_or_default();
    if run.first().is_some_and(u8::is_ascii_hexdigit) {
        spelled(bytes, start, run, reach);
    }
    let is_new = start >= *reach.tried(Encoding::Base64);
    if is_new && run.len() >= MIN_BASE64 && reach.best.is_none() {
        *reach.tried(Encoding::Base64) = end;
        if has_capital_or_digit(run) {
            base64(bytes, start, end, reach);
        }
    }
}

/// What the numbers say that begin with a run, some of which go on behind it.
fn spelled(bytes: &[u8], start: usize, run: &[u8], reach: &mut Reach) {
    // Nearly all runs are words, and nearly all numbers are not followed by another one.
    let word = run.iter().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(run.len());
    let after = start + word;
    let gap = separator(bytes.get(after..).unwrap_or_default(), Encoding::Hex);
    let goes_on = gap > 0 && bytes.get(after + gap).is_some_and(u8::is_ascii_hexdigit);
    if goes_on && word <= 8 || word >= MIN_BYTES {
        for how in [Encoding::Binary, Encoding::Hex, Encoding::Decimal] {
            if word >= MIN_BYTES || may_be_number(word, how) {
                numbers(bytes, start, how, reach);
            }
        }
    }
}

/// Whether a word of that length may be a number by itself.
fn may_be_number(word: usize, how: Encoding) -> bool {
    match how {
        Encoding::Hex => word.is_multiple_of(2),
        Encoding::Binary => word == 8,
        _ => word <= 3,
    }
}

/// Of a text's digits of base64 more than half are such, and of words in a path or of a name often none.
fn has_capital_or_digit(run: &[u8]) -> bool {
    run.chunks(64).any(|chunk| {
        // Without a branch, so that many are looked at together.
        chunk.iter().fold(false, |any, byte| any | byte.is_ascii_uppercase() | byte.is_ascii_digit())
    })
}

/// The value of each digit of an alphabet, of which each part is from one digit to another, and the value of the first; [`NONE`] for
/// what is no digit.
#[expect(clippy::indexing_slicing, reason = "a constant is computed by the compiler, and there is no other way in one")]
const fn values<const N: usize>(alphabet: [(u8, u8, u8); N]) -> [u8; 256] {
    let mut values = [NONE; 256];
    let mut part = 0;
    while part < N {
        let (from, to, first) = alphabet[part];
        let mut digit = from;
        while digit <= to {
            values[digit as usize] = first + (digit - from);
            digit += 1;
        }
        part += 1;
    }
    values
}

/// Base64, of either alphabet.
const SEXTETS: [u8; 256] = values([
    (b'A', b'Z', 0),
    (b'a', b'z', 26),
    (b'0', b'9', 52),
    (b'+', b'+', 62),
    (b'-', b'-', 62),
    (b'/', b'/', 63),
    (b'_', b'_', 63),
]);

/// Numbers to the base of sixteen.
const HEXADECIMAL: [u8; 256] = values([(b'0', b'9', 0), (b'a', b'f', 10), (b'A', b'F', 10)]);

const NONE: u8 = 64;

fn sextet(byte: u8) -> Option<u8> {
    SEXTETS.get(usize::from(byte)).copied().filter(|sextet| *sextet != NONE)
}

fn run_end(bytes: &[u8], start: usize) -> usize {
    start + ascii::run(bytes, start, Head::sextets)
}

/// Base64 from one of the first places of the run on, over as many lines as it has.
fn base64(bytes: &[u8], start: usize, end: usize, reach: &mut Reach) {
    let joined = reach.joined;
    let mut read_to = |end: usize| {
        let padding = bytes.get(end..).map_or(0, |rest| rest.iter().take(2).take_while(|&&byte| byte == b'=').count());
        let mut decoded = mem::take(&mut reach.room);
        // What stands before it without a space may put it out of step.
        for from in start..start + 4 {
            let digits = sextets(bytes.get(from..end.min(bytes.len())).unwrap_or_default(), &mut decoded);
            if digits >= MIN_BASE64 {
                reach.add(Encoding::Base64, from..end + padding, &decoded);
            }
        }
        reach.room = decoded;
    };
    // What the next line begins with may be a word that has nothing to do with it, or a text of its own.
    read_to(end);
    if start >= joined {
        let last = last_line_end(bytes, start, end);
        if last > end {
            read_to(last);
        }
        reach.joined = last;
    }
}

/// Where base64 ends of which the first line is known. Its lines are all as long, but for the last; and for the first, if something
/// stands before it.
fn last_line_end(bytes: &[u8], start: usize, first: usize) -> usize {
    let (mut end, mut width, mut last) = (first, first - start, first - start);
    while (end - start >= MIN_LINE || last == width) && bytes.get(end) == Some(&b'\n') {
        let next = run_end(bytes, end + 1);
        let length = next - (end + 1);
        if end == first {
            width = width.max(length);
        }
        if length == 0 || length > width && end - start < MIN_LINE {
            break;
        }
        (last, end) = (length, next);
    }
    end
}

/// Puts the bytes that the digits spell into `decoded`, and tells how many digits there are.
fn sextets(digits: &[u8], decoded: &mut Vec<u8>) -> usize {
    let (fours, _) = digits.as_chunks::<4>();
    decoded.clear();
    decoded.resize(3 * fours.len(), 0);
    let value = |digit: u8| u32::from(SEXTETS.get(usize::from(digit)).copied().unwrap_or(NONE));
    let mut used = 0;
    // Nearly always there is nothing else among them.
    for ([a, b, c, d], three) in fours.iter().zip(decoded.as_chunks_mut::<3>().0) {
        let (a, b, c, d) = (value(*a), value(*b), value(*c), value(*d));
        if (a | b | c | d) & u32::from(NONE) != 0 {
            break;
        }
        let [_, high, middle, low] = (a << 18 | b << 12 | c << 6 | d).to_be_bytes();
        *three = [high, middle, low];
        used += 4;
    }
    decoded.truncate(used / 4 * 3);
    let rest = digits.get(used..).unwrap_or_default();
    let (mut bits, mut count) = (0_u32, 0);
    for digit in rest.iter().filter_map(|&byte| sextet(byte)) {
        bits = bits << 6 | u32::from(digit);
        count += 6;
        used += 1;
        if count >= 8 {
            count -= 8;
            decoded.push((bits >> count & 0xFF) as u8);
        }
    }
    used
}

/// Numbers from `start` on, in whatever way they are separated.
fn numbers(bytes: &[u8], start: usize, how: Encoding, reach: &mut Reach) {
    // A number in the middle of a word is none.
    if start < *reach.tried(how)
        || start.checked_sub(1).and_then(|before| bytes.get(before)).is_some_and(u8::is_ascii_alphanumeric)
    {
        return;
    }
    let mut decoded = mem::take(&mut reach.room);
    decoded.clear();
    let mut end = start;
    loop {
        let rest = bytes.get(end..).unwrap_or_default();
        let gap = if decoded.is_empty() { 0 } else { separator(rest, how) };
        let Some((byte, length)) = rest.get(gap..).and_then(|rest| number(rest, how)) else { break };
        decoded.push(byte);
        end += gap + length;
    }
    *reach.tried(how) = end;
    // Hex without spaces ends where its word does, unless it is long.
    let goes_on = bytes.get(end).is_some_and(u8::is_ascii_alphanumeric);
    if decoded.len() >= if goes_on { MIN_STRETCH } else { MIN_BYTES } {
        reach.add(how, start..end, &decoded);
    }
    reach.room = decoded;
}

/// One number at the beginning of `bytes`, and how long it is.
fn number(bytes: &[u8], how: Encoding) -> Option<(u8, usize)> {
    let digits = |from: usize, count: usize, radix: u32| {
        let digit = |value: u32, byte: &u8| Some(value * radix + char::from(*byte).to_digit(radix)?);
        u8::try_from(bytes.get(from..from + count)?.iter().try_fold(0, digit)?).ok()
    };
    let pair = |high: u8, low: u8| {
        let value = |digit: u8| HEXADECIMAL.get(usize::from(digit)).copied().unwrap_or(NONE);
        let (high, low) = (value(high), value(low));
        ((high | low) & NONE == 0).then_some(high << 4 | low)
    };
    match how {
        Encoding::Hex => match bytes {
            [b'0', b'x' | b'X', high, low, ..] => Some((pair(*high, *low)?, 4)),
            [high, low, ..] => Some((pair(*high, *low)?, 2)),
            _ => None,
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
        [b' ', b'|', b' ', ..] => 3,
        [b',' | b':' | b';' | b'|', b' ', ..] | [b' ', b'|', ..] => 2,
        [b' ' | b',' | b':' | b'-' | b'\n' | b'\t' | b'|' | b'/' | b'.' | b'_', ..] => 1,
        _ => 0,
    };
    if length == 0 && how == Encoding::Decimal { bytes.len() } else { length }
}

const fn is_control(byte: u8) -> bool {
    byte < 0x20 && !matches!(byte, b'\n' | b'\r' | b'\t') || byte == 0x7F
}

/// The text that bytes are, or the stretches of text among them, a line each; nothing if there are none.
fn text_of(bytes: &[u8]) -> Option<String> {
    if let Some(text) = of_pairs(bytes) {
        return is_text(&text).then_some(text);
    }
    if let Ok(whole) = str::from_utf8(bytes)
        && !bytes.iter().any(|&byte| is_control(byte))
    {
        return is_text(whole).then(|| whole.to_owned());
    }
    let mut text = String::new();
    stretches(bytes, |stretch| {
        for chunk in stretch.utf8_chunks() {
            let pieces = chunk.valid().split(|c: char| c.is_ascii() && is_control(c as u8));
            for piece in pieces.filter(|piece| piece.len() >= MIN_STRETCH && is_text(piece)) {
                text.push_str(if text.is_empty() { "" } else { "\n" });
                text.push_str(piece);
            }
        }
    });
    (!text.is_empty()).then_some(text)
}

/// Shows what may be a stretch of text among bytes that are none: all in a row that may be of a character, if they are enough. Of
/// random bytes most are not looked at: from one that is of no text on, the next that has to be of some is so many bytes away.
fn stretches(bytes: &[u8], mut show: impl FnMut(&[u8])) {
    let may_be = |place: &usize| may_be_of_text(bytes, *place);
    let mut from = 0;
    while let Some(place) = Some(from + MIN_STRETCH - 1).filter(|place| *place < bytes.len()) {
        if let Some(gap) = (from..=place).rev().find(|place| !may_be(place)) {
            from = gap + 1;
            continue;
        }
        let end = place + (place..bytes.len()).take_while(may_be).count();
        show(bytes.get(from..end).unwrap_or_default());
        from = end;
    }
}

/// Whether a byte may be one of a text: of a character of its own, or one that goes on, or that goes on with it.
fn may_be_of_text(bytes: &[u8], place: usize) -> bool {
    let at = |place: Option<usize>| place.and_then(|place| bytes.get(place)).copied();
    match at(Some(place)) {
        Some(b'\t' | b'\n' | b'\r' | b' '..=b'~') => true,
        Some(byte) if is_first(byte) => at(place.checked_add(1)).is_some_and(is_further),
        Some(byte) if is_further(byte) => {
            at(place.checked_sub(1)).is_some_and(|byte| is_first(byte) || is_further(byte))
        }
        _ => false,
    }
}

/// Whether characters begin so that are not ASCII.
const fn is_first(byte: u8) -> bool {
    matches!(byte, 0xC2..=0xF4)
}

/// Whether characters go on so.
const fn is_further(byte: u8) -> bool {
    matches!(byte, 0x80..=0xBF)
}

/// The text that bytes are, two for each character as in UTF-16, if nearly all of it is of ASCII.
fn of_pairs(bytes: &[u8]) -> Option<String> {
    // Of bytes that are none it is told at once.
    if !bytes.iter().take(4).any(|&byte| byte == 0) {
        return None;
    }
    let (pairs, _) = bytes.as_chunks::<2>();
    let is_plain = |unit: &u16| u8::try_from(*unit).is_ok_and(|byte| byte.is_ascii() && !is_control(byte));
    [u16::from_le_bytes, u16::from_be_bytes].into_iter().find_map(|of| {
        let units = || pairs.iter().map(|pair| of(*pair));
        let is_it = pairs.len() >= MIN_BYTES && 4 * units().filter(is_plain).count() >= 3 * pairs.len();
        is_it.then(|| char::decode_utf16(units()).filter_map(Result::ok).filter(|c| *c != '\u{FEFF}').collect())
    })
}

fn is_text(text: &str) -> bool {
    let counted = |is: fn(char) -> bool| text.chars().filter(|&c| is(c)).count();
    let (all, plain, letters) =
        (text.chars().count(), counted(|c| c.is_alphanumeric() || c == ' '), counted(char::is_alphabetic));
    // A few bytes are a letter of some script by chance.
    2 * plain >= all && letters > 0 && all >= MIN_BYTES
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same, character by character.
    fn slowly(bytes: &[u8]) -> Vec<String> {
        let chunks = bytes.utf8_chunks();
        let pieces = chunks.flat_map(|chunk| chunk.valid().split(|c: char| c.is_ascii() && is_control(c as u8)));
        pieces.filter(|piece| piece.len() >= MIN_STRETCH && is_text(piece)).map(str::to_owned).collect()
    }

    proptest! {
        #[test]
        fn stretches_of_text_are_those_that_are_there(
            pieces in proptest::collection::vec(
                prop_oneof![
                    proptest::collection::vec(any::<u8>(), 0..90),
                    "[a-z é€😀]{0,40}".prop_map(String::into_bytes),
                    "[ -~\t\n]{11,13}".prop_map(String::into_bytes),
                ],
                0..12,
            ),
        ) {
            let mut bytes = pieces.concat();
            // Neither UTF-16 nor a text as a whole.
            bytes.splice(0..0, [1, 2, 3, 4]);
            let expected = slowly(&bytes);
            prop_assert_eq!(text_of(&bytes), (!expected.is_empty()).then(|| expected.join("\n")));
        }
    }
}
