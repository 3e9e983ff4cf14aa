//! What a conversation remembers between messages.

use std::sync::Arc;

use crate::{Catalog, Definition, DefinitionKind, Labels, Pin};

/// What is remembered for one principal, one client and one server: a versioned snapshot that guards only read.
#[derive(Debug, Clone, Default)]
pub struct Session {
    /// Raised by every commit; a commit against an older one is refused and judged again.
    pub version: u64,
    /// What the server has defined.
    pub catalog: Arc<Catalog>,
    /// What marks of untrusted content bear in this session: 16 hexadecimal digits that no server can guess.
    pub tag: Option<Arc<str>>,
    /// What has come into the conversation so far, also from other servers.
    pub labels: Labels,
}

/// Something to remember once a message has been admitted.
#[derive(Debug, Clone)]
pub enum Fact {
    /// The server lists these definitions.
    Listed(Vec<Arc<Definition>>),
    /// A definition was seen for the first time, withheld by no guard, and is approved by that.
    FirstSeen(Pin),
    /// A definition is not approved and waits until somebody accepts it.
    Withheld(Pin, Fate),
    /// A tool is approved, and taken to do something else with information than when it was; the stricter of both counts until
    /// somebody accepts this.
    Relabelled(Pin),
    /// An approved definition is not listed any more.
    Gone(DefinitionKind, Box<str>),
    /// All definitions of this kind have been seen once.
    SeenInFull(DefinitionKind),
}

/// What becomes of a definition that is not approved, in the message that brings it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It reaches the client.
    Passes,
    /// It does not, by what the guard that tells of it has found.
    Stopped,
    /// It does not, by what another guard has found.
    StoppedOtherwise,
}

impl Session {
    /// The next version, with `facts` added. Facts about approvals are the lock's, not the session's.
    #[must_use]
    pub fn with(&self, facts: &[Fact]) -> Session {
        let mut catalog = Arc::clone(&self.catalog);
        for fact in facts {
            if let Fact::Listed(definitions) = fact {
                let held = Arc::make_mut(&mut catalog);
                // Backwards, so that of two with one name the first stays: the second is a duplicate.
                definitions.iter().rev().for_each(|definition| held.insert(Arc::clone(definition)));
            }
        }
        Session { version: self.version + 1, catalog, tag: self.tag.clone(), labels: self.labels }
    }
}
