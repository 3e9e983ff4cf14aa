//! A server that is a child process.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bartizan_mcp::{Id, Limits, Message, meta::Meta};
use bartizan_sandbox::{Child, Launch, SpawnError, StderrTail};
use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{self, error::TrySendError};

use super::lines::{self, Lines};
use super::splice::{self, Chosen};
use super::{Replies, Reply, UpstreamError};
use crate::admit::Admitted;

/// How the child's messages find their reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routing {
    /// All in one stream, in order: for a client that is itself a stream.
    Ordered,
    /// Those that belong to a request go with its replies; the rest is for whoever listens.
    ByRequest,
    /// The same among clients that know nothing of each other: nothing is guessed, every id on the wire is used once,
    /// and a reader that is slow loses its answer instead of keeping the others waiting.
    Shared,
}

/// A running child process and the ways to and from it.
#[derive(Debug)]
pub struct StdioUpstream {
    /// Taken away when nothing more is to be sent, which closes the child's input.
    writer: Mutex<Option<StdioWriter>>,
    shared: Arc<Shared>,
    unasked: Mutex<Option<mpsc::Receiver<Reply>>>,
    child: Child,
}

/// Messages that wait for a reader; more than that and the child has to wait.
const QUEUE: usize = 64;
/// How long a child may refuse to read before a message to it is given up.
const STUFFED: Duration = Duration::from_secs(30);

struct Shared {
    routing: Routing,
    state: Mutex<State>,
    stderr: StderrTail,
    /// Told of what no reader gets.
    stray: OnceLock<Stray>,
    /// One of the places for processes of the server, if they are bounded.
    place: OnceLock<OwnedSemaphorePermit>,
}

/// Takes note of what a child said to nobody.
type Stray = Box<dyn Fn(Reply) + Send + Sync>;

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("routing", &self.routing).field("state", &self.state).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct State {
    /// Requests by their ids on the wire.
    waiting: HashMap<Id, Waiting>,
    /// How many ids and tokens have been made up.
    made_up: u64,
    /// Requests whose reader was too slow.
    lagged: HashSet<Id>,
    ended: bool,
}

#[derive(Debug)]
struct Waiting {
    replies: mpsc::Sender<Reply>,
    /// The one on the wire, as JSON.
    progress_token: Option<Box<str>>,
    chosen: Chosen,
}

/// The messages of a child process for one reader.
#[derive(Debug)]
pub struct Inbox {
    messages: mpsc::Receiver<Reply>,
    /// The id on the wire of the request that they come because of.
    request: Option<Id>,
}

impl Inbox {
    /// What belongs to no request.
    pub(super) fn unasked(messages: mpsc::Receiver<Reply>) -> Inbox {
        Inbox { messages, request: None }
    }

    /// What belongs to no request, out of replies.
    pub(super) fn into_unasked(replies: Replies) -> Option<mpsc::Receiver<Reply>> {
        match replies {
            Replies::Channel(Inbox { messages, request: None }) => Some(messages),
            _ => None,
        }
    }

    /// The id on the wire of the request that they come because of.
    pub(super) fn request(&self) -> Option<&Id> {
        self.request.as_ref()
    }

    pub(super) async fn next(&mut self) -> Option<Reply> {
        self.messages.recv().await
    }
}

/// What a request is called on the wire.
#[derive(Debug)]
struct Names {
    id: Id,
    token: Option<Box<str>>,
    chosen: Chosen,
}

/// The way to a child's standard input.
#[derive(Debug, Clone)]
struct StdioWriter {
    queue: mpsc::Sender<Bytes>,
}

impl StdioWriter {
    /// Queues a message; waits while the queue is full, and gives up if that lasts.
    ///
    /// # Errors
    /// If the child has ended or does not read.
    async fn send(&self, message: &Admitted, names: Option<&Names>) -> Result<(), UpstreamError> {
        let line = match names {
            Some(names) => {
                lines::write(&splice::outward(message.message(), &names.chosen, &names.id, names.token.as_deref()))
            }
            None => lines::write(message.bytes()),
        };
        match tokio::time::timeout(STUFFED, self.queue.send(line)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(UpstreamError::Ended(String::new())),
            Err(_) => Err(UpstreamError::Stuffed),
        }
    }
}

impl StdioUpstream {
    /// Starts the child. `on_stderr` gets each of its lines of complaint, made safe to show.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn spawn(
        launch: &Launch,
        routing: Routing,
        limits: Limits,
        on_stderr: impl FnMut(&str) + Send + 'static,
    ) -> Result<StdioUpstream, SpawnError> {
        let mut child = launch.spawn().await?;
        let missing = || SpawnError::Invalid { what: "a stream of the child is missing" };
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = child.stdout.take().ok_or_else(missing)?;
        let stderr = StderrTail::follow(child.stderr.take().ok_or_else(missing)?, on_stderr);
        let (queue, outgoing) = mpsc::channel(QUEUE);
        let (unasked_sender, unasked) = mpsc::channel(QUEUE);
        let shared = Arc::new(Shared {
            routing,
            state: Mutex::default(),
            stderr,
            stray: OnceLock::new(),
            place: OnceLock::new(),
        });
        tokio::spawn(write_all(stdin, outgoing));
        tokio::spawn(read_all(Lines::new(stdout, limits.bytes), limits, Arc::clone(&shared), unasked_sender));
        Ok(StdioUpstream {
            writer: Mutex::new(Some(StdioWriter { queue })),
            shared,
            unasked: Mutex::new(Some(unasked)),
            child,
        })
    }

    /// Hands what the child says to nobody to `stray`: answers that no request waits for, what cannot be read, and what
    /// nobody listens to. Set before the child is spoken to.
    pub(crate) fn on_stray(&self, stray: impl Fn(Reply) + Send + Sync + 'static) {
        self.shared.stray.set(Box::new(stray)).ok();
    }

    /// Keeps a place for as long as the child may run.
    pub(crate) fn hold(&self, place: OwnedSemaphorePermit) {
        self.shared.place.set(place).ok();
    }

    /// Sends a message.
    pub(super) async fn send(&self, message: &Admitted) -> Result<Replies, UpstreamError> {
        let asked = message.message();
        let (Some(id), Some(_), Routing::ByRequest | Routing::Shared) =
            (asked.id(), asked.method(), self.shared.routing)
        else {
            self.write(message, None).await?;
            return Ok(Replies::None);
        };
        let (sender, messages) = mpsc::channel(QUEUE);
        let names = self.shared.wait_for(id, splice::token(asked), sender)?;
        if let Err(error) = self.write(message, Some(&names)).await {
            self.shared.forget(&names.id);
            return Err(error);
        }
        Ok(Replies::Channel(Inbox { messages, request: Some(names.id) }))
    }

    /// What the child sends on its own account; the first caller gets it.
    pub(super) fn listen(&self) -> Option<Replies> {
        let messages = self.unasked.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(Replies::Channel(Inbox { messages, request: None }))
    }

    /// Gives the stream back when a listener has gone, so that the next one can have it.
    pub fn return_stream(&self, replies: Replies) {
        if let Some(messages) = Inbox::into_unasked(replies) {
            *self.unasked.lock().unwrap_or_else(PoisonError::into_inner) = Some(messages);
        }
    }

    /// Forgets a request that nobody waits for any more; the id under which the child knows it, if it still works on it.
    pub fn forget(&self, replies: &Replies) -> Option<Id> {
        let Replies::Channel(Inbox { request: Some(id), .. }) = replies else { return None };
        self.shared.forget(id).then(|| id.clone())
    }

    /// The same by its id on the wire; whether it was still waited for.
    pub(super) fn forget_id(&self, id: &Id) -> bool {
        self.shared.forget(id)
    }

    /// Whether a request's reader was too slow; said once.
    pub(super) fn has_lagged(&self, id: &Id) -> bool {
        self.shared.state().lagged.remove(id)
    }

    /// Counts the ids that it makes up from here on.
    pub(super) fn count_from(&self, number: u64) {
        self.shared.state().made_up = number;
    }

    /// Asks the child to end, then makes it.
    pub async fn end(&self) -> bartizan_sandbox::ExitStatus {
        self.close_input();
        self.child.end().await
    }

    /// Waits until the child has ended.
    pub async fn ended(&self) -> bartizan_sandbox::ExitStatus {
        let status = self.child.wait().await;
        self.shared.stderr.ended().await;
        status
    }

    /// Passes a signal on.
    pub fn signal(&self, signal: bartizan_sandbox::Signal) {
        self.child.signal(signal);
    }

    /// The last lines of its standard error, safe to show.
    #[must_use]
    pub fn last_words(&self) -> Vec<String> {
        self.shared.stderr.lines()
    }

    /// Whether its output has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.shared.state().ended
    }

    /// The error for a request that the child left unanswered.
    #[must_use]
    pub fn ended_error(&self) -> UpstreamError {
        let lines = self.last_words();
        let from = lines.len().saturating_sub(5);
        let words: Vec<_> = lines.iter().skip(from).map(String::as_str).collect();
        let tail = if words.is_empty() { String::new() } else { format!("; its last words: {}", words.join(" | ")) };
        UpstreamError::Ended(tail)
    }

    /// Closes the child's input; most servers end by themselves then.
    pub fn close_input(&self) {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    async fn write(&self, message: &Admitted, names: Option<&Names>) -> Result<(), UpstreamError> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(writer) = writer else { return Err(self.ended_error()) };
        writer.send(message, names).await.map_err(|error| match error {
            UpstreamError::Ended(_) => self.ended_error(),
            other => other,
        })
    }
}

impl Shared {
    fn stray(&self, reply: Reply) {
        if let Some(stray) = self.stray.get() {
            stray(reply);
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room for the answer, under names that no other request has.
    fn wait_for(&self, id: &Id, token: Option<&str>, replies: mpsc::Sender<Reply>) -> Result<Names, UpstreamError> {
        let mut state = self.state();
        if state.ended {
            return Err(UpstreamError::Ended(String::new()));
        }
        let mut chosen = Chosen::default();
        let mut wire_id = id.clone();
        let mut wire_token: Option<Box<str>> = token.map(Into::into);
        if self.routing == Routing::Shared {
            chosen = Chosen { id: Some(id.clone()), token: wire_token.clone() };
            wire_id = state.count().map_or(wire_id, Id::Integer);
            wire_token = wire_token.map(|_| wire_id.to_json().into());
        }
        while state.waiting.contains_key(&wire_id) {
            chosen.id = Some(id.clone());
            wire_id = Id::String(state.make_up().into());
        }
        let taken = |state: &State, token: &Option<Box<str>>| {
            token.is_some() && state.waiting.values().any(|held| held.progress_token == *token)
        };
        while taken(&state, &wire_token) {
            chosen.token = token.map(Into::into);
            wire_token = Some(bartizan_mcp::quote(&state.make_up()).into());
        }
        let waiting = Waiting { replies, progress_token: wire_token.clone(), chosen: chosen.clone() };
        state.waiting.insert(wire_id.clone(), waiting);
        Ok(Names { id: wire_id, token: wire_token, chosen })
    }

    /// Whether it was still waited for.
    fn forget(&self, id: &Id) -> bool {
        self.state().waiting.remove(id).is_some()
    }

    /// Whose it is, and as its reader is to see it.
    fn route(&self, reply: Reply, limits: &Limits) -> (Reply, Option<mpsc::Sender<Reply>>) {
        if self.routing == Routing::Ordered {
            return (reply, None);
        }
        let mut state = self.state();
        state.waiting.retain(|_, waiting| !waiting.replies.is_closed());
        let message = match reply {
            Reply::Message(message, _) => message,
            Reply::Unreadable(bytes, rejection) => {
                let reader = state.claim_unreadable(&bytes, self.routing);
                return (Reply::Unreadable(bytes, rejection), reader);
            }
            Reply::Mark { .. } => return (reply, None),
        };
        let Some(id) = state.request_of(&message, self.routing) else { return (Reply::Message(message, None), None) };
        let Some(held) = state.waiting.get(&id) else { return (Reply::Message(message, None), None) };
        let reader = held.replies.clone();
        let is_last = message.is_response();
        let message = splice::inward(message, &held.chosen, &id, limits);
        if is_last {
            state.waiting.remove(&id);
        }
        if self.routing == Routing::Shared && reader.capacity() == 0 {
            state.waiting.remove(&id);
            if !reader.is_closed() {
                state.lagged.insert(id);
            }
            return (Reply::Mark { id: None, retry: None }, None);
        }
        (Reply::Message(message, None), Some(reader))
    }
}

impl State {
    /// The request that it answers, reports progress of or is a subscription's, or the only one that is waiting.
    fn request_of(&self, message: &Message, routing: Routing) -> Option<Id> {
        if message.is_response() {
            return message.id().cloned();
        }
        if let Some(subscription) = Meta::of(message).subscription_id() {
            return Some(subscription);
        }
        if let Some(token) = splice::progress_token(message) {
            let mut all = self.waiting.iter();
            return all.find(|(_, held)| held.progress_token.as_deref() == Some(token.raw())).map(|(id, _)| id.clone());
        }
        if routing == Routing::Shared || concerns_everyone(message) {
            return None;
        }
        // With one request under way, a log message or a question of the server belongs to it.
        let mut all = self.waiting.keys();
        let only = all.next()?;
        all.next().is_none().then(|| only.clone())
    }

    fn make_up(&mut self) -> String {
        self.made_up += 1;
        format!("bartizan-{}", self.made_up)
    }

    fn count(&mut self) -> Option<i64> {
        self.made_up += 1;
        i64::try_from(self.made_up).ok()
    }

    /// An answer that cannot be read safely still ends the wait of the request it was meant for. Its id is read
    /// leniently, which is safe: all it can do is make one waiting request fail.
    fn claim_unreadable(&mut self, bytes: &[u8], routing: Routing) -> Option<mpsc::Sender<Reply>> {
        if !lines::looks_like_message(bytes) {
            return None;
        }
        let named = lines::lenient_id(bytes);
        let alone = self.waiting.len() == 1 && routing != Routing::Shared;
        let only = || if alone { self.waiting.keys().next().cloned() } else { None };
        let id = named.filter(|id| self.waiting.contains_key(id)).or_else(only)?;
        self.waiting.remove(&id).map(|waiting| waiting.replies)
    }
}

fn concerns_everyone(message: &Message) -> bool {
    message
        .method()
        .is_some_and(|method| method.ends_with("/list_changed") || method == "notifications/resources/updated")
}

async fn write_all(mut stdin: impl AsyncWriteExt + Unpin, mut queue: mpsc::Receiver<Bytes>) {
    while let Some(line) = queue.recv().await {
        if stdin.write_all(&line).await.is_err() {
            break;
        }
        // What else is queued goes out with the same flush.
        while let Ok(more) = queue.try_recv() {
            if stdin.write_all(&more).await.is_err() {
                return;
            }
        }
        if stdin.flush().await.is_err() {
            break;
        }
    }
}

/// Whether no listener could make anything of it: it cannot be read, or answers a request that does not wait.
fn is_for_nobody(reply: &Reply) -> bool {
    match reply {
        Reply::Message(message, _) => message.is_response(),
        Reply::Unreadable(..) => true,
        Reply::Mark { .. } => false,
    }
}

async fn read_all<R: tokio::io::AsyncRead + Unpin>(
    mut stream: Lines<R>,
    limits: Limits,
    shared: Arc<Shared>,
    unasked: mpsc::Sender<Reply>,
) {
    while let Ok(Some(line)) = stream.next().await {
        let (reply, reader) = shared.route(lines::read(line, &limits), &limits);
        match reader {
            Some(reader) if shared.routing == Routing::Shared => drop(reader.try_send(reply)),
            // A reader that has gone needs no answer any more.
            Some(reader) => drop(reader.send(reply).await),
            None if shared.routing == Routing::Ordered => {
                if unasked.send(reply).await.is_err() {
                    break;
                }
            }
            None if is_for_nobody(&reply) => shared.stray(reply),
            // Nobody may be listening, and the child must not be kept waiting for that.
            None => {
                if let Err(TrySendError::Full(reply) | TrySendError::Closed(reply)) = unasked.try_send(reply) {
                    shared.stray(reply);
                }
            }
        }
    }
    let mut state = shared.state();
    state.ended = true;
    state.waiting.clear();
}
