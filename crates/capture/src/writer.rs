//! Writes records into files, begins new ones, and removes old ones.
//!
//! One record is one write, so what was written survives the death of the process by any signal. Nothing waits for the
//! disk: after a loss of power the last records may be gone, which a reader says.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use thiserror::Error;
use zeroize::Zeroizing;

use crate::files::{self, Prepared, Unfit};
use crate::form::{FileId, Kind, LONGEST, OVERHEAD, digest_of, head};
use crate::key::{Broken, FileKey, KEY, random};

/// How much is kept, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The size at which a file is closed.
    pub file_bytes: u64,
    /// What all files may take together; at least twice the size of one.
    pub bytes: u64,
    /// How long a record is kept, in microseconds.
    pub keep: i64,
}

impl Bounds {
    /// How long records go into one file, so that it can be removed in time without others that are much younger.
    fn longest_file(&self) -> i64 {
        (self.keep / 8).max(1)
    }
}

/// Files that were removed, by why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// They were too old.
    pub old: usize,
    /// There was no room for them.
    pub beyond: usize,
}

/// Why a record was not written. Nothing of it is in the file, and the next one may be tried.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The system says so.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The directory is none for captures any more.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// It is longer than a file may be.
    #[error("the record is of {0} bytes, and a file takes less")]
    TooLong(usize),
    /// The key of a new file cannot be wrapped.
    #[error("{0}")]
    Key(String),
    /// Cryptography failed.
    #[error("it cannot be sealed")]
    Sealing,
}

impl From<Broken> for WriteError {
    fn from(Broken: Broken) -> Self {
        WriteError::Sealing
    }
}

/// Wraps the key of a new file, which only what `wrap` gave can be made into again.
pub type Wrap<'a> = dyn FnMut(FileId, &[u8; KEY]) -> Result<Vec<u8>, String> + Send + 'a;

/// Where records are written. It begins a file with the first record.
pub struct Writer {
    directory: Prepared,
    bounds: Bounds,
    wrap: Box<Wrap<'static>>,
    current: Option<Current>,
    buffer: Zeroizing<Vec<u8>>,
}

/// The file being written. `length` and `number` move only once a whole record is in it.
struct Current {
    path: PathBuf,
    file: File,
    key: FileKey,
    head: [u8; 32],
    created: i64,
    length: u64,
    number: u64,
}

impl Writer {
    /// A writer into that directory; others may write there as well, each into files of its own.
    pub fn new(
        directory: Prepared,
        bounds: Bounds,
        wrap: impl FnMut(FileId, &[u8; KEY]) -> Result<Vec<u8>, String> + Send + 'static,
    ) -> Writer {
        Writer { directory, bounds, wrap: Box::new(wrap), current: None, buffer: Zeroizing::default() }
    }

    /// Writes a record at `now`.
    ///
    /// # Errors
    /// If it is not in the file.
    pub fn append(&mut self, now: i64, content: &[u8]) -> Result<(), WriteError> {
        self.write(now, Kind::Content, content)
    }

    /// Writes that so many records are missing here.
    ///
    /// # Errors
    /// If it is not in the file.
    pub fn gap(&mut self, now: i64, missing: u64) -> Result<(), WriteError> {
        self.write(now, Kind::Gap, &missing.to_be_bytes())
    }

    /// Closes the file if it is older than one may get, and removes those that are too old or for which there is no room.
    ///
    /// # Errors
    /// If the directory cannot be read or a file not removed.
    pub fn sweep(&mut self, now: i64) -> io::Result<Removed> {
        if self.current.as_ref().is_some_and(|current| !current.is_of(now, &self.bounds)) {
            self.close()?;
        }
        let own = self.current.as_ref().map(|current| current.path.clone());
        let closed = files::listed(&self.directory.0)?;
        let mut removed = Removed::default();
        let mut left = Vec::new();
        for (created, path) in closed.into_iter().filter(|(_, path)| Some(path) != own.as_ref()) {
            if created < now.saturating_sub(self.bounds.keep) {
                remove(&path)?;
                removed.old += 1;
            } else {
                left.push((fs::symlink_metadata(&path).map_or(0, |meta| meta.len()), path));
            }
        }
        let mut taken: u64 = left.iter().map(|(size, _)| size).sum();
        let room = self.bounds.bytes.saturating_sub(self.bounds.file_bytes);
        for (size, path) in left {
            if taken <= room {
                break;
            }
            remove(&path)?;
            taken = taken.saturating_sub(size);
            removed.beyond += 1;
        }
        Ok(removed)
    }

    /// Closes the file that is being written, if one is.
    ///
    /// # Errors
    /// If that is not written into it, so that a reader cannot tell whether something is missing.
    pub fn close(&mut self) -> io::Result<()> {
        let Some(mut current) = self.current.take() else { return Ok(()) };
        match current.put(&mut self.buffer, Kind::End, &[]) {
            Ok(()) => current.file.sync_all(),
            Err(WriteError::Io(error)) => Err(error),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    fn write(&mut self, now: i64, kind: Kind, content: &[u8]) -> Result<(), WriteError> {
        let length = content.len().saturating_add(OVERHEAD);
        if length > LONGEST || length as u64 > self.bounds.file_bytes {
            return Err(WriteError::TooLong(content.len()));
        }
        let fits = |current: &Current| {
            current.is_of(now, &self.bounds)
                && (current.number == 0 || current.length + length as u64 <= self.bounds.file_bytes)
        };
        if !self.current.as_ref().is_some_and(fits) {
            // What cannot be closed is not added to any more; readers say of it that it was not closed.
            self.close().ok();
            self.begin(now)?;
        }
        let Some(current) = &mut self.current else { return Err(WriteError::Sealing) };
        let written = current.put(&mut self.buffer, kind, content);
        // If what was left of it cannot be cut off, nothing may follow.
        if written.is_err() && current.file.set_len(current.length).is_err() {
            self.current = None;
        }
        written
    }

    fn begin(&mut self, now: i64) -> Result<(), WriteError> {
        // Somebody may have let others in since, or have put another one in its place.
        self.directory.check()?;
        self.sweep(now)?;
        let (id, bytes) = (FileId(*random()?), random::<KEY>()?);
        let wrapped = (self.wrap)(id, &bytes).map_err(WriteError::Key)?;
        let key = FileKey::new(&bytes)?;
        let head = head(id, now, &wrapped).ok_or(WriteError::Sealing)?;
        let path = self.directory.0.join(files::name(now, id));
        let file = files::create(&path)?;
        if let Err(error) = file.write_all_at(&head, 0) {
            fs::remove_file(&path).ok();
            return Err(error.into());
        }
        let length = head.len() as u64;
        self.current = Some(Current { path, file, key, head: digest_of(&head), created: now, length, number: 0 });
        Ok(())
    }
}

impl Current {
    /// Whether what is recorded at `now` may go into it: it is not too old, its clock has not gone back behind it, and it has
    /// a name still.
    fn is_of(&self, now: i64, bounds: &Bounds) -> bool {
        let age = now.saturating_sub(self.created);
        (0..bounds.longest_file()).contains(&age) && self.file.metadata().is_ok_and(|meta| meta.nlink() > 0)
    }

    fn put(&mut self, buffer: &mut Zeroizing<Vec<u8>>, kind: Kind, content: &[u8]) -> Result<(), WriteError> {
        buffer.clear();
        buffer.reserve(content.len() + OVERHEAD);
        buffer.push(kind as u8);
        buffer.extend_from_slice(content);
        self.key.seal(&self.head, self.number, buffer)?;
        let length = u32::try_from(buffer.len()).map_err(|_| WriteError::TooLong(content.len()))?;
        buffer.splice(0..0, length.to_be_bytes());
        self.file.write_all_at(buffer, self.length)?;
        self.length += buffer.len() as u64;
        self.number += 1;
        Ok(())
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        // Another writer of the same directory was faster.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
