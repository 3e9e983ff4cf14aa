//! What a client session leads to: one server, or all of them.

use std::sync::Arc;

use bartizan_guard::Direction;
use bartizan_mcp::Message;
use http::{HeaderMap, StatusCode};

use crate::admit::Refusal;
use crate::aggregate::Hub;
use crate::answer::{Answer, Deliveries, NoStream};
use crate::beside;
use crate::bridge::Bridge;
use crate::converse::{converse, listen};
use crate::event_id::LAST_EVENT;
use crate::exchange;
use crate::labels::Conversation;
use crate::link::{Link, with_completed};
use crate::params;
use crate::problem::Problem;
use crate::relay;

/// The far end of a client session.
#[derive(Clone)]
pub(crate) enum Peer {
    /// One server.
    One(Arc<Link>),
    /// All servers as one.
    All(Arc<Hub>),
    /// One server of the other era, translated for.
    Bridged(Bridge),
}

impl Peer {
    /// Passes a client's message on and says what comes back.
    pub(crate) async fn answer(&self, message: Message, headers: &HeaderMap) -> Answer {
        match self {
            Peer::One(link) => {
                let mut relay = relay::of(headers, &message);
                if let Err(refusal) = params::settle(link, &mut relay, headers, &message).await {
                    let answer = refusal.answer(message.id(), None);
                    return Answer::Message(StatusCode::BAD_REQUEST, answer);
                }
                converse(exchange::begin(link, message, &relay).await).await
            }
            // Apart, so that the way to one server does not make room for what these keep.
            Peer::All(hub) => Box::pin(hub.answer(message, headers)).await,
            Peer::Bridged(bridge) => Box::pin(bridge.answer(message, Some(headers))).await,
        }
    }

    /// What the far end sends without being asked.
    ///
    /// # Errors
    /// If it offers no such stream, or somebody has it already, or what the client says must not go there.
    pub(crate) async fn listen(&self, headers: &HeaderMap) -> Result<Deliveries, NoStream> {
        match self {
            Peer::One(link) => {
                let relay = relay::of_stream(headers);
                if let Some(event) = relay.last_event_id.as_ref().and_then(|event| event.to_str().ok()) {
                    beside::judge_lost(link, event).await?;
                }
                Ok(with_completed(link, listen(link, &relay, None).await?))
            }
            Peer::All(hub) => hub.listen(headers).await,
            // What it names there is a stream that the bridge keeps.
            Peer::Bridged(bridge) => Ok(bridge.listen(headers.get(LAST_EVENT)).await?),
        }
    }

    /// Judges and records a client's message that goes no further.
    ///
    /// # Errors
    /// If the guards have something against it, or it cannot be recorded.
    pub(crate) async fn take(&self, message: &Message) -> Result<(), Refusal> {
        match self {
            Peer::One(link) => link.pass(message.clone(), Direction::ToServer, None).await.map(drop),
            Peer::All(hub) => hub.front().take(message).await,
            Peer::Bridged(bridge) => bridge.front().take(message).await,
        }
    }

    /// Records and refuses a client's message that leads nowhere.
    pub(crate) async fn refuse(&self, message: &Message, problem: Problem) -> Refusal {
        match self {
            Peer::One(link) => {
                let Problem { rule, why, code } = problem;
                link.protest(message, Direction::ToServer, None, (rule, why), code)
            }
            Peer::All(hub) => hub.front().refuse(message, problem).await,
            Peer::Bridged(bridge) => bridge.front().refuse(message, problem).await,
        }
    }

    /// Ends the sessions with the servers.
    pub(crate) async fn end(&self) {
        match self {
            Peer::One(link) => link.upstream.end().await,
            Peer::All(hub) => hub.end().await,
            Peer::Bridged(bridge) => bridge.end().await,
        }
    }

    /// Whether the server has ended and is not begun anew from here.
    #[must_use]
    pub(crate) fn has_ended(&self) -> bool {
        match self {
            Peer::One(link) => link.upstream.has_ended(),
            // Each server is begun anew when it is needed.
            Peer::All(_) => false,
            Peer::Bridged(bridge) => bridge.is_over(),
        }
    }

    /// What its sessions with all servers have in common.
    pub(crate) fn conversation(&self) -> &Conversation {
        match self {
            Peer::One(link) => link.conversation(),
            Peer::All(hub) => hub.front().conversation(),
            Peer::Bridged(bridge) => bridge.front().conversation(),
        }
    }

    /// The servers behind it.
    #[must_use]
    pub(crate) fn links(&self) -> Vec<Arc<Link>> {
        match self {
            Peer::One(link) => vec![Arc::clone(link)],
            Peer::All(hub) => hub.links(),
            Peer::Bridged(bridge) => bridge.links(),
        }
    }
}
