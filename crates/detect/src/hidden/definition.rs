//! Finds what is not seen in a definition: markup has no business there, so it is not asked how it is hidden.
//!
//! A page that somebody fetched is made of markup; the description of a tool at most shows a piece of it. So what
//! readers of HTML and Markdown do not show is counted word by word, wherever it stands: in comments, in attributes, in
//! elements that show nothing of what they hold. A few words are an example, more are a text. A tag that is named and
//! not closed is only talked about.

use std::ops::Range;

use memchr::{memchr, memmem, memrchr};

use super::markup::{Tag, attribute};
use super::{Hidden, Kind, script};

/// So many words that are not seen are a text.
const TEXT: usize = 4;
/// Places that are told apart; the last one takes in all others.
const MOST: usize = 1_024;

/// Adds what is found to `found`, in order.
pub(super) fn find(text: &str, found: &mut Vec<Hidden>) {
    let mut unseen = Unseen { text, words: 0, spans: Vec::new() };
    unseen.markup();
    unseen.references();
    unseen.blanks();
    if unseen.words >= TEXT {
        unseen.spans.sort_by_key(|span| (span.start, span.end));
        found.extend(unseen.spans.into_iter().map(|span| Hidden { kind: Kind::Unseen, span }));
    }
}

struct Unseen<'t> {
    text: &'t str,
    words: usize,
    spans: Vec<Range<usize>>,
}

impl Unseen<'_> {
    fn note(&mut self, span: Range<usize>, words: usize) {
        if words == 0 {
            return;
        }
        self.words += words;
        match self.spans.get_mut(MOST - 1) {
            Some(last) => *last = last.start.min(span.start)..last.end.max(span.end),
            None => self.spans.push(span),
        }
    }

    /// Comments, attributes, and elements that are not shown.
    fn markup(&mut self) {
        let (text, bytes) = (self.text, self.text.as_bytes());
        let mut open: [Option<(usize, usize)>; SHOWING_NOTHING.len()] = [None; SHOWING_NOTHING.len()];
        let mut at = 0;
        while let Some(offset) = bytes.get(at..).and_then(|rest| memchr(b'<', rest)) {
            let start = at + offset;
            if let Some(end) = comment_end(text, start) {
                self.note(start..end, in_comment(text.get(start..end).unwrap_or_default()));
                at = end;
                continue;
            }
            let Some(tag) = Tag::read(text, start) else {
                at = start + 1;
                continue;
            };
            at = tag.end;
            self.note(start..tag.end, in_attributes(&tag));
            let named = SHOWING_NOTHING.iter().position(|name| tag.name.eq_ignore_ascii_case(name));
            let Some(place) = named.and_then(|index| open.get_mut(index)) else { continue };
            match (*place, tag.closing) {
                (None, false) => *place = Some((tag.end, 1)),
                (Some((from, depth)), false) => *place = Some((from, depth + 1)),
                (Some((from, 1)), true) => {
                    *place = None;
                    self.note(from..start, words(text.get(from..start).unwrap_or_default()));
                }
                (Some((from, depth)), true) => *place = Some((from, depth - 1)),
                (None, true) => {}
            }
        }
    }

    /// Link definitions of Markdown, of which only the target is of use.
    fn references(&mut self) {
        let (text, bytes) = (self.text, self.text.as_bytes());
        let (mut floor, mut known) = (0, 0);
        for at in memmem::find_iter(bytes, b"]:") {
            // What stands in another one's target or title has been counted there.
            if at < known {
                continue;
            }
            let label = bytes.get(floor..at).and_then(|before| memrchr(b'[', before)).map(|open| floor + open);
            if let Some(open) = label.filter(|open| begins_block(bytes, *open)) {
                let (length, unseen) = reference(text.get(at + 2..).unwrap_or_default());
                let called = words(text.get(open..at).unwrap_or_default()).saturating_sub(1);
                known = at + 2 + length;
                self.note(open..known, unseen + called);
            }
            floor = at + 2;
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
                self.note(start..at, TEXT);
            }
            (start, wide, high) = (at + c.len_utf8(), 0, 0);
        }
    }
}

/// Elements that show nothing of what they hold, or not at once, or only where something else fails.
const SHOWING_NOTHING: [&str; 24] = [
    "applet", "audio", "canvas", "datalist", "defs", "desc", "details", "dialog", "head", "iframe", "math", "metadata",
    "noembed", "noframes", "noscript", "object", "script", "select", "style", "svg", "template", "textarea", "title",
    "video",
];

/// Where what HTML takes for a comment ends: `<!-- -->`, and `<` with `!`, `?` or `/` before anything but a name.
fn comment_end(text: &str, start: usize) -> Option<usize> {
    let rest = text.as_bytes().get(start..)?;
    let end = match rest.get(1)? {
        b'!' if rest.starts_with(b"<!--") => memmem::find(rest.get(2..)?, b"-->").map(|end| end + 5),
        b'!' | b'?' => memchr(b'>', rest).map(|end| end + 1),
        b'/' if !rest.get(2)?.is_ascii_alphabetic() => memchr(b'>', rest).map(|end| end + 1),
        _ => return None,
    };
    Some(start + end.unwrap_or(rest.len()))
}

/// Words in a comment, or in what is taken for one; the usual first lines of documents are none.
fn in_comment(comment: &str) -> usize {
    let begins = |with: &str| comment.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    let usual = if begins("<?xml ") || begins("<!doctype html") { 3 } else { 0 };
    words(comment).saturating_sub(usual)
}

/// Words in the attributes of a tag, but for one in each value; one that hides the element is a text by itself.
fn in_attributes(tag: &Tag<'_>) -> usize {
    /// More would be a text of names and values.
    const USUAL: usize = 8;
    let (mut count, mut unseen) = (0_usize, 0);
    let mut attributes = tag.attributes;
    while let Some((name, value, rest)) = attribute(attributes) {
        if may_hide(tag.name, name, value) {
            return TEXT;
        }
        count += 1;
        unseen += if value.is_empty() { words(name) } else { words(value).saturating_sub(1) };
        attributes = rest;
    }
    unseen + count.saturating_sub(USUAL)
}

fn may_hide(tag: &str, name: &str, value: &str) -> bool {
    const ALWAYS: [&str; 4] = ["popover", "srcdoc", "inert", "aria-hidden"];
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    ALWAYS.iter().any(|other| is(other))
        || is("style") && !harmless(value)
        || tag.eq_ignore_ascii_case("font") && (is("color") || is("size"))
        || (is("width") || is("height")) && matches!(value.trim_end_matches("px"), "0" | "1")
}

/// Whether a style sets nothing but what leaves text where and as visible as it is.
fn harmless(style: &str) -> bool {
    const PROPERTIES: [&str; 7] = [
        "border-collapse",
        "font-family",
        "font-style",
        "font-weight",
        "text-align",
        "text-decoration",
        "vertical-align",
    ];
    style.split(';').all(|declaration| match declaration.split_once(':') {
        Some((property, value)) => {
            let known = PROPERTIES.iter().any(|known| property.trim().eq_ignore_ascii_case(known));
            known && value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | ',' | '-'))
        }
        None => declaration.trim().is_empty(),
    })
}

/// Words, some longer than any word. Ideographs are one in two.
fn words(text: &str) -> usize {
    const LONGEST: usize = 48;
    let word = |word: &str| {
        if !word.chars().any(char::is_alphanumeric) {
            return 0;
        }
        // Addresses and paths are long.
        let long = if word.contains(['/', ':']) { 0 } else { word.len() / LONGEST };
        1 + long + word.chars().filter(|c| script::han(*c)).count() / 2
    };
    text.split_whitespace().map(word).sum()
}

/// Whether nothing but the marks of lists and quotations stands before it on its line.
fn begins_block(bytes: &[u8], at: usize) -> bool {
    const DEEPEST: usize = 16;
    let before = bytes.get(at.saturating_sub(DEEPEST)..at).unwrap_or_default();
    let line = match memrchr(b'\n', before) {
        Some(line_end) => before.get(line_end + 1..),
        None => Some(before).filter(|_| at < DEEPEST),
    };
    let marks = |byte: &u8| matches!(byte, b' ' | b'\t' | b'>' | b'-' | b'*' | b'+' | b'.' | b')' | b'0'..=b'9');
    line.is_some_and(|line| line.iter().all(marks))
}

/// How long the target and the title of a link definition are, and the words in them but for the target itself.
fn reference(text: &str) -> (usize, usize) {
    const LONGEST: usize = 4_096;
    let text = text.get(..text.floor_char_boundary(2 * LONGEST)).unwrap_or_default();
    let target = text.trim_ascii_start();
    let within = target.get(..target.floor_char_boundary(LONGEST)).unwrap_or_default();
    let target_end = match within.bytes().next() {
        Some(b'<') => memchr(b'>', within.as_bytes()).map(|end| end + 1),
        _ => within.find(|c: char| c.is_ascii_whitespace()),
    };
    let (target, after) = target.split_at_checked(target_end.unwrap_or(within.len())).unwrap_or((within, ""));
    let unseen = words(target).saturating_sub(1);
    let title = after.trim_ascii_start();
    let close = match title.bytes().next() {
        Some(b'(') => b')',
        Some(quote @ (b'"' | b'\'')) => quote,
        _ => return (text.len() - after.len(), unseen),
    };
    let inside = title.as_bytes().get(1..).unwrap_or_default();
    match memchr(close, inside.get(..LONGEST).unwrap_or(inside)) {
        Some(end) => (text.len() - title.len() + end + 2, unseen + words(title.get(..end + 2).unwrap_or_default())),
        None => (text.len() - after.len(), unseen),
    }
}
