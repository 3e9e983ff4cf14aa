//! **Threat.** Two programs that read one message differently let an attacker show a harmless meaning to the guard
//! and another to the server: a key given twice, `Method` beside `method`, half a surrogate pair, an id that one
//! side rounds. And a message that is too large, too deep or of unknown purpose may slip past everything that was
//! written for ordinary ones.
//!
//! The scanner refuses such a message before any guard sees it, under the rules named here; what is left for this
//! guard are definitions under names that nobody could ask for, which are taken out of their lists, and methods, fields
//! and extensions that no revision knows, which pass unless the operator says otherwise.

mod known;

use bartizan_mcp::{Kind, Message, NodeKind, PartKind, Value, meta::Meta, method};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Guard, GuardSpec, RuleSpec, LooksAt};
use crate::{Action, DefinitionKind, Direction, Event, Finding, Report, Session, Severity, excerpt};

/// Specification of the guard.
pub const SPEC: GuardSpec = GuardSpec {
    name: "conformance",
    threat: "A message that two programs read differently shows one meaning to the guard and another to the server.",
    rules: RULES,
    actions: &[Action::Observe, Action::Approve, Action::Deny],
    skips: &[],
    looks_at: LooksAt::Else("The method, the members and the declared extensions of a message."),
    sees_edited: true,
    raises: &[],
    options: || schemars::schema_for!(Options),
    build: |options, _| {
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
    RuleSpec::fixed(
        "conformance.name",
        "A tool, a prompt or a resource is named by something that is no text.",
    ),
    RuleSpec::fixed(
        "conformance.name_length",
        "An id, a method, a progress token or the name of a tool, a prompt or a task has more than 1 KiB, or the URI of a resource more than 16 KiB.",
    ),
    RuleSpec::fixed("conformance.unsolicited", "A response answers no request that is waiting."),
    RuleSpec::fixed("conformance.duplicate_id", "A request reuses the id of one that is not answered yet."),
    RuleSpec::fixed("conformance.header_mismatch", "An HTTP header contradicts the message."),
    RuleSpec::fixed("conformance.missing_id", "A request of the protocol comes without an id, as a notification does."),
    RuleSpec::fixed(
        "conformance.method_spelling",
        "The method differs from one of the protocol only in case, punctuation or blanks, so a lenient server may take it for that.",
    ),
    RuleSpec::new(
        "conformance.unknown_method",
        Severity::Low,
        Action::Observe,
        "No revision of the protocol knows the method.",
    ),
    RuleSpec::new(
        "conformance.unknown_field",
        Severity::Low,
        Action::Observe,
        "No revision knows a member of the message, of its parameters or result, or of a task, an outcome or a question in them.",
    ),
    RuleSpec::new(
        "conformance.unknown_extension",
        Severity::Low,
        Action::Observe,
        "A client or a server declares a capability or an extension that is not the specification's.",
    ),
];

/// It has no options of its own.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {}

struct Conformance;

impl Guard for Conformance {
    fn inspect(&self, event: &Event<'_>, _: &Session, report: &mut Report) {
        if event.direction == Direction::ToClient {
            long_names(event, report);
        }
        unknown_method(event, report);
        missing_id(event, report);
        unknown_fields(event, report);
        unknown_extensions(event, report);
    }
}

/// A request that says it wants no answer: a server may do what it asks for all the same, and nobody would count it.
fn missing_id(event: &Event<'_>, report: &mut Report) {
    let message = event.message;
    let Some(at) = message.root().get("method").filter(|_| message.kind() == Kind::Notification) else { return };
    let method = at.text();
    if known::method(&method) && !method.starts_with("notifications/") {
        let why = format!("`{}` comes without an id", excerpt(&method));
        find(report, "conformance.missing_id", at, why);
    }
}

/// The method of the message, and of the questions in it.
fn unknown_method(event: &Event<'_>, report: &mut Report) {
    let message = event.message;
    let asked = questions(message).filter_map(|question| question.get("method"));
    for at in message.root().get("method").into_iter().chain(asked) {
        let method = at.text();
        if let Some(meant) = known::misspelt(&method) {
            let why = format!("the method `{}` could be taken for `{meant}`", excerpt(&method));
            find(report, "conformance.method_spelling", at, why);
        } else if !known::method(&method) {
            let why = format!("no revision of the protocol knows the method `{}`", excerpt(&method));
            find(report, "conformance.unknown_method", at, why);
        }
    }
}

/// The questions that a result may hold instead of an answer, or what is said of a task.
fn questions(message: &Message) -> impl Iterator<Item = Value<'_>> {
    let holders = [message.params(), message.result()].into_iter().flatten();
    holders.filter_map(|holder| holder.get("inputRequests")).flat_map(Value::members).map(|(_, question)| question)
}

/// Members of the message itself, of its parameters, of its result and of its error; what is in them has a meaning that
/// depends on the server, unless it is the same again.
fn unknown_fields(event: &Event<'_>, report: &mut Report) {
    let message = event.message;
    strange(message.root(), "a message", &known::member, report);
    if let (Some(method), Some(params)) = (message.method(), message.params()) {
        strange(params, "the parameters", &|name| known::param(method, name), report);
    }
    if let (Kind::Result, Some(call), Some(result)) = (message.kind(), event.answers, message.result()) {
        let of_task = &*call.method == method::TASKS_RESULT;
        let known = |name: &str| {
            known::result_member(&call.method, name) || of_task && known::outcome_member(event.direction, name)
        };
        strange(result, "the result", &known, report);
        if known::method(&call.method) {
            no_object(result, "a result", report);
        }
    }
    if let Some(error) = message.error() {
        strange(error, "an error", &known::error_member, report);
    }
    let method = message.method().or_else(|| event.answers.map(|call| &*call.method));
    if method.is_some_and(known::method) {
        within(event, report);
    }
}

/// What stands in a message that is a message's own again: tasks, what has come of them, questions and their answers.
fn within(event: &Event<'_>, report: &mut Report) {
    let message = event.message;
    let mut all = |of: Option<Value<'_>>, place: &str, known: &dyn Fn(&str) -> bool| {
        if let Some(value) = of {
            strange(value, place, known, report);
            no_object(value, place, report);
        }
    };
    let outcome = |name: &str| known::outcome_member(event.direction, name);
    if let Some(params) = message.params() {
        all(params.get("task"), "the task that is wanted", &known::wanted_task_member);
        let answers = params.get("inputResponses").into_iter().flat_map(Value::members);
        answers.for_each(|(_, answer)| all(Some(answer), "an answer to a question", &outcome));
    }
    if let Some(result) = message.result() {
        all(result.get("task"), "a task", &known::task_member);
        let listed = result.get("tasks").into_iter().flat_map(Value::elements);
        listed.for_each(|task| all(Some(task), "a task", &known::task_member));
    }
    for body in [message.params(), message.result()].into_iter().flatten() {
        all(body.get("result"), "the result of a task", &outcome);
        all(body.get("error"), "the error of a task", &known::error_member);
    }
    for question in questions(message) {
        all(Some(question), "a question", &known::question_member);
        let asked = question.get("method").map(Value::text).unwrap_or_default();
        all(question.get("params"), "the parameters of a question", &|name| known::param(&asked, name));
    }
}

/// Finds members that are not known.
fn strange(of: Value<'_>, place: &str, known: &dyn Fn(&str) -> bool, report: &mut Report) {
    for (name, value) in of.members().map(|(name, value)| (name.text(), value)).filter(|(name, _)| !known(name)) {
        let why = format!("no revision of the protocol knows the member `{}` of {place}", excerpt(&name));
        find(report, "conformance.unknown_field", value, why);
    }
}

/// Finds something that has no members where it has to have some.
fn no_object(value: Value<'_>, place: &str, report: &mut Report) {
    if value.kind() != NodeKind::Object {
        find(report, "conformance.unknown_field", value, format!("no revision knows {place} that is no object"));
    }
}

/// Capabilities and extensions of others than the specification, where a client or a server declares what it can do.
fn unknown_extensions(event: &Event<'_>, report: &mut Report) {
    let message = event.message;
    let mut holders = [message.params(), message.result()].into_iter().flatten();
    let declared = holders.find_map(|holder| holder.get("capabilities"));
    for capabilities in declared.into_iter().chain(Meta::of(message).client_capabilities()) {
        strange_form(capabilities, "capabilities", report);
        for (name, value) in capabilities.members().map(|(name, value)| (name.text(), value)) {
            if matches!(&*name, "extensions" | "experimental") {
                strange_form(value, &name, report);
                for (name, value) in value.members().map(|(name, value)| (name.text(), value)) {
                    if !known::extension(&name) {
                        let why = format!("`{}` is an extension that is not the specification's", excerpt(&name));
                        find(report, "conformance.unknown_extension", value, why);
                    }
                }
            } else if !known::capability(&name) {
                let why = format!("no revision of the protocol knows the capability `{}`", excerpt(&name));
                find(report, "conformance.unknown_extension", value, why);
            }
        }
    }
}

/// What is declared in another form than by name says nobody knows what.
fn strange_form(declared: Value<'_>, what: &str, report: &mut Report) {
    if declared.kind() != NodeKind::Object {
        find(report, "conformance.unknown_extension", declared, format!("`{what}` is no object"));
    }
}

fn find(report: &mut Report, rule: &str, at: Value<'_>, why: String) {
    if let Some(rule) = SPEC.rule(rule) {
        report.find(Finding::about(rule, at, PartKind::Other, why));
    }
}

/// Finds definitions by whose names nobody could ask for them, because the scanner refuses that.
fn long_names(event: &Event<'_>, report: &mut Report) {
    let Some(rule) = SPEC.rule("conformance.name_length") else { return };
    for listing in DefinitionKind::lists_of(event.message) {
        let (kind, most) = (listing.kind, listing.kind.longest_name());
        for element in listing.list.elements() {
            let Some(name) = element.get(kind.name_member()).and_then(Value::as_str) else { continue };
            if name.len() > most {
                let why = format!("`{}` is a name of {} bytes, more than {most}", excerpt(&name), name.len());
                report.find(Finding::about(rule, element, kind.part(), why).in_element(element.id()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_mcp::Fault;

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
            BadName,
            LongName,
        ] {
            assert!(SPEC.rule(fault.rule()).is_some_and(|rule| rule.fixed), "{}", fault.rule());
        }
    }
}
