//! Ending what clients were given.

use serde_json::json;
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use crate::events::{Change, note};
use crate::{Result, Store};

/// What is ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The one that is called so.
    One(String),
    /// The one of this person that is called so.
    Own(String, String),
    /// All of a person.
    Person(String),
    /// All of a client.
    Client(String),
    /// All.
    All,
}

const OPEN: &str = "SELECT id, person, client FROM oauth_grant WHERE ended_at IS NULL AND expires_at > $1
    AND ($2 IS NULL OR id = $2) AND ($3 IS NULL OR person = $3) AND ($4 IS NULL OR client = $4) ORDER BY id";
const END: &str = "UPDATE oauth_grant SET ended_at = $2, ended_by = $3 WHERE id = $1";
const SPENT: &str = "DELETE FROM refresh_token WHERE of = $1";
const WITHDRAW: &str = "DELETE FROM consent WHERE person = $1 AND client = $2";
const WITHDRAW_ALL: &str = "DELETE FROM consent WHERE ($1 IS NULL OR person = $1) AND ($2 IS NULL OR client = $2)";
const STOP_CODES: &str = "DELETE FROM authorization_code WHERE used_at IS NULL AND ($1 IS NULL OR person = $1) AND ($2 IS NULL OR client = $2)";
const OF_TOKEN: &str =
    "SELECT g.id, g.client FROM refresh_token t JOIN oauth_grant g ON g.id = t.of WHERE t.digest = $1";

impl Store {
    /// Ends what an operator or whose it is says, and has people asked again before the same client gets anything; what ended.
    ///
    /// # Errors
    /// If it cannot be kept.
    pub async fn revoke_grants(&self, which: &Which, change: &Change) -> Result<Vec<String>> {
        self.write(async |connection| revoke(connection, which, change).await).await
    }

    /// Ends one for the reason that is said; whether it was not over before.
    ///
    /// # Errors
    /// If it cannot be kept.
    pub async fn end_grant(&self, id: &str, why: &str, change: &Change) -> Result<bool> {
        let which = Which::One(id.to_owned());
        let ended = self.write(async |connection| end(connection, &which, why, change).await).await?;
        Ok(!ended.is_empty())
    }

    /// What a refresh token is of, and which client has it; also of one that was used.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn grant_of(&self, digest: &[u8; 32]) -> Result<Option<(String, String)>> {
        let row = sqlx::query(OF_TOKEN).bind(digest.as_slice()).fetch_optional(self.reading()).await?;
        row.map(|row| Ok((row.try_get("id")?, row.try_get("client")?))).transpose()
    }
}

/// Ends what an operator says, within the transaction of whatever else they do.
pub(crate) async fn revoke(connection: &mut SqliteConnection, which: &Which, change: &Change) -> Result<Vec<String>> {
    let why = if matches!(which, Which::Own(..)) { "person" } else { "operator" };
    let ended = end_all(connection, which, why, change).await?;
    for (_, person, client) in &ended {
        sqlx::query(WITHDRAW).bind(person).bind(client).execute(&mut *connection).await?;
    }
    let (person, client) = match which {
        Which::One(_) | Which::Own(..) => return Ok(ids(ended)),
        Which::Person(person) => (Some(person), None),
        Which::Client(client) => (None, Some(client)),
        Which::All => (None, None),
    };
    for statement in [WITHDRAW_ALL, STOP_CODES] {
        sqlx::query(statement).bind(person).bind(client).execute(&mut *connection).await?;
    }
    Ok(ids(ended))
}

/// Ends what is not over; what ended.
pub(super) async fn end(
    connection: &mut SqliteConnection,
    which: &Which,
    why: &str,
    change: &Change,
) -> Result<Vec<String>> {
    end_all(connection, which, why, change).await.map(ids)
}

async fn end_all(
    connection: &mut SqliteConnection,
    which: &Which,
    why: &str,
    change: &Change,
) -> Result<Vec<(String, String, String)>> {
    let (id, person, client) = match which {
        Which::One(id) => (Some(id), None, None),
        Which::Own(person, id) => (Some(id), Some(person), None),
        Which::Person(person) => (None, Some(person), None),
        Which::Client(client) => (None, None, Some(client)),
        Which::All => (None, None, None),
    };
    let query = sqlx::query(OPEN).bind(change.at).bind(id).bind(person).bind(client);
    let mut ended = Vec::new();
    for row in query.fetch_all(&mut *connection).await? {
        let (id, person, client): (String, String, String) =
            (row.try_get("id")?, row.try_get("person")?, row.try_get("client")?);
        sqlx::query(END).bind(&id).bind(change.at).bind(why).execute(&mut *connection).await?;
        // They are good for nothing any more, and who shows one ends nothing further.
        sqlx::query(SPENT).bind(&id).execute(&mut *connection).await?;
        let said = json!({ "grant": id, "person": person, "client": client, "why": why });
        note(connection, change, "grant.ended", said).await?;
        ended.push((id, person, client));
    }
    Ok(ended)
}

fn ids(ended: Vec<(String, String, String)>) -> Vec<String> {
    ended.into_iter().map(|(id, ..)| id).collect()
}
