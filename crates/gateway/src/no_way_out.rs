//! In the place of the way out of confined servers, without the feature `tls`: there is none, and none is asked for,
//! because the configuration refuses it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bartizan_config::Sandbox;
use bartizan_sandbox::Launch;

use crate::recorder::Recorder;

/// There is none of these.
#[derive(Debug)]
pub enum WayOut {}

impl WayOut {
    /// There is none to do so.
    pub(crate) fn follow(&self, _now: Option<&WayOut>) {
        match *self {}
    }
}

/// Opens none, and fails where one would be needed.
pub(crate) fn open(
    server: &str,
    sandbox: Option<&Sandbox>,
    launch: &mut Launch,
    _recorder: &Arc<Recorder>,
) -> io::Result<Option<WayOut>> {
    try_open(server, sandbox, launch)
}

/// The same.
pub(crate) fn try_open(_server: &str, sandbox: Option<&Sandbox>, _launch: &mut Launch) -> io::Result<Option<WayOut>> {
    if sandbox.is_some_and(|sandbox| !sandbox.hosts.is_empty()) {
        return Err(io::Error::other("this bartizan is built without TLS, and cannot tell what passes"));
    }
    Ok(None)
}

/// Refuses.
///
/// # Errors
/// Always.
pub fn relay(_socket: &Path, _told: &str) -> io::Result<Box<dyn FnOnce()>> {
    Err(io::ErrorKind::Unsupported.into())
}
