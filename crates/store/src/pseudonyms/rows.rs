//! The rows of a vault, many with one statement.

use std::collections::{BTreeSet, HashMap};

use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{QueryBuilder, Row, Sqlite};

use super::crypt::SubjectKey;
use super::{Filled, New, Pseudonym, Scope, Source, subjects};
use crate::{Result, Sealer};

/// So many with one statement; no row has more than ten values, and SQLite takes 32,766.
const MANY: usize = 256;

/// So many expired ones are removed at a time.
const SWEEP: i64 = 1_000;

/// An end is not moved by less than this, in microseconds: what is named in each message would be written with each of them.
const SLACK: i64 = 60_000_000;

const VAULT: &str = "SELECT sealed, entries FROM vault WHERE tenant = $1";
const INSERT_VAULT: &str = "INSERT INTO vault (tenant, sealed, entries, created_at) VALUES ($1, $2, 0, $3)";
const COUNT: &str = "UPDATE vault SET entries = entries + $2 WHERE tenant = $1";
const OF_SOURCE: &str = "SELECT entries FROM vault_source WHERE tenant = $1 AND source = $2";
const LARGEST: &str =
    "SELECT source, entries FROM vault_source WHERE tenant = $1 ORDER BY entries DESC, source LIMIT 1";
const OF: &str = "SELECT count(*) FROM pseudonym WHERE tenant = $1 AND subject = $2";
/// The values go with it, by their foreign key.
const DESTROY: &str = "DELETE FROM subject WHERE tenant = $1 AND id = $2";
const HAS_EXPIRED: &str = "SELECT EXISTS (SELECT 1 FROM pseudonym WHERE expires_at <= $1)
    OR EXISTS (SELECT 1 FROM subject WHERE expires_at <= $1)";
const SWEEP_VALUES: &str = "DELETE FROM pseudonym WHERE (tenant, purpose, token) IN
    (SELECT tenant, purpose, token FROM pseudonym WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2) RETURNING tenant";
const SWEEP_SUBJECTS: &str = "DELETE FROM subject WHERE (tenant, id) IN
    (SELECT s.tenant, s.id FROM subject s WHERE s.expires_at <= $1
    AND NOT EXISTS (SELECT 1 FROM pseudonym p WHERE p.tenant = s.tenant AND p.subject = s.id)
    ORDER BY s.expires_at LIMIT $2)";

/// What makes names, and how many there are.
pub(super) struct Vault {
    pub(super) sealed: Vec<u8>,
    pub(super) entries: i64,
}

/// Until when something is kept that is used now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Until {
    now: i64,
    at: i64,
    slack: i64,
}

impl Until {
    pub(super) fn new(now: i64, keep_for: i64) -> Until {
        Until { now, at: now.saturating_add(keep_for), slack: SLACK.min(keep_for / 10) }
    }

    /// Whether something with that end is kept for about as long anyway.
    pub(super) fn is_near(self, expires_at: i64) -> bool {
        expires_at >= self.at.saturating_sub(self.slack)
    }
}

/// What is to be added.
#[derive(Clone, Copy)]
pub(super) struct Fresh<'a> {
    pub(super) scope: Scope<'a>,
    pub(super) new: &'a [New<'a>],
    pub(super) until: Until,
    pub(super) source: Option<Source<'a>>,
}

/// A value as it is kept, and the key of its subject as that is.
pub(super) struct Value {
    pub(super) token: String,
    pub(super) subject: String,
    pub(super) value: Vec<u8>,
    pub(super) sealed: Vec<u8>,
}

pub(super) async fn vault(connection: &mut SqliteConnection, tenant: &str) -> Result<Option<Vault>> {
    let row = sqlx::query(VAULT).bind(tenant).fetch_optional(connection).await?;
    row.map(|row| Ok(Vault { sealed: row.try_get("sealed")?, entries: row.try_get("entries")? })).transpose()
}

pub(super) async fn insert_vault(
    connection: &mut SqliteConnection,
    tenant: &str,
    sealed: &[u8],
    now: i64,
) -> Result<()> {
    sqlx::query(INSERT_VAULT).bind(tenant).bind(sealed).bind(now).execute(connection).await?;
    Ok(())
}

/// How many of a tenant's somebody brought.
pub(super) async fn of_source(connection: &mut SqliteConnection, tenant: &str, source: &str) -> Result<i64> {
    let entries = sqlx::query_scalar(OF_SOURCE).bind(tenant).bind(source).fetch_optional(connection).await?;
    Ok(entries.unwrap_or_default())
}

/// How many a tenant has, and who brought them.
pub(super) async fn filled(connection: &mut SqliteConnection, tenant: &str, source: &str) -> Result<Filled> {
    let entries = vault(connection, tenant).await?.map_or(0, |vault| vault.entries);
    let of_source = of_source(connection, tenant, source).await?;
    let largest = sqlx::query_as(LARGEST).bind(tenant).fetch_optional(connection).await?;
    Ok(Filled { entries, of_source, largest })
}

/// Says that there are so many more.
pub(super) async fn count(connection: &mut SqliteConnection, tenant: &str, more: i64) -> Result<()> {
    sqlx::query(COUNT).bind(tenant).bind(more).execute(connection).await?;
    Ok(())
}

/// Which of these are there, and until when.
pub(super) async fn live(
    connection: &mut SqliteConnection,
    scope: Scope<'_>,
    tokens: &[&str],
    now: i64,
) -> Result<HashMap<String, i64>> {
    let mut held = HashMap::new();
    for tokens in tokens.chunks(MANY) {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT token, expires_at FROM pseudonym WHERE ");
        of(&mut query, scope, tokens).push(" AND expires_at > ").push_bind(now);
        for row in query.build().persistent(false).fetch_all(&mut *connection).await? {
            held.insert(row.try_get("token")?, row.try_get("expires_at")?);
        }
    }
    Ok(held)
}

/// Keeps these for longer, and their subjects.
pub(super) async fn touch(
    connection: &mut SqliteConnection,
    scope: Scope<'_>,
    tokens: &[&str],
    until: Until,
) -> Result<()> {
    for tokens in tokens.chunks(MANY) {
        let mut query = prolong("pseudonym", until);
        of(&mut query, scope, tokens);
        query.build().persistent(false).execute(&mut *connection).await?;
        let mut query = prolong("subject", until);
        query.push("tenant = ").push_bind(scope.tenant).push(" AND id IN (SELECT subject FROM pseudonym WHERE ");
        of(&mut query, scope, tokens).push(")");
        query.build().persistent(false).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Removes those that expired and come again; how many.
pub(super) async fn forget_expired(connection: &mut SqliteConnection, fresh: &Fresh<'_>) -> Result<i64> {
    let mut removed = 0;
    let tokens: Vec<_> = fresh.new.iter().map(|new| new.token).collect();
    for tokens in tokens.chunks(MANY) {
        let mut query = QueryBuilder::<Sqlite>::new("DELETE FROM pseudonym WHERE ");
        of(&mut query, fresh.scope, tokens);
        removed += query.build().persistent(false).execute(&mut *connection).await?.rows_affected();
    }
    Ok(i64::try_from(removed).unwrap_or(i64::MAX))
}

/// The keys of all subjects, made where there are none. One that expired is destroyed with all that it opened, which is counted.
pub(super) async fn subject_keys<'a>(
    connection: &mut SqliteConnection,
    sealer: &Sealer,
    fresh: &Fresh<'a>,
    removed: &mut i64,
) -> Result<HashMap<&'a str, SubjectKey>> {
    let (tenant, until) = (fresh.scope.tenant, fresh.until);
    let subjects: BTreeSet<_> = fresh.new.iter().map(New::subject).collect();
    let subjects: Vec<_> = subjects.into_iter().collect();
    let mut keys = HashMap::new();
    for subjects in subjects.chunks(MANY) {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT id, sealed, expires_at FROM subject WHERE tenant = ");
        query.push_bind(tenant).push(" AND ");
        one_of(&mut query, "id", subjects);
        for row in query.build().persistent(false).fetch_all(&mut *connection).await? {
            let (id, sealed): (String, Vec<u8>) = (row.try_get("id")?, row.try_get("sealed")?);
            if row.try_get::<i64, _>("expires_at")? <= until.now {
                *removed += destroy(connection, tenant, &id).await?;
            } else if let Some(id) = subjects.iter().find(|subject| **subject == id) {
                keys.insert(*id, SubjectKey::open(sealer, tenant, id, &sealed)?);
            }
        }
        let mut query = prolong("subject", until);
        query.push("tenant = ").push_bind(tenant).push(" AND ");
        one_of(&mut query, "id", subjects);
        query.build().persistent(false).execute(&mut *connection).await?;
        let missing: Vec<_> = subjects.iter().copied().filter(|subject| !keys.contains_key(subject)).collect();
        make_subjects(connection, sealer, fresh, &missing, &mut keys).await?;
    }
    Ok(keys)
}

async fn make_subjects<'a>(
    connection: &mut SqliteConnection,
    sealer: &Sealer,
    fresh: &Fresh<'a>,
    subjects: &[&'a str],
    keys: &mut HashMap<&'a str, SubjectKey>,
) -> Result<()> {
    let (tenant, until) = (fresh.scope.tenant, fresh.until);
    let mut rows = Vec::with_capacity(subjects.len());
    for subject in subjects {
        let (key, sealed) = SubjectKey::make(sealer, tenant, subject)?;
        rows.push((*subject, sealed));
        keys.insert(subject, key);
    }
    if rows.is_empty() {
        return Ok(());
    }
    let mut query =
        QueryBuilder::<Sqlite>::new("INSERT INTO subject (tenant, id, sealed, created_at, last_used_at, expires_at) ");
    query.push_values(rows, |mut row, (id, sealed)| {
        row.push_bind(tenant).push_bind(id).push_bind(sealed);
        row.push_bind(until.now).push_bind(until.now).push_bind(until.at);
    });
    query.build().persistent(false).execute(connection).await?;
    Ok(())
}

/// Adds values, whose subjects are there.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    fresh: &Fresh<'_>,
    keys: &HashMap<&str, SubjectKey>,
) -> Result<()> {
    let Fresh { scope, new, until, source } = *fresh;
    let source = source.map_or("", |source| source.name);
    for new in new.chunks(MANY) {
        let mut rows = Vec::with_capacity(new.len());
        for new in new {
            let key = keys.get(new.subject()).ok_or(crate::Unopened::Failed)?;
            rows.push((new, key.seal(scope, new.token, new.value)?));
        }
        let mut query = QueryBuilder::<Sqlite>::new(
            "INSERT INTO pseudonym (tenant, purpose, token, kind, subject, value, created_at, last_used_at, expires_at,
            source) ",
        );
        query.push_values(rows, |mut row, (new, value)| {
            row.push_bind(scope.tenant).push_bind(scope.purpose).push_bind(new.token).push_bind(new.kind);
            row.push_bind(new.subject()).push_bind(value);
            row.push_bind(until.now).push_bind(until.now).push_bind(until.at).push_bind(source);
        });
        query.build().persistent(false).execute(&mut *connection).await?;
    }
    Ok(())
}

/// What of these is kept, and has not expired.
pub(super) async fn values(
    connection: &mut SqliteConnection,
    scope: Scope<'_>,
    tokens: &[&str],
    now: i64,
) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    for tokens in tokens.chunks(MANY) {
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT p.token, p.subject, p.value, s.sealed FROM pseudonym p
            JOIN subject s ON s.tenant = p.tenant AND s.id = p.subject WHERE p.expires_at > ",
        );
        query.push_bind(now).push(" AND p.tenant = ").push_bind(scope.tenant);
        query.push(" AND p.purpose = ").push_bind(scope.purpose).push(" AND ");
        one_of(&mut query, "p.token", tokens);
        let rows = query.build().persistent(false).fetch_all(&mut *connection).await?;
        found.extend(rows.iter().map(value).collect::<Result<Vec<_>>>()?);
    }
    Ok(found)
}

/// Which of these there are that have not expired, without their values.
pub(super) async fn pseudonyms(
    connection: &mut SqliteConnection,
    scope: Scope<'_>,
    tokens: &[&str],
    now: i64,
) -> Result<Vec<Pseudonym>> {
    let mut found = Vec::new();
    for tokens in tokens.chunks(MANY) {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT * FROM pseudonym WHERE expires_at > ");
        query.push_bind(now).push(" AND ");
        of(&mut query, scope, tokens);
        let rows = query.build().persistent(false).fetch_all(&mut *connection).await?;
        found.extend(rows.iter().map(subjects::pseudonym).collect::<Result<Vec<_>>>()?);
    }
    Ok(found)
}

pub(super) fn value(row: &SqliteRow) -> Result<Value> {
    Ok(Value {
        token: row.try_get("token")?,
        subject: row.try_get("subject")?,
        value: row.try_get("value")?,
        sealed: row.try_get("sealed")?,
    })
}

/// Destroys the key of a subject, and what it opened; how much that was.
pub(super) async fn destroy(connection: &mut SqliteConnection, tenant: &str, subject: &str) -> Result<i64> {
    let values = sqlx::query_scalar(OF).bind(tenant).bind(subject).fetch_one(&mut *connection).await?;
    sqlx::query(DESTROY).bind(tenant).bind(subject).execute(connection).await?;
    Ok(values)
}

pub(super) async fn has_expired(pool: &SqlitePool, now: i64) -> Result<bool> {
    Ok(sqlx::query_scalar(HAS_EXPIRED).bind(now).fetch_one(pool).await?)
}

/// Removes some of what has expired; how many values.
pub(super) async fn sweep(connection: &mut SqliteConnection, now: i64) -> Result<usize> {
    let query = sqlx::query_scalar(SWEEP_VALUES).bind(now).bind(SWEEP);
    let tenants: Vec<String> = query.fetch_all(&mut *connection).await?;
    let mut each: HashMap<&str, i64> = HashMap::new();
    tenants.iter().for_each(|tenant| *each.entry(tenant).or_default() += 1);
    for (tenant, removed) in each {
        count(connection, tenant, -removed).await?;
    }
    sqlx::query(SWEEP_SUBJECTS).bind(now).bind(SWEEP).execute(connection).await?;
    Ok(tenants.len())
}

/// An update that keeps rows of a table for longer; which ones is to be added.
fn prolong(table: &'static str, until: Until) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new("UPDATE ");
    query.push(table).push(" SET last_used_at = ").push_bind(until.now);
    query.push(", expires_at = ").push_bind(until.at).push(" WHERE expires_at > ").push_bind(until.now);
    query.push(" AND expires_at < ").push_bind(until.at).push(" AND ");
    query
}

/// Adds which tokens are meant.
fn of<'q>(query: &'q mut QueryBuilder<Sqlite>, scope: Scope<'_>, tokens: &[&str]) -> &'q mut QueryBuilder<Sqlite> {
    query.push("tenant = ").push_bind(scope.tenant).push(" AND purpose = ").push_bind(scope.purpose).push(" AND ");
    one_of(query, "token", tokens);
    query
}

/// Adds that a column is one of these.
fn one_of(query: &mut QueryBuilder<Sqlite>, column: &'static str, texts: &[&str]) {
    query.push(column).push(" IN (");
    let mut list = query.separated(", ");
    for text in texts {
        list.push_bind(*text);
    }
    query.push(")");
}
