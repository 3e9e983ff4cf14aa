//! The user's Bartizan: started by the first bridge, gone when none has been there for a while.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bartizan_audit::AuditError;
use bartizan_config::Config;
use bartizan_sandbox::Signal;
use bytes::Bytes;
use rustix::fs::{FlockOperation, flock};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

use super::frame::{self, BadHello, Frame, Kind};
use super::signals::signal_of;
use super::wrapped::{Ends, wrapped};
use super::{Paths, RunError};
use crate::changes;
use crate::control;
use crate::files::place_of;
use crate::gateway::Gateway;
use crate::reload::{self, ConfigFile, Place, Reloads, Told, notes};
use crate::server::Complain;
use crate::setup::{self, SetupError};

/// What one connection may hold back before the other side has to wait.
const PIPE: usize = 64 * 1024;

/// How much of standard input a bridge may send before it has been taken further, so that what comes after it, such as a
/// signal, is read whatever the server does.
const WINDOW: usize = 256 * 1024;

/// How long one that leaves may take to write what it has to.
const LEAVING: Duration = Duration::from_secs(5);

/// How long its log may stay open after that: it closes when the last of its tasks is gone.
const CLOSING: Duration = Duration::from_secs(3);

/// What all bridges are served with.
struct Serving {
    gateway: Arc<Gateway>,
    /// The configuration file, if there is a place for one.
    reloads: Option<Arc<Reloads>>,
    /// What is to be said of the configuration.
    told: Arc<Told>,
}

/// Serves this user's bridges, as `config` says, until none has been there for `idle`. It is from `file`, if that is
/// there; what becomes of it is put in force.
///
/// # Errors
/// If another one runs already, or the socket, the log or the lock file cannot be used.
pub async fn daemon(config: &Config, file: Option<ConfigFile>, paths: &Paths, idle: Duration) -> Result<(), RunError> {
    paths.prepare()?;
    paths.check_socket()?;
    let _lock = only_one(paths).await?;
    let mut set_up = config.clone();
    set_up.audit.directory = paths.audit();
    let gateway = opened(&set_up).await?;
    gateway.config.send_replace(Some(Arc::new(set_up)));
    let path = file.as_ref().map(ConfigFile::path);
    let read = path.filter(|file| file.is_file()).map(place_of);
    let notes = ArcSwap::from_pointee(notes(config, path));
    let told = Arc::new(Told { notes, from_file: read.is_some().into(), ..Told::default() });
    let reloads = file.map(|file| {
        let place = Place::User(Arc::clone(&told));
        let (reloads, hangups) = Reloads::new(file, place, Arc::clone(&gateway), config.clone());
        tokio::spawn(reload::watch(Arc::clone(&reloads), hangups));
        reloads
    });
    let socket = paths.socket();
    let failed = |source| RunError::Path { path: socket.clone(), source };
    let (lock, mode) = (place_of(&gateway.lock), config.settings.mode);
    let started = json!({
        "version": env!("CARGO_PKG_VERSION"), "for": "run", "isolation": "none", "mode": mode.as_str(), "config": read, "lock": lock,
    });
    gateway.recorder.note("gateway.started", &started).map_err(SetupError::Audit)?;
    config.notices().iter().for_each(|notice| tracing::warn!("{notice}"));
    let _control = control::serve(&gateway);
    let recording = tokio::spawn(changes::keep_recording(Arc::clone(&gateway)));
    let serving = Arc::new(Serving { gateway, reloads, told });
    let (mut stop, mut waiting) = (terminated(), Vec::new());
    loop {
        // We hold the lock, so whoever left it there is gone.
        std::fs::remove_file(&socket).ok();
        let listener = UnixListener::bind(&socket).map_err(failed)?;
        let told = accept(&listener, waiting, &serving, idle, &mut stop).await;
        std::fs::remove_file(&socket).ok();
        waiting = if told { Vec::new() } else { late(listener) };
        if waiting.is_empty() {
            break;
        }
    }
    recording.abort();
    serving.gateway.recorder.note("gateway.stopped", &json!({})).map(drop).map_err(SetupError::Audit)?;
    serving.gateway.recorder.log().settle();
    Ok(())
}

/// Serves those who wait and those who come, until nobody has been there for `idle`, or it is told to stop.
async fn accept(
    listener: &UnixListener,
    waiting: Vec<UnixStream>,
    serving: &Arc<Serving>,
    idle: Duration,
    stop: &mut mpsc::Receiver<()>,
) -> bool {
    let (leaving, mut left) = mpsc::channel::<()>(1);
    let mut present = 0_usize;
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let mut lonely_since = tokio::time::Instant::now();
    let serve = |stream: UnixStream| {
        let (serving, leaving) = (Arc::clone(serving), leaving.clone());
        tokio::spawn(async move {
            Box::pin(converse(&serving, stream)).await;
            leaving.send(()).await.ok();
        });
    };
    for stream in waiting.into_iter().filter(is_ours) {
        present += 1;
        serve(stream);
    }
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if is_ours(&stream) => {
                    present += 1;
                    serve(stream);
                }
                Ok(_) => {}
                Err(error) => {
                    // Out of file descriptors, most likely: waiting lets others finish, spinning would not.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(()) = left.recv() => {
                present -= 1;
                lonely_since = tokio::time::Instant::now();
            }
            _ = second.tick() => {
                serving.gateway.tick();
                if present == 0 && lonely_since.elapsed() >= idle {
                    return false;
                }
            }
            Some(()) = stop.recv() => return true,
        }
    }
}

/// Those who had connected when the socket went away, and were not taken in yet. Nobody can join them any more.
fn late(listener: UnixListener) -> Vec<UnixStream> {
    let Ok(listener) = listener.into_std() else { return Vec::new() };
    // It does not block: the first error is that nobody is left.
    let all = std::iter::from_fn(|| listener.accept().ok());
    all.filter_map(|(stream, _)| {
        stream.set_nonblocking(true).ok()?;
        UnixStream::from_std(stream).ok()
    })
    .collect()
}

/// Makes sure that this is the user's only Bartizan. One that has its lock and no socket is about to leave, or has just
/// begun: it is waited for.
async fn only_one(paths: &Paths) -> Result<File, RunError> {
    let deadline = tokio::time::Instant::now() + LEAVING;
    loop {
        if let Some(lock) = lock(&paths.lock(), FlockOperation::NonBlockingLockExclusive)? {
            return Ok(lock);
        }
        if paths.socket().exists() || tokio::time::Instant::now() > deadline {
            let there = UnixStream::connect(paths.socket()).await.ok();
            let pid = there.and_then(|stream| stream.peer_cred().ok()?.pid());
            return Err(RunError::Running { pid, directory: paths.home().to_owned() });
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The gateway, once whoever held the user's log has closed it: the lock that makes us the only one is given up a moment
/// before that.
async fn opened(config: &Config) -> Result<Arc<Gateway>, SetupError> {
    let deadline = tokio::time::Instant::now() + CLOSING;
    let mut pause = Duration::from_millis(5);
    loop {
        match setup::gateway(config) {
            Err(SetupError::Audit(AuditError::Locked { .. })) if tokio::time::Instant::now() < deadline => {}
            done => return done,
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(200));
    }
}

/// A stop signal; servers end with us, as their supervisors notice.
fn terminated() -> mpsc::Receiver<()> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else {
            return;
        };
        terminate.recv().await;
        sender.send(()).await.ok();
    });
    receiver
}

/// Ends the user's Bartizan, with the servers that it wraps; whether there was one.
///
/// # Errors
/// If somebody else's is there, or it cannot be told.
pub async fn stop(paths: &Paths) -> Result<bool, RunError> {
    let Ok(mut stream) = UnixStream::connect(paths.socket()).await else { return Ok(false) };
    let peer = stream.peer_cred().ok().and_then(|peer| rustix::process::Pid::from_raw(peer.pid()?));
    let Some(pid) = peer.filter(|_| is_ours(&stream)) else {
        return Err(RunError::Daemon("another user serves its socket".to_owned()));
    };
    let told = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    told.map_err(|error| RunError::Daemon(error.to_string()))?;
    // It says nothing to us, and closes this when it is gone.
    stream.read_u8().await.ok();
    Ok(true)
}

/// Whether the other end is this user's. The socket is the owner's alone; this holds even where its directory was opened
/// up by mistake, or is another user's.
pub(super) fn is_ours(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == rustix::process::getuid().as_raw())
}

impl Serving {
    /// Whether what is in force is what a bridge would read, whose configuration file is `theirs`. That file need not be
    /// there: then it is the defaults.
    fn goes_by(&self, theirs: Option<&Path>) -> bool {
        if let Some(reloads) = &self.reloads {
            // Nobody is served by what it said before, also where no notice of the change came.
            reloads.look(false);
        }
        let ours = self.reloads.as_ref().map(|reloads| reloads.file());
        let there = |file: Option<&Path>| file.and_then(|file| file.canonicalize().ok());
        ours == theirs
            || match (there(ours), there(theirs)) {
                (Some(ours), Some(theirs)) => ours == theirs,
                (None, None) => !self.told.from_file.load(Ordering::Relaxed),
                _ => false,
            }
    }

    fn goes_by_another(&self) -> String {
        let from_file = self.told.from_file.load(Ordering::Relaxed);
        let (ours, or) = match self.reloads.as_ref().filter(|_| from_file) {
            Some(reloads) => (reloads.file().display().to_string(), " name that file with --config,"),
            None => ("the defaults".to_owned(), ""),
        };
        format!(
            "the user's bartizan runs with another configuration ({ours}); end it with `bartizan daemon --stop`,{or} or use \
             --standalone"
        )
    }

    /// What every bridge is to know.
    async fn to_tell(&self) -> Vec<String> {
        let lock = self.gateway.approvals.trouble().await.map(|why| {
            let why = why.replace('\n', " ");
            format!("the lock file cannot be read, and what it held before stays in force: {why}")
        });
        let (notes, trouble) = (self.told.notes.load(), self.told.trouble.load());
        notes.iter().chain(trouble.iter()).cloned().chain(lock).collect()
    }
}

/// One bridge, from its hello to the server's exit.
async fn converse(serving: &Serving, stream: UnixStream) {
    let (mut from, to) = stream.into_split();
    let (frames, outgoing) = mpsc::channel(64);
    let writer = tokio::spawn(write_frames(to, outgoing));
    let hello = Frame::read(&mut from).await.filter(|frame| frame.kind == Kind::Hello);
    let last = match hello.map(|hello| frame::read_hello(&hello.bytes)) {
        Some(Ok(wrap)) if !serving.goes_by(wrap.config.as_deref()) => {
            Frame::new(Kind::Error, serving.goes_by_another())
        }
        Some(Ok(wrap)) => {
            for told in serving.to_tell().await {
                frames.send(Frame::new(Kind::Stderr, format!("bartizan: {told}"))).await.ok();
            }
            let (signal_sender, signals) = mpsc::channel(8);
            let (input_end, input) = tokio::io::duplex(PIPE);
            let (output, output_end) = tokio::io::duplex(PIPE);
            let (here, gone) = oneshot::channel();
            let (data, queued) = mpsc::unbounded_channel();
            let held = Arc::new(AtomicUsize::new(0));
            let feeder = tokio::spawn(feed(queued, Arc::clone(&held), input_end, frames.clone()));
            let reader = tokio::spawn(read_frames(from, data, held, signal_sender, here));
            let copier = tokio::spawn(copy_out(output_end, frames.clone()));
            let lines = frames.clone();
            // Complaints are best effort: a client that does not read them must not block its server.
            let on_stderr = move |line: &str| drop(lines.try_send(Frame::new(Kind::Stderr, line.to_owned())));
            let ends = Ends { input, output, signals, gone };
            let outcome = Box::pin(wrapped(&serving.gateway, &wrap, ends, Complain(Arc::new(on_stderr)))).await;
            copier.await.ok();
            reader.abort();
            feeder.abort();
            match outcome {
                Ok(status) => Frame::new(Kind::Exit, status.shell_code().to_string()),
                Err(error) => Frame::new(Kind::Error, error.to_string()),
            }
        }
        Some(Err(BadHello::Version(theirs))) => {
            Frame::new(Kind::Error, format!("version {} serves this user, not {theirs}", env!("CARGO_PKG_VERSION")))
        }
        Some(Err(BadHello::Malformed)) | None => Frame::new(Kind::Error, "the bridge's hello was not understood"),
    };
    frames.send(last).await.ok();
    drop(frames);
    writer.await.ok();
}

/// Reads what a bridge sends until it is gone, and never waits for anybody else.
async fn read_frames(
    mut from: tokio::net::unix::OwnedReadHalf,
    data: mpsc::UnboundedSender<Bytes>,
    held: Arc<AtomicUsize>,
    signals: mpsc::Sender<Signal>,
    _here: oneshot::Sender<()>,
) {
    let mut data = Some(data);
    while let Some(frame) = Frame::read(&mut from).await {
        match (frame.kind, &data) {
            (Kind::Data, Some(open)) => {
                let before = held.fetch_add(frame.bytes.len(), Ordering::Relaxed);
                if before.saturating_add(frame.bytes.len()) > WINDOW {
                    tracing::warn!("a bridge sends more than there is room for");
                    return;
                }
                // Once the server has ended, nobody wants it.
                open.send(frame.bytes).ok();
            }
            (Kind::Eof, _) => data = None,
            (Kind::Signal, _) => {
                if let Some(signal) = frame.bytes.first().and_then(|number| signal_of(*number)) {
                    signals.try_send(signal).ok();
                }
            }
            _ => {}
        }
    }
}

/// Gives the server what has come, and the bridge room for as much again.
async fn feed(
    mut queued: mpsc::UnboundedReceiver<Bytes>,
    held: Arc<AtomicUsize>,
    mut input: DuplexStream,
    frames: mpsc::Sender<Frame>,
) {
    frames.send(Frame::room(WINDOW)).await.ok();
    while let Some(bytes) = queued.recv().await {
        if input.write_all(&bytes).await.is_err() {
            return;
        }
        held.fetch_sub(bytes.len(), Ordering::Relaxed);
        frames.send(Frame::room(bytes.len())).await.ok();
    }
}

async fn copy_out(mut output: DuplexStream, frames: mpsc::Sender<Frame>) {
    let mut buffer = bytes::BytesMut::with_capacity(PIPE);
    while let Ok(count) = output.read_buf(&mut buffer).await {
        if count == 0 || frames.send(Frame::new(Kind::Data, buffer.split().freeze())).await.is_err() {
            return;
        }
        buffer.reserve(PIPE);
    }
}

async fn write_frames(mut to: OwnedWriteHalf, mut frames: mpsc::Receiver<Frame>) {
    while let Some(frame) = frames.recv().await {
        if frame.write(&mut to).await.is_err() {
            return;
        }
    }
}

/// Locks a file, made if need be; `None` if somebody else holds it.
pub(super) fn lock(path: &Path, operation: FlockOperation) -> Result<Option<File>, RunError> {
    let failed = |source| RunError::Path { path: path.to_owned(), source };
    let file = File::options().create(true).truncate(false).write(true).open(path).map_err(failed)?;
    match flock(&file, operation) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(failed(error.into())),
    }
}

#[cfg(test)]
mod tests {
    use bartizan_audit::{Log, Options};
    use bartizan_config::Environment;
    use bartizan_guard::Timestamp;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_log_that_its_writer_is_about_to_close_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("audit");
        let text = format!("[audit]\ndirectory = \"{}\"\nencrypt = false\n", place.display());
        let environment =
            Environment { variables: [].into(), directory: directory.path().to_owned(), now: Timestamp(0) };
        let config = Config::parse(&text, "test.toml", &environment).unwrap().0;
        let hold = || Log::open(&place, &Options::default()).unwrap().0;

        let held = hold();
        let closing = async {
            tokio::time::sleep(CLOSING / 2).await;
            drop(held);
        };
        let (opened_then, ()) = tokio::join!(opened(&config), closing);
        drop(opened_then.unwrap());

        // One that stays is no daemon that leaves.
        let _held = hold();
        assert!(matches!(opened(&config).await, Err(SetupError::Audit(AuditError::Locked { .. }))));
    }
}
