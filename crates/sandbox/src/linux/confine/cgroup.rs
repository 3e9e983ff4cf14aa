//! Limits that the kernel keeps for a whole tree: memory, processes and processor time, by control groups.
//!
//! Threat: a server that takes all memory, all processes or all time takes them from its user and from every other
//! server. A group of its own, below this process's or beside it, ends that server alone. Both versions of control
//! groups are served, since machines with both at once exist; where neither may be used, the launcher watches the
//! memory itself, and the limit of processes is that of the user inside the namespace.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, getpid};

use crate::{Kept, Limits};

/// Groups of launchers are called this and their process's number.
const PREFIX: &str = "bartizan-";
/// The period over which processor time is counted, in microseconds: the kernel's own default.
const PERIOD: u64 = 100_000;

/// The groups made for one server, removed in the end.
#[derive(Default)]
pub(in crate::linux) struct Groups {
    made: Vec<Group>,
    /// Which limits hold by them.
    pub(super) memory: bool,
    pub(super) pids: bool,
    pub(super) cpu: bool,
}

struct Group {
    path: PathBuf,
    version: Version,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// One limit: the controller that keeps it, and the files and values that set it by either version.
struct Setting {
    controller: &'static str,
    one: Vec<(&'static str, String)>,
    two: Vec<(&'static str, String)>,
}

impl Groups {
    /// Makes the groups that the limits need, as far as this host lets it.
    pub(in crate::linux) fn make(limits: &Limits) -> Self {
        let mut groups = Self::default();
        let Ok(hierarchies) = hierarchies() else { return groups };
        for hierarchy in &hierarchies {
            sweep(hierarchy);
        }
        for setting in settings(limits) {
            let holds = groups.set(&setting, &hierarchies);
            match setting.controller {
                "memory" => groups.memory = holds,
                "pids" => groups.pids = holds,
                _ => groups.cpu = holds,
            }
        }
        groups
    }

    fn set(&mut self, setting: &Setting, hierarchies: &[Hierarchy]) -> bool {
        hierarchies.iter().filter(|hierarchy| hierarchy.controllers.iter().any(|one| one == setting.controller)).any(
            |hierarchy| {
                hierarchy.places().any(|parent| self.set_below(&parent, hierarchy.version, setting).unwrap_or(false))
            },
        )
    }

    /// Sets a limit in a group below `parent`; false if the controller is not to be had there.
    fn set_below(&mut self, parent: &Path, version: Version, setting: &Setting) -> io::Result<bool> {
        let path = parent.join(format!("{PREFIX}{}", getpid().as_raw_pid()));
        if !self.made.iter().any(|group| group.path == path) {
            // A process is in one group of each hierarchy only.
            if version == Version::Two && self.made.iter().any(|group| group.version == version) {
                return Ok(false);
            }
            if version == Version::Two {
                fs::write(parent.join("cgroup.subtree_control"), format!("+{}", setting.controller)).ok();
            }
            fs::create_dir(&path)?;
            // One below a group that has threads of its own takes no processes, whatever limits can be set in it.
            if version == Version::Two && fs::read_to_string(path.join("cgroup.type"))?.trim() != "domain" {
                fs::remove_dir(&path)?;
                return Ok(false);
            }
            self.made.push(Group { path: path.clone(), version });
        }
        let values = if version == Version::One { &setting.one } else { &setting.two };
        let (needed, rest) = values.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let set = fs::write(path.join(needed.0), &needed.1);
        if set.is_err() && self.made.last().is_some_and(|group| group.path == path) && !self.holds_any() {
            self.made.pop();
            fs::remove_dir(&path).ok();
        }
        set?;
        for (file, value) in rest {
            // Swap may not be counted at all on this machine; the memory still is.
            fs::write(path.join(file), value).ok();
        }
        Ok(true)
    }

    /// The same as a value.
    pub(in crate::linux) fn kept(&self) -> Kept {
        Kept { memory: self.memory, pids: self.pids, cpu: self.cpu }
    }

    fn holds_any(&self) -> bool {
        self.memory || self.pids || self.cpu
    }

    /// Moves a process into the groups, with all that it will start.
    pub(super) fn take(&self, process: Pid) -> io::Result<()> {
        self.made
            .iter()
            .try_for_each(|group| fs::write(group.path.join("cgroup.procs"), process.as_raw_pid().to_string()))
    }

    /// Whether something in the groups was killed because the memory was used up.
    pub(super) fn ran_out_of_memory(&self) -> bool {
        self.made.iter().any(|group| {
            let file = if group.version == Version::One { "memory.oom_control" } else { "memory.events" };
            let text = fs::read_to_string(group.path.join(file)).unwrap_or_default();
            let killed = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
            killed.is_some_and(|count| count.trim() != "0")
        })
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for group in &self.made {
            // Empty by now; what is not is removed by a later launcher.
            fs::remove_dir(&group.path).ok();
        }
    }
}

fn settings(limits: &Limits) -> Vec<Setting> {
    let mut settings = Vec::new();
    if let Some(memory) = limits.memory {
        settings.push(Setting {
            controller: "memory",
            one: vec![
                ("memory.limit_in_bytes", memory.to_string()),
                ("memory.memsw.limit_in_bytes", memory.to_string()),
            ],
            two: vec![("memory.max", memory.to_string()), ("memory.swap.max", "0".into())],
        });
    }
    if let Some(pids) = limits.pids {
        let value = || vec![("pids.max", pids.to_string())];
        settings.push(Setting { controller: "pids", one: value(), two: value() });
    }
    if let Some(cpu) = limits.cpu {
        let quota = cpu.saturating_mul(PERIOD) / 1000;
        settings.push(Setting {
            controller: "cpu",
            one: vec![("cpu.cfs_quota_us", quota.max(1000).to_string()), ("cpu.cfs_period_us", PERIOD.to_string())],
            two: vec![("cpu.max", format!("{} {PERIOD}", quota.max(1000)))],
        });
    }
    settings
}

/// One mounted tree of control groups, and this process's place in it.
#[derive(Debug, PartialEq, Eq)]
struct Hierarchy {
    version: Version,
    controllers: Vec<String>,
    own: PathBuf,
    top: PathBuf,
}

impl std::fmt::Debug for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if *self == Self::One { "1" } else { "2" })
    }
}

impl Hierarchy {
    /// Where a group can be made: below this process's own, or beside it, which is where a session of systemd may.
    ///
    /// By version 2 none is made below a group with processes of its own, but for the root, which is known by having no type.
    fn places(&self) -> impl Iterator<Item = PathBuf> {
        let is_free = self.version == Version::One || !self.own.join("cgroup.type").exists();
        let below = Some(self.own.clone()).filter(|_| is_free);
        below.into_iter().chain(self.own.parent().filter(|_| self.own != self.top).map(Path::to_owned))
    }
}

/// The versions that are mounted here.
pub(in crate::linux) fn versions() -> Vec<u8> {
    let all = hierarchies().unwrap_or_default();
    let has = |version| all.iter().any(|hierarchy| hierarchy.version == version);
    [(1, Version::One), (2, Version::Two)]
        .into_iter()
        .filter(|(_, version)| has(*version))
        .map(|(name, _)| name)
        .collect()
}

fn hierarchies() -> io::Result<Vec<Hierarchy>> {
    let own = fs::read_to_string("/proc/self/cgroup")?;
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let mut found = parse(&own, &mounts);
    for hierarchy in found.iter_mut().filter(|hierarchy| hierarchy.version == Version::Two) {
        let controllers = fs::read_to_string(hierarchy.own.join("cgroup.controllers")).unwrap_or_default();
        hierarchy.controllers = controllers.split_whitespace().map(String::from).collect();
    }
    Ok(found)
}

/// Reads `/proc/self/cgroup` (`4:memory:/a`, or `0::/a` for version 2) beside the mounts, by proc(5).
fn parse(own: &str, mounts: &str) -> Vec<Hierarchy> {
    let mut found = Vec::new();
    for line in own.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let version = if controllers.is_empty() { Version::Two } else { Version::One };
        let controllers: Vec<String> = controllers.split(',').filter(|one| !one.is_empty()).map(String::from).collect();
        let Some((root, top)) = mounts.lines().find_map(|mount| mounted(mount, version, &controllers)) else {
            continue;
        };
        // Where only a part of the tree is mounted, as in a container, the rest of the path counts.
        let Ok(below) = Path::new(path).strip_prefix(root) else { continue };
        let top = PathBuf::from(top);
        let own = if below.as_os_str().is_empty() { top.clone() } else { top.join(below) };
        found.push(Hierarchy { version, controllers, own, top });
    }
    found
}

/// The root and the place of a mount, if it is the wanted tree.
fn mounted<'a>(line: &'a str, version: Version, controllers: &[String]) -> Option<(&'a str, &'a str)> {
    let (mount, system) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(3);
    let (root, place) = (mount.next()?, mount.next()?);
    let mut system = system.split(' ');
    let kind = system.next()?;
    let options = system.nth(1)?;
    let wanted = match version {
        Version::Two => kind == "cgroup2",
        Version::One => {
            let has = |one: &String| {
                options.split(',').any(|option| option == one.trim_start_matches("name="))
                    || options.split(',').any(|option| option == one)
            };
            kind == "cgroup" && controllers.iter().all(has)
        }
    };
    wanted.then_some((root, place))
}

/// Removes the groups of launchers that were killed before they could.
fn sweep(hierarchy: &Hierarchy) {
    for parent in hierarchy.places() {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name();
            let launcher =
                name.to_str().and_then(|name| name.strip_prefix(PREFIX)).filter(|pid| pid.parse::<u32>().is_ok());
            if launcher.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
                // Refused as long as a process is in it.
                fs::remove_dir(entry.path()).ok();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
        25 1 0:22 / /sys rw - sysfs sysfs rw\n\
        30 25 0:26 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
        31 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
        33 25 0:29 /pod /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

    #[test]
    fn the_own_place_is_found_in_each_tree() {
        let found = parse("9:name=systemd:/\n4:memory:/a/b\n3:cpu,cpuacct:/\n0::/pod/x\nnonsense\n", MOUNTS);
        let places: Vec<_> = found.iter().map(|one| (one.own.to_str().unwrap(), one.places().count())).collect();
        let expected =
            [("/sys/fs/cgroup/memory/a/b", 2), ("/sys/fs/cgroup/cpu,cpuacct", 1), ("/sys/fs/cgroup/unified/x", 2)];
        assert_eq!(places, expected);
    }

    #[test]
    fn what_is_not_limited_needs_no_group() {
        assert!(settings(&Limits::default()).is_empty());
        let all = settings(&Limits { memory: Some(1), pids: Some(2), cpu: Some(500), ..Limits::default() });
        let values: Vec<_> = all.iter().map(|one| one.two.first().unwrap().1.as_str()).collect();
        assert_eq!(values, ["1", "2", "50000 100000"]);
    }
}
