//! Saying of which store a master key is that lies where other stores may have theirs.
//!
//! **Threat.** A copy takes the key of a store that is only out of sight. Nothing tells that from a move to another disk, so who
//! knows has to say it. The key itself stays as it is: if they are wrong, the other store still opens once it is said of that one.

use super::keys::{ALL, data_keys, master_of};
use crate::events::{Change, note};
use crate::{Result, Store, StoreError};

/// What was said before of whose the key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// Which key.
    pub key: String,
    /// The store that it was of, as it was said; none if nothing said so.
    pub before: Option<String>,
    /// Whether it was of this store already.
    pub was_own: bool,
}

impl Store {
    /// Has the master key be that of this store, whichever it was of before. It has to open what is sealed in this store.
    ///
    /// # Errors
    /// If it is where no other store has one, is another one or not there, or if nothing is sealed yet.
    pub async fn claim_master(&self, change: &Change) -> Result<Claimed> {
        let refused = |why: &str| Err(StoreError::State(why.to_owned()));
        // Nobody changes the key meanwhile.
        let _writing = self.begin().await?;
        let (from, whose) = (self.master(), self.this());
        self.write_unmarked(async |connection| {
            let kept = data_keys(&sqlx::query(ALL).fetch_all(&mut *connection).await?)?;
            if kept.is_empty() {
                return refused("nothing has been sealed in this store yet, so no master key is its own");
            }
            let found = from.find(whose)?.ok_or_else(|| from.missing(whose.path))?;
            let key = master_of(&kept, &found)?.key.id().to_string();
            let Some(before) = found.said_owner() else {
                return refused("the master key is in no keyring, where it could be that of another store");
            };
            let was_own = found.check_owner(whose, true).is_ok();
            found.own(from, whose)?;
            let done = Claimed { key, before, was_own };
            if !was_own {
                let said = serde_json::json!({"key": done.key, "before": done.before});
                note(connection, change, "store.master_key_claimed", said).await?;
            }
            Ok(done)
        })
        .await
    }
}
