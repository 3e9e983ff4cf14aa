//! What validating against a schema can cost at most, known before anything is compiled.
//!
//! A schema from outside is a program: a chain of `anyOf`s that refer to each other doubles the work at every link, a
//! recursive one multiplies it with every level of the value. The validator has no fuel to run out of, so the bound is
//! worked out here from the graph of subschemas. For each depth below the root it says how often subschemas can be
//! applied to one value there; weighted with the values of an actual message this bounds the whole validation.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::instance::Profile;
use super::pattern;

/// A schema's subschemas and which of them apply others.
#[derive(Debug)]
pub(super) struct Graph {
    nodes: Vec<Node>,
    /// A subschema stands behind all that it applies to the same value.
    order: Vec<u32>,
}

#[derive(Debug, Default)]
struct Node {
    /// Steps for one value, without other subschemas.
    work: u64,
    /// Steps for each byte of a string.
    scan: u64,
    /// `unevaluated…` goes through its neighbours again.
    again: bool,
    /// Subschemas for the same value.
    same: Vec<u32>,
    /// Subschemas of which one at most applies to any one child.
    one_of: Vec<u32>,
    /// Subschemas that may all apply to one child.
    each: Vec<u32>,
}

/// Why a schema cannot be worked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It refers to another document.
    External,
    /// It refers to a place that is not there, or to itself without end.
    Dangling,
    /// It holds schemas with identifiers of their own.
    Embedded,
    /// It is beyond a limit.
    TooComplex,
    /// Compiling its patterns is.
    Patterns,
}

/// Subschemas of one schema.
const MAX_SUBSCHEMAS: usize = 4_096;
/// How deep its JSON text nests.
const MAX_DEPTH: usize = 64;
/// What compiling its patterns may take, in units of [`pattern::compiling`].
const MAX_COMPILING: u64 = 4_000_000;
/// How often `unevaluated…` may have to apply subschemas to one value; the compiler unfolds these.
const MAX_UNFOLDED: u64 = 1_024;

impl Graph {
    /// Reads a schema and finds everything that it refers to.
    pub(super) fn of(schema: &Value) -> Result<Graph, Fault> {
        if !shallow(schema, MAX_DEPTH) {
            return Err(Fault::TooComplex);
        }
        let mut patterns = BTreeSet::new();
        collect_patterns(schema, &mut patterns);
        let compiling = patterns.iter().map(|pattern| pattern::compiling(pattern)).fold(0, u64::saturating_add);
        if compiling > MAX_COMPILING {
            return Err(Fault::Patterns);
        }
        let mut builder = Builder { root: schema, anchors: BTreeMap::new(), known: BTreeMap::new(), found: Vec::new() };
        let old = schema.get("$schema").and_then(Value::as_str).is_some_and(|dialect| dialect.contains("draft-04"));
        builder.collect_anchors(schema, if old { "id" } else { "$id" }, true)?;
        builder.node(schema);
        let mut nodes = Vec::new();
        while let Some(&next) = builder.found.get(nodes.len()) {
            if nodes.len() == MAX_SUBSCHEMAS {
                return Err(Fault::TooComplex);
            }
            nodes.push(builder.read(next, nodes.len() as u32)?);
        }
        let order = in_order(&nodes)?;
        let graph = Graph { nodes, order };
        graph.check_unfolding()?;
        Ok(graph)
    }

    fn check_unfolding(&self) -> Result<(), Fault> {
        if !self.nodes.iter().any(|node| node.again) {
            return Ok(());
        }
        let mut unfolded = vec![0_u64; self.nodes.len()];
        for (id, node) in self.ordered() {
            let size = node.same.iter().fold(1_u64, |sum, id| sum.saturating_add(at(&unfolded, *id)));
            put(&mut unfolded, id, size);
        }
        if unfolded.iter().any(|size| *size > MAX_UNFOLDED) { Err(Fault::TooComplex) } else { Ok(()) }
    }

    fn ordered(&self) -> impl Iterator<Item = (u32, &Node)> {
        self.order.iter().filter_map(|id| Some((*id, self.nodes.get(*id as usize)?)))
    }

    /// The bounds for values up to `depth` deep.
    pub(super) fn bounds(&self, depth: usize) -> Bounds {
        let mut bounds = Bounds { levels: Vec::new() };
        let mut above = vec![Level::default(); self.nodes.len()];
        for level in 0..=depth {
            let mut here = vec![Level::default(); self.nodes.len()];
            for (id, node) in self.ordered() {
                let reached = node.level(level == 0, &here, &above);
                put(&mut here, id, reached);
            }
            bounds.levels.push(here.first().copied().unwrap_or_default());
            if here == above {
                break;
            }
            above = here;
        }
        bounds
    }
}

/// What applying a subschema can cause at a certain depth below it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Level {
    /// Steps for one value.
    steps: u64,
    /// Steps for each byte of a string.
    scans: u64,
    /// Subschemas within each other.
    frames: u32,
}

impl Level {
    fn and(self, other: Level) -> Level {
        Level {
            steps: self.steps.saturating_add(other.steps),
            scans: self.scans.saturating_add(other.scans),
            frames: self.frames.max(other.frames),
        }
    }

    fn or(self, other: Level) -> Level {
        Level {
            steps: self.steps.max(other.steps),
            scans: self.scans.max(other.scans),
            frames: self.frames.max(other.frames),
        }
    }
}

impl Node {
    fn level(&self, outermost: bool, here: &[Level], above: &[Level]) -> Level {
        let mut level = self.same.iter().map(|id| at(here, *id)).fold(Level::default(), Level::and);
        if outermost {
            level = level.and(Level { steps: self.work, scans: self.scan, frames: 0 });
        } else {
            level = level.and(self.one_of.iter().map(|id| at(above, *id)).fold(Level::default(), Level::or));
            level = self.each.iter().map(|id| at(above, *id)).fold(level, Level::and);
        }
        if self.again {
            level = Level { steps: level.steps.saturating_mul(4), scans: level.scans.saturating_mul(4), ..level };
        }
        let reached = outermost || level != Level::default();
        Level { frames: if reached { level.frames.saturating_add(1) } else { 0 }, ..level }
    }
}

/// The cost of validating, by depth.
#[derive(Debug)]
pub(super) struct Bounds {
    levels: Vec<Level>,
}

impl Bounds {
    /// Steps that validating a value of this profile cannot exceed.
    pub(super) fn steps(&self, profile: &Profile) -> u64 {
        let sizes = profile.nodes.iter().zip(&profile.bytes);
        sizes.zip(self.each_level()).fold(0_u64, |sum, ((nodes, bytes), level)| {
            let values = nodes.saturating_mul(level.steps);
            sum.saturating_add(values).saturating_add(bytes.saturating_mul(level.scans))
        })
    }

    /// How many subschemas can be in the middle of their work at once, which bounds the stack.
    pub(super) fn frames(&self, profile: &Profile) -> u32 {
        self.each_level().take(profile.nodes.len()).map(|level| level.frames).max().unwrap_or_default()
    }

    /// Level by level; where the bounds no longer change, the last one goes on.
    fn each_level(&self) -> impl Iterator<Item = Level> {
        let last = self.levels.last().copied().unwrap_or_default();
        self.levels.iter().copied().chain(std::iter::repeat(last))
    }
}

fn at<T: Copy + Default>(all: &[T], id: u32) -> T {
    all.get(id as usize).copied().unwrap_or_default()
}

fn put<T>(all: &mut [T], id: u32, value: T) {
    if let Some(place) = all.get_mut(id as usize) {
        *place = value;
    }
}

/// Each node behind all of its `same`; a fault if a subschema applies itself to the same value.
fn in_order(nodes: &[Node]) -> Result<Vec<u32>, Fault> {
    const NEW: u8 = 0;
    const OPEN: u8 = 1;
    const DONE: u8 = 2;
    let mut state = vec![NEW; nodes.len()];
    let mut order = Vec::with_capacity(nodes.len());
    for start in 0..nodes.len() as u32 {
        let mut stack = vec![(start, 0)];
        while let Some((id, next)) = stack.pop() {
            match (at(&state, id), next) {
                (DONE, _) => continue,
                (OPEN, 0) => return Err(Fault::Dangling),
                _ => put(&mut state, id, OPEN),
            }
            let same = nodes.get(id as usize).and_then(|node| node.same.get(next));
            if let Some(&below) = same {
                stack.push((id, next + 1));
                stack.push((below, 0));
            } else {
                put(&mut state, id, DONE);
                order.push(id);
            }
        }
    }
    Ok(order)
}

fn shallow(value: &Value, depth: usize) -> bool {
    let Some(below) = depth.checked_sub(1) else { return false };
    match value {
        Value::Array(elements) => elements.iter().all(|element| shallow(element, below)),
        Value::Object(members) => members.values().all(|member| shallow(member, below)),
        _ => true,
    }
}

/// Patterns, wherever they stand: a reference may lead anywhere, and taking a few too many only raises the bound. One
/// that stands there twice is compiled once.
fn collect_patterns<'a>(value: &'a Value, patterns: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(members) => {
            patterns.extend(members.get("pattern").and_then(Value::as_str));
            let keyed = members.get("patternProperties").and_then(Value::as_object);
            patterns.extend(keyed.into_iter().flat_map(Map::keys).map(String::as_str));
            members.values().for_each(|member| collect_patterns(member, patterns));
        }
        Value::Array(elements) => elements.iter().for_each(|element| collect_patterns(element, patterns)),
        _ => {}
    }
}

#[derive(Clone, Copy)]
enum Item<'a> {
    Schema(&'a Value),
    /// A key held against a pattern that takes so many steps for each byte.
    Key(u64),
    /// Something that is compared with its neighbours, with all it holds.
    Unique,
}

struct Builder<'a> {
    root: &'a Value,
    anchors: BTreeMap<&'a str, Vec<&'a Value>>,
    /// Subschemas by where they lie in memory, which is the same for two references to one place.
    known: BTreeMap<*const Value, u32>,
    found: Vec<Item<'a>>,
}

impl<'a> Builder<'a> {
    fn node(&mut self, schema: &'a Value) -> u32 {
        let place = std::ptr::from_ref(schema);
        if let Some(id) = self.known.get(&place) {
            return *id;
        }
        let id = self.push(Item::Schema(schema));
        self.known.insert(place, id);
        id
    }

    fn push(&mut self, item: Item<'a>) -> u32 {
        self.found.push(item);
        (self.found.len() - 1) as u32
    }

    /// Anchors, wherever they stand: taking a few too many for schemas only raises the bound.
    fn collect_anchors(&mut self, value: &'a Value, id: &str, outermost: bool) -> Result<(), Fault> {
        match value {
            Value::Object(members) => {
                for key in ["$anchor", "$dynamicAnchor", id] {
                    let Some(Value::String(text)) = members.get(key) else { continue };
                    let name = if key == id { text.strip_prefix('#') } else { Some(text.as_str()) };
                    match name {
                        Some(name) => self.anchors.entry(name).or_default().push(value),
                        None if outermost => {}
                        None => return Err(Fault::Embedded),
                    }
                }
                members.values().try_for_each(|member| self.collect_anchors(member, id, false))
            }
            Value::Array(elements) => elements.iter().try_for_each(|element| self.collect_anchors(element, id, false)),
            _ => Ok(()),
        }
    }

    fn read(&mut self, item: Item<'a>, id: u32) -> Result<Node, Fault> {
        let mut node = Node { work: 1, scan: 1, ..Node::default() };
        match item {
            Item::Schema(Value::Object(keywords)) => {
                for (keyword, value) in keywords {
                    node.work += 1;
                    self.keyword(keyword, value, &mut node)?;
                }
            }
            Item::Schema(_) => {}
            Item::Key(steps) => node.scan = steps,
            Item::Unique => {
                node.work = 16;
                node.one_of.push(id);
            }
        }
        Ok(node)
    }

    fn keyword(&mut self, keyword: &str, value: &'a Value, node: &mut Node) -> Result<(), Fault> {
        match keyword {
            "allOf" | "anyOf" | "oneOf" => node.same.extend(self.all(value)),
            "not" | "if" | "then" | "else" => node.same.push(self.node(value)),
            "dependentSchemas" | "dependencies" => {
                node.work += size(value);
                let members = value.as_object().into_iter().flat_map(Map::values);
                node.same.extend(members.filter(|member| !member.is_array()).map(|member| self.node(member)));
            }
            "$ref" | "$dynamicRef" | "$recursiveRef" => node.same.extend(self.refer(value)?),
            "properties" | "prefixItems" => {
                node.one_of.extend(self.all(value));
                node.work += node.one_of.len() as u64;
            }
            "items" if value.is_array() => node.one_of.extend(self.all(value)),
            "items" | "additionalItems" | "additionalProperties" => node.one_of.push(self.node(value)),
            "contains" | "propertyNames" => node.each.push(self.node(value)),
            "unevaluatedProperties" | "unevaluatedItems" => {
                node.again = true;
                node.each.push(self.node(value));
            }
            "patternProperties" => {
                for (key, schema) in value.as_object().into_iter().flatten() {
                    node.each.push(self.push(Item::Key(pattern_steps(key))));
                    node.each.push(self.node(schema));
                }
            }
            "pattern" => node.scan += value.as_str().map_or(0, pattern_steps),
            "contentMediaType" | "contentEncoding" => node.scan += 8,
            "uniqueItems" => node.each.push(self.push(Item::Unique)),
            // Not applied by itself, but what it refers to has to be here too.
            "$defs" | "definitions" => drop(self.all(value)),
            _ => node.work += size(value),
        }
        Ok(())
    }

    /// The subschemas in an array or object.
    fn all(&mut self, value: &'a Value) -> Vec<u32> {
        match value {
            Value::Array(elements) => elements.iter().map(|element| self.node(element)).collect(),
            Value::Object(members) => members.values().map(|member| self.node(member)).collect(),
            _ => Vec::new(),
        }
    }

    /// What a reference can lead to; a dynamic one may find any anchor of its name.
    fn refer(&mut self, reference: &Value) -> Result<Vec<u32>, Fault> {
        let Value::String(reference) = reference else { return Err(Fault::Dangling) };
        let own = self.root.get("$id").and_then(Value::as_str).map(|id| id.trim_end_matches('#'));
        let own = own.filter(|id| !id.is_empty()).and_then(|id| reference.strip_prefix(id)).unwrap_or(reference);
        let fragment = match own.strip_prefix('#') {
            Some(fragment) => fragment,
            None if own.is_empty() => "",
            None => return Err(Fault::External),
        };
        let fragment = percent_decoded(fragment).ok_or(Fault::Dangling)?;
        if fragment.is_empty() || fragment.starts_with('/') {
            let target = self.root.pointer(&fragment).ok_or(Fault::Dangling)?;
            return Ok(vec![self.node(target)]);
        }
        let targets = self.anchors.get(fragment.as_str()).cloned().ok_or(Fault::Dangling)?;
        Ok(targets.into_iter().map(|target| self.node(target)).collect())
    }
}

fn pattern_steps(text: &str) -> u64 {
    // A step of the automaton is some four times cheaper than applying a subschema.
    pattern::states(text) / 4 + 1
}

/// Values and keys in a JSON value.
fn size(value: &Value) -> u64 {
    match value {
        Value::Array(elements) => elements.iter().fold(1, |sum, element| sum + size(element)),
        Value::Object(members) => members.values().fold(1, |sum, member| sum + 1 + size(member)),
        _ => 1,
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        bytes.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::super::instance::convert;
    use super::*;
    use bartizan_mcp::{Limits, Message};
    use serde_json::json;

    fn steps(schema: &Value, value: &Value) -> (u64, u32) {
        let text = json!({"jsonrpc": "2.0", "id": 1, "result": value}).to_string();
        let (_, profile) = convert(Message::parse(text, &Limits::default()).unwrap().result().unwrap(), true).unwrap();
        let bounds = Graph::of(schema).unwrap().bounds(Limits::MAX_DEPTH);
        (bounds.steps(&profile), bounds.frames(&profile))
    }

    #[test]
    fn ordinary_schemas_cost_about_as_much_as_the_value_is_large() {
        let schema = json!({"type": "object", "properties": {
            "path": {"type": "string"}, "lines": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        }, "required": ["path"], "additionalProperties": false});
        let (small, frames) = steps(&schema, &json!({"path": "a", "lines": [1, 2, 3]}));
        let (large, _) = steps(&schema, &json!({"path": "a", "lines": vec![1; 3000]}));
        assert!(small < 100 && large < 100 * 1000 && frames == 3, "{small} {large} {frames}");
    }

    #[test]
    fn doubling_shows() {
        let mut defs = Map::new();
        defs.insert("d0".into(), json!({"type": "string"}));
        for link in 1..40 {
            let below = json!({"$ref": format!("#/$defs/d{}", link - 1)});
            defs.insert(format!("d{link}"), json!({"anyOf": [below, below]}));
        }
        let (cost, _) = steps(&json!({"$defs": defs, "$ref": "#/$defs/d39"}), &json!(1));
        assert!(cost > 1 << 39, "{cost}");
        let tree = json!({"anyOf": [{"properties": {"a": {"$ref": "#"}}}, {"properties": {"a": {"$ref": "#"}}}]});
        let deep = |levels| (0..levels).fold(json!(1), |below, _| json!({"a": below}));
        assert!(steps(&tree, &deep(60)).0 > 1 << 60);
        assert!(steps(&tree, &deep(3)).0 < 1000);
        let once = json!({"properties": {"a": {"$ref": "#"}}, "additionalProperties": {"$ref": "#"}});
        assert!(steps(&once, &deep(60)).0 < 5000);
    }

    #[test]
    fn schemas_that_cannot_be_worked_with() {
        let many: Vec<_> = (0..5000).map(|_| json!({"type": "string"})).collect();
        let deep = (0..70).fold(json!({}), |below, _| json!({"items": below}));
        let chain: Map<_, _> = (0..30)
            .map(|link| {
                let next = json!({"$ref": format!("#/$defs/d{}", link + 1)});
                (format!("d{link}"), json!({"allOf": [next, next]}))
            })
            .chain([("d30".to_owned(), json!({}))])
            .collect();
        for (schema, fault) in [
            (json!({"$ref": "https://example.com/x.json"}), Fault::External),
            (json!({"$defs": {"unused": {"$ref": "other.json#/a"}}}), Fault::External),
            (json!({"properties": {"a": {"$ref": "file:///etc/passwd"}}}), Fault::External),
            (json!({"$ref": "#/nowhere"}), Fault::Dangling),
            (json!({"$ref": "#nowhere"}), Fault::Dangling),
            (json!({"$ref": "#"}), Fault::Dangling),
            (json!({"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"not": {"$ref": "#"}}}}), Fault::Dangling),
            (json!({"$dynamicAnchor": "n", "$dynamicRef": "#n"}), Fault::Dangling),
            (json!({"properties": {"a": {"$id": "https://example.com/x", "type": "string"}}}), Fault::Embedded),
            (json!({"anyOf": many}), Fault::TooComplex),
            (deep, Fault::TooComplex),
            (json!({"$ref": "#/$defs/d0", "$defs": chain, "unevaluatedProperties": false}), Fault::TooComplex),
        ] {
            assert_eq!(Graph::of(&schema).err(), Some(fault), "{schema:.200}");
        }
    }

    #[test]
    fn references_within_the_document_are_found() {
        for schema in [
            json!({"properties": {"$ref": {"type": "string"}}}),
            json!({"enum": [{"$ref": "https://example.com/"}], "default": {"$ref": "x.json"}}),
            json!({"$defs": {"a/b c": {}}, "$ref": "#/$defs/a~1b%20c"}),
            json!({"$id": "https://example.com/s", "$ref": "https://example.com/s#/$defs/a", "$defs": {"a": {}}}),
            json!({"$defs": {"a": {"$anchor": "here"}}, "$ref": "#here"}),
            json!({"definitions": {"a": {"$id": "#here"}}, "$ref": "#here"}),
            json!({"properties": {"next": {"$ref": "#"}}}),
            json!({"$dynamicAnchor": "n", "properties": {"next": {"$dynamicRef": "#n"}}}),
        ] {
            assert!(Graph::of(&schema).is_ok(), "{schema}");
        }
    }
}
