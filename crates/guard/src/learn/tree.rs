//! The fields of a tool's results, as a tree of names in bounded memory.

use std::collections::BTreeMap;

use bartizan_mcp::{JsonPath, NodeKind, Value};

use super::field::{Field, Hints};
use super::later::{Later, OF_FIELD};
use super::names::{self, NameKind};

/// Names that are told apart in one place; where there are more they are keys of a table, and not names of fields.
const NAMES: usize = 128;
/// Names of one place that are looked at whether they can be shown.
const TRIED: u32 = 512;
/// Places of one tool, and of all.
const OF_TOOL: usize = 2_000;
const OF_ALL: usize = 50_000;
/// Later calls in which a field came up, after which its values need no more room.
const KNOWN: u64 = 100;
/// From so many names on it is looked whether they are keys of a table.
const FEW_NAMES: usize = 8;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Name(Box<str>),
    Any,
}

/// One place in the results of a tool.
#[derive(Debug, Default)]
pub(super) struct Node {
    named: BTreeMap<Box<str>, Node>,
    /// Elements of an array, and members whose names are not shown.
    any: Option<Box<Node>>,
    field: Option<u32>,
    /// How many objects stood here, and in how many of those around it this was.
    objects: u64,
    seen: u64,
    tried: u32,
}

/// All fields, by number.
#[derive(Debug, Default)]
pub(super) struct Fields {
    all: Vec<Field>,
    places: usize,
}

impl Fields {
    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Field> {
        self.all.get_mut(usize::try_from(number).ok()?)
    }

    fn get(&self, number: u32) -> Option<&Field> {
        self.all.get(usize::try_from(number).ok()?)
    }

    fn new_field(&mut self, name: Option<NameKind>) -> Option<u32> {
        let number = u32::try_from(self.all.len()).ok()?;
        self.all.push(Field::of(name));
        Some(number)
    }
}

/// One result on its way into the tree.
pub(super) struct Walk<'w> {
    pub(super) fields: &'w mut Fields,
    pub(super) later: &'w mut Later,
    /// The client that it was brought to.
    pub(super) client: u64,
    /// Which result of the tool it is.
    pub(super) result: u64,
    /// Domains whose mail is of no stranger.
    pub(super) own: &'w [String],
    /// Places of the tool so far.
    pub(super) places: &'w mut usize,
    /// Values that have no place any more.
    pub(super) further: u64,
    /// Elements of the longest array.
    pub(super) rows: Option<usize>,
    pub(super) hints: Hints,
}

impl Walk<'_> {
    /// Notes all that stands in a value. Recurses no deeper than a path may be long.
    pub(super) fn value(&mut self, value: Value<'_>, node: &mut Node, depth: usize) {
        match value.kind() {
            NodeKind::Object if depth + 1 < JsonPath::MOST_STEPS => {
                node.objects += 1;
                for (key, member) in value.members() {
                    let name = key.text();
                    let Some((child, kind)) = self.member(node, &name) else { continue };
                    child.seen += 1;
                    match kind {
                        Some(_) => self.whole(member, child, kind),
                        None => self.value(member, child, depth + 1),
                    }
                }
            }
            NodeKind::Array if depth + 1 < JsonPath::MOST_STEPS => {
                self.rows = self.rows.max(Some(value.elements().count()));
                let Some(child) = self.any(node) else { return };
                value.elements().for_each(|element| self.value(element, child, depth + 1));
            }
            NodeKind::Object | NodeKind::Array => self.further += 1,
            NodeKind::Null => {}
            NodeKind::Key | NodeKind::String => self.text(&value.text(), node),
            kind => self.leaf(value.raw(), kind == NodeKind::Number, node),
        }
    }

    /// Notes a text that stands alone.
    pub(super) fn text(&mut self, text: &str, node: &mut Node) {
        let Some(number) = self.field(node, None, text.len()) else { return };
        self.says(number, text);
    }

    fn leaf(&mut self, raw: &str, is_number: bool, node: &mut Node) {
        let Some(number) = self.field(node, None, raw.len()) else { return };
        if is_number {
            self.track(number, raw);
        }
    }

    /// A member that is what its name says, whatever is in it.
    fn whole(&mut self, value: Value<'_>, node: &mut Node, kind: Option<NameKind>) {
        if value.kind() == NodeKind::Null {
            return;
        }
        let Some(number) = self.field(node, kind, value.raw().len()) else { return };
        for held in value.subtree() {
            match held.kind() {
                NodeKind::String => self.says(number, &held.text()),
                NodeKind::Number => self.track(number, held.raw()),
                _ => {}
            }
        }
    }

    fn says(&mut self, number: u32, text: &str) {
        if let Some(field) = self.fields.get_mut(number) {
            let hints = field.text(text, self.own);
            self.hints.and(hints);
        }
        self.track(number, text);
    }

    /// Has later calls held against a value, unless it is known well enough that values of this field come up.
    fn track(&mut self, number: u32, text: &str) {
        let Some(field) = self.fields.get_mut(number).filter(|field| field.came_up < KNOWN) else { return };
        if field.tracked < OF_FIELD && self.later.brought(self.client, number, text) {
            field.tracked += 1;
        }
    }

    /// The field of a place, in which so many bytes stand.
    fn field(&mut self, node: &mut Node, kind: Option<NameKind>, bytes: usize) -> Option<u32> {
        if node.field.is_none() {
            node.field = self.fields.new_field(kind);
        }
        let number = node.field?;
        self.fields.get_mut(number)?.is_in(self.result, bytes);
        Some(number)
    }

    fn member<'n>(&mut self, node: &'n mut Node, name: &str) -> Option<(&'n mut Node, Option<NameKind>)> {
        let is_new = !node.named.contains_key(name);
        if is_new {
            let may = node.named.len() < NAMES && node.tried < TRIED;
            node.tried = node.tried.saturating_add(1);
            if !(may && names::is_shown(name)) {
                return self.any(node).map(|node| (node, None));
            }
            self.makes_place().then_some(())?;
        }
        let child = node.named.entry(name.into()).or_default();
        Some((child, names::kind_of(name)))
    }

    fn any<'n>(&mut self, node: &'n mut Node) -> Option<&'n mut Node> {
        if node.any.is_none() {
            self.makes_place().then_some(())?;
        }
        Some(node.any.get_or_insert_default())
    }

    /// Whether there is room for one more place; what has none is counted.
    fn makes_place(&mut self) -> bool {
        let has_room = *self.places < OF_TOOL && self.fields.places < OF_ALL;
        if has_room {
            *self.places += 1;
            self.fields.places += 1;
        } else {
            self.further += 1;
        }
        has_room
    }
}

impl Node {
    /// The fields with the ways to them, in order.
    pub(super) fn fields(mut self, fields: &mut Fields) -> Vec<(Vec<Step>, Field)> {
        let mut all = Vec::new();
        self.collect(&mut Vec::new(), fields, &mut all);
        all
    }

    fn collect(&mut self, way: &mut Vec<Step>, fields: &mut Fields, all: &mut Vec<(Vec<Step>, Field)>) {
        if self.is_table() {
            let mut any = self.any.take().unwrap_or_default();
            std::mem::take(&mut self.named).into_values().for_each(|node| any.merge(node, fields));
            self.any = Some(any);
        }
        if let Some(field) = self.field.and_then(|number| fields.get(number)) {
            all.push((way.clone(), field.clone()));
        }
        for (name, node) in &mut self.named {
            way.push(Step::Name(name.clone()));
            node.collect(way, fields, all);
            way.pop();
        }
        if let Some(any) = &mut self.any {
            way.push(Step::Any);
            any.collect(way, fields, all);
            way.pop();
        }
    }

    /// Whether its names are keys: others in most objects.
    fn is_table(&self) -> bool {
        let seldom = self.named.values().filter(|node| node.seen.saturating_mul(4) <= self.objects).count();
        let varies = self.named.len() >= FEW_NAMES && self.objects >= 4 && seldom * 2 > self.named.len();
        varies || self.named.len() >= NAMES
    }

    fn merge(&mut self, other: Node, fields: &mut Fields) {
        self.objects += other.objects;
        self.seen += other.seen;
        match (self.field, other.field) {
            (Some(own), Some(more)) => {
                if let Some(more) = fields.get(more).cloned() {
                    fields.get_mut(own).into_iter().for_each(|field| field.add(&more));
                }
            }
            (None, more) => self.field = more,
            (Some(_), None) => {}
        }
        for (name, node) in other.named {
            self.named.entry(name).or_default().merge(node, fields);
        }
        if let Some(any) = other.any {
            self.any.get_or_insert_default().merge(*any, fields);
        }
    }
}

/// The path of a way; none if it is longer than any path may be.
pub(super) fn path_of(way: &[Step]) -> Option<JsonPath> {
    let path = way.iter().try_fold(JsonPath::parse("$").ok()?, |path, step| {
        let next = match step {
            Step::Name(name) => path.member(name),
            Step::Any => path.all(),
        };
        (next.as_str().len() <= JsonPath::MOST_BYTES).then_some(next)
    })?;
    // As it will be read.
    JsonPath::parse(path.as_str()).ok()
}

/// Whether what one way leads to is, or is within, what another one may lead to.
pub(super) fn covers(one: &[Step], other: &[Step]) -> bool {
    let meets = |(one, other): (&Step, &Step)| one == other || *one == Step::Any || *other == Step::Any;
    one.len() <= other.len() && one.iter().zip(other).all(meets)
}

#[cfg(test)]
mod tests {
    use bartizan_mcp::{Document, Limits};

    use super::*;

    /// Paths of what stands in these values, with how many values are in each.
    fn seen(results: &[String]) -> Vec<(String, u64)> {
        let (mut fields, mut later, mut node, mut places) = (Fields::default(), Later::default(), Node::default(), 0);
        for (result, text) in results.iter().enumerate() {
            let document = Document::parse(text.clone(), &Limits::default()).unwrap();
            let mut walk = Walk {
                fields: &mut fields,
                later: &mut later,
                client: 1,
                result: result as u64,
                own: &[],
                places: &mut places,
                further: 0,
                rows: None,
                hints: Hints::default(),
            };
            walk.value(document.root(), &mut node, 0);
        }
        assert!(places <= OF_TOOL);
        let all = node.fields(&mut fields);
        all.iter().map(|(way, field)| (path_of(way).unwrap().as_str().to_owned(), field.values)).collect()
    }

    fn check(results: &[String], expected: &[(&str, u64)]) {
        let expected: Vec<_> = expected.iter().map(|(path, count)| ((*path).to_owned(), *count)).collect();
        assert_eq!(seen(results), expected, "{results:?}");
    }

    #[test]
    fn fields_are_told_by_their_names_and_data_by_a_star() {
        let rows = r#"{"rows":[{"id":1,"it's":true,"_links":{"self":"x"}},{"id":2,"n":null}]}"#;
        check(&[rows.to_owned()], &[("$.rows[*]._links", 1), ("$.rows[*].id", 2), ("$.rows[*]['it\\'s']", 1)]);
        check(&[r#"{"ann@example.org":{"age":4},"u-12345":{"age":5}}"#.to_owned()], &[("$[*].age", 2)]);
        check(&["[[1,2],[3]]".to_owned()], &[("$[*][*]", 3)]);
    }

    #[test]
    fn names_that_are_others_each_time_are_keys() {
        let result = |number: usize| {
            let name = |at: usize| char::from(b'a' + u8::try_from(at).unwrap());
            format!(r#"{{"total":1,"by":{{"x{}":{{"n":1}},"y{}":{{"n":2}}}}}}"#, name(number), name(number))
        };
        let results: Vec<_> = (0..10).map(result).collect();
        check(&results, &[("$.by[*].n", 20), ("$.total", 10)]);
    }

    #[test]
    fn what_a_hostile_server_makes_up_takes_no_more_than_it_may() {
        let name = |at: usize| ["a", "b", "c", "d", "e", "f", "g", "h"].map(String::from).get(at % 8).cloned().unwrap();
        let key = |mut at: usize| {
            let mut key = String::new();
            while at > 0 || key.is_empty() {
                key.push_str(&name(at));
                at /= 8;
            }
            key
        };
        let flat: Vec<_> = (0..5_000).map(|at| format!(r#""{}":"v""#, key(at))).collect();
        check(&[format!("{{{}}}", flat.join(","))], &[("$[*]", 5_000)]);
        let deep = format!("{}1{}", r#"{"a":"#.repeat(60), "}".repeat(60));
        check(&[deep], &[]);
    }

    #[test]
    fn a_way_covers_what_it_may_lead_to() {
        let way = |text: &str| -> Vec<Step> {
            text.split('.').map(|step| if step == "*" { Step::Any } else { Step::Name(step.into()) }).collect()
        };
        for (one, other, does) in [
            ("a", "a", true),
            ("a", "a.b", true),
            ("a.b", "a", false),
            ("*.b", "a.b", true),
            ("a.b", "*.b", true),
            ("a.*", "b.c", false),
        ] {
            assert_eq!(covers(&way(one), &way(other)), does, "{one} {other}");
        }
    }
}
