//! One child process for all clients of a server (`shared = true`).
//!
//! Clients choose ids and progress tokens without knowing of each other, so each gets one on the wire that is used
//! once; see `splice`. The handshake is done once, by the gateway: its `initialize` asks for the newest legacy revision
//! and declares neither sampling nor elicitation nor roots, since the child could not say whose client it means. A
//! client's own `initialize` is answered from what the child said then, with the child's revision whatever the client
//! asked for; a client that does not speak it ends there, as the protocol has it. Requests of the stateless era carry
//! all that they need and go to the same child.
//!
//! What the child says about a request, a subscription or a task goes to the client whose it is, and that lists changed
//! goes to all. Anything else of the child's own accord is refused if it is a request, and dropped if it is not: it
//! may hold what belongs to one of them. A log message passes only while there is just one client.

mod inbox;
mod links;
mod tasks;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bartizan_audit::AuditError;
use bartizan_guard::Direction;
use bartizan_mcp::{Edits, Id, Kind, Limits, Message, Value, meta::Meta, method};
use serde_json::json;
use tokio::sync::{OnceCell, mpsc, watch};
use tokio::time::Instant;

use super::demux::Inbox;
use super::{Ending, Replies, Reply, Routing, StdioUpstream, UpstreamError};
use crate::admit::{self, Admitted};
use crate::codes::METHOD_NOT_FOUND;
use crate::metrics::Metrics;
use crate::own;
use crate::program::Program;
use crate::recorder::Recorder;
pub(crate) use inbox::SharedInbox;
use links::Links;

/// A child that lasts this long has not failed at once.
const LASTED: Duration = Duration::from_secs(10);
/// How long a child that failed at once is left alone; doubled for each failure in a row.
const REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(30);
/// The session under which its own messages are recorded.
const SESSION: &str = "shared";
const UNATTRIBUTED: &str = "gateway.shared_unattributed";
const LISTS: [&str; 3] = [method::TOOLS_LIST_CHANGED, method::PROMPTS_LIST_CHANGED, method::RESOURCES_LIST_CHANGED];

/// The child process of a server, while there is one, and all who use it.
pub struct SharedChild {
    name: Arc<str>,
    pub(crate) program: Program,
    restart: bool,
    timeout: Duration,
    running: tokio::sync::Mutex<Running>,
    links: Links,
    /// Some client has begun with `initialize`, so every further process is greeted as well.
    greeted: AtomicBool,
    joined: AtomicU64,
}

#[derive(Default)]
struct Running {
    life: Option<Arc<Life>>,
    lives: u32,
    failures: u32,
    rests_until: Option<Instant>,
    closed: bool,
}

/// One process, from its start to its end.
struct Life {
    child: StdioUpstream,
    hello: OnceCell<Message>,
    since: Instant,
}

/// Where it is written down what the child does that concerns no client in particular.
#[derive(Clone)]
pub(crate) struct Books {
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) metrics: Arc<Metrics>,
}

/// One client's part of a shared child.
pub struct SharedUpstream {
    shared: Arc<SharedChild>,
    books: Books,
    limits: Limits,
    link: u64,
    unasked: Mutex<Option<mpsc::Receiver<Reply>>>,
    /// Whether the client's session is over; as the child goes on, nothing else would end the client's requests.
    over: watch::Sender<bool>,
}

impl std::fmt::Debug for SharedChild {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedChild").field("name", &self.name).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for SharedUpstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedUpstream").field("shared", &self.shared).field("link", &self.link).finish_non_exhaustive()
    }
}

impl SharedChild {
    /// A child that is started when the first client needs it; again after it ended, if `restart`.
    #[must_use]
    pub fn new(name: &Arc<str>, program: Program, restart: bool, timeout: Duration) -> Arc<SharedChild> {
        Arc::new(SharedChild {
            name: Arc::clone(name),
            program,
            restart,
            timeout,
            running: tokio::sync::Mutex::default(),
            links: Links::default(),
            greeted: AtomicBool::new(false),
            joined: AtomicU64::new(0),
        })
    }

    /// One more client.
    pub(crate) fn connect(self: &Arc<Self>, books: Books, limits: Limits) -> SharedUpstream {
        let link = self.joined.fetch_add(1, Ordering::Relaxed);
        let unasked = Mutex::new(Some(self.links.join(link)));
        SharedUpstream { shared: Arc::clone(self), books, limits, link, unasked, over: watch::Sender::new(false) }
    }

    /// Ends the child for good.
    pub(crate) async fn close(&self) {
        let life = {
            let mut running = self.running.lock().await;
            running.closed = true;
            running.life.take()
        };
        if let Some(life) = life {
            life.child.end().await;
        }
    }

    /// The process that runs now; a new one if there is none and it is time for it.
    async fn life(self: &Arc<Self>, books: &Books, limits: Limits) -> Result<Arc<Life>, UpstreamError> {
        let mut running = self.running.lock().await;
        if let Some(life) = &running.life {
            if !life.child.has_ended() {
                return Ok(Arc::clone(life));
            }
            if !self.restart {
                return Err(life.child.ended_error().of_shared());
            }
            let lasted = life.since.elapsed() >= LASTED;
            life.child.end().await;
            running.life = None;
            running.failed(lasted);
        }
        if running.closed {
            return Err(UpstreamError::Ended(Ending::new("the gateway is stopping", &[])));
        }
        if let Some(rest) = running.rests_until.and_then(|until| until.checked_duration_since(Instant::now())) {
            return Err(UpstreamError::Resting(rest.as_secs() + 1));
        }
        let began = self.begin(books, limits, running.lives).await;
        let Ok(life) = began else {
            running.failed(false);
            return began;
        };
        running.lives += 1;
        running.life = Some(Arc::clone(&life));
        if running.lives > 1 {
            self.links.tell_all(|| LISTS.iter().filter_map(|method| changed(method)).collect());
        }
        Ok(life)
    }

    async fn begin(self: &Arc<Self>, books: &Books, limits: Limits, lives: u32) -> Result<Arc<Life>, UpstreamError> {
        let name = Arc::clone(&self.name);
        let log = move |line: &str| tracing::info!(target: "bartizan::server", server = %name, "{line}");
        let child = StdioUpstream::spawn(&self.program, Routing::Shared, limits, log).await;
        let child = child.map_err(|error| UpstreamError::NotStarted(error.to_string()))?;
        // What one process is asked is called as nothing that another was asked.
        child.count_from(u64::from(lives) << 32);
        let stray = (books.clone(), Arc::clone(&self.name));
        child.on_stray(Box::new(move |reply| note_dropped(&stray.0, &stray.1, &reply)));
        let unasked = child.listen();
        let life = Arc::new(Life { child, hello: OnceCell::new(), since: Instant::now() });
        if let Some(unasked) = unasked {
            tokio::spawn(dispatch(Arc::downgrade(self), Arc::downgrade(&life), books.clone(), unasked));
        }
        if self.greeted.load(Ordering::Relaxed) {
            self.hello(books, &life).await?;
        }
        Ok(life)
    }

    /// What the child says of itself; it is asked once.
    async fn hello(self: &Arc<Self>, books: &Books, life: &Arc<Life>) -> Result<Message, UpstreamError> {
        self.greeted.store(true, Ordering::Relaxed);
        if let Some(hello) = life.hello.get() {
            return Ok(hello.clone());
        }
        // In a task of its own: a client that goes away meanwhile must not have the child asked again.
        let (shared, books, life) = (Arc::clone(self), books.clone(), Arc::clone(life));
        let greeted = tokio::spawn(async move { shared.greet(&books, &life).await }).await;
        greeted.unwrap_or_else(|error| Err(UpstreamError::BrokenOff(error.to_string())))
    }

    async fn greet(&self, books: &Books, life: &Life) -> Result<Message, UpstreamError> {
        let asked = life.hello.get_or_try_init(|| async {
            let mut replies = life.send(&self.own(books, own::initialize("0"))?).await?;
            let answer = async {
                loop {
                    match replies.next().await? {
                        Some(Reply::Message(message, _)) if message.is_response() => return Ok(message),
                        Some(reply @ Reply::Unreadable(..)) => {
                            note_dropped(books, &self.name, &reply);
                            return Err(UpstreamError::BrokenOff("its greeting cannot be read".to_owned()));
                        }
                        Some(_) => {}
                        None => return Err(ended(&life.child).await),
                    }
                }
            };
            let timed_out = |_| UpstreamError::TimedOut(self.timeout.as_secs());
            let answer = tokio::time::timeout(self.timeout, answer).await.map_err(timed_out)??;
            if answer.result().is_none() {
                return Err(UpstreamError::BrokenOff("it was not initialized".to_owned()));
            }
            let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned();
            life.send(&self.own(books, initialized)?).await?;
            Ok(answer)
        });
        asked.await.cloned()
    }

    fn own(&self, books: &Books, json: String) -> Result<Admitted, UpstreamError> {
        let own = admit::own(&books.recorder, &self.name, SESSION, json);
        own.map_err(|refusal| UpstreamError::BrokenOff(refusal.sentence()))
    }
}

impl Life {
    async fn send(&self, message: &Admitted) -> Result<Replies, UpstreamError> {
        match self.child.send(message).await {
            Ok(replies) => Ok(replies),
            Err(error) => Err(of_shared(error, &self.child).await),
        }
    }
}

impl Running {
    fn failed(&mut self, lasted: bool) {
        self.failures = if lasted { 0 } else { self.failures.saturating_add(1) };
        self.rests_until = self
            .failures
            .checked_sub(1)
            .map(|doubled| Instant::now() + REST.saturating_mul(1 << doubled.min(8)).min(LONGEST_REST));
    }
}

impl SharedUpstream {
    pub(super) async fn send(&self, message: &Admitted) -> Result<Replies, UpstreamError> {
        let asked = message.message();
        match (asked.kind(), asked.id()) {
            (Kind::Request, Some(id)) => self.request(message, id).await,
            (Kind::Notification, _) => self.notification(message).await,
            // The child gets no answers from clients, as its requests reach none.
            _ => Ok(Replies::None),
        }
    }

    /// Sends what names things as the child knows them.
    pub(super) async fn tell(&self, message: &Admitted) -> Result<Replies, UpstreamError> {
        let life = self.shared.life(&self.books, self.limits).await?;
        match life.child.tell(message).await {
            Ok(replies) => Ok(replies),
            Err(error) => Err(of_shared(error, &life.child).await),
        }
    }

    /// What the child says to all; the first caller gets it.
    pub(super) fn listen(&self) -> Option<Replies> {
        let messages = self.unasked.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(Replies::Channel(Inbox::unasked(messages)))
    }

    pub(super) fn return_stream(&self, replies: Replies) {
        if let Some(messages) = Inbox::into_unasked(replies) {
            *self.unasked.lock().unwrap_or_else(PoisonError::into_inner) = Some(messages);
        }
    }

    /// This client has gone; the child stays for the others.
    pub(super) fn end(&self) {
        self.shared.links.leave(self.link);
        self.over.send_replace(true);
    }

    async fn request(&self, message: &Admitted, id: &Id) -> Result<Replies, UpstreamError> {
        let asked = message.message();
        let links = &self.shared.links;
        if !self.has_tasks_of(asked) {
            return Ok(self.composed(id, r#""error":{"code":-32602,"message":"there is no such task"}"#));
        }
        let life = self.shared.life(&self.books, self.limits).await?;
        let mut edits = Edits::new();
        match asked.method().unwrap_or_default() {
            method::INITIALIZE => {
                let hello = self.shared.hello(&self.books, &life).await?;
                return Ok(self.remembered(&hello, id));
            }
            method::RESOURCES_SUBSCRIBE => links.ask(self.link, &asked.param("uri").unwrap_or_default()),
            // Others still listen.
            method::RESOURCES_UNSUBSCRIBE if links.unsubscribe(self.link, &asked.param("uri").unwrap_or_default()) => {
                return Ok(self.composed(id, r#""result":{}"#));
            }
            method::LOGGING_SET_LEVEL => {
                let level = asked.params().and_then(|params| params.get("level"));
                if let Some((level, text)) = level.and_then(|level| Some((level, level.as_str()?))) {
                    edits.set_text(level.id(), &links.set_level(self.link, &text));
                }
            }
            _ => {}
        }
        let replies = if edits.is_empty() {
            life.send(message).await?
        } else {
            life.send(&message.again().rewritten(&edits)).await?
        };
        Ok(inbox::wrap(self, &life, asked, replies))
    }

    async fn notification(&self, message: &Admitted) -> Result<Replies, UpstreamError> {
        let said = message.message();
        if !self.has_tasks_of(said) {
            return Ok(Replies::None);
        }
        match said.method().unwrap_or_default() {
            // The gateway did the handshake, and the child has asked this client nothing.
            method::INITIALIZED | method::ROOTS_LIST_CHANGED | method::PROGRESS => Ok(Replies::None),
            method::CANCELLED => {
                let named = said.params().and_then(|params| params.get("requestId"));
                let wire = named.and_then(Id::read).and_then(|id| self.shared.links.wire(self.link, &id));
                let (Some(named), Some(wire)) = (named, wire) else { return Ok(Replies::None) };
                let mut edits = Edits::new();
                edits.set_json(named.id(), wire.to_json());
                self.tell(&message.again().rewritten(&edits)).await
            }
            _ => self.tell(message).await,
        }
    }

    /// Whether this client began every task that the message names.
    fn has_tasks_of(&self, message: &Message) -> bool {
        tasks::are_all(message, |task| self.shared.links.has_task(self.link, task))
    }

    /// What the child once answered, under this client's id.
    fn remembered(&self, answer: &Message, id: &Id) -> Replies {
        let mut edits = Edits::new();
        if let Some(at) = answer.root().get("id") {
            edits.set_json(at.id(), id.to_json());
        }
        match answer.edited(&edits, &self.limits) {
            Ok(answer) => Replies::One(Some(Reply::Message(answer, None)), http::StatusCode::OK),
            Err(_) => Replies::None,
        }
    }

    fn composed(&self, id: &Id, body: &str) -> Replies {
        match Message::parse(format!(r#"{{"jsonrpc":"2.0","id":{},{body}}}"#, id.to_json()), &self.limits) {
            Ok(answer) => Replies::One(Some(Reply::Message(answer, None)), http::StatusCode::OK),
            Err(_) => Replies::None,
        }
    }
}

impl Drop for SharedUpstream {
    fn drop(&mut self) {
        self.end();
    }
}

/// The error for what the child left undone, with its last words once they are said, if that is because it ended.
async fn of_shared(error: UpstreamError, child: &StdioUpstream) -> UpstreamError {
    if matches!(error, UpstreamError::Ended(_)) { ended(child).await } else { error }
}

/// The error for a request that the child left unanswered.
async fn ended(child: &StdioUpstream) -> UpstreamError {
    child.last_words_said().await;
    child.ended_error().of_shared()
}

fn changed(method: &str) -> Option<Reply> {
    let json = format!(r#"{{"jsonrpc":"2.0","method":"{method}"}}"#);
    Message::parse(json, &Limits::default()).ok().map(|message| Reply::Message(message, None))
}

/// Takes what the child says on its own account to those whom it concerns, until the child ends.
async fn dispatch(shared: Weak<SharedChild>, life: Weak<Life>, books: Books, mut unasked: Replies) {
    while let Ok(Some(reply)) = unasked.next().await {
        let Some(shared) = shared.upgrade() else { return };
        let Reply::Message(message, _) = &reply else { continue };
        match (message.kind(), message.id()) {
            (Kind::Request, Some(id)) => {
                let Some(life) = life.upgrade() else { return };
                refuse(&shared, &life, &books, message, id).await;
            }
            (Kind::Notification, _) => {
                if !hand_out(&shared, &books, message) {
                    note_dropped(&books, &shared.name, &reply);
                }
            }
            _ => note_dropped(&books, &shared.name, &reply),
        }
    }
}

/// Answers a request that could be meant for any client; only whether somebody is there is nobody's secret.
async fn refuse(shared: &SharedChild, life: &Life, books: &Books, message: &Message, id: &Id) {
    let answer = if message.method() == Some(method::PING) {
        // Those that are only counted have no answer, as each answer is recorded.
        let answers = books.recorder.records_stray(&shared.name, UNATTRIBUTED);
        let json = || format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, id.to_json());
        answers.then(|| shared.own(books, json()).ok()).flatten()
    } else {
        let why = "this server is shared, so it cannot ask a client anything".to_owned();
        let noted = note_refused(books, &shared.name, message, id);
        noted.ok().map(|()| admit::counted(UNATTRIBUTED, why, METHOD_NOT_FOUND).error(Some(id), ""))
    };
    if let Some(answer) = answer {
        life.child.send(&answer).await.ok();
    }
}

/// Records a request that could be meant for any client.
fn note_refused(books: &Books, server: &Arc<str>, message: &Message, id: &Id) -> Result<(), AuditError> {
    if !records(books, server, UNATTRIBUTED) {
        return Ok(());
    }
    let fields = json!({
        "server": server, "session": SESSION, "decision": "deny", "rule": UNATTRIBUTED, "method": message.method(),
        "request": id.to_string(), "why": "the server is shared, so it cannot be told which client this is for",
    });
    books.recorder.note("refused", &fields).map(drop)
}

/// Whether what goes nowhere because of `rule` is to be recorded by itself: a child that does not stop must not fill the
/// disk. It counts in any case.
fn records(books: &Books, server: &Arc<str>, rule: &'static str) -> bool {
    let records = books.recorder.records_stray(server, rule);
    let rule = if records { rule } else { "upstream.strays" };
    books.metrics.decided(server, Direction::ToClient.as_str(), "deny", rule);
    records
}

/// Gives a notification to whom it concerns; whether that is known.
fn hand_out(shared: &SharedChild, books: &Books, message: &Message) -> bool {
    let copy = || Reply::Message(message.clone(), None);
    let slow = match message.method().unwrap_or_default() {
        _ if Meta::of(message).subscription_id().is_some() => return false,
        method if LISTS.contains(&method) => shared.links.tell_all(|| vec![copy()]),
        method::RESOURCE_UPDATED => shared.links.tell_subscribers(&message.param("uri").unwrap_or_default(), copy),
        method::TASKS_STATUS | "notifications/tasks" => {
            let task = message.params().and_then(|params| params.get("taskId")).and_then(Value::as_str);
            match shared.links.tell_owner(&task.unwrap_or_default(), copy) {
                Some(slow) => slow,
                None => return false,
            }
        }
        method::LOG_MESSAGE => match shared.links.tell_the_only_one(copy) {
            Some(slow) => slow,
            None => return false,
        },
        _ => return false,
    };
    for _ in 0..slow {
        books.metrics.failed(&shared.name, "gateway.slow_client");
    }
    true
}

/// Records what is for nobody.
fn note_dropped(books: &Books, server: &Arc<str>, reply: &Reply) {
    let unattributed = "the server is shared, and it cannot be told which client this is for";
    let (method, bytes, rule, why) = match reply {
        Reply::Message(message, _) => {
            (message.method(), message.bytes().len() as u64, UNATTRIBUTED, unattributed.to_owned())
        }
        Reply::Unreadable(bytes, rejection) => (None, bytes.size, rejection.fault.rule(), rejection.to_string()),
        Reply::Mark { .. } => return,
    };
    if !records(books, server, rule) {
        return;
    }
    let fields = json!({
        "server": server, "session": SESSION, "decision": "deny", "rule": rule, "method": method, "bytes": bytes,
        "why": why,
    });
    // A log that cannot be written is said by the recorder.
    books.recorder.note("dropped", &fields).ok();
}
