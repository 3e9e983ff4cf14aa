//! Tokens that were verified, by their digest, so that each is verified once and not with every request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bartizan_guard::Principal;
use bartizan_identity::token::Access;

use super::issuer::Issuer;

/// The SHA-256 of a token.
pub(super) type Digest = [u8; 32];

/// So many are known at a time, and so many known not to be good.
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

/// What is known of each. Tokens that are not good, of which anybody can make as many as they like, are kept apart, so that
/// they make none forgotten that are.
#[derive(Default)]
pub(super) struct Verified {
    good: Mutex<HashMap<Digest, Arc<Good>>>,
    bad: Mutex<HashMap<Digest, i64>>,
}

impl Verified {
    pub(super) fn get(&self, digest: &Digest) -> Option<Known> {
        if let Some(good) = of(&self.good).get(digest) {
            return Some(Known::Good(Arc::clone(good)));
        }
        of(&self.bad).get(digest).copied().map(Known::Bad)
    }

    pub(super) fn insert(&self, digest: Digest, known: Known, now: i64) {
        match known {
            Known::Good(good) => {
                put(&self.good, digest, good, |good| good.access.when.until > now);
            }
            Known::Bad(until) => {
                of(&self.good).remove(&digest);
                put(&self.bad, digest, until, |until| *until > now);
            }
        }
    }
}

fn of<T>(all: &Mutex<T>) -> MutexGuard<'_, T> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts one among as many as there may be, of which only some still count.
fn put<T>(all: &Mutex<HashMap<Digest, T>>, digest: Digest, known: T, counts: impl Fn(&T) -> bool) {
    let mut all = of(all);
    if all.len() >= MOST {
        all.retain(|_, known| counts(known));
    }
    // Whoever has that many has them verified again.
    if all.len() >= MOST {
        all.clear();
    }
    all.insert(digest, known);
}
