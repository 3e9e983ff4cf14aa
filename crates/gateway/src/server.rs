//! One configured server: how it is reached, and what is approved of it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arc_swap::ArcSwap;
use bartizan_guard::{Fact, ServerProfile};
use bartizan_mcp::Era;
use tokio::sync::Semaphore;

use crate::eras::Bridging;
use crate::in_flight::InFlight;
use crate::notices::Notices;
use crate::program::Program;
use crate::upstream::{Endpoint, SharedChild, Starts, UpstreamError};

/// A server of the configuration.
#[derive(Debug)]
pub struct Server {
    /// Its name.
    pub name: Arc<str>,
    /// How it is reached.
    pub transport: Transport,
    /// What guards know about it; replaced when definitions are approved.
    pub profile: ArcSwap<ServerProfile>,
    /// The same for clients of each set of abilities.
    pub(crate) profiles: ArcSwap<Vec<Arc<ServerProfile>>>,
    /// Whether the lock file says that what is approved is of this server.
    pub(crate) identified: AtomicBool,
    /// What a command about its lock file needs besides, with a space in front: nothing if that is found without.
    pub(crate) lock_option: Arc<str>,
    /// How long it may be silent while a request waits for it.
    pub timeout: Duration,
    /// How long a request may take in all, whatever the server says meanwhile.
    pub longest: Duration,
    /// Places for requests that wait for it; one that finds none is refused, so that a server which stopped
    /// answering holds up a bounded number of clients and no other server's.
    pub places: Arc<InFlight>,
    /// Whether clients of another era are translated for it.
    pub bridge: Bridging,
    /// What has been said of it beside messages.
    pub(crate) notices: Notices,
    /// Places for processes of it; a client costs nothing to whoever pretends to be many, but a process does.
    pub processes: Arc<Semaphore>,
    /// Leaves its program alone that crashes at its start. One that a client wrapped has a pause of its own, and so has a
    /// shared one.
    pub(crate) starts: Arc<Starts>,
}

/// Takes a line for the person who reads the client's log.
#[derive(Clone)]
pub struct Complain(pub Arc<dyn Fn(&str) + Send + Sync>);

impl fmt::Debug for Complain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Complain")
    }
}

/// Processes of one server at a time; each belongs to one client session.
pub(crate) const PROCESSES: usize = 256;

/// How a server is reached.
#[derive(Debug, Clone)]
pub enum Transport {
    /// As a child process, one for each client session.
    Command(Box<Program>),
    /// The same, where somebody is to see what it writes to standard error.
    Wrapped(Box<Program>, Complain),
    /// As a child process, one for all clients.
    Shared(Arc<SharedChild>),
    /// Over HTTP.
    Url(Arc<Endpoint>),
}

impl Server {
    /// Says something to the person who looks after it.
    pub(crate) fn tell(&self, text: &str) {
        match &self.transport {
            Transport::Wrapped(_, complain) => {
                tracing::info!(server = %self.name, "{text}");
                (complain.0)(&format!("bartizan: {text}"));
            }
            Transport::Command(_) | Transport::Shared(_) | Transport::Url(_) => {
                tracing::warn!(server = %self.name, "{text}");
            }
        }
    }

    /// Tells of definitions that are not as they were accepted.
    pub(crate) fn tell_not_accepted(&self, facts: &[Fact]) {
        for text in self.notices.not_accepted(facts, &self.profile.load(), &self.lock_option) {
            self.tell(&text);
        }
    }

    /// Tells once that clients of `era` do not see it beside others. Where it is translated for, that is no reason.
    pub(crate) fn tell_left_out(&self, era: Era) {
        if !self.bridge.on
            && let Some(text) = self.notices.left_out(&self.name, era)
        {
            self.tell(&text);
        }
    }

    /// Takes note that it failed. How a wrapped one ends is what its client sees.
    pub(crate) fn note_failed(&self, error: &UpstreamError) {
        if !self.is_wrapped() {
            self.notices.failed(&self.name, || self.place(), error);
        }
    }

    /// Takes note that it sent something.
    pub(crate) fn note_answered(&self) {
        self.notices.answered(&self.name);
    }

    /// Whether it is a program that runs here, and hears nothing of HTTP.
    pub(crate) fn is_program(&self) -> bool {
        !matches!(self.transport, Transport::Url(_))
    }

    pub(crate) fn is_wrapped(&self) -> bool {
        matches!(self.transport, Transport::Wrapped(..))
    }

    /// Ends what of it does not end with its sessions.
    pub(crate) async fn close(&self) {
        if let Transport::Shared(child) = &self.transport {
            child.close().await;
        }
    }

    /// What it is, for the lock file: a changed command or address is another server. Arguments and the path of a URL
    /// count but are not shown: they may hold secrets, and the file may be shared, unlike the log.
    #[must_use]
    pub fn identity(&self) -> String {
        let digest = |hasher: blake3::Hasher| hasher.finalize().to_hex().chars().take(16).collect::<String>();
        let mut hasher = blake3::Hasher::new();
        match self.program().map(|program| &program.launch) {
            Some(launch) => {
                for word in &launch.args {
                    hasher.update(word.as_encoded_bytes());
                    hasher.update(&[0]);
                }
                format!("command {} arguments {}", launch.program.to_string_lossy(), digest(hasher))
            }
            None => {
                let (origin, path) = self.address();
                hasher.update(path.as_bytes());
                format!("url {origin} path {}", digest(hasher))
            }
        }
    }

    /// How its program is kept apart from the machine; none if it is no local program.
    #[must_use]
    pub fn isolation(&self) -> Option<bartizan_sandbox::Level> {
        self.program().map(|program| program.launch.level())
    }

    /// The secrets that its program is given, by name.
    #[must_use]
    pub fn exposed(&self) -> &[String] {
        self.program().map(Program::exposed).unwrap_or_default()
    }

    /// Has what still runs of it reach no more than the server that it is `now`, if it still is one.
    pub(crate) fn follow(&self, now: Option<&Server>) {
        let Some(program) = self.program() else { return };
        let now = now.and_then(Server::program);
        program.follow(now);
        if now.is_some_and(|now| program.exposes_others_than(now)) {
            tracing::warn!(server = %self.name, "what runs of it has the secrets it was started with, until it is started again");
        }
    }

    pub(crate) fn program(&self) -> Option<&Program> {
        match &self.transport {
            Transport::Command(program) | Transport::Wrapped(program, _) => Some(program),
            Transport::Shared(child) => Some(&child.program),
            Transport::Url(_) => None,
        }
    }

    /// Of a URL what is before its path, and that.
    fn address(&self) -> (String, &str) {
        let Transport::Url(endpoint) = &self.transport else { return Default::default() };
        let authority = endpoint.uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        (format!("{}://{host}", endpoint.uri.scheme_str().unwrap_or("http")), endpoint.uri.path())
    }

    /// Where it is, in words for a log or a record; without arguments, headers, or what of a URL may hold secrets.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.transport {
            Transport::Command(program) | Transport::Wrapped(program, _) => {
                program.launch.program.to_string_lossy().into_owned()
            }
            Transport::Shared(child) => child.program.launch.program.to_string_lossy().into_owned(),
            Transport::Url(endpoint) => endpoint.shown.clone(),
        }
    }
}
