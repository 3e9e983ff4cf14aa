//! What is kept about subjects: looking, handing it all out, and destroying it.

use serde_json::json;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use zeroize::Zeroizing;

use super::crypt::SubjectKey;
use super::{Scope, rows};
use crate::events::{Change, note};
use crate::{Result, Store, StoreError};

/// Somebody about whom something is kept. Moments are microseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// What they are called here.
    pub id: String,
    /// Since when something is kept.
    pub created_at: i64,
    /// When something was last used, to the minute.
    pub last_used_at: i64,
    /// When the last of it expires.
    pub expires_at: i64,
    /// How much it is.
    pub pseudonyms: i64,
}

/// A pseudonym, without what it stands for. Moments are microseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pseudonym {
    /// What for.
    pub purpose: String,
    /// What tells it from others of that purpose.
    pub token: String,
    /// What the value is.
    pub kind: String,
    /// Whom it is about.
    pub subject: String,
    /// Since when it is kept.
    pub created_at: i64,
    /// When it was last used, to the minute.
    pub last_used_at: i64,
    /// When it expires.
    pub expires_at: i64,
}

/// A pseudonym, and what it stands for.
pub struct Opened {
    /// Which one.
    pub pseudonym: Pseudonym,
    /// What it stands for.
    pub value: Zeroizing<String>,
}

/// Why what is kept about somebody is read in the clear, as it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Somebody looks at it.
    Look,
    /// It is handed out.
    Export,
}

impl Reading {
    fn event(self) -> &'static str {
        match self {
            Reading::Look => "subject.revealed",
            Reading::Export => "subject.exported",
        }
    }
}

/// What became of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erased {
    /// So many pseudonyms stand for nothing any more.
    pub pseudonyms: i64,
    /// Whether the key is gone from all files of the database. If not, somebody was reading, and its bytes are in the log that is
    /// written ahead until that is next emptied.
    pub is_overwritten: bool,
}

const TENANTS: &str = "SELECT tenant FROM vault ORDER BY tenant";
const ALL: &str = "SELECT id, created_at, last_used_at, expires_at,
    (SELECT count(*) FROM pseudonym p WHERE p.tenant = s.tenant AND p.subject = s.id AND p.expires_at > $2) AS pseudonyms
    FROM subject s WHERE tenant = $1 AND expires_at > $2 ORDER BY created_at, id";
const FIND: &str = "SELECT id, created_at, last_used_at, expires_at,
    (SELECT count(*) FROM pseudonym p WHERE p.tenant = s.tenant AND p.subject = s.id AND p.expires_at > $3) AS pseudonyms
    FROM subject s WHERE tenant = $1 AND id = $2 AND expires_at > $3";
const PSEUDONYMS: &str = "SELECT * FROM pseudonym WHERE tenant = $1 AND subject = $2 AND expires_at > $3
    ORDER BY purpose, created_at, token";
const BEARERS: &str = "SELECT DISTINCT subject FROM pseudonym WHERE tenant = $1 AND token = $2 AND expires_at > $3
    ORDER BY subject";
const PURPOSES: &str = "SELECT DISTINCT purpose FROM pseudonym WHERE tenant = $1 AND expires_at > $2 ORDER BY purpose";
const EXPORT: &str = "SELECT p.*, s.sealed FROM pseudonym p JOIN subject s ON s.tenant = p.tenant AND s.id = p.subject
    WHERE p.tenant = $1 AND p.subject = $2 AND p.expires_at > $3 ORDER BY p.purpose, p.created_at, p.token";
const IS_THERE: &str = "SELECT EXISTS (SELECT 1 FROM subject WHERE tenant = $1 AND id = $2)";

impl Store {
    /// Who has a vault, by name.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn tenants(&self) -> Result<Vec<String>> {
        Ok(sqlx::query_scalar(TENANTS).fetch_all(self.reading()).await?)
    }

    /// About whom something is kept, those that came first before others, without what it is.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn subjects(&self, tenant: &str, now: i64) -> Result<Vec<Subject>> {
        let rows = sqlx::query(ALL).bind(tenant).bind(now).fetch_all(self.reading()).await?;
        rows.iter().map(subject_of).collect()
    }

    /// What is kept about a subject, without what it is.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn subject_find(&self, tenant: &str, subject: &str, now: i64) -> Result<Option<Subject>> {
        let query = sqlx::query(FIND).bind(tenant).bind(subject).bind(now);
        query.fetch_optional(self.reading()).await?.as_ref().map(subject_of).transpose()
    }

    /// The pseudonyms of a subject, without what they stand for.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn subject_pseudonyms(&self, tenant: &str, subject: &str, now: i64) -> Result<Vec<Pseudonym>> {
        let query = sqlx::query(PSEUDONYMS).bind(tenant).bind(subject).bind(now);
        query.fetch_all(self.reading()).await?.iter().map(pseudonym).collect()
    }

    /// Whom a token is about, whatever its purpose. It is one, unless tokens are made in some way that has them meet.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn subjects_of_token(&self, tenant: &str, token: &str, now: i64) -> Result<Vec<String>> {
        let query = sqlx::query_scalar(BEARERS).bind(tenant).bind(token).bind(now);
        Ok(query.fetch_all(self.reading()).await?)
    }

    /// For what a tenant has pseudonyms.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn purposes(&self, tenant: &str, now: i64) -> Result<Vec<String>> {
        Ok(sqlx::query_scalar(PURPOSES).bind(tenant).bind(now).fetch_all(self.reading()).await?)
    }

    /// Which of these tokens there are, without what they stand for. That somebody looked is recorded, also if there is none: whoever
    /// made them of a value learns whether it was ever seen.
    ///
    /// # Errors
    /// If the store cannot be used.
    pub async fn look_up(&self, scope: Scope<'_>, tokens: &[&str], change: &Change) -> Result<Vec<Pseudonym>> {
        self.write(async |connection| {
            let found = rows::pseudonyms(connection, scope, tokens, change.at).await?;
            let fields = json!({"tenant": scope.tenant, "purpose": scope.purpose, "count": found.len()});
            note(connection, change, "pseudonym.looked_up", fields).await?;
            Ok(found)
        })
        .await
    }

    /// All that is kept about a subject, in the clear. That it was asked for is recorded before anybody has it.
    ///
    /// # Errors
    /// If there is none of that name, if the store cannot be used, or if something does not open. Then nothing is handed out.
    pub async fn subject_open(
        &self,
        tenant: &str,
        subject: &str,
        reading: Reading,
        change: &Change,
    ) -> Result<Vec<Opened>> {
        let sealer = self.sealer().await?;
        // With a mark, as a gateway has to notice what is recorded by another process.
        self.write(async |connection| {
            let query = sqlx::query(EXPORT).bind(tenant).bind(subject).bind(change.at);
            let rows = query.fetch_all(&mut *connection).await?;
            let is_there = async |connection: &mut SqliteConnection| {
                let found = sqlx::query(FIND).bind(tenant).bind(subject).bind(change.at).fetch_optional(connection);
                Ok::<_, StoreError>(found.await?.is_some())
            };
            if rows.is_empty() && !is_there(connection).await? {
                return Err(StoreError::Unknown { what: "subject", name: subject.to_owned() });
            }
            let mut all = Vec::with_capacity(rows.len());
            for row in &rows {
                let (kept, pseudonym) = (rows::value(row)?, pseudonym(row)?);
                let key = SubjectKey::open(&sealer, tenant, subject, &kept.sealed)?;
                let value = key.unseal(Scope { tenant, purpose: &pseudonym.purpose }, &kept.token, &kept.value)?;
                all.push(Opened { pseudonym, value });
            }
            let fields = json!({"tenant": tenant, "subject": subject, "count": all.len()});
            note(connection, change, reading.event(), fields).await?;
            Ok(all)
        })
        .await
    }

    /// Destroys the key of a subject and with it all that is kept about them. What comes of them later has another key.
    ///
    /// Copies that were made before, such as backups, have both still, and whoever has the master key opens them.
    ///
    /// # Errors
    /// If there is none of that name, or the store cannot be written.
    pub async fn subject_erase(&self, tenant: &str, subject: &str, change: &Change) -> Result<Erased> {
        let erased = self.write(async |connection| {
            let query = sqlx::query_scalar(IS_THERE).bind(tenant).bind(subject);
            if !query.fetch_one(&mut *connection).await? {
                return Err(StoreError::Unknown { what: "subject", name: subject.to_owned() });
            }
            let pseudonyms = rows::destroy(connection, tenant, subject).await?;
            rows::count(connection, tenant, -pseudonyms).await?;
            let fields = json!({"tenant": tenant, "subject": subject, "count": pseudonyms});
            note(connection, change, "subject.erased", fields).await?;
            Ok(pseudonyms)
        });
        let pseudonyms = erased.await?;
        // It is done, whatever becomes of this.
        let is_overwritten = self.empty_log().await.unwrap_or(false);
        Ok(Erased { pseudonyms, is_overwritten })
    }

    /// Has what was written ahead be in the database and nowhere else: pages of before are in it until then. Whether that is so;
    /// it is not while somebody is in the middle of reading.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub async fn empty_log(&self) -> Result<bool> {
        let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(self.reading()).await?;
        Ok(row.try_get::<i64, _>(0)? == 0)
    }
}

fn subject_of(row: &SqliteRow) -> Result<Subject> {
    Ok(Subject {
        id: row.try_get("id")?,
        created_at: row.try_get("created_at")?,
        last_used_at: row.try_get("last_used_at")?,
        expires_at: row.try_get("expires_at")?,
        pseudonyms: row.try_get("pseudonyms")?,
    })
}

pub(super) fn pseudonym(row: &SqliteRow) -> Result<Pseudonym> {
    Ok(Pseudonym {
        purpose: row.try_get("purpose")?,
        token: row.try_get("token")?,
        kind: row.try_get("kind")?,
        subject: row.try_get("subject")?,
        created_at: row.try_get("created_at")?,
        last_used_at: row.try_get("last_used_at")?,
        expires_at: row.try_get("expires_at")?,
    })
}
