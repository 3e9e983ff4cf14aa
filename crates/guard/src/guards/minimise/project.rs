//! One walk over a value that finds what has to go of it.

use bartizan_mcp::{Down, NodeKind, PartKind, Paths, Trail, Value};

use super::options::Entry;
use crate::shape::{ShapeId, Shapes};
use crate::{Change, note};

/// What has to change in a value.
#[derive(Default)]
pub(super) struct Left {
    /// Fields that are left out.
    pub(super) projected: Vec<Change>,
    /// Texts that are cut.
    pub(super) long: Vec<Change>,
    /// Elements beyond the first ones.
    pub(super) rows: Vec<Change>,
    /// How many fields that are.
    pub(super) fields: usize,
    /// How many texts.
    pub(super) texts: usize,
    /// How many elements.
    pub(super) rows_gone: usize,
    /// A field that has to be there and can hold nothing else.
    pub(super) unfit: Option<String>,
}

impl Left {
    /// Cuts a text of the message that is longer than that.
    pub(super) fn cut_long(&mut self, most: Option<usize>, text: Value<'_>) {
        let Some(most) = most else { return };
        let said = text.text();
        let Some((kept, with)) = shortened(&said, most) else { return };
        let start = said.char_indices().nth(kept).map_or(said.len(), |(at, _)| at);
        self.texts += 1;
        self.long.push(Change::Cut { text: text.id(), span: start..said.len(), with: with.into() });
    }
}

/// How many characters stay of a text that is too long, and what stands behind them: all of it together is within the limit.
fn shortened(text: &str, most: usize) -> Option<(usize, String)> {
    // Most texts need not be counted.
    if text.len() <= most {
        return None;
    }
    let count = text.chars().count();
    let says = |gone: usize| note::of(&format!("{gone} characters"));
    if count <= most {
        return None;
    }
    // One more, for what breaks up the note if it goes through another gateway.
    match most.checked_sub(says(count).len() + 1) {
        Some(kept) => Some((kept, says(count - kept))),
        // There is no room to say so.
        None => Some((most, String::new())),
    }
}

/// A walk over one value.
pub(super) struct Walk<'w, 's> {
    keep: Option<&'w Paths>,
    drop: Option<&'w Paths>,
    max_length: Option<usize>,
    max_rows: Option<usize>,
    shapes: Option<&'w mut Shapes<'s>>,
    /// The role of the value.
    kind: PartKind,
    /// Whether the value is that of a text of the message.
    within: bool,
    left: Left,
}

/// How far paths are followed at a value.
#[derive(Clone, Default)]
struct At {
    /// None once all of it is kept.
    keep: Option<Trail>,
    drop: Option<Trail>,
    shape: Option<ShapeId>,
}

/// What has been found up to here, to be forgotten if all of what is around it goes.
struct Before {
    projected: usize,
    long: usize,
    rows: usize,
    fields: usize,
    texts: usize,
    rows_gone: usize,
    was_fit: bool,
}

impl<'w, 's> Walk<'w, 's> {
    pub(super) fn of_result(entry: &'w Entry, failed: bool, shapes: Option<&'w mut Shapes<'s>>) -> Walk<'w, 's> {
        Walk {
            keep: entry.keep.as_ref().filter(|_| !failed),
            drop: entry.drop.as_ref(),
            max_length: entry.max_length,
            max_rows: entry.max_rows,
            shapes: shapes.filter(|_| !failed),
            kind: PartKind::StructuredContent,
            within: false,
            left: Left::default(),
        }
    }

    pub(super) fn of_arguments(drop: &'w Paths, shapes: Option<&'w mut Shapes<'s>>) -> Walk<'w, 's> {
        Walk {
            keep: None,
            drop: Some(drop),
            max_length: None,
            max_rows: None,
            shapes,
            kind: PartKind::Argument,
            within: false,
            left: Left::default(),
        }
    }

    /// What has to go of a value of the message.
    pub(super) fn of(mut self, root: Value<'_>) -> Left {
        let shape = self.shapes.as_mut().and_then(|shapes| shapes.root());
        let at = At { keep: self.keep.map(Paths::begin), drop: self.drop.map(Paths::begin), shape };
        let is_left = self.value(root, at);
        if !is_left {
            self.replace(root, shape, "$");
        }
        self.left
    }

    /// What has to go of a value that is that of a text.
    pub(super) fn within(mut self, root: Value<'_>) -> Left {
        (self.within, self.kind) = (true, PartKind::Content);
        self.of(root)
    }

    /// Whether anything is left of a value. Recurses as deep as the document nests, which the scanner has bounded.
    fn value(&mut self, value: Value<'_>, mut at: At) -> bool {
        if self.drop.zip(at.drop.as_ref()).is_some_and(|(paths, trail)| paths.address(trail)) {
            return false;
        }
        at.drop = at.drop.filter(|trail| self.drop.is_some_and(|paths| !paths.end(trail)));
        if let Some((paths, trail)) = self.keep.zip(at.keep.as_ref()) {
            if paths.address(trail) {
                at.keep = None;
            } else if paths.end(trail) {
                return false;
            }
        }
        match value.kind() {
            NodeKind::Object | NodeKind::Array if self.is_done(&at) => true,
            NodeKind::Object => self.object(value, &at),
            NodeKind::Array => self.array(value, &at),
            kind => {
                let is_left = at.keep.is_none();
                if is_left && kind == NodeKind::String {
                    self.text(value);
                }
                is_left
            }
        }
    }

    /// Whether nothing below can have to go.
    fn is_done(&self, at: &At) -> bool {
        at.keep.is_none() && at.drop.is_none() && self.max_length.is_none() && self.max_rows.is_none()
    }

    fn below(&mut self, at: &At, down: Down<'_>) -> At {
        let follow = |paths: Option<&Paths>, trail: &Option<Trail>| Some(paths?.follow(trail.as_ref()?, down));
        let shape = self.shapes.as_mut().zip(at.shape).and_then(|(shapes, shape)| match down {
            Down::Member(name) => shapes.member(shape, name),
            Down::Element(_) => shapes.element(shape),
        });
        At { keep: follow(self.keep, &at.keep), drop: follow(self.drop, &at.drop), shape }
    }

    fn object(&mut self, object: Value<'_>, at: &At) -> bool {
        let before = self.before();
        let mut is_left = at.keep.is_none();
        for (key, member) in object.members() {
            let name = key.text();
            let below = self.below(at, Down::Member(&name));
            let shape = below.shape;
            if self.value(member, below) {
                is_left = true;
                continue;
            }
            let is_required =
                |shapes: &mut &mut Shapes<'s>| at.shape.is_some_and(|shape| shapes.requires(shape, &name));
            if self.shapes.as_mut().is_some_and(is_required) {
                self.replace(member, shape, &name);
            } else {
                self.left.fields += 1;
                self.left.projected.push(Change::Remove { parent: object.id(), node: member.id() });
            }
        }
        if !is_left {
            self.forget(&before);
        }
        is_left
    }

    fn array(&mut self, array: Value<'_>, at: &At) -> bool {
        let before = self.before();
        let (mut is_left, mut count) = (at.keep.is_none(), 0);
        for (place, element) in array.elements().enumerate() {
            if self.max_rows.is_some_and(|most| count >= most) {
                self.left.rows_gone += 1;
                self.left.rows.push(Change::Remove { parent: array.id(), node: element.id() });
                continue;
            }
            let below = self.below(at, Down::Element(place));
            if self.value(element, below) {
                (is_left, count) = (true, count + 1);
            } else {
                self.left.fields += 1;
                self.left.projected.push(Change::Remove { parent: array.id(), node: element.id() });
            }
        }
        if !is_left {
            self.forget(&before);
        }
        is_left
    }

    /// An empty value for one that has to be there.
    fn replace(&mut self, value: Value<'_>, shape: Option<ShapeId>, name: &str) {
        let json: Option<Box<str>> = match (self.shapes.as_mut(), shape) {
            // The server would take it for something that was said.
            _ if self.kind == PartKind::Argument => None,
            (Some(shapes), Some(shape)) => shapes.empty(shape),
            _ => Some(nothing_of(value.kind()).into()),
        };
        let Some(json) = json else {
            self.left.unfit.get_or_insert_with(|| name.to_owned());
            return;
        };
        if value.raw() != &*json {
            self.left.fields += 1;
            self.left.projected.push(Change::Replace { node: value.id(), json, kind: self.kind });
        }
    }

    fn text(&mut self, text: Value<'_>) {
        let Some(most) = self.max_length else { return };
        if !self.within {
            return self.left.cut_long(Some(most), text);
        }
        let Some((kept, with)) = shortened(&text.text(), most) else { return };
        let end = text.span().end.saturating_sub(1);
        if let Some(start) = text.place_after(kept) {
            self.left.texts += 1;
            self.left.long.push(Change::Cut { text: text.id(), span: start..end, with: with.into() });
        }
    }

    fn before(&self) -> Before {
        let left = &self.left;
        Before {
            projected: left.projected.len(),
            long: left.long.len(),
            rows: left.rows.len(),
            fields: left.fields,
            texts: left.texts,
            rows_gone: left.rows_gone,
            was_fit: left.unfit.is_none(),
        }
    }

    fn forget(&mut self, before: &Before) {
        let left = &mut self.left;
        left.projected.truncate(before.projected);
        left.long.truncate(before.long);
        left.rows.truncate(before.rows);
        (left.fields, left.texts, left.rows_gone) = (before.fields, before.texts, before.rows_gone);
        left.unfit = left.unfit.take().filter(|_| !before.was_fit);
    }
}

/// What stands for a value of that kind of which nothing is left.
fn nothing_of(kind: NodeKind) -> &'static str {
    match kind {
        NodeKind::Object => "{}",
        NodeKind::Array => "[]",
        NodeKind::String | NodeKind::Key => "\"\"",
        NodeKind::Number => "0",
        NodeKind::True | NodeKind::False => "false",
        NodeKind::Null => "null",
    }
}
