//! Finds what is not seen in a definition: markup has no business there, so it is not asked how it is hidden.
//!
//! A page that somebody fetched is made of markup; the description of a tool at most shows a piece of it. So what
//! readers of HTML and Markdown do not show is weighed word by word, wherever it stands: in comments, in elements that
//! show nothing of what they hold, in attributes, titles and labels, in tags that no HTML has. The surer it is that a
//! word is neither seen nor part of an example, the more it weighs; all of a text is added up. Code is shown as it
//! stands, so nothing in it counts.
//!
//! Comments, blank space and elements such as scripts are not seen by anybody, whoever shows the text. Of the rest some
//! readers show something, and honest examples have it too: that is a kind of its own. So is what cannot be told:
//!
//! a tag in the middle of a line that is named and not closed is mostly talked about, but a reader of HTML drops all
//! that follows it, and which was meant nobody knows.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use memchr::{memchr, memchr2, memchr3, memmem, memrchr};

use super::code::{Code, begins_block};
use super::elements::{self, SHOWING_NOTHING};
use super::markup::{Tag, attribute, comment_end};
use super::prose::{plain_words, prose, words, words_between_tags};
use super::{Hidden, Kind};

/// What makes a text: four words in a comment, six in an attribute, eight in a tag, a dozen tags of a word, or two dozen
/// words one by one.
const TEXT: usize = 24;
/// A word where nothing but a text for the model can be meant.
const SURE: usize = 6;
/// A word of several that are not seen where a short label would be usual.
const LIKELY: usize = 4;
/// A word of several in a tag that no HTML has, where one may stand for what is to be filled in.
const POSSIBLE: usize = 3;
/// The name of a tag that no HTML has and that is not closed.
const NAMED: usize = 2;
/// So few words are a label.
const LABEL: usize = 3;
/// So few words of an element that is not closed are the end of a sentence about it.
const REST: usize = 4;
/// Places that are told apart; the last one takes in all others.
const MOST: usize = 1_024;

/// Takes out of `found` what is code, and adds what else is not seen.
pub(super) fn find(text: &str, found: &mut Vec<Hidden>) {
    let code = Code::of(text);
    found.retain(|hidden| hidden.kind != Kind::Invisible || !shown(text, &code, hidden));
    let mut unseen = Unseen::new(text, &code);
    unseen.markup();
    unseen.references();
    unseen.links();
    unseen.fences();
    unseen.blanks();
    found.extend(unseen.found());
}

/// Whether an element that is hidden in a page is only talked about here: in code, or by a name such as `<template>`,
/// which is looked at with others of its sort.
fn shown(text: &str, code: &Code, hidden: &Hidden) -> bool {
    let start = hidden.span.start;
    code.end(start).is_some()
        || Tag::read(text, start)
            .is_some_and(|tag| tag.name.eq_ignore_ascii_case("template") && !elements::may_hide(&tag))
}

struct Unseen<'t> {
    text: &'t str,
    code: &'t Code,
    /// Of all that is not seen, and of what nobody sees.
    weight: usize,
    sure: usize,
    spans: Vec<(Range<usize>, Kind)>,
    /// Words that stand alone, each of which counts once.
    scattered: BTreeSet<&'t str>,
    /// What tags say that no HTML has, each of which counts once.
    said: BTreeSet<&'t str>,
    /// Names of such tags that are not closed, and where the first of each stands.
    named: BTreeMap<&'t str, Range<usize>>,
    /// The first element that may or may not hide the rest of the text.
    unclosed: Option<usize>,
}

/// An element of which nothing is shown, up to its end.
#[derive(Clone, Copy)]
struct Open<'t> {
    name: &'t str,
    start: usize,
    from: usize,
    depth: usize,
    /// Whether it begins a line, where a sentence about it would not.
    firm: bool,
}

/// One for each name that shows nothing, and one for an element that its attributes may hide.
const PLACES: usize = SHOWING_NOTHING.len() + 1;

impl<'t> Unseen<'t> {
    fn new(text: &'t str, code: &'t Code) -> Self {
        let (spans, scattered, said, named) = Default::default();
        Unseen { text, code, weight: 0, sure: 0, spans, scattered, said, named, unclosed: None }
    }

    fn found(mut self) -> impl Iterator<Item = Hidden> {
        let named = std::mem::take(&mut self.named);
        let alone = self.scattered.len() + NAMED * named.len();
        named.into_values().for_each(|span| self.place(span, Kind::Faint));
        self.spans.sort_by_key(|(span, _)| (span.start, span.end));
        let spans = if self.weight.saturating_add(alone) >= TEXT { self.spans } else { Vec::new() };
        let rest = self.unclosed.map(|start| Hidden { kind: Kind::Unclosed, span: start..self.text.len() });
        let sure = self.sure >= TEXT;
        let kind = move |kind| if sure { kind } else { Kind::Faint };
        spans.into_iter().map(move |(span, of)| Hidden { kind: kind(of), span }).chain(rest)
    }

    /// What some readers do not show.
    fn note(&mut self, span: Range<usize>, weight: usize) {
        if weight > 0 {
            self.weight = self.weight.saturating_add(weight);
            self.place(span, Kind::Faint);
        }
    }

    /// What no reader shows.
    fn note_sure(&mut self, span: Range<usize>, weight: usize) {
        if weight > 0 {
            self.weight = self.weight.saturating_add(weight);
            self.sure = self.sure.saturating_add(weight);
            self.place(span, Kind::Unseen);
        }
    }

    fn place(&mut self, span: Range<usize>, kind: Kind) {
        match self.spans.get_mut(MOST - 1) {
            Some((last, last_kind)) => {
                *last = last.start.min(span.start)..last.end.max(span.end);
                *last_kind = (*last_kind).min(kind);
            }
            None => self.spans.push((span, kind)),
        }
    }

    fn scatter(&mut self, span: Range<usize>, text: &'t str) {
        let before = self.scattered.len();
        if before < MOST {
            self.scattered.extend(plain_words(text));
        }
        if self.scattered.len() > before {
            self.place(span, Kind::Faint);
        }
    }

    fn slice(&self, span: Range<usize>) -> &'t str {
        self.text.get(span).unwrap_or_default()
    }

    fn bytes(&self) -> &'t [u8] {
        self.text.as_bytes()
    }

    /// Comments, attributes, tags that no HTML has, and elements that are not shown.
    fn markup(&mut self) {
        let (text, bytes) = (self.text, self.bytes());
        let mut open: [Option<Open<'t>>; PLACES] = [None; PLACES];
        let mut closed = [None; PLACES];
        // What HTML takes for a comment and Markdown does not may hold others; it is weighed once.
        let (mut at, mut weighed) = (0, 0);
        while let Some(offset) = bytes.get(at..).and_then(|rest| memchr(b'<', rest)) {
            let start = at + offset;
            if let Some(end) = self.code.end(start) {
                at = end;
            } else if start < weighed && !Tag::begins(bytes, start) {
                at = start + 1;
            } else if let Some((end, ended)) = comment_end(text, start) {
                self.comment(start..end, ended);
                let commented = bytes.get(start..).is_some_and(|rest| rest.starts_with(b"<!--"));
                weighed = weighed.max(end);
                at = if commented { end } else { start + 1 };
            } else if let Some(tag) = Tag::read(text, start) {
                at = tag.next(start);
                if elements::known(tag.name) && tag.is_named() {
                    self.attributes(start, &tag);
                    self.element(start, &tag, &mut open, &mut closed);
                } else {
                    self.other(start, &tag);
                }
            } else {
                at = start + 1;
            }
        }
        open.into_iter().flatten().for_each(|open| self.never_closed(open));
    }

    fn comment(&mut self, span: Range<usize>, ended: bool) {
        let comment = self.slice(span.clone());
        let begins = |with: &str| comment.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
        if begins("<!--") {
            self.note_sure(span, SURE * words(comment));
        } else if begins("<?xml ") || begins("<!doctype html") {
            self.note(span, LIKELY * words(comment).saturating_sub(3));
        } else if ended || begins_line(self.bytes(), span.start) {
            self.note(span, LIKELY * prose(comment));
        } else if words(comment) > REST {
            self.open_end(span.start);
        }
    }

    /// Follows an element that shows nothing of what it holds.
    fn element(
        &mut self,
        start: usize,
        tag: &Tag<'t>,
        open: &mut [Option<Open<'t>>; PLACES],
        closed: &mut [Option<usize>; PLACES],
    ) {
        let named = SHOWING_NOTHING.iter().position(|name| tag.name.eq_ignore_ascii_case(name));
        let index = named.unwrap_or(SHOWING_NOTHING.len());
        let (Some(place), Some(end_before)) = (open.get_mut(index), closed.get_mut(index)) else { return };
        let firm = begins_line(self.bytes(), start) && !tag.attributes.ends_with('/');
        let begun = Open { name: tag.name, start, from: tag.end, depth: 1, firm };
        match place {
            Some(other) if !other.name.eq_ignore_ascii_case(tag.name) => {}
            Some(other) if tag.closing && other.depth == 1 => {
                let from = other.from;
                (*place, *end_before) = (None, Some(tag.end));
                self.content(tag.name, from..start);
            }
            Some(other) if tag.closing => other.depth -= 1,
            // Where no other one begins inside, the one before was talked about; that drops what follows all the same.
            Some(other) if elements::raw(tag.name) && !other.firm => {
                let before = std::mem::replace(other, begun);
                if words(self.slice(before.from..start)) >= REST {
                    self.open_end(before.start);
                }
            }
            Some(other) if elements::raw(tag.name) => other.depth = 1,
            Some(other) => other.depth += 1,
            None if !tag.closing => {
                if named.is_some() || !elements::empty(tag.name) && elements::may_hide(tag) {
                    *place = Some(begun);
                }
            }
            // The end before may have been code, and this is the true one.
            None => {
                if let Some(from) = end_before.filter(|_| start >= self.code.certain) {
                    *end_before = Some(tag.end);
                    self.content(tag.name, from..start);
                }
            }
        }
    }

    /// What an element holds of which nothing is shown.
    fn content(&mut self, name: &str, span: Range<usize>) {
        let content = self.slice(span.clone());
        let count = if elements::raw(name) { words(content) } else { words_between_tags(content) };
        self.note_element(name, span, SURE * count);
    }

    fn note_element(&mut self, name: &str, span: Range<usize>, weight: usize) {
        if elements::never_shown(name) { self.note_sure(span, weight) } else { self.note(span, weight) }
    }

    fn never_closed(&mut self, open: Open<'_>) {
        let rest = words(self.slice(open.from..self.text.len()));
        if open.firm {
            self.note_element(open.name, open.start..self.text.len(), SURE * rest);
        } else if rest >= REST {
            self.open_end(open.start);
        }
    }

    fn open_end(&mut self, start: usize) {
        self.unclosed = Some(self.unclosed.map_or(start, |before| before.min(start)));
    }

    /// What the attributes of an element of HTML say.
    fn attributes(&mut self, start: usize, tag: &Tag<'t>) {
        let mut attributes = tag.attributes;
        let mut bare = 0;
        while let Some((name, value, rest)) = attribute(attributes) {
            if !elements::usual(name) {
                bare += if value.is_empty() { prose(name) } else { 0 };
                self.scatter(start..tag.end, name);
            }
            if name.eq_ignore_ascii_case("style") {
                // The words of style sheets are few in each declaration.
                let sentences = value.split(';').map(prose).filter(|count| *count > LABEL);
                self.note(start..tag.end, LIKELY * sentences.sum::<usize>());
            } else {
                self.value(start..tag.end, value);
            }
            attributes = rest;
        }
        if bare >= LABEL {
            self.note(start..tag.end, LIKELY * bare);
        }
    }

    fn value(&mut self, span: Range<usize>, value: &'t str) {
        match prose(value) {
            0 => {}
            few if few < LABEL => self.scatter(span, value),
            many => self.note(span, LIKELY * many),
        }
    }

    /// A tag that HTML does not have: XML, a component, a generic type, something to be filled in, or words.
    fn other(&mut self, start: usize, tag: &Tag<'t>) {
        let span = start..tag.end;
        let inside = self.slice(start + 1..tag.end - 1).trim_matches('/');
        let before = self.text.get(..start).and_then(|before| before.chars().next_back());
        let attached = before.is_some_and(|c| c.is_alphanumeric() || matches!(c, ':' | '_'));
        let mut attributes = tag.attributes;
        let (mut values, mut bare) = (false, 0);
        while let Some((name, value, rest)) = attribute(attributes) {
            if value.is_empty() {
                bare += prose(name);
            } else {
                values = true;
                self.scatter(span.clone(), if attached || elements::usual(name) { "" } else { name });
                self.value(span.clone(), value);
            }
            attributes = rest;
        }
        if self.said.len() >= MOST || self.said.insert(inside) {
            // Behind a name it is a type, of which a long name is one word.
            let said = match (values, attached) {
                (true, false) => bare,
                (true, true) => {
                    if tag.is_plain() {
                        bare
                    } else {
                        0
                    }
                }
                (false, true) => plain_words(inside).count(),
                (false, false) => prose(inside),
            };
            // What is no tag to readers of Markdown is code, unless it goes on and on.
            let many = match (tag.is_plain(), attached) {
                (true, _) => 4,
                (false, false) => 7,
                (false, true) => 10,
            };
            if said >= many {
                self.note(span.clone(), POSSIBLE * said);
            } else if said > 1 && !values && (many == 4 || said >= 4 && !attached) {
                self.scatter(span.clone(), inside);
            }
        }
        self.name(span, tag, attached);
    }

    /// The name of such a tag, as long as it is not closed.
    fn name(&mut self, span: Range<usize>, tag: &Tag<'t>, attached: bool) {
        if tag.closing {
            self.named.remove(tag.name);
        } else if tag.attributes.trim_end_matches('/').is_empty() && !attached && prose(tag.name) == 1 {
            if self.named.len() < MOST {
                self.named.entry(tag.name).or_insert(span);
            } else {
                self.note(span, NAMED);
            }
        }
    }

    /// Link definitions and footnotes of Markdown, of which only the target is of use.
    fn references(&mut self) {
        let bytes = self.bytes();
        let (mut floor, mut known, mut shown) = (0, 0, None);
        for at in memmem::find_iter(bytes, b"]:") {
            // What stands in another one's target or title has been weighed there.
            if at < known {
                continue;
            }
            let label = bytes.get(floor..at).and_then(|before| memrchr(b'[', before)).map(|open| floor + open);
            floor = at + 2;
            let begins = |open: &usize| begins_block(bytes, *open) && self.code.end(*open).is_none();
            let Some(open) = label.filter(begins) else { continue };
            let called = self.slice(open + 1..at);
            let mut is_shown = || shown.get_or_insert_with(|| labels(self.text)).contains(called);
            if called.starts_with('^') {
                let line = self.slice(at + 2..self.text.len()).lines().next().unwrap_or_default();
                if prose(line) >= LABEL && !is_shown() {
                    self.note(open..at + 2 + line.len(), LIKELY * prose(line));
                }
                continue;
            }
            let Some(reference) = Reference::read(self.slice(at + 2..self.text.len())) else { continue };
            known = at + 2 + reference.length;
            let comment = !reference.leads || prose(called) == 0 && called.contains('/');
            let weight = if comment {
                SURE * (words(called).saturating_sub(1) + words(reference.title) + reference.beside)
            } else {
                let called = plain_words(called).count();
                LIKELY * (prose(reference.title) + if called >= LABEL && !is_shown() { called } else { 0 })
            };
            if comment { self.note_sure(open..known, weight) } else { self.note(open..known, weight) }
        }
    }

    /// Titles of links and images, and what is said instead of an image.
    fn links(&mut self) {
        const LONGEST: usize = 4_096;
        let bytes = self.bytes();
        let mut floor = 0;
        for at in memmem::find_iter(bytes, b"](") {
            if at < floor || self.code.end(at).is_some() {
                continue;
            }
            let label = bytes.get(floor..at).and_then(|before| memrchr(b'[', before)).map(|open| floor + open);
            floor = at + 2;
            if let Some(open) = label
                && open.checked_sub(1).and_then(|before| bytes.get(before)) == Some(&b'!')
            {
                // It is shown where the image is not.
                let instead = prose(self.slice(open + 1..at));
                self.note(open..at, if instead < LABEL { 0 } else { POSSIBLE * instead });
            }
            let after = self.slice(floor..self.text.len());
            let target = after.get(..after.floor_char_boundary(LONGEST)).unwrap_or_default();
            let end = match target.bytes().next() {
                Some(b'<') => memchr(b'>', target.as_bytes()),
                _ => memchr3(b' ', b'\n', b')', target.as_bytes()),
            };
            let Some((target, title)) = end.and_then(|end| target.split_at_checked(end)) else { continue };
            let title = title.trim_start_matches('>').trim_ascii_start();
            let quoted = title.chars().next().and_then(closing).and_then(|close| title.get(1..)?.split_once(close));
            floor += target.len();
            self.value(at..floor, if target.starts_with('<') { target } else { "" });
            if let Some((title, _)) = quoted {
                self.value(at..floor + title.len(), title);
                floor += title.len();
            }
        }
    }

    /// What stands behind the marks that begin code, of which no more than a word is of use.
    fn fences(&mut self) {
        let bytes = self.bytes();
        let mut at = 0;
        while let Some(offset) = bytes.get(at..).and_then(|rest| memchr2(b'`', b'~', rest)) {
            let start = at + offset;
            let mark = bytes.get(start).copied().unwrap_or_default();
            let rest = bytes.get(start..).unwrap_or_default();
            let length = rest.iter().take_while(|byte| **byte == mark).count();
            at = start + length;
            if length >= 3 && begins_block(bytes, start) {
                let line = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
                let info = self.slice(at..start + line);
                if mark == b'~' || !info.contains('`') {
                    // The first word is the language.
                    let more = info.trim_ascii_start().split_once([' ', '\t']).map_or("", |(_, more)| more);
                    let info = if prose(info) < LABEL { more } else { info };
                    self.value(start..start + line, info);
                    at = start + line;
                }
            }
        }
    }

    /// Space by which what follows is out of sight.
    fn blanks(&mut self) {
        const WIDE: usize = 256;
        const HIGH: usize = 64;
        let (mut start, mut wide, mut high) = (0, 0, 0);
        for (at, c) in self.text.char_indices() {
            if c.is_whitespace() {
                wide += 1;
                high += usize::from(c == '\n');
                continue;
            }
            if wide >= WIDE || high >= HIGH {
                self.note_sure(start..at, TEXT);
            }
            (start, wide, high) = (at + c.len_utf8(), 0, 0);
        }
    }
}

/// Whether it stands at the beginning of a line, of a quotation at most.
fn begins_line(bytes: &[u8], at: usize) -> bool {
    const DEEPEST: usize = 16;
    let before = bytes.get(at.saturating_sub(DEEPEST)..at).unwrap_or_default();
    let line = before.rsplit(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
    (line.len() < DEEPEST) && line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'>'))
}

/// What ends a title that begins with this character.
fn closing(open: char) -> Option<char> {
    match open {
        '(' => Some(')'),
        '"' | '\'' => Some(open),
        _ => None,
    }
}

/// Labels by which a text shows where its link definitions are used.
fn labels(text: &str) -> BTreeSet<&str> {
    let bytes = text.as_bytes();
    let (mut labels, mut open) = (BTreeSet::new(), None);
    for (at, &byte) in bytes.iter().enumerate() {
        match (byte, open) {
            (b'[', _) => open = Some(at),
            (b']', Some(start)) => {
                open = None;
                // Behind another one it says only where that leads.
                let behind = start.checked_sub(1).and_then(|before| bytes.get(before)) == Some(&b']');
                let defines = bytes.get(at + 1) == Some(&b':') && begins_block(bytes, start);
                if !behind && !defines && labels.len() < MOST {
                    labels.extend(text.get(start + 1..at));
                }
            }
            _ => {}
        }
    }
    labels
}

/// What follows the label of a link definition.
struct Reference<'t> {
    length: usize,
    /// Whether the target looks like one.
    leads: bool,
    /// Words in the target that no target has.
    beside: usize,
    title: &'t str,
}

impl<'t> Reference<'t> {
    /// `None` if something else follows on the line: then all of it is shown.
    fn read(text: &'t str) -> Option<Self> {
        const LONGEST: usize = 4_096;
        let text = text.get(..text.floor_char_boundary(2 * LONGEST))?;
        let target = text.trim_ascii_start();
        let within = target.get(..target.floor_char_boundary(LONGEST))?;
        let quoted = within.starts_with('<');
        let end = if quoted {
            let end = memchr2(b'>', b'\n', within.as_bytes())?;
            (within.as_bytes().get(end) == Some(&b'>')).then_some(end + 1)?
        } else {
            memchr3(b' ', b'\t', b'\n', within.as_bytes()).unwrap_or(within.len())
        };
        let (target, after) = target.split_at_checked(end)?;
        let beside = if quoted { words(target).saturating_sub(1) } else { 0 };
        let leads = target.len() > 1 && target.contains(['/', '.', ':', '#', '@']) && beside == 0 && target != "<#>";
        let length = text.len() - after.len();
        let title = after.trim_ascii_start();
        let ends = |rest: &str| rest.lines().next().is_none_or(|line| line.trim_ascii().is_empty());
        let quoted = title.chars().next().and_then(closing).and_then(|close| title.get(1..)?.split_once(close));
        match quoted.filter(|(_, rest)| ends(rest)) {
            Some((inside, rest)) => Some(Reference { length: text.len() - rest.len(), leads, beside, title: inside }),
            None => ends(after).then_some(Reference { length, leads, beside, title: "" }),
        }
    }
}
