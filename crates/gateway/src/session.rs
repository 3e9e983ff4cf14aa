//! The session of one client with one server: a snapshot that is replaced, never changed.

use std::sync::{Arc, Mutex, PoisonError};

use bartizan_guard::{Fact, Labels, Session};

use crate::labels::Conversation;
use crate::random;

/// Where the current snapshot is kept.
#[derive(Debug)]
pub(crate) struct SessionHandle {
    /// Held only to copy or to replace the pointer.
    current: Mutex<Arc<Session>>,
    /// What it has in common with the client's sessions with other servers.
    conversation: Arc<Conversation>,
}

/// Somebody else committed first; the message has to be judged again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Conflict;

impl SessionHandle {
    /// One that remembers nothing yet, with a tag of its own. Without random numbers there is none, and what would bear it
    /// does not pass.
    #[must_use]
    pub(crate) fn new(conversation: Arc<Conversation>) -> SessionHandle {
        let session = Session { tag: random::tag().ok(), ..Session::default() };
        SessionHandle { current: Mutex::new(Arc::new(session)), conversation }
    }

    /// The session as it is now.
    #[must_use]
    pub(crate) fn snapshot(&self) -> Arc<Session> {
        let current = Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner));
        match self.conversation.labels() {
            Labels::NONE => current,
            labels => Arc::new(Session { labels, ..(*current).clone() }),
        }
    }

    /// What it has in common with the client's sessions with other servers.
    pub(crate) fn conversation(&self) -> &Arc<Conversation> {
        &self.conversation
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
    use bartizan_guard::Label;

    use super::*;
    use crate::labels::Conversations;

    #[test]
    fn each_session_has_a_tag_of_its_own_for_as_long_as_it_lasts() {
        let tag = |handle: &SessionHandle| handle.snapshot().tag.clone().unwrap();
        let all = Conversations::default();
        let (one, other) = (SessionHandle::new(all.of("1")), SessionHandle::new(all.of("2")));
        let first = tag(&one);
        assert!(first.len() == 16 && first.bytes().all(|digit| digit.is_ascii_hexdigit()), "{first}");
        assert_ne!(first, tag(&other));
        one.commit(0, &[]).unwrap();
        assert_eq!(first, tag(&one));
    }

    #[test]
    fn what_one_server_brings_labels_the_session_with_all_of_them() {
        let all = Conversations::default();
        let (web, mail, other) =
            (SessionHandle::new(all.of("s")), SessionHandle::new(all.of("s")), SessionHandle::new(all.of("t")));
        let version = mail.snapshot().version;
        web.conversation().raise(Labels::of(Label::Untrusted), "s");
        assert!(mail.snapshot().labels.contains(Label::Untrusted) && other.snapshot().labels.is_empty());
        mail.commit(version, &[]).unwrap();
        assert!(mail.snapshot().labels.contains(Label::Untrusted));
    }
}
