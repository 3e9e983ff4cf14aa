//! **Threat.** A server that was harmless when it was approved changes what a tool says or does (a *rug pull*), adds
//! a tool that nobody looked at, or lists one under the name of another server's tool so that calls meant for that
//! one come to it (*shadowing*). Instructions that a server gives at the start enter the context just the same.
//!
//! What a server lists first is approved by that and pinned by digest, but for what a guard withholds; afterwards a definition that is new or
//! different is withheld until somebody accepts it with `bartizan lock update`, and calls of it are refused by the
//! same rules. The digest covers the whole definition, `_meta` and annotations included: a client may show or act
//! on any of it. A server that puts volatile data there has to be let off by a setting.
//!
//! Where a tool is accepted, a call of it passes only if this session has seen its definition: a server that changed a
//! tool and then refuses to list it, or lets the request run into a timeout, must not get the call by that. A server of
//! which no tools are accepted need not list any.
//!
//! Resources come and go, so a new or changed one is only recorded, and `resources/read` is not held against pins.
//!
//! Lists come in pages, and a page does not say which one it is. When the last one passes, all definitions of that kind
//! count as seen. So they do once one of them is used, or a server that never gets to its last page could add to them
//! for ever; whoever asks this guard reads the list to its end before, if it has one. A pinned one that was on none of the pages of this conversation counts as
//! removed. A definition that disappears in the middle of a conversation is noticed in the next.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bartizan_flow::guess;
use bartizan_mcp::{Digest, NodeKind, PartKind, Value};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Guard, GuardSpec, RuleSpec, LooksAt};
use crate::pins::{Standing, body_digest_of};
use crate::finding::called;
use crate::{
    Action, DefinitionKind, Direction, Event, Fact, Fate, Finding, Listing, Pin, Pins, Report, Session, Severity, excerpt,
};

/// Specification of the guard.
pub const SPEC: GuardSpec = GuardSpec {
    name: "tool_pinning",
    threat: "A server changes, adds or renames definitions after they were approved, or takes another server's names.",
    rules: RULES,
    actions: &[Action::Observe, Action::Redact, Action::Approve, Action::Deny],
    skips: SKIPS,
    looks_at: LooksAt::Else("Whole definitions."),
    sees_edited: false,
    raises: &[],
    options: || schemars::schema_for!(Options),
    build: |options, _| {
        let Options {} = Options::deserialize(options)?;
        Ok(Box::new(ToolPinning))
    },
};

const RULES: &[RuleSpec] = &[
    RuleSpec::new("tool_pinning.first_seen", Severity::Info, Action::Observe, "A definition is seen for the first time and pinned, if no guard withholds it."),
    RuleSpec::new("tool_pinning.added", Severity::Medium, Action::Deny, "A tool or prompt is new and not accepted yet."),
    RuleSpec::new("tool_pinning.changed", Severity::High, Action::Deny, "A tool or prompt differs from what was accepted."),
    RuleSpec::new("tool_pinning.renamed", Severity::Medium, Action::Deny, "An accepted definition comes under another name."),
    RuleSpec::new("tool_pinning.relabelled", Severity::Low, Action::Observe, "An accepted tool is taken to do something else with information than when it was accepted; the stricter of both counts until this is accepted, too."),
    RuleSpec::new("tool_pinning.resource_added", Severity::Low, Action::Observe, "A resource is new."),
    RuleSpec::new("tool_pinning.resource_changed", Severity::Low, Action::Observe, "The definition of a resource differs from what was accepted."),
    RuleSpec::new("tool_pinning.removed", Severity::Low, Action::Observe, "An accepted definition is not listed any more."),
    RuleSpec::new("tool_pinning.unseen", Severity::Medium, Action::Deny, "An accepted tool is called, and the server has not listed it in this session, so nobody knows what it is now."),
    // Low, so that where the server's tools are known `schema.unknown_tool` is given as the reason.
    RuleSpec::new("tool_pinning.unlisted", Severity::Low, Action::Deny, "A tool or prompt is asked for that the server has not listed in this session and nobody accepted."),
    RuleSpec::new("tool_pinning.unnamed", Severity::Medium, Action::Deny, "An element of a list has no name to pin it under."),
    RuleSpec::new("tool_pinning.no_room", Severity::Medium, Action::Deny, "The server brings more tools or prompts than are pinned of one server."),
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
                for listing in DefinitionKind::lists_of(event.message) {
                    listed(listing, event, session, report);
                }
                instructions(event, report);
            }
        }
    }
}

/// A list result.
fn listed(listing: Listing<'_>, event: &Event<'_>, session: &Session, report: &mut Report) {
    let Listing { kind, list, last_page } = listing;
    let pins = &*event.server.pins;
    let elements: Vec<_> = list.elements().map(|element| Element::read(kind, element, session)).collect();
    let names: BTreeSet<&str> = elements.iter().map(|element| &*element.name).collect();
    let elsewhere = Elsewhere::of(kind, event);
    let mut seen = BTreeSet::new();
    // Asked once for each body: many may share one.
    let mut formers: BTreeMap<Digest, Option<&str>> = BTreeMap::new();
    let mut first = 0_usize;
    let mut room = pins.room(kind);
    for element in &elements {
        let name = &*element.name;
        if name.is_empty() {
            let why = format!("a {} has no name that it could be pinned under", noun(kind));
            element.find(report, "tool_pinning.unnamed", why);
            continue;
        }
        if !seen.insert(name) {
            let why = format!("{} `{}` is listed twice", noun(kind), called(kind.is_uri(), name));
            element.find(report, "tool_pinning.duplicate", why);
            continue;
        }
        if let Some(server) = elsewhere.owner(name) {
            let why = format!("server `{server}` has a tool of this name too: `{}`", excerpt(name));
            element.find(report, "tool_pinning.shadowed", why);
        }
        let standing = pins.standing(kind, name, Some(element.digest));
        if standing == Standing::Approved {
            element.find_relabelled(pins, session, report);
            continue;
        }
        if standing == Standing::New && !room.take(name) {
            let why = format!("{} `{}` is more than what is pinned of one server", noun(kind), called(kind.is_uri(), name));
            // A new resource is only recorded, and so is one that cannot be pinned.
            let rule = if kind.is_uri() { "tool_pinning.resource_added" } else { "tool_pinning.no_room" };
            element.find(report, rule, why);
            continue;
        }
        let Some(pin) = Pin::of(kind, element.value) else { continue };
        let unlisted = |body| pins.namesakes(kind, body).find(|name| !names.contains(name));
        let former = pin.body.and_then(|body| *formers.entry(body).or_insert_with(|| unlisted(body)));
        if standing == Standing::New {
            first += 1;
            report.remember_of(element.value.id(), Fact::FirstSeen(pin));
        } else if let Some((rule, why)) = judge(standing, kind, name, former) {
            element.find(report, rule, why);
            report.remember_of(element.value.id(), Fact::Withheld(pin, Fate::Passes));
        }
    }
    if let Some(rule) = SPEC.rule("tool_pinning.first_seen").filter(|_| first > 0) {
        let why = format!("{first} × {} seen for the first time", noun(kind));
        report.find(Finding::about(rule, list, kind.part(), why));
    }
    if last_page && !pins.is_complete(kind) {
        report.remember(Fact::SeenInFull(kind));
    } else if last_page {
        removed(kind, list, &names, event, session, report);
    }
}

/// An element of a list.
struct Element<'a> {
    value: Value<'a>,
    kind: DefinitionKind,
    /// Empty if it has none that can be used.
    name: Cow<'a, str>,
    digest: Digest,
}

impl<'a> Element<'a> {
    fn read(kind: DefinitionKind, value: Value<'a>, session: &Session) -> Self {
        let name = kind.name_of(value).unwrap_or_default();
        // Lists are asked for again and again; what has not changed is not digested again.
        let held = session.catalog.get(kind, &name).filter(|held| held.json == value.raw().as_bytes());
        let digest = held.map_or_else(|| Digest::of(value), |held| held.digest);
        Element { value, kind, name, digest }
    }

    /// An approved tool of which something else is guessed than when it was approved: this program has learnt, or its server lists what
    /// somebody else has labelled.
    fn find_relabelled(&self, pins: &Pins, session: &Session, report: &mut Report) {
        let labels = pins.labels(&self.name).filter(|_| self.kind == DefinitionKind::Tool);
        let Some((_, held)) = labels else { return };
        let known = session.catalog.get(self.kind, &self.name).filter(|known| known.digest == self.digest);
        if known.map_or_else(|| guess(self.value), |known| known.nature()) == held.guessed {
            return;
        }
        let Some(pin) = Pin::of(self.kind, self.value) else { return };
        let why = format!("what tool `{}` does with information is not what was accepted; see `bartizan lock diff`", excerpt(&self.name));
        self.find(report, "tool_pinning.relabelled", why);
        report.remember_of(self.value.id(), Fact::Relabelled(pin));
    }

    fn find(&self, report: &mut Report, id: &str, why: String) {
        let Some(rule) = SPEC.rule(id) else { return };
        let finding = Finding::about(rule, self.value, self.kind.part(), why);
        report.find(finding.in_element(self.value.id()).of(&self.name));
    }
}

/// The rule that a definition runs into, and the reason.
fn judge(standing: Standing, kind: DefinitionKind, name: &str, former: Option<&str>) -> Option<(&'static str, String)> {
    let resource = kind.is_uri();
    let (rule, what) = match (standing, former) {
        (Standing::Approved | Standing::New, _) => return None,
        (Standing::Changed, _) if resource => {
            ("tool_pinning.resource_changed", "differs from what was accepted".to_owned())
        }
        (Standing::Changed, _) => {
            ("tool_pinning.changed", "differs from what was accepted; see `bartizan lock diff`".to_owned())
        }
        (Standing::Added, _) if resource => ("tool_pinning.resource_added", "is new".to_owned()),
        (Standing::Added, Some(former)) => {
            let former = called(resource, former);
            ("tool_pinning.renamed", format!("was accepted as `{former}` and not under this name"))
        }
        (Standing::Added, None) => {
            ("tool_pinning.added", "is new and not accepted; see `bartizan lock diff`".to_owned())
        }
    };
    Some((rule, format!("{} `{}` {what}", noun(kind), called(resource, name))))
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
            let why = format!("{} `{}` is not listed any more", noun(kind), called(kind.is_uri(), name));
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
    if !pins.is_complete(kind) && !session.catalog.lacks(kind) {
        report.remember(Fact::SeenInFull(kind));
    }
    let standing = pins.standing(kind, &name, definition.map(|held| held.digest));
    let body = definition.filter(|_| standing == Standing::Added).and_then(|held| body_digest_of(held));
    let former = body.and_then(|body| former_name(kind, body, pins, session));
    let found = match (definition, &standing) {
        (None, Standing::Approved) if kind == DefinitionKind::Tool => {
            let shown = excerpt(&name);
            let why = format!("the server does not list tool `{shown}`, so it cannot be held against what was accepted");
            Some(("tool_pinning.unseen", why))
        }
        (None, Standing::Added) => {
            let (noun, shown) = (noun(kind), excerpt(&name));
            let why = format!("{noun} `{shown}` is neither listed by the server in this session nor accepted");
            Some(("tool_pinning.unlisted", why))
        }
        _ => judge(standing, kind, &name, former),
    };
    let Some((id, why)) = found else { return };
    let Some(rule) = SPEC.rule(id) else { return };
    report.find(Finding::about(rule, at, PartKind::Other, why).of(&name));
}

fn former_name<'a>(
    kind: DefinitionKind,
    body: Digest,
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
    // A server that answers whatever it is asked with success has not begun by that, and says nothing of itself yet.
    let begins = ["protocolVersion", "supportedVersions"].iter().any(|key| result.get(key).is_some());
    if begins && !pins.is_complete(kind) {
        report.remember(Fact::SeenInFull(kind));
    }
    let Some(text) = result.get("instructions") else { return };
    // To say nothing is no instruction, whatever was said before.
    if text.kind() != NodeKind::String || text.text().is_empty() {
        return;
    }
    let pin = Pin::of_instructions(text);
    let (id, why) = match pins.standing(kind, &pin.name, Some(pin.digest)) {
        Standing::Approved => return,
        Standing::New => ("tool_pinning.first_seen", "are seen for the first time and pinned"),
        Standing::Added | Standing::Changed => {
            ("tool_pinning.instructions_changed", "differ from what was accepted; see `bartizan lock diff`")
        }
    };
    let Some(rule) = SPEC.rule(id) else { return };
    let finding = Finding::about(rule, text, PartKind::Instructions, format!("the server's instructions {why}"));
    report.find(Finding { span: Some(0..text.text().len()), ..finding.of(&pin.name) });
    let first = id == "tool_pinning.first_seen";
    let fact = if first { Fact::FirstSeen(pin) } else { Fact::Withheld(pin, Fate::Passes) };
    report.remember_of(text.id(), fact);
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
        let others = |(_, server): &&(Box<str>, Arc<str>)| kind == DefinitionKind::Tool && *server != event.server.name;
        let tools = event.server.elsewhere.iter().filter(others);
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
