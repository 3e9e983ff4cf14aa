//! Texts in which nothing was found lately, so that a page that is read again and again, or a list of tools that every
//! session asks for, is looked through once.

use bartizan_detect::Kind;
use bartizan_mcp::TextDigest;

use crate::lately::{self, Key, Lately};

/// Such texts.
#[derive(Default)]
pub(super) struct Clean(Lately<()>);

/// As what a text is looked at: what is clean as one thing need not be as another.
#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    /// As one text.
    Text(Kind),
    /// As a definition, of which each text is looked at.
    Definition,
}

impl Clean {
    /// The key of what has that digest and is looked at as `what`.
    pub(super) fn key(digest: TextDigest, what: What) -> Key {
        match what {
            What::Text(kind) => lately::key(digest, kind.as_str()),
            What::Definition => lately::key(digest, "definition"),
        }
    }

    /// Whether nothing was found in it when it was last looked at.
    pub(super) fn has(&self, key: &Key) -> bool {
        self.0.get(key).is_some()
    }

    /// Remembers that nothing was found in it.
    pub(super) fn add(&self, key: Key) {
        self.0.put(key, ());
    }
}
