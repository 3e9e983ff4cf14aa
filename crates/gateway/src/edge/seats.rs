//! Places for connections, and who makes room when there are none.
//!
//! **Threat.** Somebody opens connections until nobody else can: ones that say nothing, or that never finish what they say.
//! So when all places are taken, those who hold the most make room: first with connections on which nothing is under way,
//! those longest idle first, then, for somebody who holds less, with the newest of the others. Nobody loses a request to
//! somebody who holds as much.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::address;

/// Of so many connections one makes room at once with others, so that it need not be found out for each of a flood.
const SHARE: usize = 64;
/// How long a connection that makes room may take to end, if nothing is under way on it.
const GOING: Duration = Duration::from_secs(1);
/// How long somebody waits for others to make room before it is looked again.
const AGAIN: Duration = Duration::from_millis(20);

/// The places of one address that is listened on.
#[derive(Debug)]
pub(super) struct Seats {
    free: Arc<Semaphore>,
    all: usize,
    begun: Instant,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    last: u64,
    /// When some were told to go last.
    told: Option<Instant>,
    /// By the block of addresses that one machine may have; only those that have not been told to go.
    by_block: HashMap<IpAddr, HashMap<u64, Arc<Seat>>>,
}

/// What is known of one connection.
#[derive(Debug)]
pub(super) struct Seat {
    /// Since when nothing is under way on it, in milliseconds; [`BUSY`] if something is.
    idle_since: AtomicU64,
    /// It is to make room.
    leave: Notify,
    /// Even by breaking off what is under way.
    at_once: AtomicBool,
}

const BUSY: u64 = u64::MAX;

/// One connection's place, free again when this is dropped.
#[derive(Debug)]
pub(super) struct Seated {
    of: Arc<Seats>,
    seat: Arc<Seat>,
    block: IpAddr,
    number: u64,
    _place: OwnedSemaphorePermit,
}

impl Seats {
    pub(super) fn new(all: usize) -> Arc<Seats> {
        Arc::new(Seats { free: Arc::new(Semaphore::new(all)), all, begun: Instant::now(), held: Mutex::default() })
    }

    /// A place for a connection from there, once there is one; none if nobody makes room for it.
    pub(super) async fn take(self: &Arc<Self>, from: IpAddr) -> Option<Seated> {
        let block = address::block(from);
        loop {
            if let Ok(place) = Arc::clone(&self.free).try_acquire_owned() {
                return Some(self.seated(block, place));
            }
            if !self.make_room(block) {
                return None;
            }
            // One that makes room does so at once, as a rule.
            let free = tokio::time::timeout(AGAIN, Arc::clone(&self.free).acquire_owned());
            if let Ok(place) = free.await {
                return place.ok().map(|place| self.seated(block, place));
            }
        }
    }

    /// Returns once all have gone.
    pub(super) async fn empty(&self) {
        let all = u32::try_from(self.all).unwrap_or(u32::MAX);
        self.free.acquire_many(all).await.map(drop).ok();
    }

    fn seated(self: &Arc<Self>, block: IpAddr, place: OwnedSemaphorePermit) -> Seated {
        let seat = Arc::new(Seat {
            idle_since: AtomicU64::new(self.now()),
            leave: Notify::new(),
            at_once: AtomicBool::new(false),
        });
        let mut held = self.held();
        held.last = held.last.wrapping_add(1);
        let number = held.last;
        held.by_block.entry(block).or_default().insert(number, Arc::clone(&seat));
        Seated { of: Arc::clone(self), seat, block, number, _place: place }
    }

    /// Tells some to go, for a connection from `block`; whether it is worth waiting.
    fn make_room(&self, block: IpAddr) -> bool {
        let mut held = self.held();
        let own = held.by_block.get(&block).map(HashMap::len).unwrap_or_default();
        let seated: usize = held.by_block.values().map(HashMap::len).sum();
        let are_going = seated < self.all && held.told.is_some_and(|told| told.elapsed() < GOING);
        if are_going {
            return true;
        }
        let Some((most, seats)) = held.by_block.iter_mut().max_by_key(|(_, seats)| seats.len()) else { return false };
        let mut leave = idle(seats, (self.all / SHARE).max(1));
        let at_once = leave.is_empty();
        if at_once && *most != block && own + 1 < seats.len() {
            leave.extend(seats.keys().max().copied());
        }
        for seat in leave.iter().filter_map(|number| seats.remove(number)) {
            seat.at_once.store(at_once, Ordering::Relaxed);
            seat.leave.notify_one();
        }
        held.told = Some(Instant::now()).filter(|_| !leave.is_empty()).or(held.told);
        !leave.is_empty()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or_default()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those on which nothing is under way, so many that are so for the longest time.
fn idle(seats: &HashMap<u64, Arc<Seat>>, count: usize) -> Vec<u64> {
    let idle = seats.iter().map(|(number, seat)| (seat.idle_since.load(Ordering::Relaxed), *number));
    let mut idle: Vec<_> = idle.filter(|(since, _)| *since != BUSY).collect();
    if idle.len() > count {
        idle.select_nth_unstable(count);
        idle.truncate(count);
    }
    idle.into_iter().map(|(_, number)| number).collect()
}

impl Seated {
    /// Something is under way on it from now on.
    pub(super) fn begin(&self) {
        self.seat.idle_since.store(BUSY, Ordering::Relaxed);
    }

    /// Nothing is under way on it from now on.
    pub(super) fn rest(&self) {
        self.seat.idle_since.store(self.of.now(), Ordering::Relaxed);
    }

    /// Returns once it is to make room.
    pub(super) async fn leave(&self) {
        self.seat.leave.notified().await;
    }

    /// Returns once it is not waited for any more: what was begun meanwhile has its time, unless it is to be broken off.
    pub(super) async fn overdue(&self) {
        while !self.seat.at_once.load(Ordering::Relaxed) {
            tokio::time::sleep(GOING).await;
            if self.seat.idle_since.load(Ordering::Relaxed) != BUSY {
                break;
            }
        }
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        let mut held = self.of.held();
        if let Some(seats) = held.by_block.get_mut(&self.block) {
            seats.remove(&self.number);
            if seats.is_empty() {
                held.by_block.remove(&self.block);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn from(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    async fn take(seats: &Arc<Seats>, text: &str) -> Option<Seated> {
        seats.take(from(text)).await
    }

    fn is_told(seated: &Seated) -> bool {
        seated.leave().now_or_never().is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_longest_idle_of_those_with_the_most_makes_room() {
        let seats = Seats::new(4);
        let [busy, early, late] =
            [take(&seats, "192.0.2.1").await, take(&seats, "192.0.2.1").await, take(&seats, "192.0.2.1").await]
                .map(Option::unwrap);
        let other = take(&seats, "192.0.2.2").await.unwrap();
        busy.begin();
        early.begin();
        tokio::time::advance(Duration::from_secs(1)).await;
        late.rest();
        tokio::time::advance(Duration::from_secs(1)).await;
        early.rest();
        // Also for one of their own: it has something to say, more likely than one that has been silent for long.
        let mut coming = Box::pin(take(&seats, "192.0.2.1"));
        assert!((&mut coming).now_or_never().is_none(), "it takes a while");
        assert!(is_told(&late) && !is_told(&early) && !is_told(&busy) && !is_told(&other));
        drop(late);
        let come = coming.await.unwrap();
        assert!(!is_told(&come));
        drop((come, early));
        assert!(take(&seats, "192.0.2.3").await.is_some(), "there is a place");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_under_way_is_broken_off_only_for_those_who_have_less() {
        let seats = Seats::new(3);
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(take(&seats, "2001:db8::1").await.unwrap());
            held.last().unwrap().begin();
        }
        assert!(take(&seats, "2001:db8::2").await.is_none(), "it is the same machine, or might be");
        let mut coming = Box::pin(take(&seats, "192.0.2.1"));
        assert!((&mut coming).now_or_never().is_none());
        assert!(is_told(&held[2]) && !is_told(&held[0]) && !is_told(&held[1]));
        held.pop();
        let come = coming.await.unwrap();
        come.begin();
        // Who would have as many as those with the most has to wait for them.
        assert!(take(&seats, "192.0.2.1").await.is_none());
        let mut third = Box::pin(take(&seats, "192.0.2.2"));
        assert!((&mut third).now_or_never().is_none(), "but not who has none");
        assert!(is_told(&held[1]));
        drop(third);
        drop((held, come));
        seats.empty().await;
        assert!(seats.held().by_block.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_begins_just_then_is_finished_and_what_is_to_be_broken_off_is_not() {
        let seats = Seats::new(2);
        let [first, second] = [take(&seats, "192.0.2.1").await.unwrap(), take(&seats, "192.0.2.1").await.unwrap()];
        second.begin();
        let mut coming = Box::pin(take(&seats, "192.0.2.2"));
        assert!((&mut coming).now_or_never().is_none());
        assert!(is_told(&first));
        first.begin();
        let overdue = tokio::time::timeout(Duration::from_secs(60), first.overdue());
        assert!(overdue.await.is_err());
        first.rest();
        first.overdue().await;
        drop((coming, first));
        assert!(take(&seats, "192.0.2.2").await.is_some());
        assert!(!is_told(&second));
        second.seat.at_once.store(true, Ordering::Relaxed);
        assert!(second.overdue().now_or_never().is_some());
    }
}
