//! The way out of a confined server, to the hosts that its configuration names.
//!
//! One for each server, made when the server is and gone with it: a socket in a directory of its own, and the task that
//! serves it. Every connection and every refusal is in the log, and what cannot be recorded does not leave.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bartizan_config::Sandbox;
use bartizan_egress::{
    Egress, Event, Limits, Listening, Parts, Policy, Rule, Settings, Sink, System, Timeouts, Token, Unrecorded, What,
    address::Range, native_tls,
};
use bartizan_sandbox::{Launch, Network, Relay};
use rustix::fs::{FlockOperation, OFlags, flock};
use serde_json::json;

use crate::random;
use crate::recorder::Recorder;

/// Directories of sockets are called this, the number of the process they belong to, and something random.
const PREFIX: &str = "bartizan-egress-";
const SOCKET: &str = "socket";
/// Where the relay listens for programs that know of proxies.
const PROXY: &str = "http://127.0.0.1:3128";
const PROXY_VARIABLES: &[&str] = &["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"];

/// The way out of one server, open for as long as this lives.
#[derive(Debug)]
pub struct WayOut {
    egress: Egress,
    task: tokio::task::JoinHandle<()>,
    directory: PathBuf,
    /// By its lock it is known that the directory is in use, also to who does not see this process.
    _held: std::fs::File,
}

impl WayOut {
    /// Has what still runs with this one reach no more than what is started with `now`; what is open and no longer allowed is
    /// closed.
    pub(crate) fn follow(&self, now: Option<&WayOut>) {
        self.egress.replace(now.map(|now| (*now.egress.policy()).clone()).unwrap_or_default());
    }
}

impl Drop for WayOut {
    fn drop(&mut self) {
        self.task.abort();
        // The socket may go after the task, which is ended later.
        std::fs::remove_file(self.directory.join(SOCKET)).ok();
        std::fs::remove_dir(&self.directory).ok();
    }
}

/// Opens the way out that `sandbox` describes, if it does, and has what `launch` starts use it.
///
/// # Errors
/// If there can be no socket, or the system trusts no authorities.
pub(crate) fn open(
    server: &str,
    sandbox: Option<&Sandbox>,
    launch: &mut Launch,
    recorder: &Arc<Recorder>,
) -> io::Result<Option<WayOut>> {
    open_to(server, sandbox, launch, Arc::new(Log(Arc::clone(recorder))))
}

/// The same, where nothing is recorded and so nothing leaves: to see whether it can be.
///
/// # Errors
/// As those of [`open`].
pub(crate) fn try_open(server: &str, sandbox: Option<&Sandbox>, launch: &mut Launch) -> io::Result<Option<WayOut>> {
    open_to(server, sandbox, launch, Arc::new(Nobody))
}

fn open_to(
    server: &str,
    sandbox: Option<&Sandbox>,
    launch: &mut Launch,
    sink: Arc<dyn Sink>,
) -> io::Result<Option<WayOut>> {
    let Some((sandbox, confinement)) = sandbox.zip(launch.confinement.as_mut()) else { return Ok(None) };
    if sandbox.hosts.is_empty() {
        return Ok(None);
    }
    // Whoever only reads a configuration starts no server either.
    if tokio::runtime::Handle::try_current().is_err() {
        return Err(io::Error::other("nothing can be served here"));
    }
    let settings = Settings {
        server: server.to_owned(),
        policy: policy(sandbox)?,
        secrets: Vec::new(),
        own: own_addresses(),
        timeouts: Timeouts::default(),
    };
    let parts = Parts { resolver: Arc::new(System::default()), sink, tls: native_tls()? };
    let egress = Egress::new(settings, parts).map_err(io::Error::other)?;
    let (directory, held) = directory()?;
    let socket = directory.join(SOCKET);
    let listening = Listening::bind(&socket)?;
    confinement.network = Network::Relay(Relay { socket, told: told(&egress, sandbox) });
    for name in PROXY_VARIABLES {
        launch.env.set(name, PROXY);
    }
    launch.env.set("NO_PROXY", "localhost,127.0.0.1,::1");
    let serving = egress.clone();
    let task = tokio::spawn(async move { serving.serve(listening.listener()).await });
    Ok(Some(WayOut { egress, task, directory, _held: held }))
}

fn policy(sandbox: &Sandbox) -> io::Result<Policy> {
    // Both were read when the configuration was checked.
    let wrong = |error: &dyn std::fmt::Display| io::Error::other(error.to_string());
    let private: Vec<Range> = sandbox
        .private
        .iter()
        .map(|range| Range::parse(range).map_err(|error| wrong(&error)))
        .collect::<Result<_, _>>()?;
    let rule =
        |text: &String| Ok::<_, io::Error>(Rule::parse(text).map_err(|error| wrong(&error))?.near(private.clone()));
    Ok(Policy::new(sandbox.hosts.iter().map(rule).collect::<Result<Vec<_>, _>>()?, Limits::default()))
}

/// What the relay is told: the token, and ports to listen at besides the usual ones.
fn told(egress: &Egress, sandbox: &Sandbox) -> String {
    let ports: BTreeSet<&str> =
        sandbox.hosts.iter().filter_map(|rule| rule.rsplit_once(':')).map(|(_, port)| port).collect();
    [egress.token().expose()].into_iter().chain(ports).collect::<Vec<_>>().join(" ")
}

/// The relay beside a confined server; see [`bartizan_sandbox::set_relay_program`].
///
/// # Errors
/// If it cannot listen.
pub fn relay(socket: &Path, told: &str) -> io::Result<Box<dyn FnOnce()>> {
    use bartizan_egress::inner::{Addresses, Relay};
    let mut words = told.split(' ');
    let token = words.next().and_then(Token::parse).ok_or(io::ErrorKind::InvalidInput)?;
    let ports: Vec<u16> = words.filter_map(|port| port.parse().ok()).collect();
    let relay = Relay::bind(socket, token, &Addresses::usual(&ports))?;
    Ok(Box::new(move || drop(relay.run())))
}

/// A directory that only this user can look into, and what holds it; those that nobody holds are removed.
fn directory() -> io::Result<(PathBuf, std::fs::File)> {
    use std::os::unix::fs::DirBuilderExt as _;
    let parent = std::env::temp_dir();
    for entry in std::fs::read_dir(&parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)).and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| pid.parse::<u32>().is_ok()) {
            sweep(&entry.path()).ok();
        }
    }
    let name = random::tag().map_err(io::Error::other)?;
    let directory = parent.join(format!("{PREFIX}{}-{name}", std::process::id()));
    std::fs::DirBuilder::new().mode(0o700).create(&directory)?;
    let held = std::fs::File::open(&directory)?;
    flock(&held, FlockOperation::LockShared)?;
    Ok((directory, held))
}

/// Removes a directory that nobody holds any more. This place belongs to all, so somebody else's stays.
fn sweep(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
    let no_link = (OFlags::NOFOLLOW | OFlags::DIRECTORY).bits().cast_signed();
    let held = std::fs::File::options().read(true).custom_flags(no_link).open(directory)?;
    if held.metadata()?.uid() != rustix::process::getuid().as_raw() {
        return Ok(());
    }
    flock(&held, FlockOperation::NonBlockingLockExclusive)?;
    std::fs::remove_file(directory.join(SOCKET)).ok();
    std::fs::remove_dir(directory)
}

/// Addresses of this machine, so that none of its own services is reached by a name that leads to it.
fn own_addresses() -> Vec<std::net::IpAddr> {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    addresses(&read("/proc/net/fib_trie"), &read("/proc/net/if_inet6"))
}

/// Reads the kernel's tables: of version 4 the addresses above the lines `/32 host LOCAL`, of version 6 the first word
/// of each line, in hexadecimal.
fn addresses(version4: &str, version6: &str) -> Vec<std::net::IpAddr> {
    let mut found = Vec::new();
    let mut last = None;
    for line in version4.lines() {
        match line.trim_start().strip_prefix("|-- ") {
            Some(address) => last = address.parse().ok().map(std::net::IpAddr::V4),
            None if line.contains("/32 host LOCAL") => found.extend(last),
            None => {}
        }
    }
    let hexadecimal = |line: &str| u128::from_str_radix(line.split(' ').next()?, 16).ok();
    found.extend(version6.lines().filter_map(hexadecimal).map(|bits| std::net::IpAddr::V6(bits.into())));
    found.sort_unstable();
    found.dedup();
    found
}

/// Records nothing.
struct Nobody;

impl Sink for Nobody {
    fn record(&self, _event: Event) -> Result<(), Unrecorded> {
        Err(Unrecorded)
    }
}

/// What is reported, in the log.
struct Log(Arc<Recorder>);

impl Sink for Log {
    fn record(&self, event: Event) -> Result<(), Unrecorded> {
        let kind = match event.what {
            What::Opened => "egress.opened",
            What::Closed => "egress.closed",
            What::Request => "egress.request",
            What::Refused => "egress.refused",
        };
        if event.what == What::Refused {
            let (server, reason) = (&*event.server, event.reason.id());
            let host = event.host.as_deref().unwrap_or_default();
            tracing::warn!(
                server,
                host,
                port = event.port,
                reason,
                times = event.times,
                "a confined server was refused a connection"
            );
        }
        let mut fields = json!({"server": &*event.server, "reason": event.reason.id()});
        if let Some(fields) = fields.as_object_mut() {
            let mut add = |name: &str, value: Option<serde_json::Value>| {
                value.into_iter().for_each(|value| _ = fields.insert(name.to_owned(), value));
            };
            add("host", event.host.map(Into::into));
            add("port", event.port.map(Into::into));
            add("address", event.address.map(|address| address.to_string().into()));
            add("method", event.method.map(Into::into));
            add("path", event.path.map(Into::into));
            if event.what == What::Closed {
                add("sent", Some(event.sent.into()));
                add("received", Some(event.received.into()));
                add("ms", Some(u64::try_from(event.duration.as_millis()).unwrap_or(u64::MAX).into()));
            }
            add("terminated", event.terminated.then_some(true.into()));
            add("times", (event.times > 1).then(|| event.times.into()));
        }
        self.0.note(kind, &fields).map(drop).map_err(|_| Unrecorded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_holds_is_removed_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let made = |name: &str| {
            let directory = parent.path().join(name);
            std::fs::create_dir(&directory).unwrap();
            std::fs::write(directory.join(SOCKET), "").unwrap();
            directory
        };
        let (left, held, other) = (made("left"), made("held"), made("other"));
        std::fs::write(other.join("somebody's"), "").unwrap();
        let holds = std::fs::File::open(&held).unwrap();
        flock(&holds, FlockOperation::LockShared).unwrap();
        std::os::unix::fs::symlink(&left, parent.path().join("link")).unwrap();
        assert!(sweep(&parent.path().join("link")).is_err() && left.exists());
        assert!(sweep(&held).is_err() && held.join(SOCKET).exists());
        assert!(sweep(&other).is_err() && other.join("somebody's").exists());
        sweep(&left).unwrap();
        assert!(!left.exists());
    }

    #[test]
    fn addresses_of_the_machine_are_read_from_the_kernels_tables() {
        let version4 = "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.1.2.3\n        /32 host LOCAL\n     |-- 10.1.2.0\n        /24 link UNICAST\n     |-- 10.1.2.3\n        /32 host LOCAL\n";
        let version6 = "fe800000000000000000000000000001 02 40 20 80 eth0\nnonsense\n";
        let found: Vec<_> = addresses(version4, version6).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.1.2.3", "fe80::1"]);
    }
}
