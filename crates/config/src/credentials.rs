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
use crate::tree::{self, Node};

/// What Bartizan shows the server. One of `bearer`, `bearer_file` and `oauth`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CredentialTable {
    /// A token that is sent for all clients, from a variable or as `file:PATH`.
    pub(crate) bearer: Option<Secret>,
    /// A file with such a token. It is read again when it changes.
    pub(crate) bearer_file: Option<PathBuf>,
    /// Each person's own token, for which they sign in with `bartizan upstream login`.
    pub(crate) oauth: Option<OauthTable>,
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
}

/// What a server is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// This token.
    Bearer(Secret),
    /// The token in this file, which may change.
    BearerFile(PathBuf),
    /// A token of who asks.
    Oauth(Oauth),
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
    match (&table.bearer, &table.bearer_file, &table.oauth) {
        (Some(token), None, None) => {
            checking.token(token.expose(), &["bearer"], problems).then(|| Credential::Bearer(token.clone()))
        }
        (None, Some(file), None) => checking.file(file, problems),
        (None, None, Some(oauth)) => checking.oauth(oauth, problems).map(Credential::Oauth),
        _ => {
            problems
                .error(place, "`auth` has one of `bearer`, `bearer_file` and `oauth`")
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
        for (index, scope) in table.scopes.iter().enumerate() {
            // As RFC 6749 has them.
            let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
            if scope.is_empty() || !scope.bytes().all(plain) {
                let place =
                    tree::place(self.root, &["server", self.server, "auth", "oauth", "scopes", &index.to_string()]);
                problems.error(place, "no scope").help("one word for each, such as scopes = [\"read\", \"write\"]");
                return None;
            }
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
        let (issuer, scopes) = (table.issuer.clone(), table.scopes.clone());
        Some(Oauth { issuer, client, scopes, shared: table.shared })
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
