//! Reads a log's files line by line, in order, in bounded memory.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;

use serde::de::IgnoredAny;

use crate::entry::MAX_ENTRY_BYTES;
use crate::fault::{Fault, Problem};
use crate::files::{self, Source};
use crate::keys::{At, Keys};
use crate::sealed::{self, LineKey};

/// What was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// A whole line.
    Line,
    /// The log's last bytes, which are not a whole line: one is being written, or its writer died.
    Unfinished,
    /// What no log holds where it stands; reading goes on behind it.
    Flaw(Flaw),
    /// Nothing more.
    End,
}

/// What can be wrong with a line, or with a file that has none, before anybody knows what it says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flaw {
    /// Longer than any entry; only its start is kept.
    TooLong,
    /// The last line of a closed file does not end.
    Unfinished,
    /// A closed file has no line.
    EmptyFile,
    /// What is sealed does not open.
    Sealed,
}

impl From<Flaw> for Problem {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::TooLong => Problem::TooLong,
            Flaw::Unfinished => Problem::Unfinished,
            Flaw::EmptyFile => Problem::EmptyFile,
            Flaw::Sealed => Problem::Sealed,
        }
    }
}

/// All lines of a log as it stood when it was opened.
#[derive(Debug)]
pub(crate) struct Lines {
    dir: PathBuf,
    keys: Keys,
    waiting: VecDeque<Source>,
    reader: Option<BufReader<File>>,
    /// What opens the lines of the file that is being read.
    key: Option<LineKey>,
    /// The line as it stands in the file, where it is sealed there.
    sealed: Vec<u8>,
    bytes: Vec<u8>,
    name: String,
    first_seq: Option<u64>,
    line: u64,
    offset: u64,
    next_offset: u64,
    files: u64,
    /// The file that is being read, or was read last.
    identity: Option<(u64, u64)>,
}

impl Lines {
    pub(crate) fn open(log: At<'_>) -> Result<Self, Fault> {
        let at = |problem| Fault { file: log.dir.display().to_string(), line: 0, offset: 0, problem };
        let waiting: VecDeque<_> = files::snapshot(log.dir).map_err(|error| at(Problem::Io(error)))?.into();
        if waiting.is_empty() {
            return Err(at(Problem::Empty));
        }
        Ok(Self::of(log, waiting))
    }

    /// Reads these files, each from where it stands.
    pub(crate) fn of(log: At<'_>, waiting: VecDeque<Source>) -> Self {
        Self {
            dir: log.dir.to_owned(),
            keys: log.keys.clone(),
            waiting,
            reader: None,
            key: None,
            sealed: Vec::new(),
            bytes: Vec::new(),
            name: log.dir.display().to_string(),
            first_seq: None,
            line: 0,
            offset: 0,
            next_offset: 0,
            files: 0,
            identity: None,
        }
    }

    /// Once everything was read: goes on with what has been written since, also if the file was closed meanwhile.
    pub(crate) fn resume(&mut self) -> Result<(), Fault> {
        let mut waiting: VecDeque<_> =
            files::snapshot(&self.dir).map_err(|error| self.fault(Problem::Io(error)))?.into();
        while waiting.front().is_some_and(|source| files::identity(&source.file).ok() != self.identity) {
            waiting.pop_front();
        }
        let Some(mut source) = waiting.pop_front() else { return Err(self.fault(Problem::Empty)) };
        // The line that was looked for last, of which there was nothing or only the start.
        self.line = self.line.saturating_sub(1);
        self.next_offset = self.offset;
        source.file.seek(SeekFrom::Start(self.next_offset)).map_err(|error| self.fault(Problem::Io(error)))?;
        (self.name, self.first_seq) = (source.name, source.first_seq);
        self.reader = Some(BufReader::with_capacity(1 << 16, source.file));
        self.waiting = waiting;
        Ok(())
    }

    /// Moves to the next line; fails only where the file cannot be read.
    pub(crate) fn advance(&mut self) -> Result<Step, Fault> {
        loop {
            if self.reader.is_none() {
                let Some(source) = self.waiting.pop_front() else { return Ok(Step::End) };
                self.start(source)?;
            }
            self.line += 1;
            self.offset = self.next_offset;
            let (bytes, longest) = match &self.key {
                Some(_) => (&mut self.sealed, sealed::LONGEST),
                None => (&mut self.bytes, MAX_ENTRY_BYTES),
            };
            bytes.clear();
            let read = match &mut self.reader {
                Some(reader) => reader.take(longest as u64 + 1).read_until(b'\n', bytes),
                None => Ok(0),
            };
            let read = read.map_err(|error| self.fault(Problem::Io(error)))?;
            self.next_offset += read as u64;
            let bytes = if self.key.is_some() { &mut self.sealed } else { &mut self.bytes };
            let ends = read <= longest && bytes.pop_if(|last| *last == b'\n').is_some();
            if read == 0 {
                self.reader = None;
                if self.line == 1 && self.first_seq.is_some() {
                    return Ok(Step::Flaw(Flaw::EmptyFile));
                }
            } else if read > longest {
                self.skip_rest()?;
                return Ok(Step::Flaw(Flaw::TooLong));
            } else if ends {
                return Ok(if self.unseal() { Step::Line } else { Step::Flaw(Flaw::Sealed) });
            } else if self.waiting.is_empty() {
                self.reader = None;
                return Ok(Step::Unfinished);
            } else {
                return Ok(Step::Flaw(Flaw::Unfinished));
            }
        }
    }

    /// Opens the line that was read, if it is sealed, and says whether it is one.
    fn unseal(&mut self) -> bool {
        self.key.as_ref().is_none_or(|key| key.open(&self.sealed, &mut self.bytes).is_ok())
    }

    /// Whether what was read last can be the start of a line that is being written.
    pub(crate) fn may_be_unfinished(&self) -> bool {
        // Of what is sealed only a whole line says anything.
        self.key.is_some() || may_be_unfinished(&self.bytes)
    }

    /// Bytes of the file behind the last line.
    pub(crate) fn left(&self) -> u64 {
        self.next_offset - self.offset
    }

    /// Goes behind the end of a line of which only the start was read.
    fn skip_rest(&mut self) -> Result<(), Fault> {
        let read = if self.key.is_some() { &self.sealed } else { &self.bytes };
        let skipped = match &mut self.reader {
            Some(reader) if !read.ends_with(b"\n") => reader.skip_until(b'\n'),
            _ => Ok(0),
        };
        self.next_offset += skipped.map_err(|error| self.fault(Problem::Io(error)))? as u64;
        Ok(())
    }

    /// Begins with a file, from where it stands. Where it is sealed there is nothing before its first line.
    fn start(&mut self, mut source: Source) -> Result<(), Fault> {
        self.name = source.name;
        self.identity = files::identity(&source.file).ok();
        self.first_seq = source.first_seq;
        (self.line, self.offset, self.next_offset, self.key) = (0, 0, 0, None);
        if files::is_sealed(&self.name) {
            let key = LineKey::of(&self.dir, &self.keys, &source.file);
            self.key = Some(key.map_err(|closed| self.fault(Problem::Closed(closed)))?);
            let io = |error| self.fault(Problem::Io(error));
            if source.file.stream_position().map_err(io)? < sealed::HEADER {
                source.file.seek(SeekFrom::Start(sealed::HEADER)).map_err(io)?;
            }
            self.next_offset = sealed::HEADER;
        }
        self.reader = Some(BufReader::with_capacity(1 << 16, source.file));
        self.files += 1;
        Ok(())
    }

    /// The line, without its newline.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The first entry's number by the file's name, when this is the first line of a closed file.
    pub(crate) fn promised_seq(&self) -> Option<u64> {
        self.first_seq.filter(|_| self.line == 1)
    }

    /// Files opened so far.
    pub(crate) fn files(&self) -> u64 {
        self.files
    }

    /// Says that something is wrong with this line.
    pub(crate) fn fault(&self, problem: Problem) -> Fault {
        Fault { file: self.name.clone(), line: self.line, offset: self.offset, problem }
    }
}

/// Whether these bytes can be the start of a line that is being written: JSON that breaks off, or lacks its newline.
fn may_be_unfinished(bytes: &[u8]) -> bool {
    let text = match str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            bytes.get(..error.valid_up_to()).and_then(|bytes| str::from_utf8(bytes).ok()).unwrap_or_default()
        }
        Err(_) => return false,
    };
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => text.ends_with('}'),
        Err(error) => error.is_eof(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_start_of_a_line_may_be_unfinished() {
        for start in [&b"{"[..], b"{\"a", b"{\"a\":\"\xc3", b"{\"a\":1}"] {
            assert!(may_be_unfinished(start), "{start:?}");
        }
        for other in [&b"{\"a\":1} "[..], b"{\"a\":1}x", b"x", b"{\"a\":\"\xff", b"\0\0", b"1"] {
            assert!(!may_be_unfinished(other), "{other:?}");
        }
    }
}
