//! Records what clients ask, with all that its judgement rested on, sealed, if the operator wants that: to be held against
//! other policies later; and what tools bring, if that is wanted too, to learn from. It is another thing than the audit log, which holds no content and which everything waits for.
//!
//! **Threat.** What is recorded is what people say, so it is off unless somebody asks for it, said loudly while it is on,
//! bounded in size and in time, and unreadable without the store's key. And nothing may wait for it: who fills its disk or
//! sends more than it can take must not stop anybody. So records go to a thread of their own through a queue with bounds,
//! and what does not fit is counted, in the metrics, in the log and in the capture itself.

mod record;
mod writing;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bartizan_capture::{Fault, Reader, Unfit, prepare};
use bartizan_config::Capture as Wanted;
use bartizan_guard::guards::policy::{Asked, asked};
use bartizan_guard::{CallSummary, Case, Direction, Event, Kind, Session, Verdict};
use bartizan_mcp::method;
use bartizan_store::Sealer;
use serde_json::{Value, json};
use thiserror::Error;

use crate::admit::{Admitted, NotAdmitted};
use crate::database::Database;
use crate::files::place_of;
use crate::labels::Conversation;
use crate::metrics::Metrics;
use crate::recorder::Recorder;

pub use record::{Record, Said};

/// Records that wait to be written, and about how many bytes they may take meanwhile.
const QUEUE: (usize, usize) = (4_096, 64 << 20);
/// How long its end may take when the gateway stops.
const ENDING: Duration = Duration::from_secs(5);
/// What the keys of files are sealed for.
const PURPOSE: &str = "capture";

/// Why nothing can be captured.
#[derive(Debug, Error)]
pub enum CaptureError {
    /// The directory is none for that.
    #[error("[capture]: {0}")]
    Directory(#[from] Unfit),
    /// There is no thread for it.
    #[error("[capture]: {0}")]
    Thread(std::io::Error),
}

/// What is captured of one gateway, if anything.
#[derive(Default)]
pub(crate) struct Capture {
    tap: ArcSwapOption<Tap>,
}

/// A capture that goes on.
struct Tap {
    wanted: Wanted,
    metrics: Arc<Metrics>,
    records: SyncSender<Record>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the thread that writes and those that are recorded both know.
#[derive(Default)]
struct Shared {
    /// About how many bytes wait.
    waiting: AtomicUsize,
    /// Records that are missing in the capture and were not said to be there.
    missing: AtomicU64,
    /// The same, in the log.
    untold: AtomicU64,
    /// Set when no more records come.
    ending: AtomicBool,
    /// What is to be noted in the log.
    events: Mutex<Vec<(&'static str, Value)>>,
}

impl Shared {
    fn missed(&self, metrics: &Metrics, outcome: &'static str) {
        self.missing.fetch_add(1, Ordering::Relaxed);
        self.untold.fetch_add(1, Ordering::Relaxed);
        metrics.captured(outcome);
    }

    fn note(&self, kind: &'static str, fields: Value) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push((kind, fields));
    }
}

/// A message that was judged, on its way into the capture.
pub(crate) struct Taken {
    tap: Arc<Tap>,
    case: Case,
    said: Said,
    session: String,
    client: String,
}

/// A change of what is captured, ready to be put in force.
pub(crate) struct Change(Option<Tap>);

/// Where it is written, and what with.
pub(crate) struct Means<'a> {
    pub(crate) database: &'a Arc<Database>,
    pub(crate) metrics: &'a Arc<Metrics>,
}

impl Capture {
    /// Makes ready what is wanted, if that is another thing than what goes on; nothing is captured by that yet.
    ///
    /// # Errors
    /// If it cannot be.
    pub(crate) fn change(&self, wanted: Option<&Wanted>, means: &Means<'_>) -> Result<Option<Change>, CaptureError> {
        let now = self.tap.load();
        if now.as_ref().map(|tap| &tap.wanted) == wanted {
            return Ok(None);
        }
        wanted.map(|wanted| Tap::start(wanted, means)).transpose().map(|tap| Some(Change(tap)))
    }

    /// Captures that from now on.
    pub(crate) fn put(&self, change: Option<Change>, recorder: &Recorder, metrics: &Metrics) {
        let Some(Change(tap)) = change else { return };
        let started = tap.as_ref().map(|tap| tap.told());
        let path = tap.as_ref().map(|tap| tap.wanted.path.display().to_string());
        let with_results = tap.as_ref().is_some_and(|tap| tap.wanted.results);
        let before = self.tap.swap(tap.map(Arc::new));
        metrics.capturing(started.is_some());
        if let Some(before) = before {
            before.end();
            before.tell(recorder);
            if started.is_none() {
                tracing::warn!(
                    "the capture of what clients ask has ended; what was captured stays until it is removed"
                );
            }
            recorder.note("capture.stopped", &json!({"path": place_of(&before.wanted.path)})).ok();
        }
        if let Some(started) = started {
            let and = if with_results { " and what tools bring" } else { "" };
            tracing::warn!(
                path,
                "what clients ask of servers{and} is captured with its content, sealed; remove [capture] to end that"
            );
            recorder.note("capture.started", &started).ok();
        }
    }

    /// What is to be captured of a message that was judged, if it is. Whoever waits meanwhile holds no more than a pointer.
    pub(crate) fn take(
        &self,
        (event, session): (&Event<'_>, &Session),
        verdict: &Verdict,
        policies: Option<&str>,
        (name, conversation): (&str, &Conversation),
    ) -> Option<Box<Taken>> {
        let tap = self.tap.load();
        let tap = tap.as_ref().filter(|tap| tap.wants(event))?;
        let case = Case::of(event, session)?;
        let (session, client) = (name.to_owned(), conversation.client_name().to_owned());
        Some(Box::new(Taken { tap: Arc::clone(tap), case, said: Said::of(verdict, policies), session, client }))
    }

    /// Writes into the log what is to be known of it; about once a second.
    pub(crate) fn tick(&self, recorder: &Recorder) {
        if let Some(tap) = &*self.tap.load() {
            tap.tell(recorder);
        }
    }

    /// Ends it, once what was taken is written, if that does not take long.
    pub(crate) async fn stop(&self, recorder: &Recorder) {
        let Some(tap) = self.tap.swap(None) else { return };
        tap.end();
        let thread = tap.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let joined = tokio::task::spawn_blocking(move || thread.join());
            if tokio::time::timeout(ENDING, joined).await.is_err() {
                tracing::warn!("what was captured last could not be written in time");
            }
        }
        tap.tell(recorder);
        recorder.note("capture.stopped", &json!({"path": place_of(&tap.wanted.path)})).ok();
    }
}

impl Taken {
    /// Hands it on with the entry of the log that says what became of it. A message that is judged again is taken again.
    pub(crate) fn put(self, done: &Result<Admitted, NotAdmitted>) {
        let entry = match done {
            Ok(admitted) => admitted.entry(),
            Err(NotAdmitted::Refused(refusal)) => refusal.decision(),
            Err(NotAdmitted::Conflict) => return,
        };
        let Taken { tap, case, said, session, client } = self;
        tap.put(Record { entry, session: Some(session), client: Some(client), said, case });
    }
}

impl Tap {
    fn start(wanted: &Wanted, means: &Means<'_>) -> Result<Tap, CaptureError> {
        let directory = prepare(&wanted.path)?;
        let (records, receiver) = sync_channel(QUEUE.0);
        let shared = Arc::new(Shared::default());
        let writing = writing::Writing::new(directory, wanted, means, Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("capture".to_owned());
        let thread = thread.spawn(move || writing.run(&receiver)).map_err(CaptureError::Thread)?;
        let (wanted, metrics) = (wanted.clone(), Arc::clone(means.metrics));
        Ok(Tap { wanted, metrics, records, shared, thread: Mutex::new(Some(thread)) })
    }

    fn wants(&self, event: &Event<'_>) -> bool {
        let (only, server) = (&self.wanted.only, &event.server.name);
        let is_among = |what: &Asked<'_>| match what {
            Asked::Named(kind, name) => only.allow(server, *kind, name),
            Asked::Server => only.allow_all_of(server),
        };
        let brings = || tool_of(event).is_some_and(|tool| only.allow(server, Kind::Tool, tool));
        asked(event).iter().any(is_among) || self.wanted.results && brings()
    }

    fn put(&self, record: Record) {
        let weight = record.case.weight();
        let before = self.shared.waiting.fetch_add(weight, Ordering::Relaxed);
        let has_room = before == 0 || before.saturating_add(weight) <= QUEUE.1;
        if !has_room || self.records.try_send(record).is_err() {
            self.shared.waiting.fetch_sub(weight, Ordering::Relaxed);
            self.shared.missed(&self.metrics, "dropped");
        }
    }

    fn end(&self) {
        self.shared.ending.store(true, Ordering::Relaxed);
    }

    fn told(&self) -> Value {
        let Wanted { path, only, results, max_bytes, keep, .. } = &self.wanted;
        let (only, keep_s) = (only.to_string(), keep.as_secs());
        json!({"path": place_of(path), "only": only, "results": results, "max_bytes": max_bytes, "keep_s": keep_s})
    }

    fn tell(&self, recorder: &Recorder) {
        let events = std::mem::take(&mut *self.shared.events.lock().unwrap_or_else(PoisonError::into_inner));
        for (kind, fields) in events {
            recorder.note(kind, &fields).ok();
        }
        let untold = self.shared.untold.swap(0, Ordering::Relaxed);
        if untold > 0 {
            recorder.note("capture.dropped", &json!({"records": untold})).ok();
        }
    }
}

/// The tool whose result a message brings.
fn tool_of<'e>(event: &Event<'e>) -> Option<&'e str> {
    let is_of_tool =
        |call: &&CallSummary| event.direction == Direction::ToClient && &*call.method == method::TOOLS_CALL;
    event.message.result().and(event.answers.filter(is_of_tool)?.tool.as_deref())
}

/// Opens a file of a capture, whose key the store's sealer opens.
///
/// # Errors
/// If it cannot be read, or opened.
pub fn open(path: &std::path::Path, sealer: &Sealer) -> Result<Reader<std::io::BufReader<std::fs::File>>, Fault> {
    Reader::open(path, |id, wrapped| {
        sealer.unseal(PURPOSE, &writing::owner(id), wrapped).map_err(|error| error.to_string())
    })
}

#[cfg(test)]
mod tests;
