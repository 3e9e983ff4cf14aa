//! The whole configuration, read and checked.

mod again;
mod beginning;
mod one_server;
mod own_profiles;
mod settled;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bartizan_guard::guards::rate;
use bartizan_guard::{Action, GuardSettings, Pipeline, Settings, Timestamp};
use bartizan_keyring::Name;
use bartizan_policy::Ways;
use bartizan_seal::KeyFile;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::approval::{self, Approval};
use crate::capture::{Capture, capture};
use crate::detection::{Detection, detection};
use crate::diagnostic::{Diagnostic, Diagnostics, Source};
use crate::effects::Written;
use crate::exceptions::exceptions;
use crate::expand::expand;
use crate::file::{
    AdminSetting, AuthTable, CertificateName, Durable, File, LimitsTable, LogFormat, LogLevel, SecondFactor,
    SignInTable, StoreTable, Unknown, UnknownTable,
};
use crate::kept::Places;
use crate::oauth::{self, Issuer};
use crate::problems::Problems;
use crate::read::read;
use crate::redteam::{Redteam, redteam};
use crate::sandbox::AUTO;
use crate::secret::Secret;
use crate::servers::{Server, exchanges, servers};
use crate::sign_in::{AuthorizationServer, authorization_server, check_meant};
use crate::tls::{self, Tls};
use crate::tree::{self, Node};
use crate::{credentials, guards, labels, listen, machine, paths, policy, profiles, schema};

use self::beginning::{Beginning, Locks, user_config_place};
pub use self::one_server::OneServer;
pub use self::own_profiles::OwnProfiles;

/// Larger files are no configurations.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// Everything the gateway needs to know, checked. Made only by [`Config::load`], [`Config::parse`] and
/// [`Config::without_file`].
#[derive(Debug, Clone)]
pub struct Config {
    /// Where clients connect.
    pub listen: Listen,
    /// Where health and metrics are served, if anywhere.
    pub admin: Option<Admin>,
    /// Bounds on messages, clients and servers.
    pub limits: Limits,
    /// The servers that are switched on, by name.
    pub servers: BTreeMap<String, Server>,
    /// The profile of local servers without a table, or `auto` or `none`; it is in `servers` already.
    pub default_profile: String,
    /// Mode, guards and exceptions; [`Pipeline::new`] accepts them.
    pub settings: Settings,
    /// The files with policies that it names.
    pub policy_files: Vec<PathBuf>,
    /// The limits of the guard `rate`, for the limiter that counts.
    pub rate: rate::Options,
    /// Who may use the gateway over HTTP.
    pub auth: Auth,
    /// How people sign in, if they can.
    pub sign_in: Option<SignIn>,
    /// Who agrees to what is asked about.
    pub approval: Approval,
    /// Who else is asked about doubtful texts.
    pub detection: Detection,
    /// Which traffic is recorded, if any.
    pub capture: Option<Capture>,
    /// How often the configuration is tried with attacks, if it is.
    pub redteam: Option<Redteam>,
    /// The audit log.
    pub audit: Audit,
    /// The lock file.
    pub lock: PathBuf,
    /// Other lock files that may be meant as well: while there are any, none of them may be relied upon.
    pub other_locks: Vec<PathBuf>,
    /// Whether this is the user's own configuration, whose lock file is found without a name.
    pub is_users: bool,
    /// The database of keys; none if nothing says where it is to be.
    pub store: Option<PathBuf>,
    /// Its master key, if that is given.
    pub store_key: Option<Secret>,
    /// What the keyring calls its master key, if that is kept there.
    pub store_keyring: Option<Name>,
    /// The program's own log.
    pub log: Log,
    /// The tables and keys of the file that `run` makes no use of.
    pub only_for_serve: Vec<String>,
    /// The file that it was read from, if any.
    pub file: Option<PathBuf>,
    /// The files whose text stands in it, by `file:PATH`.
    pub(crate) read_files: Vec<PathBuf>,
    pub(crate) written: Written,
}

/// What `run` makes no use of, where a file has it.
const ONLY_FOR_SERVE: [&[&str]; 15] = [
    &["listen"],
    &["admin"],
    &["auth"],
    &["sign_in"],
    &["server"],
    &["log"],
    &["capture"],
    &["redteam"],
    &["audit", "directory"],
    &["limits", "header_timeout"],
    &["limits", "body_timeout"],
    &["limits", "request_timeout"],
    &["limits", "max_sessions"],
    &["limits", "session_idle"],
    &["limits", "max_in_flight"],
];

/// Where clients connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Address and port.
    pub address: SocketAddr,
    /// Further values of the `Host` header that are accepted.
    pub allowed_hosts: Vec<String>,
    /// Values of the `Origin` header that are accepted.
    pub allowed_origins: Vec<String>,
    /// Where clients find it, if not at its address: scheme and host, and a port if it is not the usual one.
    pub public_url: Option<String>,
    /// Connections open at a time.
    pub max_connections: usize,
    /// How clients connect, if not unencrypted.
    pub tls: Option<Tls>,
}

/// Where health and metrics are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Address and port.
    pub address: SocketAddr,
    /// How it is reached, if not unencrypted.
    pub tls: Option<Tls>,
}

/// Bounds on messages, clients and servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Of one message.
    pub message: bartizan_mcp::Limits,
    /// Until the head of a request has arrived.
    pub header_timeout: Duration,
    /// Until its body has.
    pub body_timeout: Duration,
    /// Until it is answered.
    pub request_timeout: Duration,
    /// Sessions at a time.
    pub max_sessions: usize,
    /// After which an unused session ends.
    pub session_idle: Duration,
    /// Requests of one server that wait at a time.
    pub max_in_flight: usize,
    /// What a server may say in one session beside its answers.
    pub server_messages: rate::Limit,
}

/// Who may use the gateway over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// Whether a client has to show a credential.
    pub required: bool,
    /// Who issues access tokens.
    pub issuers: Vec<Issuer>,
}

/// How people sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    /// Whether a password alone is not enough.
    pub second_factor_required: bool,
    /// After which a browser in which nobody does anything is signed out.
    pub session_idle: Duration,
    /// After which everybody signs in anew.
    pub session_lifetime: Duration,
    /// What they can let clients have, if they can.
    pub authorization_server: Option<AuthorizationServer>,
}

/// The audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// Its directory.
    pub directory: PathBuf,
    /// The size at which a file is closed.
    pub max_file_bytes: u64,
    /// Whether it is encrypted.
    pub encrypt: bool,
    /// The master key that it is encrypted with, and what was before.
    pub key: AuditKey,
    /// Which messages wait until they are on disk.
    pub durable: Durable,
    /// Whether entries quote what messages and servers said.
    pub quotes: bool,
}

/// What the file of the master key of audit logs is called, in Bartizan's own directory.
pub const AUDIT_KEY: &str = "audit.key";

/// Where the master key of the audit log is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditKey {
    /// In this file, made when it is first needed.
    File(PathBuf),
    /// Whoever starts the gateway has it: 64 hexadecimal digits, or lines of a file of keys.
    Given(Secret),
}

/// The program's own log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// The least important messages that are written.
    pub level: LogLevel,
    /// How.
    pub format: LogFormat,
}

/// What a file may refer to.
#[derive(Clone)]
pub struct Environment {
    /// Environment variables.
    pub variables: BTreeMap<String, String>,
    /// Where relative paths start: the directory of the file.
    pub directory: PathBuf,
    /// When it is read.
    pub now: Timestamp,
}

impl Environment {
    /// The environment of this process, for a file in `directory`. Variables that are not UTF-8 are not there.
    #[must_use]
    pub fn of_process(directory: &Path) -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Environment {
            variables: std::env::vars_os().filter_map(text).collect(),
            directory: directory.to_owned(),
            now: Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX)),
        }
    }

    fn home(&self) -> Option<PathBuf> {
        paths::bartizan_home(|name| self.variables.get(name).cloned())
    }
}

impl Config {
    /// Reads and checks a file, with the environment of this process; starts nothing and makes nothing.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(path: &Path) -> Result<(Config, Vec<Diagnostic>), Diagnostics> {
        again::begun(path, Beginning::of(path)?)
    }

    /// What a file says about places, and nothing else: whoever only reads what is kept there needs no secrets for it, and
    /// mistakes elsewhere in the file are for whoever starts the gateway.
    ///
    /// # Errors
    /// If it cannot be read, or what is wrong with the places in it.
    pub fn places(path: &Path) -> Result<Places, Diagnostics> {
        let Beginning { name, text, environment, locks } = Beginning::of(path)?;
        read_places(&text, &name, &environment, locks)
    }

    /// Where a file says that browsers find the gateway, and nothing else.
    ///
    /// # Errors
    /// If it cannot be read, or what is wrong with what it says of that.
    pub fn public_url(path: &Path) -> Result<String, Diagnostics> {
        let Beginning { name, text, environment, locks } = Beginning::of(path)?;
        read_public_url(&text, &name, &environment, locks)
    }

    /// Whether a file has a table of that name, whatever else is right or wrong with it; none if it cannot be read as TOML.
    #[must_use]
    pub fn names(path: &Path, table: &str) -> Option<bool> {
        let Beginning { name, text, .. } = Beginning::of(path).ok()?;
        let root = parse(&text, &name).ok()?;
        Some(tree::get(&root, &[table]).is_some())
    }

    /// The files with policies that a file names, and nothing else: also one that does not check, for it may be that one of
    /// those is what is wrong. None if it cannot even be told what it names.
    #[must_use]
    pub fn named_policies(path: &Path) -> Vec<PathBuf> {
        let named = || {
            let Beginning { name, text, environment, locks } = Beginning::of(path).ok()?;
            let mut root = parse(&text, &name).ok()?;
            tree::keep_only(&mut root, &["policy"]);
            tree::keep_only(tree::entry(&mut root, "policy")?, &["files"]);
            let mut problems = Problems::default();
            expand(&mut root, &environment, &mut problems);
            let reading = Reading { root: &root, environment: &environment, locks };
            let file: File = read(reading.root, &[], &mut problems)?;
            Some(policy_files(&file, &environment))
        };
        named().unwrap_or_default()
    }

    /// The configuration of somebody who has none: every default, no servers, everything in Bartizan's own directory.
    ///
    /// # Errors
    /// If nothing says where that directory is.
    pub fn without_file() -> Result<Config, Diagnostics> {
        let mut environment = Environment::of_process(Path::new("/"));
        let mut locks = Locks::in_directory(&environment.directory);
        if let Some(home) = environment.home() {
            let own = user_config_place();
            let (lock, others) = paths::lock_of_user(&home, own.iter().filter_map(|own| own.parent()));
            locks = Locks { lock, others, is_users: true };
            environment.directory = home;
        }
        read_text("", "defaults", &environment, locks).map(|(config, _)| config)
    }

    /// Checks the text of a file called `name`. Returns what it means, with warnings.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(text: &str, name: &str, environment: &Environment) -> Result<(Config, Vec<Diagnostic>), Diagnostics> {
        read_text(text, name, environment, Locks::in_directory(&environment.directory))
    }

    /// The JSON Schema of the file, with the options of every guard.
    #[must_use]
    pub fn json_schema() -> serde_json::Value {
        schema::schema()
    }
}

/// The text as a tree.
fn parse<'t>(text: &'t str, name: &str) -> Result<Node<'t>, Diagnostics> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(Spanned::new(table.span(), DeValue::Table(table.into_inner())));
    }
    let mut problems = Problems::default();
    for error in errors.into_iter().take(20) {
        problems.error(error.span().unwrap_or(0..0), error.message());
    }
    Err(problems.into_result(&Source::unreadable(name, text)).err().unwrap_or(Diagnostics(Vec::new())))
}

fn unusable(name: &str) -> Diagnostics {
    Diagnostics(vec![Diagnostic::of_file(name, "the file cannot be used")])
}

/// What a text says about places.
fn read_places(text: &str, name: &str, environment: &Environment, locks: Locks) -> Result<Places, Diagnostics> {
    let mut root = parse(text, name)?;
    let source = Source::new(name, text, &root);
    let hidden: Vec<_> = source.secrets().collect();
    tree::keep_only(&mut root, &["audit", "lock", "store"]);
    for (table, keys) in
        [("audit", &["directory", "key"][..]), ("lock", &["path"]), ("store", &["path", "key", "keyring"])]
    {
        if let Some(table) = tree::entry(&mut root, table) {
            tree::keep_only(table, keys);
        }
    }
    let mut problems = Problems::default();
    for place in hidden {
        problems.hide(text.get(place).unwrap_or_default());
    }
    expand(&mut root, environment, &mut problems);
    let places = Reading { root: &root, environment, locks }.places(&mut problems);
    problems.into_result(&source)?;
    places.ok_or_else(|| unusable(name))
}

/// What a text says of where browsers find the gateway.
fn read_public_url(text: &str, name: &str, environment: &Environment, locks: Locks) -> Result<String, Diagnostics> {
    let mut root = parse(text, name)?;
    let source = Source::new(name, text, &root);
    let scheme = if tree::get(&root, &["listen", "tls"]).is_some() { "https" } else { "http" };
    tree::keep_only(&mut root, &["listen"]);
    if let Some(listen) = tree::entry(&mut root, "listen") {
        tree::keep_only(listen, &["address", "public_url"]);
    }
    let mut problems = Problems::default();
    expand(&mut root, environment, &mut problems);
    let reading = Reading { root: &root, environment, locks };
    let file: Option<File> = read(reading.root, &[], &mut problems);
    let listen = file.map(|file| file.listen);
    let given = listen
        .as_ref()
        .and_then(|listen| listen::public_url(listen.public_url.as_deref(), reading.root, &mut problems));
    problems.into_result(&source)?;
    let address = listen.map(|listen| format!("{scheme}://{}", listen.address));
    given.or(address).ok_or_else(|| unusable(name))
}

fn policy_files(file: &File, environment: &Environment) -> Vec<PathBuf> {
    file.policy.files.iter().map(|path| paths::beside(&environment.directory, path)).collect()
}

/// What a text means, whose lock file is one of `locks` unless it names one.
fn read_text(
    text: &str,
    name: &str,
    environment: &Environment,
    locks: Locks,
) -> Result<(Config, Vec<Diagnostic>), Diagnostics> {
    read_text_where(text, name, environment, locks, expand)
}

/// The same, where references stand for what this puts in their places.
fn read_text_where(
    text: &str,
    name: &str,
    environment: &Environment,
    locks: Locks,
    expand: impl Fn(&mut Node<'_>, &Environment, &mut Problems) -> Vec<PathBuf>,
) -> Result<(Config, Vec<Diagnostic>), Diagnostics> {
    let mut problems = Problems::default();
    let mut root = parse(text, name)?;
    let source = Source::new(name, text, &root);
    for place in source.secrets() {
        problems.hide(text.get(place).unwrap_or_default());
    }
    let read_files = expand(&mut root, environment, &mut problems);
    profiles::apply(&mut root, &mut problems);
    let config = Reading { root: &root, environment, locks }.config(&mut problems);
    let warnings = problems.into_result(&source)?;
    match config.map(|config| config.written_in(&root, &source)) {
        Some(config) => {
            let warnings = warnings.into_iter().chain(config.without_effect().iter().cloned()).collect();
            Ok((Config { read_files, ..config }, warnings))
        }
        None => Err(unusable(name)),
    }
}

/// A tree on its way to a configuration.
struct Reading<'a> {
    root: &'a Node<'a>,
    environment: &'a Environment,
    locks: Locks,
}

impl Reading<'_> {
    /// The configuration; of use only if no errors were found.
    fn config(&self, problems: &mut Problems) -> Option<Config> {
        let file: File = read(&self.without_guards(), &[], problems)?;
        let mut guards = guards::settings(self.root, &self.environment.directory, problems);
        self.unknown(&file.unknown, &mut guards, problems);
        self.named_servers(&file, problems);
        let (root, environment) = (self.root, self.environment);
        let policies = policy::policies(&file, root, &environment.directory, problems);
        let policy_files = policy_files(&file, environment);
        let exceptions = exceptions(file.exception, (root, &guards), environment.now, problems);
        let approval = approval::approval(&file.approval, policies.as_deref(), root, problems);
        let (detection, asks) = detection(&file.detection, root, &environment.directory, problems);
        let labels = labels::labels(&file.labels, root, problems);
        let settings = Settings { mode: file.mode, guards, exceptions, policies, labels, asks, hash_key: None };
        profiles::check(&file.profile, root, environment, problems);
        let servers = servers(file.server, root, environment, problems);
        machine::check(&servers, root, environment, problems);
        let limits = self.limits(&file.limits, problems);
        let place = (root, &*environment.directory);
        let (open, listen_address, listen_tls, public_url) = listen::listen(&file.listen, &file.auth, place, problems);
        self.at_least(file.listen.max_connections, 1, &["listen", "max_connections"], problems);
        let admin = self.admin(&file.admin, problems);
        self.apart(listen_address, admin.as_ref(), problems);

        let store = self.store(file.store.path.clone());
        let is_encrypted = file.listen.tls.is_some() || public_url.iter().any(|url| url.starts_with("https://"));
        let travels = listen_address.is_some_and(|address| !address.ip().is_loopback()) && !is_encrypted;
        let place = (listen_address, public_url.as_deref(), file.listen.tls.is_some());
        let known = (file.sign_in.is_some(), file.auth.oauth.keys().next().map(String::as_str));
        check_meant(known, matches!(open, listen::Reach::Anybody), place, root, problems);
        let sign_in = self.sign_in(file.sign_in.as_ref(), travels, store.as_deref(), problems);
        let capture = capture(file.capture.as_ref(), (root, &environment.directory), store.as_deref(), problems);
        let redteam = redteam(file.redteam, (root, &environment.directory), problems);
        let audit = self.audit(file.audit, problems);
        let (lock, other_locks) = self.lock(file.lock.path);
        let store_keyring = self.store_key(&file.store, problems);
        self.auth(&file.auth, store.as_deref(), problems);
        let issuers = oauth::issuers(&file.auth.oauth, (root, &environment.directory), problems);
        let known: Vec<_> = file.auth.oauth.keys().map(String::as_str).collect();
        credentials::check_issuers(exchanges(&servers), &known, root, problems);
        let asked = (&settings, &*approval.approvers, Ways { pages: sign_in.is_some(), tokens: !issuers.is_empty() });
        policy::check_answerable(asked, (&policy_files, &environment.directory), root, problems);
        let config = Config {
            listen: Listen {
                address: listen_address?,
                allowed_hosts: file.listen.allowed_hosts,
                allowed_origins: file.listen.allowed_origins,
                public_url,
                max_connections: file.listen.max_connections,
                tls: listen_tls,
            },
            admin,
            limits,
            servers,
            default_profile: file.sandbox.default.unwrap_or_else(|| AUTO.to_owned()),
            rate: guards::rate_options(&settings),
            settings,
            policy_files,
            auth: Auth { required: file.auth.required, issuers },
            sign_in,
            approval,
            detection,
            capture,
            redteam,
            audit: audit?,
            store,
            store_key: file.store.key,
            store_keyring,
            lock,
            other_locks,
            is_users: self.locks.is_users,
            log: Log { level: file.log.level, format: file.log.format },
            only_for_serve: self.only_for_serve(),
            file: None,
            read_files: Vec::new(),
            written: Written::default(),
        };
        self.pipeline(&config.settings, problems);
        Some(config)
    }

    fn only_for_serve(&self) -> Vec<String> {
        let there = ONLY_FOR_SERVE.iter().filter(|path| tree::get(self.root, path).is_some());
        there.map(|path| path.join(".")).collect()
    }

    /// The places; none if something is wrong with them.
    fn places(&self, problems: &mut Problems) -> Option<Places> {
        let file: File = read(self.root, &[], problems)?;
        let Audit { directory: audit, key: audit_key, .. } = self.audit(file.audit, problems)?;
        let (lock, other_locks) = self.lock(file.lock.path);
        let store_keyring = self.store_key(&file.store, problems);
        let store = self.store(file.store.path);
        Some(Places { audit, audit_key, lock, other_locks, store, store_key: file.store.key, store_keyring })
    }

    fn lock(&self, named: Option<PathBuf>) -> (PathBuf, Vec<PathBuf>) {
        match named {
            Some(path) => (paths::beside(&self.environment.directory, &path), Vec::new()),
            None => (self.locks.lock.clone(), self.locks.others.clone()),
        }
    }

    fn store(&self, named: Option<PathBuf>) -> Option<PathBuf> {
        let named = named.map(|path| paths::beside(&self.environment.directory, &path));
        named.or_else(|| self.environment.home().map(|home| home.join("state.db")))
    }

    /// What the keyring calls the key, if it has it. What cannot be a key is an error now and not when something is first
    /// sealed.
    fn store_key(&self, table: &StoreTable, problems: &mut Problems) -> Option<Name> {
        let key = table.key.as_ref();
        let is_key = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if key.is_some_and(|key| !is_key(key.expose().trim())) {
            problems
                .error(tree::place(self.root, &["store", "key"]), "a master key is 64 hexadecimal digits")
                .help("such as `openssl rand -hex 32` prints; without `key` one is made in a file beside the store");
        }
        let place = || tree::place(self.root, &["store", "keyring"]);
        let named = table.keyring.as_ref()?;
        let name = Name::parse(named);
        if name.is_none() {
            problems
                .error(place(), "no name for the master key in the keyring")
                .help("1 to 128 letters, digits and -_.@/, such as keyring = \"gateway\"");
        } else if key.is_some() {
            problems
                .error(place(), "`key` gives the master key, and `keyring` says that it is elsewhere")
                .help("keep one");
        } else if !bartizan_keyring::IS_BUILT {
            problems
                .error(place(), "this bartizan was built without the feature `keyring`")
                .help("use one that is built with it (--features keyring), or leave this out, and the key is in a file beside the store");
        }
        name
    }

    fn auth(&self, auth: &AuthTable, store: Option<&Path>, problems: &mut Problems) {
        if auth.required && store.is_none() {
            let place = tree::place(self.root, &["auth", "required"]);
            problems
                .error(place, "nothing says where the keys are that clients have to show")
                .help("set `path` in [store], or the environment variable HOME or BARTIZAN_HOME");
        }
    }

    /// People who sign in are kept somewhere, and their passwords travel encrypted.
    fn sign_in(
        &self,
        table: Option<&SignInTable>,
        travels_openly: bool,
        store: Option<&Path>,
        problems: &mut Problems,
    ) -> Option<SignIn> {
        let table = table?;
        let place = || tree::key_place(self.root, &["sign_in"]);
        if store.is_none() {
            problems
                .error(place(), "nothing says where the people are who sign in")
                .help("set `path` in [store], or the environment variable HOME or BARTIZAN_HOME");
        }
        if travels_openly {
            problems
                .error(place(), "passwords would travel unencrypted, as nothing says that browsers come over https")
                .help("set a certificate in [listen.tls], or in [listen] the `public_url` of what encrypts in front");
        }
        Some(SignIn {
            second_factor_required: table.second_factor == SecondFactor::Required,
            session_idle: table.session_idle.0,
            session_lifetime: table.session_lifetime.0,
            authorization_server: authorization_server(table, self.root, problems),
        })
    }

    /// Guards have keys of their own and are read apart.
    fn without_guards(&self) -> Node<'_> {
        let mut root = self.root.clone();
        tree::remove(&mut root, &["guard".to_owned()]);
        root
    }

    /// What no check above has found, the pipeline itself would: the gateway must not be the first to notice.
    fn pipeline(&self, settings: &Settings, problems: &mut Problems) {
        if problems.has_errors() {
            return;
        }
        if let Err(error) = Pipeline::new(settings.clone()) {
            problems.error(tree::key_place(self.root, &["guard"]), error.to_string());
        }
    }

    fn unknown(&self, unknown: &UnknownTable, guards: &mut BTreeMap<String, GuardSettings>, problems: &mut Problems) {
        let UnknownTable { methods, fields, extensions } = unknown;
        let all =
            [("methods", methods, "method"), ("fields", fields, "field"), ("extensions", extensions, "extension")];
        for (key, setting, rule) in all {
            if tree::get(self.root, &["unknown", key]).is_none() {
                continue;
            }
            let rule = format!("conformance.unknown_{rule}");
            let rules = &mut guards.entry("conformance".to_owned()).or_default().rules;
            let action = if *setting == Unknown::Deny { Action::Deny } else { Action::Observe };
            if rules.insert(rule.clone(), action).is_some_and(|other| other != action) {
                let why = format!("the rule `{rule}` is set to something else in [guard.conformance]");
                let place = tree::place(self.root, &["unknown", key]);
                problems.error(place, why).help("say it in one of the two places");
            }
        }
    }

    fn named_servers(&self, file: &File, problems: &mut Problems) {
        for (index, exception) in file.exception.iter().enumerate() {
            if let Some(server) = &exception.server {
                let place = tree::place(self.root, &["exception", &index.to_string(), "server"]);
                guards::known_server(server, place, self.root, problems);
            }
        }
    }

    fn admin(&self, setting: &AdminSetting, problems: &mut Problems) -> Option<Admin> {
        match setting {
            AdminSetting::Off => None,
            AdminSetting::On(table) => {
                let open = match &table.tls {
                    Some(tls) if tls::knows_everybody(tls) => listen::Reach::Certificates,
                    _ => listen::Reach::Metrics,
                };
                let address = listen::address(&table.address, table.allow_remote, open, self.root, problems);
                let place = (self.root, &*self.environment.directory);
                let tls = tls::tls(table.tls.as_ref(), "admin", place, CertificateName::default(), problems);
                Some(Admin { address: address?, tls })
            }
        }
    }

    fn apart(&self, listen: Option<SocketAddr>, admin: Option<&Admin>, problems: &mut Problems) {
        let Some((listen, admin)) = listen.zip(admin.map(|admin| admin.address)) else { return };
        // Port 0 is any free port, so twice a different one.
        if listen == admin && listen.port() != 0 {
            let place = tree::place(self.root, &["admin", "address"]);
            problems.error(place, format!("[listen] and [admin] both want {listen}"));
        }
    }

    fn audit(&self, table: crate::file::AuditTable, problems: &mut Problems) -> Option<Audit> {
        let max_file_bytes = table.max_file_bytes.0;
        self.at_least(
            usize::try_from(max_file_bytes).unwrap_or(usize::MAX),
            1 << 20,
            &["audit", "max_file_bytes"],
            problems,
        );
        let given = table.directory.map(|directory| paths::beside(&self.environment.directory, &directory));
        let Some(directory) = given.or_else(|| self.environment.home().map(|home| home.join("audit"))) else {
            let place = tree::place(self.root, &["audit"]);
            problems
                .error(place, "nothing says where the audit log is to be")
                .help("set `directory` in [audit], or the environment variable HOME or BARTIZAN_HOME");
            return None;
        };
        let key = self.audit_key(table.key, &directory, problems);
        Some(Audit {
            directory,
            max_file_bytes,
            encrypt: table.encrypt,
            key,
            durable: table.durable,
            quotes: table.quotes,
        })
    }

    /// Where the master key of the log is: not in the directory of the log, which is copied as a whole.
    fn audit_key(&self, given: Option<Secret>, directory: &Path, problems: &mut Problems) -> AuditKey {
        let Some(key) = given else {
            let home = self.environment.home().map(|home| home.join(AUDIT_KEY));
            return AuditKey::File(home.unwrap_or_else(|| directory.with_extension("key")));
        };
        if KeyFile::LOG.given_lines(key.expose(), "audit.key").is_err() {
            problems
                .error(tree::place(self.root, &["audit", "key"]), "a master key is 64 hexadecimal digits")
                .help("such as `openssl rand -hex 32` prints; without `key` one is made in a file outside the log");
        }
        AuditKey::Given(key)
    }

    fn limits(&self, table: &LimitsTable, problems: &mut Problems) -> Limits {
        let bytes = usize::try_from(table.message_bytes.0).unwrap_or(usize::MAX);
        self.within(bytes, 1 << 10..=1 << 30, "message_bytes", problems);
        self.within(table.depth, 8..=bartizan_mcp::Limits::MAX_DEPTH, "depth", problems);
        // A value takes at least a byte and its number has to fit into 32 bits.
        self.within(table.values, 1..=1 << 30, "values", problems);
        self.at_least(table.max_sessions, 1, &["limits", "max_sessions"], problems);
        self.at_least(table.max_in_flight, 1, &["limits", "max_in_flight"], problems);
        let message = bartizan_mcp::Limits { bytes, depth: table.depth, nodes: table.values, ..Default::default() };
        Limits {
            message,
            header_timeout: table.header_timeout.0,
            body_timeout: table.body_timeout.0,
            request_timeout: table.request_timeout.0,
            max_sessions: table.max_sessions,
            session_idle: table.session_idle.0,
            max_in_flight: table.max_in_flight,
            server_messages: table.server_messages,
        }
    }

    fn within(&self, value: usize, range: std::ops::RangeInclusive<usize>, key: &str, problems: &mut Problems) {
        if !range.contains(&value) {
            let place = tree::place(self.root, &["limits", key]);
            problems
                .error(place, format!("`{key}` is {value}, and has to be from {} to {}", range.start(), range.end()));
        }
    }

    fn at_least(&self, value: usize, least: usize, path: &[&str], problems: &mut Problems) {
        if value < least {
            let key = path.last().copied().unwrap_or_default();
            problems.error(tree::place(self.root, path), format!("`{key}` is {value}, and has to be at least {least}"));
        }
    }
}
