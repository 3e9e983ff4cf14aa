//! The data keys of a store: made for each purpose when they are first needed, kept wrapped, held open in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bartizan_seal::{Key, KeyId, Unopened, id_of, random};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::master::{Found, KEYS, Master};
use super::owner::Whose;
use super::{MasterKey, PURPOSES, SealError, Sealer};
use crate::{Result, Revision, Store, StoreError};

pub(super) const ALL: &str = "SELECT id, purpose, wrapped, retired_at FROM data_key ORDER BY created_at, id";
const INSERT: &str = "INSERT INTO data_key (id, purpose, wrapped, created_at) VALUES ($1, $2, $3, $4)";

/// What data keys are wrapped for. Nothing else may be sealed for it, so that none is taken for content.
const WRAPPING: &str = "data-key";

/// A data key as it is kept.
pub(super) struct DataKey {
    pub(super) id: KeyId,
    pub(super) purpose: String,
    pub(super) wrapped: Vec<u8>,
    in_use: bool,
}

/// The sealer that was last made, and at which state of the store.
#[derive(Debug, Default)]
pub(crate) struct Held(Mutex<Option<(Option<Revision>, Arc<Sealer>)>>);

impl Held {
    fn last(&self) -> Option<(Option<Revision>, Arc<Sealer>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, revision: Option<Revision>, sealer: &Arc<Sealer>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((revision, Arc::clone(sealer)));
    }
}

impl Store {
    /// What seals content of this store and opens it. While the store stays as it is that costs three system calls.
    ///
    /// # Errors
    /// If the store cannot be used, or its master key is not there, is another one, or may be used by others.
    pub async fn sealer(&self) -> Result<Arc<Sealer>> {
        let (last, before) = (self.held().last(), self.revision());
        if let Some((Some(at), sealer)) = &last
            && before == Some(*at)
        {
            return Ok(Arc::clone(sealer));
        }
        let mut kept = data_keys(&sqlx::query(ALL).fetch_all(self.reading()).await?)?;
        if PURPOSES.iter().any(|purpose| !has(&kept, purpose)) {
            kept = self.write(async |connection| add_missing(connection, self.master(), self.this()).await).await?;
        }
        let last = last.map(|(_, sealer)| sealer);
        let (sealer, found) = opened(&kept, last.as_deref(), self.master(), self.this())?;
        if let Some(found) = found
            && found.check_owner(self.this(), true)?
        {
            self.own_master().await?;
        }
        let sealer = Arc::new(sealer);
        // What was read while somebody wrote may be of before or of after.
        self.held().keep(before.filter(|before| self.revision() == Some(*before)), &sealer);
        Ok(sealer)
    }

    /// What opens content of this store, for those who only read: nothing is made and nothing is written for it. So the
    /// master key may be that of another store, which a copy of this one has.
    ///
    /// # Errors
    /// As for [`Store::sealer`], and if nothing has been sealed in this store yet.
    pub async fn opener(&self) -> Result<Arc<Sealer>> {
        let kept = data_keys(&sqlx::query(ALL).fetch_all(self.reading()).await?)?;
        if kept.is_empty() {
            return Err(SealError::Nothing(self.path().display().to_string()).into());
        }
        Ok(Arc::new(opened(&kept, None, self.master(), self.this())?.0))
    }

    /// Has the place of the master key say that it is of this store, as it is now.
    async fn own_master(&self) -> Result<()> {
        let (from, whose) = (self.master(), self.this());
        // Nobody changes the key meanwhile.
        let _writing = self.begin().await?;
        let kept = data_keys(&sqlx::query(ALL).fetch_all(self.reading()).await?)?;
        let Some(found) = from.find(whose)? else { return Ok(()) };
        if master_of(&kept, &found).is_ok() && found.check_owner(whose, true)? {
            found.own(from, whose)?;
        }
        Ok(())
    }
}

pub(super) fn data_keys(rows: &[SqliteRow]) -> Result<Vec<DataKey>> {
    let read = |row: &SqliteRow| {
        let id: &[u8] = row.try_get("id")?;
        let id = id.try_into().map_err(|_| StoreError::State("the id of a data key has another length".to_owned()))?;
        Ok(DataKey {
            id: KeyId(id),
            purpose: row.try_get("purpose")?,
            wrapped: row.try_get("wrapped")?,
            in_use: row.try_get::<Option<i64>, _>("retired_at")?.is_none(),
        })
    };
    rows.iter().map(read).collect()
}

fn has(kept: &[DataKey], purpose: &str) -> bool {
    kept.iter().any(|key| key.in_use && key.purpose == purpose)
}

/// Makes what data keys are missing, and the master key if there are none yet.
async fn add_missing(connection: &mut SqliteConnection, from: &MasterKey, whose: Whose<'_>) -> Result<Vec<DataKey>> {
    let kept = data_keys(&sqlx::query(ALL).fetch_all(&mut *connection).await?)?;
    let found = match (from.find(whose)?, kept.is_empty()) {
        (Some(found), is_new) => {
            if !is_new {
                master_of(&kept, &found)?;
            }
            found.check_owner(whose, !is_new)?;
            found
        }
        (None, false) => return Err(from.missing(whose.path).into()),
        (None, true) => {
            let made = KEYS.generate()?;
            from.put(whose, &[&made])?;
            Found::made(made)
        }
    };
    let master = master_of(&kept, &found)?;
    for purpose in PURPOSES.iter().filter(|purpose| !has(&kept, purpose)) {
        add(connection, master, purpose).await?;
    }
    data_keys(&sqlx::query(ALL).fetch_all(connection).await?)
}

/// The master key with which the data keys are wrapped.
pub(super) fn master_of<'a>(kept: &[DataKey], found: &'a Found) -> Result<&'a Master, SealError> {
    match kept.first() {
        Some(key) => found.find(id_of(&key.wrapped)?),
        None => found.keys.first().ok_or(Unopened::Failed.into()),
    }
}

/// Makes a data key for that purpose, which is in use from now on.
pub(super) async fn add(connection: &mut SqliteConnection, master: &Master, purpose: &str) -> Result<()> {
    let (bytes, id) = (random()?, random()?);
    let id = KeyId(*id.first_chunk().ok_or(Unopened::Failed)?);
    let wrapped = wrap(master, id, purpose, bytes.as_slice())?;
    let query = sqlx::query(INSERT).bind(id.0.as_slice()).bind(purpose).bind(wrapped).bind(now());
    query.execute(connection).await?;
    Ok(())
}

pub(super) fn wrap(master: &Master, id: KeyId, purpose: &str, bytes: &[u8]) -> Result<Vec<u8>, SealError> {
    Ok(master.key.seal(WRAPPING, &format!("{id} {purpose}"), bytes)?)
}

/// A data key as it is.
pub(super) fn unwrap(master: &Master, key: &DataKey) -> Result<zeroize::Zeroizing<Vec<u8>>, SealError> {
    Ok(master.key.unseal(WRAPPING, &format!("{} {}", key.id, key.purpose), &key.wrapped)?)
}

/// A sealer with these keys, and the master keys that are there, which are looked for only if one of the others is new to us.
fn opened(
    kept: &[DataKey],
    last: Option<&Sealer>,
    from: &MasterKey,
    whose: Whose<'_>,
) -> Result<(Sealer, Option<Found>)> {
    let known = |key: &DataKey| last.and_then(|last| last.all.get(&key.id));
    let found = if kept.iter().all(|key| known(key).is_some()) { None } else { from.find(whose)? };
    let sealer = sealer_of(kept, |key| {
        if let Some(open) = known(key) {
            return Ok(Arc::clone(open));
        }
        let found = found.as_ref().ok_or_else(|| from.missing(whose.path))?;
        Ok(open(key, found.find(id_of(&key.wrapped)?)?)?)
    })?;
    Ok((sealer, found))
}

/// The same with the master key at hand.
pub(super) fn open_with(kept: &[DataKey], master: &Master) -> Result<Sealer> {
    sealer_of(kept, |key| Ok(open(key, master)?))
}

fn sealer_of(kept: &[DataKey], mut open: impl FnMut(&DataKey) -> Result<Arc<Key>>) -> Result<Sealer> {
    let (mut all, mut in_use) = (HashMap::new(), HashMap::new());
    for key in kept {
        let open = open(key)?;
        if key.in_use {
            in_use.insert(key.purpose.clone(), Arc::clone(&open));
        }
        all.insert(key.id, open);
    }
    Ok(Sealer { in_use, all })
}

fn open(key: &DataKey, master: &Master) -> Result<Arc<Key>, SealError> {
    let bytes = unwrap(master, key)?;
    let bytes = bytes.first_chunk().filter(|_| bytes.len() == 32).ok_or(Unopened::Form)?;
    Ok(Arc::new(Key::new(key.id, bytes)?))
}

pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
