//! Secrets in pieces: neighbouring texts of one message that are one if they are put together.
//!
//! Of a long text only its ends are put to its neighbours, so that all of them together are no longer than twice the message.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use bartizan_detect::secrets::Sure;
use bartizan_mcp::{NodeId, Part, PartKind};

use super::{Secrets, Told, confidence, placed, rules};
use crate::{Event, Finding, Report, note};

/// Bytes of each end of a text that are put to its neighbours.
const REACH: usize = 256;

/// Texts that stand one after the other, put together.
#[derive(Default)]
struct Joined<'m> {
    text: String,
    /// Where each of them begins.
    edges: Vec<usize>,
    pieces: Vec<Piece<'m>>,
}

/// One text, or an end of it.
struct Piece<'m> {
    part: Part<'m>,
    /// Where it begins among all.
    start: usize,
    /// Where it begins in the text itself.
    offset: usize,
    length: usize,
}

/// Texts of one role in the order in which they stand, each with the number of its member's name: a name may be as long as the
/// message, and have as many texts.
#[derive(Default)]
struct Group<'m>(Vec<(usize, Part<'m>)>);

/// Reports each secret that is put together of several texts, in each of them. Where one was `told` already, it is whole.
pub(super) fn report(guard: &Secrets, event: &Event<'_>, mut told: Told, report: &mut Report) {
    let mut group = Group::default();
    let mut of: Option<(PartKind, Option<NodeId>)> = None;
    let mut names: BTreeMap<Cow<'_, str>, usize> = BTreeMap::new();
    let mut name = usize::MAX;
    for part in event.message.parts() {
        if part.is_key() {
            let next = names.len();
            name = *names.entry(part.text()).or_insert(next);
            continue;
        }
        let its = Some((part.kind, part.element));
        if of != its {
            group.report(guard, event, &mut told, report);
            (group, of) = (Group::default(), its);
        }
        group.0.push((name, part));
    }
    group.report(guard, event, &mut told, report);
}

impl Group<'_> {
    /// All of them are put together, and those of one name: between the texts of two blocks of content stands what type the second
    /// one is of.
    fn report(&self, guard: &Secrets, event: &Event<'_>, told: &mut Told, report: &mut Report) {
        // Of one text there are no pieces, but both ends of a long one may be.
        let is_short = |(_, part): &(usize, Part<'_>)| part.value.raw().len() <= 2 * REACH;
        if self.0.len() < 2 && self.0.iter().all(is_short) {
            return;
        }
        Joined::of(self.0.iter().map(|(_, part)| part)).report(guard, event, told, report);
        let mut by_name: BTreeMap<usize, Vec<&Part<'_>>> = BTreeMap::new();
        for (name, part) in &self.0 {
            by_name.entry(*name).or_default().push(part);
        }
        // Of one name only they are the same once more.
        for parts in by_name.into_values().filter(|parts| (2..self.0.len()).contains(&parts.len())) {
            Joined::of(parts.into_iter()).report(guard, event, told, report);
        }
    }
}

impl<'m> Joined<'m> {
    fn of<'p>(parts: impl Iterator<Item = &'p Part<'m>>) -> Joined<'m>
    where
        'm: 'p,
    {
        let mut joined = Joined::default();
        parts.for_each(|part| joined.push(*part));
        joined
    }

    fn push(&mut self, part: Part<'m>) {
        let text = part.text();
        let plain = text.trim();
        if plain.is_empty() {
            return;
        }
        let offset = text.len() - text.trim_start().len();
        if plain.len() <= 2 * REACH {
            self.add(part, plain, offset);
            return;
        }
        let head = plain.get(..plain.floor_char_boundary(REACH)).unwrap_or_default();
        let tail = plain.ceil_char_boundary(plain.len() - REACH);
        self.add(part, head, offset);
        // Nothing goes on from the one end to the other.
        self.text.push('\n');
        self.add(part, plain.get(tail..).unwrap_or_default(), offset + tail);
    }

    fn add(&mut self, part: Part<'m>, piece: &str, offset: usize) {
        self.edges.push(self.text.len());
        self.pieces.push(Piece { part, start: self.text.len(), offset, length: piece.len() });
        self.text.push_str(piece);
    }

    fn report(&self, guard: &Secrets, event: &Event<'_>, told: &mut Told, report: &mut Report) {
        if self.pieces.len() < 2 {
            return;
        }
        for found in guard.scanner.look_joined(&self.text, &self.edges) {
            let is_secret = found.sure >= Sure::Format && found.format.is_distinct();
            let first = self.pieces.partition_point(|piece| piece.start + piece.length <= found.span.start);
            let pieces = self.pieces.iter().skip(first).take_while(|piece| piece.start < found.span.end);
            let places: Vec<_> = pieces.map(|piece| (piece.part, piece.place(&found.span))).collect();
            let is_told = |(part, place): &(Part<'_>, Range<usize>)| {
                let held = told.get(&part.id()).into_iter().flatten();
                held.into_iter().any(|held| held.start < place.end && place.start < held.end)
            };
            let is_allowed = || self.text.get(found.span.clone()).is_some_and(|secret| guard.is_allowed(secret));
            if !is_secret || places.len() < 2 || places.iter().any(is_told) || is_allowed() {
                continue;
            }
            let why = format!(
                "{} It is told by what it looks like: {}, in {} pieces.",
                rules::SPLIT.summary,
                found.format.name,
                places.len()
            );
            for (part, place) in places {
                told.entry(part.id()).or_default().push(place.clone());
                let mut finding = Finding::within(&rules::SPLIT, &part, place, &*why);
                finding.confidence = confidence(found.sure);
                finding.replacement = Some(note::of(rules::SPLIT.id).into());
                report.find(placed(event, &part, finding));
            }
        }
    }
}

impl Piece<'_> {
    /// Where in its text the bytes of `span` stand that are its.
    fn place(&self, span: &Range<usize>) -> Range<usize> {
        let start = span.start.max(self.start) - self.start;
        let end = span.end.min(self.start + self.length) - self.start;
        self.offset + start..self.offset + end
    }
}
