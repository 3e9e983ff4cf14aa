//! Values that a server was given back, and how they are known again in whatever it says.
//!
//! **Threat.** A tool that is entitled to a value says it again (*mail sent to Berger*), where nothing tells by itself that it is
//! one. So they are looked for as they are: in any letter case, with other signs between their letters and digits, spelled out as
//! pages, mail and numbers have it (`spelled`), and in encodings, also in those that are too short to be looked into for what nobody
//! knows (`carried`). What it makes of them beyond that, such as a half of a name or another language, nobody knows again.
//!
//! A number within a longer row of digits is mostly another number, and who has one given back would change those of others. So it is
//! meant there only if it has eight digits and is two thirds of the row.

mod carried;
mod reading;
mod spelled;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use bartizan_detect::decode::Views;
use bartizan_mcp::{Message, NodeKind};

use self::reading::Reading;
use self::spelled::Spelled;
use crate::{Event, Evidence, Pseudonym};

/// Shorter ones, in bytes, are a word only where they stand as one; longer ones are what they are also within another.
const LONG: usize = 6;
/// Shorter ones are found only in their own letter case.
const SHORT: usize = 4;
/// One letter or digit tells nobody.
const SHORTEST: usize = 2;
/// At so many places of a message they are looked for: of values that are within each other, one text may have many times its length.
pub(crate) const MOST_PLACES: usize = 8_192;
/// With so many digits it is a number, whatever letters stand around it.
const DIGITS: usize = 4;
/// With fewer digits it is another number where digits go on beside it. Of seven there are so few that a page of longer numbers has one
/// of them by chance as soon as some hundred values are known.
const DIGITS_IN_ROW: usize = 8;
/// Digits beside a number that are looked at.
const BESIDE: usize = 64;

/// What a server was given back of late, each with its name.
pub struct Told {
    values: Vec<Pseudonym>,
    /// As texts are read: without what is only in disguise.
    plain: Vec<Box<str>>,
    /// Which ones they are, by what that is in small letters.
    by_value: BTreeMap<Box<str>, Vec<usize>>,
    /// As they are written.
    written: Patterns,
    /// By their letters and digits alone.
    bare: Patterns,
}

/// Which values were found in one place, and whether in their own letter case.
type FoundThere = Vec<(usize, bool)>;

/// Where they begin and end, the longest first.
type Spans = BTreeSet<(usize, Reverse<usize>)>;

/// Patterns, and which value each of them is of.
struct Patterns {
    all: Option<AhoCorasick>,
    which: Vec<usize>,
}

/// One place of a value.
struct Place {
    which: usize,
    span: Range<usize>,
    /// Whether it stands in its own letter case.
    is_exact: bool,
}

/// Where values are in a text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sighted {
    /// By which one it is, and whether no name can stand there: it is in an encoding, or may as well be another one that has other
    /// letter case. In order.
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
        let mut by_value: BTreeMap<Box<str>, Vec<usize>> = BTreeMap::new();
        for (which, value) in readings.iter().enumerate() {
            by_value.entry(value.to_lowercase().into()).or_default().push(which);
        }
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

    /// The one that has that spelling, or the only one that has it but for the case of letters.
    pub(crate) fn like(&self, value: &str) -> Option<&Pseudonym> {
        let all = self.by_value.get(&*plain(value).to_lowercase())?;
        let alike = || all.iter().filter_map(|which| self.get(*which));
        alike().find(|held| *held.value == *value).or_else(|| match &**all {
            [only] => self.get(*only),
            _ => None,
        })
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
        let mut seen: BTreeMap<(usize, Reverse<usize>, bool), FoundThere> = BTreeMap::new();
        for view in views.iter() {
            let mut add = |Place { which, span, is_exact }, is_spelled| {
                let span = views.whole(views.original(view, span));
                let is_encoded = is_spelled || !view.how.is_empty();
                seen.entry((span.start, Reverse(span.end), is_encoded)).or_default().push((which, is_exact));
            };
            self.in_text(view.text(), left).into_iter().for_each(|place| add(place, false));
            let spelled = Spelled::of(view.text());
            for (reading, said) in spelled.texts() {
                for place in self.in_text(said, left) {
                    let (span, is_encoded) = spelled.original(reading, place.span.clone());
                    add(Place { span, ..place }, is_encoded);
                }
            }
            for reading in carried::readings(view.text()) {
                self.in_reading(&reading, left).into_iter().for_each(|place| add(place, true));
            }
        }
        let mut places: BTreeMap<(usize, bool), Spans> = BTreeMap::new();
        for ((start, end, is_encoded), found) in seen {
            for (which, is_sure) in self.apart(&found) {
                places.entry((which, is_encoded || !is_sure)).or_default().insert((start, end));
            }
        }
        let spans = |all: Spans| all.into_iter().map(|(start, Reverse(end))| start..end).collect();
        Sighted {
            places: places.into_iter().map(|(key, all)| (key, spans(all))).collect(),
            cut: views.cut || *left == 0,
        }
    }

    /// Which of those it is that were found in one place, and whether that is sure: of those that differ in letter case only, it is
    /// the one that stands there.
    fn apart(&self, found: &[(usize, bool)]) -> FoundThere {
        let letters = |which: usize| self.plain.get(which).map(|value| value.to_lowercase());
        let mut all: BTreeMap<usize, bool> = BTreeMap::new();
        for (which, is_exact) in found {
            *all.entry(*which).or_default() |= *is_exact;
        }
        if all.len() < 2 {
            return all.into_keys().map(|which| (which, true)).collect();
        }
        let mut alike: BTreeMap<Option<String>, FoundThere> = BTreeMap::new();
        for (which, is_exact) in all {
            alike.entry(letters(which)).or_default().push((which, is_exact));
        }
        let mut sure = Vec::new();
        for mut all in alike.into_values() {
            if all.iter().any(|(_, is_exact)| *is_exact) {
                all.retain(|(_, is_exact)| *is_exact);
            }
            let is_sure = all.windows(2).all(|two| match two {
                [(one, _), (other, _)] => self.plain.get(*one) == self.plain.get(*other),
                _ => true,
            });
            sure.extend(all.into_iter().map(|(which, _)| (which, is_sure)));
        }
        sure
    }

    fn in_reading(&self, reading: &Reading, left: &mut usize) -> Vec<Place> {
        let mut places = self.in_text(reading.text(), left);
        // By chance a few letters are read in any text.
        places.retain(|place| self.plain.get(place.which).is_some_and(|value| value.len() >= SHORT));
        places.iter_mut().for_each(|place| place.span = reading.original(&place.span).0);
        places
    }

    fn in_text(&self, text: &str, left: &mut usize) -> Vec<Place> {
        let mut found = Vec::new();
        for (which, span) in self.written.find(text, left) {
            let value = self.plain.get(which).map(|value| &**value).unwrap_or_default();
            let is_exact = text.get(span.clone()) == Some(value);
            let is_it = match value.len() {
                ..SHORT => is_exact && stands_alone(text, &span),
                SHORT..LONG => stands_alone(text, &span),
                LONG.. => is_no_other_number(text, &span, digits(value)),
            };
            found.extend(is_it.then_some(Place { which, span, is_exact }));
        }
        if self.bare.all.is_some() {
            let bare = Bare::of(text);
            for (which, span) in self.bare.find(&bare.text, left) {
                let digits = self.get(which).map_or(0, |held| digits(&held.value));
                let span = bare.original(&span);
                let is_number = digits >= DIGITS && is_no_other_number(text, &span, digits);
                found.extend((is_number || stands_alone(text, &span)).then_some(Place {
                    which,
                    span,
                    is_exact: false,
                }));
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

/// Whether what stands there with so many digits is no part of a longer number that is another one. Zeros before it make none.
fn is_no_other_number(text: &str, span: &Range<usize>, digits: usize) -> bool {
    let bytes = text.as_bytes();
    let is_digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let row =
        |bytes: &mut dyn Iterator<Item = &u8>| bytes.take(BESIDE).take_while(|byte| byte.is_ascii_digit()).count();
    let mut beside = 0;
    if is_digit(Some(span.start)) {
        let before = bytes.get(..span.start).unwrap_or_default();
        let length = row(&mut before.iter().rev());
        let first = before.len() - length;
        let zeros = before.get(first..).unwrap_or_default().iter().take_while(|byte| **byte == b'0').count();
        beside += length - zeros;
    }
    if is_digit(span.end.checked_sub(1)) {
        beside += row(&mut bytes.get(span.end..).unwrap_or_default().iter());
    }
    beside == 0 || digits >= DIGITS_IN_ROW && 2 * beside <= digits
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

    /// Ways to say it that the decoders leave that look for what nobody knows.
    #[test]
    fn values_are_known_again_however_they_are_spelled_or_encoded() {
        let base64 = |text: &str| BASE64_STANDARD.encode(text);
        let mail = "anna.berger@corp.example";
        for (value, text, expected, is_encoded) in [
            (
                mail,
                "to anna&period;berger&commat;corp&period;example!",
                "anna&period;berger&commat;corp&period;example",
                false,
            ),
            (mail, "to anna&#0000046;berger&#64corp&#46;example!", "anna&#0000046;berger&#64corp&#46;example", false),
            ("M\u{fc}ller", "dear M&uuml;ller,", "M&uuml;ller", false),
            ("M\u{fc}ller", "dear M=C3=BCller,", "M=C3=BCller", false),
            (mail, "anna.ber=\nger=40corp.example", "anna.ber=\nger=40corp.example", false),
            ("Bergerac", "To: =?utf-8?B?QmVyZ2VyYWM=?= x", "=?utf-8?B?QmVyZ2VyYWM=?=", true),
            (
                "Bergerac",
                "To: =?utf-8?B?QmVyZ2Vy?=\r\n =?utf-8?B?YWM=?= x",
                "=?utf-8?B?QmVyZ2Vy?=\r\n =?utf-8?B?YWM=?=",
                true,
            ),
            ("M\u{fc}ller", "=?iso-8859-1?Q?Herr_M=FCller?=", "=?iso-8859-1?Q?Herr_M=FCller?=", true),
            ("Anna", &base64("Anna"), &base64("Anna"), true),
            ("Anna", &format!("see {}", base64("for Anna")), &base64("for Anna"), true),
            ("48213377", &base64("48213377"), &base64("48213377"), true),
            ("4111 1111 1111 1111", &base64("4111 1111 1111 1111"), &base64("4111 1111 1111 1111"), true),
            ("Berger", &format!("v1.{}", base64("to Berger")), &base64("to Berger"), true),
            ("Berger", "x 426572676572 y", "426572676572", true),
            ("48213377", "34 38 32 31 33 33 37 37", "34 38 32 31 33 33 37 37", true),
            ("48200000", "4.82e7", "4.82e7", false),
            ("48213377", "{\"n\":48213377.0}", "48213377.0", false),
            ("48200000", "n;482E5;x", "482E5", false),
            ("Anna", "dear An\u{ad}na,", "An\u{ad}na", false),
            ("Anna", "dear A\u{200b}n\u{2060}n\u{feff}a,", "A\u{200b}n\u{2060}n\u{feff}a", false),
            ("482133", "no. 48\u{200d}21\u{ad}33", "48\u{200d}21\u{ad}33", false),
        ] {
            let places = look(&[value], text).places;
            let found: Vec<_> = places
                .iter()
                .flat_map(|((_, is_encoded), spans)| {
                    spans.iter().map(|span| (text.get(span.clone()).unwrap(), *is_encoded))
                })
                .collect();
            assert!(found.contains(&(expected, is_encoded)), "{value} in {text}: {found:?}");
        }
    }

    /// What looks like them without being one: their honest twins.
    #[test]
    fn what_is_spelled_or_encoded_alike_is_none() {
        let base64 = |text: &str| BASE64_STANDARD.encode(text);
        for (value, text) in [
            ("anna.berger@corp.example", "anna&period;bergen&commat;corp.example"),
            ("Anna", &base64("Annapolis")),
            ("Anna", &base64("Hanna")),
            ("Bo", &base64("Bo")),
            ("Berger", "=?utf-8?B?QnVyZ2Vy?="),
            ("48213377", &base64("48213378")),
            ("48200000", "4.82e6"),
            ("48200000", "4.8200001e7"),
            ("Berger", "416572676572"),
        ] {
            assert_eq!(look(&[value], text), Sighted::default(), "{value} in {text}");
        }
    }

    #[test]
    fn a_number_within_a_longer_one_is_another_one() {
        for (value, text, is_it) in [
            ("482133", "order 994821337", false),
            ("482133", "order 4821337, 1482133", false),
            ("482133", "tel. 048 2133", true),
            ("482133", "tel. 1348 21335", false),
            ("482133", "no. 00482133", true),
            ("482133", "AB482133C", true),
            ("4821337", "49482133712", false),
            ("48213377", "no. 994821337711.", true),
            ("48213377", "no. 9994821337711.", false),
            ("48213377", "no. 99 4821 3377 1100", true),
            ("48213377", "0000000048213377", true),
            ("48213377", "4948213377 for abroad", true),
            ("4111 1111 1111 1111", "941111111111111119", true),
            ("Hauptstr. 57", "Hauptstr. 571", false),
            ("Hauptstr. 57", "Hauptstr. 57b", true),
        ] {
            assert_eq!(!look(&[value], text).places.is_empty(), is_it, "{value} in {text}");
        }
    }

    #[test]
    fn of_two_that_differ_in_letter_case_it_is_the_one_that_stands_there() {
        let both = ["mark", "Mark", "Marina Costa", "marina costa", "Otto"];
        let told = told(&both);
        let like = |value: &str| told.like(value).map(|held| &*held.value);
        for value in both {
            assert_eq!(like(value), Some(value));
        }
        assert_eq!((like("MARK"), like("OTTO"), like("Anna")), (None, Some("Otto"), None));
        for (text, expected) in [
            ("to Mark.", vec![(1, false)]),
            ("to mark.", vec![(0, false)]),
            ("to MARK.", vec![(0, true), (1, true)]),
            ("for Marina Costa", vec![(2, false)]),
            ("to OTTO", vec![(4, false)]),
        ] {
            assert_eq!(look(&both, text).places.into_keys().collect::<Vec<_>>(), expected, "{text}");
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
