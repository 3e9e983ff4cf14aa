//! The thin end: the client's stdio here, the user's Bartizan at the other end of a socket.

use std::ffi::OsStr;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::process::{WaitId, WaitIdOptions, waitid};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Semaphore, mpsc};

use super::complaints::Complaints;
use super::daemon::{is_ours, lock};
use super::frame::{Frame, Kind, write_hello};
use super::signals::signals;
use super::{Paths, RunError, Wrap, turned_away};

/// The most of standard input that is read at a time.
const CHUNK: usize = 64 * 1024;

/// How long the user's Bartizan may take to start.
const START: Duration = Duration::from_secs(10);

/// Wraps a server through the user's Bartizan, which `arguments` to `program` start if it is not there.
///
/// # Errors
/// If it cannot be reached, or refuses. The client has been told then, if it asked for anything.
pub async fn bridge(paths: &Paths, wrap: &Wrap, program: &Path, arguments: &[&OsStr]) -> Result<i32, RunError> {
    let (first, mut from, mut to) = match reach(paths, wrap, program, arguments).await {
        Ok(met) => met,
        Err(error) => return Err(turned_away::with(error).await),
    };
    let (frames, mut outgoing) = mpsc::channel::<Frame>(16);
    tokio::spawn(async move {
        while let Some(frame) = outgoing.recv().await {
            if frame.write(&mut to).await.is_err() {
                return;
            }
        }
    });
    let room = Arc::new(Semaphore::new(0));
    tokio::spawn(read_stdin(frames.clone(), Arc::clone(&room)));
    tokio::spawn(pass_signals(frames));
    let complaints = Complaints::to_stderr();
    let ended = carry(first, &mut from, &complaints, &room).await;
    complaints.finish();
    ended.unwrap_or_else(|| Err(RunError::Ended(paths.log())))
}

/// Whoever serves the user, and the first that they say. Nothing is read from standard input.
async fn reach(paths: &Paths, wrap: &Wrap, program: &Path, arguments: &[&OsStr]) -> Result<Met, RunError> {
    paths.prepare()?;
    paths.check_socket()?;
    let hello = Frame::new(Kind::Hello, write_hello(wrap));
    let mut met = meet(connect(paths, program, arguments).await?, &hello).await;
    if met.is_none() {
        // It was about to leave; nothing has been read from standard input yet, so another one can be asked.
        met = meet(connect(paths, program, arguments).await?, &hello).await;
    }
    met.ok_or_else(|| RunError::Ended(paths.log()))
}

/// The first frame, and both ways.
type Met = (Frame, OwnedReadHalf, OwnedWriteHalf);

/// Says hello; `None` if the other side went away before it took that.
async fn meet(stream: UnixStream, hello: &Frame) -> Option<Met> {
    let (mut from, mut to) = stream.into_split();
    hello.write(&mut to).await.ok()?;
    Some((Frame::read(&mut from).await?, from, to))
}

/// Carries what comes from the user's Bartizan until the server has ended; `None` if that went away before.
async fn carry(
    first: Frame,
    from: &mut OwnedReadHalf,
    complaints: &Complaints,
    room: &Semaphore,
) -> Option<Result<i32, RunError>> {
    let mut stdout = tokio::io::stdout();
    let mut next = Some(first);
    // As long as there is room for nothing, nothing has been read from standard input.
    let mut has_room = false;
    loop {
        let frame = match next.take() {
            Some(first) => first,
            None => Frame::read(from).await?,
        };
        match frame.kind {
            Kind::Data => {
                let written = async {
                    stdout.write_all(&frame.bytes).await?;
                    stdout.flush().await
                };
                // A client that no longer reads has gone; closing the socket ends the server.
                if written.await.is_err() {
                    return Some(Ok(0));
                }
            }
            Kind::Stderr => complaints.line(&String::from_utf8_lossy(&frame.bytes)),
            Kind::Exit => return Some(Ok(String::from_utf8_lossy(&frame.bytes).parse().unwrap_or(1))),
            Kind::Error => {
                let refused = RunError::Refused(String::from_utf8_lossy(&frame.bytes).into_owned());
                return Some(Err(if has_room { refused } else { turned_away::with(refused).await }));
            }
            Kind::Room => {
                has_room = true;
                room.add_permits(frame.to_room().min(Semaphore::MAX_PERMITS - room.available_permits()));
            }
            Kind::Hello | Kind::Eof | Kind::Signal => {}
        }
    }
}

async fn connect(paths: &Paths, program: &Path, arguments: &[&OsStr]) -> Result<UnixStream, RunError> {
    let socket = paths.socket();
    if let Ok(stream) = UnixStream::connect(&socket).await {
        return ours(stream, &socket);
    }
    // Of several bridges that come at once, one starts it and the others wait.
    let start_lock = paths.start_lock();
    let held = tokio::task::spawn_blocking(move || lock(&start_lock, FlockOperation::LockExclusive)).await;
    let _held = held.map_err(|error| RunError::Daemon(error.to_string()))??;
    if let Ok(stream) = UnixStream::connect(&socket).await {
        return ours(stream, &socket);
    }
    let log = paths.log();
    let said_before = std::fs::metadata(&log).map_or(0, |about| about.len());
    bartizan_sandbox::spawn_detached(program, arguments, &log)?;
    let deadline = tokio::time::Instant::now() + START;
    loop {
        match UnixStream::connect(&socket).await {
            Ok(stream) => return ours(stream, &socket),
            Err(error) if tokio::time::Instant::now() > deadline => {
                return Err(RunError::Daemon(format!("{error}; see {}", log.display())));
            }
            // Nor has anybody else begun to, whom ours made way for.
            Err(_) if has_ended() && lock(&paths.lock(), FlockOperation::NonBlockingLockExclusive)?.is_some() => {
                let said = last_lines(&log, said_before);
                return Err(RunError::NotStarted { said, log });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Whether somebody serves this user's bridges, or did so until it was killed.
#[must_use]
pub fn is_served(paths: &Paths) -> bool {
    paths.socket().exists()
}

/// Whether what a bridge has started is gone: it starts nothing else, so without a child there is no daemon of its own.
fn has_ended() -> bool {
    let looking = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    matches!(waitid(WaitId::All, looking), Err(rustix::io::Errno::CHILD))
}

/// The end of what was written to a log after its first `skip` bytes.
fn last_lines(log: &Path, skip: u64) -> String {
    const LINES: usize = 12;
    let read = || {
        let mut file = std::fs::File::open(log)?;
        file.seek(SeekFrom::Start(skip))?;
        let mut text = Vec::new();
        file.take(CHUNK as u64).read_to_end(&mut text)?;
        std::io::Result::Ok(text)
    };
    let text = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    lines.split_at(lines.len().saturating_sub(LINES)).1.join("\n")
}

/// Whoever answers is told what the server is to be handed, secrets included.
fn ours(stream: UnixStream, socket: &Path) -> Result<UnixStream, RunError> {
    if is_ours(&stream) {
        return Ok(stream);
    }
    Err(RunError::Daemon(format!("another user serves {}; is this your home directory?", socket.display())))
}

/// Reads only as much as there is room for at the other end, so that a signal, or our end, never waits behind what the
/// server does not read.
async fn read_stdin(frames: mpsc::Sender<Frame>, room: Arc<Semaphore>) {
    let mut stdin = tokio::io::stdin();
    let mut buffer = bytes::BytesMut::new();
    loop {
        if room.acquire().await.map(drop).is_err() {
            return;
        }
        let most = room.available_permits().min(CHUNK);
        buffer.reserve(most);
        match (&mut stdin).take(most as u64).read_buf(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(count) => {
                // There is as much: nobody else takes any.
                room.forget_permits(count);
                if frames.send(Frame::new(Kind::Data, buffer.split().freeze())).await.is_err() {
                    return;
                }
            }
        }
    }
    frames.send(Frame::new(Kind::Eof, "")).await.ok();
}

async fn pass_signals(frames: mpsc::Sender<Frame>) {
    let mut signals = signals();
    while let Some(signal) = signals.recv().await {
        let number = u8::try_from(signal.number()).unwrap_or_default();
        if frames.send(Frame::new(Kind::Signal, vec![number])).await.is_err() {
            return;
        }
    }
}
