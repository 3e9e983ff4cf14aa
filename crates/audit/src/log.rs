//! The log as its users see it: open, append, make durable.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::json;

use crate::chain::{self, Chain, Head};
use crate::entry::Entry;
use crate::error::AuditError;
use crate::files;
use crate::grow;
use crate::heads::{self, Heads};
use crate::id::Id;
use crate::keys::{At, Keys};
use crate::receipt::Receipt;
use crate::recover::{self, KEY, OPENED, Recovery, Torn};
use crate::sealed::{self, Rewrapped};
use crate::sync::{Pending, Syncer};
use crate::writer::Writer;

/// How a log is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// A file that would grow beyond this is closed, with the number of its first entry in its name, and the log goes on in a new
    /// one.
    pub max_file_bytes: u64,
    /// Whether what is written is sealed, if there are keys; they open what was sealed before either way.
    pub seal: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_file_bytes: 256 << 20, seal: true }
    }
}

/// Whether a log takes entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// It does.
    Writing,
    /// The last append failed. The next one tries again and, if it succeeds, the log is `Writing` again.
    Failed,
    /// It never will again: syncing failed, or the file was deleted. Open the log anew to go on.
    Dead,
}

/// A log that is open for writing: one for each directory, shared by all threads.
pub struct Log {
    dir: PathBuf,
    keys: Keys,
    /// Held for one line at a time: from numbering it until it is written, as each line needs the hash of the last.
    writer: Mutex<Writer>,
    /// Before the lock, so that the last checkpoint is made and the last sync done when another process may take over.
    heads: Heads,
    syncer: Arc<Syncer>,
    _lock: File,
}

impl Log {
    /// Opens a log, creating it and its directory if needed, and says in what state it was.
    ///
    /// With keys, the lines are sealed from now on; what is there stays as it is. A log that is sealed does not open without the key.
    ///
    /// The directory is made for its owner only; one that others may write to is refused, and so is one that another
    /// writer has open. What a crash left of an unfinished last entry is removed, reported and recorded. The last
    /// entry must follow from the one before it, else the log is damaged and stays untouched.
    pub fn open<'a>(log: impl Into<At<'a>>, options: &Options) -> Result<(Self, Recovery), AuditError> {
        let at = log.into();
        let dir = at.dir;
        files::prepare(dir)?;
        let lock = files::lock(dir)?;
        let failed = |action| move |source| AuditError::Io { action, path: dir.to_owned(), source };
        files::remove_if_there(&dir.join(files::NEXT)).map_err(failed("tidy up"))?;
        let (end, torn) = recover::find_end(at)?;
        let kept = heads::kept_key(at)?;
        let grown = grow::tree(at, kept.as_ref(), end.as_ref())?;
        recover::cut(dir, &torn)?;
        let head = end.map(|end| end.head);

        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(AuditError::Random)?;
        let writer = Writer::open(at, head, Chain::genesis(&salt), options)?;
        let targets = vec![Writer::directory(dir).map_err(failed("open"))?, writer.file()];
        let syncer = Syncer::start(targets, writer.head().seq).map_err(failed("start the sync thread for"))?;
        let syncer = Arc::new(syncer);
        let (signer, new_key) = match kept {
            Some(signer) => (signer, None),
            None => heads::new_key().map(|(signer, text)| (signer, Some(text)))?,
        };
        let heads = Heads::new(dir, signer, (grown.kept, grown.edge));
        if head.is_none() {
            // A log has a checkpoint from the start on, be it of no entries.
            heads.write().map_err(failed("write a checkpoint in"))?;
        }
        let (writer, keys) = (Mutex::new(writer), at.keys.clone());
        let mut log = Self { dir: dir.to_owned(), keys, writer, heads, syncer, _lock: lock };
        let anew = grown.anew.filter(|_| head.is_some());
        log.begin(head.is_none().then_some(&salt), new_key.is_some(), anew, &torn)?;
        if new_key.is_some() || anew.is_some() {
            // What the log says of its key is on disk before the key is, and both before there is a checkpoint with it.
            log.syncer.wait_for(log.head().seq)?;
        }
        new_key.map_or(Ok(()), |text| heads::keep_key(at, &text))?;
        rewrap(at)?;
        if anew.is_some() {
            log.heads.write().map_err(failed("write a checkpoint in"))?;
        }
        let syncer = Arc::clone(&log.syncer);
        log.heads.start(syncer).map_err(failed("start the thread of checkpoints for"))?;
        let recovery = Recovery { created: head.is_none(), torn, anew, head: log.head() };
        Ok((log, recovery))
    }

    /// Records what was found and done when it was opened.
    fn begin(
        &self,
        salt: Option<&[u8; 16]>,
        is_new_key: bool,
        anew: Option<&str>,
        torn: &[Torn],
    ) -> Result<(), AuditError> {
        let key = self.heads.key().to_string();
        if let Some(salt) = salt {
            self.append_own(OPENED, &json!({"format": 1, "salt": chain::to_hex(salt), "key": key}))?;
        } else if is_new_key {
            self.append_own(KEY, &json!({"key": key}))?;
        }
        if let Some(why) = anew {
            self.append_own("log.tree", &json!({"why": why}))?;
        }
        for Torn { file, offset, bytes, sha256 } in torn {
            self.append_own(
                "log.recovered",
                &json!({"file": file, "offset": offset, "bytes": bytes, "sha256": sha256}),
            )?;
        }
        Ok(())
    }

    /// Records an entry: one `write` under a mutex, a few microseconds, so that it may be called from async code.
    ///
    /// After an error nothing was recorded. If the machine was at fault (disk full), the next append tries again.
    pub fn append<F: Serialize + ?Sized>(&self, entry: &Entry<'_, F>) -> Result<Receipt, AuditError> {
        self.refuse_if_dead()?;
        self.writer().append(entry, &self.syncer, &self.heads)
    }

    /// Puts the entry on disk, together with whatever else is waiting; await the result or [`Pending::wait`] for it.
    ///
    /// The receipt must be this log's. If syncing fails once, this log accepts nothing more, not even
    /// [`Level::Written`]: the kernel may have thrown the data away, and a later sync would not tell.
    pub fn make_durable(&self, receipt: Receipt) -> Pending {
        self.syncer.request(receipt)
    }

    /// The newest entry.
    pub fn head(&self) -> Head {
        self.writer().head()
    }

    /// Whether the log takes entries.
    pub fn state(&self) -> State {
        let writer = self.writer();
        if self.syncer.is_dead() || writer.removed() {
            State::Dead
        } else if writer.failed() {
            State::Failed
        } else {
            State::Writing
        }
    }

    /// Waits until all that was recorded so far is under a checkpoint, for a few seconds at the most. A log does so by itself
    /// each second and when it is dropped; this is for a process that ends without dropping it.
    pub fn settle(&self) {
        self.heads.settle();
    }

    /// Why the last try to make a checkpoint of what was recorded failed, if it did.
    pub fn behind(&self) -> Option<String> {
        self.heads.failure()
    }

    /// Where the log is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the log is, and what opens it.
    pub fn at(&self) -> At<'_> {
        At { dir: &self.dir, keys: &self.keys }
    }

    fn refuse_if_dead(&self) -> Result<(), AuditError> {
        if !self.syncer.is_dead() {
            return Ok(());
        }
        self.syncer.failure().map_or(Ok(()), |failure| Err(AuditError::Sync(failure)))
    }

    fn append_own(&self, kind: &str, fields: &serde_json::Value) -> Result<Receipt, AuditError> {
        let mut random = [0; 10];
        getrandom::fill(&mut random).map_err(AuditError::Random)?;
        let at_micros = now();
        self.append(&Entry { id: Id::new(at_micros, random), at_micros, kind, fields })
    }

    /// The caller's `Serialize` runs under this lock and may panic. It only fills the buffer, which the next append
    /// starts afresh, so a poisoned lock is no reason to stop recording.
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wraps the keys of a log's files, and of its checkpoints, with the newest of its keys, also while it is written. Without keys nothing
/// is done.
///
/// # Errors
/// If one cannot be read or written. Those before it are wrapped anew then, and none is lost.
pub fn rewrap<'a>(log: impl Into<At<'a>>) -> Result<Rewrapped, AuditError> {
    let log = log.into();
    if log.keys.is_none() {
        return Ok(Rewrapped::default());
    }
    let (own, files) = (heads::rewrap_key(log)?, sealed::rewrap(log.dir, log.keys)?);
    Ok(Rewrapped { anew: own.anew + files.anew, left: own.left + files.left })
}

/// Whether somebody has the log in `dir` open for writing.
#[must_use]
pub fn is_open(dir: &Path) -> bool {
    dir.is_dir() && matches!(files::lock(dir), Err(AuditError::Locked { .. }))
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("dir", &self.dir).field("head", &self.head()).finish_non_exhaustive()
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use super::*;
    use crate::sync::Target;

    struct BrokenDisk;

    impl Target for BrokenDisk {
        fn sync(&self) -> io::Result<()> {
            Err(io::Error::other("broken"))
        }
    }

    #[test]
    fn after_a_failed_sync_nothing_more_is_accepted() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, _) = Log::open(dir.path(), &Options::default()).unwrap();
        log.syncer = Arc::new(Syncer::start(vec![Arc::new(BrokenDisk)], 0).unwrap());
        let receipt = log.append_own("test", &json!({})).unwrap();
        assert!(matches!(log.make_durable(receipt).wait(), Err(AuditError::Sync(_))));
        assert!(matches!(log.append_own("test", &json!({})), Err(AuditError::Sync(_))));
        assert_eq!((log.state(), log.head().seq), (State::Dead, 2));
        drop(log);
        let (_, recovery) = Log::open(dir.path(), &Options::default()).unwrap();
        assert_eq!((recovery.created, recovery.head.seq), (false, 2));
    }
}
