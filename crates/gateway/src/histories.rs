//! What each tool has brought, over all sessions, for as long as the gateway runs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bartizan_guard::{Evidence, History, Traits};

/// Summaries of one server by what they are about.
type Tools = HashMap<String, Arc<History>>;

/// Summaries by server.
#[derive(Debug, Default)]
pub(crate) struct Histories {
    /// Held only to copy or to replace a pointer, or to learn from one reply.
    by_server: Mutex<HashMap<Arc<str>, Tools>>,
}

/// Tools of one server that are remembered, about two kibibytes each. Of a server that has more, the first ones are: it
/// cannot have them forgotten by naming others.
const MOST: usize = 512;

impl Histories {
    /// What is known of one tool, for whoever judges a reply.
    pub(crate) fn of(&self, server: &str, subject: &str) -> Option<Evidence> {
        let held = self.by_server.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(server)?.get(subject).map(|history| Evidence::History(Arc::clone(history)))
    }

    /// Learns from a reply that passed.
    pub(crate) fn learn(&self, server: &Arc<str>, subject: String, reply: &Traits) {
        let mut held = self.by_server.lock().unwrap_or_else(PoisonError::into_inner);
        let tools = held.entry(Arc::clone(server)).or_default();
        if tools.len() < MOST || tools.contains_key(&subject) {
            Arc::make_mut(tools.entry(subject).or_default()).learn(reply);
        }
    }
}
