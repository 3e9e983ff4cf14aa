//! The sessions of one edge by their keys, and whose they are.
//!
//! **Threat.** Whoever begins sessions when all places are taken has one chosen that makes place, while everybody waits for
//! the lock. So nothing here goes over all sessions for that: how many each holder has is kept, and of each holder's
//! which would be missed least. What that costs grows with how many holders have as many as the one who has the most.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use bartizan_guard::Timestamp;

use super::{Held, Holder, PROTECTED_US, Rank};

pub(super) struct Table<T> {
    entries: HashMap<Arc<str>, Entry<T>>,
    /// The sessions of each, the one that would be missed least first as far as was seen.
    shares: HashMap<Holder, BTreeSet<Place>>,
    /// Who has how many.
    by_count: BTreeMap<usize, HashSet<Holder>>,
}

struct Entry<T> {
    held: Arc<Held<T>>,
    /// How it stands in its holder's share. Being used only raises its rank, and that is seen when it comes first.
    listed: Rank,
}

/// A session's place among those of its holder.
type Place = (Rank, Arc<str>);

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table { entries: HashMap::new(), shares: HashMap::new(), by_count: BTreeMap::new() }
    }
}

impl<T> Table<T> {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn get(&self, key: &str) -> Option<&Arc<Held<T>>> {
        self.entries.get(key).map(|entry| &entry.held)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Arc<Held<T>>)> {
        self.entries.iter().map(|(key, entry)| (&**key, &entry.held))
    }

    /// Puts a session in; returns the one that was in its place.
    pub(super) fn insert(&mut self, key: &str, held: Arc<Held<T>>) -> Option<Arc<Held<T>>> {
        let before = self.remove(key);
        let (key, listed, holder) = (Arc::<str>::from(key), held.rank(), held.holder.clone());
        let share = self.shares.entry(holder.clone()).or_default();
        let count = share.len();
        share.insert((listed, Arc::clone(&key)));
        self.recount(&holder, count, count + 1);
        self.entries.insert(key, Entry { held, listed });
        before
    }

    pub(super) fn remove(&mut self, key: &str) -> Option<Arc<Held<T>>> {
        let (key, Entry { held, listed }) = self.entries.remove_entry(key)?;
        if let Some(share) = self.shares.get_mut(&held.holder) {
            let count = share.len();
            share.remove(&(listed, key));
            if share.is_empty() {
                self.shares.remove(&held.holder);
            }
            self.recount(&held.holder, count, count.saturating_sub(1));
        }
        Some(held)
    }

    pub(super) fn drain(&mut self) -> Vec<Arc<Held<T>>> {
        std::mem::take(self).entries.into_values().map(|entry| entry.held).collect()
    }

    /// Puts all in order anew, as some are missed less than they were.
    pub(super) fn relist(&mut self) {
        self.shares.values_mut().for_each(BTreeSet::clear);
        for (key, entry) in &mut self.entries {
            entry.listed = entry.held.rank();
            self.shares.entry(entry.held.holder.clone()).or_default().insert((entry.listed, Arc::clone(key)));
        }
    }

    /// The session that makes place for one more of this holder's, if any has to.
    ///
    /// One of whoever holds the most, even one in use, if they hold no fewer than this holder afterwards. Else one that is
    /// missed little, of this holder's own or of somebody's who holds more.
    pub(super) fn makes_place(&mut self, holder: &Holder, now: Timestamp) -> Option<Arc<str>> {
        let own = self.count(holder);
        let (most, holders) = self.by_count.last_key_value()?;
        if *most > own + 1 {
            let theirs: Vec<_> = holders.iter().cloned().collect();
            let least = theirs.iter().filter_map(|holder| self.least(holder));
            return least.min().map(|(_, (_, key))| key);
        }
        let more = self.by_count.range(own + 1..).flat_map(|(_, holders)| holders);
        let meant: Vec<_> = more.chain([holder]).cloned().collect();
        let least = meant.iter().filter_map(|holder| self.least(holder));
        let missed_little = |(proven, used): Rank| !proven || now.0.saturating_sub(used) > PROTECTED_US;
        let places = least.filter(|(in_use, (rank, _))| !in_use && missed_little(*rank));
        places.min().map(|(_, (_, key))| key)
    }

    /// How many this holder has.
    fn count(&self, holder: &Holder) -> usize {
        self.shares.get(holder).map_or(0, BTreeSet::len)
    }

    /// What would be missed least of a holder's, and whether it is in use: that is only so if all are.
    fn least(&mut self, holder: &Holder) -> Option<(bool, Place)> {
        let share = self.shares.get_mut(holder)?;
        let mut in_use = Vec::new();
        let mut least = None;
        while let Some((listed, key)) = share.pop_first() {
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            let rank = entry.held.rank();
            if rank != listed {
                // It was used since it was looked at last, which each use costs once.
                entry.listed = rank;
                share.insert((rank, key));
            } else if Arc::strong_count(&entry.held) > 1 {
                in_use.push((listed, key));
            } else {
                least = Some((false, (listed, Arc::clone(&key))));
                share.insert((listed, key));
                break;
            }
        }
        let least = least.or_else(|| in_use.first().cloned().map(|place| (true, place)));
        share.extend(in_use);
        least
    }

    fn recount(&mut self, holder: &Holder, before: usize, after: usize) {
        if let Some(holders) = self.by_count.get_mut(&before) {
            holders.remove(holder);
            if holders.is_empty() {
                self.by_count.remove(&before);
            }
        }
        if after > 0 {
            self.by_count.entry(after).or_default().insert(holder.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

    use bartizan_guard::Principal;
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Insert(u8, u8),
        Remove(u8),
        /// It is used now.
        Use(u8),
        /// Somebody begins to use it, or stops.
        Keep(u8),
        Free,
        Relist,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let key = || 0..12_u8;
        let step = prop_oneof![
            6 => (key(), 0..4_u8).prop_map(|(key, holder)| Step::Insert(key, holder)),
            2 => key().prop_map(Step::Remove),
            3 => key().prop_map(Step::Use),
            2 => key().prop_map(Step::Keep),
            1 => Just(Step::Free),
            1 => Just(Step::Relist),
        ];
        prop::collection::vec(step, 0..60)
    }

    fn address(number: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, number])
    }

    fn holder(number: u8) -> Holder {
        Holder::of(&Principal::anonymous(), address(number))
    }

    /// What is kept, counted anew.
    fn check_counts(table: &Table<u8>) {
        let mut counts: HashMap<&Holder, usize> = HashMap::new();
        table.iter().for_each(|(_, held)| *counts.entry(&held.holder).or_default() += 1);
        let kept: HashMap<&Holder, usize> = table.shares.iter().map(|(holder, share)| (holder, share.len())).collect();
        assert_eq!(kept, counts);
        let mut by_count: BTreeMap<usize, HashSet<Holder>> = BTreeMap::new();
        for (holder, count) in counts {
            by_count.entry(count).or_default().insert(holder.clone());
        }
        assert_eq!(table.by_count, by_count);
        for (key, entry) in &table.entries {
            assert!(table.shares[&entry.held.holder].contains(&(entry.listed, Arc::clone(key))), "{key}");
            assert!(entry.listed <= entry.held.rank(), "{key} would be missed less than is known");
        }
    }

    /// The rank of what has to make place, found by looking at all.
    fn makes_place(table: &Table<u8>, holder: &Holder, now: Timestamp) -> Option<(bool, Rank)> {
        let count = |holder: &Holder| table.iter().filter(|(_, held)| held.holder == *holder).count();
        let rank = |held: &Arc<Held<u8>>| (Arc::strong_count(held) > 1, held.rank());
        let (own, most) = (count(holder), table.iter().map(|(_, held)| count(&held.holder)).max()?);
        let all = table.iter().map(|(_, held)| held);
        if most > own + 1 {
            return all.filter(|held| count(&held.holder) == most).map(rank).min();
        }
        let meant = all.filter(|held| held.holder == *holder || count(&held.holder) > own).map(rank);
        meant.filter(|(in_use, (proven, used))| !in_use && (!proven || now.0 - used > PROTECTED_US)).min()
    }

    proptest! {
        #[test]
        fn what_is_kept_is_what_counting_finds(steps in steps()) {
            let mut table = Table::default();
            let mut in_use = Vec::new();
            let mut now = Timestamp(0);
            for (at, step) in steps.into_iter().enumerate() {
                now.0 += if at % 3 == 0 { PROTECTED_US / 2 } else { 7 };
                match step {
                    Step::Insert(key, number) => {
                        let (used, proven, shown) = (AtomicI64::new(now.0), AtomicBool::new(false), std::sync::Mutex::default());
                        let (principal, holder) = (Principal::anonymous(), holder(number));
                        let held = Arc::new(Held { principal, value: key, holder, used, proven, shown });
                        let there = table.get(&key.to_string()).is_some();
                        prop_assert_eq!(table.insert(&key.to_string(), held).is_some(), there);
                    }
                    Step::Remove(key) => drop(table.remove(&key.to_string())),
                    Step::Use(key) => if let Some(held) = table.get(&key.to_string()) {
                        held.used.store(now.0, Ordering::Relaxed);
                        held.proven.store(true, Ordering::Relaxed);
                    },
                    Step::Keep(key) => in_use.extend(table.get(&key.to_string()).cloned()),
                    Step::Free => in_use.clear(),
                    Step::Relist => {
                        table.iter().for_each(|(_, held)| held.used.store(0, Ordering::Relaxed));
                        table.relist();
                    }
                }
                check_counts(&table);
                // Four that may have some, and one that has none.
                for number in 0..5 {
                    let expected = makes_place(&table, &holder(number), now);
                    let found = table.makes_place(&holder(number), now);
                    let found = found.and_then(|key| table.get(&key)).map(|held| (Arc::strong_count(held) > 1, held.rank()));
                    prop_assert_eq!(found, expected);
                    check_counts(&table);
                }
            }
            let count = table.len();
            prop_assert_eq!(table.drain().len(), count);
            check_counts(&table);
        }
    }
}
