//! Starting a server on Linux, through a launcher of our own.

mod calls;
mod confine;
mod init;
mod orphans;
mod probe;
mod server;
mod supervise;
mod sys;
mod tree;
mod watcher;
mod wire;

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::OnceLock;

use tokio::net::unix::pipe;
use tokio::process::Command;
use tokio::sync::{mpsc, oneshot, watch};

pub use confine::{RelayProgram, set_relay_program};
pub use orphans::adopt_orphans;
pub use probe::{kept, probe};

use crate::watched::Watch;
use crate::{Child, ExitStatus, Launch, SpawnError};
use supervise::Supervisor;
use wire::Failure;

/// The argument by which a program knows that it is to be the launcher.
const ARGUMENT: &str = "__bartizan-init";

static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Follows it if what this host offers is to be tried, and nothing started.
const PROBE: &str = "probe";
/// Follows it if the server is to be confined.
const CONFINED: &str = "confined";
/// Follows it if a runtime is to stand between the sandbox and the server.
const MONITORED: &str = "monitored";
/// Follows it in the server's own process in a container.
const SEALED: &str = "sealed";
/// The same for a trial: nothing follows.
const SEALED_ONLY: &str = "sealed-only";
/// Follows it where a trial needs a program that does nothing.
const NOTHING: &str = "nothing";

/// What the launcher has to know before it can be told anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Walls {
    None,
    Process,
    /// Those, and a runtime's in them.
    Monitored,
}

/// Plays the launcher's part, and never returns, if this process was started for that.
///
/// Must be the first thing `main` does, before it starts a thread or opens a file.
pub fn init_if_asked() {
    if std::env::args_os().nth(1).is_some_and(|argument| argument == ARGUMENT) {
        let how = std::env::args_os().nth(2).unwrap_or_default();
        match how.to_str() {
            Some(PROBE) => probe::run(),
            Some(SEALED) => confine::run_sealed(false),
            Some(SEALED_ONLY) => confine::run_sealed(true),
            Some(NOTHING) => std::process::exit(0),
            Some(MONITORED) => init::run(Walls::Monitored),
            Some(CONFINED) => init::run(Walls::Process),
            _ => init::run(Walls::None),
        }
    }
}

/// Names the program to start as the launcher instead of this one.
///
/// For a process whose `main` cannot call [`init_if_asked`], such as a test harness. The first call holds.
pub fn set_init_program(program: impl Into<PathBuf>) {
    PROGRAM.set(program.into()).ok();
}

pub(crate) async fn start(launch: &Launch) -> Result<Child, SpawnError> {
    begin(launch, false).await
}

/// Starts it, but for the program.
pub(crate) async fn try_out(launch: &Launch) -> Result<(), SpawnError> {
    let child = begin(launch, true).await?;
    match child.wait().await {
        ExitStatus::Code(0) => Ok(()),
        status => Err(SpawnError::Sandbox { step: format!("be kept up: what is in it {status}"), source: None }),
    }
}

async fn begin(launch: &Launch, trial: bool) -> Result<Child, SpawnError> {
    let pipes = |error| SpawnError::system("make the server's pipes", error);
    let (server_stdin, stdin) = io::pipe().map_err(pipes)?;
    let (stdout, server_stdout) = io::pipe().map_err(pipes)?;
    let (stderr, server_stderr) = io::pipe().map_err(pipes)?;
    let stdin = pipe::Sender::from_owned_fd(stdin.into()).map_err(pipes)?;
    let stdout = pipe::Receiver::from_owned_fd(stdout.into()).map_err(pipes)?;
    let stderr = pipe::Receiver::from_owned_fd(stderr.into()).map_err(pipes)?;
    let theirs = [server_stdin.into(), server_stdout.into(), server_stderr.into()];
    let child = hand_over(launch, theirs, None, trial).await?;
    Ok(Child { stdin: Some(stdin), stdout: Some(stdout), stderr: Some(stderr), ..child })
}

/// Starts it with what somebody else reads and writes.
pub(crate) async fn start_with(launch: &Launch, stdio: wire::Stdio) -> Result<Child, SpawnError> {
    hand_over(launch, stdio, None, false).await
}

/// The same, and has what it asks the system for looked at.
pub(crate) async fn start_watched(launch: &Launch, stdio: wire::Stdio, watch: Watch) -> Result<Child, SpawnError> {
    can_watch()?;
    let pair = std::os::unix::net::UnixStream::pair();
    let (ours, theirs) = pair.map_err(|error| SpawnError::system("make the socket of the watch", error))?;
    hand_over(launch, stdio, Some((ours.into(), theirs.into(), watch)), false).await
}

/// Refuses where the kernel does not offer what a watch needs.
fn can_watch() -> Result<(), SpawnError> {
    let actions = std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail").unwrap_or_default();
    let source = match sys::can_watch_system_calls() {
        Ok(()) if actions.split_ascii_whitespace().any(|action| action == "user_notif") => return Ok(()),
        Ok(()) => None,
        Err(error) => Some(error),
    };
    let step = "be watched: that needs user notifications of seccomp, which Linux has from 5.5 on".to_owned();
    Err(SpawnError::Sandbox { step, source })
}

/// Our end of what leads to whoever watches, the server's, and where it is kept what was seen.
type Watching = (OwnedFd, OwnedFd, Watch);

async fn hand_over(
    launch: &Launch,
    stdio: wire::Stdio,
    watch: Option<Watching>,
    trial: bool,
) -> Result<Child, SpawnError> {
    let plan = wire::encode(launch, trial).ok_or(SpawnError::TooBig)?;
    let (control, launchers) =
        std::os::unix::net::UnixStream::pair().map_err(|error| SpawnError::system("make the control socket", error))?;
    let walls = launch.confinement.as_ref().map_or(Walls::None, |confinement| {
        if confinement.runtime.is_some() { Walls::Monitored } else { Walls::Process }
    });
    let launcher =
        start_launcher(launchers.into(), walls).map_err(|error| SpawnError::system("start the launcher", error))?;
    // From here on the launcher exists, so what fails must not keep its task from looking after it.
    let (watch, theirs) = watch.map(|(ours, theirs, watch)| ((ours, watch), theirs)).unzip();
    let sent = wire::send_stdio(&control, &stdio, theirs.as_ref(), plan.len());
    drop((stdio, theirs));
    let control = control.set_nonblocking(true).and_then(|()| tokio::net::UnixStream::from_std(control));
    let control = control.map_err(|error| SpawnError::system("use the control socket", error))?;

    let (orders, inbox) = mpsc::unbounded_channel();
    let is_watched = watch.is_some();
    let looks = watch.map_or(Ok(()), |(ours, watch)| watcher::begin(ours, watch, orders.downgrade()));
    let (started, answer) = oneshot::channel();
    let (status, ended) = watch::channel(None);
    let grace = launch.grace;
    let supervisor = Supervisor { control, launcher, orders: inbox, started: Some(started), status, grace };
    tokio::spawn(supervisor.run(plan));
    sent.map_err(|error| SpawnError::system("hand over the server's pipes", error))?;
    looks.map_err(|error| SpawnError::system("watch the server", error))?;

    let (pid, program) = answer.await.unwrap_or(Err(Failure::Silent)).map_err(|failure| match failure {
        Failure::Exec { error: libc::EBUSY, .. } if is_watched => SpawnError::Sandbox {
            step: "be watched: another program, such as a container's runtime, watches the calls of this one"
                .to_owned(),
            source: None,
        },
        failure => explain(failure, launch),
    })?;
    Ok(Child {
        stdin: None,
        stdout: None,
        stderr: None,
        pid: pid.unsigned_abs(),
        program,
        grace,
        orders,
        status: ended,
    })
}

fn start_launcher(control: OwnedFd, walls: Walls) -> io::Result<tokio::process::Child> {
    let mut command = Command::new(own_program());
    let how = match walls {
        Walls::None => None,
        Walls::Process => Some(CONFINED),
        Walls::Monitored => Some(MONITORED),
    };
    command.arg0("bartizan").arg(ARGUMENT).args(how).env_clear();
    // A group of its own, so that neither Ctrl-C nor the death of the gateway's group reaches it.
    command.process_group(0);
    command.stdin(control).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn()
}

/// The program that plays the launcher's part.
fn own_program() -> PathBuf {
    PROGRAM.get().cloned().unwrap_or_else(|| "/proc/self/exe".into())
}

fn explain(failure: Failure, launch: &Launch) -> SpawnError {
    let system = io::Error::from_raw_os_error;
    match failure {
        Failure::NotFound => {
            let path = launch.env.get("PATH").map(OsString::from);
            let searched = !launch.program.as_encoded_bytes().contains(&b'/');
            let path = searched.then(|| path.unwrap_or_else(|| server::DEFAULT_PATH.into()));
            SpawnError::NotFound { program: launch.program.clone(), path }
        }
        Failure::NotExecutable { program, error } => SpawnError::NotExecutable { program, source: system(error) },
        Failure::Directory { error } => {
            let cwd = launch.cwd.clone().unwrap_or_default();
            if launch.confinement.is_some() && cwd.is_dir() {
                return SpawnError::Unseen { cwd };
            }
            SpawnError::Directory { cwd, source: system(error) }
        }
        Failure::Exec { program, error } => SpawnError::exec(program, system(error)),
        Failure::Setup { error } => SpawnError::system("set the launcher up", system(error)),
        Failure::Confine { step, error: 0 } => SpawnError::Sandbox { step, source: None },
        Failure::Confine { step, error } => SpawnError::Sandbox { step, source: Some(system(error)) },
        Failure::Required { what } => SpawnError::Required { what },
        Failure::Silent => SpawnError::NoLauncher,
    }
}
