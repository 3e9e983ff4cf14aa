//! Proves that a log is what was written, as far as a log can prove that by itself.

use std::path::Path;

use crate::chain::Head;
use crate::fault::{Fault, Problem};
use crate::heads::{self, CHECKPOINT};
use crate::line::Line;
use crate::lines::{self, Flaw, Lines, Step};
use crate::note::{self, Checkpoint, LogKey};
use crate::recover::{KEY, OPENED, follow, genesis};
use crate::tiles::{self, Tiles};
use crate::tree::{self, Edge, Hash, WIDTH};

/// What [`verify`] found in a log in which nothing is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// Entries in the log.
    pub entries: u64,
    /// Files they are in.
    pub files: u64,
    /// Number of the first entry.
    pub first: u64,
    /// Number of the last entry.
    pub last: u64,
    /// The last entry: keep it elsewhere and expect it next time.
    pub head: Head,
    /// The newest checkpoint; none of a log that was written before there were any. What came after it, about a second of
    /// entries, is tied to it by the chain alone.
    pub checkpoint: Option<Checkpoint>,
    /// The key that has signed it: keep it elsewhere as well.
    pub key: Option<LogKey>,
    /// Bytes behind the last entry that are the start of a line. Either an entry is being written right now, or its
    /// writer died; then nobody got a receipt for it, and opening the log removes and records it.
    pub unfinished_bytes: u64,
}

/// What is known of a log from elsewhere.
#[derive(Clone, Copy, Default, Debug)]
pub struct Known<'a> {
    /// An entry that it has to contain.
    pub head: Option<&'a Head>,
    /// A checkpoint, as the note that it is, which it has to have grown from.
    pub checkpoint: Option<&'a str>,
    /// The key that has to have signed its checkpoints.
    pub key: Option<&'a LogKey>,
}

/// Reads the whole log, also while it is being written, and checks every line: that it is strict JSON in the one form
/// this log writes, has the next number, and carries the hash that follows from all lines before it; and that the tree over
/// them is the one of its checkpoint and of the tiles.
///
/// **What this cannot show.** A log alone cannot prove that it is the newest one: put back to an earlier state as a whole it
/// is a correct, shorter log, and whoever may write the files and read the key can also compute a whole new history.
/// Both are detected with a [`Head`] or a checkpoint that was kept where the log's owner cannot change it: the log must
/// contain exactly that entry, or begin with the entries of that checkpoint, and may only have grown since. Without such an
/// outside witness, neither is.
pub fn verify(dir: &Path, expected: Option<&Head>) -> Result<Report, Fault> {
    verify_against(dir, &Known { head: expected, ..Known::default() })
}

/// The same, with all that is known of the log from elsewhere.
pub fn verify_against(dir: &Path, known: &Known<'_>) -> Result<Report, Fault> {
    // Before the entries, which are ahead of it.
    let mut forest = Forest::open(dir, known)?;
    let expected = known.head;
    let mut lines = Lines::open(dir)?;
    let mut head: Option<Head> = None;
    let mut first = 0;
    let mut entries = 0;
    let mut unfinished_bytes = 0;
    loop {
        match lines.advance()? {
            Step::End => break,
            Step::Line => {
                let next = check(&lines, head.as_ref(), expected).map_err(|problem| lines.fault(problem))?;
                forest.step(lines.bytes())?;
                if head.is_none() {
                    first = next.seq;
                }
                head = Some(next);
                entries += 1;
            }
            Step::Unfinished if lines::may_be_unfinished(lines.bytes()) => {
                unfinished_bytes = lines.bytes().len() as u64;
            }
            Step::Unfinished => return Err(lines.fault(Problem::Unfinished)),
            Step::Flaw(flaw) => return Err(lines.fault(flaw.into())),
        }
    }
    let Some(head) = head else { return Err(lines.fault(Problem::Empty)) };
    if let Some(expected) = expected.filter(|expected| expected.seq > head.seq) {
        return Err(lines.fault(Problem::CutBack { expected: expected.seq, found: head.seq }));
    }
    let (checkpoint, key) = forest.finish()?;
    Ok(Report { entries, files: lines.files(), first, last: head.seq, head, checkpoint, key, unfinished_bytes })
}

/// The tree of a log that is read, held against its tiles and against checkpoints.
struct Forest<'a> {
    dir: &'a Path,
    known: &'a Known<'a>,
    edge: Edge,
    /// The log's own, as a note and as what that claims.
    own: Option<(String, Checkpoint)>,
    /// The one that was kept elsewhere.
    kept: Option<Checkpoint>,
    /// Keys that the log itself names, the newest last.
    keys: Vec<LogKey>,
}

impl<'a> Forest<'a> {
    fn open(dir: &'a Path, known: &'a Known<'a>) -> Result<Self, Fault> {
        const NONE: Problem = Problem::Checkpoint("it is no checkpoint");
        let note = heads::read(dir).map_err(|error| about(Problem::Io(error)))?;
        let own = note.map(|note| note::claimed(&note).map(|claimed| (note, claimed)).ok_or_else(|| about(NONE)));
        let kept = known.checkpoint.map(|note| note::claimed(note).ok_or_else(|| about(NONE))).transpose()?;
        Ok(Self { dir, known, edge: Edge::default(), own: own.transpose()?, kept, keys: Vec::new() })
    }

    /// Takes the next entry, a line that is one.
    fn step(&mut self, line: &[u8]) -> Result<(), Fault> {
        if let Some(OPENED | KEY) = crate::line::kind(line).and_then(|kind| str::from_utf8(kind).ok()) {
            let named = Line::parse(line).ok().and_then(|line| line.field("key")?.parse().ok());
            self.keys.extend(named);
        }
        let mut full = Vec::new();
        self.edge.push(tree::leaf(line), |tile| full.push(tile));
        let size = self.edge.size();
        if self.own.as_ref().is_some_and(|(_, own)| own.size >= size) {
            full.iter().try_for_each(|tile| self.hold(tile.level, tile.index, &tile.hashes))?;
        }
        for (checkpoint, is_own) in self.checkpoints().filter(|(checkpoint, _)| checkpoint.size == size) {
            if checkpoint.root != self.edge.root() {
                return Err(about(Problem::Root { size }));
            }
            if is_own {
                self.edge.partial().try_for_each(|(level, index, row)| self.hold(level, index, row))?;
            }
        }
        Ok(())
    }

    fn checkpoints(&self) -> impl Iterator<Item = (&Checkpoint, bool)> {
        self.own.iter().map(|(_, own)| (own, true)).chain(self.kept.iter().map(|kept| (kept, false)))
    }

    /// Compares a tile with what follows from the entries.
    fn hold(&self, level: u32, index: u64, hashes: &[Hash]) -> Result<(), Fault> {
        let read = Tiles::of(self.dir).read(level, index, hashes.len());
        if read.is_ok_and(|read| read == hashes) {
            return Ok(());
        }
        // One that is not full goes when there is a newer checkpoint.
        let newest = heads::read(self.dir).ok().flatten();
        if hashes.len() < WIDTH && newest.as_ref() != self.own.as_ref().map(|(note, _)| note) {
            return Ok(());
        }
        Err(Fault { file: tiles::name(level, index), line: 0, offset: 0, problem: Problem::Tile })
    }

    /// Once all entries were read: whether the checkpoints are about them, and signed.
    fn finish(self) -> Result<(Option<Checkpoint>, Option<LogKey>), Fault> {
        let found = self.edge.size();
        for (checkpoint, _) in self.checkpoints() {
            if checkpoint.size > found {
                return Err(about(Problem::Shorter { expected: checkpoint.size, found }));
            }
            if checkpoint.size == 0 && checkpoint.root != Edge::default().root() {
                return Err(about(Problem::Root { size: 0 }));
            }
        }
        let signed =
            |note: &str, key: &LogKey| Checkpoint::open(note, key).map_err(|why| about(Problem::Checkpoint(why)));
        let key = self.known.key.or(self.keys.last());
        if let Some(note) = self.known.checkpoint {
            // It may be of before the key was another one.
            let by_own = self.known.key.is_none() && self.keys.iter().any(|key| signed(note, key).is_ok());
            match key {
                _ if by_own => {}
                Some(key) => drop(signed(note, key)?),
                None => return Err(about(Problem::Checkpoint("the log names no key"))),
            }
        }
        match (self.own, key) {
            (Some((note, own)), Some(key)) => signed(&note, key).map(|_| (Some(own), Some(key.clone()))),
            (Some(_), None) => Err(about(Problem::Checkpoint("the log names no key"))),
            (None, Some(_)) => Err(about(Problem::NoCheckpoint)),
            (None, None) => Ok((None, None)),
        }
    }
}

fn about(problem: Problem) -> Fault {
    Fault { file: CHECKPOINT.to_owned(), line: 0, offset: 0, problem }
}

/// Goes along the chain up to the first line that does not fit.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    head: Option<Head>,
    /// What was wrong with that line.
    pub(crate) fault: Option<Fault>,
}

impl Walk {
    /// Goes on behind an entry that is taken as it is.
    pub(crate) fn from(head: Head) -> Self {
        Self { head: Some(head), fault: None }
    }

    /// Holds the line that was just read against those before it.
    pub(crate) fn step(&mut self, lines: &Lines) {
        if self.fault.is_some() {
            return;
        }
        match check(lines, self.head.as_ref(), None) {
            Ok(head) => self.head = Some(head),
            Err(problem) => self.fault = Some(lines.fault(problem)),
        }
    }

    /// The line that was just read fits nowhere.
    pub(crate) fn stop(&mut self, lines: &Lines, flaw: Flaw) {
        _ = self.fault.get_or_insert_with(|| lines.fault(flaw.into()));
    }
}

fn check(lines: &Lines, previous: Option<&Head>, expected: Option<&Head>) -> Result<Head, Problem> {
    let line = Line::parse(lines.bytes())?;
    let head = match previous {
        Some(previous) => follow(previous, &line)?,
        None => follow(&Head { seq: 0, chain: genesis(&line)? }, &line)?,
    };
    if let Some(promised) = lines.promised_seq().filter(|promised| *promised != head.seq) {
        return Err(Problem::Name { expected: promised, found: head.seq });
    }
    match expected {
        Some(expected) if expected.seq == head.seq && *expected != head => {
            Err(Problem::Rewritten { seq: head.seq, expected: expected.chain, found: head.chain })
        }
        _ => Ok(head),
    }
}
