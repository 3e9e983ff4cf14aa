//! What sessions have in common, kept once for as long as one of them has it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Values by their keys, none of which it keeps alive.
pub(crate) struct Shared<K, T>(Mutex<Held<K, T>>);

struct Held<K, T> {
    by_key: BTreeMap<K, Weak<T>>,
    /// At this size, those that nobody has any more are looked for.
    crowded: usize,
}

impl<K, T> Default for Shared<K, T> {
    fn default() -> Self {
        Shared(Mutex::new(Held { by_key: BTreeMap::new(), crowded: 0 }))
    }
}

impl<K: Ord, T> Shared<K, T> {
    /// The value of that key, made if nobody has it.
    pub(crate) fn get(&self, key: K, make: impl FnOnce() -> T) -> Arc<T> {
        if let Some(held) = self.held(&key) {
            return held;
        }
        // Made without the lock, for it may take a while.
        let made = Arc::new(make());
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = held.by_key.get(&key).and_then(Weak::upgrade) {
            return first;
        }
        if held.by_key.len() >= held.crowded {
            held.by_key.retain(|_, value| value.strong_count() > 0);
            held.crowded = 2 * held.by_key.len() + 64;
        }
        held.by_key.insert(key, Arc::downgrade(&made));
        made
    }

    fn held(&self, key: &K) -> Option<Arc<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).by_key.get(key)?.upgrade()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_has_another_gets() {
        let shared = Shared::default();
        let get = |key: &str| shared.get(key.to_owned(), || key.to_owned());
        let (one, same, other) = (get("a"), get("a"), get("b"));
        assert!(Arc::ptr_eq(&one, &same));
        assert!(!Arc::ptr_eq(&one, &other));
    }

    #[test]
    fn what_nobody_has_any_more_is_forgotten() {
        let shared = Shared::default();
        let get = |key: &str| shared.get(key.to_owned(), || key.to_owned());
        let kept = get("kept");
        for number in 0..1_000 {
            drop(get(&number.to_string()));
        }
        assert!(shared.0.lock().unwrap().by_key.len() < 100);
        assert!(Arc::ptr_eq(&kept, &get("kept")));
    }
}
