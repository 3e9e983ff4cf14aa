//! Whether a program works that was just started: one that ends before it has answered anything does not.
//!
//! Threat: each client that comes would start a program that crashes at its start once more, as often as it asks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::breaker::Attempt;
use super::{Breaker, UpstreamError};

/// The starts of one server's program.
#[derive(Debug, Default)]
pub(crate) struct Starts {
    breaker: Arc<Breaker>,
    /// Held once more by each process that has answered something and goes on.
    working: Arc<()>,
}

/// One start of it.
#[derive(Debug)]
pub(crate) struct Trial {
    starts: Arc<Starts>,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// It has answered nothing yet.
    Open(Attempt),
    Works(#[expect(dead_code, reason = "it counts while it is held")] Arc<()>),
    Over,
}

/// A program that lasts this long without an answer has not failed at its start.
const LASTED: Duration = Duration::from_secs(10);

impl Starts {
    /// Leave to start it once.
    ///
    /// # Errors
    /// If it failed so often that it is left alone for now.
    pub(crate) fn begin(self: &Arc<Self>) -> Result<Arc<Trial>, UpstreamError> {
        let attempt = self.breaker.attempt(Instant::now());
        let attempt = attempt.map_err(|rest| UpstreamError::Resting(rest.as_secs() + 1))?;
        Ok(Arc::new(Trial { starts: Arc::clone(self), state: Mutex::new(State::Open(attempt)) }))
    }
}

impl Trial {
    /// The program runs. One that neither answers nor ends keeps nobody else from starting it for long.
    pub(super) fn runs(self: &Arc<Self>) {
        let trial = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(LASTED).await;
            let Some(trial) = trial.upgrade() else { return };
            let mut state = trial.state();
            if matches!(*state, State::Open(_)) {
                *state = State::Over;
            }
        });
    }

    /// It has answered something.
    pub(super) fn answered(&self) {
        let mut state = self.state();
        if matches!(*state, State::Open(_))
            && let State::Open(attempt) = std::mem::replace(&mut *state, State::Works(Arc::clone(&self.starts.working)))
        {
            attempt.succeeded();
        }
    }

    /// It ended by itself, or could not be started.
    pub(crate) fn ended(&self) {
        if let State::Open(attempt) = std::mem::replace(&mut *self.state(), State::Over)
            // Where others work it is not the program, but what this client said to it: no reason to keep it from the rest.
            && Arc::strong_count(&self.starts.working) == 1
        {
            attempt.failed(Instant::now());
        }
    }

    /// It is ended from here, which says nothing of it.
    pub(super) fn let_go(&self) {
        *self.state() = State::Over;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = fn(&Trial);

    /// So many starts one after the other, each with this outcome; how many of them were made.
    fn run(starts: &Arc<Starts>, count: usize, outcome: Outcome) -> usize {
        let made = (0..count).filter_map(|_| starts.begin().ok());
        made.map(|trial| outcome(&trial)).count()
    }

    #[test]
    fn only_a_program_that_ends_by_itself_without_an_answer_is_left_alone() {
        let cases: [(&str, Outcome, usize); 5] = [
            ("crashes at its start", Trial::ended, 5),
            ("crashes after its first answer", |trial| (trial.answered(), trial.ended()).1, 20),
            ("is ended from here", |trial| (trial.let_go(), trial.ended()).1, 20),
            ("is given up before it runs", |_| (), 20),
            ("works", Trial::answered, 20),
        ];
        for (what, outcome, made) in cases {
            let starts = Arc::<Starts>::default();
            assert_eq!(run(&starts, 20, outcome), made, "one that {what}");
            let resting = matches!(starts.begin(), Err(UpstreamError::Resting(_)));
            assert_eq!(resting, made < 20, "one that {what}");
        }
    }

    #[test]
    fn failures_count_in_a_row() {
        let starts = Arc::<Starts>::default();
        for _ in 0..5 {
            assert_eq!(run(&starts, 4, Trial::ended), 4);
            assert_eq!(run(&starts, 1, Trial::answered), 1);
        }
    }

    #[test]
    fn a_client_that_makes_it_crash_does_not_keep_it_from_others_while_it_works_for_one() {
        let starts = Arc::<Starts>::default();
        let working = starts.begin().unwrap();
        working.answered();
        assert_eq!(run(&starts, 20, Trial::ended), 20);
        working.ended();
        assert_eq!(run(&starts, 20, Trial::ended), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_neither_answers_nor_ends_has_not_failed() {
        let starts = Arc::<Starts>::default();
        assert_eq!(run(&starts, 4, Trial::ended), 4);
        let slow = starts.begin().unwrap();
        slow.runs();
        tokio::time::sleep(LASTED * 2).await;
        slow.ended();
        assert!(starts.begin().is_ok());
    }
}
