//! What passes only once somebody has agreed to it: holding it, and taking it up again.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bartizan_guard::{Approval, Direction, Event};
use bartizan_mcp::{Digest, Era, Message, NodeKind, Value, meta::Meta};
use tokio::time::Instant;

use super::{BY_URL, Link, PLAINLY, Standing};
use crate::admit::{Admitted, Refusal};
use crate::agree::state::Again;
use crate::agree::{self, Found, Way};
use crate::clock;
use crate::codes::INVALID_PARAMS;
use crate::policy::Policy;

/// How long a client that comes back after it was asked is held while somebody still decides.
const COMES_BACK: Duration = Duration::from_secs(20);

impl Link {
    /// Passes a request of the client's, once somebody has agreed to it who has to, if that does not take too long.
    ///
    /// # Errors
    /// As for [`Link::pass`].
    pub(crate) async fn pass_agreed(&self, message: Message) -> Result<Admitted, Refusal> {
        let policy = self.gateway.policy.load_full();
        let (message, standing, patience) = match agree::state::again(&message, &policy.limits) {
            None => (message, Standing::Alone, policy.approval.wait),
            Some(again) => match Box::pin(self.comes_back(again)).await {
                Ok((inner, expected)) => (inner, Standing::Again(expected), policy.approval.wait.max(COMES_BACK)),
                Err(why) => {
                    let problem = ("gateway.approval_state", why.to_owned());
                    return Err(self.protest(&message, Direction::ToServer, None, problem, INVALID_PARAMS));
                }
            },
        };
        let refusal = match self.pass_as(message.clone(), Direction::ToServer, None, standing).await {
            Err(refusal) if !patience.is_zero() => refusal,
            done => return done,
        };
        Box::pin(self.pass_held(message, refusal, standing, patience)).await
    }

    /// Passes a request that waits for an agreement, if that comes in time and its client still wants it.
    pub(crate) async fn pass_held(
        &self,
        message: Message,
        refusal: Refusal,
        standing: Standing,
        patience: Duration,
    ) -> Result<Admitted, Refusal> {
        let since = Instant::now();
        let Some(id) = refusal.waits() else { return Err(refusal) };
        let decided = self.gateway.agreements.decided(id, patience).await;
        if !decided || message.id().is_some_and(|id| self.was_cancelled(id, since)) {
            return Err(refusal);
        }
        self.pass_as(message, Direction::ToServer, None, standing).await
    }

    /// What a request was before its client was asked, and what it was asked about.
    async fn comes_back(&self, again: Result<Again, &'static str>) -> Result<(Message, Digest), &'static str> {
        let Again { message, state, accepted } = again?;
        let kept = self.gateway.agreements.read_state(&state).await.ok_or("its `requestState` is none of ours")?;
        let is_theirs = *kept.principal == *self.principal.id && *kept.server == *self.server.name;
        if !is_theirs || kept.expires_at <= clock::now().0 {
            return Err("its `requestState` is over, or for another client or server");
        }
        if !accepted {
            return Err("whoever was asked did not want to go to the page");
        }
        Ok((message, kept.digest().ok_or("its `requestState` is none of ours")?))
    }

    /// What somebody has said to what a message needs, or who is asked.
    pub(super) async fn agreed(
        &self,
        policy: &Policy,
        event: &Event<'_>,
        approval: &Approval,
        standing: Standing,
    ) -> Found {
        if matches!(standing, Standing::Again(expected) if expected != approval.digest) {
            return Found::Refused("its `requestState` is about another call".to_owned());
        }
        let way = self.way_to_ask(event.message);
        self.gateway.agreements.find(&policy.approval, event, approval, way).await
    }

    /// How whoever sends this can be asked to go to an address.
    fn way_to_ask(&self, message: &Message) -> Way {
        let has_url = |capabilities: Value<'_>| {
            capabilities.at(&["elicitation", "url"]).is_some_and(|url| url.kind() == NodeKind::Object)
        };
        match (self.asks.load(Ordering::Relaxed), Meta::of(message).client_capabilities()) {
            (PLAINLY, _) => Way::None,
            (_, Some(capabilities)) if has_url(capabilities) => Way::Url(Era::Stateless),
            (BY_URL, None) => Way::Url(Era::Legacy),
            _ => Way::None,
        }
    }
}
