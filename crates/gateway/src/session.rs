//! The session of one client with one server: a snapshot that is replaced, never changed.

use std::sync::{Arc, Mutex, PoisonError};

use bartizan_guard::{Fact, Session};

/// Where the current snapshot is kept.
#[derive(Debug, Default)]
pub(crate) struct SessionHandle {
    /// Held only to copy or to replace the pointer.
    current: Mutex<Arc<Session>>,
}

/// Somebody else committed first; the message has to be judged again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Conflict;

impl SessionHandle {
    /// The session as it is now.
    #[must_use]
    pub(crate) fn snapshot(&self) -> Arc<Session> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds `facts` if nothing was committed since `version`.
    ///
    /// # Errors
    /// [`Conflict`] if something was.
    pub(crate) fn commit(&self, version: u64, facts: &[Fact]) -> Result<(), Conflict> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.version != version {
            return Err(Conflict);
        }
        *current = Arc::new(current.with(facts));
        Ok(())
    }
}
