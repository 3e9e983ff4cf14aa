//! What servers are shown to say on whose behalf they are asked.
//!
//! **Threat.** A token reaches somebody it is not meant for: another server, another person's session, a log, the client. So
//! it is sealed in the store for one server, one person, one issuer and one address together; it is sent to that address
//! alone; and what a client shows the gateway is never sent on, but to its own issuer where the configuration has that give
//! another token for it.

mod callback;
mod discover;
mod exchange;
mod grant;
mod login;
mod personal;
mod token;

use std::sync::Arc;

use bartizan_config::{Credential as Setting, Http, Oauth};
use thiserror::Error;

use self::exchange::Exchanged;
pub use self::login::{Login, logout};
use self::personal::Personal;
use self::token::{Fixed, FromFile};
use crate::database::Database;
use crate::fetch::FetchError;
use crate::upstream::Credential;

/// What the server is shown, if it is shown anything of its own.
pub(crate) fn of(server: &Arc<str>, http: &Http, database: &Arc<Database>) -> Option<Arc<dyn Credential>> {
    Some(match http.credential.as_ref()? {
        Setting::Bearer(token) => Arc::new(Fixed::new(token.expose())),
        Setting::BearerFile(path) => Arc::new(FromFile::new(path.clone())),
        Setting::Exchange(exchange) => Arc::new(Exchanged::new(server, &http.url, exchange.clone())),
        Setting::Oauth(oauth) => Arc::new(Personal::new(server, http, Oauth::clone(oauth), Arc::clone(database))),
    })
}

/// Why nobody could sign in. Words of the other side are in none of these but for its error codes.
#[derive(Debug, Error)]
pub enum LoginError {
    /// Something could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Something is no metadata.
    #[error("what is at {0} is no metadata of an authorization server or a resource")]
    Metadata(String),
    /// A redirection is not followed.
    #[error("{0} redirects, which is not followed")]
    Redirects(String),
    /// There is no metadata.
    #[error(
        "the server does not say where its tokens come from (RFC 9728), or its authorization server has no metadata"
    )]
    NoMetadata,
    /// The server names no authorization server.
    #[error("the server names no authorization server")]
    NoIssuer,
    /// The server names others than the configured one.
    #[error("the server does not name {0}, the `issuer` of the configuration, as its authorization server")]
    OtherIssuer(String),
    /// The metadata is of another resource.
    #[error("the server's metadata is of another resource, so a token for it is not asked for")]
    OtherResource,
    /// The metadata is of another issuer.
    #[error("the authorization server's metadata is of another issuer than the server names")]
    WrongIssuer,
    /// It does not do PKCE.
    #[error("the authorization server does not say that it takes PKCE with S256, without which a code could be stolen")]
    NoPkce,
    /// Another one could stand behind it.
    #[error(
        "the authorization server {1:?} leads on to {2:?}, and does not say that its answers name it (RFC 9207), so a code of \
         another one could be brought to it: if it is who gives tokens for this server, set `issuer = {1:?}` under \
         [server.{0}.auth.oauth]"
    )]
    Elsewhere(String, String, String),
    /// It knows no such client.
    #[error(
        "the authorization server takes no client that it does not know: set `client_id` under [server.{0}.auth.oauth]"
    )]
    NoClient(String),
    /// The answer is not of the one who was asked.
    #[error("the answer is of another issuer than the one that was asked, so it is not used")]
    MixedUp,
    /// The authorization server refused.
    #[error("the authorization server refuses: {0}")]
    Refused(String),
    /// The tokens could not be had.
    #[error("{0}")]
    Tokens(String),
    /// Nobody signed in in time.
    #[error("nobody signed in in time")]
    TimedOut,
    /// Something on this machine failed.
    #[error("{0}")]
    Ours(String),
    /// The store cannot keep it.
    #[error(transparent)]
    Store(#[from] bartizan_store::StoreError),
}
