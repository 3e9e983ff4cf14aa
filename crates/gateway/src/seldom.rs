//! What is said of something that may happen over and over: once in a while, with how often it was not said before.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// When something was said last, and how often it happened unsaid since. It is said once a minute unless it is made otherwise.
#[derive(Debug)]
pub(crate) struct Seldom {
    every: Duration,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    said: Option<Instant>,
    unsaid: u64,
}

impl Default for Seldom {
    fn default() -> Self {
        Seldom::every(Duration::from_secs(60))
    }
}

impl Seldom {
    /// Of what is said so often at most.
    pub(crate) fn every(every: Duration) -> Seldom {
        Seldom { every, held: Mutex::default() }
    }

    /// Whether one more is to be said, and how many were not before it.
    pub(crate) fn next(&self) -> Option<u64> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.said.is_some_and(|said| said.elapsed() < self.every) {
            held.unsaid = held.unsaid.saturating_add(1);
            return None;
        }
        held.said = Some(Instant::now());
        Some(std::mem::take(&mut held.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_happens_again_and_again_is_said_once_in_a_while() {
        for (seldom, seconds) in [(Seldom::default(), 60), (Seldom::every(Duration::from_secs(10)), 10)] {
            assert_eq!([(); 3].map(|()| seldom.next()), [Some(0), None, None]);
            tokio::time::advance(Duration::from_secs(seconds - 1)).await;
            assert_eq!(seldom.next(), None);
            tokio::time::advance(Duration::from_secs(1)).await;
            assert_eq!([(); 2].map(|()| seldom.next()), [Some(3), None]);
        }
    }
}
