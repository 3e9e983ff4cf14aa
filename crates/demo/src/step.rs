//! One thing that is tried, and what became of it.

use schemars::JsonSchema;
use serde::Serialize;

use crate::Role;

/// What was tried, what should have become of it, and what did.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Step {
    /// Names the step.
    pub name: &'static str,
    /// Who sent what it is about: `honest` and `hostile` are the servers.
    pub from: &'static str,
    /// What was tried, with what came of it.
    pub what: String,
    /// What should become of it: `passed`, `cleaned` or `stopped`.
    pub expected: &'static str,
    /// The rule that should stop or clean it.
    pub expected_rule: Option<&'static str>,
    /// What became of it.
    #[serde(flatten)]
    pub seen: Seen,
}

/// What came through the gateway, confirmed by its log where the gateway stepped in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Seen {
    /// All of it, as the server said it.
    Passed,
    /// What is visible of it; something else was taken out.
    Cleaned(Stop),
    /// Nothing of it.
    Stopped(Stop),
    /// Something else than any of these.
    Otherwise {
        /// What happened.
        why: String,
    },
}

/// Why the gateway stepped in, as its log says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Stop {
    /// The rule that decided.
    pub rule: String,
    /// The reason. It may quote the server, so it has to be made printable.
    pub why: String,
    /// The entry of the log, for `bartizan why`.
    pub decision: String,
}

impl Seen {
    /// Its name in the output.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Seen::Passed => "passed",
            Seen::Cleaned(_) => "cleaned",
            Seen::Stopped(_) => "stopped",
            Seen::Otherwise { .. } => "otherwise",
        }
    }

    /// Why the gateway stepped in, if it did.
    #[must_use]
    pub fn stop(&self) -> Option<&Stop> {
        match self {
            Seen::Cleaned(stop) | Seen::Stopped(stop) => Some(stop),
            Seen::Passed | Seen::Otherwise { .. } => None,
        }
    }
}

impl Step {
    /// Whether what happened is what should have.
    #[must_use]
    pub fn is_as_expected(&self) -> bool {
        self.seen.name() == self.expected && self.seen.stop().map(|stop| &*stop.rule) == self.expected_rule
    }

    /// Whether something came through that should have been stopped or cleaned.
    #[must_use]
    pub fn got_through(&self) -> bool {
        self.seen == Seen::Passed && self.expected != Seen::Passed.name()
    }

    pub(crate) fn passes(name: &'static str, from: Role, what: impl Into<String>, seen: Seen) -> Self {
        Step { name, from: from.name(), what: what.into(), expected: "passed", expected_rule: None, seen }
    }

    pub(crate) fn cleaned(name: &'static str, from: Role, rule: &'static str, what: String, seen: Seen) -> Self {
        Step { name, from: from.name(), what, expected: "cleaned", expected_rule: Some(rule), seen }
    }

    pub(crate) fn stopped(name: &'static str, from: &'static str, rule: &'static str, what: &str, seen: Seen) -> Self {
        Step { name, from, what: what.to_owned(), expected: "stopped", expected_rule: Some(rule), seen }
    }
}
