//! Starts a program of our own that outlives us: the user's Bartizan, by whichever bridge comes first.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::SpawnError;

/// Starts `program` in the root directory, with nothing of ours but the environment; what it says goes to `log`.
///
/// It shares our session until it calls [`leave_session`], which it should do first of all.
///
/// # Errors
/// If it cannot be started or `log` cannot be written.
pub fn spawn_detached(program: &Path, arguments: &[&OsStr], log: &Path) -> Result<(), SpawnError> {
    let other = |step| move |source| SpawnError::Other { step, source };
    let log = File::options().create(true).append(true).mode(0o600).open(log).map_err(other("open the log"))?;
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(other("start bartizan"))?;
    // Whoever waits for us must not find a zombie of ours.
    std::thread::spawn(move || child.wait());
    Ok(())
}

/// Leaves the session of whoever started this process, so that neither its terminal nor its end concern us.
pub fn leave_session() {
    // Fails only for the leader of a process group, who has nobody to leave.
    rustix::process::setsid().ok();
}
