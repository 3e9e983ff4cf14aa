//! One wrapped server, as it stays however often it is started.

use std::sync::Arc;

use bartizan_guard::Principal;
use bartizan_mcp::Limits;
use bartizan_sandbox::{ExitStatus, Signal};
use tokio::sync::watch;

use super::restart::Restart;
use crate::gateway::Gateway;
use crate::labels::Conversation;
use crate::link::Link;
use crate::server::Server;
use crate::upstream::Upstream;

/// What stays the same however often the server is started.
pub(super) struct Wrapped<'a> {
    pub(super) gateway: &'a Arc<Gateway>,
    pub(super) server: Arc<Server>,
    pub(super) principal: Principal,
    /// The session's name in records.
    pub(super) session: String,
    /// What it has in common with what else the same client has wrapped; held however often the server is started.
    pub(super) _conversation: Arc<Conversation>,
    pub(super) limits: Limits,
    pub(super) restart: Arc<Restart>,
    pub(super) stop: watch::Sender<bool>,
}

impl Wrapped<'_> {
    /// Says how a server ended that was not to end.
    pub(super) fn say_end(&self, status: ExitStatus) {
        if !status.success() && !*self.stop.borrow() {
            self.server.tell(&format!("the server {}", said(status)));
        }
    }
}

/// How a server ended, as part of a sentence.
fn said(status: ExitStatus) -> String {
    let verb = if matches!(status, ExitStatus::Signal(_)) { "was " } else { "" };
    format!("{verb}{status}")
}

/// Passes a signal on to the server, and remembers that it was told to end.
pub(super) fn pass_on(signal: Signal, link: &Link, stop: &watch::Sender<bool>) {
    if !matches!(signal, Signal::User1 | Signal::User2) {
        stop.send_replace(true);
    }
    if let Upstream::Stdio(child) = &link.upstream {
        child.signal(signal);
    }
}
