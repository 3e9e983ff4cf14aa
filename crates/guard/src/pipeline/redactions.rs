//! What findings change in the texts of a message.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use bartizan_mcp::{Edits, NodeId, NodeKind, Value, quote};
use bartizan_pseudonym::{Number, digits};

use super::places::as_json;
use crate::embedded::Embedded;
use crate::mark::Mark;
use crate::{Event, Finding, HashKey, How, Session, numeral, shape};

/// What to change in which text; all changes to one text are made together.
#[derive(Default)]
pub(super) struct Redactions {
    by_text: BTreeMap<NodeId, Vec<Change>>,
    /// The marks of texts, around what is left of them; one guard alone makes them.
    marks: BTreeMap<NodeId, Mark>,
    /// What changes besides texts.
    structure: Edits,
    /// The same within texts that are JSON.
    within: BTreeMap<NodeId, Edits>,
    key: Option<HashKey>,
}

/// What to put in place of some bytes.
struct Change {
    span: Range<usize>,
    with: Put,
}

#[derive(Clone)]
enum Put {
    /// Exactly this.
    Exactly(Rc<str>),
    /// This, in so far as it fits there.
    Text(Rc<str>),
    /// A number of its form, or a name where that cannot be.
    Number(Rc<Number>, Rc<str>),
    /// Stars for most of its characters.
    Stars,
    /// A digest.
    Digest(HashKey),
}

/// Some bytes and what comes in their place.
struct Splice {
    span: Range<usize>,
    with: Rc<str>,
    /// Whether nothing else will do.
    exactly: bool,
    /// The number that stands for what is there, if one does.
    number: Option<Rc<Number>>,
}

/// Where some bytes of a text were, and where what stands in their place is.
struct Moved {
    from: Range<usize>,
    to: Range<usize>,
}

const MASK: &str = "[redacted]";

impl Redactions {
    pub(super) fn new(key: Option<HashKey>) -> Redactions {
        Redactions { key, ..Redactions::default() }
    }

    pub(super) fn add(&mut self, finding: &Finding, how: How) {
        for (node, mark) in &finding.marks {
            self.marks.entry(*node).or_insert_with(|| mark.clone());
        }
        finding.changes.iter().for_each(|change| self.change(change));
        let Some(span) = finding.span.clone() else { return };
        let spans = std::iter::once(span).chain(finding.also.iter().cloned());
        let with = match (how, &finding.replacement) {
            (How::Neutralise, Some(text)) => Put::Text((**text).into()),
            (How::Neutralise | How::Cut, _) => Put::Text("".into()),
            (How::Partial, _) => Put::Stars,
            (How::Pseudonymise | How::Preserve, _) => {
                let token = finding.pseudonym.as_ref().map(|pseudonym| pseudonym.token.to_string());
                let name = token.unwrap_or_else(|| MASK.to_owned()).into();
                let number = finding.pseudonym.as_ref().and_then(|pseudonym| pseudonym.number.clone());
                match number.filter(|_| how == How::Preserve) {
                    Some(number) => Put::Number(number.into(), name),
                    None => Put::Text(name),
                }
            }
            (How::Hash, _) => self.key.map_or_else(|| Put::Text(MASK.into()), Put::Digest),
            (How::Mask, _) => Put::Text(MASK.into()),
        };
        // An empty span says that there is nothing to take away here.
        let mut changes =
            spans.filter(|span| !span.is_empty()).map(|span| Change { span, with: with.clone() }).peekable();
        if changes.peek().is_some() {
            self.by_text.entry(finding.at).or_default().extend(changes);
        }
    }

    fn change(&mut self, change: &crate::Change) {
        match change {
            crate::Change::Remove { parent, node } => self.structure.remove(*parent, *node),
            crate::Change::Replace { node, json, .. } => self.structure.set_json(*node, &**json),
            crate::Change::Note { blocks, text } => {
                self.structure.append(*blocks, format!(r#"{{"type":"text","text":{}}}"#, quote(text)));
            }
            crate::Change::Cut { text, span, with } => {
                let with = Put::Exactly((**with).into());
                self.by_text.entry(*text).or_default().push(Change { span: span.clone(), with });
            }
            crate::Change::Within { text, changes } => {
                changes.iter().for_each(|change| self.change_within(*text, change));
            }
        }
    }

    fn change_within(&mut self, text: NodeId, change: &crate::Change) {
        let edits = self.within.entry(text).or_default();
        match change {
            crate::Change::Remove { parent, node } => edits.remove(*parent, *node),
            crate::Change::Replace { node, json, .. } => edits.set_json(*node, &**json),
            crate::Change::Cut { span, with, .. } => {
                let with = Put::Exactly((**with).into());
                self.by_text.entry(text).or_default().push(Change { span: span.clone(), with });
            }
            crate::Change::Note { .. } | crate::Change::Within { .. } => {}
        }
    }

    /// What changes within texts that are JSON, as changes of their bytes.
    fn spell_out(&mut self, event: &Event<'_>) {
        for (node, edits) in std::mem::take(&mut self.within) {
            let text = event.message.document().value(node).text();
            let Some(document) = as_json(&text).filter(|_| !edits.is_empty()) else { continue };
            let changes = edits.places(&document).into_iter();
            let changes = changes.map(|(span, with)| Change { span, with: Put::Exactly(with.into()) });
            self.by_text.entry(node).or_default().extend(changes);
        }
    }

    /// All edits, and if there are marks the edits without them.
    pub(super) fn into_edits(mut self, event: &Event<'_>, session: &Session) -> (Edits, Option<Edits>) {
        self.spell_out(event);
        let (mut edits, mut unmarked) = (self.structure.clone(), self.structure);
        let mut by_text = self.by_text;
        let texts: Vec<NodeId> = by_text.keys().copied().collect();
        let longest = if texts.is_empty() { BTreeMap::new() } else { shape::longest(event, session, &texts) };
        for node in self.marks.keys() {
            by_text.entry(*node).or_default();
        }
        for (node, changes) in by_text {
            let value = event.message.document().value(node);
            if value.kind() == NodeKind::Number {
                let number = number(value, &changes);
                edits.set_json(node, &*number);
                unmarked.set_json(node, number);
                continue;
            }
            let text = value.text();
            let (out, moves) = changed_within(&text, &changes, longest.get(&node).copied());
            if out != *text {
                unmarked.set_text(node, &out);
            }
            let mark = self.marks.get(&node);
            let out = mark.map(|mark| mark.applied(&out, |part| moved(&moves, part))).unwrap_or(out);
            if out != *text {
                edits.set_text(node, &out);
            }
        }
        let marked = edits != unmarked;
        (edits, marked.then_some(unmarked))
    }
}

/// A text with all changes made, within so many characters if they are what makes it longer, and where it changed.
fn changed_within(text: &str, changes: &[Change], longest: Option<usize>) -> (String, Vec<Moved>) {
    let mut splices: Vec<Splice> = changes.iter().map(|change| change.made(text)).collect();
    keep_numbers(text, &mut splices);
    let is_longer = |out: &str| longest.is_some_and(|longest| out.chars().nth(longest).is_some());
    let (out, moves) = changed(text, &mut splices);
    if !is_longer(&out) {
        return (out, moves);
    }
    // Nothing takes more room than what it stands for.
    for splice in splices.iter_mut().filter(|splice| !splice.exactly) {
        let room = text.get(splice.span.clone()).unwrap_or_default().chars().count();
        splice.with = splice.with.chars().take(room).collect::<String>().into();
    }
    changed(text, &mut splices)
}

/// What comes in the place of a number that something is found in. It has to stay one, whatever it means.
fn number(value: Value<'_>, changes: &[Change]) -> String {
    let whole = numeral::digits(value.raw());
    let made = changes.iter().filter_map(|change| match (&change.with, &whole) {
        (Put::Number(number, _), Some(whole)) if change.span == (0..whole.len()) => written(value.raw(), number),
        _ => None,
    });
    the_only(made).unwrap_or_else(|| "0".to_owned())
}

/// What stands for all of a number. Whatever else is found in it, such as what it says in an encoding, goes with it; if several would stand
/// for it, none does.
fn the_only(mut made: impl Iterator<Item = String>) -> Option<String> {
    let first = made.next()?;
    made.all(|other| other == first).then_some(first)
}

/// A number as JSON in the place of another one, if that has as many digits.
fn written(raw: &str, number: &Number) -> Option<String> {
    let written = number.written_as(&numeral::digits(raw)?)?;
    Some(if raw.starts_with('-') { format!("-{written}") } else { written })
}

/// Has a number, or `0`, stand for each number of JSON in a text in which something changes: it would not be JSON any more.
fn keep_numbers(text: &str, splices: &mut [Splice]) {
    let here = |span: &Range<usize>| text.get(span.clone()).unwrap_or_default();
    let is_digit = |splice: &Splice| here(&splice.span).contains(|c: char| c.is_ascii_digit());
    if !splices.iter().any(|splice| !splice.exactly && is_digit(splice)) {
        return;
    }
    let embedded = Embedded::of(text);
    let mut by_number: BTreeMap<usize, (Range<usize>, Vec<&mut Splice>)> = BTreeMap::new();
    for splice in splices.iter_mut().filter(|splice| !splice.exactly) {
        if let Some(number) = embedded.number_at(&splice.span) {
            by_number.entry(number.start).or_insert_with(|| (number.clone(), Vec::new())).1.push(splice);
        }
    }
    for (number, splices) in by_number.into_values() {
        let raw = here(&number);
        let whole = numeral::digits(raw);
        let is_whole =
            |span: &Range<usize>| *span == number || whole.as_ref().is_some_and(|whole| **whole == *digits(here(span)));
        let made = splices.iter().filter(|splice| is_whole(&splice.span));
        let stands = the_only(made.filter_map(|splice| written(raw, splice.number.as_ref()?)));
        let with: Rc<str> = stands.map_or_else(|| "0".into(), Rc::from);
        for splice in splices {
            (splice.span, splice.with) = (number.clone(), Rc::clone(&with));
        }
    }
}

impl Change {
    fn made(&self, text: &str) -> Splice {
        let original = text.get(self.span.clone()).unwrap_or_default();
        let with = match &self.with {
            Put::Exactly(with) | Put::Text(with) => Rc::clone(with),
            Put::Number(number, name) => number.written_as(original).map_or_else(|| Rc::clone(name), Rc::from),
            Put::Stars => stars(original).into(),
            Put::Digest(HashKey(key)) => {
                let digest = blake3::keyed_hash(key, original.as_bytes()).to_hex();
                format!("[hash:{}]", digest.get(..12).unwrap_or_default()).into()
            }
        };
        let number = match &self.with {
            Put::Number(number, _) => Some(Rc::clone(number)),
            _ => None,
        };
        Splice { span: self.span.clone(), with, exactly: matches!(self.with, Put::Exactly(_)), number }
    }
}

/// A star for each character but the last few of many, and the domain of an address.
fn stars(text: &str) -> String {
    const SHOWN: usize = 4;
    let domain = text.split_once('@').filter(|(user, domain)| {
        let is_host = |c: char| c.is_alphanumeric() || c == '.' || c == '-';
        !user.is_empty() && domain.contains('.') && domain.chars().all(is_host)
    });
    let count = text.chars().count();
    let from = match domain {
        Some((user, _)) => user.chars().count(),
        None if count >= 2 * SHOWN => count - SHOWN,
        None => count,
    };
    // What is not seen, and what means something else in JSON, is hidden in any case.
    let is_shown = |c: char| c.is_alphanumeric() || "@.-".contains(c);
    text.chars().enumerate().map(|(at, c)| if at >= from && is_shown(c) { c } else { '*' }).collect()
}

/// A text with all changes made, and where it changed.
fn changed(text: &str, splices: &mut [Splice]) -> (String, Vec<Moved>) {
    splices.sort_by(|one, other| {
        let place = |splice: &Splice| (splice.span.start, Reverse(splice.span.end));
        place(one).cmp(&place(other)).then_with(|| one.with.cmp(&other.with))
    });
    let mut out = String::with_capacity(text.len());
    let mut moves: Vec<Moved> = Vec::with_capacity(splices.len());
    let mut at = 0;
    for Splice { span, with, .. } in splices {
        // Overlapping findings: the first, widest one speaks for the text they share.
        if span.start >= at {
            out.push_str(text.get(at..span.start).unwrap_or_default());
            let start = out.len();
            out.push_str(with);
            moves.push(Moved { from: span.clone(), to: start..out.len() });
        } else if let Some(last) = moves.last_mut() {
            last.from.end = last.from.end.max(span.end);
        }
        at = at.max(span.end);
    }
    out.push_str(text.get(at..).unwrap_or_default());
    (out, moves)
}

/// Where a part of a text is after the changes; what it begins or ends within goes along with it.
fn moved(moves: &[Moved], part: &Range<usize>) -> Range<usize> {
    let place = |at: usize, is_start: bool| {
        let next = moves.partition_point(|held| held.from.start <= at);
        match next.checked_sub(1).and_then(|last| moves.get(last)) {
            None => at,
            Some(held) if held.from.end <= at => held.to.end + (at - held.from.end),
            Some(held) if is_start || at == held.from.start => held.to.start,
            Some(held) => held.to.end,
        }
    };
    place(part.start, true)..place(part.end, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_leave_what_is_recognised() {
        for (text, expected) in [
            ("short", "*****"),
            ("4111111111111111", "************1111"),
            ("ann@example.org", "***@example.org"),
            ("ann@host", "****host"),
            ("a secret \\\"x", "***********x"),
            ("abcd\u{E0041}\u{E0042}\u{E0043}\u{E0044}", "********"),
            ("", ""),
        ] {
            assert_eq!(stars(text), expected, "{text}");
        }
    }

    fn change(span: Range<usize>, with: &str) -> Change {
        Change { span, with: Put::Text(with.into()) }
    }

    #[test]
    fn a_mask_takes_no_more_room_than_there_is() {
        let masked = |longest| changed_within("key abcdef", &[change(4..10, MASK)], longest).0;
        assert_eq!(masked(None), "key [redacted]");
        assert_eq!(masked(Some(14)), "key [redacted]");
        assert_eq!(masked(Some(13)), "key [redac");
    }

    #[test]
    fn a_number_in_a_text_that_is_json_stays_one() {
        let text = r#"{"card":4111111111111111,"name":"41"}"#;
        let place = text.find("4111").unwrap();
        let inside = text.rfind("41").unwrap();
        let changes = [change(place..place + 4, MASK), change(inside..inside + 2, MASK)];
        assert_eq!(changed_within(text, &changes, None).0, r#"{"card":0,"name":"[redacted]"}"#);
        assert_eq!(changed_within("card 4111", &[change(5..9, MASK)], None).0, "card [redacted]");
    }

    #[test]
    fn a_digest_is_the_same_for_the_same_under_one_key() {
        let digest = |text: &str, key: u8| {
            let change = Change { span: 0..text.len(), with: Put::Digest(HashKey([key; 32])) };
            changed_within(text, &[change], None).0
        };
        assert_eq!(digest("ann", 1), digest("ann", 1));
        assert_ne!(digest("ann", 1), digest("bob", 1));
        assert_ne!(digest("ann", 1), digest("ann", 2));
        let text = digest("ann", 1);
        assert!(text.starts_with("[hash:") && text.len() == "[hash:]".len() + 12, "{text}");
    }
}
