//! The servers' side: one child process or one HTTP session behind one interface.

mod breaker;
mod demux;
mod error;
mod http;
pub(crate) mod lenient;
pub(crate) mod lines;
mod named;
#[cfg(feature = "tls")]
mod own_tls;
mod replies;
mod reply;
mod shared;
mod splice;
mod sse;
mod stdio;
#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
mod tls;
mod trial;

use std::fmt;
use std::sync::Arc;

use ::http::HeaderValue;
use bartizan_guard::Principal;
use bartizan_mcp::Id;
use futures_util::future::BoxFuture;

pub(crate) use breaker::Attempt;
pub use breaker::Breaker;
pub use demux::Routing;
pub(crate) use error::{Ending, UpstreamError};
pub use http::{Connections, Endpoint, HttpUpstream, connections};
pub(crate) use replies::Replies;
pub(crate) use reply::Reply;
pub(crate) use shared::{Books, SharedInbox};
pub use shared::{SharedChild, SharedUpstream};
pub use stdio::StdioUpstream;
pub(crate) use tls::{Over, SPEAKS_TLS, over};
pub(crate) use trial::{Starts, Trial, works};

use crate::admit::Admitted;
use crate::relay::Relay;

/// What says to a server on whose behalf it is asked.
pub trait Credential: fmt::Debug + Send + Sync {
    /// The header of requests on behalf of `who`. If the server refused one, another if there is any.
    fn header<'a>(
        &'a self,
        who: &'a Principal,
        refused: Option<&'a HeaderValue>,
    ) -> BoxFuture<'a, Result<HeaderValue, UpstreamError>>;

    /// Whether each has their own, so that nothing of one may be used for another.
    fn is_personal(&self) -> bool;

    /// One for a single client's way to the server, where that makes a difference.
    fn of_one_client(&self) -> Option<Arc<dyn Credential>> {
        None
    }
}

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
