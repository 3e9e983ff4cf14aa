//! What one side of a link has asked and the other has not answered, with the places that it takes.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bartizan_guard::{CallSummary, Direction};
use bartizan_mcp::Id;
use tokio::time::Instant;

use crate::limiter::Slot;
use crate::unread::Unread;
use crate::upstream::lines;

/// What is unanswered on a link, in both directions.
#[derive(Default)]
pub(crate) struct Unanswered {
    /// Requests of the client that were not answered where they were sent, such as on a stream that broke off.
    asked: Mutex<HashMap<Id, Asked>>,
    /// Requests of the client's that a resumed stream may answer, oldest first.
    resumable: Mutex<VecDeque<CallSummary>>,
    /// Requests of the server that the client has not answered, and since when.
    asking: Mutex<HashMap<Id, (CallSummary, Instant)>>,
    /// Requests of either side that were cancelled and when, oldest first; an answer to them may still come, or never.
    cancelled: Mutex<VecDeque<(Direction, Id, Instant)>>,
    /// Places of requests that a client may say it does not wait for any more; few, as each is one that waits.
    slots: Mutex<Vec<(Id, Weak<Slot>)>>,
}

/// A request that was not answered where it was sent, with its place among those that wait.
struct Asked {
    call: CallSummary,
    slot: Option<Arc<Slot>>,
}

/// Requests of either side that may be unanswered at once.
const UNANSWERED: usize = 4096;
/// How many of the last requests a resumed stream may answer.
const RESUMABLE: usize = 256;
/// How many cancelled requests may still be answered late.
const CANCELLED: usize = 64;
/// Why a request is not taken although nothing is wrong with it.
pub(crate) const TOO_MANY: &str = "too many requests are unanswered";

impl Unanswered {
    /// Keeps a request of the client's that will be answered elsewhere than where it was sent.
    ///
    /// # Errors
    /// If its id is in use already, or too many wait.
    pub(crate) fn remember_asked(&self, call: CallSummary) -> Result<(), &'static str> {
        remember(&self.asked, call.id.clone(), Asked { call, slot: None })
    }

    /// Keeps the place that such a request takes, until it is answered or nobody waits for it any more.
    pub(crate) fn keep_slot(&self, id: &Id, slot: Option<Arc<Slot>>) {
        let Some(slot) = slot else { return };
        self.note_slot(id, &slot);
        if let Some(asked) = self.asked.lock().unwrap_or_else(PoisonError::into_inner).get_mut(id) {
            asked.slot = Some(slot);
        }
    }

    /// Has a place be free once the client says that it does not wait for the request any more.
    pub(crate) fn note_slot(&self, id: &Id, slot: &Arc<Slot>) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|(_, slot)| slot.strong_count() > 0);
        slots.push((id.clone(), Arc::downgrade(slot)));
    }

    /// The request that a response of the server's answers.
    pub(crate) fn take_asked(&self, id: &Id) -> Option<CallSummary> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).remove(id).map(|asked| asked.call)
    }

    /// The request that an unreadable answer was meant for: the one whose id it seems to have, or the only one.
    pub(crate) fn claim_asked(&self, bytes: &Unread) -> Option<CallSummary> {
        if !lines::looks_like_message(bytes) {
            return None;
        }
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let named = lines::answered_id(bytes).filter(|id| asked.contains_key(id));
        let id = named.or_else(|| if asked.len() == 1 { asked.keys().next().cloned() } else { None })?;
        asked.remove(&id).map(|asked| asked.call)
    }

    /// The id of a request that was refused unread, if whoever sent it can tell by the answer which one that is.
    pub(crate) fn asking_id(&self, bytes: &Unread) -> Option<Id> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        lines::asking_id(bytes).filter(|id| !asked.contains_key(id))
    }

    /// All requests of the client's that are unanswered; they are not waited for any longer.
    pub(crate) fn take_all_asked(&self) -> Vec<CallSummary> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *asked).into_values().map(|asked| asked.call).collect()
    }

    /// Keeps a request of the server's until the client answers it.
    ///
    /// # Errors
    /// If its id is in use already, or too many wait.
    pub(crate) fn remember_asking(&self, call: CallSummary) -> Result<(), &'static str> {
        remember(&self.asking, call.id.clone(), (call, Instant::now()))
    }

    /// The request that a response of the client's answers.
    pub(crate) fn take_asking(&self, id: &Id) -> Option<CallSummary> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner).remove(id).map(|(call, _)| call)
    }

    /// Whether the server waits for the client to answer something that it has asked since then.
    pub(crate) fn is_asking(&self, since: Instant) -> bool {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner).values().any(|(_, asked)| *asked >= since)
    }

    /// Notes that a resumed stream may answer this request, now or again.
    pub(crate) fn note_resumable(&self, call: CallSummary) {
        let mut resumable = self.resumable.lock().unwrap_or_else(PoisonError::into_inner);
        resumable.retain(|held| held.id != call.id);
        resumable.push_back(call);
        if resumable.len() > RESUMABLE {
            resumable.pop_front();
        }
    }

    /// The request that a response on a resumed stream answers.
    pub(crate) fn resumable(&self, id: &Id) -> Option<CallSummary> {
        let resumable = self.resumable.lock().unwrap_or_else(PoisonError::into_inner);
        resumable.iter().find(|call| call.id == *id).cloned()
    }

    /// Notes that whoever sent a message in `direction` no longer waits for `id`: it need not be answered any more,
    /// so after a while it is no longer kept.
    pub(crate) fn note_cancelled(&self, direction: Direction, id: Id) {
        if direction == Direction::ToServer {
            let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            let of = slots.iter().filter(|(of, _)| *of == id);
            of.filter_map(|(_, slot)| slot.upgrade()).for_each(|slot| slot.free());
        }
        let mut cancelled = self.cancelled.lock().unwrap_or_else(PoisonError::into_inner);
        cancelled.push_back((direction, id, Instant::now()));
        if cancelled.len() > CANCELLED {
            match cancelled.pop_front() {
                Some((Direction::ToServer, id, _)) => drop(self.take_asked(&id)),
                Some((Direction::ToClient, id, _)) => drop(self.take_asking(&id)),
                None => {}
            }
        }
    }

    /// Whether the client said that it does not wait for the request that it sent then under this id.
    pub(crate) fn was_cancelled(&self, id: &Id, sent: Instant) -> bool {
        let cancelled = self.cancelled.lock().unwrap_or_else(PoisonError::into_inner);
        // An id may be used again once its request is over.
        cancelled.iter().any(|(direction, of, when)| *direction == Direction::ToServer && of == id && *when >= sent)
    }
}

fn remember<T>(map: &Mutex<HashMap<Id, T>>, id: Id, call: T) -> Result<(), &'static str> {
    let mut map = map.lock().unwrap_or_else(PoisonError::into_inner);
    if map.len() >= UNANSWERED {
        return Err(TOO_MANY);
    }
    if map.contains_key(&id) {
        return Err("a request with this id is not answered yet");
    }
    map.insert(id, call);
    Ok(())
}
