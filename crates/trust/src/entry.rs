//! Definitions as the lock file knows them.

use std::collections::{BTreeMap, BTreeSet};

use crate::labels::{Labels, Letters};

/// A definition that a server lists, with its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// What it defines, such as `tool`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// SHA-256 of `json`, in hexadecimal digits.
    pub sha256: String,
    /// A digest of all but its name, by which a renamed definition is recognised.
    pub body: Option<String>,
    /// What it is taken to do with information, if it is a tool.
    pub labels: Option<Labels>,
    /// Its canonical JSON text.
    pub json: String,
}

/// What the lock file holds of an approved definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved {
    /// SHA-256 of its canonical JSON text, in hexadecimal digits.
    pub sha256: String,
    /// A digest of all but its name, if one was taken.
    pub body: Option<String>,
    /// What it does with information, if it is a tool; what was approved before there were labels has none.
    pub labels: Option<Labels>,
    /// What it had been taken to do when an operator said that it is something else.
    pub guessed: Option<Labels>,
    /// When it was seen first, or accepted: RFC 3339, UTC.
    pub first_seen: String,
}

impl Approved {
    /// What it was taken to do with information when that was approved, whatever counts since.
    #[must_use]
    pub fn taken_for(&self) -> Option<Labels> {
        self.guessed.or(self.labels)
    }

    /// What an operator has added to that, and what they have taken away, if they have said anything.
    #[must_use]
    pub fn by_hand(&self) -> Option<(Labels, Labels)> {
        self.labels.zip(self.guessed).map(|(labels, guessed)| labels.differ_from(guessed))
    }
}

/// What is approved of one server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerPins {
    /// What the server is: its command line or URL.
    pub identity: String,
    /// The kinds of which all definitions have been seen once.
    pub complete: BTreeSet<String>,
    /// Approved definitions by kind and name.
    pub definitions: BTreeMap<(String, String), Approved>,
}

/// Names of approved definitions whose kept text is not the one that was approved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextCheck {
    /// Without a text: too long to be kept, removed, or of a lock file that came without its directory.
    pub missing: Vec<String>,
    /// With another text than was kept.
    pub changed: Vec<String>,
}

/// How many definitions of a server were taken out of the lock file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Those that were approved.
    pub approved: usize,
    /// Those that waited for a decision.
    pub waiting: usize,
}

/// A definition that waits for a decision.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Candidate {
    pub(crate) server: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    /// Missing if the definition is gone.
    #[serde(deserialize_with = "crate::format::optional_digest")]
    pub(crate) sha256: Option<String>,
    #[serde(deserialize_with = "crate::format::optional_digest")]
    pub(crate) body: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) labels: Option<Letters>,
}

impl Candidate {
    pub(crate) fn key(&self) -> Key {
        (self.server.clone(), self.kind.clone(), self.name.clone())
    }

    /// Bytes that it takes in the list of candidates at most.
    pub(crate) fn size(&self) -> usize {
        // Two digests, a letter for each label, the names of the members, white space.
        const FIXED: usize = 260;
        FIXED + self.server.len() + self.kind.len() + serde_json::to_string(&self.name).map_or(0, |name| name.len())
    }
}

/// Server, kind and name.
pub(crate) type Key = (String, String, String);
