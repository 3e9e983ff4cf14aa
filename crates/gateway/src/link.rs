//! One client's link to one server, and the judging that every message on it passes through.

mod agreed;
mod completed;
mod named;
mod unanswered;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bartizan_audit::Level;
use bartizan_guard::flow::Traces;
use bartizan_guard::{
    Action, CallSummary, Decision, DefinitionKind, Denial, Direction, Event, Evidence, Fact, Finding, History,
    Principal, ServerProfile, Session, Traits, Verdict,
};
use bartizan_mcp::{Id, Message, Rejection, method};

use futures_util::FutureExt;
use tokio::sync::oneshot;

pub(crate) use self::agreed::Standing;
use self::agreed::{UNSAID, Unsettled};
use self::completed::Sent;
pub(crate) use self::completed::with_completed;
pub(crate) use self::unanswered::{TOO_MANY, Unanswered};
use crate::abilities::Abilities;
use crate::admit::{self, About, Admitted, CODE_DENIED, Desk, Kept, NotAdmitted, Paid, Ran, Refusal};
use crate::agree::Granted;
use crate::capture::Taken;
use crate::clock;
use crate::gateway::Gateway;
use crate::judge::{self, Judgement};
use crate::labels::Conversation;
use crate::learned::Learned;
use crate::limiter::{Bucket, Slot};
use crate::metrics::Passing;
use crate::policy::Policy;
use crate::problem::Problem;
use crate::relay::Relay;
use crate::replay::Streams;
use crate::server::Server;
use crate::session::SessionHandle;
use crate::unread::Unread;
use crate::upstream::{Reply, Routing, Upstream, UpstreamError};
use crate::vault::Call;

/// One client's session with one server.
pub struct Link {
    /// What all links share.
    pub gateway: Arc<Gateway>,
    /// The server.
    pub server: Arc<Server>,
    /// On whose behalf the client acts.
    pub principal: Principal,
    /// Names the session in records; not the secret by which a client claims it.
    pub name: String,
    /// The way to the server.
    pub upstream: Upstream,
    /// Streams that the client can come back to.
    pub(crate) streams: Streams,
    /// What either side has asked and nobody has answered.
    pub(crate) unanswered: Unanswered,
    session: Arc<SessionHandle>,
    passing: Passing,
    /// What the server has said of late that is no answer, also before it was started again.
    said: Arc<Bucket>,
    /// What the client has said that it can do, by its index.
    abilities: AtomicU8,
    /// How it can be asked to go to an address.
    asks: AtomicU8,
    /// What the client called itself when it began.
    client: OnceLock<Box<str>>,
    /// Where it was sent.
    sent: Arc<Sent>,
    /// The places in its streams that the server named last on this link.
    events: Mutex<VecDeque<u64>>,
    /// Whether the server's tools were listed on the gateway's account.
    pub(crate) learned: Learned,
    /// Requests of the gateway's own among those that were asked, and who waits for their answers. Kept when nobody
    /// does any more: their answers are not for the client, however late they come.
    own: Mutex<HashMap<Id, oneshot::Sender<Admitted>>>,
}

/// How often a message is judged again because the session changed meanwhile.
const ATTEMPTS: usize = 64;
/// How many of the last places in its streams a client may come back to. Of each a digest is kept, so that it takes eight
/// bytes however long it is.
const EVENTS: usize = 1_024;
/// The rule for what a server says beyond what a session takes.
const FLOOD: &str = "upstream.flood";

impl Link {
    /// A link whose session has not begun.
    pub fn new(
        gateway: Arc<Gateway>,
        server: Arc<Server>,
        principal: Principal,
        name: String,
        upstream: Upstream,
    ) -> Self {
        let conversation = gateway.conversations.of(&name);
        conversation.uses(&server.name);
        Link {
            passing: gateway.metrics.passing(&server.name),
            session: Arc::new(SessionHandle::new(conversation)),
            gateway,
            server,
            principal,
            name,
            upstream,
            streams: Streams::default(),
            unanswered: Unanswered::default(),
            said: Arc::default(),
            abilities: AtomicU8::default(),
            asks: AtomicU8::new(UNSAID),
            client: OnceLock::new(),
            sent: Arc::default(),
            events: Mutex::default(),
            learned: Learned::default(),
            own: Mutex::default(),
        }
    }

    /// The same session with a new way to the server, on which nothing has been asked yet.
    pub(crate) fn with_upstream(&self, upstream: Upstream) -> Link {
        let (gateway, server) = (Arc::clone(&self.gateway), Arc::clone(&self.server));
        let link = Link::new(gateway, server, self.principal.clone(), self.name.clone(), upstream);
        let abilities = AtomicU8::new(self.abilities().index());
        let asks = AtomicU8::new(self.asks.load(Ordering::Relaxed));
        let (session, said, sent) = (Arc::clone(&self.session), Arc::clone(&self.said), Arc::clone(&self.sent));
        Link { session, said, sent, abilities, asks, client: self.client.clone(), ..link }
    }

    /// Opens a way to `server` for one client session, which records know as `name`, because of the message that `about`
    /// names.
    ///
    /// # Errors
    /// What to tell the client if the server cannot be started.
    pub(crate) async fn connect(
        gateway: &Arc<Gateway>,
        server: &Arc<Server>,
        principal: &Principal,
        name: String,
        about: About<'_>,
    ) -> Result<Link, Refusal> {
        let limits = gateway.policy.load().limits;
        match server.connect(gateway, principal, Routing::ByRequest, limits).await {
            Ok(upstream) => {
                upstream.on_stray(stray(gateway, server, principal, &name));
                Ok(Link::new(Arc::clone(gateway), Arc::clone(server), principal.clone(), name, upstream))
            }
            Err(error) => {
                server.note_failed(&error);
                gateway.metrics.failed(&server.name, error.rule());
                let problem = (error.rule(), format!("{}: {error}", server.name));
                let refusal = admit::failed(&gateway.recorder, &server.name, &name, about, problem);
                // Where programs are on this machine is for its operator.
                Err(refusal.saying(format!("{}: {}", server.name, error.without_words())))
            }
        }
    }

    /// Judges a message, records what was decided, and lets it go or says why not.
    ///
    /// # Errors
    /// What was recorded instead, if it may not go.
    pub async fn pass(
        &self,
        message: Message,
        direction: Direction,
        answers: Option<&CallSummary>,
    ) -> Result<Admitted, Refusal> {
        self.pass_as(message, direction, answers, Standing::Alone, None).await
    }

    /// The same for the rest of a request that waits already, so that it takes no place of its own.
    ///
    /// # Errors
    /// As for [`Link::pass`].
    pub(crate) async fn pass_rest(&self, message: Message) -> Result<Admitted, Refusal> {
        self.pass_as(message, Direction::ToServer, None, Standing::Rest, None).await
    }

    /// Each of a client's requests has one answer; for the rest nobody but the server decides how much it is.
    fn may_say(
        &self,
        policy: &Policy,
        message: &Message,
        direction: Direction,
        answers: Option<&CallSummary>,
    ) -> Result<(), Refusal> {
        if direction == Direction::ToClient && answers.is_none() && !self.said.spend(policy.said, clock::now()) {
            let why = format!("the server says more on its own account than {}", policy.said);
            return Err(self.protest(message, direction, None, (FLOOD, why), CODE_DENIED));
        }
        Ok(())
    }

    async fn pass_as(
        &self,
        message: Message,
        direction: Direction,
        answers: Option<&CallSummary>,
        standing: Standing,
        paid: Option<Box<Paid>>,
    ) -> Result<Admitted, Refusal> {
        let ran = if direction == Direction::ToClient { Ran::of(&message, answers) } else { Ran::No };
        self.decide(message, (direction, answers), standing, paid).await.map_err(|refusal| refusal.after(ran))
    }

    async fn decide(
        &self,
        message: Message,
        (direction, answers): (Direction, Option<&CallSummary>),
        standing: Standing,
        paid: Option<Box<Paid>>,
    ) -> Result<Admitted, Refusal> {
        let policy = self.gateway.policy.load_full();
        self.may_say(&policy, &message, direction, answers)?;
        let (slot, mut evidence) = match paid.map(|paid| *paid) {
            Some(Paid(slot)) => (slot, Vec::new()),
            None => self.begin(&policy, &message, direction, standing),
        };
        let (message, given) = self.pseudonyms(&policy, message, (direction, answers), &mut evidence).await?;
        let slot = Slot::with_given(slot, given);
        let (message, handed_out) = self.handed_out(message, direction, answers);
        let (subject, past) = self.past(&message, direction, answers);
        evidence.extend(handed_out.into_iter().chain(past));
        let mut granted: Option<Granted> = None;
        for _ in 0..ATTEMPTS {
            let (session, profile) = (self.session.snapshot(), self.profile());
            let event = Event {
                message: &message,
                direction,
                answers,
                principal: &self.principal,
                server: &profile,
                evidence: &evidence,
                grant: granted.as_ref().map(|granted| &granted.grant),
                now: clock::now(),
            };
            let (at, held) = ((&profile, &session), Some(self.session.conversation()));
            let Judgement { mut verdict, evidence: known, news, names } =
                judge::judge(&self.gateway.turns, &policy, &event, at, held).await;
            let event = Event { evidence: &known, ..event };
            if let Some(more) = self.looked_up(&policy, &event, &verdict).await? {
                evidence.push(more);
                continue;
            }
            let reply = verdict.reply.take();
            let name = verdict.decision.as_str();
            let mut unsettled = Unsettled::default();
            if let (Decision::RequireApproval(approval), None) = (&verdict.decision, &granted) {
                match Box::pin(self.agreed(&policy, (&event, &session), approval, standing)).await {
                    // Spent by now; what follows is judged anew, with it.
                    Ok(found) => {
                        granted = Some(found);
                        continue;
                    }
                    Err(why) => unsettled = why,
                }
            }
            self.keep_pseudonyms(&policy, &event, &verdict).await?;
            let level = if granted.is_some() { Level::Durable } else { level(&policy, &message, &session) };
            let desk = Desk {
                approval: granted.as_ref().map(|granted| &*granted.id).or(unsettled.id()),
                unsettled: unsettled.words(),
                waits: unsettled.asking.is_some(),
                news: news.as_ref(),
                ..self.desk(&policy, level)
            };
            let taken = self.taken((&event, &session), &verdict, &policy);
            let done = desk.admit(&event, verdict, session.version, async |facts| self.keep(facts).await).await;
            taken.into_iter().for_each(|taken| taken.put(&done));
            match done {
                Ok(admitted) => {
                    self.note_named(&policy, names.as_ref(), granted.is_some().then_some(&known));
                    self.note_passed(&admitted, direction, answers, subject.zip(reply));
                    self.count_passed(direction, name);
                    return Ok(admitted.with_slot(slot));
                }
                Err(NotAdmitted::Refused(refusal)) => {
                    return Err(self.counted(unsettled.told_with(refusal, slot), direction));
                }
                Err(NotAdmitted::Conflict) => {}
            }
        }
        Err(self.contended(&message, direction, answers))
    }

    /// What a message has to be judged anew with, if anybody else knows more of it: who is asked about doubts, and the vault. It is about the
    /// message, however often that is judged.
    async fn looked_up(
        &self,
        policy: &Policy,
        event: &Event<'_>,
        verdict: &Verdict,
    ) -> Result<Option<Evidence>, Refusal> {
        match policy.layers.ask(&event.server.name, &verdict.doubts, &self.gateway.metrics).await {
            Some(opinions) => Ok(Some(opinions)),
            None => self.standing(policy, event, verdict).await,
        }
    }

    /// What is captured of a message, if anything is.
    fn taken(&self, judged: (&Event<'_>, &Session), verdict: &Verdict, policy: &Policy) -> Option<Box<Taken>> {
        self.gateway.capture.take(judged, verdict, policy.version(), (&self.name, self.conversation()))
    }

    /// The refusal of a message that other ones kept from being judged.
    fn contended(&self, message: &Message, direction: Direction, answers: Option<&CallSummary>) -> Refusal {
        let why = "the session changed faster than the message could be judged".to_owned();
        self.protest(message, direction, answers, ("gateway.contention", why), admit::CODE_OURS)
    }

    /// Keeps what a list says, and says what of it is not accepted.
    async fn keep(&self, facts: &[Fact]) -> Result<Kept, String> {
        let kept = self.gateway.keep(&self.server, self.abilities(), facts).await;
        if kept == Ok(Kept::Done) {
            self.server.tell_not_accepted(facts);
        }
        kept
    }

    /// The place of a request among those that wait, or why it has none.
    fn begin(
        &self,
        policy: &Policy,
        message: &Message,
        direction: Direction,
        standing: Standing,
    ) -> (Option<Slot>, Vec<Evidence>) {
        if direction == Direction::ToClient {
            return (None, Vec::new());
        }
        self.note_abilities(message);
        match policy.begin(&self.principal, &self.server.name, message, standing != Standing::Rest) {
            Ok(slot) => (slot, Vec::new()),
            Err(evidence) => (None, evidence),
        }
    }

    /// Counts a message that has passed, by what was decided about it.
    fn count_passed(&self, direction: Direction, decision: &'static str) {
        if decision == Decision::Allow.as_str() {
            self.passing.count(direction);
        } else {
            self.gateway.metrics.decided(&self.server.name, direction.as_str(), decision, "");
        }
    }

    /// Notes what a client's call names, and that somebody agreed to it by what was known.
    fn note_named(&self, policy: &Policy, names: Option<&Traces>, agreed: Option<&Vec<Evidence>>) {
        let Some(follow) = policy.pipeline.follow() else { return };
        let conversation = self.session.conversation();
        names.into_iter().for_each(|names| conversation.hears(names));
        agreed.into_iter().for_each(|evidence| conversation.agrees(follow, evidence));
    }

    /// Notes that a server answers, what it hands out, and what a reply of it looks like.
    fn note_passed(
        &self,
        admitted: &Admitted,
        direction: Direction,
        answers: Option<&CallSummary>,
        reply: Option<(String, Traits)>,
    ) {
        if let Some((subject, reply)) = reply {
            self.gateway.histories.learn(&self.server.name, subject, &reply);
        }
        if direction == Direction::ToClient {
            self.server.note_answered();
            if let Some(owners) = self.gateway.owners() {
                owners.note(&self.principal, &self.server.name, admitted.message(), answers);
            }
        }
    }

    /// Whose replies this one is like or unlike, and what is known of them.
    fn past(
        &self,
        message: &Message,
        direction: Direction,
        answers: Option<&CallSummary>,
    ) -> (Option<String>, Option<Evidence>) {
        let subject = History::subject(message, direction, answers, &self.session.snapshot());
        let past = subject.as_deref().and_then(|subject| self.gateway.histories.of(&self.server.name, subject));
        (subject, past)
    }

    /// What is to be known of tasks and states that a message names; a list of tasks is only of those that are this
    /// principal's.
    fn handed_out(
        &self,
        message: Message,
        direction: Direction,
        answers: Option<&CallSummary>,
    ) -> (Message, Vec<Evidence>) {
        let Some(owners) = self.gateway.owners() else { return (message, Vec::new()) };
        let (who, server) = (&self.principal, &self.server.name);
        if direction == Direction::ToServer {
            let evidence = owners.of_request(who, server, &message);
            return (message, evidence);
        }
        let lists = answers.is_some_and(|call| &*call.method == method::TASKS_LIST);
        let message = if lists { owners.of_list(who, server, message) } else { message };
        let news = owners.of_news(who, server, &message);
        (message, news.into_iter().collect())
    }

    /// What the guards have against what a client says beside its messages, put in the form of one. As it cannot be
    /// edited, what would be is refused.
    pub(crate) async fn objection(&self, said: &Message) -> Option<Denial> {
        let policy = self.gateway.policy.load_full();
        let (session, profile) = (self.session.snapshot(), self.profile());
        let event = Event {
            message: said,
            direction: Direction::ToServer,
            answers: None,
            principal: &self.principal,
            server: &profile,
            evidence: &[],
            grant: None,
            now: clock::now(),
        };
        let judged = judge::judge(&self.gateway.turns, &policy, &event, (&profile, &session), None).await;
        let verdict = judged.verdict;
        match verdict.decision {
            Decision::Allow => None,
            Decision::Deny(denial) => Some(denial),
            Decision::RequireApproval(asked) => Some(Denial { rule: asked.rule, why: asked.why }),
            Decision::Transform(_) => {
                let found = verdict.findings.iter().find(|judged| judged.action > Action::Observe);
                let because = |why: &Finding| Denial { rule: why.rule.id, why: why.why.clone() };
                Some(found.map_or_else(Denial::edit_failed, |judged| because(&judged.finding)))
            }
        }
    }

    /// Refuses what a client says beside its messages; `fields` say what.
    pub(crate) fn refuse_beside(&self, fields: serde_json::Value, why: Problem) -> Refusal {
        let refusal = admit::beside(&self.gateway.recorder, fields, (why.rule, why.why), why.code);
        self.counted(refusal, Direction::ToServer)
    }

    /// Refuses a message that no guard needs to see: it violates the protocol.
    pub(crate) fn protest(
        &self,
        message: &Message,
        direction: Direction,
        answers: Option<&CallSummary>,
        (rule, why): (&'static str, String),
        code: i64,
    ) -> Refusal {
        if direction == Direction::ToClient && !self.gateway.recorder.records_stray(&self.server.name, rule) {
            return self.counted(admit::counted(rule, why, code), direction);
        }
        let (profile, policy) = (self.server.profile.load_full(), self.gateway.policy.load());
        let told: Vec<Evidence> = self.told(&policy).into_iter().collect();
        let event = Event {
            message,
            direction,
            answers,
            principal: &self.principal,
            server: &profile,
            evidence: &told,
            grant: None,
            now: clock::now(),
        };
        let refusal = self.desk(&policy, Level::Written).refuse(&event, rule, why, code);
        self.counted(refusal, direction)
    }

    /// Refuses bytes that are no message.
    pub(crate) fn unreadable(&self, direction: Direction, bytes: &Unread, rejection: &Rejection) -> Refusal {
        let Gateway { recorder, policy, .. } = &*self.gateway;
        let (principal, server, rule) = (&self.principal.id, &self.server.name, rejection.fault.rule());
        let flood = || !self.said.spend(policy.load().said, clock::now()) && !recorder.records_stray(server, rule);
        if direction == Direction::ToClient && flood() {
            let why = format!("the server's message is refused: {rejection}");
            return self.counted(admit::counted(rule, why, CODE_DENIED), direction);
        }
        let refusal = admit::unreadable(recorder, direction, principal, server, &self.name, (bytes, rejection));
        self.counted(refusal, direction)
    }

    /// Records that the server failed, for whoever waits for `call`.
    pub(crate) fn failed(&self, call: Option<&CallSummary>, error: &UpstreamError) -> Refusal {
        let may_be_told = self.may_be_told(call, error);
        self.record_failure(call.into(), error, may_be_told)
    }

    /// The same where nobody waits but the gateway, because of the message that `about` names.
    pub(crate) fn failed_about(&self, about: About<'_>, error: &UpstreamError) -> Refusal {
        self.record_failure(about, error, self.may_be_told(None, error))
    }

    fn record_failure(&self, about: About<'_>, error: &UpstreamError, may_be_told: bool) -> Refusal {
        self.server.note_failed(error);
        self.gateway.metrics.failed(&self.server.name, error.rule());
        let recorder = &self.gateway.recorder;
        let of = |error: &UpstreamError| format!("{}: {error}", self.server.name);
        // The program's own log has the last words in any case.
        let known = error.in_full();
        let recorded = if recorder.quotes() { of(&known) } else { of(&known.unquoted()) };
        let refusal = admit::failed(recorder, &self.server.name, &self.name, about, (error.rule(), recorded));
        refusal.saying(if may_be_told { of(error) } else { of(&error.without_words()) })
    }

    /// What a server says as it dies is content like any other of it, though it says it on standard error: only what
    /// the guards would let pass in an error goes on to the client.
    fn may_be_told(&self, call: Option<&CallSummary>, error: &UpstreamError) -> bool {
        let UpstreamError::Ended(ending) = error else {
            return !matches!(error, UpstreamError::NotStarted(_) | UpstreamError::Certificate(_));
        };
        let (Some(call), false) = (call, ending.words().is_empty()) else { return true };
        let policy = self.gateway.policy.load();
        let json = format!(
            r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":0,"message":{}}}}}"#,
            call.id.to_json(),
            bartizan_mcp::quote(ending.words())
        );
        let Ok(message) = Message::parse(json, &policy.limits) else { return false };
        let profile = self.server.profile.load();
        // The words may be what it was given back.
        let told: Vec<Evidence> = self.told(&policy).into_iter().collect();
        let event = Event {
            message: &message,
            direction: Direction::ToClient,
            answers: Some(call),
            principal: &self.principal,
            server: &profile,
            evidence: &told,
            grant: None,
            now: clock::now(),
        };
        let verdict = policy.pipeline.judge(&event, &self.session.snapshot());
        let may_be = matches!(verdict.decision, Decision::Allow);
        if may_be {
            self.gateway.metrics.labelled(self.session.conversation().raise(verdict.raises, &self.name));
        }
        may_be
    }

    /// What this session has in common with those of the same client with other servers.
    pub(crate) fn conversation(&self) -> &Conversation {
        self.session.conversation()
    }

    /// The session as it is now.
    #[must_use]
    pub fn session(&self) -> Arc<Session> {
        self.session.snapshot()
    }

    /// Sends a request of the gateway's own to a server that answers in one stream, and waits for what
    /// [`Link::take_own`] finds there.
    pub(crate) async fn ask_own(&self, request: Message) -> Option<Admitted> {
        let call = CallSummary::of(&request)?;
        let id = call.id.clone();
        // Not under an id that the client uses.
        self.unanswered.remember_asked(call).ok()?;
        let (sender, answer) = oneshot::channel();
        self.own().insert(id.clone(), sender);
        let sent = match self.pass(request, Direction::ToServer, None).await {
            Ok(admitted) => self.upstream.send(admitted, &Relay::default()).await.is_ok(),
            Err(_refusal) => false,
        };
        if !sent {
            self.unanswered.take_asked(&id);
            self.own().remove(&id);
        }
        answer.await.ok()
    }

    /// Who waits for the answer to a request, if it is the gateway's own and not the client's.
    pub(crate) fn take_own(&self, id: &Id) -> Option<oneshot::Sender<Admitted>> {
        self.own().remove(id)
    }

    fn own(&self) -> std::sync::MutexGuard<'_, HashMap<Id, oneshot::Sender<Admitted>>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the server that its request was refused, so that it does not wait.
    pub(crate) async fn decline(&self, id: &Id, refusal: &Refusal) {
        self.unanswered.take_asking(id);
        let relay = Relay::default();
        let told = self.upstream.send(refusal.answer(Some(id), None), &relay);
        if refusal.rule == FLOOD {
            // If it does not read while it goes on asking, to wait for that would be to read no more of what it says, for
            // which it may wait in turn.
            told.now_or_never();
        } else {
            // A server that no longer listens needs no answer.
            told.await.ok();
        }
    }

    /// Notes a place in a stream that the server named for this client to come back to.
    pub(crate) fn note_event(&self, id: &str) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() >= EVENTS {
            events.pop_front();
        }
        events.push_back(event_digest(id));
    }

    /// Whether the server named this place on this link. A server that does not look at sessions would go on with whichever
    /// client's stream it is.
    pub(crate) fn has_named(&self, event: &str) -> bool {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).contains(&event_digest(event))
    }

    /// Tells the server that nobody waits any more for the request it knows under this id.
    pub(crate) fn cancel(self: &Arc<Self>, id: &Id) {
        // Without a runtime everything ends, the server included.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let json = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{},"reason":"nobody waits for it any more"}}}}"#,
            id.to_json()
        );
        let link = Arc::clone(self);
        runtime.spawn(async move {
            if let Ok(own) = admit::own(&link.gateway.recorder, &link.server.name, &link.name, json) {
                // A server that takes no more messages does not work on this one either.
                link.upstream.tell(own).await.ok();
            }
        });
    }

    /// A shared child is told of nobody's abilities, so it lists the same to all.
    pub(crate) fn note_abilities(&self, message: &Message) {
        if let (Some(able), false) = (Abilities::declared(message), matches!(self.upstream, Upstream::Shared(_))) {
            self.abilities.store(able.index(), Ordering::Relaxed);
        }
        self.note_way_to_ask(message);
    }

    pub(crate) fn abilities(&self) -> Abilities {
        Abilities::at(self.abilities.load(Ordering::Relaxed))
    }

    /// What guards know of the server, as it shows itself to such a client.
    pub(crate) fn profile(&self) -> Arc<ServerProfile> {
        let profiles = self.server.profiles.load();
        let own = profiles.get(usize::from(self.abilities().index())).cloned();
        own.unwrap_or_else(|| self.server.profile.load_full())
    }

    fn desk<'a>(&'a self, policy: &'a Policy, level: Level) -> Desk<'a> {
        Desk {
            recorder: &self.gateway.recorder,
            metrics: &self.gateway.metrics,
            session: &self.session,
            session_id: &self.name,
            limits: &policy.limits,
            policies: policy.version(),
            level,
            approval: None,
            unsettled: None,
            waits: false,
            news: None,
        }
    }

    fn counted(&self, refusal: Refusal, direction: Direction) -> Refusal {
        self.gateway.metrics.decided(&self.server.name, direction.as_str(), "deny", refusal.rule);
        refusal
    }
}

fn event_digest(id: &str) -> u64 {
    let digest = blake3::hash(id.as_bytes());
    digest.as_bytes().first_chunk().copied().map_or(0, u64::from_le_bytes)
}

/// Records what a server says to nobody, which ends there.
fn stray(
    gateway: &Arc<Gateway>,
    server: &Arc<Server>,
    principal: &Principal,
    name: &str,
) -> impl Fn(Reply) + Send + Sync + use<> {
    let (gateway, server, principal, name) =
        (Arc::clone(gateway), Arc::clone(server), principal.clone(), name.to_owned());
    move |reply| {
        let decided = |rule| gateway.metrics.decided(&server.name, Direction::ToClient.as_str(), "deny", rule);
        let (rule, why) = match &reply {
            Reply::Mark { .. } => return,
            Reply::Unreadable(_, rejection) => (rejection.fault.rule(), ""),
            Reply::Message(message, _) if message.is_response() => {
                ("conformance.unsolicited", "the response answers no request that is waiting")
            }
            Reply::Message(..) => ("upstream.unheard", "nobody listens to what the server sends on its own account"),
        };
        if !gateway.recorder.records_stray(&server.name, rule) {
            return decided("upstream.strays");
        }
        let refusal = match reply {
            Reply::Mark { .. } => return,
            Reply::Unreadable(bytes, rejection) => {
                let what = (&bytes, &rejection);
                admit::unreadable(&gateway.recorder, Direction::ToClient, &principal.id, &server.name, &name, what)
            }
            Reply::Message(message, _) => {
                let (profile, policy) = (server.profile.load_full(), gateway.policy.load());
                let direction = Direction::ToClient;
                let call = Call { principal: &principal, server: &server.name, session: &name, limits: &policy.limits };
                let told = policy.pipeline.pseudonyms().and_then(|_| gateway.vault.told(&call));
                let event = Event {
                    message: &message,
                    direction,
                    answers: None,
                    principal: &principal,
                    server: &profile,
                    evidence: told.as_slice(),
                    grant: None,
                    now: clock::now(),
                };
                admit::refuse(&gateway.recorder, &name, &event, rule, why.to_owned())
            }
        };
        decided(refusal.rule);
    }
}

/// What the log has to promise before this message passes.
fn level(policy: &Policy, message: &Message, session: &Session) -> Level {
    if !policy.durable_if_sensitive || message.method() != Some("tools/call") {
        return policy.level;
    }
    let tool = message.param("name").and_then(|name| session.catalog.get(DefinitionKind::Tool, &name).cloned());
    if tool.is_some_and(|tool| tool.is_destructive()) { Level::Durable } else { policy.level }
}

/// The request that a notification says is no longer waited for.
pub(crate) fn cancelled(message: &Message) -> Option<Id> {
    (message.method() == Some(method::CANCELLED)).then(|| Id::read(message.params()?.get("requestId")?)).flatten()
}

#[cfg(test)]
mod tests {
    use bartizan_guard::guards::rate::Limit;
    use bartizan_guard::{Pipeline, Settings};
    use bartizan_mcp::Limits;

    use super::*;
    use crate::limiter::Limiter;

    fn message(text: &str) -> Message {
        Message::parse(text.to_owned(), &Limits::default()).unwrap()
    }

    fn session() -> Session {
        let list = message(
            r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[
                {"name":"drop","annotations":{"destructiveHint":true}},
                {"name":"read","annotations":{"destructiveHint":false}},
                {"name":"tell","description":"has no destructiveHint: true"},
                {"name":"text","annotations":{"destructiveHint":"true"}}]}}"#,
        );
        let listing = DefinitionKind::lists_of(&list).next().unwrap();
        let read = |tool| bartizan_guard::Definition::read(listing.kind, tool).map(Arc::new);
        Session::default().with(&[Fact::Listed(listing.list.elements().filter_map(read).collect())])
    }

    #[test]
    fn calls_of_destructive_tools_wait_for_the_disk() {
        let check = |sensitive, usual, text: &str, expected| {
            let policy = Policy {
                pipeline: Pipeline::new(Settings::default()).unwrap(),
                limiter: Limiter::default(),
                credential_required: false,
                limits: Limits::default(),
                said: Limit { count: 1, per_ms: 1_000 },
                level: usual,
                durable_if_sensitive: sensitive,
                approval: Default::default(),
                layers: Default::default(),
                default_profile: String::new(),
            };
            assert_eq!(level(&policy, &message(text), &session()), expected, "{text}");
        };
        let call = |tool| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}"}}}}"#);
        check(true, Level::Written, &call("drop"), Level::Durable);
        check(false, Level::Written, &call("drop"), Level::Written);
        for tool in ["read", "tell", "text", "unlisted"] {
            check(true, Level::Written, &call(tool), Level::Written);
            check(false, Level::Durable, &call(tool), Level::Durable);
        }
        let get = r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"drop"}}"#;
        check(true, Level::Written, get, Level::Written);
        check(true, Level::Written, r#"{"jsonrpc":"2.0","id":1,"result":{"name":"drop"}}"#, Level::Written);
    }
}
