//! The first process of a sandbox: builds it, starts the server in it, and collects what ends.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::process::exit;

use rustix::process::{DumpableBehavior, Gid, Signal, Uid};
use rustix::thread::UnshareFlags;

use super::{Failed, Step, monitor, relay, root};
use crate::linux::init::{Init, report};
use crate::linux::wire::{self, Failure, Report};
use crate::linux::{Walls, server, sys};
use crate::{Confinement, Network};

/// What the first process says once it can be given a plan.
const READY: u8 = b'r';

/// Who the sandbox's user is, seen from inside and from outside.
#[derive(Clone, Copy)]
pub(in crate::linux) struct User {
    inside: (Uid, Gid),
    outside: (Uid, Gid),
}

impl User {
    /// The user of this process. Runtimes make nothing for others than root, so with one that is how it is called inside;
    /// it is this user all the same, and has no other rights.
    pub(in crate::linux) fn new(walls: Walls) -> Self {
        let outside = (rustix::process::getuid(), rustix::process::getgid());
        let inside = if walls == Walls::Monitored { (Uid::ROOT, Gid::ROOT) } else { outside };
        Self { inside, outside }
    }
}

/// Waits until the first process can be given a plan, or learns why it cannot.
pub(super) fn await_ready(link: &OwnedFd) -> Step<()> {
    let mut answer = [0; 5];
    let got = rustix::io::retry_on_intr(|| rustix::net::recv(link, &mut answer, rustix::net::RecvFlags::empty()));
    match (got, answer) {
        (Ok((1.., _)), [READY, ..]) => Ok(()),
        (Ok((5, _)), [_, error @ ..]) => Err(Failed::new(
            "become nobody but this user in a user namespace",
            &io::Error::from_raw_os_error(i32::from_le_bytes(error)),
        )),
        _ => Err(Failure::Silent),
    }
}

/// Plays the first process's part until nothing else is left in its namespace.
pub(super) fn run(control: BorrowedFd<'_>, link: &OwnedFd, user: User) -> ! {
    let mut word = vec![READY];
    if let Err(error) = become_nobody_else(user) {
        word = [&b"f"[..], &error.raw_os_error().unwrap_or(0).to_le_bytes()].concat();
    }
    let said = rustix::net::send(link, &word, rustix::net::SendFlags::NOSIGNAL);
    // The launcher reports what it was told, and what it was not.
    if said.is_err() || word != [READY] {
        exit(1);
    }
    match start(control, link) {
        Ok(mut init) => init.serve(),
        Err(failure) => report(control, &Report::Failed(failure)),
    }
    exit(0)
}

/// Ends with the launcher, is its user and nobody else, and can be looked into by nobody.
pub(in crate::linux) fn become_nobody_else(user: User) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    rustix::thread::set_name(c"bartizan-first")?;
    // Groups could not be given up any more afterwards, and a file may be closed to a group.
    fs::write("/proc/self/setgroups", "deny")?;
    let User { inside, outside } = user;
    fs::write("/proc/self/uid_map", format!("{} {} 1\n", inside.0, outside.0))?;
    fs::write("/proc/self/gid_map", format!("{} {} 1\n", inside.1, outside.1))?;
    Ok(rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

fn start<'a>(control: BorrowedFd<'a>, link: &OwnedFd) -> Step<Init<'a>> {
    let signals = sys::wait_for_signals().map_err(|error| Failed::new("receive signals", &error))?;
    let (stdio, watch, bytes) = wire::receive_bytes(link.as_fd()).ok_or(Failure::Silent)?;
    let mut plan = wire::decode(&bytes).ok_or(Failure::Silent)?;
    drop(bytes);
    let known_as = wire::receive_number(link.as_fd()).ok_or(Failure::Silent)?;
    let confinement = plan.confinement.as_ref().ok_or(Failure::Silent)?;
    let listing = build(confinement)?;
    if plan.cwd.is_none() {
        plan.cwd = Some(confinement.home.clone().unwrap_or_else(|| "/".into()));
    }
    let grace = plan.grace;
    let (server, program) = match listing {
        Some(listing) => monitor::start(plan, stdio, listing)?,
        None => server::start(plan, stdio, watch)?,
    };
    report(control, &Report::Started { pid: known_as, program });
    rustix::process::chdir("/").ok();
    Ok(Init::alone(control, signals, server, grace))
}

/// Makes everything around the server; of what a runtime needs, a listing of processes that can be written to.
fn build(confinement: &Confinement) -> Step<Option<OwnedFd>> {
    // To the machine, the session of all that is in here is this process's.
    rustix::process::setsid().map_err(|error| Failed::errno("begin a session", error))?;
    sys::unshare(UnshareFlags::NEWCGROUP)
        .map_err(|error| Failed::errno("make a namespace of control groups", error))?;
    if confinement.network != Network::Host {
        sys::unshare(UnshareFlags::NEWNET).map_err(|error| Failed::errno("make a network of its own", error))?;
        sys::start_loopback().map_err(|error| Failed::new("start the sandbox's own network", &error))?;
    }
    rustix::system::sethostname(b"sandbox").map_err(|error| Failed::errno("name the sandbox", error))?;
    // Only while the whole one of the machine is seen.
    let listing = confinement.runtime.as_ref().map(|_| monitor::listing()).transpose()?;
    root::enter(confinement)?;
    match &confinement.network {
        Network::Relay(way) => relay::start(way)?,
        Network::None | Network::Host => {}
    }
    Ok(listing)
}
