//! What is wrong with a log that was read, and where.

use std::fmt;
use std::io;

use crate::chain::Chain;
use crate::keys::Closed;

/// The first thing found wrong in a log.
#[derive(Debug, thiserror::Error)]
pub struct Fault {
    /// Name of the file within the log's directory.
    pub file: String,
    /// Line in that file, starting at 1; 0 if it is about the file or directory as a whole.
    pub line: u64,
    /// Where the line starts in that file, in bytes.
    pub offset: u64,
    /// What is wrong.
    #[source]
    pub problem: Problem,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { file, line, offset, problem } = self;
        match line {
            0 => write!(f, "{file}: {problem}"),
            _ => write!(f, "{file}, line {line}, byte {offset}: {problem}"),
        }
    }
}

/// What can be wrong with a log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file could not be read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// There is no log here, or it has no first entry.
    #[error("there is no log")]
    Empty,
    /// The line is not UTF-8.
    #[error("not UTF-8")]
    Utf8,
    /// The line is not JSON.
    #[error("not JSON: {0}")]
    Json(#[source] serde_json::Error),
    /// The line is not as this log writes lines.
    #[error("not an entry: {0}")]
    Shape(&'static str),
    /// The line is longer than any entry.
    #[error("longer than any entry may be")]
    TooLong,
    /// The line does not end, although something follows it or it cannot be an entry that is being written.
    #[error("the line does not end")]
    Unfinished,
    /// An entry is missing, doubled or out of place.
    #[error("entry {found} where {expected} belongs")]
    Seq {
        /// The number that should be here.
        expected: u64,
        /// The number that is.
        found: u64,
    },
    /// The line, or one before it, is not what was written.
    #[error("entry {seq} was changed: its chain is {found} and should be {expected}")]
    Chain {
        /// Number of the entry.
        seq: u64,
        /// The hash that follows from the lines up to here.
        expected: Chain,
        /// The hash in the line.
        found: Chain,
    },
    /// The line is sealed and does not open.
    #[error("the sealed line was changed, or is not of this file")]
    Sealed,
    /// The file is sealed, and its key is not to be had.
    #[error("{0}")]
    Closed(#[source] Closed),
    /// The file's name promises another first entry.
    #[error("the file's name says it starts with entry {expected}, but it starts with {found}")]
    Name {
        /// The number in the name.
        expected: u64,
        /// The number in the first line.
        found: u64,
    },
    /// A file that was closed has no entries.
    #[error("the file is empty")]
    EmptyFile,
    /// The log holds another entry than the expected one. Nothing in a head says of which log it is.
    #[error(
        "the log was rewritten, or the head is of another log: entry {seq} has the chain {found} and {expected} was expected"
    )]
    Rewritten {
        /// Number of the entry.
        seq: u64,
        /// The hash that was kept elsewhere.
        expected: Chain,
        /// The hash the log has.
        found: Chain,
    },
    /// What should be the head of the tree is none that counts.
    #[error("not a checkpoint of this log: {0}")]
    Checkpoint(&'static str),
    /// The log has no checkpoint any more.
    #[error("the checkpoint of this log is gone")]
    NoCheckpoint,
    /// The entries are not those that the checkpoint was made of.
    #[error("the log was rewritten, or the checkpoint is of another log: the first {size} entries have another root")]
    Root {
        /// How many entries the checkpoint is about.
        size: u64,
    },
    /// The log has fewer entries than its checkpoint, or than one that was kept elsewhere.
    #[error("the log was cut back: the checkpoint has {expected} entries, and the log has {found}")]
    Shorter {
        /// Entries under the checkpoint.
        expected: u64,
        /// Entries in the log.
        found: u64,
    },
    /// A tile of the tree is not there or not what follows from the entries.
    #[error("not what follows from the entries; remove the folder `tile`, and all are made anew at the next start")]
    Tile,
    /// The entry is not under the checkpoint yet.
    #[error(
        "entry {seq} is not under a checkpoint yet, which has the first {size}; one is made each second while the log is open"
    )]
    NotYet {
        /// Number of the entry.
        seq: u64,
        /// Entries under the checkpoint.
        size: u64,
    },
    /// The log ends before the expected entry.
    #[error(
        "the log was cut back, or the head is of another log: entry {expected} was expected, but {found} is the last"
    )]
    CutBack {
        /// Number of the entry that was kept elsewhere.
        expected: u64,
        /// Number of the last entry of the log.
        found: u64,
    },
}
