//! The launcher's part at this level: outside of the sandbox, from before the first process until after the last.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{DumpableBehavior, Pid, Signal, WaitOptions};

use super::cgroup::Groups;
use super::placeholder::Placeholders;
use super::{Failed, Step, first, landlock};
use crate::linux::init::{exit_status, report};
use crate::linux::wire::{self, Failure, Plan, Report};
use crate::linux::{sys, tree};
use crate::{Confinement, ExitStatus, Guarantee};

/// The namespaces the first process is made in. Those of the network and of control groups it enters later, when it
/// is known which it needs, and is in its groups.
const NAMESPACES: libc::c_int =
    libc::CLONE_NEWUSER | libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
/// How often the memory is looked at where the kernel keeps no limit.
const WATCH: Duration = Duration::from_millis(100);

/// Plays the launcher's part until the sandbox is gone.
pub(in crate::linux) fn run(control: BorrowedFd<'_>) {
    if let Err(failure) = serve(control) {
        report(control, &Report::Failed(failure));
    }
}

fn serve(control: BorrowedFd<'_>) -> Step<()> {
    let setup = |error: io::Error| Failure::Setup { error: error.raw_os_error().unwrap_or(0) };
    rustix::thread::set_name(c"bartizan-init").map_err(|error| setup(error.into()))?;
    let signals = first::signals().map_err(setup)?;
    let (ours, theirs) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .map_err(|error| setup(error.into()))?;
    // Made before anything secret is known, because it has to be open to others of its user for a moment.
    let user = (rustix::process::getuid(), rustix::process::getgid());
    let first = sys::clone_into(NAMESPACES).map_err(|error| Failed::new("make a user namespace", &error))?;
    let Some(first) = first else {
        drop((ours, signals));
        first::run(control, &theirs, user)
    };
    drop(theirs);
    let first = First(first);
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|error| setup(error.into()))?;
    first::await_ready(&ours)?;
    let (stdio, bytes) = wire::receive_bytes(control).ok_or(Failure::Silent)?;
    let Plan { confinement: Some(confinement), .. } = wire::decode(&bytes).ok_or(Failure::Silent)? else {
        return Err(Failure::Silent);
    };
    let groups = Groups::make(&confinement.limits);
    check(&confinement, &groups)?;
    groups.take(first.0).map_err(|error| Failed::new("put the sandbox into its control groups", &error))?;
    let placeholders = Placeholders::make(&confinement)?;
    let sent = wire::send_stdio(&ours, &stdio, bytes.len()).and_then(|()| {
        send(&ours, &bytes)?;
        send(&ours, &first.0.as_raw_pid().to_le_bytes())
    });
    drop((stdio, bytes));
    sent.map_err(|error| Failed::new("hand the plan on to the sandbox", &error))?;
    let watch = confinement.limits.memory.filter(|_| !groups.memory);
    let (killed, over) = attend(&first, &signals, watch);
    // Everything in the namespace is gone with its first process.
    if over || groups.ran_out_of_memory() {
        report(control, &Report::OutOfMemory);
    } else if let Some(killed) = killed {
        report(control, &Report::Exited(killed));
    }
    drop((placeholders, groups));
    report(control, &Report::Gone);
    Ok(())
}

/// The first process; it does not outlive this.
struct First(Pid);

impl Drop for First {
    fn drop(&mut self) {
        // Fails once it was waited for, and its number can have gone to nobody else before.
        rustix::process::kill_process(self.0, Signal::KILL).ok();
        rustix::io::retry_on_intr(|| rustix::process::waitpid(Some(self.0), WaitOptions::empty())).ok();
    }
}

/// Refuses what the profile insists on and this host does not offer.
fn check(confinement: &Confinement, groups: &Groups) -> Step<()> {
    for guarantee in &confinement.require {
        let remedy = match guarantee {
            Guarantee::Landlock(version) if landlock::version().is_none_or(|has| has < *version) => {
                "needs a newer kernel, or `landlock` among the kernel's `lsm=`"
            }
            Guarantee::MemoryLimit if !groups.memory => DELEGATE,
            Guarantee::PidsLimit if !groups.pids => DELEGATE,
            Guarantee::CpuLimit if !groups.cpu => DELEGATE,
            _ => continue,
        };
        return Err(Failure::Required { what: format!("{guarantee}: {remedy}") });
    }
    Ok(())
}

const DELEGATE: &str = "needs a control group that may be divided; start Bartizan with \
                        `systemd-run --user --scope -p Delegate=yes`, or set `limits` for it";

/// Waits for the end of the first process, and says how it was killed if it was, and whether for its memory.
fn attend(first: &First, signals: &OwnedFd, memory: Option<u64>) -> (Option<ExitStatus>, bool) {
    let mut over = false;
    loop {
        match rustix::process::waitpid(Some(first.0), WaitOptions::NOHANG) {
            Ok(Some((_, status))) => {
                let killed = status.terminating_signal().is_some();
                return (killed.then(|| exit_status(status)), over);
            }
            Ok(None) | Err(Errno::INTR) => {}
            // Nobody else waits for it; should that ever fail, it counts as killed, and is.
            Err(_) => return (Some(ExitStatus::Signal(Signal::KILL.as_raw())), over),
        }
        if memory.is_some_and(|limit| used(first.0) > limit) {
            over = true;
            rustix::process::kill_process(first.0, Signal::KILL).ok();
        }
        let timeout = memory.and_then(|_| Timespec::try_from(WATCH).ok());
        let mut watched = [PollFd::new(signals, PollFlags::IN)];
        rustix::event::poll(&mut watched, timeout.as_ref()).ok();
        if first::drain(signals) {
            // Somebody asks this process to end; the sandbox ends in its own way.
            rustix::process::kill_process(first.0, Signal::TERM).ok();
        }
    }
}

/// Bytes of memory in use by the first process and all below it; what several share counts in parts.
fn used(first: Pid) -> u64 {
    let below = tree::with_descendants(&tree::all(), |process| process.pid == first.as_raw_pid());
    below.iter().filter_map(|process| tree::memory(process.pid)).fold(0, u64::saturating_add)
}

fn send(to: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let sent = rustix::io::retry_on_intr(|| rustix::net::send(to.as_fd(), rest, rustix::net::SendFlags::NOSIGNAL))?;
        rest = rest.get(sent..).unwrap_or_default();
    }
    Ok(())
}
