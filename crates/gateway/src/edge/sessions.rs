//! Which session a request belongs to.
//!
//! In the legacy era a client claims one by `Mcp-Session-Id`, a random secret bound to the principal; it is never
//! proof of who the client is. A stateless request has none: principal, address, client and server together stand for one.
//!
//! **Threat.** Somebody begins sessions until nobody else can. So when there are as many as there may be, whoever holds the
//! most makes place, and nobody can take it from one who holds less.

mod table;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bartizan_guard::{Principal, Timestamp};

use self::table::Table;
use crate::identity::Credential;
use crate::{address, clock};

/// The sessions of one edge; `T` is what is kept for each.
pub(crate) struct Sessions<T> {
    held: Mutex<Table<T>>,
    /// None of those that nobody used at the last look can be idle before; so nobody has to look.
    idle_from: AtomicI64,
    most: usize,
    idle_us: i64,
    /// For one that was never claimed.
    unclaimed_us: i64,
}

/// One session.
pub(crate) struct Held<T> {
    pub(crate) principal: Principal,
    pub(crate) value: T,
    holder: Holder,
    used: AtomicI64,
    /// Whether it was claimed since it began. One that never is was begun by a client that has gone, or wants to do harm.
    proven: AtomicBool,
    /// What was shown by whoever used it.
    shown: Mutex<Vec<Credential>>,
}

impl<T> Held<T> {
    /// Whether a credential is used with it for the first time; so many are remembered.
    pub(crate) fn is_shown_anew(&self, credential: &Credential) -> bool {
        const MANY: usize = 16;
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.contains(credential) {
            return false;
        }
        if shown.len() == MANY {
            shown.remove(0);
        }
        shown.push(credential.clone());
        true
    }
}

/// Among whom places are shared out: callers who signed in, and addresses of those who did not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Holder {
    Principal(Arc<str>),
    Address(IpAddr),
}

impl Holder {
    fn of(principal: &Principal, from: IpAddr) -> Holder {
        if !principal.is_anonymous() {
            return Holder::Principal(Arc::clone(&principal.id));
        }
        Holder::Address(address::block(from))
    }
}

/// A new session, and those that made place for it.
pub(crate) type Kept<T> = (Arc<Held<T>>, Vec<Arc<Held<T>>>);

/// A session that was used within this time is not evicted for a new one of somebody who holds no less.
const PROTECTED_US: i64 = 60_000_000;

/// Before any session was used.
const LONG_AGO: i64 = i64::MIN / 2;

/// How little a session would be missed, least first: whether it was ever claimed, and when it was used last.
pub(crate) type Rank = (bool, i64);

/// There are as many sessions as there may be, and all of them are in use.
#[derive(Debug)]
pub(crate) struct Full;

impl<T> Sessions<T> {
    /// As many as `most`. One is idle after `idle`, or after `unclaimed` if nobody ever claimed it.
    pub(crate) fn new(most: usize, idle: Duration, unclaimed: Duration) -> Self {
        let us = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        let idle_from = AtomicI64::new(LONG_AGO);
        Sessions { held: Mutex::default(), idle_from, most, idle_us: us(idle), unclaimed_us: us(unclaimed.min(idle)) }
    }

    /// The session under `key`, if it is this principal's.
    pub(crate) fn find(&self, key: &str, principal: &Principal) -> Option<Arc<Held<T>>> {
        let held = self.lock().get(key).filter(|held| held.principal == *principal).cloned()?;
        held.used.store(clock::steady().0, Ordering::Relaxed);
        held.proven.store(true, Ordering::Relaxed);
        Some(held)
    }

    /// Keeps `value` under `key`, and returns with it what had to make place: idle sessions, or else one that is missed
    /// less than others. A client whose session is gone begins another one, but one that finds no place is shut out.
    pub(crate) fn insert(&self, key: &str, principal: Principal, from: IpAddr, value: T) -> Result<Kept<T>, Full> {
        let now = clock::steady();
        let holder = Holder::of(&principal, from);
        let mut held = self.lock();
        let mut evicted = Vec::new();
        if let Some(first) = held.get(key).filter(|held| held.principal == principal) {
            // Two requests of one client came at once; both use what the first of them made.
            let (used, proven, shown) = (AtomicI64::new(now.0), AtomicBool::new(false), Mutex::default());
            return Ok((Arc::clone(first), vec![Arc::new(Held { principal, value, holder, used, proven, shown })]));
        }
        if held.len() >= self.most && now.0 > self.idle_from.load(Ordering::Relaxed) {
            evicted = self.drop_idle(&mut held, now);
        }
        if held.len() >= self.most {
            let key = held.makes_place(&holder, now).ok_or(Full)?;
            evicted.extend(held.remove(&key));
        }
        let (used, proven, shown) = (AtomicI64::new(now.0), AtomicBool::new(false), Mutex::default());
        let entry = Arc::new(Held { principal, value, holder, used, proven, shown });
        self.idle_from.fetch_min(now.0.saturating_add(self.unclaimed_us), Ordering::Relaxed);
        evicted.extend(held.insert(key, Arc::clone(&entry)));
        Ok((entry, evicted))
    }

    pub(crate) fn remove(&self, key: &str) -> Option<Arc<Held<T>>> {
        self.lock().remove(key)
    }

    /// The session that would be missed least of those at one of `targets` that `is_meant`, and how little.
    pub(crate) fn least_missed(&self, targets: [&str; 2], is_meant: impl Fn(&T) -> bool) -> Option<(Rank, Box<str>)> {
        let is_at = |key: &str, target: &str| key.strip_prefix(target).is_some_and(|rest| rest.starts_with('\n'));
        let held = self.lock();
        let at = held.iter().filter(|(key, _)| targets.iter().any(|target| is_at(key, target)));
        let (rank, key) = least_missed(at.filter(|(_, entry)| is_meant(&entry.value)), clock::steady())?;
        Some((rank, key.into()))
    }

    /// Takes out a session, unless it has come to be in use.
    pub(crate) fn remove_unused(&self, key: &str) -> Option<Arc<Held<T>>> {
        let mut held = self.lock();
        held.get(key).filter(|entry| Arc::strong_count(entry) == 1)?;
        held.remove(key)
    }

    /// Removes this session, unless another one has taken its place.
    pub(crate) fn remove_this(&self, key: &str, this: &Arc<Held<T>>) {
        let mut held = self.lock();
        if held.get(key).is_some_and(|kept| Arc::ptr_eq(kept, this)) {
            held.remove(key);
        }
    }

    /// Forgets sessions that nobody used for a while, and returns them.
    pub(crate) fn expire(&self) -> Vec<Arc<Held<T>>> {
        self.drop_idle(&mut self.lock(), clock::steady())
    }

    /// Has all present sessions expire as soon as they are not in use: nobody will ask for them any more.
    pub(crate) fn retire(&self) {
        let mut held = self.lock();
        held.iter().for_each(|(_, entry)| entry.used.store(LONG_AGO, Ordering::Relaxed));
        held.relist();
        self.idle_from.store(LONG_AGO, Ordering::Relaxed);
    }

    pub(crate) fn drain(&self) -> Vec<Arc<Held<T>>> {
        self.lock().drain()
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Goes over all sessions. One that a stream is open on is in use, however long ago the last request was; once it is
    /// idle, that is found out by the next look.
    fn drop_idle(&self, held: &mut Table<T>, now: Timestamp) -> Vec<Arc<Held<T>>> {
        let mut next = i64::MAX;
        let mut idle = Vec::new();
        for (key, entry) in held.iter().filter(|(_, entry)| Arc::strong_count(entry) == 1) {
            let (proven, used) = entry.rank();
            let last = used.saturating_add(if proven { self.idle_us } else { self.unclaimed_us });
            if now.0 > last { idle.push(Box::<str>::from(key)) } else { next = next.min(last) }
        }
        self.idle_from.store(next, Ordering::Relaxed);
        idle.iter().filter_map(|key| held.remove(key)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Table<T>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Held<T> {
    fn rank(&self) -> Rank {
        (self.proven.load(Ordering::Relaxed), self.used.load(Ordering::Relaxed))
    }
}

/// The session that is missed least: one that nobody ever claimed, or else the one unused for longest. None that is in
/// use or was until now.
fn least_missed<'a, T: 'a>(
    held: impl Iterator<Item = (&'a str, &'a Arc<Held<T>>)>,
    now: Timestamp,
) -> Option<(Rank, &'a str)> {
    held.filter(|(_, entry)| Arc::strong_count(entry) == 1)
        .map(|(key, entry)| (entry.rank(), key))
        .filter(|((proven, used), _)| !proven || now.0.saturating_sub(*used) > PROTECTED_US)
        .min()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn sessions(most: usize) -> Sessions<u32> {
        Sessions::new(most, Duration::from_secs(1800), Duration::from_secs(60))
    }

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// Another address.
    fn other(number: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, number])
    }

    fn age(sessions: &Sessions<u32>, held: &Held<u32>, seconds: i64) {
        held.used.fetch_sub(seconds * 1_000_000, Ordering::Relaxed);
        // Nothing gets older by itself in one moment.
        sessions.lock().relist();
    }

    #[test]
    fn a_flood_of_sessions_evicts_its_own_before_anybody_elses() {
        let (sessions, who) = (sessions(3), Principal::new("anonymous"));
        sessions.insert("claimed", who.clone(), HERE, 0).unwrap();
        age(&sessions, &sessions.find("claimed", &who).unwrap(), 600);
        for number in 1..100 {
            sessions.insert(&format!("flood {number}"), who.clone(), HERE, number).unwrap();
        }
        assert!(sessions.find("claimed", &who).is_some());
        assert_eq!(sessions.len(), 3);
    }

    #[test]
    fn sessions_in_use_and_recent_ones_are_not_evicted() {
        let (sessions, who) = (sessions(2), Principal::new("anonymous"));
        let in_use = sessions.insert("in use", who.clone(), HERE, 0).unwrap().0;
        age(&sessions, &in_use, 600);
        sessions.insert("recent", who.clone(), HERE, 1).unwrap();
        sessions.find("recent", &who).unwrap();
        assert!(matches!(sessions.insert("new", who.clone(), HERE, 2), Err(Full)));
        age(&sessions, &sessions.find("recent", &who).unwrap(), 61);
        let (_, evicted) = sessions.insert("new", who.clone(), HERE, 2).unwrap();
        assert_eq!(evicted.iter().map(|held| held.value).collect::<Vec<_>>(), [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn idleness_is_time_that_passed_not_what_the_clock_says() {
        let (sessions, who) = (sessions(9), Principal::new("anonymous"));
        sessions.insert("claimed", who.clone(), HERE, 0).unwrap();
        drop(sessions.find("claimed", &who).unwrap());
        tokio::time::advance(Duration::from_secs(1799)).await;
        assert_eq!(sessions.expire().len(), 0);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(sessions.expire().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn all_that_are_idle_make_place_but_for_what_a_stream_is_open_on() {
        let (sessions, who) = (sessions(3), Principal::new("anonymous"));
        let [_, in_use, _] = [1, 2, 3].map(|number: u8| {
            sessions.insert(&number.to_string(), who.clone(), other(number), number.into()).unwrap().0
        });
        tokio::time::advance(Duration::from_secs(59)).await;
        assert_eq!(sessions.insert("early", who.clone(), HERE, 4).unwrap().1.len(), 1, "only the one missed least");
        sessions.remove("early");
        tokio::time::advance(Duration::from_secs(2)).await;
        sessions.insert("5", who.clone(), other(5), 5).unwrap();
        let (_, evicted) = sessions.insert("6", who.clone(), HERE, 6).unwrap();
        assert_eq!(evicted.iter().map(|held| held.value).collect::<Vec<_>>(), [3]);
        assert_eq!(sessions.expire().len(), 0);
        drop(in_use);
        assert_eq!(sessions.expire().iter().map(|held| held.value).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn what_makes_room_is_at_the_target_and_missed_least() {
        let (sessions, who) = (sessions(99), Principal::new("anonymous"));
        let check = |expected: Option<&str>| {
            let found = sessions.least_missed(["a", "*"], |value| *value < 10).map(|(_, key)| key);
            assert_eq!(found.as_deref(), expected);
        };
        check(None);
        // Another target, of a name that begins alike, and one without a process.
        sessions.insert("ab\nc", who.clone(), HERE, 0).unwrap();
        sessions.insert("b\nc", who.clone(), HERE, 0).unwrap();
        sessions.insert("a\nhttp", who.clone(), HERE, 10).unwrap();
        check(None);
        for (key, idle) in [("a\nrecent", 30), ("a\nidle", 61), ("*\nlonger", 90)] {
            sessions.insert(key, who.clone(), HERE, 1).unwrap();
            age(&sessions, &sessions.find(key, &who).unwrap(), idle);
        }
        check(Some("*\nlonger"));
        sessions.insert("a\nunclaimed", who.clone(), HERE, 2).unwrap();
        check(Some("a\nunclaimed"));
        let in_use = sessions.find("a\nunclaimed", &who).unwrap();
        check(Some("*\nlonger"));
        assert!(sessions.remove_unused("a\nunclaimed").is_none());
        drop(in_use);
        assert!(sessions.remove_unused("*\nlonger").is_some());
        check(Some("a\nidle"));
        assert!(sessions.remove_unused("a\nidle").is_some());
        check(None);
    }

    #[test]
    fn retired_sessions_expire_unless_they_are_in_use() {
        let (sessions, who) = (sessions(9), Principal::new("anonymous"));
        let in_use = sessions.insert("in use", who.clone(), HERE, 0).unwrap().0;
        sessions.insert("done", who.clone(), HERE, 1).unwrap();
        sessions.find("done", &who).unwrap();
        sessions.retire();
        sessions.insert("new", who.clone(), HERE, 2).unwrap();
        assert_eq!(sessions.expire().iter().map(|held| held.value).collect::<Vec<_>>(), [1]);
        drop(in_use);
        assert_eq!(sessions.expire().iter().map(|held| held.value).collect::<Vec<_>>(), [0]);
        assert!(sessions.find("new", &who).is_some());
    }

    #[test]
    fn a_session_that_nobody_claimed_ends_early() {
        let (sessions, who) = (sessions(9), Principal::new("anonymous"));
        age(&sessions, &sessions.insert("never", who.clone(), HERE, 0).unwrap().0, 61);
        sessions.insert("claimed", who.clone(), HERE, 1).unwrap();
        age(&sessions, &sessions.find("claimed", &who).unwrap(), 61);
        assert_eq!(sessions.expire().len(), 1);
        assert!(sessions.find("claimed", &who).is_some());
        assert!(sessions.find("claimed", &Principal::new("another")).is_none());
    }

    /// So many sessions of one address, claimed and used just now.
    fn fill(sessions: &Sessions<u32>, from: IpAddr, count: u32) -> Vec<String> {
        let who = Principal::anonymous();
        let begun = (0..count).filter_map(|number| {
            let key = format!("{from} {number}");
            sessions.insert(&key, who.clone(), from, number).ok()?;
            sessions.find(&key, &who).map(|_| key)
        });
        begun.collect()
    }

    /// How many sessions of that address are left.
    fn left(sessions: &Sessions<u32>, from: IpAddr) -> usize {
        let holder = Holder::of(&Principal::anonymous(), from);
        sessions.lock().iter().filter(|(_, held)| held.holder == holder).count()
    }

    #[test]
    fn one_address_that_fills_all_places_keeps_nobody_else_out() {
        for in_use in [false, true] {
            let (sessions, who) = (sessions(8), Principal::anonymous());
            sessions.insert("quiet", who.clone(), other(1), 0).unwrap();
            age(&sessions, &sessions.find("quiet", &who).unwrap(), 600);
            let flood = fill(&sessions, HERE, 100);
            assert_eq!((flood.len(), sessions.len()), (7, 8), "it does not make place for more of its own");
            let held: Vec<_> = flood.iter().filter_map(|key| sessions.find(key, &who)).filter(|_| in_use).collect();
            assert!(sessions.insert("one more", who.clone(), HERE, 0).is_err(), "in use: {in_use}");
            assert!(sessions.find("quiet", &who).is_some(), "quiet for ten minutes, and nobody may take its place");
            // It gets what is left over if places are shared evenly, and no more.
            assert_eq!(fill(&sessions, other(1), 100).len(), 3);
            assert_eq!((left(&sessions, HERE), left(&sessions, other(1))), (4, 4));
            // A third gets places of whoever holds the most.
            assert_eq!(fill(&sessions, other(2), 100).len(), 2);
            assert_eq!(left(&sessions, HERE) + left(&sessions, other(1)), 6);
            drop(held);
        }
    }

    #[test]
    fn of_whoever_holds_the_most_the_one_missed_least_makes_place() {
        let (sessions, who) = (sessions(4), Principal::anonymous());
        let keys = fill(&sessions, HERE, 4);
        age(&sessions, &sessions.find(&keys[1], &who).unwrap(), 50);
        age(&sessions, &sessions.find(&keys[2], &who).unwrap(), 70);
        let in_use = sessions.find(&keys[2], &who).unwrap();
        age(&sessions, &in_use, 70);
        let (_, evicted) = sessions.insert("new", who.clone(), other(1), 9).unwrap();
        assert_eq!(evicted.iter().map(|held| held.value).collect::<Vec<_>>(), [1], "not the one in use");
    }

    #[test]
    fn where_all_hold_alike_the_longest_unused_makes_place() {
        let (sessions, who) = (sessions(3), Principal::anonymous());
        for number in 1..4 {
            let key = number.to_string();
            sessions.insert(&key, who.clone(), other(number), number.into()).unwrap();
            sessions.find(&key, &who).unwrap();
        }
        assert!(sessions.insert("new", who.clone(), other(9), 9).is_err());
        age(&sessions, &sessions.find("2", &who).unwrap(), 61);
        // Not for one who has a place.
        assert!(sessions.insert("new", who.clone(), other(1), 9).is_err());
        let (_, evicted) = sessions.insert("new", who, other(9), 9).unwrap();
        assert_eq!(evicted.iter().map(|held| held.value).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn who_holds_a_place() {
        let (nobody, ann) = (Principal::anonymous(), Principal::new("ann"));
        let of = |who: &Principal, from: &str| Holder::of(who, from.parse().unwrap());
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8::1", "2001:db8::ffff:0:0:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
        ] {
            assert_eq!(of(&nobody, one) == of(&nobody, other), same, "{one} {other}");
            assert_eq!(of(&ann, one), of(&ann, other), "who signed in is the same everywhere");
            assert_ne!(of(&ann, one), of(&nobody, one));
        }
    }
}
