//! What this host offers for confining servers, as data: found by trying, for whoever wants to know before a start does.

use std::fmt;
use std::path::Path;

use crate::{Confinement, FoundRuntime, Guarantee, Level, Limits, Network};

/// All that was found out about this host.
#[derive(Clone, Debug)]
pub struct Host {
    /// The system, its release and the machine's architecture.
    pub system: String,
    /// Each wall that every confined server stands behind, tried; empty where no server can be confined at all.
    pub walls: Vec<Tried>,
    /// The version of Landlock; none if there is none, or it is switched off.
    pub landlock: Option<u32>,
    /// What the filter of system calls can answer with, by the kernel's names.
    pub seccomp_actions: Vec<String>,
    /// The versions of control groups that are mounted.
    pub group_versions: Vec<u8>,
    /// The limits that this user has control groups for.
    pub groups: Kept,
    /// The security modules of the kernel; none if it does not say.
    pub modules: Option<Vec<String>>,
    /// Whether AppArmor lets only programs with a profile make user namespaces.
    pub apparmor_restricts: bool,
    /// Virtual machines in hardware.
    pub kvm: Device,
    /// The runtimes for the levels beyond `process`.
    pub runtimes: Vec<FoundRuntime>,
}

/// A wall, and what the system said if it cannot be put up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Which one.
    pub wall: Wall,
    /// Why it cannot be; none if it can.
    pub refused: Option<String>,
}

/// What a confined server stands behind on every host, or does not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wall {
    /// A user namespace, in which this user is itself and nobody else.
    Users,
    /// Mounts of its own, and an empty root.
    Mounts,
    /// Processes of its own.
    Processes,
    /// A listing of these, which a host or container that hides parts of `/proc` does not give.
    Listing,
    /// A network of its own.
    Network,
    /// Semaphores, queues and shared memory of its own.
    Ipc,
    /// A host name of its own.
    Names,
    /// A view of control groups of its own.
    Groups,
    /// The loss of all capabilities, for good.
    Capabilities,
    /// The filter of system calls.
    Filter,
}

impl Wall {
    /// All of them, in the order in which they are tried.
    pub const ALL: [Wall; 10] = [
        Wall::Users,
        Wall::Mounts,
        Wall::Processes,
        Wall::Listing,
        Wall::Network,
        Wall::Ipc,
        Wall::Names,
        Wall::Groups,
        Wall::Capabilities,
        Wall::Filter,
    ];

    /// What it is called where programs read it.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Wall::Users => "user_namespace",
            Wall::Mounts => "mount_namespace",
            Wall::Processes => "pid_namespace",
            Wall::Listing => "proc_listing",
            Wall::Network => "network_namespace",
            Wall::Ipc => "ipc_namespace",
            Wall::Names => "uts_namespace",
            Wall::Groups => "cgroup_namespace",
            Wall::Capabilities => "no_capabilities",
            Wall::Filter => "seccomp_filter",
        }
    }
}

impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Wall::Users => "user namespace",
            Wall::Mounts => "mounts and root of its own",
            Wall::Processes => "processes of its own",
            Wall::Listing => "own listing of /proc",
            Wall::Network => "network of its own",
            Wall::Ipc => "IPC of its own",
            Wall::Names => "host name of its own",
            Wall::Groups => "view of control groups",
            Wall::Capabilities => "loss of capabilities",
            Wall::Filter => "filter of system calls",
        })
    }
}

/// Which limits of a whole tree a control group keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// That of memory.
    pub memory: bool,
    /// That of processes and threads.
    pub pids: bool,
    /// That of processor time.
    pub cpu: bool,
}

/// Whether a device can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// It is not there.
    Absent,
    /// It is there, and this user may not use it.
    Closed,
    /// It can be used.
    Usable,
}

/// A guarantee that a profile insists on and this host does not give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// Which one.
    pub guarantee: Guarantee,
    /// What to do about it.
    pub remedy: &'static str,
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.guarantee, self.remedy)
    }
}

const OTHER_KERNEL: &str = "the level `vm` has another kernel in its place; require `own_kernel` there";
const NEWER: &str = "needs a newer kernel, or `landlock` among the kernel's `lsm=`";
const DELEGATE: &str = "needs a control group that may be divided; start Bartizan with \
                        `systemd-run --user --scope -p Delegate=yes`, or set `limits` for it";

/// What is missing of that which `confinement` requires, where Landlock has that version and groups keep those limits. A start
/// asks this as well, and refuses because of the first.
#[must_use]
pub fn unmet(confinement: &Confinement, landlock: Option<u32>, kept: Kept) -> Vec<Unmet> {
    let level = confinement.runtime.as_ref().map_or(Level::Process, |runtime| runtime.kind.level());
    let missing = |guarantee: &Guarantee| match guarantee {
        Guarantee::Landlock(_) if level == Level::Vm => Some(OTHER_KERNEL),
        Guarantee::Landlock(version) => landlock.is_none_or(|has| has < *version).then_some(NEWER),
        Guarantee::MemoryLimit => (!kept.memory).then_some(DELEGATE),
        Guarantee::PidsLimit => (!kept.pids).then_some(DELEGATE),
        Guarantee::CpuLimit => (!kept.cpu).then_some(DELEGATE),
        Guarantee::OwnKernel => (level != Level::Vm).then_some("needs `level = \"vm\"`"),
        Guarantee::OwnNetwork => (confinement.network == Network::Host).then_some("is not to be had with `net.host`"),
    };
    let all = confinement.require.iter();
    all.filter_map(|guarantee| missing(guarantee).map(|remedy| Unmet { guarantee: *guarantee, remedy })).collect()
}

/// By what a limit is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// A control group, for the whole tree.
    Group,
    /// The launcher, which looks every tenth of a second.
    Watch,
    /// The kernel's limit of a user's processes, inside of the sandbox.
    User,
    /// The kernel, for each process or file.
    Kernel,
    /// Nobody: it has no effect here.
    Nobody,
}

impl Keeper {
    /// What it is called where programs read it.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Keeper::Group => "control_group",
            Keeper::Watch => "watch",
            Keeper::User => "user_limit",
            Keeper::Kernel => "kernel",
            Keeper::Nobody => "nobody",
        }
    }
}

impl fmt::Display for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Keeper::Group => "kept by a control group",
            Keeper::Watch => "watched, every tenth of a second",
            Keeper::User => "kept for this user in the sandbox",
            Keeper::Kernel => "kept by the kernel",
            Keeper::Nobody => "kept by nobody",
        })
    }
}

/// By what each of the limits that are given is kept where groups keep those: its name in a configuration, its value and that.
#[must_use]
pub fn keepers(limits: &Limits, kept: Kept) -> Vec<(&'static str, u64, Keeper)> {
    // The kernel holds no root of the machine to a number of processes.
    let pids = if rustix::process::getuid().is_root() { Keeper::Nobody } else { Keeper::User };
    let group = |kept: bool, otherwise| if kept { Keeper::Group } else { otherwise };
    let all = [
        ("memory", limits.memory, group(kept.memory, Keeper::Watch)),
        ("pids", limits.pids, group(kept.pids, pids)),
        ("cpu", limits.cpu, group(kept.cpu, Keeper::Nobody)),
        ("nofile", limits.nofile, Keeper::Kernel),
        ("fsize", limits.fsize, Keeper::Kernel),
    ];
    all.into_iter().filter_map(|(name, value, keeper)| Some((name, value?, keeper))).collect()
}

impl Host {
    /// Whether a server can be confined here at all.
    #[must_use]
    pub fn confines(&self) -> bool {
        !self.walls.is_empty() && self.walls.iter().all(|tried| tried.refused.is_none())
    }

    /// The file by which AppArmor lets `program` make user namespaces, which Ubuntu 24.04 and later ask for.
    #[must_use]
    pub fn apparmor_profile(program: &Path) -> String {
        let program = program.display().to_string();
        // A quote or a pattern in a path would mean something else there.
        let program: String = program
            .chars()
            .flat_map(|c| ['\\'].into_iter().filter(move |_| "\\\"*?[]{}^".contains(c)).chain([c]))
            .collect();
        format!(
            "abi <abi/4.0>,\ninclude <tunables/global>\n\nprofile bartizan \"{program}\" flags=(unconfined) {{\n  userns,\n\n  \
             include if exists <local/bartizan>\n}}\n"
        )
    }
}

/// What each version of Landlock brought, and whether it is used here.
pub const LANDLOCK: &[(u32, &str, bool)] = &[
    (1, "rights to files, by path", true),
    (2, "moving and linking between directories", true),
    (3, "shortening files", true),
    (4, "TCP by port", false),
    (5, "ioctl on devices", true),
    (6, "no signals and no abstract sockets to outside", true),
    (7, "refusals in the kernel's own log", false),
    (8, "all threads of a process at once", false),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Runtime, RuntimeKind};

    #[test]
    fn what_is_missing_is_told_with_what_to_do() {
        let all = [Guarantee::Landlock(3), Guarantee::MemoryLimit, Guarantee::PidsLimit, Guarantee::CpuLimit];
        let walls = Confinement { require: all.into(), ..Confinement::default() };
        let told = |landlock, kept| {
            unmet(&walls, landlock, kept).iter().map(|unmet| unmet.guarantee.to_string()).collect::<Vec<_>>()
        };
        let every = Kept { memory: true, pids: true, cpu: true };
        assert!(told(Some(3), every).is_empty() && unmet(&Confinement::default(), None, Kept::default()).is_empty());
        assert_eq!(told(Some(2), every), ["landlock>=3"]);
        assert_eq!(told(None, Kept { cpu: false, ..every }), ["landlock>=3", "cpu_limit"]);
        assert_eq!(told(Some(9), Kept::default()), ["memory_limit", "pids_limit", "cpu_limit"]);
        assert!(unmet(&walls, None, every)[0].to_string().contains("lsm="));
        assert!(unmet(&walls, Some(3), Kept { pids: false, ..every })[0].to_string().contains("systemd-run"));
    }

    #[test]
    fn what_belongs_to_a_level_is_missing_at_the_others() {
        let kept = Kept { memory: true, pids: true, cpu: true };
        let check = |kind: Option<RuntimeKind>, network: Network, require: Guarantee, met: bool| {
            let runtime = kind.map(Runtime::usual);
            let walls = Confinement { runtime, network, require: vec![require], ..Confinement::default() };
            assert_eq!(unmet(&walls, Some(9), kept).is_empty(), met, "{kind:?} {require}");
        };
        check(None, Network::None, Guarantee::OwnKernel, false);
        check(Some(RuntimeKind::Runc), Network::None, Guarantee::OwnKernel, false);
        check(Some(RuntimeKind::Runsc), Network::None, Guarantee::OwnKernel, true);
        check(Some(RuntimeKind::Runc), Network::None, Guarantee::Landlock(1), true);
        check(Some(RuntimeKind::Runsc), Network::None, Guarantee::Landlock(1), false);
        check(None, Network::None, Guarantee::OwnNetwork, true);
        check(None, Network::Host, Guarantee::OwnNetwork, false);
    }

    #[test]
    fn each_limit_has_somebody_who_keeps_it_or_is_said_to_have_nobody() {
        let limits = Limits { memory: Some(1), pids: Some(2), cpu: Some(3), nofile: Some(4), fsize: None };
        let told = |kept| keepers(&limits, kept).iter().map(|(name, _, keeper)| (*name, *keeper)).collect::<Vec<_>>();
        let pids = if rustix::process::getuid().is_root() { Keeper::Nobody } else { Keeper::User };
        let nofile = ("nofile", Keeper::Kernel);
        let without = [("memory", Keeper::Watch), ("pids", pids), ("cpu", Keeper::Nobody), nofile];
        assert_eq!(told(Kept::default()), without);
        let with = [("memory", Keeper::Group), ("pids", Keeper::Group), ("cpu", Keeper::Group), nofile];
        assert_eq!(told(Kept { memory: true, pids: true, cpu: true }), with);
        assert!(keepers(&Limits::default(), Kept::default()).is_empty());
    }

    #[test]
    fn a_profile_names_one_program_and_no_pattern() {
        let text = Host::apparmor_profile(Path::new("/opt/a b/[x]*/bartizan"));
        assert!(
            text.contains("profile bartizan \"/opt/a b/\\[x\\]\\*/bartizan\" flags=(unconfined) {\n  userns,"),
            "{text}"
        );
    }
}
