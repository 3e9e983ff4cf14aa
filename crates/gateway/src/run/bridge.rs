//! The thin end: the client's stdio here, the user's Bartizan at the other end of a socket.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use bartizan_sandbox::Signal;
use rustix::fs::FlockOperation;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::complaints::Complaints;
use super::daemon::{is_ours, lock};
use super::frame::{Frame, Kind, write_hello};
use super::{Paths, RunError, Wrap};

/// How long the user's Bartizan may take to start.
const START: Duration = Duration::from_secs(10);

/// Wraps a server through the user's Bartizan, which `arguments` to `program` start if it is not there.
///
/// # Errors
/// If it cannot be reached, or refuses; nothing has been read from standard input then.
pub async fn bridge(paths: &Paths, wrap: &Wrap, program: &Path, arguments: &[&OsStr]) -> Result<i32, RunError> {
    paths.prepare()?;
    let stream = connect(paths, program, arguments).await?;
    let (mut from, mut to) = stream.into_split();
    let failed = |error: std::io::Error| RunError::Daemon(error.to_string());
    Frame::new(Kind::Hello, write_hello(wrap)).write(&mut to).await.map_err(failed)?;
    let (frames, mut outgoing) = mpsc::channel::<Frame>(16);
    tokio::spawn(async move {
        while let Some(frame) = outgoing.recv().await {
            if frame.write(&mut to).await.is_err() {
                return;
            }
        }
    });
    tokio::spawn(read_stdin(frames.clone()));
    tokio::spawn(pass_signals(frames));
    let complaints = Complaints::to_stderr();
    let ended = carry(&mut from, &complaints).await;
    complaints.finish();
    ended.unwrap_or_else(|| Err(RunError::Ended(paths.log())))
}

/// Carries what comes from the user's Bartizan until the server has ended; `None` if that went away before.
async fn carry(from: &mut OwnedReadHalf, complaints: &Complaints) -> Option<Result<i32, RunError>> {
    let mut stdout = tokio::io::stdout();
    loop {
        let frame = Frame::read(from).await?;
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
            Kind::Error => return Some(Err(RunError::Refused(String::from_utf8_lossy(&frame.bytes).into_owned()))),
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
    bartizan_sandbox::spawn_detached(program, arguments, &log)?;
    let deadline = tokio::time::Instant::now() + START;
    loop {
        match UnixStream::connect(&socket).await {
            Ok(stream) => return ours(stream, &socket),
            Err(error) if tokio::time::Instant::now() > deadline => {
                return Err(RunError::Daemon(format!("{error}; see {}", log.display())));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Whoever answers is told what the server is to be handed, secrets included.
fn ours(stream: UnixStream, socket: &Path) -> Result<UnixStream, RunError> {
    if is_ours(&stream) {
        return Ok(stream);
    }
    Err(RunError::Daemon(format!("another user serves {}; is this your home directory?", socket.display())))
}

async fn read_stdin(frames: mpsc::Sender<Frame>) {
    let mut stdin = tokio::io::stdin();
    let mut buffer = bytes::BytesMut::with_capacity(64 * 1024);
    while let Ok(count) = stdin.read_buf(&mut buffer).await {
        if count == 0 {
            break;
        }
        if frames.send(Frame::new(Kind::Data, buffer.split().freeze())).await.is_err() {
            return;
        }
        buffer.reserve(64 * 1024);
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

/// The signals that are the server's to handle, as they come.
pub(super) fn signals() -> mpsc::Receiver<Signal> {
    let (sender, receiver) = mpsc::channel(8);
    for (kind, passed) in [
        (SignalKind::interrupt(), Signal::Interrupt),
        (SignalKind::terminate(), Signal::Terminate),
        (SignalKind::hangup(), Signal::Hangup),
        (SignalKind::quit(), Signal::Quit),
        (SignalKind::user_defined1(), Signal::User1),
        (SignalKind::user_defined2(), Signal::User2),
    ] {
        let sender = sender.clone();
        tokio::spawn(async move {
            let Ok(mut incoming) = signal(kind) else { return };
            while incoming.recv().await.is_some() && sender.send(passed).await.is_ok() {}
        });
    }
    receiver
}

pub(super) fn signal_of(number: u8) -> Option<Signal> {
    let all = [Signal::Interrupt, Signal::Terminate, Signal::Hangup, Signal::Quit, Signal::User1, Signal::User2];
    all.into_iter().find(|signal| signal.number() == i32::from(number))
}
