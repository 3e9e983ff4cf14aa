//! How often something is done for whoever asks.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use bartizan_guard::Timestamp;

use crate::address;

const HOUR: i64 = 60 * 60 * 1_000_000;

/// How often in an hour, for all together and for one address.
#[derive(Debug)]
pub(super) struct Rate {
    all: u32,
    each: u32,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    since: i64,
    count: u32,
    /// No more than `all` of them.
    by_address: HashMap<IpAddr, u32>,
}

impl Rate {
    pub(super) fn new(all: u32, each: u32) -> Rate {
        Rate { all, each, held: Mutex::default() }
    }

    /// Counts one more; if that is too many, how many seconds to wait.
    pub(super) fn take(&self, from: IpAddr, now: Timestamp) -> Result<(), u64> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.since == 0 || now.0.abs_diff(held.since) >= HOUR.unsigned_abs() {
            *held = Held { since: now.0.max(1), ..Held::default() };
        }
        let address = address::block(from);
        let of_address = held.by_address.get(&address).copied().unwrap_or_default();
        if held.count >= self.all || of_address >= self.each {
            let left = held.since.saturating_add(HOUR).saturating_sub(now.0);
            return Err((left / 1_000_000).unsigned_abs().max(1));
        }
        held.count += 1;
        held.by_address.insert(address, of_address + 1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_and_all_together_have_their_share_of_an_hour() {
        let rate = Rate::new(5, 2);
        let take = |last: u8, second: i64| rate.take(IpAddr::from([192, 0, 2, last]), Timestamp(second * 1_000_000));
        assert_eq!((take(1, 10), take(1, 11), take(1, 12)), (Ok(()), Ok(()), Err(3_598)));
        assert_eq!((take(2, 12), take(3, 12), take(4, 12), take(5, 12)), (Ok(()), Ok(()), Ok(()), Err(3_598)));
        assert_eq!((take(1, 3_610), take(5, 3_610)), (Ok(()), Ok(())), "in the next hour anew");
    }
}
