//! The two schemas of a tool, read once for each definition and compiled at the first call.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::{Map, Value};

use super::cost::{Bounds, Fault, Graph};
use super::instance::Profile;
use crate::excerpt;

/// The schemas of a tool, ready to validate with.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(super) input: Side,
    pub(super) output: Side,
}

/// One of the two.
#[derive(Debug)]
pub(super) enum Side {
    /// The definition has none.
    Absent,
    /// Nothing can be held against it.
    Unusable(Problem),
    /// It can be compiled.
    Usable(Box<Schema>),
}

/// Why nothing can be held against a schema.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    pub(super) kind: ProblemKind,
    pub(super) why: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProblemKind {
    /// It needs another document, which is never fetched.
    External,
    /// It is no valid schema.
    Invalid,
    /// It is valid, and uses what this guard does not know.
    Unsupported,
    /// It is beyond a limit.
    TooComplex,
}

/// A schema that passed all that can be said without compiling it.
#[derive(Debug)]
pub(super) struct Schema {
    value: Value,
    graph: Graph,
    checker: OnceLock<Result<Checker, Problem>>,
}

/// Validates.
#[derive(Debug)]
pub(super) struct Checker {
    validator: Validator,
    bounds: Bounds,
    /// Whether the outcome can depend on what a string says, not only on there being one.
    pub(super) reads_strings: bool,
    /// Where a pattern was left out because the engine cannot express it.
    pub(super) without: Vec<String>,
}

/// What holding a value against a schema brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It fits.
    Fits,
    /// It does not, at this JSON Pointer, because of this keyword.
    Differs { pointer: String, why: String },
    /// It would cost more than it may.
    TooCostly,
}

/// Steps that one validation may take, at some 10 to 20 ns each. The bound is an upper one: schemas made to be slow
/// that are still let through take some ten milliseconds.
const MAX_STEPS: u64 = 50_000_000;
/// Up to here, a failure is worth a second pass that finds out where it lies; describing it takes memory.
const MAX_DESCRIBED: u64 = 500_000;
/// Subschemas within each other; a thread's stack of 2 MiB holds several times as many.
const MAX_FRAMES: u32 = 512;
/// JSON text of a definition.
const MAX_BYTES: usize = 512 * 1024;
/// Memory of one compiled pattern; a longer automaton would make matching slow as well.
const MAX_PATTERN_BYTES: usize = 256 * 1024;

impl Compiled {
    /// Reads the schemas of a definition from its JSON text.
    pub(crate) fn of(definition: &[u8]) -> Self {
        let unusable = |kind, why: &str| {
            let problem = || Side::Unusable(Problem { kind, why: why.to_owned() });
            Compiled { input: problem(), output: problem() }
        };
        if definition.len() > MAX_BYTES {
            return unusable(ProblemKind::TooComplex, "the definition is larger than 512 KiB");
        }
        let Ok(Value::Object(mut members)) = serde_json::from_slice(definition) else {
            return unusable(ProblemKind::Invalid, "the definition nests too deeply or holds a number out of range");
        };
        let missing = Problem { kind: ProblemKind::Invalid, why: "the tool has no `inputSchema`".to_owned() };
        let input = members.remove("inputSchema").map_or(Side::Unusable(missing), |schema| Side::of(schema, "inputSchema"));
        let output = members.remove("outputSchema").map_or(Side::Absent, |schema| Side::of(schema, "outputSchema"));
        Compiled { input, output }
    }

    /// Whether holding a message against this side begins with compiling it.
    pub(super) fn is_cold(&self, side: impl FnOnce(&Compiled) -> &Side) -> bool {
        matches!(side(self), Side::Usable(schema) if schema.checker.get().is_none())
    }

    pub(super) fn problems(&self) -> impl Iterator<Item = &Problem> {
        [&self.input, &self.output].into_iter().filter_map(|side| match side {
            Side::Unusable(problem) => Some(problem),
            _ => None,
        })
    }
}

impl Side {
    fn of(schema: Value, member: &str) -> Side {
        match Schema::read(schema) {
            Ok(schema) => Side::Usable(Box::new(schema)),
            Err(problem) => Side::Unusable(Problem { why: format!("`{member}` {}", problem.why), ..problem }),
        }
    }
}

impl Schema {
    fn read(value: Value) -> Result<Schema, Problem> {
        let problem = |kind, why: &str| Err(Problem { kind, why: why.to_owned() });
        if !value.is_object() {
            return problem(ProblemKind::Invalid, "is no object");
        }
        if value.get("$schema").is_some_and(|dialect| !known_dialect(dialect)) {
            return problem(ProblemKind::Unsupported, "is in a dialect of JSON Schema that is not known");
        }
        let graph = match Graph::of(&value) {
            Ok(graph) => graph,
            Err(Fault::External) => {
                return problem(ProblemKind::External, "refers to another document, which is never fetched");
            }
            Err(Fault::Dangling) => {
                return problem(ProblemKind::Invalid, "refers to a place it does not have, or to itself without end");
            }
            Err(Fault::Embedded) => {
                return problem(ProblemKind::Unsupported, "holds a schema with an `$id` of its own");
            }
            Err(Fault::TooComplex) => {
                return problem(ProblemKind::TooComplex, "is deeper or has more subschemas than the limits allow");
            }
            Err(Fault::Patterns) => {
                return problem(ProblemKind::TooComplex, "has patterns that take longer to compile than the limits allow");
            }
        };
        if let Err(error) = jsonschema::meta::validate(&value) {
            let why = format!("is no valid JSON Schema: {}", described(&error));
            return problem(ProblemKind::Invalid, &why);
        }
        Ok(Schema { value, graph, checker: OnceLock::new() })
    }

    pub(super) fn value(&self) -> &Value {
        &self.value
    }

    /// Compiles at first use.
    pub(super) fn checker(&self) -> Result<&Checker, &Problem> {
        self.checker.get_or_init(|| Checker::build(&self.value, &self.graph)).as_ref()
    }
}

impl Checker {
    fn build(schema: &Value, graph: &Graph) -> Result<Checker, Problem> {
        let bounds = graph.bounds(bartizan_mcp::Limits::MAX_DEPTH);
        let reads_strings = reads_strings(schema);
        let error = match compile(schema) {
            Ok(validator) => return Ok(Checker { validator, bounds, reads_strings, without: Vec::new() }),
            Err(error) => error,
        };
        // The engine knows no look-around and no back-references. Where leaving a pattern out can only let more
        // pass, the rest of the schema is still worth holding against.
        let mut reduced = schema.clone();
        let mut without = Vec::new();
        let loosening = drop_patterns(&mut reduced, "", &mut without, &mut Tried::new());
        if without.is_empty() {
            return Err(refused(&error));
        }
        let whole = || Problem {
            kind: ProblemKind::Unsupported,
            why: format!("has a pattern that cannot be matched in linear time: {}", some(&without)),
        };
        if !loosening {
            return Err(whole());
        }
        let validator = compile(&reduced).map_err(|_| whole())?;
        Ok(Checker { validator, bounds, reads_strings, without })
    }

    /// Holds a value against the schema.
    pub(super) fn check(&self, value: &Value, profile: &Profile) -> Outcome {
        let steps = self.bounds.steps(profile);
        if steps > MAX_STEPS || self.bounds.frames(profile) > MAX_FRAMES {
            return Outcome::TooCostly;
        }
        if self.validator.is_valid(value) {
            return Outcome::Fits;
        }
        if steps > MAX_DESCRIBED {
            return Outcome::Differs { pointer: String::new(), why: "does not fit the schema".to_owned() };
        }
        match self.validator.validate(value) {
            // The two passes disagree only if the validator is wrong; then the stricter one counts.
            Ok(()) => Outcome::Differs { pointer: String::new(), why: "does not fit the schema".to_owned() },
            Err(error) => {
                Outcome::Differs { pointer: error.instance_path().as_str().to_owned(), why: described(&error) }
            }
        }
    }
}

/// The first few, and how many more there are.
pub(super) fn some(places: &[String]) -> String {
    const SHOWN: usize = 4;
    let (shown, rest) = places.split_at_checked(SHOWN).unwrap_or((places, &[]));
    let more = if rest.is_empty() { String::new() } else { format!(", and {} more", rest.len()) };
    format!("{}{more}", shown.join(", "))
}

/// Whether a keyword anywhere in the schema looks into strings. A property that is merely called like one counts too,
/// which costs time and nothing else.
fn reads_strings(schema: &Value) -> bool {
    const KEYWORDS: [&str; 10] = [
        "pattern", "minLength", "maxLength", "enum", "const", "uniqueItems", "format", "contentEncoding",
        "contentMediaType", "contentSchema",
    ];
    match schema {
        Value::Object(members) => {
            members.iter().any(|(key, value)| KEYWORDS.contains(&key.as_str()) || reads_strings(value))
        }
        Value::Array(elements) => elements.iter().any(reads_strings),
        _ => false,
    }
}

fn compile(schema: &Value) -> Result<Validator, ValidationError<'static>> {
    let patterns = PatternOptions::regex().size_limit(MAX_PATTERN_BYTES).dfa_size_limit(MAX_PATTERN_BYTES);
    // `format` is an annotation by default in 2020-12, and what checks it is not bounded.
    jsonschema::options().offline().should_validate_formats(false).with_pattern_options(patterns).build(schema)
}

fn refused(error: &ValidationError<'_>) -> Problem {
    let kind = match error.kind() {
        ValidationErrorKind::Referencing(_) => ProblemKind::External,
        _ => ProblemKind::Invalid,
    };
    Problem { kind, why: format!("cannot be compiled: {}", described(error)) }
}

/// Where and by which keyword, never which value.
fn described(error: &ValidationError<'_>) -> String {
    let pointer = error.instance_path().as_str();
    let place = if pointer.is_empty() { "the whole value".to_owned() } else { format!("`{}`", excerpt(pointer)) };
    let keyword = error.kind().keyword();
    match error.kind() {
        ValidationErrorKind::Required { property: Value::String(property) } => {
            format!("{place} lacks the required `{}`", excerpt(property))
        }
        ValidationErrorKind::Type { kind: jsonschema::error::TypeKind::Single(wanted) } => {
            format!("{place} is not of type {wanted}")
        }
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let name = unexpected.first().map(|name| excerpt(name)).unwrap_or_default();
            format!("{place} has `{name}`, which `{keyword}` does not allow")
        }
        _ => format!("{place} violates `{keyword}`"),
    }
}

fn known_dialect(dialect: &Value) -> bool {
    const KNOWN: [&str; 5] = [
        "json-schema.org/draft/2020-12/schema",
        "json-schema.org/draft/2019-09/schema",
        "json-schema.org/draft-07/schema",
        "json-schema.org/draft-06/schema",
        "json-schema.org/draft-04/schema",
    ];
    let name = dialect.as_str().and_then(|text| text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")));
    name.is_some_and(|name| KNOWN.contains(&name.trim_end_matches('#')))
}

/// Takes out the patterns that the engine cannot express; whether that can only let more pass.
///
/// Below `not`, `oneOf`, `if` and `maxContains` fewer constraints may mean fewer values that fit, and without a
/// pattern among `patternProperties` its properties would count as additional. Any such keyword anywhere settles it.
fn drop_patterns(schema: &mut Value, pointer: &str, without: &mut Vec<String>, tried: &mut Tried) -> bool {
    match schema {
        Value::Object(members) => {
            let turning = ["not", "oneOf", "if", "maxContains"].iter().any(|keyword| members.contains_key(*keyword));
            let mut loosening = !turning;
            if members.get("pattern").and_then(Value::as_str).is_some_and(|pattern| !expressible(pattern, tried)) {
                members.remove("pattern");
                without.push(format!("`{}/pattern`", excerpt(pointer)));
            }
            if let Some(Value::Object(patterns)) = members.get("patternProperties")
                && patterns.keys().any(|pattern| !expressible(pattern, tried))
            {
                without.push(format!("`{}/patternProperties`", excerpt(pointer)));
                loosening = false;
            }
            for (key, member) in members.iter_mut().filter(|(key, _)| !is_data(key)) {
                loosening &= drop_patterns(member, &below(pointer, key), without, tried);
            }
            loosening
        }
        Value::Array(elements) => elements
            .iter_mut()
            .enumerate()
            .fold(true, |loosening, (index, element)| {
                drop_patterns(element, &below(pointer, &index.to_string()), without, tried) & loosening
            }),
        _ => true,
    }
}

/// A pointer as far as it will be shown: a long key would otherwise be copied for each member below it.
fn below(pointer: &str, key: &str) -> String {
    const SHOWN: usize = 64;
    pointer.chars().chain(['/']).chain(key.chars()).take(SHOWN).collect()
}

/// Whether a keyword holds values rather than schemas.
fn is_data(keyword: &str) -> bool {
    matches!(keyword, "enum" | "const" | "default" | "examples")
}

/// Which patterns can be expressed: compiling one more than once would be beyond what was reckoned with.
type Tried = BTreeMap<String, bool>;

fn expressible(pattern: &str, tried: &mut Tried) -> bool {
    if let Some(known) = tried.get(pattern) {
        return *known;
    }
    let mut schema = Map::new();
    schema.insert("pattern".to_owned(), Value::String(pattern.to_owned()));
    let can = compile(&Value::Object(schema)).is_ok();
    tried.insert(pattern.to_owned(), can);
    can
}
