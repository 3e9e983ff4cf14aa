//! The controls: one file each, one line in the list below.

use std::fmt;

use bartizan_mcp::PartKind;
use schemars::Schema;

use crate::{Action, Event, Label, Report, Session, Settings, Severity};

/// Declares the modules and lists their specifications in one place: a new guard is one line here.
macro_rules! guards {
    ($($(#[$note:meta])* $name:ident),+ $(,)?) => {
        $($(#[$note])* pub mod $name;)+
        /// Every guard, in the order in which findings are listed. The order changes cost, never outcome.
        pub const ALL: &[&GuardSpec] = &[$(&$name::SPEC),+];
    };
}

guards! {
    /// Refuses what two parsers could read differently.
    conformance,
    /// Holds arguments and results against the tool's schemas.
    schema,
    /// Finds text that people do not see and models do.
    hidden_text,
    /// Leaves out of results what the model has no use for.
    minimise,
    /// Finds text that gives the assistant orders.
    prompt_injection,
    /// Finds keys, tokens and passwords, on the way out and on the way in.
    secrets,
    /// Finds what says something about a person, and has names stand for it.
    personal_data,
    /// Marks content from outside for the model.
    provenance,
    /// Withholds definitions that give orders or ask for what is not theirs.
    tool_poisoning,
    /// Holds replies against what the same tool brought before.
    output_anomaly,
    /// Withholds definitions that changed after they were approved.
    tool_pinning,
    /// Turns the limiter's evidence into findings.
    rate,
    /// Keeps a credential to what it is good for.
    access,
    /// Stops what was private, or comes from strangers, where it meets what reaches others.
    flow,
    /// Asks the policies who may do what.
    policy,
}

/// Bytes from which on looking at a text takes long enough to matter to others that wait on the same thread. All layers
/// of detection over hostile text take about 70 µs for a KiB, which makes a millisecond of this; over ordinary text it is less
/// than half. Handing a message over costs some 20 µs.
pub const LARGE: usize = 16 * 1024;

/// A control. Pure: the same event and session always give the same report.
pub trait Guard: Send + Sync {
    /// Whether looking at the message may take long however small it is, so that others should not have to wait for it.
    fn takes_long(&self, _: &Event<'_>, _: &Session) -> bool {
        false
    }

    /// Looks at one message and reports what it finds.
    fn inspect(&self, event: &Event<'_>, session: &Session, report: &mut Report);
}

/// Makes a guard from its own options and from what is set for all.
pub type Build = fn(&serde_json::Value, &Settings) -> Result<Box<dyn Guard>, serde_json::Error>;

/// All there is to say about a guard before it runs.
pub struct GuardSpec {
    /// Its name in the configuration; also the first word of its rule ids.
    pub name: &'static str,
    /// The threat it answers, in a sentence or two.
    pub threat: &'static str,
    /// The rules that it can report.
    pub rules: &'static [RuleSpec],
    /// The actions that make sense for it.
    pub actions: &'static [Action],
    /// The kinds of part that it passes over, each with the reason; it sees all others.
    pub skips: &'static [(PartKind, &'static str)],
    /// What it looks at.
    pub looks_at: LooksAt,
    /// Whether it looks at what is left after redaction as well. What holds a message against something that was
    /// approved or counted before has seen all there is to see in the message as it came.
    pub sees_edited: bool,
    /// What it labels a session with when something comes through that it found something in: [`Labelling`](crate::Labelling)
    /// says how grave that has to be.
    pub raises: &'static [Label],
    /// The JSON Schema of its own options.
    pub options: fn() -> Schema,
    /// Makes the guard from its own options, and from what is set for all.
    pub build: Build,
}

impl GuardSpec {
    /// The rule with that id; for one that the operator wrote, the rule that it comes under.
    #[must_use]
    pub fn rule(&self, id: &str) -> Option<&'static RuleSpec> {
        let under =
            |rule: &&RuleSpec| rule.holds_others && id.strip_prefix(rule.id).is_some_and(|name| name.starts_with('.'));
        self.rules.iter().find(|rule| rule.id == id).or_else(|| self.rules.iter().find(under))
    }

    /// Whether no setting may change any of its rules; such a guard cannot be switched off either.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        self.rules.iter().all(|rule| rule.fixed)
    }
}

impl fmt::Debug for GuardSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GuardSpec({})", self.name)
    }
}

/// What a guard looks at, which says how it can be tried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LooksAt {
    /// Single texts, each by itself: in this one it finds something wherever it stands.
    Texts(&'static str),
    /// Something else, which only cases of its own can show.
    Else(&'static str),
}

/// One rule of a guard.
#[derive(Debug, PartialEq, Eq)]
pub struct RuleSpec {
    /// Its stable id, `guard.rule`.
    pub id: &'static str,
    /// How bad it is if it is true.
    pub severity: Severity,
    /// What it means, in a sentence.
    pub summary: &'static str,
    /// What happens unless a setting says otherwise.
    pub default: Action,
    /// What happens instead in parts of these kinds.
    pub by_kind: &'static [(PartKind, Action)],
    /// Whether no setting may change that.
    pub fixed: bool,
    /// Whether it is about who asks and not about what is said: what it withholds from one, others may see.
    pub about_caller: bool,
    /// Whether rules that the operator wrote come under it: each can be set by this id, a dot and its own name.
    pub holds_others: bool,
    /// Whether only settings that name it bear on it, and none for all rules of its guard.
    pub by_name: bool,
}

impl RuleSpec {
    /// A rule that settings may tune.
    #[must_use]
    pub const fn new(id: &'static str, severity: Severity, default: Action, summary: &'static str) -> Self {
        RuleSpec {
            id,
            severity,
            summary,
            default,
            by_kind: &[],
            fixed: false,
            about_caller: false,
            holds_others: false,
            by_name: false,
        }
    }

    /// A rule that always denies.
    #[must_use]
    pub const fn fixed(id: &'static str, summary: &'static str) -> Self {
        RuleSpec {
            id,
            severity: Severity::High,
            summary,
            default: Action::Deny,
            by_kind: &[],
            fixed: true,
            about_caller: false,
            holds_others: false,
            by_name: false,
        }
    }

    /// A rule that always asks a person.
    #[must_use]
    pub const fn asks(id: &'static str, summary: &'static str) -> Self {
        RuleSpec { default: Action::Approve, ..RuleSpec::fixed(id, summary) }
    }

    /// A rule that always records something and stops nothing.
    #[must_use]
    pub const fn notes(id: &'static str, summary: &'static str) -> Self {
        RuleSpec { severity: Severity::Info, default: Action::Observe, ..RuleSpec::fixed(id, summary) }
    }

    /// The same, about who asks.
    #[must_use]
    pub const fn about_caller(self) -> Self {
        RuleSpec { about_caller: true, ..self }
    }

    /// The same, as what rules of the operator come under.
    #[must_use]
    pub const fn holds_others(self) -> Self {
        RuleSpec { holds_others: true, ..self }
    }

    /// The same, on which only settings bear that name it.
    #[must_use]
    pub const fn by_name(self) -> Self {
        RuleSpec { by_name: true, ..self }
    }

    /// The same with other defaults in parts of some kinds.
    #[must_use]
    pub const fn in_kinds(self, by_kind: &'static [(PartKind, Action)]) -> Self {
        RuleSpec { by_kind, ..self }
    }

    /// What happens in a part of that kind unless a setting says otherwise.
    #[must_use]
    pub fn default_in(&self, kind: PartKind) -> Action {
        self.by_kind.iter().find(|(held, _)| *held == kind).map_or(self.default, |(_, action)| *action)
    }
}
