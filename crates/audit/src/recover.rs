//! Finds where a log ends when it is opened, and takes away what a crash left behind the last whole line.
//!
//! Only the end is looked at, so opening costs the same for a log of any size; [`verify`](crate::verify) reads it all.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::chain::{self, Chain, Head};
use crate::entry::MAX_ENTRY_BYTES;
use crate::error::AuditError;
use crate::fault::{Fault, Problem};
use crate::files::{self, Source};
use crate::keys::At;
use crate::line::Line;
use crate::sealed::{self, LineKey};
use crate::tree::{self, Hash};

/// What [`Log::open`](crate::Log::open) found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recovery {
    /// The log did not exist.
    pub created: bool,
    /// Bytes that were removed behind the last whole entry; the log has an entry `log.recovered` about each.
    pub torn: Vec<Torn>,
    /// Why the tree was made anew from all entries, if it was; the log has an entry `log.tree` about it.
    pub anew: Option<&'static str>,
    /// The last entry once open.
    pub head: Head,
}

/// The remains of an entry that was being written at a crash. Nobody got a receipt for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Torn {
    /// Name of the file.
    pub file: String,
    /// Where the removed bytes started.
    pub offset: u64,
    /// How many they were.
    pub bytes: u64,
    /// SHA-256 of them, hexadecimal.
    pub sha256: String,
}

/// The last entry of a log.
pub(crate) struct End {
    pub(crate) head: Head,
    /// Its hash in the tree.
    pub(crate) leaf: Hash,
}

/// Returns the last entry, if there is one, and what is to be cut off behind it. Nothing is touched.
pub(crate) fn find_end(log: At<'_>) -> Result<(Option<End>, Vec<Torn>), AuditError> {
    let failed = |action, name: &str, source| AuditError::Io { action, path: log.dir.join(name), source };
    let mut sources = files::snapshot(log.dir).map_err(|error| failed("read", "", error))?;
    let mut torn = Vec::new();
    let mut end = None;
    while let Some(source) = sources.pop() {
        let tail = Tail::of(log, &source)?;
        let read = |error| failed("read", &source.name, error);
        let (whole, length) = tail.whole().map_err(read)?;
        if whole < length {
            let sha256 = tail.digest(whole, length).map_err(read)?;
            torn.push(Torn { file: source.name.clone(), offset: whole, bytes: length - whole, sha256 });
        }
        if whole > tail.begin {
            let before = sources.last().map(|source| Tail::of(log, source)).transpose()?;
            end = Some(check_last(&tail, whole, before.as_ref())?);
            break;
        }
    }
    Ok((end, torn))
}

/// Cuts off what no entry is, once the rest is known to be good: what fails a check before stays as evidence.
pub(crate) fn cut(dir: &Path, torn: &[Torn]) -> Result<(), AuditError> {
    let failed = |action, name: &str, source| AuditError::Io { action, path: dir.join(name), source };
    for cut in torn {
        let file = files::open_write(&dir.join(&cut.file)).map_err(|error| failed("open", &cut.file, error))?;
        file.set_len(cut.offset).map_err(|error| failed("truncate", &cut.file, error))?;
    }
    Ok(())
}

/// The number of the first entry in a file, if it has one.
pub(crate) fn first_seq(log: At<'_>, source: &Source) -> Result<Option<u64>, AuditError> {
    let tail = Tail::of(log, source)?;
    let Some(end) = tail.first_end().map_err(|error| tail.damaged(tail.begin, Problem::Io(error)))? else {
        return Ok(None);
    };
    let (start, bytes) = tail.last_line(end)?;
    Line::parse(&bytes).map(|line| Some(line.seq)).map_err(|problem| tail.damaged(start, problem))
}

/// Checks that the last line follows from the one before it, which may be in the file `before`.
fn check_last(tail: &Tail<'_>, whole: u64, before: Option<&Tail<'_>>) -> Result<End, AuditError> {
    let (start, bytes) = tail.last_line(whole)?;
    let fault = |problem| tail.damaged(start, problem);
    let line = Line::parse(&bytes).map_err(fault)?;
    let previous = match before {
        _ if start > tail.begin => Some((tail, start)),
        None => None,
        Some(before) => {
            let (whole, _) = before.whole().map_err(|error| before.damaged(0, Problem::Io(error)))?;
            Some((before, whole))
        }
    };
    let previous = match previous {
        Some((tail, end)) => {
            let (start, bytes) = tail.last_line(end)?;
            let line = Line::parse(&bytes).map_err(|problem| tail.damaged(start, problem))?;
            Head { seq: line.seq, chain: line.chain }
        }
        None => Head { seq: 0, chain: genesis(&line).map_err(fault)? },
    };
    let head = follow(&previous, &line).map_err(fault)?;
    Ok(End { head, leaf: tree::leaf(&bytes) })
}

/// What the first line of a log follows, by the salt in it.
pub(crate) fn genesis(first: &Line<'_>) -> Result<Chain, Problem> {
    let salt = first.field("salt").and_then(|salt| chain::from_hex(salt.as_bytes()));
    match salt {
        Some(salt) if first.seq == 1 && first.kind == OPENED => Ok(Chain::genesis(&salt)),
        _ if first.seq != 1 => Err(Problem::Seq { expected: 1, found: first.seq }),
        _ => Err(Problem::Shape("the first entry is not log.opened with a salt")),
    }
}

/// The kind of a log's first entry.
pub(crate) const OPENED: &str = "log.opened";

/// The kind of an entry about a new key for its checkpoints.
pub(crate) const KEY: &str = "log.key";

/// The head after `line`, if it is the line that belongs after `previous`.
pub(crate) fn follow(previous: &Head, line: &Line<'_>) -> Result<Head, Problem> {
    let expected = previous.seq.saturating_add(1);
    if line.seq != expected {
        return Err(Problem::Seq { expected, found: line.seq });
    }
    let chain = previous.chain.next(line.body);
    if line.chain != chain {
        return Err(Problem::Chain { seq: line.seq, expected: chain, found: line.chain });
    }
    Ok(Head { seq: line.seq, chain })
}

struct Tail<'a> {
    name: &'a str,
    file: &'a File,
    /// What opens its lines, where they are sealed.
    key: Option<LineKey>,
    /// Where the first line begins.
    begin: u64,
}

impl<'a> Tail<'a> {
    fn of(log: At<'_>, source: &'a Source) -> Result<Tail<'a>, AuditError> {
        let is_sealed = files::is_sealed(&source.name);
        let key = is_sealed.then(|| LineKey::of(log.dir, log.keys, &source.file)).transpose()?;
        let begin = if is_sealed { sealed::HEADER } else { 0 };
        Ok(Tail { name: &source.name, file: &source.file, key, begin })
    }
}

impl Tail<'_> {
    /// The length up to and with the last newline, and the whole length.
    fn whole(&self) -> io::Result<(u64, u64)> {
        let length = self.file.metadata()?.len();
        Ok((self.line_start(length)?, length))
    }

    /// Behind the newline of the first line, if it has one.
    fn first_end(&self) -> io::Result<Option<u64>> {
        let mut block = [0; 4096];
        let mut at = self.begin;
        loop {
            let read = self.file.read_at(&mut block, at)?;
            let part = block.get(..read).unwrap_or_default();
            if let Some(newline) = part.iter().position(|&byte| byte == b'\n') {
                return Ok(Some(at + newline as u64 + 1));
            }
            if read == 0 {
                return Ok(None);
            }
            at += read as u64;
        }
    }

    /// Where the line starts that ends at `end`: just behind the newline before it.
    fn line_start(&self, end: u64) -> io::Result<u64> {
        let mut block = [0; 4096];
        let mut end = end;
        while end > 0 {
            let start = end.saturating_sub(block.len() as u64);
            let part = block.get_mut(..(end - start) as usize).unwrap_or_default();
            self.file.read_exact_at(part, start)?;
            if let Some(newline) = part.iter().rposition(|&byte| byte == b'\n') {
                return Ok((start + newline as u64 + 1).max(self.begin));
            }
            end = start;
        }
        Ok(self.begin)
    }

    /// The start of the line whose newline is the byte before `end`, and what it says, without it.
    fn last_line(&self, end: u64) -> Result<(u64, Vec<u8>), AuditError> {
        let end = end.saturating_sub(1);
        let io = |error| self.damaged(end, Problem::Io(error));
        let start = self.line_start(end).map_err(io)?;
        let longest = if self.key.is_some() { sealed::LONGEST } else { MAX_ENTRY_BYTES };
        let length = end.saturating_sub(start);
        if length >= longest as u64 {
            return Err(self.damaged(start, Problem::TooLong));
        }
        let mut bytes = vec![0; length as usize];
        self.file.read_exact_at(&mut bytes, start).map_err(io)?;
        let Some(key) = &self.key else { return Ok((start, bytes)) };
        let mut line = Vec::new();
        key.open(&bytes, &mut line).map_err(|_| self.damaged(start, Problem::Sealed))?;
        Ok((start, line))
    }

    fn digest(&self, start: u64, end: u64) -> io::Result<String> {
        let mut hash = Sha256::new();
        let mut block = [0; 4096];
        let mut at = start;
        while at < end {
            let wanted = block.len().min((end - at) as usize);
            let part = block.get_mut(..wanted).unwrap_or_default();
            self.file.read_exact_at(part, at)?;
            hash.update(&part);
            at += part.len() as u64;
        }
        Ok(chain::to_hex(&hash.finalize()))
    }

    fn damaged(&self, offset: u64, problem: Problem) -> AuditError {
        damaged(self.name, self.line_number(offset).unwrap_or(0), offset, problem)
    }

    /// Counts from the start of the file, which only an error needs.
    fn line_number(&self, offset: u64) -> io::Result<u64> {
        let mut block = [0; 4096];
        let (mut at, mut line) = (self.begin, 1);
        while at < offset {
            let wanted = block.len().min((offset - at) as usize);
            let part = block.get_mut(..wanted).unwrap_or_default();
            self.file.read_exact_at(part, at)?;
            line += part.iter().filter(|&&byte| byte == b'\n').count() as u64;
            at += wanted as u64;
        }
        Ok(line)
    }
}

fn damaged(file: &str, line: u64, offset: u64, problem: Problem) -> AuditError {
    AuditError::Damaged(Box::new(Fault { file: file.to_owned(), line, offset, problem }))
}
