//! How many tokens an issuer is asked about at a time, and whose.
//!
//! **Threat.** Somebody shows tokens that are none, each another one, so that the issuer is asked about them and nobody else
//! gets a turn. So each address has few at a time, and a token that was good when it was last asked about waits for no
//! token that never was.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::address;

/// How many that were good before.
const KNOWN: usize = 16;
/// How many that are new, and how many of them from one address.
const NEW: usize = 32;
const SHARE: usize = 4;
/// How long one waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Places {
    known: Semaphore,
    new: Semaphore,
    by_block: Mutex<HashMap<IpAddr, Weak<Semaphore>>>,
}

/// One token's turn, which is over when this is dropped.
pub(super) struct Place<'a> {
    _of: SemaphorePermit<'a>,
    _share: Option<OwnedSemaphorePermit>,
}

impl Default for Places {
    fn default() -> Self {
        Places { known: Semaphore::new(KNOWN), new: Semaphore::new(NEW), by_block: Mutex::default() }
    }
}

impl Places {
    /// A turn for a token that came from there and is new; or, without an address, for one that was good before. None if
    /// that takes too long.
    pub(super) async fn take(&self, from: Option<IpAddr>) -> Option<Place<'_>> {
        tokio::time::timeout(PATIENCE, self.wait(from)).await.ok().flatten()
    }

    async fn wait(&self, from: Option<IpAddr>) -> Option<Place<'_>> {
        let Some(from) = from else { return Some(Place { _of: self.known.acquire().await.ok()?, _share: None }) };
        // First its own share: whoever waits for that is in nobody's way.
        let share = self.share(address::block(from)).acquire_owned().await.ok()?;
        Some(Place { _of: self.new.acquire().await.ok()?, _share: Some(share) })
    }

    fn share(&self, block: IpAddr) -> Arc<Semaphore> {
        let mut all = self.by_block.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = all.get(&block).and_then(Weak::upgrade) {
            return share;
        }
        all.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(Semaphore::new(SHARE));
        all.insert(block, Arc::downgrade(&share));
        share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_takes_no_turn_of_another_nor_of_what_was_good_before() {
        let places = Places::default();
        let mut taken = Vec::new();
        for number in 0..KNOWN + SHARE {
            taken.push(places.take(address(1)).await);
            assert_eq!(taken.iter().flatten().count(), SHARE.min(number + 1));
        }
        assert!(places.take(address(2)).await.is_some(), "another address");
        assert!(places.take(None).await.is_some(), "one that was good");
        taken.clear();
        assert!(places.take(address(1)).await.is_some(), "once they are over");
    }

    #[tokio::test(start_paused = true)]
    async fn many_addresses_take_all_turns_of_new_ones_and_no_others() {
        let places = Places::default();
        let mut taken = Vec::new();
        for last in 0..u8::try_from(NEW).unwrap() {
            taken.push(places.take(address(last)).await.unwrap());
        }
        assert!(places.take(address(99)).await.is_none());
        assert!(places.take(None).await.is_some());
        drop(taken);
        assert!(places.take(address(99)).await.is_some());
        assert_eq!(places.by_block.lock().unwrap().len(), 1, "whoever waits for nothing is forgotten");
    }
}
