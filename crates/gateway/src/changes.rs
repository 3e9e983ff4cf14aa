//! What was done with the store, whichever process did it, on its way into the log of this gateway.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bartizan_audit::{AuditError, rfc3339};
use bartizan_store::{Event, Store, StoreError};

use tokio::time::{Instant, MissedTickBehavior};

use crate::clock;
use crate::gateway::Gateway;
use crate::recorder::Recorder;
use crate::seldom::Seldom;

/// Records all that is not in a log yet.
///
/// # Errors
/// If the store cannot be read; the inner one if the log cannot be written.
pub(crate) async fn record_all(store: &Store, log: &Recorder) -> Result<Result<(), AuditError>, StoreError> {
    loop {
        match store.record_events(async |events| record(events, log).await).await? {
            Ok(0) => return Ok(Ok(())),
            Ok(_) => {}
            Err(error) => return Ok(Err(error)),
        }
    }
}

/// Does so for as long as the gateway runs, once it has used the store. Until then what is there is another's to record.
pub(crate) async fn keep_recording(gateway: Arc<Gateway>) -> Infallible {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut recorded, unrecorded, mut swept) = (None, Seldom::default(), None);
    loop {
        second.tick().await;
        let Some(store) = gateway.database.opened() else { continue };
        sweep(&store, &mut swept).await;
        let revision = store.revision();
        let is_noted = store.take_noted();
        if revision.is_some() && revision == recorded && !is_noted {
            continue;
        }
        recorded = None;
        let (what, error) = match record_all(&store, &gateway.recorder).await {
            Ok(Ok(())) => {
                recorded = revision;
                continue;
            }
            Ok(Err(error)) => ("what was done with the store cannot be recorded", error.to_string()),
            Err(error) => ("it cannot be told what was done with the store", error.to_string()),
        };
        if let Some(more) = unrecorded.next() {
            tracing::error!(error, more, "{what}");
        }
    }
}

/// So often what pseudonyms stood for is removed that nobody used for long. It stands for nothing before.
const SWEEP: Duration = Duration::from_secs(60 * 60);

/// Does so for as long as the gateway runs, at first as soon as it has used the store.
pub(crate) async fn keep_sweeping(gateway: Arc<Gateway>) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut swept = None;
    loop {
        second.tick().await;
        if let Some(store) = gateway.database.opened() {
            sweep(&store, &mut swept).await;
        }
    }
}

async fn sweep(store: &Store, swept: &mut Option<Instant>) {
    if swept.is_some_and(|at| at.elapsed() < SWEEP) {
        return;
    }
    *swept = Some(Instant::now());
    if let Err(error) = store.sweep_pseudonyms(clock::now().0).await {
        tracing::warn!("what pseudonyms stood for that expired cannot be removed yet: {error}");
    }
}

/// Writes changes to the log, and returns once they are on disk.
async fn record(events: &[Event], log: &Recorder) -> Result<(), AuditError> {
    let mut last = None;
    for Event { id, at, kind, fields } in events {
        let mut fields = fields.clone();
        if let Some(fields) = fields.as_object_mut() {
            // Of two entries with one number the second was written because the gateway ended between log and store.
            fields.insert("change".to_owned(), (*id).into());
            fields.insert("done_at".to_owned(), rfc3339(*at).into());
            for moment in ["expires_at", "second_factor_at"] {
                if let Some(at) = fields.get_mut(moment) {
                    *at = at.as_i64().map(rfc3339).into();
                }
            }
        }
        last = Some(log.note(kind, &fields)?);
    }
    match last {
        Some(receipt) => log.durable(receipt).await.map(drop),
        None => Ok(()),
    }
}
