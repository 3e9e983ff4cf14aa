//! Puts lines into the current file, and keeps the file right when that fails.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use crate::chain::{Chain, Head};
use crate::entry::{self, Entry};
use crate::error::AuditError;
use crate::files::Source;
use crate::heads::Heads;
use crate::keys::{At, Keys};
use crate::log::Options;
use crate::receipt::Receipt;
use crate::sealed::{self, LineKey};
use crate::sync::{Syncer, Target};
use crate::{files, recover, tree};

/// The one place that writes. `length` and `head` always describe whole lines that are in the file; they move only
/// after a write succeeded, so any failure before that leaves the log where it was.
pub(crate) struct Writer {
    dir: PathBuf,
    keys: Keys,
    file: Arc<File>,
    /// What seals the lines of the file, in a log that is sealed.
    key: Option<LineKey>,
    /// Up to here the file holds whole lines.
    length: u64,
    /// Number of the file's first entry, which becomes its name when it is closed.
    first_seq: u64,
    head: Head,
    /// The line being made; kept to save an allocation for each.
    buffer: Vec<u8>,
    /// The same as it is sealed.
    sealed: Vec<u8>,
    /// A failed write may have left bytes behind `length`; they go before anything else is written.
    untidy: bool,
    /// The last append failed for want of the machine, not for a fault in the entry.
    failed: bool,
    removed: bool,
    /// The second in which the file was last seen to have a name.
    checked_second: i64,
    max_file_bytes: u64,
    /// Beyond this length the file is closed.
    rotate_at: u64,
    /// A rotation stopped halfway: the current file has its final name, but there is no next one yet.
    renamed: bool,
}

impl Writer {
    /// Takes up a log that ends with `head`, or starts an empty one whose first line will follow `genesis`.
    pub(crate) fn open(log: At<'_>, head: Option<Head>, genesis: Chain, options: &Options) -> Result<Self, AuditError> {
        let is_sealed = options.seal && !log.keys.is_none();
        put_away(log, files::current(!is_sealed))?;
        let (file, key) = take_up(log, is_sealed)?;
        let source = Source { name: files::current(is_sealed).to_owned(), first_seq: None, file };
        let path = log.dir.join(&source.name);
        let read = |source| AuditError::Io { action: "read", path, source };
        let length = source.file.metadata().map_err(read)?.len();
        let head = head.unwrap_or(Head { seq: 0, chain: genesis });
        let first_seq = recover::first_seq(log, &source)?.unwrap_or(head.seq + 1);
        Ok(Self {
            dir: log.dir.to_owned(),
            keys: log.keys.clone(),
            file: Arc::new(source.file),
            key,
            length,
            first_seq,
            head,
            buffer: Vec::with_capacity(4096),
            sealed: Vec::new(),
            untidy: false,
            failed: false,
            removed: false,
            checked_second: i64::MIN,
            max_file_bytes: options.max_file_bytes,
            rotate_at: options.max_file_bytes,
            renamed: false,
        })
    }

    pub(crate) fn head(&self) -> Head {
        self.head
    }

    pub(crate) fn failed(&self) -> bool {
        self.failed
    }

    pub(crate) fn removed(&self) -> bool {
        self.removed
    }

    /// What must be synced for the names of new files.
    pub(crate) fn directory(dir: &Path) -> io::Result<Arc<dyn Target>> {
        Ok(Arc::new(File::open(dir)?))
    }

    pub(crate) fn file(&self) -> Arc<dyn Target> {
        self.file.clone()
    }

    pub(crate) fn append<F: Serialize + ?Sized>(
        &mut self,
        entry: &Entry<'_, F>,
        syncer: &Syncer,
        heads: &Heads,
    ) -> Result<Receipt, AuditError> {
        let seq = self.head.seq + 1;
        let chain = entry::render(&mut self.buffer, seq, &self.head.chain, entry)?;
        let leaf = tree::leaf(self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer));
        let written = self.write(entry.at_micros.div_euclid(1_000_000), syncer);
        self.failed = written.is_err();
        written?;
        self.head = Head { seq, chain };
        syncer.written(seq);
        heads.push(leaf);
        Ok(Receipt::written(seq, entry.id))
    }

    fn write(&mut self, second: i64, syncer: &Syncer) -> Result<(), AuditError> {
        self.check_name(second)?;
        if self.untidy {
            self.tidy().map_err(AuditError::Write)?;
        }
        if self.length > self.begin() && self.length + self.buffer.len() as u64 > self.rotate_at {
            self.rotate(syncer);
        }
        let line = match &mut self.key {
            Some(key) => {
                key.seal(&mut self.buffer, &mut self.sealed).map_err(AuditError::Write)?;
                &self.sealed
            }
            None => &self.buffer,
        };
        self.untidy = true;
        match self.file.write_all_at(line, self.length) {
            Ok(()) => {
                self.untidy = false;
                self.length += line.len() as u64;
                Ok(())
            }
            Err(error) => {
                // If this fails too, `untidy` stays set and the next append tries again before it writes.
                let _ = self.tidy();
                Err(AuditError::Write(error))
            }
        }
    }

    /// Where the first line of a file begins.
    fn begin(&self) -> u64 {
        if self.key.is_some() { sealed::HEADER } else { 0 }
    }

    /// Removes what a failed write left, so that no half line ever stands before a whole one.
    fn tidy(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        self.untidy = false;
        Ok(())
    }

    /// Notices once a second that the file was deleted: writes would go on to succeed and record nothing.
    fn check_name(&mut self, second: i64) -> Result<(), AuditError> {
        if !self.removed && second != self.checked_second {
            self.checked_second = second;
            self.removed = self.file.metadata().map_err(AuditError::Write)?.nlink() == 0;
        }
        if self.removed { Err(AuditError::Removed) } else { Ok(()) }
    }

    /// Closes the current file and goes on in a new one. If that fails, the current file simply grows beyond its limit
    /// until a later attempt succeeds: an oversized file is better than a lost entry.
    fn rotate(&mut self, syncer: &Syncer) {
        match self.next_file() {
            Ok((file, key, directory)) => {
                self.file = Arc::new(file);
                self.key = key;
                self.length = self.begin();
                self.first_seq = self.head.seq + 1;
                self.rotate_at = self.max_file_bytes;
                syncer.add([directory, self.file()]);
            }
            Err(_) => self.rotate_at = self.length + self.max_file_bytes / 16,
        }
    }

    /// A crash between any two of these steps leaves a log that opens again: what is named `audit.next` has no
    /// entry and is thrown away, and a log may lack a current file.
    fn next_file(&mut self) -> io::Result<(File, Option<LineKey>, Arc<dyn Target>)> {
        let is_sealed = self.key.is_some();
        let (current, next) = (self.dir.join(files::current(is_sealed)), self.dir.join(files::NEXT));
        let closed = self.dir.join(files::closed_name(self.first_seq, is_sealed));
        let directory = Self::directory(&self.dir)?;
        let log = At { dir: &self.dir, keys: &self.keys };
        let (file, key) = begin(log, is_sealed).map_err(io::Error::other)?;
        if !self.renamed {
            if fs::exists(&closed)? {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(&current, &closed)?;
            self.renamed = true;
        }
        fs::rename(&next, &current)?;
        self.renamed = false;
        Ok((file, key, directory))
    }
}

/// Begins a file under the name that it has until it is the current one.
fn begin(log: At<'_>, is_sealed: bool) -> Result<(File, Option<LineKey>), AuditError> {
    let next = log.dir.join(files::NEXT);
    let failed = |source| AuditError::Io { action: "create", path: next.clone(), source };
    let file = files::remove_if_there(&next).and_then(|()| files::create(&next)).map_err(failed)?;
    let key = is_sealed.then(|| LineKey::begin(log.dir, log.keys, &file)).transpose()?;
    Ok((file, key))
}

/// Opens the current file, or begins it.
fn take_up(log: At<'_>, is_sealed: bool) -> Result<(File, Option<LineKey>), AuditError> {
    let path = log.dir.join(files::current(is_sealed));
    let failed = |action| {
        let path = path.clone();
        move |source| AuditError::Io { action, path, source }
    };
    match files::open_write(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let begun = begin(log, is_sealed)?;
            fs::rename(log.dir.join(files::NEXT), &path).map_err(failed("create"))?;
            Ok(begun)
        }
        Err(error) => Err(failed("open")(error)),
        Ok(file) => {
            let key = is_sealed.then(|| LineKey::of(log.dir, log.keys, &file)).transpose()?;
            Ok((file, key))
        }
    }
}

/// Closes what was the current file while the log was kept the other way, plain or sealed.
fn put_away(log: At<'_>, name: &str) -> Result<(), AuditError> {
    let path = log.dir.join(name);
    let failed = |source| AuditError::Io { action: "close", path: path.clone(), source };
    let file = match files::open_write(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file.map_err(failed)?,
    };
    let source = Source { name: name.to_owned(), first_seq: None, file };
    match recover::first_seq(log, &source)? {
        None => files::remove_if_there(&path),
        Some(first) => {
            let closed = log.dir.join(files::closed_name(first, files::is_sealed(name)));
            // Its entries are on disk before those that come after them.
            source.file.sync_data().and_then(|()| match fs::exists(&closed)? {
                true => Err(io::ErrorKind::AlreadyExists.into()),
                false => fs::rename(&path, &closed),
            })
        }
    }
    .and_then(|()| files::sync_folder(log.dir))
    .map_err(failed)
}
