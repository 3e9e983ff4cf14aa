//! The servers as they run: a program or a URL, checked.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use bartizan_reach::host::Host;
use http::uri::{Authority, Scheme};
use http::{HeaderName, HeaderValue, Uri};

use crate::Environment;
use crate::credentials::{Credential, Exchange, credential};
use crate::file::{Bridge, ServerTable};
use crate::paths;
use crate::problems::Problems;
use crate::sandbox::{self, Sandbox, SandboxTable};
use crate::secret::Secret;
use crate::suggest::{self, COMMAND};
use crate::tls::{self, ServerTls};
use crate::tree::{self, Node};

/// One server.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Its name, also in paths and in the names of its tools.
    pub name: String,
    /// What it is.
    pub upstream: Upstream,
    /// Whether eras of the protocol are translated.
    pub bridge: Bridge,
    /// Until it answers a request.
    pub timeout: Duration,
    /// Until a connection stands.
    pub connect_timeout: Duration,
}

/// What a server is.
#[derive(Debug, Clone, PartialEq)]
pub enum Upstream {
    /// A local program.
    Command(Command),
    /// A Streamable HTTP server.
    Http(Http),
}

/// Those that are shown what there is for the tokens of clients.
pub(crate) fn exchanges(servers: &BTreeMap<String, Server>) -> impl Iterator<Item = (&str, &Exchange)> {
    servers.iter().filter_map(|(name, server)| match &server.upstream {
        Upstream::Http(Http { credential: Some(Credential::Exchange(exchange)), .. }) => Some((&**name, &**exchange)),
        _ => None,
    })
}

/// A local program. `Debug` shows neither arguments nor environment, as either may hold a secret.
#[derive(Clone, PartialEq)]
pub struct Command {
    /// The program: a path, or a name to look up.
    pub program: String,
    /// Its arguments; `${workspace}` in them stands for the directory in which it is started.
    pub arguments: Vec<String>,
    /// Environment variables to set.
    pub env: BTreeMap<String, Secret>,
    /// Names of environment variables to hand on.
    pub pass_env: Vec<String>,
    /// Where to start it.
    pub cwd: Option<PathBuf>,
    /// Whether all clients use one process.
    pub shared: bool,
    /// Whether it is started again after it ended.
    pub restart: bool,
    /// How it is confined.
    pub sandbox: Box<Sandbox>,
}

/// A Streamable HTTP server. `Debug` shows what is shown of its URL.
#[derive(Clone, PartialEq)]
pub struct Http {
    /// Where it is.
    pub url: Uri,
    /// The URL as logs, records and messages have it: scheme, host, port and path. What else may stand in one may hold a
    /// secret, and so may what a variable put into the path.
    pub shown: String,
    /// Headers for every request, as they were checked to be valid.
    pub headers: BTreeMap<String, Secret>,
    /// How it is reached over TLS, if in a way of its own.
    pub tls: Option<ServerTls>,
    /// What it is shown to say on whose behalf it is asked.
    pub credential: Option<Credential>,
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("program", &self.program)
            .field("arguments", &self.arguments.len())
            .field("env", &self.env.keys())
            .field("pass_env", &self.pass_env)
            .field("cwd", &self.cwd)
            .field("shared", &self.shared)
            .field("restart", &self.restart)
            .field("sandbox", &self.sandbox)
            .finish()
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("url", &self.shown).field("headers", &self.headers.keys()).finish()
    }
}

/// Headers that the gateway writes itself for each request.
const OWN_HEADERS: &[&str] = &[
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
    "origin",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// All servers that are switched on.
pub(crate) fn servers(
    tables: BTreeMap<String, ServerTable>,
    root: &Node<'_>,
    environment: &Environment,
    problems: &mut Problems,
) -> BTreeMap<String, Server> {
    let mut servers = BTreeMap::new();
    for (name, table) in tables {
        let check = Check { name: &name, root, environment };
        let enabled = table.enabled;
        if let Some(server) = check.server(&table, problems).filter(|_| enabled) {
            servers.insert(name, server);
        }
    }
    servers
}

/// What checking one server needs.
struct Check<'a> {
    name: &'a str,
    root: &'a Node<'a>,
    environment: &'a Environment,
}

impl Check<'_> {
    fn server(&self, table: &ServerTable, problems: &mut Problems) -> Option<Server> {
        self.name(problems);
        let upstream = match (table.command.is_some(), table.url.is_some()) {
            (true, true) => {
                let place = tree::key_place(self.root, &["server", self.name, "url"]);
                problems.error(place, "a server has a `command` or a `url`, not both");
                return None;
            }
            (true, false) => Upstream::Command(self.command(table, problems)?),
            (false, true) => Upstream::Http(self.http(table, problems)?),
            (false, false) => {
                let broken = |key| problems.is_broken(&["server", self.name, key]);
                if !broken("command") && !broken("url") {
                    let place = tree::key_place(self.root, &["server", self.name]);
                    problems
                        .error(place, format!("server `{}` has neither `command` nor `url`", self.name))
                        .help(format!("for a local program: {COMMAND}; else: url = \"https://…\""));
                }
                return None;
            }
        };
        let (timeout, connect_timeout) = (table.timeout.0, table.connect_timeout.0);
        Some(Server { name: self.name.to_owned(), upstream, bridge: table.bridge, timeout, connect_timeout })
    }

    fn name(&self, problems: &mut Problems) {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let fits = (1..=24).contains(&self.name.len()) && self.name.chars().all(plain) && !self.name.starts_with('-');
        if !fits {
            let place = tree::key_place(self.root, &["server", self.name]);
            problems
                .error(place, format!("`{}` is no name for a server", self.name))
                .help("a name is 1 to 24 of a-z, 0-9 and -, starting with a letter or digit");
        }
    }

    fn command(&self, table: &ServerTable, problems: &mut Problems) -> Option<Command> {
        self.only_for("url", &["headers", "auth", "insecure_http", "tls"], problems);
        let (program, arguments) = table.command.as_ref().and_then(|command| command.split_first()).unzip();
        let program = program.filter(|program| !program.is_empty());
        if program.is_none() {
            let place = tree::place(self.root, &["server", self.name, "command"]);
            problems.error(place, "`command` names no program").help(COMMAND);
        }
        let nul = table.command.iter().flatten().any(|text| text.contains('\0'));
        if nul {
            let place = tree::place(self.root, &["server", self.name, "command"]);
            problems.error(place, "a program's arguments cannot hold a null character");
        }
        for (name, value) in &table.env {
            if name.is_empty() || name.contains(['=', '\0']) || value.expose().contains('\0') {
                let place = tree::key_place(self.root, &["server", self.name, "env", name]);
                problems.error(place, format!("`{name}` cannot be an environment variable of that value"));
            }
        }
        for (index, text) in table.pass_env.iter().enumerate() {
            if let Some((name, _)) = text.split_once('=') {
                // What follows may be a secret, so the line is shown without this text.
                let start = tree::place(self.root, &["server", self.name, "pass_env", &index.to_string()]).start;
                problems
                    .error(start..start, format!("`pass_env` holds names, and `{name}` comes with a value"))
                    .help(format!("write only the name, or set it: env = {{ {name} = \"file:PATH\" }}"));
            }
        }
        let sandbox = Box::new(self.sandbox(table, problems));
        Some(Command {
            program: program?.clone(),
            arguments: arguments?.to_vec(),
            env: table.env.clone(),
            pass_env: table.pass_env.clone(),
            cwd: table.cwd.as_ref().map(|cwd| paths::beside(&self.environment.directory, cwd)),
            shared: table.shared,
            restart: table.restart,
            sandbox,
        })
    }

    /// The sandbox of a program; where nothing is said, as only in a file with mistakes, that of an empty table, which is the strictest.
    fn sandbox(&self, table: &ServerTable, problems: &mut Problems) -> Sandbox {
        let none = SandboxTable::default();
        let place = (self.root, &*self.environment.directory);
        let command =
            table.command.as_deref().filter(|command| command.first().is_some_and(|program| !program.is_empty()));
        let of = (&["server", self.name, "sandbox"][..], command);
        let sandbox = sandbox::sandbox(table.sandbox.as_ref().unwrap_or(&none), place, of, problems);
        let place = |keys: &[&str]| tree::key_place(self.root, &[&["server", self.name], keys].concat());
        sandbox::beside(&sandbox, (&table.env, &table.pass_env), place, problems);
        sandbox
    }

    fn http(&self, table: &ServerTable, problems: &mut Problems) -> Option<Http> {
        self.only_for("command", &["env", "pass_env", "cwd", "shared", "restart", "sandbox"], problems);
        self.headers(&table.headers, problems);
        let place = tree::place(self.root, &["server", self.name, "url"]);
        let text = table.url.as_deref()?;
        let url = text.parse::<Uri>().ok().filter(|url| url.host().is_some_and(|host| !host.is_empty()));
        let Some(url) = url.filter(|url| url.scheme() == Some(&Scheme::HTTPS) || url.scheme() == Some(&Scheme::HTTP))
        else {
            problems.error(place, "not an http or https URL").help("such as https://tickets.example.com/mcp");
            return None;
        };
        if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            problems
                .error(place, "a URL cannot hold a user or a password")
                .help("send them as a header: headers = { Authorization = \"file:PATH\" }");
            return None;
        }
        if is_metadata(&url) {
            problems.error(place, METADATA).help("give the address of the server itself");
            return None;
        }
        if url.scheme() == Some(&Scheme::HTTPS) && !tls::HAS_TLS {
            problems
                .error(place, "this bartizan is built without TLS and cannot reach a server over https://")
                .help("use one that is built with the feature `tls`, as released ones are");
            return None;
        }
        if url.scheme() == Some(&Scheme::HTTP) && !is_loopback(url.host().unwrap_or_default()) && !table.insecure_http {
            problems
                .error(place, "http:// to another machine sends everything unencrypted, headers included")
                .help("use https://, or set `insecure_http = true` if the network between is trusted");
            return None;
        }
        let tls = self.tls(table, &url, problems);
        let place = (self.root, &*self.environment.directory);
        let credential = match &table.auth {
            Some(auth) => Some(credential(auth, &table.headers, place, self.name, problems)?),
            None => None,
        };
        Some(Http { shown: shown(&url, problems), url, headers: table.headers.clone(), tls, credential })
    }

    fn tls(&self, table: &ServerTable, url: &Uri, problems: &mut Problems) -> Option<ServerTls> {
        let tls = table.tls.as_ref()?;
        if url.scheme() != Some(&Scheme::HTTPS) {
            let place = tree::key_place(self.root, &["server", self.name, "tls"]);
            problems.error(place, "`tls` is for servers with an https:// URL");
            return None;
        }
        tls::of_server(tls, self.name, (self.root, &self.environment.directory), problems)
    }

    fn headers(&self, headers: &BTreeMap<String, Secret>, problems: &mut Problems) {
        for (name, value) in headers {
            let place = tree::key_place(self.root, &["server", self.name, "headers", name]);
            if HeaderName::try_from(name).is_err() {
                problems.error(place, format!("`{name}` is no name for a header"));
            } else if OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
                problems.error(place, format!("the header `{name}` is written by Bartizan for each request"));
            } else if HeaderValue::try_from(value.expose()).is_err() {
                problems.error(
                    place,
                    format!("the value of the header `{name}` holds a line break or a control character"),
                );
            }
        }
    }

    /// Refuses keys that mean nothing for this kind of server.
    fn only_for(&self, kind: &str, keys: &[&str], problems: &mut Problems) {
        for key in keys {
            let path = ["server", self.name, key];
            if tree::get(self.root, &path).is_some() {
                let place = tree::key_place(self.root, &path);
                problems.error(place, format!("`{key}` is for servers with a {}", suggest::list([kind])));
            }
        }
    }
}

pub(crate) fn shown(url: &Uri, problems: &Problems) -> String {
    let authority = url.authority().map(Authority::as_str).unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{}://{host}{}", url.scheme_str().unwrap_or("http"), problems.censored(url.path()))
}

/// What is said of a URL that leads to a metadata service.
pub(crate) const METADATA: &str =
    "this is a metadata service of a cloud, which hands out credentials and is never asked";

/// Whether a URL names the service that hands out a cloud's credentials.
pub(crate) fn is_metadata(url: &Uri) -> bool {
    url.host().and_then(|host| Host::parse(host).ok()).is_some_and(|host| host.is_metadata())
}

/// Whether a host of a URL is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let named = bare.eq_ignore_ascii_case("localhost") || bare.to_ascii_lowercase().ends_with(".localhost");
    named || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
