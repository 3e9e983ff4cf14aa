//! What people who sign in can let clients have.

use std::collections::BTreeMap;
use std::time::Duration;

use bartizan_identity::grant::client::{Client, is_id};
use bartizan_identity::grant::redirect::RedirectUri;
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
