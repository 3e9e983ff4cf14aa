//! What the operator says of personal data: what is looked for, what it is pseudonymised for, and who gets it back.

use std::collections::{BTreeMap, BTreeSet};

use bartizan_detect::personal::PersonalKind;
use bartizan_pseudonym::{Kind, Token};
use schemars::JsonSchema;
use serde::Deserialize;

use super::SPEC;
use crate::settings::fits;
use crate::{GuardSettings, How, Settings};

/// What pseudonyms are made for where nothing else is said.
const PURPOSE: &str = "default";

/// Its own options.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// How sure a finding has to be, from 0.4 to 1.
    pub(super) confidence: f32,
    /// Kinds that say nothing about a person by themselves and are looked for all the same, such as `place` and `date`.
    pub(super) also: BTreeSet<String>,
    /// A TOML file with recognisers of the operator's own, beside the configuration.
    pub(super) recognisers_file: Option<String>,
    /// What pseudonyms are made for. The same data has another one for another purpose.
    purpose: String,
    /// The same for single servers, by their names.
    purposes: BTreeMap<String, String>,
    /// The tools that get what a pseudonym stands for.
    entitled: Vec<Entitled>,
    /// For how many days a pseudonym that nobody uses stands for something.
    keep_days: u16,
    /// How many pseudonyms one tenant may have.
    most: u32,
    /// Whether numbers stand for numbers anywhere, which is said in another place.
    #[serde(skip)]
    preserves: bool,
    /// What part of these one server, or all clients together, may have brought, above 0 and at most 1.
    server_share: f64,
}

/// A tool that gets what a pseudonym in its arguments stands for.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Entitled {
    /// At which server.
    server: String,
    /// Which one; with a `*` at the end, all whose names begin so.
    tool: String,
    /// Only of these kinds.
    kinds: Option<BTreeSet<String>>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            confidence: 0.5,
            also: BTreeSet::new(),
            recognisers_file: None,
            purpose: PURPOSE.to_owned(),
            purposes: BTreeMap::new(),
            entitled: Vec::new(),
            keep_days: 365,
            most: 1_000_000,
            preserves: false,
            server_share: 0.5,
        }
    }
}

impl Options {
    /// These options, if they say something that there is.
    pub(super) fn checked(self) -> Result<Options, String> {
        let kinds = self.also.iter().chain(self.entitled.iter().flat_map(|entry| entry.kinds.iter().flatten()));
        for name in kinds {
            if PersonalKind::ALL.iter().all(|kind| kind.as_str() != name) {
                return Err(format!("there is no kind of personal data called `{name}`"));
            }
        }
        if !(0.4..=1.0).contains(&self.confidence) {
            return Err("`confidence` is from 0.4 to 1".to_owned());
        }
        if self.keep_days == 0 || self.most == 0 {
            return Err("`keep_days` and `most` are at least 1".to_owned());
        }
        if !(self.server_share > 0.0 && self.server_share <= 1.0) {
            return Err("`server_share` is above 0 and at most 1".to_owned());
        }
        let is_name = |purpose: &String| {
            (1..=64).contains(&purpose.len()) && purpose.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        };
        match std::iter::once(&self.purpose).chain(self.purposes.values()).find(|purpose| !is_name(purpose)) {
            Some(wrong) => Err(format!("a purpose has from 1 to 64 letters, digits, `.`, `_` or `-`; `{wrong}` has others")),
            None => Ok(self),
        }
    }

    pub(super) fn looks_for(&self, kind: PersonalKind) -> bool {
        kind.by_itself() || self.also.contains(kind.as_str())
    }

    /// What pseudonyms of what a server brings and gets are made for.
    #[must_use]
    pub fn purpose(&self, server: &str) -> &str {
        self.purposes.get(server).unwrap_or(&self.purpose)
    }

    /// Whether a tool gets anything that a pseudonym stands for.
    #[must_use]
    pub fn entitles(&self, server: &str, tool: &str) -> bool {
        self.entries(server, tool).next().is_some()
    }

    /// The kinds of which numbers stand for numbers that a tool gets back; none if no number is to stand for another.
    #[must_use]
    pub fn numbers(&self, server: &str, tool: &str) -> Vec<Kind> {
        let fits = |kind: &Kind| {
            let kinds = self.entries(server, tool).map(|entry| &entry.kinds);
            kinds.into_iter().any(|kinds| kinds.as_ref().is_none_or(|kinds| kinds.contains(kind.as_str())))
        };
        Kind::all().filter(|kind| self.preserves && kind.has_numbers()).filter(fits).collect()
    }

    /// Whether numbers stand for numbers anywhere.
    #[must_use]
    pub fn preserves(&self) -> bool {
        self.preserves
    }

    /// Whether a tool gets what that one stands for.
    #[must_use]
    pub fn is_entitled(&self, server: &str, tool: &str, token: &Token) -> bool {
        self.gets(server, tool, token.kind())
    }

    /// Whether a tool gets values of that kind.
    #[must_use]
    pub fn gets(&self, server: &str, tool: &str, kind: Kind) -> bool {
        let fits = |entry: &Entitled| entry.kinds.as_ref().is_none_or(|kinds| kinds.contains(kind.as_str()));
        self.entries(server, tool).any(fits)
    }

    fn entries(&self, server: &str, tool: &str) -> impl Iterator<Item = &Entitled> {
        self.entitled.iter().filter(move |entry| entry.server == server && fits(&entry.tool, tool))
    }

    /// For how long a pseudonym that nobody uses stands for something, in microseconds.
    #[must_use]
    pub fn keep_for(&self) -> i64 {
        i64::from(self.keep_days) * 86_400_000_000
    }

    /// How many pseudonyms one tenant may have.
    #[must_use]
    pub fn most(&self) -> i64 {
        i64::from(self.most)
    }

    /// How many of them one server may have brought; at least one, or it could bring nothing at all.
    #[must_use]
    pub fn most_of_server(&self) -> i64 {
        ((f64::from(self.most) * self.server_share) as i64).max(1)
    }
}

/// What settings say of pseudonyms, if they have any made or given back.
///
/// # Errors
/// If the options of the guard are none.
pub(crate) fn of(settings: &Settings) -> Result<Option<Options>, serde_json::Error> {
    let Some(held) = settings.guards.get(SPEC.name).filter(|held| held.enabled) else { return Ok(None) };
    let mut options = Options::deserialize(&held.options)?;
    options.preserves = preserves(held);
    let makes = hows(held).any(How::names);
    Ok((makes || !options.entitled.is_empty()).then_some(options))
}

/// Whether numbers are to stand for numbers anywhere.
pub(super) fn preserves(held: &GuardSettings) -> bool {
    hows(held).any(|how| how == How::Preserve)
}

fn hows(held: &GuardSettings) -> impl Iterator<Item = How> {
    std::iter::once(held.how).chain(held.places.iter().filter_map(|place| place.how))
}

/// The names of servers in the options, each with where it stands, for whoever checks whether there are such.
#[must_use]
pub fn servers(options: &serde_json::Value) -> Vec<(Vec<String>, String)> {
    let Ok(options) = Options::deserialize(options) else { return Vec::new() };
    let entitled = options.entitled.into_iter().enumerate();
    let entitled = entitled.map(|(at, entry)| (vec!["entitled".to_owned(), at.to_string(), "server".to_owned()], entry.server));
    let purposes = options.purposes.into_keys().map(|server| (vec!["purposes".to_owned(), server.clone()], server));
    entitled.chain(purposes).collect()
}

/// The tools that are entitled to anything by the options, each with its server, as they are written.
#[must_use]
pub fn entitled(options: &serde_json::Value) -> Vec<(String, String)> {
    let entitled = Options::deserialize(options).map(|options| options.entitled).unwrap_or_default();
    entitled.into_iter().map(|entry| (entry.server, entry.tool)).collect()
}
