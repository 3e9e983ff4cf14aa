//! In the place of the way out of confined servers, without the feature `tls`: there is none, and none is asked for,
//! because the configuration refuses it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bartizan_config::Sandbox;
use bartizan_config::learned::HostUse;
use bartizan_sandbox::Launch;

use crate::recorder::Recorder;

/// There is none of these.
#[derive(Debug)]
pub(crate) enum WayOut {}

/// Nor of these.
#[derive(Debug)]
pub enum Way {}

impl WayOut {
    /// There is none to do so.
    pub(crate) fn open(self: &Arc<Self>, _launch: &mut Launch) -> io::Result<Way> {
        match **self {}
    }

    /// There is none to do so.
    pub(crate) fn only_reports(&self) -> bool {
        match *self {}
    }

    /// There is none to do so.
    pub(crate) fn private(&self) -> Vec<(String, String)> {
        match *self {}
    }

    /// There is none to do so.
    pub(crate) fn follow(self: &Arc<Self>, _now: Option<&Arc<WayOut>>) {
        match **self {}
    }
}

/// There is none, and this fails where one would be needed.
pub(crate) fn of(_server: &str, sandbox: &Sandbox, _recorder: &Arc<Recorder>) -> io::Result<Option<Arc<WayOut>>> {
    refuse(sandbox).map(|()| None)
}

/// The same, of which nobody is told.
pub(crate) fn of_told(
    _server: &str,
    sandbox: &Sandbox,
    _recorder: &Arc<Recorder>,
    _seen: Seen,
) -> io::Result<Option<Arc<WayOut>>> {
    refuse(sandbox).map(|()| None)
}

/// The same.
pub(crate) fn open(
    _server: &str,
    sandbox: &Sandbox,
    _launch: &mut Launch,
    _recorder: &Arc<Recorder>,
) -> io::Result<Option<Way>> {
    refuse(sandbox).map(|()| None)
}

/// The same, for what installs a server's packages.
pub(crate) fn open_to_install(
    _server: &str,
    sandbox: &Sandbox,
    _launch: &mut Launch,
    _recorder: &Arc<Recorder>,
    _seen: Seen,
) -> io::Result<Option<Way>> {
    refuse(sandbox).map(|()| None)
}

/// The same, where nothing is recorded.
pub(crate) fn try_open(_server: &str, sandbox: &Sandbox, _launch: &mut Launch) -> io::Result<Option<Way>> {
    refuse(sandbox).map(|()| None)
}

/// Who would be told of each host that is asked for.
pub(crate) type Seen = Arc<dyn Fn(HostUse) + Send + Sync>;

/// There is none, so that nothing is reached.
///
/// # Errors
/// If hosts were named.
pub(crate) fn open_to_see(
    _server: &str,
    (_sandbox, hosts): (&Sandbox, Option<&[String]>),
    _launch: &mut Launch,
    _recorder: &Arc<Recorder>,
    _seen: Seen,
) -> io::Result<Option<Way>> {
    if hosts.is_some() {
        return Err(io::Error::other("this bartizan is built without TLS, and cannot tell what passes"));
    }
    Ok(None)
}

fn refuse(sandbox: &Sandbox) -> io::Result<()> {
    if !sandbox.hosts.is_empty() {
        return Err(io::Error::other("this bartizan is built without TLS, and cannot tell what passes"));
    }
    Ok(())
}

/// Refuses.
///
/// # Errors
/// Always.
pub fn relay(_socket: &Path, _told: &str) -> io::Result<Box<dyn FnOnce()>> {
    Err(io::ErrorKind::Unsupported.into())
}
