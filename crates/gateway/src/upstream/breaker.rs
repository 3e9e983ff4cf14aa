//! Leaves a failing server alone for a while, so that nobody waits for what will not come.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Counts failures in a row; after enough of them it opens, and lets one attempt through after each rest.
#[derive(Debug)]
pub struct Breaker {
    /// How many are enough.
    patience: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    rests_until: Option<Instant>,
    /// The one attempt after a rest is under way.
    probed: bool,
}

/// An attempt that may be made. Dropped without an outcome, it says nothing of the server: whoever wanted it has gone.
#[derive(Debug)]
pub struct Attempt {
    breaker: Arc<Breaker>,
    /// The one after a rest.
    probe: bool,
}

const PATIENCE: u32 = 5;
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(30);

impl Default for Breaker {
    fn default() -> Self {
        Breaker::after(PATIENCE)
    }
}

impl Breaker {
    /// One that opens after this many failures in a row.
    pub(crate) fn after(failures: u32) -> Self {
        Breaker { patience: failures, state: Mutex::default() }
    }

    /// Whether an attempt may be made now.
    ///
    /// # Errors
    /// How long to wait otherwise.
    pub fn attempt(self: &Arc<Self>, now: Instant) -> Result<Attempt, Duration> {
        let mut state = self.state();
        let probe = match state.rests_until {
            Some(until) if now < until => return Err(until - now),
            // Others wait for the outcome of the one, however long it takes.
            Some(_) if state.probed => return Err(FIRST_REST),
            Some(_) => true,
            None => false,
        };
        state.probed |= probe;
        drop(state);
        Ok(Attempt { breaker: Arc::clone(self), probe })
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

impl Attempt {
    /// Whether it is the one after a rest, for whose outcome all others wait.
    pub(super) fn is_probe(&self) -> bool {
        self.probe
    }

    /// It succeeded.
    pub fn succeeded(mut self) {
        self.probe = false;
        *self.breaker.state() = State::default();
    }

    /// It failed.
    pub fn failed(self, now: Instant) {
        let mut state = self.breaker.state();
        // What began before the rest and fails late says nothing new.
        if state.rests_until.is_some() && !self.probe {
            return;
        }
        state.failures = state.failures.saturating_add(1);
        if let Some(more) = state.failures.checked_sub(self.breaker.patience) {
            let doubled = FIRST_REST.saturating_mul(1 << more.min(8));
            state.rests_until = Some(now + doubled.min(LONGEST_REST));
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.probe {
            self.breaker.state().probed = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that has just opened.
    fn open(start: Instant) -> Arc<Breaker> {
        let breaker = Arc::<Breaker>::default();
        for _ in 0..PATIENCE {
            breaker.attempt(start).unwrap().failed(start);
        }
        breaker
    }

    #[test]
    fn opens_after_failures_in_a_row_and_lets_one_through_after_each_rest() {
        let (breaker, start) = (Arc::<Breaker>::default(), Instant::now());
        for _ in 0..PATIENCE - 1 {
            breaker.attempt(start).unwrap().failed(start);
            assert!(breaker.attempt(start).is_ok());
        }
        breaker.attempt(start).unwrap().failed(start);
        assert!(breaker.attempt(start).is_err());
        let later = start + FIRST_REST;
        let probe = breaker.attempt(later).unwrap();
        assert!(breaker.attempt(later).is_err(), "only one probe");
        probe.failed(later);
        assert!(breaker.attempt(later + FIRST_REST).is_err(), "the rest grows");
        breaker.attempt(later + FIRST_REST * 2).unwrap().succeeded();
        assert!(breaker.attempt(later).is_ok() && !breaker.is_open());
    }

    #[test]
    fn there_is_one_probe_however_long_it_takes() {
        let start = Instant::now();
        let breaker = open(start);
        let probe = breaker.attempt(start + FIRST_REST).unwrap();
        for seconds in 1..60 {
            assert!(breaker.attempt(start + FIRST_REST * seconds).is_err(), "{seconds}");
        }
        probe.failed(start + FIRST_REST * 60);
        let again = breaker.attempt(start + FIRST_REST * 62).unwrap();
        // A client that leaves says nothing of the server, and keeps nobody from asking it.
        drop(again);
        breaker.attempt(start + FIRST_REST * 62).unwrap().succeeded();
        assert!(!breaker.is_open());
    }

    #[test]
    fn what_fails_late_does_not_make_the_rest_longer() {
        let (breaker, start) = (Arc::<Breaker>::default(), Instant::now());
        let late: Vec<_> = (0..10).map(|_| breaker.attempt(start).unwrap()).collect();
        for _ in 0..PATIENCE {
            breaker.attempt(start).unwrap().failed(start);
        }
        late.into_iter().for_each(|attempt| attempt.failed(start));
        assert!(breaker.attempt(start + FIRST_REST).is_ok());
    }
}
