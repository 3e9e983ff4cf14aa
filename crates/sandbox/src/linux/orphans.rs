//! The gateway's second line: ends what a killed launcher left behind.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, getpid};

use super::{sys, tree};

static ADOPTING: AtomicBool = AtomicBool::new(false);

/// After this many looks at `/proc` what is left cannot be killed.
const LOOKS: u32 = 400;
const PAUSE: Duration = Duration::from_millis(5);

/// Makes this process the parent of whatever a killed launcher leaves behind, so that it can be ended.
///
/// For the start of a program that launches servers. From then on every child of this process that has a
/// session of its own is taken for such a remainder whenever a launcher dies, so such a program must neither
/// start daemons and stay their parent, nor change its own session afterwards.
pub fn adopt_orphans() {
    sys::expect_children();
    if rustix::process::set_child_subreaper(Some(getpid())).is_ok() {
        ADOPTING.store(true, Ordering::Relaxed);
    }
}

/// Kills what is left of the tree whose server was `server`, after its launcher has died.
pub(super) async fn sweep(server: Option<i32>) {
    for _ in 0..LOOKS {
        if kill_remainder(server) == 0 {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Kills and collects once; returns how many processes there were.
///
/// A launcher stays in this process's session and everything it starts does not, and what is in another
/// session cannot come back. So the children in foreign sessions are exactly the orphans: those of other,
/// living launchers are still with them.
fn kill_remainder(server: Option<i32>) -> usize {
    let me = getpid().as_raw_pid();
    let Some(session) = tree::own().map(|own| own.session) else { return 0 };
    let adopting = ADOPTING.load(Ordering::Relaxed);
    let remainder = tree::with_descendants(&tree::all(), |process| {
        let orphan = adopting && process.parent == me && process.session != session;
        orphan || Some(process.session) == server
    });
    for process in &remainder {
        tree::signal_one(process, Signal::KILL);
        if process.parent == me {
            // Only ever this very process, since others may be waiting for children of their own.
            rustix::process::waitpid(Pid::from_raw(process.pid), WaitOptions::NOHANG).ok();
        }
    }
    remainder.len()
}
