//! Judges a message here and now, or, if that may take long, in its turn on another thread.

use std::sync::Arc;

use bartizan_guard::{
    CallSummary, Direction, Event, Evidence, Grant, Principal, ServerProfile, Session, Timestamp, Verdict,
};
use bartizan_mcp::Message;
use tokio::sync::Semaphore;

use crate::gateway::Policy;

/// Judging a larger message takes long enough to matter to others.
const HEAVY: usize = 64 * 1024;

/// Judges a message; `turns` says how many of those that may take long are judged at once, first come, first served.
pub(crate) async fn judge(
    turns: &Semaphore,
    policy: &Arc<Policy>,
    event: &Event<'_>,
    profile: &Arc<ServerProfile>,
    session: &Arc<Session>,
) -> Verdict {
    if event.message.bytes().len() <= HEAVY && !policy.pipeline.takes_long(event, session) {
        return policy.pipeline.judge(event, session);
    }
    // The semaphore is never closed.
    let _turn = turns.acquire().await;
    let case = Case::of(event, profile, session);
    let there = Arc::clone(policy);
    match tokio::task::spawn_blocking(move || case.judge(&there)).await {
        Ok(verdict) => verdict,
        // The runtime is shutting down; what is judged last is judged here.
        Err(_) => policy.pipeline.judge(event, session),
    }
}

/// An event with all that it refers to, fit to be judged elsewhere. Nothing large is copied.
struct Case {
    message: Message,
    direction: Direction,
    answers: Option<CallSummary>,
    principal: Principal,
    server: Arc<ServerProfile>,
    session: Arc<Session>,
    evidence: Vec<Evidence>,
    grant: Option<Grant>,
    now: Timestamp,
}

impl Case {
    fn of(event: &Event<'_>, server: &Arc<ServerProfile>, session: &Arc<Session>) -> Case {
        Case {
            message: event.message.clone(),
            direction: event.direction,
            answers: event.answers.cloned(),
            principal: event.principal.clone(),
            server: Arc::clone(server),
            session: Arc::clone(session),
            evidence: event.evidence.to_vec(),
            grant: event.grant.cloned(),
            now: event.now,
        }
    }

    fn judge(&self, policy: &Policy) -> Verdict {
        let event = Event {
            message: &self.message,
            direction: self.direction,
            answers: self.answers.as_ref(),
            principal: &self.principal,
            server: &self.server,
            evidence: &self.evidence,
            grant: self.grant.as_ref(),
            now: self.now,
        };
        policy.pipeline.judge(&event, &self.session)
    }
}
