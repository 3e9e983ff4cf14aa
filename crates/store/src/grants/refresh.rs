//! Refresh tokens: each is good once, and gives the next.

use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use super::{Grant, grant};
use crate::events::Change;
use crate::{Result, Store};

/// So often something is refreshed at most before its person has to agree again; each leaves a digest behind.
const MOST: i64 = 10_000;

/// What comes of a refresh token that is shown.
#[derive(Debug)]
pub enum Refreshed<R> {
    /// There is none, or what it is of is over.
    Unknown,
    /// It was used before: somebody else has it, so all that was given with it has ended.
    Reused(String),
    /// It is not for who shows it, and stays as it was.
    Refused(R),
    /// What the client has.
    Granted(Box<Grant>),
}

const FIND: &str = "SELECT g.*, t.used_at AS token_used_at FROM refresh_token t JOIN oauth_grant g ON g.id = t.of
    JOIN person p ON p.name = g.person
    WHERE t.digest = $1 AND g.ended_at IS NULL AND g.expires_at > $2 AND p.disabled_at IS NULL";
const USE: &str = "UPDATE refresh_token SET used_at = $2 WHERE digest = $1";
const NEXT: &str = "INSERT INTO refresh_token (digest, of) VALUES ($1, $2)";
const COUNT: &str = "UPDATE oauth_grant SET used_at = $2, refreshes = refreshes + 1 WHERE id = $1";

/// A token that is shown.
enum Shown<R> {
    Is(Refreshed<R>),
    /// This has to end, for that reason.
    Ends(String, &'static str),
}

impl Store {
    /// Shows a refresh token, in the place of which `next` comes. `judge` says whether it is for who shows it.
    ///
    /// # Errors
    /// If the store cannot be read or written; then the token stays as it was.
    pub async fn refresh<R>(
        &self,
        digest: &[u8; 32],
        next: &[u8; 32],
        judge: impl FnOnce(&Grant) -> std::result::Result<(), R>,
        change: &Change,
    ) -> Result<Refreshed<R>> {
        // What others remember does not change by it: who has what is the same.
        let shown =
            self.write_unmarked(async |connection| show(connection, digest, next, judge, change.at).await).await?;
        match shown {
            Shown::Is(refreshed) => Ok(refreshed),
            Shown::Ends(id, why) => {
                self.end_grant(&id, why, change).await?;
                Ok(if why == REUSED { Refreshed::Reused(id) } else { Refreshed::Unknown })
            }
        }
    }
}

const REUSED: &str = "refresh_token_reused";

async fn show<R>(
    connection: &mut SqliteConnection,
    digest: &[u8; 32],
    next: &[u8; 32],
    judge: impl FnOnce(&Grant) -> std::result::Result<(), R>,
    now: i64,
) -> Result<Shown<R>> {
    let row = sqlx::query(FIND).bind(digest.as_slice()).bind(now).fetch_optional(&mut *connection).await?;
    let Some(row) = row else { return Ok(Shown::Is(Refreshed::Unknown)) };
    let mut grant = grant(&row)?;
    if row.try_get::<Option<i64>, _>("token_used_at")?.is_some() {
        return Ok(Shown::Ends(grant.id, REUSED));
    }
    if row.try_get::<i64, _>("refreshes")? >= MOST {
        return Ok(Shown::Ends(grant.id, "refreshed_too_often"));
    }
    if let Err(refused) = judge(&grant) {
        return Ok(Shown::Is(Refreshed::Refused(refused)));
    }
    sqlx::query(USE).bind(digest.as_slice()).bind(now).execute(&mut *connection).await?;
    sqlx::query(NEXT).bind(next.as_slice()).bind(&grant.id).execute(&mut *connection).await?;
    sqlx::query(COUNT).bind(&grant.id).bind(now).execute(connection).await?;
    grant.used_at = Some(now);
    Ok(Shown::Is(Refreshed::Granted(Box::new(grant))))
}
