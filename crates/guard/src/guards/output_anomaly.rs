//! **Threat.** A tool that has always brought the same kind of thing brings something else: its server was taken over, the page
//! behind it was, or it now carries data out in a form that hides it. No word of that needs to look like an attack.
//!
//! So each reply is held against a summary of what the same tool brought before, in all sessions, which the gateway keeps
//! in memory ([`crate::History`]). One that is odd is no attack yet: a tool is updated, a log grows. Findings are observed
//! unless a setting says otherwise, and two kinds at once weigh more than one.
//!
//! What the client's model answers a server is held against what it answered that server before: where somebody has talked it
//! round, it may carry out what it was never asked for.
//!
//! **What whoever decides what a tool says can do about it:** move slowly. A reply that is odd is mostly not learnt from, so
//! that a jump is reported several times before it is usual, and nobody gets there without being reported at all; but a
//! size that doubles each dozen replies, or a tool that brings a new host each time from its first reply on, is usual.

use bartizan_mcp::PartKind;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Guard, GuardSpec, LooksAt, RuleSpec};
use crate::history::{History, Odd, Traits};
use crate::{Action, Direction, Event, Evidence, Finding, Label, Report, Session, Severity};

/// Specification of the guard.
pub const SPEC: GuardSpec = GuardSpec {
    name: "output_anomaly",
    threat: "A tool brings something that is unlike all that it brought before.",
    rules: RULES,
    actions: &[Action::Observe, Action::Deny],
    skips: &[],
    looks_at: LooksAt::Else(
        "Results of tools, their errors, what a server asks the client's model and what that answers, as a whole, once there \
         were 20 before.",
    ),
    // What was counted before has seen all there is to see in the message as it came.
    sees_edited: false,
    raises: &[Label::Untrusted],
    options: || schemars::schema_for!(Options),
    build: |options, _| {
        let Options {} = Options::deserialize(options)?;
        Ok(Box::new(OutputAnomaly))
    },
};

const RULES: &[RuleSpec] = &[
    RuleSpec::new(
        "output_anomaly.size",
        Severity::Low,
        Action::Observe,
        "A reply is eight times as large as nearly all before it, or larger.",
    ),
    RuleSpec::new(
        "output_anomaly.shape",
        Severity::Low,
        Action::Observe,
        "Structured content has members, or types of them, that no reply before had.",
    ),
    RuleSpec::new(
        "output_anomaly.script",
        Severity::Low,
        Action::Observe,
        "A reply is in another script than all before it.",
    ),
    RuleSpec::new(
        "output_anomaly.entropy",
        Severity::Medium,
        Action::Observe,
        "A reply is denser than nearly all before it, as what is encoded or encrypted is.",
    ),
    RuleSpec::new(
        "output_anomaly.links",
        Severity::Medium,
        Action::Observe,
        "A reply leads to a host that no reply before led to, of a tool that hardly ever brings new ones.",
    ),
    RuleSpec::new(
        "output_anomaly.instructions",
        Severity::High,
        Action::Observe,
        "A reply gives orders, of a tool that never did.",
    ),
    RuleSpec::new(
        "output_anomaly.errors",
        Severity::Low,
        Action::Observe,
        "Five replies in a row are errors, of a tool that hardly ever failed.",
    ),
    RuleSpec::new(
        "output_anomaly.several",
        Severity::High,
        Action::Observe,
        "A reply is unlike all before it in several ways at once.",
    ),
];

/// It has no options of its own.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {}

struct OutputAnomaly;

impl Guard for OutputAnomaly {
    fn inspect(&self, event: &Event<'_>, session: &Session, report: &mut Report) {
        if History::subject(event.message, event.direction, event.answers, session).is_none() {
            return;
        }
        let Some(reply) = Traits::of(event) else { return };
        let history = event.evidence.iter().find_map(|evidence| match evidence {
            Evidence::History(history) => Some(history),
            _ => None,
        });
        let odd = history.map(|history| history.odd(&reply)).unwrap_or_default();
        let mut find = |rule: &str, why: String| {
            let kind = match (event.direction, event.answers) {
                (Direction::ToServer, None) => PartKind::Argument,
                (Direction::ToClient, None) => PartKind::Sampling,
                (_, Some(_)) => PartKind::Content,
            };
            let finding = SPEC.rule(rule).map(|rule| Finding::about(rule, event.message.root(), kind, why));
            finding.into_iter().for_each(|finding| report.find(finding));
        };
        for (rule, why) in odd.iter().map(|odd| said(*odd)) {
            find(rule, why.to_owned());
        }
        if odd.len() > 1 {
            find("output_anomaly.several", format!("the reply is unlike those before it in {} ways", odd.len()));
        }
        report.note(reply);
    }
}

/// The rule, and a sentence.
fn said(odd: Odd) -> (&'static str, &'static str) {
    match odd {
        Odd::Size => ("output_anomaly.size", "the reply is far larger than nearly all before it"),
        Odd::Shape => ("output_anomaly.shape", "the reply has members that none before it had"),
        Odd::Script => ("output_anomaly.script", "the reply is in a script that none before it was in"),
        Odd::Entropy => ("output_anomaly.entropy", "the reply is denser than nearly all before it"),
        Odd::Links => ("output_anomaly.links", "the reply leads to a host that none before it led to"),
        Odd::Instructions => ("output_anomaly.instructions", "the reply gives orders, which none before it did"),
        Odd::Errors => ("output_anomaly.errors", "five replies in a row are errors, where hardly any was"),
    }
}
