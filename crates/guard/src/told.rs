//! Values that a server was given back, and how they are known again in whatever it says.
//!
//! **Threat.** A tool that is entitled to a value says it again (*mail sent to Berger*), where nothing tells by itself that it is
//! one. So they are looked for as they are: in any letter case, with other signs between their letters and digits, and in encodings.
//! What it makes of them beyond that, such as a half of a name or another language, nobody knows again.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use bartizan_detect::decode::Views;
use bartizan_mcp::{Message, NodeKind};

use crate::{Event, Evidence, Pseudonym};

/// Shorter ones, in bytes, are a word only where they stand as one; longer ones are what they are also within another.
const LONG: usize = 6;
/// Shorter ones are found only in their own letter case.
const SHORT: usize = 4;
/// One letter or digit tells nobody.
const SHORTEST: usize = 2;
/// At so many places of a message they are looked for: of values that are within each other, one text may have many times its length.
pub(crate) const MOST_PLACES: usize = 8_192;
/// With so many digits it is a number, whatever stands around it.
const DIGITS: usize = 4;

/// What a server was given back of late, each with its name.
pub struct Told {
    values: Vec<Pseudonym>,
    /// As texts are read: without what is only in disguise.
    plain: Vec<Box<str>>,
    /// Which one it is, by what that is in small letters.
    by_value: BTreeMap<Box<str>, usize>,
    /// As they are written.
    written: Patterns,
    /// By their letters and digits alone.
    bare: Patterns,
}

/// Where they begin and end, the longest first.
type Spans = BTreeSet<(usize, Reverse<usize>)>;

/// Patterns, and which value each of them is of.
struct Patterns {
    all: Option<AhoCorasick>,
    which: Vec<usize>,
}

/// Where values are in a text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sighted {
    /// By which one it is, and whether it is in an encoding; in order.
    pub(crate) places: BTreeMap<(usize, bool), Vec<Range<usize>>>,
    /// Whether there were more places, or encodings, than are looked at.
    pub(crate) cut: bool,
}

impl Told {
    /// These. None if they are too much to be looked for.
    #[must_use]
    pub fn of(values: Vec<Pseudonym>) -> Option<Told> {
        let (mut written, mut bare) = (BTreeSet::new(), BTreeSet::new());
        let readings: Vec<Box<str>> = values.iter().map(|held| plain(&held.value)).collect();
        for (which, value) in readings.iter().enumerate().filter(|(_, value)| value.len() >= SHORTEST) {
            let spellings = [(*value).clone(), plain(&value.to_lowercase()), plain(&value.to_uppercase())];
            written.extend(spellings.map(|text| (text, which)));
            let letters = Bare::of(value).text;
            if letters.len() >= LONG {
                bare.insert((letters.into(), which));
            }
        }
        let by_value = readings.iter().enumerate().map(|(which, value)| (value.to_lowercase().into(), which)).collect();
        Some(Told { written: Patterns::of(written)?, bare: Patterns::of(bare)?, values, plain: readings, by_value })
    }

    pub(crate) fn of_event<'e>(event: &Event<'e>) -> Option<&'e Arc<Told>> {
        event.evidence.iter().find_map(|evidence| match evidence {
            Evidence::Told(told) => Some(told),
            _ => None,
        })
    }

    /// Which value that is.
    pub(crate) fn get(&self, which: usize) -> Option<&Pseudonym> {
        self.values.get(which)
    }

    /// The one that has that spelling but for the case of letters.
    pub(crate) fn like(&self, value: &str) -> Option<&Pseudonym> {
        let which = self.by_value.get(&*plain(value).to_lowercase())?;
        self.get(*which)
    }

    /// Whether a value is so long that it is hardly anything else, wherever it stands.
    pub(crate) fn is_long(&self, which: usize) -> bool {
        self.get(which).is_some_and(|held| held.value.len() >= LONG)
    }

    /// Whether a text holds any of them.
    #[must_use]
    pub fn knows(&self, text: &str) -> bool {
        !self.look(text, &mut { MOST_PLACES }).places.is_empty()
    }

    /// Those that a message holds.
    pub(crate) fn within(&self, message: &Message) -> Vec<Pseudonym> {
        let texts = message.root().subtree().map(|value| match value.kind() {
            NodeKind::String | NodeKind::Key => value.text(),
            NodeKind::Number => value.raw().into(),
            _ => "".into(),
        });
        let mut left = MOST_PLACES;
        let found: BTreeSet<usize> =
            texts.flat_map(|text| self.look(&text, &mut left).places.into_keys().map(|(which, _)| which)).collect();
        found.into_iter().filter_map(|which| self.get(which).cloned()).collect()
    }

    /// Wherever one of them is in a text, or in what it says in an encoding, at so many places as are `left` for its message.
    pub(crate) fn look(&self, text: &str, left: &mut usize) -> Sighted {
        let views = Views::of(text);
        let mut places: BTreeMap<(usize, bool), Spans> = BTreeMap::new();
        for view in views.iter() {
            let is_encoded = !view.how.is_empty();
            for (which, found) in self.in_view(view.text(), left) {
                let span = views.whole(views.original(view, found));
                places.entry((which, is_encoded)).or_default().insert((span.start, Reverse(span.end)));
            }
        }
        let spans = |all: Spans| all.into_iter().map(|(start, Reverse(end))| start..end).collect();
        Sighted {
            places: places.into_iter().map(|(key, all)| (key, spans(all))).collect(),
            cut: views.cut || *left == 0,
        }
    }

    fn in_view(&self, text: &str, left: &mut usize) -> Vec<(usize, Range<usize>)> {
        let mut found = Vec::new();
        for (which, span) in self.written.find(text, left) {
            let value = self.plain.get(which).map(|value| &**value).unwrap_or_default();
            let is_it = match value.len() {
                ..SHORT => text.get(span.clone()) == Some(value) && stands_alone(text, &span),
                SHORT..LONG => stands_alone(text, &span),
                LONG.. => true,
            };
            found.extend(is_it.then_some((which, span)));
        }
        if self.bare.all.is_some() {
            let bare = Bare::of(text);
            for (which, span) in self.bare.find(&bare.text, left) {
                let is_number = self.get(which).is_some_and(|held| digits(&held.value) >= DIGITS);
                let span = bare.original(&span);
                found.extend((is_number || stands_alone(text, &span)).then_some((which, span)));
            }
        }
        found
    }
}

impl PartialEq for Told {
    fn eq(&self, other: &Told) -> bool {
        self.values == other.values
    }
}

impl Eq for Told {}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Told").field(&self.values).finish()
    }
}

impl Patterns {
    fn of(all: BTreeSet<(Box<str>, usize)>) -> Option<Patterns> {
        let (patterns, which): (Vec<Box<str>>, Vec<usize>) = all.into_iter().unzip();
        if patterns.is_empty() {
            return Some(Patterns { all: None, which });
        }
        let mut builder = AhoCorasick::builder();
        // Whatever is chosen for few patterns takes a hundred times the room of long ones.
        builder.kind(Some(AhoCorasickKind::ContiguousNFA));
        // One value may be within another, and of two that have one spelling both are meant.
        let built = builder
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .build(patterns.iter().map(|pattern| pattern.as_bytes()))
            .ok()?;
        Some(Patterns { all: Some(built), which })
    }

    fn find(&self, text: &str, left: &mut usize) -> impl Iterator<Item = (usize, Range<usize>)> {
        let found = self.all.iter().flat_map(move |all| all.find_overlapping_iter(text));
        let found = found.take_while(move |_| {
            *left = left.saturating_sub(1);
            *left > 0
        });
        found.filter_map(|found| Some((*self.which.get(found.pattern().as_usize())?, found.range())))
    }
}

/// The letters and digits of a text in small letters, and where each was.
struct Bare {
    text: String,
    /// For each byte the character that it is of: where that begins, and how long it is.
    from: Vec<(u32, u8)>,
}

impl Bare {
    fn of(text: &str) -> Bare {
        let mut bare = Bare { text: String::with_capacity(text.len()), from: Vec::with_capacity(text.len()) };
        for (at, character) in text.char_indices().filter(|(_, character)| character.is_alphanumeric()) {
            bare.text.extend(character.to_lowercase());
            // No message is as long as that.
            let from = (u32::try_from(at).unwrap_or(u32::MAX), character.len_utf8() as u8);
            bare.from.resize(bare.text.len(), from);
        }
        bare
    }

    fn original(&self, span: &Range<usize>) -> Range<usize> {
        let start = self.from.get(span.start).map_or(0, |(at, _)| *at as usize);
        let last = span.end.checked_sub(1).and_then(|last| self.from.get(last));
        start..last.map_or(start, |(at, length)| *at as usize + usize::from(*length))
    }
}

/// A text as it is read, with escapes resolved and nothing in disguise.
fn plain(text: &str) -> Box<str> {
    Views::carried(text).iter().next().map(|view| view.text().into()).unwrap_or_default()
}

fn digits(value: &str) -> usize {
    value.bytes().filter(u8::is_ascii_digit).count()
}

fn stands_alone(text: &str, span: &Range<usize>) -> bool {
    let before = text.get(..span.start).and_then(|before| before.chars().next_back());
    let behind = text.get(span.end..).and_then(|behind| behind.chars().next());
    !before.into_iter().chain(behind).any(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use bartizan_pseudonym::{Kind, Root};
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;

    use super::*;

    fn told(values: &[&str]) -> Told {
        let namer = Root::new(&[7; 32]).namer("tenant", "default");
        let name = |value: &&str| Pseudonym::of(namer.name(Kind::parse("email").unwrap(), value), (*value).into());
        Told::of(values.iter().map(name).collect()).unwrap()
    }

    fn look(values: &[&str], text: &str) -> Sighted {
        told(values).look(text, &mut { MOST_PLACES })
    }

    #[test]
    fn values_are_known_again_as_they_are_and_as_they_are_written_otherwise() {
        let hex: String = "see Berger".bytes().map(|byte| format!("{byte:02x}")).collect();
        for (value, text, expected) in [
            ("Berger", "mail sent to Berger", "Berger"),
            ("Berger", "BERGER", "BERGER"),
            ("Müller", "MÜLLER", "MÜLLER"),
            ("Berger", "xxBergerxx", "Berger"),
            ("12345678", "no. 9912345678.", "12345678"),
            ("+49 30 901820", "tel:+49-30-901820", "49-30-901820"),
            ("DE89 3704 0044 0532 0130 00", "iban=DE89370400440532013000", "DE89370400440532013000"),
            ("Anna Berger", "to anna.berger at work", "anna.berger"),
            ("Anna Berger", "Anna\n  Berger", "Anna\n  Berger"),
            ("anna@example.org", "anna%40example.org", "anna%40example.org"),
            ("Anna", "dear Anna,", "Anna"),
            ("Bo", "for Bo.", "Bo"),
            (
                "Berger",
                &format!("token {}", BASE64_STANDARD.encode("mail to Berger it goes")),
                "bWFpbCB0byBCZXJnZXIgaXQgZ29lcw==",
            ),
            ("Berger", &hex, &hex),
        ] {
            let places = look(&[value], text).places;
            let found: Vec<_> = places.values().flatten().filter_map(|span| text.get(span.clone())).collect();
            assert!(found.contains(&expected), "{value} in {text}: {found:?}");
        }
    }

    #[test]
    fn what_only_looks_alike_is_none() {
        for (value, text) in [
            ("Anna", "in Annapolis"),
            ("Bo", "bo or BO or Bob"),
            ("Anna Berger", "Anna and Berger"),
            ("x", "x"),
            ("Berger", "the burger"),
        ] {
            assert_eq!(look(&[value], text), Sighted::default(), "{value} in {text}");
        }
        assert_eq!(look(&[], "anything"), Sighted::default());
    }

    #[test]
    fn one_within_another_is_found_as_well() {
        let places = look(&["Anna Berger", "Berger"], "for Anna Berger").places;
        let once = |span: Range<usize>| std::iter::once(span).collect::<Vec<_>>();
        assert_eq!(places.into_iter().collect::<Vec<_>>(), [((0, false), once(4..15)), ((1, false), once(9..15))]);
    }

    #[test]
    fn more_places_than_are_looked_at_are_said_to_be() {
        let nested: Vec<String> = (6..400).map(|length| "a".repeat(length)).collect();
        let nested: Vec<&str> = nested.iter().map(String::as_str).collect();
        let sighted = look(&nested, &"a".repeat(100_000));
        assert!(sighted.cut && sighted.places.values().map(Vec::len).sum::<usize>() < MOST_PLACES);
        assert!(!look(&nested, &"a".repeat(20)).cut);
    }

    #[test]
    fn more_encodings_than_are_read_are_said_to_be() {
        let one = BASE64_STANDARD.encode("nothing about anybody here");
        assert!(!look(&["Berger"], &one).cut);
        let some = |text: &str| {
            let each = (0..10).map(|number| BASE64_STANDARD.encode(format!("{number}: nothing, {text}")));
            each.collect::<Vec<_>>().join(", and then ")
        };
        assert!(look(&["Berger"], &some(&some(&some("about anybody")))).cut);
    }
}
