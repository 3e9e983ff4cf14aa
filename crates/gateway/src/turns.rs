//! Whose handshake, or whose token, is worked on.
//!
//! **Threat.** A handshake costs whoever asks for one next to nothing and the gateway a signature and two key exchanges, before it
//! is known who asks; so does the signature of a token. Whoever begins many has the gateway do nothing else. So they are worked on by
//! half of the threads at most, and of one address by one at a time: others wait for no more of them than there are addresses that flood.
//!
//! A turn lasts for one step, which is computed without a pause; nobody has one while a client takes its time.

use std::collections::HashMap;
use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;
use tokio::sync::Semaphore;

use crate::address;

#[derive(Debug)]
pub(crate) struct Turns {
    all: Semaphore,
    by_block: Mutex<HashMap<IpAddr, Weak<Semaphore>>>,
}

impl Default for Turns {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Turns { all: Semaphore::new((threads / 2).max(1)), by_block: Mutex::default() }
    }
}

impl Turns {
    /// Does `work` for somebody at that address, each step of it in a turn of theirs.
    pub(crate) async fn during<F: Future>(&self, from: IpAddr, work: F) -> F::Output {
        let mut work = std::pin::pin!(work);
        let own = self.own(address::block(from));
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(Arc::clone(&bell));
        loop {
            let step = {
                // First its own: whoever waits for that is in nobody's way. Neither is ever closed.
                let _own = own.acquire().await;
                let _all = self.all.acquire().await;
                let step = work.as_mut().poll(&mut Context::from_waker(&waker));
                // A turn is over only once whatever else there is to do has been done, be it a request or the turns of others: a
                // thread that has a thousand handshakes to go on with would do one after the other.
                tokio::task::yield_now().await;
                step
            };
            if let Poll::Ready(done) = step {
                return done;
            }
            bell.rung().await;
        }
    }

    fn own(&self, block: IpAddr) -> Arc<Semaphore> {
        let mut all = self.by_block.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = all.get(&block).and_then(Weak::upgrade) {
            return own;
        }
        all.retain(|_, own| own.strong_count() > 0);
        let own = Arc::new(Semaphore::new(1));
        all.insert(block, Arc::downgrade(&own));
        own
    }
}

/// Whether what is worked on can go on. The task itself is woken for other reasons too, by its turn for one.
#[derive(Default)]
struct Bell {
    is_rung: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.is_rung.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl Bell {
    async fn rung(&self) {
        poll_fn(|context| {
            // Before it is looked at, or a ring in between would be missed.
            self.task.register(context.waker());
            if self.is_rung.swap(false, Ordering::AcqRel) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use super::*;

    fn turns() -> Arc<Turns> {
        Arc::new(Turns { all: Semaphore::new(1), by_block: Mutex::default() })
    }

    /// Work of some steps, each of which is counted and after each of which it waits for something.
    async fn steps(count: &AtomicUsize, number: usize) {
        for _ in 0..number {
            count.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn whoever_floods_is_waited_for_once() {
        let turns = turns();
        let flood = Arc::new(AtomicUsize::new(0));
        let flooding = (0..1000).map(|_| {
            let (turns, flood) = (Arc::clone(&turns), Arc::clone(&flood));
            tokio::spawn(async move { turns.during(IpAddr::from([192, 0, 2, 1]), steps(&flood, 100)).await })
        });
        let flooding: Vec<_> = flooding.collect();
        tokio::task::yield_now().await;
        let before = flood.load(Ordering::SeqCst);
        let (again, counted) = (Arc::clone(&turns), Arc::clone(&flood));
        // A task as the others are: what a test itself waits for is looked at less often.
        let good = tokio::spawn(async move {
            again.during(IpAddr::from([192, 0, 2, 2]), steps(&AtomicUsize::new(0), 3)).await;
            counted.load(Ordering::SeqCst)
        });
        let meanwhile = good.await.unwrap() - before;
        assert!(meanwhile <= 12, "four turns took as long as {meanwhile} of the flood");
        // The twin: the flood goes on afterwards, and to its end.
        for one in flooding {
            one.await.unwrap();
        }
        assert_eq!(flood.load(Ordering::SeqCst), 100_000);
        turns.during(IpAddr::from([192, 0, 2, 3]), async {}).await;
        assert_eq!(turns.by_block.lock().unwrap().len(), 1, "whoever waits for nothing is forgotten");
    }

    #[tokio::test]
    async fn whoever_takes_their_time_has_no_turn() {
        let turns = turns();
        let slow = turns.during(IpAddr::from([192, 0, 2, 1]), std::future::pending::<()>());
        let quick = turns.during(IpAddr::from([192, 0, 2, 1]), async { 7 });
        tokio::select! {
            biased;
            () = slow => unreachable!(),
            done = quick => assert_eq!(done, 7),
        }
    }

    #[tokio::test]
    async fn whoever_leaves_leaves_their_turn() {
        let turns = turns();
        let from = IpAddr::from([192, 0, 2, 1]);
        let held = turns.all.acquire().await.unwrap();
        let waits = tokio::time::timeout(Duration::from_millis(10), turns.during(from, async {})).await;
        assert!(waits.is_err(), "all turns are taken");
        drop(held);
        turns.during(from, async {}).await;
    }
}
