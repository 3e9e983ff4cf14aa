//! What passes only once somebody has agreed to it: holding it, and taking it up again.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bartizan_guard::{Approval, Direction, Event, Roles, Session, excerpt};
use bartizan_mcp::{Digest, Era, Message, NodeKind, Value, meta::Meta, method};
use tokio::time::Instant;

use super::Link;
use crate::admit::{Admitted, Paid, Refusal};
use crate::agree::state::Again;
use crate::agree::{self, Asker, Found, Granted, Way};
use crate::asking::Asking;
use crate::clock;
use crate::codes::INVALID_PARAMS;
use crate::limiter::Slot;
use crate::policy::Policy;
use crate::shown;

/// How long a client that comes back after it was asked is held while somebody still decides.
const COMES_BACK: Duration = Duration::from_secs(20);

/// How often it is looked whether a client still wants a call that is held.
const LOOK: Duration = Duration::from_millis(200);

/// The client has not said that it can be asked to go to an address, or it has; or the gateway does not rely on it.
pub(super) const UNSAID: u8 = 0;
const BY_URL: u8 = 1;
const PLAINLY: u8 = 2;

/// How a message stands to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// By itself.
    Alone,
    /// It is the rest of a request that waits already, so it takes no place of its own.
    Rest,
    /// It comes back after its client was asked, with a state that is about exactly this.
    Again(Digest),
}

/// Why a message that needs an agreement has none.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    /// The request that waits, if one does.
    pub(super) asking: Option<Box<Asking>>,
    /// How long ago whoever asks may have shown a second factor, where a token that says so is proof enough.
    pub(super) max_age: Option<Duration>,
    /// The request that was denied, if one was.
    denied: Option<String>,
    /// Why none does.
    why: Option<String>,
}

impl Unsettled {
    /// The refusal of the message, which says so; whoever holds the message has what that spent.
    pub(super) fn told_with(self, refusal: Refusal, slot: Option<Slot>) -> Refusal {
        let paid = self.asking.is_some().then(|| Box::new(Paid(slot)));
        refusal.unless_proven(self.max_age).waiting_for(self.asking).keeping(paid)
    }

    /// What the request that waits, or that was denied, is called.
    pub(super) fn id(&self) -> Option<&str> {
        self.denied.as_deref().or(self.asking.as_ref().map(|asking| &*asking.id))
    }

    /// What to do, or why nobody can be asked.
    pub(super) fn words(&self) -> Option<&str> {
        self.why.as_deref().or(self.asking.as_ref().map(|asking| &*asking.what_to_do))
    }
}

impl Link {
    /// Notes how a client can be asked, when it says what it can do.
    pub(super) fn note_way_to_ask(&self, message: &Message) {
        if message.method() == Some(method::INITIALIZE) {
            let name = message.params().and_then(|params| params.at(&["clientInfo", "name"]));
            if let Some(name) = name.filter(|name| name.kind() == NodeKind::String) {
                self.client.get_or_init(|| excerpt(&name.text()).into());
            }
            let url = message.params().and_then(|params| params.at(&["capabilities", "elicitation", "url"]));
            let by_url = url.is_some_and(|url| url.kind() == NodeKind::Object);
            let _ = self.asks.compare_exchange(
                UNSAID,
                if by_url { BY_URL } else { UNSAID },
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
    }

    /// Has nobody asked by an address on this link: who is behind it would not understand.
    pub(crate) fn ask_plainly(&self) {
        self.asks.store(PLAINLY, Ordering::Relaxed);
    }

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
        let refusal = match self.pass_as(message.clone(), Direction::ToServer, None, standing, None).await {
            Err(refusal) if !patience.is_zero() => refusal,
            done => return done.inspect_err(|refusal| self.note_sent(refusal)),
        };
        let passed = Box::pin(self.pass_held(message, refusal, standing, patience)).await;
        passed.inspect_err(|refusal| self.note_sent(refusal))
    }

    /// Passes a request that waits for an agreement, if that comes in time and its client still wants it.
    pub(crate) async fn pass_held(
        &self,
        message: Message,
        mut refusal: Refusal,
        standing: Standing,
        patience: Duration,
    ) -> Result<Admitted, Refusal> {
        let since = Instant::now();
        let Some(id) = refusal.waits() else { return Err(refusal) };
        // People take their time.
        let message = message.settled();
        let decided = tokio::select! {
            decided = self.gateway.agreements.decided(id, patience) => decided,
            () = self.cancelled(&message, since) => false,
        };
        if !decided || self.is_cancelled(&message, since) {
            return Err(refusal);
        }
        // Its server has gone, and whoever waited was told so: what was agreed to is kept for the call made again.
        if self.upstream.has_ended() {
            return Err(refusal);
        }
        if !shown::is_still_good(&self.principal, self.gateway.policy.load().credential_required).await {
            return Err(refusal);
        }
        // It was counted when it came, and has kept its place.
        let paid = refusal.paid.take();
        self.pass_as(message, Direction::ToServer, None, standing, paid).await
    }

    /// Waits until the client says that it waits for a request no longer.
    async fn cancelled(&self, message: &Message, since: Instant) {
        while !self.is_cancelled(message, since) {
            tokio::time::sleep(LOOK).await;
        }
    }

    fn is_cancelled(&self, message: &Message, since: Instant) -> bool {
        message.id().is_some_and(|id| self.unanswered.was_cancelled(id, since))
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

    /// The agreement to a message that needs one, spent by now; otherwise who is asked, or why nobody is.
    pub(super) async fn agreed(
        &self,
        policy: &Policy,
        (event, session): (&Event<'_>, &Session),
        approval: &Approval,
        standing: Standing,
    ) -> Result<Granted, Unsettled> {
        let asked = |expected| expected == agree::on_terms(&policy.approval, (event, session), approval);
        if matches!(standing, Standing::Again(expected) if !asked(expected)) {
            let why = "its `requestState` is about another call, or about who had to agree to it before".to_owned();
            return Err(Unsettled { why: Some(why), ..Unsettled::default() });
        }
        let (none, policies) = (Roles::default(), policy.pipeline.settings().policies.as_ref());
        let info = Meta::of(event.message).client_info().and_then(|info| info.get("name"));
        let said = info.filter(|name| name.kind() == NodeKind::String).map(|name| name.text().into_owned());
        let client = said.as_deref().or(self.client.get().map(|name| &**name)).filter(|name| !name.trim().is_empty());
        let roles = policies.map_or(&none, |policies| policies.roles());
        let asker = Asker { way: self.way_to_ask(event.message), client, roles };
        match self.gateway.agreements.find(&policy.approval, (event, session), approval, asker).await {
            Found::Granted(granted) => Ok(granted),
            Found::Asked(asking) => {
                Err(Unsettled { asking: Some(asking), max_age: approval.max_age(), ..Unsettled::default() })
            }
            Found::Refused(why) => {
                Err(Unsettled { why: Some(why), max_age: approval.max_age(), ..Unsettled::default() })
            }
            Found::Denied(request, why) => {
                let denied = Some(request);
                Err(Unsettled { why: Some(why), denied, max_age: approval.max_age(), ..Unsettled::default() })
            }
        }
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
