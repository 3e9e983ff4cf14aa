//! A text as it reads once something in it was written out, and the way back from each of its places.

use std::ops::Range;

/// What a text says in another spelling.
#[derive(Debug, Default)]
pub(super) struct Reading {
    text: String,
    pieces: Vec<Piece>,
}

/// A part of what it says, and where that comes from.
#[derive(Debug)]
struct Piece {
    /// Where it begins in what is said.
    at: usize,
    from: Range<usize>,
    from_where: From,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// Byte by byte.
    Copied,
    /// All of it stands for all of that.
    Spelled,
    /// Likewise, and something else stands there, in which it is encoded.
    Encoded,
}

impl Reading {
    /// What it says.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Adds a part of the text as it is.
    pub(super) fn copied(&mut self, text: &str, from: Range<usize>) {
        self.add(text.get(from.clone()).unwrap_or_default(), from, From::Copied);
    }

    /// Adds what a part of the text spells, which may be nothing.
    pub(super) fn spelled(&mut self, said: &str, from: Range<usize>) {
        self.add(said, from, From::Spelled);
    }

    /// Adds what a part of the text says in an encoding.
    pub(super) fn encoded(&mut self, said: &str, from: Range<usize>) {
        self.add(said, from, From::Encoded);
    }

    fn add(&mut self, said: &str, from: Range<usize>, from_where: From) {
        if !said.is_empty() {
            self.pieces.push(Piece { at: self.text.len(), from, from_where });
            self.text.push_str(said);
        }
    }

    /// Where a part of what it says comes from, and whether any of that is in an encoding.
    pub(super) fn original(&self, part: &Range<usize>) -> (Range<usize>, bool) {
        let first = self.pieces.partition_point(|piece| piece.at <= part.start).saturating_sub(1);
        let last = self.pieces.partition_point(|piece| piece.at < part.end).max(first + 1);
        let pieces = self.pieces.get(first..last).unwrap_or_default();
        let start = pieces.first().map_or(0, |piece| match piece.from_where {
            From::Copied => piece.from.start + (part.start - piece.at),
            _ => piece.from.start,
        });
        let end = pieces.last().map_or(start, |piece| match piece.from_where {
            From::Copied => piece.from.start + (part.end - piece.at),
            _ => piece.from.end,
        });
        (start..end.max(start), pieces.iter().any(|piece| piece.from_where == From::Encoded))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_leads_back() {
        let text = "to &uuml;x =?a?= end";
        let mut reading = Reading::default();
        reading.copied(text, 0..3);
        reading.spelled("u", 3..9);
        reading.copied(text, 9..11);
        reading.encoded("four", 11..16);
        reading.copied(text, 16..20);
        assert_eq!(reading.text(), "to ux four end");
        for (part, from, is_encoded) in [
            (0..2, 0..2, false),
            (3..4, 3..9, false),
            (3..5, 3..10, false),
            (4..6, 9..11, false),
            (7..8, 11..16, true),
            (2..8, 2..16, true),
            (11..14, 17..20, false),
            (0..14, 0..20, true),
        ] {
            assert_eq!(reading.original(&part), (from, is_encoded), "{part:?}");
        }
    }
}
