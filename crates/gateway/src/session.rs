//! The session of one client with one server: a snapshot that is replaced, never changed.

use std::sync::{Arc, Mutex, PoisonError};

use bartizan_guard::{Fact, Session};

use crate::random;

/// Where the current snapshot is kept.
#[derive(Debug)]
pub(crate) struct SessionHandle {
    /// Held only to copy or to replace the pointer.
    current: Mutex<Arc<Session>>,
}

/// Somebody else committed first; the message has to be judged again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Conflict;

impl SessionHandle {
    /// One that remembers nothing yet, with a tag of its own. Without random numbers there is none, and what would bear it
    /// does not pass.
    #[must_use]
    pub(crate) fn new() -> SessionHandle {
        let session = Session { tag: random::tag().ok(), ..Session::default() };
        SessionHandle { current: Mutex::new(Arc::new(session)) }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_session_has_a_tag_of_its_own_for_as_long_as_it_lasts() {
        let tag = |handle: &SessionHandle| handle.snapshot().tag.clone().unwrap();
        let (one, other) = (SessionHandle::new(), SessionHandle::new());
        let first = tag(&one);
        assert!(first.len() == 16 && first.bytes().all(|digit| digit.is_ascii_hexdigit()), "{first}");
        assert_ne!(first, tag(&other));
        one.commit(0, &[]).unwrap();
        assert_eq!(first, tag(&one));
    }
}
