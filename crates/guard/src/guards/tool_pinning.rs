//! **Threat.** A server that was harmless when it was approved changes what a tool says or does (a *rug pull*), adds
//! a tool that nobody looked at, or lists one under the name of another server's tool so that calls meant for that
//! one come to it (*shadowing*). Instructions that a server gives at the start enter the context just the same.
//!
//! What a server lists first is approved by that and pinned by digest; afterwards a definition that is new or
//! different is withheld until somebody accepts it with `bartizan lock update`, and calls of it are refused by the
//! same rules. The digest covers the whole definition, `_meta` and annotations included: a client may show or act
//! on any of it. A server that puts volatile data there has to be let off by a setting.
//!
//! Resources come and go, so a new or changed one is only recorded, and `resources/read` is not held against pins.
//!
//! Lists come in pages, and a page does not say which one it is. When one without `nextCursor` passes, all
//! definitions of that kind count as seen; a pinned one that was on none of the pages of this conversation counts as
//! removed. A definition that disappears in the middle of a conversation is noticed in the next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bartizan_mcp::{NodeKind, PartKind, Value};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Guard, GuardSpec, RuleSpec};
use crate::pins::{Standing, body_digest_of};
use crate::{
    Action, DefinitionKind, Direction, Event, Fact, Finding, Pin, Pins, Report, Session, Severity, excerpt,
};

/// Specification of the guard.
pub const SPEC: GuardSpec = GuardSpec {
    name: "tool_pinning",
    threat: "A server changes, adds or renames definitions after they were approved, or takes another server's names.",
    rules: RULES,
    actions: &[Action::Observe, Action::Redact, Action::Approve, Action::Deny],
    skips: SKIPS,
    options: || schemars::schema_for!(Options),
    build: |options| {
        let Options {} = Options::deserialize(options)?;
        Ok(Box::new(ToolPinning))
    },
};

const RULES: &[RuleSpec] = &[
    RuleSpec::new("tool_pinning.first_seen", Severity::Info, Action::Observe, "A definition is seen for the first time and pinned."),
    RuleSpec::new("tool_pinning.added", Severity::Medium, Action::Deny, "A tool or prompt is new and not accepted yet."),
    RuleSpec::new("tool_pinning.changed", Severity::High, Action::Deny, "A tool or prompt differs from what was accepted."),
    RuleSpec::new("tool_pinning.renamed", Severity::Medium, Action::Deny, "An accepted definition comes under another name."),
    RuleSpec::new("tool_pinning.resource_added", Severity::Low, Action::Observe, "A resource is new."),
    RuleSpec::new("tool_pinning.resource_changed", Severity::Low, Action::Observe, "The definition of a resource differs from what was accepted."),
    RuleSpec::new("tool_pinning.removed", Severity::Low, Action::Observe, "An accepted definition is not listed any more."),
    RuleSpec::new("tool_pinning.duplicate", Severity::High, Action::Deny, "One list holds two definitions of one name."),
    RuleSpec::new("tool_pinning.shadowed", Severity::Medium, Action::Observe, "Another server has a tool of that name."),
    RuleSpec::new("tool_pinning.instructions_changed", Severity::High, Action::Redact, "The server's instructions differ from what was accepted."),
];

const SKIPS: &[(PartKind, &str)] = &[
    (PartKind::Argument, "Definitions are pinned, not what is said with them."),
    (PartKind::Content, "Definitions are pinned, not what is said with them."),
    (PartKind::StructuredContent, "Definitions are pinned, not what is said with them."),
    (PartKind::Error, "An error defines nothing."),
    (PartKind::Sampling, "A request to the client defines nothing."),
    (PartKind::Elicitation, "A request to the client defines nothing."),
    (PartKind::Notification, "A notification defines nothing; the list that follows it is looked at."),
    (PartKind::Metadata, "Only that of a definition belongs to it."),
    (PartKind::Other, "Names no definition, or is looked up in the session's catalog."),
];

/// It has no options of its own.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {}

struct ToolPinning;

impl Guard for ToolPinning {
    fn inspect(&self, event: &Event<'_>, session: &Session, report: &mut Report) {
        match event.direction {
            Direction::ToServer => used(event, session, report),
            Direction::ToClient => {
                if let Some((kind, list)) = DefinitionKind::of_list(event.message) {
                    listed(kind, list, event, session, report);
                }
                instructions(event, report);
            }
        }
    }
}

/// A list result.
fn listed(kind: DefinitionKind, list: Value<'_>, event: &Event<'_>, session: &Session, report: &mut Report) {
    let pins = &*event.server.pins;
    let elements: Vec<(Value<'_>, Pin)> =
        list.elements().filter_map(|element| Some((element, Pin::of(kind, element)?))).collect();
    let names: BTreeSet<&str> = elements.iter().map(|(_, pin)| &*pin.name).collect();
    let elsewhere = Elsewhere::of(kind, event);
    let mut seen = BTreeSet::new();
    let mut first = 0_usize;
    for (element, pin) in &elements {
        if !seen.insert(&*pin.name) {
            let why = format!("{} `{}` is listed twice", noun(kind), excerpt(&pin.name));
            find(report, "tool_pinning.duplicate", *element, pin, why);
            continue;
        }
        if let Some(server) = elsewhere.owner(&pin.name) {
            let why = format!("server `{server}` has a tool of this name too: `{}`", excerpt(&pin.name));
            find(report, "tool_pinning.shadowed", *element, pin, why);
        }
        let absent = |name: &str| !names.contains(name);
        let former = pin.body.and_then(|body| pins.namesakes(kind, body).find(|name| absent(name)));
        let Some((rule, why)) = judge(pins.standing(kind, &pin.name, Some(pin.digest)), kind, &pin.name, former) else {
            continue;
        };
        if rule == FIRST_SEEN {
            first += 1;
            report.remember(Fact::FirstSeen(pin.clone()));
            continue;
        }
        find(report, rule, *element, pin, why);
        report.remember(Fact::Withheld(pin.clone()));
    }
    if let Some(rule) = SPEC.rule(FIRST_SEEN).filter(|_| first > 0) {
        let why = format!("{first} × {} seen for the first time and pinned", noun(kind));
        report.find(Finding::about(rule, list, kind.part(), why));
    }
    let last_page = event.message.result().is_none_or(|result| result.get("nextCursor").is_none());
    if last_page && !pins.is_complete(kind) {
        report.remember(Fact::SeenInFull(kind));
    } else if last_page {
        removed(kind, list, &names, event, session, report);
    }
}

const FIRST_SEEN: &str = "tool_pinning.first_seen";

/// The rule that a definition runs into, and the reason.
fn judge(standing: Standing, kind: DefinitionKind, name: &str, former: Option<&str>) -> Option<(&'static str, String)> {
    let resource = matches!(kind, DefinitionKind::Resource | DefinitionKind::ResourceTemplate);
    let (noun, name) = (noun(kind), excerpt(name));
    match (standing, former) {
        (Standing::Approved, _) => None,
        (Standing::New, _) => Some((FIRST_SEEN, format!("{noun} `{name}` is seen for the first time"))),
        (Standing::Changed, _) if resource => {
            Some(("tool_pinning.resource_changed", format!("{noun} `{name}` differs from what was accepted")))
        }
        (Standing::Changed, _) => Some((
            "tool_pinning.changed",
            format!("{noun} `{name}` differs from what was accepted; see `bartizan lock diff`"),
        )),
        (Standing::Added, _) if resource => Some(("tool_pinning.resource_added", format!("{noun} `{name}` is new"))),
        (Standing::Added, Some(former)) => Some((
            "tool_pinning.renamed",
            format!("{noun} `{name}` was accepted as `{}` and not under this name", excerpt(former)),
        )),
        (Standing::Added, None) => {
            Some(("tool_pinning.added", format!("{noun} `{name}` is new and not accepted; see `bartizan lock diff`")))
        }
    }
}

/// Pinned definitions that neither this page nor an earlier one of the conversation holds.
fn removed(
    kind: DefinitionKind,
    list: Value<'_>,
    names: &BTreeSet<&str>,
    event: &Event<'_>,
    session: &Session,
    report: &mut Report,
) {
    let Some(rule) = SPEC.rule("tool_pinning.removed") else { return };
    for (of, name, _) in event.server.pins.iter() {
        if of == kind && !names.contains(name) && session.catalog.get(kind, name).is_none() {
            let why = format!("{} `{}` is not listed any more", noun(kind), excerpt(name));
            report.find(Finding::about(rule, list, kind.part(), why).of(name));
            report.remember(Fact::Gone(kind, name.into()));
        }
    }
}

/// A request that uses a definition.
fn used(event: &Event<'_>, session: &Session, report: &mut Report) {
    let kind = match event.message.method() {
        Some("tools/call") => DefinitionKind::Tool,
        Some("prompts/get") => DefinitionKind::Prompt,
        _ => return,
    };
    let Some(at) = event.message.params().and_then(|params| params.get("name")) else { return };
    let Some(name) = at.as_str() else { return };
    let definition = session.catalog.get(kind, &name);
    let pins = &*event.server.pins;
    let standing = pins.standing(kind, &name, definition.map(|held| held.digest));
    if standing == Standing::New {
        // A list has to be seen before anything is pinned by it.
        return;
    }
    let body = definition.filter(|_| standing == Standing::Added).and_then(|held| body_digest_of(held));
    let former = body.and_then(|body| former_name(kind, body, pins, session));
    let Some((id, why)) = judge(standing, kind, &name, former) else { return };
    let Some(rule) = SPEC.rule(id) else { return };
    report.find(Finding::about(rule, at, PartKind::Other, why).of(&name));
}

fn former_name<'a>(
    kind: DefinitionKind,
    body: bartizan_mcp::Digest,
    pins: &'a Pins,
    session: &Session,
) -> Option<&'a str> {
    pins.namesakes(kind, body).find(|name| session.catalog.get(kind, name).is_none())
}

/// What a server tells the model at the start.
fn instructions(event: &Event<'_>, report: &mut Report) {
    let kind = DefinitionKind::Instructions;
    let starts = event.answers.is_some_and(|call| matches!(&*call.method, "initialize" | "server/discover"));
    let Some(result) = event.message.result().filter(|_| starts) else { return };
    let pins = &*event.server.pins;
    if !pins.is_complete(kind) {
        report.remember(Fact::SeenInFull(kind));
    }
    let Some(text) = result.get("instructions") else { return };
    // To say nothing is no instruction, whatever was said before.
    if text.kind() != NodeKind::String || text.text().is_empty() {
        return;
    }
    let pin = Pin::of_instructions(text);
    let id = match pins.standing(kind, &pin.name, Some(pin.digest)) {
        Standing::Approved => return,
        Standing::New => FIRST_SEEN,
        Standing::Added | Standing::Changed => "tool_pinning.instructions_changed",
    };
    let Some(rule) = SPEC.rule(id) else { return };
    let why = match id {
        FIRST_SEEN => "the server's instructions are seen for the first time",
        _ => "the server's instructions differ from what was accepted; see `bartizan lock diff`",
    };
    let span = Some(0..text.text().len());
    let finding = Finding { span, ..Finding::about(rule, text, PartKind::Instructions, why) };
    report.find(finding.of(&pin.name));
    report.remember(if id == FIRST_SEEN { Fact::FirstSeen(pin) } else { Fact::Withheld(pin) });
}

fn find(report: &mut Report, id: &str, element: Value<'_>, pin: &Pin, why: String) {
    let Some(rule) = SPEC.rule(id) else { return };
    report.find(Finding::about(rule, element, pin.kind.part(), why).in_element(element.id()).of(&pin.name));
}

fn noun(kind: DefinitionKind) -> &'static str {
    match kind {
        DefinitionKind::Tool => "tool",
        DefinitionKind::Prompt => "prompt",
        DefinitionKind::Resource => "resource",
        DefinitionKind::ResourceTemplate => "resource template",
        DefinitionKind::Instructions => "text",
    }
}

/// Other servers' tools, by names as a hasty reader takes them.
struct Elsewhere<'a>(BTreeMap<String, &'a Arc<str>>);

impl<'a> Elsewhere<'a> {
    fn of(kind: DefinitionKind, event: &Event<'a>) -> Self {
        let tools = event.server.elsewhere.iter().filter(|_| kind == DefinitionKind::Tool);
        Elsewhere(tools.map(|(name, server)| (Self::plain(name), server)).collect())
    }

    fn owner(&self, name: &str) -> Option<&'a Arc<str>> {
        if self.0.is_empty() { None } else { self.0.get(&Self::plain(name)).copied() }
    }

    /// Without case, `_` and `-`.
    fn plain(name: &str) -> String {
        name.chars().filter(|character| !matches!(character, '_' | '-')).flat_map(char::to_lowercase).collect()
    }
}
