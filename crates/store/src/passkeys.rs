//! Passkeys of people who sign in.

use serde_json::json;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::approvals::take_back;
use crate::events::{Change, note};
use crate::people::check_stands;
use crate::{Result, Store, StoreError};

/// A passkey. Moments are microseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passkey {
    /// What its authenticator calls it.
    pub id: Vec<u8>,
    /// Whose it is.
    pub person: String,
    /// Its public key, a `SubjectPublicKeyInfo` in DER.
    pub public_key: Vec<u8>,
    /// What it signs with, as COSE numbers it.
    pub algorithm: i64,
    /// How often it signed, as it said last.
    pub counter: i64,
    /// What its owner calls it.
    pub label: String,
    /// When it was added.
    pub created_at: i64,
    /// When it was last used.
    pub last_used_at: Option<i64>,
}

/// So many passkeys somebody has at most.
const MOST: i64 = 20;

const COUNT: &str = "SELECT count(*) FROM passkey WHERE person = $1";
const INSERT: &str = "INSERT INTO passkey (id, person, public_key, algorithm, counter, label, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING";
const FIND: &str = "SELECT id, person, public_key, algorithm, counter, label, created_at, last_used_at FROM passkey
    WHERE id = $1";
const OF: &str = "SELECT id, person, public_key, algorithm, counter, label, created_at, last_used_at FROM passkey
    WHERE person = $1 ORDER BY created_at, id";
// In one statement: of two who show the same signature at once one is too late. One that does not count says 0 for ever.
const USE: &str = "UPDATE passkey SET counter = $2, last_used_at = $3
    WHERE id = $1 AND (counter < $2 OR (counter = 0 AND $2 = 0))";
const REMOVE: &str = "DELETE FROM passkey WHERE id = $1 AND person = $2";
const ANOTHER: &str = "UPDATE person SET generation = generation + 1 WHERE name = $1";
// Which passkey a session began with nobody knows.
const ELSEWHERE: &str = "DELETE FROM web_session WHERE person = $1 AND digest <> $2 AND passkey_at IS NOT NULL";

impl Store {
    /// Keeps a new passkey of a person of that generation.
    ///
    /// # Errors
    /// If they are of another one by now, there is one of its id, its owner has very many, or this cannot be kept.
    pub async fn add_passkey(&self, (new, generation): (&Passkey, i64), change: &Change) -> Result<()> {
        self.write(async |connection| {
            check_stands(connection, &new.person, generation).await?;
            let count: i64 = sqlx::query_scalar(COUNT).bind(&new.person).fetch_one(&mut *connection).await?;
            if count >= MOST {
                return Err(StoreError::State(format!("nobody has more than {MOST} passkeys")));
            }
            let query = sqlx::query(INSERT).bind(&new.id).bind(&new.person).bind(&new.public_key).bind(new.algorithm);
            let query = query.bind(new.counter).bind(&new.label).bind(new.created_at);
            if query.execute(&mut *connection).await?.rows_affected() == 0 {
                return Err(StoreError::State("this passkey is known already".to_owned()));
            }
            note(connection, change, "person.factor_added", json!({ "person": new.person, "factor": "passkey" })).await
        })
        .await
    }

    /// The passkey of that id.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn passkey(&self, id: &[u8]) -> Result<Option<Passkey>> {
        let row = sqlx::query(FIND).bind(id).fetch_optional(self.reading()).await?;
        row.as_ref().map(passkey).transpose()
    }

    /// All of somebody, the oldest first.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn passkeys_of(&self, person: &str) -> Result<Vec<Passkey>> {
        let rows = sqlx::query(OF).bind(person).fetch_all(self.reading()).await?;
        rows.iter().map(passkey).collect()
    }

    /// Notes that a passkey signed, and what it says of how often it has. Returns whether that is more often than before:
    /// if it is not, there are two of it, and it is not to be relied upon.
    ///
    /// # Errors
    /// If it cannot be kept; then it is not to be relied upon either.
    pub async fn use_passkey(&self, id: &[u8], counter: i64, at: i64) -> Result<bool> {
        self.write_unmarked(async |connection| {
            Ok(sqlx::query(USE).bind(id).bind(counter).bind(at).execute(connection).await?.rows_affected() == 1)
        })
        .await
    }

    /// Removes a passkey of a person of that generation, who is another one then: nobody whom it is being shown for now gets
    /// anything for it, and all their browsers are signed out in which a passkey was shown, but for the session that is to be
    /// kept. Returns whether it was there.
    ///
    /// # Errors
    /// If they are of another one by now, or this cannot be kept.
    pub async fn remove_passkey(
        &self,
        (person, generation): (&str, i64),
        id: &[u8],
        keep: &[u8; 32],
        change: &Change,
    ) -> Result<bool> {
        self.write(async |connection| {
            check_stands(connection, person, generation).await?;
            let query = sqlx::query(REMOVE).bind(id).bind(person);
            let removed = query.execute(&mut *connection).await?.rows_affected() > 0;
            if removed {
                sqlx::query(ANOTHER).bind(person).execute(&mut *connection).await?;
                sqlx::query(ELSEWHERE).bind(person).bind(keep.as_slice()).execute(&mut *connection).await?;
                take_back(connection, person, change).await?;
                let fields = json!({ "person": person, "factor": "passkey" });
                note(connection, change, "person.factor_removed", fields).await?;
            }
            Ok(removed)
        })
        .await
    }
}

fn passkey(row: &SqliteRow) -> Result<Passkey> {
    Ok(Passkey {
        id: row.try_get("id")?,
        person: row.try_get("person")?,
        public_key: row.try_get("public_key")?,
        algorithm: row.try_get("algorithm")?,
        counter: row.try_get("counter")?,
        label: row.try_get("label")?,
        created_at: row.try_get("created_at")?,
        last_used_at: row.try_get("last_used_at")?,
    })
}
