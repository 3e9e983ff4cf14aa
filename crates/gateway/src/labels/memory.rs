//! What conversations remember of what they were brought.
//!
//! **Threat.** Somebody has so much brought into a conversation, or into many, that what matters is forgotten: then a stranger's
//! address would count as the user's. So nothing is forgotten to make room; what does not fit makes all that is unseen doubtful
//! ([`Memory::forgets`]), in that conversation and in no other. Sessions of one client share what they remember, as they do labels.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bartizan_audit::Id;
use bartizan_guard::flow::{Bounds, Key, Memory, Traces};
use bartizan_guard::{Event, Evidence, Follow, News, Session};

use super::{Conversation, lock};
use crate::random;

/// Bytes that all memories of those who are named take together at most, and of those who are not.
const MOST: usize = 512 << 20;

/// Bytes that memories take.
#[derive(Debug, Clone, Default)]
pub(super) struct Total(Arc<AtomicUsize>);

impl Total {
    /// Whether it is time to look which of them nobody needs.
    pub(super) fn is_crowded(&self) -> bool {
        self.0.load(Ordering::Relaxed) > MOST / 2
    }
}

/// By what a result is known to the memory that it was brought to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Number {
    number: u32,
    times: u32,
}

/// The memory of one client, made when it is needed.
#[derive(Debug, Default)]
pub(super) struct Held {
    memory: Option<Memory>,
    /// How often it was forgotten: numbers from before are of nothing any more.
    times: u32,
    /// What of the total it takes.
    counted: usize,
    total: Total,
}

impl Held {
    pub(super) fn new(total: &Total) -> Held {
        Held { memory: None, times: 0, counted: 0, total: total.clone() }
    }

    /// Forgets all, as it does not count any more.
    pub(super) fn lapse(&mut self) {
        self.memory = None;
        self.times = self.times.wrapping_add(1);
        self.count(0);
    }

    /// Forgets all while it is used. The key stays: what is being read now is hashed with it already.
    pub(super) fn forget(&mut self) {
        let key = self.memory.as_ref().map(|memory| memory.key().clone());
        self.memory = key.map(|key| Memory::new(key, Bounds::default()));
        self.times = self.times.wrapping_add(1);
        self.count(self.memory.as_ref().map_or(0, Memory::bytes));
    }

    /// How many results and values it remembers, and whether there were more.
    pub(super) fn counts(&self) -> (u64, u64, bool) {
        let count = |of: fn(&Memory) -> usize| self.memory.as_ref().map_or(0, of) as u64;
        (count(Memory::len), count(Memory::values), self.memory.as_ref().is_some_and(Memory::forgets))
    }

    fn count(&mut self, bytes: usize) {
        // What is taken off was added before.
        self.total.0.fetch_add(bytes, Ordering::Relaxed);
        self.total.0.fetch_sub(self.counted, Ordering::Relaxed);
        self.counted = bytes;
    }

    /// The memory; none without random numbers, by which nobody else can tell what has one hash.
    fn get(&mut self) -> Option<&mut Memory> {
        if self.memory.is_none() {
            self.memory = random::seed().ok().map(|seed| Memory::new(Key::new(seed), Bounds::default()));
        }
        self.memory.as_mut()
    }

    fn key(&mut self) -> Option<Key> {
        self.get().map(|memory| memory.key().clone())
    }

    fn add(&mut self, news: &News) -> Option<Number> {
        let full = self.total.0.load(Ordering::Relaxed) > MOST;
        let memory = self.get()?;
        let number = if full {
            memory.give_up();
            None
        } else {
            news.join(memory)
        };
        let bytes = memory.bytes();
        self.count(bytes);
        number.map(|number| Number { number, times: self.times })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.count(0);
    }
}

impl Conversation {
    /// Where the values of a call were before, if it is one that is held against that.
    pub(crate) fn traces(&self, follow: &Follow, event: &Event<'_>, session: &Session) -> Option<Evidence> {
        let arguments = follow.traced(event, session)?;
        let mut held = lock(&self.client.memory);
        let nothing_known = || Traces { cut: true, ..Traces::default() };
        let tool = event.tool().unwrap_or_default();
        let called = (&*event.server.name, &*tool);
        let traces = held.get().map_or_else(nothing_known, |memory| follow.traces(called, arguments, memory));
        Some(Evidence::Traces(Arc::new(traces)))
    }

    /// What a message brings, if it passes.
    pub(crate) fn news(&self, follow: &Follow, event: &Event<'_>, session: &Session) -> Option<News> {
        let key = lock(&self.client.memory).key()?;
        follow.news(&key, event, session)
    }

    /// Remembers it, under a number. Whatever is judged after this has returned is held against it.
    pub(crate) fn remembers(&self, news: &News) -> Option<Number> {
        lock(&self.client.memory).add(news)
    }

    /// Says in which entry of the log it is what was brought under that number.
    pub(crate) fn news_are_recorded(&self, number: Number, entry: Id) {
        let mut held = lock(&self.client.memory);
        let times = held.times;
        if let Some(memory) = held.memory.as_mut().filter(|_| times == number.times) {
            memory.is_recorded(number.number, entry.to_string().into());
        }
    }

    /// What a call names.
    pub(crate) fn names(&self, follow: &Follow, event: &Event<'_>) -> Option<Traces> {
        lock(&self.client.memory).get().and_then(|memory| follow.names(event, memory))
    }

    /// Notes what an admitted call names.
    pub(crate) fn hears(&self, names: &Traces) {
        lock(&self.client.memory).get().into_iter().for_each(|memory| memory.is_named_by_client(names));
    }

    /// Somebody has agreed to a call with this evidence: where it goes counts as theirs from now on.
    pub(crate) fn agrees(&self, follow: &Follow, evidence: &[Evidence]) {
        let Some(key) = lock(&self.client.memory).key() else { return };
        follow.agreed(&key, evidence).and_then(|news| self.remembers(&news));
    }
}
