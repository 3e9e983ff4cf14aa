//! Edits to a message, carried out as splices of its bytes.
//!
//! What is not edited stays byte for byte: key order, number text, white space and unknown members included.

use std::ops::Range;

use bytes::Bytes;

use crate::document::{Document, NodeId, NodeKind, Value};
use crate::text::quote;

/// A set of changes to one document, applied all at once.
///
/// Their order matters only where two of them touch the same place: of two replacements of one value the first is
/// made, of several insertions into one object the first comes first. A change inside of what another one removes or
/// replaces is not made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edits {
    list: Vec<Edit>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Edit {
    Replace { node: NodeId, json: String },
    Remove { parent: NodeId, node: NodeId },
    Insert { object: NodeId, key: String, json: String },
    Append { array: NodeId, json: String },
}

impl Edits {
    /// No changes.
    #[must_use]
    pub fn new() -> Self {
        Edits::default()
    }

    /// Whether there is nothing to change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Puts `text` in place of the string or key `node`.
    pub fn set_text(&mut self, node: NodeId, text: &str) {
        self.set_json(node, quote(text));
    }

    /// Puts `json`, which must be one JSON value, in place of `node`.
    pub fn set_json(&mut self, node: NodeId, json: impl Into<String>) {
        self.list.push(Edit::Replace { node, json: json.into() });
    }

    /// Takes the element or the member with the value `node` out of the array or object `parent`.
    pub fn remove(&mut self, parent: NodeId, node: NodeId) {
        self.list.push(Edit::Remove { parent, node });
    }

    /// Adds a member at the front of the object; the caller knows that it has none of that name. Where there is no
    /// object, nothing is added.
    pub fn insert(&mut self, object: NodeId, key: &str, json: impl Into<String>) {
        self.list.push(Edit::Insert { object, key: key.to_owned(), json: json.into() });
    }

    /// Adds an element, which must be one JSON value, at the end of the array. Where there is no array, nothing is added.
    pub fn append(&mut self, array: NodeId, json: impl Into<String>) {
        self.list.push(Edit::Append { array, json: json.into() });
    }

    /// Adds all changes of `other`.
    pub fn extend(&mut self, other: Edits) {
        self.list.extend(other.list);
    }

    /// The bytes of `document` with the changes made.
    #[must_use]
    pub fn apply(&self, document: &Document) -> Bytes {
        let text = document.bytes();
        let splices = self.places(document);
        let mut out = Vec::with_capacity(text.len() + splices.iter().map(|(_, with)| with.len()).sum::<usize>());
        let mut at = 0;
        for (range, with) in splices {
            out.extend_from_slice(text.get(at..range.start).unwrap_or_default());
            out.extend_from_slice(with.as_bytes());
            at = range.end;
        }
        out.extend_from_slice(text.get(at..).unwrap_or_default());
        out.into()
    }

    /// The bytes of `document` that change, in order and none of them twice, each with what comes in their place.
    #[must_use]
    pub fn places(&self, document: &Document) -> Vec<(Range<usize>, String)> {
        let mut splices = self.splices(document);
        // Where several begin together, insertions come first, then the widest, and of equals the removal: it wins
        // over what it removes.
        splices.sort_by_key(|Splice { range, with }| {
            (range.start, !range.is_empty(), std::cmp::Reverse(range.end), !with.is_empty())
        });
        let mut at = 0;
        let mut places = Vec::with_capacity(splices.len());
        for Splice { range, with } in splices {
            let inserts = range.is_empty();
            if range.start < at && (inserts || range.end <= at) {
                continue;
            }
            let start = range.start.max(at);
            at = range.end.max(at);
            places.push((start..at, with));
        }
        places
    }

    fn splices(&self, document: &Document) -> Vec<Splice> {
        let mut splices = Vec::with_capacity(self.list.len());
        let mut removed: Vec<(NodeId, NodeId)> = Vec::new();
        for edit in &self.list {
            if let Edit::Remove { parent, node } = edit {
                removed.push((*parent, *node));
            }
        }
        removed.sort_unstable();
        removed.dedup();
        for (position, edit) in self.list.iter().enumerate() {
            match edit {
                Edit::Replace { node, json } => {
                    splices.push(Splice { range: document.value(*node).span(), with: json.clone() });
                }
                Edit::Remove { .. } | Edit::Append { .. } => {}
                Edit::Insert { object, .. } if document.value(*object).kind() != NodeKind::Object => {}
                Edit::Insert { object, key, json } => {
                    let stays = |value: Value<'_>| removed.binary_search(&(*object, value.id())).is_err();
                    let others = document.value(*object).members().any(|(_, value)| stays(value));
                    let mut later = self.list.iter().skip(position + 1);
                    let more = later.any(|edit| matches!(edit, Edit::Insert { object: other, .. } if other == object));
                    splices.push(insertion(document.value(*object), key, json, others || more));
                }
            }
        }
        self.appended(document, &removed, &mut splices);
        for group in removed.chunk_by(|left, right| left.0 == right.0) {
            let Some((parent, _)) = group.first() else { continue };
            let gone: Vec<NodeId> = group.iter().map(|(_, node)| *node).collect();
            removals(document.value(*parent), &gone, &mut splices);
        }
        splices
    }
}

impl Edits {
    /// What is added at the ends of arrays, of which these elements are taken out.
    fn appended(&self, document: &Document, removed: &[(NodeId, NodeId)], splices: &mut Vec<Splice>) {
        let mut begun: Vec<NodeId> = Vec::new();
        for edit in &self.list {
            let Edit::Append { array, json } = edit else { continue };
            let value = document.value(*array);
            if value.kind() != NodeKind::Array {
                continue;
            }
            let stays = |element: Value<'_>| removed.binary_search(&(*array, element.id())).is_err();
            let follows = begun.contains(array) || value.elements().any(stays);
            begun.push(*array);
            let end = value.span().end.saturating_sub(1);
            let comma = if follows { "," } else { "" };
            splices.push(Splice { range: end..end, with: format!("{comma}{json}") });
        }
    }
}

struct Splice {
    range: Range<usize>,
    with: String,
}

/// `followed`: whether another member will come after it.
fn insertion(object: Value<'_>, key: &str, json: &str, followed: bool) -> Splice {
    let start = object.span().start + 1;
    let comma = if followed { "," } else { "" };
    Splice { range: start..start, with: format!("{}:{json}{comma}", quote(key)) }
}

/// Takes children out together with the commas that would be left over.
fn removals(parent: Value<'_>, gone: &[NodeId], splices: &mut Vec<Splice>) {
    let children: Vec<(usize, usize, bool)> = match parent.kind() {
        NodeKind::Object => parent
            .members()
            .map(|(key, value)| (key.span().start, value.span().end, gone.binary_search(&value.id()).is_ok()))
            .collect(),
        _ => parent
            .elements()
            .map(|value| (value.span().start, value.span().end, gone.binary_search(&value.id()).is_ok()))
            .collect(),
    };
    let mut kept_end = None;
    let mut starts = children.iter().skip(1).map(|(start, ..)| *start);
    for (start, end, is_gone) in &children {
        let next = starts.next();
        if !is_gone {
            kept_end = Some(*end);
            continue;
        }
        let range = match (next, kept_end) {
            (Some(next), _) => *start..next,
            // The last child: the comma before it goes too, which is the one after the last child that stays.
            (None, Some(kept)) => kept..*end,
            (None, None) => *start..*end,
        };
        splices.push(Splice { range, with: String::new() });
    }
}
