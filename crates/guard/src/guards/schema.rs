//! **Threat.** A model that follows injected instructions, or a client that is an attacker's, calls a tool with
//! arguments its author never meant: an extra member, another type, a path where a number belongs. And a server
//! answers with structured content that its own schema does not describe, which the client then trusts as typed data.
//!
//! Arguments of `tools/call` are held against the tool's `inputSchema` as this session last saw it listed, and
//! `structuredContent` of the reply against its `outputSchema`: JSON Schema 2020-12, or 2019-09, 07, 06 and 04 where
//! `$schema` says so. Schemas come from servers and are hostile input themselves:
//!
//! - A reference to another document is never followed. Such a tool is withheld and its calls are refused.
//! - What validation can cost is worked out before it starts (see `cost.rs`); what would take longer than about a
//!   second, or too much stack, is refused under `schema.too_complex`.
//! - Patterns run on an engine whose time is linear in the text. One that it cannot express (look-around,
//!   back-references) is left out where that only lets more pass, else the whole schema is. Such calls pass, because
//!   honest servers write these patterns, and carry a finding (`schema.unverified`), which a setting can make a denial.
//! - Compiling a pattern can take far longer than its text is long, so what that may cost is bounded as well. A schema
//!   is compiled at the first call, apart from what others wait for, and once for all sessions that have it.
//! - `format` is an annotation, as 2020-12 has it.
//!
//! Results of tasks that are fetched later under another method are not held against a schema.

mod compiled;
mod cost;
mod instance;
mod pattern;

use bartizan_mcp::{Digest, NodeKind, PartKind, Value};
use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) use self::compiled::Compiled;
use self::compiled::{Outcome, Problem, ProblemKind, Side};
use super::{Guard, GuardSpec, RuleSpec, LooksAt};
use crate::shared::Shared;
use crate::{Action, Definition, DefinitionKind, Direction, Event, Finding, Report, Session, Severity, excerpt};

/// Specification of the guard.
pub const SPEC: GuardSpec = GuardSpec {
    name: "schema",
    threat: "Arguments that a tool's author never meant, and structured results that are not what they are said to be.",
    rules: RULES,
    actions: &[Action::Observe, Action::Approve, Action::Deny],
    skips: SKIPS,
    looks_at: LooksAt::Else("Values that a schema describes."),
    sees_edited: true,
    raises: &[],
    options: || schemars::schema_for!(Options),
    build: |options, _| {
        let Options {} = Options::deserialize(options)?;
        Ok(Box::new(SchemaGuard::default()))
    },
};

const RULES: &[RuleSpec] = &[
    RuleSpec::new("schema.arguments", Severity::Medium, Action::Deny, "Arguments do not fit the tool's `inputSchema`."),
    RuleSpec::new("schema.null_argument", Severity::Low, Action::Observe, "An optional argument is `null` instead of left out, which the tool's `inputSchema` does not allow."),
    RuleSpec::new("schema.output", Severity::Medium, Action::Deny, "`structuredContent` does not fit the tool's `outputSchema`."),
    RuleSpec::new("schema.missing_output", Severity::Low, Action::Observe, "A result lacks the `structuredContent` that an `outputSchema` promises."),
    RuleSpec::new("schema.unknown_tool", Severity::Medium, Action::Deny, "The server lists tools, and the one that is called is not among them."),
    RuleSpec::new("schema.unlisted", Severity::Low, Action::Observe, "A tool is called before the server's tools were listed."),
    RuleSpec::new("schema.external_ref", Severity::High, Action::Deny, "A tool's schema refers to another document."),
    RuleSpec::new("schema.too_complex", Severity::High, Action::Deny, "A tool's schema, or holding a message against it, costs more than the limits allow."),
    RuleSpec::new("schema.invalid_definition", Severity::Low, Action::Observe, "A tool's schema is missing or no valid JSON Schema."),
    RuleSpec::new("schema.unsupported", Severity::Low, Action::Observe, "A tool's schema uses what the validator does not support."),
    RuleSpec::new("schema.unverified", Severity::Low, Action::Observe, "A message was not, or not wholly, held against the tool's schema."),
    RuleSpec::new("schema.tool_name", Severity::Low, Action::Observe, "A tool's name is not 1 to 128 of `A-Z a-z 0-9 _ . - /`."),
];

const SKIPS: &[(PartKind, &str)] = &[
    (PartKind::PromptDefinition, "Prompts have no schemas."),
    (PartKind::ResourceDefinition, "Resources have no schemas."),
    (PartKind::Instructions, "No schema describes it."),
    (PartKind::Content, "No schema describes it."),
    (PartKind::Error, "No schema describes it."),
    (PartKind::Sampling, "No schema describes it."),
    (PartKind::Elicitation, "Its schema is for the answer, which goes to the server that asked."),
    (PartKind::Notification, "No schema describes it."),
    (PartKind::Metadata, "No schema describes it."),
    (PartKind::Other, "No schema describes it."),
];

/// It has no options of its own.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {}

/// By the digest of the definition that they belong to.
type Schemas = Shared<Digest, Compiled>;

/// The schemas of a tool, read at first use.
fn of<'d>(definition: &'d Definition, schemas: &Schemas) -> &'d Compiled {
    definition.compiled.get_or_init(|| schemas.get(definition.digest, || Compiled::of(&definition.json)))
}

/// A schema of a tool as it stands, if anything can be held against it: of its arguments, or else of its results.
pub(crate) fn schema_of(definition: &Definition, arguments: bool) -> Option<&serde_json::Value> {
    let compiled = definition.compiled.get_or_init(|| Compiled::of(&definition.json).into());
    match if arguments { &compiled.input } else { &compiled.output } {
        Side::Usable(schema) => Some(schema.value()),
        Side::Absent | Side::Unusable(_) => None,
    }
}

#[derive(Default)]
struct SchemaGuard {
    schemas: Schemas,
}

impl Guard for SchemaGuard {
    /// The first message that is held against a schema waits until it has been compiled.
    fn takes_long(&self, event: &Event<'_>, session: &Session) -> bool {
        let cold = |tool: &Definition, side: fn(&Compiled) -> &Side| {
            tool.compiled.get().is_none_or(|schemas| schemas.is_cold(side))
        };
        match event.direction {
            Direction::ToServer => called(event, session).is_some_and(|tool| cold(tool, |schemas| &schemas.input)),
            Direction::ToClient => answering(event, session).is_some_and(|tool| cold(tool, |schemas| &schemas.output)),
        }
    }

    fn inspect(&self, event: &Event<'_>, session: &Session, report: &mut Report) {
        match event.direction {
            Direction::ToServer if event.message.method() == Some("tools/call") => {
                call(event, session, &self.schemas, report);
            }
            Direction::ToServer => {}
            Direction::ToClient => {
                let tools = DefinitionKind::lists_of(event.message).filter(|listing| listing.kind == DefinitionKind::Tool);
                for element in tools.flat_map(|listing| listing.list.elements()) {
                    definition(element, session, &self.schemas, report);
                }
                reply(event, session, &self.schemas, report);
            }
        }
    }
}

/// One tool of a list.
fn definition(element: Value<'_>, session: &Session, schemas: &Schemas, report: &mut Report) {
    let name = element.get("name").and_then(Value::as_str).unwrap_or_default();
    let mut find = |id: &str, why: String| {
        let Some(rule) = SPEC.rule(id) else { return };
        let finding = Finding::about(rule, element, PartKind::ToolDefinition, why);
        report.find(finding.in_element(element.id()).of(&name));
    };
    if !well_named(&name) {
        let rule = "is not 1 to 128 of `A-Z a-z 0-9 _ . - /`";
        find("schema.tool_name", format!("the name of tool `{}` {rule}", excerpt(&name)));
    }
    // Lists are asked for again and again; what has not changed is not read again.
    let raw = element.raw().as_bytes();
    let held = session.catalog.get(DefinitionKind::Tool, &name).filter(|held| held.json == raw);
    let fresh;
    let compiled = match held {
        Some(held) => of(held, schemas),
        None => {
            fresh = Compiled::of(raw);
            &fresh
        }
    };
    for problem in compiled.problems() {
        let id = match problem.kind {
            ProblemKind::External => "schema.external_ref",
            ProblemKind::Invalid => "schema.invalid_definition",
            ProblemKind::Unsupported => "schema.unsupported",
            ProblemKind::TooComplex => "schema.too_complex",
        };
        find(id, format!("tool `{}`: {}", excerpt(&name), problem.why));
    }
}

fn well_named(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'/');
    (1..=128).contains(&name.len()) && name.bytes().all(fits)
}

/// A call.
fn call(event: &Event<'_>, session: &Session, schemas: &Schemas, report: &mut Report) {
    let Some(params) = event.message.params() else { return };
    let Some(name) = params.get("name").and_then(Value::as_str) else { return };
    let Some(tool) = called(event, session) else {
        let (id, why) = if session.catalog.lacks(DefinitionKind::Tool) {
            ("schema.unlisted", "is called before the server's tools were listed")
        } else {
            ("schema.unknown_tool", "is not among those that the server lists")
        };
        let Some(rule) = SPEC.rule(id) else { return };
        let why = format!("tool `{}` {why}", excerpt(&name));
        report.find(Finding::about(rule, params, PartKind::Argument, why));
        return;
    };
    // Arguments may be left out, which means that there are none.
    let arguments = params.get("arguments");
    let subject = Subject { tool, at: arguments.unwrap_or(params), kind: PartKind::Argument, rule: "schema.arguments" };
    subject.hold(arguments, &of(tool, schemas).input, report);
}

/// The definition of the tool that a request calls.
pub(crate) fn called<'s>(event: &Event<'_>, session: &'s Session) -> Option<&'s Definition> {
    let name = event.message.method().filter(|method| *method == "tools/call").and_then(|_| event.message.param("name"))?;
    session.catalog.get(DefinitionKind::Tool, &name).map(|held| &**held)
}

/// That of the tool whose result a reply brings.
pub(crate) fn answering<'s>(event: &Event<'_>, session: &'s Session) -> Option<&'s Definition> {
    let name = event.answers.filter(|call| &*call.method == "tools/call").and_then(|call| call.tool.as_deref())?;
    session.catalog.get(DefinitionKind::Tool, name).map(|held| &**held)
}

/// The reply to a call.
fn reply(event: &Event<'_>, session: &Session, schemas: &Schemas, report: &mut Report) {
    let (Some(tool), Some(result)) = (answering(event, session), event.message.result()) else { return };
    let output = &of(tool, schemas).output;
    if matches!(output, Side::Absent) || result.get("isError").is_some_and(|flag| flag.kind() == NodeKind::True) {
        return;
    }
    if let Some(content) = result.get("structuredContent") {
        let subject = Subject { tool, at: content, kind: PartKind::StructuredContent, rule: "schema.output" };
        return subject.hold(Some(content), output, report);
    }
    // A task or a question to the client stands in for the result.
    let unfinished =
        result.get("task").is_some() || result.get("resultType").is_some_and(|kind| !kind.is_text("complete"));
    let Some(rule) = SPEC.rule("schema.missing_output").filter(|_| !unfinished) else { return };
    let why = format!("tool `{}` promises structured content and gives none", excerpt(&tool.name));
    report.find(Finding::about(rule, result, PartKind::StructuredContent, why));
}

/// What is held against a schema.
struct Subject<'a> {
    tool: &'a Definition,
    at: Value<'a>,
    kind: PartKind,
    rule: &'static str,
}

impl Subject<'_> {
    fn hold(&self, value: Option<Value<'_>>, side: &Side, report: &mut Report) {
        let schema = match side {
            Side::Absent => return,
            Side::Unusable(problem) => return self.not_held(problem, report),
            Side::Usable(schema) => schema,
        };
        let checker = match schema.checker() {
            Ok(checker) => checker,
            Err(problem) => return self.not_held(problem, report),
        };
        if !checker.without.is_empty() {
            let why = format!("patterns not matched in linear time are left out: {}", compiled::some(&checker.without));
            self.find("schema.unverified", &why, report);
        }
        let convert = |value| instance::convert(value, checker.reads_strings);
        let converted = value.map_or_else(|| Ok(instance::nothing()), convert);
        let (value, profile) = match converted {
            Ok(converted) => converted,
            Err(at) => return self.find_at(at, "holds a number out of range", report),
        };
        match checker.check(&value, &profile) {
            Outcome::Fits => {}
            Outcome::TooCostly => self.find("schema.too_complex", "holding it against the schema costs too much", report),
            // Clients send `null` for what a model leaves out, and the protocol reads it as that.
            Outcome::Differs { pointer, .. }
                if self.kind == PartKind::Argument
                    && value.pointer(&pointer).is_some_and(serde_json::Value::is_null)
                    && without_nulls(&value).is_some_and(|value| matches!(checker.check(&value, &profile), Outcome::Fits)) =>
            {
                self.find("schema.null_argument", "an optional argument is null", report);
            }
            Outcome::Differs { pointer, why } => match at_pointer(self.at, &pointer) {
                Some(at) => self.find_at(at.id(), &why, report),
                None => self.find(self.rule, &why, report),
            },
        }
    }

    fn not_held(&self, problem: &Problem, report: &mut Report) {
        let id = match problem.kind {
            ProblemKind::External => "schema.external_ref",
            ProblemKind::TooComplex => "schema.too_complex",
            ProblemKind::Invalid | ProblemKind::Unsupported => "schema.unverified",
        };
        self.find(id, &problem.why, report);
    }

    fn find(&self, id: &str, why: &str, report: &mut Report) {
        let Some(rule) = SPEC.rule(id) else { return };
        let why = format!("{} `{}`: {why}", self.noun(), excerpt(&self.tool.name));
        report.find(Finding::about(rule, self.at, self.kind, why));
    }

    fn find_at(&self, at: bartizan_mcp::NodeId, why: &str, report: &mut Report) {
        let Some(rule) = SPEC.rule(self.rule) else { return };
        let why = format!("{} `{}`: {why}", self.noun(), excerpt(&self.tool.name));
        report.find(Finding { at, ..Finding::about(rule, self.at, self.kind, why) });
    }

    fn noun(&self) -> &'static str {
        if self.kind == PartKind::Argument { "arguments of tool" } else { "structured content of tool" }
    }
}

/// The same without members that are `null`; `None` if there are none.
fn without_nulls(value: &serde_json::Value) -> Option<serde_json::Value> {
    fn strip(value: &mut serde_json::Value) -> bool {
        let serde_json::Value::Object(members) = value else { return false };
        let before = members.len();
        members.retain(|_, member| !member.is_null());
        let removed = members.len() != before;
        // No short circuit: every member has to be looked at.
        members.values_mut().fold(removed, |found, member| strip(member) | found)
    }
    let mut stripped = value.clone();
    strip(&mut stripped).then_some(stripped)
}

/// The value at a JSON Pointer (RFC 6901).
fn at_pointer<'a>(root: Value<'a>, pointer: &str) -> Option<Value<'a>> {
    pointer.split('/').skip(1).try_fold(root, |value, token| match value.kind() {
        NodeKind::Array => value.elements().nth(token.parse().ok()?),
        _ => value.get(&token.replace("~1", "/").replace("~0", "~")),
    })
}

#[cfg(test)]
mod tests;
