//! What was found out about texts lately, so that none of them is looked through twice.

use std::sync::{Mutex, PoisonError};

use bartizan_mcp::TextDigest;

/// What is known of texts by their digests, of bounded size: each has one place, where it takes the place of another.
#[derive(Debug)]
pub struct Lately<T>(Mutex<Vec<Option<(Key, T)>>>);

/// A digest of 128 bits: who could find two texts of one digest would have looked at 2^64.
pub type Key = [u8; 16];

/// Places. With as many different texts between two of the same, it is looked at again.
const PLACES: usize = 8192;

/// The key of the text with that digest, which is looked at as `what`: the digest, with the first letters of that mixed in. They
/// tell all that texts are looked at as from each other, and two texts of one key are as hard to find as two of one digest.
pub(crate) fn key(digest: TextDigest, what: &str) -> Key {
    let mut key = digest;
    key.iter_mut().zip(what.bytes()).for_each(|(to, from)| *to ^= from);
    key
}

/// The key of these bytes, one part after the other.
#[must_use]
pub fn key_of(parts: &[&[u8]]) -> Key {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    let mut key = [0; 16];
    hasher.finalize_xof().fill(&mut key);
    key
}

impl<T: Copy> Default for Lately<T> {
    fn default() -> Lately<T> {
        Lately(Mutex::new(vec![None; PLACES]))
    }
}

impl<T: Copy> Lately<T> {
    /// What is known of it.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<T> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (held, known) = (*held.get(place(key))?)?;
        (held == *key).then_some(known)
    }

    /// Remembers what is known of it.
    pub fn put(&self, key: Key, known: T) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = held.get_mut(place(&key)) {
            *slot = Some((key, known));
        }
    }
}

fn place(key: &Key) -> usize {
    let [one, two, ..] = *key;
    usize::from(u16::from_le_bytes([one, two])) % PLACES
}

#[cfg(test)]
mod tests {
    use bartizan_mcp::text_digest;

    use super::*;

    #[test]
    fn a_text_is_remembered_as_what_it_is() {
        let lately = Lately::default();
        let key = |text: &str, what: &str| key(text_digest(text), what);
        let held = key("a text", "document");
        assert_eq!(lately.get(&held), None);
        lately.put(held, 7);
        assert_eq!(lately.get(&held), Some(7));
        for (text, what) in [("a text", "tool_result"), ("a texts", "document"), ("", "document")] {
            assert_eq!(lately.get(&key(text, what)), None);
        }
        // Another one in its place.
        let mut other = key("", "");
        (other[0], other[1]) = (held[0], held[1]);
        lately.put(other, 3);
        assert_eq!((lately.get(&held), lately.get(&other)), (None, Some(3)));
    }
}
