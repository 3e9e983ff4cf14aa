//! What the operator says of tools, resources and destinations.

use std::collections::BTreeMap;

use bartizan_flow::{Leaf, Nature, Place, ToolLabel, ToolLabels, leaves};
use bartizan_mcp::Value;
use bartizan_policy::canonical_uri;
use schemars::JsonSchema;
use serde::Deserialize;

use super::paths::{Files, PathEntry};
use crate::settings::fits;
use crate::{Catalog, DefinitionKind, Event, Pins, Session};

/// Labels of a tool or a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LabelName {
    /// Results hold what strangers may have written.
    UntrustedContent,
    /// Results hold what is not for everybody.
    PrivateData,
    /// Calls reach others: people, services, the public.
    PublicSink,
    /// Calls cannot be taken back, or change who may do what.
    Destructive,
}

impl From<LabelName> for ToolLabel {
    fn from(name: LabelName) -> ToolLabel {
        match name {
            LabelName::UntrustedContent => ToolLabel::UntrustedContent,
            LabelName::PrivateData => ToolLabel::PrivateData,
            LabelName::PublicSink => ToolLabel::PublicSink,
            LabelName::Destructive => ToolLabel::Destructive,
        }
    }
}

/// Where information comes from and may go. Names are `server/tool`, and a `*` at the end stands for anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Servers, or tools, whose results nobody else writes: they bring no untrusted content, and what they name is known.
    pub trusted: Vec<String>,
    /// Where anything may be sent, whatever came in before: addresses, accounts, channels as they stand in arguments.
    pub recipients: Vec<String>,
    /// Domains to which anything may be sent, with all below them.
    pub domains: Vec<String>,
    /// What is known better of single tools; of several entries that fit a tool, the first counts.
    pub tool: Vec<ToolEntry>,
    /// What is known better of resources; of several entries that fit a URI, the first counts.
    pub resource: Vec<ResourceEntry>,
    /// What is known better of files; of several entries that fit a path, the first counts.
    pub path: Vec<PathEntry>,
}

/// What is known better of a tool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolEntry {
    /// Which ones: `server/tool`.
    pub name: String,
    /// Only calls with these arguments, by name: each has to be what one of the patterns says, and all of a list. Arguments within
    /// others have the names of these before, with full stops between.
    #[serde(default, rename = "where")]
    pub arguments: BTreeMap<String, Vec<String>>,
    /// Their labels, in place of those that were guessed.
    pub labels: Option<Vec<LabelName>>,
    /// Whether everybody can read what their calls say: nothing private goes there unasked, whoever named the place.
    #[serde(default)]
    pub public: bool,
    /// Where alone their calls may go.
    pub recipients: Option<Vec<String>>,
    /// To which domains alone, with all below them.
    pub domains: Option<Vec<String>>,
    /// Which paths alone they may name.
    pub paths: Option<Vec<String>>,
}

/// What is known better of resources.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourceEntry {
    /// Which ones: a URI, or its beginning and `*`.
    pub uri: String,
    /// Their labels.
    pub labels: Vec<LabelName>,
}

impl ToolEntry {
    /// Whether it is about calls with these arguments. Those of a call that was too long to be kept fit nothing.
    fn is_about(&self, arguments: Option<&[Leaf]>) -> bool {
        // A path that climbs is somewhere else than it says.
        let climbs = |text: &str| text.split(['/', '\\']).any(|part| part == "..");
        self.arguments.iter().all(|(name, patterns)| {
            let mut held = arguments.unwrap_or_default().iter().filter(|leaf| leaf.path == *name).peekable();
            held.peek().is_some()
                && held.all(|leaf| !climbs(&leaf.text) && patterns.iter().any(|pattern| fits(pattern, &leaf.text)))
        })
    }

    /// Whether its calls may go to some places only.
    pub(super) fn limits(&self) -> bool {
        self.recipients.is_some() || self.domains.is_some() || self.paths.is_some()
    }

    /// Whether they may go there.
    pub(super) fn allows(&self, place: &Place) -> bool {
        let (recipients, domains) =
            (self.recipients.as_deref().unwrap_or_default(), self.domains.as_deref().unwrap_or_default());
        let all = |value: &String| allows(recipients, domains, value);
        allows(recipients, &[], &place.whole) || !place.values.is_empty() && place.values.iter().all(all)
    }
}

/// Whether a place is one of these recipients, or within one of these domains.
pub(super) fn allows(recipients: &[String], domains: &[String], value: &str) -> bool {
    // What is before the path first: `evil.example/@corp.example` is at the former.
    let authority = value.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default().split(':').next().unwrap_or_default();
    recipients.iter().any(|pattern| is_like(pattern, value)) || domains.iter().any(|domain| is_below(domain, host))
}

/// Whether a text is what a pattern says: the same, or with the same beginning or end where the pattern has a `*` there. The case
/// of letters does not count.
fn is_like(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.to_lowercase(), text.to_lowercase());
    // Numbers and accounts are compared without what groups them: `DE89 3704`, `W-30477`.
    let is_number = text.bytes().all(|byte| byte.is_ascii_alphanumeric()) && text.bytes().any(|byte| byte.is_ascii_digit());
    let grouped = is_number && !pattern.contains(['@', '.']) && pattern.contains(char::is_alphanumeric);
    let pattern = if grouped { pattern.replace([' ', '-', '/'], "") } else { pattern };
    match pattern.strip_prefix('*') {
        Some(end) => text.ends_with(end),
        None => fits(&pattern, &text),
    }
}

/// Whether a host is a domain or below it.
fn is_below(domain: &str, host: &str) -> bool {
    let (domain, host) = (domain.trim_start_matches("*.").to_lowercase(), host.to_lowercase());
    host == domain || host.strip_suffix(&domain).is_some_and(|rest| rest.ends_with('.'))
}

/// What is known of the tools of a server.
#[derive(Clone, Copy)]
pub(crate) struct Known<'k> {
    /// As it lists them.
    pub(crate) catalog: &'k Catalog,
    /// As they were approved.
    pub(crate) pins: &'k Pins,
}

impl<'k> Known<'k> {
    /// What is known when a message is judged.
    pub(crate) fn of(event: &Event<'k>, session: &'k Session) -> Known<'k> {
        Known { catalog: &session.catalog, pins: &event.server.pins }
    }
}

pub(super) fn labels(names: &[LabelName]) -> ToolLabels {
    names.iter().map(|name| ToolLabel::from(*name)).collect()
}

impl Options {
    /// What is known better of a tool.
    pub(super) fn entry(&self, server: &str, tool: &str, arguments: Option<Value<'_>>) -> Option<&ToolEntry> {
        if self.tool.is_empty() {
            return None;
        }
        let name = format!("{server}/{tool}");
        let mut entries = self.tool.iter().filter(|entry| fits(&entry.name, &name)).peekable();
        // Most tools have no entry, and most entries are about all of their calls.
        let says_where = entries.peek().is_some() && self.tool.iter().any(|entry| !entry.arguments.is_empty());
        let held = arguments.filter(|_| says_where).map(leaves);
        entries.find(|entry| entry.is_about(held.as_deref()))
    }

    /// Whether nobody else writes what the tool brings.
    pub(crate) fn trusts(&self, server: &str, tool: &str) -> bool {
        if self.trusted.is_empty() {
            return false;
        }
        let name = format!("{server}/{tool}");
        self.trusted.iter().any(|pattern| fits(pattern, server) || fits(pattern, &name))
    }

    /// What a tool does with information. Of one that is not listed, as a server lists more than is remembered, it is taken for
    /// granted that it brings and reaches anything, and for every one of them to wait for somebody would be too much.
    pub(crate) fn nature(&self, (server, tool): (&str, &str), arguments: Option<Value<'_>>, known: Known<'_>) -> Nature {
        let all = ToolLabel::ALL.into_iter().filter(|label| *label != ToolLabel::Destructive);
        let unknown = Nature { labels: all.collect(), ..Nature::default() };
        let mut is_said = false;
        let definition = known.catalog.get(DefinitionKind::Tool, tool);
        let mut nature = known.pins.nature(tool, definition.map(|held| &**held), unknown);
        if let Some(set) = self.entry(server, tool, arguments).and_then(|entry| entry.labels.as_deref()) {
            nature.labels = labels(set);
            (nature.if_addressed, nature.by_hint) = (false, false);
            is_said = true;
        }
        // What is said of files without a call is no tool's.
        if arguments.is_some() {
            self.files(server, tool, arguments).change(&mut nature, !is_said);
        }
        if self.trusts(server, tool) {
            nature.labels = nature.labels.without(ToolLabel::UntrustedContent);
        }
        nature
    }

    /// What a tool's results bring. One that writes says what became of that, in which a stranger may have had a word.
    pub(crate) fn brings(&self, (server, tool): (&str, &str), arguments: Option<Value<'_>>, known: Known<'_>) -> ToolLabels {
        let mut nature = self.nature((server, tool), arguments, known);
        if arguments.is_none() {
            self.files(server, tool, None).change(&mut nature, false);
        }
        if nature.reads || self.trusts(server, tool) { nature.labels } else { nature.labels.with(ToolLabel::UntrustedContent) }
    }

    /// What a tool does besides in calls with certain arguments only: by `where`, or by the files that it names.
    pub(super) fn sometimes(&self, (server, tool): (&str, &str), nature: Nature, takes_paths: bool) -> ToolLabels {
        let name = format!("{server}/{tool}");
        let own = self.tool.iter().filter(|entry| fits(&entry.name, &name)).take_while(|entry| !entry.arguments.is_empty());
        let by_arguments = own.flat_map(|entry| {
            let public = entry.public.then_some(ToolLabel::PublicSink);
            entry.labels.iter().flat_map(|set| labels(set).iter()).chain(public).collect::<Vec<_>>()
        });
        let mut by_files = Nature { labels: ToolLabels::NONE, ..nature };
        if takes_paths {
            self.files(server, tool, None).change(&mut by_files, false);
        }
        let all: ToolLabels = by_arguments.chain(by_files.labels.iter()).filter(|label| !nature.labels.has(*label)).collect();
        if self.trusts(server, tool) { all.without(ToolLabel::UntrustedContent) } else { all }
    }

    /// What is known of the files that a call names.
    pub(super) fn files(&self, server: &str, tool: &str, arguments: Option<Value<'_>>) -> Files {
        if self.path.is_empty() { Files::default() } else { Files::of(&self.path, &format!("{server}/{tool}"), arguments) }
    }

    /// Whether the operator says that what a text names is private: a file, or a resource.
    pub(super) fn says_private(&self, (server, tool): (&str, &str), text: &str) -> bool {
        let entry = canonical_uri(text).and_then(|uri| self.resource.iter().find(|entry| fits(&entry.uri, &uri)));
        entry.is_some_and(|entry| labels(&entry.labels).has(ToolLabel::PrivateData))
            || Files::named(&self.path, &format!("{server}/{tool}"), text).brings(ToolLabel::PrivateData)
    }

    /// What a resource brings.
    pub(crate) fn of_resource(&self, server: &str, uri: &str) -> ToolLabels {
        // A URI that can be read as several is none that the operator knows.
        let form = canonical_uri(uri);
        let entry = form.and_then(|uri| self.resource.iter().find(|entry| fits(&entry.uri, &uri)));
        let set = entry.map(|entry| labels(&entry.labels));
        let guessed = || {
            let is_local = !uri.to_lowercase().starts_with("http");
            [ToolLabel::UntrustedContent].into_iter().chain(is_local.then_some(ToolLabel::PrivateData)).collect()
        };
        let is_said = set.is_some();
        let mut nature = Nature { labels: set.unwrap_or_else(guessed), reads: true, ..Nature::default() };
        Files::of_uri(&self.path, server, uri).change(&mut nature, !is_said);
        let labels = nature.labels;
        if self.trusts(server, uri) { labels.without(ToolLabel::UntrustedContent) } else { labels }
    }
}

/// The servers and tools that tables name, for whoever checks whether there are such.
#[must_use]
pub fn named(options: &serde_json::Value) -> Vec<(String, String)> {
    let Ok(options) = Options::deserialize(options) else { return Vec::new() };
    let trusted = options.trusted.iter().map(String::as_str);
    let names = trusted.chain(options.tool.iter().map(|entry| &*entry.name)).chain(options.path.iter().map(|entry| &*entry.name));
    names.filter_map(|name| name.split_once('/')).map(|(server, tool)| (server.to_owned(), tool.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_what_it_says() {
        for (pattern, text, does) in [
            ("bob@corp.example", "Bob@corp.example", true),
            ("*@corp.example", "Bob@corp.example", true),
            ("*@corp.example", "bob@corp.example.evil.example", false),
            ("anna@*", "anna@corp.example", true),
            ("*", "", true),
            ("mail", "mails", false),
            ("DE89 3704 0044", "de8937040044", true),
            ("W-*", "w30477", true),
            ("W-*", "w-30477", true),
            ("W-*", "wendel", false),
            ("anna@*", "anna5", false),
            ("-*", "w30477", false),
        ] {
            assert_eq!(is_like(pattern, text), does, "{pattern} {text}");
        }
        let own = ["corp.example".to_owned()];
        for (value, does) in [
            ("bob@corp.example", true),
            ("corp.example/a", true),
            ("corp.example:8443/a", true),
            ("evil.example/@corp.example", false),
            ("evil.example\\@corp.example", false),
            ("corp.example@evil.example", false),
            ("evil.example?corp.example", false),
        ] {
            assert_eq!(allows(&[], &own, value), does, "{value}");
        }
        for (host, is) in [("corp.example", true), ("a.b.Corp.example", true), ("notcorp.example", false), ("example", false)] {
            assert_eq!(is_below("corp.example", host), is, "{host}");
            assert_eq!(is_below("*.corp.example", host), is, "{host}");
        }
    }
}
