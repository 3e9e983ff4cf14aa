//! What people who sign in can let clients have.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bartizan_identity::grant::client::{Client, is_id};
use bartizan_identity::grant::redirect::RedirectUri;
use http::Uri;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::file::SignInTable;
use crate::problems::Problems;
use crate::tree::{self, Node};

/// A client that is known before it comes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["redirect_uris"]))]
pub(crate) struct ClientTable {
    /// What people are shown as its name; without it the name of this table.
    pub(crate) name: Option<String>,
    /// Where browsers may be sent to, to the letter; on the person's own machine with any port.
    pub(crate) redirect_uris: Vec<String>,
}

/// Where a client may have a document about itself, whose address is its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientDocuments {
    /// On the public internet, behind https.
    #[default]
    Public,
    /// Anywhere, also unencrypted and on this machine: for development and tests only.
    Anywhere,
    /// Nowhere: no address that a client names is fetched.
    Off,
}

/// What clients can be given, and which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationServer {
    /// Those that are known before they come.
    pub clients: Vec<Client>,
    /// Whether one may be known by a document.
    pub documents: ClientDocuments,
    /// Whether one may register itself.
    pub registration: bool,
    /// How long one keeps what it is given.
    pub grant_lifetime: Duration,
}

/// Longer than that nobody should be trusted with what somebody once agreed to.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

pub(crate) fn authorization_server(
    table: &SignInTable,
    root: &Node<'_>,
    problems: &mut Problems,
) -> Option<AuthorizationServer> {
    if table.grant_lifetime.0 > LONGEST {
        problems
            .error(tree::place(root, &["sign_in", "grant_lifetime"]), "what clients are given lasts a year at most")
            .help("such as 30d");
    }
    if table.client_documents == ClientDocuments::Anywhere {
        problems
            .warn(
                tree::place(root, &["sign_in", "client_documents"]),
                "whoever signs in can have the gateway fetch from any address, private ones included",
            )
            .help("for development and tests only; elsewhere leave it at \"public\"");
    }
    let clients = clients(&table.client, root, problems);
    table.authorization_server.then_some(AuthorizationServer {
        clients,
        documents: table.client_documents,
        registration: table.client_registration,
        grant_lifetime: table.grant_lifetime.0,
    })
}

/// Warns of what is no mistake and hardly meant: of people who sign in, or the first issuer of tokens, where anybody may come,
/// and of the place: the address, the public one, and whether it is encrypted.
pub(crate) fn check_meant(
    (people, issuer): (bool, Option<&str>),
    anybody: bool,
    place: (Option<SocketAddr>, Option<&str>, bool),
    root: &Node<'_>,
    problems: &mut Problems,
) {
    if people {
        check_host(place, root, problems);
    }
    if anybody {
        check_asked(people, issuer, root, problems);
    }
}

/// Warns where people sign in at an address that is no name, for which browsers have no passkeys.
fn check_host(
    (address, public_url, is_secure): (Option<SocketAddr>, Option<&str>, bool),
    root: &Node<'_>,
    problems: &mut Problems,
) {
    let public = public_url.and_then(|public| public.parse::<Uri>().ok());
    let (host, place) = match (&public, address) {
        (Some(public), _) => (public.host().unwrap_or_default().to_owned(), &["listen", "public_url"][..]),
        (None, Some(address)) => (address.ip().to_string(), &["sign_in"][..]),
        (None, None) => return,
    };
    let Ok(ip) = host.trim_matches(['[', ']']).parse::<IpAddr>() else { return };
    let port = public.as_ref().map_or(address.map(|address| address.port()), Uri::port_u16);
    let port = port.filter(|port| *port > 0).map(|port| format!(":{port}")).unwrap_or_default();
    let is_secure = is_secure || public_url.is_some_and(|public| public.starts_with("https://"));
    let scheme = if is_secure { "https" } else { "http" };
    // Unencrypted, nothing else is a name that browsers trust.
    let name = if ip.is_loopback() { "localhost".to_owned() + &port } else { "gateway.example.com".to_owned() };
    let such = if ip.is_loopback() { "to" } else { "to the name under which browsers find it, such as" };
    problems
        .warn(
            tree::key_place(root, place),
            format!(
                "people sign in at {ip}, where they can have no passkeys: those are for a name, not for an address"
            ),
        )
        .help(format!(
            "to have them, set `public_url` in [listen] {such} \"{scheme}://{name}\", and open the pages there"
        ));
}

/// Warns where somebody can show who they are and nobody has to: clients ask nobody to sign in who are let in without.
fn check_asked(people: bool, issuer: Option<&str>, root: &Node<'_>, problems: &mut Problems) {
    let (place, who) = match (people, issuer) {
        (true, _) => (tree::key_place(root, &["sign_in"]), "people sign in"),
        (false, Some(name)) => (tree::key_place(root, &["auth", "oauth", name]), "tokens are taken"),
        (false, None) => return,
    };
    problems
        .warn(
            place,
            format!("{who}, but clients that show nothing come in as `anonymous` and are not asked to sign in"),
        )
        .help("`required = true` under [auth] asks them");
}

fn clients(tables: &BTreeMap<String, ClientTable>, root: &Node<'_>, problems: &mut Problems) -> Vec<Client> {
    let mut clients = Vec::new();
    for (id, table) in tables {
        if !is_id(id) || id.len() > 64 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        {
            problems
                .error(tree::key_place(root, &["sign_in", "client", id]), format!("`{id}` is no name of a client"))
                .help("use 1 to 64 letters, digits, -, _ and .; it is the client_id");
            continue;
        }
        let mut are_good = true;
        for (index, uri) in table.redirect_uris.iter().enumerate() {
            if let Err(why) = RedirectUri::parse(uri) {
                let path = ["sign_in", "client", id, "redirect_uris", &index.to_string()];
                problems.error(tree::place(root, &path), why.to_string());
                are_good = false;
            }
        }
        let name = table.name.as_deref().unwrap_or(id);
        match Client::configured(id, name, &table.redirect_uris) {
            Ok(client) => clients.push(client),
            Err(why) if are_good => {
                problems.error(tree::key_place(root, &["sign_in", "client", id]), why.to_string());
            }
            Err(_) => {}
        }
    }
    clients
}
