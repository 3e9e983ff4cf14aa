//! Counts requests against the configured rates, and those that wait for their answers, exactly and across conversations.
//!
//! Each limit is a bucket that holds `count` and refills evenly (the generic cell rate algorithm): one moment is
//! kept per bucket, the one at which it would be full again. All limits of a request are checked and spent under
//! one lock, so concurrent requests never spend the same unit, and a refused one spends none.
//!
//! What waits for its answer holds a [`Slot`], which is free again when it is dropped: that is on every way on which a call
//! may end.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use bartizan_guard::guards::rate::{Limit, Options};
use bartizan_guard::{Evidence, RateScope, Timestamp};

use crate::given;

/// The limiter of one gateway.
#[derive(Debug, Default)]
pub struct Limiter {
    options: Options,
    /// Shared with the limiter that follows on this one, if it has the same limits.
    buckets: Arc<Mutex<Buckets>>,
    /// How many wait for their answers; none that is not there. Shared with every limiter that follows: what waits, waits.
    waiting: Waiting,
}

type Waiting = Arc<Mutex<HashMap<Key, u32>>>;

/// A place among those that wait for their answers.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    waiting: Waiting,
    keys: Mutex<Vec<Key>>,
    /// What a call was given back for pseudonyms: an answer may come also if nobody waits any more.
    given: Option<given::Waiting>,
}

impl Slot {
    /// The same with what its call was given back for pseudonyms; a new one if there is none.
    pub(crate) fn with_given(slot: Option<Slot>, given: Option<given::Waiting>) -> Option<Slot> {
        let Some(given) = given else { return slot };
        let mut slot = slot.unwrap_or_default();
        slot.given = Some(given);
        Some(slot)
    }

    /// Frees it before it is dropped: nobody waits any more.
    pub(crate) fn free(&self) {
        let keys = std::mem::take(&mut *self.keys.lock().unwrap_or_else(PoisonError::into_inner));
        if keys.is_empty() {
            return;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            if let Entry::Occupied(mut held) = waiting.entry(key) {
                *held.get_mut() -= 1;
                if *held.get() == 0 {
                    held.remove();
                }
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.free();
    }
}

/// What a request is, to the limiter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) principal: &'a Arc<str>,
    pub(crate) server: &'a Arc<str>,
    /// The tool that it calls.
    pub(crate) tool: Option<&'a str>,
    /// Whether it is one of those that take a place while they wait.
    pub(crate) waits: bool,
}

#[derive(Debug, Default)]
struct Buckets {
    /// When each is full again, in microseconds.
    full: HashMap<Key, i64>,
    /// When full ones were forgotten last.
    swept: i64,
    /// How many are of tools that one principal has called.
    of_tools: HashMap<Arc<str>, usize>,
}

impl Buckets {
    /// Forgets those that are full.
    fn sweep(&mut self, now: i64) {
        self.swept = now;
        self.full.retain(|_, full| *full > now);
        self.of_tools.clear();
        for key in self.full.keys() {
            if let Key::Tool(principal, ..) = key {
                *self.of_tools.entry(Arc::clone(principal)).or_default() += 1;
            }
        }
    }

    /// Whether a principal has as many for tools as it may.
    fn has_many(&self, principal: &Arc<str>) -> bool {
        self.of_tools.get(principal).is_some_and(|count| *count >= NAMES)
    }

    /// The bucket of a tool. Whoever calls by very many names has one for all further ones.
    fn of_tool(&self, key: Key) -> Key {
        match &key {
            Key::Tool(principal, ..) if self.has_many(principal) && !self.full.contains_key(&key) => {
                Key::OtherTools(Arc::clone(principal))
            }
            _ => key,
        }
    }

    fn put(&mut self, key: Key, full: i64) {
        if let Key::Tool(principal, ..) = &key
            && !self.full.contains_key(&key)
        {
            *self.of_tools.entry(Arc::clone(principal)).or_default() += 1;
        }
        self.full.insert(key, full);
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Principal(Arc<str>),
    Server(Arc<str>),
    /// The tool by its digest: a name is the client's, and kept for as long as the bucket is not full.
    Tool(Arc<str>, Arc<str>, [u8; 32]),
    /// All other tools, of a principal that calls by very many names.
    OtherTools(Arc<str>),
}

/// Beyond this many buckets the full ones are forgotten, which changes no decision.
const MANY: usize = 10_000;
/// Not more often than this, in microseconds: to look at all of them takes time that everybody waits for.
const SWEEP: i64 = 1_000_000;
/// So many buckets one principal has for tools: names are made up by whoever calls, and must not take the room of others.
const NAMES: usize = 4_096;
/// Beyond this many, a new bucket is refused: an attacker who invents names must not take all memory.
const TOO_MANY: usize = 200_000;

impl Limiter {
    /// A limiter with these limits.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Limiter { options, ..Limiter::default() }
    }

    /// The same limits with what was spent under `before`, if they were the same then: to write the configuration file
    /// gives nobody a new burst.
    #[must_use]
    pub fn following(self, before: &Limiter) -> Self {
        let waiting = Arc::clone(&before.waiting);
        let is_same = rates(&self.options) == rates(&before.options);
        let buckets = if is_same { Arc::clone(&before.buckets) } else { self.buckets };
        Limiter { buckets, waiting, ..self }
    }

    /// Spends one request, and gives it the place that it takes while it waits; or says which limits it would exceed.
    pub(crate) fn begin(&self, request: Request<'_>, now: Timestamp) -> Result<Option<Slot>, Vec<Evidence>> {
        // Before the rates, and given back if they do not allow it: then neither is spent.
        let slot = if request.waits { self.slot(request) } else { Ok(None) };
        let exceeded = match &slot {
            Ok(_) => self.spend(request.principal, request.server, request.tool, now),
            Err(_) => Vec::new(),
        };
        if exceeded.is_empty() { slot } else { Err(exceeded) }
    }

    /// A place among those that wait, if there are limits; all of them have to have one.
    fn slot(&self, request: Request<'_>) -> Result<Option<Slot>, Vec<Evidence>> {
        let Options { in_flight_per_principal, in_flight_per_tool, .. } = self.options;
        let mut wanted = Vec::new();
        if let Some(most) = in_flight_per_principal {
            wanted.push((RateScope::Principal, most, Key::Principal(Arc::clone(request.principal))));
        }
        if let (Some(most), Some(tool)) = (in_flight_per_tool, request.tool) {
            wanted.push((RateScope::Tool, most, tool_key(request.principal, request.server, tool)));
        }
        if wanted.is_empty() {
            return Ok(None);
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let full = wanted.iter().filter(|(_, most, key)| waiting.get(key).is_some_and(|held| *held >= most.get()));
        let full: Vec<_> =
            full.map(|(scope, most, _)| Evidence::InFlight { scope: *scope, most: most.get() }).collect();
        if !full.is_empty() {
            return Err(full);
        }
        let keys: Vec<_> = wanted.into_iter().map(|(_, _, key)| key).collect();
        for key in &keys {
            *waiting.entry(key.clone()).or_default() += 1;
        }
        Ok(Some(Slot { waiting: Arc::clone(&self.waiting), keys: Mutex::new(keys), given: None }))
    }

    /// Spends one request, or says which limits it would exceed.
    #[must_use]
    pub fn spend(&self, principal: &Arc<str>, server: &Arc<str>, tool: Option<&str>, now: Timestamp) -> Vec<Evidence> {
        let options = &self.options;
        let mut wanted = Vec::new();
        if let Some(limit) = options.per_principal {
            wanted.push((RateScope::Principal, limit, Key::Principal(Arc::clone(principal))));
        }
        if let Some(limit) = options.per_server {
            wanted.push((RateScope::Server, limit, Key::Server(Arc::clone(server))));
        }
        if let (Some(limit), Some(tool)) = (options.per_tool, tool) {
            wanted.push((RateScope::Tool, limit, tool_key(principal, server, tool)));
        }
        if wanted.is_empty() {
            return Vec::new();
        }
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back must not put it off either.
        let is_due = buckets.full.len() > MANY || buckets.has_many(principal);
        if is_due && now.0.abs_diff(buckets.swept) >= SWEEP.unsigned_abs() {
            buckets.sweep(now.0);
        }
        let crowded = buckets.full.len() > TOO_MANY;
        let mut exceeded = Vec::new();
        let mut spent = Vec::with_capacity(wanted.len());
        for (scope, limit, key) in wanted {
            let key = buckets.of_tool(key);
            let known = buckets.full.get_mut(&key).map(|full| {
                // No bucket is further from full than an empty one, unless the clock was set back since.
                *full = (*full).min(now.0.saturating_add(window(limit)));
                *full
            });
            match take(limit, known.unwrap_or(i64::MIN), now.0) {
                Ok(full) if known.is_some() || !crowded => spent.push((key, full)),
                Ok(_) => exceeded.push(evidence(scope, limit, 1_000)),
                Err(wait_us) => exceeded.push(evidence(scope, limit, wait_us.unsigned_abs().div_ceil(1_000))),
            }
        }
        if exceeded.is_empty() {
            spent.into_iter().for_each(|(key, full)| buckets.put(key, full));
        }
        exceeded
    }
}

/// What buckets are made of.
fn rates(options: &Options) -> [Option<Limit>; 3] {
    [options.per_principal, options.per_server, options.per_tool]
}

fn tool_key(principal: &Arc<str>, server: &Arc<str>, tool: &str) -> Key {
    Key::Tool(Arc::clone(principal), Arc::clone(server), *blake3::hash(tool.as_bytes()).as_bytes())
}

/// One bucket by itself, for a limit that is given each time.
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    /// When it is full again, in microseconds.
    full: Mutex<i64>,
}

impl Bucket {
    /// Spends one, if there is one.
    pub(crate) fn spend(&self, limit: Limit, now: Timestamp) -> bool {
        let mut full = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        // As in `Limiter::spend`, if the clock was set back or the limit is another one now.
        *full = (*full).min(now.0.saturating_add(window(limit)));
        take(limit, *full, now.0).map(|next| *full = next).is_ok()
    }
}

/// When the bucket is full again after one more request, or how long it must wait, in microseconds.
fn take(limit: Limit, full: i64, now: i64) -> Result<i64, i64> {
    let each = window(limit) / i64::from(limit.count.max(1));
    let next = full.max(now).saturating_add(each);
    // What integer division lost must not grant one request more or less.
    let room = each.saturating_mul(i64::from(limit.count));
    let wait = next.saturating_sub(now).saturating_sub(room);
    if wait > 0 { Err(wait) } else { Ok(next) }
}

/// How long an empty bucket takes to be full again, in microseconds.
fn window(limit: Limit) -> i64 {
    i64::try_from(limit.per_ms.saturating_mul(1_000)).unwrap_or(i64::MAX)
}

fn evidence(scope: RateScope, limit: Limit, retry_after_ms: u64) -> Evidence {
    Evidence::RateExceeded { scope, limit: limit.to_string(), retry_after_ms }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_bucket_by_itself_gives_its_burst_and_what_has_come_back() {
        let (bucket, few) = (Bucket::default(), limit("60/min").unwrap());
        let spent = |limit, now| (0..1_000).filter(|_| bucket.spend(limit, Timestamp(now))).count();
        assert_eq!(spent(few, 5), 60);
        assert_eq!(spent(few, 1_000_005), 1);
        assert_eq!(spent(few, 11_000_005), 10);
        // After a while it is full, and no fuller.
        assert_eq!(spent(few, 1_000_000_000), 60);
        // A clock that was set back does not put it off for longer than it takes to be full again.
        assert_eq!(spent(few, 0), 0);
        assert_eq!(spent(few, 60_000_000), 60);
        // Under another limit it is as empty as it was.
        let more = limit("600/min").unwrap();
        assert_eq!((spent(more, 60_000_000), spent(more, 90_000_000)), (0, 300));
    }

    fn limit(text: &str) -> Option<Limit> {
        Some(Limit::try_from(text.to_owned()).unwrap())
    }

    #[test]
    fn a_burst_up_to_the_count_then_evenly() {
        let limiter = Limiter::new(Options { per_principal: limit("3/s"), ..Options::default() });
        let spend = |ms: i64| limiter.spend(&"a".into(), &"s".into(), None, Timestamp(ms * 1_000)).is_empty();
        assert_eq!(
            [0, 0, 0, 0, 333, 334, 334, 10_000, 10_000, 10_000, 10_000].map(spend),
            [true, true, true, false, false, true, false, true, true, true, false]
        );
    }

    #[test]
    fn what_one_limit_refuses_spends_nothing_of_another() {
        let options = Options { per_principal: limit("2/h"), per_tool: limit("1/h"), ..Options::default() };
        let limiter = Limiter::new(options);
        let spend = |tool| limiter.spend(&"a".into(), &"s".into(), Some(tool), Timestamp(0)).len();
        assert_eq!([spend("x"), spend("x"), spend("y"), spend("z")], [0, 1, 0, 1]);
    }

    #[test]
    fn a_clock_that_is_set_back_stops_nobody_for_longer_than_an_empty_bucket_does() {
        let limiter = Limiter::new(Options { per_principal: limit("2/min"), ..Options::default() });
        let spend = |s: i64| limiter.spend(&"a".into(), &"s".into(), None, Timestamp(s * 1_000_000)).is_empty();
        let hours = 3_600 * 5;
        assert_eq!([hours, hours, hours].map(spend), [true, true, false]);
        // Back by five hours: the bucket is empty, no more than that.
        assert_eq!([0, 29, 30, 31, 60].map(spend), [false, false, true, false, true]);
    }

    #[test]
    fn a_reload_gives_a_new_burst_only_where_the_limits_change() {
        let limits = |text| Options { per_principal: limit(text), ..Options::default() };
        let spend = |limiter: &Limiter| limiter.spend(&"a".into(), &"s".into(), None, Timestamp(0)).is_empty();
        let first = Limiter::new(limits("1/h"));
        assert!(spend(&first) && !spend(&first));
        assert!(!spend(&Limiter::new(limits("1/h")).following(&first)));
        assert!(spend(&Limiter::new(limits("2/h")).following(&first)));
    }

    #[test]
    fn full_buckets_are_forgotten_once_a_second_and_others_are_not() {
        let limiter = Limiter::new(Options { per_tool: limit("1/s"), ..Options::default() });
        let spend = |tool: usize, ms: i64| {
            let principal = format!("{}", tool % 5).into();
            limiter.spend(&principal, &"s".into(), Some(&tool.to_string()), Timestamp(ms * 1_000)).is_empty()
        };
        let held = || limiter.buckets.lock().unwrap().full.len();
        assert!((0..=MANY).all(|tool| spend(tool, 5_000)));
        assert!(spend(MANY + 1, 5_999));
        assert_eq!(held(), MANY + 2, "none is full yet");
        assert!(spend(MANY + 2, 6_500));
        assert_eq!(held(), MANY + 3, "looked at within the second");
        assert!(spend(MANY + 3, 6_999));
        assert_eq!(held(), 2, "those of the last second");
        assert!(!spend(MANY + 3, 6_999) && spend(0, 7_000));
    }

    #[test]
    fn who_makes_up_names_takes_no_room_of_others() {
        let limiter = Limiter::new(Options { per_tool: limit("1/h"), ..Options::default() });
        let spend = |who: &str, tool: usize, s: i64| {
            limiter.spend(&who.into(), &"s".into(), Some(&tool.to_string()), Timestamp(s * 1_000_000)).is_empty()
        };
        assert!((0..NAMES).all(|tool| spend("mallory", tool, 5)), "each real one has its own");
        assert!((0..NAMES).all(|tool| !spend("mallory", tool, 5)), "and is limited by it");
        let passed = (NAMES..3 * NAMES).filter(|tool| spend("mallory", *tool, 5)).count();
        assert_eq!(passed, 1, "all further ones have one together");
        assert!((0..300).all(|tool| spend("bea", tool, 5)) && (0..300).all(|tool| !spend("bea", tool, 5)));
        assert!(limiter.buckets.lock().unwrap().full.len() <= NAMES + 301);
        assert!(
            spend("mallory", 7 * NAMES, 5 + 3_601) && spend("mallory", 8 * NAMES, 5 + 3_601),
            "once they are full again"
        );
    }

    #[test]
    fn exact_under_concurrency() {
        let limiter = Limiter::new(Options { per_server: limit("1000/d"), ..Options::default() });
        let passed: usize = std::thread::scope(|scope| {
            let worker = || {
                let spend = |_: &i32| limiter.spend(&"a".into(), &"s".into(), None, Timestamp(0)).is_empty();
                (0..500).filter(spend).count()
            };
            let workers: Vec<_> = (0..8).map(|_| scope.spawn(worker)).collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        });
        assert_eq!(passed, 1000);
    }

    fn most(count: u32) -> Option<NonZeroU32> {
        NonZeroU32::new(count)
    }

    #[test]
    fn what_waits_takes_a_place_until_it_waits_no_more() {
        let options = Options {
            in_flight_per_principal: most(3),
            in_flight_per_tool: most(2),
            per_principal: limit("100/h"),
            ..Options::default()
        };
        let limiter = Limiter::new(options.clone());
        let [ann, bob, server, other] = ["ann", "bob", "s", "t"].map(Arc::<str>::from);
        let begin = |limiter: &Limiter, principal, server, tool, waits| {
            limiter.begin(Request { principal, server, tool, waits }, Timestamp(0))
        };
        let full = |begun: Result<Option<Slot>, Vec<Evidence>>| -> Vec<RateScope> {
            let evidence = begun.err().unwrap_or_default().into_iter();
            let scopes = evidence.map(|evidence| match evidence {
                Evidence::InFlight { scope, .. } => scope,
                other => panic!("{other:?}"),
            });
            scopes.collect()
        };
        let first = begin(&limiter, &ann, &server, Some("x"), true).unwrap();
        let second = begin(&limiter, &ann, &server, Some("x"), true).unwrap();
        assert_eq!(full(begin(&limiter, &ann, &server, Some("x"), true)), [RateScope::Tool]);
        let third = begin(&limiter, &ann, &other, Some("x"), true).unwrap();
        assert_eq!(full(begin(&limiter, &ann, &server, Some("x"), true)), [RateScope::Principal, RateScope::Tool]);
        assert_eq!(full(begin(&limiter, &ann, &server, None, true)), [RateScope::Principal]);
        assert!(begin(&limiter, &ann, &server, None, false).is_ok(), "what does not wait needs no place");
        assert!(begin(&limiter, &bob, &server, Some("x"), true).is_ok(), "another principal's are others");
        // Whatever a reload changes, what waits is counted on.
        let next = Limiter::new(Options { in_flight_per_tool: None, ..options }).following(&limiter);
        assert_eq!(full(begin(&next, &ann, &server, Some("x"), true)), [RateScope::Principal]);
        first.as_ref().unwrap().free();
        assert!(begin(&limiter, &ann, &server, Some("x"), true).is_ok(), "who waits no more has no place");
        drop((first, second, third));
        assert!(limiter.waiting.lock().unwrap().is_empty(), "nothing is kept of who has none, nor freed twice");
    }

    #[test]
    fn what_the_rate_refuses_takes_no_place_and_what_finds_no_place_spends_nothing() {
        let options = Options { in_flight_per_principal: most(1), per_principal: limit("2/h"), ..Options::default() };
        let limiter = Limiter::new(options);
        let [principal, server] = ["a", "s"].map(Arc::<str>::from);
        let request = Request { principal: &principal, server: &server, tool: None, waits: true };
        let begin = || limiter.begin(request, Timestamp(0));
        let first = begin().unwrap();
        (0..5).for_each(|_| assert!(matches!(*begin().unwrap_err(), [Evidence::InFlight { .. }])));
        drop(first);
        drop(begin().unwrap());
        (0..5).for_each(|_| assert!(matches!(*begin().unwrap_err(), [Evidence::RateExceeded { .. }])));
        assert!(limiter.waiting.lock().unwrap().is_empty());
    }

    #[test]
    fn never_more_wait_than_may_however_many_try() {
        let limiter = Limiter::new(Options { in_flight_per_tool: most(5), ..Options::default() });
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let [principal, server] = ["a", "s"].map(Arc::<str>::from);
        let request = Request { principal: &principal, server: &server, tool: Some("x"), waits: true };
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        if let Ok(slot) = limiter.begin(request, Timestamp(0)) {
                            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                            std::thread::yield_now();
                            now.fetch_sub(1, Ordering::SeqCst);
                            drop(slot);
                        }
                    }
                });
            }
        });
        assert!((1..=5).contains(&most.into_inner()));
        assert!(limiter.waiting.lock().unwrap().is_empty());
        let all: Vec<_> = (0..9).filter_map(|_| limiter.begin(request, Timestamp(0)).ok()).collect();
        assert_eq!(all.len(), 5);
    }
}
