//! `bartizan sandbox learn`: one run of a server in which it is seen what it needs, and the profile that comes of it.
//!
//! The server is held by the walls of the level `process`, as it would be under a profile; it sees more of the machine,
//! read-only, so that it finds what it looks for (`view`), and may reach public hosts. What it asks for is looked at from
//! this process (`bartizan_sandbox::Watch`), and told by the proxy.

mod ask;
mod heard;
mod view;

use std::collections::BTreeSet;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bartizan_config::learned::{HostUse, hidden};
use bartizan_config::{Config, SandboxLevel};
use bartizan_sandbox::{Child, Confinement, ExitStatus, Launch, Network, Signal, StderrTail, Watch};
use rustix::event::{PollFd, PollFlags};
use tokio::net::unix::pipe;
use tokio::sync::oneshot;

use self::heard::Held;
use super::complaints::Complaints;
use super::signals::signals;
use super::{Inside, Isolation, Paths, RunError, Wrap};
use crate::setup::{self, SetupError};
use crate::way_out;

pub use self::ask::Listed;

/// How long the server may take to end once it is asked to; whoever stops this does not wait much longer.
const GRACE: Duration = Duration::from_secs(2);
/// How long it may go on after its client has closed its input, and it has read all of it.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// How long it may take to read that.
const READING: Duration = Duration::from_secs(20);
/// That whoever writes to a socket has ended that; other systems, where nothing is learnt, have no such word.
#[cfg(target_os = "linux")]
const ENDED: PollFlags = PollFlags::RDHUP;
#[cfg(not(target_os = "linux"))]
const ENDED: PollFlags = PollFlags::empty();
/// Hosts that are kept.
const MOST_HOSTS: usize = 512;

/// Which hosts may be reached in that run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hosts {
    /// Every public one, at ports 443 and 80.
    Public,
    /// These.
    Named(Vec<String>),
    /// None.
    None,
}

/// What is to be looked at.
#[derive(Debug, Clone)]
pub struct Learning {
    /// The server, with the table of its sandbox: what it begins with, and what the user names.
    pub wrap: Wrap,
    /// The table without what the user names.
    pub plain: String,
    /// What the profile is called.
    pub name: String,
    /// What the profile begins with.
    pub profile: Option<String>,
    /// What it may reach meanwhile.
    pub hosts: Hosts,
}

impl Learning {
    /// What the server may change, besides its own empty places: what the user names, and what the profile that it begins
    /// with lets it.
    ///
    /// # Errors
    /// If nothing can be started so.
    pub fn changeable(&self, config: &Config) -> Result<Vec<PathBuf>, RunError> {
        Ok(confinement(config, &self.wrap)?.writable)
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Learned {
    /// The profile, as a text.
    pub profile: String,
    /// How the server ended.
    pub status: ExitStatus,
    /// What it listed, where that was asked for here.
    pub listed: Option<Listed>,
    /// Whether it was ended before it had read what its client sent.
    pub unread: bool,
}

/// Hosts as they are told of.
#[derive(Debug, Default)]
struct Told {
    hosts: BTreeSet<HostUse>,
    left_out: u64,
}

/// Runs the server with these as its stdin and stdout, or asks it for its lists itself, and says what it needed. What it
/// writes to its stderr goes to that of this process, made safe to show: never the stream itself, which may be a terminal.
///
/// # Errors
/// If it cannot be started so.
pub async fn learn(
    config: &Config,
    paths: &Paths,
    what: &Learning,
    stdio: Option<[OwnedFd; 2]>,
) -> Result<Learned, RunError> {
    let inside = Inside::of_command(config, paths, &what.wrap)?;
    check(&inside)?;
    let (mut launch, basis) = (inside.launch.clone(), basis(config, what)?);
    let told = Arc::new(Mutex::new(Told::default()));
    let mut way_out = open(&inside, what, &mut launch, &told)?;
    let mut installed = Vec::new();
    if let Some(job) = inside.job()? {
        launch = job.prepare(launch).await.map_err(RunError::Sandbox)?;
        installed = read_only(launch.confinement.as_ref()).to_vec();
    }
    launch.grace = GRACE;
    let own = setup::confine::own(config);
    let Some(confinement) = launch.confinement.as_mut() else {
        return Err(RunError::Sandbox("nothing says how it is to be confined".to_owned()));
    };
    // Without a home of its own, as with `HOME=/`, a server is given one that is not the user's.
    let homes: Vec<PathBuf> = confinement.home.iter().cloned().chain(std::env::home_dir()).collect();
    let hidden = hidden(&homes, &own, |name| std::env::var_os(name));
    let arguments = setup::confine::meant(what.wrap.command.get(1..).unwrap_or_default(), &what.wrap.directory);
    // A socket of a daemon is reached through its file: who may have sockets is shown no more than a profile shows.
    let unshown = if confinement.exceptions.unix_sockets { 0 } else { view::widen(confinement, &hidden, &arguments) };
    if launch.cwd.is_none() && view::is_seen(confinement, &what.wrap.directory) {
        launch.cwd = Some(what.wrap.directory.clone());
    }
    let held = Held::new(what, &inside.sandbox, confinement, (basis, installed), (hidden, arguments), unshown);
    let watch = Watch::default();
    let complaints = Complaints::to_stderr();
    let (stderr, said) = said(&launch, &complaints)?;
    let (status, listed, unread) = match stdio {
        Some([stdin, stdout]) => {
            let gone = input_ends(&stdin)?;
            let child = launch.spawn_watched([stdin, stdout, stderr], &watch).await?;
            let (status, unread) = attended(&child, gone).await;
            (status, None, unread)
        }
        None => {
            let (child, ends) = ask::start(&launch, stderr, &watch).await?;
            let mut signals = signals();
            let listed = tokio::select! {
                listed = ask::lists(ends) => Some(listed),
                Some(signal) = signals.recv() => {
                    child.signal(signal);
                    None
                }
            };
            (child.end().await, listed, false)
        }
    };
    // Nothing is left that could hold it open, but for what could not be ended.
    tokio::time::timeout(GRACE, said.ended()).await.ok();
    complaints.finish();
    // All that it still has to tell is told once it is closed.
    way_out.take();
    let told = std::mem::take(&mut *told.lock().unwrap_or_else(PoisonError::into_inner));
    let run = held.run(&watch.so_far(), told, status, listed.is_some());
    Ok(Learned { profile: run.profile(), status, listed, unread })
}

/// A stream for the server to complain to, whose lines go where our own do, made safe to show.
fn said(launch: &Launch, complaints: &Complaints) -> Result<(OwnedFd, StderrTail), RunError> {
    let make = || {
        let (ours, theirs) = std::io::pipe()?;
        Ok((pipe::Receiver::from_owned_fd(ours.into())?, theirs.into()))
    };
    let (ours, theirs) = make().map_err(|source| RunError::Path { path: "a pipe".into(), source })?;
    let private = launch.env.private().into_iter().collect();
    Ok((theirs, StderrTail::follow(ours, private, complaints.sink())))
}

/// Refuses what is not looked at.
fn check(inside: &Inside) -> Result<(), RunError> {
    let why = match () {
        () if inside.sandbox.level != SandboxLevel::Process => {
            "what a server needs is seen at the level `process`; a profile that is learnt there holds at the others as well"
        }
        () if inside.sandbox.host_network => {
            "what it reaches cannot be seen in the network of the machine; leave `net.host` out of its profile"
        }
        () => return Ok(()),
    };
    Err(RunError::Sandbox(why.to_owned()))
}

/// What a server of this command is shown by what its profile begins with, without what the user names.
fn basis(config: &Config, what: &Learning) -> Result<Confinement, RunError> {
    confinement(config, &Wrap { isolation: Isolation::Table(what.plain.clone()), ..what.wrap.clone() })
}

fn confinement(config: &Config, wrap: &Wrap) -> Result<Confinement, RunError> {
    let confinement = Inside::held(config, wrap)?.1.confinement;
    confinement.ok_or_else(|| RunError::Sandbox("nothing says how it is to be confined".to_owned()))
}

fn read_only(confinement: Option<&Confinement>) -> &[PathBuf] {
    confinement.map_or(&[], |confinement| &confinement.read_only)
}

/// Its way out in this run.
fn open(
    inside: &Inside,
    what: &Learning,
    launch: &mut Launch,
    told: &Arc<Mutex<Told>>,
) -> Result<Option<way_out::Way>, RunError> {
    let named = match &what.hosts {
        Hosts::None => return Ok(None),
        Hosts::Public => None,
        Hosts::Named(hosts) => Some(&**hosts),
    };
    let told = Arc::clone(told);
    let seen = Arc::new(move |host| {
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.hosts.len() < MOST_HOSTS || told.hosts.contains(&host) {
            told.hosts.insert(host);
        } else {
            told.left_out = told.left_out.saturating_add(1);
        }
    });
    let opened = way_out::open_to_see(&inside.name, (&inside.sandbox, named), launch, &inside.gateway.recorder, seen);
    let opened = opened.map_err(|why| SetupError::Egress { server: inside.name.clone(), why })?;
    if let Some(confinement) = launch.confinement.as_mut().filter(|_| opened.is_none()) {
        confinement.network = Network::None;
    }
    Ok(opened)
}

/// Waits for the end of the server, and brings it about once its client has gone or somebody stops this; and says whether it had
/// not read then what its client sent.
async fn attended(child: &Child, gone: oneshot::Receiver<bool>) -> (ExitStatus, bool) {
    let mut signals = signals();
    let mut gone = std::pin::pin!(async {
        // Where nobody watches, the server notices by itself.
        match gone.await {
            Ok(unread) => {
                tokio::time::sleep(LAST_WORDS).await;
                unread
            }
            Err(_) => std::future::pending().await,
        }
    });
    loop {
        tokio::select! {
            status = child.wait() => return (status, false),
            unread = &mut gone => return (child.end().await, unread),
            Some(signal) = signals.recv() => {
                child.signal(signal);
                if !matches!(signal, Signal::User1 | Signal::User2) {
                    return (child.end().await, false);
                }
            }
        }
    }
}

/// Says once whoever writes to the server's input has closed it, and all of it was read, or would have been by now; and whether it
/// was not. A server that only waits would go on.
fn input_ends(stdin: &OwnedFd) -> Result<oneshot::Receiver<bool>, RunError> {
    let (sender, receiver) = oneshot::channel();
    let failed = |source| RunError::Path { path: "/dev/stdin".into(), source };
    let stdin = stdin.as_fd().try_clone_to_owned().map_err(failed)?;
    let work = move || {
        loop {
            let mut watched = [PollFd::new(&stdin, ENDED)];
            if rustix::event::poll(&mut watched, None).is_err_and(|error| error != rustix::io::Errno::INTR) {
                return;
            }
            let [found] = watched.map(|fd| fd.revents());
            if found.intersects(PollFlags::HUP | ENDED | PollFlags::ERR | PollFlags::NVAL) {
                break;
            }
        }
        let end = Instant::now() + READING;
        let is_left = || rustix::io::ioctl_fionread(&stdin).is_ok_and(|left| left > 0);
        while is_left() && Instant::now() < end && !sender.is_closed() {
            std::thread::sleep(Duration::from_millis(50));
        }
        sender.send(is_left()).ok();
    };
    std::thread::Builder::new().name("bartizan-input".to_owned()).spawn(work).map_err(failed)?;
    Ok(receiver)
}
