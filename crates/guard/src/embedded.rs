//! JSON within a text: as the whole of it, as one of its lines or between its fences, and within strings of such JSON again.
//!
//! What is put into a text must leave such JSON what it is: where a number is, a number has to be, and what comes into a string has to
//! be escaped as often as the string is.

use std::ops::Range;

use bartizan_mcp::{Document, NodeKind, Value};

use crate::as_json;

/// Strings within strings are looked into so often.
const DEEPEST: u8 = 4;

/// What of a text is JSON.
#[derive(Debug, Default)]
pub(crate) struct Embedded {
    /// In order.
    numbers: Vec<Range<usize>>,
    /// From where on a text is within how many strings, in order.
    depths: Vec<(usize, u8)>,
    /// Strings that are written with escapes, and hold no JSON themselves.
    strings: Vec<Escaped>,
}

/// A string of JSON in a text that is written with escapes.
#[derive(Debug)]
pub(crate) struct Escaped {
    /// What it says.
    pub(crate) text: String,
    /// Where it is in the text, with its quotes.
    pub(crate) span: Range<usize>,
    /// Which byte of what it says comes from which one of the text; what is between them goes on alike.
    steps: Vec<Step>,
}

impl Escaped {
    /// Where a part of what it says stands in the text.
    pub(crate) fn place(&self, part: &Range<usize>) -> Range<usize> {
        outside(&self.steps, part.start)..outside(&self.steps, part.end)
    }
}

impl Embedded {
    /// Takes time in proportion to the length of the text, and finds less in one that is made to take more.
    pub(crate) fn of(text: &str) -> Embedded {
        let mut found = Embedded::default();
        found.read(text, &[], 0);
        found
    }

    /// The number that a part of the text is, or is of.
    pub(crate) fn number_at(&self, part: &Range<usize>) -> Option<&Range<usize>> {
        let next = self.numbers.partition_point(|number| number.start <= part.start);
        self.numbers.get(next.checked_sub(1)?).filter(|number| part.end <= number.end)
    }

    /// All numbers.
    pub(crate) fn numbers(&self) -> &[Range<usize>] {
        &self.numbers
    }

    /// All strings that are written with escapes and hold no JSON themselves.
    pub(crate) fn into_escaped(self) -> Vec<Escaped> {
        self.strings
    }

    /// Within how many strings a place is.
    pub(crate) fn depth(&self, at: usize) -> u8 {
        let next = self.depths.partition_point(|(from, _)| *from <= at);
        next.checked_sub(1).and_then(|last| self.depths.get(last)).map_or(0, |(_, depth)| *depth)
    }

    /// Reads a text that comes from the whole one by these steps.
    fn read(&mut self, text: &str, origin: &[Step], depth: u8) {
        for (start, document) in documents(text) {
            for value in document.root().subtree() {
                let span = value.span();
                let (from, to) = (start + span.start, start + span.end);
                match value.kind() {
                    NodeKind::Number => self.numbers.push(outside(origin, from)..outside(origin, to)),
                    NodeKind::String | NodeKind::Key => {
                        self.depths.push((outside(origin, from), depth + 1));
                        self.read_string(value, origin, (start, depth + 1));
                        self.depths.push((outside(origin, to), depth));
                    }
                    _ => {}
                }
            }
        }
    }

    fn read_string(&mut self, value: Value<'_>, origin: &[Step], (start, depth): (usize, u8)) {
        if value.kind() != NodeKind::String {
            return;
        }
        let (text, span) = (value.text(), value.span());
        let (from, to) = (start + span.start, start + span.end);
        let steps = through(&steps(value.raw(), from), origin, to);
        let held = self.depths.len() + self.numbers.len();
        if value.raw().contains(['{', '[']) && depth < DEEPEST {
            self.read(&text, &steps, depth);
        }
        if steps.len() > 1 && held == self.depths.len() + self.numbers.len() {
            let span = outside(origin, from)..outside(origin, to);
            self.strings.push(Escaped { text: text.into_owned(), span, steps });
        }
    }
}

/// Which byte of a text comes from which one outside of it; what is between two of them goes on alike.
type Step = (usize, usize);

fn outside(steps: &[Step], at: usize) -> usize {
    let next = steps.partition_point(|(from, _)| *from <= at);
    let step = next.checked_sub(1).and_then(|last| steps.get(last));
    step.map_or(at, |(from, to)| to + (at - from))
}

/// The steps of what ends there and comes from a text that comes from outside itself.
fn through(inner: &[Step], outer: &[Step], end: usize) -> Vec<Step> {
    let mut steps: Vec<Step> = inner.iter().map(|(from, to)| (*from, outside(outer, *to))).collect();
    let start = inner.first().map_or(end, |(_, to)| *to);
    let first = outer.partition_point(|(from, _)| *from <= start);
    for (from, to) in outer.iter().skip(first).take_while(|(from, _)| *from < end) {
        let next = inner.partition_point(|(_, place)| place <= from);
        let Some((begin, place)) = next.checked_sub(1).and_then(|last| inner.get(last)) else { continue };
        let at = begin + (from - place);
        // Within an escape there is no byte of its own.
        if inner.get(next).is_none_or(|(next, _)| at < *next) {
            steps.push((at, *to));
        }
    }
    steps.sort_unstable();
    steps.dedup_by_key(|(from, _)| *from);
    steps
}

/// The steps of a string's literal, which stands there.
fn steps(literal: &str, start: usize) -> Vec<Step> {
    let mut steps = vec![(0, start + 1)];
    let inner = literal.get(1..).unwrap_or_default();
    let (mut at, mut read) = (0, 0);
    while let Some(found) = inner.get(at..).and_then(|rest| rest.find('\\')) {
        let escape = inner.get(at + found..).unwrap_or_default();
        let (written, length) = escaped(escape);
        (at, read) = (at + found + length, read + found + written);
        steps.push((read, start + 1 + at));
    }
    steps
}

/// How many bytes an escape stands for, and how many it takes. Whoever read the document has checked it.
fn escaped(escape: &str) -> (usize, usize) {
    if escape.as_bytes().get(1) != Some(&b'u') {
        return (1, 2);
    }
    let unit = |from: usize| escape.get(from..from + 4).and_then(|digits| u16::from_str_radix(digits, 16).ok());
    let units = [unit(2).unwrap_or_default(), unit(8).unwrap_or_default()];
    match char::decode_utf16(units).next() {
        Some(Ok(character)) => (character.len_utf8(), character.len_utf16() * 6),
        _ => (char::REPLACEMENT_CHARACTER.len_utf8(), 6),
    }
}

/// The JSON in a text, each with where it begins.
pub(crate) fn documents(text: &str) -> Vec<(usize, Document)> {
    if let Some(document) = as_json(text) {
        return vec![(0, document)];
    }
    let mut found = Vec::new();
    // Brackets that are not closed would have the rest looked at for each of them.
    let mut left = text.len().saturating_mul(4);
    let mut at = 0;
    while let Some(start) = text.get(at..).and_then(|rest| rest.find(['{', '['])).map(|next| at + next) {
        at = start + 1;
        let Some(rest) = text.get(start..).filter(|_| begins(text, start)) else { continue };
        let (length, end) = closed(rest);
        let Some(room) = left.checked_sub(length) else { break };
        left = room;
        let document = end.and_then(|end| rest.get(..end)).and_then(as_json);
        if let (Some(document), Some(end)) = (document, end) {
            found.push((start, document));
            at = start + end;
        }
    }
    found
}

/// Whether JSON may begin there: an array only at the beginning of a line, for sentences have brackets as well.
fn begins(text: &str, at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    text.as_bytes().get(at) == Some(&b'{')
        || before.trim_end_matches([' ', '\t']).chars().next_back().is_none_or(|c| c == '\n')
}

/// How far one has to look for where what is opened at the beginning is closed, and where that is.
fn closed(text: &str) -> (usize, Option<usize>) {
    let (mut open, mut in_string, mut is_escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            // No string goes on over the end of a line.
            b'\n' if in_string => return (at, None),
            b'{' | b'[' if !in_string => open += 1,
            b'}' | b']' if !in_string => {
                open -= 1;
                if open == 0 {
                    return (at, Some(at + 1));
                }
            }
            _ => {}
        }
    }
    (text.len(), None)
}

#[cfg(test)]
mod tests {
    use bartizan_mcp::quote;

    use super::*;

    fn numbers(text: &str) -> Vec<&str> {
        Embedded::of(text).numbers.iter().map(|number| text.get(number.clone()).unwrap()).collect()
    }

    #[test]
    fn numbers_are_found_wherever_json_is() {
        let inner = r#"{"c":17,"d":"\u00e9 \"18\"","e":[19]}"#;
        let twice = format!(r#"{{"b":{},"f":20}}"#, quote(inner));
        let thrice = format!(r#"{{"a":{}}}"#, quote(&twice));
        for (text, expected) in [
            (r#"{"a":1,"b":["2",-3.5e7]}"#.to_owned(), vec!["1", "-3.5e7"]),
            ("{\"a\":1}\n{\"a\":2}\n".to_owned(), vec!["1", "2"]),
            ("Here:\n```json\n[\n  {\"a\": 12}\n]\n```\nand 13.".to_owned(), vec!["12"]),
            ("data: {\"a\":1}\n\ndata: {\"a\":2}".to_owned(), vec!["1", "2"]),
            ("as [1] says, {not this 2} {\"a\":3".to_owned(), vec![]),
            ("{ {\"a\":4}".to_owned(), vec!["4"]),
            (inner.to_owned(), vec!["17", "19"]),
            (twice, vec!["17", "19", "20"]),
            (thrice, vec!["17", "19", "20"]),
            ("[".repeat(100_000), vec![]),
            ("{\"".repeat(100_000), vec![]),
            ("{\n".repeat(100_000), vec![]),
        ] {
            assert_eq!(numbers(&text), expected, "{text:.80}");
        }
    }

    #[test]
    fn a_place_is_within_as_many_strings_as_it_has_to_be_escaped_for() {
        let inner = r#"{"c":"x"}"#;
        let text = format!(r#"see {{"b":{},"d":"y"}} z"#, quote(inner));
        let found = Embedded::of(&text);
        for (place, depth) in [("see", 0), ("x", 2), ("y", 1), ("z", 0), (",", 0)] {
            assert_eq!(found.depth(text.find(place).unwrap()), depth, "{place}");
        }
    }

    #[test]
    fn what_is_escaped_is_told_with_its_place() {
        let inner = r#"{"c":"\u00e9 a\nb","d":"plain"}"#;
        let twice = format!(r#"{{"b":{},"e":"\"q\""}}"#, quote(inner).replace('l', "\\u006c"));
        let thrice = format!("see\n{{\"a\":{}}}\n", quote(&twice));
        for (text, all) in [(inner, 1), (&twice, 3), (&thrice, 3)] {
            let found = Embedded::of(text).into_escaped();
            assert_eq!(found.len(), all, "{found:?}");
            for (said, part, within) in [("\u{e9} a\nb", "a\nb", 'a'), ("\"q\"", "q", 'q'), ("plain", "plain", 'p')] {
                let Some(held) = found.iter().find(|held| held.text == said) else { continue };
                let start = said.find(part).unwrap();
                let place = held.place(&(start..start + part.len()));
                let written = text.get(place.clone()).unwrap();
                assert!(written.starts_with(within) && written.ends_with(part.chars().last().unwrap()), "{written}");
                assert!(held.span.start < place.start && place.end < held.span.end);
            }
        }
    }

    #[test]
    fn numbers_are_told_by_what_is_of_them() {
        let text = r#"{"a":1234,"b":"1234"}"#;
        let found = Embedded::of(text);
        assert_eq!(found.number_at(&(6..8)), Some(&(5..9)));
        assert_eq!(found.number_at(&(6..10)), None);
        assert_eq!(found.number_at(&(15..17)), None);
    }
}
