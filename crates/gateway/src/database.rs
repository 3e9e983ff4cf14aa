//! The store of this gateway, for all that needs it.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bartizan_store::{MasterKey, Revision, Store, StoreError};
use tokio::sync::Mutex;

/// The store, opened when it is first needed, and anew if its file is another one by then.
pub struct Database {
    place: Option<PathBuf>,
    master: MasterKey,
    store: ArcSwapOption<Store>,
}

impl Database {
    /// The one at `place`, which need not be there yet; none at all without a place.
    #[must_use]
    pub fn new(place: Option<PathBuf>, master: MasterKey) -> Arc<Database> {
        Arc::new(Database { place, master, store: ArcSwapOption::empty() })
    }

    /// The store, which is made if it is not there; nothing if it has no place. Ask each time: after its file was replaced
    /// it is another.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub async fn open(&self) -> Result<Option<Arc<Store>>, StoreError> {
        let present = self.store.load_full();
        if present.as_ref().is_some_and(|store| !store.is_replaced()) {
            return Ok(present);
        }
        let Some(place) = &self.place else { return Ok(None) };
        let store = Arc::new(Store::open_with(place, self.master.clone()).await?);
        if present.is_some() {
            tracing::warn!(store = %place.display(), "the store was replaced, and is read anew");
        }
        self.store.store(Some(Arc::clone(&store)));
        Ok(Some(store))
    }

    /// Why there is no place for the store, if it is not there and its directory cannot be either. What is missing of that is
    /// made; the store itself is once it is needed.
    pub(crate) fn obstacle(&self) -> Option<String> {
        let directory = self.place.as_deref().filter(|place| !place.exists())?.parent()?;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.err().map(|error| format!("{}: {error}", directory.display()))
    }

    /// Whether that is the store which was opened last.
    pub(crate) fn is_at(&self, store: &Arc<Store>) -> bool {
        self.store.load().as_ref().is_some_and(|held| Arc::ptr_eq(held, store))
    }

    /// The one of a configuration.
    #[must_use]
    pub fn of(config: &bartizan_config::Config) -> Arc<Database> {
        Database::new(
            config.store.clone(),
            MasterKey::of(
                config.store_key.as_ref().map(bartizan_config::Secret::expose),
                config.store_keyring.as_ref(),
            ),
        )
    }

    /// What was opened last, whether it is still the one that others use or not.
    pub(crate) fn opened(&self) -> Option<Arc<Store>> {
        self.store.load_full()
    }

    /// Whether there is none, and none was ever opened.
    pub(crate) fn is_absent(&self) -> bool {
        self.store.load().is_none() && !self.place.as_ref().is_some_and(|place| place.exists())
    }
}

/// Something that was read of the store and is kept in memory. It is relied upon only while the store is as it was then, so
/// what another process changed is seen by whoever looks after that.
pub(crate) struct Snapshot<T> {
    read: ArcSwapOption<Read<T>>,
    /// So that of many who find that something changed one reads.
    reading: Mutex<()>,
}

/// What was read, at one state of the store.
pub(crate) struct Read<T> {
    pub(crate) store: Arc<Store>,
    revision: Option<Revision>,
    pub(crate) held: T,
}

impl<T> Default for Snapshot<T> {
    fn default() -> Self {
        Snapshot { read: ArcSwapOption::empty(), reading: Mutex::default() }
    }
}

impl<T> Snapshot<T> {
    /// What was read last, whether it is still so or not.
    pub(crate) fn last(&self) -> Option<Arc<Read<T>>> {
        self.read.load_full()
    }

    /// What was read, if the store has not changed since.
    pub(crate) fn fresh(&self, database: &Database) -> Option<Arc<Read<T>>> {
        let read = self.read.load_full()?;
        // What was read in another file says nothing of this one.
        if !database.is_at(&read.store) {
            return None;
        }
        let revision = read.store.revision();
        (revision.is_some() && revision == read.revision).then_some(read)
    }

    /// What `read` finds in the store now, unless somebody else has just found it; nothing if there is no place for one.
    pub(crate) async fn read_again<E: From<StoreError>>(
        &self,
        database: &Database,
        read: impl AsyncFnOnce(&Store) -> Result<T, E>,
    ) -> Result<Option<Arc<Read<T>>>, E> {
        let _one = self.reading.lock().await;
        if let Some(read) = self.fresh(database) {
            return Ok(Some(read));
        }
        let Some(store) = database.open().await? else { return Ok(None) };
        if store.revision().is_none() {
            store.settle();
        }
        let before = store.revision();
        let held = read(&store).await?;
        // What was read while somebody wrote may be of before or of after.
        let revision = before.filter(|before| store.revision() == Some(*before));
        let read = Arc::new(Read { store, revision, held });
        self.read.store(Some(Arc::clone(&read)));
        Ok(Some(read))
    }
}
