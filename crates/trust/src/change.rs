//! What differs between what was approved and what servers list now.

use crate::entry::Candidate;
use crate::{Labels, unified_diff};

/// One difference that waits for a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The server.
    pub server: String,
    /// What it defines, such as `tool`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// In what way it differs.
    pub what: What,
    /// The approved text; `None` if there is none or it was not kept.
    pub old: Option<String>,
    /// The text now; `None` if it is gone or was not kept.
    pub new: Option<String>,
    /// Digest of the text now, whether or not it was kept; `None` if it is gone.
    pub sha256: Option<String>,
    /// What a tool was approved to do with information; `None` if nothing of that was.
    pub old_labels: Option<Labels>,
    /// What an operator had added to what the tool was taken for, which stays, and what they had taken away, which does not.
    pub by_hand: Option<(Labels, Labels)>,
    /// What it is taken to do now; `None` if nobody has said, or it is gone.
    pub labels: Option<Labels>,
}

/// In what way a definition differs from what was approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It is new.
    Added,
    /// It differs.
    Changed,
    /// It is not listed any more.
    Removed,
    /// It was approved under this other name.
    Renamed(String),
    /// It is the same and taken to do something else with information.
    Relabelled,
}

impl What {
    /// Its name in listings.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            What::Added => "added",
            What::Changed => "changed",
            What::Removed => "removed",
            What::Renamed(_) => "renamed",
            What::Relabelled => "relabelled",
        }
    }
}

impl Change {
    /// Whether it is this that waits.
    pub(crate) fn is_about(&self, candidate: &Candidate) -> bool {
        (&self.server, &self.kind, &self.name) == (&candidate.server, &candidate.kind, &candidate.name)
            && self.sha256 == candidate.sha256
            // Who noted it may not have known of labels; whoever looked at it has found out.
            && candidate.labels.is_none_or(|labels| self.labels == Some(labels.0))
    }

    /// The difference as people read it.
    #[must_use]
    pub fn diff(&self) -> String {
        unified_diff(self.old.as_deref(), self.new.as_deref())
    }
}
