//! How much a layer is asked.

use std::sync::{Mutex, PoisonError};

use bartizan_guard::Timestamp;

/// Bounds; none where there is none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Most {
    /// Questions in a minute.
    pub calls_per_minute: Option<u32>,
    /// Bytes of texts in a day (UTC).
    pub bytes_per_day: Option<u64>,
}

/// What was spent.
#[derive(Debug, Default)]
pub(super) struct Budget(Mutex<Spent>);

#[derive(Debug, Default)]
struct Spent {
    minute: i64,
    calls: u32,
    day: i64,
    bytes: u64,
    /// When it was said last that nothing is left: the minute.
    said: Option<i64>,
}

impl Budget {
    /// Spends what one question about so many bytes costs.
    ///
    /// # Errors
    /// If it is not there; whether that is news, which it is once a minute.
    pub(super) fn spend(&self, most: &Most, bytes: usize, now: Timestamp) -> Result<(), bool> {
        let minute = now.0.div_euclid(60_000_000);
        let day = minute.div_euclid(24 * 60);
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Also if the clock was set back, for then there is no telling what was spent when.
        if spent.minute != minute {
            (spent.minute, spent.calls) = (minute, 0);
        }
        if spent.day != day {
            (spent.day, spent.bytes) = (day, 0);
        }
        let calls = spent.calls.saturating_add(1);
        let bytes = spent.bytes.saturating_add(bytes as u64);
        let fits = most.calls_per_minute.is_none_or(|most| calls <= most)
            && most.bytes_per_day.is_none_or(|most| bytes <= most);
        if !fits {
            let is_news = spent.said != Some(minute);
            spent.said = Some(minute);
            return Err(is_news);
        }
        (spent.calls, spent.bytes) = (calls, bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spent_is_there_again_later() {
        let budget = Budget::default();
        let most = Most { calls_per_minute: Some(2), bytes_per_day: Some(1_000) };
        let spend = |bytes, minute: i64| budget.spend(&most, bytes, Timestamp(minute * 60_000_000 + 5));
        assert_eq!([spend(400, 0), spend(400, 0)], [Ok(()); 2]);
        // Neither a call nor bytes; that it is so is said once.
        assert_eq!([spend(1, 0), spend(1, 0)], [Err(true), Err(false)]);
        assert_eq!([spend(300, 1), spend(200, 1)], [Err(true), Ok(())]);
        assert_eq!(spend(1, 2), Err(true));
        assert_eq!(spend(1_000, 24 * 60), Ok(()));
        let unbounded = Most::default();
        assert!((0..1_000).all(|_| budget.spend(&unbounded, 1_000, Timestamp(0)).is_ok()));
    }
}
