//! The proxy of one server, outside its sandbox.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::ClientConfig;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::authority::{Authority, AuthorityError};
use crate::connect::Resolve;
use crate::event::Sink;
use crate::exchange::Exchange;
use crate::flow::Flow;
use crate::meter::{Meter, Metered, Totals};
use crate::report::Reports;
use crate::secret::{Secret, Secrets};
use crate::token::{self, Token};
use crate::tunnel;
use bartizan_reach::Policy;
use bartizan_reach::Reason;

/// How long each stage may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the token is there.
    pub token: Duration,
    /// Until the head of a request is there, also of the next one over the same connection.
    pub head: Duration,
    /// Until a name is looked up.
    pub lookup: Duration,
    /// Until a connection to one address is made.
    pub connect: Duration,
    /// Until it is clear what a tunnel to port 443 or 80 carries.
    pub first: Duration,
    /// Until a TLS handshake is over, on either side.
    pub handshake: Duration,
    /// As long as nothing crosses a connection; it ends within twice this time.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        let seconds = Duration::from_secs;
        Timeouts {
            token: seconds(5),
            head: seconds(60),
            lookup: seconds(10),
            connect: seconds(10),
            first: seconds(10),
            handshake: seconds(10),
            idle: seconds(300),
        }
    }
}

/// What belongs to one start of one server.
#[derive(Debug)]
pub struct Settings {
    /// What the server is called in reports.
    pub server: String,
    /// What it may reach at first; see [`Egress::replace`].
    pub policy: Policy,
    /// Secrets for which it holds placeholders.
    pub secrets: Vec<Secret>,
    /// Addresses of this host on all its interfaces, which are reached only where a rule names one by itself.
    pub own: Vec<IpAddr>,
    /// How long each stage may take.
    pub timeouts: Timeouts,
}

/// What a proxy rests on.
#[derive(Clone)]
pub struct Parts {
    /// Says where names lead: a [`crate::System`] of its own.
    pub resolver: Arc<dyn Resolve>,
    /// Where reports go; may be shared.
    pub sink: Arc<dyn Sink>,
    /// How TLS is spoken to hosts for which it is ended: [`crate::native_tls`]; may be shared.
    pub tls: Arc<ClientConfig>,
}

/// A proxy cannot be set up.
#[derive(Debug, Error)]
pub enum SetupError {
    /// There is no token.
    #[error("the system gives no random numbers")]
    Random(#[from] getrandom::Error),
}

/// The way out of one server. Clones are the same one.
#[derive(Clone)]
pub struct Egress(Arc<Shared>);

pub(crate) struct Shared {
    token: Token,
    policy: watch::Sender<Arc<Policy>>,
    secrets: Mutex<Arc<Secrets>>,
    pub(crate) authority: Authority,
    pub(crate) own: Vec<IpAddr>,
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) reports: Arc<Reports>,
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) timeouts: Timeouts,
    pub(crate) totals: Arc<Totals>,
    connections: AtomicUsize,
    recent: Mutex<VecDeque<Instant>>,
}

impl Shared {
    /// The policy in force.
    pub(crate) fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.borrow())
    }

    /// The secrets in force.
    pub(crate) fn secrets(&self) -> Arc<Secrets> {
        Arc::clone(&self.secrets.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A place for a connection, unless there are enough or too many came within a minute.
    fn place(self: &Arc<Self>) -> Result<Place, Reason> {
        let limits = *self.policy().limits();
        let place = Place(Arc::clone(self));
        // With this one.
        if self.connections.fetch_add(1, Ordering::Relaxed) >= limits.connections {
            return Err(Reason::Connections);
        }
        let now = Instant::now();
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        while recent.front().is_some_and(|then| now.duration_since(*then) >= MINUTE) {
            recent.pop_front();
        }
        let most = usize::try_from(limits.connections_per_minute).unwrap_or(usize::MAX);
        if recent.len() >= most {
            return Err(Reason::Rate);
        }
        recent.push_back(now);
        Ok(place)
    }
}

const MINUTE: Duration = Duration::from_secs(60);
/// When no connection can be accepted, as when there are no file descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// One of the connections at once.
struct Place(Arc<Shared>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Egress {
    /// Sets up the way out of one server, with a token and an authority of its own.
    ///
    /// # Errors
    /// If the system gives no random numbers.
    pub fn new(settings: Settings, parts: Parts) -> Result<Egress, SetupError> {
        let Settings { server, policy, secrets, own, timeouts } = settings;
        let Parts { resolver, sink, tls } = parts;
        let mut tls = ClientConfig::clone(&tls);
        // What is spoken over it is HTTP/1.1, and no session of one server is taken up for another.
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        tls.resumption = rustls::client::Resumption::in_memory_sessions(64);
        Ok(Egress(Arc::new(Shared {
            token: Token::generate()?,
            totals: Arc::new(Totals::new(policy.limits())),
            policy: watch::Sender::new(Arc::new(policy)),
            secrets: Mutex::new(Arc::new(Secrets(secrets))),
            authority: Authority::default(),
            own,
            resolver,
            reports: Arc::new(Reports::new(server.into(), sink)),
            tls: Arc::new(tls),
            timeouts,
            connections: AtomicUsize::new(0),
            recent: Mutex::default(),
        })))
    }

    /// What the server's relay says first.
    #[must_use]
    pub fn token(&self) -> &Token {
        &self.0.token
    }

    /// The certificate, as PEM, of the authority that the server has to trust besides those of the system: in a file for
    /// `NODE_EXTRA_CA_CERTS`, and behind those of the system in one for `SSL_CERT_FILE`.
    ///
    /// # Errors
    /// If there can be none.
    pub fn authority_pem(&self) -> Result<String, AuthorityError> {
        self.0.authority.pem()
    }

    /// The policy in force.
    #[must_use]
    pub fn policy(&self) -> Arc<Policy> {
        self.0.policy()
    }

    /// Puts another policy in force, at once: what connects from now on meets it, and what is open and no longer allowed is closed.
    pub fn replace(&self, policy: Policy) {
        self.0.totals.limit(policy.limits());
        self.0.policy.send_replace(Arc::new(policy));
    }

    /// Puts other secrets in force, at once: each takes the place of the one of its name, for the placeholder that the server holds, and
    /// those that are not among them any more are withdrawn. One of a new name has no placeholder in a server that runs.
    pub fn replace_secrets(&self, secrets: &[Secret]) {
        let mut held = self.0.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        *held = Arc::new(held.replaced_by(secrets));
    }

    /// Serves what connects, until this is dropped; then all connections are closed.
    pub async fn serve(&self, listener: &UnixListener) {
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(_) = connections.join_next() => continue,
            };
            match accepted {
                // Here and not in its task, so that no more of these are there than may be.
                Ok((stream, _)) => match self.0.place() {
                    Ok(place) => drop(connections.spawn(held(Arc::clone(&self.0), place, stream))),
                    Err(reason) => self.0.reports.flooded(reason),
                },
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Serves one connection until it ends.
    pub async fn serve_connection<S>(&self, io: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        match self.0.place() {
            Ok(place) => held(Arc::clone(&self.0), place, io).await,
            Err(reason) => self.0.reports.flooded(reason),
        }
    }
}

impl std::fmt::Debug for Egress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Egress(..)")
    }
}

/// Serves a connection that has a place, until it ends, is idle, or is no longer allowed.
async fn held<S>(shared: Arc<Shared>, place: Place, io: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // Before anything is allowed.
    let policy = shared.policy.subscribe();
    let (idle, meter) = (shared.timeouts.idle, Meter::new(Arc::new(Totals::unlimited())));
    let io = Metered::new(io, Arc::clone(&meter));
    let flow = Arc::new(Flow::new(shared));
    // The last is dropped after it is said why.
    let mut serving = Box::pin(serve(Arc::clone(&flow), io));
    tokio::select! {
        biased;
        () = flow.revoked(policy) => flow.end(Reason::Replaced),
        () = meter.idle(idle) => flow.end(Reason::Idle),
        () = &mut serving => {}
    }
    drop((serving, place));
}

/// Serves a connection until it ends.
async fn serve<S>(flow: Arc<Flow>, mut io: Metered<S>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut said = [0; token::LENGTH + 1];
    let read = timeout(flow.shared.timeouts.token, io.read_exact(&mut said)).await;
    let is_token = said.split_last().is_some_and(|(end, token)| *end == b'\n' && flow.shared.token.is(token));
    if !(matches!(read, Ok(Ok(_))) && is_token) {
        flow.shared.reports.flooded(Reason::Token);
        return;
    }
    if let Ok(Some(tunnel)) = Exchange::at_proxy(Arc::clone(&flow)).serve(io).await {
        tunnel::carry(flow, tunnel).await;
    }
}

/// A socket that is removed with its file when it goes.
#[derive(Debug)]
pub struct Listening {
    listener: UnixListener,
    path: PathBuf,
}

impl Listening {
    /// Listens at `path`, which only the user of this process can reach, and which must not exist.
    ///
    /// # Errors
    /// If something is there, or no socket can be.
    pub fn bind(path: &Path) -> std::io::Result<Listening> {
        use std::os::unix::fs::PermissionsExt;
        let listener = bound(path)?;
        let listening = Listening { listener, path: path.to_owned() };
        // Whoever connects before this is one that has no token.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(listening)
    }

    /// What [`Egress::serve`] serves.
    #[must_use]
    pub fn listener(&self) -> &UnixListener {
        &self.listener
    }
}

/// Binds by way of the directory, as a socket's address has room for 107 bytes and no more.
#[cfg(target_os = "linux")]
fn bound(path: &Path) -> std::io::Result<UnixListener> {
    use std::os::fd::AsRawFd as _;
    let (directory, name) = path.parent().zip(path.file_name()).ok_or(std::io::ErrorKind::InvalidInput)?;
    let directory = std::fs::File::open(directory)?;
    UnixListener::bind(Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name))
}

#[cfg(not(target_os = "linux"))]
fn bound(path: &Path) -> std::io::Result<UnixListener> {
    UnixListener::bind(path)
}

impl Drop for Listening {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.path));
    }
}
