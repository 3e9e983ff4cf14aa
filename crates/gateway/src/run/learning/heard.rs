//! From what the watch and the proxy say of a run to what a profile is made from.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use bartizan_config::learned::{Deed, HiddenPlace, Other, PathUse, Run};
use bartizan_config::{Allowed, Sandbox};
use bartizan_sandbox::{Asked, Confinement, ExitStatus, SocketKind, Watched};

use super::{Learning, Told};

/// Other things that were asked for and are named; a server has few.
const MOST_OTHERS: usize = 24;

/// How the server was held.
pub(super) struct Held {
    run: Run,
    unshown: usize,
}

impl Held {
    pub(super) fn new(
        what: &Learning,
        sandbox: &Sandbox,
        confinement: &Confinement,
        (basis, installed): (Confinement, Vec<PathBuf>),
        (hidden, arguments): (Vec<HiddenPlace>, Vec<PathBuf>),
        unshown: usize,
    ) -> Held {
        let in_place = |paths: &[PathBuf]| {
            let whole = |path: &PathBuf| match path.strip_prefix("${workspace}") {
                Ok(below) => what.wrap.directory.join(below),
                Err(_) => path.clone(),
            };
            paths.iter().map(whole).collect::<Vec<_>>()
        };
        let exceptions = basis.exceptions;
        let is_anyway = |one: &Allowed| match one {
            Allowed::UnixSockets => exceptions.unix_sockets,
            Allowed::NetlinkRoute => exceptions.netlink_route,
            Allowed::Namespaces => exceptions.namespaces,
        };
        let links = basis.links.into_iter().map(|(link, _)| link);
        // What the table names besides what it began with.
        let named = |paths: &[PathBuf], before: &[PathBuf]| {
            in_place(paths).into_iter().filter(|path| !before.contains(path)).collect::<Vec<_>>()
        };
        let run = Run {
            name: what.name.clone(),
            profile: what.profile.clone(),
            command: what.wrap.command.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
            read_only: named(&sandbox.read_only, &basis.read_only),
            writable: named(&sandbox.writable, &basis.writable),
            shown_anyway: basis.read_only.into_iter().chain(links).chain(installed).collect(),
            changed_anyway: basis.writable,
            scratch: ["/tmp", "/var/tmp", "/dev/shm"].map(PathBuf::from).into(),
            home: confinement.home.clone(),
            protected: sandbox.protected.iter().map(|(name, _)| name.clone()).collect(),
            hidden,
            shown: confinement.read_only.iter().chain(&confinement.writable).cloned().collect(),
            covered: confinement.hidden.clone(),
            arguments,
            allowed: sandbox.allow.clone(),
            allowed_anyway: sandbox.allow.iter().copied().filter(is_anyway).collect(),
            memory: (0, sandbox.memory),
            pids: (0, sandbox.pids),
            ..Run::default()
        };
        Held { run, unshown }
    }

    /// The whole run.
    pub(super) fn run(self, watched: &Watched, told: Told, status: ExitStatus, only_lists: bool) -> Run {
        let mut run = self.run;
        let mut others: BTreeMap<String, String> = BTreeMap::new();
        for wish in &watched.wishes {
            let by = wish.by.to_string_lossy().into_owned();
            let path = |deed, path: &PathBuf| PathUse { deed, path: path.clone(), by: by.clone() };
            match &wish.asked {
                Asked::Look(at) => run.paths.push(path(Deed::Look, at)),
                Asked::Read(at) => run.paths.push(path(Deed::Read, at)),
                Asked::List(at) => run.paths.push(path(Deed::List, at)),
                Asked::Execute(at) => run.paths.push(path(Deed::Execute, at)),
                Asked::Change(at) => run.paths.push(path(Deed::Change, at)),
                Asked::Connect(to) if is_own(to) => {}
                other => drop(others.insert(words(other), by)),
            }
        }
        if status == ExitStatus::OutOfMemory {
            others.insert("more memory: it was ended for that; see limits.memory".to_owned(), "the server".to_owned());
        }
        if self.unshown > 0 {
            let what = format!("{} entries of directories with many were not shown", self.unshown);
            others.insert(what, "nobody".to_owned());
        }
        run.left_out = watched.left_out.saturating_add(told.left_out);
        run.left_out = run.left_out.saturating_add(others.len().saturating_sub(MOST_OTHERS) as u64);
        run.others = others.into_iter().take(MOST_OTHERS).map(|(what, by)| Other { what, by }).collect();
        run.hosts = told.hosts.into_iter().collect();
        run.unread = watched.unread;
        run.lost = watched.lost;
        run.memory.0 = watched.memory;
        run.pids.0 = watched.pids;
        run.only_lists = only_lists;
        run
    }
}

/// Whether an address is the sandbox's own: its relay, or the server itself.
fn is_own(address: &str) -> bool {
    address.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_loopback() || address.ip().is_unspecified())
}

fn words(asked: &Asked) -> String {
    match asked {
        Asked::Connect(to) => match to.strip_prefix("unix:") {
            Some(socket) => format!("the socket {socket}"),
            None => format!("a connection to the address {to}, which passes no proxy"),
        },
        Asked::Socket(SocketKind::Unix) => "sockets between processes: allow = [\"unix_sockets\"]".to_owned(),
        Asked::Socket(SocketKind::Route) => "network interfaces and routes: allow = [\"netlink_route\"]".to_owned(),
        Asked::Socket(SocketKind::Other(family)) => format!("a socket of family {family}, which no profile gives"),
        _ => "namespaces of its own: allow = [\"namespaces\"]".to_owned(),
    }
}
