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
use crate::heads::Heads;
use crate::receipt::Receipt;
use crate::sync::{Syncer, Target};
use crate::{files, recover, tree};

/// The one place that writes. `length` and `head` always describe whole lines that are in the file; they move only
/// after a write succeeded, so any failure before that leaves the log where it was.
pub(crate) struct Writer {
    dir: PathBuf,
    file: Arc<File>,
    /// Up to here the file holds whole lines.
    length: u64,
    /// Number of the file's first entry, which becomes its name when it is closed.
    first_seq: u64,
    head: Head,
    /// The line being made; kept to save an allocation for each.
    buffer: Vec<u8>,
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
    pub(crate) fn open(dir: &Path, head: Option<Head>, genesis: Chain, max_bytes: u64) -> Result<Self, AuditError> {
        let path = dir.join(files::CURRENT);
        let io = |action| {
            let path = path.clone();
            move |source| AuditError::Io { action, path, source }
        };
        let file = match files::open_write(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => files::create(&path).map_err(io("create"))?,
            other => other.map_err(io("open"))?,
        };
        let length = file.metadata().map_err(io("read"))?.len();
        let head = head.unwrap_or(Head { seq: 0, chain: genesis });
        let first_seq = match length {
            0 => head.seq + 1,
            _ => recover::first_seq(files::CURRENT, &file)?,
        };
        Ok(Self {
            dir: dir.to_owned(),
            file: Arc::new(file),
            length,
            first_seq,
            head,
            buffer: Vec::with_capacity(4096),
            untidy: false,
            failed: false,
            removed: false,
            checked_second: i64::MIN,
            max_file_bytes: max_bytes,
            rotate_at: max_bytes,
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
        if self.length > 0 && self.length + self.buffer.len() as u64 > self.rotate_at {
            self.rotate(syncer);
        }
        self.untidy = true;
        match self.file.write_all_at(&self.buffer, self.length) {
            Ok(()) => {
                self.untidy = false;
                self.length += self.buffer.len() as u64;
                Ok(())
            }
            Err(error) => {
                // If this fails too, `untidy` stays set and the next append tries again before it writes.
                let _ = self.tidy();
                Err(AuditError::Write(error))
            }
        }
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
            Ok((file, directory)) => {
                self.file = Arc::new(file);
                self.length = 0;
                self.first_seq = self.head.seq + 1;
                self.rotate_at = self.max_file_bytes;
                syncer.add([directory, self.file()]);
            }
            Err(_) => self.rotate_at = self.length + self.max_file_bytes / 16,
        }
    }

    /// A crash between any two of these steps leaves a log that opens again: what is named `audit.next` is empty and
    /// is thrown away, and a log may lack a current file.
    fn next_file(&mut self) -> io::Result<(File, Arc<dyn Target>)> {
        let (current, next) = (self.dir.join(files::CURRENT), self.dir.join(files::NEXT));
        let closed = self.dir.join(files::closed_name(self.first_seq));
        let directory = Self::directory(&self.dir)?;
        files::remove_if_there(&next)?;
        let file = files::create(&next)?;
        if !self.renamed {
            if fs::exists(&closed)? {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(&current, &closed)?;
            self.renamed = true;
        }
        fs::rename(&next, &current)?;
        self.renamed = false;
        Ok((file, directory))
    }
}
