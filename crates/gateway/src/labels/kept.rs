//! Whose labels are remembered, in bounded memory.
//!
//! **Threat.** Somebody has one session after the other labelled, each of another client, until the label that matters is
//! forgotten: their own, or somebody else's. So memory is shared out by principal: whoever has the most gives way. And what
//! is forgotten of a client is from then on every other one's of the same principal that is not remembered: it may be that one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use super::lock;
use super::memory::{Held, Total};
use super::past::Past;
use super::seen::Whose;

/// If more is kept than this beyond what sessions need, it is thinned out; there is never twice as much.
pub(super) const ENOUGH: usize = 32_768;
/// What is left to everybody as long as there is room for that: who they are, and their last client.
const LEAST: usize = 2;
/// How many entries there are before it is looked for the first time which of them nobody needs.
pub(super) const FEW: usize = 1_024;

/// What is known of one client, held by its sessions.
#[derive(Debug, Default)]
pub(super) struct Client {
    pub(super) past: Mutex<Past>,
    /// What its sessions were brought, and where those values were.
    pub(super) memory: Mutex<Held>,
    /// Whose it is, once a session of it has begun.
    pub(super) whose: OnceLock<Whose>,
}

/// A client, and whose it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) holder: [u8; 32],
    pub(super) client: [u8; 32],
}

/// All clients that have sessions, and those of which something is remembered.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    holders: HashMap<[u8; 32], Holder>,
    /// How many entries there are, and how many there may be before it is looked which nobody needs.
    count: usize,
    room: usize,
    /// What was of principals that were forgotten as a whole.
    rest: Past,
    /// Bytes that all memories of these clients take.
    total: Total,
}

/// One principal; of those who are anonymous, one address.
#[derive(Debug, Default)]
struct Holder {
    clients: HashMap<[u8; 32], Arc<Client>>,
    /// What was of clients that were forgotten.
    rest: Past,
}

impl Remembered {
    pub(super) fn client(&mut self, key: Key, now: i64) -> Arc<Client> {
        let known = self.holders.get(&key.holder).and_then(|holder| holder.clients.get(&key.client));
        if let Some(client) = known {
            return Arc::clone(client);
        }
        if self.count >= self.room.max(FEW) {
            self.make_room(now);
        } else if self.total.is_crowded() {
            self.lapse(now);
        }
        let holder = self.holders.entry(key.holder).or_insert_with(|| {
            self.count += 1;
            let mut holder = Holder::default();
            // Nobody else's session is named to whoever may not be them.
            holder.rest.take_over(&self.rest, None, now);
            holder
        });
        let mut past = Past::default();
        past.take_over(&holder.rest, holder.rest.origin(), now);
        self.count += 1;
        let total = self.total.clone();
        Arc::clone(holder.clients.entry(key.client).or_insert_with(|| {
            let (past, memory) = (Mutex::new(past), Mutex::new(Held::new(&total)));
            Arc::new(Client { past, memory, whose: OnceLock::new() })
        }))
    }

    /// Clients without a session whose next one would begin with labels, by where these were found.
    pub(super) fn over(&self, now: i64) -> Vec<Arc<Client>> {
        let counts = |client: &&Arc<Client>| {
            let past = lock(&client.past);
            !is_held(client) && !past.left(now).is_empty() && past.origin().is_some()
        };
        self.holders.values().flat_map(|holder| holder.clients.values()).filter(counts).cloned().collect()
    }

    /// How many entries there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.holders.values().map(|holder| holder.clients.len() + 1).sum()
    }

    /// Forgets what does not count any more.
    fn lapse(&mut self, now: i64) {
        self.holders.retain(|_, holder| {
            holder.clients.retain(|_, client| is_held(client) || !lock(&client.past).left(now).is_empty());
            !holder.clients.is_empty() || !holder.rest.left(now).is_empty()
        });
    }

    fn make_room(&mut self, now: i64) {
        self.lapse(now);
        let shares: Vec<_> = self.holders.values().map(Holder::share).collect();
        if shares.iter().sum::<usize>() > ENOUGH {
            let mut most = shares.iter().copied().max().unwrap_or_default();
            while most > LEAST && shares.iter().map(|share| *share.min(&most)).sum::<usize>() > ENOUGH {
                most = LEAST.max(most / 2);
            }
            self.holders.values_mut().for_each(|holder| holder.keep(most, now));
            self.forget(now);
        }
        self.count = self.holders.values().map(|holder| holder.clients.len() + 1).sum();
        self.room = self.count.saturating_add(self.count.clamp(FEW, ENOUGH / 2));
    }

    /// Forgets principals who have no session, those unused for longest first, if there are too many even of them.
    fn forget(&mut self, now: i64) {
        const MOST: usize = ENOUGH / LEAST;
        let idle = self.holders.iter().filter(|(_, holder)| !holder.clients.values().any(is_held));
        let mut idle: Vec<_> = idle.map(|(key, holder)| (holder.until(), *key)).collect();
        idle.sort_unstable();
        for (_, key) in idle.iter().take(idle.len().saturating_sub(MOST)) {
            if let Some(holder) = self.holders.remove(key) {
                self.rest.take_over(&holder.rest, None, now);
                for client in holder.clients.values() {
                    self.rest.take_over(&lock(&client.past), None, now);
                }
            }
        }
    }
}

impl Holder {
    /// How much is kept of it beyond what its sessions need.
    fn share(&self) -> usize {
        self.clients.values().filter(|client| !is_held(client)).count() + 1
    }

    fn until(&self) -> i64 {
        self.clients.values().map(|client| lock(&client.past).until()).fold(self.rest.until(), i64::max)
    }

    /// Forgets clients that have no session until its share is no more than this, those unused for longest first.
    fn keep(&mut self, most: usize, now: i64) {
        let gone = self.clients.iter().filter(|(_, client)| !is_held(client));
        let mut gone: Vec<_> =
            gone.map(|(key, client)| (std::cmp::Reverse(lock(&client.past).until()), *key)).collect();
        gone.sort_unstable();
        for (_, key) in gone.iter().skip(most.saturating_sub(1)) {
            if let Some(client) = self.clients.remove(key) {
                let past = lock(&client.past);
                self.rest.take_over(&past, past.origin(), now);
            }
        }
    }
}

/// Whether a session has it. Sessions get theirs while nobody else looks at all of them.
fn is_held(client: &Arc<Client>) -> bool {
    Arc::strong_count(client) > 1
}
