//! **Threat.** A runaway agent or a stolen credential calls a tool thousands of times: it empties an account, scrapes
//! a data store record by record, or keeps a server from everybody else, by many calls or by a few that take long.
//!
//! Counting has to be exact under concurrency and spans conversations, so the gateway's limiter counts before the
//! message is judged; this guard turns what it found into findings, which settings treat like any other.

use std::num::NonZeroU32;

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
    raises: &[],
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
    RuleSpec::new(
        "rate.in_flight_principal",
        Severity::Medium,
        Action::Deny,
        "As many of the principal's calls wait for their answers as may at once.",
    ),
    RuleSpec::new(
        "rate.in_flight_tool",
        Severity::Medium,
        Action::Deny,
        "As many of the principal's calls of one tool wait for their answers as may at once.",
    ),
];

/// The limits; the gateway's limiter reads them. A limit is a number of requests per `s`, `min`, `h` or `d`, such as
/// `60/min`, and may be spent in one burst. At `/mcp` a request that all servers answer counts once for itself and once
/// for each of them.
///
/// What waits for its answer is a call of a tool, a resource that is read, a prompt, and completions for either. It waits no
/// more once it is answered or cancelled, or its client or server has gone; what becomes a task is answered by that.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Requests of one principal over all servers.
    pub per_principal: Option<Limit>,
    /// Requests to one server over all principals.
    pub per_server: Option<Limit>,
    /// Calls of one tool by one principal.
    pub per_tool: Option<Limit>,
    /// Calls of one principal over all servers that wait for their answers at once.
    pub in_flight_per_principal: Option<NonZeroU32>,
    /// Calls of one tool by one principal that wait for their answers at once.
    pub in_flight_per_tool: Option<NonZeroU32>,
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
            let (id, why) = match evidence {
                Evidence::RateExceeded { scope, limit, retry_after_ms } => {
                    let (id, whose) = match scope {
                        RateScope::Principal => ("rate.principal", "this principal's calls"),
                        RateScope::Server => ("rate.server", "calls to this server"),
                        RateScope::Tool => ("rate.tool", "this principal's calls of the tool"),
                    };
                    let seconds = retry_after_ms.div_ceil(1000);
                    (id, format!("{whose} exceed {limit}; the next is possible in {seconds} s"))
                }
                Evidence::InFlight { scope, most } => {
                    let (id, whose) = match scope {
                        RateScope::Tool => ("rate.in_flight_tool", "this principal's calls of the tool"),
                        _ => ("rate.in_flight_principal", "this principal's calls"),
                    };
                    let wait = if *most == 1 { "waits for its answer" } else { "wait for their answers" };
                    (id, format!("{most} of {whose} {wait}; the next is possible once one has it"))
                }
                Evidence::HandedOut { .. }
                | Evidence::History(_)
                | Evidence::Opinions(_)
                | Evidence::Traces(_)
                | Evidence::Names(_)
                | Evidence::Revealed(_)
                | Evidence::Given(_)
                | Evidence::Standing(_)
                | Evidence::Told(_) => continue,
            };
            let Some(rule) = SPEC.rule(id) else { continue };
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
