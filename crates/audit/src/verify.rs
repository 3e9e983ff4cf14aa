//! Proves that a log is what was written, as far as a log can prove that by itself.

use std::path::Path;

use crate::chain::Head;
use crate::fault::{Fault, Problem};
use crate::line::Line;
use crate::lines::{self, Flaw, Lines, Step};
use crate::recover::{follow, genesis};

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
    /// Bytes behind the last entry that are the start of a line. Either an entry is being written right now, or its
    /// writer died; then nobody got a receipt for it, and opening the log removes and records it.
    pub unfinished_bytes: u64,
}

/// Reads the whole log, also while it is being written, and checks every line: that it is strict JSON in the one form
/// this log writes, has the next number, and carries the hash that follows from all lines before it.
///
/// **What this cannot show.** A log alone cannot prove that nothing is missing at its end: cut cleanly after any entry
/// it is a correct, shorter log, and whoever may write the files can also compute new hashes for a whole new history.
/// Both are detected with `expected`, a [`Head`] that was kept where the log's owner cannot change it: the log must
/// contain exactly that entry and may only have grown since. Without such an outside witness, neither is.
pub fn verify(dir: &Path, expected: Option<&Head>) -> Result<Report, Fault> {
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
    Ok(Report { entries, files: lines.files(), first, last: head.seq, head, unfinished_bytes })
}

/// Goes along the chain up to the first line that does not fit.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    head: Option<Head>,
    /// What was wrong with that line.
    pub(crate) fault: Option<Fault>,
}

impl Walk {
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
