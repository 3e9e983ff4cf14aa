//! **Threat.** A runaway agent or a stolen credential calls a tool thousands of times: it empties an account, scrapes
//! a data store record by record, or keeps a server from everybody else.
//!
//! Counting has to be exact under concurrency and spans conversations, so the gateway's limiter counts before the
//! message is judged; this guard turns what it found into findings, which settings treat like any other.

use bartizan_mcp::PartKind;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Guard, GuardSpec, RuleSpec, LooksAt};
use crate::{Action, Event, Evidence, Finding, RateScope, Report, Session, Severity};

/// Specification of the guard.
pub const SPEC: GuardSpec = GuardSpec {
    name: "rate",
    threat: "A runaway agent or a stolen credential calls tools without end.",
    rules: RULES,
    actions: &[Action::Observe, Action::Approve, Action::Deny],
    // Only the number of messages counts.
    skips: &[],
    looks_at: LooksAt::Else("The number of messages."),
    sees_edited: false,
    options: || schemars::schema_for!(Options),
    build: |options, _| {
        Options::deserialize(options)?;
        Ok(Box::new(Rate))
    },
};

const RULES: &[RuleSpec] = &[
    RuleSpec::new("rate.principal", Severity::Medium, Action::Deny, "The principal exceeds its rate over all servers."),
    RuleSpec::new("rate.server", Severity::Medium, Action::Deny, "The server's rate over all principals is exceeded."),
    RuleSpec::new("rate.tool", Severity::Medium, Action::Deny, "The principal exceeds its rate for one tool."),
];

/// The limits; the gateway's limiter reads them. A limit is a number of requests per `s`, `min`, `h` or `d`, such as
/// `60/min`, and may be spent in one burst. At `/mcp` a request that all servers answer counts once for itself and once
/// for each of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Requests of one principal over all servers.
    pub per_principal: Option<Limit>,
    /// Requests to one server over all principals.
    pub per_server: Option<Limit>,
    /// Calls of one tool by one principal.
    pub per_tool: Option<Limit>,
}

/// So many within such a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String", extend("pattern" = "^[1-9][0-9]*/(s|min|h|d)$"))]
pub struct Limit {
    /// How many.
    pub count: u32,
    /// Within how many milliseconds.
    pub per_ms: u64,
}

impl TryFrom<String> for Limit {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(count, unit)| {
            let per_ms = match unit {
                "s" => 1_000,
                "min" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                _ => return None,
            };
            let count = count.parse().ok().filter(|&count| count > 0)?;
            Some(Limit { count, per_ms })
        });
        parsed.ok_or_else(|| format!("`{text}` is no rate; write a number and a unit, such as 60/min or 5/s"))
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let unit = match self.per_ms {
            1_000 => "s",
            60_000 => "min",
            3_600_000 => "h",
            _ => "d",
        };
        write!(f, "{}/{unit}", self.count)
    }
}

struct Rate;

impl Guard for Rate {
    fn inspect(&self, event: &Event<'_>, _: &Session, report: &mut Report) {
        for evidence in event.evidence {
            let Evidence::RateExceeded { scope, limit, retry_after_ms } = evidence;
            let (id, whose) = match scope {
                RateScope::Principal => ("rate.principal", "this principal's calls"),
                RateScope::Server => ("rate.server", "calls to this server"),
                RateScope::Tool => ("rate.tool", "this principal's calls of the tool"),
            };
            let Some(rule) = SPEC.rule(id) else { continue };
            let seconds = retry_after_ms.div_ceil(1000);
            let why = format!("{whose} exceed {limit}; the next is possible in {seconds} s");
            report.find(Finding::about(rule, event.message.root(), PartKind::Other, why));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_and_written() {
        for (text, count, per_ms) in
            [("60/min", 60, 60_000), ("5/s", 5, 1_000), ("1/h", 1, 3_600_000), ("9/d", 9, 86_400_000)]
        {
            let limit = Limit::try_from(text.to_owned()).unwrap();
            assert_eq!((limit.count, limit.per_ms, limit.to_string()), (count, per_ms, text.to_owned()));
        }
        for text in ["", "60", "0/s", "-1/s", "5/m", "5/ s", "99999999999/s"] {
            assert!(Limit::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
