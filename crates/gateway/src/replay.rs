//! Streams in front of a server that has none to come back to, such as a child process or one of another era: what was
//! lost on the way is sent again.
//!
//! A connection that breaks off cancels nothing in the revisions with sessions. The exchange goes on, its last events
//! are kept within a bound, and a client that comes back with the id of the last event it has seen gets the rest.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use tokio::sync::Notify;

use crate::admit::Admitted;
use crate::answer::{Answer, Deliveries, Delivery, nothing};

/// Events of one stream that are kept, or wait for the client to take them.
const EVENTS: usize = 64;
/// Their bytes; the newest event is kept whatever its size.
const BYTES: usize = 256 * 1024;
/// Streams of one session that can be resumed.
const STREAMS: usize = 16;
/// Bytes of all of them, without those that are still under way.
const SESSION_BYTES: usize = 1024 * 1024;
/// After this long without an answer the client is given a stream to wait on, which it can come back to.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the next message takes at least while nobody reads and as many have come as are kept: 64 a second.
const PACE: Duration = Duration::from_micros(15_625);
/// How long a client should wait before it comes back, in milliseconds.
const RETRY: u64 = 1_000;

/// The streams of one session.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    /// How many there have been.
    count: u64,
    /// Those that can be resumed, oldest first.
    kept: VecDeque<Arc<Kept>>,
    /// The one that belongs to no request, while it lasts.
    unasked: Option<Arc<Kept>>,
}

/// One stream.
#[derive(Debug)]
struct Kept {
    /// What the ids of its events begin with where several servers appear as one.
    prefix: String,
    /// Its number in the session, with which they go on.
    number: u64,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<(u64, Admitted)>,
    /// How many there have been.
    count: u64,
    /// The last one that a reader took.
    read: u64,
    /// Messages that came while nobody was there to read, also those that are not for the client.
    for_nobody: usize,
    /// Which reader is the present one; a client that comes back replaces the connection that it lost.
    reader: u64,
    attached: bool,
    ended: bool,
}

/// What a stream is made of.
pub(crate) struct Source<S> {
    /// What comes, and whether it is the last.
    pub(crate) coming: S,
    /// What the ids of its events begin with where several servers appear as one.
    pub(crate) prefix: String,
    /// Whether an event without a message comes first, so that there is an id to come back with.
    pub(crate) primes: bool,
}

impl Streams {
    /// The answer that something comes to: one message if that is all, else a stream that can be resumed.
    pub(crate) async fn answer<S>(&self, source: Source<S>) -> Answer
    where
        S: Stream<Item = (Delivery, bool)> + Send + 'static,
    {
        let primes = source.primes;
        let kept = self.start(source);
        let mut reader = Kept::attach(&kept, None);
        if let Ok(first) = tokio::time::timeout(PATIENCE, kept.settled()).await {
            match first {
                First::Nothing => return nothing(),
                First::Only => match reader.next().await {
                    Some(Delivery::Message(message, _)) => return Answer::Message(http::StatusCode::OK, message),
                    _ => return nothing(),
                },
                First::OfSeveral => {}
            }
        }
        self.table().hold(kept);
        reader.primes = primes;
        Answer::Stream(reader.deliveries())
    }

    /// The stream that belongs to no request: a new one of this.
    pub(crate) fn listen<S>(&self, source: Source<S>) -> Deliveries
    where
        S: Stream<Item = (Delivery, bool)> + Send + 'static,
    {
        let primes = source.primes;
        let kept = self.start(source);
        let mut reader = Kept::attach(&kept, None);
        reader.primes = primes;
        let mut table = self.table();
        table.unasked = Some(Arc::clone(&kept));
        table.hold(kept);
        reader.deliveries()
    }

    /// What a client that listens gets which has done so before: the rest of the stream that it names, or else of the
    /// one that belongs to no request.
    pub(crate) fn again(&self, last: Option<&str>) -> Option<Deliveries> {
        last.and_then(|last| self.resume(last)).or_else(|| self.listen_again())
    }

    /// The stream that belongs to no request, if it is under way: what was not read yet. A client that asks for it
    /// again has lost it, perhaps before we have.
    fn listen_again(&self) -> Option<Deliveries> {
        let kept = self.table().unasked.clone()?;
        let ended = kept.state().ended;
        (!ended).then(|| Kept::attach(&kept, None).deliveries())
    }

    /// What came on a stream after the event with this id.
    fn resume(&self, last: &str) -> Option<Deliveries> {
        let (number, event) = last.split_once('-')?;
        let (number, event): (u64, u64) = (number.parse().ok()?, event.parse().ok()?);
        let kept = self.table().kept.iter().find(|kept| kept.number == number).cloned()?;
        Some(Kept::attach(&kept, Some(event)).deliveries())
    }

    fn start<S>(&self, Source { coming, prefix, .. }: Source<S>) -> Arc<Kept>
    where
        S: Stream<Item = (Delivery, bool)> + Send + 'static,
    {
        let number = {
            let mut table = self.table();
            table.count += 1;
            table.count
        };
        let kept = Arc::new(Kept { prefix, number, state: Mutex::default(), changed: Notify::new() });
        let (filled, table) = (Arc::clone(&kept), Arc::clone(&self.table));
        tokio::spawn(async move {
            filled.fill(coming).await;
            // Now its size counts.
            table.lock().unwrap_or_else(PoisonError::into_inner).trim();
        });
        kept
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn hold(&mut self, kept: Arc<Kept>) {
        self.kept.push_back(kept);
        self.trim();
    }

    /// Lets go of the oldest that have ended, as far as they are more than a session may have; the last of them stays,
    /// whatever its size.
    fn trim(&mut self) {
        loop {
            let sizes: Vec<usize> = self.kept.iter().filter_map(|kept| kept.size_if_ended()).collect();
            let too_large = sizes.len() > 1 && sizes.iter().sum::<usize>() > SESSION_BYTES;
            if self.kept.len() <= STREAMS && !too_large {
                return;
            }
            let ended = self.kept.iter().position(|kept| kept.size_if_ended().is_some());
            // One that is let go while it is under way goes on; it only cannot be resumed.
            self.kept.remove(ended.unwrap_or_default());
        }
    }
}

/// What an exchange has come to.
enum First {
    Nothing,
    Only,
    OfSeveral,
}

impl Kept {
    /// Takes all that comes, in a task of its own, as it outlives the connection.
    async fn fill(self: Arc<Self>, coming: impl Stream<Item = (Delivery, bool)> + Send) {
        let mut coming = std::pin::pin!(coming);
        loop {
            self.room().await;
            let next = coming.next().await;
            self.state().count_for_nobody();
            match next {
                Some((Delivery::Message(message, _), last)) => self.push(message, last),
                Some((Delivery::Mark(..), _)) => {}
                None => break,
            }
        }
        self.state().ended = true;
        self.changed.notify_waiters();
    }

    /// Waits while the client is there and slow. One that is away stops nobody, as what it misses is forgotten in time; but
    /// what goes on and on for nobody is taken no faster than `PACE`, since each of it is judged and recorded.
    async fn room(&self) {
        loop {
            let changed = self.changed.notified();
            let (full, attached) = {
                let state = self.state();
                let unread = || state.events.iter().filter(|(number, _)| *number > state.read);
                let bytes: usize = unread().map(|(_, message)| message.bytes().len()).sum();
                let full = unread().count() >= EVENTS || bytes >= BYTES;
                (full || !state.attached && state.for_nobody >= EVENTS, state.attached)
            };
            match (full, attached) {
                (false, _) => return,
                (true, true) => changed.await,
                (true, false) if tokio::time::timeout(PACE, changed).await.is_err() => return,
                // Perhaps it is back.
                (true, false) => {}
            }
        }
    }

    fn push(&self, message: Admitted, last: bool) {
        let mut state = self.state();
        state.count += 1;
        let number = state.count;
        state.events.push_back((number, message));
        state.ended |= last;
        state.trim();
        drop(state);
        self.changed.notify_waiters();
    }

    /// Waits until it is known whether one message is all.
    async fn settled(&self) -> First {
        loop {
            let changed = self.changed.notified();
            {
                let state = self.state();
                match (state.count, state.ended) {
                    (0, true) => return First::Nothing,
                    (1, true) => return First::Only,
                    (0, false) => {}
                    _ => return First::OfSeveral,
                }
            }
            changed.await;
        }
    }

    /// A new reader, of what comes after an event, or of what nobody has read.
    fn attach(kept: &Arc<Self>, after: Option<u64>) -> Reader {
        let mut state = kept.state();
        state.reader += 1;
        state.attached = true;
        state.for_nobody = 0;
        if let Some(after) = after {
            state.read = after.min(state.count);
        }
        let (generation, at) = (state.reader, state.read);
        drop(state);
        // The reader that it replaces is told.
        kept.changed.notify_waiters();
        Reader { kept: Arc::clone(kept), generation, at, primes: false }
    }

    fn event_id(&self, event: u64) -> String {
        format!("{}{}-{event}", self.prefix, self.number)
    }

    fn size_if_ended(&self) -> Option<usize> {
        let state = self.state();
        state.ended.then(|| state.events.iter().map(|(_, message)| message.bytes().len()).sum())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn count_for_nobody(&mut self) {
        if !self.attached {
            self.for_nobody = self.for_nobody.saturating_add(1);
        }
    }

    /// Forgets the oldest events over the bound, but none that a client who is there has still to read.
    fn trim(&mut self) {
        let mut bytes: usize = self.events.iter().map(|(_, message)| message.bytes().len()).sum();
        while self.events.len() > 1 && (self.events.len() > EVENTS || bytes > BYTES) {
            match self.events.front() {
                Some((number, _)) if self.attached && *number > self.read => return,
                Some((_, message)) => bytes -= message.bytes().len(),
                None => return,
            }
            self.events.pop_front();
        }
    }
}

/// One connection's way through a stream.
struct Reader {
    kept: Arc<Kept>,
    generation: u64,
    at: u64,
    /// Whether an event without a message comes first, so that there is an id to come back with.
    primes: bool,
}

impl Reader {
    async fn next(&mut self) -> Option<Delivery> {
        if std::mem::take(&mut self.primes) {
            return Some(Delivery::Mark(Some(self.kept.event_id(self.at)), Some(RETRY)));
        }
        let kept = Arc::clone(&self.kept);
        loop {
            let changed = kept.changed.notified();
            if let Some(next) = self.take() {
                kept.changed.notify_waiters();
                return next;
            }
            changed.await;
        }
    }

    /// What is next: an event, the end, or not known yet.
    #[expect(clippy::option_option, reason = "an end that is certain and one that is not known yet differ")]
    fn take(&mut self) -> Option<Option<Delivery>> {
        let mut state = self.kept.state();
        if state.reader != self.generation {
            return Some(None);
        }
        if let Some((number, message)) = state.events.iter().find(|(number, _)| *number > self.at) {
            let (number, message) = (*number, message.again());
            self.at = number;
            state.read = state.read.max(number);
            let id = self.kept.event_id(number);
            return Some(Some(Delivery::Message(message, Some(id))));
        }
        state.ended.then_some(None)
    }

    fn deliveries(self) -> Deliveries {
        Box::pin(stream::unfold(self, |mut reader| async move {
            let delivery = reader.next().await?;
            Some((delivery, reader))
        }))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.kept.state();
        if state.reader == self.generation {
            state.attached = false;
            state.trim();
        }
        drop(state);
        self.kept.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::admit;

    #[tokio::test(start_paused = true)]
    async fn what_goes_on_for_nobody_is_taken_slowly_until_somebody_is_back() {
        // Also if most of it is not for the client.
        for kept_back in [0, 1, 100] {
            goes_on_for_nobody(kept_back).await;
        }
    }

    async fn goes_on_for_nobody(kept_back: usize) {
        let taken = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&taken);
        let coming = stream::repeat_with(move || {
            let count = count.fetch_add(1, Ordering::Relaxed);
            if !count.is_multiple_of(kept_back + 1) {
                return (Delivery::Mark(None, None), false);
            }
            let message = admit::counted("a.b", String::new(), 0).error(None, "");
            (Delivery::Message(message, None), false)
        });
        let streams = Streams::default();
        let Answer::Stream(mut reader) = streams.answer(Source { coming, prefix: String::new(), primes: false }).await
        else {
            panic!("it is one message");
        };
        for _ in 0..1000 {
            assert!(reader.next().await.is_some());
        }
        let before = taken.load(Ordering::Relaxed);
        let each = kept_back + 1;
        let at_once = 1000 * kept_back..=(1000 + EVENTS + 1) * each;
        assert!(at_once.contains(&before), "a reader who is there gets all of it at once: {before}");
        drop(reader);
        tokio::time::sleep(Duration::from_secs(10)).await;
        let for_nobody = taken.load(Ordering::Relaxed) - before;
        assert!((100..=640 + EVENTS).contains(&for_nobody), "{for_nobody} of which each {each}. is for it");
        let mut again = streams.again(Some("1-1")).unwrap();
        let start = tokio::time::Instant::now();
        for _ in 0..1000 {
            assert!(again.next().await.is_some());
        }
        assert!(start.elapsed() < Duration::from_secs(1), "one who is back waits for nothing");
    }
}
