//! An exchange in terms of HTTP: whether its answer is one message or a stream, and whether the client can come back to it.

use std::sync::Arc;

use futures_util::{Stream, StreamExt, stream};
use http::StatusCode;

use crate::answer::{Answer, Deliveries, Delivery, nothing};
use crate::exchange::{self, Exchange, Failure, Step};
use crate::link::Link;
use crate::relay::Relay;
use crate::replay::Source;
use crate::tag::Tag;
use crate::upstream::UpstreamError;

/// One exchange, in whichever form its answer takes.
pub(crate) async fn converse(begun: Result<Exchange, Failure>) -> Answer {
    let mut exchange = match begun {
        Ok(exchange) if exchange.is_accepted() => return Answer::Accepted,
        // The client is told at once that events will follow.
        Ok(exchange) if exchange.is_stream() => return Answer::Stream(deliveries(exchange)),
        Ok(exchange) => match exchange.keeper() {
            Some(link) => return link.streams.answer(kept(exchange)).await,
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

/// The stream on which a server sends what no request asked for, or the rest of one that the client has lost.
pub(crate) async fn listen(link: &Arc<Link>, relay: &Relay, tag: Option<Tag>) -> Result<Deliveries, UpstreamError> {
    let lost = relay.last_event_id.as_ref().and_then(|last| last.to_str().ok());
    if let Some(rest) = link.streams.again(lost) {
        return Ok(rest);
    }
    let exchange = exchange::listen(link, relay).await?;
    let exchange = tag.into_iter().fold(exchange, Exchange::tagged);
    Ok(match exchange.keeper() {
        Some(link) => link.streams.listen(kept(exchange)),
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

/// What an exchange delivers.
fn kept(exchange: Exchange) -> Source<impl Stream<Item = (Delivery, bool)> + Send + 'static> {
    let (prefix, primes) = (exchange.prefix(), exchange.primes());
    let coming = stream::unfold(exchange, |mut exchange| async move {
        let delivery = match exchange.step().await? {
            Step::Delivered(delivery) => delivery,
            // It took as long to judge as another, so it counts where those do.
            Step::KeptBack => Delivery::Mark(None, None),
        };
        let last = exchange.is_finished();
        Some(((delivery, last), exchange))
    });
    Source { coming, prefix, primes }
}
