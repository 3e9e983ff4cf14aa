//! Where a user's Bartizan keeps its socket, its log and its locks.

use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::RunError;

/// The places below one home directory.
#[derive(Debug, Clone)]
pub struct Paths {
    home: PathBuf,
}

impl Paths {
    /// The places below `home`.
    #[must_use]
    pub fn new(home: PathBuf) -> Self {
        Paths { home }
    }

    /// The directory that all of them are in.
    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    /// Makes the directory for the running state, for its owner only.
    pub(super) fn prepare(&self) -> Result<(), RunError> {
        let directory = self.state();
        let failed = |source| RunError::Path { path: directory.clone(), source };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(failed)?;
        let mode = std::fs::metadata(&directory).map_err(failed)?.permissions().mode();
        if mode & 0o077 != 0 {
            let tight = std::fs::Permissions::from_mode(0o700);
            std::fs::set_permissions(&directory, tight).map_err(failed)?;
        }
        Ok(())
    }

    /// Whether the system takes the path of the socket.
    pub(super) fn check_socket(&self) -> Result<(), RunError> {
        let taken = std::os::unix::net::SocketAddr::from_pathname(self.socket());
        taken.map(drop).map_err(|_| RunError::LongPath(self.socket()))
    }

    /// The socket on which the user's Bartizan listens.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.state().join("sock")
    }

    /// Held by the user's Bartizan while it runs.
    pub(super) fn lock(&self) -> PathBuf {
        self.state().join("lock")
    }

    /// Held by a bridge while it starts one.
    pub(super) fn start_lock(&self) -> PathBuf {
        self.state().join("start.lock")
    }

    /// What the user's Bartizan says of itself.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.state().join("daemon.log")
    }

    /// The audit log of the user's Bartizan.
    #[must_use]
    pub fn audit(&self) -> PathBuf {
        self.state().join("audit")
    }

    /// The audit log of a standalone bridge: one for each process, as a log has one writer.
    #[must_use]
    pub fn standalone_audit(&self, name: &str) -> PathBuf {
        self.home.join("standalone").join(format!("{name}-{}", std::process::id())).join("audit")
    }

    /// The approved definitions.
    #[must_use]
    pub fn mcp_lock(&self) -> PathBuf {
        self.home.join("mcp.lock")
    }

    fn state(&self) -> PathBuf {
        self.home.join("run")
    }
}

/// All audit logs below `home`: of `serve`, of the user's Bartizan, and of standalone bridges.
#[must_use]
pub fn audit_directories(home: &Path) -> Vec<PathBuf> {
    let standalone = std::fs::read_dir(home.join("standalone")).into_iter().flatten().flatten();
    let standalone = standalone.map(|entry| entry.path().join("audit"));
    let fixed = [home.join("audit"), home.join("run").join("audit")];
    fixed.into_iter().chain(standalone).filter(|directory| directory.is_dir()).collect()
}
