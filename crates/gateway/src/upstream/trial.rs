//! Whether a program works that was just started: one that ends before it has answered anything may not.
//!
//! Threat: each client that comes would start a program that crashes at its start once more, as often as it asks. And the
//! other way round: a client that makes a working program crash would keep it from all others, if its crashes were taken for
//! the program's. So crashes under what clients say only raise a doubt; it is the gateway that finds out, with a process that
//! hears nothing but its own greeting.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bartizan_mcp::Limits;
use tokio::sync::OwnedSemaphorePermit;

use super::{Breaker, Reply, Routing, StdioUpstream, UpstreamError};
use crate::admit;
use crate::own;
use crate::program::Program;
use crate::recorder::Recorder;

/// The starts of one server's program.
#[derive(Debug)]
pub(crate) struct Starts {
    /// Processes in a row that ended without having answered anything.
    crashes: AtomicU32,
    /// Opens as soon as the gateway has found that it does not work.
    breaker: Arc<Breaker>,
    /// Held while the gateway finds out.
    proving: tokio::sync::Mutex<()>,
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
    Open,
    Works(#[expect(dead_code, reason = "it counts while it is held")] Arc<()>),
    Over,
}

/// A program that lasts this long without an answer has not failed at its start.
const LASTED: Duration = Duration::from_secs(10);
/// Crashes in a row after which it is in doubt.
const PATIENCE: u32 = 5;
/// The session under which the gateway's own greeting is recorded.
const SESSION: &str = "trial";

impl Default for Starts {
    fn default() -> Self {
        let (crashes, breaker) = (AtomicU32::new(0), Arc::new(Breaker::after(1)));
        Starts { crashes, breaker, proving: tokio::sync::Mutex::default(), working: Arc::default() }
    }
}

impl Starts {
    /// Leave to start it once. If it is in doubt, `works` finds out first, for all who come meanwhile.
    ///
    /// # Errors
    /// If it does not work, and is left alone for now.
    pub(crate) async fn begin(
        self: &Arc<Self>,
        works: impl Future<Output = bool>,
    ) -> Result<Arc<Trial>, UpstreamError> {
        if self.is_in_doubt() {
            let _one = self.proving.lock().await;
            if self.is_in_doubt() {
                self.prove(works).await?;
            }
        }
        Ok(Arc::new(Trial { starts: Arc::clone(self), state: Mutex::new(State::Open) }))
    }

    async fn prove(&self, works: impl Future<Output = bool>) -> Result<(), UpstreamError> {
        let resting = |rest: Duration| UpstreamError::Resting(rest.as_secs() + 1);
        let attempt = self.breaker.attempt(Instant::now()).map_err(resting)?;
        if works.await {
            self.crashes.store(0, Ordering::Relaxed);
            attempt.succeeded();
            return Ok(());
        }
        attempt.failed(Instant::now());
        self.breaker.attempt(Instant::now()).map(drop).map_err(resting)
    }

    fn is_in_doubt(&self) -> bool {
        self.crashes.load(Ordering::Relaxed) >= PATIENCE && !self.works_for_some()
    }

    /// Where it works for one, it is not the program, but what another client said to it, that ended a process.
    fn works_for_some(&self) -> bool {
        Arc::strong_count(&self.working) > 1
    }
}

/// Whether a process of the program goes on that hears nothing from any client: one that answers a greeting, with whatever,
/// or is still there after a while. It runs in a place of the server's like any other, and has left it when this returns;
/// given up before that, it keeps the place until it says no more.
pub(crate) async fn works(
    recorder: &Recorder,
    server: &Arc<str>,
    (program, place): (&Program, Arc<OwnedSemaphorePermit>),
    limits: Limits,
) -> bool {
    let name = Arc::clone(server);
    let log = move |line: &str| tracing::info!(target: "bartizan::server", server = %name, "{line}");
    let Ok(child) = StdioUpstream::spawn(program, Routing::ByRequest, limits, log).await else { return false };
    child.hold(place, None);
    // Without a log nothing is said to anybody, and nothing is known of the program.
    let Ok(hello) = admit::own(recorder, server, SESSION, own::initialize("0")) else { return true };
    let answers = async {
        let Ok(mut replies) = child.send(&hello).await else { return false };
        while let Ok(Some(reply)) = replies.next().await {
            if matches!(reply, Reply::Message(message, _) if message.is_response()) {
                return true;
            }
        }
        false
    };
    let works = tokio::time::timeout(LASTED, answers).await.unwrap_or(true);
    child.end().await;
    works
}

impl Trial {
    /// The program runs. One that neither answers nor ends has not crashed.
    pub(super) fn runs(self: &Arc<Self>) {
        let trial = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(LASTED).await;
            let Some(trial) = trial.upgrade() else { return };
            let mut state = trial.state();
            if matches!(*state, State::Open) {
                *state = State::Over;
            }
        });
    }

    /// It has answered something.
    pub(super) fn answered(&self) {
        let mut state = self.state();
        if matches!(*state, State::Open) {
            *state = State::Works(Arc::clone(&self.starts.working));
            self.starts.crashes.store(0, Ordering::Relaxed);
        }
    }

    /// It ended by itself, or could not be started.
    pub(crate) fn ended(&self) {
        let before = std::mem::replace(&mut *self.state(), State::Over);
        if matches!(before, State::Open) && !self.starts.works_for_some() {
            self.starts.crashes.fetch_add(1, Ordering::Relaxed);
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
    use std::future::ready;

    use super::*;

    type Outcome = fn(&Trial);

    /// So many starts one after the other, each with this outcome, of a program that works or does not when nobody but the
    /// gateway speaks to it; how many of them were made.
    async fn run(starts: &Arc<Starts>, works: bool, count: usize, outcome: Outcome) -> usize {
        let mut made = 0;
        for _ in 0..count {
            if let Ok(trial) = starts.begin(ready(works)).await {
                outcome(&trial);
                made += 1;
            }
        }
        made
    }

    #[tokio::test]
    async fn only_a_program_that_ends_by_itself_without_an_answer_is_left_alone() {
        let cases: [(&str, Outcome, usize); 5] = [
            ("crashes at its start", Trial::ended, 5),
            ("crashes after its first answer", |trial| (trial.answered(), trial.ended()).1, 20),
            ("is ended from here", |trial| (trial.let_go(), trial.ended()).1, 20),
            ("is given up before it runs", |_| (), 20),
            ("works", Trial::answered, 20),
        ];
        for (what, outcome, made) in cases {
            let starts = Arc::<Starts>::default();
            assert_eq!(run(&starts, false, 20, outcome).await, made, "one that {what}");
            let resting = matches!(starts.begin(ready(false)).await, Err(UpstreamError::Resting(_)));
            assert_eq!(resting, made < 20, "one that {what}");
        }
    }

    #[tokio::test]
    async fn a_client_that_makes_it_crash_does_not_keep_it_from_others() {
        let starts = Arc::<Starts>::default();
        assert_eq!(run(&starts, true, 100, Trial::ended).await, 100, "it works for the gateway");
        let working = starts.begin(ready(true)).await.unwrap();
        working.answered();
        assert_eq!(run(&starts, false, 20, Trial::ended).await, 20, "it works for one");
        working.ended();
        assert_eq!(run(&starts, false, 20, Trial::ended).await, 5);
    }

    #[tokio::test]
    async fn crashes_count_in_a_row() {
        let starts = Arc::<Starts>::default();
        for _ in 0..5 {
            assert_eq!(run(&starts, false, 4, Trial::ended).await, 4);
            assert_eq!(run(&starts, false, 1, Trial::answered).await, 1);
        }
    }

    #[tokio::test]
    async fn who_comes_while_the_gateway_finds_out_waits_for_what_it_finds() {
        for works in [true, false] {
            let starts = Arc::<Starts>::default();
            run(&starts, false, 5, Trial::ended).await;
            let (tell, told) = tokio::sync::oneshot::channel();
            let first = starts.begin(async { told.await.unwrap_or(false) });
            // It would find the opposite, but it is found out once.
            let second = starts.begin(ready(!works));
            let tells = async {
                tokio::task::yield_now().await;
                tell.send(works).ok();
            };
            let (first, second, ()) = tokio::join!(first, second, tells);
            assert_eq!((first.is_ok(), second.is_ok()), (works, works));
        }
    }

    #[tokio::test]
    async fn one_who_leaves_while_the_gateway_finds_out_decides_nothing() {
        let starts = Arc::<Starts>::default();
        run(&starts, false, 5, Trial::ended).await;
        let leaves = tokio::time::timeout(Duration::from_millis(1), starts.begin(std::future::pending()));
        assert!(leaves.await.is_err());
        assert!(starts.begin(ready(true)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_neither_answers_nor_ends_has_not_failed() {
        let starts = Arc::<Starts>::default();
        assert_eq!(run(&starts, false, 4, Trial::ended).await, 4);
        let slow = starts.begin(ready(false)).await.unwrap();
        slow.runs();
        tokio::time::sleep(LASTED * 2).await;
        slow.ended();
        assert!(starts.begin(ready(false)).await.is_ok());
    }
}
