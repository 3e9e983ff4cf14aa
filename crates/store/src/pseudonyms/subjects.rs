//! What is kept about one subject: looking, handing it all out, and destroying it.

use serde_json::json;
use sqlx::Row;
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

/// A pseudonym, and what it stands for. Moments are microseconds since 1970-01-01 UTC.
pub struct Pseudonym {
    /// What for.
    pub purpose: String,
    /// What tells it from others of that purpose.
    pub token: String,
    /// What the value is.
    pub kind: String,
    /// What it stands for.
    pub value: Zeroizing<String>,
    /// Since when it is kept.
    pub created_at: i64,
    /// When it was last used, to the minute.
    pub last_used_at: i64,
    /// When it expires.
    pub expires_at: i64,
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

const FIND: &str = "SELECT id, created_at, last_used_at, expires_at,
    (SELECT count(*) FROM pseudonym p WHERE p.tenant = s.tenant AND p.subject = s.id AND p.expires_at > $3) AS pseudonyms
    FROM subject s WHERE tenant = $1 AND id = $2 AND expires_at > $3";
const EXPORT: &str = "SELECT p.*, s.sealed FROM pseudonym p JOIN subject s ON s.tenant = p.tenant AND s.id = p.subject
    WHERE p.tenant = $1 AND p.subject = $2 AND p.expires_at > $3 ORDER BY p.purpose, p.created_at, p.token";
const IS_THERE: &str = "SELECT EXISTS (SELECT 1 FROM subject WHERE tenant = $1 AND id = $2)";

impl Store {
    /// What is kept about a subject, without what it is.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn subject_find(&self, tenant: &str, subject: &str, now: i64) -> Result<Option<Subject>> {
        let query = sqlx::query(FIND).bind(tenant).bind(subject).bind(now);
        let Some(row) = query.fetch_optional(self.reading()).await? else { return Ok(None) };
        Ok(Some(Subject {
            id: row.try_get("id")?,
            created_at: row.try_get("created_at")?,
            last_used_at: row.try_get("last_used_at")?,
            expires_at: row.try_get("expires_at")?,
            pseudonyms: row.try_get("pseudonyms")?,
        }))
    }

    /// All that is kept about a subject, in the clear. That it was asked for is recorded.
    ///
    /// # Errors
    /// If the store cannot be used, or something does not open.
    pub async fn subject_export(&self, tenant: &str, subject: &str, change: &Change) -> Result<Vec<Pseudonym>> {
        let sealer = self.sealer().await?;
        // Nobody remembers anything of it.
        self.write_noted(async |connection| {
            let query = sqlx::query(EXPORT).bind(tenant).bind(subject).bind(change.at);
            let rows = query.fetch_all(&mut *connection).await?;
            let mut all = Vec::with_capacity(rows.len());
            for row in &rows {
                let kept = rows::value(row)?;
                let purpose: String = row.try_get("purpose")?;
                let key = SubjectKey::open(&sealer, tenant, subject, &kept.sealed)?;
                all.push(Pseudonym {
                    value: key.unseal(Scope { tenant, purpose: &purpose }, &kept.token, &kept.value)?,
                    purpose,
                    token: kept.token,
                    kind: row.try_get("kind")?,
                    created_at: row.try_get("created_at")?,
                    last_used_at: row.try_get("last_used_at")?,
                    expires_at: row.try_get("expires_at")?,
                });
            }
            let fields = json!({"tenant": tenant, "subject": subject, "count": all.len()});
            note(connection, change, "subject.exported", fields).await?;
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

    /// Has what was written ahead be in the database and nowhere else: pages of before are in it until then. Whether that was so.
    async fn empty_log(&self) -> Result<bool> {
        let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(self.reading()).await?;
        Ok(row.try_get::<i64, _>(0)? == 0)
    }
}
