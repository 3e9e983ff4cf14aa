//! What is reported of every connection and refusal, as plain data.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use bartizan_reach::Reason;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A connection to a host was allowed and made; nothing has been sent yet.
    Opened,
    /// That connection is over.
    Closed,
    /// A request that could be seen is allowed; it has not been sent yet.
    Request,
    /// A connection or a request was refused.
    Refused,
}

/// One report. No secret is in it, and nothing of a request but its method and path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Which server it is about.
    pub server: Arc<str>,
    /// What happened.
    pub what: What,
    /// Why.
    pub reason: Reason,
    /// The host that was asked for, in its one form; none if it had none.
    pub host: Option<String>,
    /// The port that was asked for.
    pub port: Option<u16>,
    /// The address that a connection was made to, or that was refused.
    pub address: Option<IpAddr>,
    /// Bytes that went out, of a connection that is over.
    pub sent: u64,
    /// Bytes that came in.
    pub received: u64,
    /// How long the connection lasted.
    pub duration: Duration,
    /// Whether TLS was ended at the proxy.
    pub terminated: bool,
    /// The method of a request.
    pub method: Option<String>,
    /// The path of a request, without its query, of at most 256 bytes.
    pub path: Option<String>,
    /// Names of the secrets that were put in place of their placeholders.
    pub secrets: Vec<Arc<str>>,
    /// Names of the secrets whose placeholders were seen where they stay placeholders.
    pub kept: Vec<Arc<str>>,
    /// How many refusals this stands for: 1, or more where one like it was reported less than a second before.
    pub times: u64,
}

impl Event {
    pub(crate) fn new(server: &Arc<str>, what: What, reason: Reason) -> Event {
        Event {
            server: Arc::clone(server),
            what,
            reason,
            host: None,
            port: None,
            address: None,
            sent: 0,
            received: 0,
            duration: Duration::ZERO,
            terminated: false,
            method: None,
            path: None,
            secrets: Vec::new(),
            kept: Vec::new(),
            times: 1,
        }
    }
}

/// It could not be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("what leaves cannot be recorded")]
pub struct Unrecorded;

/// Where reports go. It is called in the middle of what is reported, so it must not wait.
pub trait Sink: Send + Sync + 'static {
    /// Takes one report.
    ///
    /// # Errors
    /// If it cannot be recorded. What it reports as opened or requested is then refused; what is over stays over.
    fn record(&self, event: Event) -> Result<(), Unrecorded>;
}
