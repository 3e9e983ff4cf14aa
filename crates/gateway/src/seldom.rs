//! What is said of something that may happen over and over: once a minute, with how often it was not said before.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const EVERY: Duration = Duration::from_secs(60);

/// When it was said last, and how often it happened unsaid since.
#[derive(Debug, Default)]
pub(crate) struct Seldom(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    said: Option<Instant>,
    unsaid: u64,
}

impl Seldom {
    /// Whether one more is to be said, and how many were not before it.
    pub(crate) fn next(&self) -> Option<u64> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.said.is_some_and(|said| said.elapsed() < EVERY) {
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
    async fn what_happens_again_and_again_is_said_once_a_minute() {
        let seldom = Seldom::default();
        assert_eq!([(); 4].map(|()| seldom.next()), [Some(0), None, None, None]);
        tokio::time::advance(EVERY).await;
        assert_eq!([(); 2].map(|()| seldom.next()), [Some(3), None]);
    }
}
