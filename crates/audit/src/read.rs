//! Reads entries back, for looking at them, and says on the way where the chain breaks.
//!
//! Damage keeps nothing from being shown: whoever looks at an entry wants to see it, and to know whether to believe it.

use std::io::{Seek, SeekFrom};

use crate::chain::{Chain, Head};
use crate::fault::{Fault, Problem};
use crate::files;
use crate::id::Id;
use crate::keys::At;
use crate::line::{self, Line};
use crate::lines::{Lines, Step};
use crate::verify::Walk;

/// One entry as it stands in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Its number, starting at 1.
    pub seq: u64,
    /// Its name.
    pub id: Id,
    /// When it happened, in microseconds since 1970.
    pub at_micros: i64,
    /// What happened.
    pub kind: String,
    chain: Chain,
    text: String,
}

impl Record {
    /// Reads one line, without its newline. Any bytes are allowed; only what the log writes is accepted.
    pub fn parse(line: &[u8]) -> Result<Self, Problem> {
        let line = Line::parse(line)?;
        Ok(Self {
            seq: line.seq,
            id: line.id,
            at_micros: line.at_micros,
            kind: line.kind.to_owned(),
            chain: line.chain,
            text: line.text.to_owned(),
        })
    }

    /// The line as it was written: one JSON object.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The line as JSON.
    #[must_use]
    pub fn value(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// The head of the log at this entry, as the line claims it.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { seq: self.seq, chain: self.chain }
    }
}

/// The entries of a log in order; see [`iter`].
#[derive(Debug)]
pub struct Records {
    lines: Lines,
    walk: Walk,
}

/// Reads all entries, oldest first, as the log stands now. A line that is being written meanwhile is left out.
pub fn iter<'a>(log: impl Into<At<'a>>) -> Result<Records, Fault> {
    Lines::open(log.into()).map(|lines| Records { lines, walk: Walk::default() })
}

impl Records {
    /// Once there was no entry left: goes on with those written since.
    pub fn resume(&mut self) -> Result<(), Fault> {
        self.lines.resume()
    }

    /// The first thing wrong in what was read so far; entries from there on are not proven to be what was written.
    #[must_use]
    pub fn broken(&self) -> Option<&Fault> {
        self.walk.fault.as_ref()
    }
}

impl Iterator for Records {
    type Item = Result<Record, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.lines.advance() {
            Ok(Step::Line) => {
                self.walk.step(&self.lines);
                Some(Record::parse(self.lines.bytes()).map_err(|problem| self.lines.fault(problem)))
            }
            Ok(Step::Flaw(flaw)) => {
                self.walk.stop(&self.lines, flaw);
                Some(Err(self.lines.fault(flaw.into())))
            }
            Ok(Step::Unfinished | Step::End) => None,
            Err(fault) => Some(Err(fault)),
        }
    }
}

/// Finds the entry `id`. Damage to other lines does not keep it from being found, nor do unreadable ones of its name.
pub fn find<'a>(log: impl Into<At<'a>>, id: Id) -> Result<Option<Record>, Fault> {
    trace(log, id, &[]).map(|found| found.map(|found| found.record))
}

/// The last entry of this kind, if it is among the last `within` bytes of the log. Whether the chain holds up to it is not
/// looked at: that would take reading all that is before it.
pub fn last<'a>(log: impl Into<At<'a>>, kind: &str, mut within: u64) -> Result<Option<Record>, Fault> {
    let log = log.into();
    let io = |error| Fault { file: log.dir.display().to_string(), line: 0, offset: 0, problem: Problem::Io(error) };
    for mut source in files::snapshot(log.dir).map_err(io)?.into_iter().rev() {
        let bytes = source.file.metadata().map_err(io)?.len();
        source.file.seek(SeekFrom::Start(bytes.saturating_sub(within))).map_err(io)?;
        within = within.saturating_sub(bytes);
        // What is cut off in front is no entry.
        let (mut lines, mut found) = (Lines::of(log, [source].into()), None);
        loop {
            match lines.advance()? {
                Step::Line if line::kind(lines.bytes()) == Some(kind.as_bytes()) => {
                    found = Record::parse(lines.bytes()).ok().or(found);
                }
                Step::Line | Step::Flaw(_) => {}
                Step::Unfinished | Step::End => break,
            }
        }
        if found.is_some() || within == 0 {
            return Ok(found);
        }
    }
    Ok(None)
}

/// One entry with what the log shows of it.
#[derive(Debug)]
pub struct Trace {
    /// The entry.
    pub record: Record,
    /// The first thing wrong in the log up to and including it: without one, the entry is what was written, as far as
    /// [`verify`](crate::verify) can show that.
    pub broken: Option<Fault>,
    /// The last entry before it of the kinds that were asked for.
    pub before: Option<Record>,
}

/// Finds the entry `id` as [`find`] does, with what is wrong before it and with the last entry before it of one of `kinds`.
pub fn trace<'a>(log: impl Into<At<'a>>, id: Id, kinds: &[&str]) -> Result<Option<Trace>, Fault> {
    let mut lines = Lines::open(log.into())?;
    let mut walk = Walk::default();
    let (mut before, mut unreadable) = (None, None);
    loop {
        let flaw = match lines.advance()? {
            Step::Line => {
                walk.step(&lines);
                None
            }
            Step::Flaw(flaw) => {
                walk.stop(&lines, flaw);
                Some(flaw)
            }
            Step::Unfinished | Step::End => break,
        };
        if line::has_id(lines.bytes(), id) {
            match Record::parse(lines.bytes()) {
                Ok(record) => return Ok(Some(Trace { record, broken: walk.fault, before })),
                // What was put in front of it under its name does not hide it.
                Err(problem) => {
                    let problem = flaw.map_or(problem, Problem::from);
                    _ = unreadable.get_or_insert_with(|| lines.fault(problem));
                }
            }
        }
        let kind = line::kind(lines.bytes());
        if kinds.iter().any(|wanted| kind == Some(wanted.as_bytes())) {
            before = Record::parse(lines.bytes()).ok().or(before);
        }
    }
    unreadable.map_or(Ok(None), Err)
}
