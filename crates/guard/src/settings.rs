//! What the operator has decided: which finding leads to which action.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bartizan_mcp::{JsonPath, PartKind};
use bartizan_policy::Policies;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{Asks, Direction, Finding, Severity, Timestamp};

/// What a finding leads to, from the mildest to the strictest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is recorded.
    Observe,
    /// What was found is taken out or made harmless.
    Redact,
    /// A person is asked.
    Approve,
    /// The message, or the element of a list, does not pass.
    Deny,
}

impl Action {
    /// Its name in configuration and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Observe => "observe",
            Action::Redact => "redact",
            Action::Approve => "approve",
            Action::Deny => "deny",
        }
    }
}

/// How `redact` changes a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Made harmless but kept visible where the guard knows how, else cut.
    #[default]
    Neutralise,
    /// Taken out.
    Cut,
    /// Replaced by `[redacted]`.
    Mask,
    /// Each character replaced by `*`, but for the last four of eight or more and the domain of an e-mail address.
    Partial,
    /// Replaced by a name that stands for it and is the same each time; a tool that is entitled gets back what it stands for.
    Pseudonymise,
    /// The same, and what has digits is replaced by a number of its length and kind, so that a number stays one.
    Preserve,
    /// Replaced by a keyed digest, by which what is the same can be told until the gateway starts anew.
    Hash,
}

impl How {
    /// Whether what is put there is to lead back to what was there.
    #[must_use]
    pub fn names(self) -> bool {
        matches!(self, How::Pseudonymise | How::Preserve)
    }
}

/// The key of the digests that stand for what is redacted. It never shows itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HashKey(pub [u8; 32]);

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(…)")
    }
}

/// Whether decisions are carried out or only recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Decisions are carried out.
    #[default]
    Enforce,
    /// Everything is judged and recorded; only what cannot be read is stopped.
    Observe,
}

impl Mode {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Enforce => "enforce",
            Mode::Observe => "observe",
        }
    }

    /// What people have to know of it wherever it is put in force: nothing that happens shows it.
    #[must_use]
    pub fn notice(self) -> Option<&'static str> {
        match self {
            Mode::Enforce => None,
            Mode::Observe => Some(
                "mode = \"observe\": what guards find is recorded and passes; only what cannot be read safely is stopped",
            ),
        }
    }
}

/// All settings that bear on decisions.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Whether decisions are carried out.
    pub mode: Mode,
    /// By guard name; a guard that is not named has its defaults.
    pub guards: BTreeMap<String, GuardSettings>,
    /// Narrow exceptions.
    pub exceptions: Vec<Exception>,
    /// Who may do what, if anything is said about that.
    pub policies: Option<Arc<Policies>>,
    /// Which slow layers are asked about doubtful texts, if any.
    pub asks: Option<Arc<Asks>>,
    /// What sessions are labelled because of.
    pub labels: Labelling,
    /// The key of digests that stand for what is redacted; without one it is masked.
    pub hash_key: Option<HashKey>,
}

/// Whose labels are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LabelsOf {
    /// Those of one session.
    #[default]
    Session,
    /// Those of all sessions of one principal.
    Principal,
}

/// What a session is labelled because of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Labelling {
    /// Whose labels are one.
    pub of: LabelsOf,
    /// How grave a finding has to be at least to label the session `untrusted`.
    pub untrusted_from: Severity,
    /// How long after a client has ended a labelled session its next one begins with the labels.
    pub after_end: Duration,
}

impl Default for Labelling {
    /// From what could be part of an attack: what is only unusual is in many an honest page. And for as long as somebody may
    /// take until they go on with the same thing.
    fn default() -> Self {
        let after_end = Duration::from_secs(30 * 60);
        Labelling { of: LabelsOf::Session, untrusted_from: Severity::Medium, after_end }
    }
}

/// The settings of one guard.
#[derive(Debug, Clone, PartialEq)]
pub struct GuardSettings {
    /// Whether it runs.
    pub enabled: bool,
    /// The action for all its rules.
    pub action: Option<Action>,
    /// How it redacts.
    pub how: How,
    /// Actions by rule id, also of rules that the operator wrote.
    pub rules: BTreeMap<String, Action>,
    /// Actions by the role of the text.
    pub parts: BTreeMap<PartKind, Action>,
    /// Settings for single servers.
    pub servers: BTreeMap<String, ServerSettings>,
    /// Settings for single places, which go before all others; of these the first that fits.
    pub places: Vec<Where>,
    /// The guard's own options, as JSON; read by its [`GuardSpec::build`](crate::GuardSpec).
    pub options: serde_json::Value,
}

impl Default for GuardSettings {
    fn default() -> Self {
        GuardSettings {
            enabled: true,
            action: None,
            how: How::default(),
            rules: BTreeMap::new(),
            parts: BTreeMap::new(),
            servers: BTreeMap::new(),
            places: Vec::new(),
            options: serde_json::Value::Object(serde_json::Map::new()),
        }
    }
}

/// The settings of one guard for one server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServerSettings {
    /// The action for all rules.
    pub action: Option<Action>,
    /// Actions by rule id.
    pub rules: BTreeMap<String, Action>,
    /// Actions by tool name.
    pub tools: BTreeMap<String, Action>,
}

/// What is done about findings in some places, by all that is said of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Where {
    /// Only of this rule, which the operator may have written; with a `*` at the end, of all that begin so.
    pub rule: Option<String>,
    /// Only this way.
    pub direction: Option<Direction>,
    /// Only in parts of this kind.
    pub part: Option<PartKind>,
    /// Only at this server; with a `*` at the end, at all whose names begin so.
    pub server: Option<String>,
    /// Only of this tool; with a `*` at the end, of all whose names begin so.
    pub tool: Option<String>,
    /// Only in what this path addresses in the arguments of a call, in structured content, or in content that is JSON.
    pub path: Option<JsonPath>,
    /// What is done.
    pub action: Action,
    /// How it is redacted, unless as the guard's `how` says.
    pub how: Option<How>,
}

impl Where {
    /// Whether it is for such a finding, wherever it is in the message.
    pub(crate) fn is_for(&self, finding: &Finding, direction: Direction, server: &str, tool: Option<&str>) -> bool {
        let tool = finding.subject.as_deref().or(tool);
        let of_rule = |pattern: &str| {
            fits(pattern, finding.rule.id) || finding.own.as_deref().is_some_and(|own| fits(pattern, own))
        };
        // What is for all rules is not for one that is set by its own name only.
        (!finding.rule.by_name || self.rule.as_deref() == Some(finding.rule.id))
            && self.direction.is_none_or(|held| held == direction)
            && self.part.is_none_or(|held| held == finding.kind)
            && self.rule.as_deref().is_none_or(of_rule)
            && self.server.as_deref().is_none_or(|pattern| fits(pattern, server))
            && self.tool.as_deref().is_none_or(|pattern| tool.is_some_and(|tool| fits(pattern, tool)))
    }
}

/// Whether a name is this one, or begins with what stands before a `*` at the end.
#[must_use]
pub fn fits(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

/// A rule that does not apply somewhere, for a stated reason, until a stated day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// The rule id.
    pub rule: String,
    /// Only for this server.
    pub server: Option<String>,
    /// Only for this tool.
    pub tool: Option<String>,
    /// Why.
    pub reason: String,
    /// From then on it no longer holds.
    pub expires: Timestamp,
}

impl Settings {
    /// The action for a finding, and the setting that chose it: one for its very place, and else the most specific one.
    pub(crate) fn action(
        &self,
        guard: &str,
        (finding, place): (&Finding, Option<&Where>),
        server: &str,
        tool: Option<&str>,
    ) -> Chosen {
        let rule = finding.rule;
        if rule.fixed {
            return Chosen { action: rule.default, by: "fixed", how: How::Cut };
        }
        let tool = finding.subject.as_deref().or(tool);
        let default = GuardSettings::default();
        let settings = self.guards.get(guard).unwrap_or(&default);
        // What such a rule hides has a name already, whatever is said of other findings.
        let how = if rule.by_name && settings.how != How::Preserve { How::Pseudonymise } else { settings.how };
        if let Some(place) = place {
            return Chosen { action: place.action, by: "guard.where", how: place.how.unwrap_or(how) };
        }
        let here = settings.servers.get(server);
        let by_tool = here.zip(tool).and_then(|(here, tool)| here.tools.get(tool));
        // That of the operator's own rule goes before that of all of them.
        let of_rule = |rules: &BTreeMap<String, Action>| {
            let own = finding.own.as_deref().and_then(|own| rules.get(own));
            own.or_else(|| rules.get(rule.id)).copied()
        };
        let candidates = [
            (by_tool.copied(), "guard.servers.tools"),
            (here.and_then(|here| of_rule(&here.rules)), "guard.servers.rules"),
            (here.and_then(|here| here.action), "guard.servers.action"),
            (of_rule(&settings.rules), "guard.rules"),
            (settings.parts.get(&finding.kind).copied(), "guard.parts"),
            (settings.action, "guard.action"),
        ];
        let bears = |by: &str| !rule.by_name || by.ends_with(".rules");
        let set =
            candidates.into_iter().find_map(|(action, by)| action.filter(|_| bears(by)).map(|action| (action, by)));
        let (action, by) = set.unwrap_or((rule.default_in(finding.kind), "rule default"));
        Chosen { action, by, how }
    }

    /// Whether an exception lifts the rule here and now.
    pub(crate) fn excepted(&self, finding: &Finding, server: &str, tool: Option<&str>, now: Timestamp) -> bool {
        let tool = finding.subject.as_deref().or(tool);
        !finding.rule.fixed
            && self.exceptions.iter().any(|exception| {
                (exception.rule == finding.rule.id || Some(&*exception.rule) == finding.own.as_deref())
                    && exception.server.as_deref().is_none_or(|name| name == server)
                    && exception.tool.as_deref().is_none_or(|name| Some(name) == tool)
                    && now < exception.expires
            })
    }
}

pub(crate) struct Chosen {
    pub(crate) action: Action,
    pub(crate) by: &'static str,
    pub(crate) how: How,
}
