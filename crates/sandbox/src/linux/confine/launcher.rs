//! The launcher's part at this level: outside of the sandbox, from before the first process until after the last.

use std::fs;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{DumpableBehavior, Pid, Signal, WaitOptions};

use super::cgroup::Groups;
use super::placeholder::{Guard, Placeholders};
use super::{Failed, Step, first, landlock};
use crate::linux::init::{exit_status, report};
use crate::linux::wire::{self, Failure, Plan, Report};
use crate::linux::{Walls, sys, tree};
use crate::{Confinement, ExitStatus, unmet};

/// The namespaces the first process is made in. Those of the network and of control groups it enters later, when it
/// is known which it needs, and is in its groups.
const NAMESPACES: libc::c_int =
    libc::CLONE_NEWUSER | libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
/// How often the memory is looked at where the kernel keeps no limit.
const WATCH: Duration = Duration::from_millis(100);

/// Plays the launcher's part until the sandbox is gone.
pub(in crate::linux) fn run(control: BorrowedFd<'_>, walls: Walls) {
    if let Err(failure) = serve(control, walls) {
        report(control, &Report::Failed(failure));
    }
}

fn serve(control: BorrowedFd<'_>, walls: Walls) -> Step<()> {
    let setup = |error: io::Error| Failure::Setup { error: error.raw_os_error().unwrap_or(0) };
    rustix::thread::set_name(c"bartizan-init").map_err(|error| setup(error.into()))?;
    let signals = sys::wait_for_signals().map_err(setup)?;
    let (ours, theirs) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .map_err(|error| setup(error.into()))?;
    // Made before anything secret is known, because it has to be open to others of its user for a moment.
    let user = first::User::new(walls);
    let first = sys::clone_into(NAMESPACES)
        .map_err(|error| Failed::new("make a user namespace (`bartizan doctor` says what to do)", &error))?;
    let Some(first) = first else {
        drop((ours, signals));
        first::run(control, &theirs, user)
    };
    drop(theirs);
    // Ended before what it needs is taken away.
    let (placeholders, groups, place);
    let first = First(first);
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|error| setup(error.into()))?;
    first::await_ready(&ours)?;
    let (stdio, watch, bytes) = wire::receive_bytes(control).ok_or(Failure::Silent)?;
    let Plan { confinement: Some(confinement), .. } = wire::decode(&bytes).ok_or(Failure::Silent)? else {
        return Err(Failure::Silent);
    };
    place = Place(confinement.place.clone());
    groups = Groups::make(&confinement.limits);
    check(&confinement, &groups)?;
    groups.take(first.0).map_err(|error| Failed::new("put the sandbox into its control groups", &error))?;
    placeholders = Placeholders::make(&confinement)?;
    let guard = Guard::new(&confinement)?;
    let sent = wire::send_stdio(&ours, &stdio, watch.as_ref(), bytes.len()).and_then(|()| {
        wire::send(&ours, &bytes)?;
        wire::send(&ours, &first.0.as_raw_pid().to_le_bytes())
    });
    drop((stdio, watch, bytes));
    sent.map_err(|error| Failed::new("hand the plan on to the sandbox", &error))?;
    let watch = confinement.limits.memory.filter(|_| !groups.memory);
    let ended = attend(first, &signals, watch, guard.as_ref());
    // Everything in the namespace is gone with its first process.
    let ended = if groups.ran_out_of_memory() { Some(ExitStatus::OutOfMemory) } else { ended };
    if let Some(ended) = ended {
        report(control, &Report::Exited(ended));
    }
    drop((placeholders, groups, place));
    report(control, &Report::Gone);
    Ok(())
}

/// The first process; it does not outlive this. Forgotten once it was waited for, as its number may be another's then.
struct First(Pid);

impl Drop for First {
    fn drop(&mut self) {
        rustix::process::kill_process(self.0, Signal::KILL).ok();
        rustix::io::retry_on_intr(|| rustix::process::waitpid(Some(self.0), WaitOptions::empty())).ok();
    }
}

/// The directory that was made for this start, if there is one. Who made it may have been killed, and then nobody else removes it.
struct Place(Option<PathBuf>);

impl Drop for Place {
    fn drop(&mut self) {
        let Some(directory) = &self.0 else { return };
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            fs::remove_file(entry.path()).ok();
        }
        fs::remove_dir(directory).ok();
    }
}

/// Refuses what the profile insists on and this host does not offer.
fn check(confinement: &Confinement, groups: &Groups) -> Step<()> {
    match unmet(confinement, landlock::version(), groups.kept()).first() {
        Some(unmet) => Err(Failure::Required { what: unmet.to_string() }),
        None => Ok(()),
    }
}

/// Waits for the end of the first process, and says why it was killed, if it was.
fn attend(first: First, signals: &OwnedFd, memory: Option<u64>, guard: Option<&Guard>) -> Option<ExitStatus> {
    let mut why = None;
    loop {
        match rustix::process::waitpid(Some(first.0), WaitOptions::NOHANG) {
            Ok(Some((_, status))) => {
                std::mem::forget(first);
                return why.or_else(|| status.terminating_signal().map(|_| exit_status(status)));
            }
            Ok(None) | Err(Errno::INTR) => {}
            // Nobody else waits for it; should that ever fail, it counts as killed, and is.
            Err(_) => return why.or(Some(ExitStatus::Signal(Signal::KILL.as_raw()))),
        }
        if why.is_none() {
            let over = memory.is_some_and(|limit| used(first.0) > limit);
            let exposed = guard.is_some_and(|guard| !guard.holds());
            why = exposed.then_some(ExitStatus::Exposed).or(over.then_some(ExitStatus::OutOfMemory));
            if why.is_some() {
                rustix::process::kill_process(first.0, Signal::KILL).ok();
            }
        }
        let timeout = memory.and_then(|_| Timespec::try_from(WATCH).ok());
        let signalled = PollFd::new(signals, PollFlags::IN);
        let events = guard.filter(|_| why.is_none()).map(|guard| PollFd::new(guard.events(), PollFlags::IN));
        let mut watched: Vec<_> = [signalled].into_iter().chain(events).collect();
        rustix::event::poll(&mut watched, timeout.as_ref()).ok();
        if sys::is_asked_to_end(signals) {
            // Somebody asks this process to end; the sandbox ends in its own way.
            rustix::process::kill_process(first.0, Signal::TERM).ok();
        }
    }
}

/// Bytes of memory in use by the first process and all below it; what several share counts in parts.
fn used(first: Pid) -> u64 {
    tree::below(first.as_raw_pid()).into_iter().filter_map(tree::memory).fold(0, u64::saturating_add)
}
