//! From a configuration to a gateway that can be served.

pub(crate) mod confine;
mod foreseen;
mod given;
pub mod install;
mod programs;
mod tried;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::ArcSwap;
use bartizan_audit::{AuditError, KeyFileError, Keys, Level};
use bartizan_config::{Audit, AuditKey, Config, Durable, SandboxLevel, Upstream as Place};
use bartizan_guard::{Pipeline, PipelineError, Settings};
use bartizan_sandbox::{Environment, Launch, Level as Isolation};
use http::{HeaderMap, HeaderName, HeaderValue};
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::approvals::{self, Approvals};
use crate::capture::{CaptureError, Change, Means};
use crate::credentials;
use crate::database::Database;
use crate::eras::Bridging;
use crate::gateway::Gateway;
use crate::in_flight::InFlight;
use crate::limiter::Limiter;
use crate::opinions::Layers;
use crate::policy::Policy;
use crate::program::Program;
use crate::random;
use crate::recorder::Recorder;
use crate::server::{PROCESSES, Server, Transport};
use crate::unconfined::Unconfined;
use crate::upstream::{Endpoint, SharedChild, connections};
use crate::way_out;

pub(crate) use self::foreseen::Foreseen;
pub use self::tried::{Tried, changeable, try_out};

/// Why a gateway could not be set up.
#[derive(Debug, Error)]
pub enum SetupError {
    /// The guards do not take their settings.
    #[error(transparent)]
    Guards(#[from] PipelineError),
    /// The audit log cannot be opened.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// What clients ask cannot be captured.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The lock file cannot be read.
    #[error("{0}")]
    Lock(String),
    /// A header of a server cannot be sent.
    #[error("server `{0}`: a header cannot be sent")]
    Header(String),
    /// There are several lock files, and nothing says which one holds what was approved.
    #[error(
        "there is more than one lock file: {}; keep the one that holds what you approved, or name it as `path` under \
         [lock] in the configuration",
        .0.iter().map(|lock| lock.display().to_string()).collect::<Vec<_>>().join(" and ")
    )]
    Locks(Vec<PathBuf>),
    /// Where servers were let write is not known, or cannot be kept.
    #[error("where confined servers were let write: {0}")]
    Given(std::io::Error),
    /// The certificate that clients are shown cannot be used.
    #[error("[{table}.tls]: {why}")]
    Certificate {
        /// Where the configuration says so.
        table: &'static str,
        /// What is wrong.
        why: String,
    },
    /// How a server is reached over TLS cannot be.
    #[error("[server.{server}.tls]: {why}")]
    ServerTls {
        /// Which one.
        server: String,
        /// What is wrong.
        why: std::io::Error,
    },
    /// A layer that is to be asked about doubtful texts cannot be.
    #[error("[detection.{layer}]: {why}")]
    Layer {
        /// Which one.
        layer: &'static str,
        /// What is wrong.
        why: std::io::Error,
    },
    /// A confined server could change what confines it.
    #[error(
        "server `{server}`: the program may write to {}, by `fs.rw` or as an argument of it, and so to Bartizan's own {}, with \
         which it could take off its sandbox or learn secrets; name directories that this is not in{}",
        .within.display(), .path.display(), or_otherwise(.within, .path)
    )]
    Exposed {
        /// Which one.
        server: String,
        /// What it could change.
        path: PathBuf,
        /// What it may write to.
        within: PathBuf,
    },
    /// A server is to run unconfined, and only the configuration says so.
    #[error(
        "[server.{0}.sandbox]: `level = \"none\"` lets the program do whatever you may do, and that has to be said here as well: start \
         Bartizan with `--allow-unconfined {0}`, or choose another level; without a table of its own, it has its level from \
         `default` under [sandbox]"
    )]
    Unconfined(String),
    /// A server was named as unconfined that is none.
    #[error("`--allow-unconfined {0}`: there is no server of that name with `level = \"none\"` in its `sandbox`")]
    NotUnconfined(String),
    /// A confined server cannot be given its way out.
    #[error("[server.{server}.sandbox.net]: {why}")]
    Egress {
        /// Which one.
        server: String,
        /// What is wrong.
        why: std::io::Error,
    },
    /// What the command of a confined server would fetch cannot be installed.
    #[error("[server.{server}.sandbox.install]: {why}")]
    Install {
        /// Which one.
        server: String,
        /// What is wrong.
        why: std::io::Error,
    },
    /// The certificates that the system trusts cannot be read.
    #[error("cannot read the system's certificates: {0}")]
    Certificates(std::io::Error),
}

/// The servers of a configuration, by name.
pub type Servers = BTreeMap<Arc<str>, Arc<Server>>;

/// What a configuration says about judging.
///
/// # Errors
/// If a guard does not take its settings.
pub fn policy(config: &Config) -> Result<Policy, SetupError> {
    let settings = Settings { hash_key: random::hash_key(), ..config.settings.clone() };
    Ok(Policy {
        pipeline: Pipeline::new(settings)?,
        limiter: Limiter::new(config.rate.clone()),
        credential_required: config.auth.required,
        limits: config.limits.message,
        said: config.limits.server_messages,
        level: if config.audit.durable == Durable::Always { Level::Durable } else { Level::Written },
        durable_if_sensitive: config.audit.durable == Durable::Sensitive,
        approval: config.approval.clone(),
        default_profile: config.default_profile.clone(),
        layers: Layers::of(config).map_err(|(layer, why)| SetupError::Layer { layer: layer.as_str(), why })?,
    })
}

/// Opens the log and the lock file.
///
/// # Errors
/// If either cannot be opened, or the configuration does not fit together.
pub fn gateway(config: &Config) -> Result<Arc<Gateway>, SetupError> {
    if !config.other_locks.is_empty() {
        return Err(SetupError::Locks(config.other_locks.iter().chain([&config.lock]).cloned().collect()));
    }
    let Audit { max_file_bytes, encrypt, .. } = config.audit;
    let options = bartizan_audit::Options { max_file_bytes, seal: encrypt };
    let keys = log_keys(&config.audit)?;
    let recorder = Recorder::open((&*config.audit.directory, &keys), &options)?;
    recorder.set_quotes(config.audit.quotes);
    let approvals = Approvals::open(&config.lock).map_err(SetupError::Lock)?;
    let lock_option = if config.is_users { String::new() } else { lock_option(&config.lock) };
    let gateway =
        Gateway::new(policy(config)?, recorder, approvals, (config.lock.clone(), lock_option), Database::of(config));
    gateway.metrics.set_mode(config.settings.mode);
    Ok(gateway)
}

/// The keys of the log that is to be written. One that is to be encrypted for the first time gets its master key here.
fn log_keys(audit: &Audit) -> Result<Keys, AuditError> {
    Ok(match &audit.key {
        AuditKey::File(path) if audit.encrypt => Keys::kept(path, &audit.directory)?,
        key => keys_to_read(key)?,
    })
}

/// The keys that open a log, as far as they are there.
///
/// # Errors
/// If they cannot be read, others may use their file, or it holds something else.
pub fn keys_to_read(key: &AuditKey) -> Result<Keys, KeyFileError> {
    match key {
        AuditKey::File(path) => Ok(Keys::read(path)?.unwrap_or_default()),
        AuditKey::Given(key) => Keys::given(key.expose(), "`key` under [audit]"),
    }
}

/// What the log says of servers that are in force, and the isolation of the local one that is kept apart the least.
pub(crate) fn described(servers: &Servers) -> (Vec<serde_json::Value>, Isolation) {
    let describe = |server: &Arc<Server>| {
        let mut described = serde_json::json!({"name": server.name, "at": server.place()});
        if let (Some(level), Some(fields)) = (server.isolation(), described.as_object_mut()) {
            fields.insert("isolation".to_owned(), level.to_string().into());
            if !server.exposed().is_empty() {
                fields.insert("exposed".to_owned(), server.exposed().into());
            }
        }
        described
    };
    let least = servers.values().filter_map(|server| server.isolation()).min();
    (servers.values().map(describe).collect(), least.unwrap_or(Isolation::Process))
}

/// What else can be done about a directory with something of Bartizan's own in it; not with all that the user has.
fn or_otherwise(within: &Path, own: &Path) -> &'static str {
    let has_home = std::env::var_os("HOME").is_some_and(|home| Path::new(&home).starts_with(within));
    match own.extension() {
        _ if has_home => ", such as the single ones that it is to work with",
        Some(kind) if kind == "toml" => {
            ", have them read-only (`fs.ro`, or `--ro`), or keep the file elsewhere (`--config FILE`)"
        }
        _ => ", or have them read-only (`fs.ro`, or `--ro`)",
    }
}

/// Makes ready what is to be captured, if that is another thing than what is captured already.
///
/// # Errors
/// If it cannot be.
pub(crate) fn capture(config: &Config, gateway: &Gateway) -> Result<Option<Change>, SetupError> {
    let means = Means { database: &gateway.database, metrics: &gateway.metrics };
    Ok(gateway.capture.change(config.capture.as_ref(), &means)?)
}

/// The option that names a lock file, for a command line that somebody copies; not the path if a line cannot hold it.
fn lock_option(lock: &Path) -> String {
    let path = lock.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./@:".contains(c);
    if path.chars().all(plain) {
        format!(" --lock {path}")
    } else if path.chars().any(|c| c.is_control() || c == '\u{fffd}') {
        " --lock FILE".to_owned()
    } else {
        format!(" --lock '{}'", path.replace('\'', "'\\''"))
    }
}

/// The servers, ready to be connected to; `workspace` is what `${workspace}` stands for.
///
/// # Errors
/// If a header cannot be sent or the system's certificates cannot be read.
pub fn servers(config: &Config, gateway: &Gateway, workspace: &Path) -> Result<Servers, SetupError> {
    let free = unconfined(config, gateway)?;
    let writable = confine::changes(Some(config), workspace).map_err(SetupError::Given)?;
    let mut servers = Servers::new();
    for (name, held) in &config.servers {
        let name: Arc<str> = name.as_str().into();
        let transport = match &held.upstream {
            Place::Command(command) => {
                let mut launch = launch(command, workspace, &writable);
                if let Some((path, within)) = confine::exposed(&launch, config) {
                    return Err(SetupError::Exposed { server: name.to_string(), path, within });
                }
                confine::remember(&launch).map_err(SetupError::Given)?;
                let sandbox = &*command.sandbox;
                let way_out = way_out::of(&name, sandbox, &gateway.recorder)
                    .map_err(|why| SetupError::Egress { server: name.to_string(), why })?;
                install::attach(&name, sandbox, &mut launch, &gateway.recorder, None)
                    .map_err(|why| SetupError::Install { server: name.to_string(), why })?;
                let exposed = sandbox.exposed.keys().cloned();
                let program = Program::new(launch, way_out).exposing(exposed);
                if command.shared {
                    Transport::Shared(SharedChild::new(&name, program, command.restart, held.timeout))
                } else {
                    Transport::Command(Box::new(program))
                }
            }
            Place::Http(http) => Transport::Url(Arc::new(Endpoint {
                credential: credentials::of(&name, http, &gateway.database),
                uri: http.url.clone(),
                shown: http.shown.clone(),
                headers: headers(&name, http)?,
                timeout: held.timeout,
                limits: config.limits.message,
                memory: gateway.memory.part(config.limits.message.bytes),
                breaker: Arc::default(),
                connections: connections(held.connect_timeout, (&http.url, http.tls.as_ref())).map_err(|why| {
                    match &http.tls {
                        Some(_) => SetupError::ServerTls { server: name.to_string(), why },
                        None => SetupError::Certificates(why),
                    }
                })?,
            })),
        };
        let profile = ArcSwap::from_pointee(approvals::unknown(&name));
        let server = Arc::new(Server {
            name: Arc::clone(&name),
            transport,
            profile,
            profiles: ArcSwap::default(),
            identified: AtomicBool::new(false),
            lock_option: Arc::clone(&gateway.lock_option),
            timeout: held.timeout,
            longest: config.limits.request_timeout,
            notices: crate::notices::Notices::default(),
            processes: Arc::new(Semaphore::new(PROCESSES)),
            starts: Arc::default(),
            places: InFlight::new(config.limits.max_in_flight),
            bridge: Bridging::new(held.bridge == bartizan_config::Bridge::Auto),
        });
        servers.insert(name, server);
    }
    // What is followed is written into the lock file: not before the whole configuration is known to be good.
    servers.values().try_for_each(|server| follow(gateway, server))?;
    for name in free {
        gateway.recorder.note("server.unconfined", &serde_json::json!({"server": name}))?;
    }
    Ok(servers)
}

/// Lets servers run unconfined. A name that means nothing is refused, as the one that was meant would be.
pub(crate) fn allow_unconfined(config: &Config, gateway: &Gateway, allowed: Unconfined) -> Result<(), SetupError> {
    gateway.unconfined.set(allowed.clone()).ok();
    let free = unconfined(config, gateway)?;
    let Unconfined::Named(names) = allowed else {
        if free.is_empty() {
            tracing::info!(
                "`--allow-unconfined`: no server is of the level `none` now; whichever the file makes one later is let"
            );
        }
        return Ok(());
    };
    match names.into_iter().find(|name| !free.contains(&name.as_str())) {
        Some(name) => Err(SetupError::NotUnconfined(name)),
        None => Ok(()),
    }
}

/// The servers of the level `none`, each of which also has to be named where Bartizan is started.
fn unconfined<'c>(config: &'c Config, gateway: &Gateway) -> Result<Vec<&'c str>, SetupError> {
    let is_free = |place: &Place| {
        let Place::Command(command) = place else { return false };
        command.sandbox.level == SandboxLevel::None
    };
    let free = config.servers.iter().filter(|(_, held)| is_free(&held.upstream)).map(|(name, _)| name.as_str());
    let free: Vec<&str> = free.collect();
    let is_allowed = |name: &str| gateway.unconfined.get().is_some_and(|allowed| allowed.has(name));
    match free.iter().find(|name| !is_allowed(name)) {
        Some(name) => Err(SetupError::Unconfined((*name).to_owned())),
        None => Ok(free),
    }
}

/// Has the server's approved definitions followed, and says so if it is not the one that was approved.
pub(crate) fn follow(gateway: &Gateway, server: &Arc<Server>) -> Result<(), SetupError> {
    if let Some(before) = gateway.approvals.follow(server).map_err(SetupError::Lock)? {
        let now = server.identity();
        // A client may keep what is said here, and where programs are is not its business; the log has it.
        server.tell(&not_the_approved(&server.name, &server.lock_option, (&before, &now)));
        let fields = serde_json::json!({"server": server.name, "before": before, "now": now});
        gateway.recorder.note("server.changed", &fields)?;
    }
    Ok(())
}

/// What to say of a server that is another one than before, and what can be done about it.
fn not_the_approved(name: &str, option: &str, (before, now): (&str, &str)) -> String {
    let place = |identity: &str| identity.rsplit_once(' ').map(|(place, _)| place.to_owned());
    let other = match (place(before) == place(now), now.starts_with("command ")) {
        (true, true) => "it is started with other arguments",
        (true, false) => "its URL has another path",
        (false, true) => "it is another program",
        (false, false) => "it is at another address",
    };
    format!(
        "{name} is not the server whose definitions were approved: {other}. What it defines otherwise is withheld: \
         bartizan lock diff --server {name}{option} shows it, bartizan lock update --server {name}{option} accepts it; if it is meant to be \
         a server of its own, give it another name"
    )
}

/// The arguments of a command that is started there.
fn arguments(command: &bartizan_config::Command, workspace: &Path) -> Vec<OsString> {
    let here = workspace.to_string_lossy();
    command.arguments.iter().map(|argument| argument.replace("${workspace}", &here).into()).collect()
}

pub(crate) fn launch(command: &bartizan_config::Command, workspace: &Path, writable: &[PathBuf]) -> Launch {
    let mut launch = Launch::new(&command.program);
    launch.args = arguments(command, workspace);
    launch.cwd = command.cwd.clone();
    launch.env = Environment::inherited();
    for name in &command.pass_env {
        if let Some(value) = std::env::var_os(name) {
            launch.env.set(name, value);
        }
    }
    for (name, value) in &command.env {
        launch.env.set(name, value.expose());
    }
    for (name, value) in &command.sandbox.exposed {
        launch.env.set(name, value.expose());
    }
    confine::confine(&mut launch, &command.sandbox, workspace, writable);
    launch
}

fn headers(server: &str, http: &bartizan_config::Http) -> Result<HeaderMap, SetupError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &http.headers {
        let bad = || SetupError::Header(server.to_owned());
        let name = HeaderName::try_from(name.as_str()).map_err(|_| bad())?;
        let mut value = HeaderValue::try_from(value.expose()).map_err(|_| bad())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use bartizan_config::{Config, Environment};
    use bartizan_guard::Timestamp;

    use super::*;

    #[test]
    fn of_another_server_is_said_what_differs_and_what_to_do_but_not_where_it_is() {
        for (before, now, expected) in [
            ("command /home/a/x arguments 1", "command /home/a/x arguments 2", "with other arguments. "),
            ("command /home/a/x arguments 1", "command /home/b y arguments 1", "another program. "),
            ("url https://a.example path 1", "command /home/a/x arguments 1", "another program. "),
            ("url https://a.example path 1", "url https://a.example path 2", "another path. "),
            ("url https://a.example path 1", "url https://b.example path 1", "another address. "),
            ("", "command /home/a/x arguments 1", "another program. "),
        ] {
            let said = not_the_approved("calc", "", (before, now));
            assert!(said.contains(expected), "{before} {now}: {said}");
            for command in ["bartizan lock diff --server calc", "bartizan lock update --server calc"] {
                assert!(said.contains(command), "{said}");
            }
            assert!(!said.contains(['/', '\n']), "{said}");
        }
    }

    #[test]
    fn what_is_said_names_a_lock_file_that_is_not_found_without() {
        for (lock, expected) in [
            ("/srv/team/mcp.lock", " --lock /srv/team/mcp.lock"),
            ("/srv/a b/it's", " --lock '/srv/a b/it'\\''s'"),
            ("/srv/a\nb", " --lock FILE"),
        ] {
            assert_eq!(lock_option(Path::new(lock)), expected);
        }
        let said = not_the_approved("calc", " --lock /x", ("command a 1", "command b 1"));
        for command in ["lock diff --server calc --lock /x shows", "lock update --server calc --lock /x accepts"] {
            assert!(said.contains(command), "{said}");
        }
    }

    #[test]
    fn a_configuration_that_is_not_put_in_force_leaves_the_lock_file_alone() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().display();
        let read = |last: &str| {
            let text = format!(
                "[lock]\npath = \"{place}/mcp.lock\"\n[audit]\ndirectory = \"{place}/audit\"\n\
                 [server.a]\nurl = \"http://127.0.0.1:1/\"\n[server.b]\nurl = \"http://127.0.0.1:2/\"\n{last}\n"
            );
            let environment =
                Environment { variables: [].into(), directory: directory.path().to_owned(), now: Timestamp(0) };
            Config::parse(&text, "test.toml", &environment).unwrap().0
        };
        let mut wrong = read("headers = { good = \"x\" }");
        for held in wrong.servers.values_mut() {
            if let Place::Http(http) = &mut held.upstream {
                let values = std::mem::take(&mut http.headers).into_values();
                http.headers = values.map(|value| ("not good".to_owned(), value)).collect();
            }
        }
        let gateway = gateway(&wrong).unwrap();
        assert!(matches!(servers(&wrong, &gateway, directory.path()), Err(SetupError::Header(name)) if name == "b"));
        let lock = directory.path().join("mcp.lock");
        assert!(!lock.exists());
        let set_up = servers(&read(""), &gateway, directory.path()).unwrap();
        assert_eq!(set_up.len(), 2);
        assert!(std::fs::read_to_string(&lock).unwrap().contains("[servers.a]"));
        // It is not the user's own, so whatever is said about it names it.
        assert!(set_up.values().all(|server| *server.lock_option == format!(" --lock {}", lock.display())));
        drop((gateway, set_up));
        let mut own = read("");
        own.is_users = true;
        assert!(super::gateway(&own).unwrap().lock_option.is_empty());
    }
}
