//! Puts a changed configuration in force: whole, or not at all.
//!
//! A file that does not check leaves everything as it was, and readiness says *degraded* until a good one follows.
//! What needs new sockets or a new log (`listen`, `admin`, `audit`, `lock`, `store`) waits for a restart, and is said so.

mod file;
#[cfg_attr(not(feature = "watch"), path = "reload/no_notices.rs")]
mod notices;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bartizan_config::{Admin, Config, Diagnostic, Diagnostics, Listen, LogFormat, Severity};
use serde_json::json;
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::capture::Change;
use crate::certificates::{Certificates, Changed};
use crate::database::Database;
use crate::edge::Front;
use crate::files::{directory_of, place_of};
use crate::gateway::Gateway;
use crate::identity::oauth::Prepared;
use crate::known_tools;
use crate::setup::{self, Servers, SetupError};
use crate::stamp::Stamp;
use crate::versions;

pub use file::ConfigFile;

/// Editors write in several steps; the last of them counts.
const SETTLE: Duration = Duration::from_millis(200);

/// How often it is looked whether files with policies have changed.
const LOOK: Duration = Duration::from_secs(1);

/// Where a new configuration is put in force.
pub(crate) enum Place {
    /// A gateway over HTTP, with its certificates and the directory that `${workspace}` stands for.
    Front { front: Arc<Front>, certificates: Arc<Certificates>, workspace: PathBuf, database: Arc<Database> },
    /// The user's Bartizan, whose servers the configuration does not name.
    User(Arc<Told>),
}

/// What the bridges of the user's Bartizan are told of its configuration.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// What is to be known of the one in force.
    pub(crate) notes: ArcSwap<Vec<String>>,
    /// What is wrong with what the file holds now.
    pub(crate) trouble: ArcSwap<Option<String>>,
    /// Whether a file, and not the defaults, is in force.
    pub(crate) from_file: AtomicBool,
}

/// What there is to be known of a configuration, which is from `file`, for servers that are wrapped: nothing that they do
/// would show it.
pub(crate) fn notes(config: &Config, file: Option<&Path>) -> Vec<String> {
    let mut notes = config.notices();
    let unused = &config.only_for_serve;
    if let Some(file) = file.filter(|_| !unused.is_empty()) {
        let verb = if unused.len() == 1 { "does" } else { "do" };
        notes.push(format!("`{}` in {} {verb} not apply to `run`", unused.join("`, `"), file.display()));
    }
    notes
}

/// A configuration file, and what it is put in force in.
pub(crate) struct Reloads {
    file: PathBuf,
    place: Place,
    gateway: Arc<Gateway>,
    /// As it was at the start.
    started: Config,
    /// What the file held when it was looked at last.
    last: Mutex<Option<Vec<u8>>>,
    /// The files with policies that it names, and what is to be seen of them from outside.
    policies: Mutex<Vec<(PathBuf, Stamp)>>,
}

impl Reloads {
    /// Of `file`, which need not be there and was `started` when it was read; with what asks for another look.
    pub(crate) fn new(
        file: ConfigFile,
        place: Place,
        gateway: Arc<Gateway>,
        started: Config,
    ) -> (Arc<Reloads>, Signal) {
        let ConfigFile { path: file, content, policies, hangups } = file;
        let (last, policies) = (Mutex::new(content), Mutex::new(policies));
        (Arc::new(Reloads { file, place, gateway, started, last, policies }), hangups)
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Puts the file in force if it is not what it was, or in any case if `forced`. Whoever looks at the same time waits
    /// until that is done.
    pub(crate) fn look(&self, forced: bool) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = file::content(&self.file);
        if forced || now != *last {
            *last = now;
            // Before they are read: what happens to them from now on is a change. Also those of a file that is refused, for
            // one of them may be what is wrong with it.
            let named = file::policies_of(&self.file);
            let is_applied = apply(&self.file, &self.place, &self.gateway, &self.started);
            let mut policies = self.policies.lock().unwrap_or_else(PoisonError::into_inner);
            if is_applied {
                policies.clear();
            }
            policies.retain(|(held, _)| named.iter().all(|(file, _)| file != held));
            policies.extend(named);
        }
    }

    /// Whether a file with policies is another one than when this was asked last.
    fn have_policies_changed(&self) -> bool {
        let mut policies = self.policies.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = false;
        for (file, before) in policies.iter_mut() {
            let now = Stamp::of([&**file]);
            changed |= now != *before;
            *before = now;
        }
        changed
    }
}

/// Reloads the file whenever it changes or one of its `hangups` comes, as soon as there is a directory for it; also if it is not
/// what it was when it was read.
pub(crate) async fn watch(reloads: Arc<Reloads>, mut hangups: Signal) {
    while !directory_of(&reloads.file).is_dir() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let (sender, mut changes) = mpsc::channel(1);
    // What has happened meanwhile is a change as any other, and may be half of one.
    sender.try_send(()).ok();
    let watcher = notices::of(&reloads.file, sender);
    if let Err(error) = &watcher {
        tracing::warn!(%error, "the configuration file cannot be watched; send SIGHUP to reload it");
    }
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let forced = tokio::select! {
            Some(()) = changes.recv() => false,
            Some(()) = hangups.recv() => true,
            // They may be anywhere, and there are few: nobody has to be told of each by the system.
            _ = looks.tick() => if reloads.have_policies_changed() { true } else { continue },
            else => return,
        };
        tokio::time::sleep(SETTLE).await;
        while changes.try_recv().is_ok() {}
        reloads.look(forced);
    }
}

/// The tables that have changed and cannot be put in force while the gateway runs.
fn needs_restart(place: &Place, started: &Config, now: &Config) -> Vec<&'static str> {
    let listens = matches!(place, Place::Front { .. });
    let changed = [
        ("listen", listens && !is_same_door(&started.listen, &now.listen)),
        ("admin", listens && !is_same_admin(started.admin.as_ref(), now.admin.as_ref())),
        ("audit.directory", listens && started.audit.directory != now.audit.directory),
        ("audit.max_file_bytes", started.audit.max_file_bytes != now.audit.max_file_bytes),
        ("audit.encrypt", started.audit.encrypt != now.audit.encrypt),
        ("audit.key", started.audit.key != now.audit.key),
        ("lock", started.lock != now.lock),
        ("log", listens && started.log != now.log),
        ("sign_in", listens && started.sign_in != now.sign_in),
        ("store.path", started.store != now.store),
        ("store.key", started.store_key != now.store_key),
        ("store.keyring", started.store_keyring != now.store_keyring),
    ];
    changed.into_iter().filter(|(_, changed)| *changed).map(|(table, _)| table).collect()
}

/// Whether nothing differs but which certificate is shown, for which no restart is needed.
fn is_same_door(started: &Listen, now: &Listen) -> bool {
    let now = Listen { tls: started.tls.clone().filter(|_| now.tls.is_some()), ..now.clone() };
    *started == now && started.tls.is_some() == now.tls.is_some()
}

fn is_same_admin(started: Option<&Admin>, now: Option<&Admin>) -> bool {
    let shape = |admin: Option<&Admin>| admin.map(|admin| (admin.address, admin.tls.is_some()));
    shape(started) == shape(now)
}

/// Whether the configuration is in force now; the old one stays if not.
fn apply(file: &Path, place: &Place, gateway: &Gateway, started: &Config) -> bool {
    // The log of the user's Bartizan is for people in any case.
    let json = matches!(place, Place::Front { .. }) && started.log.format == LogFormat::Json;
    let outcome = Config::load_again(file).map_err(|found| Refused::of(found, file)).and_then(|(config, warnings)| {
        for warning in warnings.into_iter().chain(known_tools::check(&config)) {
            if json { log_fields(&warning) } else { tracing::warn!("{warning}") }
        }
        let waits = needs_restart(place, started, &config);
        for table in &waits {
            tracing::warn!("a change of `{table}` takes effect when bartizan is started again");
        }
        let mut policy = setup::policy(&config)?;
        let before = gateway.policy.load();
        policy.limiter = policy.limiter.following(&before.limiter);
        policy.layers = policy.layers.following(&before.layers);
        // Before the servers, with which the lock file follows.
        let certificates = place.certificates(&config)?;
        let issuers = place.issuers(&config)?;
        let capture = place.capture(&config, gateway)?;
        let servers = place.servers(&config, gateway)?;
        Ok((policy, capture, (servers, certificates, issuers), waits, config))
    });
    let is_applied = outcome.is_ok();
    let (kind, fields) = match outcome {
        Ok((policy, capture, (servers, certificates, issuers), waits, config)) => {
            let version = versions::of(&config).map(str::to_owned);
            if let Place::Front { database, .. } = place {
                tokio::spawn(versions::keep(Arc::clone(database), config.settings.policies.clone(), "reload"));
            }
            let foreseen = setup::Foreseen::of(&servers);
            let ((described, isolation), mode) = (setup::described(&servers), config.settings.mode);
            gateway.policy.store(Arc::new(policy));
            gateway.recorder.set_quotes(config.audit.quotes);
            gateway.metrics.set_mode(mode);
            gateway.capture.put(capture, &gateway.recorder, &gateway.metrics);
            place.take((servers, certificates, issuers), &waits, notes(&config, Some(file)));
            tracing::info!("the new configuration is in force");
            foreseen.say();
            config.notices().iter().for_each(|notice| tracing::warn!("{notice}"));
            if matches!(place, Place::Front { .. }) {
                gateway.config.send_replace(Some(Arc::new(config)));
            }
            (
                "config.reloaded",
                json!({
                    "servers": described, "isolation": isolation.to_string(), "mode": mode.as_str(), "config": place_of(file),
                    "lock": place_of(&gateway.lock), "policies": version,
                }),
            )
        }
        Err(Refused { said, found, problems }) => {
            if json {
                found.iter().for_each(log_fields);
                let (file, why) = (file.display(), found.is_empty().then_some(said));
                tracing::error!(%file, problems = problems.len(), why, "{REFUSED}");
            } else {
                tracing::error!("{REFUSED}:\n{said}");
            }
            place.refuse(file);
            ("config.refused", json!({"config": place_of(file), "problems": problems}))
        }
    };
    // A log that cannot be written is said by the recorder.
    gateway.recorder.note(kind, &fields).ok();
    is_applied
}

const REFUSED: &str = "the new configuration is refused and the old one stays in force";

/// Logs a problem for programs: an event of its own with what is known of it in fields, not laid out in lines.
fn log_fields(problem: &Diagnostic) {
    let Diagnostic { severity, file, line, column, message, help, .. } = problem;
    let suggestion = help.as_deref();
    match severity {
        Severity::Error => tracing::error!(file, line, column, suggestion, "{message}"),
        Severity::Warning => tracing::warn!(file, line, column, suggestion, "{message}"),
    }
}

/// Why a configuration is not put in force.
struct Refused {
    /// For the person at the terminal, beside the lines.
    said: String,
    /// The same one by one, if it is about the file.
    found: Vec<Diagnostic>,
    /// For the record, which holds no lines of the file.
    problems: Vec<String>,
}

/// Problems of one file that are recorded, and bytes of each.
const PROBLEMS: (usize, usize) = (16, 500);

impl Refused {
    /// Because of what is wrong with a file, or with another one that it names.
    fn of(found: Diagnostics, file: &Path) -> Self {
        let file = file.display().to_string();
        let errors = found.0.iter().filter(|one| one.severity == Severity::Error);
        let problems = errors.take(PROBLEMS.0).map(|one| {
            let place = if one.line > 0 { format!("{}:{}: ", one.line, one.column) } else { String::new() };
            let other = if one.file == file { String::new() } else { format!("{}:", one.file) };
            cut(format!("{other}{place}{}", one.message))
        });
        Refused { problems: problems.collect(), said: found.to_string(), found: found.0 }
    }
}

impl From<SetupError> for Refused {
    fn from(error: SetupError) -> Self {
        Refused { said: error.to_string(), found: Vec::new(), problems: vec![cut(error.to_string())] }
    }
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(PROBLEMS.1));
    text
}

impl Place {
    /// The servers that the configuration names.
    fn servers(&self, config: &Config, gateway: &Gateway) -> Result<Servers, SetupError> {
        match self {
            Place::Front { workspace, .. } => setup::servers(config, gateway, workspace),
            Place::User(_) => Ok(Servers::new()),
        }
    }

    /// What is to be captured from now on, if that changes.
    fn capture(&self, config: &Config, gateway: &Gateway) -> Result<Option<Change>, SetupError> {
        match self {
            Place::Front { .. } => setup::capture(config, gateway),
            Place::User(_) => Ok(None),
        }
    }

    /// The issuers of tokens that the configuration names.
    fn issuers(&self, config: &Config) -> Result<Option<Prepared>, SetupError> {
        match self {
            Place::Front { front, .. } => {
                front.identity().issuers(&config.auth.issuers).map(Some).map_err(SetupError::Certificates)
            }
            Place::User(_) => Ok(None),
        }
    }

    /// The certificates that the configuration names, read and good.
    fn certificates(&self, config: &Config) -> Result<Option<Changed>, SetupError> {
        match self {
            Place::Front { certificates, .. } => certificates.read_anew(config).map(Some),
            Place::User(_) => Ok(None),
        }
    }

    /// Puts in force what is not the policy; these tables still wait, and these are the notes of it.
    fn take(
        &self,
        (servers, changed, issuers): (Servers, Option<Changed>, Option<Prepared>),
        waits: &[&str],
        notes: Vec<String>,
    ) {
        match self {
            Place::Front { front, certificates, .. } => {
                if let Some(changed) = changed {
                    certificates.put(changed);
                }
                if let Some(issuers) = issuers {
                    front.identity().put_issuers(issuers);
                }
                front.replace_servers(servers);
                front.set_degraded(None);
            }
            Place::User(told) => {
                let waiting = format!(
                    "a change of `{}` in the configuration waits for the end of the user's bartizan: bartizan daemon --stop",
                    waits.join("`, `")
                );
                told.notes.store(Arc::new(notes));
                told.trouble.store(Arc::new((!waits.is_empty()).then_some(waiting)));
                told.from_file.store(true, Ordering::Relaxed);
            }
        }
    }

    fn refuse(&self, file: &Path) {
        match self {
            Place::Front { front, .. } => {
                front.set_degraded(Some("the configuration file has errors; the one before is in force".to_owned()));
            }
            Place::User(told) => {
                let (there, file) = (file.exists(), file.display());
                let why = match there {
                    true => format!(
                        "{file} has errors, and the configuration before is in force; try: bartizan config check {file}"
                    ),
                    false => format!(
                        "{file} is gone, and stays in force until the end of the user's bartizan: bartizan daemon --stop"
                    ),
                };
                told.trouble.store(Arc::new(Some(why)));
            }
        }
    }
}
