//! What was found in one place, wherever else it stands in the same message.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use bartizan_detect::decode::Views;

/// Shorter values are too often something else.
const SHORTEST: usize = 4;

/// Finds values again, in any letter case of ASCII and in encodings.
pub(super) struct Spread {
    values: AhoCorasick,
    /// Which of those that were given each pattern is.
    which: Vec<usize>,
    /// The same by how it is written, for those that differ in letter case only.
    exactly: BTreeMap<Box<str>, usize>,
}

/// A place of a value.
pub(super) struct Place {
    /// Which one it is, of those that were given.
    pub(super) which: usize,
    /// Bytes of the text.
    pub(super) span: Range<usize>,
    /// Whether something else stands there, in which it is encoded.
    pub(super) is_encoded: bool,
}

impl Spread {
    /// Of these values; none if all are too short, or too much together.
    pub(super) fn of<'v>(values: impl Iterator<Item = (usize, Cow<'v, str>)>) -> Option<Spread> {
        let (which, values): (Vec<usize>, Vec<Cow<'_, str>>) = values.filter(|(_, value)| value.len() >= SHORTEST).unzip();
        if values.is_empty() {
            return None;
        }
        let exactly = values.iter().zip(&which).rev().map(|(value, which)| (Box::from(&**value), *which)).collect();
        let mut builder = AhoCorasick::builder();
        // What is chosen for few values takes a hundred times the room of long ones, with each message.
        builder.kind(Some(AhoCorasickKind::ContiguousNFA));
        let values = builder.ascii_case_insensitive(true).match_kind(MatchKind::LeftmostLongest).build(values.iter().map(|value| value.as_bytes())).ok()?;
        Some(Spread { values, which, exactly })
    }

    /// Wherever one of them stands as a word, or in what a text says in an encoding.
    pub(super) fn look(&self, text: &str) -> Vec<Place> {
        let views = Views::of(text);
        let mut places = Vec::new();
        for view in views.iter() {
            let text = view.text();
            for found in self.values.find_iter(text) {
                let Some(which) = self.which.get(found.pattern().as_usize()) else { continue };
                if stands_alone(text, found.range()) {
                    let written = text.get(found.range()).unwrap_or_default();
                    let which = self.exactly.get(written).unwrap_or(which);
                    let span = views.whole(views.original(view, found.range()));
                    places.push(Place { which: *which, span, is_encoded: !view.how.is_empty() });
                }
            }
        }
        places
    }
}

fn stands_alone(text: &str, range: Range<usize>) -> bool {
    let before = text.get(..range.start).and_then(|before| before.chars().next_back());
    let behind = text.get(range.end..).and_then(|behind| behind.chars().next());
    !before.into_iter().chain(behind).any(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_that_differ_in_letter_case_each_stands_for_itself() {
        let values = ["Marina Costa", "marina costa", "Otto"];
        let spread = Spread::of(values.into_iter().map(Cow::Borrowed).enumerate()).unwrap();
        for (text, expected) in [("marina costa", 1), ("Marina Costa", 0), ("MARINA COSTA", 0), ("OTTO", 2)] {
            let found: Vec<_> = spread.look(text).into_iter().map(|place| place.which).collect();
            assert_eq!(found, [expected], "{text}");
        }
    }
}
