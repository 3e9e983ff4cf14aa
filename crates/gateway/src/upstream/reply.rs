//! What a server sends.

use bartizan_mcp::{Message, Rejection};

use crate::unread::Unread;

/// Something that a server sent.
#[derive(Debug)]
pub enum Reply {
    /// A message, with the id of the event that it came in.
    Message(Message, Option<String>),
    /// Bytes that are no message.
    Unreadable(Unread, Rejection),
    /// An event without a message: it names the place to resume from, or how long to wait.
    Mark {
        /// The id of the event.
        id: Option<String>,
        /// Milliseconds to wait before reconnecting.
        retry: Option<u64>,
    },
}
