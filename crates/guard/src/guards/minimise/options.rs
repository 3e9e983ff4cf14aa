//! What an operator says of the results and arguments of tools.

use bartizan_mcp::{JsonPath, Paths, Value};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::Error;

use crate::fits;

/// Its own options.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Options {
    /// What of the results of tools reaches the model, and of their arguments the server; of these tables the first counts
    /// that fits.
    tool: Vec<ToolTable>,
}

/// What of one tool's results reaches the model, and of its arguments the server.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ToolTable {
    /// The server; with a `*` at the end, all whose names begin so.
    server: String,
    /// The tool; with a `*` at the end, all whose names begin so.
    tool: String,
    /// Paths of the only fields that reach the model, such as `$.rows[*].name`.
    #[serde(default)]
    keep: Option<Vec<String>>,
    /// Paths of fields that do not.
    #[serde(default)]
    drop: Vec<String>,
    /// A JSON Schema instead of `keep`: only properties that it names reach the model.
    #[serde(default)]
    schema: Option<serde_json::Value>,
    /// Characters of each text; the rest is cut.
    #[serde(default)]
    max_length: Option<usize>,
    /// Elements of each array; the rest is cut.
    #[serde(default)]
    max_rows: Option<usize>,
    /// Whether images reach the model.
    #[serde(default)]
    images: Kept,
    /// Whether sounds reach the model.
    #[serde(default)]
    audio: Kept,
    /// Whether embedded resources that are no text reach the model; or how many bytes one may have.
    #[serde(default)]
    blobs: Blobs,
    /// Whether links to resources reach the model.
    #[serde(default)]
    resource_links: Kept,
    /// Paths of arguments that do not reach the server.
    #[serde(default)]
    arguments_drop: Vec<String>,
}

/// Whether something reaches the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kept {
    /// It does.
    #[default]
    Keep,
    /// It does not.
    Drop,
}

/// Whether blobs reach the model.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected `keep`, `drop` or a number of bytes")]
pub(super) enum Blobs {
    /// All or none.
    All(Kept),
    /// Those of at most so many bytes.
    Within(u64),
}

/// A table, ready to be used.
pub(super) struct Entry {
    server: String,
    tool: String,
    pub(super) keep: Option<Paths>,
    /// Whether what is kept is everything.
    keeps_all: bool,
    pub(super) drop: Option<Paths>,
    pub(super) max_length: Option<usize>,
    pub(super) max_rows: Option<usize>,
    pub(super) images: Kept,
    pub(super) audio: Kept,
    pub(super) blobs: Blobs,
    pub(super) resource_links: Kept,
    pub(super) arguments_drop: Option<Paths>,
}

/// Paths of one list: each value of a result is held against all of them.
const MOST_PATHS: usize = 256;

impl Options {
    pub(super) fn entries(self) -> Result<Vec<Entry>, serde_json::Error> {
        self.tool.into_iter().map(ToolTable::entry).collect()
    }
}

impl ToolTable {
    fn entry(self) -> Result<Entry, serde_json::Error> {
        let keep = match (self.keep, &self.schema) {
            (Some(_), Some(_)) => return Err(Error::custom("`keep` and `schema` say the same thing in two ways")),
            (Some(paths), None) if paths.is_empty() => {
                return Err(Error::custom("`keep` is empty, which leaves nothing"));
            }
            (Some(paths), None) => Some(read("keep", &paths)?),
            (None, Some(schema)) => Some(named_in(schema)?),
            (None, None) => None,
        };
        let drop = read_others("drop", &self.drop)?;
        let arguments_drop = read_others("arguments_drop", &self.arguments_drop)?;
        Ok(Entry {
            server: self.server,
            tool: self.tool,
            keeps_all: keep.as_ref().is_none_or(|paths| paths.iter().any(JsonPath::is_root)),
            keep: keep.as_ref().map(Paths::of),
            drop,
            max_length: self.max_length,
            max_rows: self.max_rows,
            images: self.images,
            audio: self.audio,
            blobs: self.blobs,
            resource_links: self.resource_links,
            arguments_drop,
        })
    }
}

fn read(option: &str, paths: &[String]) -> Result<Vec<JsonPath>, serde_json::Error> {
    if paths.len() > MOST_PATHS {
        return Err(Error::custom(format!("`{option}` has more than {MOST_PATHS} paths")));
    }
    let read = |path: &String| JsonPath::parse(path).map_err(|error| Error::custom(format!("{option}: {error}")));
    paths.iter().map(read).collect()
}

/// Paths of what is left out, which is never the whole.
fn read_others(option: &str, paths: &[String]) -> Result<Option<Paths>, serde_json::Error> {
    let read = read(option, paths)?;
    if read.iter().any(JsonPath::is_root) {
        return Err(Error::custom(format!("{option}: `$` is the whole value")));
    }
    Ok((!read.is_empty()).then(|| Paths::of(&read)))
}

/// The paths of what a schema names.
fn named_in(schema: &serde_json::Value) -> Result<Vec<JsonPath>, serde_json::Error> {
    let mut paths = Vec::new();
    let root = JsonPath::parse("$").map_err(Error::custom)?;
    named_below(schema, &root, 0, &mut paths)?;
    if paths.is_empty() {
        return Err(Error::custom("`schema` names nothing, which leaves nothing"));
    }
    Ok(paths)
}

fn named_below(
    schema: &serde_json::Value,
    at: &JsonPath,
    depth: usize,
    paths: &mut Vec<JsonPath>,
) -> Result<(), serde_json::Error> {
    const NOT_READ: [&str; 5] = ["$ref", "allOf", "anyOf", "oneOf", "patternProperties"];
    let Some(members) = schema.as_object() else { return Err(Error::custom("`schema` holds what is no table")) };
    if let Some(keyword) = NOT_READ.into_iter().find(|keyword| members.contains_key(*keyword)) {
        return Err(Error::custom(format!("`schema` is read for the names in it, and not for `{keyword}`")));
    }
    if depth > JsonPath::MOST_STEPS || paths.len() == MOST_PATHS {
        return Err(Error::custom("`schema` is too large"));
    }
    let properties = members.get("properties").and_then(serde_json::Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        named_below(property, &at.member(name), depth + 1, paths)?;
    }
    match members.get("items") {
        Some(items) => named_below(items, &at.all(), depth + 1, paths),
        None if properties.is_none() => {
            paths.push(at.clone());
            Ok(())
        }
        None => Ok(()),
    }
}

impl Kept {
    pub(super) fn drops(self) -> bool {
        self == Kept::Drop
    }
}

impl Default for Blobs {
    fn default() -> Blobs {
        Blobs::All(Kept::Keep)
    }
}

impl Blobs {
    pub(super) fn drops(self, blob: Value<'_>) -> bool {
        match self {
            Blobs::All(kept) => kept.drops(),
            // Four letters of base64 for three bytes.
            Blobs::Within(most) => (blob.text().trim_end_matches('=').len() as u64).saturating_mul(3) / 4 > most,
        }
    }
}

impl Entry {
    pub(super) fn is_at(&self, server: &str) -> bool {
        fits(&self.server, server)
    }

    pub(super) fn is_for(&self, tool: &str) -> bool {
        fits(&self.tool, tool)
    }

    /// Whether a text that is no JSON reaches the model.
    pub(super) fn keeps_whole(&self, failed: bool, text: &str) -> bool {
        let may_hold = self.drop.is_some() && seems_json(text);
        (failed || self.keeps_all) && !may_hold
    }
}

/// Whether a text begins as JSON of more than one value does.
fn seems_json(text: &str) -> bool {
    let text = text.trim_start();
    let list = text.strip_prefix('[').map(str::trim_start);
    text.starts_with('{') || list.is_some_and(|rest| rest.starts_with(['{', '[', '"']))
}

/// The names of servers in the tables, for whoever checks whether there are such.
pub fn servers(options: &serde_json::Value) -> Vec<String> {
    let tables = options.get("tool").and_then(serde_json::Value::as_array).into_iter().flatten();
    tables.map(|table| table.get("server").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()).collect()
}

/// The servers and tools that the tables name, for whoever checks whether there are such.
pub fn named(options: &serde_json::Value) -> Vec<(String, String)> {
    let tables = options.get("tool").and_then(serde_json::Value::as_array).into_iter().flatten();
    let text = |table: &serde_json::Value, key| table.get(key).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    tables.map(|table| (text(table, "server"), text(table, "tool"))).collect()
}
