//! **Threat.** A key is copied out of a build script, or a token out of a browser, and whoever has it does what its owner
//! may do and not what it was made for.
//!
//! A credential is good for its scopes. What a server offers beyond them is taken out of its lists, so that no model plans
//! with it, and a request for it is refused, whether it was listed or not. What a server hands out to go on with (the id of
//! a task, the state of a request) is good for whoever got it: a server behind a gateway often cannot tell its clients apart.
//! Whoever shows a credential without limits, or none where that is allowed, is let through by this guard otherwise.

use std::borrow::Cow;

use bartizan_mcp::{NodeKind, PartKind, Value};
use bartizan_policy::Kind;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Guard, GuardSpec, LooksAt, RuleSpec};
use crate::finding::called;
use crate::{
    Action, DefinitionKind, Direction, EVERY_SERVER, Event, Evidence, Finding, HandedOut, Report, Session, excerpt,
};

/// Specification of the guard.
pub const SPEC: GuardSpec = GuardSpec {
    name: "access",
    threat: "Whoever holds a copied credential does more with it than it was made for.",
    rules: RULES,
    actions: &[Action::Observe, Action::Deny],
    // Only names count.
    skips: &[],
    looks_at: LooksAt::Else("What is named and who names it."),
    sees_edited: false,
    raises: &[],
    options: || schemars::schema_for!(Options),
    build: |options, _| {
        let Options {} = Options::deserialize(options)?;
        Ok(Box::new(Access))
    },
};

const RULES: &[RuleSpec] = &[
    RuleSpec::fixed("access.scope", "The credential is not good for this tool, prompt or resource.").about_caller(),
    RuleSpec::fixed("access.server", "The credential is good for nothing at this server.").about_caller(),
    RuleSpec::fixed("access.handed_out", "The task or the `requestState` is none that this principal was given.")
        .about_caller(),
];

/// It has no options of its own: what a credential is good for is said when it is made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {}

struct Access;

/// What clients send that names no tool, prompt or resource.
const OPEN: &[&str] = &[
    "initialize",
    "logging/setLevel",
    "notifications/cancelled",
    "notifications/initialized",
    "notifications/progress",
    "notifications/roots/list_changed",
    "ping",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "server/discover",
    "subscriptions/listen",
    "tools/list",
];

/// What is asked of one task.
const OF_A_TASK: &[&str] = &["tasks/cancel", "tasks/get", "tasks/result", "tasks/update"];

impl Guard for Access {
    fn inspect(&self, event: &Event<'_>, _: &Session, report: &mut Report) {
        let scopes = &event.principal.scopes;
        handed_out(event, report);
        // What ends at the gateway itself is nobody's in particular; what goes on from there is judged with its server.
        if scopes.are_all() || &*event.server.name == EVERY_SERVER {
            return;
        }
        if !scopes.reach(&event.server.name) {
            let why = format!("the credential is good for nothing at server `{}`", event.server.name);
            return find(report, "access.server", event.message.root(), PartKind::Other, why);
        }
        match event.direction {
            Direction::ToServer => {
                unnamed(event, report);
                asked(event, report);
            }
            Direction::ToClient => {
                listed(event, report);
                updated(event, report);
            }
        }
    }
}

/// A request for something.
fn asked(event: &Event<'_>, report: &mut Report) {
    let names = wants(event).is_some() || event.message.method() == Some("completion/complete");
    if event.message.params().is_none() && names {
        return refuse(event, report, event.message.root(), "what has no name");
    }
    named(event).into_iter().for_each(|(kind, at)| check(event, report, kind, at));
}

/// All that a request is for, by the values that name it; where there is none, what should hold it.
pub(super) fn named<'a>(event: &Event<'a>) -> Vec<(Kind, Value<'a>)> {
    let Some(params) = event.message.params() else {
        return wants(event).map(|(kind, _)| (kind, event.message.root())).into_iter().collect();
    };
    if let Some((kind, member)) = wants(event) {
        return vec![(kind, params.get(member).unwrap_or(params))];
    }
    match event.message.method() {
        Some("completion/complete") => {
            let of = params.get("ref").unwrap_or(params);
            let is_prompt = of.get("type").is_some_and(|kind| kind.is_text("ref/prompt"));
            let (kind, member) = if is_prompt { (Kind::Prompt, "name") } else { (Kind::Resource, "uri") };
            vec![(kind, of.get(member).unwrap_or(of))]
        }
        Some("subscriptions/listen") => {
            let uris = params.at(&["notifications", "resourceSubscriptions"]).into_iter().flat_map(Value::elements);
            uris.map(|uri| (Kind::Resource, uri)).collect()
        }
        _ => Vec::new(),
    }
}

/// What a server handed out to somebody else, or what became of a call that the credential is not good for.
fn handed_out(event: &Event<'_>, report: &mut Report) {
    let (scopes, server) = (&event.principal.scopes, &event.server.name);
    for evidence in event.evidence {
        let Evidence::HandedOut { what, is_theirs, tool } = evidence else { continue };
        if !is_theirs {
            let why = format!("server `{server}` gave no such {} to this principal", what.as_str());
            find(report, "access.handed_out", event.message.root(), PartKind::Other, why);
        } else if *what == HandedOut::Task && !scopes.allow_all_of(server) {
            match tool {
                Some(tool) if scopes.allow(server, Kind::Tool, tool) => {}
                Some(tool) => refuse(event, report, event.message.root(), &format!("tool `{}`", excerpt(tool))),
                None => refuse(event, report, event.message.root(), "a task of which nothing more is known"),
            }
        }
    }
}

/// What names nothing that a scope could be good for: of that only what is known to do no harm passes. Of tasks only those
/// are known that this principal began.
fn unnamed(event: &Event<'_>, report: &mut Report) {
    let Some(method) = event.message.method() else { return };
    let is_task = |evidence: &Evidence| matches!(evidence, Evidence::HandedOut { what: HandedOut::Task, .. });
    let is_anybodys = OF_A_TASK.contains(&method) && !event.evidence.iter().any(is_task);
    if (!is_of_clients(method) || is_anybodys) && !event.principal.scopes.allow_all_of(&event.server.name) {
        refuse(event, report, event.message.root(), &format!("the method `{}`", excerpt(method)));
    }
}

/// Whether the specification has clients send this.
pub(super) fn is_of_clients(method: &str) -> bool {
    OPEN.contains(&method)
        || OF_A_TASK.contains(&method)
        || method == "completion/complete"
        // The list holds only those that they are good for.
        || method == "tasks/list"
        || of_method(method).is_some()
}

/// What a request is for, and the parameter that names it.
fn wants(event: &Event<'_>) -> Option<(Kind, &'static str)> {
    of_method(event.message.method()?)
}

fn of_method(method: &str) -> Option<(Kind, &'static str)> {
    match method {
        "tools/call" => Some((Kind::Tool, "name")),
        "prompts/get" => Some((Kind::Prompt, "name")),
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => Some((Kind::Resource, "uri")),
        _ => None,
    }
}

/// The name at `at`, which is none if it is no text.
fn check(event: &Event<'_>, report: &mut Report, kind: Kind, at: Value<'_>) {
    let name = name_at(at);
    if !event.principal.scopes.allow(&event.server.name, kind, &name) {
        refuse(event, report, at, &format!("{} `{}`", kind.as_str(), called(kind == Kind::Resource, &name)));
    }
}

/// A name that is no text is none.
pub(super) fn name_at(at: Value<'_>) -> Cow<'_, str> {
    if at.kind() == NodeKind::String { at.text() } else { Cow::Borrowed("") }
}

fn refuse(event: &Event<'_>, report: &mut Report, at: Value<'_>, what: &str) {
    let why = format!("the credential is not good for {what} of server `{}`", event.server.name);
    find(report, "access.scope", at, PartKind::Other, why);
}

/// What a list holds beyond the scopes.
fn listed(event: &Event<'_>, report: &mut Report) {
    for listing in DefinitionKind::lists_of(event.message) {
        let Some(kind) = kind_of(listing.kind) else { continue };
        for element in listing.list.elements() {
            let name = listing.kind.name_of(element).unwrap_or_default();
            if !event.principal.scopes.allow(&event.server.name, kind, &name) {
                let Some(rule) = SPEC.rule("access.scope") else { continue };
                let why = format!("the credential is not good for {} `{}`", kind.as_str(), called(kind == Kind::Resource, &name));
                let finding = Finding::about(rule, element, listing.kind.part(), why);
                report.find(finding.in_element(element.id()).of(&name));
            }
        }
    }
}

/// News of a resource beyond the scopes: another client of the same server may have asked for them.
fn updated(event: &Event<'_>, report: &mut Report) {
    if event.message.method() == Some("notifications/resources/updated") {
        let uri = event.message.params().and_then(|params| params.get("uri"));
        check(event, report, Kind::Resource, uri.unwrap_or(event.message.root()));
    }
}

pub(super) fn kind_of(kind: DefinitionKind) -> Option<Kind> {
    match kind {
        DefinitionKind::Tool => Some(Kind::Tool),
        DefinitionKind::Prompt => Some(Kind::Prompt),
        DefinitionKind::Resource | DefinitionKind::ResourceTemplate => Some(Kind::Resource),
        DefinitionKind::Instructions => None,
    }
}

fn find(report: &mut Report, rule: &str, at: Value<'_>, kind: PartKind, why: String) {
    if let Some(rule) = SPEC.rule(rule) {
        report.find(Finding::about(rule, at, kind, why));
    }
}
