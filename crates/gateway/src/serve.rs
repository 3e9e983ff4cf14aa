//! `bartizan serve`: the gateway of a team, from start to graceful end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bartizan_config::{AuthorizationServer, Config};
use serde_json::json;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::certificates::Certificates;
use crate::changes;
use crate::control::{self, Control};
use crate::database::Database;
use crate::edge::{self, Allowed, Bounds, Front, FrontSettings};
use crate::files::place_of;
use crate::gateway::Gateway;
use crate::identity::Identity;
use crate::issuer::Issuer;
use crate::reload::{self, ConfigFile, Place, Reloads};
use crate::setup::{self, SetupError};
use crate::trials::Trials;
pub use crate::unconfined::Unconfined;
use crate::versions;
use crate::web::oauth::OAuth;
use crate::web::{self, Web};

/// Why serving could not begin.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The configuration could not be put in force.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The keys that clients have to show cannot be read.
    #[error(transparent)]
    Store(#[from] bartizan_store::StoreError),
    /// There are no random bytes.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}, the `address` of [{table}]: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Where the configuration says so.
        table: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

/// How long requests under way may take to finish once the gateway is asked to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// A gateway that is being served.
pub struct Running {
    /// Where clients connect.
    pub address: SocketAddr,
    /// Where health and metrics are, if anywhere.
    pub admin: Option<SocketAddr>,
    certificates: Arc<Certificates>,
    gateway: Arc<Gateway>,
    front: Arc<Front>,
    stop: watch::Sender<bool>,
    /// Where the operator asks, for as long as it runs.
    control: Option<Control>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// Starts serving a configuration that is from no file.
///
/// # Errors
/// If the log or the lock file cannot be opened, or an address cannot be listened on.
pub async fn start(config: &Config) -> Result<Running, ServeError> {
    start_with(config, None, Unconfined::Named(Vec::new())).await
}

/// Starts serving `config`, where these servers may run unconfined if it says so as well. If it is from `file`, changes of
/// that are put in force, and SIGHUP has it read again.
///
/// # Errors
/// As [`start`]; and if one is named that the configuration confines or does not have.
pub async fn start_with(config: &Config, file: Option<ConfigFile>, free: Unconfined) -> Result<Running, ServeError> {
    let gateway = setup::gateway(config)?;
    setup::allow_unconfined(config, &gateway, free)?;
    let workspace = std::env::current_dir().unwrap_or_default();
    let servers = setup::servers(config, &gateway, &workspace)?;
    let (described, isolation) = setup::described(&servers);
    let foreseen = setup::Foreseen::of(&servers);
    let connections = connections(config.listen.max_connections);
    let identity = Identity::new(Arc::clone(&gateway.database));
    identity.trust(&config.auth.issuers).map_err(SetupError::Certificates)?;
    if config.auth.required {
        // Rather now than at the first request.
        identity.open().await?;
    } else if let Some(why) = gateway.database.obstacle() {
        tracing::warn!(why, "the store cannot be made, so there can be no keys and no sign-in");
    }
    let certificates = Arc::new(Certificates::read(config)?);
    let listener = listen(config.listen.address, "listen").await?;
    let admin = match &config.admin {
        Some(admin) => Some(listen(admin.address, "admin").await?),
        None => None,
    };
    let address = local(&listener, config.listen.address);
    let public = config.listen.public_url.clone().unwrap_or_else(|| url(certificates.listen.is_some(), address));
    let settings = front_settings(config, &public, connections);
    let front = Front::new(Arc::clone(&gateway), Arc::clone(&identity), servers, settings);
    show_pages(config, &public, (&gateway, &identity), &front).await?;
    let admin_address = admin.as_ref().map(|listener| local(listener, address));
    let started = json!({
        "version": env!("CARGO_PKG_VERSION"), "address": address.to_string(), "servers": described,
        "isolation": isolation.to_string(), "mode": config.settings.mode.as_str(),
        "config": file.as_ref().map(|file| place_of(file.path())), "lock": place_of(&gateway.lock),
        "policies": versions::of(config),
    });
    if gateway.recorder.is_new() {
        // It may be that the disk with the one before is not there.
        tracing::info!(directory = %config.audit.directory.display(), "there was no audit log, and a new one begins");
    }
    gateway.recorder.note("gateway.started", &started).map_err(SetupError::Audit)?;
    tracing::info!(%address, "serving MCP");
    foreseen.say();
    capture(config, &gateway).await?;
    gateway.config.send_replace(Some(Arc::new(config.clone())));
    tokio::spawn(versions::keep(Arc::clone(&gateway.database), config.settings.policies.clone(), "start"));
    let (stop, stopped) = watch::channel(false);
    let bounds = Bounds {
        connections,
        header_timeout: config.limits.header_timeout,
        // As patient with a client that does not read as with one that does not write.
        write_timeout: config.limits.body_timeout,
    };
    let mut tasks = vec![
        tokio::spawn(edge::serve(Arc::clone(&front), (listener, certificates.listen.clone()), bounds, stopped.clone())),
        tokio::spawn(housekeeping(Arc::clone(&front), Arc::clone(&gateway))),
        tokio::spawn(record_changes(identity, Arc::clone(&gateway))),
        tokio::spawn(changes::keep_sweeping(Arc::clone(&gateway))),
        tokio::spawn(end_revoked(Arc::clone(&front))),
        tokio::spawn(Arc::clone(&certificates).watch(Arc::clone(&front), Arc::clone(&gateway))),
    ];
    if let Some(listener) = admin {
        tasks.push(tokio::spawn(edge::serve_admin(
            Arc::clone(&front),
            (listener, certificates.admin.clone()),
            stopped,
        )));
    }
    if let Some(file) = file {
        let database = Arc::clone(&gateway.database);
        let place =
            Place::Front { front: Arc::clone(&front), certificates: Arc::clone(&certificates), workspace, database };
        let (reloads, hangups) = Reloads::new(file, place, Arc::clone(&gateway), config.clone());
        tasks.push(tokio::spawn(reload::watch(reloads, hangups)));
    }
    let control = control::serve(&gateway);
    Ok(Running { control, address, admin: admin_address, certificates, gateway, front, stop, tasks })
}

/// Begins to capture what clients ask, if that is wanted.
async fn capture(config: &Config, gateway: &Gateway) -> Result<(), ServeError> {
    if config.capture.is_some()
        && let Some(store) = gateway.database.open().await?
    {
        // Rather now than when something is to be sealed.
        store.sealer().await?;
    }
    gateway.capture.put(setup::capture(config, gateway)?, &gateway.recorder, &gateway.metrics);
    Ok(())
}

/// Has pages for people be shown, if they sign in here.
async fn show_pages(
    config: &Config,
    public: &str,
    (gateway, identity): (&Arc<Gateway>, &Arc<Identity>),
    front: &Arc<Front>,
) -> Result<(), ServeError> {
    let Some(sign_in) = &config.sign_in else { return Ok(()) };
    let database = &gateway.database;
    // Rather now than when somebody signs in.
    database.open().await?;
    let oauth = sign_in.authorization_server.as_ref().map(|served| oauth(served, database, public, front));
    gateway.agreements.show_pages_at(public);
    let (public, body_timeout) = (public.into(), config.limits.body_timeout);
    let settings = web::Settings { public, sign_in: sign_in.clone(), body_timeout };
    let stores = (Arc::clone(database), Arc::clone(identity));
    front.show(Web::new(Arc::clone(gateway), stores, oauth, settings).map_err(ServeError::Random)?);
    Ok(())
}

impl Running {
    /// Where clients connect, without a path.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.certificates.listen.is_some(), self.address)
    }

    /// Where clients find it, without a path: what `public_url` says, or the same.
    #[must_use]
    pub fn public_url(&self) -> &str {
        self.front.public()
    }

    /// Where health and metrics are, without a path, if anywhere.
    #[must_use]
    pub fn admin_url(&self) -> Option<String> {
        self.admin.map(|admin| url(self.certificates.admin.is_some(), admin))
    }

    /// Where trials of its configuration report to.
    #[must_use]
    pub fn trials(&self) -> Trials {
        Trials::of(&self.gateway)
    }

    /// Takes no more requests and ends streams that have no end; how many requests are still under way.
    pub fn leave(&self) -> usize {
        self.stop.send(true).ok();
        self.front.end_streams()
    }

    /// Lets requests under way finish, ends all sessions and their servers, and returns.
    pub async fn stop(self) {
        self.stop_unless(std::future::pending()).await;
    }

    /// The same, but waits for nobody any more once `hurry` comes: what is left then ends with this process.
    pub async fn stop_unless(mut self, hurry: impl Future<Output = ()>) {
        self.leave();
        drop(self.control.take());
        let serving = self.tasks.remove(0);
        let orderly = async {
            if tokio::time::timeout(DRAIN, serving).await.is_err() {
                tracing::warn!("some requests did not finish in time");
            }
            self.front.close().await;
        };
        tokio::select! {
            () = orderly => {}
            () = hurry => tracing::warn!("stopped without waiting any longer"),
        }
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
        self.gateway.capture.stop(&self.gateway.recorder).await;
        self.gateway.recorder.last_tick();
        if let Ok(receipt) = self.gateway.recorder.note("gateway.stopped", &json!({}))
            && let Err(error) = self.gateway.recorder.durable(receipt).await
        {
            tracing::error!(%error, "the end of the audit log could not be synced");
        }
        self.gateway.recorder.log().settle();
    }
}

/// As many connections as configured, or as there can be: each may need a second file for its way to a server, and the
/// log and the servers' pipes need theirs, so accepting more would only make something else fail.
fn connections(wanted: usize) -> usize {
    const OTHERS: usize = 128;
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let files = files.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
    let most = files.saturating_sub(OTHERS).max(OTHERS) / 2;
    if most < wanted {
        let text = "the limit of open files allows fewer connections than `max_connections` of [listen]";
        // Nobody has to do anything about a number that nobody has chosen.
        match wanted == Bounds::default().connections {
            true => tracing::debug!(files, connections = most, "{text}"),
            false => tracing::warn!(files, connections = most, "{text}"),
        }
    }
    wanted.min(most)
}

fn url(is_secure: bool, address: SocketAddr) -> String {
    format!("{}://{address}", if is_secure { "https" } else { "http" })
}

/// What people can let clients have, at that address.
fn oauth(served: &AuthorizationServer, database: &Arc<Database>, public: &str, front: &Arc<Front>) -> OAuth {
    let issuer = Issuer::new(Arc::clone(database), public);
    front.identity().trust_own(Arc::clone(&issuer));
    let front = Arc::downgrade(front);
    let is_server = move |name: &str| front.upgrade().is_some_and(|front| front.has_server(name));
    OAuth::new(issuer, served.into(), is_server)
}

async fn listen(address: SocketAddr, table: &'static str) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, table, source })
}

fn local(listener: &TcpListener, asked: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(asked)
}

fn front_settings(config: &Config, public: &str, connections: usize) -> FrontSettings {
    let listen = &config.listen;
    let mut allowed = Allowed { hosts: listen.allowed_hosts.clone(), origins: listen.allowed_origins.clone() };
    // Those of the address itself are loopback ones, or were named.
    if listen.public_url.is_some() {
        allowed.add_own(public);
    }
    FrontSettings {
        public: public.into(),
        allowed,
        body_timeout: config.limits.body_timeout,
        sessions: config.limits.max_sessions,
        streams: edge::streams(connections),
        idle: config.limits.session_idle,
    }
}

async fn housekeeping(front: Arc<Front>, gateway: Arc<Gateway>) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    for count in 0_u64.. {
        second.tick().await;
        gateway.tick();
        if count % 10 == 0 {
            front.expire();
        }
    }
}

/// In a task of its own: it waits for disks.
async fn record_changes(identity: Arc<Identity>, gateway: Arc<Gateway>) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        second.tick().await;
        identity.record_changes(&gateway.recorder).await;
    }
}

/// In a task of its own too: it may wait for whoever knows of a credential.
async fn end_revoked(front: Arc<Front>) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        second.tick().await;
        front.end_revoked().await;
    }
}

#[cfg(test)]
mod tests;
