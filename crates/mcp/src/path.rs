//! Paths to values in JSON: a small part of JSONPath (RFC 9535), and which values of a document they address.
//!
//! Several paths are followed together, in one walk over a document. What a step costs depends on the paths and not on the
//! document: a walk is linear in it, whatever it holds.

use std::fmt;

use thiserror::Error;

use crate::document::{NodeKind, Value};

/// A path: `$`, `.name`, `['name']`, `[*]`, `.*`, `[n]`, and `..` before any of them for every depth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath {
    text: Box<str>,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    /// Whether it may stand at any depth below.
    deep: bool,
    select: Select,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Select {
    Name(Box<str>),
    Index(usize),
    Any,
}

/// Why a text is no path.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{path}` is no path: {why}, at character {at}")]
pub struct PathError {
    path: String,
    at: usize,
    why: &'static str,
}

impl JsonPath {
    /// Steps of one path.
    pub const MOST_STEPS: usize = 32;
    /// Bytes of one path.
    pub const MOST_BYTES: usize = 1_024;

    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str) -> Result<JsonPath, PathError> {
        let shown = text.get(..text.floor_char_boundary(Self::MOST_BYTES)).unwrap_or_default();
        let mut reader = Reader { whole: shown, rest: shown };
        if shown.len() < text.len() {
            return Err(reader.fail("it is too long"));
        }
        if !reader.take("$") {
            return Err(reader.fail("it begins with `$`"));
        }
        let mut steps = Vec::new();
        while !reader.rest.is_empty() {
            if steps.len() == Self::MOST_STEPS {
                return Err(reader.fail("it has too many steps"));
            }
            steps.push(reader.step()?);
        }
        Ok(JsonPath { text: text.into(), steps })
    }

    /// The path of what a member of all that this one addresses holds.
    #[must_use]
    pub fn member(&self, name: &str) -> JsonPath {
        let quoted = name.replace('\\', "\\\\").replace('\'', "\\'");
        let plain = is_plain(name) && !name.is_empty();
        let text = if plain { format!("{}.{name}", self.text) } else { format!("{}['{quoted}']", self.text) };
        self.with(text, Select::Name(name.into()))
    }

    /// The path of everything directly in what this one addresses.
    #[must_use]
    pub fn all(&self) -> JsonPath {
        self.with(format!("{}[*]", self.text), Select::Any)
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is the whole value.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.steps.is_empty()
    }

    fn with(&self, text: String, select: Select) -> JsonPath {
        let step = Step { deep: false, select };
        JsonPath { text: text.into(), steps: self.steps.iter().cloned().chain([step]).collect() }
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether a name may stand behind a full stop.
fn is_plain(name: &str) -> bool {
    let fits = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    name.chars().all(fits) && !name.starts_with(|c: char| c.is_ascii_digit())
}

struct Reader<'t> {
    whole: &'t str,
    rest: &'t str,
}

impl Reader<'_> {
    fn fail(&self, why: &'static str) -> PathError {
        let before = self.whole.len() - self.rest.len();
        let at = self.whole.get(..before).unwrap_or_default().chars().count() + 1;
        PathError { path: self.whole.to_owned(), at, why }
    }

    fn take(&mut self, token: &str) -> bool {
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn step(&mut self) -> Result<Step, PathError> {
        let deep = self.take("..");
        if self.take("[") {
            return Ok(Step { deep, select: self.bracket()? });
        }
        if !deep && !self.take(".") {
            return Err(self.fail("expected `.`, `..` or `[`"));
        }
        if self.take("*") {
            return Ok(Step { deep, select: Select::Any });
        }
        let end = self.rest.find(['.', '[']).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        if name.is_empty() {
            return Err(self.fail("expected a name"));
        }
        if !is_plain(name) {
            return Err(self.fail("this name has to stand in brackets and quotes, as in `['a name']`"));
        }
        let select = Select::Name(name.into());
        self.rest = rest;
        Ok(Step { deep, select })
    }

    fn bracket(&mut self) -> Result<Select, PathError> {
        let select = if self.take("*") {
            Select::Any
        } else if self.take("'") {
            Select::Name(self.quoted('\'')?.into())
        } else if self.take("\"") {
            Select::Name(self.quoted('"')?.into())
        } else {
            let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
            let (digits, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
            let index = digits.parse().map_err(|_| self.fail("expected `*`, a number or a name in quotes"))?;
            self.rest = rest;
            Select::Index(index)
        };
        if self.take("]") { Ok(select) } else { Err(self.fail("expected `]`")) }
    }

    /// A name up to its quotation mark, before which a backslash makes it a part of the name.
    fn quoted(&mut self, mark: char) -> Result<String, PathError> {
        let mut name = String::new();
        let mut characters = self.rest.char_indices();
        while let Some((at, c)) = characters.next() {
            match c {
                '\\' => match characters.next() {
                    Some((_, c)) if c == mark || c == '\\' => name.push(c),
                    _ => return Err(self.fail("a backslash may only stand before a quotation mark or a backslash")),
                },
                c if c == mark => {
                    self.rest = self.rest.get(at + c.len_utf8()..).unwrap_or_default();
                    return Ok(name);
                }
                c => name.push(c),
            }
        }
        Err(self.fail("a quotation mark is missing"))
    }
}

/// Several paths that are followed together.
#[derive(Debug, Clone)]
pub struct Paths {
    /// The steps of all of them; what begins alike is there once. The first is where all of them begin.
    nodes: Vec<Node>,
}

#[derive(Debug, Clone)]
struct Node {
    step: Step,
    /// Whether a path ends here.
    ends: bool,
    next: Vec<usize>,
}

/// How far the paths are followed at one value.
#[derive(Debug, Clone, Default)]
pub struct Trail {
    /// Steps that lead exactly here, and steps that are still looked for at any depth.
    at: Vec<(usize, bool)>,
}

/// One step down from a value of a document.
#[derive(Debug, Clone, Copy)]
pub enum Down<'k> {
    /// Into the member of that name.
    Member(&'k str),
    /// Into the element of that number.
    Element(usize),
}

impl Paths {
    /// These.
    pub fn of<'p>(paths: impl IntoIterator<Item = &'p JsonPath>) -> Paths {
        let begin = Node { step: Step { deep: false, select: Select::Any }, ends: false, next: Vec::new() };
        let mut all = Paths { nodes: vec![begin] };
        for path in paths {
            let end = path.steps.iter().fold(0, |at, step| all.down(at, step));
            if let Some(node) = all.nodes.get_mut(end) {
                node.ends = true;
            }
        }
        all
    }

    /// The node behind that step, which is made if it is not there.
    fn down(&mut self, at: usize, step: &Step) -> usize {
        let next = self.nodes.get(at).map(|node| &*node.next).unwrap_or_default();
        let held = next.iter().copied().find(|next| self.nodes.get(*next).is_some_and(|node| node.step == *step));
        held.unwrap_or_else(|| {
            let made = self.nodes.len();
            self.nodes.push(Node { step: step.clone(), ends: false, next: Vec::new() });
            if let Some(node) = self.nodes.get_mut(at) {
                node.next.push(made);
            }
            made
        })
    }

    /// Where a walk begins: at `$`.
    #[must_use]
    pub fn begin(&self) -> Trail {
        let mut trail = Trail { at: vec![(0, true)] };
        self.look_deeper(&mut trail, 0);
        trail
    }

    /// How far the paths are followed one step further down.
    #[must_use]
    pub fn follow(&self, trail: &Trail, down: Down<'_>) -> Trail {
        let mut below = Trail::default();
        for (at, is_here) in &trail.at {
            let Some(node) = self.nodes.get(*at) else { continue };
            if !is_here {
                self.try_step(&mut below, *at, down);
                below.at.push((*at, false));
                continue;
            }
            for next in &node.next {
                // What may stand at any depth is in the trail by itself.
                if self.nodes.get(*next).is_some_and(|node| !node.step.deep) {
                    self.try_step(&mut below, *next, down);
                }
            }
        }
        if below.at.len() > 1 {
            below.at.sort_unstable();
            below.at.dedup();
        }
        below
    }

    fn try_step(&self, below: &mut Trail, at: usize, down: Down<'_>) {
        let fits = self.nodes.get(at).is_some_and(|node| match (&node.step.select, down) {
            (Select::Any, _) => true,
            (Select::Name(name), Down::Member(key)) => **name == *key,
            (Select::Index(index), Down::Element(place)) => *index == place,
            _ => false,
        });
        if fits {
            below.at.push((at, true));
            self.look_deeper(below, at);
        }
    }

    fn look_deeper(&self, trail: &mut Trail, at: usize) {
        let next = self.nodes.get(at).map(|node| &*node.next).unwrap_or_default();
        let deep = next.iter().filter(|next| self.nodes.get(**next).is_some_and(|node| node.step.deep));
        trail.at.extend(deep.map(|next| (*next, false)));
    }

    /// Whether a path addresses the value there.
    #[must_use]
    pub fn address(&self, trail: &Trail) -> bool {
        trail.at.iter().any(|(at, is_here)| *is_here && self.nodes.get(*at).is_some_and(|node| node.ends))
    }

    /// Whether none of them leads further down.
    #[must_use]
    pub fn end(&self, trail: &Trail) -> bool {
        trail.at.iter().all(|(at, is_here)| *is_here && self.nodes.get(*at).is_none_or(|node| node.next.is_empty()))
    }

    /// The values that they address from `root` on, in the order of the text, without those that are in one of them.
    #[must_use]
    pub fn outermost<'d>(&self, root: Value<'d>) -> Vec<Value<'d>> {
        let mut found = Vec::new();
        self.outermost_in(root, &self.begin(), &mut found);
        found
    }

    /// Recurses as deep as the document nests, which the scanner has bounded.
    fn outermost_in<'d>(&self, value: Value<'d>, trail: &Trail, found: &mut Vec<Value<'d>>) {
        if self.address(trail) {
            found.push(value);
        } else if !self.end(trail) {
            for_each_child(value, |down, child| self.outermost_in(child, &self.follow(trail, down), found));
        }
    }
}

/// Shows every member or element of a value with the step into it.
fn for_each_child<'d>(value: Value<'d>, mut show: impl FnMut(Down<'_>, Value<'d>)) {
    match value.kind() {
        NodeKind::Object => value.members().for_each(|(key, member)| show(Down::Member(&key.text()), member)),
        NodeKind::Array => value.elements().enumerate().for_each(|(at, element)| show(Down::Element(at), element)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Document, Limits};

    fn found(paths: &[&str], json: &str) -> Vec<String> {
        let document = Document::parse(json.to_owned(), &Limits::default()).unwrap();
        let paths: Vec<_> = paths.iter().map(|path| JsonPath::parse(path).unwrap()).collect();
        Paths::of(&paths).outermost(document.root()).into_iter().map(|value| value.raw().to_owned()).collect()
    }

    #[test]
    fn a_path_addresses_values() {
        let json = r#"{"a":{"b":1,"c":[2,{"b":3}]},"b":[4,[5]],"x y":6,"it's":7}"#;
        for (path, expected) in [
            ("$", &[json][..]),
            ("$.a.b", &["1"]),
            ("$['a']['b']", &["1"]),
            ("$[\"x y\"]", &["6"]),
            ("$['it\\'s']", &["7"]),
            ("$.b[0]", &["4"]),
            ("$.b[*]", &["4", "[5]"]),
            ("$.b.*", &["4", "[5]"]),
            ("$.a.*", &["1", r#"[2,{"b":3}]"#]),
            ("$..b", &["1", "3", "[4,[5]]"]),
            ("$.a..b", &["1", "3"]),
            ("$..c..b", &["3"]),
            ("$..[1]", &[r#"{"b":3}"#, "[5]"]),
            ("$.a.c.b", &[]),
            ("$.a[0]", &[]),
            ("$.b['0']", &[]),
        ] {
            assert_eq!(found(&[path], json), expected, "{path}");
        }
    }

    #[test]
    fn of_several_paths_the_outermost_values_are_named_once() {
        let json = r#"{"a":{"b":{"c":1}},"d":[{"c":2},{"e":3}]}"#;
        assert_eq!(found(&["$.a.b.c", "$.a.b", "$.d[*].c", "$..c"], json), [r#"{"c":1}"#, "2"]);
        assert!(found(&[], json).is_empty());
    }

    #[test]
    fn names_are_compared_as_they_are_meant() {
        assert_eq!(found(&["$.\u{e9}"], r#"{"\u00e9":1}"#), ["1"]);
    }

    #[test]
    fn what_is_no_path_is_refused_with_its_place() {
        for (text, at, why) in [
            ("", 1, "begins with `$`"),
            ("a.b", 1, "begins with `$`"),
            ("$a", 2, "expected `.`"),
            ("$.", 3, "expected a name"),
            ("$..", 4, "expected a name"),
            ("$.a b", 3, "brackets and quotes"),
            ("$.1", 3, "brackets and quotes"),
            ("$.a[", 5, "a number or a name"),
            ("$[-1]", 3, "a number or a name"),
            ("$[?(@.a)]", 3, "a number or a name"),
            ("$[0:2]", 4, "expected `]`"),
            ("$['a", 4, "quotation mark"),
            ("$['a\\n']", 4, "backslash"),
            ("$['a'", 6, "expected `]`"),
            ("$[99999999999999999999999]", 3, "a number or a name"),
        ] {
            let error = JsonPath::parse(text).unwrap_err();
            assert_eq!(error.at, at, "{text}");
            assert!(error.why.contains(why), "{text}: {error}");
        }
        assert!(JsonPath::parse(&format!("${}", ".a".repeat(JsonPath::MOST_STEPS + 1))).is_err());
        assert!(JsonPath::parse(&format!("$.{}", "a".repeat(JsonPath::MOST_BYTES))).is_err());
    }

    #[test]
    fn a_path_is_put_together_as_it_would_be_read() {
        let root = JsonPath::parse("$").unwrap();
        for (made, text) in [
            (root.member("a").all().member("b-c"), "$.a[*].b-c"),
            (root.member("it's a \\"), "$['it\\'s a \\\\']"),
            (root.member(""), "$['']"),
            (root.member("1"), "$['1']"),
        ] {
            assert_eq!(made.as_str(), text);
            assert_eq!(JsonPath::parse(text).unwrap(), made);
        }
    }
}
