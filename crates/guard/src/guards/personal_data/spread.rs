//! What was found in one place, wherever else it stands in the same message.

use std::borrow::Cow;
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
        let (which, values): (Vec<_>, Vec<_>) = values.filter(|(_, value)| value.len() >= SHORTEST).unzip();
        if values.is_empty() {
            return None;
        }
        let mut builder = AhoCorasick::builder();
        // What is chosen for few values takes a hundred times the room of long ones, with each message.
        builder.kind(Some(AhoCorasickKind::ContiguousNFA));
        let values = builder.ascii_case_insensitive(true).match_kind(MatchKind::LeftmostLongest).build(values.iter().map(|value| value.as_bytes())).ok()?;
        Some(Spread { values, which })
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
