//! What one client is subscribed to, within a bound of number and bytes: what it chooses stays as long as it does.

use std::collections::BTreeMap;

/// By URI, each with what is kept for it.
#[derive(Debug)]
pub(crate) struct Subscribed<V> {
    held: BTreeMap<Box<str>, Kept<V>>,
    bytes: usize,
    most: usize,
}

#[derive(Debug)]
struct Kept<V> {
    value: V,
    bytes: usize,
}

/// Of one client, URIs included.
const BYTES: usize = 1024 * 1024;

impl<V> Subscribed<V> {
    /// Of at most so many resources.
    pub(crate) fn new(most: usize) -> Self {
        Subscribed { held: BTreeMap::new(), bytes: 0, most }
    }

    /// Keeps `value`, which takes so many bytes, in the place of what was kept before; nothing if there is no room.
    pub(crate) fn insert(&mut self, uri: &str, value: V, bytes: usize) {
        self.remove(uri);
        let bytes = uri.len().saturating_add(bytes);
        if self.held.len() < self.most && self.bytes.saturating_add(bytes) <= BYTES {
            self.bytes += bytes;
            self.held.insert(uri.into(), Kept { value, bytes });
        }
    }

    pub(crate) fn remove(&mut self, uri: &str) {
        if let Some(kept) = self.held.remove(uri) {
            self.bytes -= kept.bytes;
        }
    }

    pub(crate) fn contains(&self, uri: &str) -> bool {
        self.held.contains_key(uri)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.held.iter().map(|(uri, kept)| (&**uri, &kept.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_and_bytes_are_bounded_and_what_is_taken_back_makes_room() {
        let mut few = Subscribed::new(2);
        ["a", "b", "c"].into_iter().for_each(|uri| few.insert(uri, (), 0));
        assert_eq!(few.iter().map(|(uri, ())| uri).collect::<Vec<_>>(), ["a", "b"]);
        few.remove("a");
        few.insert("c", (), 0);
        assert!(few.contains("c") && !few.contains("a"));

        let mut large = Subscribed::new(100);
        large.insert("a", 1, BYTES / 2);
        large.insert("b", 1, BYTES / 2);
        assert!(large.contains("a") && !large.contains("b"), "with its URI it is too much");
        large.insert("a", 2, 10);
        large.insert("b", 3, BYTES / 2);
        large.insert("c", 4, BYTES);
        assert_eq!(large.iter().map(|(uri, value)| (uri, *value)).collect::<Vec<_>>(), [("a", 2), ("b", 3)]);
        large.remove("never");
        ["a", "b"].into_iter().for_each(|uri| large.remove(uri));
        assert_eq!(large.bytes, 0);
    }
}
