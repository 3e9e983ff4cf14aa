//! Finds the processes of a tree in `/proc` and signals them without ever hitting a stranger.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use rustix::process::{Pid, PidfdFlags, Signal, getpid};

/// One process as `/proc` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: i32,
    pub(super) parent: i32,
    pub(super) group: i32,
    pub(super) session: i32,
    /// Ticks since boot; together with the pid it names a process for good.
    started: u64,
}

/// All processes this one can see.
pub(super) fn all() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|entry| read(entry.ok()?.file_name().to_str()?.parse().ok()?)).collect()
}

/// This process. Its group and its session are 0 where they were made outside of what it can see, as for the first process of a
/// container may be; the calls that ask for them are told the same, and their wrappers are not made for that.
pub(super) fn own() -> Option<Process> {
    read(getpid().as_raw_pid())
}

/// Those of `all` for which `is_root` holds, and everything below them.
pub(super) fn with_descendants(all: &[Process], is_root: impl Fn(&Process) -> bool) -> Vec<Process> {
    let mut children = BTreeMap::<i32, Vec<Process>>::new();
    for process in all {
        children.entry(process.parent).or_default().push(*process);
    }
    let mut pending: Vec<Process> = all.iter().copied().filter(is_root).collect();
    let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
    while let Some(process) = pending.pop() {
        // A pid reused between two reads could close a circle.
        if seen.insert(process.pid) {
            found.push(process);
            pending.extend(children.get(&process.pid).into_iter().flatten());
        }
    }
    found
}

/// Signals everything below this process and returns how many processes that were.
pub(super) fn signal_descendants(signal: Signal) -> usize {
    let (me, my_group) = (getpid().as_raw_pid(), own().map(|own| own.group));
    let below = with_descendants(&all(), |process| process.parent == me);
    // A group is signalled in one step, so one that keeps forking cannot outrun us. A direct child stays at
    // least a zombie until we wait for it, and until then its group's number belongs to nobody else.
    let mut groups = BTreeSet::new();
    for child in
        below.iter().filter(|process| process.parent == me && my_group.is_some_and(|mine| process.group != mine))
    {
        if let Some(group) = Pid::from_raw(child.group).filter(|_| groups.insert(child.group)) {
            rustix::process::kill_process_group(group, signal).ok();
        }
    }
    for process in below.iter().filter(|process| !groups.contains(&process.group)) {
        signal_one(process, signal);
    }
    below.len()
}

/// Signals one process, unless its number has passed to another one meanwhile.
pub(super) fn signal_one(process: &Process, signal: Signal) {
    let Some(pid) = Pid::from_raw(process.pid) else { return };
    match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        Ok(handle) => {
            if read(process.pid).is_some_and(|now| now.started == process.started) {
                rustix::process::pidfd_send_signal(handle, signal).ok();
            }
        }
        // Before Linux 5.3; the gap between reading and killing is then microseconds wide.
        Err(rustix::io::Errno::NOSYS) => {
            rustix::process::kill_process(pid, signal).ok();
        }
        Err(_) => {}
    }
}

/// A process and all below it, without a look at any other.
pub(super) fn below(root: i32) -> Vec<i32> {
    let (mut pending, mut found) = (vec![root], BTreeSet::new());
    while let Some(pid) = pending.pop() {
        if !found.insert(pid) {
            continue;
        }
        // Children belong to the thread that made them.
        for thread in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let Ok(children) = fs::read_to_string(thread.path().join("children")) else {
                // A kernel without these lists.
                let root = |process: &Process| process.pid == root;
                return with_descendants(&all(), root).iter().map(|process| process.pid).collect();
            };
            pending.extend(children.split_ascii_whitespace().filter_map(|child| child.parse::<i32>().ok()));
        }
    }
    found.into_iter().collect()
}

/// Bytes of memory a process uses, its part of what it shares with others included.
pub(super) fn memory(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    // Memory that was moved to swap is used as well.
    let kilobytes = |name: &str| -> Option<u64> {
        text.lines().find_map(|line| line.strip_prefix(name))?.trim().strip_suffix(" kB")?.parse().ok()
    };
    Some(kilobytes("Pss:")?.saturating_add(kilobytes("SwapPss:").unwrap_or(0)).saturating_mul(1024))
}

fn read(pid: i32) -> Option<Process> {
    parse(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// Parses a line such as `7 (a name) S 1 7 7 0 ..`, where the name is the process's own choice.
fn parse(line: &[u8]) -> Option<Process> {
    let pid = str::from_utf8(line.get(..line.iter().position(|byte| *byte == b' ')?)?).ok()?.parse().ok()?;
    let after_name = line.get(line.iter().rposition(|byte| *byte == b')')?.checked_add(1)?..)?;
    let fields: Vec<&str> = str::from_utf8(after_name).ok()?.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse().ok();
    Some(Process {
        pid,
        parent: number(1)?,
        group: number(2)?,
        session: number(3)?,
        started: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_cannot_hide_behind_its_name() {
        let check = |name: &[u8]| {
            let numbers = b" S 10 20 30 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 99 88\n";
            let line = [b"77 (".as_slice(), name, b")", numbers].concat();
            let expected = Process { pid: 77, parent: 10, group: 20, session: 30, started: 4242 };
            assert_eq!(parse(&line), Some(expected), "{name:?}");
        };
        check(b"node");
        check(b"");
        check(b"a) S 1 1 1 (b");
        check(b"\xff\xfe )\n");
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"77 (cut"), None);
        assert_eq!(parse(b"77 (cut) S 1 2"), None);
    }

    #[test]
    fn descendants_are_found_through_any_order_and_circles() {
        let process = |(pid, parent)| Process { pid, parent, group: 0, session: 0, started: 0 };
        let check = |tree: &[(i32, i32)], expected: &[i32]| {
            let all: Vec<_> = tree.iter().copied().map(process).collect();
            let mut found: Vec<_> = with_descendants(&all, |p| p.parent == 1).iter().map(|p| p.pid).collect();
            found.sort_unstable();
            assert_eq!(found, expected, "{tree:?}");
        };
        check(&[], &[]);
        check(&[(2, 0), (3, 2)], &[]);
        check(&[(9, 5), (5, 1), (7, 9), (4, 2)], &[5, 7, 9]);
        check(&[(5, 1), (6, 5), (5, 6)], &[5, 6]);
    }

    #[test]
    fn this_very_process_is_seen() {
        let me = getpid().as_raw_pid();
        let parent = rustix::process::getppid().unwrap().as_raw_pid();
        assert!(all().iter().any(|process| process.pid == me && process.parent == parent));
    }
}
