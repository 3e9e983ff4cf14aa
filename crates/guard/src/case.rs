//! A message together with all that its judgement rests on, to be kept and judged again: by other settings, elsewhere.
//!
//! Whatever guards look at is in an [`Event`] and a [`Session`]. A case keeps of both what bears on one message: of the
//! definitions those that the message names. What guards find in lists and instructions rests on everything that a server
//! has defined, so there are no cases of those.

mod text;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use bartizan_mcp::{Digest, Limits, Message, method};

use crate::{
    CallSummary, Definition, DefinitionKind, Direction, Event, Evidence, Fact, Grant, Labelled, Labels, Pin, Pins,
    Principal, ServerProfile, Session, Timestamp,
};

pub use text::CaseError;

/// The kinds of which it matters whether anything, or everything, of them is known.
const COUNTED: [DefinitionKind; 2] = [DefinitionKind::Tool, DefinitionKind::Prompt];

/// A message with all that its judgement rests on.
#[derive(Debug, Clone)]
pub struct Case {
    message: Message,
    direction: Direction,
    answers: Option<CallSummary>,
    principal: Principal,
    server: Arc<str>,
    evidence: Vec<Evidence>,
    grant: Option<Grant>,
    now: Timestamp,
    /// What the message names, as the server had it listed.
    definitions: Vec<Arc<Definition>>,
    /// What the message names, as it was approved.
    pins: Vec<Named>,
    /// The kinds of which something was listed.
    listed: Vec<DefinitionKind>,
    /// The kinds of which everything had been seen.
    complete: Vec<DefinitionKind>,
    /// What marks bore in the session.
    tag: Option<Arc<str>>,
    /// What the session was labelled with.
    labels: Labels,
}

/// Something that a message names, with the digest of its definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// What it is.
    pub kind: DefinitionKind,
    /// Its name, or the URI of a resource.
    pub name: Box<str>,
    /// What was approved under that name; nothing if nothing was.
    pub approved: Option<Digest>,
    /// What the tool was approved to do with information, if it is one and anything was.
    pub labels: Option<Labelled>,
}

/// Definitions that cases have in common, so that each is read once.
#[derive(Debug, Default)]
pub struct Known(HashMap<(DefinitionKind, Digest), Arc<Definition>>);

impl Known {
    /// As many are held; then all are read anew.
    const MOST: usize = 4_096;

    fn get(&mut self, kind: DefinitionKind, text: &[u8]) -> Option<Arc<Definition>> {
        let key = (kind, Definition::text(text));
        if let Some(held) = self.0.get(&key) {
            return Some(Arc::clone(held));
        }
        let read = Arc::new(read(kind, text)?);
        if self.0.len() >= Self::MOST {
            self.0.clear();
        }
        self.0.insert(key, Arc::clone(&read));
        Some(read)
    }
}

impl Case {
    /// What bears on a message; nothing of one that brings lists or instructions. Little is copied.
    #[must_use]
    pub fn of(event: &Event<'_>, session: &Session) -> Option<Case> {
        // Without a field being forgotten that is new.
        let Event { message, direction, answers, principal, server, evidence, grant, now } = *event;
        let Session { version: _, catalog, tag, labels } = session;
        let ServerProfile { name, pins, elsewhere: _ } = server;
        let instructs = message.result().is_some_and(|result| result.get("instructions").is_some());
        if instructs || DefinitionKind::lists_of(message).next().is_some() {
            return None;
        }
        let names = names(event);
        let held = |(kind, name): &(DefinitionKind, Cow<'_, str>)| catalog.get(*kind, name).cloned();
        let pinned = |(kind, name): &(DefinitionKind, Cow<'_, str>)| Named {
            kind: *kind,
            name: name.as_ref().into(),
            approved: pins.get(*kind, name),
            labels: pins.labels(name).filter(|_| *kind == DefinitionKind::Tool).map(|(_, labels)| labels),
        };
        Some(Case {
            message: message.clone(),
            direction,
            answers: answers.cloned(),
            principal: principal.clone(),
            server: Arc::clone(name),
            evidence: evidence.to_vec(),
            grant: grant.cloned(),
            now,
            definitions: names.iter().filter_map(held).collect(),
            pins: names.iter().map(pinned).collect(),
            listed: COUNTED.into_iter().filter(|kind| !catalog.lacks(*kind)).collect(),
            complete: COUNTED.into_iter().filter(|kind| pins.is_complete(*kind)).collect(),
            tag: tag.clone(),
            labels: *labels,
        })
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// On whose behalf the client acted.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The server.
    #[must_use]
    pub fn server(&self) -> &Arc<str> {
        &self.server
    }

    /// When it was judged.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// What the message names, with what was approved under these names.
    #[must_use]
    pub fn named(&self) -> &[Named] {
        &self.pins
    }

    /// Whether all tools, or all prompts, had been seen, so that one that was not approved was withheld.
    #[must_use]
    pub fn had_seen_all(&self, kind: DefinitionKind) -> bool {
        self.complete.contains(&kind)
    }

    /// About how many bytes it takes while it is kept.
    #[must_use]
    pub fn weight(&self) -> usize {
        let definitions: usize = self.definitions.iter().map(|definition| definition.json.len()).sum();
        self.message.weight().saturating_add(definitions).saturating_add(1_024)
    }

    /// Shows it as guards would see it.
    pub fn judged<T>(&self, look: impl FnOnce(&Event<'_>, &Session) -> T) -> T {
        let mut pins = Pins::default();
        for Named { kind, name, approved, labels } in &self.pins {
            if let Some(digest) = *approved {
                let (kind, name, labels) = (*kind, name.clone(), *labels);
                pins.insert(Pin { kind, name, digest, body: None, labels, json: "".into() });
            }
        }
        self.complete.iter().for_each(|kind| pins.set_complete(*kind));
        let mut listed = self.definitions.clone();
        // That something else of a kind was listed matters, and what that was does not.
        let lacks = |kind: &&DefinitionKind| listed.iter().all(|held| held.kind != **kind);
        let others: Vec<_> = self.listed.iter().filter(lacks).filter_map(|kind| self.other(*kind)).collect();
        listed.extend(others);
        let session =
            Session { tag: self.tag.clone(), labels: self.labels, ..Session::default() }.with(&[Fact::Listed(listed)]);
        let server = ServerProfile { name: Arc::clone(&self.server), pins: Arc::new(pins), elsewhere: Arc::from([]) };
        let event = Event {
            message: &self.message,
            direction: self.direction,
            answers: self.answers.as_ref(),
            principal: &self.principal,
            server: &server,
            evidence: &self.evidence,
            grant: self.grant.as_ref(),
            now: self.now,
        };
        look(&event, &session)
    }

    /// A definition that the message does not name.
    fn other(&self, kind: DefinitionKind) -> Option<Arc<Definition>> {
        let is_named = |name: &str| self.pins.iter().any(|named| named.kind == kind && &*named.name == name);
        let text = if is_named("") { br#"{"name":"-"}"#.as_slice() } else { br#"{"name":""}"# };
        read(kind, text).map(Arc::new)
    }
}

/// What a message names, or what it answers does.
fn names<'e>(event: &Event<'e>) -> Vec<(DefinitionKind, Cow<'e, str>)> {
    let (message, mut names) = (event.message, Vec::new());
    let named = |member: &str| message.params().and_then(|params| params.get(member)?.as_str());
    match message.method() {
        Some(method::PROMPTS_GET) => names.extend(named("name").map(|name| (DefinitionKind::Prompt, name))),
        Some(method::RESOURCES_READ) => names.extend(named("uri").map(|uri| (DefinitionKind::Resource, uri))),
        Some(method::TOOLS_CALL) => names.extend(named("name").map(|name| (DefinitionKind::Tool, name))),
        _ => {}
    }
    let answered = event.answers.and_then(|call| call.tool.as_deref());
    names.extend(answered.map(|name| (DefinitionKind::Tool, Cow::Borrowed(name))));
    for evidence in event.evidence {
        if let Evidence::HandedOut { tool: Some(name), .. } = evidence {
            names.push((DefinitionKind::Tool, Cow::Borrowed(name)));
        }
    }
    names.dedup();
    names
}

/// A definition by its text, which passed the scanner as a part of a larger message.
pub(crate) fn read(kind: DefinitionKind, text: &[u8]) -> Option<Definition> {
    let text = [br#"{"jsonrpc":"2.0","id":0,"result":"#, text, b"}"].concat();
    let message = Message::parse(text, &Limits::AGAIN).ok()?;
    Definition::read(kind, message.result()?)
}
