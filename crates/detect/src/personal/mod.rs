//! Personal data in a text: what it is, where it stands, and how sure that is.
//!
//! Numbers are held to their check digits and to what stands beside them; names, places and addresses are what a small tagger
//! makes of words and their neighbours. Pure, and linear in the length of the text.

mod bank;
mod check;
mod cluster;
mod context;
mod fold;
mod ids;
mod kind;
mod net;
mod normal;
mod numbers;
mod own;
mod phone;
pub mod tagger;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

pub use kind::PersonalKind;
pub use normal::normal;

use crate::decode::{Encoding, Views};
use crate::rules::Problem;
use numbers::Numbers;
use own::Own;
use tagger::Tagger;

/// All recognisers; made once and shared by all texts.
#[derive(Debug)]
pub struct Personal {
    built_in: Arc<BuiltIn>,
    own: Vec<Own>,
}

#[derive(Debug)]
struct BuiltIn {
    numbers: Numbers,
    tagger: Tagger,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<'p> {
    /// What it is.
    pub kind: PersonalKind,
    /// Which recogniser says so: `email`, `US.ssn`, or the id of an operator's own.
    pub name: &'p str,
    /// The country that gives such numbers (ISO 3166-1, two letters), if one does.
    pub country: Option<&'p str>,
    /// The first place in the original text; never empty and never within a character.
    pub span: Range<usize>,
    /// Further places of the same value, in order and apart from each other.
    pub also: Vec<Range<usize>>,
    /// The encodings it stood in, from the outermost on.
    pub how: Vec<Encoding>,
    /// What it says there: not what stands in the text if that is encoded.
    pub value: Box<str>,
    /// How sure it is, in thousandths; what is below 400 is not told.
    pub confidence: u16,
}

/// What one recogniser says of one place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hit {
    kind: PersonalKind,
    name: &'static str,
    span: Range<usize>,
    confidence: u16,
    /// The place of an operator's recogniser in their list.
    own: Option<usize>,
}

impl Hit {
    fn new(kind: PersonalKind, name: &'static str, span: Range<usize>, confidence: u16) -> Hit {
        Hit { kind, name, span, confidence: confidence.min(999), own: None }
    }

    /// What is held to check digits stands before what is only likely, and the longer before the shorter.
    fn rank(&self) -> (u32, usize) {
        let firm = match self.kind {
            PersonalKind::Email | PersonalKind::Iban | PersonalKind::Own => 400,
            PersonalKind::Url | PersonalKind::IpAddress | PersonalKind::MacAddress => 300,
            PersonalKind::PersonName
            | PersonalKind::Organisation
            | PersonalKind::Place
            | PersonalKind::Title
            | PersonalKind::Age
            | PersonalKind::PostalCode
            | PersonalKind::Nationality => 0,
            PersonalKind::PostalAddress => 50,
            PersonalKind::Date => 120,
            _ => 150,
        };
        (u32::from(self.confidence) + firm, self.span.len())
    }
}

/// Made ready when it is needed first.
static BUILT_IN: LazyLock<Arc<Personal>> = LazyLock::new(|| {
    let built_in = BuiltIn { numbers: Numbers::built_in(), tagger: Tagger::built_in() };
    Arc::new(Personal { built_in: Arc::new(built_in), own: Vec::new() })
});

/// What is less sure is not told.
const LEAST: u16 = 400;

impl Personal {
    /// The recognisers that are built in.
    #[must_use]
    pub fn built_in() -> Arc<Personal> {
        BUILT_IN.clone()
    }

    /// The same with an operator's own, as TOML.
    ///
    /// # Errors
    ///
    /// If they are none: where, why and what to do.
    pub fn with_own(toml: &str) -> Result<Personal, Problem> {
        Ok(Personal { built_in: BUILT_IN.built_in.clone(), own: own::read(toml)? })
    }

    /// The same with another tagger, for those who measure one.
    #[must_use]
    pub fn with_tagger(tagger: Tagger) -> Personal {
        let built_in = BuiltIn { numbers: Numbers::built_in(), tagger };
        Personal { built_in: Arc::new(built_in), own: Vec::new() }
    }

    /// The ids of an operator's own recognisers.
    pub fn own(&self) -> impl Iterator<Item = &str> {
        self.own.iter().map(|own| &*own.id)
    }

    /// Looks at every reading of a text but those that turn letters about, in the order of the text.
    #[must_use]
    pub fn look(&self, views: &Views<'_>) -> Vec<Found<'_>> {
        let mut all = Vec::new();
        for view in views.iter() {
            let turned = |how: &Encoding| {
                matches!(how, Encoding::Rot13 | Encoding::Reversed | Encoding::Leet | Encoding::Spaced)
            };
            if view.how.iter().any(turned) {
                continue;
            }
            let place = |span: Range<usize>| views.whole(views.original(view, span));
            let written = view.how.is_empty().then(|| views.text());
            self.add(view.text(), &view.how, written, place, &mut all);
        }
        in_order(all)
    }

    /// Looks at a text as it stands.
    #[must_use]
    pub fn look_text(&self, text: &str) -> Vec<Found<'_>> {
        let mut all = Vec::new();
        self.add(text, &[], None, |span| span, &mut all);
        in_order(all)
    }

    /// Adds what is found in one reading, each value once.
    fn add<'p>(
        &'p self,
        text: &str,
        how: &[Encoding],
        written: Option<&str>,
        place: impl Fn(Range<usize>) -> Range<usize>,
        all: &mut Vec<Found<'p>>,
    ) {
        let hits = self.hits(text);
        let mut by_value: BTreeMap<(PersonalKind, String), usize> = BTreeMap::new();
        for hit in hits {
            let Some(value) = text.get(hit.span.clone()) else { continue };
            let span = place(hit.span);
            if span.is_empty() {
                continue;
            }
            // As it is written there, if it is not encoded: the text as it is meant has other letters for some.
            let value = written.and_then(|text| text.get(span.clone())).unwrap_or(value);
            let key = (hit.kind, normal(hit.kind, value));
            if let Some(held) = by_value.get(&key).and_then(|index| all.get_mut(*index)) {
                let last = held.also.last().unwrap_or(&held.span);
                if last.end <= span.start {
                    held.also.push(span);
                }
                held.confidence = held.confidence.max(hit.confidence);
                continue;
            }
            by_value.insert(key, all.len());
            let name = match hit.own.and_then(|index| self.own.get(index)) {
                Some(own) => &*own.id,
                None => hit.name,
            };
            let country = ids::country(name);
            let (kind, confidence) = (hit.kind, hit.confidence);
            all.push(Found {
                kind,
                name,
                country,
                span,
                also: Vec::new(),
                how: how.to_vec(),
                value: value.into(),
                confidence,
            });
        }
    }

    /// What all recognisers say, of what overlaps only the surest, in the order of the text.
    fn hits(&self, text: &str) -> Vec<Hit> {
        let mut hits = Vec::new();
        let words = self.built_in.numbers.words();
        self.built_in.numbers.look(text, &mut hits);
        net::look(text, words, &mut hits);
        self.built_in.tagger.look(text, words, &mut hits);
        own::look(&self.own, text, &mut hits);
        hits.retain(|hit| hit.confidence >= LEAST && !hit.span.is_empty());
        surest(hits)
    }
}

/// Of hits that overlap, the surest; in the order of the text.
fn surest(mut hits: Vec<Hit>) -> Vec<Hit> {
    hits.sort_by_key(|hit| hit.span.start);
    let mut kept = Vec::with_capacity(hits.len());
    let mut these: Vec<Hit> = Vec::new();
    let mut end = 0;
    // What overlaps, one with another, is told apart by itself.
    for hit in hits {
        if hit.span.start >= end {
            tell_apart(&mut these, &mut kept);
        }
        end = end.max(hit.span.end);
        these.push(hit);
    }
    tell_apart(&mut these, &mut kept);
    kept
}

/// Moves the surest of some hits, and what overlaps none that is surer.
fn tell_apart(hits: &mut Vec<Hit>, kept: &mut Vec<Hit>) {
    if hits.len() < 2 {
        kept.append(hits);
        return;
    }
    hits.sort_by(|one, other| other.rank().cmp(&one.rank()).then(one.span.start.cmp(&other.span.start)));
    let mut taken: BTreeMap<usize, Hit> = BTreeMap::new();
    for hit in hits.drain(..) {
        let before = taken.range(..hit.span.end).next_back();
        if before.is_none_or(|(_, held)| held.span.end <= hit.span.start) {
            taken.insert(hit.span.start, hit);
        }
    }
    kept.extend(taken.into_values());
}

fn in_order(mut all: Vec<Found<'_>>) -> Vec<Found<'_>> {
    all.sort_by_key(|found| (found.span.start, found.span.end));
    all
}

#[cfg(test)]
mod tests;
