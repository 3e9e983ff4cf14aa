//! What a client gets for one message: nothing, one message, or several as they come.

use std::pin::Pin;

use futures_util::{Stream, StreamExt, stream};
use http::StatusCode;

use crate::admit::{Admitted, Refusal};
use crate::upstream::UpstreamError;

/// Something for the client.
#[derive(Debug)]
pub enum Delivery {
    /// A message, with the id of its event.
    Message(Admitted, Option<String>),
    /// A place to resume from, or how long to wait in milliseconds.
    Mark(Option<String>, Option<u64>),
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

/// A request that gets no answer any more: its response has to be a stream or a message all the same (specification
/// 2025-11-25, "Sending Messages to the Server").
pub(crate) fn nothing() -> Answer {
    Answer::Stream(Box::pin(stream::empty()))
}
