//! Reads one file, record by record, and says how it ends.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use thiserror::Error;
use zeroize::Zeroizing;

use crate::files;
use crate::form::{ANY_MARK, BEFORE, FileId, Kind, LONGEST, MARK, digest_of};
use crate::key::{Broken, FileKey, KEY, TAG};

/// Why a file, or the rest of it, cannot be read.
#[derive(Debug, Error)]
pub enum Fault {
    /// The system says so.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Whoever made it was killed before there was anything in it.
    #[error("was only being begun, and nothing is in it")]
    Unbegun,
    /// It is something else.
    #[error("is no capture")]
    Other,
    /// It was written in another form.
    #[error("was written in another form, by another version of Bartizan")]
    Form,
    /// Its key does not open.
    #[error("cannot be opened: {0}")]
    Key(String),
    /// A record is not what was written in its place.
    #[error("record {0} was changed, or is out of its place; what follows it is not read")]
    Broken(u64),
    /// Something follows the end of a file that was closed.
    #[error("goes on after its end")]
    AfterEnd,
}

/// How a file ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was closed, and nothing is missing.
    Closed,
    /// It was not closed: it is being written, or whoever wrote it was killed, or its end was cut off.
    Open,
    /// The same, and so many bytes of an unfinished record are at its end.
    Torn(u64),
}

/// What comes next in a file.
#[derive(Debug)]
pub enum Next {
    /// A record.
    Record(Zeroizing<Vec<u8>>),
    /// So many are missing here, for they could not be written.
    Gap(u64),
    /// There is no more.
    End(End),
}

/// One file being read.
pub struct Reader<R> {
    from: R,
    id: FileId,
    created: i64,
    key: FileKey,
    head: [u8; 32],
    number: u64,
    /// Set once there is nothing more to read.
    end: Option<End>,
}

impl Reader<BufReader<File>> {
    /// Opens a file; `unwrap` makes its key of what it is wrapped in.
    ///
    /// # Errors
    /// If it is no capture, or its key cannot be had.
    pub fn open(
        path: &Path,
        unwrap: impl FnOnce(FileId, &[u8]) -> Result<Zeroizing<Vec<u8>>, String>,
    ) -> Result<Self, Fault> {
        Reader::new(BufReader::with_capacity(256 << 10, files::open(path)?), unwrap)
    }
}

impl<R: Read> Reader<R> {
    /// The same for what is read otherwise.
    ///
    /// # Errors
    /// As for [`Reader::open`].
    pub fn new(
        mut from: R,
        unwrap: impl FnOnce(FileId, &[u8]) -> Result<Zeroizing<Vec<u8>>, String>,
    ) -> Result<Self, Fault> {
        let mut head = vec![0; MARK.len() + 16 + 8 + 2];
        let held = fill(&mut from, &mut head)?;
        let begins = MARK.iter().zip(head.iter().take(held)).all(|(mark, byte)| mark == byte);
        match begins {
            true if held < head.len() => return Err(Fault::Unbegun),
            true => {}
            false => return Err(if head.starts_with(ANY_MARK) { Fault::Form } else { Fault::Other }),
        }
        let rest = head.get(MARK.len()..).unwrap_or_default();
        let (Some((id, rest)), Some(length)) = (rest.split_first_chunk::<16>(), rest.last_chunk::<2>()) else {
            return Err(Fault::Other);
        };
        let (id, created) = (FileId(*id), rest.first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes)));
        let mut wrapped = vec![0; usize::from(u16::from_be_bytes(*length))];
        if fill(&mut from, &mut wrapped)? < wrapped.len() {
            return Err(Fault::Unbegun);
        }
        let bytes = unwrap(id, &wrapped).map_err(Fault::Key)?;
        let bytes: Option<&[u8; KEY]> = bytes.first_chunk().filter(|_| bytes.len() == KEY);
        let wrong = || Fault::Key("its key is none".to_owned());
        let key = FileKey::new(bytes.ok_or_else(wrong)?).map_err(|Broken| wrong())?;
        head.extend_from_slice(&wrapped);
        Ok(Reader { from, id, created, key, head: digest_of(&head), number: 0, end: None })
    }

    /// What the file is called, whatever name it has.
    pub fn id(&self) -> FileId {
        self.id
    }

    /// Whether the file at `path` has the name that it was given when it was begun; a copy beside it has another one.
    pub fn is_named(&self, path: &Path) -> bool {
        files::is_name(path, self.created, self.id)
    }

    /// When it was begun.
    pub fn created(&self) -> i64 {
        self.created
    }

    /// The next record, or the end.
    ///
    /// # Errors
    /// If what follows is not what was written there. There is nothing to read any more then.
    #[expect(clippy::should_implement_trait, reason = "an iterator would end without saying how")]
    pub fn next(&mut self) -> Result<Next, Fault> {
        if let Some(end) = self.end {
            return Ok(Next::End(end));
        }
        // Whatever is wrong, nothing behind it counts.
        self.end = Some(End::Open);
        let mut length = [0; BEFORE];
        let held = fill(&mut self.from, &mut length)?;
        if held < BEFORE {
            return Ok(self.ended(if held == 0 { End::Open } else { End::Torn(held as u64) }));
        }
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length <= TAG || length > LONGEST {
            return Err(Fault::Broken(self.number));
        }
        let mut content = Zeroizing::new(Vec::new());
        // What a wrong length promises is not made room for before it is there.
        let held = self.from.by_ref().take(length as u64).read_to_end(&mut content)?;
        if held < length {
            return Ok(self.ended(End::Torn((BEFORE + held) as u64)));
        }
        let number = self.number;
        self.key.open(&self.head, number, &mut content).map_err(|Broken| Fault::Broken(number))?;
        let kind = content.first().copied().and_then(Kind::of).ok_or(Fault::Broken(number))?;
        content.drain(..1);
        self.number += 1;
        self.end = None;
        match kind {
            Kind::Content => Ok(Next::Record(content)),
            Kind::Gap => {
                let missing = content.first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
                Ok(Next::Gap(missing.ok_or(Fault::Broken(number))?))
            }
            Kind::End if fill(&mut self.from, &mut [0])? > 0 => {
                self.end = Some(End::Open);
                Err(Fault::AfterEnd)
            }
            Kind::End => Ok(self.ended(End::Closed)),
        }
    }

    fn ended(&mut self, end: End) -> Next {
        self.end = Some(end);
        Next::End(end)
    }
}

/// Reads until the buffer is full or there is no more; how much is in it.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut held = 0;
    while let Some(rest) = buffer.get_mut(held..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(more) => held += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(held)
}
