//! The servers' side: one child process or one HTTP session behind one interface.

mod breaker;
mod demux;
mod http;
pub(crate) mod lenient;
pub(crate) mod lines;
mod shared;
mod splice;
mod sse;
mod stdio;
#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
mod tls;
mod trial;

use bartizan_mcp::{Id, Message, Rejection};
use thiserror::Error;

pub use breaker::Breaker;
pub use demux::Routing;
pub(crate) use http::Relay;
pub use http::{Endpoint, HttpUpstream, connector};
pub(crate) use lines::Unread;
pub(crate) use shared::SharedInbox;
pub use shared::{SharedChild, SharedUpstream};
pub use stdio::StdioUpstream;
pub(crate) use trial::{Starts, Trial, works};

use crate::admit::Admitted;

/// Where the messages of one client to one server go.
#[derive(Debug)]
pub enum Upstream {
    /// A child process.
    Stdio(StdioUpstream),
    /// A Streamable HTTP endpoint, or one of the transport before it.
    Http(HttpUpstream),
    /// A child process that other clients use as well.
    Shared(SharedUpstream),
}

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

/// What a server sends because of one message, in order; the last of it is the response.
#[derive(Debug)]
pub enum Replies {
    /// It was only taken note of.
    None,
    /// One message; with the HTTP status it came under.
    One(Option<Reply>, ::http::StatusCode),
    /// A stream of events.
    Events(Box<http::Events>),
    /// Messages of a child process, as they come.
    Channel(demux::Inbox),
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

/// Why a server gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UpstreamError {
    /// It did not take the connection.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// Its program cannot be started; why names places of this machine.
    #[error("the server cannot be reached: {0}")]
    NotStarted(String),
    /// It is not known to be who it should be; why may name what its certificate says.
    #[error("the server's certificate is not accepted: {0}")]
    Certificate(String),
    /// It failed, so often if it is not shared, that it is left alone for a while.
    #[error("the server failed and is left alone for now; it is tried again in {0} s")]
    Resting(u64),
    /// As many requests wait for it as may.
    #[error("too many requests wait for the server already; try again later")]
    Busy,
    /// It did not answer in time.
    #[error("the server did not answer within {0} s")]
    TimedOut(u64),
    /// It ended before it answered.
    #[error("the server ended before it answered{0}")]
    Ended(String),
    /// The same of one that several clients use. Its last words may hold what belongs to any of them, those that have gone
    /// included: they are for whoever runs the gateway, and no part of what is shown.
    #[error("the server ended before it answered{}", if .0.is_empty() { "" } else { NOT_TO_CLIENTS })]
    SharedEnded(String),
    /// The stream broke off before the response.
    #[error("the server's answer broke off: {0}")]
    BrokenOff(String),
    /// What it answered is not HTTP.
    #[error("the server's answer is not valid HTTP: {0}")]
    Malformed(String),
    /// It answered with an HTTP status and no message.
    #[error("the server answered with HTTP status {0}")]
    Status(u16),
    /// It answered with something that is neither JSON nor an event stream.
    #[error("the server answered with {0} instead of JSON or events")]
    ContentType(&'static str),
    /// Its answer is compressed, which nobody asked for.
    #[error("the server's answer is encoded, although the request accepts no encoding")]
    Encoded,
    /// It named a session in a way that no header may.
    #[error("the server's session id is not 1 to 1024 visible ASCII characters")]
    BadSession,
    /// Its answer is larger than the limit.
    #[error("the server's answer is larger than the limit")]
    TooLarge,
    /// Too many servers send much at once.
    #[error("too many large answers arrive at once; try again later")]
    Crowded,
    /// It no longer knows the session.
    #[error("the server has ended the session")]
    SessionGone,
    /// The client's session is over, but not the server, which others use.
    #[error("the session is over")]
    Over,
    /// It does not know how a client of this era begins.
    #[error("the server does not answer {0}; if it speaks another era of the protocol, bridge = \"auto\" translates")]
    OtherEra(&'static str),
    /// It does not offer this.
    #[error("the server does not offer a stream of its own")]
    NoStream,
    /// It reads too slowly.
    #[error("the server takes no more messages")]
    Stuffed,
    /// The client reads too slowly what others must not wait for.
    #[error("the client did not read the answer fast enough, and others use the same server")]
    Lagging,
}

/// What stands before a server's last words.
const LAST_WORDS: &str = "; its last words: ";
/// What stands in their place where other clients' data may be in them.
const NOT_TO_CLIENTS: &str = "; other clients use it too, so its last words are only in the gateway's log";

impl UpstreamError {
    /// A server ended with these lines on standard error.
    pub(crate) fn with_words(lines: &[&str]) -> UpstreamError {
        UpstreamError::Ended(if lines.is_empty() {
            String::new()
        } else {
            format!("{LAST_WORDS}{}", lines.join(" | "))
        })
    }

    /// The same with all that is known of it, for whoever runs the gateway.
    pub(crate) fn in_full(&self) -> UpstreamError {
        match self {
            UpstreamError::SharedEnded(words) => UpstreamError::Ended(words.clone()),
            other => other.clone(),
        }
    }

    /// The same of a server that several clients use.
    pub(crate) fn of_shared(self) -> UpstreamError {
        match self {
            UpstreamError::Ended(words) => UpstreamError::SharedEnded(words),
            other => other,
        }
    }

    /// The same without what the server said on standard error or in its certificate, and without where its program was
    /// looked for.
    pub(crate) fn without_words(&self) -> UpstreamError {
        match self {
            UpstreamError::Ended(words) if !words.is_empty() => {
                UpstreamError::Ended("; its last words are not passed on, as a guard objects to them".to_owned())
            }
            UpstreamError::NotStarted(_) => {
                UpstreamError::NotStarted("its program cannot be started, for the reason in the log".to_owned())
            }
            UpstreamError::Certificate(_) => UpstreamError::Certificate("the reason is in the log".to_owned()),
            other => other.clone(),
        }
    }

    /// The same without what the server said on standard error, of which only the length is told.
    pub(crate) fn unquoted(&self) -> UpstreamError {
        match self {
            UpstreamError::Ended(said) => UpstreamError::Ended(match said.strip_prefix(LAST_WORDS) {
                Some(words) => format!("; its last words, {} bytes, are not quoted", words.len()),
                None => said.clone(),
            }),
            other => other.clone(),
        }
    }

    /// The rule id under which the failure is recorded.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        match self {
            UpstreamError::Unreachable(_) | UpstreamError::NotStarted(_) => "upstream.unreachable",
            UpstreamError::Certificate(_) => "upstream.certificate",
            UpstreamError::Resting(_) => "upstream.resting",
            UpstreamError::Busy => "upstream.busy",
            UpstreamError::TimedOut(_) => "upstream.timeout",
            UpstreamError::Ended(_) | UpstreamError::SharedEnded(_) => "upstream.ended",
            UpstreamError::BrokenOff(_) => "upstream.broken_off",
            UpstreamError::Malformed(_) => "upstream.malformed",
            UpstreamError::Status(_) => "upstream.status",
            UpstreamError::ContentType(_) => "upstream.content_type",
            UpstreamError::Encoded => "upstream.content_encoding",
            UpstreamError::BadSession => "upstream.session_id",
            UpstreamError::TooLarge => "upstream.too_large",
            UpstreamError::Crowded => "upstream.crowded",
            UpstreamError::SessionGone => "upstream.session_gone",
            UpstreamError::Over => "gateway.session_over",
            UpstreamError::OtherEra(_) => "upstream.other_era",
            UpstreamError::NoStream => "upstream.no_stream",
            UpstreamError::Stuffed => "upstream.stuffed",
            UpstreamError::Lagging => "gateway.slow_client",
        }
    }
}

impl Upstream {
    /// Sends a message and returns what comes back because of it.
    ///
    /// # Errors
    /// If the server cannot be reached or fails.
    pub async fn send(&self, message: Admitted, relay: &Relay) -> Result<Replies, UpstreamError> {
        match self {
            Upstream::Stdio(child) => child.send(&message).await,
            Upstream::Http(endpoint) => endpoint.send(message, relay).await,
            Upstream::Shared(child) => child.send(&message).await,
        }
    }

    /// What the server sends without being asked.
    ///
    /// # Errors
    /// If the server offers no such stream, or it is taken already.
    pub async fn listen(&self, relay: &Relay) -> Result<Replies, UpstreamError> {
        match self {
            Upstream::Stdio(child) => child.listen().ok_or(UpstreamError::NoStream),
            Upstream::Http(endpoint) => endpoint.listen(relay).await,
            Upstream::Shared(child) => child.listen().ok_or(UpstreamError::NoStream),
        }
    }

    /// Sends a message that names requests as the server knows them, not as the client does.
    ///
    /// # Errors
    /// If the server cannot be reached or fails.
    pub(crate) async fn tell(&self, message: Admitted) -> Result<Replies, UpstreamError> {
        match self {
            Upstream::Shared(child) => child.tell(&message).await,
            Upstream::Stdio(child) => child.tell(&message).await,
            Upstream::Http(server) => match server.old() {
                Some(old) => old.tell(&message).await,
                None => server.send(message, &Relay::default()).await,
            },
        }
    }

    /// Forgets a request that nobody waits for; what a child process that still works on it calls it.
    pub(crate) fn forget(&self, replies: &Replies) -> Option<Id> {
        match (self, replies) {
            (Upstream::Stdio(child), replies) => child.forget(replies),
            (Upstream::Shared(_), Replies::Shared(inbox)) => inbox.forget(),
            (Upstream::Http(server), replies) => server.old()?.forget(replies),
            _ => None,
        }
    }

    /// Gives back the stream of what no request asked for, for the next listener.
    pub(crate) fn return_stream(&self, replies: Replies) {
        match self {
            Upstream::Stdio(child) => child.return_stream(replies),
            Upstream::Shared(child) => child.return_stream(replies),
            Upstream::Http(server) => {
                if let Some(old) = server.old() {
                    old.return_stream(replies);
                }
            }
        }
    }

    /// Whether a client that lost a stream comes back to the gateway for the rest, as the server keeps nothing.
    pub(crate) fn keeps_no_streams(&self) -> bool {
        match self {
            Upstream::Stdio(_) | Upstream::Shared(_) => true,
            Upstream::Http(server) => server.old().is_some(),
        }
    }

    /// Hands what the server says to nobody to `stray`: answers that no request waits for, what cannot be read, and
    /// what nobody listens to. Set before the server is spoken to.
    pub(crate) fn on_stray(&self, stray: impl Fn(Reply) + Send + Sync + 'static) {
        match self {
            Upstream::Stdio(child) => child.on_stray(Box::new(stray)),
            Upstream::Http(server) => server.on_stray(Box::new(stray)),
            // Its clients know nothing of each other: the one child has a listener of its own for that.
            Upstream::Shared(_) => {}
        }
    }

    /// Waits a moment for what a process that says no more has to say about it on standard error.
    pub(crate) async fn last_words(&self) {
        if let Upstream::Stdio(child) = self {
            child.last_words_said().await;
        }
    }

    /// The error for a request that was left unanswered.
    pub(crate) fn ended_error(&self) -> UpstreamError {
        let broken = match self {
            Upstream::Stdio(child) => return child.ended_error(),
            Upstream::Http(server) => server.old().and_then(|old| old.ended_error()),
            Upstream::Shared(_) => None,
        };
        broken.unwrap_or_else(|| UpstreamError::BrokenOff("it ended without a response".to_owned()))
    }

    /// Whether its one stream is over, so that it says no more.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        match self {
            Upstream::Stdio(child) => child.has_ended(),
            Upstream::Http(server) => server.old().is_some_and(|old| old.has_ended()),
            // A shared child begins anew without its clients' help.
            Upstream::Shared(_) => false,
        }
    }

    /// Whether the server keeps a session that it may forget.
    #[must_use]
    pub fn has_session(&self) -> bool {
        match self {
            Upstream::Stdio(_) | Upstream::Shared(_) => false,
            Upstream::Http(endpoint) => endpoint.has_session(),
        }
    }

    /// Ends the session with the server.
    pub async fn end(&self) {
        match self {
            Upstream::Stdio(child) => drop(child.end().await),
            Upstream::Http(endpoint) => endpoint.end().await,
            Upstream::Shared(child) => child.end(),
        }
    }
}
