//! What a local server is confined by that has no table `sandbox` of its own.
//!
//! Threat: whoever adds a server copies three lines from its page, and the table that would confine it is not among them. So
//! it is confined without one, and what it needs besides is what has to be said.

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
    /// `npx` or `uvx` for commands that begin so and `filesystem` for others, and what counts if this is not there; with
    /// `none` it is of the level `none`.
    pub(crate) default: Option<String>,
}

/// Stands for the profile that fits the command.
pub const AUTO: &str = "auto";
/// Stands for the level that confines nothing.
pub const UNCONFINED: &str = "none";
/// What no profile of a file may be called.
pub(crate) const RESERVED: [(&str, &str); 2] =
    [(AUTO, "the profile that fits a command"), (UNCONFINED, "the level that confines nothing")];

/// Gives each local server that has no table `sandbox` the one of this profile, and those that begin with [`AUTO`] the profile
/// that it stands for.
///
/// The table stands where the command does, so that what is wrong with it for one server is said there.
pub(crate) fn apply(root: &mut Node<'_>, name: &str) {
    for server in tree::keys(root, &["server"]) {
        let entry = tree::entry(root, "server").and_then(|all| tree::entry(all, &server));
        let Some(DeValue::Table(entry)) = entry.map(Spanned::get_mut) else { continue };
        let Some(command) = entry.get("command") else { continue };
        let program = tree::get(command, &["0"]).and_then(|word| word.get_ref().as_str()).unwrap_or_default();
        let (place, fitting) = (command.span(), fitting(program));
        let made = if name == UNCONFINED { table("level", UNCONFINED, &place) } else { table("profile", name, &place) };
        let sandbox = entry.entry(key("sandbox", &place)).or_insert(made);
        let named =
            tree::get(sandbox, &["profile"]).map(|named| (named.span(), named.get_ref().as_str() == Some(AUTO)));
        if let (Some((place, true)), DeValue::Table(sandbox)) = (named, sandbox.get_mut()) {
            fitting.begin(sandbox, &place);
        }
    }
}

/// What a command is confined by that nothing else is said of.
#[derive(Clone, Copy)]
struct Fitting {
    profile: &'static str,
    /// Whether `fs.arguments` is not what the profile has.
    with_arguments: bool,
}

/// What fits a command of this program.
fn fitting(program: &str) -> Fitting {
    match runner(program) {
        // What they run works with directories as others do.
        Some(profile) => Fitting { profile, with_arguments: true },
        None => Fitting { profile: "filesystem", with_arguments: false },
    }
}

/// The profile of commands of this program, if that fetches and starts a package.
#[must_use]
pub fn runner(program: &str) -> Option<&'static str> {
    ["npx", "uvx"].into_iter().find(|name| program.rsplit('/').next() == Some(*name))
}

impl Fitting {
    /// Puts it into a table, but for what the table says itself.
    fn begin(self, table: &mut DeTable<'_>, place: &Place) {
        table.insert(key("profile", place), Spanned::new(place.clone(), DeValue::String(self.profile.into())));
        let mut add = |name: &'static str, of: &'static str, value: DeValue<'static>| {
            let inner = || Spanned::new(place.clone(), DeValue::Table(DeTable::new()));
            let inner = table.entry(key(name, place)).or_insert_with(inner);
            if let DeValue::Table(inner) = inner.get_mut()
                && !inner.contains_key(of)
            {
                inner.insert(key(of, place), Spanned::new(place.clone(), value));
            }
        };
        if self.with_arguments {
            add("fs", "arguments", DeValue::String("rw".into()));
        }
        // Whoever has asked for nothing has to hear what is missing.
        add("net", "report", DeValue::Boolean(true));
    }
}

/// A table of one key.
fn table<'i>(name: &'static str, value: &str, place: &Place) -> Node<'i> {
    let value = Spanned::new(place.clone(), DeValue::String(value.to_owned().into()));
    Spanned::new(place.clone(), DeValue::Table(DeTable::from_iter([(key(name, place), value)])))
}

fn key<'i>(name: &'static str, place: &Place) -> Spanned<Cow<'i, str>> {
    Spanned::new(place.clone(), Cow::Borrowed(name))
}
