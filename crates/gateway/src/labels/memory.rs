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

/// Bytes that memories take, and how many they may.
#[derive(Debug, Clone)]
pub(super) struct Total {
    taken: Arc<AtomicUsize>,
    most: usize,
}

impl Default for Total {
    fn default() -> Self {
        Total::of(MOST)
    }
}

impl Total {
    /// None yet of so many.
    pub(super) fn of(most: usize) -> Total {
        Total { taken: Arc::default(), most }
    }

    /// Whether it is time to look which of them nobody needs.
    pub(super) fn is_crowded(&self) -> bool {
        self.taken.load(Ordering::Relaxed) > self.most / 2
    }

    fn is_full(&self) -> bool {
        self.taken.load(Ordering::Relaxed) > self.most
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
        self.total.taken.fetch_add(bytes, Ordering::Relaxed);
        self.total.taken.fetch_sub(self.counted, Ordering::Relaxed);
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
        let full = self.total.is_full();
        let memory = self.get()?;
        let number = if full && news.is_new() {
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
        let has = |hash| lock(&self.client.memory).get().is_some_and(|memory| memory.has(hash));
        follow.news(&key, has, event, session)
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

#[cfg(test)]
mod tests {
    use bartizan_guard::flow::{Origin, Role, Traced};
    use bartizan_guard::{Pipeline, Settings};

    use super::*;

    /// What somebody brings by agreeing to a call to so many places.
    fn news(held: &mut Held, count: usize) -> News {
        let place = |at: usize| Traced {
            path: "to".into(),
            role: Role::Destination,
            span: 0..0,
            value: format!("a{at}@corp.example").into(),
            is_url: false,
            is_id: false,
            origin: Origin::Unseen,
            private: None,
            is_answer: false,
            is_attached: false,
        };
        let traces = Traces { values: (0..count).map(place).collect(), ..Traces::default() };
        let pipeline = Pipeline::new(Settings::default()).unwrap();
        let evidence = [Evidence::Traces(Arc::new(traces))];
        pipeline.follow().unwrap().agreed(&held.key().unwrap(), &evidence).unwrap()
    }

    #[test]
    fn all_memories_together_have_a_bound_and_what_is_beyond_makes_nobody_else_forget() {
        let total = Total::of(20_000);
        let (mut first, mut second) = (Held::new(&total), Held::new(&total));
        let small = news(&mut first, 3);
        assert!(first.add(&small).is_some() && !total.is_crowded());
        let large = news(&mut first, 1_000);
        assert!(first.add(&large).is_some() && total.is_crowded() && total.is_full(), "what is there already is kept");
        // Whoever comes then remembers nothing, and knows that.
        let more = news(&mut second, 3);
        assert!(second.add(&more).is_none());
        assert_eq!(second.counts(), (0, 0, true));
        assert!(!first.counts().2 && first.counts().1 >= 1_000, "nothing made room for it");
        // It takes nothing from others of another total.
        let mut apart = Held::new(&Total::of(20_000));
        let own = news(&mut apart, 3);
        assert!(apart.add(&own).is_some() && !apart.counts().2);
        // Once the first is gone there is room again.
        drop(first);
        let mut third = Held::new(&total);
        let own = news(&mut third, 3);
        assert!(!total.is_full() && third.add(&own).is_some() && !third.counts().2);
        second.lapse();
        assert!(second.add(&more).is_some() && !second.counts().2, "what lapses may begin anew");
    }
}
