//! Proves that a log is what was written, as far as a log can prove that by itself.

use crate::chain::Head;
use crate::fault::{Fault, Problem};
use crate::heads::{self, about};
use crate::keys::At;
use crate::line::{self, Line};
use crate::lines::{Flaw, Lines, Step};
use crate::note::{Checkpoint, LogKey};
use crate::proof::unread;
use crate::recover::{KEY, OPENED, follow, genesis};
use crate::tiles::{self, Tiles};
use crate::tree::{self, Edge, Hash};

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
/// **What this cannot show.** A log alone cannot prove that it is the newest one, or the one that was written: whoever may write
/// the files can put them back to an earlier state, or compute a whole new history with a key of their own.
/// Both are detected with a [`Head`], a checkpoint or a key that was kept where they cannot change it: the log must
/// contain exactly that entry, or begin with the entries of that checkpoint, and may only have grown since; and its
/// checkpoints must be signed with that key. Without such an outside witness, neither is.
pub fn verify<'a>(log: impl Into<At<'a>>, expected: Option<&Head>) -> Result<Report, Fault> {
    verify_against(log, &Known { head: expected, ..Known::default() })
}

/// How often a checkpoint may be replaced, or a log be begun, while it is verified.
const TRIES: usize = 3;

/// The same, with all that is known of the log from elsewhere.
pub fn verify_against<'a>(log: impl Into<At<'a>>, known: &Known<'_>) -> Result<Report, Fault> {
    let log = log.into();
    let mut note = read_note(log)?;
    for _ in 1..TRIES {
        let fault = match once(log, known, note.clone()) {
            // Between these a log that is opened has not said yet what it will.
            Err(fault) if is_of_tree(&fault.problem) => fault,
            done => return done,
        };
        let newer = read_note(log)?;
        if newer == note {
            return Err(fault);
        }
        note = newer;
    }
    once(log, known, note)
}

fn read_note(log: At<'_>) -> Result<Option<String>, Fault> {
    heads::read(log.dir).map_err(|error| about(Problem::Io(error)))
}

/// Whether it is the checkpoint or a tile that does not fit, which change while a log is written.
fn is_of_tree(problem: &Problem) -> bool {
    matches!(problem, Problem::Checkpoint(_) | Problem::NoCheckpoint | Problem::Tile)
}

/// Verifies the log, of which that is the checkpoint. That is read before the entries, which are ahead of it.
fn once(log: At<'_>, known: &Known<'_>, note: Option<String>) -> Result<Report, Fault> {
    let mut forest = Forest::new(log, known, note)?;
    let expected = known.head;
    let mut lines = Lines::open(log)?;
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
            Step::Unfinished if lines.may_be_unfinished() => unfinished_bytes = lines.left(),
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
    log: At<'a>,
    known: &'a Known<'a>,
    edge: Edge,
    /// The log's own checkpoint, as a note and as what that claims.
    own: Option<(String, Checkpoint)>,
    /// The one that was kept elsewhere.
    kept: Option<Checkpoint>,
    /// The newest key that the log names in what is under its own checkpoint, or the first one.
    key: Option<LogKey>,
    /// Whether a key that the log names has signed the one that was kept.
    is_kept_signed: bool,
}

impl<'a> Forest<'a> {
    fn new(log: At<'a>, known: &'a Known<'a>, note: Option<String>) -> Result<Self, Fault> {
        let claimed = |note: &str| Checkpoint::claimed(note).ok_or_else(|| about(Problem::Checkpoint(NONE)));
        let own = note.map(|note| claimed(&note).map(|claimed| (note, claimed))).transpose()?;
        let kept = known.checkpoint.map(claimed).transpose()?;
        if let (Some(note), Some(key)) = (known.checkpoint, known.key) {
            signed(note, key)?;
        }
        Ok(Self { log, known, edge: Edge::default(), own, kept, key: None, is_kept_signed: known.key.is_some() })
    }

    /// Takes the next entry, a line that is one.
    fn step(&mut self, text: &[u8]) -> Result<(), Fault> {
        if let Some(OPENED | KEY) = line::kind(text).and_then(|kind| str::from_utf8(kind).ok()) {
            self.name_key(text);
        }
        let mut full = Vec::new();
        self.edge.push(tree::leaf(text), |tile| full.push(tile));
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

    fn name_key(&mut self, text: &[u8]) {
        let Some(key) = Line::parse(text).ok().and_then(|line| line.field("key")?.parse().ok()) else { return };
        self.is_kept_signed |= self.known.checkpoint.is_some_and(|note| Checkpoint::open(note, &key).is_ok());
        let is_under = self.own.as_ref().is_none_or(|(_, own)| own.size > self.edge.size());
        if is_under || self.key.is_none() {
            self.key = Some(key);
        }
    }

    fn checkpoints(&self) -> impl Iterator<Item = (&Checkpoint, bool)> {
        self.own.iter().map(|(_, own)| (own, true)).chain(self.kept.iter().map(|kept| (kept, false)))
    }

    /// Compares a tile with what follows from the entries.
    fn hold(&self, level: u32, index: u64, hashes: &[Hash]) -> Result<(), Fault> {
        let fault = |problem| Fault { file: tiles::name(level, index), line: 0, offset: 0, problem };
        match Tiles::of(self.log.dir).read(level, index, hashes.len()) {
            Ok(read) if read == hashes => Ok(()),
            Ok(_) => Err(fault(Problem::Tile)),
            Err(error) => Err(fault(unread(error).problem)),
        }
    }

    /// Once all entries were read: whether the checkpoints are signed, and about them.
    fn finish(self) -> Result<(Option<Checkpoint>, Option<LogKey>), Fault> {
        if self.kept.is_some() && !self.is_kept_signed {
            return Err(about(Problem::Checkpoint("no key of this log has signed what was kept")));
        }
        let found = self.edge.size();
        let none = Edge::default().root();
        for (Checkpoint { size, root, .. }, _) in self.checkpoints() {
            if *size > found {
                return Err(about(Problem::Shorter { expected: *size, found }));
            }
            if *size == 0 && *root != none {
                return Err(about(Problem::Root { size: 0 }));
            }
        }
        match (self.own, self.known.key.or(self.key.as_ref())) {
            (Some((note, own)), Some(key)) => signed(&note, key).map(|()| (Some(own), Some(key.clone()))),
            (Some(_), None) => Err(about(Problem::Checkpoint("the log names no key"))),
            (None, Some(_)) => Err(about(Problem::NoCheckpoint)),
            (None, None) => Ok((None, None)),
        }
    }
}

const NONE: &str = "it is no checkpoint";

fn signed(note: &str, key: &LogKey) -> Result<(), Fault> {
    Checkpoint::open(note, key).map(drop).map_err(|why| about(Problem::Checkpoint(why)))
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
