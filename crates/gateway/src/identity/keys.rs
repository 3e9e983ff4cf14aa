//! The keys that are good, as the database has them.
//!
//! All of them are in memory, with the revision of the database at which they were read. Each look at a key compares it, so
//! what was revoked is refused from the moment on at which `bartizan key revoke` returns, in every process.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bartizan_guard::{Principal, Scope, Scopes, Timestamp};
use bartizan_identity::{ApiKeyId, Digest};
use bartizan_store::{Revision, Store, StoreError, api_keys};

use crate::changes;
use crate::database::{Database, Read, Snapshot};
use crate::recorder::Recorder;
use crate::seldom::Seldom;

/// How exactly it is known when a key was last used, in microseconds.
const MINUTE: i64 = 60_000_000;
/// How long uses are gathered before they are written.
const GATHER: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 5_000 });

/// Why a key does not open anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is none, or not good, for that reason.
    Bad(&'static str),
    /// The database cannot be read.
    Unknown,
}

/// The keys of one database.
pub(super) struct Keys {
    database: Arc<Database>,
    /// Those that may be good.
    read: Snapshot<Held>,
    /// At which state of the database all that was done is in the log.
    recorded: Mutex<Option<Revision>>,
    /// That they cannot be recorded, or checked, is not said each time.
    unrecorded: Seldom,
    unchecked: Seldom,
    /// Uses that are not written yet.
    uses: Arc<Mutex<Vec<(String, i64)>>>,
}

/// What the database says of who comes in.
struct Held {
    keys: HashMap<ApiKeyId, Arc<Known>>,
    /// How names are written that a person or a key has, by what they are but for case.
    names: HashMap<String, String>,
}

/// What is known of a key that was not revoked.
pub(super) struct Known {
    pub(super) digest: Digest,
    pub(super) principal: Principal,
    expires_at: i64,
    last_used_at: AtomicI64,
}

impl Keys {
    pub(super) fn new(database: Arc<Database>) -> Keys {
        Keys {
            database,
            read: Snapshot::default(),
            recorded: Mutex::default(),
            unrecorded: Seldom::default(),
            unchecked: Seldom::default(),
            uses: Arc::default(),
        }
    }

    pub(super) async fn open(&self) -> Result<(), StoreError> {
        self.database.open().await.map(drop)
    }

    /// What is known of a key, unless it has expired.
    pub(super) async fn find(&self, id: &ApiKeyId, now: Timestamp) -> Result<Arc<Known>, Standing> {
        let known = self.read().await?.and_then(|read| read.held.keys.get(id).cloned());
        let known = known.ok_or(Standing::Bad("there is no such key, or it was revoked"))?;
        if known.expires_at > now.0 { Ok(known) } else { Err(Standing::Bad("it has expired")) }
    }

    /// How a person or whoever has a key is called, if this name differs from theirs only in case.
    pub(super) async fn other_spelling(&self, name: &str) -> Result<Option<String>, Standing> {
        let Some(folded) = Principal::folded(name) else { return Ok(None) };
        let held = self.read().await?;
        let written = held.as_ref().and_then(|read| read.held.names.get(&folded));
        Ok(written.filter(|written| *written != name).cloned())
    }

    async fn read(&self) -> Result<Option<Arc<Read<Held>>>, Standing> {
        match self.read.fresh(&self.database) {
            Some(read) => Ok(Some(read)),
            // Seldom, so it takes no room in the future of every request.
            None => Box::pin(self.read_again()).await,
        }
    }

    /// What the database has now; nothing if there is none.
    async fn read_again(&self) -> Result<Option<Arc<Read<Held>>>, Standing> {
        // Whoever shows a key that nobody made does not make a database by that.
        if self.database.is_absent() {
            return Ok(None);
        }
        self.read.read_again(&self.database, held).await.map_err(|error| {
            if let Some(more) = self.unchecked.next() {
                tracing::error!(%error, more, "keys cannot be checked, so whoever shows one is refused");
            }
            Standing::Unknown
        })
    }

    /// Records what was done with keys since, whichever process did it, in the log of this gateway.
    pub(super) async fn record_changes(&self, log: &Recorder) {
        if self.database.is_absent() {
            return;
        }
        let recorded = async {
            let Some(store) = self.database.open().await? else { return Ok(Ok(())) };
            let revision = store.revision();
            let is_noted = store.take_noted();
            // Forgotten until it is done, so that a failure has all of it looked at again.
            let recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner).take();
            if revision.is_some() && recorded == revision && !is_noted {
                *self.recorded.lock().unwrap_or_else(PoisonError::into_inner) = recorded;
                return Ok(Ok(()));
            }
            if let Err(error) = changes::record_all(&store, log).await? {
                return Ok(Err(error));
            }
            *self.recorded.lock().unwrap_or_else(PoisonError::into_inner) = revision;
            Ok::<_, StoreError>(Ok(()))
        };
        let (what, error) = match recorded.await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => ("what was done with keys cannot be recorded", error.to_string()),
            Err(error) => ("it cannot be told what was done with keys", error.to_string()),
        };
        // It is tried each second, and whoever can mend it is told once.
        if let Some(more) = self.unrecorded.next() {
            tracing::error!(error, more, "{what}");
        }
    }

    /// Remembers that a key was used, to the minute; written soon after, together with others.
    pub(super) fn note_use(&self, id: &ApiKeyId, known: &Known, now: Timestamp) {
        let minute = now.0 - now.0.rem_euclid(MINUTE);
        if known.last_used_at.fetch_max(minute, Ordering::Relaxed) >= minute {
            return;
        }
        let Some(store) = self.database.opened() else { return };
        let first = {
            let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
            uses.push((id.to_string(), minute));
            uses.len() == 1
        };
        if first {
            let uses = Arc::clone(&self.uses);
            tokio::spawn(async move {
                tokio::time::sleep(GATHER).await;
                let uses = std::mem::take(&mut *uses.lock().unwrap_or_else(PoisonError::into_inner));
                if let Err(error) = store.note_uses(&uses).await {
                    tracing::warn!(%error, "when keys were last used could not be written");
                }
            });
        }
    }
}

/// All keys that the store has, and all names.
async fn held(store: &Store) -> Result<Held, StoreError> {
    let (keys, unreadable) = store.api_keys_and_others().await?;
    if unreadable > 0 {
        tracing::warn!(rows = unreadable, "there are keys in the store that cannot be understood; they open nothing");
    }
    let people = store.names().await?.into_iter();
    let mut names: HashMap<_, _> = people.filter_map(|name| Some((Principal::folded(&name)?, name))).collect();
    // The oldest first, so of keys that were made before names were compared it has the name.
    let keys = keys.into_iter().filter(|key| key.revoked_at.is_none()).filter(|key| {
        let Some(folded) = Principal::folded(&key.principal) else { return true };
        let written = names.entry(folded).or_insert_with(|| key.principal.clone());
        if *written != key.principal {
            let (key, name) = (&key.id, &key.principal);
            tracing::warn!(%key, %name, %written, "a key has a name that differs from a known one only in case, and is refused");
        }
        *written == key.principal
    });
    let keys = keys.filter_map(known).collect();
    Ok(Held { keys, names })
}

/// A row that is good for something. One that cannot be understood is not.
fn known(key: api_keys::ApiKey) -> Option<(ApiKeyId, Arc<Known>)> {
    let api_keys::ApiKey { id, digest, principal, mut roles, scopes, expires_at, revoked_at, last_used_at, .. } = key;
    if revoked_at.is_some() {
        return None;
    }
    let id = ApiKeyId::parse(&id).ok()?;
    let scopes: Result<Vec<_>, _> = scopes.iter().map(|scope| Scope::parse(scope)).collect();
    let Ok(scopes) = scopes else {
        tracing::warn!(key = %id, "a key has a scope that this version does not know, and is refused");
        return None;
    };
    roles.sort();
    let roles = roles.into_iter().map(String::into_boxed_str).collect();
    let principal = Principal { roles, scopes: Scopes::of(scopes), ..Principal::new(&principal) };
    let last_used_at = AtomicI64::new(last_used_at.unwrap_or(i64::MIN));
    Some((id, Arc::new(Known { digest: Digest::from_bytes(digest), principal, expires_at, last_used_at })))
}
