//! What the operator says of tools, resources and destinations.

use bartizan_flow::{Nature, ToolLabel, ToolLabels};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{Catalog, DefinitionKind};

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
}

/// What is known better of a tool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolEntry {
    /// Which ones: `server/tool`.
    pub name: String,
    /// Their labels, in place of those that were guessed.
    pub labels: Option<Vec<LabelName>>,
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

/// Whether a text is what a pattern says: the same, or with the same beginning or end where the pattern has a `*` there. The case
/// of letters does not count.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.to_lowercase(), text.to_lowercase());
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(""), _) => true,
        (Some(end), None) => text.ends_with(end),
        (None, Some(begin)) => text.starts_with(begin),
        (Some(_), Some(begin)) => text.contains(begin.trim_start_matches('*')),
        (None, None) => pattern == text,
    }
}

/// Whether a host is a domain or below it.
pub(super) fn is_below(domain: &str, host: &str) -> bool {
    let (domain, host) = (domain.trim_start_matches("*.").to_lowercase(), host.to_lowercase());
    host == domain || host.strip_suffix(&domain).is_some_and(|rest| rest.ends_with('.'))
}

fn labels(names: &[LabelName]) -> ToolLabels {
    names.iter().map(|name| ToolLabel::from(*name)).collect()
}

impl Options {
    /// What is known better of a tool.
    pub(super) fn entry(&self, server: &str, tool: &str) -> Option<&ToolEntry> {
        let name = format!("{server}/{tool}");
        self.tool.iter().find(|entry| fits(&entry.name, &name))
    }

    /// Whether nobody else writes what the tool brings.
    pub(super) fn trusts(&self, server: &str, tool: &str) -> bool {
        let name = format!("{server}/{tool}");
        self.trusted.iter().any(|pattern| fits(pattern, server) || fits(pattern, &name))
    }

    /// What a tool does with information. Of one that is not listed, as a server lists more than is remembered, it is taken for
    /// granted that it brings and reaches anything, and for every one of them to wait for somebody would be too much.
    pub(crate) fn nature(&self, server: &str, tool: &str, catalog: &Catalog) -> Nature {
        let known = catalog.get(DefinitionKind::Tool, tool);
        let all = ToolLabel::ALL.into_iter().filter(|label| *label != ToolLabel::Destructive);
        let unknown = || Nature { labels: all.collect(), ..Nature::default() };
        let mut nature = known.map_or_else(unknown, |definition| definition.nature());
        if let Some(set) = self.entry(server, tool).and_then(|entry| entry.labels.as_deref()) {
            nature.labels = labels(set);
            (nature.if_addressed, nature.by_hint) = (false, false);
        }
        if self.trusts(server, tool) {
            nature.labels = nature.labels.without(ToolLabel::UntrustedContent);
        }
        nature
    }

    /// What a tool's results bring. One that writes says what became of that, in which a stranger may have had a word.
    pub(crate) fn brings(&self, server: &str, tool: &str, catalog: &Catalog) -> ToolLabels {
        let nature = self.nature(server, tool, catalog);
        if nature.reads || self.trusts(server, tool) { nature.labels } else { nature.labels.with(ToolLabel::UntrustedContent) }
    }

    /// What a resource brings.
    pub(crate) fn of_resource(&self, server: &str, uri: &str) -> ToolLabels {
        let set = self.resource.iter().find(|entry| fits(&entry.uri, uri)).map(|entry| labels(&entry.labels));
        let guessed = || {
            let is_local = !uri.to_lowercase().starts_with("http");
            [ToolLabel::UntrustedContent].into_iter().chain(is_local.then_some(ToolLabel::PrivateData)).collect()
        };
        let labels = set.unwrap_or_else(guessed);
        if self.trusts(server, uri) { labels.without(ToolLabel::UntrustedContent) } else { labels }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_what_it_says() {
        for (pattern, text, does) in [
            ("mail/send", "mail/send", true),
            ("mail/send", "mail/send_all", false),
            ("mail/*", "Mail/send", true),
            ("*@corp.example", "Bob@corp.example", true),
            ("*@corp.example", "bob@corp.example.evil.example", false),
            ("*", "", true),
            ("*corp*", "a.corp.b", true),
        ] {
            assert_eq!(fits(pattern, text), does, "{pattern} {text}");
        }
        for (host, is) in [("corp.example", true), ("a.b.Corp.example", true), ("notcorp.example", false), ("example", false)] {
            assert_eq!(is_below("corp.example", host), is, "{host}");
            assert_eq!(is_below("*.corp.example", host), is, "{host}");
        }
    }
}
