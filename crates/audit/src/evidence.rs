//! Shows that several entries are in the log, without the others.

use std::fmt;
use std::io::ErrorKind;

use crate::error::AuditError;
use crate::fault::{Fault, Problem};
use crate::heads;
use crate::keys::At;
use crate::note::{self, Checkpoint, LogKey};
use crate::proof::{retried, unread};
use crate::read::Record;
use crate::tiles::Tiles;
use crate::tree::{self, Hash};

/// The first line.
const FORMAT: &str = "bartizan.audit.evidence/1";

/// What, together with some entries, shows that they are in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Evidence {
    /// The hashes of the parts of the tree without any of them, from the left.
    around: Vec<Hash>,
    /// The checkpoint, with all its signatures.
    note: String,
}

/// The newest checkpoint of a log: up to where entries can be shown.
pub fn newest<'a>(log: impl Into<At<'a>>) -> Result<Checkpoint, Fault> {
    heads::newest(log.into()).map(|(_, checkpoint)| checkpoint)
}

/// Gathers what shows that these entries, by their number from 1 and their hash, are in the log. They have to be in order, at
/// least one, and under the newest checkpoint.
///
/// # Errors
/// If the log cannot be read, or its tiles do not lead from the entries to the checkpoint.
pub fn gather<'a>(log: impl Into<At<'a>>, entries: &[(u64, [u8; 32])]) -> Result<Evidence, Fault> {
    let log = log.into();
    retried(|| gather_once(log, entries))
}

fn gather_once(log: At<'_>, entries: &[(u64, [u8; 32])]) -> Result<Evidence, Fault> {
    let (note, Checkpoint { size, root, .. }) = heads::newest(log)?;
    let seq = entries.last().map_or(0, |(seq, _)| *seq);
    if seq > size {
        return Err(heads::about(Problem::NotYet { seq, size }));
    }
    let known = from_zero(entries);
    let wanted: Vec<_> = known.iter().map(|(index, _)| *index).collect();
    let tiles = Tiles::of(log.dir);
    let around = tree::around(&wanted, size, &|level, from, count| tiles.hashes(size, level, from, count));
    let around = around.map_err(unread)?;
    if tree::root_around(&known, size, &around) != Some(root) {
        return Err(Fault { file: "tile".to_owned(), line: 0, offset: 0, problem: Problem::Tile });
    }
    Ok(Evidence { around, note })
}

/// Entries by their place in the tree.
fn from_zero(entries: &[(u64, Hash)]) -> Vec<(u64, Hash)> {
    // There is no number 0, and no tree has the place that it gets.
    entries.iter().map(|(seq, leaf)| (seq.wrapping_sub(1), *leaf)).collect()
}

impl Record {
    /// Its hash in the tree of its log.
    #[must_use]
    pub fn leaf(&self) -> [u8; 32] {
        tree::leaf(self.text().as_bytes())
    }
}

impl Evidence {
    /// Reads what [`Display`](fmt::Display) writes, which may come from anybody.
    ///
    /// # Errors
    /// A word on what is wrong with it.
    pub fn read(text: &str) -> Result<Self, &'static str> {
        const SHAPE: &str = "it is no evidence";
        let (head, note) = text.split_once("\n\n").ok_or(SHAPE)?;
        let mut lines = head.split('\n');
        if lines.next() != Some(FORMAT) {
            return Err(SHAPE);
        }
        let around = lines.map(note::hash).collect::<Option<_>>().ok_or(SHAPE)?;
        Ok(Self { around, note: note.to_owned() })
    }

    /// Whether these entries, by their number from 1 and their hash, are in the log of this key: the checkpoint that they are
    /// under.
    ///
    /// # Errors
    /// A word on why that is not shown.
    pub fn check(&self, key: &LogKey, entries: &[(u64, [u8; 32])]) -> Result<Checkpoint, &'static str> {
        let checkpoint = Checkpoint::open(&self.note, key)?;
        let root = tree::root_around(&from_zero(entries), checkpoint.size, &self.around);
        if root == Some(checkpoint.root) {
            Ok(checkpoint)
        } else {
            Err("the entries are not in the tree of its checkpoint")
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FORMAT}")?;
        self.around.iter().try_for_each(|hash| writeln!(f, "{}", note::to_text(hash)))?;
        write!(f, "\n{}", self.note)
    }
}

/// Signs a text with the key of a log, as a note. No text is signed that could be a checkpoint.
///
/// # Errors
/// If the log has no key that can be read.
pub fn sign<'a>(log: impl Into<At<'a>>, text: impl FnOnce(&LogKey) -> String) -> Result<String, AuditError> {
    let log = log.into();
    let place = log.dir.join(heads::KEY);
    let missing = || AuditError::Io { action: "read", path: place, source: ErrorKind::NotFound.into() };
    let signer = heads::kept_key(log)?.ok_or_else(missing)?;
    let text = text(signer.public());
    if text.lines().next() == Some(signer.public().name()) || !text.ends_with('\n') {
        return Err(AuditError::Entry("it may be taken for a checkpoint"));
    }
    Ok(signer.sign(&text))
}
