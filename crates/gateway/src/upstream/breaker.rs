//! Leaves a failing server alone for a while, so that nobody waits for what will not come.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Counts failures in a row; after enough of them it opens, and lets one attempt through after each rest.
#[derive(Debug, Default)]
pub struct Breaker {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    rests_until: Option<Instant>,
}

const PATIENCE: u32 = 5;
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(30);

impl Breaker {
    /// Whether an attempt may be made now.
    ///
    /// # Errors
    /// How long to wait otherwise.
    pub fn attempt(&self, now: Instant) -> Result<(), Duration> {
        let mut state = self.state();
        match state.rests_until {
            Some(until) if now < until => Err(until - now),
            Some(_) => {
                // One attempt; others wait for its outcome.
                state.rests_until = Some(now + FIRST_REST);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The attempt succeeded.
    pub fn succeeded(&self) {
        *self.state() = State::default();
    }

    /// The attempt failed.
    pub fn failed(&self, now: Instant) {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        if state.failures >= PATIENCE {
            let doubled = FIRST_REST.saturating_mul(1 << (state.failures - PATIENCE).min(8));
            state.rests_until = Some(now + doubled.min(LONGEST_REST));
        }
    }

    /// Whether it is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state().rests_until.is_some()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_after_failures_in_a_row_and_lets_one_through_after_each_rest() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        for _ in 0..PATIENCE - 1 {
            breaker.failed(start);
            assert!(breaker.attempt(start).is_ok());
        }
        breaker.failed(start);
        assert!(breaker.attempt(start).is_err());
        let later = start + FIRST_REST;
        assert!(breaker.attempt(later).is_ok());
        assert!(breaker.attempt(later).is_err(), "only one probe");
        breaker.failed(later);
        assert!(breaker.attempt(later + FIRST_REST).is_err(), "the rest grows");
        breaker.succeeded();
        assert!(breaker.attempt(later).is_ok() && !breaker.is_open());
    }
}
