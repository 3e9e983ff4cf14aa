//! **Threat.** Two programs that read one message differently let an attacker show a harmless meaning to the guard
//! and another to the server: a key given twice, `Method` beside `method`, half a surrogate pair, an id that one
//! side rounds. And a message that is too large, too deep or of unknown purpose may slip past everything that was
//! written for ordinary ones.
//!
//! The scanner refuses such a message before any guard sees it, under the rules named here; what is left for this
//! guard are methods that no revision knows, which pass unless the operator says otherwise.

use bartizan_mcp::PartKind;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Guard, GuardSpec, RuleSpec};
use crate::{Action, Event, Finding, Report, Session, Severity, excerpt};

/// Specification of the guard.
pub const SPEC: GuardSpec = GuardSpec {
    name: "conformance",
    threat: "A message that two programs read differently shows one meaning to the guard and another to the server.",
    rules: RULES,
    actions: &[Action::Observe, Action::Approve, Action::Deny],
    skips: &[],
    sees_edited: true,
    options: || schemars::schema_for!(Options),
    build: |options| {
        let Options {} = Options::deserialize(options)?;
        Ok(Box::new(Conformance))
    },
};

const RULES: &[RuleSpec] = &[
    RuleSpec::fixed("conformance.size", "The message is larger than `limits.message_bytes`."),
    RuleSpec::fixed("conformance.depth", "Arrays and objects nest deeper than `limits.depth`."),
    RuleSpec::fixed("conformance.count", "The message holds more values than `limits.values`."),
    RuleSpec::fixed("conformance.utf8", "The message is not UTF-8, or begins with a byte order mark."),
    RuleSpec::fixed("conformance.syntax", "The message is not JSON (RFC 8259)."),
    RuleSpec::fixed("conformance.lone_surrogate", "An escape stands for half of a surrogate pair."),
    RuleSpec::fixed("conformance.duplicate_key", "A key occurs twice in one object."),
    RuleSpec::fixed("conformance.case_variant", "A key differs from a protocol key only in case."),
    RuleSpec::fixed("conformance.batch", "Several messages came in one JSON array."),
    RuleSpec::fixed("conformance.not_json_rpc", "The message is not JSON-RPC 2.0."),
    RuleSpec::fixed("conformance.id", "The id is neither a string nor a 64-bit integer."),
    RuleSpec::fixed("conformance.ambiguous", "Not clearly a request, a notification or a response."),
    RuleSpec::fixed("conformance.envelope", "`method`, `params` or `error` has the wrong type."),
    RuleSpec::fixed("conformance.unsolicited", "A response answers no request that is waiting."),
    RuleSpec::fixed("conformance.duplicate_id", "A request reuses the id of one that is not answered yet."),
    RuleSpec::fixed("conformance.header_mismatch", "An HTTP header contradicts the message."),
    RuleSpec::new(
        "conformance.unknown_method",
        Severity::Low,
        Action::Observe,
        "No revision of the protocol knows the method.",
    ),
];

/// It has no options of its own.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {}

struct Conformance;

impl Guard for Conformance {
    fn inspect(&self, event: &Event<'_>, _: &Session, report: &mut Report) {
        let Some(method) = event.message.method() else { return };
        if KNOWN.binary_search(&method).is_ok() {
            return;
        }
        let (Some(rule), Some(at)) = (SPEC.rule("conformance.unknown_method"), event.message.root().get("method"))
        else {
            return;
        };
        let why = format!("no revision of the protocol knows the method `{}`", excerpt(method));
        report.find(Finding::about(rule, at, PartKind::Other, why));
    }
}

/// The methods of all revisions and of the extensions named in them, sorted.
const KNOWN: &[&str] = &[
    "completion/complete",
    "elicitation/create",
    "initialize",
    "logging/setLevel",
    "notifications/cancelled",
    "notifications/elicitation/complete",
    "notifications/initialized",
    "notifications/message",
    "notifications/progress",
    "notifications/prompts/list_changed",
    "notifications/resources/list_changed",
    "notifications/resources/updated",
    "notifications/roots/list_changed",
    "notifications/subscriptions/acknowledged",
    "notifications/tasks",
    "notifications/tasks/status",
    "notifications/tools/list_changed",
    "ping",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/templates/list",
    "resources/unsubscribe",
    "roots/list",
    "sampling/createMessage",
    "server/discover",
    "subscriptions/listen",
    "tasks/cancel",
    "tasks/get",
    "tasks/list",
    "tasks/result",
    "tasks/update",
    "tools/call",
    "tools/list",
];

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_mcp::Fault;

    #[test]
    fn known_methods_are_sorted() {
        assert!(KNOWN.is_sorted());
    }

    #[test]
    fn every_fault_has_a_rule() {
        use Fault::*;
        for fault in [
            TooLarge,
            TooDeep,
            TooMany,
            Utf8,
            Syntax,
            LoneSurrogate,
            DuplicateKey,
            CaseVariant,
            Batch,
            NotJsonRpc,
            BadId,
            Ambiguous,
            BadEnvelope,
        ] {
            assert!(SPEC.rule(fault.rule()).is_some_and(|rule| rule.fixed), "{}", fault.rule());
        }
    }
}
