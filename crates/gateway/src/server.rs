//! One configured server: how it is reached, and what is approved of it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arc_swap::ArcSwap;
use bartizan_guard::ServerProfile;
use bartizan_mcp::Limits;
use bartizan_sandbox::{Launch, SpawnError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::bridge::era::Bridging;
use crate::gateway::Gateway;
use crate::in_flight::InFlight;
use crate::notices::Notices;
use crate::upstream::{
    Endpoint, HttpUpstream, Routing, SharedChild, Starts, StdioUpstream, Trial, Upstream, UpstreamError, works,
};

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

/// How long a client waits for the end of a process that makes room for its own: longer than the end of one that does
/// not want to.
const ROOM: Duration = Duration::from_secs(15);

/// How a server is reached.
#[derive(Debug, Clone)]
pub enum Transport {
    /// As a child process, one for each client session.
    Command(Box<Launch>),
    /// The same, where somebody is to see what it writes to standard error.
    Wrapped(Box<Launch>, Complain),
    /// As a child process, one for all clients.
    Shared(Arc<SharedChild>),
    /// Over HTTP.
    Url(Arc<Endpoint>),
}

impl Server {
    /// Opens a way to the server for one client session.
    ///
    /// # Errors
    /// If it is a child process that cannot be started, or failed so often at its start that it is left alone for now.
    pub async fn connect(
        &self,
        gateway: &Arc<Gateway>,
        routing: Routing,
        limits: Limits,
    ) -> Result<Upstream, UpstreamError> {
        match &self.transport {
            Transport::Shared(child) => Ok(Upstream::Shared(child.connect(gateway, limits))),
            Transport::Url(endpoint) => Ok(Upstream::Http(HttpUpstream::new(Arc::clone(endpoint)))),
            Transport::Command(launch) => {
                let name = Arc::clone(&self.name);
                let log = move |line: &str| tracing::info!(target: "bartizan::server", server = %name, "{line}");
                let mut place = None;
                let trial = self.starts.begin(self.works(gateway, launch, limits, &mut place)).await?;
                self.start(gateway, launch, (routing, limits), (place, Some(trial)), log).await
            }
            Transport::Wrapped(launch, complain) => {
                let complain = Arc::clone(&complain.0);
                self.start(gateway, launch, (routing, limits), (None, None), move |line| complain(line)).await
            }
        }
    }

    /// Finds out whether its program works; `kept` is the place that this took, for the process of who has it found out.
    async fn works(
        &self,
        gateway: &Gateway,
        launch: &Launch,
        limits: Limits,
        kept: &mut Option<Arc<OwnedSemaphorePermit>>,
    ) -> bool {
        // Without room for a process nothing is known of the program, and who asked is told that there is none.
        let Ok(place) = self.place_for_process(gateway).await else { return true };
        works(gateway, &self.name, (launch, Arc::clone(kept.insert(place))), limits).await
    }

    async fn start(
        &self,
        gateway: &Gateway,
        launch: &Launch,
        (routing, limits): (Routing, Limits),
        (place, trial): (Option<Arc<OwnedSemaphorePermit>>, Option<Arc<Trial>>),
        log: impl Fn(&str) + Send + 'static,
    ) -> Result<Upstream, UpstreamError> {
        let not_started = |error: SpawnError| UpstreamError::NotStarted(error.to_string());
        let place = match place {
            Some(place) => place,
            None => self.place_for_process(gateway).await.map_err(not_started)?,
        };
        match StdioUpstream::spawn(launch, routing, limits, log).await {
            Ok(child) => {
                child.hold(place, trial);
                Ok(Upstream::Stdio(child))
            }
            Err(error) => {
                trial.iter().for_each(|trial| trial.ended());
                Err(not_started(error))
            }
        }
    }

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

    /// Whether it is a program that runs here, and hears nothing of HTTP.
    pub(crate) fn is_program(&self) -> bool {
        !matches!(self.transport, Transport::Url(_))
    }

    pub(crate) fn is_wrapped(&self) -> bool {
        matches!(self.transport, Transport::Wrapped(..))
    }

    /// A place for one more process; if there is none, a session that nobody needs is ended for it.
    async fn place_for_process(&self, gateway: &Gateway) -> Result<Arc<OwnedSemaphorePermit>, SpawnError> {
        let full = || SpawnError::Invalid { what: "as many clients have a process of this server as may" };
        if let Ok(place) = Arc::clone(&self.processes).try_acquire_owned() {
            return Ok(Arc::new(place));
        }
        if !gateway.make_room(self) {
            return Err(full());
        }
        // First come, first served: each who waits here has made room.
        let freed = Arc::clone(&self.processes).acquire_owned();
        tokio::time::timeout(ROOM, freed).await.ok().and_then(Result::ok).map(Arc::new).ok_or_else(full)
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
        match self.launch() {
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

    fn launch(&self) -> Option<&Launch> {
        match &self.transport {
            Transport::Command(launch) | Transport::Wrapped(launch, _) => Some(launch),
            Transport::Shared(child) => Some(&child.launch),
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
            Transport::Command(launch) | Transport::Wrapped(launch, _) => launch.program.to_string_lossy().into_owned(),
            Transport::Shared(child) => child.launch.program.to_string_lossy().into_owned(),
            Transport::Url(endpoint) => endpoint.shown.clone(),
        }
    }
}
