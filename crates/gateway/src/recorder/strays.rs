//! Counts what servers say that goes nowhere.

use std::collections::HashMap;
use std::sync::Arc;

use bartizan_audit::{RefusalCounter, RefusalSummary};
use bartizan_guard::Timestamp;

/// What servers say that nobody asked for: a few a second are recorded one by one, and of more only how many, so that a
/// server cannot fill the disk with what goes nowhere.
#[derive(Default)]
pub(super) struct Strays {
    second: i64,
    this_second: HashMap<(Arc<str>, &'static str), u32>,
    pub(super) counter: RefusalCounter,
}

/// Messages of one server that go nowhere for one reason, recorded one by one in each second.
const STRAYS: u32 = 64;

impl Strays {
    /// Whether it is recorded by itself, and the counts of the second before, if there are any.
    pub(super) fn note(
        &mut self,
        server: &Arc<str>,
        rule: &'static str,
        now: Timestamp,
    ) -> (bool, Option<RefusalSummary>) {
        let second = now.0.div_euclid(1_000_000);
        if self.second != second {
            self.second = second;
            self.this_second.clear();
        }
        let count = self.this_second.entry((Arc::clone(server), rule)).or_default();
        *count = count.saturating_add(1);
        if *count <= STRAYS { (true, None) } else { (false, self.counter.record(server, rule, now.0)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_one_server_is_counted_and_another_is_not_part_of_it() {
        let (flood, quiet): (Arc<str>, Arc<str>) = ("flood".into(), "quiet".into());
        let mut strays = Strays::default();
        let recorded = (0..1000).filter(|_| strays.note(&flood, "a.b", Timestamp(5)).0).count();
        assert_eq!(recorded, STRAYS as usize);
        assert!(strays.note(&quiet, "a.b", Timestamp(6)).0 && strays.note(&flood, "a.c", Timestamp(6)).0);
        assert!(strays.note(&flood, "a.b", Timestamp(1_000_000)).0, "a new second");
        let summary = strays.counter.tick(1_000_000).unwrap();
        assert_eq!((summary.total, &*summary.sources[0].source), (1000 - u64::from(STRAYS), "flood"));
    }
}
