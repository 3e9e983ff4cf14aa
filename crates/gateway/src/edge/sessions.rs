//! Which session a request belongs to.
//!
//! In the legacy era a client claims one by `Mcp-Session-Id`, a random secret bound to the principal; it is never
//! proof of who the client is. A stateless request has none: principal, client and server together stand for one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bartizan_guard::{Principal, Timestamp};

use crate::clock;

/// The sessions of one edge; `T` is what is kept for each.
pub(crate) struct Sessions<T> {
    held: Mutex<HashMap<Box<str>, Arc<Held<T>>>>,
    most: usize,
    idle_us: i64,
}

/// One session.
pub(crate) struct Held<T> {
    pub(crate) principal: Principal,
    pub(crate) value: T,
    used: AtomicI64,
}

/// There are as many sessions as there may be, and none of them is idle.
#[derive(Debug)]
pub(crate) struct Full;

impl<T> Sessions<T> {
    pub(crate) fn new(most: usize, idle: std::time::Duration) -> Self {
        let idle_us = i64::try_from(idle.as_micros()).unwrap_or(i64::MAX);
        Sessions { held: Mutex::default(), most, idle_us }
    }

    /// The session under `key`, if it is this principal's.
    pub(crate) fn find(&self, key: &str, principal: &Principal) -> Option<Arc<Held<T>>> {
        let held = self.lock().get(key).filter(|held| held.principal == *principal).cloned()?;
        held.used.store(clock::now().0, Ordering::Relaxed);
        Some(held)
    }

    /// Keeps `value` under `key`.
    pub(crate) fn insert(&self, key: &str, principal: Principal, value: T) -> Result<Arc<Held<T>>, Full> {
        let now = clock::now();
        let mut held = self.lock();
        if held.len() >= self.most {
            self.drop_idle(&mut held, now);
        }
        if held.len() >= self.most {
            return Err(Full);
        }
        let entry = Arc::new(Held { principal, value, used: AtomicI64::new(now.0) });
        held.insert(key.into(), Arc::clone(&entry));
        Ok(entry)
    }

    pub(crate) fn remove(&self, key: &str) -> Option<Arc<Held<T>>> {
        self.lock().remove(key)
    }

    /// Forgets sessions that nobody used for a while, and returns them.
    pub(crate) fn expire(&self) -> Vec<Arc<Held<T>>> {
        self.drop_idle(&mut self.lock(), clock::now())
    }

    pub(crate) fn drain(&self) -> Vec<Arc<Held<T>>> {
        self.lock().drain().map(|(_, held)| held).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn drop_idle(&self, held: &mut HashMap<Box<str>, Arc<Held<T>>>, now: Timestamp) -> Vec<Arc<Held<T>>> {
        let idle = |entry: &Arc<Held<T>>| {
            // One that a stream is open on is in use, however long ago the last request was.
            now.0 - entry.used.load(Ordering::Relaxed) > self.idle_us && Arc::strong_count(entry) == 1
        };
        let keys: Vec<_> = held.iter().filter(|(_, entry)| idle(entry)).map(|(key, _)| key.clone()).collect();
        keys.iter().filter_map(|key| held.remove(key)).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Box<str>, Arc<Held<T>>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// 128 random bits as hexadecimal digits.
pub(crate) fn random_key() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A name for a session in records, where nothing secret depends on it.
pub(crate) fn random_name() -> String {
    random_key().map(|key| key.chars().take(16).collect()).unwrap_or_default()
}
