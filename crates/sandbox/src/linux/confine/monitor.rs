//! The levels beyond `process`: a runtime between the sandbox's first process and the server.
//!
//! Threat: a hole in one of the walls of the process level, or in the kernel behind them. So another program, with another
//! history, puts up walls of its own inside of them: a container, or a kernel that answers the server's calls itself.
//!
//! Threat: the runtime is a large program that talks to the server all its life, and has to be allowed what sandboxes are
//! made of. So it sits inside of everything that is built for the process level: it sees the server's files, its own file
//! and its libraries, it is in the sandbox's network and among its processes, its memory counts, and it ends with it. It
//! has rights over namespaces that it makes itself, and over none of those it was put in: nothing that is mounted
//! read-only or covered can be changed from there. Its system calls are filtered, less narrowly than the server's.

use std::fs;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};
use std::time::Duration;

use rustix::fs::{Mode, OFlags, openat};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};
use rustix::process::{DumpableBehavior, Pid, Resource, Rlimit, WaitId, WaitIdOptions, getrlimit, setrlimit};
use rustix::thread::UnshareFlags;

use super::{Failed, Step, bundle, filter, root};
use crate::linux::wire::{Failure, Plan, Report, Stdio};
use crate::linux::{server, sys};
use crate::{Level, Runtime, RuntimeKind};

/// What the server sees as `/`.
pub(super) const SERVER: &str = "/server";
/// Where this very program lies for the server's process, which seals itself with it before it becomes the server.
pub(super) const SEAL: &str = "/run/bartizan/seal";
/// What the runtime may write to, in memory.
const ROOM: &str = "/run/bartizan/monitor";
const ROOM_SIZE: &str = "16m";
const ROOM_FILES: &str = "1024";
/// Where the runtime finds its own control group, and may change nothing.
const GROUPS: &str = "/sys/fs/cgroup";
/// What it is told to call the container; nobody else is there to be told from.
const NAME: &str = "server";

/// How often one looks whether the runtime has started the server.
const LOOK: Duration = Duration::from_millis(2);
/// How often one looks before the runtime is given up: two minutes.
const LOOKS: u32 = 60_000;
/// How much of what the runtime says of its failure is passed on.
const WORDS: usize = 400;

/// Whether the server's process is sealed by this program itself, as at the process level: where it has the same kernel.
pub(super) fn is_sealed(runtime: &Runtime) -> bool {
    runtime.kind.level() == Level::Container
}

/// File systems that the runtime has and the server does not, by where they are mounted.
pub(super) fn room(runtime: &Runtime) -> Step<Vec<(&'static str, OwnedFd)>> {
    let attributes =
        MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let room = root::memory(ROOM_SIZE, ROOM_FILES, attributes);
    let mut all = vec![(ROOM, room.map_err(|error| Failed::new("make room for the runtime", &error))?)];
    if runtime.kind == RuntimeKind::Runsc {
        // Where it builds the empty root of its kernel's process.
        let place = root::memory("4k", "2", attributes | MountAttrFlags::MOUNT_ATTR_RDONLY);
        all.push(("/tmp", place.map_err(|error| Failed::new("make room for the runtime", &error))?));
    } else {
        // They do not start without one, whether they are to use it or not.
        let groups = || -> io::Result<OwnedFd> {
            let groups = fsopen("cgroup2", FsOpenFlags::FSOPEN_CLOEXEC)?;
            fsconfig_create(&groups)?;
            let attributes = attributes | MountAttrFlags::MOUNT_ATTR_RDONLY;
            Ok(fsmount(&groups, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
        };
        all.push((GROUPS, groups().map_err(|error| Failed::new("show the runtime its control group", &error))?));
    }
    Ok(all)
}

/// Starts the runtime with the server in it, and returns once the server runs.
pub(super) fn start(mut plan: Plan, stdio: Stdio, listing: OwnedFd) -> Step<(Pid, PathBuf)> {
    let confinement = plan.confinement.take().ok_or(Failure::Silent)?;
    let runtime = confinement.runtime.clone().ok_or(Failure::Silent)?;
    let program = find(&plan)?;
    let write = |error: io::Error| Failed::new("write what the runtime is told", &error);
    let told = bundle::write(&confinement, &plan, &program).map_err(write)?;
    fs::create_dir(in_room("bundle")).map_err(write)?;
    fs::write(in_room("bundle/config.json"), told).map_err(write)?;
    drop(plan);
    let first = rustix::process::getpid();
    // Where the server seals itself it sets this limit too, for itself alone.
    let processes = confinement.limits.pids.filter(|_| !is_sealed(&runtime));
    let [stdin, stdout, stderr] = stdio;
    let mut command = Command::new(&runtime.program);
    command.args(arguments(runtime.kind)).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.stdin(stdin).stdout(stdout).stderr(stderr);
    sys::before_exec(&mut command, move || {
        server::prepare(first)?;
        enclose(&listing, processes)
    });
    let started = command.spawn().map_err(|error| Failed::at("start the runtime", &runtime.program, &error))?;
    drop(command);
    let pid = i32::try_from(started.id()).ok().and_then(Pid::from_raw).ok_or(Failure::Silent)?;
    Ok((await_start(pid, &runtime)?, program))
}

/// What the process of the runtime gives up before it becomes that.
fn enclose(listing: &OwnedFd, processes: Option<u64>) -> io::Result<()> {
    // Its users are written by itself, as nobody else is allowed to; that needs an owner of its files there.
    rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    sys::unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNS)?;
    for map in ["self/uid_map", "self/gid_map"] {
        let map = openat(listing, map, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        rustix::io::write(map, b"0 0 1\n")?;
    }
    for (resource, bound) in [(Resource::Core, Some(0)), (Resource::Nproc, processes)] {
        let Some(bound) = bound else { continue };
        let bound = getrlimit(resource).maximum.map_or(bound, |maximum| bound.min(maximum));
        setrlimit(resource, Rlimit { current: Some(bound), maximum: Some(bound) })?;
    }
    rustix::thread::set_no_new_privs(true)?;
    filter::install_for_a_runtime()
}

/// A listing of processes that can be written to, and is mounted nowhere.
pub(super) fn listing() -> Step<OwnedFd> {
    let make = || -> io::Result<OwnedFd> {
        let proc = fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_create(&proc)?;
        Ok(fsmount(&proc, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_NOSUID)?)
    };
    make().map_err(|error| Failed::new("mount a listing of processes for the runtime", &error))
}

fn in_room(name: &str) -> PathBuf {
    Path::new(ROOM).join(name)
}

fn arguments(kind: RuntimeKind) -> Vec<String> {
    let mut all = vec![format!("--root={ROOM}/state"), format!("--log={ROOM}/log")];
    let mut add = |more: &[&str]| all.extend(more.iter().map(|word| (*word).to_owned()));
    match kind {
        // It goes once the server runs, which then has its own streams, and is the first process's to collect.
        RuntimeKind::Runc | RuntimeKind::Crun => add(&["--rootless=true", "run", "--detach", "--no-new-keyring"]),
        // The network is that of the sandbox. What lies in the server's files may be changed from outside.
        RuntimeKind::Runsc => add(&[
            "--rootless",
            "--ignore-cgroups",
            "--network=host",
            "--overlay2=none",
            "--file-access=shared",
            "--file-access-mounts=shared",
            "run",
        ]),
    }
    all.extend([format!("--bundle={ROOM}/bundle"), format!("--pid-file={ROOM}/pid"), NAME.to_owned()]);
    all
}

/// Finds the server's program as the server would, in its own root.
fn find(plan: &Plan) -> Step<PathBuf> {
    let failed = |error: io::Error| Failed::new("look for the program", &error);
    let (mut answer, mut word) = io::pipe().map_err(failed)?;
    let Some(copy) = sys::clone_into(0).map_err(failed)? else {
        let found = (|| {
            rustix::process::chroot(SERVER).map_err(|error| Failed::errno("look for the program", error))?;
            let cwd = plan.cwd.as_deref().unwrap_or(Path::new("/"));
            rustix::process::chdir(cwd).map_err(|error| Failure::Directory { error: error.raw_os_error() })?;
            server::find(&plan.program, plan.path())
        })();
        let report = found.map_or_else(Report::Failed, |program| Report::Started { pid: 0, program });
        io::Write::write_all(&mut word, &report.encode()).ok();
        exit(0)
    };
    drop(word);
    let mut said = Vec::new();
    let read = answer.read_to_end(&mut said);
    rustix::io::retry_on_intr(|| rustix::process::waitpid(Some(copy), rustix::process::WaitOptions::empty())).ok();
    read.map_err(failed)?;
    match Report::take(&mut said) {
        Some(Report::Started { program, .. }) => Ok(program),
        Some(Report::Failed(failure)) => Err(failure),
        _ => Err(Failure::Silent),
    }
}

/// Waits until the server runs; the process that ends when it does.
fn await_start(pid: Pid, runtime: &Runtime) -> Step<Pid> {
    let name = runtime.kind.name();
    let failed =
        |how: &str| Failure::Confine { step: format!("start the server with {name}{how}{}", complaint()), error: 0 };
    for _ in 0..LOOKS {
        // Left for whoever collects it in the end.
        let ended = rustix::process::waitid(
            WaitId::Pid(pid),
            WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT,
        );
        let ended = ended.ok().flatten();
        // Which process the server is, as the runtime sees it.
        let written = fs::read_to_string(in_room("pid")).ok().and_then(|text| text.trim().parse().ok());
        match (runtime.kind.level(), written.and_then(Pid::from_raw), ended) {
            // The server is behind another kernel; the runtime ends with it.
            (Level::Vm, Some(_), _) => return Ok(pid),
            (Level::Vm, None, None) | (_, _, None) => std::thread::sleep(LOOK),
            (_, Some(server), Some(status)) if status.exit_status() == Some(0) => return Ok(server),
            (_, _, Some(_)) => return Err(failed("")),
        }
    }
    Err(failed(", which took too long"))
}

/// What the runtime said last, shortened.
fn complaint() -> String {
    let log = fs::read(in_room("log")).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let words: String = last_message(&log).chars().filter(|sign| !sign.is_control()).take(WORDS).collect();
    if words.is_empty() { String::new() } else { format!(" ({words})") }
}

/// The text of the last entry of a log: `msg="…"`, `"msg":"…"`, or the last line.
fn last_message(log: &str) -> String {
    let marked = ["msg=\"", "\"msg\":\""].iter().filter_map(|mark| log.rsplit_once(mark)).map(|(_, rest)| rest);
    let Some(rest) = marked.min_by_key(|rest| rest.len()) else {
        return log.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().to_owned();
    };
    let mut words = String::new();
    let mut signs = rest.chars();
    while let Some(sign) = signs.next() {
        match sign {
            '"' => break,
            '\\' => words.extend(signs.next()),
            sign => words.push(sign),
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_runtime_says_last_is_found() {
        let check = |log: &str, expected: &str| assert_eq!(last_message(log), expected, "{log}");
        check("", "");
        check("mount `/x`: No such file\n\n", "mount `/x`: No such file");
        check("time=\"1\" level=error msg=\"one\"\ntime=\"2\" msg=\"no \\\"x\\\" here\"\n", "no \"x\" here");
        check("{\"msg\":\"first\",\"level\":\"error\"}{\"msg\":\"last\",\"time\":\"3\"}", "last");
        check("msg=\"cut", "cut");
        check("msg=\"cut\\", "cut");
    }

    #[test]
    fn each_runtime_is_told_where_everything_is() {
        for kind in RuntimeKind::ALL {
            let all = arguments(kind);
            let run = all.iter().position(|word| word == "run").unwrap();
            for option in ["--root=", "--log="] {
                assert!(all[..run].iter().any(|word| word.starts_with(option)), "{kind:?} {option}");
            }
            for option in ["--bundle=", "--pid-file="] {
                assert!(all[run..].iter().any(|word| word.starts_with(option)), "{kind:?} {option}");
            }
            assert_eq!(all.last().map(String::as_str), Some(NAME));
        }
    }
}
