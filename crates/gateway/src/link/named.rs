//! Pseudonyms in a message: what they stand for is put into calls of tools that are entitled to it, before anything is judged, and
//! kept for replies before they go.

use bartizan_guard::{CallSummary, Decision, Direction, Event, Evidence, Verdict};
use bartizan_mcp::Message;

use super::Link;
use crate::admit::{CODE_OURS, Refusal};
use crate::policy::Policy;
use crate::vault::{Call, RULE, VaultError};

impl Link {
    fn call<'c>(&'c self, policy: &'c Policy) -> Call<'c> {
        Call { principal: &self.principal, server: &self.server.name, session: &self.name, limits: &policy.limits }
    }

    /// A call with what its pseudonyms stand for, if its tool is entitled to that. It is judged as the tool gets it.
    pub(super) async fn pseudonyms(
        &self,
        policy: &Policy,
        message: Message,
        direction: Direction,
        answers: Option<&CallSummary>,
        evidence: &mut Vec<Evidence>,
    ) -> Result<Message, Refusal> {
        let Some(options) = policy.pipeline.pseudonyms() else { return Ok(message) };
        let (vault, call) = (&self.gateway.vault, self.call(policy));
        evidence.extend(vault.names(options, &call).await);
        if direction == Direction::ToClient {
            return Ok(message);
        }
        let before = message.clone();
        match Box::pin(vault.reveal((options, &self.gateway.recorder), &call, message)).await {
            Ok((message, revealed)) => {
                evidence.extend(revealed);
                Ok(message)
            }
            Err(why) => Err(self.without_vault(&before, direction, answers, &why)),
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

    /// Keeps what the names in a message stand for, if it is one that goes.
    pub(super) async fn keep_pseudonyms(
        &self,
        policy: &Policy,
        event: &Event<'_>,
        verdict: &Verdict,
    ) -> Result<(), Refusal> {
        let goes = matches!(verdict.decision, Decision::Transform(_)) && !verdict.pseudonyms.is_empty();
        let Some(options) = policy.pipeline.pseudonyms().filter(|_| goes) else { return Ok(()) };
        let kept = Box::pin(self.gateway.vault.keep(options, &self.call(policy), &verdict.pseudonyms)).await;
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
            _ => "what pseudonyms stand for can be neither kept nor given back now".to_owned(),
        };
        self.protest(message, direction, answers, (RULE, why), CODE_OURS)
    }
}
