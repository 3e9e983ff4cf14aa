//! Addresses that show credentials which are not good.
//!
//! **Threat.** Somebody tries keys until one is good, or has the gateway busy with that. A good credential is let in from
//! every address, as behind one there may be many people: what an address loses is only that it is told at once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use bartizan_guard::Timestamp;

use crate::address;

/// Failures that an address may have before it has to wait.
const FREE: u32 = 10;
/// How long it has to wait the first time, and at most; each failure while waiting doubles it. In microseconds.
const FIRST: i64 = 1_000_000;
const LONGEST: i64 = 15 * 60 * 1_000_000;
/// An address that fails no more for so long is as good as new, in microseconds.
const FORGOTTEN: i64 = 15 * 60 * 1_000_000;
/// Addresses that are remembered; beyond that those that failed longest ago are forgotten.
const MANY: usize = 10_000;

/// How often which addresses failed.
#[derive(Debug, Default)]
pub(super) struct Lockout {
    failures: Mutex<HashMap<IpAddr, Failures>>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: i64,
}

impl Lockout {
    /// Notes a failure; how many seconds the address has to wait, if it has to.
    pub(super) fn failed(&self, from: IpAddr, now: Timestamp) -> Option<u64> {
        let from = address::block(from);
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= MANY && !failures.contains_key(&from) {
            forget(&mut failures, now);
        }
        let held = failures.entry(from).or_insert(Failures { count: 0, last: now.0 });
        // A clock that was set back must not make it wait for ever.
        if now.0.abs_diff(held.last) > FORGOTTEN.unsigned_abs() {
            held.count = 0;
        }
        *held = Failures { count: held.count.saturating_add(1), last: now.0 };
        let beyond = held.count.checked_sub(FREE + 1)?;
        let wait = FIRST.checked_shl(beyond.min(20)).unwrap_or(LONGEST).min(LONGEST);
        Some((wait / 1_000_000).unsigned_abs())
    }
}

/// Makes room: those that failed long ago, else the half that did so first, so that it has to be done seldom.
fn forget(failures: &mut HashMap<IpAddr, Failures>, now: Timestamp) {
    failures.retain(|_, held| now.0.abs_diff(held.last) <= FORGOTTEN.unsigned_abs());
    if failures.len() < MANY {
        return;
    }
    let mut order: Vec<_> = failures.iter().map(|(from, held)| (held.last, *from)).collect();
    let (first, ..) = order.select_nth_unstable(MANY / 2);
    for (_, from) in first.iter() {
        failures.remove(from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000_000)
    }

    #[test]
    fn who_fails_too_often_waits_longer_each_time() {
        let lockout = Lockout::default();
        let from: IpAddr = "192.0.2.1".parse().unwrap();
        let waits: Vec<_> = (0..14).map(|second| lockout.failed(from, at(second))).collect();
        assert!(waits.iter().take(10).all(Option::is_none), "{waits:?}");
        assert_eq!(waits.iter().skip(10).flatten().copied().collect::<Vec<_>>(), [1, 2, 4, 8]);
        (0..40).for_each(|_| _ = lockout.failed(from, at(14)));
        assert_eq!(lockout.failed(from, at(15)), Some(900), "there is a longest wait");
        assert_eq!(lockout.failed("192.0.2.2".parse().unwrap(), at(15)), None, "others have nothing to do with it");
        assert_eq!(lockout.failed(from, at(15 + 901)), None, "after a while all is forgotten");
    }

    #[test]
    fn addresses_that_one_machine_has_are_one() {
        let lockout = Lockout::default();
        let waits = (0..11).map(|host| lockout.failed(format!("2001:db8::{host:x}").parse().unwrap(), at(0)));
        assert_eq!(waits.last().flatten(), Some(1));
    }

    #[test]
    fn no_flood_of_addresses_takes_all_memory() {
        let lockout = Lockout::default();
        let first: IpAddr = "192.0.2.1".parse().unwrap();
        (0..20).for_each(|_| _ = lockout.failed(first, at(5)));
        for number in 0..u32::try_from(MANY).unwrap() + 100 {
            lockout.failed(IpAddr::from((0x0A00_0000_u32 + number).to_be_bytes()), at(4));
        }
        assert!(lockout.failures.lock().unwrap().len() <= MANY);
        assert!(lockout.failed(first, at(6)).is_some(), "the one that failed last is still known");
    }
}
