//! **Threat.** Somebody who may use a server uses all of it, with whatever arguments, at any hour, because nothing says who may
//! do what. Or a model that was talked into it does so on their behalf.
//!
//! The policies decide, if there are any: about each call, with its arguments, about each resource and prompt, and about what
//! a server asks of the client's model or user. What somebody may never use is taken out of their lists, so that no model
//! plans with it. What cannot be decided is refused.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use bartizan_mcp::{Digest, Message, NodeKind, PartKind, Value};
use bartizan_policy::{
    Challenge, Circumstances, Decision, Hints, Json, Kind, Outcome, Policies, Principal, Purpose, Reason, Subject, Target, Use,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::access::{is_of_clients, kind_of, name_at, named};
use super::{Guard, GuardSpec, LooksAt, RuleSpec};
use crate::finding::called;
use crate::{Action, DefinitionKind, Direction, EVERY_SERVER, Event, Evidence, Finding, Report, Session, excerpt};

/// Specification of the guard.
pub const SPEC: GuardSpec = GuardSpec {
    name: "policy",
    threat: "Whoever may use a server uses all of it, with whatever arguments, or a model does so on their behalf.",
    rules: RULES,
    actions: &[Action::Observe, Action::Approve, Action::Deny],
    // What policies read of a message is named in them.
    skips: &[],
    looks_at: LooksAt::Else("Who asks for what, and the arguments that policies name."),
    sees_edited: false,
    raises: &[],
    options: || schemars::schema_for!(Options),
    build: |options, settings| {
        let Options {} = Options::deserialize(options)?;
        Ok(Box::new(PolicyGuard {
            policies: settings.policies.clone(),
            subjects: Kept::default(),
            tools: Kept::default(),
        }))
    },
};

const RULES: &[RuleSpec] = &[
    RuleSpec::fixed("policy.denied", "A policy forbids it, or none allows it.").about_caller(),
    RuleSpec::fixed("policy.undecided", "A policy cannot be evaluated, or does not fit the tool that it is about.")
        .about_caller(),
    RuleSpec::asks("policy.approval", "A policy wants somebody to agree to it.").about_caller(),
    RuleSpec::asks("policy.step_up", "A policy wants whoever asks to show again who they are.").about_caller(),
    RuleSpec::notes("policy.proven", "A policy wants a fresh proof of who asks, and their token is one.").about_caller(),
];

/// What a policy asks for, and the rule that says so.
const CHALLENGES: [(Challenge, &str); 2] =
    [(Challenge::Approval, "policy.approval"), (Challenge::StepUp, "policy.step_up")];

/// It has no options of its own: policies are under `[policy]` and `[role.NAME]`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {}

struct PolicyGuard {
    policies: Option<Arc<Policies>>,
    subjects: Kept<Principal, Subject>,
    /// By server and the digest of the definition.
    tools: Kept<(Arc<str>, Digest), Target>,
}

impl Guard for PolicyGuard {
    fn inspect(&self, event: &Event<'_>, session: &Session, report: &mut Report) {
        // What ends at the gateway itself is nobody's in particular; what goes on from there is judged with its server.
        let Some(policies) = self.policies.as_deref().filter(|_| &*event.server.name != EVERY_SERVER) else { return };
        let asking = Asking { guard: self, policies, event, session };
        match event.direction {
            Direction::ToServer => {
                asking.asked(report);
                asking.gone_on(report);
            }
            Direction::ToClient => {
                asking.listed(report);
                asking.updated(report);
                asking.asked_back(report);
            }
        }
    }
}

/// What one message is held against.
struct Asking<'a> {
    guard: &'a PolicyGuard,
    policies: &'a Policies,
    event: &'a Event<'a>,
    session: &'a Session,
}

impl Asking<'_> {
    /// A request for something.
    fn asked(&self, report: &mut Report) {
        if let Some(method) = self.event.message.method().filter(|method| !is_of_clients(method)) {
            let decision = self.decide(&self.target(Use::Send), Purpose::Use, None);
            let what = || format!("the method `{}`", excerpt(method));
            self.find(report, &decision, self.event.message.root(), PartKind::Other, None, what);
        }
        for (kind, at) in named(self.event) {
            let name = name_at(at);
            let decision = match kind {
                Kind::Tool => self.called(&name),
                Kind::Resource => self.decide(&self.target(Use::Read(&name)), Purpose::Use, None),
                Kind::Prompt => self.decide(&self.target(Use::Get(&name)), Purpose::Use, None),
            };
            // What is asked for needs a permit also where somebody has to agree to it.
            report.permit(&decision.permitted_by);
            let what = || format!("{} `{}`", kind.as_str(), called(kind == Kind::Resource, &name));
            self.find(report, &decision, at, PartKind::Other, None, what);
        }
    }

    /// What became of a call is not for whoever may never make such a call any more.
    fn gone_on(&self, report: &mut Report) {
        for evidence in self.event.evidence {
            let Evidence::HandedOut { tool: Some(name), .. } = evidence else { continue };
            let decision = self.decide(&self.tool(name), Purpose::List, None);
            let at = self.event.message.root();
            self.find(report, &decision, at, PartKind::Other, None, || format!("a task of tool `{}`", excerpt(name)));
        }
    }

    /// A tool as the session knows it.
    fn tool(&self, name: &str) -> Option<Arc<Target>> {
        match self.session.catalog.get(DefinitionKind::Tool, name) {
            Some(tool) => {
                let key = (Arc::clone(&self.event.server.name), tool.digest);
                self.guard.tools.get(&key, || {
                    let definition: serde_json::Value = serde_json::from_slice(&tool.json).unwrap_or_default();
                    let hints = definition.get("annotations").map(Hints::of).unwrap_or_default();
                    self.policies.target(&self.event.server.name, Use::Call(name, definition.get("inputSchema"), hints))
                })
            }
            None => self.target(Use::Call(name, None, Hints::default())),
        }
    }

    fn called(&self, name: &str) -> Decision {
        let target = self.tool(name);
        let is_read = target.as_deref().is_some_and(Target::is_read);
        let arguments = self.event.message.params().and_then(|params| params.get("arguments"));
        let arguments = arguments.filter(|_| is_read).map(json);
        self.decide(&target, Purpose::Use, arguments.as_ref())
    }

    /// What a list holds that may never be used.
    fn listed(&self, report: &mut Report) {
        for listing in DefinitionKind::lists_of(self.event.message) {
            let Some(kind) = kind_of(listing.kind) else { continue };
            for element in listing.list.elements() {
                let name = listing.kind.name_of(element).unwrap_or_default();
                let target = match kind {
                    // No arguments yet, so their types do not matter.
                    Kind::Tool => self.target(Use::Call(&name, None, hints(element))),
                    Kind::Resource => self.target(Use::Read(&name)),
                    Kind::Prompt => self.target(Use::Get(&name)),
                };
                let decision = self.decide(&target, Purpose::List, None);
                let what = || format!("{} `{}`", kind.as_str(), called(kind == Kind::Resource, &name));
                self.find(report, &decision, element, listing.kind.part(), Some(&name), what);
            }
        }
    }

    /// News of a resource: another client of the same server may have asked for them.
    fn updated(&self, report: &mut Report) {
        if self.event.message.method() == Some("notifications/resources/updated") {
            let uri = self.event.message.params().and_then(|params| params.get("uri"));
            let at = uri.unwrap_or(self.event.message.root());
            let name = name_at(at);
            let decision = self.decide(&self.target(Use::Read(&name)), Purpose::Use, None);
            self.find(report, &decision, at, PartKind::Other, None, || format!("resource `{}`", called(true, &name)));
        }
    }

    /// What a server asks of the client's model or user.
    fn asked_back(&self, report: &mut Report) {
        for (of, at) in questions(self.event.message) {
            let (kind, what) = match of {
                Use::Sample => (PartKind::Sampling, "a question to the client's model"),
                _ => (PartKind::Elicitation, "a question to the user"),
            };
            let decision = self.decide(&self.target(of), Purpose::Use, None);
            self.find(report, &decision, at, kind, None, || what.to_owned());
        }
    }

    fn target(&self, of: Use<'_>) -> Option<Arc<Target>> {
        self.policies.target(&self.event.server.name, of).map(Arc::new)
    }

    fn decide(&self, target: &Option<Arc<Target>>, purpose: Purpose, arguments: Option<&Json>) -> Decision {
        let subject = self.guard.subjects.get(self.event.principal, || self.policies.subject(self.event.principal).ok());
        let Some((subject, target)) = subject.as_deref().zip(target.as_deref()) else {
            let why = self.policies.subject(self.event.principal).err();
            let failed = why.or_else(|| Some("what is asked for cannot be expressed".to_owned()));
            return Decision { outcome: Outcome::Deny, reasons: Vec::new(), proven: Vec::new(), permitted_by: Vec::new(), failed };
        };
        let circumstances = Circumstances { now: self.event.now.0.div_euclid(1_000), arguments, labels: self.session.labels };
        self.policies.decide(subject, target, purpose, circumstances)
    }

    /// Most of what is decided is allowed, and then nobody reads `what` it is.
    fn find(
        &self,
        report: &mut Report,
        decision: &Decision,
        at: Value<'_>,
        kind: PartKind,
        element: Option<&str>,
        what: impl FnOnce() -> String,
    ) {
        if decision.outcome == Outcome::Allow && decision.proven.is_empty() {
            return;
        }
        let what = format!("{} of server `{}`", what(), self.event.server.name);
        let mut find = |rule: &str, why: String, asked_by: Vec<Reason>| {
            let Some(rule) = SPEC.rule(rule) else { return };
            let finding = Finding::about(rule, at, kind, why).asked_by(asked_by);
            report.find(match element {
                Some(name) => finding.in_element(at.id()).of(name),
                None => finding,
            });
        };
        if !decision.proven.is_empty() {
            let why = format!("{what} needs {}, by {}, which the token is", needed(Challenge::StepUp), names(&decision.proven));
            find("policy.proven", why, Vec::new());
        }
        match (decision.outcome, &decision.failed) {
            (Outcome::Allow, _) => {}
            (_, Some(_)) => find("policy.undecided", self.sentence(decision, &what), Vec::new()),
            (Outcome::Deny, None) => find("policy.denied", self.sentence(decision, &what), Vec::new()),
            // Each kind is met in a way of its own.
            (Outcome::Challenge(_), None) => {
                let asks = |reason: &Reason| reason.asks.is_some();
                if !decision.reasons.iter().any(asks) {
                    find("policy.undecided", self.sentence(decision, &what), Vec::new());
                }
                for (kind, rule) in CHALLENGES {
                    let of_kind = |reason: &&Reason| reason.asks.as_ref().is_some_and(|asks| asks.challenge == kind);
                    let reasons: Vec<_> = decision.reasons.iter().filter(of_kind).cloned().collect();
                    if !reasons.is_empty() {
                        let of_kind = Decision { outcome: Outcome::Challenge(kind), reasons, ..decision.clone() };
                        find(rule, self.sentence(&of_kind, &what), of_kind.reasons);
                    }
                }
            }
        }
    }

    /// Why, for whoever reads the refusal.
    fn sentence(&self, decision: &Decision, what: &str) -> String {
        let ids = names(&decision.reasons);
        let mut text = match (&decision.failed, decision.outcome) {
            (Some(why), _) => format!("{what} is refused, for {why}"),
            (None, Outcome::Challenge(kind)) => format!("{what} needs {}, by {ids}", needed(kind)),
            (None, _) if ids.is_empty() => format!("no policy allows {what}"),
            (None, _) => format!("{what} is forbidden by {ids}"),
        };
        if decision.reasons.iter().any(|reason| reason.reads_labels) && !self.session.labels.is_empty() {
            text = format!("{text} in a session labelled `{}`", self.session.labels.names().join("`, `"));
        }
        // Sentences of their own, but for the last full stop: the rule follows.
        let words = decision.reasons.iter().flat_map(|reason| reason.reason.iter().chain(&reason.advice));
        let words: Vec<_> = words.map(|words| words.trim_end().trim_end_matches('.')).collect();
        if !words.is_empty() {
            text = format!("{text}: {}", words.join(". "));
        }
        text
    }
}

/// What a server asks of the client's model or user: as a request of its own, or within a result.
fn questions(message: &Message) -> impl Iterator<Item = (Use<'static>, Value<'_>)> {
    let own = message.method().map(|method| (Cow::Borrowed(method), message.root()));
    let outer = message.result();
    let results = outer.into_iter().chain(outer.and_then(|result| result.get("result")));
    let within = results.filter_map(|result| result.get("inputRequests")).flat_map(|requests| {
        let held = requests.members().map(|(_, request)| request).chain(requests.elements());
        held.filter_map(|request| Some((request.get("method")?.as_str()?, request)))
    });
    own.into_iter().chain(within).filter_map(|(method, at)| match &*method {
        "sampling/createMessage" => Some((Use::Sample, at)),
        "elicitation/create" => Some((Use::Elicit, at)),
        _ => None,
    })
}

/// What policies are asked about because of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked<'a> {
    /// Something that has a name.
    Named(Kind, Cow<'a, str>),
    /// Something of the whole server: a method that no client has by the specification, or a question to the client.
    Server,
}

/// All that policies are asked about one by one because of a message; of what lists hold, and of news, nothing.
#[must_use]
pub fn asked<'a>(event: &Event<'a>) -> Vec<Asked<'a>> {
    if &*event.server.name == EVERY_SERVER {
        return Vec::new();
    }
    if event.direction == Direction::ToClient {
        return questions(event.message).map(|_| Asked::Server).collect();
    }
    let foreign = event.message.method().filter(|method| !is_of_clients(method)).map(|_| Asked::Server);
    let names = named(event).into_iter().map(|(kind, at)| Asked::Named(kind, name_at(at)));
    let tasks = event.evidence.iter().filter_map(|evidence| match evidence {
        Evidence::HandedOut { tool: Some(tool), .. } => Some(Asked::Named(Kind::Tool, Cow::Borrowed(&**tool))),
        _ => None,
    });
    foreign.into_iter().chain(names).chain(tasks).collect()
}

fn names(reasons: &[Reason]) -> String {
    let ids: Vec<_> = reasons.iter().map(|reason| format!("`{}`", excerpt(&reason.id))).collect();
    ids.join(" and ")
}

fn needed(kind: Challenge) -> &'static str {
    match kind {
        Challenge::Approval => "somebody's approval",
        Challenge::StepUp => "a fresh proof of who asks",
    }
}

/// What a listed tool says of itself.
fn hints(tool: Value<'_>) -> Hints {
    tool.get("annotations").map_or_else(Hints::default, |annotations| {
        Hints::of(&serde_json::from_str(annotations.raw()).unwrap_or_default())
    })
}

/// Arguments as they were sent.
fn json(value: Value<'_>) -> Json {
    match value.kind() {
        NodeKind::Object => Json::Object(value.members().map(|(key, value)| (key.text().into(), json(value))).collect()),
        NodeKind::Array => Json::List(value.elements().map(json).collect()),
        NodeKind::Key | NodeKind::String => Json::Text(value.text().into()),
        NodeKind::Number => Json::Number(value.raw().into()),
        NodeKind::True => Json::Bool(true),
        NodeKind::False => Json::Bool(false),
        NodeKind::Null => Json::Null,
    }
}

/// What was made once, by what it was made of. It changes no outcome, only what one costs.
struct Kept<K, T>(Mutex<HashMap<K, Option<Arc<T>>>>);

impl<K, T> Default for Kept<K, T> {
    fn default() -> Self {
        Kept(Mutex::default())
    }
}

/// As many are kept; then all are made anew, for there may be ever new ones.
const KEPT: usize = 8_192;

impl<K: Hash + Eq + Clone, T> Kept<K, T> {
    fn get(&self, key: &K, make: impl FnOnce() -> Option<T>) -> Option<Arc<T>> {
        if let Some(held) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key) {
            return held.clone();
        }
        // Made without the lock, for it may take a while.
        let made = make().map(Arc::new);
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= KEPT {
            held.clear();
        }
        held.insert(key.clone(), made.clone());
        made
    }
}
