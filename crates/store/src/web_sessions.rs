//! Browsers in which somebody is signed in.

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use crate::people::{Person, check_stands, person};
use crate::{Result, Store};

/// A browser in which somebody is signed in. Moments are microseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSession {
    /// SHA-256 of the cookie, which has 256 random bits.
    pub digest: [u8; 32],
    /// Who.
    pub person: String,
    /// When they signed in.
    pub begun_at: i64,
    /// When it was last used, to the minute.
    pub seen_at: i64,
    /// When they last showed their password there.
    pub password_at: Option<i64>,
    /// When they last showed a one-time password or a recovery code there.
    pub otp_at: Option<i64>,
    /// When they last showed a passkey there.
    pub passkey_at: Option<i64>,
}

/// What is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Over {
    /// Sessions that began before this moment.
    pub begun_before: i64,
    /// Sessions that were not used since this moment.
    pub unseen_since: i64,
}

const INSERT: &str = "INSERT INTO web_session (digest, person, begun_at, seen_at, password_at, otp_at, passkey_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)";
const FIND: &str = "SELECT digest, person, begun_at, seen_at, password_at, otp_at, passkey_at, name, handle, password,
    totp, totp_step, created_at, disabled_at, generation FROM web_session JOIN person ON person.name = web_session.person
    WHERE digest = $1 AND begun_at >= $2 AND seen_at >= $3 AND disabled_at IS NULL";
const SEEN: &str = "UPDATE web_session SET seen_at = $2 WHERE digest = $1 AND seen_at < $2";
const END: &str = "DELETE FROM web_session WHERE digest = $1";
const END_OVER: &str = "DELETE FROM web_session WHERE begun_at < $1 OR seen_at < $2";
// Whoever signs in again and again has no more than so many.
const CROWD_OUT: &str = "DELETE FROM web_session WHERE person = $1 AND digest NOT IN
    (SELECT digest FROM web_session WHERE person = $1 ORDER BY seen_at DESC, digest LIMIT 50)";

impl Store {
    /// Begins a session of a person of that generation, in place of another one, which is over then as are those that are too
    /// old. Returns whether it has begun: it does not where the other one is over already.
    ///
    /// # Errors
    /// If they are of another generation by now, or it cannot be kept.
    pub async fn begin_web_session(
        &self,
        (new, generation): (&WebSession, i64),
        old: Option<&[u8; 32]>,
        over: Over,
    ) -> Result<bool> {
        self.write_unmarked(async |connection| {
            check_stands(connection, &new.person, generation).await?;
            sqlx::query(END_OVER).bind(over.begun_before).bind(over.unseen_since).execute(&mut *connection).await?;
            if let Some(old) = old {
                let ended = sqlx::query(END).bind(old.as_slice()).execute(&mut *connection).await?;
                if ended.rows_affected() == 0 {
                    return Ok(false);
                }
            }
            insert(connection, new).await?;
            sqlx::query(CROWD_OUT).bind(&new.person).execute(connection).await?;
            Ok(true)
        })
        .await
    }

    /// A session that is not over, of somebody who may sign in.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn web_session(&self, digest: &[u8; 32], over: Over) -> Result<Option<(WebSession, Person)>> {
        let query = sqlx::query(FIND).bind(digest.as_slice()).bind(over.begun_before).bind(over.unseen_since);
        let row = query.fetch_optional(self.reading()).await?;
        row.as_ref().map(|row| Ok((session(row, digest)?, person(row)?))).transpose()
    }

    /// Notes that a session is used.
    ///
    /// # Errors
    /// If it cannot be kept.
    pub async fn note_web_session(&self, digest: &[u8; 32], at: i64) -> Result<()> {
        self.write_unmarked(async |connection| {
            sqlx::query(SEEN).bind(digest.as_slice()).bind(at).execute(connection).await?;
            Ok(())
        })
        .await
    }

    /// Ends a session.
    ///
    /// # Errors
    /// If it cannot be kept.
    pub async fn end_web_session(&self, digest: &[u8; 32]) -> Result<()> {
        self.write_unmarked(async |connection| {
            sqlx::query(END).bind(digest.as_slice()).execute(connection).await?;
            Ok(())
        })
        .await
    }
}

async fn insert(connection: &mut SqliteConnection, new: &WebSession) -> Result<()> {
    let query = sqlx::query(INSERT).bind(new.digest.as_slice()).bind(&new.person).bind(new.begun_at).bind(new.seen_at);
    query.bind(new.password_at).bind(new.otp_at).bind(new.passkey_at).execute(connection).await?;
    Ok(())
}

fn session(row: &SqliteRow, digest: &[u8; 32]) -> Result<WebSession> {
    Ok(WebSession {
        digest: *digest,
        person: row.try_get("person")?,
        begun_at: row.try_get("begun_at")?,
        seen_at: row.try_get("seen_at")?,
        password_at: row.try_get("password_at")?,
        otp_at: row.try_get("otp_at")?,
        passkey_at: row.try_get("passkey_at")?,
    })
}
