//! A server that is a child process.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bartizan_mcp::{Id, Limits};
use bartizan_sandbox::{Child, ExitStatus, Level, SpawnError, StderrTail};
use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::demux::{Demux, Names, QUEUE, Routing, Stray};
use super::lines::{self, Lines};
use super::{Ending, Replies, Reply, Trial, UpstreamError};
use crate::admit::Admitted;
use crate::program::{Program, Started};
use crate::way_out::Way;

/// A running child process and the ways to and from it.
#[derive(Debug)]
pub struct StdioUpstream {
    /// Taken away when nothing more is to be sent, which closes the child's input.
    writer: Mutex<Option<StdioWriter>>,
    demux: Arc<Demux>,
    stderr: StderrTail,
    leave: Arc<OnceLock<Leave>>,
    child: Child,
    /// Whether it runs in a sandbox, which may be what ends it.
    confined: bool,
    /// Bytes of memory that its sandbox lets it have.
    memory: Option<u64>,
    /// How it leaves that, if it may; after the child, which is ended before this goes.
    _way: Option<Way>,
}

/// With what a child runs, if its server bounds that; kept until it says no more.
#[derive(Debug)]
struct Leave {
    /// One of the places for processes of the server; the one that tries a program hands its place on to the one that it
    /// was tried for.
    _place: Arc<OwnedSemaphorePermit>,
    /// Whether it works.
    trial: Option<Arc<Trial>>,
}

/// How long a child may refuse to read before a message to it is given up.
const STUFFED: Duration = Duration::from_secs(30);

/// How long the last words of a child that has ended are waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The way to a child's standard input.
#[derive(Debug, Clone)]
struct StdioWriter {
    queue: mpsc::Sender<Line>,
    /// What may wait in KiB, so that a child that does not read is not kept megabytes for by the dozen.
    room: Arc<Semaphore>,
}

/// A line with the room that it takes.
type Line = (Bytes, Option<OwnedSemaphorePermit>);

/// Lines of standard error that are said of a child that has ended: as many as end with those in which Node.js says why.
const MOST_WORDS: usize = 8;

/// KiB that may wait for a child to read them; a longer line waits alone.
const WAITING: u32 = 16 * 1024;

impl StdioWriter {
    /// Queues a message; waits while the queue is full, and gives up if that lasts.
    ///
    /// # Errors
    /// If the child has ended or does not read.
    async fn send(&self, message: &Admitted, names: Option<&Names>) -> Result<(), UpstreamError> {
        let wanted = u32::try_from(message.bytes().len() / 1024).unwrap_or(WAITING).clamp(1, WAITING);
        let queued = async {
            let room = Arc::clone(&self.room).acquire_many_owned(wanted).await.ok();
            // Copied only now: what waits for room would otherwise be there twice.
            let line = match names {
                Some(names) => lines::write(&names.outward(message)),
                None => lines::write(message.bytes()),
            };
            self.queue.send((line, room)).await
        };
        match tokio::time::timeout(STUFFED, queued).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(UpstreamError::Ended(Ending::default())),
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
        program: &Program,
        routing: Routing,
        limits: Limits,
        on_stderr: impl FnMut(&str) + Send + 'static,
    ) -> Result<StdioUpstream, SpawnError> {
        let Started { mut child, way, private } = program.start().await?;
        let missing = || SpawnError::Invalid { what: "a stream of the child is missing".into() };
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = child.stdout.take().ok_or_else(missing)?;
        let stderr = StderrTail::follow(child.stderr.take().ok_or_else(missing)?, private, on_stderr);
        let (queue, outgoing) = mpsc::channel(QUEUE);
        let demux = Arc::new(Demux::new(routing));
        let leave = Arc::default();
        tokio::spawn(write_all(stdin, outgoing));
        tokio::spawn(read_all(Lines::new(stdout, limits.bytes), limits, Arc::clone(&demux), Arc::clone(&leave)));
        Ok(StdioUpstream {
            writer: Mutex::new(Some(StdioWriter { queue, room: Arc::new(Semaphore::new(WAITING as usize)) })),
            demux,
            stderr,
            leave,
            child,
            confined: program.launch.level() != Level::None,
            memory: program.launch.confinement.as_ref().and_then(|confinement| confinement.limits.memory),
            _way: way,
        })
    }

    /// Who is told of what the child says to nobody; set before it is spoken to.
    pub(super) fn on_stray(&self, stray: Stray) {
        self.demux.on_stray(stray);
    }

    /// Keeps a place for as long as the child may run, and tells `trial` what becomes of it.
    pub(crate) fn hold(&self, place: Arc<OwnedSemaphorePermit>, trial: Option<Arc<Trial>>) {
        if let Some(trial) = &trial {
            trial.runs();
        }
        self.leave.set(Leave { _place: place, trial }).ok();
        // It may have ended before there was anybody to tell.
        if self.has_ended() {
            self.trial(Trial::ended);
        }
    }

    fn trial(&self, what: impl FnOnce(&Trial)) {
        if let Some(trial) = self.leave.get().and_then(|leave| leave.trial.as_deref()) {
            what(trial);
        }
    }

    /// Sends a message.
    pub(super) async fn send(&self, message: &Admitted) -> Result<Replies, UpstreamError> {
        let expected = match self.demux.expect(message.message()) {
            Err(UpstreamError::Ended(_)) => return Err(self.gone().await),
            expected => expected?,
        };
        let Some((names, inbox)) = expected else {
            let renamed = self.demux.cancellation(message);
            return self.tell(renamed.as_ref().unwrap_or(message)).await;
        };
        if let Err(error) = self.write(message, Some(&names)).await {
            self.demux.forget(&names.id);
            return Err(error);
        }
        Ok(Replies::Channel(inbox))
    }

    /// Sends what needs no answer and names requests as the child knows them.
    pub(super) async fn tell(&self, message: &Admitted) -> Result<Replies, UpstreamError> {
        self.write(message, None).await?;
        Ok(Replies::None)
    }

    /// What the child sends on its own account; the first caller gets it.
    pub(super) fn listen(&self) -> Option<Replies> {
        self.demux.listen()
    }

    /// Gives the stream back when a listener has gone, so that the next one can have it.
    pub fn return_stream(&self, replies: Replies) {
        self.demux.return_stream(replies);
    }

    /// Forgets a request that nobody waits for any more; the id under which the child knows it, if it still works on it.
    pub fn forget(&self, replies: &Replies) -> Option<Id> {
        self.demux.forget_replies(replies)
    }

    /// The same by its id on the wire; whether it was still waited for.
    pub(super) fn forget_id(&self, id: &Id) -> bool {
        self.demux.forget(id)
    }

    /// Whether a request's reader was too slow; said once.
    pub(super) fn has_lagged(&self, id: &Id) -> bool {
        self.demux.has_lagged(id)
    }

    /// Counts the ids that it makes up from here on.
    pub(super) fn count_from(&self, number: u64) {
        self.demux.count_from(number);
    }

    /// Asks the child to end, then makes it.
    pub async fn end(&self) -> ExitStatus {
        self.close_input();
        self.child.end().await
    }

    /// Waits until the child has ended.
    pub async fn ended(&self) -> ExitStatus {
        let status = self.child.wait().await;
        self.stderr.ended().await;
        status
    }

    /// Passes a signal on.
    pub fn signal(&self, signal: bartizan_sandbox::Signal) {
        self.trial(Trial::let_go);
        self.child.signal(signal);
    }

    /// Waits until its standard error has ended too, but not for long: it may have closed only its output.
    pub(super) async fn last_words_said(&self) {
        tokio::time::timeout(LAST_WORDS, self.stderr.ended()).await.ok();
        if self.confined {
            // Only its end says whether its sandbox ended it.
            tokio::time::timeout(LAST_WORDS, self.child.wait()).await.ok();
        }
    }

    /// The last lines of its standard error, safe to show.
    #[must_use]
    pub fn last_words(&self) -> Vec<String> {
        self.stderr.lines()
    }

    /// Whether its output has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.demux.has_ended()
    }

    /// The error for a request that the child left unanswered.
    #[must_use]
    pub fn ended_error(&self) -> UpstreamError {
        let lines = self.last_words();
        UpstreamError::Ended(Ending::new(self.known_of_its_end(), &telling(&lines)))
    }

    /// What its sandbox may have had to do with its end.
    fn known_of_its_end(&self) -> String {
        match self.child.try_wait() {
            Some(status @ ExitStatus::OutOfMemory) => {
                format!("{status} ({} MiB: `limits.memory`)", self.memory.unwrap_or_default() >> 20)
            }
            Some(status @ ExitStatus::Exposed) => status.to_string(),
            _ if self.confined => "it runs confined, with what its command and its `sandbox` name: `fs.ro`, `fs.rw`, \
                                   `net.allow` and `limits`, or --ro, --rw and --allow of `run`, say what it may see, \
                                   reach and use"
                .to_owned(),
            _ => String::new(),
        }
    }

    /// Closes the child's input; most servers end by themselves then.
    pub fn close_input(&self) {
        self.trial(Trial::let_go);
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    async fn write(&self, message: &Admitted, names: Option<&Names>) -> Result<(), UpstreamError> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(writer) = writer else { return Err(self.ended_error()) };
        match writer.send(message, names).await {
            Err(UpstreamError::Ended(_)) => Err(self.gone().await),
            sent => sent,
        }
    }

    /// The error for what came after its end, with all that it had to say.
    async fn gone(&self) -> UpstreamError {
        self.last_words_said().await;
        self.ended_error()
    }
}

/// The last of these lines that say something: the frames of a stack that follow an error are none of them.
fn telling(lines: &[String]) -> Vec<&str> {
    let is_telling = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("at ");
    let mut last: Vec<_> = lines.iter().rev().map(String::as_str).filter(is_telling).take(MOST_WORDS).collect();
    last.reverse();
    last
}

impl Drop for StdioUpstream {
    /// The child ends with it.
    fn drop(&mut self) {
        self.trial(Trial::let_go);
    }
}

async fn write_all(mut stdin: impl AsyncWriteExt + Unpin, mut queue: mpsc::Receiver<Line>) {
    while let Some((line, _room)) = queue.recv().await {
        if stdin.write_all(&line).await.is_err() {
            break;
        }
        // What else is queued goes out with the same flush.
        while let Ok((more, _room)) = queue.try_recv() {
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
    demux: Arc<Demux>,
    leave: Arc<OnceLock<Leave>>,
) {
    let trial = || leave.get().and_then(|leave| leave.trial.as_deref());
    let mut answered = false;
    while let Ok(Some(line)) = stream.next().await {
        let reply = lines::read(line, &limits);
        if !answered && matches!(&reply, Reply::Message(message, _) if message.is_response()) {
            answered = true;
            trial().into_iter().for_each(Trial::answered);
        }
        if !demux.deliver(reply, &limits).await {
            break;
        }
    }
    demux.end();
    trial().into_iter().for_each(Trial::ended);
}
