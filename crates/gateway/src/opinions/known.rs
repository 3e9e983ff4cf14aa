//! What was answered before, so that a page that is read again, or a list that every session asks for, is asked about once.

use bartizan_guard::TextKind;
use bartizan_guard::lately::{Key, Lately, key_of};

/// Such answers, in thousandths.
#[derive(Debug, Default)]
pub(super) struct Answers(Lately<u16>);

impl Answers {
    /// The key of what whoever has that `identity` says of a text of that kind.
    pub(super) fn key(identity: &str, kind: TextKind, text: &str) -> Key {
        // With its length in front, so that no two ways to divide the same bytes are one key.
        let length = (identity.len() as u64).to_le_bytes();
        key_of(&[&length, identity.as_bytes(), kind.as_str().as_bytes(), b"\n", text.as_bytes()])
    }

    /// What was answered, in thousandths.
    pub(super) fn get(&self, key: &Key) -> Option<u16> {
        self.0.get(key)
    }

    /// Remembers it.
    pub(super) fn add(&self, key: Key, thousandths: u16) {
        self.0.put(key, thousandths);
    }
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
