//! Whom a request is for: one server, or all of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::front::ALL;
use crate::server::Server;

/// Servers by name.
pub(super) type Servers = BTreeMap<Arc<str>, Arc<Server>>;

/// The servers of the configuration in force.
pub(super) struct Current {
    /// Counts the configurations, so that what was begun under one is not taken for part of another.
    pub(super) generation: u64,
    pub(super) by_name: Servers,
}

/// Whom a request is for, among the servers of one configuration.
pub(super) enum Target<'a> {
    One(&'a Current, &'a Arc<Server>),
    All(&'a Current),
}

impl Target<'_> {
    pub(super) fn of<'a>(current: &'a Current, path: &str) -> Option<Target<'a>> {
        if path == "/mcp" {
            return Some(Target::All(current));
        }
        let name = path.strip_prefix("/mcp/")?;
        current.by_name.get(name).map(|server| Target::One(current, server))
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Target::One(_, server) => &server.name,
            Target::All(_) => ALL,
        }
    }

    pub(super) fn generation(&self) -> u64 {
        match self {
            Target::One(current, _) | Target::All(current) => current.generation,
        }
    }

    /// Whether a server behind it may be translated for.
    pub(super) fn bridges(&self) -> bool {
        match self {
            Target::One(_, server) => server.bridge.on,
            Target::All(current) => current.by_name.values().any(|server| server.bridge.on),
        }
    }

    /// What a session with this target is kept under.
    pub(super) fn slot(&self, key: &str) -> String {
        format!("{}\n{key}", self.name())
    }
}
