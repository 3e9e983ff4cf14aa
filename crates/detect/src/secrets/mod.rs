//! Finds secrets in a text: keys, tokens and passwords, by what they look like and by where they stand.
//!
//! One pass finds the places at which one may stand, however many formats there are ([`anchor`]); what stands around
//! each is read once and not beyond a bound. So all of it is linear in the length of the text, whatever it holds. Every
//! reading of the text is looked through, so that what is encoded is found too ([`Views`]); but for letters that are turned or
//! written backwards, which random letters look like.
//!
//! What is found is told by its place, and by nothing of its own.

mod anchor;
mod assign;
mod check;
mod format;
mod plausible;
mod read;
mod special;
mod text;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use self::anchor::{Anchors, Leads};
use self::assign::Is;
pub use self::check::Check;
pub use self::format::{Format, Group, Piece, Set, Severity, Shape};
use self::special::Ahead;
use self::text::Text;
use crate::decode::{Encoding, View, Views};
use crate::rules::Problem;

/// How sure it is that something is a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sure {
    /// It looks like one, and its checksum is wrong.
    Doubtful,
    /// It stands where secrets stand, and looks like no word.
    Context,
    /// It looks as only such a secret does.
    Format,
    /// Its checksum is right.
    Certain,
}

/// A secret that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found<'s> {
    /// What it is.
    pub format: &'s Format,
    /// Where it stands in the text as it came; never empty and never within a character.
    pub span: Range<usize>,
    /// How sure that is.
    pub sure: Sure,
    /// The encodings it stood in, from the outermost on.
    pub how: Vec<Encoding>,
}

/// All formats, and the way to find them; made once and shared by all texts.
#[derive(Debug)]
pub struct Scanner {
    formats: Vec<Format>,
    anchors: Anchors,
    /// Formats that are found as the value of a name only.
    named: Vec<usize>,
    /// The formats that are read by code of their own.
    places: Places,
}

/// Where formats are that are read by code of their own.
#[derive(Debug, Clone, Copy, Default)]
struct Places {
    pem: usize,
    pgp: usize,
    putty: usize,
    jwt: usize,
    url: usize,
    ado: usize,
    bearer: usize,
    basic: usize,
    password: usize,
    key: usize,
}

/// Secrets of one text that are told apart.
const MOST: usize = 20_000;

/// One place in one reading of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    format: usize,
    span: Range<usize>,
    sure: Sure,
}

static SCANNER: LazyLock<Arc<Scanner>> = LazyLock::new(|| Arc::new(Scanner::of(read::built_in())));

impl Scanner {
    /// The formats that are built in.
    #[must_use]
    pub fn built_in() -> Arc<Scanner> {
        Arc::clone(&SCANNER)
    }

    /// The same with an operator's formats, as TOML.
    ///
    /// # Errors
    /// If they are none: what is wrong, and where.
    pub fn with_extra(toml: &str) -> Result<Scanner, Problem> {
        let own = read::own(toml)?;
        Ok(Scanner::of(read::built_in().into_iter().chain(own).collect()))
    }

    fn of(formats: Vec<Format>) -> Scanner {
        let at = |id: &str| formats.iter().position(|format| format.id == id).unwrap_or_default();
        let places = Places {
            pem: at("pem"),
            pgp: at("pgp"),
            putty: at("putty"),
            jwt: at("jwt"),
            url: at("url"),
            ado: at("ado"),
            bearer: at("bearer"),
            basic: at("basic"),
            password: at("password"),
            key: at("key"),
        };
        let shapes = formats.iter().enumerate().flat_map(|(format, held)| {
            let shapes = held.shapes.iter().enumerate().filter(|(_, shape)| !shape.anchor.is_empty());
            shapes.map(move |(shape, held)| (&*held.anchor, format, shape))
        });
        let anchors = Anchors::new(shapes);
        let named = formats.iter().enumerate().filter(|(_, format)| format.named.is_some()).map(|(at, _)| at).collect();
        Scanner { formats, anchors, named, places }
    }

    /// All formats.
    #[must_use]
    pub fn formats(&self) -> &[Format] {
        &self.formats
    }

    /// The secrets in a text, in order and apart from each other. Of those that `is_known` says so nothing is told.
    #[must_use]
    pub fn look(&self, text: &str, views: &Views<'_>, is_known: impl Fn(&str) -> bool) -> Vec<Found<'_>> {
        let mut found = Vec::new();
        let mut add =
            |said: &str, places: Vec<Place>, how: &[Encoding], original: &dyn Fn(Range<usize>) -> Range<usize>| {
                for place in places {
                    if said.get(place.span.clone()).is_some_and(&is_known) {
                        continue;
                    }
                    let format = self.formats.get(place.format);
                    let span = whole(text, original(place.span));
                    found.extend(format.map(|format| Found { format, span, sure: place.sure, how: how.to_vec() }));
                }
            };
        let mut is_read = false;
        for view in views.iter().filter(|view| is_looked_at(view)) {
            is_read |= view.how.is_empty() && view.text() == text;
            add(view.text(), self.find(view.text(), &[]), &view.how, &|span| views.original(view, span));
        }
        // Escapes may be part of a password.
        if !is_read {
            add(text, self.find(text, &[]), &[], &|span| span);
        }
        apart(found, |found| (Reverse(found.sure), found.format.group, found.how.len()), |found| found.span.clone())
    }

    /// The secrets in a text as it stands, without what is encoded in it.
    #[must_use]
    pub fn look_at(&self, text: &str) -> Vec<Found<'_>> {
        self.look_joined(text, &[])
    }

    /// The same of texts that were put together, each of which begins at one of `edges`.
    #[must_use]
    pub fn look_joined(&self, text: &str, edges: &[usize]) -> Vec<Found<'_>> {
        let told = |place: Place| {
            let format = self.formats.get(place.format)?;
            Some(Found { format, span: whole(text, place.span), sure: place.sure, how: Vec::new() })
        };
        self.find(text, edges).into_iter().filter_map(told).collect()
    }

    /// What stands in one reading of a text, in order and apart from each other.
    fn find(&self, text: &str, edges: &[usize]) -> Vec<Place> {
        let mut held = Text::new(text, edges);
        let mut ahead = Ahead::default();
        let mut places = Vec::new();
        self.anchors.find(text.as_bytes(), |start, end, leads| {
            if places.len() < MOST {
                places.extend(self.place(&mut held, start..end, leads, &mut ahead));
            }
        });
        if places.len() < 2 {
            return places;
        }
        let rank = |place: &Place| {
            let format = self.formats.get(place.format);
            // Of several that are as sure, the one that covers most.
            (Reverse(place.sure), format.map(|format| format.group), Reverse(place.span.len()))
        };
        apart(places, rank, |place| place.span.clone())
    }

    fn place(&self, text: &mut Text<'_>, at: Range<usize>, leads: Leads, ahead: &mut Ahead) -> Option<Place> {
        let of = |format: usize, span: Range<usize>| Place { format, span, sure: Sure::Format };
        let places = self.places;
        match leads {
            Leads::Shape(format, shape) => self.shape(text, format, shape, at),
            Leads::Name(name) => self.value(text, &assign::assigned(text, &at, name)?),
            Leads::Pem => {
                let (span, is_pgp) = special::pem(text, at, ahead)?;
                Some(of(if is_pgp { places.pgp } else { places.pem }, span))
            }
            Leads::Putty => special::putty(text, &at, ahead).map(|span| of(places.putty, span)),
            Leads::Jwt => special::jwt(text, at.start).map(|span| of(places.jwt, span)),
            Leads::Url => special::url(text, &at).map(|span| of(places.url, span)),
            Leads::Bearer => special::bearer(text, &at).map(|span| of(places.bearer, span)),
            Leads::Basic => special::basic(text, &at).map(|span| of(places.basic, span)),
        }
    }

    /// The secret of that shape.
    fn shape(&self, text: &mut Text<'_>, at: usize, shape: usize, anchor: Range<usize>) -> Option<Place> {
        let format = self.formats.get(at)?;
        let stands = text.shape(format.shapes.get(shape)?, anchor)?;
        if !(stands.is_apart || format.check.is_some()) || !stands.is_plausible(format, text.text) {
            return None;
        }
        let sure = match format.check {
            Some(check) if check.holds(text.text.get(stands.span.clone())?) => Sure::Certain,
            Some(_) if stands.is_apart => Sure::Doubtful,
            Some(_) => return None,
            None => Sure::Format,
        };
        text.is_near(&format.near, &stands.span).then_some(Place { format: at, span: stands.span, sure })
    }

    /// The secret that is given a name.
    fn value(&self, text: &mut Text<'_>, assigned: &assign::Assigned) -> Option<Place> {
        let said = text.text.get(assigned.value.clone())?;
        if SHORTEST_NAMED <= said.len() && said.len() <= LONGEST_NAMED && !plausible::is_template(said) {
            let name = assigned.name.start..assigned.value.start;
            // What stands around is looked through last: few values have the right length.
            let mut is_of = |format: &Format| {
                format.shapes.iter().any(|shape| text.is_of(shape, &assigned.value))
                    && text.is_near(&format.near, &name)
            };
            let of = |at: &&usize| self.formats.get(**at).is_some_and(&mut is_of);
            if let Some(at) = self.named.iter().find(of).filter(|_| !plausible::is_placeholder(said)) {
                return Some(Place { format: *at, span: assigned.value.clone(), sure: Sure::Format });
            }
        }
        let (format, sure) = match assigned.is(text)? {
            Is::Password => (self.places.password, Sure::Context),
            Is::Key => (self.places.key, Sure::Context),
            Is::Connection => (self.places.ado, Sure::Format),
        };
        Some(Place { format, span: assigned.value.clone(), sure })
    }
}

/// The shortest secret that is found as the value of a name.
const SHORTEST_NAMED: usize = 18;
/// The longest one.
const LONGEST_NAMED: usize = 200;

/// Whether random letters are not taken for that encoding.
fn is_looked_at(view: &View<'_>) -> bool {
    let turns =
        |how: &Encoding| matches!(how, Encoding::Rot13 | Encoding::Reversed | Encoding::Leet | Encoding::Spaced);
    !view.how.iter().any(turns)
}

/// Those of which none touches another, in order: of two that do, the first by rank.
fn apart<T, R: Ord>(mut all: Vec<T>, rank: impl Fn(&T) -> R, span: impl Fn(&T) -> Range<usize>) -> Vec<T> {
    all.sort_by_key(|one| (rank(one), span(one).start));
    let mut kept: BTreeMap<usize, usize> = BTreeMap::new();
    all.retain(|one| {
        let Range { start, end } = span(one);
        let is_free = kept.range(..end).next_back().is_none_or(|(_, other)| *other <= start) && start < end;
        if is_free {
            kept.insert(start, end);
        }
        is_free
    });
    all.sort_by_key(|one| span(one).start);
    all
}

/// A place with at least one character, and no part of one.
fn whole(text: &str, place: Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(place.start.min(text.len().saturating_sub(1)));
    start..text.ceil_char_boundary(place.end.max(start + 1).min(text.len()))
}
