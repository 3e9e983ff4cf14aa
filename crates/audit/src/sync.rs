//! Group commit: one thread syncs to disk for everyone who waits.
//!
//! A thread of the log's own, because `fdatasync` blocks for milliseconds and this crate has no runtime to block in.
//! Whoever waits while a sync runs is served by the next one together, so a thousand waiters cost two syncs. The
//! waiting end, [`Pending`], is both a future and a blocking call and needs nothing but the standard library, so it
//! works under any runtime.

use std::fs::File;
use std::future::Future;
use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;

use crate::error::AuditError;
use crate::id::Id;
use crate::receipt::{Level, Receipt};

/// Something whose written data can be put on disk.
pub(crate) trait Target: Send + Sync {
    fn sync(&self) -> io::Result<()>;
}

impl Target for File {
    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// A receipt on its way to [`Level::Durable`]: await it, or block with [`Pending::wait`].
#[derive(Debug)]
#[must_use = "the receipt is lost with it"]
pub struct Pending {
    slot: Arc<Slot>,
    receipt: Option<Receipt>,
}

impl Pending {
    /// Blocks until the entry is on disk.
    pub fn wait(mut self) -> Result<Receipt, AuditError> {
        let mut state = lock(&self.slot.state);
        loop {
            if let Some(outcome) = state.outcome.take() {
                drop(state);
                return self.finish(outcome);
            }
            state = self.slot.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn finish(&mut self, outcome: Outcome) -> Result<Receipt, AuditError> {
        outcome.map_err(AuditError::Sync)?;
        let receipt = self.receipt.take().ok_or(AuditError::Entry("the receipt was already handed out"))?;
        Ok(receipt.at_level(Level::Durable))
    }
}

impl Future for Pending {
    type Output = Result<Receipt, AuditError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = lock(&self.slot.state);
        if let Some(outcome) = state.outcome.take() {
            drop(state);
            return Poll::Ready(self.finish(outcome));
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

type Outcome = Result<(), Arc<io::Error>>;

#[derive(Debug, Default)]
struct Slot {
    state: Mutex<SlotState>,
    ready: Condvar,
}

#[derive(Debug, Default)]
struct SlotState {
    outcome: Option<Outcome>,
    waker: Option<Waker>,
}

impl Slot {
    fn complete(&self, outcome: Outcome) {
        let waker = {
            let mut state = lock(&self.state);
            state.outcome = Some(outcome);
            state.waker.take()
        };
        self.ready.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Owns the thread; dropping it syncs what is still unsynced and ends the thread.
pub(crate) struct Syncer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    /// The last entry that is written. Set by the writer after the write, so a sync that starts later covers it.
    written: AtomicU64,
    /// Whether syncing failed; a copy of `state.failure` that costs an append no lock.
    dead: AtomicBool,
}

struct State {
    /// What holds unsynced data; the last is the file being written. After a rotation the closed file is synced once
    /// more and the directory once, so that names and contents are on disk before a receipt says so.
    targets: Vec<Arc<dyn Target>>,
    waiting: Vec<Arc<Slot>>,
    /// Entries up to this one are on disk.
    synced: u64,
    /// Why nothing can become durable any more. It stays: after a failed sync the kernel may have dropped the data and
    /// marked the pages clean, so trying again can report success for data that is gone.
    failure: Option<Arc<io::Error>>,
    closing: bool,
}

impl Syncer {
    /// Starts the thread. `targets` ends with the file being written; entries up to `written` are in it already.
    pub(crate) fn start(targets: Vec<Arc<dyn Target>>, written: u64) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State { targets, waiting: Vec::new(), synced: 0, failure: None, closing: false }),
            wake: Condvar::new(),
            written: AtomicU64::new(written),
            dead: AtomicBool::new(false),
        });
        let worker = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("audit-sync".to_owned()).spawn(move || worker.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Says that the entry `seq` is written. Called by the writer, in order.
    pub(crate) fn written(&self, seq: u64) {
        self.shared.written.store(seq, Ordering::Release);
    }

    /// From now on entries go to the last of `targets`; what was there before still needs one sync.
    pub(crate) fn add(&self, targets: impl IntoIterator<Item = Arc<dyn Target>>) {
        lock(&self.shared.state).targets.extend(targets);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.shared.dead.load(Ordering::Acquire)
    }

    pub(crate) fn failure(&self) -> Option<Arc<io::Error>> {
        lock(&self.shared.state).failure.clone()
    }

    /// Blocks until all entries up to this one are on disk.
    pub(crate) fn wait_for(&self, seq: u64) -> Result<(), AuditError> {
        self.request(Receipt::written(seq, Id::from([0; 16]))).wait().map(drop)
    }

    pub(crate) fn request(&self, receipt: Receipt) -> Pending {
        let slot = Arc::new(Slot::default());
        let outcome = {
            let mut state = lock(&self.shared.state);
            if let Some(failure) = &state.failure {
                Some(Err(Arc::clone(failure)))
            } else if receipt.level() == Level::Durable || receipt.seq() <= state.synced {
                Some(Ok(()))
            } else {
                state.waiting.push(Arc::clone(&slot));
                None
            }
        };
        match outcome {
            Some(outcome) => slot.complete(outcome),
            None => self.shared.wake.notify_one(),
        }
        Pending { slot, receipt: Some(receipt) }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        lock(&self.shared.state).closing = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // It does not panic, and if it did there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self) {
        let mut state = lock(&self.state);
        loop {
            let written = self.written.load(Ordering::Acquire);
            let unsynced = state.failure.is_none() && state.synced < written;
            if state.waiting.is_empty() && !(state.closing && unsynced) {
                if state.closing {
                    return;
                }
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state = self.commit(state);
        }
    }

    /// One sync for everyone who waits now. The lock is not held while the disk works.
    fn commit<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let waiting = mem::take(&mut state.waiting);
        // Waiters got their receipts before they asked, so `written`, read after that, covers them all.
        let written = self.written.load(Ordering::Acquire);
        let targets = state.targets.clone();
        let failure = state.failure.clone();
        drop(state);

        let outcome = match failure {
            Some(failure) => Err(failure),
            None => targets.iter().try_for_each(|target| target.sync()).map_err(Arc::new),
        };

        let mut state = lock(&self.state);
        match &outcome {
            Ok(()) => {
                state.synced = written;
                state.targets.drain(..targets.len().saturating_sub(1));
            }
            Err(error) => {
                state.failure = Some(Arc::clone(error));
                self.dead.store(true, Ordering::Release);
            }
        }
        drop(state);
        for slot in waiting {
            slot.complete(outcome.clone());
        }
        lock(&self.state)
    }
}

/// No code that holds these locks can panic halfway through a change, so a poisoned one is still consistent.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Counts syncs, waits for permission before each when gated, and fails when told.
    #[derive(Default)]
    struct Disk {
        syncs: AtomicUsize,
        broken: AtomicBool,
        gate: Option<Mutex<std::sync::mpsc::Receiver<()>>>,
    }

    impl Target for Disk {
        fn sync(&self) -> io::Result<()> {
            if let Some(gate) = &self.gate {
                let _ = gate.lock().unwrap().recv();
            }
            self.syncs.fetch_add(1, Ordering::SeqCst);
            if self.broken.load(Ordering::SeqCst) { Err(io::Error::other("broken")) } else { Ok(()) }
        }
    }

    fn receipt(syncer: &Syncer, seq: u64) -> Receipt {
        syncer.written(seq);
        Receipt::written(seq, Id::from([0; 16]))
    }

    #[test]
    fn waiters_share_a_sync() {
        let (open, gate) = std::sync::mpsc::channel();
        let disk = Arc::new(Disk { gate: Some(Mutex::new(gate)), ..Disk::default() });
        let syncer = Syncer::start(vec![disk.clone()], 0).unwrap();
        // The first sync may start before the others ask; those are then all served by the second.
        let pending: Vec<_> = (1..=100).map(|seq| syncer.request(receipt(&syncer, seq))).collect();
        drop(open);
        for (pending, seq) in pending.into_iter().zip(1..) {
            let receipt = pending.wait().unwrap();
            assert_eq!((receipt.seq(), receipt.level()), (seq, Level::Durable));
        }
        assert!(disk.syncs.load(Ordering::SeqCst) <= 2);
    }

    #[test]
    fn what_is_synced_needs_no_second_sync() {
        let disk = Arc::new(Disk::default());
        let syncer = Syncer::start(vec![disk.clone()], 0).unwrap();
        let (first, second) = (receipt(&syncer, 1), receipt(&syncer, 2));
        syncer.request(second).wait().unwrap();
        syncer.request(first).wait().unwrap();
        assert_eq!(disk.syncs.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_failed_sync_is_final() {
        let disk = Arc::new(Disk::default());
        disk.broken.store(true, Ordering::SeqCst);
        let syncer = Syncer::start(vec![disk.clone()], 0).unwrap();
        assert!(matches!(syncer.request(receipt(&syncer, 1)).wait(), Err(AuditError::Sync(_))));
        disk.broken.store(false, Ordering::SeqCst);
        assert!(syncer.is_dead());
        assert!(matches!(syncer.request(receipt(&syncer, 2)).wait(), Err(AuditError::Sync(_))));
        drop(syncer);
        assert_eq!(disk.syncs.load(Ordering::SeqCst), 1, "it was tried again");
    }

    #[test]
    fn after_a_rotation_the_closed_file_is_synced_once_more() {
        let (old, new) = (Arc::new(Disk::default()), Arc::new(Disk::default()));
        let syncer = Syncer::start(vec![old.clone()], 0).unwrap();
        syncer.request(receipt(&syncer, 1)).wait().unwrap();
        let between = receipt(&syncer, 2);
        syncer.add([new.clone() as Arc<dyn Target>]);
        syncer.request(between).wait().unwrap();
        syncer.request(receipt(&syncer, 3)).wait().unwrap();
        assert_eq!((old.syncs.load(Ordering::SeqCst), new.syncs.load(Ordering::SeqCst)), (2, 2));
    }

    #[test]
    fn closing_syncs_what_is_written() {
        let disk = Arc::new(Disk::default());
        let syncer = Syncer::start(vec![disk.clone()], 0).unwrap();
        syncer.written(1);
        drop(syncer);
        assert_eq!(disk.syncs.load(Ordering::SeqCst), 1);
    }

    struct Unpark(std::thread::Thread);

    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    #[test]
    fn a_pending_receipt_wakes_the_task_that_awaits_it() {
        let (open, gate) = std::sync::mpsc::channel();
        let disk = Arc::new(Disk { gate: Some(Mutex::new(gate)), ..Disk::default() });
        let syncer = Syncer::start(vec![disk], 0).unwrap();
        let mut pending = std::pin::pin!(syncer.request(receipt(&syncer, 1)));
        let waker = Arc::new(Unpark(std::thread::current())).into();
        let mut context = Context::from_waker(&waker);
        assert!(pending.as_mut().poll(&mut context).is_pending());
        drop(open);
        loop {
            if let Poll::Ready(receipt) = pending.as_mut().poll(&mut context) {
                assert_eq!(receipt.unwrap().level(), Level::Durable);
                return;
            }
            std::thread::park();
        }
    }
}
