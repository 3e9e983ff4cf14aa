//! People who sign in: what they prove who they are with, and invitations to choose it.

use serde_json::{Value, json};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteExecutor, SqliteRow};

use crate::approvals::take_back;
use crate::events::{Change, note};
use crate::grants::{Which, revoke};
use crate::{Result, Store, StoreError};

/// A person. Moments are microseconds since 1970-01-01 UTC.
#[derive(Clone, PartialEq, Eq)]
pub struct Person {
    /// The principal they are.
    pub name: String,
    /// What an authenticator knows them by: 32 random bytes.
    pub handle: Vec<u8>,
    /// What is kept of their password, as a PHC string.
    pub password: Option<String>,
    /// The secret of their one-time passwords, sealed.
    pub totp: Option<Vec<u8>>,
    /// The last step of which a one-time password was used.
    pub totp_step: i64,
    /// When they were added.
    pub created_at: i64,
    /// Since when they may not sign in.
    pub disabled_at: Option<i64>,
    /// Another one once what they prove who they are with was taken from them: whoever was shown before, and is to be given
    /// something now, is given nothing.
    pub generation: i64,
}

/// A person, and how much there is of what belongs to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The person.
    pub person: Person,
    /// Passkeys they have.
    pub passkeys: i64,
    /// Recovery codes they have left.
    pub recovery_codes: i64,
    /// Until when the last invitation that they have not used is good.
    pub invited_until: Option<i64>,
}

/// A link that is good once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// SHA-256 of its secret, which has 256 random bits.
    pub digest: [u8; 32],
    /// From when on it is refused.
    pub expires_at: i64,
}

/// What somebody is given to prove who they are with, in place of what they had.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// A password.
    pub password: Option<String>,
    /// An invitation to choose one.
    pub invitation: Option<Invitation>,
}

/// A second factor of one-time passwords.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneTime {
    /// Its secret, sealed.
    pub secret: Vec<u8>,
    /// The step of the one that was shown when it was set up.
    pub step: i64,
    /// The digests of the recovery codes that come with it.
    pub recovery: Vec<[u8; 32]>,
}

const COLUMNS: &str = "name, handle, password, totp, totp_step, created_at, disabled_at, generation";
const INSERT: &str = "INSERT INTO person (name, folded, handle, password, totp_step, created_at, generation)
    VALUES ($1, $2, $3, $4, $5, $6, $7)";
const ALL: &str = "SELECT name, handle, password, totp, totp_step, created_at, disabled_at, generation,
    (SELECT count(*) FROM passkey WHERE passkey.person = person.name) AS passkeys,
    (SELECT count(*) FROM recovery_code WHERE recovery_code.person = person.name) AS recovery_codes,
    (SELECT max(expires_at) FROM invitation WHERE invitation.person = person.name) AS invited_until
    FROM person ORDER BY folded";
const TAKEN: &str = "SELECT name FROM person WHERE folded = $1";
const ENABLE: &str = "UPDATE person SET disabled_at = NULL WHERE name = $1 AND disabled_at IS NOT NULL";
const DISABLE: &str =
    "UPDATE person SET disabled_at = $2, generation = generation + 1 WHERE name = $1 AND disabled_at IS NULL";
const BARE: &str = "UPDATE person SET password = $2, totp = NULL, generation = generation + 1 WHERE name = $1";
const REMOVE: &str = "DELETE FROM person WHERE name = $1";
const INVITE: &str = "INSERT INTO invitation (digest, person, expires_at) VALUES ($1, $2, $3)";
const INVITED: &str = "SELECT person FROM invitation WHERE digest = $1 AND expires_at > $2";
const PASSWORD: &str = "UPDATE person SET password = $2, generation = generation + 1 WHERE name = $1";
const NO_TOKENS: &str = "DELETE FROM upstream_token WHERE principal = $1";
const NO_REQUESTS: &str = "DELETE FROM approval WHERE principal = $1 AND used_at IS NULL";
const STANDS: &str = "SELECT 1 FROM person WHERE name = $1 AND generation = $2 AND disabled_at IS NULL";
const CHANGED: &str = "UPDATE person SET password = $3, generation = generation + 1 WHERE name = $1 AND password = $2";
const ELSEWHERE: &str = "DELETE FROM web_session WHERE person = $1 AND digest <> $2";
const REPLACED: &str = "UPDATE person SET generation = generation + 1 WHERE name = $1 AND totp IS NOT NULL";
// Which of them a session began with nobody knows.
const BY_OTHERS: &str = "DELETE FROM web_session WHERE person = $1 AND digest <> $2 AND otp_at IS NOT NULL";
const REHASH: &str = "UPDATE person SET password = $3 WHERE name = $1 AND password = $2";
const ONE_TIME: &str = "UPDATE person SET totp = $2, totp_step = CASE WHEN totp_step < $3 THEN $3 ELSE totp_step END
    WHERE name = $1";
// Only forward, and in one statement: of two who show the same password at once one is too late.
const STEP: &str = "UPDATE person SET totp_step = $2 WHERE name = $1 AND totp_step < $2 AND totp IS NOT NULL";
const RECOVERY: &str = "INSERT INTO recovery_code (digest, person) VALUES ($1, $2)";
const RECOVERED: &str = "DELETE FROM recovery_code WHERE digest = $1 AND person = $2";

impl Store {
    /// Everybody, by name.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn people(&self) -> Result<Vec<Summary>> {
        let rows = sqlx::query(ALL).fetch_all(self.reading()).await?;
        rows.iter().map(summary).collect()
    }

    /// What everybody is called.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn names(&self) -> Result<Vec<String>> {
        let rows = sqlx::query("SELECT name FROM person").fetch_all(self.reading()).await?;
        rows.iter().map(|row| Ok(row.try_get("name")?)).collect()
    }

    /// The person of that name, in small letters or capitals.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn person(&self, name: &str) -> Result<Option<Person>> {
        find(self.reading(), name).await
    }

    /// Keeps a new person.
    ///
    /// # Errors
    /// If there is one of that name already, or this cannot be kept.
    pub async fn add_person(&self, new: &Person, given: &Given, change: &Change) -> Result<()> {
        self.write(async |connection| {
            let taken = sqlx::query(TAKEN).bind(folded(&new.name)).fetch_optional(&mut *connection).await?;
            if let Some(row) = taken {
                return Err(StoreError::State(format!(
                    "there is a person `{}` already",
                    row.try_get::<&str, _>("name")?
                )));
            }
            check_spelling(connection, &new.name).await?;
            let query = sqlx::query(INSERT).bind(&new.name).bind(folded(&new.name)).bind(&new.handle);
            let query = query.bind(&given.password).bind(new.totp_step).bind(new.created_at).bind(new.generation);
            query.execute(&mut *connection).await?;
            invite(connection, &new.name, given).await?;
            note(connection, change, "person.added", said(&new.name, given)).await
        })
        .await
    }

    /// Has somebody sign in no more, or again; what they agreed to waits again then, if nobody used it yet. Returns whether that
    /// changed.
    ///
    /// # Errors
    /// If there is nobody of that name, or this cannot be kept.
    pub async fn set_person_disabled(&self, name: &str, is_disabled: bool, change: &Change) -> Result<bool> {
        self.write(async |connection| {
            let name = named(connection, name).await?;
            let query = sqlx::query(if is_disabled { DISABLE } else { ENABLE }).bind(&name);
            let query = if is_disabled { query.bind(change.at) } else { query };
            let changed = query.execute(&mut *connection).await?.rows_affected() > 0;
            if is_disabled {
                forget(connection, &name, &["web_session"]).await?;
                take_back(connection, &name, change).await?;
            }
            if changed {
                let kind = if is_disabled { "person.disabled" } else { "person.enabled" };
                note(connection, change, kind, json!({ "person": name })).await?;
            }
            Ok(changed)
        })
        .await
    }

    /// Takes from somebody all that they prove who they are with, and gives them something else. They are signed in nowhere
    /// then, clients have nothing of theirs any more, and what they agreed to waits again if nobody used it yet: it may have been
    /// whoever had taken over what is reset.
    ///
    /// # Errors
    /// If there is nobody of that name, or this cannot be kept.
    pub async fn reset_person(&self, name: &str, given: &Given, change: &Change) -> Result<()> {
        self.write(async |connection| {
            let name = named(connection, name).await?;
            revoke(connection, &Which::Person(name.clone()), change).await?;
            take_back(connection, &name, change).await?;
            sqlx::query(BARE).bind(&name).bind(&given.password).execute(&mut *connection).await?;
            forget(connection, &name, &["web_session", "passkey", "recovery_code", "invitation"]).await?;
            invite(connection, &name, given).await?;
            note(connection, change, "person.reset", said(&name, given)).await
        })
        .await
    }

    /// Removes somebody, and all that belongs to them: tokens for servers, what they asked somebody to agree to, and what they
    /// agreed to that nobody used yet, too. Keys of that name stay.
    ///
    /// # Errors
    /// If there is nobody of that name, or this cannot be kept.
    pub async fn remove_person(&self, name: &str, change: &Change) -> Result<()> {
        self.write(async |connection| {
            let name = named(connection, name).await?;
            // Whoever is called so later gets none of it.
            withdraw(connection, &name).await?;
            take_back(connection, &name, change).await?;
            forget(connection, &name, &["web_session", "passkey", "recovery_code", "invitation"]).await?;
            sqlx::query(REMOVE).bind(&name).execute(&mut *connection).await?;
            note(connection, change, "person.removed", json!({ "person": name })).await
        })
        .await
    }

    /// Whom an invitation is for that is still good; nobody who may not sign in.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn invited(&self, digest: &[u8; 32], now: i64) -> Result<Option<Person>> {
        let row = sqlx::query(INVITED).bind(digest.as_slice()).bind(now).fetch_optional(self.reading()).await?;
        let Some(row) = row else { return Ok(None) };
        let person = self.person(row.try_get("person")?).await?;
        Ok(person.filter(|person| person.disabled_at.is_none()))
    }

    /// Uses an invitation up: whoever it is for has that password and second factor from now on. Returns them as they are then,
    /// if it was still good.
    ///
    /// # Errors
    /// If this cannot be kept.
    pub async fn accept_invitation(
        &self,
        digest: &[u8; 32],
        password: &str,
        one_time: Option<&OneTime>,
        change: &Change,
    ) -> Result<Option<Person>> {
        self.write(async |connection| {
            let query = sqlx::query(INVITED).bind(digest.as_slice()).bind(change.at);
            let Some(row) = query.fetch_optional(&mut *connection).await? else { return Ok(None) };
            let name: String = row.try_get("person")?;
            forget(connection, &name, &["invitation", "web_session", "passkey"]).await?;
            sqlx::query(PASSWORD).bind(&name).bind(password).execute(&mut *connection).await?;
            if let Some(one_time) = one_time {
                set_one_time(connection, &name, one_time).await?;
            }
            let factors: &[&str] = if one_time.is_some() { &["password", "otp"] } else { &["password"] };
            note(connection, change, "person.accepted", json!({ "person": name, "set": factors })).await?;
            find(connection, &name).await
        })
        .await
    }

    /// Gives somebody another password in place of `old`, as it is kept; signs them out everywhere but in the browser session that
    /// is to be kept. Returns whether `old` was still theirs.
    ///
    /// # Errors
    /// If they are of another generation by now, or it cannot be kept.
    pub async fn change_password(
        &self,
        (name, generation): (&str, i64),
        (old, new): (&str, &str),
        keep: &[u8; 32],
        change: &Change,
    ) -> Result<bool> {
        self.write(async |connection| {
            check_stands(connection, name, generation).await?;
            let query = sqlx::query(CHANGED).bind(name).bind(old).bind(new);
            if query.execute(&mut *connection).await?.rows_affected() == 0 {
                return Ok(false);
            }
            sqlx::query(ELSEWHERE).bind(name).bind(keep.as_slice()).execute(&mut *connection).await?;
            // Whoever was in one of those sessions may have agreed to something.
            take_back(connection, name, change).await?;
            note(connection, change, "person.password_changed", json!({ "person": name })).await?;
            Ok(true)
        })
        .await
    }

    /// Keeps the same password in another form, unless it was changed meanwhile.
    ///
    /// # Errors
    /// If it cannot be kept.
    pub async fn rehash_password(&self, name: &str, old: &str, new: &str) -> Result<()> {
        self.write_unmarked(async |connection| {
            sqlx::query(REHASH).bind(name).bind(old).bind(new).execute(connection).await?;
            Ok(())
        })
        .await
    }

    /// Gives somebody one-time passwords, in place of those they had, and returns them as they are then. If they had some, they
    /// are signed out in every browser in which one was shown, but for the session that is to be kept, and what they agreed
    /// to waits again if nobody used it yet: it may have been whoever had the others, too.
    ///
    /// # Errors
    /// If they are of another generation by now, or it cannot be kept.
    pub async fn set_one_time(
        &self,
        (name, generation): (&str, i64),
        one_time: &OneTime,
        keep: &[u8; 32],
        change: &Change,
    ) -> Result<Person> {
        self.write(async |connection| {
            check_stands(connection, name, generation).await?;
            let replaced = sqlx::query(REPLACED).bind(name).execute(&mut *connection).await?.rows_affected() > 0;
            if replaced {
                sqlx::query(BY_OTHERS).bind(name).bind(keep.as_slice()).execute(&mut *connection).await?;
                take_back(connection, name, change).await?;
            }
            set_one_time(connection, name, one_time).await?;
            let kind = if replaced { "person.factor_replaced" } else { "person.factor_added" };
            note(connection, change, kind, json!({ "person": name, "factor": "otp" })).await?;
            find(connection, name).await?.ok_or(StoreError::Stale)
        })
        .await
    }

    /// Uses the one-time password of a step up. Returns whether neither it nor a later one was used before.
    ///
    /// # Errors
    /// If it cannot be kept; then it is not to be relied upon.
    pub async fn use_one_time(&self, name: &str, step: i64) -> Result<bool> {
        self.write_unmarked(async |connection| {
            Ok(sqlx::query(STEP).bind(name).bind(step).execute(connection).await?.rows_affected() == 1)
        })
        .await
    }

    /// Uses a recovery code up. Returns whether it was there.
    ///
    /// # Errors
    /// If it cannot be kept; then it is not to be relied upon.
    pub async fn use_recovery_code(&self, name: &str, digest: &[u8; 32]) -> Result<bool> {
        self.write_unmarked(async |connection| {
            let query = sqlx::query(RECOVERED).bind(digest.as_slice()).bind(name);
            Ok(query.execute(connection).await?.rows_affected() == 1)
        })
        .await
    }
}

impl Person {
    /// Somebody who was added then, and has nothing yet to prove who they are with. Their generation is another one than that of
    /// whoever was called so before.
    #[must_use]
    pub fn new(name: &str, handle: [u8; 32], created_at: i64) -> Person {
        Person {
            name: name.to_owned(),
            handle: handle.to_vec(),
            password: None,
            totp: None,
            totp_step: 0,
            created_at,
            disabled_at: None,
            generation: created_at,
        }
    }
}

impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Person { name, created_at, disabled_at, .. } = self;
        let mut shown = f.debug_struct("Person");
        shown
            .field("name", name)
            .field("created_at", created_at)
            .field("disabled_at", disabled_at)
            .finish_non_exhaustive()
    }
}

const SPELLED: &str = "SELECT name FROM person WHERE folded = $1 AND name <> $2
    UNION ALL SELECT principal FROM api_key WHERE lower(principal) = $1 AND principal <> $2 AND revoked_at IS NULL
    LIMIT 1";

/// Refuses a name that differs from a person's or from that of whoever has a key only in case: whoever compares them has two
/// people where there is one. Names with a prefix are somebody else's, who tells their case apart.
pub(crate) async fn check_spelling(connection: &mut SqliteConnection, name: &str) -> Result<()> {
    if name.contains(':') {
        return Ok(());
    }
    let row = sqlx::query(SPELLED).bind(folded(name)).bind(name).fetch_optional(connection).await?;
    match row {
        Some(row) => Err(StoreError::State(format!(
            "`{name}` differs only in case from `{}`, which a person or a key has; use that name",
            row.try_get::<&str, _>(0)?
        ))),
        None => Ok(()),
    }
}

/// A name as it is compared.
fn folded(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// What the log says of somebody who is given something.
fn said(name: &str, given: &Given) -> Value {
    let invited_until = given.invitation.as_ref().map(|invitation| invitation.expires_at);
    json!({ "person": name, "password": given.password.is_some(), "expires_at": invited_until })
}

/// Removes what was got or asked for on somebody's behalf, also by their keys.
async fn withdraw(connection: &mut SqliteConnection, name: &str) -> Result<()> {
    for removal in [NO_TOKENS, NO_REQUESTS] {
        sqlx::query(removal).bind(name).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Whether somebody is still who was shown.
pub(crate) async fn check_stands(connection: &mut SqliteConnection, name: &str, generation: i64) -> Result<()> {
    let stands = sqlx::query(STANDS).bind(name).bind(generation).fetch_optional(connection).await?;
    stands.map(drop).ok_or(StoreError::Stale)
}

async fn find(store: impl SqliteExecutor<'_>, name: &str) -> Result<Option<Person>> {
    let query = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM person WHERE folded = $1"));
    let row = sqlx::query(query).bind(folded(name)).fetch_optional(store).await?;
    row.as_ref().map(person).transpose()
}

/// The name as it was given.
async fn named(connection: &mut SqliteConnection, name: &str) -> Result<String> {
    let row = sqlx::query(TAKEN).bind(folded(name)).fetch_optional(connection).await?;
    let row = row.ok_or_else(|| StoreError::Unknown { what: "person", name: name.to_owned() })?;
    Ok(row.try_get("name")?)
}

async fn invite(connection: &mut SqliteConnection, name: &str, given: &Given) -> Result<()> {
    if let Some(Invitation { digest, expires_at }) = &given.invitation {
        sqlx::query(INVITE).bind(digest.as_slice()).bind(name).bind(expires_at).execute(connection).await?;
    }
    Ok(())
}

/// Removes what belongs to somebody from these tables.
async fn forget(connection: &mut SqliteConnection, name: &str, tables: &[&'static str]) -> Result<()> {
    for table in tables {
        let query = sqlx::AssertSqlSafe(format!("DELETE FROM {table} WHERE person = $1"));
        sqlx::query(query).bind(name).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn set_one_time(connection: &mut SqliteConnection, name: &str, one_time: &OneTime) -> Result<()> {
    let query = sqlx::query(ONE_TIME).bind(name).bind(&one_time.secret).bind(one_time.step);
    query.execute(&mut *connection).await?;
    forget(connection, name, &["recovery_code"]).await?;
    for digest in &one_time.recovery {
        sqlx::query(RECOVERY).bind(digest.as_slice()).bind(name).execute(&mut *connection).await?;
    }
    Ok(())
}

pub(crate) fn person(row: &SqliteRow) -> Result<Person> {
    Ok(Person {
        name: row.try_get("name")?,
        handle: row.try_get("handle")?,
        password: row.try_get("password")?,
        totp: row.try_get("totp")?,
        totp_step: row.try_get("totp_step")?,
        created_at: row.try_get("created_at")?,
        disabled_at: row.try_get("disabled_at")?,
        generation: row.try_get("generation")?,
    })
}

fn summary(row: &SqliteRow) -> Result<Summary> {
    Ok(Summary {
        person: person(row)?,
        passkeys: row.try_get("passkeys")?,
        recovery_codes: row.try_get("recovery_codes")?,
        invited_until: row.try_get("invited_until")?,
    })
}

#[cfg(test)]
#[path = "people/tests.rs"]
mod tests;
