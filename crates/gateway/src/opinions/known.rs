//! What was answered before, so that a page that is read again, or a list that every session asks for, is asked about once.

use std::sync::{Mutex, PoisonError};

use bartizan_guard::TextKind;

/// A table of bounded size: each answer has one place in it, where it takes the place of another.
#[derive(Debug)]
pub(super) struct Answers(Mutex<Vec<Option<(Key, u16)>>>);

/// A digest of who was asked, about what.
pub(super) type Key = [u8; 16];

/// Places.
const PLACES: usize = 4096;

impl Default for Answers {
    fn default() -> Answers {
        Answers(Mutex::new(vec![None; PLACES]))
    }
}

impl Answers {
    /// The key of what whoever has that `identity` says of a text of that kind.
    pub(super) fn key(identity: &str, kind: TextKind, text: &str) -> Key {
        let mut hasher = blake3::Hasher::new();
        // With its length in front, so that no two ways to divide the same bytes are one key.
        hasher.update(&(identity.len() as u64).to_le_bytes()).update(identity.as_bytes());
        hasher.update(kind.as_str().as_bytes()).update(b"\n").update(text.as_bytes());
        let mut key = [0; 16];
        hasher.finalize_xof().fill(&mut key);
        key
    }

    /// What was answered, in thousandths.
    pub(super) fn get(&self, key: &Key) -> Option<u16> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, thousandths) = (*held.get(place(key))?)?;
        (known == *key).then_some(thousandths)
    }

    /// Remembers it.
    pub(super) fn add(&self, key: Key, thousandths: u16) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = held.get_mut(place(&key)) {
            *slot = Some((key, thousandths));
        }
    }
}

fn place(key: &Key) -> usize {
    let [one, two, ..] = *key;
    usize::from(u16::from_le_bytes([one, two])) % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_of_one_model_about_one_text_as_what_it_is() {
        let answers = Answers::default();
        let key = |identity, kind, text| Answers::key(identity, kind, text);
        answers.add(key("a", TextKind::Document, "text"), 700);
        assert_eq!(answers.get(&key("a", TextKind::Document, "text")), Some(700));
        for other in [
            key("b", TextKind::Document, "text"),
            key("a", TextKind::ToolResult, "text"),
            key("a", TextKind::Document, "texts"),
        ] {
            assert_eq!(answers.get(&other), None);
        }
    }
}
