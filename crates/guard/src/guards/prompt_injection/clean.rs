//! Texts in which nothing was found lately, so that a page that is read again and again, or a list of tools that every
//! session asks for, is looked through once.

use std::sync::Mutex;

use bartizan_detect::Kind;

/// A set of bounded size: each text has one place in it, where it takes the place of another.
pub(super) struct Clean(Mutex<Vec<[u8; 16]>>);

/// As what a text is looked at: what is clean as one thing need not be as another.
#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    /// As one text.
    Text(Kind),
    /// As the JSON of a definition, of which each text is looked at.
    Definition,
}

/// Places. With as many different texts between two of the same, it is looked at again.
const PLACES: usize = 8192;

/// A digest of 128 bits: who could find two texts of one digest would have looked at 2^64.
pub(super) type Key = [u8; 16];

impl Default for Clean {
    fn default() -> Clean {
        Clean(Mutex::new(vec![[0; 16]; PLACES]))
    }
}

impl Clean {
    /// The key of a text that is looked at as `what`.
    pub(super) fn key(text: &str, what: What) -> Key {
        let name = match what {
            What::Text(kind) => kind.as_str(),
            What::Definition => "definition",
        };
        let mut hasher = blake3::Hasher::new();
        hasher.update(name.as_bytes()).update(b"\n").update(text.as_bytes());
        let mut key = [0; 16];
        hasher.finalize_xof().fill(&mut key);
        key
    }

    /// Whether nothing was found in it when it was last looked at.
    pub(super) fn has(&self, key: &Key) -> bool {
        // Who would have to wait looks at the text instead.
        self.0.try_lock().is_ok_and(|held| held.get(place(key)) == Some(key))
    }

    /// Remembers that nothing was found in it.
    pub(super) fn add(&self, key: Key) {
        if let Ok(mut held) = self.0.try_lock()
            && let Some(slot) = held.get_mut(place(&key))
        {
            *slot = key;
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
    fn a_text_is_remembered_as_what_it_is() {
        let clean = Clean::default();
        let key = Clean::key("a text", What::Text(Kind::Document));
        assert!(!clean.has(&key));
        clean.add(key);
        assert!(clean.has(&key));
        let document = What::Text(Kind::Document);
        for (text, what) in [
            ("a text", What::Text(Kind::ToolResult)),
            ("a text", What::Definition),
            ("a texts", document),
            ("", document),
        ] {
            assert!(!clean.has(&Clean::key(text, what)));
        }
    }
}
