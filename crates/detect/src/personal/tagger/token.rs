//! Words and numbers of a text around those that may be names.

use std::ops::Range;

use super::super::fold;
use super::lexicon::{Lexicon, is};
use crate::ascii::{BLOCK, Block};

/// A word or number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Without case and accents.
    pub(super) hash: u64,
    pub(super) shape: Shape,
    pub(super) gap: Gap,
    /// What the lists say.
    pub(super) known: u32,
    /// Whether it may be anything but a common word.
    pub(super) open: bool,
    /// Whether common small words stand not far before it, as in a sentence and not in a list or on an envelope.
    pub(super) prose: bool,
}

impl Token {
    /// Whether it is of digits only.
    pub(super) fn is_number(&self) -> bool {
        matches!(self.shape, Shape::One | Shape::Two | Shape::Three | Shape::Four | Shape::Five | Shape::More)
    }

    /// Its last two, three and four letters, and its first three.
    pub(super) fn ends(&self, text: &str) -> [u64; 4] {
        let word = text.get(self.start..self.end).unwrap_or_default();
        if word.is_ascii() {
            let part = |byte: &u8| *byte != b'\'';
            let letters = || word.bytes().filter(part).map(|byte| char::from(byte.to_ascii_lowercase()));
            return ends(letters(), letters().rev());
        }
        let letters = || word.chars().filter(|c| is_part(*c)).map(fold::letter);
        ends(letters(), letters().rev())
    }
}

/// The last two, three and four of some letters, and the first three, which are told from both ends.
#[inline(always)]
fn ends(letters: impl Iterator<Item = char>, backwards: impl Iterator<Item = char>) -> [u64; 4] {
    let (mut first, mut last) = (['\0'; 3], ['\0'; 4]);
    first.iter_mut().zip(letters).for_each(|(to, from)| *to = from);
    last.iter_mut().rev().zip(backwards).for_each(|(to, from)| *to = from);
    let part = |chars: &[char]| chars.iter().fold(fold::START, |hash, c| fold::add(hash, *c));
    let [_, second, third, fourth] = last;
    [part(&[third, fourth]), part(&[second, third, fourth]), part(&last), part(&first)]
}

/// How a word is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Small = 0,
    Capital,
    Capitals,
    /// One capital letter.
    Initial,
    /// Capitals within, as in `McDonald`.
    Mixed,
    /// Digits, by their number: one, two, three, four, five, six and more.
    One,
    Two,
    Three,
    Four,
    Five,
    More,
    /// Letters and digits.
    Both,
    /// Of a script without capitals.
    Other,
}

/// What stands before a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gap {
    None = 0,
    Space,
    Comma,
    Line,
    Blank,
    Stop,
    Colon,
    Hyphen,
    Open,
    Quote,
    And,
    Apostrophe,
    Other,
}

impl Gap {
    fn of(between: &str) -> Gap {
        match between {
            "" => return Gap::None,
            " " => return Gap::Space,
            _ => {}
        }
        let bytes = between.as_bytes();
        if let Some(line) = memchr::memchr(b'\n', bytes) {
            let more = bytes.get(line + 1..).is_some_and(|rest| rest.contains(&b'\n'));
            return if more { Gap::Blank } else { Gap::Line };
        }
        match between.chars().find(|c| !c.is_whitespace()) {
            None => Gap::Space,
            Some(',') => Gap::Comma,
            Some('.' | '!' | '?') => Gap::Stop,
            Some(':') => Gap::Colon,
            Some('-') => Gap::Hyphen,
            Some('(' | '[') => Gap::Open,
            Some('"' | '\u{201C}' | '\u{201E}' | '\u{AB}') => Gap::Quote,
            Some('&') => Gap::And,
            Some('\'' | '\u{2019}') => Gap::Apostrophe,
            Some(_) => Gap::Other,
        }
    }
}

/// How far around a word that may be a name words are read, in bytes.
const BEFORE: usize = 48;
const AFTER: usize = 64;
/// How much of that is enough for a name and what stands behind it.
const ENOUGH: usize = 32;
/// A text without any capital letter is read whole up to here: people write so in chats.
const SMALL_TEXT: usize = 4096;

/// A longer part is read in windows that begin so many bytes after each other, so that no text takes more room than they do.
pub(super) const WINDOW: usize = 8 * 1024;
/// How much before and behind it is read with a window, so that words at its ends have their neighbours.
pub(super) const OVERLAP: usize = 512;

/// Calls `each` with the words of every part of a text in which there may be a name, and with those bytes for which nobody else
/// is called: around them stands what is in another window.
pub(super) fn each_part(text: &str, lexicon: &Lexicon, mut each: impl FnMut(&[Token], Range<usize>)) {
    let mut tokens = Vec::new();
    if text.len() <= SMALL_TEXT && !text.chars().any(char::is_uppercase) {
        read(text, 0, text.len(), lexicon, &mut tokens);
        return each(&tokens, 0..text.len());
    }
    let mut part: Option<(usize, usize)> = None;
    let mut read = |part: (usize, usize)| each_window(text, lexicon, part, &mut tokens, &mut each);
    each_trigger(text, lexicon, |at| {
        let (start, end) = (at.saturating_sub(BEFORE), at + AFTER);
        match &mut part {
            Some((_, held)) if start <= *held + 16 => *held = end,
            _ => part.replace((start, end)).into_iter().for_each(&mut read),
        }
        end
    });
    part.into_iter().for_each(read);
}

fn each_window(
    text: &str,
    lexicon: &Lexicon,
    (start, end): (usize, usize),
    tokens: &mut Vec<Token>,
    each: &mut impl FnMut(&[Token], Range<usize>),
) {
    let mut from = start;
    while from < end {
        // What is left over for a last window is read with the one before.
        let to = if end - from <= WINDOW + OVERLAP { end } else { from + WINDOW };
        read(text, start.max(from.saturating_sub(OVERLAP)), end.min(to + OVERLAP), lexicon, tokens);
        // The last word may reach beyond the part.
        each(tokens, from..if to == end { text.len() } else { to });
        from = to;
    }
}

/// Calls `each` with the place of every word that may be a name, or number that may be an age.
fn each_trigger(text: &str, lexicon: &Lexicon, mut each: impl FnMut(usize) -> usize) {
    let bytes = text.as_bytes();
    let (mut before, mut read) = (false, 0);
    for start in (0..bytes.len()).step_by(BLOCK) {
        let block = Block::of(bytes, start);
        let words = block.words() | block.not_ascii();
        let begins = words & !(words << 1 | u64::from(before));
        before = words >> 63 == 1;
        let mut candidates = begins & (block.within([(b'A', b'Z'), (0xC3, 0xF4)]) | block.digits());
        while candidates != 0 {
            let at = start + candidates.trailing_zeros() as usize;
            candidates &= candidates - 1;
            // What is read anyway with much behind it need not be looked at twice.
            if at + ENOUGH > read && is_trigger(text, at, lexicon) {
                read = each(at);
            }
        }
    }
}

fn is_trigger(text: &str, at: usize, lexicon: &Lexicon) -> bool {
    let bytes = text.as_bytes();
    let first = bytes.get(at).copied().unwrap_or(0);
    if first.is_ascii_digit() {
        return is_age(text, at, lexicon);
    }
    let before = at.checked_sub(1).and_then(|at| bytes.get(at)).copied().unwrap_or(b'\n');
    // What stands in code is no name of anybody.
    if matches!(before, b'.' | b':' | b'/' | b'\\' | b'$' | b'@' | b'#' | b'<' | b'&' | b'%') {
        return false;
    }
    let read = Letters::of_ascii(bytes, at);
    let (mut hash, mut length, mut letters, mut capitals) = (read.hash, read.end - at, read.end - at, read.capitals);
    let mut inner = read.digits > 0 || read.underscore || read.capitals > usize::from(read.capital);
    // What is long is no name, and letters that are not ASCII are read one by one.
    for c in text
        .get(read.end..)
        .unwrap_or_default()
        .chars()
        .take(40_usize.saturating_sub(length))
        .take_while(|c| c.is_alphanumeric() || *c == '_')
    {
        length += c.len_utf8();
        if letters > 0 && c.is_uppercase() {
            inner = true;
        }
        letters += 1;
        capitals += usize::from(c.is_uppercase());
        inner |= c == '_' || c.is_ascii_digit();
        hash = fold::add(hash, fold::letter(c));
    }
    if capitals == 0 || !(2..40).contains(&letters) {
        return false;
    }
    let behind =
        (bytes.get(at + length).copied().unwrap_or(b'\n'), bytes.get(at + length + 1).copied().unwrap_or(b'\n'));
    if matches!(behind.0, b'(' | b'<' | b'[' | b'=' | b'{') || (behind.0 == b':' && behind.1 == b':') {
        return false;
    }
    let known = lexicon.get(hash);
    if inner && capitals < letters && capitals != 2 {
        return false;
    }
    if known & is::TECHNICAL != 0 || (known & is::COMMON != 0 && known & (is::ANY_NAME & !is::FAMILY) == 0) {
        return false;
    }
    let is_short = capitals == letters && letters <= 5 && known & is::ANY_NAME == 0;
    !is_short && !is_in_code(bytes, at)
}

/// How far a line is looked at for signs of code, in bytes each way.
const LINE: usize = 120;

/// Whether a place is in a line of code, and not in a comment or between quotes.
fn is_in_code(bytes: &[u8], at: usize) -> bool {
    let before = bytes.get(at.saturating_sub(LINE)..at).unwrap_or_default();
    let before = before.get(memchr::memrchr(b'\n', before).map_or(0, |end| end + 1)..).unwrap_or_default();
    let after = bytes.get(at..at.saturating_add(LINE).min(bytes.len())).unwrap_or_default();
    let after = after.get(..memchr::memchr(b'\n', after).unwrap_or(after.len())).unwrap_or_default();
    let start = before.trim_ascii_start();
    let comments: [&[u8]; 6] = [b"//", b"#", b"*", b"--", b"/*", b"<!--"];
    let comment = |slash: usize| before.get(slash..).is_some_and(|rest| rest.starts_with(b"// "));
    if comments.iter().any(|sign| start.starts_with(sign)) || memchr::memchr_iter(b'/', before).any(comment) {
        return false;
    }
    if !memchr::memchr_iter(b'"', before).count().is_multiple_of(2) {
        return false;
    }
    let ends = after.trim_ascii_end().last();
    let words: [&[u8]; 13] = [
        b"fn ", b"let ", b"pub ", b"use ", b"impl", b"struct ", b"enum ", b"def ", b"class ", b"import ", b"return ",
        b"const ", b"type ",
    ];
    matches!(ends, Some(b';' | b'{' | b'}'))
        || words.iter().any(|word| start.starts_with(word))
        || [before, after].iter().any(|half| {
            let signs = memchr::memchr3(b':', b'(', b'=', half).or_else(|| memchr::memchr3(b'-', b'&', b'<', half));
            signs.is_some()
                && half.windows(2).any(|two| matches!(two, b"::" | b"->" | b"=>" | b"()" | b"==" | b"&&" | b"<'"))
        })
}

/// Whether words beside a number of two or three digits speak of an age.
fn is_age(text: &str, at: usize, lexicon: &Lexicon) -> bool {
    let bytes = text.as_bytes();
    let digits = bytes.get(at..).unwrap_or_default().iter().take(4).take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=3).contains(&digits) {
        return false;
    }
    let behind = bytes.get(at + digits..).unwrap_or_default();
    let behind = match behind {
        [b' ' | b'-', rest @ ..] => rest,
        _ => behind,
    };
    let word = behind.iter().take(10).take_while(|byte| byte.is_ascii_alphabetic() || **byte >= 0x80).count();
    let after = behind.get(..word).and_then(|word| str::from_utf8(word).ok()).unwrap_or_default();
    if word > 0 && lexicon.get(fold::hash(after)) & is::AGE != 0 {
        return true;
    }
    let Some(end) = at.checked_sub(1).filter(|at| matches!(bytes.get(*at), Some(b' '))) else { return false };
    let before = bytes.get(..end).unwrap_or_default();
    let before = before.strip_suffix(b":").unwrap_or(before);
    // `the age of 61`, `à l'âge de 61 ans`.
    let before = [&b" of"[..], b" de", b" von", b" di", b" van"]
        .iter()
        .find_map(|word| before.strip_suffix(*word))
        .unwrap_or(before);
    let length = before.iter().rev().take(10).take_while(|byte| byte.is_ascii_alphabetic()).count();
    let word = before.get(before.len() - length..).and_then(|word| str::from_utf8(word).ok()).unwrap_or_default();
    length > 0 && lexicon.get(fold::hash(word)) & is::AGE != 0
}

/// Reads the words of a part, from the first that begins in it to the last.
pub(super) fn read(text: &str, start: usize, end: usize, lexicon: &Lexicon, tokens: &mut Vec<Token>) {
    tokens.clear();
    let (start, end) = (text.ceil_char_boundary(start.min(text.len())), text.ceil_char_boundary(end.min(text.len())));
    // Within a word it begins behind it.
    let rest = text.get(start..).unwrap_or_default();
    let within = start > 0 && text.get(..start).is_some_and(|before| before.chars().next_back().is_some_and(is_part));
    let skipped = if within { rest.find(|c| !is_part(c)).unwrap_or(rest.len()) } else { 0 };
    let mut at = start + skipped;
    let mut last = text
        .get(..at)
        .map_or(0, |before| before.trim_end_matches(|c: char| !is_part(c) && c != '\n').len())
        .max(at.saturating_sub(8));
    last = text.ceil_char_boundary(last);
    while at < end {
        let Some(first) = text.as_bytes().get(at) else { break };
        let (part, length) = match text.get(at..).and_then(|rest| rest.chars().next()) {
            _ if first.is_ascii() => (is_ascii_part(*first), 1),
            Some(c) => (is_part(c), c.len_utf8()),
            None => break,
        };
        if !part {
            at += length;
            continue;
        }
        let token = token(text, at, Gap::of(text.get(last..at).unwrap_or_default()), lexicon);
        at = token.end;
        last = token.end;
        tokens.push(token);
    }
    open(tokens);
}

#[inline(always)]
fn is_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[inline(always)]
fn is_ascii_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The longest word; what is longer is no name.
const LONGEST: usize = 60;

fn token(text: &str, start: usize, gap: Gap, lexicon: &Lexicon) -> Token {
    let mut read = Letters::of_ascii(text.as_bytes(), start);
    // An apostrophe or a letter that is not ASCII, if there is one.
    let rest = text.get(read.end..).unwrap_or_default();
    if rest.bytes().next().is_some_and(|byte| byte == b'\'' || byte >= 0x80) {
        read.go_on(rest, start);
    }
    let Letters { end, hash, letters, capitals, digits, others, capital, .. } = read;
    let shape = match (letters, digits) {
        (0, 1) => Shape::One,
        (0, 2) => Shape::Two,
        (0, 3) => Shape::Three,
        (0, 4) => Shape::Four,
        (0, 5) => Shape::Five,
        (0, _) => Shape::More,
        (_, 1..) => Shape::Both,
        _ if others * 2 > letters => Shape::Other,
        (1, _) if capital => Shape::Initial,
        _ if capitals == letters => Shape::Capitals,
        _ if capital && capitals == 1 => Shape::Capital,
        _ if capitals > 0 => Shape::Mixed,
        _ => Shape::Small,
    };
    Token { start, end, hash, shape, gap, known: lexicon.get(hash), open: false, prose: false }
}

/// What a capital letter counts, and a digit one: a word has fewer digits than that.
const CAPITAL: usize = 256;
/// And an underscore, likewise.
const UNDERSCORE: usize = 1 << 16;

/// What each byte is as a part of a word: itself as a small letter, and what it counts; zero if it is none.
#[expect(clippy::indexing_slicing, reason = "a table is computed by the compiler, and there is no other way in one")]
static PARTS: [(u8, u32); 256] = {
    let mut parts = [(0, 0); 256];
    let mut byte = 0_u8;
    while byte < 128 {
        if byte.is_ascii_alphanumeric() || byte == b'_' {
            let count = match byte {
                b'A'..=b'Z' => CAPITAL,
                b'_' => UNDERSCORE,
                byte => byte.is_ascii_digit() as usize,
            };
            parts[byte as usize] = (byte.to_ascii_lowercase(), count as u32);
        }
        byte += 1;
    }
    parts
};

/// What a word is made of.
struct Letters {
    end: usize,
    hash: u64,
    letters: usize,
    capitals: usize,
    digits: usize,
    others: usize,
    /// Whether a capital letter is the first of it.
    capital: bool,
    /// Whether there is an underscore in what was read as ASCII.
    underscore: bool,
}

impl Letters {
    /// Reads a word as far as it is ASCII and without an apostrophe.
    fn of_ascii(bytes: &[u8], start: usize) -> Letters {
        let mut hash = fold::START;
        let mut counts = 0;
        let mut end = start;
        for byte in bytes.get(start..bytes.len().min(start + LONGEST * 4 + 1)).unwrap_or_default() {
            let Some((letter, count)) = PARTS.get(usize::from(*byte)).filter(|(letter, _)| *letter != 0) else { break };
            end += 1;
            hash = fold::add(hash, char::from(*letter));
            counts += *count as usize;
        }
        let (digits, capitals, underscore) = (counts % CAPITAL, counts / CAPITAL % CAPITAL, counts >= UNDERSCORE);
        let capital = bytes.get(start).is_some_and(u8::is_ascii_uppercase);
        Letters { end, hash, letters: end - start - digits, capitals, digits, others: 0, capital, underscore }
    }

    /// Goes on with what stands behind, in a word that began at `start`.
    fn go_on(&mut self, rest: &str, start: usize) {
        let from = self.end;
        let mut chars = rest.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            // An apostrophe between letters is of the word.
            let joins = matches!(c, '\'' | '\u{2019}')
                && self.letters > 0
                && self.digits == 0
                && self.letters <= 2
                && chars.peek().is_some_and(|(_, c)| c.is_uppercase());
            if !(is_part(c) || joins) || from + at - start > LONGEST * 4 {
                break;
            }
            self.end = from + at + c.len_utf8();
            if joins {
                continue;
            }
            self.hash = fold::add(self.hash, fold::letter(c));
            if c.is_ascii_digit() {
                self.digits += 1;
                continue;
            }
            self.capital |= self.letters == 0 && self.digits == 0 && c.is_uppercase();
            self.capitals += usize::from(c.is_uppercase());
            self.others += usize::from(c.is_alphabetic() && !c.is_uppercase() && !c.is_lowercase());
            self.letters += 1;
        }
    }
}

/// How many words may lie between a common word and one that is in the same sentence.
const PROSE: usize = 14;

/// Says of each word whether it may be anything but a common word.
fn open(tokens: &mut [Token]) {
    let mut before = false;
    let mut since = usize::MAX;
    for index in 0..tokens.len() {
        let next = tokens.get(index + 1).copied();
        let Some(token) = tokens.get_mut(index) else { break };
        if token.gap == Gap::Blank {
            since = usize::MAX;
        }
        token.prose = since <= PROSE;
        since = if token.shape == Shape::Small && token.known & is::COMMON != 0 { 0 } else { since.saturating_add(1) };
        let common = token.known & is::COMMON != 0 && token.known & is::ANY_NAME == 0;
        let capital = |shape: Shape| matches!(shape, Shape::Capital | Shape::Capitals | Shape::Mixed | Shape::Initial);
        let begins = matches!(token.gap, Gap::Line | Gap::Blank | Gap::Stop) || index == 0;
        token.open = match token.shape {
            Shape::Capital => !(common && (begins || token.gap == Gap::Quote)) && token.known & is::TECHNICAL == 0,
            Shape::Capitals | Shape::Mixed | Shape::Initial => token.known & is::TECHNICAL == 0,
            Shape::Other => token.known & is::ANY_NAME != 0,
            Shape::Small => {
                let between = before && next.is_some_and(|next| capital(next.shape));
                token.known & is::ANY_NAME != 0 || between || (before && token.known & is::COMMON == 0)
            }
            Shape::More => token.end - token.start <= 6,
            _ => true,
        };
        before = token.open;
    }
}
