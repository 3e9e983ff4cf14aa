//! CPU and memory of processes and everything below them, from /proc.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Serialize;

/// Clock ticks a second in /proc: part of the kernel's interface, whatever its own timer runs at.
const TICKS: f64 = 100.0;
const EVERY: Duration = Duration::from_millis(100);

/// What one watched tree used.
#[derive(Serialize, Clone, Default, Debug, PartialEq)]
pub(crate) struct Usage {
    pub(crate) cpu_seconds: f64,
    pub(crate) rss_start_kib: u64,
    /// The most that was resident at one of the samples.
    pub(crate) rss_max_kib: u64,
    /// The most the processes have had since they were started, each for itself.
    pub(crate) rss_peak_kib: u64,
    pub(crate) processes: usize,
}

/// What everything used between a start and a finish.
pub(crate) struct Measured {
    pub(crate) trees: BTreeMap<String, Usage>,
    pub(crate) own_seconds: f64,
    /// CPU seconds of every other process of the machine.
    pub(crate) foreign_seconds: f64,
}

/// Samples trees of processes until it is finished.
pub(crate) struct Watch {
    roots: Vec<(String, u32)>,
    first: Vec<Tree>,
    most: Arc<Mutex<Vec<Tree>>>,
    busy: u64,
    own: u64,
    stop: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Watch {
    pub(crate) fn start(roots: Vec<(String, u32)>) -> Self {
        let pids: Vec<u32> = roots.iter().map(|(_, pid)| *pid).collect();
        let first = sample(&pids);
        let most = Arc::new(Mutex::new(first.clone()));
        let (stop, stopped) = mpsc::channel();
        let shared = most.clone();
        let thread = std::thread::spawn(move || {
            while stopped.recv_timeout(EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                keep_most(&shared, &sample(&pids));
            }
        });
        Watch { roots, first, most, busy: machine_busy(), own: own_ticks(), stop, thread }
    }

    pub(crate) fn finish(self) -> Measured {
        let (busy, own) = (machine_busy() - self.busy, own_ticks() - self.own);
        let pids: Vec<u32> = self.roots.iter().map(|(_, pid)| *pid).collect();
        keep_most(&self.most, &sample(&pids));
        let _ = self.stop.send(());
        let _ = self.thread.join();
        let most = self.most.lock().unwrap_or_else(PoisonError::into_inner);
        let mut trees: BTreeMap<String, Usage> = BTreeMap::new();
        let mut watched = 0;
        for ((name, _), (first, most)) in self.roots.into_iter().zip(self.first.iter().zip(most.iter())) {
            let ticks = most.ticks.saturating_sub(first.ticks);
            watched += ticks;
            // Several roots of one name add up.
            let usage = trees.entry(name).or_default();
            usage.cpu_seconds += ticks as f64 / TICKS;
            usage.rss_start_kib += first.rss_kib;
            usage.rss_max_kib += most.rss_kib;
            usage.rss_peak_kib += most.peak_kib;
            usage.processes += most.processes;
        }
        let foreign = busy.saturating_sub(own + watched);
        Measured { trees, own_seconds: own as f64 / TICKS, foreign_seconds: foreign as f64 / TICKS }
    }
}

/// Resident memory of a process and everything below it, in KiB.
pub(crate) fn tree_rss_kib(root: u32) -> u64 {
    sample(&[root]).iter().map(|tree| tree.rss_kib).sum()
}

#[derive(Clone, Default)]
struct Tree {
    ticks: u64,
    rss_kib: u64,
    peak_kib: u64,
    processes: usize,
}

fn keep_most(most: &Mutex<Vec<Tree>>, now: &[Tree]) {
    let mut most = most.lock().unwrap_or_else(PoisonError::into_inner);
    for (most, now) in most.iter_mut().zip(now) {
        most.ticks = most.ticks.max(now.ticks);
        most.rss_kib = most.rss_kib.max(now.rss_kib);
        most.peak_kib = most.peak_kib.max(now.peak_kib);
        most.processes = most.processes.max(now.processes);
    }
}

fn sample(roots: &[u32]) -> Vec<Tree> {
    let all = processes();
    roots.iter().map(|root| tree(*root, &all)).collect()
}

fn tree(root: u32, all: &HashMap<u32, Stat>) -> Tree {
    let mut tree = Tree::default();
    for pid in below(root, all) {
        let Some(stat) = all.get(&pid) else { continue };
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        tree.ticks += stat.ticks;
        tree.rss_kib += kib(&status, "VmRSS:");
        tree.peak_kib += kib(&status, "VmHWM:");
        tree.processes += 1;
    }
    tree
}

/// A process and everything below it.
fn below(root: u32, all: &HashMap<u32, Stat>) -> Vec<u32> {
    let (mut found, mut level) = (vec![root], vec![root]);
    while !level.is_empty() {
        level = all.iter().filter(|(_, stat)| level.contains(&stat.parent)).map(|(pid, _)| *pid).collect();
        found.extend(&level);
    }
    found
}

fn processes() -> HashMap<u32, Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: u32| Some((pid, stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?))).collect()
}

fn own_ticks() -> u64 {
    fs::read_to_string("/proc/self/stat").ok().and_then(|text| stat(&text)).map_or(0, |stat| stat.ticks)
}

fn machine_busy() -> u64 {
    busy(&fs::read_to_string("/proc/stat").unwrap_or_default())
}

#[derive(Debug, PartialEq)]
struct Stat {
    parent: u32,
    /// CPU ticks of the process, its threads and the children it has waited for.
    ticks: u64,
}

/// Reads /proc/PID/stat. The command name before the last `)` may hold anything, spaces and brackets too.
fn stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let parent = fields.get(1)?.parse().ok()?;
    let ticks = fields.get(11..15)?.iter().map(|field| field.parse::<u64>().ok()).sum::<Option<u64>>()?;
    Some(Stat { parent, ticks })
}

/// A figure in KiB from /proc/PID/status; 0 for a process that has ended.
fn kib(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// The ticks all processors together were busy, from /proc/stat: neither idle nor waiting.
fn busy(text: &str) -> u64 {
    let numbers = text.lines().next().unwrap_or("").split_ascii_whitespace().skip(1);
    // user, nice, system, idle, iowait, irq, softirq, steal; guest time is part of user time.
    numbers
        .enumerate()
        .filter(|(n, _)| !matches!(n, 3 | 4 | 8..))
        .filter_map(|(_, field)| field.parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_behind_any_name() {
        let rest = "S 41 7 7 0 -1 4194560 900 0 0 0 120 30 4 1 20 0 3 0 9999 1 2 3";
        let expected = Some(Stat { parent: 41, ticks: 155 });
        for name in ["(bartizan)", "(a b)", "(evil) S 1 1)", "(()"] {
            assert_eq!(stat(&format!("42 {name} {rest}")), expected, "{name}");
        }
        for cut in ["", "42 (x)", "42 (x) S", "42 (x) S 41 7 7 0 -1 4194560 900 0 0 0 120 30", "42 (x) S y"] {
            assert_eq!(stat(cut), None, "{cut}");
        }
    }

    #[test]
    fn status_figures() {
        let status = "Name:\tVmRSS: 9\nVmHWM:\t    9000 kB\nVmRSS:\t    1234 kB\nThreads:\t3\n";
        assert_eq!((kib(status, "VmRSS:"), kib(status, "VmHWM:"), kib("Name:\tx\n", "VmRSS:")), (1234, 9000, 0));
    }

    #[test]
    fn busy_is_neither_idle_nor_waiting_nor_counted_twice() {
        assert_eq!(busy("cpu  1 2 4 1000 5000 8 16 32 700 800\ncpu0 9 9 9 9 9 9 9 9 9 9\n"), 63);
        assert_eq!(busy(""), 0);
    }

    #[test]
    fn a_tree_is_a_process_and_everything_below() {
        let all = [(1, 0), (2, 1), (3, 2), (4, 2), (5, 1), (6, 4)];
        let all = all.map(|(pid, parent)| (pid, Stat { parent, ticks: 0 })).into();
        let mut found = below(2, &all);
        found.sort_unstable();
        assert_eq!(found, [2, 3, 4, 6]);
    }

    #[test]
    fn this_process_is_seen() {
        let pid = std::process::id();
        let measured = Watch::start(vec![("me".into(), pid)]).finish();
        let me = &measured.trees["me"];
        assert!(me.rss_max_kib > 0 && me.rss_peak_kib >= me.rss_max_kib && me.processes >= 1, "{me:?}");
        assert!(tree_rss_kib(pid) > 0);
    }
}
