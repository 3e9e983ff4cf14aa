//! What can go wrong with a log that is being written.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bartizan_seal::KeyFileError;

use crate::fault::Fault;
use crate::keys::Closed;

/// Why a log could not be opened, or an entry could not be recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    // The caller's fault: the entry can never be written; the log is untouched and goes on.
    /// The entry would not be a line that reads back as it was meant.
    #[error("cannot record this entry: {0}")]
    Entry(&'static str),
    /// The fields could not be turned into JSON.
    #[error("cannot record this entry: its fields do not serialise: {0}")]
    Serialize(#[source] serde_json::Error),
    /// The entry is longer than any line may be.
    #[error("cannot record this entry: {bytes} bytes are more than the {max} a line may have")]
    TooLarge {
        /// Size of the line.
        bytes: usize,
        /// The limit, [`MAX_ENTRY_BYTES`](crate::MAX_ENTRY_BYTES).
        max: usize,
    },

    // The operator's: something about the directory.
    /// Another process, or another [`Log`](crate::Log) in this one, has the directory open.
    #[error("the audit log in {} is already being written{}", dir.display(), by(*.pid))]
    Locked {
        /// The directory.
        dir: PathBuf,
        /// The process that wrote the lock file.
        pid: Option<u32>,
    },
    /// Someone else could replace or read the log.
    #[error("refusing the audit log at {}: {why}", path.display())]
    Insecure {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The end of the log is not what was written; move the directory away to keep the evidence and start afresh.
    #[error("the audit log is damaged: {0}")]
    Damaged(#[source] Box<Fault>),
    /// Opening failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What is sealed does not open, or cannot be sealed. Nothing was written.
    #[error("the audit log does not open: {0}")]
    Sealed(#[from] Closed),
    /// There is no master key to seal it with.
    #[error("the master key of the audit log: {0}")]
    Keys(#[from] KeyFileError),
    /// No random bytes for the salt.
    #[error("the system gave no random bytes: {0}")]
    Random(#[source] getrandom::Error),

    // The machine's: nothing was recorded.
    /// The entry was not written (disk full, I/O error). The log stays consistent and the next append tries again.
    #[error("the audit entry was not written: {0}")]
    Write(#[source] io::Error),
    /// The file was deleted while in use. Permanent: entries would be written where nobody can read them.
    #[error("the audit log file was deleted while in use")]
    Removed,
    /// Syncing failed, now or earlier. Permanent, as the kernel may have dropped the data while later syncs succeed.
    #[error("the audit log could not be synced to disk and accepts nothing more: {0}")]
    Sync(#[source] Arc<io::Error>),
}

fn by(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" by process {pid}")).unwrap_or_default()
}
