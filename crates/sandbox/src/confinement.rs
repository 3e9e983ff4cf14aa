//! What a confined server may see, use and reach: plain data, made by whoever reads profiles.

use std::borrow::Cow;
use std::fmt;
use std::path::{Component, Path, PathBuf};

use crate::Runtime;

/// What a confined server may touch. What is not named here is not there.
///
/// Paths are those of the host, and the server sees them under the same names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confinement {
    /// Files and directories that may be read and executed. One that is missing on the host is left out. In none of the
    /// paths may be a symbolic link when the server starts; see [`Confinement::resolved`].
    pub read_only: Vec<PathBuf>,
    /// Files and directories that may also be changed. One that is missing is an error.
    pub writable: Vec<PathBuf>,
    /// Names below each writable directory that may not be changed, nor made where they are missing.
    ///
    /// What is missing is held by a placeholder as long as the server runs: an empty directory, an empty file, or for
    /// a name ending in `.json` a file that holds `{}`, and for git's `commondir` one that names its own directory.
    pub protected: Vec<Protected>,
    /// Files and directories that are seen empty, though something above them may be seen.
    pub hidden: Vec<PathBuf>,
    /// Names that lead to paths above, as symbolic links, and where to.
    pub links: Vec<(PathBuf, PathBuf)>,
    /// Files that are only in the sandbox, and what stands in them; they may be read.
    ///
    /// None may lie in a directory of the host, as it would be written there.
    pub files: Vec<(PathBuf, String)>,
    /// The directory that `HOME` names: it is made empty, and goes with the server.
    pub home: Option<PathBuf>,
    /// How many bytes may lie in `/tmp`, `/var/tmp`, `/dev/shm` and the home directory together.
    pub scratch: u64,
    /// What can be reached over the network.
    pub network: Network,
    /// How much of the machine it may use.
    pub limits: Limits,
    /// What is let through that no server needs by itself.
    pub exceptions: Exceptions,
    /// What starts the server inside of all this, with walls of its own; the server starts as it is if there is none.
    pub runtime: Option<Runtime>,
    /// What this host has to offer for the server to start at all.
    pub require: Vec<Guarantee>,
    /// A directory that was made for this start alone, and has nothing in it but files: it is removed once all has ended, also
    /// where whoever made it was killed.
    pub place: Option<PathBuf>,
}

impl Default for Confinement {
    fn default() -> Self {
        Self {
            read_only: Vec::new(),
            writable: Vec::new(),
            protected: Vec::new(),
            hidden: Vec::new(),
            links: Vec::new(),
            files: Vec::new(),
            home: None,
            scratch: 64 << 20,
            network: Network::default(),
            limits: Limits::default(),
            exceptions: Exceptions::default(),
            runtime: None,
            require: Vec::new(),
            place: None,
        }
    }
}

/// A name that is not to be changed, relative to a writable directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protected {
    /// Such as `.git/hooks`.
    pub name: PathBuf,
    /// Whether a directory or a file takes its place if it is missing.
    pub directory: bool,
}

/// What a confined server can reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// Nothing but itself: its network has no way out.
    #[default]
    None,
    /// What somebody outside passes on, over a socket that only a relay beside the server uses.
    Relay(Relay),
    /// All that this machine reaches, the machine itself included.
    Host,
}

/// The way from a network without a way out to somebody who decides what is passed on.
#[derive(Clone, PartialEq, Eq)]
pub struct Relay {
    /// The socket on the host.
    pub socket: PathBuf,
    /// What the relay's program is told, see [`set_relay_program`](crate::set_relay_program).
    pub told: String,
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What it is told may be a secret.
        f.debug_struct("Relay").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// How much of the machine a server may use; what is not given is not limited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory of the whole tree.
    pub memory: Option<u64>,
    /// Processes and threads at once.
    pub pids: Option<u64>,
    /// Thousandths of one processor.
    pub cpu: Option<u64>,
    /// Open files of each process.
    pub nofile: Option<u64>,
    /// Bytes of each file it writes.
    pub fsize: Option<u64>,
}

/// What is let through although it widens what a server can try.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exceptions {
    /// Sockets between its own processes by name, and any other Unix socket in a directory that it is shown.
    pub unix_sockets: bool,
    /// Asking the kernel for network interfaces and routes.
    pub netlink_route: bool,
    /// User namespaces of its own, as the sandboxes of browsers need.
    pub namespaces: bool,
}

/// Something a host may lack and a profile may insist on.
///
/// Namespaces of users, mounts, processes and IPC, seccomp and the loss of all capabilities need no such word: without
/// them nothing starts at any level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarantee {
    /// Landlock of at least this version.
    Landlock(u32),
    /// A limit of memory that the kernel keeps, rather than a watch.
    MemoryLimit,
    /// A limit of processes that the kernel keeps for the whole tree.
    PidsLimit,
    /// A limit of processor time.
    CpuLimit,
    /// A network of its own.
    OwnNetwork,
    /// A kernel of its own.
    OwnKernel,
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Landlock(version) => write!(f, "landlock>={version}"),
            Self::MemoryLimit => f.write_str("memory_limit"),
            Self::PidsLimit => f.write_str("pids_limit"),
            Self::CpuLimit => f.write_str("cpu_limit"),
            Self::OwnNetwork => f.write_str("netns"),
            Self::OwnKernel => f.write_str("own_kernel"),
        }
    }
}

impl Confinement {
    /// The same, where paths that are links on this host are what they lead to now.
    ///
    /// To be called once, before the first server runs: one that may write to a directory could lay links there, and have
    /// the next one see where they lead.
    #[must_use]
    pub fn resolved(mut self) -> Self {
        for paths in [&mut self.read_only, &mut self.writable, &mut self.hidden] {
            for path in paths.iter_mut() {
                // What is missing stays as it is named.
                if let Ok(real) = std::fs::canonicalize(&*path)
                    && real != *path
                {
                    self.links.push((std::mem::replace(path, real.clone()), real));
                }
            }
        }
        self
    }

    /// Says what is wrong with it, if anything is.
    pub(crate) fn check(&self) -> Result<(), Cow<'static, str>> {
        let all = || self.read_only.iter().chain(&self.writable).chain(&self.hidden).chain(&self.home);
        if all().any(|path| !is_plain(path)) {
            return Err("a path of the sandbox is not absolute, or climbs with `..`".into());
        }
        if self.writable.iter().chain(&self.home).any(|path| path == Path::new("/")) {
            return Err("the whole file system cannot be writable in a sandbox".into());
        }
        if let Network::Relay(relay) = &self.network
            && !is_plain(&relay.socket)
        {
            return Err("the socket of the sandbox's relay has no plain absolute path".into());
        }
        // Whatever is mounted or linked there leads to the host.
        let shown = || all().chain(self.links.iter().map(|(from, _)| from));
        let files = || self.files.iter().map(|(path, _)| path);
        if files().any(|file| !is_plain(file) || file.parent().is_none()) {
            return Err("a file of the sandbox's own has no plain absolute path".into());
        }
        // What the kernel shows there, and what each sandbox has of its own.
        if files().any(|file| ["/dev", "/proc", "/sys", "/tmp", "/var/tmp"].iter().any(|own| file.starts_with(own))) {
            return Err("a file of the sandbox's own lies in /dev, /proc, /sys, /tmp or /var/tmp".into());
        }
        if files().any(|file| shown().any(|path| file.starts_with(path))) {
            return Err(
                "a file of the sandbox's own lies where the sandbox shows something of this machine, or in its home directory".into(),
            );
        }
        let inside = |name: &PathBuf| {
            !name.as_os_str().is_empty() && name.components().all(|part| matches!(part, Component::Normal(_)))
        };
        if !self.protected.iter().all(|protected| inside(&protected.name)) {
            return Err("a protected name of the sandbox is not a plain relative path".into());
        }
        if self.home.iter().any(|home| self.writable.iter().any(|path| home.starts_with(path))) {
            return Err("the home directory of a sandbox is made for it, and cannot lie in a writable directory".into());
        }
        let inner = |outer: &PathBuf| self.writable.iter().find(|path| *path != outer && path.starts_with(outer));
        if let Some((inner, outer)) = self.writable.iter().find_map(|outer| Some((inner(outer)?, outer))) {
            return Err(format!(
                "{inner:?} lies in {outer:?}, and the server may write to both; name only the outer one, or the inner one"
            )
            .into());
        }
        if let Some(runtime) = &self.runtime
            && self.writable.iter().any(|path| runtime.program.starts_with(path))
        {
            return Err(
                "the runtime lies in a directory that the server may write to, and could be replaced by it".into()
            );
        }
        if self.scratch == 0 {
            return Err("a sandbox needs some room for temporary files".into());
        }
        let limits = &self.limits;
        if [limits.memory, limits.pids, limits.cpu, limits.nofile, limits.fsize].contains(&Some(0)) {
            return Err("a limit of a sandbox is zero".into());
        }
        Ok(())
    }
}

fn is_plain(path: &Path) -> bool {
    path.is_absolute() && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused() {
        let check = |change: fn(&mut Confinement), expected: &str| {
            let mut confinement = Confinement::default();
            change(&mut confinement);
            assert_eq!(confinement.check().err().is_some_and(|why| why.contains(expected)), !expected.is_empty());
        };
        fn runtime(program: &str) -> Runtime {
            Runtime { program: program.into(), ..Runtime::usual(crate::RuntimeKind::Runc) }
        }
        let protected = |name: &str| Protected { name: name.into(), directory: true };
        assert_eq!(Confinement::default().check(), Ok(()));
        check(|c| c.read_only.push("usr".into()), "absolute");
        check(|c| c.writable.push("/a/../b".into()), "climbs");
        check(|c| c.writable.push("/".into()), "whole");
        check(|c| c.home = Some("/".into()), "whole");
        check(|c| (c.home, c.writable) = (Some("/a/b".into()), vec!["/a".into()]), "home");
        check(|c| c.writable = vec!["/a".into(), "/a/b".into()], "\"/a/b\" lies in \"/a\"");
        check(|c| c.writable = vec!["/a/b".into(), "/a".into()], "\"/a/b\" lies in \"/a\"");
        check(|c| c.writable = vec!["/a/b".into(), "/a/bc".into(), "/a/b".into()], "");
        check(|c| (c.runtime, c.writable) = (Some(runtime("/opt/runc")), vec!["/opt".into()]), "replaced");
        check(|c| (c.runtime, c.writable) = (Some(runtime("/usr/sbin/runc")), vec!["/opt".into()]), "");
        check(|c| c.files = vec![("/etc/x/y".into(), String::new())], "");
        check(|c| c.files = vec![("etc/x".into(), String::new())], "plain");
        check(|c| c.files = vec![("/".into(), String::new())], "plain");
        check(|c| c.files = vec![("/proc/self/root/w/x".into(), String::new())], "/proc");
        check(|c| c.files = vec![("/dev/shm/x".into(), String::new())], "/dev");
        check(|c| (c.writable, c.files) = (vec!["/w".into()], vec![("/w/x".into(), String::new())]), "shows");
        check(|c| (c.read_only, c.files) = (vec!["/etc".into()], vec![("/etc/x".into(), String::new())]), "shows");
        check(
            |c| (c.links, c.files) = (vec![("/l".into(), "/w".into())], vec![("/l/x".into(), String::new())]),
            "shows",
        );
        check(|c| (c.home, c.files) = (Some("/h".into()), vec![("/h/x".into(), String::new())]), "home");
        check(|c| c.scratch = 0, "room");
        check(|c| c.limits.pids = Some(0), "zero");
        let mut confinement = Confinement::default();
        for (name, good) in [(".git/hooks", true), ("/etc", false), ("../x", false), ("", false), ("a/../../b", false)]
        {
            confinement.protected = vec![protected(name)];
            assert_eq!(confinement.check().is_ok(), good, "{name}");
        }
    }
}
