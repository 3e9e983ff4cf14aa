//! Telling a client that it can call again, once somebody has decided on the page that it was sent to (specification
//! 2025-11-25, "Completion Notifications for URL Mode Elicitation").
//!
//! **Threat.** Another client learns what was decided, or one that never listens has us keep its requests for ever. So each
//! link tells of what was asked on it and of nothing else, keeps so many, and looks only while somebody listens.

use std::collections::VecDeque;
use std::future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bartizan_mcp::{method, quote};
use bartizan_store::approvals::State;
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::Notify;

use super::Link;
use crate::admit::{self, Admitted, Refusal};
use crate::answer::{Deliveries, Delivery};
use crate::asking::Form;

/// Requests of one client that are kept; of older ones it is told nothing.
const MOST: usize = 64;
/// How often it is looked whether somebody has decided.
const LOOK: Duration = Duration::from_millis(500);

/// The requests for approval whose pages a client was sent to, and of which it has not heard since.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    requests: Mutex<VecDeque<String>>,
    more: Notify,
}

impl Sent {
    fn note(&self, request: &str) {
        let mut requests = self.lock();
        if requests.iter().any(|known| known == request) {
            return;
        }
        if requests.len() == MOST {
            requests.pop_front();
        }
        requests.push_back(request.to_owned());
        drop(requests);
        self.more.notify_waiters();
    }

    fn all(&self) -> Vec<String> {
        self.lock().iter().cloned().collect()
    }

    /// Forgets a request; whether it was there, which it is for one of several who listen.
    fn take(&self, request: &str) -> bool {
        let mut requests = self.lock();
        let place = requests.iter().position(|known| known == request);
        place.and_then(|place| requests.remove(place)).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    /// Notes that a client was sent to the page of a request, if this refusal does that.
    pub(crate) fn note_sent(&self, refusal: &Refusal) {
        if let Some(asking) = refusal.asking.as_ref().filter(|asking| asking.form == Form::Error) {
            self.sent.note(&asking.id);
        }
    }

    /// What the client is told next of pages that it was sent to. It may be dropped at any time: nothing is lost by that.
    pub(crate) async fn completed(&self) -> Admitted {
        let mut seen = None;
        loop {
            let more = self.sent.more.notified();
            let requests = self.sent.all();
            if requests.is_empty() {
                more.await;
                continue;
            }
            // Where the store cannot be read it is looked at again.
            for (request, state) in self.gateway.agreements.settled(&requests, &mut seen).await.unwrap_or_default() {
                if self.sent.take(&request)
                    && matches!(state, Some(State::Approved | State::Denied))
                    && let Some(told) = self.complete(&request)
                {
                    return told;
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The notification that there is nothing to wait for on a page. What cannot be recorded is not sent: the client can call
    /// again all the same.
    fn complete(&self, request: &str) -> Option<Admitted> {
        let (method, id) = (method::ELICITATION_COMPLETE, quote(request));
        let json = format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{{"elicitationId":{id}}}}}"#);
        admit::own(&self.gateway.recorder, &self.server.name, &self.name, json).ok()
    }
}

/// What a server sends, and in between what the client of `link` is told of pages that it was sent to.
pub(crate) fn with_completed(link: &Arc<Link>, deliveries: Deliveries) -> Deliveries {
    let told = stream::unfold(Arc::clone(link), |link| async move {
        let told = link.completed().await;
        Some((Delivery::Message(told, None), link))
    });
    Box::pin(between(deliveries, told))
}

/// All of `sent` as it comes, and what comes of `told` meanwhile. Waiting for that is not begun anew with each message of the
/// server, or the store would be looked into as often.
fn between<T>(sent: impl Stream<Item = T>, told: impl Stream<Item = T>) -> impl Stream<Item = T> {
    // It ends when the server's stream does.
    let ended = stream::once(future::ready(None));
    let both = stream::select(sent.map(Some).chain(ended), told.map(Some));
    both.take_while(|one| future::ready(one.is_some())).filter_map(future::ready)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_kept_and_each_is_told_once() {
        let sent = Sent::default();
        for number in 0..MOST + 3 {
            sent.note(&number.to_string());
            sent.note(&number.to_string());
        }
        assert_eq!((sent.all().len(), sent.all().first().map(String::as_str)), (MOST, Some("3")));
        assert!(!sent.take("2"), "the oldest are forgotten");
        assert!(sent.take("3") && !sent.take("3"));
        assert_eq!(sent.all().len(), MOST - 1);
    }

    #[tokio::test]
    async fn what_a_server_sends_begins_no_wait_anew_and_its_end_is_the_end() {
        let begun = std::cell::Cell::new(0);
        let waits = || {
            begun.set(begun.get() + 1);
            future::pending::<Option<(&str, ())>>()
        };
        let sent = stream::iter(["one", "two", "three"]).then(async |message| {
            tokio::task::yield_now().await;
            message
        });
        let told = stream::unfold((), |()| waits());
        assert_eq!(between(sent, told).collect::<Vec<_>>().await, ["one", "two", "three"]);
        assert_eq!(begun.get(), 1);
        let told = stream::iter(["decided"]).chain(stream::pending());
        let mut both = between(stream::iter(["one", "two"]), told).collect::<Vec<_>>().await;
        both.sort_unstable();
        assert_eq!(both, ["decided", "one", "two"]);
    }
}
