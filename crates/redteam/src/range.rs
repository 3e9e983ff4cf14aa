//! The gateway that is tried: that of the configuration, with state of its own and servers that stand in for the real ones.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bartizan_config::{AUDIT_KEY, AuditKey, Config, Http, Server, Upstream};
use bartizan_demo::{Client, ClientError, Hello};
use bartizan_gateway::serve::{self, Running, ServeError};
use bartizan_guard::guards::{flow, output_anomaly, rate};
use bartizan_guard::{Asks, LabelsOf, Layer, Settings};
use bartizan_identity::ApiKey;
use bartizan_store::{Change, Store, StoreError, api_keys};
use http::HeaderValue;
use serde_json::json;
use thiserror::Error;

use crate::home::Home;
use crate::stand_in::StandIn;

/// Why nothing can be tried.
#[derive(Debug, Error)]
pub enum RangeError {
    /// There is no place for its state, or no port.
    #[error("cannot make a place for the trial: {0}")]
    Place(#[from] std::io::Error),
    /// The gateway does not start.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// No key can be made for the client.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There are no random bytes.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
    /// The client is not let in.
    #[error("the client cannot connect to the server `{server}`: {error}")]
    Connect {
        /// Where.
        server: String,
        /// Why.
        error: ClientError,
    },
    /// What was asked for is not there.
    #[error("the configuration has no server `{0}`")]
    NoServer(String),
    /// What was chosen is no text at all.
    #[error("no attack is chosen: no text of these families can be in one of these disguises, or none is wanted")]
    Nothing,
    /// The gateway's log cannot be read.
    #[error("the log of the trial cannot be read: {0}")]
    Log(std::io::Error),
}

/// Who asks, if the configuration or the caller wants it to be somebody.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// Their name.
    pub name: Option<String>,
    /// Their roles.
    pub roles: Vec<String>,
}

/// What a caller is called if nobody says so.
const NAME: &str = "redteam";
/// What the server is called where a configuration has none.
const SERVER: &str = "server";

/// A gateway with servers that stand in, until it is dropped or stopped.
pub(crate) struct Range {
    running: Running,
    pub(crate) servers: StandIn,
    /// Whether somebody judges by more than what a message says.
    pub(crate) has_policies: bool,
    /// Where its log is.
    pub(crate) log: PathBuf,
    key: Option<HeaderValue>,
}

impl Range {
    /// Starts a gateway as this configuration says, but for what it is not to touch.
    pub(crate) async fn start(
        config: &Config,
        home: &Home,
        caller: &Caller,
        untried: &[&str],
    ) -> Result<Range, RangeError> {
        let servers = StandIn::start().await?;
        let config = tried(config, home.path(), &servers, untried)?;
        let has_key = config.auth.required || caller.name.is_some() || !caller.roles.is_empty();
        let key = if has_key { Some(key(&home.path().join(STORE), caller).await?) } else { None };
        let running = serve::start(&config).await?;
        let has_policies = config.settings.policies.is_some();
        Ok(Range { running, servers, has_policies, log: config.audit.directory, key })
    }

    /// A session with one server.
    pub(crate) async fn connect(&self, server: &str) -> Result<Client, RangeError> {
        let url = format!("http://{}/mcp/{server}", self.running.address);
        let hello = Hello { name: "bartizan-redteam", capabilities: json!({"sampling": {}}), key: self.key.clone() };
        let connected = Client::connect_as(url, hello).await;
        connected.map_err(|error| RangeError::Connect { server: server.to_owned(), error })
    }

    /// A session with all servers as one, of a client that nobody has seen before.
    pub(crate) async fn connect_to_all(&self) -> Result<Client, RangeError> {
        let url = format!("http://{}/mcp", self.running.address);
        let name = format!("bartizan-replay-{}", getrandom::u64().map_err(RangeError::Random)?);
        let hello = Hello { name: &name, capabilities: json!({}), key: self.key.clone() };
        let connected = Client::connect_as(url, hello).await;
        connected.map_err(|error| RangeError::Connect { server: "*".to_owned(), error })
    }

    /// Ends the gateway.
    pub(crate) async fn stop(self) {
        self.running.stop_unless(tokio::time::sleep(Duration::from_secs(1))).await;
    }
}

const STORE: &str = "state.db";
/// The guards that are off in every trial of texts: what is sent before would be all that they know.
pub(crate) const UNTRIED: &[&str] = &[output_anomaly::SPEC.name, flow::SPEC.name];
/// That of a trial of tasks, in which what came before is what counts.
pub(crate) const UNTRIED_IN_TASKS: &[&str] = &[output_anomaly::SPEC.name];

/// The configuration with a state, addresses and servers of its own. What it says about judging stays, but for rates, which
/// would stop the trial and not what is tried; for what a tool brought before, which would be what was tried before; and for a
/// judge elsewhere, who costs something and may say another thing each time.
fn tried(config: &Config, home: &Path, servers: &StandIn, untried: &[&str]) -> Result<Config, RangeError> {
    let mut tried = config.clone();
    tried.listen.address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    tried.listen.public_url = None;
    tried.listen.tls = None;
    tried.admin = None;
    tried.auth.issuers = Vec::new();
    tried.sign_in = None;
    tried.capture = None;
    tried.redteam = None;
    tried.audit.directory = home.join("audit");
    tried.audit.max_file_bytes = u64::MAX;
    // It is read here and gone when the trial is over.
    tried.audit.encrypt = false;
    tried.audit.key = AuditKey::File(home.join(AUDIT_KEY));
    tried.audit.durable = bartizan_config::Durable::Never;
    tried.lock = home.join("mcp.lock");
    tried.other_locks = Vec::new();
    tried.store = Some(home.join(STORE));
    tried.store_key = None;
    tried.store_keyring = None;
    tried.rate = rate::Options::default();
    for guard in untried {
        tried.settings.guards.entry((*guard).to_owned()).or_default().enabled = false;
    }
    // As if each text came to somebody else: else the sessions of a principal would share what one leaves.
    tried.settings.labels.of = LabelsOf::Session;
    tried.settings.labels.after_end = Duration::ZERO;
    tried.detection.judge = None;
    tried.settings.asks = tried.settings.asks.as_deref().and_then(without_judge);
    tried.limits.server_messages = rate::Limit { count: u32::MAX, per_ms: 1_000 };
    tried.approval.wait = Duration::ZERO;
    if tried.servers.is_empty() {
        let (timeout, bridge) = (Duration::from_secs(60), bartizan_config::Bridge::Off);
        let upstream = stand_in(servers, SERVER)?;
        let server = Server { name: SERVER.to_owned(), upstream, bridge, timeout, connect_timeout: timeout };
        tried.servers = BTreeMap::from([(SERVER.to_owned(), server)]);
    }
    for (name, server) in &mut tried.servers {
        server.upstream = stand_in(servers, name)?;
    }
    Ok(tried)
}

/// Who is asked about doubtful texts on this machine, if anybody is.
fn without_judge(asks: &Asks) -> Option<Arc<Asks>> {
    let layers: Vec<_> = asks.layers.iter().filter(|terms| terms.layer != Layer::Judge).cloned().collect();
    (!layers.is_empty()).then(|| Arc::new(Asks { layers, ..asks.clone() }))
}

/// The servers of a configuration, by name.
pub(crate) fn names(config: &Config) -> Vec<String> {
    if config.servers.is_empty() { vec![SERVER.to_owned()] } else { config.servers.keys().cloned().collect() }
}

/// The guards that judge in a trial of these settings.
pub(crate) fn guards(settings: &Settings) -> Vec<&'static str> {
    let is_on = |name: &str| !UNTRIED.contains(&name) && settings.guards.get(name).is_none_or(|held| held.enabled);
    bartizan_guard::guards::ALL.iter().map(|spec| spec.name).filter(|name| is_on(name)).collect()
}

fn stand_in(servers: &StandIn, name: &str) -> Result<Upstream, RangeError> {
    let shown = servers.url(name);
    let url = shown.parse().map_err(|error| RangeError::Place(std::io::Error::other(error)))?;
    Ok(Upstream::Http(Http { url, shown, headers: BTreeMap::new(), tls: None, credential: None }))
}

/// A key that is good for everything for an hour, in the trial's own store.
async fn key(store: &Path, caller: &Caller) -> Result<HeaderValue, RangeError> {
    let secret = ApiKey::generate(getrandom::fill).map_err(RangeError::Random)?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(since.as_micros()).unwrap_or_default();
    let key = api_keys::ApiKey {
        id: secret.id().to_string(),
        digest: secret.digest().to_bytes(),
        principal: caller.name.clone().unwrap_or_else(|| NAME.to_owned()),
        roles: caller.roles.clone(),
        scopes: vec!["mcp".to_owned()],
        note: String::new(),
        created_at: now,
        expires_at: now.saturating_add(24 * 3_600 * 1_000_000),
        revoked_at: None,
        last_used_at: None,
        replaces: None,
    };
    let store = Store::open(store).await?;
    let added = store.add_api_key(&key, &Change { by: NAME.to_owned(), at: now }).await;
    store.close().await;
    added?;
    HeaderValue::try_from(format!("Bearer {}", secret.expose()))
        .map_err(|error| RangeError::Place(std::io::Error::other(error)))
}
