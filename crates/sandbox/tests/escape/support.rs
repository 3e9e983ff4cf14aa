//! What the cases share: a machine to attack, and servers in it with and without a sandbox.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bartizan_sandbox::{Child, Confinement, Environment, ExitStatus, Launch, Level, Runtime, RuntimeKind};
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;

/// An argument that begins so makes this binary play a part instead of running the cases.
pub(crate) const ROLE: &str = "role:";
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

/// Gives up root for good; false if this binary could then not be started again.
pub(crate) fn become_ordinary() -> bool {
    let (user, group) = (rustix::fs::Uid::from_raw(NOBODY), rustix::fs::Gid::from_raw(NOBODY));
    rustix::thread::set_thread_groups(&[]).unwrap();
    rustix::thread::set_thread_res_gid(group, group, group).unwrap();
    rustix::thread::set_thread_res_uid(user, user, user).unwrap();
    let reachable = fs::File::open(std::env::current_exe().unwrap()).is_ok();
    if !reachable {
        println!("as an ordinary user nothing is tried: {:?} is closed to others", std::env::current_exe().unwrap());
    }
    reachable
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

pub(crate) fn parent(pid: u32) -> u32 {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    line.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().parse().unwrap()
}
