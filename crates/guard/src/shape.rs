//! What a tool's schema says of single values, as far as it can be told without validating: which members are required, what
//! an empty value would be, how long a text may be.
//!
//! Where a schema offers alternatives, all of them count: what one of them requires is taken for required. That errs on the
//! side of keeping a member with nothing in it; whether the whole fits is for the guard `schema` to say, which looks at what
//! is left. Schemas come from servers, so what is read of them is bounded.

use std::collections::{BTreeMap, BTreeSet};

use bartizan_mcp::{NodeId, NodeKind, Value, quote};
use serde_json::{Map, Value as Json};

use crate::guards::schema;
use crate::{Direction, Event, Session};

/// What is known of values by the schemas that apply to them.
pub(crate) struct Shapes<'s> {
    root: &'s Json,
    all: Vec<Shape<'s>>,
    by_schemas: BTreeMap<Vec<usize>, ShapeId>,
    /// Entries of schemas that may still be read.
    left: usize,
}

/// The shape of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShapeId(usize);

/// What the schemas say that apply, or may apply, to a value.
#[derive(Default)]
struct Shape<'s> {
    schemas: Vec<&'s Map<String, Json>>,
    required: BTreeSet<&'s str>,
    properties: BTreeMap<&'s str, Below<'s>>,
    others: Below<'s>,
    elements: Below<'s>,
    empty: Option<Option<Box<str>>>,
}

/// The schemas of what is one step further down, and what they come to once somebody asks.
#[derive(Default)]
struct Below<'s> {
    schemas: Vec<&'s Json>,
    shape: Option<Option<ShapeId>>,
}

/// Schemas that may apply to one value.
const MOST_SCHEMAS: usize = 64;
/// Entries of schemas that are read for one message.
const MOST_READ: usize = 200_000;
/// Bytes of an empty value: it may have to be put in many places.
const MOST_EMPTY: usize = 96;

/// The value of a message that a tool's schema describes, and the schema.
pub(crate) fn described<'e, 's>(event: &Event<'e>, session: &'s Session) -> Option<(Value<'e>, &'s Json)> {
    let message = event.message;
    match event.direction {
        Direction::ToServer => {
            let schema = schema::schema_of(schema::called(event, session)?, true)?;
            Some((message.params()?.get("arguments")?, schema))
        }
        Direction::ToClient => {
            let schema = schema::schema_of(schema::answering(event, session)?, false)?;
            Some((message.result()?.get("structuredContent")?, schema))
        }
    }
}

impl<'s> Shapes<'s> {
    pub(crate) fn of(root: &'s Json) -> Shapes<'s> {
        Shapes { root, all: Vec::new(), by_schemas: BTreeMap::new(), left: MOST_READ }
    }

    /// That of the whole value.
    pub(crate) fn root(&mut self) -> Option<ShapeId> {
        self.shape(vec![self.root])
    }

    /// That of a member.
    pub(crate) fn member(&mut self, of: ShapeId, name: &str) -> Option<ShapeId> {
        self.below(of, |shape| match shape.properties.get_mut(name) {
            Some(below) => below,
            None => &mut shape.others,
        })
    }

    /// That of each element.
    pub(crate) fn element(&mut self, of: ShapeId) -> Option<ShapeId> {
        self.below(of, |shape| &mut shape.elements)
    }

    /// Whether a value has to have a member.
    pub(crate) fn requires(&self, of: ShapeId, name: &str) -> bool {
        self.all.get(of.0).is_some_and(|shape| shape.required.contains(name))
    }

    /// Characters that a text may have.
    pub(crate) fn longest(&self, of: ShapeId) -> Option<usize> {
        let schemas = self.all.get(of.0).map(|shape| &*shape.schemas).unwrap_or_default();
        let lengths = schemas.iter().filter_map(|schema| schema.get("maxLength")?.as_u64());
        lengths.min().map(|length| usize::try_from(length).unwrap_or(usize::MAX))
    }

    /// A value of that shape in which nothing is said, as JSON; none if that cannot be, or would be long.
    pub(crate) fn empty(&mut self, of: ShapeId) -> Option<Box<str>> {
        self.empty_within(of, 0)
    }

    fn empty_within(&mut self, of: ShapeId, depth: usize) -> Option<Box<str>> {
        const DEEPEST: usize = 8;
        if let Some(held) = self.all.get(of.0).and_then(|shape| shape.empty.clone()) {
            return held;
        }
        let made = if depth < DEEPEST { self.make_empty(of, depth) } else { None };
        let made = made.filter(|json| json.len() <= MOST_EMPTY).map(Box::from);
        if let Some(shape) = self.all.get_mut(of.0) {
            shape.empty = Some(made.clone());
        }
        made
    }

    fn make_empty(&mut self, of: ShapeId, depth: usize) -> Option<String> {
        let schemas = self.all.get(of.0).map(|shape| shape.schemas.clone())?;
        // Where only some values are possible, an empty one has to be among them.
        let among = |schema: &&&Map<String, Json>| schema.contains_key("enum") || schema.contains_key("const");
        if let Some(schema) = schemas.iter().find(among) {
            let listed = schema.get("enum").and_then(Json::as_array).into_iter().flatten();
            let mut values = listed.chain(schema.get("const"));
            return values.find(|value| is_empty(value)).map(Json::to_string);
        }
        let types: Vec<&str> = schemas.iter().find_map(|schema| types(schema)).unwrap_or_default();
        let has = |keyword: &str| schemas.iter().any(|schema| schema.contains_key(keyword));
        let kind = match types.first() {
            _ if types.contains(&"null") => "null",
            Some(first) => first,
            None if has("properties") || has("required") => "object",
            None if has("items") || has("prefixItems") => "array",
            None => "null",
        };
        Some(match kind {
            "string" => "\"\"".to_owned(),
            "number" | "integer" => "0".to_owned(),
            "boolean" => "false".to_owned(),
            "array" => "[]".to_owned(),
            "object" => self.empty_object(of, depth)?,
            _ => "null".to_owned(),
        })
    }

    fn empty_object(&mut self, of: ShapeId, depth: usize) -> Option<String> {
        let required: Vec<&str> = self.all.get(of.0)?.required.iter().copied().take(MOST_EMPTY).collect();
        let mut json = "{".to_owned();
        for name in required {
            let value = match self.member(of, name) {
                Some(shape) => self.empty_within(shape, depth + 1)?,
                None => "null".into(),
            };
            let comma = if json.len() > 1 { "," } else { "" };
            json.push_str(&format!("{comma}{}:{value}", quote(name)));
            if json.len() > MOST_EMPTY {
                return None;
            }
        }
        Some(json + "}")
    }

    fn below(&mut self, of: ShapeId, pick: impl for<'a> Fn(&'a mut Shape<'s>) -> &'a mut Below<'s>) -> Option<ShapeId> {
        let below = pick(self.all.get_mut(of.0)?);
        if let Some(known) = below.shape {
            return known;
        }
        let schemas = std::mem::take(&mut below.schemas);
        let shape = self.shape(schemas);
        pick(self.all.get_mut(of.0)?).shape = Some(shape);
        shape
    }

    /// What these schemas come to together, with all that they refer to.
    fn shape(&mut self, schemas: Vec<&'s Json>) -> Option<ShapeId> {
        let schemas = self.with_others(schemas);
        if schemas.is_empty() {
            return None;
        }
        let mut key: Vec<usize> = schemas.iter().map(|schema| std::ptr::from_ref(*schema) as usize).collect();
        key.sort_unstable();
        if let Some(known) = self.by_schemas.get(&key) {
            return Some(*known);
        }
        let cost = schemas.iter().map(|schema| entries(schema)).sum::<usize>();
        self.left = self.left.checked_sub(cost)?;
        let id = ShapeId(self.all.len());
        self.all.push(Shape::of(schemas));
        self.by_schemas.insert(key, id);
        Some(id)
    }

    /// Schemas with those that they refer to and their alternatives, each once.
    fn with_others(&mut self, schemas: Vec<&'s Json>) -> Vec<&'s Map<String, Json>> {
        let mut held: Vec<&'s Map<String, Json>> = Vec::new();
        let mut waiting = schemas;
        while let Some(schema) = waiting.pop() {
            let Json::Object(schema) = schema else { continue };
            if held.len() == MOST_SCHEMAS || self.left == 0 || held.iter().any(|other| std::ptr::eq(*other, schema)) {
                continue;
            }
            self.left -= 1;
            held.push(schema);
            let target = schema.get("$ref").and_then(Json::as_str).and_then(|target| target.strip_prefix('#'));
            waiting.extend(target.and_then(|pointer| self.root.pointer(pointer)));
            for keyword in ["allOf", "anyOf", "oneOf"] {
                waiting.extend(schema.get(keyword).and_then(Json::as_array).into_iter().flatten().take(MOST_SCHEMAS));
            }
            waiting.extend(["then", "else"].iter().filter_map(|keyword| schema.get(*keyword)));
        }
        held
    }
}

impl<'s> Shape<'s> {
    fn of(schemas: Vec<&'s Map<String, Json>>) -> Shape<'s> {
        let mut shape = Shape { schemas, ..Shape::default() };
        for schema in &shape.schemas {
            let required = schema.get("required").and_then(Json::as_array).into_iter().flatten();
            shape.required.extend(required.filter_map(Json::as_str));
            for (name, property) in schema.get("properties").and_then(Json::as_object).into_iter().flatten() {
                shape.properties.entry(name).or_default().schemas.push(property);
            }
            shape.others.schemas.extend(schema.get("additionalProperties"));
            shape.elements.schemas.extend(schema.get("items"));
            let first = schema.get("prefixItems").and_then(Json::as_array).into_iter().flatten();
            shape.elements.schemas.extend(first);
        }
        shape
    }
}

/// What it takes to read a schema without those below.
fn entries(schema: &Map<String, Json>) -> usize {
    let length = |keyword: &str| match schema.get(keyword) {
        Some(Json::Array(list)) => list.len(),
        Some(Json::Object(members)) => members.len(),
        _ => 0,
    };
    1 + length("required") + length("properties") + length("prefixItems")
}

fn types(schema: &Map<String, Json>) -> Option<Vec<&str>> {
    match schema.get("type")? {
        Json::String(one) => Some(vec![one]),
        Json::Array(several) => Some(several.iter().filter_map(Json::as_str).collect()),
        _ => None,
    }
}

fn is_empty(value: &Json) -> bool {
    match value {
        Json::Null | Json::Bool(false) => true,
        Json::Bool(true) => false,
        Json::Number(number) => number.as_f64() == Some(0.0),
        Json::String(text) => text.is_empty(),
        Json::Array(list) => list.is_empty(),
        Json::Object(members) => members.is_empty(),
    }
}

/// How many characters each of these texts may have by the tool's schema; `texts` is sorted.
pub(crate) fn longest(event: &Event<'_>, session: &Session, texts: &[NodeId]) -> BTreeMap<NodeId, usize> {
    let mut found = BTreeMap::new();
    if let Some((root, schema)) = described(event, session) {
        let mut shapes = Shapes::of(schema);
        let shape = shapes.root();
        longest_in(root, shape, &mut shapes, texts, &mut found);
    }
    found
}

/// Recurses as deep as the document nests, which the scanner has bounded, and only to where a text is that is looked for.
fn longest_in(
    value: Value<'_>,
    shape: Option<ShapeId>,
    shapes: &mut Shapes<'_>,
    texts: &[NodeId],
    found: &mut BTreeMap<NodeId, usize>,
) {
    let ids = value.ids();
    let (from, to) =
        (texts.partition_point(|id| id.index() < ids.start), texts.partition_point(|id| id.index() < ids.end));
    let texts = texts.get(from..to).unwrap_or_default();
    let Some(shape) = shape.filter(|_| !texts.is_empty()) else { return };
    match value.kind() {
        NodeKind::String => found.extend(shapes.longest(shape).map(|length| (value.id(), length))),
        NodeKind::Object => {
            for (key, member) in value.members() {
                let below = shapes.member(shape, &key.text());
                longest_in(member, below, shapes, texts, found);
            }
        }
        NodeKind::Array => {
            for element in value.elements() {
                let below = shapes.element(shape);
                longest_in(element, below, shapes, texts, found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn empty(schema: &Json) -> Option<String> {
        let mut shapes = Shapes::of(schema);
        let root = shapes.root()?;
        shapes.empty(root).map(String::from)
    }

    #[test]
    fn an_empty_value_is_of_its_type() {
        for (schema, expected) in [
            (json!({"type": "string"}), Some("\"\"")),
            (json!({"type": "integer"}), Some("0")),
            (json!({"type": "number"}), Some("0")),
            (json!({"type": "boolean"}), Some("false")),
            (json!({"type": "array", "items": {}}), Some("[]")),
            (json!({"type": ["string", "null"]}), Some("null")),
            (json!({"anyOf": [{"type": "null"}, {"type": "string"}]}), Some("\"\"")),
            (json!({}), Some("null")),
            (json!({"enum": ["a", ""]}), Some("\"\"")),
            (json!({"enum": ["a", "b"]}), None),
            (json!({"const": 1}), None),
            (
                json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {}}, "required": ["a"]}),
                Some(r#"{"a":""}"#),
            ),
            (
                json!({"properties": {"a": {"properties": {"b": {"type": "integer"}}, "required": ["b"]}}, "required": ["a"]}),
                Some(r#"{"a":{"b":0}}"#),
            ),
            (json!({"$ref": "#/$defs/x", "$defs": {"x": {"type": "boolean"}}}), Some("false")),
            (json!({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}), None),
        ] {
            assert_eq!(empty(&schema).as_deref(), expected, "{schema}");
        }
    }

    #[test]
    fn what_one_of_several_alternatives_requires_is_required() {
        let schema = json!({
            "allOf": [{"required": ["a"]}],
            "oneOf": [{"properties": {"b": {"type": "array", "items": {"required": ["c"]}}}}, {"required": ["d"]}]
        });
        let mut shapes = Shapes::of(&schema);
        let root = shapes.root().unwrap();
        assert_eq!(["a", "b", "d"].map(|name| shapes.requires(root, name)), [true, false, true]);
        let list = shapes.member(root, "b").unwrap();
        let element = shapes.element(list).unwrap();
        assert!(shapes.requires(element, "c") && shapes.member(root, "e").is_none());
    }

    /// Each name leads to another set of schemas; without a bound there would be as many as texts of two letters.
    #[test]
    fn what_a_schema_makes_of_itself_is_bounded() {
        let many: Vec<_> = (0..60).map(|n| json!({"properties": {"a": {"$ref": format!("#/anyOf/{n}")}, "b": {"$ref": format!("#/anyOf/{}", n * 7 % 60)}}})).collect();
        let schema = json!({"anyOf": many});
        let mut shapes = Shapes::of(&schema);
        let mut at = shapes.root();
        for step in 0..100_000 {
            let Some(shape) = at else { break };
            at = shapes.member(shape, if step % 3 == 0 { "a" } else { "b" });
        }
        assert!(shapes.all.len() <= MOST_READ);
    }
}
