//! What is known of a configuration before the rest of it is read.

use std::path::PathBuf;

use bartizan_keyring::Name;

use crate::config::AuditKey;
use crate::secret::Secret;

/// Where a file says that things are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The directory of the audit log.
    pub audit: PathBuf,
    /// Its master key.
    pub audit_key: AuditKey,
    /// The lock file.
    pub lock: PathBuf,
    /// Other lock files that may be meant as well.
    pub other_locks: Vec<PathBuf>,
    /// The database of keys; none if nothing says where it is to be.
    pub store: Option<PathBuf>,
    /// Its master key, if that is given.
    pub store_key: Option<Secret>,
    /// What the keyring calls its master key, if that is kept there.
    pub store_keyring: Option<Name>,
}
