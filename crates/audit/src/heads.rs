//! Keeps the head of the tree where it can be read: a signed checkpoint, about a second behind the entries.
//!
//! A thread of the log's own makes one each second in which there was an entry, and a last one at the end. Before it signs,
//! the entries are put on disk, and so are the tiles: what a checkpoint says is there, whatever happens after. A log that is
//! shorter than its checkpoint has been cut.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::error::AuditError;
use crate::fault::{Fault, Problem};
use crate::files;
use crate::keys::{self, At, Closed};
use crate::note::{self, Checkpoint, LogKey, Signer};
use crate::sealed::Rewrapped;
use crate::sync::Syncer;
use crate::tiles::Tiles;
use crate::tree::{Edge, Hash, Tile};

/// The newest checkpoint.
pub(crate) const CHECKPOINT: &str = "checkpoint";
/// The key that it is signed with.
pub(crate) const KEY: &str = "checkpoint.key";

/// How long entries may be without a checkpoint.
const EVERY: Duration = Duration::from_secs(1);

/// How long whoever ends may wait for the last one.
const PATIENCE: Duration = Duration::from_secs(5);

/// Full tiles that wait to be written, if that fails or takes too long: 8 KiB each. Where there are more no further checkpoint is made, and the
/// next start makes all that is missing from the entries.
const WAITING: usize = 1024;

/// The tree of a log that is open.
pub(crate) struct Heads {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    dir: PathBuf,
    signer: Signer,
    state: Mutex<State>,
    wake: Condvar,
    /// Somebody waits for a checkpoint, and there is one or a failure.
    made: Condvar,
}

struct State {
    edge: Edge,
    /// Those that are full and not written yet.
    full: Vec<Tile>,
    /// There were too many of these.
    lost: bool,
    /// What the newest checkpoint is about.
    kept: Edge,
    /// Why there is no newer one.
    failure: Option<String>,
    closing: bool,
    /// Somebody waits for a checkpoint.
    hurry: bool,
    /// The thread waits for something to do.
    idle: bool,
}

impl Heads {
    /// Goes on from the tree of all entries that there are, of which `kept` is in the checkpoint. There are no further
    /// checkpoints until it is started.
    pub(crate) fn new(dir: &Path, signer: Signer, (kept, edge): (Edge, Edge)) -> Self {
        let state = State {
            edge,
            full: Vec::new(),
            lost: false,
            kept,
            failure: None,
            closing: false,
            hurry: false,
            idle: false,
        };
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            signer,
            state: Mutex::new(state),
            wake: Condvar::new(),
            made: Condvar::new(),
        });
        Self { shared, thread: None }
    }

    /// Starts the thread that makes them.
    pub(crate) fn start(&mut self, syncer: Arc<Syncer>) -> io::Result<()> {
        let worker = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name("audit-heads".to_owned()).spawn(move || worker.run(&syncer))?;
        self.thread = Some(thread);
        Ok(())
    }

    /// Makes one of all entries so far, which are on disk.
    pub(crate) fn write(&self) -> io::Result<()> {
        let mut state = lock(&self.shared.state);
        let full = std::mem::take(&mut state.full);
        write(&self.shared.dir, &self.shared.signer, (&state.kept, &state.edge), &full)?;
        state.kept = state.edge.clone();
        Ok(())
    }

    /// The key that they are signed with.
    pub(crate) fn key(&self) -> &LogKey {
        self.shared.signer.public()
    }

    /// Adds an entry that is written; called in the order of entries.
    pub(crate) fn push(&self, leaf: Hash) {
        let mut state = lock(&self.shared.state);
        let State { edge, full, lost, .. } = &mut *state;
        edge.push(leaf, |tile| {
            if full.len() < WAITING {
                full.push(tile);
            } else {
                *lost = true;
            }
        });
        if state.idle {
            self.shared.wake.notify_one();
        }
    }

    /// Waits until all entries so far are under a checkpoint, or that fails, or takes too long.
    pub(crate) fn settle(&self) {
        let mut state = lock(&self.shared.state);
        let (wanted, end) = (state.edge.size(), Instant::now() + PATIENCE);
        while state.kept.size() < wanted {
            state.hurry = true;
            self.shared.wake.notify_one();
            let left = end.saturating_duration_since(Instant::now());
            state = self.shared.made.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            if state.failure.is_some() || left.is_zero() {
                return;
            }
        }
    }

    /// Why the last try to make one failed, if it did.
    pub(crate) fn failure(&self) -> Option<String> {
        lock(&self.shared.state).failure.clone()
    }
}

impl Drop for Heads {
    fn drop(&mut self) {
        lock(&self.shared.state).closing = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // It does not panic, and if it did the entries are there all the same.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self, syncer: &Syncer) {
        let mut state = lock(&self.state);
        loop {
            if state.edge.size() == state.kept.size() {
                if state.closing {
                    return;
                }
                state.idle = true;
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle = false;
                continue;
            }
            state = self.rest(state);
            let is_last = state.closing;
            state = self.advance(state, syncer);
            if is_last {
                return;
            }
        }
    }

    /// Lets others add entries for a while, so that one checkpoint is for all of them.
    fn rest<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let end = Instant::now() + EVERY;
        while !state.closing && !state.hurry {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state
    }

    /// Makes a checkpoint of what there is. The lock is not held while the disk works.
    fn advance<'a>(&'a self, mut state: MutexGuard<'a, State>, syncer: &Syncer) -> MutexGuard<'a, State> {
        let (edge, old, full) = (state.edge.clone(), state.kept.clone(), std::mem::take(&mut state.full));
        let lost = state.lost;
        drop(state);
        let done = if lost {
            Err("tiles of the tree came faster than they were written; they are made anew at the next start".to_owned())
        } else {
            syncer.wait_for(edge.size()).map_err(|error| error.to_string()).and_then(|()| {
                write(&self.dir, &self.signer, (&old, &edge), &full)
                    .map_err(|error| format!("the checkpoint of the log cannot be written: {error}"))
            })
        };
        let mut state = lock(&self.state);
        state.hurry = false;
        match done {
            Ok(()) => {
                state.kept = edge;
                state.failure = None;
            }
            Err(why) => {
                // In the order in which they came.
                let newer = std::mem::replace(&mut state.full, full);
                state.full.extend(newer);
                state.failure = Some(why);
            }
        }
        self.made.notify_all();
        state
    }
}

/// Writes a checkpoint and, before it, what its tree needs besides the tiles that were there.
fn write(dir: &Path, signer: &Signer, (old, new): (&Edge, &Edge), full: &[Tile]) -> io::Result<()> {
    let tiles = Tiles::of(dir);
    full.iter().try_for_each(|tile| tiles.write(tile))?;
    tiles.write_partial(old, new)?;
    let checkpoint = Checkpoint { origin: signer.public().name().to_owned(), size: new.size(), root: new.root() };
    files::replace(&dir.join(CHECKPOINT), signer.sign(&checkpoint.to_string()).as_bytes())?;
    tiles.remove_partial(old, new);
    Ok(())
}

/// What the key is wrapped as, in a log that is sealed.
const WRAPPED: &str = "checkpoint key";

/// The key of a log, if it has one.
pub(crate) fn kept_key(log: At<'_>) -> Result<Option<Signer>, AuditError> {
    let path = log.dir.join(KEY);
    let mut text = match files::read(&path, 4096) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(AuditError::Io { action: "read", path, source }),
    };
    if let Some(sealed) = keys::sealed(&text) {
        text = keys::open(&path, log.keys, WRAPPED, &sealed)?;
    }
    let text = str::from_utf8(&text).unwrap_or_default();
    Signer::from_text(text).map(Some).ok_or_else(|| damaged(KEY, Problem::Shape("it holds no key")))
}

/// A new key, and as the text to be kept.
pub(crate) fn new_key() -> Result<(Signer, Zeroizing<String>), AuditError> {
    let (mut name, mut seed) = ([0; 8], Zeroizing::new([0; 32]));
    getrandom::fill(&mut name).and_then(|()| getrandom::fill(&mut *seed)).map_err(AuditError::Random)?;
    let name = format!("bartizan/{}", crate::to_hex(&name));
    Signer::with_text(&name, &seed).ok_or(AuditError::Entry("no key can be made of random bytes"))
}

/// Keeps a key for the next start; wrapped if the log is sealed.
pub(crate) fn keep_key(log: At<'_>, text: &str) -> Result<(), AuditError> {
    let path = log.dir.join(KEY);
    if !log.keys.is_none() {
        return Ok(keys::wrap(&path, log.keys, WRAPPED, text.as_bytes())?);
    }
    files::replace(&path, text.as_bytes()).map_err(|source| AuditError::Io { action: "create", path, source })
}

/// Has the key that is kept be wrapped with the newest master key.
pub(crate) fn rewrap_key(log: At<'_>) -> Result<Rewrapped, AuditError> {
    let path = log.dir.join(KEY);
    if keys::is_newest(&path, log.keys) || !path.exists() {
        return Ok(Rewrapped::default());
    }
    let text = files::read(&path, 4096);
    let text = Zeroizing::new(text.map_err(|source| AuditError::Io { action: "read", path: path.clone(), source })?);
    let plain = match keys::sealed(&text).map(|sealed| keys::open(&path, log.keys, WRAPPED, &sealed)) {
        None => text,
        Some(Err(Closed::Key { .. })) => return Ok(Rewrapped { anew: 0, left: 1 }),
        Some(opened) => opened?,
    };
    keys::wrap(&path, log.keys, WRAPPED, &plain)?;
    Ok(Rewrapped { anew: 1, left: 0 })
}

/// The note that is the newest checkpoint of a log, if it has one. What is no text of that length is none.
pub(crate) fn read(dir: &Path) -> io::Result<Option<String>> {
    match files::read(&dir.join(CHECKPOINT), note::MAX_BYTES) {
        Ok(bytes) => Ok(Some(String::from_utf8(bytes).unwrap_or_default())),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Some(String::new())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The newest checkpoint of a log that is to be shown to somebody, and what it says.
pub(crate) fn newest(log: At<'_>) -> Result<(String, Checkpoint), Fault> {
    let note = read(log.dir).map_err(|error| about(Problem::Io(error)))?.ok_or_else(|| about(Problem::NoCheckpoint))?;
    // Nobody accepts one that is not signed with the log's key; whoever may not read that sees it when it is checked.
    let claimed = match kept_key(log) {
        Ok(Some(signer)) => Checkpoint::open(&note, signer.public()),
        _ => Checkpoint::claimed(&note).ok_or("it is no checkpoint"),
    };
    claimed.map(|claimed| (note, claimed)).map_err(|why| about(Problem::Checkpoint(why)))
}

/// Something about the checkpoint of a log.
pub(crate) fn about(problem: Problem) -> Fault {
    Fault { file: CHECKPOINT.to_owned(), line: 0, offset: 0, problem }
}

fn damaged(file: &str, problem: Problem) -> AuditError {
    AuditError::Damaged(Box::new(Fault { file: file.to_owned(), line: 0, offset: 0, problem }))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
