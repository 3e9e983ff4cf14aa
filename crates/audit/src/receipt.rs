//! What a log gives for an entry: the proof that it is there, and what that is worth.

use crate::id::Id;

/// What a receipt promises.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Level {
    /// The entry is with the kernel: it survives the death of this process by any signal, not the loss of power.
    Written,
    /// The entry is on disk.
    Durable,
}

/// Proof that an entry is in the log. Only a log makes one, and it cannot be copied.
#[derive(PartialEq, Eq, Debug)]
pub struct Receipt {
    seq: u64,
    id: Id,
    level: Level,
}

impl Receipt {
    pub(crate) fn written(seq: u64, id: Id) -> Self {
        Self { seq, id, level: Level::Written }
    }

    pub(crate) fn at_level(self, level: Level) -> Self {
        Self { level, ..self }
    }

    /// Number of the entry.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Name of the entry.
    #[must_use]
    pub fn id(&self) -> Id {
        self.id
    }

    /// What is promised.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }
}
