//! Moves messages between clients and servers: listens, judges, records, forwards, shows.
//!
//! Read [`exchange`] first: it is the life of one request.

mod abilities;
mod address;
pub mod admit;
mod aggregate;
pub mod agree;
mod answer;
mod approvals;
mod asking;
mod attempts;
mod authorities;
mod beside;
mod bridge;
mod budget;
mod cache;
pub mod capture;
mod certificates;
mod changes;
mod clock;
mod codes;
mod collect;
mod connect;
pub mod control;
mod converse;
pub mod credentials;
pub mod database;
mod digest;
pub mod edge;
mod eras;
mod event_id;
pub mod exchange;
pub mod fetch;
mod files;
mod front;
#[doc(hidden)]
pub mod fuzzing;
mod gateway;
mod given;
mod histories;
pub mod identity;
mod in_flight;
mod issuer;
mod judge;
mod known_tools;
mod labels;
mod learn;
mod learned;
mod limiter;
mod link;
mod lookup;
mod metrics;
mod notices;
pub mod opinions;
mod own;
mod owners;
mod params;
mod patience;
mod peer;
#[cfg(feature = "tls")]
mod pem;
mod places;
mod policy;
mod problem;
mod program;
mod random;
pub mod reasons;
mod recorder;
mod relay;
mod reload;
mod replay;
pub mod retrial;
pub mod run;
mod seldom;
pub mod serve;
mod server;
mod session;
pub mod setup;
mod shown;
mod stamp;
mod status;
mod subscribed;
mod tag;
mod trials;
mod turns;
mod unconfined;
mod unread;
mod upstream;
mod vault;
mod versions;
#[cfg(all(feature = "tls", target_os = "linux"))]
mod way_out;
#[cfg(not(all(feature = "tls", target_os = "linux")))]
#[path = "no_way_out.rs"]
mod way_out;
mod web;

pub use approvals::{Approvals, pins_of};
pub use certificates::{check as check_certificates, warnings as certificate_warnings};
pub use eras::Bridging;
pub use gateway::Gateway;
pub use known_tools::check as check_tools;
pub use limiter::Limiter;
pub use link::Link;
pub use metrics::Metrics;
pub use opinions::check as check_layers;
pub use policy::Policy;
pub use recorder::Recorder;
pub use reload::ConfigFile;
pub use server::{Server, Transport};
pub use trials::{Counted, Than, Trials, Tried};
pub use upstream::{
    Breaker, Connections, Credential, Endpoint, HttpUpstream, Routing, SharedChild, SharedUpstream, StdioUpstream,
    Upstream, connections,
};
pub use way_out::relay;
