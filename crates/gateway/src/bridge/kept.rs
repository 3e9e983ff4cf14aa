//! What servers have said that is kept for a client's answer.
//!
//! **Threat.** A person may take minutes to answer, and a server may ask in many calls at once, each time with as much as
//! one message may hold. So what is kept of its messages is bounded in bytes for each session, besides their number.

use std::sync::Arc;

use bartizan_mcp::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// KiB that may be kept, as many as for the requests that a client has under way.
const ROOM: u32 = 16 * 1024;
/// By which rule more than that is refused, and why.
pub(super) const FULL: (&str, &str) =
    ("bridge.too_much", "what the server asks takes too much memory until the client answers");

/// The room of one session.
#[derive(Debug)]
pub(super) struct Kept(Arc<Semaphore>);

/// What one message takes of it, for as long as this lasts.
#[derive(Debug)]
pub(super) struct Share {
    _room: OwnedSemaphorePermit,
}

impl Default for Kept {
    fn default() -> Kept {
        Kept(Arc::new(Semaphore::new(ROOM as usize)))
    }
}

impl Kept {
    /// Room for a message, if there is some. One that comes alone may be of any size.
    pub(super) fn take(&self, message: &Message) -> Option<Share> {
        let wanted = u32::try_from(message.weight() / 1024).unwrap_or(ROOM).clamp(1, ROOM);
        Arc::clone(&self.0).try_acquire_many_owned(wanted).ok().map(|room| Share { _room: room })
    }
}

#[cfg(test)]
mod tests {
    use bartizan_mcp::Limits;

    use super::*;

    fn message(mebibytes: usize) -> Message {
        let limits = Limits { bytes: usize::MAX, ..Limits::default() };
        let text = "x".repeat(mebibytes * 1024 * 1024);
        let json = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"roots/list","params":{{"a":"{text}"}}}}"#);
        Message::parse(json, &limits).unwrap()
    }

    #[test]
    fn large_questions_wait_alone_and_small_ones_together() {
        let kept = Kept::default();
        let (small, large) = (message(0), message(9));
        let alone = kept.take(&message(20)).unwrap();
        assert!(kept.take(&small).is_none());
        drop(alone);
        let first = kept.take(&large).unwrap();
        assert!(kept.take(&large).is_none());
        let many: Vec<_> = (0..1024).map(|_| kept.take(&small)).collect();
        assert!(many.iter().all(Option::is_some));
        drop(first);
        assert!(kept.take(&large).is_some());
    }
}
