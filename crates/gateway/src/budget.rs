//! How much memory messages that are still arriving may take together.
//!
//! **Threat.** Each message is bounded, but their number is what an attacker chooses: a hundred bodies of 10 MB, all
//! but finished and then left, take a gigabyte. So beyond a small size each draws on one budget for the whole gateway,
//! and one that finds it used up is refused at once: small messages, which nearly all are, never notice.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What all messages together may take.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    kibibytes: Arc<Semaphore>,
    /// What one server may take of it, so that one that leaves its answers unfinished does not use up all.
    part: Arc<Semaphore>,
}

/// What one message takes of it; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Budget,
    held: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
}

/// The budget is used up.
#[derive(Debug)]
pub(crate) struct Crowded;

/// Up to here a message is free.
const FREE: usize = 64 * 1024;
/// Drawn in steps of this size.
const STEP: usize = 64 * 1024;
/// The whole, unless two of the largest messages would not fit.
const WHOLE: usize = 80 * 1024 * 1024;

impl Budget {
    /// A budget for messages of at most `largest` bytes.
    pub(crate) fn new(largest: usize) -> Self {
        let kibibytes = (WHOLE.max(largest.saturating_mul(2)) / 1024).min(Semaphore::MAX_PERMITS);
        Budget { kibibytes: Arc::new(Semaphore::new(kibibytes)), part: Arc::new(Semaphore::new(kibibytes)) }
    }

    /// The same budget, of which no more than half may be taken through what is returned, or one of the `largest`.
    pub(crate) fn part(&self, largest: usize) -> Self {
        let whole = self.part.available_permits();
        let half = (whole / 2).max(largest / 1024 + STEP / 1024).min(whole);
        Budget { kibibytes: Arc::clone(&self.kibibytes), part: Arc::new(Semaphore::new(half)) }
    }

    /// A share of nothing yet.
    pub(crate) fn share(&self) -> Share {
        Share { budget: self.clone(), held: None }
    }
}

impl Share {
    /// Makes the share fit what `bytes` take, by drawing more or giving back.
    ///
    /// # Errors
    /// If the budget does not have it.
    pub(crate) fn fit(&mut self, bytes: usize) -> Result<(), Crowded> {
        if bytes <= FREE {
            self.held = None;
            return Ok(());
        }
        let wanted = bytes.div_ceil(STEP) * (STEP / 1024);
        let has = self.held.as_ref().map_or(0, |(whole, _)| whole.num_permits());
        if wanted <= has {
            if let Some((whole, part)) = &mut self.held {
                drop((whole.split(has - wanted), part.split(has - wanted)));
            }
            return Ok(());
        }
        let more = u32::try_from(wanted - has).map_err(|_| Crowded)?;
        let draw = |from: &Arc<Semaphore>| Arc::clone(from).try_acquire_many_owned(more).map_err(|_| Crowded);
        let (of_part, of_whole) = (draw(&self.budget.part)?, draw(&self.budget.kibibytes)?);
        match &mut self.held {
            Some((whole, part)) => {
                whole.merge(of_whole);
                part.merge(of_part);
            }
            None => self.held = Some((of_whole, of_part)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_does_not_use_up_what_all_need() {
        const MIB: usize = 1024 * 1024;
        let budget = Budget::new(10 * MIB);
        let (hostile, honest) = (budget.part(10 * MIB), budget.part(10 * MIB));
        let mut held: Vec<_> = (0..8).map(|_| hostile.share()).collect();
        let got = held.iter_mut().filter_map(|share| share.fit(10 * MIB).ok()).count();
        assert_eq!(got, 4, "half of the whole");
        assert!(honest.share().fit(10 * MIB).is_ok() && budget.share().fit(10 * MIB).is_ok());
        assert!(hostile.share().fit(MIB).is_err());
        held.clear();
        assert!(hostile.share().fit(10 * MIB).is_ok());
    }

    #[test]
    fn shares_are_drawn_given_back_and_refused() {
        const MIB: usize = 1024 * 1024;
        let budget = Budget::new(10 * MIB);
        let mut shares: Vec<_> = (0..8).map(|_| budget.share()).collect();
        assert!(shares.iter_mut().all(|share| share.fit(10 * MIB).is_ok()));
        let mut late = budget.share();
        assert!(late.fit(FREE).is_ok() && late.fit(FREE + 1).is_err());
        shares.pop();
        assert!(late.fit(6 * MIB).is_ok() && late.fit(10 * MIB).is_ok() && late.fit(MIB).is_ok());
        assert!(shares.iter_mut().all(|share| share.fit(0).is_ok()));
        drop(late);
        assert_eq!(budget.kibibytes.available_permits(), WHOLE / 1024);
        assert!(Budget::new(200 * MIB).share().fit(400 * MIB).is_ok());
    }
}
