//! Where passwords are hashed: beside everything else, a few at a time.
//!
//! **Threat.** Each hash takes 19 MiB and a core for a while, and whoever reaches the sign-in page can ask for one. So as many
//! run as there are cores, four at most, a number of others wait, and the rest is told to come back. And those that run give
//! way to whatever else the gateway does.

use std::sync::Arc;
use std::thread;

use tokio::sync::{Semaphore, oneshot};

use super::trouble::Trouble;

/// So many may wait for their turn.
const WAITING: usize = 64;
/// How far their threads stand back behind others, as `nice` counts it: on a core that is full they have a tenth of it.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

pub(super) struct Hashing {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Default for Hashing {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from).min(4);
        Hashing { running: Arc::new(Semaphore::new(cores)), waiting: Arc::new(Semaphore::new(WAITING + cores)) }
    }
}

impl Hashing {
    /// What `work` comes to once it is its turn. It goes on where nobody waits for it any more, and counts until it ends.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Trouble> {
        let waiting = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| Trouble::Busy)?;
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(|_| Trouble::Failed)?;
        let (tell, told) = oneshot::channel();
        let work = move || {
            stand_back();
            let done = work();
            drop((running, waiting));
            tell.send(done).ok();
        };
        // A thread of its own for each: one that has stood back may not come forward again, and others are not to do so.
        thread::Builder::new().name("password".to_owned()).spawn(work).map_err(|error| {
            tracing::error!(%error, "a password cannot be hashed");
            Trouble::Failed
        })?;
        told.await.map_err(|_| Trouble::Failed)
    }
}

/// Has this thread wait for others. Elsewhere than on Linux that would be the whole process.
fn stand_back() {
    #[cfg(target_os = "linux")]
    if let Ok(now) = rustix::process::getpriority_process(None) {
        rustix::process::setpriority_process(None, (now + NICE).min(19)).ok();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn whoever_hashes_stands_back_and_nobody_else_does() {
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let before = nice();
        assert_eq!(Hashing::default().run(nice).await.ok(), Some((before + NICE).min(19)));
        assert_eq!(nice(), before);
        assert_eq!(tokio::task::spawn_blocking(nice).await.unwrap(), before);
    }

    #[tokio::test]
    async fn what_breaks_off_is_said_and_makes_room() {
        let hashing = Hashing::default();
        for _ in 0..WAITING * 2 {
            let done: Result<(), Trouble> = hashing.run(|| panic!("as wanted")).await;
            assert!(matches!(done, Err(Trouble::Failed)));
        }
        assert!(hashing.run(|| ()).await.is_ok());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn only_so_many_run_and_wait() {
        let hashing = Arc::new(Hashing::default());
        let most = hashing.running.available_permits();
        let (now, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..200)
            .map(|_| {
                let (hashing, now, peak) = (Arc::clone(&hashing), Arc::clone(&now), Arc::clone(&peak));
                tokio::spawn(async move {
                    let work = move || {
                        peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        thread::sleep(Duration::from_millis(20));
                        now.fetch_sub(1, Ordering::SeqCst);
                    };
                    hashing.run(work).await.is_ok()
                })
            })
            .collect();
        let mut done = 0;
        for task in tasks {
            done += usize::from(task.await.unwrap());
        }
        assert!(peak.load(Ordering::SeqCst) <= most);
        assert!(done >= most && done < 200, "{done} of 200 were taken");
        assert!(hashing.run(|| ()).await.is_ok(), "and afterwards all is as before");
    }
}
