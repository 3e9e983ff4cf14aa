//! What a server sends because of one message, whatever it comes over.

use super::demux::Inbox;
use super::http::Events;
use super::{Reply, SharedInbox, UpstreamError};

/// What a server sends because of one message, in order; the last of it is the response.
#[derive(Debug)]
pub enum Replies {
    /// It was only taken note of.
    None,
    /// One message; with the HTTP status it came under.
    One(Option<Reply>, ::http::StatusCode),
    /// A stream of events.
    Events(Box<Events>),
    /// Messages of a child process, as they come.
    Channel(Inbox),
    /// The same where the child is shared.
    Shared(Box<SharedInbox>),
}

impl Replies {
    /// The next thing sent; `None` when there is no more.
    ///
    /// # Errors
    /// If the server fails in the middle.
    pub async fn next(&mut self) -> Result<Option<Reply>, UpstreamError> {
        match self {
            Replies::None => Ok(None),
            Replies::One(reply, _) => Ok(reply.take()),
            Replies::Events(events) => events.next().await,
            Replies::Channel(inbox) => Ok(inbox.next().await),
            Replies::Shared(inbox) => inbox.next().await,
        }
    }
}
