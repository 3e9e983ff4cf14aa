//! Shows that an entry is in the log, to whoever has the log's key and nothing else (C2SP tlog-proof).

use std::fmt;
use std::io::ErrorKind;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::fault::{Fault, Problem};
use crate::heads;
use crate::id::Id;
use crate::keys::At;
use crate::note::{self, Checkpoint, LogKey};
use crate::read::{Record, find};
use crate::tiles::Tiles;
use crate::tree::{self, Hash};

/// The first line of a proof.
const FORMAT: &str = "c2sp.org/tlog-proof@v1";

/// Hashes that the longest way up has.
const MOST: usize = 64;

/// How often a checkpoint may be replaced by the next one while a proof is made.
const TRIES: usize = 3;

/// An entry, and what shows that it is in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proof {
    /// The entry.
    pub record: Record,
    /// The hashes beside the way from it to the root.
    beside: Vec<Hash>,
    /// The checkpoint, with all its signatures.
    note: String,
}

/// Makes the proof that the entry `id` is in the log; nothing if it is not.
///
/// # Errors
/// If the log cannot be read, its tiles do not lead from the entry to the checkpoint, or the entry is so new that it is under
/// none.
pub fn prove<'a>(log: impl Into<At<'a>>, id: Id) -> Result<Option<Proof>, Fault> {
    let log = log.into();
    let Some(record) = find(log, id)? else { return Ok(None) };
    retried(|| prove_once(log, &record)).map(Some)
}

/// Does it again where a tile was not there, as it may have given way to that of a newer checkpoint.
pub(crate) fn retried<T>(once: impl Fn() -> Result<T, Fault>) -> Result<T, Fault> {
    for _ in 1..TRIES {
        match once() {
            Err(Fault { problem: Problem::Tile | Problem::Io(_), .. }) => {}
            done => return done,
        }
    }
    once()
}

fn prove_once(log: At<'_>, record: &Record) -> Result<Proof, Fault> {
    let (note, Checkpoint { size, root, .. }) = heads::newest(log)?;
    let Some(index) = record.seq.checked_sub(1).filter(|index| *index < size) else {
        return Err(heads::about(Problem::NotYet { seq: record.seq, size }));
    };
    let tiles = Tiles::of(log.dir);
    let hashes = |level, from, count| tiles.hashes(size, level, from, count);
    let beside = tree::path(index, size, &hashes).map_err(unread)?;
    if tree::root_above(tree::leaf(record.text().as_bytes()), index, size, &beside) != Some(root) {
        return Err(Fault { file: "tile".to_owned(), line: 0, offset: 0, problem: Problem::Tile });
    }
    Ok(Proof { record: record.clone(), beside, note })
}

/// Why tiles that are needed cannot be read.
pub(crate) fn unread(error: std::io::Error) -> Fault {
    let is_none = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData);
    let problem = if is_none { Problem::Tile } else { Problem::Io(error) };
    Fault { file: "tile".to_owned(), line: 0, offset: 0, problem }
}

impl Proof {
    /// Reads a proof, which may come from anybody, and holds it against the key of the log.
    ///
    /// # Errors
    /// A word on what is wrong with it.
    pub fn open(text: &str, key: &LogKey) -> Result<(Self, Checkpoint), &'static str> {
        const SHAPE: &str = "it is no proof";
        let (head, note) = text.split_once("\n\n").ok_or(SHAPE)?;
        let mut lines = head.split('\n');
        if lines.next() != Some(FORMAT) {
            return Err(SHAPE);
        }
        let entry = lines.next().and_then(|line| line.strip_prefix("extra ")).ok_or("it does not hold its entry")?;
        let entry = STANDARD.decode(entry).map_err(|_| SHAPE)?;
        let written = lines.next().and_then(|line| line.strip_prefix("index ")).ok_or(SHAPE)?;
        let index: u64 = written.parse().ok().filter(|index: &u64| index.to_string() == written).ok_or(SHAPE)?;
        let beside: Vec<_> = lines.map(note::hash).take(MOST + 1).collect::<Option<_>>().ok_or(SHAPE)?;
        let checkpoint = Checkpoint::open(note, key)?;
        let root = tree::root_above(tree::leaf(&entry), index, checkpoint.size, &beside);
        if root != Some(checkpoint.root) {
            return Err("its entry is not in the tree of its checkpoint");
        }
        let record = Record::parse(&entry).map_err(|_| "its entry is none of this program's")?;
        if record.seq.checked_sub(1) != Some(index) {
            return Err("its entry has another number");
        }
        Ok((Self { record, beside, note: note.to_owned() }, checkpoint))
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FORMAT}\nextra {}", STANDARD.encode(self.record.text()))?;
        writeln!(f, "index {}", self.record.seq.saturating_sub(1))?;
        self.beside.iter().try_for_each(|hash| writeln!(f, "{}", note::to_text(hash)))?;
        write!(f, "\n{}", self.note)
    }
}
