//! How the gateway shows a server on whose behalf it asks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use http::{HeaderValue, Uri};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::expand::read_secret;
use crate::paths;
use crate::problems::Problems;
use crate::secret::Secret;
use crate::servers::is_loopback;
use crate::tls::{self, ServerTls};
use crate::tree::{self, Node};

/// What Bartizan shows the server. One of `bearer`, `bearer_file`, `oauth` and `exchange`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CredentialTable {
    /// A token that is sent for all clients, from a variable or as `file:PATH`.
    pub(crate) bearer: Option<Secret>,
    /// A file with such a token. It is read again when it changes.
    pub(crate) bearer_file: Option<PathBuf>,
    /// Each person's own token, for which they sign in with `bartizan upstream login`.
    pub(crate) oauth: Option<OauthTable>,
    /// A token that an issuer gives for the one that whoever asks has shown (RFC 8693).
    pub(crate) exchange: Option<ExchangeTable>,
}

/// How such a token is had.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ExchangeTable {
    /// Whose tokens are exchanged: the NAME of an `[auth.oauth.NAME]`.
    pub(crate) issuer: String,
    /// What Bartizan is called there.
    pub(crate) client_id: String,
    /// Its secret there.
    pub(crate) client_secret: Option<Secret>,
    /// Where tokens are exchanged; what the issuer's metadata say unless set.
    pub(crate) token_endpoint: Option<String>,
    /// What the token is to be for: a URL. That of the server, unless this or `audience` is set.
    pub(crate) resource: Option<String>,
    /// What the token is to be for, by the name that the issuer has for it.
    pub(crate) audience: Option<String>,
    /// What the token is to be good for; what the issuer chooses unless set.
    pub(crate) scopes: Vec<String>,
}

/// How people sign in to the server.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct OauthTable {
    /// The authorization server; without it the first that the server names.
    pub(crate) issuer: Option<String>,
    /// What Bartizan is called there; without it it registers, or is described at `client_metadata_url`.
    pub(crate) client_id: Option<String>,
    /// Its secret there, if it has one.
    pub(crate) client_secret: Option<Secret>,
    /// Where Bartizan is described for authorization servers that read that.
    pub(crate) client_metadata_url: Option<String>,
    /// What is asked for; without it what the server names.
    pub(crate) scopes: Vec<String>,
    /// Whether one sign-in, by the operator, is for all clients.
    pub(crate) shared: bool,
    /// The authorities that may have signed the authorization server's certificate, as PEM; those that the system trusts unless
    /// set.
    pub(crate) ca: Option<PathBuf>,
}

/// What a server is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// This token.
    Bearer(Secret),
    /// The token in this file, which may change.
    BearerFile(PathBuf),
    /// A token of who asks.
    Oauth(Box<Oauth>),
    /// What there is for the token of who asks.
    Exchange(Box<Exchange>),
}

/// How a token is exchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// What its issuer is called under `[auth.oauth]`.
    pub issuer: String,
    /// What the gateway is called there.
    pub client_id: String,
    /// Its secret there.
    pub client_secret: Secret,
    /// Where, if the issuer's metadata are not to say so.
    pub token_endpoint: Option<String>,
    /// The URL that the token is to be for, if one is named.
    pub resource: Option<String>,
    /// The name of what the token is to be for, if one is named.
    pub audience: Option<String>,
    /// What it is to be good for, if not what the issuer chooses.
    pub scopes: Vec<String>,
}

/// How a token of who asks is come by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oauth {
    /// The authorization server, if only one will do.
    pub issuer: Option<String>,
    /// What the gateway is there.
    pub client: OauthClient,
    /// What is asked for, if not what the server names.
    pub scopes: Vec<String>,
    /// Whether there is one for all.
    pub shared: bool,
    /// How the authorization server is reached over TLS, if not as everybody is.
    pub tls: Option<ServerTls>,
}

/// What the gateway is for an authorization server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OauthClient {
    /// Unknown: it registers.
    Unknown,
    /// Described at this URL.
    Described(String),
    /// Known, maybe by a secret.
    Known(String, Option<Secret>),
}

/// The settings of `[server.NAME.auth]`.
pub(crate) fn credential(
    table: &CredentialTable,
    headers: &BTreeMap<String, Secret>,
    (root, directory): (&Node<'_>, &Path),
    server: &str,
    problems: &mut Problems,
) -> Option<Credential> {
    let checking = Checking { root, directory, server };
    let place = checking.place(&[]);
    if headers.keys().any(|name| name.eq_ignore_ascii_case("authorization")) {
        problems.error(place, "the header `Authorization` is written by `auth`").help("keep one of the two");
        return None;
    }
    match (&table.bearer, &table.bearer_file, &table.oauth, &table.exchange) {
        (Some(token), None, None, None) => {
            checking.token(token.expose(), &["bearer"], problems).then(|| Credential::Bearer(token.clone()))
        }
        (None, Some(file), None, None) => checking.file(file, problems),
        (None, None, Some(oauth), None) => checking.oauth(oauth, problems).map(Box::new).map(Credential::Oauth),
        (None, None, None, Some(exchange)) => {
            checking.exchange(exchange, problems).map(Box::new).map(Credential::Exchange)
        }
        _ => {
            problems
                .error(place, "`auth` has one of `bearer`, `bearer_file`, `oauth` and `exchange`")
                .help("such as auth = { bearer = \"${TOKEN}\" }, or auth.oauth = {} for people's own tokens");
            None
        }
    }
}

struct Checking<'a> {
    root: &'a Node<'a>,
    directory: &'a Path,
    server: &'a str,
}

impl Checking<'_> {
    fn place(&self, more: &[&str]) -> tree::Place {
        tree::key_place(self.root, &[&["server", self.server, "auth"], more].concat())
    }

    fn token(&self, token: &str, at: &[&str], problems: &mut Problems) -> bool {
        let good = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        if !good {
            problems.error(self.place(at), "a token has visible ASCII characters only, and no spaces");
        }
        good
    }

    fn file(&self, named: &Path, problems: &mut Problems) -> Option<Credential> {
        let path = paths::beside(self.directory, named);
        let shown = path.display();
        match read_secret(&path) {
            Ok((token, mode)) => {
                problems.hide(&token);
                if mode & 0o077 != 0 {
                    problems
                        .warn(
                            self.place(&["bearer_file"]),
                            format!("{shown} holds a secret and is open to other users"),
                        )
                        .help(format!("chmod 600 {shown}"));
                }
                self.token(&token, &["bearer_file"], problems).then_some(Credential::BearerFile(path))
            }
            Err(why) => {
                problems.error(self.place(&["bearer_file"]), format!("cannot read {shown}: {why}"));
                None
            }
        }
    }

    fn oauth(&self, table: &OauthTable, problems: &mut Problems) -> Option<Oauth> {
        let urls = [("issuer", &table.issuer), ("client_metadata_url", &table.client_metadata_url)];
        let urls = urls.into_iter().filter_map(|(key, url)| url.as_deref().map(|url| (key, url)));
        for (key, url) in urls {
            if !is_secure(url) {
                let place = self.place(&["oauth", key]);
                problems.error(place, "not an https URL").help("such as https://accounts.example.com");
                return None;
            }
        }
        if !self.scopes("oauth", &table.scopes, problems) {
            return None;
        }
        let client = match (&table.client_id, &table.client_metadata_url) {
            (Some(_), Some(_)) => {
                let place = self.place(&["oauth", "client_metadata_url"]);
                problems.error(place, "`client_id` and `client_metadata_url` are two names for one client");
                return None;
            }
            (Some(id), None) => OauthClient::Known(id.clone(), table.client_secret.clone()),
            (None, Some(url)) => OauthClient::Described(url.clone()),
            (None, None) => OauthClient::Unknown,
        };
        if table.client_secret.is_some() && table.client_id.is_none() {
            problems.error(self.place(&["oauth", "client_secret"]), "a `client_secret` is of a `client_id`");
            return None;
        }
        if table.client_secret.is_some() && table.issuer.is_none() {
            problems
                .error(
                    self.place(&["oauth", "client_secret"]),
                    "a `client_secret` is for one `issuer`, which is not named",
                )
                .help("otherwise the server could name another one, which is told the secret: set `issuer` beside it");
            return None;
        }
        let (issuer, scopes) = (table.issuer.clone(), table.scopes.clone());
        let (place, path) = ((self.root, self.directory), ["server", self.server, "auth", "oauth"]);
        let tls = tls::of_authority(table.ca.as_deref(), &path, place, problems);
        Some(Oauth { issuer, client, scopes, shared: table.shared, tls })
    }

    fn exchange(&self, table: &ExchangeTable, problems: &mut Problems) -> Option<Exchange> {
        let secret = table.client_secret.as_ref().filter(|secret| !secret.expose().is_empty());
        let needed = [
            ("issuer", table.issuer.is_empty()),
            ("client_id", table.client_id.is_empty()),
            ("client_secret", secret.is_none()),
        ];
        let missing = needed.into_iter().find_map(|(key, is_missing)| is_missing.then_some(key));
        let (Some(client_secret), None) = (secret.cloned(), missing) else {
            let key = missing.unwrap_or_default();
            let place = self.place(&["exchange"]);
            let help = "exchange = { issuer = \"NAME\", client_id = \"…\", client_secret = \"file:PATH\" }, where NAME is of an \
                        [auth.oauth.NAME]";
            problems.error(place, format!("`exchange` needs `{key}`")).help(help);
            return None;
        };
        let urls = [("token_endpoint", &table.token_endpoint), ("resource", &table.resource)];
        for (key, url) in urls.into_iter().filter_map(|(key, url)| url.as_deref().map(|url| (key, url))) {
            if !is_secure(url) {
                let place = self.place(&["exchange", key]);
                problems.error(place, "not an https URL").help("such as https://accounts.example.com/token");
                return None;
            }
        }
        if table.audience.as_ref().is_some_and(|audience| audience.trim().is_empty()) {
            problems.error(self.place(&["exchange", "audience"]), "an `audience` is not empty");
            return None;
        }
        self.scopes("exchange", &table.scopes, problems).then(|| Exchange {
            issuer: table.issuer.clone(),
            client_id: table.client_id.clone(),
            client_secret,
            token_endpoint: table.token_endpoint.clone(),
            resource: table.resource.clone(),
            audience: table.audience.clone(),
            scopes: table.scopes.clone(),
        })
    }

    /// Whether these are scopes as RFC 6749 has them.
    fn scopes(&self, table: &str, scopes: &[String], problems: &mut Problems) -> bool {
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        let bad = scopes.iter().position(|scope| scope.is_empty() || !scope.bytes().all(plain));
        if let Some(index) = bad {
            let path = ["server", self.server, "auth", table, "scopes", &index.to_string()];
            problems
                .error(tree::place(self.root, &path), "no scope")
                .help("one word for each, such as scopes = [\"read\", \"write\"]");
        }
        bad.is_none()
    }
}

/// Looks whether tokens that are exchanged are of an issuer whose tokens let clients in.
pub(crate) fn check_issuers<'a>(
    servers: impl Iterator<Item = (&'a str, &'a Exchange)>,
    known: &[&str],
    root: &Node<'_>,
    problems: &mut Problems,
) {
    for (server, exchange) in servers.filter(|(_, exchange)| !known.contains(&&*exchange.issuer)) {
        let place = tree::place(root, &["server", server, "auth", "exchange", "issuer"]);
        problems.error(place, format!("there is no [auth.oauth.{}]", exchange.issuer)).help(
            "only a token that lets its holder in can be exchanged: name whoever issues it under [auth.oauth.NAME]",
        );
    }
}

/// Whether what is said to it stays between it and us.
fn is_secure(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let host = uri.host().unwrap_or_default();
    let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@')) && !url.contains('#');
    let scheme = uri.scheme_str();
    !host.is_empty() && plain && (scheme == Some("https") || scheme == Some("http") && is_loopback(host))
}

/// Whether a token can be sent.
#[must_use]
pub fn bearer(token: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}
