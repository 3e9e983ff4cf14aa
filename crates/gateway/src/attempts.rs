//! How often something went wrong, by whom it is counted for, and how long they have to wait because of it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use bartizan_guard::Timestamp;

pub(crate) const SECOND: i64 = 1_000_000;
/// Whoever is not wrong for so long is as good as new.
const FORGOTTEN: i64 = 15 * 60 * SECOND;
/// So many are remembered; beyond that those that were wrong least often are forgotten.
pub(crate) const MANY: usize = 10_000;

/// Attempts that were wrong. After `free` of them there is a wait of a second, which each further one doubles up to `longest`,
/// in microseconds.
#[derive(Debug)]
pub(crate) struct Attempts<K> {
    free: u32,
    longest: i64,
    held: Mutex<HashMap<K, Held>>,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    count: u32,
    last: i64,
}

impl<K: Eq + Hash + Clone> Attempts<K> {
    pub(crate) fn new(free: u32, longest: i64) -> Self {
        Attempts { free, longest, held: Mutex::default() }
    }

    /// Counts one, however soon it comes; how many seconds there are to wait after it, if there are any.
    pub(crate) fn failed(&self, key: K, now: Timestamp) -> Option<u64> {
        self.with(key, now, |entry| {
            *entry = Held { count: entry.count.saturating_add(1), last: now.0 };
            self.wait_after(entry.count.saturating_sub(1)).map(seconds)
        })
    }

    /// Counts one before it is looked at, unless it comes too soon: then it counts for nothing, and there are so many seconds
    /// left to wait.
    pub(crate) fn attempt(&self, key: K, now: Timestamp) -> Result<(), u64> {
        self.with(key, now, |entry| {
            let wait = self.wait_after(entry.count).unwrap_or_default();
            let left = entry.last.saturating_add(wait).saturating_sub(now.0);
            if left > 0 {
                return Err(seconds(left));
            }
            *entry = Held { count: entry.count.saturating_add(1), last: now.0 };
            Ok(())
        })
    }

    /// The last one was right.
    pub(crate) fn take_back(&self, key: &K) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = held.get_mut(key) {
            entry.count = entry.count.saturating_sub(1);
        }
    }

    /// All of them count no more.
    pub(crate) fn forget(&self, key: &K) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// The wait once so many were wrong before.
    fn wait_after(&self, count: u32) -> Option<i64> {
        let beyond = count.checked_sub(self.free)?;
        Some(SECOND.checked_shl(beyond.min(20)).unwrap_or(self.longest).min(self.longest))
    }

    fn with<T>(&self, key: K, now: Timestamp, work: impl FnOnce(&mut Held) -> T) -> T {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= MANY && !held.contains_key(&key) {
            make_room(&mut held, now);
        }
        let entry = held.entry(key).or_insert(Held { count: 0, last: now.0 });
        if is_forgotten(entry, now) {
            entry.count = 0;
        }
        work(entry)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.held.lock().unwrap().len()
    }
}

/// A clock that was set back must not make anybody wait for ever.
fn is_forgotten(entry: &Held, now: Timestamp) -> bool {
    now.0.abs_diff(entry.last) > FORGOTTEN.unsigned_abs()
}

fn seconds(micros: i64) -> u64 {
    (micros.saturating_add(SECOND - 1) / SECOND).unsigned_abs()
}

/// Makes room: those that were wrong long ago, else the half that were so least often, and of those the first, so that it has
/// to be done seldom. Whoever makes up names to have others forgotten has to be wrong as often for each of them.
fn make_room<K: Eq + Hash + Clone>(held: &mut HashMap<K, Held>, now: Timestamp) {
    held.retain(|_, entry| !is_forgotten(entry, now));
    if held.len() < MANY {
        return;
    }
    let mut order: Vec<_> = held.iter().map(|(key, entry)| ((entry.count, entry.last), key.clone())).collect();
    let (least, ..) = order.select_nth_unstable_by_key(MANY / 2, |(worth, _)| *worth);
    for (_, key) in least.iter() {
        held.remove(key);
    }
}
