//! The strict scanner: one pass from bytes to a [`Document`], refusing what two parsers could read differently.
//!
//! It is our own because it decides what every later control sees. It accepts exactly RFC 8259 without duplicate
//! keys and without lone surrogates, keeps number text untouched, and allocates one flat list of nodes.

use bytes::Bytes;
use bytestring::ByteString;

use crate::document::{Document, Node, NodeKind};
use crate::{Fault, Limits, Rejection};

/// Reads one JSON text.
///
/// # Errors
/// The first [`Fault`] met, with its byte offset.
pub(crate) fn scan(text: Bytes, limits: &Limits) -> Result<Document, Rejection> {
    if text.len() > limits.bytes || u32::try_from(text.len()).is_err() {
        return Err(Fault::TooLarge.at(limits.bytes));
    }
    let text = ByteString::try_from(text).map_err(|error| Fault::Utf8.at(error.valid_up_to()))?;
    if text.starts_with('\u{feff}') {
        return Err(Fault::Utf8.at(0));
    }
    let mut scanner = Scanner {
        checked: &text,
        text: text.as_bytes(),
        at: 0,
        nodes: Vec::with_capacity((text.len() / 24).clamp(16, 4096)),
        open: Vec::with_capacity(16),
        limits,
    };
    scanner.run()?;
    let nodes = scanner.nodes;
    Ok(Document::new(text, nodes))
}

struct Scanner<'a> {
    checked: &'a str,
    /// The bytes of `checked`.
    text: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    /// Indices of the arrays and objects that are not yet closed.
    open: Vec<u32>,
    limits: &'a Limits,
}

/// What may come next.
enum Expect {
    Value,
    ValueOrClose,
    KeyOrClose,
    Key,
    CommaOrClose,
    End,
}

impl Scanner<'_> {
    fn run(&mut self) -> Result<(), Rejection> {
        let mut expect = Expect::Value;
        loop {
            self.skip_space();
            expect = match expect {
                Expect::Value => self.value()?,
                Expect::ValueOrClose if self.peek() == Some(b']') => self.close()?,
                Expect::ValueOrClose => self.value()?,
                Expect::KeyOrClose if self.peek() == Some(b'}') => self.close()?,
                Expect::KeyOrClose | Expect::Key => self.key()?,
                Expect::CommaOrClose => self.comma_or_close()?,
                Expect::End if self.at == self.text.len() => return Ok(()),
                Expect::End => return self.fail(Fault::Syntax),
            };
        }
    }

    fn value(&mut self) -> Result<Expect, Rejection> {
        match self.peek() {
            Some(b'"') => self.string(NodeKind::String)?,
            Some(b'{') => return self.enter(NodeKind::Object, Expect::KeyOrClose),
            Some(b'[') => return self.enter(NodeKind::Array, Expect::ValueOrClose),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.literal(b"true", NodeKind::True)?,
            Some(b'f') => self.literal(b"false", NodeKind::False)?,
            Some(b'n') => self.literal(b"null", NodeKind::Null)?,
            _ => return self.fail(Fault::Syntax),
        }
        Ok(self.after_value())
    }

    fn after_value(&self) -> Expect {
        if self.open.is_empty() { Expect::End } else { Expect::CommaOrClose }
    }

    fn key(&mut self) -> Result<Expect, Rejection> {
        if self.peek() != Some(b'"') {
            return self.fail(Fault::Syntax);
        }
        self.string(NodeKind::Key)?;
        self.skip_space();
        self.take(b':')?;
        Ok(Expect::Value)
    }

    fn comma_or_close(&mut self) -> Result<Expect, Rejection> {
        if self.peek() != Some(b',') {
            return self.close();
        }
        self.at += 1;
        let object = self.open.last().and_then(|&index| self.nodes.get(index as usize));
        Ok(if object.is_some_and(|node| node.kind == NodeKind::Object) { Expect::Key } else { Expect::Value })
    }

    fn enter(&mut self, kind: NodeKind, then: Expect) -> Result<Expect, Rejection> {
        if self.open.len() >= self.limits.depth.min(Limits::MAX_DEPTH) {
            return self.fail(Fault::TooDeep);
        }
        let index = self.push(kind, self.at, self.at + 1, false)?;
        self.open.push(index);
        self.at += 1;
        Ok(then)
    }

    fn close(&mut self) -> Result<Expect, Rejection> {
        let skip = self.nodes.len() as u32;
        let closing = self.peek();
        let end = self.at as u32 + 1;
        let Some(index) = self.open.pop() else { return self.fail(Fault::Syntax) };
        let Some(node) = self.nodes.get_mut(index as usize) else { return self.fail(Fault::Syntax) };
        let right = match node.kind {
            NodeKind::Object => closing == Some(b'}'),
            _ => closing == Some(b']'),
        };
        node.end = end;
        node.skip = skip;
        let is_object = node.kind == NodeKind::Object;
        if !right {
            return self.fail(Fault::Syntax);
        }
        self.at += 1;
        if is_object {
            self.refuse_duplicates(index)?;
        }
        Ok(self.after_value())
    }

    fn push(&mut self, kind: NodeKind, start: usize, end: usize, escaped: bool) -> Result<u32, Rejection> {
        let index = self.nodes.len();
        if index >= self.limits.nodes {
            return self.fail(Fault::TooMany);
        }
        self.nodes.push(Node { start: start as u32, end: end as u32, skip: index as u32 + 1, kind, escaped });
        Ok(index as u32)
    }

    /// Most strings are short, so one is read word by word first; one that goes on may be megabytes, and the rest of it
    /// is passed over in blocks.
    fn string(&mut self, kind: NodeKind) -> Result<(), Rejection> {
        let start = self.at;
        let mut blocks_from = start + BLOCK;
        self.at += 1;
        let mut escaped = false;
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            if self.at >= blocks_from {
                if let Some(passed) = pass(rest) {
                    self.at += passed.bytes;
                    escaped |= passed.escapes;
                    continue;
                }
                blocks_from = self.at + BLOCK;
            }
            self.at += plain_words(rest.get(..BLOCK).unwrap_or(rest));
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(byte) if !needs_attention(byte) => {}
                _ => return self.fail(Fault::Syntax),
            }
        }
        self.at += 1;
        self.push(kind, start, self.at, escaped).map(drop)
    }

    fn escape(&mut self) -> Result<(), Rejection> {
        let start = self.at;
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                let unit = self.unit()?;
                if (0xDC00..0xE000).contains(&unit) {
                    return Err(Fault::LoneSurrogate.at(start));
                }
                if (0xD800..0xDC00).contains(&unit) {
                    let paired = self.peek() == Some(b'\\') && self.text.get(self.at + 1) == Some(&b'u');
                    if !paired {
                        return Err(Fault::LoneSurrogate.at(start));
                    }
                    self.at += 1;
                    if !(0xDC00..0xE000).contains(&self.unit()?) {
                        return Err(Fault::LoneSurrogate.at(start));
                    }
                }
            }
            _ => return self.fail(Fault::Syntax),
        }
        Ok(())
    }

    /// Reads `uXXXX`.
    fn unit(&mut self) -> Result<u32, Rejection> {
        let digits = self.text.get(self.at + 1..self.at + 5).unwrap_or_default();
        let unit = digits.iter().try_fold(0, |unit, &digit| Some(unit * 16 + char::from(digit).to_digit(16)?));
        match unit {
            Some(unit) if digits.len() == 4 => {
                self.at += 5;
                Ok(unit)
            }
            _ => self.fail(Fault::Syntax),
        }
    }

    fn number(&mut self) -> Result<(), Rejection> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        self.push(NodeKind::Number, start, self.at, false).map(drop)
    }

    fn digits(&mut self) -> Result<(), Rejection> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count == 0 { self.fail(Fault::Syntax) } else { Ok(()) }
    }

    fn literal(&mut self, word: &[u8], kind: NodeKind) -> Result<(), Rejection> {
        let start = self.at;
        if !self.text.get(start..).unwrap_or_default().starts_with(word) {
            return self.fail(Fault::Syntax);
        }
        self.at += word.len();
        self.push(kind, start, self.at, false).map(drop)
    }

    fn refuse_duplicates(&self, object: u32) -> Result<(), Rejection> {
        let keys = || Keys { scanner: self, next: object + 1, end: self.nodes.len() as u32 };
        // Most objects have a handful of keys: comparing pairs beats sorting, and needs no memory.
        let mut seen = 0;
        for key in keys() {
            seen += 1;
            if seen > 12 {
                return self.refuse_duplicates_sorted(keys());
            }
            if keys().take(seen - 1).any(|earlier| self.same_text(earlier, key)) {
                return Err(Fault::DuplicateKey.at(key.start as usize));
            }
        }
        Ok(())
    }

    /// For large objects; sorted rather than hashed, so that no chosen keys can make it slow.
    fn refuse_duplicates_sorted(&self, keys: Keys<'_, '_>) -> Result<(), Rejection> {
        let mut all: Vec<_> = keys.map(|key| (self.decoded(key), key.start)).collect();
        all.sort_unstable();
        let mut pairs = all.iter().zip(all.iter().skip(1));
        match pairs.find(|((left, _), (right, _))| left == right) {
            Some((_, (_, start))) => Err(Fault::DuplicateKey.at(*start as usize)),
            None => Ok(()),
        }
    }

    fn same_text(&self, left: &Node, right: &Node) -> bool {
        if left.escaped || right.escaped {
            return self.decoded(left) == self.decoded(right);
        }
        self.text.get(left.start as usize..left.end as usize) == self.text.get(right.start as usize..right.end as usize)
    }

    fn decoded(&self, key: &Node) -> std::borrow::Cow<'_, str> {
        let raw = self.checked.get(key.start as usize..key.end as usize).unwrap_or_default();
        crate::text::unquote(raw, key.escaped)
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Result<(), Rejection> {
        if self.peek() != Some(byte) {
            return self.fail(Fault::Syntax);
        }
        self.at += 1;
        Ok(())
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn fail<T>(&self, fault: Fault) -> Result<T, Rejection> {
        Err(fault.at(self.at))
    }
}

/// The keys of the object that was just closed: its nodes are the last ones of the list.
struct Keys<'s, 'a> {
    scanner: &'s Scanner<'a>,
    next: u32,
    end: u32,
}

impl<'s> Iterator for Keys<'s, '_> {
    type Item = &'s Node;

    fn next(&mut self) -> Option<&'s Node> {
        if self.next >= self.end {
            return None;
        }
        let key = self.scanner.nodes.get(self.next as usize)?;
        self.next = self.scanner.nodes.get(self.next as usize + 1)?.skip;
        Some(key)
    }
}

/// Bytes of a string that are looked at together.
const BLOCK: usize = 64;

/// What has a meaning of its own inside a string: a quote, a backslash or a control character.
fn needs_attention(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

/// What was read of a string at once.
struct Passed {
    bytes: usize,
    escapes: bool,
}

/// Reads a block of a string, which begins with no escape under way, if it holds nothing but plain bytes and escapes of
/// one letter; what is rarer is for the caller to read.
///
/// Text has an escape every few dozen bytes, so there is no branch for each: the compiler turns both loops into vector
/// instructions.
fn pass(rest: &[u8]) -> Option<Passed> {
    let block: &[u8; BLOCK] = rest.first_chunk()?;
    let followers: &[u8; BLOCK] = rest.get(1..)?.first_chunk()?;
    if !block.iter().fold(false, |hit, &byte| hit | needs_attention(byte)) {
        return Some(Passed { bytes: BLOCK, escapes: false });
    }
    let unusual = |hit: bool, (&byte, &next): (&u8, &u8)| {
        let escapes = byte == b'\\';
        let quote = next == b'"';
        // Not the backslash: whether one of several in a row escapes the next depends on all before it.
        let letter = ((next | 4) == b'f') | (next == b'n') | (next == b'r') | (next == b't') | (next == b'/');
        hit | (byte < 0x20) | (quote & !escapes) | (escapes & !letter & !quote)
    };
    if block.first() == Some(&b'"') || block.iter().zip(followers).fold(false, unusual) {
        return None;
    }
    // An escape that begins with the last byte is read as a whole.
    let over = usize::from(block.last() == Some(&b'\\'));
    Some(Passed { bytes: BLOCK + over, escapes: true })
}

/// How many bytes from the start need no attention, looked at eight at a time.
fn plain_words(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let zero_byte = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let mut count = 0;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word);
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let hit = control | zero_byte(word ^ (ONES * 0x22)) | zero_byte(word ^ (ONES * 0x5C));
        if hit != 0 {
            // Borrows only travel upwards, so the lowest hit is exact.
            return count + (hit.trailing_zeros() / 8) as usize;
        }
        count += 8;
    }
    count + rest.iter().take_while(|&&byte| !needs_attention(byte)).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn needs(byte: u8) -> bool {
        byte < 0x20 || b"\"\\".contains(&byte)
    }

    #[test]
    fn every_byte_is_found_at_every_place_behind_every_other() {
        for byte in 0..=255 {
            for before in [b'a', 0x20, 0x21, 0x23, 0x5B, 0x5D, 0x7F, 0x80, 0xA2, 0xDC, 0xFF] {
                for place in 0..20 {
                    let mut bytes = [before; 24];
                    bytes[place] = byte;
                    let naive = if needs(byte) { place } else { bytes.len() };
                    assert_eq!(plain_words(&bytes), naive, "{bytes:?}");
                }
            }
        }
    }

    /// What this scanner makes of a string, beside what another parser does.
    fn both(inside: &str) -> (Option<String>, Option<String>) {
        let json = format!("\"{inside}\"");
        let ours = scan(Bytes::from(json.clone()), &Limits::default());
        (ours.ok().map(|document| document.root().text().into_owned()), serde_json::from_str(&json).ok())
    }

    #[test]
    fn what_is_special_means_the_same_at_every_place_of_a_long_string() {
        let specials = [
            r"\n",
            r"\b\f\r\t\/",
            r#"\""#,
            r"\\",
            r"\\\",
            r"\\n",
            r"\u00e9",
            r"\ud83d\ude00",
            r"\ud83d",
            r"\x",
            "\"",
            "\n",
            "é",
            r"\",
        ];
        for special in specials {
            for place in 0..3 * BLOCK {
                for after in [0, 1, BLOCK] {
                    let inside = format!("{}{special}{}", "a".repeat(place), "n".repeat(after));
                    let (ours, theirs) = both(&inside);
                    assert_eq!(ours, theirs, "{inside}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn runs_end_where_a_loop_says(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(plain_words(&bytes), bytes.iter().take_while(|byte| !needs(**byte)).count());
        }

        /// Escapes and what ends a string fall on every place of a block, and across two.
        #[test]
        fn long_strings_mean_what_another_parser_reads(
            pieces in proptest::collection::vec(
                ("[ -!#-\\[\\]-~é€😀]{0,70}", prop_oneof![
                    6 => Just(r"\n"), 6 => Just(r#"\""#), 6 => Just(r"\\"), 3 => Just(r"\u00e9"),
                    3 => Just(r"\ud83d\ude00"), 1 => Just(r"\ud83d"), 1 => Just(r"\x"), 1 => Just("\""),
                    1 => Just("\u{1}"), 1 => Just(r"\u00"),
                ]),
                0..12,
            ),
        ) {
            let inside: String = pieces.iter().map(|(plain, special)| format!("{plain}{special}")).collect();
            let (ours, theirs) = both(&inside);
            prop_assert_eq!(ours, theirs);
        }
    }
}
