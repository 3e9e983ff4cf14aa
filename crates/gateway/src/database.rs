//! The store of this gateway, for all that needs it.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bartizan_store::{MasterKey, Store, StoreError};

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

    /// Whether that is the store which was opened last.
    pub(crate) fn is_at(&self, store: &Arc<Store>) -> bool {
        self.store.load().as_ref().is_some_and(|held| Arc::ptr_eq(held, store))
    }

    /// The one of a configuration.
    #[must_use]
    pub fn of(config: &bartizan_config::Config) -> Arc<Database> {
        Database::new(
            config.store.clone(),
            MasterKey::given(config.store_key.as_ref().map(bartizan_config::Secret::expose)),
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
