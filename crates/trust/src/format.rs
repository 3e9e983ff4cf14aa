//! The lock file as text: TOML in one fixed layout and order, so that a diff shows what changed and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use serde::Deserialize;

use crate::{Approved, Labels, LockError, ServerPins};

/// The version that is written, and the latest that is read. Before 2 there were no labels.
const VERSION: i64 = 2;

const HEADER: &str = "\
# What was approved of each MCP server: the SHA-256 of the canonical JSON of every definition, and of tools what they do with information.
# Bartizan keeps this file. See what waits with `bartizan lock diff`, accept it with `bartizan lock update`.
";

#[derive(Deserialize)]
struct Versioned {
    version: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "version")]
    _version: i64,
    #[serde(default)]
    servers: BTreeMap<String, Section>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    identity: String,
    complete: BTreeSet<String>,
    #[serde(default)]
    definitions: BTreeMap<String, BTreeMap<String, Item>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    sha256: Digest,
    body: Option<Digest>,
    labels: Option<Labels>,
    guessed: Option<Labels>,
    first_seen: String,
}

/// 64 hexadecimal digits in lower case.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Digest(String);

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if is_digest(&text) { Ok(Digest(text)) } else { Err("expected 64 hexadecimal digits in lower case".to_owned()) }
    }
}

/// Reads a digest that may be `null`.
pub(crate) fn optional_digest<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<Digest>::deserialize(from)?.map(|digest| digest.0))
}

pub(crate) fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Reads a lock file.
pub(crate) fn parse(path: &Path, text: &str) -> Result<BTreeMap<String, ServerPins>, LockError> {
    let corrupt = |error: toml::de::Error| {
        let (line, column) = position(text, error.span().map_or(0, |span| span.start));
        LockError::Corrupt { path: path.to_owned(), line, column, message: error.message().to_owned() }
    };
    let Versioned { version } = toml::from_str(text).map_err(corrupt)?;
    if version > VERSION {
        return Err(LockError::Newer { path: path.to_owned(), version, known: VERSION });
    }
    if version < 1 {
        let message = format!("there is no version {version}");
        return Err(LockError::Corrupt { path: path.to_owned(), line: 1, column: 1, message });
    }
    let file: File = toml::from_str(text).map_err(corrupt)?;
    Ok(file.servers.into_iter().map(|(name, section)| (name, section.into())).collect())
}

impl From<Section> for ServerPins {
    fn from(section: Section) -> Self {
        let of_kind = |(kind, items): (String, BTreeMap<String, Item>)| {
            items.into_iter().map(move |(name, item)| ((kind.clone(), name), item.into()))
        };
        ServerPins {
            identity: section.identity,
            complete: section.complete,
            definitions: section.definitions.into_iter().flat_map(of_kind).collect(),
        }
    }
}

impl From<Item> for Approved {
    fn from(item: Item) -> Self {
        let Item { sha256, body, labels, guessed, first_seen } = item;
        Approved { sha256: sha256.0, body: body.map(|body| body.0), labels, guessed, first_seen }
    }
}

fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
    (before.matches('\n').count() + 1, column)
}

/// Writes a lock file.
pub(crate) fn write(servers: &BTreeMap<String, ServerPins>) -> String {
    let mut out = format!("{HEADER}version = {VERSION}\n");
    for (server, pins) in servers {
        // Writing to a string cannot fail.
        let _ = write_server(&mut out, server, pins);
    }
    out
}

/// Bytes that one server takes in a lock file.
pub(crate) fn size(server: &str, pins: &ServerPins) -> usize {
    let mut out = String::new();
    let _ = write_server(&mut out, server, pins);
    out.len()
}

fn write_server(out: &mut String, server: &str, pins: &ServerPins) -> std::fmt::Result {
    let server = key(server);
    writeln!(out, "\n[servers.{server}]\nidentity = {}", quoted(&pins.identity))?;
    let complete: Vec<String> = pins.complete.iter().map(|kind| quoted(kind)).collect();
    writeln!(out, "complete = [{}]", complete.join(", "))?;
    let mut section = None;
    for ((kind, name), approved) in &pins.definitions {
        if section != Some(kind) {
            writeln!(out, "\n[servers.{server}.definitions.{}]", key(kind))?;
            section = Some(kind);
        }
        write!(out, "{} = {{ sha256 = {}", key(name), quoted(&approved.sha256))?;
        if let Some(body) = &approved.body {
            write!(out, ", body = {}", quoted(body))?;
        }
        for (name, labels) in [("labels", approved.labels), ("guessed", approved.guessed)] {
            if let Some(labels) = labels {
                write!(out, ", {name} = [{}]", labels.words().map(quoted).collect::<Vec<_>>().join(", "))?;
            }
        }
        writeln!(out, ", first_seen = {} }}", quoted(&approved.first_seen))?;
    }
    Ok(())
}

fn key(text: &str) -> String {
    let bare = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if bare { text.to_owned() } else { quoted(text) }
}

/// A basic string. What a reader would not see is escaped, so that no name can pass for another one.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            plain if crate::text::is_plain(plain) => out.push(plain),
            other => out.push_str(&format!("\\U{:08X}", u32::from(other))),
        }
    }
    out.push('"');
    out
}
