//! Changes on their way into the audit log.
//!
//! Only a running gateway writes to the log, and keys are made and revoked by other processes, with or without one. What they
//! do is kept with it, in one transaction, until a gateway has it in its log: neither can be without the other.

use serde_json::{Value, json};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use crate::{Result, Store};

/// Something that was changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its number in this store.
    pub id: i64,
    /// When, in microseconds since 1970-01-01 UTC.
    pub at: i64,
    /// What, such as `key.created`.
    pub kind: String,
    /// What there is to say about it: an object.
    pub fields: Value,
}

/// Who changes something, and when, in microseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Such as `uid:1000`.
    pub by: String,
    /// When.
    pub at: i64,
}

/// So many are taken at a time.
const MANY: i64 = 256;

const INSERT: &str = "INSERT INTO event (at, kind, fields) VALUES ($1, $2, $3)";
const FIRST: &str = "SELECT id, at, kind, fields FROM event ORDER BY id LIMIT $1";
const REMOVE: &str = "DELETE FROM event WHERE id <= $1";

impl Store {
    /// Hands the first changes that are still to be recorded to `record`, and forgets them if that succeeds; how many there
    /// were. Of several gateways that do so at once each change comes to one.
    ///
    /// # Errors
    /// If the store cannot be read or written. Whatever `record` fails with is the inner error, and then they stay.
    pub async fn record_events<E>(
        &self,
        record: impl AsyncFnOnce(&[Event]) -> Result<(), E>,
    ) -> Result<Result<usize, E>> {
        // Nobody remembers what is here.
        self.write_unmarked(async |connection| {
            let rows = sqlx::query(FIRST).bind(MANY).fetch_all(&mut *connection).await?;
            let events = rows.iter().map(event).collect::<Result<Vec<_>>>()?;
            let Some(last) = events.last() else { return Ok(Ok(0)) };
            if let Err(error) = record(&events).await {
                return Ok(Err(error));
            }
            sqlx::query(REMOVE).bind(last.id).execute(connection).await?;
            Ok(Ok(events.len()))
        })
        .await
    }

    /// Keeps for the log what was changed elsewhere than in the store, such as in a lock file.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub async fn note_elsewhere(&self, change: &Change, kind: &str, fields: Value) -> Result<()> {
        self.write_unmarked(async |connection| note(connection, change, kind, fields).await).await
    }
}

/// Notes a change within the transaction that makes it.
pub(crate) async fn note(
    connection: &mut SqliteConnection,
    change: &Change,
    kind: &str,
    mut fields: Value,
) -> Result<()> {
    if let Some(fields) = fields.as_object_mut() {
        fields.insert("by".to_owned(), change.by.as_str().into());
    }
    sqlx::query(INSERT).bind(change.at).bind(kind).bind(fields.to_string()).execute(connection).await?;
    Ok(())
}

fn event(row: &SqliteRow) -> Result<Event> {
    // What cannot be read must not keep what comes after it out of the log.
    let fields = serde_json::from_str(row.try_get("fields")?).unwrap_or_else(|_| json!({"unreadable": true}));
    Ok(Event { id: row.try_get("id")?, at: row.try_get("at")?, kind: row.try_get("kind")?, fields })
}
