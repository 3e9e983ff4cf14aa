//! What an operator is shown of conversations, and how one is made to forget.
//!
//! **Threat.** Who resets a session while it is used must not have half of it come back: a label that was read before and is written
//! after, or a value that is remembered under a key that is none any more. So all that a client has is reset at once, under the locks that
//! whoever labels it or remembers something takes, and with no session beginning meanwhile. Values are counted and never shown: only
//! hashes of them are kept.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use bartizan_audit::{Id, rfc3339};
use bartizan_guard::{Label, Labels};
use serde::{Deserialize, Serialize};

use super::{Client, Conversation, Conversations, Who, lock};
use crate::clock;

/// Who begins a conversation, and when that was.
#[derive(Debug, Default)]
pub(super) struct About {
    /// The session, as records name it.
    pub(super) session: Box<str>,
    pub(super) whose: Whose,
    /// By the clock that does not jump.
    since: i64,
    servers: Mutex<BTreeSet<Arc<str>>>,
}

/// Whose a client is.
#[derive(Debug, Clone, Default)]
pub(super) struct Whose {
    principal: Box<str>,
    client: Box<str>,
}

impl Whose {
    pub(super) fn of(who: Who<'_>) -> Whose {
        let client = match who {
            Who::Calls(_, _, name) | Who::Asks(_, _, name, _) => name.into(),
            Who::Starts(_, process) => format!("process {process}").into(),
        };
        Whose { principal: who.principal().id.to_string().into(), client }
    }
}

impl About {
    pub(super) fn new(session: &str, whose: Whose) -> About {
        About { session: session.into(), whose, since: clock::steady().0, servers: Mutex::default() }
    }
}

/// Which result gave a label.
#[derive(Debug, Clone)]
pub(super) struct Given {
    label: Label,
    /// By the clock on the wall.
    at: i64,
    session: Arc<str>,
    from: Option<From>,
}

/// Where a label is from.
#[derive(Debug, Clone)]
struct From {
    entry: Id,
    server: Arc<str>,
    tool: Option<Arc<str>>,
}

/// How many of them are kept of a client: the last ones.
const GIVEN: usize = 8;

/// Notes that these labels were given, by what is not recorded yet.
pub(super) fn note(given: &mut Vec<Given>, labels: Labels, session: &str) {
    let at = clock::now().0;
    for label in labels.iter() {
        given.retain(|held| held.label != label || *held.session != *session);
        if given.len() >= GIVEN {
            given.remove(0);
        }
        given.push(Given { label, at, session: session.into(), from: None });
    }
}

/// A conversation, or what is left of those that a client has ended.
#[derive(Debug, Serialize, Deserialize)]
pub struct Seen {
    /// The session, as records name it; of one that is over the one in which something was found last.
    pub session: String,
    /// For whom the client acts.
    pub principal: String,
    /// What the client calls itself, or its process.
    pub client: String,
    /// How long ago it began, in seconds; none if it is over.
    pub age: Option<u64>,
    /// The servers that it has used.
    pub servers: Vec<String>,
    /// What it is labelled with.
    pub labels: Vec<SeenLabel>,
    /// How many results of its client are remembered.
    pub results: u64,
    /// How many values of them are.
    pub values: u64,
    /// Whether more came in than is remembered.
    pub is_full: bool,
    /// The other sessions of the same client, which share what is remembered and are reset together.
    pub with: Vec<String>,
}

/// A label, and which result gave it, as far as that is known.
#[derive(Debug, Serialize, Deserialize)]
pub struct SeenLabel {
    /// Its name.
    pub label: String,
    /// When it was given: RFC 3339, UTC.
    pub since: Option<String>,
    /// In which session of the same client.
    pub session: Option<String>,
    /// By a result of which server.
    pub server: Option<String>,
    /// Of which tool.
    pub tool: Option<String>,
    /// In which entry of the audit log.
    pub entry: Option<String>,
}

/// What a reset has cleared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cleared {
    /// The session that was named.
    pub session: String,
    /// For whom its client acts.
    pub principal: String,
    /// All sessions of that client, which were reset together.
    pub sessions: Vec<String>,
    /// The labels that are gone.
    pub labels: Vec<String>,
    /// How many results were remembered.
    pub results: u64,
    /// How many values of them were.
    pub values: u64,
}

impl Conversation {
    /// It uses a server.
    pub(crate) fn uses(&self, server: &Arc<str>) {
        let mut servers = lock(&self.about.servers);
        if !servers.contains(server) {
            servers.insert(Arc::clone(server));
        }
    }

    /// What its client calls itself.
    pub(crate) fn client_name(&self) -> &str {
        &self.about.whose.client
    }

    fn is_of(&self, client: &Arc<Client>) -> bool {
        Arc::ptr_eq(&self.client, client)
    }
}

/// Says in which entry it is what gave these labels.
pub(super) fn recorded(
    given: &mut [Given],
    labels: Labels,
    session: &str,
    entry: Id,
    of: (&Arc<str>, Option<&Arc<str>>),
) {
    let waits = |held: &&mut Given| held.from.is_none() && *held.session == *session && labels.contains(held.label);
    for held in given.iter_mut().filter(waits) {
        held.from = Some(From { entry, server: Arc::clone(of.0), tool: of.1.cloned() });
    }
}

impl Conversations {
    /// All that go on, the oldest first, and after them what is remembered of those that are over.
    pub(crate) fn all(&self) -> Vec<Seen> {
        let open = self.open();
        let mut seen: Vec<_> = open.iter().map(|held| (held.about.since, held.seen(&open))).collect();
        seen.sort_by_key(|(since, _)| *since);
        let over = self.over().into_iter().map(|client| seen_of_over(&client));
        seen.into_iter().map(|(_, seen)| seen).chain(over).collect()
    }

    /// Has the client of a session forget its labels and all that it was brought, once `record` has said so; none if there
    /// is no such session. While this runs no session begins, and of this client nothing is labelled or remembered.
    ///
    /// # Errors
    /// What `record` says; then nothing is forgotten.
    pub(crate) fn reset<E>(
        &self,
        session: &str,
        record: impl FnOnce(&Cleared) -> Result<(), E>,
    ) -> Option<Result<Cleared, E>> {
        let over = self.over();
        let by_name = lock(&self.by_name);
        let open: Vec<_> = by_name.held().filter(|held| !held.about.session.is_empty()).collect();
        let named = open.iter().find(|held| *held.about.session == *session).map(|held| Arc::clone(&held.client));
        let is_named =
            |client: &&Arc<Client>| lock(&client.past).origin().is_some_and(|origin| *origin.session == *session);
        let client = named.or_else(|| over.iter().find(is_named).cloned())?;
        let all: Vec<_> = open.iter().filter(|held| held.is_of(&client)).collect();
        let mut past = lock(&client.past);
        let mut memory = lock(&client.memory);
        let left = all.iter().map(|held| held.own.load()).fold(past.left(clock::steady().0), Labels::with);
        let (results, values, _) = memory.counts();
        let whose = all.first().map(|held| held.about.whose.clone()).or_else(|| client.whose.get().cloned());
        let cleared = Cleared {
            session: session.to_owned(),
            principal: whose.unwrap_or_default().principal.into(),
            sessions: all.iter().map(|held| held.about.session.to_string()).collect(),
            labels: left.names().into_iter().map(str::to_owned).collect(),
            results,
            values,
        };
        if let Err(error) = record(&cleared) {
            return Some(Err(error));
        }
        all.iter().for_each(|held| held.own.forget());
        past.forget();
        memory.forget();
        Some(Ok(cleared))
    }

    /// All that somebody has begun and that go on.
    fn open(&self) -> Vec<Arc<Conversation>> {
        let held: Vec<_> = lock(&self.by_name).held().collect();
        held.into_iter().filter(|held| !held.about.session.is_empty()).collect()
    }

    /// Clients that have no session and whose next one would begin with something.
    fn over(&self) -> Vec<Arc<Client>> {
        let now = clock::steady().0;
        [&self.named, &self.anonymous].into_iter().flat_map(|all| lock(all).over(now)).collect()
    }
}

impl Conversation {
    fn seen(&self, open: &[Arc<Conversation>]) -> Seen {
        let others = open.iter().filter(|other| other.is_of(&self.client) && other.about.session != self.about.session);
        let labels = self.shown_labels();
        let (results, values, is_full) = lock(&self.client.memory).counts();
        let age = clock::steady().0.saturating_sub(self.about.since) / 1_000_000;
        let past = lock(&self.client.past);
        Seen {
            session: self.about.session.to_string(),
            principal: self.about.whose.principal.to_string(),
            client: self.about.whose.client.to_string(),
            age: Some(u64::try_from(age).unwrap_or_default()),
            servers: lock(&self.about.servers).iter().map(|server| server.to_string()).collect(),
            labels: seen_labels(labels, past.given(), &self.about.session),
            results,
            values,
            is_full,
            with: others.map(|other| other.about.session.to_string()).collect(),
        }
    }

    /// What it is labelled with, for whoever only looks: that is no use of it.
    fn shown_labels(&self) -> Labels {
        let past = lock(&self.client.past);
        let own = self.own.load();
        if self.is_shared { own.with(past.left(clock::steady().0)) } else { own }
    }
}

fn seen_of_over(client: &Client) -> Seen {
    let (results, values, is_full) = lock(&client.memory).counts();
    let whose = client.whose.get().cloned().unwrap_or_default();
    let past = lock(&client.past);
    let session = past.origin().map(|origin| origin.session.to_string()).unwrap_or_default();
    Seen {
        principal: whose.principal.into(),
        client: whose.client.into(),
        age: None,
        servers: Vec::new(),
        labels: seen_labels(past.left(clock::steady().0), past.given(), &session),
        results,
        values,
        is_full,
        with: Vec::new(),
        session,
    }
}

/// Each label with what gave it in this session, or else in another one of the client.
fn seen_labels(labels: Labels, given: &[Given], session: &str) -> Vec<SeenLabel> {
    let by = |label: Label| {
        let mut of = given.iter().rev().filter(|held| held.label == label);
        of.clone().find(|held| *held.session == *session).or_else(|| of.next())
    };
    let seen = |label: Label| {
        let given = by(label);
        let from = given.and_then(|given| given.from.as_ref());
        SeenLabel {
            label: label.as_str().to_owned(),
            since: given.map(|given| rfc3339(given.at)),
            session: given.map(|given| given.session.to_string()),
            server: from.map(|from| from.server.to_string()),
            tool: from.and_then(|from| from.tool.as_ref()).map(|tool| tool.to_string()),
            entry: from.map(|from| from.entry.to_string()),
        }
    };
    labels.iter().map(seen).collect()
}
