//! One configured server: how it is reached, and what is approved of it.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bartizan_guard::ServerProfile;
use bartizan_mcp::Limits;
use bartizan_sandbox::{Launch, SpawnError};

use crate::upstream::{Endpoint, HttpUpstream, Routing, StdioUpstream, Upstream};

/// A server of the configuration.
#[derive(Debug)]
pub struct Server {
    /// Its name.
    pub name: Arc<str>,
    /// How it is reached.
    pub transport: Transport,
    /// What guards know about it; replaced when definitions are approved.
    pub profile: ArcSwap<ServerProfile>,
    /// How long it may take to answer a request.
    pub timeout: Duration,
}

/// How a server is reached.
#[derive(Debug, Clone)]
pub enum Transport {
    /// As a child process, one for each client session.
    Command(Box<Launch>),
    /// Over HTTP.
    Url(Arc<Endpoint>),
}

impl Server {
    /// Opens a way to the server for one client session.
    ///
    /// # Errors
    /// If it is a child process that cannot be started.
    pub async fn connect(&self, routing: Routing, limits: Limits) -> Result<Upstream, SpawnError> {
        match &self.transport {
            Transport::Url(endpoint) => Ok(Upstream::Http(HttpUpstream::new(Arc::clone(endpoint)))),
            Transport::Command(launch) => {
                let name = Arc::clone(&self.name);
                let log = move |line: &str| tracing::info!(target: "bartizan::server", server = %name, "{line}");
                Ok(Upstream::Stdio(StdioUpstream::spawn(launch, routing, limits, log).await?))
            }
        }
    }

    /// What it is, for the lock file: a changed command or address is another server. Arguments count but are not
    /// shown, as they may hold secrets.
    #[must_use]
    pub fn identity(&self) -> String {
        match &self.transport {
            Transport::Command(launch) => {
                let mut hasher = blake3::Hasher::new();
                for word in &launch.args {
                    hasher.update(word.as_encoded_bytes());
                    hasher.update(&[0]);
                }
                let arguments: String = hasher.finalize().to_hex().chars().take(16).collect();
                format!("command {} arguments {arguments}", launch.program.to_string_lossy())
            }
            Transport::Url(endpoint) => format!("url {}{}", self.place(), endpoint.uri.path()),
        }
    }

    /// Where it is, in words for a record; without arguments or headers, which may hold secrets.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.transport {
            Transport::Command(launch) => launch.program.to_string_lossy().into_owned(),
            Transport::Url(endpoint) => {
                let authority = endpoint.uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
                let host = authority.rsplit('@').next().unwrap_or_default();
                format!("{}://{host}", endpoint.uri.scheme_str().unwrap_or("http"))
            }
        }
    }
}
