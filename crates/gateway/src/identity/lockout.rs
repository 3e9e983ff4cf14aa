//! Addresses that show credentials which are not good.
//!
//! **Threat.** Somebody tries keys until one is good, or has the gateway busy with that. A good credential is let in from
//! every address, as behind one there may be many people: what an address loses is only that it is told at once.

use std::net::IpAddr;

use bartizan_guard::Timestamp;

use crate::address;
use crate::attempts::{Attempts, SECOND};

/// How often which addresses failed.
#[derive(Debug)]
pub(super) struct Lockout(Attempts<IpAddr>);

impl Default for Lockout {
    fn default() -> Self {
        Lockout(Attempts::new(10, 15 * 60 * SECOND))
    }
}

impl Lockout {
    /// Notes a failure; how many seconds the address has to wait, if it has to.
    pub(super) fn failed(&self, from: IpAddr, now: Timestamp) -> Option<u64> {
        self.0.failed(address::block(from), now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempts::MANY;

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
        assert!(lockout.0.len() <= MANY);
        assert!(lockout.failed(first, at(6)).is_some(), "the one that failed last is still known");
    }
}
