//! How much a layer is asked, and how that is divided among the servers whose texts it is asked about.
//!
//! **Threat.** A server that has many doubtful texts uses up the budget, so that nobody is asked about those of the others. So
//! half of the budget is kept for the servers, an equal part for each, and only the other half is for whoever comes first.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bartizan_guard::{Silence, Timestamp};

/// Bounds; none where there is none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Most {
    /// Questions in a minute.
    pub calls_per_minute: Option<u32>,
    /// Bytes of texts in a day (UTC).
    pub bytes_per_day: Option<u64>,
    /// Servers among which that is divided.
    pub servers: usize,
}

/// What was spent.
#[derive(Debug, Default)]
pub(super) struct Budget(Mutex<Spent>);

#[derive(Debug, Default)]
struct Spent {
    calls: Pot,
    bytes: Pot,
    /// When it was said last that nothing is left: the minute.
    said: Option<i64>,
}

/// What was spent of one bound since it was whole.
#[derive(Debug, Default)]
struct Pot {
    /// The minute or day that it is for.
    period: i64,
    all: u64,
    by_server: BTreeMap<Box<str>, u64>,
}

/// That a question may not be asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Spared {
    /// Whether it is the server's own part that is used up, or the budget.
    pub(super) why: Silence,
    /// Whether that is news, which it is once a minute.
    pub(super) is_news: bool,
}

impl Budget {
    /// Spends what one question about so many bytes of that server's costs.
    ///
    /// # Errors
    /// If it is not there.
    pub(super) fn spend(&self, most: &Most, (server, bytes): (&str, usize), now: Timestamp) -> Result<(), Spared> {
        let minute = now.0.div_euclid(60_000_000);
        let day = minute.div_euclid(24 * 60);
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spent.calls.begin(minute);
        spent.bytes.begin(day);
        let calls = most.calls_per_minute.map(u64::from);
        let fits = spent.calls.fits(calls, most.servers, (server, 1));
        if let Err(why) = fits.and_then(|()| spent.bytes.fits(most.bytes_per_day, most.servers, (server, bytes as u64)))
        {
            let is_news = spent.said != Some(minute);
            spent.said = Some(minute);
            return Err(Spared { why, is_news });
        }
        spent.calls.take(server, 1);
        spent.bytes.take(server, bytes as u64);
        Ok(())
    }
}

impl Pot {
    /// Makes it whole if another period has begun; also if the clock was set back, for then there is no telling what was spent
    /// when.
    fn begin(&mut self, period: i64) {
        if self.period != period {
            *self = Pot { period, ..Pot::default() };
        }
    }

    /// Whether a server may take so much of it.
    fn fits(&self, most: Option<u64>, servers: usize, (server, cost): (&str, u64)) -> Result<(), Silence> {
        let Some(most) = most else { return Ok(()) };
        let servers = u64::try_from(servers).unwrap_or(u64::MAX).max(1);
        let part = most / servers;
        // With fewer questions than twice the servers, one for each comes to more than half.
        let kept = (part / 2).max(part.min(1));
        let own = self.by_server.get(server).copied().unwrap_or_default().saturating_add(cost);
        // What is kept for the others and not spent yet.
        let others = self.by_server.iter().filter(|(name, _)| ***name != *server);
        let spent = others.fold(0, |all: u64, (_, spent)| all.saturating_add(kept.min(*spent)));
        let waiting = kept.saturating_mul(servers - 1).saturating_sub(spent);
        if self.all.saturating_add(cost).saturating_add(waiting) <= most {
            return Ok(());
        }
        // Who has had as much as anybody can count on has itself to blame.
        Err(if own > part { Silence::Share } else { Silence::Budget })
    }

    fn take(&mut self, server: &str, cost: u64) {
        self.all = self.all.saturating_add(cost);
        match self.by_server.get_mut(server) {
            Some(spent) => *spent = spent.saturating_add(cost),
            None => drop(self.by_server.insert(server.into(), cost)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spared(why: Silence, is_news: bool) -> Result<(), Spared> {
        Err(Spared { why, is_news })
    }

    #[test]
    fn what_is_spent_is_there_again_later() {
        let budget = Budget::default();
        let most = Most { calls_per_minute: Some(2), bytes_per_day: Some(1_000), servers: 1 };
        let spend = |bytes, minute: i64| budget.spend(&most, ("a", bytes), Timestamp(minute * 60_000_000 + 5));
        assert_eq!([spend(400, 0), spend(400, 0)], [Ok(()), Ok(())]);
        // Neither a call nor bytes; that it is so is said once.
        assert_eq!([spend(1, 0), spend(1, 0)], [spared(Silence::Share, true), spared(Silence::Share, false)]);
        assert_eq!([spend(300, 1), spend(200, 1)], [spared(Silence::Share, true), Ok(())]);
        assert_eq!(spend(1, 2), spared(Silence::Share, true));
        assert_eq!(spend(1_000, 24 * 60), Ok(()));
        let unbounded = Most::default();
        assert!((0..1_000).all(|_| budget.spend(&unbounded, ("a", 1_000), Timestamp(0)).is_ok()));
    }

    #[test]
    fn no_server_uses_up_what_is_kept_for_the_others() {
        let most = Most { calls_per_minute: Some(40), bytes_per_day: None, servers: 4 };
        let budget = Budget::default();
        let ask = |server: &str| budget.spend(&most, (server, 10), Timestamp(5)).map_err(|spared| spared.why);
        let count = |server: &str| (0..100).filter(|_| ask(server).is_ok()).count();
        // Half is for whoever comes first, and of the other half a quarter is its own.
        assert_eq!(count("hostile"), 25);
        assert_eq!(ask("hostile"), Err(Silence::Share));
        for server in ["one", "two", "three"] {
            assert_eq!(count(server), 5, "{server}");
            // It had less than a quarter, so it is not its doing.
            assert_eq!(ask(server), Err(Silence::Budget), "{server}");
        }
        assert_eq!(ask("hostile"), Err(Silence::Share));
    }

    #[test]
    fn one_server_that_is_wrapped_leaves_something_for_the_next() {
        let most = Most { calls_per_minute: Some(40), bytes_per_day: None, servers: super::super::shares(0) };
        let budget = Budget::default();
        let count = |server: &str| (0..100).filter(|_| budget.spend(&most, (server, 10), Timestamp(5)).is_ok()).count();
        // Two are kept for each of the seven others.
        assert_eq!((count("hostile"), count("web")), (26, 2));
        assert_eq!(super::super::shares(3), 3);
    }

    #[test]
    fn whoever_is_alone_has_all_of_it_and_of_little_each_has_some() {
        let count = |calls, servers, names: &[&str]| {
            let (most, budget) =
                (Most { calls_per_minute: Some(calls), bytes_per_day: None, servers }, Budget::default());
            let asked = |name: &&str| (0..100).filter(|_| budget.spend(&most, (name, 1), Timestamp(5)).is_ok()).count();
            names.iter().map(asked).collect::<Vec<_>>()
        };
        assert_eq!(count(40, 1, &["a"]), [40]);
        assert_eq!(count(40, 0, &["a"]), [40]);
        assert_eq!(count(3, 3, &["a", "b", "c"]), [1, 1, 1]);
        // Where there is less than one for each, it is for whoever comes first.
        assert_eq!(count(2, 3, &["a", "b", "c"]), [2, 0, 0]);
    }
}
