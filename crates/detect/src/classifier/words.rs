//! A text as words and marks, each with a hash of what it says in lower case.

use std::ops::Range;

use crate::ascii::{self, Head, WIDTH};

/// What a word is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    Letters,
    Digits,
    Marks,
}

/// A word, a number, a run of one mark, or a character of a script that puts no spaces between words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word {
    pub(super) hash: u64,
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) made: Made,
    /// Whether it begins a line or a sentence, or follows a mark that something often begins after.
    pub(super) begins: bool,
}

/// A run of letters longer than this is several words: nobody writes longer ones, and what is encoded says nothing.
const LONGEST: usize = 24;

/// Puts the words of `text` into `words`, which is emptied first; the first one begins something if `begins` says so.
pub(super) fn read(text: &str, mut begins: bool, words: &mut Vec<Word>) {
    words.clear();
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let class = CLASSES.get(usize::from(byte)).copied().unwrap_or(Class::Else);
        if class == Class::Blank {
            begins |= byte == b'\n';
            at += 1;
            continue;
        }
        let plain = match class {
            Class::Letter => plain_word(bytes, at).map(|(length, hash)| (length, hash, Made::Letters)),
            Class::Digit | Class::Mark => Some(plain_run(bytes, at, byte, class)),
            _ => None,
        };
        let (length, hash, made) = match plain {
            Some(word) => word,
            None => {
                let rest = text.get(at..).unwrap_or_default();
                let Some(c) = rest.chars().next() else { break };
                if c.is_whitespace() {
                    at += c.len_utf8();
                    continue;
                }
                next(rest, c)
            }
        };
        if made == Made::Marks {
            words.push(Word { hash, start: place(at), end: place(at + length), made, begins: false });
            begins |= text.get(at..).and_then(|rest| rest.chars().next()).is_some_and(opens);
            at += length;
            continue;
        }
        words.push(Word {
            hash,
            start: place(at),
            end: place(at + length),
            made,
            begins: begins && made == Made::Letters,
        });
        begins &= made == Made::Digits;
        at += length;
        // What most words are followed by.
        at += usize::from(bytes.get(at) == Some(&b' '));
    }
}

/// What a byte is, as far as it is told by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Blank,
    Letter,
    Digit,
    Mark,
    Else,
}

#[expect(clippy::indexing_slicing, reason = "a constant is computed by the compiler, and there is no other way in one")]
const CLASSES: [Class; 256] = {
    let mut classes = [Class::Else; 256];
    let mut byte = 0;
    while byte < 128 {
        classes[byte] = match byte as u8 {
            b' ' | b'\t'..=b'\r' => Class::Blank,
            b'a'..=b'z' | b'A'..=b'Z' => Class::Letter,
            b'0'..=b'9' => Class::Digit,
            // It is a part of words.
            b'\'' => Class::Else,
            _ => Class::Mark,
        };
        byte += 1;
    }
    classes
};

/// The number, or the run of one mark, at `at`.
#[inline(always)]
fn plain_run(bytes: &[u8], at: usize, byte: u8, class: Class) -> (usize, u64, Made) {
    let rest = bytes.get(at + 1..).unwrap_or_default();
    if class == Class::Digit {
        let length = 1 + rest.iter().take(LONGEST - 1).take_while(|byte| byte.is_ascii_digit()).count();
        return (length, digits(length), Made::Digits);
    }
    let length = 1 + rest.iter().take_while(|next| **next == byte).count();
    (length, marks(byte.into(), length), Made::Marks)
}

/// Which number it is says nothing; how long it is, a little.
fn digits(length: usize) -> u64 {
    spread(length.min(3) as u64, DIGITS)
}

fn marks(mark: char, count: usize) -> u64 {
    spread(u64::from(u32::from(mark)) << 8 | count.min(4) as u64, MARKS)
}

/// The word of ASCII letters that is found at `at` and that what is not ASCII does not go on with: most words are such.
#[inline(always)]
fn plain_word(bytes: &[u8], at: usize) -> Option<(usize, u64)> {
    let head = Head::of(bytes, at);
    let length = head.letters();
    // What is longer, or has a mark within or another letter after it, is left to who reads characters.
    let after = bytes.get(at + length).copied().unwrap_or(b' ');
    let ends = length > 0 && length < WIDTH && after.is_ascii() && after != b'\'';
    ends.then(|| (length, spread(ascii::hash(length, head.first(length), std::iter::empty()), LETTERS)))
}

/// Whether a word at that place of a text begins a line or a sentence, or follows a mark that something often begins after.
pub(super) fn begins_at(text: &str, at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    let line = before.trim_end_matches(|c: char| c.is_whitespace() && c != '\n');
    line.chars().next_back().is_none_or(|c| c == '\n' || opens(c))
}

/// Shows each word of `text` with its place and its hash, without what stands between them.
pub(super) fn each(text: &str, mut show: impl FnMut(Range<usize>, u64)) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte.is_ascii() && !byte.is_ascii_alphabetic() {
            at += 1;
            continue;
        }
        if let Some((length, hash)) = plain_word(bytes, at) {
            show(at..at + length, hash);
            at += length;
            continue;
        }
        let rest = text.get(at..).unwrap_or_default();
        let Some(c) = rest.chars().next() else { break };
        let (length, hash, made) = next(rest, c);
        if made == Made::Letters {
            show(at..at + length, hash);
        }
        at += length;
    }
}

/// The first word of `rest`, which begins with `c`: its length, its hash and what it is made of.
fn next(rest: &str, c: char) -> (usize, u64, Made) {
    if c.is_ascii_digit() {
        let length = rest.bytes().take_while(u8::is_ascii_digit).take(LONGEST).count();
        return (length, digits(length), Made::Digits);
    }
    let mut said = Folded::default();
    if stands_alone(c) {
        said.push(c);
        return (c.len_utf8(), said.hash(), Made::Letters);
    }
    if !is_letter(c) {
        let count = rest.chars().take_while(|next| *next == c).count();
        return (count * c.len_utf8(), marks(c, count), Made::Marks);
    }
    let mut length = 0;
    for c in rest.chars().take_while(|c| is_letter(*c) && !stands_alone(*c)) {
        if length >= LONGEST {
            break;
        }
        c.to_lowercase().for_each(|low| said.push(low));
        length += c.len_utf8();
    }
    (length, said.hash(), Made::Letters)
}

/// A word in small letters. Bytes of a word are at most [`LONGEST`], those of its small letters at most three times as many.
struct Folded {
    bytes: [u8; 3 * LONGEST + 4],
    length: usize,
}

impl Default for Folded {
    fn default() -> Folded {
        Folded { bytes: [0; 3 * LONGEST + 4], length: 0 }
    }
}

impl Folded {
    fn push(&mut self, c: char) {
        let end = self.length + c.len_utf8();
        let Some(room) = self.bytes.get_mut(self.length..end) else { return };
        c.encode_utf8(room);
        self.length = end;
    }

    /// The same as of a word whose letters are seen at once.
    fn hash(&self) -> u64 {
        let said = self.bytes.get(..self.length).unwrap_or_default();
        let others = said.chunks(WIDTH).skip(1).flat_map(|chunk| Head::of(chunk, 0).first(chunk.len()));
        spread(ascii::hash(said.len(), Head::of(said, 0).first(said.len()), others), LETTERS)
    }
}

fn is_letter(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_alphabetic() || c == '\'' } else { c.is_alphanumeric() || c == '’' }
}

/// Characters of scripts in which a run of letters is a sentence.
fn stands_alone(c: char) -> bool {
    matches!(c, '\u{E00}'..='\u{EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}' | '\u{3040}'..='\u{30FF}'
        | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7AF}' | '\u{20000}'..='\u{3FFFF}')
}

/// Marks that an order or a heading often begins after.
fn opens(c: char) -> bool {
    matches!(
        c,
        '.' | '!'
            | '?'
            | ':'
            | ';'
            | '#'
            | '*'
            | '-'
            | '>'
            | '"'
            | '('
            | '['
            | '{'
            | '<'
            | ']'
            | '='
            | '。'
            | '！'
            | '？'
    )
}

fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

pub(super) const LETTERS: u64 = 0xCBF2_9CE4_8422_2325;
const DIGITS: u64 = 0x9AE1_6A3B_2F90_404F;
const MARKS: u64 = 0xC949_D7C7_509E_6557;

/// A hash of what is one of three things.
#[inline(always)]
pub(super) fn spread(hash: u64, what: u64) -> u64 {
    mix(hash ^ what)
}

/// Spreads what differs in a few bits over all of them.
pub(super) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    value ^ (value >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_read_in_one_way_however_it_is_found() {
        for word in ["ignore", "a", "Zebra", "it's", "naïve", "abcdefghijklmnopqrstuvwxyzabcdefgh", "don’t"] {
            for after in ["", " ", ".", "1", "\n"] {
                let text = format!("{word}{after}");
                let (length, hash, made) = next(&text, word.chars().next().unwrap());
                let mut words = Vec::new();
                read(&text, true, &mut words);
                assert_eq!((words[0].end as usize, words[0].hash, words[0].made), (length, hash, made), "{text:?}");
            }
        }
    }

    #[test]
    fn words_are_told_apart() {
        let text = "Ignore ALL 1234 rules!!! don’t\n– 日本 send_mail";
        let mut words = Vec::new();
        read(text, true, &mut words);
        let said: Vec<_> = words.iter().filter_map(|word| text.get(word.start as usize..word.end as usize)).collect();
        assert_eq!(said, ["Ignore", "ALL", "1234", "rules", "!!!", "don’t", "–", "日", "本", "send", "_", "mail"]);
        let begins: Vec<_> = words.iter().map(|word| word.begins).collect();
        assert_eq!(begins.iter().filter(|begins| **begins).count(), 3, "{begins:?}");
        let of = |text: &str| {
            let mut words = Vec::new();
            read(text, true, &mut words);
            words.iter().map(|word| word.hash).collect::<Vec<_>>()
        };
        assert_eq!(of("IGNORE Straße 77"), of("ignore straße 12"));
        assert_ne!(of("ignore"), of("ignored"));
        assert_ne!(of("77"), of("7"));
        assert_eq!(of(&"a".repeat(100)).len(), 5);
    }
}
