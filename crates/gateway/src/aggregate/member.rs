//! One server among those that appear as one.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bartizan_guard::{CallSummary, Principal};
use bartizan_mcp::{Era, Message, Revision, method};
use http::HeaderValue;
use tokio::sync::watch;
use tokio::time::Instant;

use super::way::Way;
use super::{HELLO, Hub};
use crate::admit::{self, About, Admitted, Refusal};
use crate::answer::{Delivery, response};
use crate::bridge::Bridge;
use crate::exchange::{self, Failure};
use crate::gateway::Gateway;
use crate::link::Link;
use crate::params;
use crate::relay::Relay;
use crate::server::Server;
use crate::shown;
use crate::upstream::UpstreamError;

/// How long the others wait for a server that is slow to begin or to list.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// The same for one that was too slow the last time.
const LITTLE_PATIENCE: Duration = Duration::from_secs(1);
/// How long a server that failed to begin is left alone; doubled for each failure in a row.
const REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(30);
/// How often in a row a server that ended its session may begin another at once.
const AT_ONCE: u32 = 3;
/// A server that lasts this long has not failed at once.
const LASTED: Duration = Duration::from_secs(10);

/// What follows if a server fails.
const LEFT_OUT: &str = "the others go on without it";

/// A server, whether or not it can be reached at present.
pub(super) struct Member {
    pub(super) server: Arc<Server>,
    gateway: Arc<Gateway>,
    principal: Principal,
    /// The session's name in records.
    name: String,
    era: Era,
    hub: Weak<Hub>,
    state: watch::Sender<State>,
    /// In a row.
    failures: AtomicU32,
    /// It was too slow the last time that it was asked for all of them.
    slow: AtomicBool,
}

#[derive(Clone)]
enum State {
    /// Nobody has asked for it yet.
    Idle,
    Opening,
    /// The same for so long that the others go on without it, which is in the log.
    Overdue,
    Ready(Arc<Ready>),
    /// It is left alone until then.
    Failed(Instant),
}

/// A server with whom the handshake is done.
pub(super) struct Ready {
    pub(super) way: Way,
    /// What it said of itself; none of a server that is reached straight in the stateless era.
    pub(super) hello: Option<Admitted>,
    version: Option<HeaderValue>,
    since: Instant,
    /// What it answered when it was asked for its era, for a client that is about to ask the same.
    discovered: Mutex<Option<Admitted>>,
}

/// Of whom a member is a part.
pub(super) struct Session<'a> {
    pub(super) gateway: &'a Arc<Gateway>,
    pub(super) principal: &'a Principal,
    /// The session's name in records.
    pub(super) name: &'a str,
    pub(super) era: Era,
    pub(super) hub: Weak<Hub>,
}

impl Member {
    pub(super) fn new(server: &Arc<Server>, of: &Session<'_>) -> Arc<Self> {
        Arc::new(Member {
            server: Arc::clone(server),
            gateway: Arc::clone(of.gateway),
            principal: of.principal.clone(),
            name: of.name.to_owned(),
            era: of.era,
            hub: Weak::clone(&of.hub),
            state: watch::Sender::new(State::Idle),
            failures: AtomicU32::new(0),
            slow: AtomicBool::new(false),
        })
    }

    /// The server, once it is ready. Waits for it until it is overdue and no longer than twice everybody's patience, which
    /// is for one whose opening was broken off.
    ///
    /// `cause` is the request that needs it, if one does: should the opening fail, the log says for what it was tried.
    pub(super) async fn ready(self: &Arc<Self>, cause: Option<&CallSummary>) -> Option<Arc<Ready>> {
        if let Some(ready) = self.ready_now() {
            return Some(ready);
        }
        let mut state = self.state.subscribe();
        self.begin(cause);
        let settled = state.wait_for(|state| !matches!(state, State::Opening));
        match tokio::time::timeout(PATIENCE * 2, settled).await {
            Ok(Ok(state)) => match &*state {
                State::Ready(ready) => Some(Arc::clone(ready)),
                _ => None,
            },
            _ => None,
        }
    }

    /// The server, if it is ready now.
    pub(super) fn ready_now(self: &Arc<Self>) -> Option<Arc<Ready>> {
        let ready = match &*self.state.borrow() {
            State::Ready(ready) => Arc::clone(ready),
            _ => return None,
        };
        if ready.way.has_ended() {
            self.lost(&ready);
            return None;
        }
        Some(ready)
    }

    /// Opens a way to the server, unless that is under way or it is to be left alone for now.
    pub(super) fn begin(self: &Arc<Self>, cause: Option<&CallSummary>) {
        let begin = self.state.send_if_modified(|state| {
            let due = match state {
                State::Idle => true,
                State::Failed(until) => *until <= Instant::now(),
                State::Opening | State::Overdue | State::Ready(_) => false,
            };
            if due {
                *state = State::Opening;
            }
            due
        });
        if begin {
            // In a task of its own: a client that goes away must not stop it half way.
            tokio::spawn(shown::carried(shown::current(), Arc::clone(self).open(cause.cloned())));
        }
    }

    /// This session with the server is over; the next one who needs it begins another.
    pub(super) fn lost(self: &Arc<Self>, ready: &Arc<Ready>) {
        let lasted = ready.since.elapsed() >= LASTED;
        let failures = if lasted { 0 } else { self.failures.load(Ordering::Relaxed) };
        let rest = rest_after(failures.saturating_sub(AT_ONCE));
        let next = if failures < AT_ONCE { State::Idle } else { State::Failed(Instant::now() + rest) };
        let over = self.state.send_if_modified(|state| {
            // Of many who notice the same loss, one counts it.
            let ours = matches!(state, State::Ready(held) if Arc::ptr_eq(held, ready));
            if ours {
                self.failures.store(failures.saturating_add(1), Ordering::Relaxed);
                *state = next;
            }
            ours
        });
        if over {
            self.try_again(rest);
        }
    }

    /// Begins again after a rest, if a client is listening and would hear of it.
    fn try_again(self: &Arc<Self>, rest: Duration) {
        let member = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(rest).await;
            if let Some(member) = member.upgrade()
                && member.hub.upgrade().is_some_and(|hub| hub.is_listened_to())
            {
                member.begin(None);
            }
        });
    }

    async fn open(self: Arc<Self>, cause: Option<CallSummary>) {
        let Some(hub) = self.hub.upgrade() else { return };
        let hello = hub.hello();
        let mut opening = std::pin::pin!(self.connect(hello, cause.as_ref()));
        let opened = match tokio::time::timeout(PATIENCE, &mut opening).await {
            Ok(opened) => opened,
            Err(_) => {
                self.refuse(cause.as_ref(), &UpstreamError::TimedOut(PATIENCE.as_secs()), LEFT_OUT);
                self.state.send_replace(State::Overdue);
                opening.await
            }
        };
        match opened {
            Some(ready) => {
                let ready = Arc::new(ready);
                self.state.send_replace(State::Ready(Arc::clone(&ready)));
                hub.joined(&self, &ready).await;
            }
            None => {
                let rest = rest_after(self.failures.fetch_add(1, Ordering::Relaxed));
                self.state.send_replace(State::Failed(Instant::now() + rest));
                self.try_again(rest);
            }
        }
    }

    /// The handshake; what keeps it from succeeding is recorded where it happens.
    async fn connect(&self, hello: Option<Message>, cause: Option<&CallSummary>) -> Option<Ready> {
        let (gateway, server, principal, about) = (&self.gateway, &self.server, &self.principal, cause.into());
        let bridge = Bridge::open(gateway, server, principal, (&self.name, self.era), about).await.ok()?;
        if let Some(bridge) = bridge {
            return Self::bridged(bridge, hello?, about).await;
        }
        let link = Link::connect(gateway, server, principal, self.name.clone(), about).await.ok()?;
        let (link, since) = (Arc::new(link), Instant::now());
        let discovered = Mutex::default();
        let (Era::Legacy, Some(hello)) = (self.era, hello) else {
            let (way, version) = (Way::Straight(Arc::clone(&link)), stateless_version());
            let ready = Ready { way, hello: None, version, since, discovered };
            if self.is_stateless(&ready, &link).await {
                return Some(ready);
            }
            link.upstream.end().await;
            return None;
        };
        let answer = ask(&link, hello, &Relay::default(), self.server.timeout).await.ok();
        let said = answer.as_ref().and_then(|answer| answer.message().result()?.get("protocolVersion"));
        let Some(version) = said.and_then(|version| HeaderValue::try_from(&*version.text()).ok()) else {
            if let Some(why) = answer.and_then(|answer| uninitialized(answer.message())) {
                link.failed(cause, &why);
                if matches!(why, UpstreamError::OtherEra(_)) {
                    self.server.tell_left_out(self.era);
                }
            }
            link.upstream.end().await;
            return None;
        };
        let (way, version) = (Way::Straight(Arc::clone(&link)), Some(version));
        let ready = Ready { way, hello: answer, version, since, discovered };
        let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned();
        let initialized = admit::own(&self.gateway.recorder, &self.server.name, &self.name, initialized).ok()?;
        let relay = ready.relay(&link, initialized.message());
        link.upstream.send(initialized, &relay).await.ok();
        Some(ready)
    }

    /// Whether the server knows an era that has no handshake. Many older ones answer what a client of it asks, but not in the
    /// way that it asks for, so that the client could use nothing of what it is shown.
    async fn is_stateless(&self, ready: &Ready, link: &Arc<Link>) -> bool {
        let Some(question) = self.hub.upgrade().and_then(|hub| hub.own_request(method::SERVER_DISCOVER)) else {
            return false;
        };
        let relay = ready.relay(link, &question);
        let Ok(answer) = ask(link, question, &relay, PATIENCE).await else { return false };
        if answer.message().result().is_some() {
            ready.keep_discovered(answer);
            return true;
        }
        if !Refusal::is_in(answer.message()) {
            self.note_other_era(method::SERVER_DISCOVER);
        }
        false
    }

    /// The handshake over a bridge, on which the server hears of the client that says `hello`.
    async fn bridged(bridge: Bridge, hello: Message, about: About<'_>) -> Option<Ready> {
        let since = Instant::now();
        let Some(said) = bridge.greet(hello, about).await else {
            bridge.end().await;
            return None;
        };
        let discovered = Mutex::default();
        Some(Ready { way: Way::Bridged(bridge), hello: Some(said), version: None, since, discovered })
    }

    /// What the server says of itself in the stateless era. If it has just been asked that, because the client's question
    /// opened the way to it, it is not asked again.
    pub(super) async fn discover(self: &Arc<Self>, ready: &Arc<Ready>, message: Message) -> Option<Admitted> {
        match ready.take_discovered() {
            Some(answer) => Some(answer),
            None => self.ask(ready, message).await,
        }
    }

    /// Asks the server on the gateway's account, with the patience that all others can be asked to have with it. Begins
    /// a session anew if the server has forgotten it.
    pub(super) async fn ask(self: &Arc<Self>, ready: &Arc<Ready>, message: Message) -> Option<Admitted> {
        match self.ask_once(ready, message.clone()).await {
            Err(Gone) => {
                let ready = self.ready(CallSummary::of(&message).as_ref()).await?;
                self.ask_once(&ready, message).await.ok()?
            }
            Ok(answer) => answer,
        }
    }

    async fn ask_once(self: &Arc<Self>, ready: &Arc<Ready>, message: Message) -> Result<Option<Admitted>, Gone> {
        let patience = if self.slow.load(Ordering::Relaxed) { LITTLE_PATIENCE } else { PATIENCE };
        let began = Instant::now();
        let answer = match &ready.way {
            Way::Straight(link) => {
                let relay = ready.relay(link, &message);
                ask(link, message, &relay, patience).await
            }
            Way::Bridged(bridge) => self.ask_over(bridge, message, patience).await,
        };
        self.slow.store(began.elapsed() >= patience, Ordering::Relaxed);
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(Unanswered::Recorded) => Ok(None),
            Err(Unanswered::Gone) => {
                self.lost(ready);
                Err(Gone)
            }
        }
    }

    /// The same over a bridge, which begins sessions anew by itself.
    async fn ask_over(&self, bridge: &Bridge, message: Message, patience: Duration) -> Result<Admitted, Unanswered> {
        let call = CallSummary::of(&message);
        let answered = async { response(bridge.answer(message, None).await).await };
        let error = match tokio::time::timeout(patience, answered).await {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => UpstreamError::BrokenOff("no answer came".to_owned()),
            Err(_) => UpstreamError::TimedOut(patience.as_secs()),
        };
        self.refuse(call.as_ref(), &error, LEFT_OUT);
        Err(Unanswered::Recorded)
    }

    /// Records that the server does not know what it was asked in the client's era, so that the others go on alone.
    pub(super) fn note_other_era(&self, asked: &'static str) {
        self.note_left_out(&UpstreamError::OtherEra(asked));
        self.server.tell_left_out(self.era);
    }

    /// Records that the others go on without it.
    pub(super) fn note_left_out(&self, error: &UpstreamError) {
        self.refuse(None, error, LEFT_OUT);
    }

    /// What to tell the client instead of an answer, as the server cannot be reached.
    pub(super) fn unreachable(&self, call: Option<&CallSummary>) -> Refusal {
        let error = UpstreamError::Unreachable("it has not begun, or has ended".to_owned());
        self.refuse(call, &error, "it is tried again soon")
    }

    fn refuse(&self, call: Option<&CallSummary>, error: &UpstreamError, then: &str) -> Refusal {
        self.gateway.metrics.failed(&self.server.name, error.rule());
        let why = (error.rule(), format!("{}: {error}; {then}", self.server.name));
        admit::failed(&self.gateway.recorder, &self.server.name, &self.name, call.into(), why)
    }
}

/// The server no longer knows the session.
struct Gone;

impl Ready {
    /// The headers for a message to this server, if it is reached straight.
    pub(super) fn relay(&self, link: &Link, message: &Message) -> Relay {
        let stateless = self.version == stateless_version();
        let mut routing = Vec::new();
        if stateless {
            routing.extend(crate::relay::routing(message));
            params::regenerate(&link.session(), &mut routing, message);
        }
        Relay { version: self.version.clone(), last_event_id: None, routing }
    }

    fn keep_discovered(&self, answer: Admitted) {
        // One that nobody asks for is kept as long as the way.
        if answer.bytes().len() <= HELLO {
            *self.discovered.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        }
    }

    /// What it answered just now; once, and no later.
    fn take_discovered(&self) -> Option<Admitted> {
        let answer = self.discovered.lock().unwrap_or_else(PoisonError::into_inner).take();
        answer.filter(|_| self.since.elapsed() < PATIENCE)
    }

    /// The revision that was agreed on.
    pub(super) fn version(&self) -> Option<HeaderValue> {
        self.version.clone()
    }

    /// Whether the server has said that it offers `capability`; in the stateless era it is simply asked.
    pub(super) fn offers(&self, capability: &str) -> bool {
        let said = self.hello.as_ref().and_then(|hello| hello.message().result());
        said.is_none_or(|hello| hello.at(&["capabilities", capability]).is_some())
    }
}

/// Why a server is not initialized that has answered this; nothing if the log has it already.
fn uninitialized(answer: &Message) -> Option<UpstreamError> {
    match answer.error() {
        Some(_) if Refusal::is_in(answer) => None,
        // One that says no may be of the other era.
        Some(_) => Some(UpstreamError::OtherEra(method::INITIALIZE)),
        None => Some(UpstreamError::BrokenOff("it was not initialized".to_owned())),
    }
}

fn stateless_version() -> Option<HeaderValue> {
    Some(HeaderValue::from_static(Revision::V2026_07_28.as_str()))
}

fn rest_after(failures: u32) -> Duration {
    REST.saturating_mul(1 << failures.min(8)).min(LONGEST_REST)
}

/// Why there is no answer.
enum Unanswered {
    /// The server no longer knows the session.
    Gone,
    /// It is in the log.
    Recorded,
}

/// Asks a server something and returns its response; what it sends besides is dropped.
async fn ask(link: &Arc<Link>, message: Message, relay: &Relay, patience: Duration) -> Result<Admitted, Unanswered> {
    let call = CallSummary::of(&message);
    let answered = async {
        let mut exchange = exchange::begin(link, message, relay).await.map_err(|failure| match failure {
            Failure { session_gone: true, .. } => Unanswered::Gone,
            Failure { .. } => Unanswered::Recorded,
        })?;
        while let Some(delivery) = exchange.next().await {
            match delivery {
                Delivery::Message(message, _) if exchange.is_finished() => return Ok(message),
                _ => {}
            }
        }
        link.failed(call.as_ref(), &UpstreamError::BrokenOff("no answer came".to_owned()));
        Err(Unanswered::Recorded)
    };
    match tokio::time::timeout(patience, answered).await {
        Ok(answer) => answer,
        Err(_) => {
            link.failed(call.as_ref(), &UpstreamError::TimedOut(patience.as_secs()));
            Err(Unanswered::Recorded)
        }
    }
}
