//! A new master key, and new data keys.
//!
//! Whenever this is broken off, the store opens with what is in the place of the master key then: that holds both keys from
//! before the data keys are wrapped anew until after. If the key moves, the new place holds the new one from before that,
//! and the old place the old one until after. Whoever changes either holds the lock of those who write to the store.

use bartizan_seal::Unopened;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::keys::{self, ALL, DataKey, data_keys, master_of, unwrap, wrap};
use super::master::{KEYS, Master};
use super::owner::Whose;
use super::{MasterKey, PURPOSES, SealError, Sealer};
use crate::events::{Change, note};
use crate::pseudonyms::{NAMES, SUBJECT};
use crate::{Result, Store, StoreError};

/// A column with what was sealed.
struct Column {
    table: &'static str,
    column: &'static str,
    /// What it was sealed for.
    purpose: &'static str,
    /// What of the row says whose it is, in SQL: the text that it was sealed with.
    owner: &'static str,
    /// What tells a row from others: columns of text.
    keys: &'static [&'static str],
}

/// Every column of the store with what was sealed. The content of others would stay sealed with the key before.
const COLUMNS: [Column; 6] = [
    Column { table: "approval", column: "sealed", purpose: "approval", owner: "'request ' || id", keys: &["id"] },
    Column { table: "person", column: "totp", purpose: "totp", owner: "'person ' || name", keys: &["name"] },
    Column { table: "signing_key", column: "sealed", purpose: "signing", owner: "id", keys: &["id"] },
    Column {
        table: "subject",
        column: "sealed",
        purpose: SUBJECT,
        owner: "tenant || char(10) || id",
        keys: &["tenant", "id"],
    },
    Column {
        table: "upstream_token",
        column: "sealed",
        purpose: "token",
        owner: "server || char(10) || principal || char(10) || issuer || char(10) || resource",
        keys: &["server", "principal"],
    },
    Column { table: "vault", column: "sealed", purpose: NAMES, owner: "tenant", keys: &["tenant"] },
];

const REWRAP: &str = "UPDATE data_key SET wrapped = $2 WHERE id = $1";
const RETIRE: &str = "UPDATE data_key SET retired_at = $1 WHERE retired_at IS NULL";
/// Files that are not of the store are sealed with the keys for captures, and nothing here tells for how long there are any.
const RETIRED: &str = "SELECT id FROM data_key WHERE retired_at < $1 AND purpose <> 'capture'";
const REMOVE: &str = "DELETE FROM data_key WHERE id = $1";

/// So many rows are read at a time: there may be as many subjects as fit a disk.
const PAGE: usize = 1_000;

/// So long a data key is kept that nothing is sealed with any more, in microseconds: somebody may have sealed something with
/// it who has not written that yet.
const GRACE: i64 = 24 * 3_600_000_000;

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// What the master key before was called.
    pub old: String,
    /// What the one now is called.
    pub new: String,
    /// How many data keys it opens.
    pub data_keys: usize,
    /// How much was sealed anew, if that was asked for.
    pub resealed: Option<Resealed>,
    /// Why the key before could not be removed from its place, where it opens nothing of this store any more.
    pub left: Option<String>,
}

/// How much was sealed anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resealed {
    /// So many values.
    pub values: usize,
    /// So many did not open, and are as they were.
    pub broken: usize,
}

impl Store {
    /// Wraps all data keys with a new master key: `to`, if it comes from elsewhere, else one that is made here, in the place
    /// where `to` has it or else in that of the other. With `reseal` there are new data keys, and everything is sealed anew
    /// with them.
    ///
    /// # Errors
    /// If the master key is not there or another one, or something cannot be written. Then all is as it was.
    pub async fn rotate_master(&self, to: Option<&MasterKey>, reseal: bool, change: &Change) -> Result<Rotated> {
        // Until the places hold one key again: another change in between would find the wrong ones there.
        let writing = self.begin().await?;
        let (from, whose) = (self.master(), self.this());
        let new = new_master(from, to, whose)?;
        let to = to.unwrap_or(from);
        let moves = !from.is_where(to);
        let mut of_another = None;
        let done = self.write_unmarked(async |connection| {
            let kept = data_keys(&sqlx::query(ALL).fetch_all(&mut *connection).await?)?;
            if kept.is_empty() {
                return Err(StoreError::State("nothing has been sealed in this store yet".to_owned()));
            }
            let found = from.find(whose)?.ok_or_else(|| from.missing(whose.path))?;
            let old = master_of(&kept, &found)?;
            if old.key.id() == new.key.id() {
                return Err(StoreError::State("that is the master key already".to_owned()));
            }
            let owner = found.check_owner(whose, true);
            if moves {
                // What it opens besides goes on there.
                of_another = owner.is_err().then(|| found.said_owner().flatten());
                check_free(to, whose)?;
                to.put(whose, &[&new])?;
            } else {
                owner?;
                to.put(whose, &[&new, old])?;
            }
            rewrap(connection, &kept, old, &new).await?;
            let resealed = if reseal { Some(reseal_all(connection, &new, change.at).await?) } else { None };
            let mut done = Rotated {
                old: old.key.id().to_string(),
                new: new.key.id().to_string(),
                data_keys: kept.len(),
                resealed,
                left: None,
            };
            if reseal {
                done.data_keys = data_keys(&sqlx::query(ALL).fetch_all(&mut *connection).await?)?.len();
            }
            note(connection, change, "store.master_key_rotated", said(&done)).await?;
            Ok(done)
        });
        let mut done = done.await?;
        // The data keys are wrapped with the new one now, whatever happens.
        let left = match (moves, of_another) {
            (false, _) => to.put(whose, &[&new]).err().map(|error| error.to_string()),
            (true, None) => from.clear(whose.path).err().map(|error| error.to_string()),
            (true, Some(Some(other))) => Some(format!("it is that of the store {other}")),
            (true, Some(None)) => Some("nothing says that no other store needs it".to_owned()),
        };
        done.left = left;
        drop(writing);
        Ok(done)
    }
}

/// The key that takes the place of the other.
fn new_master(from: &MasterKey, to: Option<&MasterKey>, whose: Whose<'_>) -> Result<Master> {
    let refused = |why: &str| Err(StoreError::State(why.to_owned()));
    match (from, to) {
        (MasterKey::Given(_), None) => refused("the master key is given to Bartizan, so the new one has to be as well"),
        (MasterKey::Given(_), Some(to @ MasterKey::Given(_))) => Ok(one(to.find(whose)?)?),
        (MasterKey::Beside, Some(MasterKey::Given(_))) => {
            refused("the master key is in a file beside the store, where a new one is made")
        }
        (MasterKey::Keyring(_), Some(MasterKey::Given(_))) => {
            refused("the master key is in the keyring, where a new one is made")
        }
        (_, None | Some(MasterKey::Beside | MasterKey::Keyring(_))) => Ok(KEYS.generate()?),
    }
}

/// Whether a key may be put there: nothing else is, but what a change left that was broken off, which opens nothing.
fn check_free(to: &MasterKey, whose: Whose<'_>) -> Result<()> {
    let Some(there) = to.find(whose)? else { return Ok(()) };
    match to {
        MasterKey::Given(_) => Ok(()),
        MasterKey::Keyring(_) => Ok(there.check_owner(whose, false).map(drop)?),
        MasterKey::Beside => {
            let why =
                format!("{}: there is a master key, which does not open this store; move it away first", there.place);
            Err(StoreError::State(why))
        }
    }
}

fn said(done: &Rotated) -> serde_json::Value {
    serde_json::json!({
        "old": done.old, "new": done.new, "data_keys": done.data_keys,
        "resealed": done.resealed.map(|resealed| resealed.values),
        "broken": done.resealed.map(|resealed| resealed.broken),
    })
}

fn one(found: Option<super::master::Found>) -> Result<Master, SealError> {
    found.and_then(|found| found.keys.into_iter().next()).ok_or(Unopened::Failed.into())
}

async fn rewrap(connection: &mut SqliteConnection, kept: &[DataKey], old: &Master, new: &Master) -> Result<()> {
    for key in kept {
        let wrapped = wrap(new, key.id, &key.purpose, &unwrap(old, key)?)?;
        sqlx::query(REWRAP).bind(key.id.0.as_slice()).bind(wrapped).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Makes new data keys, seals everything with them, and removes those that nothing can be sealed with any more.
async fn reseal_all(connection: &mut SqliteConnection, master: &Master, now: i64) -> Result<Resealed> {
    sqlx::query(RETIRE).bind(now).execute(&mut *connection).await?;
    for purpose in PURPOSES {
        keys::add(connection, master, purpose).await?;
    }
    let kept = data_keys(&sqlx::query(ALL).fetch_all(&mut *connection).await?)?;
    let sealer = keys::open_with(&kept, master)?;
    let mut done = Resealed::default();
    for column in &COLUMNS {
        reseal_column(connection, column, &sealer, &mut done).await?;
    }
    for row in sqlx::query(RETIRED).bind(now.saturating_sub(GRACE)).fetch_all(&mut *connection).await? {
        let id: Vec<u8> = row.try_get("id")?;
        if !is_used(connection, &id).await? {
            sqlx::query(REMOVE).bind(id).execute(&mut *connection).await?;
        }
    }
    Ok(done)
}

async fn reseal_column(
    connection: &mut SqliteConnection,
    at: &Column,
    sealer: &Sealer,
    done: &mut Resealed,
) -> Result<()> {
    let update = at.update();
    let mut last: Option<Vec<String>> = None;
    loop {
        let mut query = sqlx::query(sqlx::AssertSqlSafe(at.page(last.is_some())));
        for key in last.iter().flatten() {
            query = query.bind(key);
        }
        let rows = query.fetch_all(&mut *connection).await?;
        let Some(end) = rows.last() else { return Ok(()) };
        last = Some(at.keys_of(end)?);
        for row in &rows {
            let (owner, sealed): (String, Vec<u8>) = (row.try_get("owner")?, row.try_get("content")?);
            let Ok(plain) = sealer.unseal(at.purpose, &owner, &sealed) else {
                // It opens no better with the old key, and must not keep everything else at it.
                done.broken += 1;
                continue;
            };
            let anew = sealer.seal(at.purpose, &owner, &plain)?;
            let mut query = sqlx::query(sqlx::AssertSqlSafe(update.clone())).bind(anew).bind(sealed);
            for key in at.keys_of(row)? {
                query = query.bind(key);
            }
            query.execute(&mut *connection).await?;
            done.values += 1;
        }
    }
}

impl Column {
    /// Rows with something sealed, some at a time: those from the beginning, or behind others.
    fn page(&self, is_behind: bool) -> String {
        let Column { table, column, owner, keys, .. } = self;
        let keys = keys.join(", ");
        let behind = if is_behind {
            format!("AND ({keys}) > ({})", self.bound(1, ", ", |bound, _| bound))
        } else {
            String::new()
        };
        format!(
            "SELECT {owner} AS owner, {column} AS content, {keys} FROM {table} WHERE length({column}) > 0 {behind}
            ORDER BY {keys} LIMIT {PAGE}"
        )
    }

    /// Puts other content in the place of some, if it is still there, in a row that is found by its key.
    fn update(&self) -> String {
        let Column { table, column, .. } = self;
        let which = self.bound(3, " AND ", |bound, key| format!("{key} = {bound}"));
        format!("UPDATE {table} SET {column} = $1 WHERE {column} = $2 AND {which}")
    }

    /// A place for each part of the key, from that number on.
    fn bound(&self, first: usize, between: &str, form: impl Fn(String, &str) -> String) -> String {
        let places = self.keys.iter().zip(first..).map(|(key, number)| form(format!("${number}"), key));
        places.collect::<Vec<_>>().join(between)
    }

    fn keys_of(&self, row: &SqliteRow) -> Result<Vec<String>> {
        self.keys.iter().map(|key| Ok(row.try_get(*key)?)).collect()
    }
}

/// Whether anything that was sealed with that data key is left.
async fn is_used(connection: &mut SqliteConnection, id: &[u8]) -> Result<bool> {
    for Column { table, column, .. } in &COLUMNS {
        // Looked for where the header has it.
        let select = format!("SELECT count(*) FROM {table} WHERE substr({column}, 2, 8) = $1");
        let count: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(select)).bind(id).fetch_one(&mut *connection).await?;
        if count > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Columns of bytes that hold nothing sealed with a data key. What pseudonyms stand for is under the keys of subjects.
    const OTHERS: [&str; 14] = [
        "api_key.digest",
        "approval.digest",
        "authorization_code.challenge",
        "authorization_code.digest",
        "data_key.id",
        "data_key.wrapped",
        "invitation.digest",
        "passkey.id",
        "passkey.public_key",
        "person.handle",
        "pseudonym.value",
        "recovery_code.digest",
        "refresh_token.digest",
        "web_session.digest",
    ];

    #[tokio::test]
    async fn every_column_of_bytes_is_sealed_anew_or_said_to_hold_nothing_sealed() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("state.db")).await.unwrap();
        let all = "SELECT m.name || '.' || c.name FROM sqlite_master m, pragma_table_info(m.name) c
            WHERE m.type = 'table' AND c.type = 'BLOB'";
        let mut found: Vec<String> = sqlx::query_scalar(all).fetch_all(store.reading()).await.unwrap();
        let known = COLUMNS.iter().map(|at| format!("{}.{}", at.table, at.column));
        let mut known: Vec<_> = known.chain(OTHERS.map(str::to_owned)).collect();
        found.sort();
        known.sort();
        assert_eq!(found, known, "list it in COLUMNS if what it holds is sealed, else in OTHERS");
    }

    #[tokio::test]
    async fn what_is_sealed_anew_opens_and_what_does_not_open_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("state.db")).await.unwrap();
        let sealer = store.sealer().await.unwrap();
        let sealed = |id: &str| sealer.seal("approval", &format!("request {id}"), b"plain").unwrap();
        // The third is empty, and the second is that of another row.
        for (id, content) in [("a", sealed("a")), ("b", sealed("a")), ("c", Vec::new())] {
            let insert = "INSERT INTO approval (id, digest, principal, server, what, asks, sealed, needs_yes, needs_proof,
                four_eyes, created_at, expires_at, reason) VALUES ($1, zeroblob(32), 'p', 's', 'w', '[]', $2, 1, 0, 0, 1, 2, '')";
            sqlx::query(insert).bind(id).bind(content).execute(store.reading()).await.unwrap();
        }
        let change = |at| Change { by: "uid:7".to_owned(), at };
        let keys = async || sqlx::query(ALL).fetch_all(store.reading()).await.unwrap().len();
        let done = store.rotate_master(None, true, &change(keys::now())).await.unwrap();
        assert_eq!(done.resealed, Some(Resealed { values: 1, broken: 1 }));
        let content = async |id: &str| {
            let select = "SELECT sealed FROM approval WHERE id = $1";
            sqlx::query_scalar::<_, Vec<u8>>(select).bind(id).fetch_one(store.reading()).await.unwrap()
        };
        let (first, again) = (content("a").await, store.sealer().await.unwrap());
        assert!(sealer.unseal("approval", "request a", &first).is_err(), "with a key of before");
        assert_eq!(*again.unseal("approval", "request a", &first).unwrap(), b"plain");
        assert_eq!(*again.unseal("approval", "request a", &content("b").await).unwrap(), b"plain");
        assert!(content("c").await.is_empty());
        // Old data keys go a day later, but for those that something is left of, or may be elsewhere.
        assert_eq!(keys().await, 2 * PURPOSES.len());
        store.rotate_master(None, true, &change(keys::now() + 2 * GRACE)).await.unwrap();
        assert_eq!(keys().await, 2 * PURPOSES.len() + 2);
    }
}
