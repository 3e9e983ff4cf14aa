//! Places for the requests that wait for one server, shared fairly among client sessions.
//!
//! **Threat.** A server that stopped answering must not hold up an unbounded number of clients, so the places are
//! bounded; then one client that makes slow calls could take all of them and keep every other one out.
//!
//! The rule: a session gets another place only while it has fewer than are left. One alone can have half of them, two
//! a third each, and whoever has none gets one as long as there is one. It does not stop whoever opens as many sessions
//! as there are places: over HTTP nobody signs in yet, so a session is all that there is to tell clients apart by.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The places of one server.
#[derive(Debug)]
pub struct InFlight {
    most: usize,
    /// How many each session has; none that has none is in it.
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    by_session: HashMap<Arc<str>, usize>,
    total: usize,
}

/// A place that is free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    of: Arc<InFlight>,
    session: Arc<str>,
}

impl InFlight {
    /// So many places.
    pub(crate) fn new(most: usize) -> Arc<InFlight> {
        Arc::new(InFlight { most, held: Mutex::default() })
    }

    /// Another place for a session, if it may have one.
    pub(crate) fn take(self: &Arc<Self>, session: &str) -> Option<Place> {
        let mut held = self.held();
        let (own, left) =
            (held.by_session.get(session).copied().unwrap_or_default(), self.most.saturating_sub(held.total));
        if own >= left {
            return None;
        }
        held.total += 1;
        let session: Arc<str> = session.into();
        *held.by_session.entry(Arc::clone(&session)).or_default() += 1;
        Some(Place { of: Arc::clone(self), session })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.of.held();
        held.total -= 1;
        if let Some(own) = held.by_session.get_mut(&self.session) {
            *own -= 1;
            if *own == 0 {
                held.by_session.remove(&self.session);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_all(places: &Arc<InFlight>, session: &str) -> Vec<Place> {
        std::iter::from_fn(|| places.take(session)).collect()
    }

    #[test]
    fn nobody_takes_all_and_who_has_none_gets_one() {
        let places = InFlight::new(12);
        let one = take_all(&places, "one");
        assert_eq!(one.len(), 6, "half of them");
        let other = take_all(&places, "other");
        assert_eq!(other.len(), 3, "half of the rest");
        assert!(places.take("one").is_none() && places.take("third").is_some());
        drop(one);
        assert_eq!(take_all(&places, "third").len(), 5, "what was given back is there for others");
        drop(other);
        assert_eq!(places.held().total, 0);
        assert!(places.held().by_session.is_empty(), "nothing is kept of who has none");
    }

    #[test]
    fn the_last_place_is_somebodys() {
        let places = InFlight::new(1);
        let only = places.take("one").unwrap();
        assert!(places.take("one").is_none() && places.take("other").is_none());
        drop(only);
        assert!(places.take("other").is_some());
    }

    #[test]
    fn as_many_sessions_as_places_take_all_of_them() {
        let places = InFlight::new(64);
        let all: Vec<_> = (0..64).map(|number| places.take(&number.to_string()).unwrap()).collect();
        assert!(places.take("honest").is_none(), "which the rule does not stop");
        drop(all);
        assert!(places.take("honest").is_some());
    }
}
