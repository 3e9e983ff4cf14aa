//! What a legacy server sends in one call, as one stream from before the request is sent.

use std::sync::Arc;

use bartizan_mcp::Message;
use futures_util::StreamExt;

use super::ready::Ready;
use crate::answer::Delivery;
use crate::converse::deliveries;
use crate::exchange;

/// What the server sends in this call.
pub(super) enum Came {
    /// A message, or where its stream can be resumed.
    Delivery(Delivery),
    /// Nothing: the server does not know the session any more.
    Gone,
}

pub(super) type Coming = std::pin::Pin<Box<dyn futures_util::Stream<Item = Came> + Send>>;

/// Sends the request and yields all that the server sends because of it.
pub(super) fn begin(ready: Arc<Ready>, outward: Message) -> Coming {
    let begun = async move {
        match exchange::begin(&ready.link, outward, &ready.relay()).await {
            Ok(exchange) => deliveries(exchange).map(Came::Delivery).boxed(),
            Err(failure) if failure.session_gone => futures_util::stream::iter([Came::Gone]).boxed(),
            Err(failure) => {
                let answer = failure.answer.map(|answer| Came::Delivery(Delivery::Message(answer, None)));
                futures_util::stream::iter(answer).boxed()
            }
        }
    };
    futures_util::stream::once(begun).flatten().boxed()
}
