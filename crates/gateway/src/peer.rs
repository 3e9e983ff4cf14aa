//! What a client session leads to: one server, or all of them.

use std::pin::Pin;
use std::sync::Arc;

use bartizan_guard::Direction;
use bartizan_mcp::Message;
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderMap, StatusCode};

use crate::admit::{Admitted, Refusal};
use crate::aggregate::{Hub, Tag};
use crate::beside::{self, LAST_EVENT};
use crate::bridge::Bridge;
use crate::exchange::{self, Delivery, Exchange, Failure};
use crate::front::Problem;
use crate::link::Link;
use crate::params;
use crate::relay;
use crate::replay;
use crate::upstream::{Relay, UpstreamError};

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

/// Messages for a client as they come.
pub(crate) type Deliveries = Pin<Box<dyn Stream<Item = Delivery> + Send>>;

/// What becomes of one message of a client's, in terms of HTTP.
pub(crate) enum Answer {
    /// Taken note of.
    Accepted,
    /// One message under a status.
    Message(StatusCode, Admitted),
    /// Messages as they come.
    Stream(Deliveries),
    /// The session is over.
    Gone,
    /// Refused, and nobody waits for an answer; why, if it is in the log.
    Refused(Option<String>),
}

/// Why there is no stream of what nobody asked for.
pub(crate) enum NoStream {
    /// The server has none, or could not be asked.
    Upstream(UpstreamError),
    /// The client may not ask for it in this way.
    Refused(Refusal),
}

impl From<UpstreamError> for NoStream {
    fn from(error: UpstreamError) -> Self {
        NoStream::Upstream(error)
    }
}

impl From<Refusal> for NoStream {
    fn from(refusal: Refusal) -> Self {
        NoStream::Refused(refusal)
    }
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
                Ok(listen(link, &relay, None).await?)
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

/// The response in an answer, whatever comes before it; `None` if there is none.
pub(crate) async fn response(answer: Answer) -> Option<Admitted> {
    let mut stream = match answer {
        Answer::Message(_, message) => return Some(message),
        Answer::Stream(stream) => stream,
        Answer::Accepted | Answer::Gone | Answer::Refused(_) => return None,
    };
    while let Some(delivery) = stream.next().await {
        if let Delivery::Message(message, _) = delivery
            && message.message().is_response()
        {
            return Some(message);
        }
    }
    None
}

/// One exchange, in whichever form its answer takes.
pub(crate) async fn converse(begun: Result<Exchange, Failure>) -> Answer {
    let mut exchange = match begun {
        Ok(exchange) if exchange.is_accepted() => return Answer::Accepted,
        // The client is told at once that events will follow.
        Ok(exchange) if exchange.is_stream() => return Answer::Stream(deliveries(exchange)),
        Ok(exchange) => match exchange.keeper() {
            Some(link) => return link.streams.answer(replay::of(exchange)).await,
            None => exchange,
        },
        Err(Failure { session_gone: true, .. }) => return Answer::Gone,
        Err(Failure { cancelled: true, .. }) => return nothing(),
        Err(Failure { answer: Some(answer), .. }) => return Answer::Message(StatusCode::OK, answer),
        Err(Failure { answer: None, said, .. }) => return Answer::Refused(said),
    };
    match exchange.next().await {
        Some(Delivery::Message(message, None)) if exchange.is_finished() => {
            Answer::Message(exchange.status(&message), message)
        }
        Some(first) => {
            let first = stream::iter([first]);
            Answer::Stream(Box::pin(first.chain(deliveries(exchange))))
        }
        None => nothing(),
    }
}

/// A request that gets no answer any more: its response has to be a stream or a message all the same (specification
/// 2025-11-25, "Sending Messages to the Server").
pub(crate) fn nothing() -> Answer {
    Answer::Stream(Box::pin(stream::empty()))
}

/// The stream on which a server sends what no request asked for, or the rest of one that the client has lost.
pub(crate) async fn listen(link: &Arc<Link>, relay: &Relay, tag: Option<Tag>) -> Result<Deliveries, UpstreamError> {
    let lost = relay.last_event_id.as_ref().and_then(|last| last.to_str().ok());
    if let Some(rest) = link.streams.again(lost) {
        return Ok(rest);
    }
    let exchange = exchange::listen(link, relay).await?;
    let exchange = tag.into_iter().fold(exchange, Exchange::tagged);
    Ok(match exchange.keeper() {
        Some(link) => link.streams.listen(replay::of(exchange)),
        None => deliveries(exchange),
    })
}

/// All that an exchange delivers; dropping the stream drops the exchange.
pub(crate) fn deliveries(exchange: Exchange) -> Deliveries {
    Box::pin(stream::unfold(exchange, |mut exchange| async move {
        let delivery = exchange.next().await?;
        Some((delivery, exchange))
    }))
}
