//! The only way out for a confined local server: a proxy outside its sandbox, and the relay inside that leads to it.
//!
//! **Threat.** A server that is confined and may reach the Internet can send everything it is told to anybody, ask what only this machine
//! reaches, and take its credentials along. So its sandbox has no network but a unix socket. What stands behind it knows a list of hosts
//! ([`Policy`]), looks each name up once and checks every address ([`address`]), has the first bytes of a tunnel name the host
//! ([`hello`]), looks at every request that it can see, puts secrets in place of placeholders ([`Secret`]), and reports all of it ([`Event`]).
//!
//! To use it, for each start of a server: make an [`Egress`], bind a [`Listening`], hand the socket and the [`Token`] to [`inner::Relay`]
//! in the sandbox, and poll [`Egress::serve`]. Nothing inside can widen anything, as everything is checked outside.
//!
//! What is allowed is said by crate `reach`, which does no I/O and is good for any connection that somebody else names.

mod authority;
mod connect;
mod event;
mod exchange;
mod flow;
pub mod hello;
#[cfg(target_os = "linux")]
pub mod inner;
mod meter;
mod proxy;
mod report;
mod request;
mod secret;
mod tls;
mod token;
mod tunnel;

pub use authority::AuthorityError;
pub use bartizan_reach::{Cap, Limits, Permit, Policy, Reason, RequestRule, Rule, RuleError, address, host};
pub use connect::{Resolve, Resolving, System};
pub use event::{Event, Sink, Unrecorded, What};
pub use proxy::{Egress, Listening, Parts, Settings, SetupError, Timeouts};
pub use secret::{PREFIX as PLACEHOLDER_PREFIX, Secret, SecretError};
pub use tls::{native as native_tls, native_pem, nobody as trusting_nobody, trusting as tls_trusting};
pub use token::Token;
