//! What all sessions share: the policy in force, the log, the approvals, the counters.

use std::sync::Arc;

use arc_swap::ArcSwap;
use bartizan_audit::Level;
use bartizan_guard::{Fact, Pipeline};
use bartizan_mcp::Limits;
use tokio::sync::Semaphore;

use crate::abilities::Abilities;
use crate::approvals::{Approvals, Kept};
use crate::budget::Budget;
use crate::limiter::Limiter;
use crate::metrics::Metrics;
use crate::recorder::Recorder;
use crate::server::Server;

/// One running gateway.
pub struct Gateway {
    /// What decides; swapped whole when the configuration is reloaded.
    pub policy: ArcSwap<Policy>,
    /// The audit log.
    pub recorder: Recorder,
    /// The approved definitions.
    pub approvals: Approvals,
    /// What is counted.
    pub metrics: Metrics,
    /// How many large messages are judged at once; the others wait in line.
    pub(crate) heavy: Semaphore,
    /// What messages that arrive may take together.
    pub(crate) memory: Budget,
}

/// Everything a configuration says about judging.
pub struct Policy {
    /// The guards with their settings.
    pub pipeline: Pipeline,
    /// Rates across conversations.
    pub limiter: Limiter,
    /// Bounds of one message.
    pub limits: Limits,
    /// What the log has to promise before an ordinary message passes.
    pub level: Level,
    /// Whether a call of a destructive tool waits until its record is on disk.
    pub durable_if_sensitive: bool,
}

impl Gateway {
    /// A gateway that has no sessions yet.
    #[must_use]
    pub fn new(policy: Policy, recorder: Recorder, approvals: Approvals) -> Arc<Gateway> {
        let memory = Budget::new(policy.limits.bytes);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Arc::new(Gateway {
            policy: ArcSwap::from_pointee(policy),
            recorder,
            approvals,
            metrics: Metrics::default(),
            heavy: Semaphore::new(cores),
            memory,
        })
    }

    /// Stores what outlives the session: definitions seen for the first time, by a client that can do so much.
    pub(crate) async fn keep(&self, server: &Server, by: Abilities, facts: &[Fact]) -> Result<Kept, String> {
        self.approvals.keep(server, by, facts).await
    }
}
