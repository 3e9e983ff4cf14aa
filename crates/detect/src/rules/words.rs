//! A text as words with what stands around them; one pass, nothing is allocated.
//!
//! A word is letters and digits of one script with underscores, in small letters. `don't` is `dont`, `user's` is `users`. In
//! scripts without spaces between words each character is a word of its own. What a link or a mail address consists of are
//! no words.

use unicode_normalization::char::is_combining_mark;

use super::part::{Part, from};
use crate::ascii::{self, BLOCK, Head, WIDTH};

/// What is known of a word from where it stands.
pub(super) mod flag {
    /// The first of its line, cell, string or element.
    pub(in super::super) const FIRST: u16 = 1;
    /// A colon stands behind it.
    pub(in super::super) const COLON: u16 = 1 << 1;
    /// An angle bracket stands before it.
    pub(in super::super) const ANGLE: u16 = 1 << 2;
    /// An angle bracket and a slash stand before it.
    pub(in super::super) const CLOSING: u16 = 1 << 3;
    /// A square bracket stands before it.
    pub(in super::super) const OPENED: u16 = 1 << 4;
    /// A square bracket stands behind it.
    pub(in super::super) const CLOSED: u16 = 1 << 5;
    /// It may be an order: nobody is said to do it, or not to. Added by whoever knows the words.
    pub(in super::super) const ORDER: u16 = 1 << 6;
}

/// What a word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    Word,
    /// A word as programs name things: with an underscore in it, or between backticks.
    Name,
    Url,
    /// An address that is made to have something put in or behind it.
    OpenUrl,
    Email,
}

/// One word, where its reader keeps it: most of what is known of most words nobody asks for.
#[derive(Clone, Copy)]
pub(crate) struct Token<'a>(&'a Words<'a>);

impl<'a> Token<'a> {
    /// As it is written, or in small letters.
    #[inline(always)]
    pub(super) fn word(self) -> &'a [u8] {
        let word = match self.plain {
            true => self.0.bytes.get(self.start..self.end),
            false => self.0.folded.get(..self.0.length),
        };
        word.unwrap_or_default()
    }

    /// Whether it begins or ends with an underscore, or begins with a full stop.
    #[inline(always)]
    pub(super) fn is_set_in_marks(self) -> bool {
        let is_mark = |byte: u8| (byte == b'_') | (byte == b'.');
        self.plain & (is_mark(self.0.byte(self.start)) | is_mark(self.0.before(self.end)))
    }
}

impl std::ops::Deref for Token<'_> {
    type Target = Spot;

    fn deref(&self) -> &Spot {
        &self.0.spot
    }
}

/// What is known of a word.
#[derive(Debug)]
pub(crate) struct Spot {
    pub(crate) what: What,
    pub(crate) packed: Packed,
    /// Whether it is of ASCII, and without an apostrophe.
    pub(crate) plain: bool,
    pub(crate) letters: Letters,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// How many words there are up to this one, where a sentence's end counts as several.
    pub(super) index: u32,
    pub(super) first: bool,
    /// It stands in a quotation within prose.
    pub(super) quoted: bool,
}

/// Which part of a word are letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Letters {
    /// All of it, of ASCII.
    All,
    /// Some of it, or it has others.
    Some,
    /// None: it is a number.
    None,
}

/// Bytes of the longest quotation: who quotes more than a paragraph does not only talk about it.
const LONGEST_QUOTATION: usize = 1024;

/// How many words an end of a sentence counts as.
const SENTENCE: u32 = 6;
/// Bytes of a word of which the rest does not matter.
pub(super) const LONGEST_WORD: usize = 64;

const SPACE: u8 = 0;
const SIGN: u8 = 1;
const HIGH: u8 = 2;
const LETTER: u8 = 4;

/// What each byte is.
#[expect(clippy::indexing_slicing, reason = "a constant is computed by the compiler, and there is no other way in one")]
const CLASS: [u8; 256] = {
    let mut class = [SPACE; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        class[byte] = match b {
            b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => LETTER,
            b'.' | b'!' | b'?' | b';' | b'\n' | b'"' | b'`' | b'\'' | b'>' | b'|' | b'@' => SIGN,
            128.. => HIGH,
            _ => SPACE,
        };
        byte += 1;
    }
    class
};

fn class(byte: u8) -> u8 {
    CLASS.get(usize::from(byte)).copied().unwrap_or(SPACE)
}

/// A word as numbers, so that two are compared at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Packed {
    /// Its first bytes. The bit that tells small from capital letters is set in all of them, so that only words of ASCII are
    /// told apart by it.
    pub(super) bytes: [u64; 2],
    /// See [`ascii::hash`].
    pub(crate) hash: u64,
}

impl Packed {
    pub(super) fn of(word: &[u8]) -> Packed {
        let mut chunks = word.chunks(8).map(|chunk| {
            let mut bytes = [0; 8];
            for (to, from) in bytes.iter_mut().zip(chunk) {
                *to = from | 0x20;
            }
            u64::from_le_bytes(bytes)
        });
        let bytes = [chunks.next().unwrap_or_default(), chunks.next().unwrap_or_default()];
        Packed { bytes, hash: ascii::hash(word.len(), bytes, chunks) }
    }

    /// Half of the hash, as it is kept of words that are known.
    #[inline(always)]
    pub(super) fn short(&self) -> u32 {
        (self.hash >> 32) as u32
    }

    /// The same of the word of ASCII that is found there.
    #[inline(always)]
    fn at(bytes: &[u8], start: usize, length: usize) -> Packed {
        if length > WIDTH {
            return Packed::long(bytes, start, length);
        }
        let bytes = Head::of(bytes, start).first(length);
        Packed { bytes, hash: ascii::hash(length, bytes, std::iter::empty()) }
    }

    #[cold]
    fn long(bytes: &[u8], start: usize, length: usize) -> Packed {
        Packed::of(bytes.get(start..start + length).unwrap_or_default())
    }
}

/// Tells where in scripts without spaces a word may begin anywhere.
fn is_alone(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7AF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}')
}

fn is_letter(c: char) -> bool {
    c == '_' || c.is_alphanumeric() || is_combining_mark(c)
}

/// Which letters a word has, of which `others` tells what is none, and whether an underscore stands between them.
#[cold]
fn made_of(word: &[u8], others: u64, bits: u64) -> (Letters, bool) {
    let letters = if others == bits { Letters::None } else { Letters::Some };
    (letters, word.contains(&b'_') && word.iter().any(|&byte| byte != b'_'))
}

#[cold]
fn long_run(bytes: &[u8], start: usize) -> usize {
    ascii::run(bytes, start, Head::words)
}

/// Reads a text word by word.
pub(crate) struct Words<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    part: Part,
    /// Where in the first half of the part words begin that have not been read, and where signs stand.
    starts: u64,
    signs: u64,
    index: u32,
    first: bool,
    /// The sign that ends the quotation in which we are.
    quote: Option<char>,
    /// Behind this backtick something may be named.
    ticked: usize,
    folded: [u8; LONGEST_WORD],
    /// How much of that is the word that was read last, if it is not as it is written.
    length: usize,
    /// The word that was read last.
    spot: Spot,
}

impl<'t> Words<'t> {
    /// The words of `text`, counted from `index` on.
    pub(crate) fn of(text: &'t str, index: u32) -> Words<'t> {
        let part = Part::of(text.as_bytes(), 0);
        let [words, _] = part.words;
        let [signs, _] = part.signs;
        Words {
            text,
            bytes: text.as_bytes(),
            at: 0,
            part,
            starts: words & !(words << 1),
            signs,
            index,
            first: true,
            quote: None,
            ticked: usize::MAX,
            folded: [0; LONGEST_WORD],
            length: 0,
            spot: Spot {
                what: What::Word,
                packed: Packed::default(),
                plain: true,
                letters: Letters::None,
                start: 0,
                end: 0,
                index,
                first: false,
                quoted: false,
            },
        }
    }

    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(b'\n')
    }

    fn before(&self, at: usize) -> u8 {
        at.checked_sub(1).map_or(b'\n', |at| self.byte(at))
    }

    /// The next word; it borrows from here.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<Token<'_>> {
        loop {
            let left = self.starts | self.signs;
            if left == 0 {
                if !self.next_part() {
                    return None;
                }
                continue;
            }
            let (bit, first) = (left.trailing_zeros(), left & left.wrapping_neg());
            self.at = self.part.start + bit as usize;
            if self.starts & first != 0 {
                self.starts ^= first;
                return Some(self.word(bit));
            }
            self.signs ^= first;
            let byte = self.byte(self.at);
            if byte >= 128 {
                let c = self.character(self.at)?;
                if is_alone(c) {
                    return Some(self.alone(c));
                }
                if is_letter(c) {
                    return Some(self.other_word(self.at));
                }
                self.other(c);
            } else if byte != b'.' || !self.names_hidden_file() {
                self.sign(byte);
            } else {
                return Some(self.hidden_file());
            }
        }
    }

    /// Goes on to where something may begin next, if the text has not ended.
    #[inline(never)]
    fn next_part(&mut self) -> bool {
        let [before, _] = self.part.words;
        let start = self.part.start + BLOCK;
        if start.max(self.at) >= self.bytes.len() {
            return false;
        }
        if self.at < start + BLOCK {
            self.part = self.part.next(self.bytes, start);
        } else {
            self.part = Part::of(self.bytes, self.at - self.at % BLOCK);
        }
        let ([words, _], [signs, _]) = (self.part.words, self.part.signs);
        self.starts = words & !(words << 1 | before >> 63);
        self.signs = signs;
        // Also where a word would go on that ended right here.
        if self.at >= start {
            self.skip();
        }
        true
    }

    /// Leaves out what is before `at`.
    fn skip(&mut self) {
        let past = self.at.saturating_sub(self.part.start);
        let from = u64::MAX.checked_shl(u32::try_from(past).unwrap_or(u32::MAX)).unwrap_or(0);
        let [words, _] = self.part.words;
        // A word may begin here that would go on.
        self.starts = self.starts & from | words & from & from.wrapping_neg();
        self.signs &= from;
    }

    fn character(&self, at: usize) -> Option<char> {
        self.text.get(at..)?.chars().next()
    }

    /// `.env` is a name, `is.env` has two.
    fn names_hidden_file(&self) -> bool {
        let before = self.before(self.at);
        self.byte(self.at + 1).is_ascii_alphabetic() && class(before) < LETTER && before != b'.' && before != b')'
    }

    fn sign(&mut self, byte: u8) {
        let next = self.byte(self.at + 1);
        match byte {
            b'.' | b'!' | b'?' | b';' if class(next) < LETTER && next != b'.' => self.sentence(),
            b'\n' => {
                self.first = true;
                self.quote = None;
                if matches!(next, b'\n' | b'\r' | b'-' | b'*' | b'#' | b'>' | b'|') {
                    self.sentence();
                }
            }
            b'"' | b'`' | b'\'' => self.quotation(byte, next),
            b'|' | b'>' => {
                self.first = true;
                self.index = self.index.saturating_add(u32::from(byte == b'|'));
            }
            _ => {}
        }
    }

    fn sentence(&mut self) {
        self.index = self.index.saturating_add(SENTENCE);
    }

    #[inline(never)]
    fn quotation(&mut self, byte: u8, next: u8) {
        let sign = char::from(byte);
        let before = self.before(self.at);
        self.first |= byte != b'\'';
        if self.quote == Some(sign) {
            self.quote = None;
        } else if byte == b'\'' && class(before) >= LETTER {
            // Nobody begins a quotation within a word.
        } else if next == b' ' || next == b'\n' {
            // Nor at the end of one.
        } else if self.quote.is_none() && self.is_prose_before(byte) && self.is_closed(sign) {
            self.quote = Some(sign);
        }
        if byte == b'`' {
            self.ticked = self.at + 1;
        }
        // From one string of a structure to the next.
        if byte == b'"' && (next == b',' || next == b'}') {
            self.sentence();
        }
    }

    /// Whether an angle bracket was opened on this line, and not closed.
    fn is_in_tag(&self) -> bool {
        let before = self.bytes.get(self.at.saturating_sub(LONGEST_QUOTATION)..self.at).unwrap_or_default();
        let last = memchr::memrchr3(b'<', b'>', b'\n', before).and_then(|at| before.get(at));
        last == Some(&b'<')
    }

    /// Whether a quotation that begins here ends on its line: who opens one and leaves it open quotes nothing.
    fn is_closed(&self, sign: char) -> bool {
        let rest = self.bytes.get(self.at + 1..).unwrap_or_default();
        let near = rest.get(..LONGEST_QUOTATION.min(rest.len())).unwrap_or_default();
        let line = memchr::memchr(b'\n', near).and_then(|end| near.get(..end)).unwrap_or(near);
        let has = |sign: char| memchr::memmem::find(line, sign.encode_utf8(&mut [0; 4]).as_bytes()).is_some();
        has(sign) || sign == '"' && (has('”') || has('“'))
    }

    /// Whether what precedes a quotation mark is a sentence, or the call of a function, and not the key of a structure.
    fn is_prose_before(&self, sign: u8) -> bool {
        let space = usize::from(self.before(self.at) == b' ');
        let before = self.at.checked_sub(1 + space).map(|at| self.byte(at));
        let key = self.at.checked_sub(2 + space).map(|at| self.byte(at));
        match before {
            Some(b'(') => true,
            Some(b':') => !matches!(key, Some(b'"' | b'\'')),
            Some(b',') => space == 1 && !matches!(key, Some(b'"' | b'\'' | b'}' | b']')),
            // What somebody says begins behind the end of a sentence as well, where no structure has a string.
            Some(b'.' | b'!' | b'?') => space == 1 && sign == b'"',
            // A line of a log, but not an attribute of an element.
            Some(b'=') => space == 0 && !self.is_in_tag(),
            Some(byte) => space == 1 && class(byte) >= HIGH,
            None => false,
        }
    }

    #[inline(never)]
    fn other(&mut self, c: char) {
        match c {
            '“' | '„' | '«' | '「' | '『' => {
                let sign = match c {
                    '«' => '»',
                    '「' => '」',
                    '『' => '』',
                    // As which those of other forms are read; see `Normal`.
                    _ => '"',
                };
                self.quote = Some(sign).filter(|sign| self.is_closed(*sign));
                self.first = true;
            }
            '”' | '»' | '」' | '』' => self.quote = None,
            '。' | '！' | '？' | '؟' | '।' | '…' => self.sentence(),
            _ => {}
        }
        self.at += c.len_utf8();
        self.skip();
    }

    #[inline(never)]
    fn alone(&mut self, c: char) -> Token<'_> {
        let start = self.at;
        self.at += c.len_utf8();
        self.skip();
        self.length = self.fold(c, 0);
        let packed = Packed::of(self.bytes.get(start..self.at).unwrap_or_default());
        self.token(What::Word, start, packed, (false, Letters::Some))
    }

    /// The word that begins here, at that bit of the part.
    #[inline(always)]
    fn word(&mut self, bit: u32) -> Token<'_> {
        let start = self.at;
        let mut length = (!from(self.part.words, bit)).trailing_zeros() as usize;
        if length >= BLOCK {
            // It may go on.
            length = long_run(self.bytes, start);
        }
        let end = start + length;
        match self.byte(end) {
            128.. | b'\'' => return self.other_word(start),
            b':' if self.is_url(end) => return self.url(start, end),
            b'@' => {
                if let Some(end) = self.host_end(end + 1) {
                    return self.email(start, end);
                }
            }
            _ => {}
        }
        // No word is empty.
        let bits = u64::MAX >> ((BLOCK - length.min(BLOCK)) & (BLOCK - 1));
        let (mut letters, mut named) = (Letters::All, start == self.ticked);
        let others = from(self.part.others, bit) & bits;
        if others != 0 {
            let underscore;
            (letters, underscore) = made_of(self.bytes.get(start..end).unwrap_or_default(), others, bits);
            named |= underscore;
        }
        let what = if named { What::Name } else { What::Word };
        self.at = end;
        self.token(what, start, Packed::at(self.bytes, start, length), (true, letters))
    }

    /// The full stop of a hidden file is a part of its name.
    #[inline(never)]
    fn hidden_file(&mut self) -> Token<'_> {
        let start = self.at;
        let end = start + 1 + ascii::run(self.bytes, start + 1, Head::words);
        match self.byte(end) {
            128.. | b'\'' => return self.other_word(start),
            b':' if self.is_url(end) => return self.url(start, end),
            b'@' => {
                if let Some(end) = self.host_end(end + 1) {
                    return self.email(start, end);
                }
            }
            _ => {}
        }
        let (_, underscore) = made_of(self.bytes.get(start..end).unwrap_or_default(), 0, 1);
        let what = if underscore || start == self.ticked { What::Name } else { What::Word };
        self.at = end;
        self.skip();
        self.token(what, start, Packed::at(self.bytes, start, end - start), (true, Letters::Some))
    }

    /// A word with letters that are no ASCII, or with an apostrophe.
    #[inline(never)]
    fn other_word(&mut self, start: usize) -> Token<'_> {
        let mut length = 0;
        let mut end = start;
        for c in self.text.get(start..).unwrap_or_default().chars() {
            if !(is_letter(c) || c == '.' && end == start) || is_alone(c) {
                break;
            }
            end += c.len_utf8();
            for c in c.to_lowercase() {
                length = self.fold(c, length);
            }
        }
        self.at = end;
        if self.byte(end) == b'\'' {
            length = self.contraction(end + 1, length);
        }
        self.skip();
        let packed = Packed::of(self.folded.get(..length).unwrap_or_default());
        self.length = length;
        self.token(What::Word, start, packed, (false, Letters::Some))
    }

    /// What is behind an apostrophe belongs to the word if it is what is left of another one.
    fn contraction(&mut self, start: usize, mut length: usize) -> usize {
        let rest = self.bytes.get(start..).unwrap_or_default();
        let end = start + rest.iter().take(3).take_while(|byte| byte.is_ascii_alphabetic()).count();
        let mut suffix = [0; 2];
        let (Some(left), true) = (self.bytes.get(start..end), self.byte(end) < 128) else { return length };
        let Some(room) = suffix.get_mut(..left.len()) else { return length };
        room.copy_from_slice(left);
        suffix.make_ascii_lowercase();
        match &suffix {
            b"s\0" | b"t\0" | b"m\0" | b"d\0" | b"re" | b"ll" | b"ve" => {
                for byte in suffix.into_iter().filter(|byte| *byte != 0) {
                    length = self.fold(char::from(byte), length);
                }
            }
            _ => return length,
        }
        self.at = end;
        length
    }

    fn fold(&mut self, c: char, length: usize) -> usize {
        let end = length + c.len_utf8();
        let Some(room) = self.folded.get_mut(length..end) else { return length };
        c.encode_utf8(room);
        end
    }

    fn is_url(&self, at: usize) -> bool {
        self.byte(at + 1) == b'/' && self.byte(at + 2) == b'/'
    }

    #[inline(never)]
    fn url(&mut self, start: usize, colon: usize) -> Token<'_> {
        let rest = self.text.get(colon..).unwrap_or_default();
        // In scripts without spaces, what is said goes on behind a link without one.
        let ends = |c: char| {
            matches!(c, ' ' | '\n' | '\t' | '"' | '\'' | '`' | '<' | '>' | ')' | ']' | '|')
                || !c.is_ascii() && (is_alone(c) || !is_letter(c))
        };
        let mut end = colon + rest.find(ends).unwrap_or(rest.len());
        let text = self.bytes.get(colon..end).unwrap_or_default();
        let open = text.ends_with(b"=") || text.iter().any(|byte| matches!(byte, b'{' | b'$' | b'[')) || {
            let next = self.byte(end);
            next == b'<' && class(self.byte(end + 1)) >= LETTER
        };
        while end > colon && matches!(self.before(end), b'.' | b',' | b';' | b'!' | b'?') {
            end -= 1;
        }
        self.at = end.max(colon + 1);
        self.skip();
        self.token(if open { What::OpenUrl } else { What::Url }, start, Packed::default(), (true, Letters::Some))
    }

    /// The end of a host's name from `start` on, if there is one with a dot in it.
    fn host_end(&self, start: usize) -> Option<usize> {
        let rest = self.bytes.get(start..)?;
        let ends = |byte: &u8| !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
        let host = rest.get(..rest.iter().position(ends).unwrap_or(rest.len()))?;
        let length = host.iter().rposition(|byte| byte.is_ascii_alphanumeric())? + 1;
        host.get(..length)?.contains(&b'.').then_some(start + length)
    }

    #[inline(never)]
    fn email(&mut self, start: usize, end: usize) -> Token<'_> {
        // What is before the last dot or dash of the name has been read as words.
        let before = self.bytes.get(start.saturating_sub(LONGEST_WORD)..start).unwrap_or_default();
        let local = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+' | b'_');
        let name = before.iter().rev().take_while(local).count();
        self.at = end;
        self.skip();
        self.token(What::Email, start - name, Packed::default(), (true, Letters::Some))
    }

    /// A word from `start` up to here; one that is not `plain` has been folded.
    #[inline(always)]
    fn token(&mut self, what: What, start: usize, packed: Packed, (plain, letters): (bool, Letters)) -> Token<'_> {
        self.index = self.index.saturating_add(1);
        let first = std::mem::take(&mut self.first);
        let (quoted, index, end) = (self.quote.is_some(), self.index, self.at);
        self.spot = Spot { what, packed, plain, letters, start, end, index, first, quoted };
        Token(self)
    }
}

/// What stands around a word, as flags.
pub(super) fn around(text: &str, start: usize, end: usize, first: bool) -> u16 {
    let bytes = text.as_bytes();
    let byte = |at: usize| bytes.get(at).copied().unwrap_or(b' ');
    let before = |back: usize| start.checked_sub(back).map_or(b' ', byte);
    let mut flags = if first { flag::FIRST } else { 0 };
    let (last, last_but_one) = (before(1), before(2));
    match (last_but_one, last) {
        (b'<', b'/') => flags |= flag::ANGLE | flag::CLOSING,
        (_, b'<') | (b'<', b'|') => flags |= flag::ANGLE,
        (b'[', b'/') => flags |= flag::OPENED | flag::CLOSING,
        (_, b'[') => flags |= flag::OPENED,
        _ => {}
    }
    let mut at = end;
    if byte(at) == b']' {
        flags |= flag::CLOSED;
    }
    while at < end + 3 && matches!(byte(at), b'*' | b'_' | b'"' | b')' | b']' | b' ') {
        at += 1;
    }
    let wide = text.get(at..).is_some_and(|rest| rest.starts_with('：'));
    if (byte(at) == b':' && byte(at + 1) != b':') || wide {
        flags |= flag::COLON;
    }
    flags
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is told of the words of a text, each with its place as if the text began at `start`.
    fn told(text: &str, start: usize) -> Vec<String> {
        let mut all = Vec::new();
        let mut words = Words::of(text, 0);
        while let Some(token) = words.next() {
            let Spot { what, packed, plain, letters, start: from, end, index, first, quoted } = *token;
            let word = String::from_utf8_lossy(token.word()).into_owned();
            let place = from - start..end - start;
            all.push(format!(
                "{word} {what:?} {packed:?} {plain} {letters:?} {place:?} {index} {first} {quoted} {}",
                token.is_set_in_marks()
            ));
        }
        all
    }

    proptest! {
        /// Sixty-four bytes are looked at together, and it does not matter which.
        #[test]
        fn words_are_the_same_wherever_a_text_begins(pieces in proptest::collection::vec(piece(), 0..40), before in 1_usize..130) {
            let text = pieces.concat();
            let moved = format!("{}{text}", " ".repeat(before));
            prop_assert_eq!(told(&text, 0), told(&moved, before), "{}", text);
        }
    }

    fn piece() -> impl Strategy<Value = String> {
        let signs = [
            "\"", "'", "`", ":", "://", "@", ".", " .", "|", ">", "\n", "_", "'s", "n't", ", ", "! ", " \"", "。", "“",
            "”",
        ];
        let words = ["ignore", "a.b@c.de", "https://x.y/{z}", ".env", "send_mail", "é", "忽略", "ё", "9x", "\u{301}"];
        prop_oneof![
            4 => "[a-zA-Z]{1,12}",
            4 => Just(" ".to_owned()),
            3 => proptest::sample::select(signs.to_vec()).prop_map(str::to_owned),
            2 => proptest::sample::select(words.to_vec()).prop_map(str::to_owned),
            1 => "[a-z_0-9]{50,140}",
            1 => "\\PC{1,3}",
        ]
    }

    /// The words of a text, each as it is compared.
    fn words(text: &str) -> Vec<String> {
        let mut all = Vec::new();
        let mut words = Words::of(text, 0);
        while let Some(token) = words.next() {
            let word = String::from_utf8_lossy(token.word()).to_lowercase();
            all.push(match token.what {
                What::Word => word,
                what => format!("{what:?} {word}"),
            });
        }
        all
    }

    #[test]
    fn words_are_what_people_take_for_words() {
        for (text, expected) in [
            ("Ignore ALL previous, instructions!", "ignore|all|previous|instructions"),
            ("don't you're user's l'utilisateur d'un 'so' I'll", "dont|youre|users|l|utilisateur|d|un|so|ill"),
            ("Önceki Ünlü ПРИВЕТ निर्देश", "önceki|ünlü|привет|निर्देश"),
            ("忽略all指令 지시", "忽|略|all|指|令|지|시"),
            ("cat .env ~/.ssh/id_rsa a.env ...x", "cat|.env|.ssh|Name id_rsa|a|env|x"),
            ("`name` send_mail __ x", "Name name|Name send_mail|__|x"),
            (
                "see https://a.example/x, http://b.example/?q= and a:b",
                "see|Url https://a.example/x|OpenUrl http://b.example/?q=|and|a|b",
            ),
            ("to a.b-c@example.org. x@y @z", "to|a|b|Email a.b-c@example.org|x|y|z"),
            ("https://a.example/{data} ends", "OpenUrl https://a.example/{data}|ends"),
            ("https://a.example/x，忽略", "Url https://a.example/x|忽|略"),
            (
                "详https://a.example/x。现 https://a.example/ünï",
                "详|Url https://a.example/x|现|Url https://a.example/ünï",
            ),
        ] {
            assert_eq!(words(text).join("|"), expected, "{text}");
        }
    }

    #[test]
    fn what_stands_around_a_word_is_told() {
        for (text, word, expected) in [
            ("a\n  - **System:** b", "system", flag::FIRST | flag::COLON),
            ("a system : b", "system", flag::COLON),
            ("a std::vec", "std", 0),
            ("a <|im_start|> b", "im_start", flag::FIRST | flag::ANGLE),
            ("a </user> b", "user", flag::ANGLE | flag::CLOSING),
            ("a [INST] b", "inst", flag::OPENED | flag::CLOSED),
            ("{\"a\": \"word b\"}", "word", flag::FIRST),
            ("a system：b", "system", flag::COLON),
            ("a word b", "word", 0),
        ] {
            let mut words = Words::of(text, 0);
            let flags = loop {
                let token = words.next().unwrap();
                if token.word().eq_ignore_ascii_case(word.as_bytes()) {
                    break around(text, token.start, token.end, token.first);
                }
            };
            assert_eq!(flags, expected, "{text}");
        }
    }

    #[test]
    fn a_quotation_within_prose_is_told_from_a_string() {
        for (text, quoted) in [
            ("They write \"word\" there", true),
            ("the phrase: 'word' there", true),
            ("says “word” there", true),
            ("scan(\"word\")", true),
            ("She bent down. \"word,\" she said.", true),
            ("Said so. \"word\"", true),
            ("{\"text\": \"word\"}", false),
            ("[\"a\", \"word\"]", false),
            ("\"a\" word", false),
            ("Done. \"word and more", false),
            ("Done: \"word and more\nand \"more\"", false),
            ("Done. 'word' and more", false),
            ("says «word", false),
            ("says «word»", true),
            ("says „word“", true),
            ("says „word\"", true),
            ("says „no“ word", false),
            ("WARN text=\"word\" id=1", true),
            ("<a><img src=x alt=\"word\">", false),
            ("it's the users' word", false),
            ("he said \"no\nword", false),
            ("word", false),
        ] {
            let mut words = Words::of(text, 0);
            let found = loop {
                let token = words.next().unwrap();
                if token.word() == b"word" {
                    break token.quoted;
                }
            };
            assert_eq!(found, quoted, "{text}");
        }
    }
}
