//! Texts that are written another way round: letters turned by 13, lines from the end, digits for letters, letters apart.
//!
//! Each of these would make nonsense of an ordinary text, so a line is read so only where it has words that make sense
//! that way alone.

mod hints;
mod quick;

use std::ops::Range;

use self::hints::{Hints, Streak, is_disguised};
use super::{Encoding, Found};
use crate::normal::Map;

/// Words of which a sentence has one every few, and those of which instructions are made. Sorted.
const WORDS: &[&str] = &[
    "about",
    "above",
    "access",
    "admin",
    "all",
    "and",
    "answer",
    "any",
    "are",
    "assistant",
    "before",
    "call",
    "command",
    "content",
    "conversation",
    "credentials",
    "data",
    "delete",
    "directive",
    "disclose",
    "disregard",
    "do",
    "email",
    "execute",
    "export",
    "file",
    "files",
    "follow",
    "for",
    "forget",
    "from",
    "give",
    "has",
    "have",
    "ignore",
    "important",
    "information",
    "instead",
    "instruction",
    "instructions",
    "into",
    "is",
    "it",
    "key",
    "keys",
    "message",
    "messages",
    "must",
    "never",
    "new",
    "not",
    "now",
    "of",
    "on",
    "only",
    "output",
    "override",
    "password",
    "passwords",
    "please",
    "previous",
    "print",
    "prior",
    "prompt",
    "read",
    "repeat",
    "reply",
    "respond",
    "response",
    "return",
    "reveal",
    "rules",
    "run",
    "say",
    "secret",
    "secrets",
    "send",
    "show",
    "system",
    "tell",
    "that",
    "the",
    "then",
    "these",
    "this",
    "to",
    "token",
    "tokens",
    "tool",
    "tools",
    "upload",
    "url",
    "use",
    "user",
    "what",
    "when",
    "with",
    "without",
    "write",
    "you",
    "your",
];

/// The fewest words that have to make sense the other way round.
const MIN_WORDS: usize = 3;

/// For each first and last letter, one bit for each length of a word of the list.
#[expect(clippy::indexing_slicing, reason = "a constant is computed by the compiler, and there is no other way in one")]
const SHAPES: [u16; 32 * 32] = {
    let mut shapes = [0; 32 * 32];
    let mut at = 0;
    while at < WORDS.len() {
        let word = WORDS[at].as_bytes();
        shapes[shape(word[0], word[word.len() - 1])] |= 1 << word.len();
        at += 1;
    }
    shapes
};

/// For each first letter, one bit for each length of a word of the list.
#[expect(clippy::indexing_slicing, reason = "a constant is computed by the compiler, and there is no other way in one")]
const LENGTHS: [u16; 32] = {
    let mut lengths = [0; 32];
    let mut at = 0;
    while at < WORDS.len() {
        let word = WORDS[at].as_bytes();
        lengths[(word[0] & 31) as usize] |= 1 << word.len();
        at += 1;
    }
    lengths
};

const fn shape(first: u8, last: u8) -> usize {
    (first & 31) as usize * 32 + (last & 31) as usize
}

/// Whether a word of the list is as long and begins and ends so, in whatever case: of most it is told at once that they are none.
fn may_be_word(word: &str) -> bool {
    let (Some(first), Some(last)) = (word.as_bytes().first(), word.as_bytes().last()) else { return false };
    word.len() < 16 && SHAPES.get(shape(*first, *last)).is_some_and(|lengths| lengths >> word.len() & 1 == 1)
}

fn is_word(word: &str) -> bool {
    may_be_word(word) && WORDS.binary_search(&word).is_ok()
}

/// Adds the lines of `text` that make sense another way round.
pub(super) fn find(text: &str, inside: Option<Encoding>, found: &mut Vec<Found>) {
    quick::lines(text.as_bytes(), |place| {
        let start = place.start;
        let line = text.get(place).unwrap_or_default();
        if line.len() < SHORTEST {
            return;
        }
        let hints = Hints::of(line);
        let may_be = |how: &Encoding| inside != Some(*how) && hints.may_be(*how);
        let all = [Encoding::Rot13, Encoding::Reversed, Encoding::Leet, Encoding::Spaced];
        let read = |how| read(line, start, how).map(|(text, map)| Found { how, text, map });
        found.extend(all.into_iter().filter(may_be).find_map(read));
    });
}

/// Bytes of the shortest line in which as many words may stand as have to.
const SHORTEST: usize = 12;

fn read(line: &str, start: usize, how: Encoding) -> Option<(String, Map)> {
    match how {
        Encoding::Rot13 => Some(rot13(line, start)),
        Encoding::Reversed => Some(reversed(line, start)),
        Encoding::Leet => leet(line, start),
        _ => spaced(line, start),
    }
}

fn turn(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' => (byte - b'a' + 13) % 26 + b'a',
        b'A'..=b'Z' => (byte - b'A' + 13) % 26 + b'A',
        _ => byte,
    }
}

fn rot13(line: &str, start: usize) -> (String, Map) {
    let mut map = Map::default();
    map.copied(0, start);
    let turned = line.chars().map(|c| if c.is_ascii() { char::from(turn(c as u8)) } else { c }).collect();
    (turned, map)
}

fn reversed(line: &str, start: usize) -> (String, Map) {
    let (mut text, mut map) = (String::with_capacity(line.len()), Map::default());
    for (at, c) in line.char_indices().rev() {
        map.stands_for(text.len(), start + at..start + at + c.len_utf8());
        text.push(c);
    }
    (text, map)
}

/// The letter that a digit or sign stands for among letters.
fn letter(byte: u8) -> u8 {
    LETTERS.get(usize::from(byte)).copied().unwrap_or(byte)
}

#[expect(clippy::indexing_slicing, reason = "a constant is computed by the compiler, and there is no other way in one")]
const LETTERS: [u8; 256] = {
    let mut letters = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        letters[byte] = match byte as u8 {
            b'0' => b'o',
            b'1' | b'!' | b'|' => b'i',
            b'3' => b'e',
            b'4' | b'@' => b'a',
            b'5' | b'$' => b's',
            b'7' | b'+' => b't',
            b'8' => b'b',
            b'9' => b'g',
            other => other,
        };
        byte += 1;
    }
    letters
};

/// Which bytes may be of a word with digits and signs in the place of letters.
#[expect(clippy::indexing_slicing, reason = "a constant is computed by the compiler, and there is no other way in one")]
const PARTS: [bool; 256] = {
    let mut parts = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        parts[byte] = (byte as u8).is_ascii_alphabetic() || LETTERS[byte] != byte as u8;
        byte += 1;
    }
    parts
};

fn is_part(byte: u8) -> bool {
    PARTS.get(usize::from(byte)).copied().unwrap_or(false)
}

fn leet(line: &str, start: usize) -> Option<(String, Map)> {
    let bytes = line.as_bytes();
    let mut sense = Streak::NONE;
    let mut at = 0;
    while at < bytes.len() {
        let rest = bytes.get(at..).unwrap_or_default();
        let length = rest.iter().take_while(|byte| is_part(**byte)).count();
        let word = rest.get(..length).unwrap_or_default();
        let mixes = word.iter().any(u8::is_ascii_alphabetic) && word.iter().any(|byte| letter(*byte) != *byte);
        if mixes && is_disguised(bytes, at..at + length) {
            sense.see(at);
        }
        at += length.max(1);
    }
    sense.has(MIN_WORDS - 1).then_some(())?;
    let mut map = Map::default();
    map.copied(0, start);
    let in_word = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(|byte| is_part(*byte));
    let meant = |(at, c): (usize, char)| match c {
        // A sign by itself is none of a word: the edge of a cell would hide where what is in it begins.
        _ if !c.is_ascii() => c,
        _ if !c.is_ascii_alphanumeric() && !in_word(at.checked_sub(1)) && !in_word(Some(at + 1)) => c,
        _ => char::from(letter(c as u8)),
    };
    Some((line.char_indices().map(meant).collect(), map))
}

/// The fewest letters in a row that stand apart.
const MIN_LETTERS: usize = 8;

/// Letters that stood apart, and where each stood.
#[derive(Default)]
struct Apart {
    text: String,
    /// For each byte of the text.
    from: Vec<(u32, u32)>,
}

impl Apart {
    fn push(&mut self, c: char, from: Range<usize>) {
        self.text.push(c);
        let place = |at| u32::try_from(at).unwrap_or(u32::MAX);
        self.from.resize(self.text.len(), (place(from.start), place(from.end)));
    }

    /// Puts the last letter, at `index`, into a row of its own, as what is before it has another sign.
    fn begin_with_last(&mut self, index: usize, gap: Range<usize>) {
        let Some(last) = self.text.get(index..).and_then(|rest| rest.chars().next_back()) else { return };
        let from = self.from(self.text.len() - last.len_utf8());
        self.text.truncate(index);
        self.from.truncate(index);
        self.push('\n', gap);
        self.push(last, from);
    }

    fn from(&self, at: usize) -> Range<usize> {
        self.from.get(at).map_or(0..0, |(start, end)| *start as usize..*end as usize)
    }
}

/// Single letters with one and the same sign between them; two of them, or a space, between words.
fn spaced(line: &str, start: usize) -> Option<(String, Map)> {
    let mut out = Apart::default();
    let (mut letters, mut begun, mut at) = (0, false, 0);
    let (mut longest, mut sign) = (0, None);
    // How many are in this row, and where its last one was put, with what is before that.
    let (mut row, mut last) = (0_usize, (0, 0..0));
    for (index, c) in line.char_indices() {
        let alone = |text: &str| text.chars().next().is_none_or(|next| !next.is_alphanumeric());
        let after = line.get(index + c.len_utf8()..).unwrap_or_default();
        let before = line.get(..index).unwrap_or_default();
        let single = c.is_alphanumeric() && alone(after) && !before.ends_with(char::is_alphanumeric);
        if !single {
            continue;
        }
        let between = line.get(at..index).unwrap_or_default();
        let gap = begun && is_gap(between);
        let goes_on = sign.is_none_or(|sign| between.starts_with(sign));
        if gap && !goes_on && (row == 2 || row > 2 && last.1.len() > 1) {
            // `Room 3. I g n o r e`: what is before the first letter is the end of a sentence.
            out.begin_with_last(last.0, last.1.clone());
            (row, letters) = (1, usize::from(out.text.ends_with(char::is_alphabetic)));
        }
        let apart = gap && (goes_on || row == 1);
        sign = between.chars().next().filter(|_| apart);
        row = if apart { row + 1 } else { 1 };
        last = (out.text.len(), start + at..start + index);
        if !apart {
            letters = 0;
        } else if between.chars().count() > 1 {
            out.push(' ', start + at..start + index);
        }
        if begun && !apart {
            out.push('\n', start + at..start + index);
        }
        letters += usize::from(c.is_alphabetic());
        longest = longest.max(letters);
        at = index + c.len_utf8();
        out.push(c, start + index..start + at);
        begun = true;
    }
    (longest >= MIN_LETTERS).then(|| split(&out))
}

/// Whether what stands between two letters may be there only to set them apart.
fn is_gap(between: &str) -> bool {
    let mut chars = between.chars();
    let first = chars.next();
    between.len() <= 4 && first.is_some() && chars.all(|c| Some(c) == first || c == ' ' || c == '/')
}

/// Puts spaces between the words of a text that lost them: the longest words that are known first.
fn split(apart: &Apart) -> (String, Map) {
    let (mut out, mut map) = (String::with_capacity(2 * apart.text.len()), Map::default());
    let mut after_word = false;
    let mut at = 0;
    while let Some(rest) = apart.text.get(at..).filter(|rest| !rest.is_empty()) {
        let known = longest_word(rest);
        let word = known.or_else(|| rest.get(..rest.chars().next()?.len_utf8())).unwrap_or(rest);
        let inner = (known.is_some() || after_word) && word.starts_with(char::is_alphanumeric);
        if inner && !out.is_empty() && !out.ends_with(char::is_whitespace) {
            let from = apart.from(at).start;
            map.stands_for(out.len(), from..from);
            out.push(' ');
        }
        for (index, c) in word.char_indices() {
            map.stands_for(out.len(), apart.from(at + index));
            out.push(c);
        }
        after_word = known.is_some();
        at += word.len();
    }
    (out, map)
}

/// The longest word of the list that `rest` begins with.
fn longest_word(rest: &str) -> Option<&str> {
    let first = *rest.as_bytes().first()?;
    let may_be = LENGTHS.get(usize::from(first & 31)).copied().unwrap_or(0);
    let lengths = (2..=12).rev().filter(|length| may_be >> length & 1 == 1);
    lengths
        .filter_map(|length| rest.get(..length))
        .find(|word| may_be_word(word) && is_word(&word.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_in_order() {
        assert!(WORDS.is_sorted());
        assert!(WORDS.iter().all(|word| (2..=12).contains(&word.len())));
        assert!(WORDS.iter().all(|word| is_word(word) && may_be_word(&word.to_ascii_uppercase())));
    }
}
