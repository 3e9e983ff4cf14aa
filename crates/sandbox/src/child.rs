//! A running server: its pipes, its signals and its end.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::unix::pipe;
use tokio::sync::{mpsc, watch};

/// Writes to the server.
pub type ChildStdin = pipe::Sender;
/// Reads what the server says.
pub type ChildStdout = pipe::Receiver;
/// Reads what the server complains about.
pub type ChildStderr = pipe::Receiver;

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It exited with this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
    /// It was killed because it used more memory than its sandbox lets it have.
    OutOfMemory,
    /// It was killed because a name that it must not change was replaced outside, so that its sandbox held it no more.
    Exposed,
}

impl ExitStatus {
    /// Whether it exited with code 0.
    pub fn success(self) -> bool {
        self == Self::Code(0)
    }

    /// The number a shell would report: the code, or 128 and the signal.
    pub fn shell_code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128_i32.saturating_add(signal),
            Self::OutOfMemory | Self::Exposed => Self::Signal(Signal::Kill.number()).shell_code(),
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal(signal) => write!(f, "killed by signal {signal}"),
            Self::OutOfMemory => f.write_str("killed: it used more memory than its sandbox lets it have"),
            Self::Exposed => {
                f.write_str("killed: a name that it must not change was replaced meanwhile; started again it cannot change the new one")
            }
        }
    }
}

/// A signal that may be passed on to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGHUP
    Hangup,
    /// SIGINT
    Interrupt,
    /// SIGQUIT
    Quit,
    /// SIGTERM
    Terminate,
    /// SIGKILL
    Kill,
    /// SIGUSR1
    User1,
    /// SIGUSR2
    User2,
}

impl Signal {
    /// Its number on this system.
    #[must_use]
    pub fn number(self) -> i32 {
        self.system().as_raw()
    }

    /// The same in the system's terms.
    pub(crate) fn system(self) -> rustix::process::Signal {
        use rustix::process::Signal as System;
        match self {
            Self::Hangup => System::HUP,
            Self::Interrupt => System::INT,
            Self::Quit => System::QUIT,
            Self::Terminate => System::TERM,
            Self::Kill => System::KILL,
            Self::User1 => System::USR1,
            Self::User2 => System::USR2,
        }
    }
}

/// What a child's handle asks of the task that looks after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Send this to the server's process group.
    Signal(Signal),
    /// End the whole tree: ask first, kill after the grace period.
    End,
}

/// A running server. Dropping it ends its whole process tree.
#[derive(Debug)]
pub struct Child {
    /// To the server; taken out by whoever writes.
    pub stdin: Option<ChildStdin>,
    /// From the server; taken out by whoever reads.
    pub stdout: Option<ChildStdout>,
    /// The server's complaints; a [`crate::StderrTail`] keeps the last of them.
    pub stderr: Option<ChildStderr>,
    pub(crate) pid: u32,
    pub(crate) program: PathBuf,
    pub(crate) grace: Duration,
    /// Closing it is what ends the tree on drop.
    pub(crate) orders: mpsc::UnboundedSender<Order>,
    pub(crate) status: watch::Receiver<Option<ExitStatus>>,
}

impl Child {
    /// The server's process id, which is also the id of its process group and session.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The file that was executed, found through `PATH` if need be.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Waits until the server has exited and nothing of its process tree is left.
    ///
    /// May be dropped and called again at any time. What the server left running is asked to end, and
    /// killed after the grace period.
    pub async fn wait(&self) -> ExitStatus {
        let mut status = self.status.clone();
        let ended = status.wait_for(Option::is_some).await.ok().and_then(|status| *status);
        // The task that would know went down with its runtime, and took the tree with it.
        ended.unwrap_or(ExitStatus::Signal(rustix::process::Signal::KILL.as_raw()))
    }

    /// How the server ended, if it and its process tree have.
    pub fn try_wait(&self) -> Option<ExitStatus> {
        *self.status.borrow()
    }

    /// Passes a signal on to the server's process group; does nothing once it is gone.
    pub fn signal(&self, signal: Signal) {
        self.order(Order::Signal(signal));
    }

    /// Ends the server the way MCP asks a client to: close its input, wait, SIGTERM, wait, SIGKILL.
    ///
    /// A `stdin` that was taken out has to be dropped by its owner, before or meanwhile.
    pub async fn shutdown(&mut self) -> ExitStatus {
        self.stdin = None;
        self.end().await
    }

    /// The same without closing the input, for when its owner has done so.
    pub async fn end(&self) -> ExitStatus {
        if let Ok(status) = tokio::time::timeout(self.grace, self.wait()).await {
            return status;
        }
        self.order(Order::End);
        self.wait().await
    }

    fn order(&self, order: Order) {
        // Nobody listens any more once the tree is gone, which is all an order could achieve.
        self.orders.send(order).ok();
    }
}
