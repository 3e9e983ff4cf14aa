//! A server that is a child process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bartizan_mcp::{Id, Limits, Message};
use bartizan_sandbox::{Child, Launch, SpawnError, StderrTail};
use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use super::lines::{self, Lines};
use super::{Replies, Reply, UpstreamError};
use crate::admit::Admitted;

/// How the child's messages find their reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routing {
    /// All in one stream, in order: for a client that is itself a stream.
    Ordered,
    /// Those that belong to a request go with its replies; the rest is for whoever listens.
    ByRequest,
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

#[derive(Debug)]
struct Shared {
    routing: Routing,
    state: Mutex<State>,
    stderr: StderrTail,
}

#[derive(Debug, Default)]
struct State {
    waiting: HashMap<Id, Waiting>,
    ended: bool,
}

#[derive(Debug)]
struct Waiting {
    replies: mpsc::Sender<Reply>,
    progress_token: Option<Box<str>>,
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
    async fn send(&self, message: &Admitted) -> Result<(), UpstreamError> {
        let line = lines::write(message.bytes());
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
        let shared = Arc::new(Shared { routing, state: Mutex::default(), stderr });
        tokio::spawn(write_all(stdin, outgoing));
        tokio::spawn(read_all(Lines::new(stdout, limits.bytes), limits, Arc::clone(&shared), unasked_sender));
        Ok(StdioUpstream {
            writer: Mutex::new(Some(StdioWriter { queue })),
            shared,
            unasked: Mutex::new(Some(unasked)),
            child,
        })
    }

    /// Sends a message.
    pub(super) async fn send(&self, message: &Admitted) -> Result<Replies, UpstreamError> {
        let asked = message.message();
        let (Some(id), Some(_), Routing::ByRequest) = (asked.id(), asked.method(), self.shared.routing) else {
            self.write(message).await?;
            return Ok(Replies::None);
        };
        let (sender, receiver) = mpsc::channel(QUEUE);
        let progress = asked.params().and_then(|params| params.at(&["_meta", "progressToken"]));
        let waiting = Waiting { replies: sender, progress_token: progress.map(|token| token.raw().into()) };
        self.shared.wait_for(id.clone(), waiting)?;
        if let Err(error) = self.write(message).await {
            self.shared.forget(id);
            return Err(error);
        }
        Ok(Replies::Channel(receiver))
    }

    /// What the child sends on its own account; the first caller gets it.
    pub(super) fn listen(&self) -> Option<Replies> {
        self.unasked.lock().unwrap_or_else(PoisonError::into_inner).take().map(Replies::Channel)
    }

    /// Gives the stream back when a listener has gone, so that the next one can have it.
    pub fn return_stream(&self, replies: Replies) {
        if let Replies::Channel(channel) = replies {
            *self.unasked.lock().unwrap_or_else(PoisonError::into_inner) = Some(channel);
        }
    }

    /// Forgets a request that nobody waits for any more.
    pub fn forget(&self, id: &Id) {
        self.shared.forget(id);
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

    async fn write(&self, message: &Admitted) -> Result<(), UpstreamError> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(writer) = writer else { return Err(self.ended_error()) };
        writer.send(message).await.map_err(|error| match error {
            UpstreamError::Ended(_) => self.ended_error(),
            other => other,
        })
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for(&self, id: Id, waiting: Waiting) -> Result<(), UpstreamError> {
        let mut state = self.state();
        if state.ended {
            return Err(UpstreamError::Ended(String::new()));
        }
        state.waiting.insert(id, waiting);
        Ok(())
    }

    fn forget(&self, id: &Id) {
        self.state().waiting.remove(id);
    }

    /// Whose it is: the request it answers or reports progress of, or the only one that is waiting.
    fn reader_of(&self, reply: &Reply) -> Option<mpsc::Sender<Reply>> {
        if self.routing == Routing::Ordered {
            return None;
        }
        let mut state = self.state();
        state.waiting.retain(|_, waiting| !waiting.replies.is_closed());
        let message = match reply {
            Reply::Message(message, _) => message,
            Reply::Unreadable(bytes, _) => return state.claim_unreadable(bytes),
            Reply::Mark { .. } => return None,
        };
        if message.is_response() {
            return state.waiting.remove(message.id()?).map(|waiting| waiting.replies);
        }
        if let Some(token) = progress_token(message) {
            let mut all = state.waiting.values();
            return all.find(|held| held.progress_token.as_deref() == Some(&token)).map(|held| held.replies.clone());
        }
        if concerns_everyone(message) {
            return None;
        }
        // With one request under way, a log message or a question of the server belongs to it.
        let mut all = state.waiting.values();
        let only = all.next()?;
        all.next().is_none().then(|| only.replies.clone())
    }
}

impl State {
    /// An answer that cannot be read safely still ends the wait of the request it was meant for. Its id is read
    /// leniently, which is safe: all it can do is make one waiting request fail.
    fn claim_unreadable(&mut self, bytes: &[u8]) -> Option<mpsc::Sender<Reply>> {
        if !lines::looks_like_message(bytes) {
            return None;
        }
        let named = lines::lenient_id(bytes);
        let only = || if self.waiting.len() == 1 { self.waiting.keys().next().cloned() } else { None };
        let id = named.filter(|id| self.waiting.contains_key(id)).or_else(only)?;
        self.waiting.remove(&id).map(|waiting| waiting.replies)
    }
}

fn progress_token(message: &Message) -> Option<String> {
    if message.method() != Some("notifications/progress") {
        return None;
    }
    Some(message.params()?.get("progressToken")?.raw().to_owned())
}

fn concerns_everyone(message: &Message) -> bool {
    message.method().is_some_and(|method| method.ends_with("/list_changed") || method == "notifications/resources/updated")
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

async fn read_all<R: tokio::io::AsyncRead + Unpin>(
    mut stream: Lines<R>,
    limits: Limits,
    shared: Arc<Shared>,
    unasked: mpsc::Sender<Reply>,
) {
    while let Ok(Some(line)) = stream.next().await {
        let reply = lines::read(line, &limits);
        let reader = shared.reader_of(&reply);
        match reader {
            // A reader that has gone needs no answer any more.
            Some(reader) => drop(reader.send(reply).await),
            None if shared.routing == Routing::Ordered => {
                if unasked.send(reply).await.is_err() {
                    break;
                }
            }
            // Nobody may be listening, and the child must not be kept waiting for that.
            None => drop(unasked.try_send(reply)),
        }
    }
    let mut state = shared.state();
    state.ended = true;
    state.waiting.clear();
}
