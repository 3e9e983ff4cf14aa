//! Why a server could not be wrapped.

use std::path::PathBuf;

use thiserror::Error;

/// Why a server could not be wrapped.
#[derive(Debug, Error)]
pub enum RunError {
    /// No command was given.
    #[error("there is no command to run")]
    NoCommand,
    /// The server cannot be confined as is wished.
    #[error("the server cannot be confined so: {0}")]
    Sandbox(String),
    /// The server could not be started.
    #[error(transparent)]
    Spawn(#[from] bartizan_sandbox::SpawnError),
    /// The gateway could not be set up.
    #[error(transparent)]
    Setup(#[from] crate::setup::SetupError),
    /// The user's Bartizan could not be reached or started.
    #[error("the user's bartizan cannot be reached: {0}")]
    Daemon(String),
    /// The user's Bartizan ended as soon as it was started.
    #[error("the user's bartizan could not be started: {said}\nmore may be in {log}")]
    NotStarted {
        /// The last that it said.
        said: String,
        /// Where it says more.
        log: PathBuf,
    },
    /// The path of the socket is longer than the system takes.
    #[error(
        "the path of the socket is too long for this system: {0}; set BARTIZAN_HOME to a shorter directory, or use --standalone"
    )]
    LongPath(PathBuf),
    /// The user's Bartizan went away in the middle.
    #[error("the user's bartizan ended, and the server with it; start it again in the client. {0} may say why")]
    Ended(PathBuf),
    /// The user's Bartizan refused.
    #[error("{0}")]
    Refused(String),
    /// Another one is running already.
    #[error(
        "another bartizan serves this user already{}; its directory is {}, and `bartizan daemon --stop` ends it",
        .pid.map(|pid| format!(" (process {pid})")).unwrap_or_default(), directory.display()
    )]
    Running {
        /// Its process, if it can be told.
        pid: Option<i32>,
        /// Where both keep their state.
        directory: PathBuf,
    },
    /// A file or socket of ours cannot be used.
    #[error("cannot use {path}: {source}")]
    Path {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}
