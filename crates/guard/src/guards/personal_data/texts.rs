//! What of a message is looked at: its texts, and its numbers as far as they are long enough to be somebody's.

use std::borrow::Cow;
use std::ops::Range;

use bartizan_mcp::{Message, NodeId, NodeKind, PartKind, Value, method};

use super::SKIPS;
use crate::Event;
use crate::embedded::{Embedded, Escaped};
use crate::numeral;

/// Shorter texts hold nothing that could be told.
const SHORTEST: usize = 4;
/// What pictures, sounds and files are under in content: bytes, which are no text.
pub(super) const FILES: [&str; 2] = ["data", "blob"];
/// What of a notification or a question is looked up by who made it; another one would be meant.
const LOOKED_UP: [&str; 4] = ["progressToken", "requestId", "taskId", "elicitationId"];
/// Numbers with fewer digits are counts and amounts.
const SHORTEST_NUMBER: usize = 7;
/// What stands before a number in a text that is JSON and may say what it is, in bytes.
const BEFORE: usize = 48;

/// A text, or a number that is long enough to be somebody's.
pub(super) struct Text<'m> {
    pub(super) value: Value<'m>,
    pub(super) kind: PartKind,
    pub(super) element: Option<NodeId>,
    /// Of a whole number its digits.
    pub(super) text: Cow<'m, str>,
    /// What the member is called whose value it is.
    pub(super) key: Option<Cow<'m, str>>,
    /// Of which part of the value's text it is what that says, if it is of JSON in it.
    pub(super) part: Option<Part>,
    /// Whether anything new may be found in it, and not only what stands elsewhere as well.
    pub(super) is_told: bool,
}

/// A part of a text that does not say there what it means.
pub(super) enum Part {
    /// A number with an exponent or a fraction of zeros.
    Number(Range<usize>),
    /// A string with escapes.
    Text(Escaped),
}

impl Part {
    /// Where it stands.
    pub(super) fn span(&self) -> &Range<usize> {
        match self {
            Part::Number(span) => span,
            Part::Text(escaped) => &escaped.span,
        }
    }

    /// Where something stands that is found in what it means; of a number that is all of it.
    pub(super) fn place(&self, found: &Range<usize>) -> Range<usize> {
        match self {
            Part::Number(span) => span.clone(),
            Part::Text(escaped) => escaped.place(found),
        }
    }
}

/// All that is looked at; the parts of a text come before it.
pub(super) fn texts<'m>(event: &Event<'m>) -> Vec<Text<'m>> {
    let message = event.message;
    let mut texts = Vec::new();
    let mut last: Option<Value<'_>> = None;
    for part in message.parts() {
        let key = last.filter(|key| key.kind() == NodeKind::Key && key.is_key_of(part.value)).map(Value::text);
        last = Some(part.value);
        if is_left(part.kind, key.as_deref(), part.value) {
            continue;
        }
        if SKIPS.iter().all(|(skipped, _)| *skipped != part.kind) && part.value.raw().len() >= SHORTEST {
            let (value, kind, element) = (part.value, part.kind, part.element);
            let text = Text { value, kind, element, text: part.text(), key, part: None, is_told: true };
            texts.extend(within(&text));
            texts.push(text);
        }
    }
    for (root, kind) in roots(message) {
        texts.extend(numbers(root, kind));
    }
    texts
}

/// Whether a member of that name is left as it is.
fn is_left(kind: PartKind, key: Option<&str>, value: Value<'_>) -> bool {
    let is_one = |names: &[&str]| key.is_some_and(|key| names.contains(&key));
    match kind {
        // A form may ask for something that it calls the same.
        PartKind::Content => is_one(&FILES) && is_bytes(value.raw()),
        PartKind::Notification | PartKind::Elicitation => is_one(&LOOKED_UP),
        _ => false,
    }
}

/// Whether that is written like bytes in base64, and longer than what a person would type.
fn is_bytes(raw: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_' | b'"');
    raw.len() > LONGEST_TYPED && raw.bytes().all(fits)
}

/// Bytes of what is written in base64 and could be a value by itself.
const LONGEST_TYPED: usize = 40;

/// The values whose numbers are looked at.
fn roots(message: &Message) -> Vec<(Value<'_>, PartKind)> {
    let mut roots = Vec::new();
    let method = message.method().unwrap_or_default();
    let whole = match method {
        method::SAMPLING_CREATE_MESSAGE => Some(PartKind::Sampling),
        method::ELICITATION_CREATE => Some(PartKind::Elicitation),
        _ if method.starts_with("notifications/") => Some(PartKind::Notification),
        _ => None,
    };
    for (key, value) in message.params().into_iter().flat_map(Value::members) {
        let key = key.text();
        let is_argument = matches!(&*key, "arguments" | "argument" | "context" | "inputResponses");
        let kind = whole.filter(|_| key != "_meta").or(is_argument.then_some(PartKind::Argument));
        roots.extend(kind.filter(|kind| !is_left(*kind, Some(&key), value)).map(|kind| (value, kind)));
    }
    let result = message.result();
    for result in result.into_iter().chain(result.and_then(|result| result.get("result"))) {
        roots.extend(result.get("structuredContent").map(|value| (value, PartKind::StructuredContent)));
        roots.extend(result.get("inputRequests").map(|value| (value, PartKind::Elicitation)));
        // What somebody answered who was asked, and no blocks of content.
        let answers = result.get("content").filter(|content| content.kind() == NodeKind::Object);
        roots.extend(answers.map(|value| (value, PartKind::Content)));
    }
    let data = message.root().get("error").and_then(|error| error.get("data"));
    roots.extend(data.map(|value| (value, PartKind::Error)));
    roots
}

/// The values that are records, or hold some.
pub(super) fn records<'m>(event: &Event<'m>) -> impl Iterator<Item = Value<'m>> {
    roots(event.message).into_iter().map(|(value, _)| value)
}

fn numbers<'m>(value: Value<'m>, kind: PartKind) -> impl Iterator<Item = Text<'m>> {
    let mut last: Option<Value<'m>> = None;
    value.subtree().filter_map(move |value| {
        let before = last.replace(value);
        if value.kind() != NodeKind::Number || value.raw().len() < SHORTEST {
            return None;
        }
        let key = before.filter(|key| key.kind() == NodeKind::Key && key.is_key_of(value)).map(Value::text);
        if is_left(kind, key.as_deref(), value) {
            return None;
        }
        let whole = numeral::digits(value.raw());
        let is_told = whole.is_some();
        let text = whole.unwrap_or_else(|| value.raw().trim_start_matches('-').into());
        (text.len() >= SHORTEST_NUMBER).then_some(Text { value, kind, element: None, text, key, part: None, is_told })
    })
}

/// What of JSON in a text is not written there as it is meant.
fn within<'m>(text: &Text<'m>) -> Vec<Text<'m>> {
    let two = |two: &[u8]| matches!(two, [b'0'..=b'9', b'.' | b'e' | b'E'] | [b'\\', b'\\' | b'u' | b'n' | b'r' | b't']);
    let may_hold = text.value.kind() == NodeKind::String
        && text.text.contains(['{', '['])
        && text.text.as_bytes().windows(2).any(two);
    if !may_hold {
        return Vec::new();
    }
    let of_part = |said: String, part: Part| {
        let start = part.span().start;
        let before = text.text.floor_char_boundary(start.saturating_sub(BEFORE));
        let key = text.text.get(before..start).map(|before| before.to_owned().into());
        let (value, kind, element) = (text.value, text.kind, text.element);
        Text { value, kind, element, text: said.into(), key, part: Some(part), is_told: true }
    };
    let embedded = Embedded::of(&text.text);
    let number = |span: &Range<usize>| {
        let raw = text.text.get(span.clone())?;
        let digits = numeral::digits(raw).filter(|digits| **digits != *raw && digits.len() >= SHORTEST_NUMBER)?;
        Some(of_part(digits.into_owned(), Part::Number(span.clone())))
    };
    let mut parts: Vec<Text<'m>> = embedded.numbers().iter().filter_map(number).collect();
    let strings = embedded.into_escaped().into_iter().filter(|escaped| escaped.text.len() >= SHORTEST);
    parts.extend(strings.map(|escaped| of_part(escaped.text.clone(), Part::Text(escaped))));
    parts
}
