//! What the cases share: a machine to attack, and servers in it with and without a sandbox.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bartizan_sandbox::{Child, Confinement, Environment, ExitStatus, Launch, Level, Runtime, RuntimeKind};
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;

/// An argument that begins so makes this binary play a part instead of running the cases.
pub(crate) const ROLE: &str = "role:";
/// The variable that names the directory of a copy of this binary to it.
pub(crate) const ROOM: &str = "BARTIZAN_ESCAPE_ROOM";
/// What Debian and most others call a user with no files.
const NOBODY: u32 = 65534;

/// A directory of the user that no profile names, and one that they do.
pub(crate) struct Machine {
    _root: TempDir,
    pub(crate) outside: PathBuf,
    pub(crate) work: PathBuf,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let root = tempfile::Builder::new().prefix("bartizan-escape").tempdir_in("/var/tmp").unwrap();
        let (outside, work) = (root.path().join("outside"), root.path().join("work"));
        fs::create_dir(&outside).unwrap();
        fs::create_dir(&work).unwrap();
        fs::write(outside.join("secret"), SECRET).unwrap();
        Self { _root: root, outside, work }
    }

    pub(crate) fn canary(&self) -> PathBuf {
        self.outside.join("canary")
    }
}

/// The runtime that the servers of the case now running are started with; 0 is none.
static RUNTIME: AtomicUsize = AtomicUsize::new(0);

/// The level `process`, and each runtime of this machine.
pub(crate) fn levels() -> Vec<Option<RuntimeKind>> {
    let found: Vec<RuntimeKind> = bartizan_sandbox::runtimes(&[]).into_iter().map(|found| found.runtime.kind).collect();
    std::iter::once(None).chain(found.into_iter().map(Some)).collect()
}

/// The levels that a runtime gives and that none of this machine does.
pub(crate) fn levels_without_a_runtime() -> Vec<Level> {
    let here: Vec<Level> = levels().into_iter().flatten().map(RuntimeKind::level).collect();
    [Level::Container, Level::Vm].into_iter().filter(|level| !here.contains(level)).collect()
}

/// Passes where somebody asked for all that is skipped, and says so; in CI, where `make test` installs runtimes, it fails.
pub(crate) async fn a_runtime_is_missing() {
    let missing = levels_without_a_runtime();
    println!("no runtime was found for {missing:?}, so nothing is tried there: install runc and runsc");
    assert!(std::env::var_os("CI").is_none(), "in CI each level has a runtime");
}

pub(crate) fn use_level(runtime: Option<RuntimeKind>) {
    let at = RuntimeKind::ALL.iter().position(|kind| Some(*kind) == runtime);
    RUNTIME.store(at.map_or(0, |at| at + 1), Ordering::Relaxed);
}

/// The runtime of the case now running.
pub(crate) fn runtime() -> Option<RuntimeKind> {
    RuntimeKind::ALL.get(RUNTIME.load(Ordering::Relaxed).wrapping_sub(1)).copied()
}

/// Whether its servers have a kernel of their own.
pub(crate) fn own_kernel() -> bool {
    runtime().is_some_and(|kind| kind.level() == Level::Vm)
}

/// Whether Landlock has a server signal only what is in the same walls, from Linux 6.12 on.
pub(crate) async fn host_bounds_signals() -> bool {
    bartizan_sandbox::probe(None).await.unwrap().landlock.is_some_and(|version| version >= 6)
}

/// How a server ends by a signal: another kernel's runtime says it as a shell does.
pub(crate) fn by_signal(signal: i32) -> ExitStatus {
    if own_kernel() { ExitStatus::Code(128 + signal) } else { ExitStatus::Signal(signal) }
}

pub(crate) const SECRET: &str = "the-secret-of-the-user";

/// What a server needs to run at all, and one directory to write to.
pub(crate) fn confinement(machine: &Machine) -> Confinement {
    let mut read_only: Vec<PathBuf> =
        ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/ld.so.cache"].iter().map(PathBuf::from).collect();
    read_only.push(std::env::current_exe().unwrap());
    Confinement {
        read_only,
        writable: vec![machine.work.clone()],
        home: Some("/home/sandbox".into()),
        scratch: 8 << 20,
        runtime: runtime().map(Runtime::usual),
        ..Confinement::default()
    }
    .resolved()
}

pub(crate) fn sh(script: &str) -> Launch {
    let mut launch = Launch::new("sh");
    launch.args = vec!["-c".into(), script.into()];
    plain(launch)
}

pub(crate) fn role(role: &str, args: &[&str]) -> Launch {
    let mut launch = Launch::new(std::env::current_exe().unwrap());
    launch.args = vec![format!("{ROLE}{role}").into()];
    launch.args.extend(args.iter().map(Into::into));
    plain(launch)
}

fn plain(mut launch: Launch) -> Launch {
    launch.env = Environment::empty();
    launch.env.set("PATH", "/usr/bin:/bin").set("HOME", "/home/sandbox");
    launch.grace = Duration::from_millis(200);
    launch
}

pub(crate) fn confined(mut launch: Launch, confinement: Confinement) -> Launch {
    launch.confinement = Some(confinement);
    launch
}

/// A relay of the simplest kind: it listens at the port it is told, and passes one connection after the other on.
pub(crate) fn relay(socket: &Path, told: &str) -> std::io::Result<Box<dyn FnOnce()>> {
    if told == "fail" {
        return Err(std::io::Error::other("told to fail"));
    }
    let listener = std::net::TcpListener::bind(("127.0.0.1", told.parse().unwrap()))?;
    let socket = socket.to_owned();
    Ok(Box::new(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut outside = std::os::unix::net::UnixStream::connect(&socket).unwrap();
            std::io::copy(&mut stream, &mut outside).unwrap();
            outside.shutdown(std::net::Shutdown::Write).unwrap();
            std::io::copy(&mut outside, &mut stream).unwrap();
        }
    }))
}

/// Runs a script plainly and confined, where what it says has to hold each text and must not.
pub(crate) async fn differs(machine: &Machine, script: &str, plain: &str, change: impl Fn(&mut Confinement)) -> String {
    let (_, said) = run(&sh(script)).await;
    assert!(said.contains(plain), "the control of `{script}` says {said}, not {plain}");
    let mut walls = confinement(machine);
    change(&mut walls);
    let (_, said) = run(&confined(sh(script), walls)).await;
    assert!(!said.contains(plain), "`{script}` says {said}");
    said
}

/// Runs to the end; what it wrote on both of its outputs.
pub(crate) async fn run(launch: &Launch) -> (ExitStatus, String) {
    let mut child = launch.spawn().await.unwrap();
    output(&mut child).await
}

pub(crate) async fn output(child: &mut Child) -> (ExitStatus, String) {
    child.stdin = None;
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (mut said, mut complained) = (Vec::new(), Vec::new());
    let (first, second) = tokio::join!(stdout.read_to_end(&mut said), stderr.read_to_end(&mut complained));
    first.unwrap();
    second.unwrap();
    said.append(&mut complained);
    (child.wait().await, String::from_utf8_lossy(&said).into_owned())
}

/// Waits for something that has to become true; how long it takes is not what is tested.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < patience, "still not so after a minute: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

/// Where an ordinary user starts a program that belongs to root and runs as its owner; made while this is root.
static AS_OWNER: OnceLock<PathBuf> = OnceLock::new();

pub(crate) fn program_of_root() -> Option<&'static Path> {
    AS_OWNER.get().map(PathBuf::as_path)
}

/// Gives up root for good, or says why this binary could then not be started again.
pub(crate) fn become_ordinary(room: &Path) -> Result<(), String> {
    let sleep = room.join("sleep");
    // One that nobody gains anything by, should it stay.
    fs::copy("/usr/bin/sleep", &sleep).unwrap();
    fs::set_permissions(&sleep, fs::Permissions::from_mode(0o4755)).unwrap();
    AS_OWNER.set(sleep).unwrap();
    let (user, group) = (rustix::fs::Uid::from_raw(NOBODY), rustix::fs::Gid::from_raw(NOBODY));
    rustix::thread::set_thread_groups(&[]).unwrap();
    rustix::thread::set_thread_res_gid(group, group, group).unwrap();
    rustix::thread::set_thread_res_uid(user, user, user).unwrap();
    end_with_the_first();
    let own = std::env::current_exe().unwrap();
    fs::File::open(&own).map(drop).map_err(|error| {
        format!(
            "{} is closed to others ({error}); build where everybody may read, with CARGO_TARGET_DIR",
            own.display()
        )
    })
}

/// A copy of this binary ends with the one that made it, however that ends. Another user has to say so again.
pub(crate) fn end_with_the_first() {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).unwrap();
}

/// Plays the cases with a copy of this binary that everybody can read and start, in a directory that goes with them.
pub(crate) fn from_a_copy() -> ExitCode {
    let room = tempfile::Builder::new().prefix("bartizan-escape-as-root").tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(room.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = room.path().join("escape");
    fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    // What anything leaves in the directory for temporary files is seen where nothing else lies.
    let temporary = room.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    fs::set_permissions(&temporary, fs::Permissions::from_mode(0o1777)).unwrap();
    let mut command = Command::new(&copy);
    command.args(std::env::args_os().skip(1)).env(ROOM, room.path()).env("TMPDIR", temporary);
    let status = command.status().unwrap();
    status.code().map_or(ExitCode::FAILURE, |code| ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

pub(crate) fn lines(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// How many processes have this in their environment.
pub(crate) fn living(mark: &str) -> usize {
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let environments = pids.map(|entry| fs::read(entry.path().join("environ")).unwrap_or_default());
    environments.filter(|all| all.windows(mark.len()).any(|part| part == mark.as_bytes())).count()
}

/// A process that is no other, should its number be given again.
pub(crate) struct Process {
    pid: u32,
    started: String,
}

impl Process {
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) fn is_there(&self) -> bool {
        stat(self.pid).is_some_and(|(_, started)| started == self.started)
    }
}

/// A process and all below it.
pub(crate) fn below(root: u32) -> Vec<Process> {
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let mut rest: Vec<(u32, u32, String)> = pids
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            stat(pid).map(|(parent, started)| (pid, parent, started))
        })
        .collect();
    let mut found = vec![root];
    let mut tree = Vec::new();
    while let Some(pid) = found.pop() {
        let children = rest.iter().filter(|(_, parent, _)| *parent == pid).map(|(child, ..)| *child);
        found.extend(children.collect::<Vec<_>>());
        if let Some(at) = rest.iter().position(|(other, ..)| *other == pid) {
            let (pid, _, started) = rest.swap_remove(at);
            tree.push(Process { pid, started });
        }
    }
    tree
}

/// The parent of a process and when it was started; none if it is not there, or has ended and is only not collected yet.
fn stat(pid: u32) -> Option<(u32, String)> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = line.rsplit_once(')')?.1.split_whitespace().collect();
    (fields.first() != Some(&"Z")).then_some(())?;
    Some((fields.get(1)?.parse().ok()?, (*fields.get(19)?).to_owned()))
}

/// What starts could leave behind them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Left {
    mounts: usize,
    /// Those that have ended and were not collected included.
    pub(crate) children: usize,
    /// A namespace lives as long as a process is in it, or a descriptor or a mount holds it.
    namespaces: BTreeSet<PathBuf>,
    files: Vec<PathBuf>,
}

impl Left {
    pub(crate) fn now(machine: &Machine) -> Self {
        let me = std::process::id();
        let mut processes = vec![me];
        let mut children = 0;
        let numbers =
            || fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let all: Vec<(u32, u32)> = numbers().filter_map(|pid| Some((pid, parent_of(pid)?))).collect();
        while let Some(pid) = processes.get(children).copied() {
            processes.extend(all.iter().filter(|(_, parent)| *parent == pid).map(|(child, _)| *child));
            children += 1;
        }
        let links = |pid: &u32| fs::read_dir(format!("/proc/{pid}/ns")).into_iter().flatten().flatten();
        let namespaces = processes.iter().flat_map(links).filter_map(|link| fs::read_link(link.path()).ok()).collect();
        let mut files = all_below(&machine.outside);
        files.extend(all_below(&machine.work));
        // Only where it is this program's alone.
        files.extend(std::env::var_os(ROOM).into_iter().flat_map(|_| all_below(&std::env::temp_dir())));
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count();
        Self { mounts, children: children - 1, namespaces, files: files.into_iter().map(|(path, _)| path).collect() }
    }
}

/// Each file with what is in it, and each directory.
pub(crate) fn all_below(directory: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        found.push((path.clone(), lines(&path)));
        if path.is_dir() {
            found.extend(all_below(&path));
        }
    }
    found.sort();
    found
}

fn parent_of(pid: u32) -> Option<u32> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    line.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

pub(crate) fn parent(pid: u32) -> u32 {
    parent_of(pid).unwrap()
}
