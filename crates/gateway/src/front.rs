//! Where a client's message ends that reaches no server: what the gateway answers itself, and what it takes note of.
//!
//! **Threat.** A client that guesses the names of tools, asks without end for what there is not, or hides something in a
//! message that only the gateway reads must not get past the guards, the rates and the log by that. So what ends here is
//! judged and recorded like what goes on, under the name of the server that it would have gone to, or of all of them.

use std::sync::Arc;

use bartizan_guard::{Decision, Direction, Event, Evidence, Principal, ServerProfile, Verdict};
use bartizan_mcp::Message;

use crate::admit::{self, Admitted, Desk, Kept, NotAdmitted, Refusal};
use crate::approvals;
use crate::clock;
use crate::gateway::Gateway;
use crate::judge;
use crate::labels::Conversation;
use crate::policy::Policy;
use crate::problem::Problem;
use crate::server::Server;
use crate::session::SessionHandle;

/// What stands for all servers in records.
pub(crate) const ALL: &str = bartizan_guard::EVERY_SERVER;

/// One client's session, as far as no server is concerned.
pub(crate) struct Front {
    gateway: Arc<Gateway>,
    principal: Principal,
    /// The session's name in records.
    session: String,
    profile: Arc<ServerProfile>,
    memory: SessionHandle,
}

impl Front {
    /// In front of one server.
    pub(crate) fn of(gateway: &Arc<Gateway>, server: &Server, principal: &Principal, session: &str) -> Front {
        Front::named(gateway, &server.name, principal, session)
    }

    /// In front of all servers.
    pub(crate) fn of_all(gateway: &Arc<Gateway>, principal: &Principal, session: &str) -> Front {
        Front::named(gateway, &Arc::from(ALL), principal, session)
    }

    fn named(gateway: &Arc<Gateway>, server: &Arc<str>, principal: &Principal, session: &str) -> Front {
        Front {
            gateway: Arc::clone(gateway),
            principal: principal.clone(),
            session: session.to_owned(),
            profile: Arc::new(approvals::unknown(server)),
            memory: SessionHandle::new(gateway.conversations.of(session)),
        }
    }

    /// Judges and records a message that ends here because it is answered, or taken note of, without a server.
    ///
    /// # Errors
    /// If the guards have something against it, or it cannot be recorded.
    pub(crate) async fn take(&self, message: &Message) -> Result<(), Refusal> {
        let policy = self.gateway.policy.load_full();
        let evidence = policy.evidence(&self.principal, &self.profile.name, message);
        let event = self.event(message, &evidence);
        let verdict = self.judge(&policy, &event).await;
        let decision = verdict.decision.as_str();
        match self.carry_out(&policy, &event, verdict).await {
            Ok(()) => {
                self.count(decision, "");
                Ok(())
            }
            Err(refusal) => Err(self.counted(refusal)),
        }
    }

    /// Records and refuses a message that leads nowhere. A client that sends too many is told that instead.
    pub(crate) async fn refuse(&self, message: &Message, problem: Problem) -> Refusal {
        let policy = self.gateway.policy.load_full();
        let evidence = policy.evidence(&self.principal, &self.profile.name, message);
        let event = self.event(message, &evidence);
        if !evidence.is_empty() {
            let verdict = self.judge(&policy, &event).await;
            if matches!(verdict.decision, Decision::Deny(_) | Decision::RequireApproval(_))
                && let Err(refusal) = self.carry_out(&policy, &event, verdict).await
            {
                return self.counted(refusal);
            }
        }
        let Problem { rule, why, code } = problem;
        self.counted(self.desk(&policy).refuse(&event, rule, why, code))
    }

    /// What the client's sessions with all servers have in common.
    pub(crate) fn conversation(&self) -> &Conversation {
        self.memory.conversation()
    }

    /// A response of the gateway's own.
    pub(crate) fn own(&self, json: String) -> Admitted {
        admit::own_response(&self.gateway.recorder, &self.profile.name, &self.session, json)
    }

    async fn judge(&self, policy: &Arc<Policy>, event: &Event<'_>) -> Verdict {
        let session = self.memory.snapshot();
        let judged = judge::judge(&self.gateway.turns, policy, event, (&self.profile, &session), None).await;
        // What a message teaches is of its server, and this one has none.
        Verdict { facts: Vec::new(), ..judged.verdict }
    }

    async fn carry_out(&self, policy: &Policy, event: &Event<'_>, verdict: Verdict) -> Result<(), Refusal> {
        let keep = async |_: &[_]| Ok(Kept::Done);
        match self.desk(policy).admit(event, verdict, 0, keep).await {
            // It has arrived.
            Ok(_admitted) => Ok(()),
            Err(NotAdmitted::Refused(refusal)) => Err(refusal),
            // Cannot be, as there is nothing to contend for without facts.
            Err(NotAdmitted::Conflict) => {
                let why = "the message could not be judged".to_owned();
                Err(self.desk(policy).refuse(event, "gateway.contention", why, admit::CODE_OURS))
            }
        }
    }

    fn event<'a>(&'a self, message: &'a Message, evidence: &'a [Evidence]) -> Event<'a> {
        Event {
            message,
            direction: Direction::ToServer,
            answers: None,
            principal: &self.principal,
            server: &self.profile,
            evidence,
            grant: None,
            now: clock::now(),
        }
    }

    fn desk<'a>(&'a self, policy: &'a Policy) -> Desk<'a> {
        Desk {
            recorder: &self.gateway.recorder,
            metrics: &self.gateway.metrics,
            session: &self.memory,
            session_id: &self.session,
            limits: &policy.limits,
            policies: policy.version(),
            level: policy.level,
            approval: None,
            unsettled: None,
            waits: false,
            news: None,
        }
    }

    fn counted(&self, refusal: Refusal) -> Refusal {
        self.count("deny", refusal.rule);
        refusal
    }

    fn count(&self, decision: &'static str, rule: &'static str) {
        self.gateway.metrics.decided(&self.profile.name, Direction::ToServer.as_str(), decision, rule);
    }
}
