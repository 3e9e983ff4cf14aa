//! The thread that writes a capture: it alone waits for the disk and for the store.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use bartizan_capture::{Bounds, FileId, Prepared, WriteError, Writer};
use bartizan_config::Capture as Wanted;
use serde_json::json;
use tokio::runtime::Handle;

use super::{Means, PURPOSE, Record, Shared};
use crate::clock;
use crate::database::Database;
use crate::metrics::Metrics;

/// How often it looks whether it is to end.
const LOOK: Duration = Duration::from_millis(200);
/// So long after something could not be written it is tried again, in microseconds.
const AGAIN: i64 = 10_000_000;

pub(super) struct Writing {
    writer: Writer,
    shared: Arc<Shared>,
    metrics: Arc<Metrics>,
    /// How often what is too old is looked for, and when it is next, in microseconds.
    sweeps: i64,
    next_sweep: i64,
    /// While nothing can be written, when it is tried again.
    failing: Option<i64>,
}

/// What the key of a file is sealed for.
pub(super) fn owner(id: FileId) -> String {
    format!("file {id}")
}

impl Writing {
    pub(super) fn new(directory: Prepared, wanted: &Wanted, means: &Means<'_>, shared: Arc<Shared>) -> Writing {
        let keep = i64::try_from(wanted.keep.as_micros()).unwrap_or(i64::MAX);
        let bounds = Bounds { file_bytes: wanted.max_file_bytes, bytes: wanted.max_bytes, keep };
        let database = Arc::clone(means.database);
        let runtime = Handle::current();
        let wrap = move |id, key: &[u8; 32]| runtime.block_on(wrapped(&database, id, key));
        Writing {
            writer: Writer::new(directory, bounds, wrap),
            shared,
            metrics: Arc::clone(means.metrics),
            sweeps: (keep / 16).clamp(1_000_000, 60_000_000),
            next_sweep: 0,
            failing: None,
        }
    }

    /// Writes what comes until no more does.
    pub(super) fn run(mut self, records: &Receiver<Record>) {
        loop {
            match records.recv_timeout(LOOK) {
                Ok(record) => self.write(&record),
                Err(RecvTimeoutError::Timeout) if !self.shared.ending.load(Ordering::Relaxed) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
            self.sweep();
        }
        let now = clock::now().0;
        // What is missing at the end, and that this is the end.
        if let Err(error) = self.told_missing(now).map_err(|error| error.to_string()).and_then(|()| self.closed()) {
            tracing::warn!(error, "the capture could not be closed, so readers cannot tell whether its end is missing");
        }
    }

    fn closed(&mut self) -> Result<(), String> {
        self.writer.close().map_err(|error| error.to_string())
    }

    fn write(&mut self, record: &Record) {
        let now = clock::now().0;
        self.shared.waiting.fetch_sub(record.case.weight(), Ordering::Relaxed);
        if self.failing.is_some_and(|again| now < again) {
            return self.shared.missed(&self.metrics, "failed");
        }
        let written = self.told_missing(now).and_then(|()| self.writer.append(now, &record.to_bytes()));
        match written {
            Ok(()) => {
                self.metrics.captured("written");
                if self.failing.take().is_some() {
                    tracing::info!("what clients ask is captured again");
                    self.shared.note("capture.resumed", json!({}));
                }
            }
            Err(WriteError::TooLong(bytes)) => {
                tracing::warn!(bytes, "a message is larger than what is captured");
                self.shared.missed(&self.metrics, "too_large");
            }
            Err(error) => self.failed(now, &error.to_string()),
        }
    }

    /// Says in the capture itself how much is missing before what follows.
    fn told_missing(&mut self, now: i64) -> Result<(), WriteError> {
        let missing = self.shared.missing.load(Ordering::Relaxed);
        if missing > 0 {
            self.writer.gap(now, missing)?;
            self.shared.missing.fetch_sub(missing, Ordering::Relaxed);
        }
        Ok(())
    }

    fn failed(&mut self, now: i64, error: &str) {
        self.shared.missed(&self.metrics, "failed");
        if self.failing.replace(now.saturating_add(AGAIN)).is_none() {
            tracing::error!(error, "nothing is captured until it can be written again; messages pass");
            self.shared.note("capture.failed", json!({"why": error}));
        }
    }

    fn sweep(&mut self) {
        let now = clock::now().0;
        // Also where the clock was set back.
        if now < self.next_sweep && self.next_sweep - now <= self.sweeps {
            return;
        }
        self.next_sweep = now.saturating_add(self.sweeps);
        match self.writer.sweep(now) {
            Ok(removed) if removed == Default::default() => {}
            Ok(removed) => {
                self.shared
                    .note("capture.removed", json!({"too_old": removed.old, "beyond_max_bytes": removed.beyond}));
            }
            Err(error) => tracing::warn!(%error, "what was captured and is too old could not be removed"),
        }
    }
}

/// The key of a file as only the store opens it.
async fn wrapped(database: &Database, id: FileId, key: &[u8; 32]) -> Result<Vec<u8>, String> {
    let store = database.open().await.map_err(|error| error.to_string())?;
    let store = store.ok_or_else(|| "there is no store, in which the key is that seals it".to_owned())?;
    let sealer = store.sealer().await.map_err(|error| error.to_string())?;
    sealer.seal(PURPOSE, &owner(id), key).map_err(|error| error.to_string())
}
