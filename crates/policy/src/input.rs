//! The arguments of a tool as policies see them: typed by the schema that the tool declares.
//!
//! What a policy compares is exactly what the tool gets, or nothing: a value that is not of its declared type, or of a type
//! that Cedar has no equal to, is never guessed at.

use std::collections::BTreeMap;

use cedar_policy::RestrictedExpression;
use serde_json::{Map, Value, json};

use crate::json::{Json, decimal, integer};
use crate::reads::Argument;
use crate::spelling::are_alike;

/// Deeper than that, and past that many, properties are left out.
const DEEPEST: usize = 8;
const MOST: usize = 512;

/// A type that both JSON Schema and Cedar have.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Type {
    Text,
    Long,
    Decimal,
    Bool,
    Set(Box<Type>),
    Record(BTreeMap<String, Property>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Property {
    of: Type,
    required: bool,
}

/// The type of a tool's arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    of: Type,
    unmapped: Vec<String>,
}

/// Which argument is not what the tool declares, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit(pub String);

impl Input {
    /// What a tool declares as its `inputSchema`.
    #[must_use]
    pub fn of(schema: &Value) -> Input {
        let mut reader = Reader { unmapped: Vec::new(), left: MOST };
        let of = match schema.get("type").and_then(Value::as_str) {
            Some("object") => Type::Record(reader.properties(schema, "", 0)),
            _ => {
                reader.unmapped.push(String::new());
                Type::Record(BTreeMap::new())
            }
        };
        Input { of, unmapped: reader.unmapped }
    }

    /// Arguments that policies cannot read, by their paths; an empty path stands for all.
    #[must_use]
    pub fn unmapped(&self) -> &[String] {
        &self.unmapped
    }

    /// Whether what is read is one of those, or holds one.
    pub(crate) fn hides(&self, Argument { path, value }: &Argument) -> bool {
        self.unmapped.iter().any(|hidden| within(path, hidden) || (*value && (path.is_empty() || within(hidden, path))))
    }

    /// As a type of Cedar's JSON schemas.
    pub(crate) fn to_cedar(&self) -> Value {
        self.of.to_cedar()
    }

    /// The arguments of one call, of which policies read some.
    pub(crate) fn value(&self, arguments: &Json, read: &[Argument]) -> Result<RestrictedExpression, Unfit> {
        self.of.value(arguments, "", read)
    }
}

/// Whether a path leads to another or to something in it.
fn within(inner: &str, outer: &str) -> bool {
    outer.is_empty() || inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Refuses members of a record that a policy reads which it does not see: one that a tool may take for another, and any
/// where all of the record counts.
fn refuse_unseen(
    sent: &[(Box<str>, Json)],
    declared: &BTreeMap<String, Property>,
    path: &str,
    read: &[Argument],
) -> Result<(), Unfit> {
    let as_a_whole = read.iter().any(|argument| argument.value && within(path, &argument.path));
    let leads_through = |argument: &Argument| argument.path != path && within(&argument.path, path);
    if !as_a_whole && !read.iter().any(leads_through) {
        return Ok(());
    }
    let mut unseen = sent.iter().map(|(name, _)| &**name).filter(|name| !declared.contains_key(*name)).peekable();
    if as_a_whole && unseen.peek().is_some() {
        let what = if path.is_empty() { "the arguments have".to_owned() } else { format!("argument `{path}` has") };
        return Err(Unfit(format!("{what} members that the tool does not declare, and a policy reads all of it")));
    }
    // What it is called is somebody else's word, so the name that is declared is said.
    let taken = unseen.find_map(|name| declared.keys().find(|known| are_alike(name, known)));
    match taken {
        Some(known) => Err(Unfit(format!("an argument is spelt like `{}`, but in another case", join(path, known)))),
        None => Ok(()),
    }
}

struct Reader {
    unmapped: Vec<String>,
    left: usize,
}

impl Reader {
    fn properties(&mut self, schema: &Value, path: &str, depth: usize) -> BTreeMap<String, Property> {
        let required: Vec<&str> =
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let mut properties = BTreeMap::new();
        for (name, schema) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let path = join(path, name);
            match self.read(schema, &path, depth + 1) {
                Some(of) => {
                    properties.insert(name.clone(), Property { of, required: required.contains(&name.as_str()) });
                }
                None => self.unmapped.push(path),
            }
        }
        properties
    }

    /// Only `type` decides: what else a schema says narrows it, and never makes another type of it.
    fn read(&mut self, schema: &Value, path: &str, depth: usize) -> Option<Type> {
        self.left = self.left.checked_sub(1)?;
        if depth > DEEPEST {
            return None;
        }
        Some(match schema.get("type")?.as_str()? {
            "string" => Type::Text,
            "integer" => Type::Long,
            "number" => Type::Decimal,
            "boolean" => Type::Bool,
            "array" => {
                let hidden = self.unmapped.len();
                let of = self.read(schema.get("items")?, path, depth + 1);
                // Elements are equal or not as wholes, so one that is seen in part would not do.
                let whole = self.unmapped.len() == hidden;
                self.unmapped.truncate(hidden);
                Type::Set(Box::new(of.filter(|_| whole)?))
            }
            // Without properties it is a map, whose keys no policy can know.
            "object" if schema.get("properties").is_some() => Type::Record(self.properties(schema, path, depth)),
            _ => return None,
        })
    }
}

impl Type {
    fn to_cedar(&self) -> Value {
        let plain = |name: &str| json!({ "type": "EntityOrCommon", "name": name });
        match self {
            Type::Text => plain("__cedar::String"),
            Type::Long => plain("__cedar::Long"),
            Type::Decimal => plain("__cedar::decimal"),
            Type::Bool => plain("__cedar::Bool"),
            Type::Set(of) => json!({ "type": "Set", "element": of.to_cedar() }),
            Type::Record(properties) => {
                let mut attributes = Map::new();
                for (name, property) in properties {
                    let mut of = property.of.to_cedar();
                    if let Some(of) = of.as_object_mut() {
                        of.insert("required".to_owned(), property.required.into());
                    }
                    attributes.insert(name.clone(), of);
                }
                json!({ "type": "Record", "attributes": attributes })
            }
        }
    }

    fn value(&self, value: &Json, path: &str, read: &[Argument]) -> Result<RestrictedExpression, Unfit> {
        let unfit = |what: &str| Unfit(format!("argument `{path}` {what}"));
        Ok(match (self, value) {
            (Type::Text, Json::Text(text)) => RestrictedExpression::new_string(text.to_string()),
            (Type::Bool, Json::Bool(value)) => RestrictedExpression::new_bool(*value),
            (Type::Long, Json::Number(number)) => {
                let whole = integer(number).ok_or_else(|| unfit("is no whole number of 64 bits"))?;
                RestrictedExpression::new_long(whole)
            }
            (Type::Decimal, Json::Number(number)) => {
                let exact = decimal(number)
                    .ok_or_else(|| unfit("has more than four digits after the point or is too large"))?;
                RestrictedExpression::new_decimal(exact)
            }
            (Type::Set(of), Json::List(elements)) => {
                let elements = elements.iter().map(|element| of.value(element, path, read));
                RestrictedExpression::new_set(elements.collect::<Result<Vec<_>, _>>()?)
            }
            (Type::Record(properties), Json::Object(sent)) => {
                refuse_unseen(sent, properties, path, read)?;
                let mut members = Vec::with_capacity(properties.len());
                for (name, property) in properties {
                    let path = join(path, name);
                    match value.get(name) {
                        Some(value) => members.push((name.clone(), property.of.value(value, &path, read)?)),
                        None if property.required => return Err(Unfit(format!("argument `{path}` is missing"))),
                        None => {}
                    }
                }
                RestrictedExpression::new_record(members).map_err(|error| unfit(&error.to_string()))?
            }
            _ => return Err(unfit("is not of the type that the tool declares")),
        })
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_that_cedar_has_not_is_listed() {
        for (property, mapped) in [
            (json!({ "type": "string" }), true),
            (json!({ "type": "string", "enum": ["a"] }), true),
            (json!({ "type": "string", "anyOf": [{ "maxLength": 3 }] }), true),
            (json!({ "type": "integer" }), true),
            (json!({ "type": "number" }), true),
            (json!({ "type": "boolean" }), true),
            (json!({ "type": "array", "items": { "type": "string" } }), true),
            (json!({ "type": "object", "properties": { "b": { "type": "string" } } }), true),
            (json!({ "type": "array", "items": { "type": "object", "properties": { "b": {} } } }), false),
            (json!({ "type": "array" }), false),
            (json!({ "type": "object" }), false),
            (json!({ "type": "object", "additionalProperties": { "type": "string" } }), false),
            (json!({ "type": "null" }), false),
            (json!({ "type": ["string", "null"] }), false),
            (json!({ "oneOf": [{ "type": "string" }] }), false),
            (json!({ "$ref": "#/$defs/a" }), false),
            (json!({ "enum": ["a"] }), false),
            (json!({}), false),
            (json!(true), false),
        ] {
            let input = Input::of(&json!({ "type": "object", "properties": { "a": property } }));
            let unmapped: &[String] = if mapped { &[] } else { &["a".to_owned()] };
            assert_eq!(input.unmapped(), unmapped, "{property}");
        }
        for schema in [json!({}), json!(true), json!({ "type": ["object"] }), json!({ "$ref": "#/a" })] {
            let argument = Argument { path: "anything".to_owned(), value: false };
            assert!(Input::of(&schema).hides(&argument), "{schema}");
        }
    }

    #[test]
    fn what_hides_a_path_hides_what_is_in_it_and_what_holds_it() {
        let inner = json!({ "type": "object", "properties": { "b": {}, "c": { "type": "string" } } });
        let input = Input::of(&json!({ "type": "object", "properties": { "a": inner, "bc": {} } }));
        for (path, hidden, hidden_value) in [
            ("a.b", true, true),
            ("a.b.x", true, true),
            ("a", false, true),
            ("", false, true),
            ("a.c", false, false),
            ("b", false, false),
            ("bc", true, true),
            ("bcd", false, false),
        ] {
            for (value, expected) in [(false, hidden), (true, hidden_value)] {
                assert_eq!(input.hides(&Argument { path: path.to_owned(), value }), expected, "{path} {value}");
            }
        }
    }

    #[test]
    fn a_schema_without_end_is_read_in_part() {
        let mut schema = json!({ "type": "string" });
        for _ in 0..40 {
            schema = json!({ "type": "object", "properties": { "a": schema } });
        }
        assert_eq!(Input::of(&schema).unmapped().len(), 1);
        let many: Map<String, Value> = (0..2_000).map(|n| (format!("p{n}"), json!({ "type": "string" }))).collect();
        assert_eq!(Input::of(&json!({ "type": "object", "properties": many })).unmapped().len(), 2_000 - MOST);
    }

    #[test]
    fn a_value_is_what_is_declared_or_unfit() {
        let schema = json!({
            "type": "object", "required": ["s"],
            "properties": {
                "s": { "type": "string" }, "i": { "type": "integer" }, "n": { "type": "number" }, "b": { "type": "boolean" },
                "l": { "type": "array", "items": { "type": "integer" } },
                "o": { "type": "object", "required": ["x"], "properties": { "x": { "type": "integer" } } },
            },
        });
        let input = Input::of(&schema);
        for (arguments, fits) in [
            (json!({ "s": "a" }), true),
            (json!({ "s": "a", "unknown": null }), true),
            (json!({ "s": "a", "i": 5, "n": 0.5, "b": true, "l": [1, 2], "o": { "x": 1 } }), true),
            (json!({}), false),
            (json!({ "s": null }), false),
            (json!({ "s": 5 }), false),
            (json!({ "s": "a", "i": "5" }), false),
            (json!({ "s": "a", "i": 5.5 }), false),
            (json!({ "s": "a", "n": 0.123_45 }), false),
            (json!({ "s": "a", "b": 1 }), false),
            (json!({ "s": "a", "l": [1, "2"] }), false),
            (json!({ "s": "a", "l": 1 }), false),
            (json!({ "s": "a", "o": {} }), false),
            (json!({ "s": "a", "i": null }), false),
            (json!([]), false),
            (json!(null), false),
        ] {
            assert_eq!(input.value(&Json::from(&arguments), &[]).is_ok(), fits, "{arguments}");
        }
    }

    #[test]
    fn what_a_policy_does_not_see_of_what_it_reads_is_unfit() {
        let record = json!({ "type": "object", "properties": { "a": { "type": "integer" } } });
        let input = Input::of(&json!({
            "type": "object",
            "properties": { "amount": { "type": "integer" }, "o": record, "l": { "type": "array", "items": record } },
        }));
        let whole = |path: &str| Argument { path: path.to_owned(), value: true };
        let has = |path: &str| Argument { path: path.to_owned(), value: false };
        for (arguments, read, why) in [
            (json!({ "amount": 5, "note": "x" }), whole("amount"), None),
            (json!({ "amount": 5, "Amount": 500 }), whole("amount"), Some("spelt like `amount`")),
            (json!({ "AMOUNT": 500 }), has("amount"), Some("spelt like `amount`")),
            (json!({ "amount": 5, "\u{130}d": 1 }), whole("amount"), None),
            (json!({ "o": { "a": 1 }, "O": {} }), whole("o.a"), Some("spelt like `o`")),
            (json!({ "o": { "a": 1, "A": 2 } }), whole("o.a"), Some("spelt like `o.a`")),
            (json!({ "o": { "a": 1, "b": 2 } }), whole("o.a"), None),
            (json!({ "o": { "a": 1, "A": 2 } }), whole("amount"), None),
            (json!({ "o": { "a": 1 } }), whole("o"), None),
            (json!({ "o": { "a": 1, "admin": true } }), whole("o"), Some("`o` has members")),
            (json!({ "o": { "a": 1, "admin": true } }), has("o"), None),
            (json!({ "o": { "a": 1, "A": 2 } }), has("o"), None),
            (json!({ "l": [{ "a": 1 }, { "a": 1 }] }), whole("l"), None),
            (json!({ "l": [{ "a": 1, "force": true }, { "a": 1 }] }), whole("l"), Some("`l` has members")),
            (json!({ "l": [{ "a": 1, "force": true }] }), whole("amount"), None),
            (json!({ "amount": 1, "o": { "a": 1 } }), whole(""), None),
            (json!({ "amount": 1, "note": "x" }), whole(""), Some("the arguments have members")),
            (json!({ "o": { "a": 1, "admin": true } }), whole(""), Some("`o` has members")),
        ] {
            let unfit = input.value(&Json::from(&arguments), &[read]).err();
            assert_eq!(unfit.is_some(), why.is_some(), "{arguments}: {unfit:?}");
            assert!(why.is_none_or(|why| unfit.is_some_and(|unfit| unfit.0.contains(why))), "{arguments}");
        }
    }
}
