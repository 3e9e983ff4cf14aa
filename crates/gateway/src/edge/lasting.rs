//! How long answers go on, and what they take meanwhile.
//!
//! **Threat.** A client that opens nothing but streams which never end would keep everybody else out, and a gateway that is
//! asked to stop. So there are places for those, and they end when it leaves; what has an end is waited for.

use std::sync::Arc;

use bartizan_mcp::{Message, method};
use futures_util::StreamExt;
use http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::respond::{self, Early};
use super::sessions::Held;
use crate::answer::{Answer, Deliveries};
use crate::peer::Peer;

/// What is under way at one edge.
pub(super) struct Lasting {
    /// Places for streams that have no end.
    places: Arc<Semaphore>,
    /// Set when streams that have no end are to end.
    leaving: watch::Sender<bool>,
    /// Held by each request that has an end, until it is answered.
    under_way: Arc<()>,
}

/// How long an answer may go on, and what it takes meanwhile.
pub(super) enum Until {
    /// Until a request is answered.
    Answered(#[expect(dead_code, reason = "it counts while it is held")] Arc<()>),
    /// Until it is over, which may be never.
    Over(#[expect(dead_code, reason = "its place is taken while it is held")] OwnedSemaphorePermit),
    /// Until the gateway leaves: it has no end of its own.
    Left(#[expect(dead_code, reason = "its place is taken while it is held")] OwnedSemaphorePermit),
}

impl Lasting {
    /// Nothing yet; so many streams without an end may be open at once.
    pub(super) fn new(streams: usize) -> Lasting {
        Lasting {
            places: Arc::new(Semaphore::new(streams)),
            leaving: watch::Sender::new(false),
            under_way: Arc::default(),
        }
    }

    /// Ends the streams that would not end by themselves, now and from now on; how many requests are still to be answered.
    pub(super) fn end_streams(&self) -> usize {
        self.leaving.send_replace(true);
        Arc::strong_count(&self.under_way) - 1
    }

    /// How long the answer to `message` may go on.
    pub(super) fn of(&self, message: &Message) -> Result<Until, Early> {
        let listens = message.method() == Some(method::SUBSCRIPTIONS_LISTEN);
        Ok(if listens { Until::Left(self.place()?) } else { Until::Answered(Arc::clone(&self.under_way)) })
    }

    /// The same for a stream that no request asked for; one that is resumed may bring the rest of an answer.
    pub(super) fn of_stream(&self, is_resumed: bool) -> Result<Until, Early> {
        let place = self.place()?;
        Ok(if is_resumed { Until::Over(place) } else { Until::Left(place) })
    }

    /// A place for a stream without an end.
    fn place(&self) -> Result<OwnedSemaphorePermit, Early> {
        let full = |_| respond::refused(StatusCode::SERVICE_UNAVAILABLE, "edge.streams", "too many open streams\n");
        Arc::clone(&self.places).try_acquire_owned().map_err(full)
    }

    /// A stream that keeps its session in use, and the place that it takes, for as long as it goes on, which is until
    /// `ended` at most.
    pub(super) fn in_use(
        &self,
        deliveries: Deliveries,
        held: Arc<Held<Peer>>,
        until: Until,
        ended: impl Future<Output = ()> + Send + 'static,
    ) -> Answer {
        let mut leaving = matches!(until, Until::Left(_)).then(|| self.leaving.subscribe());
        let left = async move {
            match &mut leaving {
                Some(leaving) => drop(leaving.wait_for(|leaving| *leaving).await.map(drop)),
                None => std::future::pending().await,
            }
        };
        let in_use = (held, until);
        let deliveries = deliveries.inspect(move |_| {
            let _in_use = &in_use;
        });
        Answer::Stream(Box::pin(deliveries.take_until(Box::pin(async move {
            tokio::select! {
                () = left => {}
                () = ended => {}
            }
        }))))
    }
}
