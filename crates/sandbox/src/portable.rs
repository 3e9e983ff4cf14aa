//! Starting a server on a Unix other than Linux: a process group that is killed as a whole.
//!
//! Weaker than on Linux: what leaves the group survives, and so does everything if the gateway is killed.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::net::unix::pipe;
use tokio::process::Command;
use tokio::sync::{mpsc, watch};

use crate::child::Order;
use crate::probe::{Device, Host, Kept};
use crate::{Child, ExitStatus, Launch, Limits, SpawnError, Watch};

/// Does nothing: there is no launcher here.
pub fn init_if_asked() {}

/// Does nothing: there is no launcher here.
pub fn set_init_program(_program: impl Into<PathBuf>) {}

/// Does nothing: this system cannot adopt orphans.
pub fn adopt_orphans() {}

/// What relays beside confined servers do; there are none here.
pub type RelayProgram = fn(socket: &Path, told: &str) -> io::Result<Box<dyn FnOnce()>>;

/// Does nothing: nothing can be confined here.
pub fn set_relay_program(_program: RelayProgram) {}

/// Keeps none: there are no control groups here.
#[must_use]
pub fn kept(_limits: &Limits) -> Kept {
    Kept::default()
}

/// Finds nothing that could confine a server.
///
/// # Errors
/// Never.
#[expect(clippy::unused_async, reason = "where there is something to find out, it takes time")]
pub async fn probe(_changeable: Option<Vec<PathBuf>>) -> io::Result<Host> {
    let system = rustix::system::uname();
    let parts = [system.sysname(), system.release(), system.machine()];
    Ok(Host {
        system: parts.map(|part| part.to_string_lossy().into_owned()).join(" "),
        walls: Vec::new(),
        landlock: None,
        seccomp_actions: Vec::new(),
        group_versions: Vec::new(),
        groups: Kept::default(),
        modules: None,
        apparmor_restricts: false,
        kvm: Device::Absent,
        runtimes: Vec::new(),
    })
}

/// Refuses: what somebody looks around in is confined.
pub(crate) async fn start_with(_launch: &Launch, _stdio: [OwnedFd; 3]) -> Result<Child, SpawnError> {
    Err(SpawnError::Sandbox { step: "be made: this system has none of what it needs".to_owned(), source: None })
}

/// Refuses: what is watched is confined.
#[expect(clippy::unused_async, reason = "where there is something to watch, it takes time")]
pub(crate) async fn start_watched(_launch: &Launch, _stdio: [OwnedFd; 3], _watch: Watch) -> Result<Child, SpawnError> {
    Err(SpawnError::Sandbox { step: "be watched: this system has none of what that needs".to_owned(), source: None })
}

pub(crate) async fn start(launch: &Launch) -> Result<Child, SpawnError> {
    if launch.confinement.is_some() {
        return Err(cannot_confine());
    }
    let pipes = |error| SpawnError::system("make the server's pipes", error);
    let (server_stdin, stdin) = io::pipe().map_err(pipes)?;
    let (stdout, server_stdout) = io::pipe().map_err(pipes)?;
    let (stderr, server_stderr) = io::pipe().map_err(pipes)?;
    let mut command = Command::new(&launch.program);
    command.args(&launch.args).env_clear().envs(launch.env.iter()).process_group(0);
    command.stdin(OwnedFd::from(server_stdin)).stdout(OwnedFd::from(server_stdout));
    command.stderr(OwnedFd::from(server_stderr)).kill_on_drop(true);
    if let Some(cwd) = &launch.cwd {
        std::fs::read_dir(cwd).map_err(|source| SpawnError::Directory { cwd: cwd.clone(), source })?;
        command.current_dir(cwd);
    }
    let server = command.spawn().map_err(|error| explain(error, launch))?;
    drop(command);
    let pid = server.id().unwrap_or_default();
    let (orders, inbox) = mpsc::unbounded_channel();
    let (status, ended) = watch::channel(None);
    tokio::spawn(look_after(server, pid, inbox, status, launch.grace));
    Ok(Child {
        stdin: Some(pipe::Sender::from_owned_fd(stdin.into()).map_err(pipes)?),
        stdout: Some(pipe::Receiver::from_owned_fd(stdout.into()).map_err(pipes)?),
        stderr: Some(pipe::Receiver::from_owned_fd(stderr.into()).map_err(pipes)?),
        pid,
        program: PathBuf::from(&launch.program),
        grace: launch.grace,
        orders,
        status: ended,
    })
}

/// Looks for what a start could miss: there is nothing to put up here.
#[expect(clippy::unused_async, reason = "where there is something to put up, it takes time")]
pub(crate) async fn try_out(launch: &Launch) -> Result<(), SpawnError> {
    if launch.confinement.is_some() {
        return Err(cannot_confine());
    }
    if let Some(cwd) = &launch.cwd {
        std::fs::read_dir(cwd).map_err(|source| SpawnError::Directory { cwd: cwd.clone(), source })?;
    }
    let start = launch.cwd.clone().unwrap_or_default();
    let found = if launch.program.as_encoded_bytes().contains(&b'/') {
        start.join(&launch.program).is_file()
    } else {
        let path = launch.env.get("PATH").unwrap_or_default();
        std::env::split_paths(path).any(|directory| start.join(directory).join(&launch.program).is_file())
    };
    if found { Ok(()) } else { Err(explain(io::ErrorKind::NotFound.into(), launch)) }
}

fn cannot_confine() -> SpawnError {
    SpawnError::Sandbox { step: "be made: this system has none of what it needs".to_owned(), source: None }
}

async fn look_after(
    mut server: tokio::process::Child,
    pid: u32,
    mut orders: mpsc::UnboundedReceiver<Order>,
    status: watch::Sender<Option<ExitStatus>>,
    grace: Duration,
) {
    loop {
        tokio::select! {
            _ = server.wait() => break,
            order = orders.recv() => {
                if let Some(Order::Signal(signal)) = order {
                    signal_group(pid, signal.system());
                    continue;
                }
                signal_group(pid, Signal::TERM);
                tokio::time::timeout(grace, server.wait()).await.ok();
                break;
            }
        }
    }
    signal_group(pid, Signal::KILL);
    let ended = server.wait().await.map(|status| match (status.code(), status.signal()) {
        (Some(code), _) => ExitStatus::Code(code),
        (None, signal) => ExitStatus::Signal(signal.unwrap_or(Signal::KILL.as_raw())),
    });
    status.send_replace(Some(ended.unwrap_or(ExitStatus::Signal(Signal::KILL.as_raw()))));
}

fn signal_group(pid: u32, signal: Signal) {
    // A group with members keeps its number, so as long as something is left it is the right group.
    if let Some(group) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        rustix::process::kill_process_group(group, signal).ok();
    }
}

fn explain(source: io::Error, launch: &Launch) -> SpawnError {
    let searched = !launch.program.as_encoded_bytes().contains(&b'/');
    if searched && source.kind() == io::ErrorKind::NotFound {
        let path = launch.env.get("PATH").map(Into::into);
        return SpawnError::NotFound { program: launch.program.clone(), path };
    }
    if source.kind() == io::ErrorKind::NotFound && !PathBuf::from(&launch.program).exists() {
        return SpawnError::NotFound { program: launch.program.clone(), path: None };
    }
    SpawnError::exec(PathBuf::from(&launch.program), source)
}
