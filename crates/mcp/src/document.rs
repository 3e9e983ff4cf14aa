//! A scanned JSON text: its bytes, and a flat list of where each value lies.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use bytestring::ByteString;

use crate::memo::Memo;
use crate::{Limits, Rejection, TextDigest};

/// A JSON text that passed the scanner.
///
/// The nodes are in the order of the text. An object is followed by its keys and values in turn, an array by its
/// elements; `skip` is the index of the first node after a value and all it holds.
pub struct Document {
    text: ByteString,
    nodes: Vec<Node>,
    pub(crate) memo: Memo,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) skip: u32,
    pub(crate) kind: NodeKind,
    pub(crate) escaped: bool,
}

/// The place of one value or key in its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) u32);

impl NodeId {
    /// The value that is the whole document.
    pub const ROOT: NodeId = NodeId(0);

    /// Its position in the order of the text; the root is 0.
    #[must_use]
    pub fn index(self) -> u32 {
        self.0
    }
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of JSON")]
pub enum NodeKind {
    Object,
    Array,
    Key,
    String,
    Number,
    True,
    False,
    Null,
}

impl Document {
    /// Reads a JSON text that is no message, as strictly: such as one that stands as a text in one.
    ///
    /// # Errors
    /// What two parsers could read differently; see [`Fault`](crate::Fault).
    pub fn parse(text: impl Into<Bytes>, limits: &Limits) -> Result<Document, Rejection> {
        crate::scan::scan(text.into(), limits)
    }

    pub(crate) fn new(text: ByteString, nodes: Vec<Node>) -> Self {
        let memo = Memo::of(&nodes);
        Document { text, nodes, memo }
    }

    /// The same, with nothing found out of its texts yet.
    pub(crate) fn settled(self) -> Document {
        Document::new(self.text, self.nodes)
    }

    /// The bytes as they came.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        self.text.as_bytes()
    }

    /// The whole value.
    #[must_use]
    pub fn root(&self) -> Value<'_> {
        self.value(NodeId::ROOT)
    }

    /// The value or key at `id`, which must be of this document.
    #[must_use]
    pub fn value(&self, id: NodeId) -> Value<'_> {
        Value { document: self, id }
    }

    /// How many nodes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Never true: a scanned text holds at least one value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Where `id` is, as a JSON Pointer (RFC 6901). A key has the pointer of its value.
    #[must_use]
    pub fn pointer(&self, id: NodeId) -> String {
        self.pointer_within(id, usize::MAX)
    }

    /// The same, ending in `…` where it would have more than `most` bytes: keys may be as long as the message.
    #[must_use]
    pub fn pointer_within(&self, id: NodeId, most: usize) -> String {
        self.pointers_within(&[id], most).pop().unwrap_or_default()
    }

    /// The same for many at once, in their order. One walk finds all of them: from the front for each, a hundred of them
    /// behind a million others would take seconds.
    #[must_use]
    pub fn pointers_within(&self, ids: &[NodeId], most: usize) -> Vec<String> {
        let mut sorted: Vec<(NodeId, usize)> = ids.iter().enumerate().map(|(place, id)| (*id, place)).collect();
        sorted.sort_unstable();
        let mut walk = Walk { most, pointer: String::new(), found: vec![String::new(); ids.len()] };
        walk.down(self.root(), &sorted);
        walk.found
    }

    fn node(&self, id: NodeId) -> Node {
        const NONE: Node = Node { start: 0, end: 0, skip: u32::MAX, kind: NodeKind::Null, escaped: false };
        self.nodes.get(id.0 as usize).copied().unwrap_or(NONE)
    }
}

impl Clone for Document {
    /// Without what was found out of its texts.
    fn clone(&self) -> Self {
        Document::new(self.text.clone(), self.nodes.clone())
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Content never reaches a log by way of a stray `{:?}`.
        write!(f, "Document({} bytes, {} nodes)", self.text.len(), self.nodes.len())
    }
}

/// One walk over a document that finds the pointers of many of its nodes.
struct Walk {
    most: usize,
    /// Of where it is; cut where it would be longer than asked.
    pointer: String,
    found: Vec<String>,
}

impl Walk {
    /// Finds those of the `wanted`, sorted by id, that are at or below `value`.
    fn down(&mut self, value: Value<'_>, wanted: &[(NodeId, usize)]) {
        let here = wanted.partition_point(|(id, _)| *id <= value.id());
        let (here, mut below) = wanted.split_at_checked(here).unwrap_or((wanted, &[]));
        self.note(here);
        if self.pointer.len() > self.most {
            return self.note(below);
        }
        let deep = self.pointer.len();
        for (position, element) in value.elements().enumerate() {
            if below.is_empty() {
                return;
            }
            below = self.into(element, element, below, |pointer, _| pointer.push_str(&format!("/{position}")));
            self.pointer.truncate(deep);
        }
        for (key, member) in value.members() {
            if below.is_empty() {
                return;
            }
            below = self.into(key, member, below, |pointer, most| push_key(pointer, &key.text(), most));
            self.pointer.truncate(deep);
        }
    }

    /// Goes into a child that begins with `first`, if any of those `below` are in it; the others are returned.
    fn into<'w>(
        &mut self,
        first: Value<'_>,
        child: Value<'_>,
        below: &'w [(NodeId, usize)],
        name: impl FnOnce(&mut String, usize),
    ) -> &'w [(NodeId, usize)] {
        let before = below.partition_point(|(id, _)| *id < first.id());
        let end = below.partition_point(|(id, _)| id.0 < child.node().skip);
        let (inside, after) = (below.get(before..end).unwrap_or_default(), below.get(end..).unwrap_or_default());
        if !inside.is_empty() {
            name(&mut self.pointer, self.most);
            // A key has the pointer of its value.
            self.down(child, inside);
        }
        after
    }

    fn note(&mut self, wanted: &[(NodeId, usize)]) {
        for (_, place) in wanted {
            if let Some(found) = self.found.get_mut(*place) {
                *found = cut(self.pointer.clone(), self.most);
            }
        }
    }
}

fn push_key(pointer: &mut String, key: &str, most: usize) {
    pointer.push('/');
    let key = key.get(..key.floor_char_boundary(most.saturating_add(1))).unwrap_or_default();
    pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
}

fn cut(mut pointer: String, most: usize) -> String {
    if pointer.len() > most {
        pointer.truncate(pointer.floor_char_boundary(most));
        pointer.push('…');
    }
    pointer
}

/// One value (or key) of a document.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    document: &'a Document,
    id: NodeId,
}

impl<'a> Value<'a> {
    /// Its place.
    #[must_use]
    pub fn id(self) -> NodeId {
        self.id
    }

    /// What it is.
    #[must_use]
    pub fn kind(self) -> NodeKind {
        self.node().kind
    }

    /// The bytes it takes in the document.
    #[must_use]
    pub fn span(self) -> Range<usize> {
        let node = self.node();
        node.start as usize..node.end as usize
    }

    /// Its JSON text as it came.
    #[must_use]
    pub fn raw(self) -> &'a str {
        self.document.text.get(self.span()).unwrap_or_default()
    }

    /// Its bytes as they came, sharing the document's buffer.
    #[must_use]
    pub fn to_bytes(self) -> Bytes {
        let span = self.span();
        if span.end > self.document.text.len() { Bytes::new() } else { self.document.bytes().slice(span) }
    }

    /// The decoded text of a string or key; empty for anything else.
    #[must_use]
    pub fn text(self) -> Cow<'a, str> {
        self.as_str().unwrap_or_default()
    }

    /// The decoded text, if it is a string or a key.
    #[must_use]
    pub fn as_str(self) -> Option<Cow<'a, str>> {
        let node = self.node();
        if !matches!(node.kind, NodeKind::String | NodeKind::Key) {
            return None;
        }
        let read = || crate::text::unquote(self.raw(), node.escaped);
        let kept = if node.escaped { self.document.memo.text(self.id, || read().into()) } else { None };
        Some(kept.map_or_else(read, Cow::Borrowed))
    }

    /// What names the decoded text of a string or key, worked out once for a document; see [`text_digest`](crate::text_digest).
    #[must_use]
    pub fn digest(self) -> TextDigest {
        self.document.memo.digest(self.id, &self.text())
    }

    /// Where in the document the text of a string has so many characters; nothing if it does not have more.
    #[must_use]
    pub fn place_after(self, characters: usize) -> Option<usize> {
        let (start, end) = (self.span().start + 1, self.span().end.saturating_sub(1));
        let inner = self.document.text.get(start..end).filter(|_| self.kind() == NodeKind::String)?;
        crate::text::place_after(inner, characters).map(|at| start + at)
    }

    /// The number, if it is an integer within 64 bits, written without fraction or exponent.
    #[must_use]
    pub fn as_i64(self) -> Option<i64> {
        if self.kind() == NodeKind::Number { self.raw().parse().ok() } else { None }
    }

    /// The value under `key`, if it is an object that has one.
    #[must_use]
    pub fn get(self, key: &str) -> Option<Value<'a>> {
        self.members().find(|(name, _)| name.is_text(key)).map(|(_, value)| value)
    }

    /// `get` along several keys.
    #[must_use]
    pub fn at(self, path: &[&str]) -> Option<Value<'a>> {
        path.iter().try_fold(self, |value, key| value.get(key))
    }

    /// Whether it is a string or key with exactly this text.
    #[must_use]
    pub fn is_text(self, text: &str) -> bool {
        let node = self.node();
        if node.escaped {
            return self.as_str().as_deref() == Some(text);
        }
        let inside = node.start as usize + 1..(node.end as usize).saturating_sub(1);
        // The length first: of the keys that one is compared with, few have the same.
        matches!(node.kind, NodeKind::String | NodeKind::Key)
            && inside.len() == text.len()
            && self.document.text.as_bytes().get(inside) == Some(text.as_bytes())
    }

    /// Keys and values of an object; nothing for anything else.
    #[must_use]
    pub fn members(self) -> Members<'a> {
        Members(self.children(NodeKind::Object))
    }

    /// Elements of an array; nothing for anything else.
    #[must_use]
    pub fn elements(self) -> Elements<'a> {
        Elements(self.children(NodeKind::Array))
    }

    /// Every node below and including this one, keys too, in the order of the text.
    pub fn subtree(self) -> impl Iterator<Item = Value<'a>> {
        let end = self.node().skip.min(self.document.nodes.len() as u32);
        let document = self.document;
        (self.id.0..end).map(move |index| document.value(NodeId(index)))
    }

    /// The positions of it and of all it holds.
    #[must_use]
    pub fn ids(self) -> Range<u32> {
        self.id.0..self.node().skip.min(self.document.nodes.len() as u32)
    }

    /// Whether it is the key under which `value` stands.
    #[must_use]
    pub fn is_key_of(self, value: Value<'_>) -> bool {
        self.kind() == NodeKind::Key && self.id.0.checked_add(1) == Some(value.id.0)
    }

    pub(crate) fn node(self) -> Node {
        self.document.node(self.id)
    }

    fn children(self, kind: NodeKind) -> Children<'a> {
        let node = self.node();
        let end = if node.kind == kind { node.skip } else { 0 };
        Children { document: self.document, next: self.id.0.saturating_add(1), end }
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({:?})", self.kind(), self.id)
    }
}

#[derive(Clone)]
struct Children<'a> {
    document: &'a Document,
    next: u32,
    end: u32,
}

impl<'a> Iterator for Children<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        if self.next >= self.end {
            return None;
        }
        let value = self.document.value(NodeId(self.next));
        self.next = value.node().skip;
        Some(value)
    }
}

/// Iterator over the members of an object.
#[derive(Clone)]
pub struct Members<'a>(Children<'a>);

impl<'a> Iterator for Members<'a> {
    type Item = (Value<'a>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.0.next()?, self.0.next()?))
    }
}

/// Iterator over the elements of an array.
#[derive(Clone)]
pub struct Elements<'a>(Children<'a>);

impl<'a> Iterator for Elements<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}
