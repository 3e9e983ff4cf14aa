//! Tokens that were verified, by their digest, so that each is verified once and not with every request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bartizan_guard::Principal;
use bartizan_identity::token::Access;

use super::issuer::Issuer;

/// The SHA-256 of a token.
pub(super) type Digest = [u8; 32];

/// So many are known at a time.
const MOST: usize = 16_384;

/// What is known of a token.
#[derive(Clone)]
pub(super) enum Known {
    Good(Arc<Good>),
    /// Its issuer has said that it is not good, which counts until then.
    Bad(i64),
}

/// A token that is good, as long as what it was verified by is.
pub(super) struct Good {
    pub(super) issuer: Arc<Issuer>,
    pub(super) access: Access,
    pub(super) principal: Principal,
    /// Which keys have verified it.
    pub(super) generation: Option<u64>,
    /// When its issuer has to be asked again.
    pub(super) again: i64,
}

#[derive(Default)]
pub(super) struct Verified(Mutex<HashMap<Digest, Known>>);

impl Verified {
    pub(super) fn get(&self, digest: &Digest) -> Option<Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    pub(super) fn insert(&self, digest: Digest, known: Known, now: i64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST {
            all.retain(|_, known| match known {
                Known::Good(good) => good.access.when.until > now && good.again > now,
                Known::Bad(until) => *until > now,
            });
        }
        // Whoever has that many good ones has them verified again.
        if all.len() >= MOST {
            all.clear();
        }
        all.insert(digest, known);
    }
}
