//! Pseudonyms in a message: what they stand for is put into calls of tools that are entitled to it, before anything is judged, and
//! kept for replies before they go.

use std::sync::Arc;

use bartizan_guard::{Action, CallSummary, Decision, Direction, Event, Evidence, GuardSpec, Kind, Verdict, guards};
use bartizan_mcp::Message;

use super::Link;
use crate::admit::{CODE_OURS, Refusal};
use crate::clock;
use crate::gateway::Gateway;
use crate::given::Waiting;
use crate::judge;
use crate::policy::Policy;
use crate::vault::{self, Call, RULE, VaultError};

impl Link {
    fn call<'c>(&'c self, policy: &'c Policy) -> Call<'c> {
        Call { principal: &self.principal, server: &self.server.name, session: &self.name, limits: &policy.limits }
    }

    /// What the guards are to know of pseudonyms, and a call with what its own stand for if its tool is entitled to that. It is
    /// judged as the tool gets it, and what it holds is known again for as long as what comes with the message is kept.
    pub(super) async fn pseudonyms(
        &self,
        policy: &Arc<Policy>,
        message: Message,
        (direction, answers): (Direction, Option<&CallSummary>),
        evidence: &mut Vec<Evidence>,
    ) -> Result<(Message, Option<Waiting>), Refusal> {
        let Some(options) = policy.pipeline.pseudonyms() else { return Ok((message, None)) };
        let (vault, call) = (&self.gateway.vault, self.call(policy));
        evidence.extend(vault.names(options, &call).await);
        // What answers a server has the id that the server chose.
        if direction == Direction::ToClient || message.is_response() {
            evidence.extend(vault.told(&call));
            return Ok((message, None));
        }
        if vault::entitled(options, &call, &message).is_none() || self.refuses_any(policy, &message, evidence).await {
            return Ok((message, None));
        }
        match Box::pin(vault.reveal((options, &self.gateway.recorder), &call, &message)).await {
            Ok(None) => Ok((message, None)),
            Ok(Some(held)) => {
                evidence.extend(held.evidence);
                Ok((held.message, Some(held.waiting)))
            }
            Err(why) => Err(self.without_vault(&message, direction, answers, &why)),
        }
    }

    /// The numbers in a message that were handed out themselves, if there are such and nobody has looked yet: with that it is to be
    /// judged anew, as they are no data.
    pub(super) async fn standing(
        &self,
        policy: &Policy,
        event: &Event<'_>,
        verdict: &Verdict,
    ) -> Result<Option<Evidence>, Refusal> {
        let is_known = event.evidence.iter().any(|evidence| matches!(evidence, Evidence::Standing(_)));
        let asks = !is_known && !verdict.numbers.is_empty();
        let Some(options) = policy.pipeline.pseudonyms().filter(|_| asks) else { return Ok(None) };
        let found = Box::pin(self.gateway.vault.standing(options, &self.call(policy), &verdict.numbers)).await;
        let found = found.map_err(|why| self.without_vault(event.message, event.direction, event.answers, &why))?;
        Ok((!found.is_empty()).then(|| Evidence::Standing(found.into())))
    }

    /// Whether a call is refused whatever stands in it: its rate is used up, or its credential is not good for the tool. Then
    /// nothing is looked up for it. What policies and all others say may depend on the values.
    async fn refuses_any(&self, policy: &Arc<Policy>, message: &Message, evidence: &[Evidence]) -> bool {
        let is_spent =
            |evidence: &Evidence| matches!(evidence, Evidence::RateExceeded { .. } | Evidence::InFlight { .. });
        let name = message.param("name").unwrap_or_default();
        let may_call = self.principal.scopes.allow(&self.server.name, Kind::Tool, &name);
        if may_call && !evidence.iter().any(is_spent) {
            return false;
        }
        let (session, profile) = (self.session.snapshot(), self.profile());
        let event = Event {
            message,
            direction: Direction::ToServer,
            answers: None,
            principal: &self.principal,
            server: &profile,
            evidence,
            grant: None,
            now: clock::now(),
        };
        let judged = judge::judge(&self.gateway.turns, policy, &event, (&profile, &session), None).await;
        judged.verdict.findings.iter().any(|held| {
            let is_of = |spec: &GuardSpec| spec.rules.contains(held.finding.rule);
            held.action == Action::Deny && (is_of(&guards::rate::SPEC) || is_of(&guards::access::SPEC))
        })
    }

    /// What a server was given back, by which it is known again in what it says.
    pub(super) fn told(&self, policy: &Policy) -> Option<Evidence> {
        policy.pipeline.pseudonyms().and_then(|_| self.gateway.vault.told(&self.call(policy)))
    }

    /// Keeps what the names in a message stand for, if it is one that goes.
    pub(super) async fn keep_pseudonyms(
        &self,
        policy: &Policy,
        event: &Event<'_>,
        verdict: &Verdict,
    ) -> Result<(), Refusal> {
        let goes = matches!(verdict.decision, Decision::Transform(_)) && !verdict.pseudonyms.is_empty();
        let Some(options) = policy.pipeline.pseudonyms().filter(|_| goes) else { return Ok(()) };
        let Gateway { vault, recorder, metrics, .. } = &*self.gateway;
        let call = self.call(policy);
        let kept = vault.keep((options, recorder, metrics), (&call, event.direction), &verdict.pseudonyms);
        let kept = Box::pin(kept).await;
        kept.map_err(|why| self.without_vault(event.message, event.direction, event.answers, &why))
    }

    fn without_vault(
        &self,
        message: &Message,
        direction: Direction,
        answers: Option<&CallSummary>,
        why: &VaultError,
    ) -> Refusal {
        self.gateway.vault.complain(why);
        let why = match why {
            VaultError::Unclear(why) => why.to_string(),
            _ => why.told().to_owned(),
        };
        self.protest(message, direction, answers, (RULE, why), CODE_OURS)
    }
}
