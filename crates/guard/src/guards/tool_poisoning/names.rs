//! The names of other servers' tools, and those that imitate them.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bartizan_detect::normal::Normal;

use super::Said;
use crate::{DefinitionKind, Event, Session, excerpt};

/// The name of a tool and its server.
type Named = (Box<str>, Arc<str>);

/// What other servers of the configuration have pinned.
pub(super) struct Others<'a> {
    elsewhere: &'a [Named],
    own_server: &'a str,
    session: &'a Session,
    listed: &'a BTreeSet<&'a str>,
    /// By how a name reads; made when it is needed first.
    by_look: OnceCell<BTreeMap<String, &'a Named>>,
}

impl<'a> Others<'a> {
    pub(super) fn of(event: &Event<'a>, session: &'a Session, listed: &'a BTreeSet<&'a str>) -> Others<'a> {
        let server: &'a crate::ServerProfile = event.server;
        Others {
            elsewhere: &server.elsewhere,
            own_server: &server.name,
            session,
            listed,
            by_look: OnceCell::new(),
        }
    }

    /// The server that has a tool of that name, if this one has none.
    pub(super) fn owner(&self, name: &str) -> Option<&'a str> {
        if self.is_own(name) {
            return None;
        }
        let first = self.elsewhere.partition_point(|(held, _)| **held < *name);
        let same = self.elsewhere.get(first..)?.iter().take_while(|(held, _)| **held == *name);
        let mut servers = same.map(|(_, server)| &**server).peekable();
        // What is pinned of this server is its own, listed in this session or not.
        if servers.clone().any(|server| server == self.own_server) {
            return None;
        }
        servers.peek().copied()
    }

    fn is_own(&self, name: &str) -> bool {
        self.listed.contains(name) || self.session.catalog.get(DefinitionKind::Tool, name).is_some()
    }

    /// Whether a tool is called nearly as one of another server; that it is called the same is told by `tool_pinning`.
    pub(super) fn imitated(&self, kind: DefinitionKind, name: &str) -> Option<Said> {
        if kind.is_uri() || name.is_empty() || self.elsewhere.is_empty() {
            return None;
        }
        let by_look = self.by_look.get_or_init(|| {
            let foreign = self.elsewhere.iter().filter(|(_, server)| **server != *self.own_server);
            foreign.map(|held| (look_of(&held.0), held)).collect()
        });
        let (other, server) = by_look.get(&look_of(name)).filter(|(other, _)| **other != *name)?;
        // A letter of another script, or one and l, nought and o: nobody names a tool so by accident.
        let disguised = signless(name) != signless(other);
        let rule = if disguised { "tool_poisoning.lookalike" } else { "tool_poisoning.similar" };
        let why = format!("`{}` looks like `{}` of server `{}`", excerpt(name), excerpt(other), excerpt(server));
        Some(Said { rule, at: None, spans: Vec::new(), why })
    }
}

/// What is left of a name for an eye that passes over case, signs and letters that look alike.
fn look_of(name: &str) -> String {
    let normal = Normal::of(name);
    let letters = normal.text().chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase);
    let alike = letters.map(|letter| match letter {
        '0' => 'o',
        '1' | 'i' => 'l',
        other => other,
    });
    alike.collect()
}

/// A name without case and signs.
fn signless(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
