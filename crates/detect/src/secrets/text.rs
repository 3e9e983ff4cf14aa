//! A text that is looked through: how far letters of a set go, and whether a shape stands at a place.

use std::ops::Range;

use super::format::{Format, Piece, Set, Shape};
use super::plausible;

/// One text.
pub(super) struct Text<'t> {
    pub(super) text: &'t str,
    pub(super) bytes: &'t [u8],
    /// Where texts were put together, in order: something may begin and end there.
    edges: &'t [usize],
    /// The last run of each set, as nothing is to be read again for each of many that begin in one run.
    runs: [Run; Set::ALL.len()],
}

#[derive(Clone, Copy, Default)]
struct Run {
    start: usize,
    end: usize,
    /// Whether it ends there, and not only what was read of it.
    is_over: bool,
}

/// Bytes that are read of a run at once.
const AHEAD: usize = 1024;
/// Bytes before and behind a secret in which a word that belongs to it is looked for.
pub(super) const NEAR: usize = 200;

impl<'t> Text<'t> {
    pub(super) fn new(text: &'t str, edges: &'t [usize]) -> Text<'t> {
        Text { text, bytes: text.as_bytes(), edges, runs: [Run::default(); Set::ALL.len()] }
    }

    /// How many letters of a set stand at a place, up to `most`.
    pub(super) fn run(&mut self, set: Set, at: usize, most: usize) -> usize {
        let Some(held) = self.runs.get_mut(set as usize) else { return 0 };
        let is_within = held.start <= at && at <= held.end;
        if !(is_within && (held.is_over || held.end - at >= most)) {
            let read = self.bytes.get(at..).unwrap_or_default();
            let read = read.get(..most.max(AHEAD)).unwrap_or(read);
            let length = read.iter().take_while(|byte| set.holds(**byte)).count();
            *held =
                Run { start: at, end: at + length, is_over: length < read.len() || at + length == self.bytes.len() };
        }
        (held.end - at).min(most)
    }

    pub(super) fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    /// The byte before a place; none at an edge.
    pub(super) fn before(&self, at: usize) -> Option<u8> {
        if self.is_edge(at) { None } else { at.checked_sub(1).and_then(|before| self.byte(before)) }
    }

    /// The byte at a place; none at an edge.
    fn after(&self, at: usize) -> Option<u8> {
        if self.is_edge(at) { None } else { self.byte(at) }
    }

    fn is_edge(&self, at: usize) -> bool {
        self.edges.binary_search(&at).is_ok()
    }

    /// Where the shape stands of which the anchor stands there.
    pub(super) fn shape(&mut self, shape: &Shape, anchor: Range<usize>) -> Option<Stands> {
        let mut runs = Vec::new();
        let mut start = anchor.start;
        for piece in shape.before.iter().rev() {
            start = self.back(piece, start, &mut runs)?;
        }
        let (first, last) = (shape.before.first(), shape.after.last());
        let is_apart = match first {
            Some(Piece::Run(set, ..)) => {
                self.before(start).is_none_or(|byte| !set.holds(byte) && !byte.is_ascii_alphanumeric())
            }
            _ if self.byte(start).is_some_and(|byte| !byte.is_ascii_alphanumeric()) => true,
            _ => self.before(start).is_none_or(|byte| !byte.is_ascii_alphanumeric()),
        };
        let mut end = anchor.end;
        for piece in &shape.after {
            end = self.forth(piece, end, &mut runs)?;
        }
        let goes_on = match (last, self.after(end)) {
            (_, None) => false,
            (Some(Piece::Run(set, ..)), Some(byte)) => set.holds(byte) || byte.is_ascii_alphanumeric() || byte == b'_',
            (_, Some(byte)) => {
                byte.is_ascii_alphanumeric()
                    && end.checked_sub(1).and_then(|at| self.byte(at)).is_some_and(|last| last.is_ascii_alphanumeric())
            }
        };
        if goes_on { None } else { Some(Stands { span: start..end, runs, is_apart }) }
    }

    fn back(&self, piece: &Piece, end: usize, runs: &mut Vec<(Set, Range<usize>)>) -> Option<usize> {
        match piece {
            Piece::Text(text) => {
                let start = end.checked_sub(text.len())?;
                (self.bytes.get(start..end)? == text.as_bytes()).then_some(start)
            }
            Piece::Run(set, from, to) => {
                let before = self.bytes.get(..end)?;
                let length = before.iter().rev().take(*to).take_while(|byte| set.holds(**byte)).count();
                runs.push((*set, end - length..end));
                (length >= *from && is_whole(*set, self.text.get(end - length..end)?)).then_some(end - length)
            }
        }
    }

    fn forth(&mut self, piece: &Piece, start: usize, runs: &mut Vec<(Set, Range<usize>)>) -> Option<usize> {
        match piece {
            Piece::Text(text) => {
                let end = start + text.len();
                (self.bytes.get(start..end)? == text.as_bytes()).then_some(end)
            }
            Piece::Run(set, from, to) => {
                let is_exact = from == to;
                let length = self.run(*set, start, if is_exact { *to } else { *to + 1 });
                if !(*from..=*to).contains(&length) || !is_whole(*set, self.text.get(start..start + length)?) {
                    return None;
                }
                runs.push((*set, start..start + length));
                Some(start + length)
            }
        }
    }

    /// Whether one of the words stands near a place; in whatever case.
    pub(super) fn is_near(&self, words: &[String], span: &Range<usize>) -> bool {
        if words.is_empty() {
            return true;
        }
        let around = self.around(span);
        words.iter().any(|word| around.contains(&**word))
    }

    /// What stands around a place, in small letters.
    pub(super) fn around(&self, span: &Range<usize>) -> String {
        let start = self.text.floor_char_boundary(span.start.saturating_sub(NEAR));
        let end = self.text.ceil_char_boundary(span.end.saturating_add(NEAR).min(self.text.len()));
        self.text.get(start..end).unwrap_or_default().to_ascii_lowercase()
    }

    /// Whether all of a value is of that shape.
    pub(super) fn is_of(&mut self, shape: &Shape, value: &Range<usize>) -> bool {
        let Range { mut start, end } = value.clone();
        let mut runs = Vec::new();
        for piece in shape.pieces() {
            match self.forth(&piece, start, &mut runs) {
                Some(next) => start = next,
                None => return false,
            }
        }
        start == end
    }
}

/// Where something stands.
pub(super) struct Stands {
    pub(super) span: Range<usize>,
    /// What is of sets and not literal.
    runs: Vec<(Set, Range<usize>)>,
    /// Whether nothing goes on into it.
    pub(super) is_apart: bool,
}

impl Stands {
    /// Whether its letters may have been drawn by a machine.
    pub(super) fn is_plausible(&self, format: &Format, text: &str) -> bool {
        let of = |range: &Range<usize>| text.get(range.clone()).unwrap_or_default();
        let body: String = self.runs.iter().filter(|(set, _)| *set != Set::Digit).map(|(_, range)| of(range)).collect();
        !plausible::is_placeholder(&body)
            && (format.check.is_some() || self.runs.iter().all(|(set, range)| is_mixed(*set, of(range))))
    }
}

/// A run that has to be divided is.
fn is_whole(set: Set, text: &str) -> bool {
    set != Set::Uuid || plausible::is_uuid(text)
}

/// Whether there are letters of as many kinds as random ones have.
fn is_mixed(set: Set, text: &str) -> bool {
    /// Of fewer letters one kind may be missing by chance.
    const MANY: usize = 20;
    const MORE: usize = 40;
    if text.len() < MANY {
        return true;
    }
    let has = |is: fn(&u8) -> bool| text.as_bytes().iter().any(is);
    let (lower, upper, digit) = (has(u8::is_ascii_lowercase), has(u8::is_ascii_uppercase), has(u8::is_ascii_digit));
    match set {
        Set::Alnum | Set::Word | Set::Url | Set::UrlEncoded | Set::Azure | Set::Base64 => {
            usize::from(lower) + usize::from(upper) + usize::from(digit) >= 2 && (digit || text.len() < MORE)
        }
        Set::Alpha => lower && upper,
        Set::LowAlnum => lower && digit,
        Set::UpAlnum => upper && digit,
        Set::Hex | Set::AnyHex | Set::UpHex => (lower || upper) && digit,
        _ => true,
    }
}
