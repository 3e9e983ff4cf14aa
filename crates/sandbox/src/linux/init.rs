//! The launcher: the small process between the gateway and one server.
//!
//! It has one thread and no runtime, sleeps until a child exits or the gateway speaks, and is the parent of
//! everything the server leaves behind. It ends only when nothing of that is left.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::exit;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::process::{DumpableBehavior, Pid, Signal, WaitOptions, WaitStatus, getpid};

use super::wire::{self, Failure, Report};
use super::{Walls, confine, server, sys, tree};
use crate::ExitStatus;

/// While processes are being killed: how soon to look again for new ones.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// After this long what is left cannot be killed: it belongs to another user or hangs in the kernel.
const GIVE_UP: Duration = Duration::from_secs(2);
/// How often to try again after that.
const RARELY: Duration = Duration::from_millis(500);

/// Plays the launcher's part until the tree is gone. The control socket is stdin.
pub(super) fn run(walls: Walls) -> ! {
    let control = rustix::stdio::stdin();
    let kind = rustix::fs::fstat(control).map(|stat| FileType::from_raw_mode(stat.st_mode));
    if kind != Ok(FileType::Socket) {
        eprintln!("this argument is for internal use only");
        exit(2);
    }
    sys::close_inherited();
    if walls != Walls::None {
        confine::run(control, walls);
        exit(0)
    }
    match start(control) {
        Ok(mut init) => {
            init.serve();
            report(control, &Report::Gone);
        }
        Err(failure) => report(control, &Report::Failed(failure)),
    }
    exit(0)
}

fn start(control: BorrowedFd<'_>) -> Result<Init<'_>, Failure> {
    let signals = set_up().map_err(|error| Failure::Setup { error: error.raw_os_error().unwrap_or(0) })?;
    let (stdio, plan) = wire::receive(control).ok_or(Failure::Silent)?;
    let grace = plan.grace;
    let (server, program) = server::start(plan, stdio, None)?;
    report(control, &Report::Started { pid: server.as_raw_pid(), program });
    // Keeps no directory from being removed or unmounted.
    rustix::process::chdir("/").ok();
    let listening = true;
    Ok(Init { control, listening, signals, server, exited: false, phase: Phase::Serving, grace, alone: false })
}

fn set_up() -> io::Result<OwnedFd> {
    rustix::thread::set_name(c"bartizan-init")?;
    // Other programs of this user must not read the server's environment out of this one's memory.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::process::set_child_subreaper(Some(getpid()))?;
    sys::wait_for_signals()
}

pub(super) struct Init<'a> {
    control: BorrowedFd<'a>,
    /// False once the gateway has hung up.
    listening: bool,
    signals: OwnedFd,
    server: Pid,
    exited: bool,
    phase: Phase,
    grace: Duration,
    /// Whether it is the first process of a namespace, so that what cannot be killed ends with it.
    alone: bool,
}

#[derive(Clone, Copy)]
enum Phase {
    /// The server is running.
    Serving,
    /// Everything was asked to end, and has until then.
    Asked { until: Instant },
    /// Everything is being killed, since then.
    Killing { since: Instant, gave_up: bool },
}

impl<'a> Init<'a> {
    /// For the first process of a namespace.
    pub(super) fn alone(control: BorrowedFd<'a>, signals: OwnedFd, server: Pid, grace: Duration) -> Self {
        Self { control, listening: true, signals, server, exited: false, phase: Phase::Serving, grace, alone: true }
    }

    /// Returns once nothing is left of the tree.
    pub(super) fn serve(&mut self) {
        loop {
            if self.reap() {
                return;
            }
            if self.exited {
                self.end();
            }
            if self.alone && matches!(self.phase, Phase::Killing { gave_up: true, .. }) {
                return;
            }
            let timeout = self.advance();
            self.sleep(timeout);
        }
    }

    /// Collects every child that has exited; true if none is left.
    fn reap(&mut self) -> bool {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.server => {
                    self.exited = true;
                    report(self.control, &Report::Exited(exit_status(status)));
                }
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => return false,
                Err(_) => return true,
            }
        }
    }

    /// Asks everything to end, once.
    fn end(&mut self) {
        if matches!(self.phase, Phase::Serving) {
            tree::signal_descendants(Signal::TERM);
            // What is stopped has to run to see the request.
            tree::signal_descendants(Signal::CONT);
            // The plan carries the grace period in 32 bits of milliseconds, which the clock can always add.
            self.phase = Phase::Asked { until: Instant::now() + self.grace };
        }
    }

    /// Does what is due and says for how long there is nothing more to do.
    fn advance(&mut self) -> Option<Duration> {
        let now = Instant::now();
        if let Phase::Asked { until } = self.phase
            && now >= until
        {
            self.phase = Phase::Killing { since: now, gave_up: false };
        }
        match &mut self.phase {
            Phase::Serving => None,
            Phase::Asked { until } => Some(until.saturating_duration_since(now)),
            Phase::Killing { since, gave_up } => {
                tree::signal_descendants(Signal::KILL);
                if !*gave_up && now.saturating_duration_since(*since) > GIVE_UP {
                    *gave_up = true;
                    if !self.alone {
                        report(self.control, &Report::Gone);
                    }
                }
                Some(if *gave_up { RARELY } else { LOOK_AGAIN })
            }
        }
    }

    /// Waits for a child's end, a word from the gateway, a signal or the timeout.
    fn sleep(&mut self, timeout: Option<Duration>) {
        let timeout = timeout.and_then(|time| Timespec::try_from(time).ok());
        let mut both =
            [PollFd::new(&self.signals, PollFlags::IN), PollFd::from_borrowed_fd(self.control, PollFlags::IN)];
        let watched = both.get_mut(..if self.listening { 2 } else { 1 }).unwrap_or_default();
        let ready = rustix::event::poll(watched, timeout.as_ref());
        let [signals, control] = both.map(|fd| !fd.revents().is_empty());
        if ready.is_err() {
            return;
        }
        if signals && sys::is_asked_to_end(&self.signals) {
            self.end();
        }
        if control {
            self.listen();
        }
    }

    fn listen(&mut self) {
        let mut orders = [0; 64];
        let got = match rustix::net::recv(self.control, &mut orders, RecvFlags::DONTWAIT) {
            Ok((got, _)) => got,
            Err(Errno::INTR | Errno::AGAIN) => return,
            Err(_) => 0,
        };
        if got == 0 {
            self.listening = false;
            self.end();
        }
        for order in orders.iter().take(got) {
            match wire::decode_order(*order) {
                // Until it is reaped nobody else can have the server's number.
                Some(signal) if !self.exited => {
                    rustix::process::kill_process_group(self.server, signal).ok();
                }
                Some(_) => {}
                None => self.end(),
            }
        }
    }
}

pub(super) fn exit_status(status: WaitStatus) -> ExitStatus {
    match status.terminating_signal() {
        Some(signal) => ExitStatus::Signal(signal),
        None => ExitStatus::Code(status.exit_status().unwrap_or(0)),
    }
}

/// Tells the gateway. If it is gone there is nobody to tell, which the next read will show.
pub(super) fn report(control: impl AsFd, report: &Report) {
    wire::send(control, &report.encode()).ok();
}
