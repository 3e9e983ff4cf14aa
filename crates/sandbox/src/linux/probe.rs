//! Finds out what this host offers, by trying it in processes of their own.
//!
//! A setting that says namespaces are allowed tells little: a security module, a filter of system calls around a
//! container or a hidden `/proc` forbid them all the same, and each in another step. So the steps of a start are taken
//! one by one, with the functions that a start calls, each in a process that ends after it.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Stdio, exit};

use rustix::process::{WaitOptions, getpid};
use rustix::thread::UnshareFlags;
use tokio::process::Command;

use super::confine::{cgroup, filter, first, landlock, privileges, root};
use super::wire::Failure;
use super::{ARGUMENT, PROBE, Walls, own_program, sys};
use crate::probe::{Device, Host, Kept, Tried, Wall};
use crate::{Exceptions, Limits, runtimes};

/// For an error without a number.
const NO_NUMBER: i32 = 255;

/// Which of these limits a control group would keep for a server that is started here.
#[must_use]
pub fn kept(limits: &Limits) -> Kept {
    cgroup::Groups::make(limits).kept()
}

/// Tries what this host offers. It takes as long as a few starts.
///
/// Runtimes are asked for their version, which runs them as the user: none in one of these directories, where servers may write,
/// and none at all if those are not known.
///
/// # Errors
/// If no process can be started to try it in.
pub async fn probe(changeable: Option<Vec<PathBuf>>) -> io::Result<Host> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let system = rustix::system::uname();
    let parts = [system.sysname(), system.release(), system.machine()];
    let modules = fs::read_to_string("/sys/kernel/security/lsm").ok();
    let words = |text: &str| text.split([',', ' ', '\n']).filter(|word| !word.is_empty()).map(str::to_owned).collect();
    let runtimes =
        tokio::task::spawn_blocking(move || changeable.map(|changeable| runtimes(&changeable)).unwrap_or_default())
            .await
            .unwrap_or_default();
    Ok(Host {
        system: parts.map(|part| part.to_string_lossy().into_owned()).join(" "),
        walls: walls().await?,
        landlock: landlock::version(),
        seccomp_actions: words(&read("/proc/sys/kernel/seccomp/actions_avail")),
        group_versions: cgroup::versions(),
        groups: kept(&Limits { memory: Some(64 << 20), pids: Some(64), cpu: Some(1000), ..Limits::default() }),
        modules: modules.map(|text| words(&text)),
        apparmor_restricts: read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").trim() == "1",
        kvm: device(Path::new("/dev/kvm")),
        runtimes,
    })
}

/// Has another process try them all, as this one has threads.
async fn walls() -> io::Result<Vec<Tried>> {
    let mut command = Command::new(own_program());
    command.arg0("bartizan").arg(ARGUMENT).arg(PROBE).env_clear().kill_on_drop(true);
    let said = command.stdin(Stdio::null()).stderr(Stdio::null()).output().await?.stdout;
    let said = String::from_utf8_lossy(&said).into_owned();
    let number = |wall: Wall| {
        let mut lines = said.lines().filter_map(|line| line.split_once(' '));
        lines.find(|(id, _)| *id == wall.id()).and_then(|(_, number)| number.parse::<i32>().ok())
    };
    let tried = Wall::ALL.map(|wall| {
        let refused = match number(wall) {
            Some(0) => None,
            None | Some(NO_NUMBER) => Some("it cannot be tried".to_owned()),
            Some(number) => Some(io::Error::from_raw_os_error(number).to_string()),
        };
        Tried { wall, refused }
    });
    Ok(tried.into())
}

/// Tries them one by one, and says each with the system's number of its error.
pub(super) fn run() -> ! {
    let user = first::User::new(Walls::Process);
    sys::expect_children();
    for wall in Wall::ALL {
        let line = format!("{} {}\n", wall.id(), attempt(wall, user));
        if io::stdout().write_all(line.as_bytes()).is_err() {
            exit(1)
        }
    }
    exit(0)
}

fn attempt(wall: Wall, user: first::User) -> i32 {
    let namespaces = match wall {
        Wall::Users | Wall::Groups | Wall::Capabilities | Wall::Filter => 0,
        Wall::Mounts => libc::CLONE_NEWNS,
        Wall::Processes => libc::CLONE_NEWPID,
        Wall::Listing => libc::CLONE_NEWPID | libc::CLONE_NEWNS,
        Wall::Network => libc::CLONE_NEWNET,
        Wall::Ipc => libc::CLONE_NEWIPC,
        Wall::Names => libc::CLONE_NEWUTS,
    };
    match sys::clone_into(libc::CLONE_NEWUSER | namespaces) {
        Err(error) => number(&error),
        Ok(None) => exit(match first::become_nobody_else(user).and_then(|()| put_up(wall)) {
            Ok(()) => 0,
            Err(error) => number(&error),
        }),
        Ok(Some(child)) => {
            let ended = rustix::io::retry_on_intr(|| rustix::process::waitpid(Some(child), WaitOptions::empty()));
            ended.ok().flatten().and_then(|(_, status)| status.exit_status()).unwrap_or(NO_NUMBER)
        }
    }
}

/// In the new namespaces, what a start does there.
fn put_up(wall: Wall) -> io::Result<()> {
    let step = |failure| match failure {
        Failure::Confine { error, .. } => io::Error::from_raw_os_error(error),
        _ => io::Error::from(io::ErrorKind::Other),
    };
    match wall {
        Wall::Users | Wall::Ipc => Ok(()),
        Wall::Mounts => root::try_empty().map_err(step),
        Wall::Processes if getpid().as_raw_pid() == 1 => Ok(()),
        Wall::Processes => Err(io::ErrorKind::Other.into()),
        Wall::Listing => root::try_listing().map_err(step),
        Wall::Network => sys::start_loopback(),
        Wall::Names => Ok(rustix::system::sethostname(b"sandbox")?),
        Wall::Groups => Ok(sys::unshare(UnshareFlags::NEWCGROUP)?),
        Wall::Capabilities => privileges::drop_capabilities(),
        Wall::Filter => {
            privileges::drop_capabilities()?;
            filter::install(Exceptions::default())
        }
    }
}

/// As the status of a process, which is a byte.
fn number(error: &io::Error) -> i32 {
    error.raw_os_error().filter(|number| (1..NO_NUMBER).contains(number)).unwrap_or(NO_NUMBER)
}

fn device(path: &Path) -> Device {
    match fs::File::options().read(true).write(true).open(path) {
        Ok(_) => Device::Usable,
        Err(_) if path.exists() => Device::Closed,
        Err(_) => Device::Absent,
    }
}
