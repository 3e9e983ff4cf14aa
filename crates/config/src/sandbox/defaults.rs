//! What a local server is confined by that has no table `sandbox` of its own.
//!
//! Threat: whoever adds a server copies three lines from its page, and the table that would confine it is not among them. One
//! line of the file says it for all that come.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::tree::{self, Node, Place};

/// What confines local servers that have no table of their own.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DefaultTable {
    /// The profile of a local server without a table `sandbox`: a built-in one, one of `[profile.NAME]`, or `auto`, which is
    /// `npx` or `uvx` for commands that begin so and `filesystem` for others. Without this they run unconfined.
    pub(crate) default: Option<String>,
}

/// Stands for the profile that fits the command.
pub(crate) const AUTO: &str = "auto";

/// Gives each local server that has no table `sandbox` the one of this profile.
///
/// The table stands where the command does, so that what is wrong with it for one server is said there.
pub(crate) fn apply(root: &mut Node<'_>, name: &str) {
    for server in tree::keys(root, &["server"]) {
        let entry = tree::entry(root, "server").and_then(|all| tree::entry(all, &server));
        let Some(DeValue::Table(entry)) = entry.map(Spanned::get_mut) else { continue };
        if entry.contains_key("sandbox") {
            continue;
        }
        let Some(command) = entry.get("command") else { continue };
        let program = tree::get(command, &["0"]).and_then(|word| word.get_ref().as_str()).unwrap_or_default();
        let (place, (profile, more)) = (command.span(), default_profile(name, program));
        entry.insert(key("sandbox", &place), table(profile.to_owned(), more, &place));
    }
}

/// The profile that a default of this name means for a command of this program, and what its table says besides: a key of
/// `fs` and its text.
#[must_use]
pub fn default_profile<'a>(name: &'a str, program: &str) -> (&'a str, Option<(&'static str, &'static str)>) {
    // What they run works with directories as others do.
    let with_arguments = Some(("arguments", "rw"));
    match program.rsplit('/').next() {
        _ if name != AUTO => (name, None),
        Some("npx") => ("npx", with_arguments),
        Some("uvx") => ("uvx", with_arguments),
        _ => ("filesystem", None),
    }
}

fn table<'i>(profile: String, more: Option<(&'static str, &'static str)>, place: &Place) -> Node<'i> {
    let node = |value| Spanned::new(place.clone(), value);
    let mut table = DeTable::from_iter([(key("profile", place), node(DeValue::String(profile.into())))]);
    if let Some((name, value)) = more {
        let files = DeTable::from_iter([(key(name, place), node(DeValue::String(value.into())))]);
        table.insert(key("fs", place), node(DeValue::Table(files)));
    }
    node(DeValue::Table(table))
}

fn key<'i>(name: &'static str, place: &Place) -> Spanned<Cow<'i, str>> {
    Spanned::new(place.clone(), Cow::Borrowed(name))
}
