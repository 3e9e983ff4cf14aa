//! The configuration: one TOML file, read strictly into a [`Config`] that cannot be wrong.
//!
//! [`Config::load`] reads and checks everything and starts nothing: no directory is made, no server reached. All that
//! is wrong with a file is reported at once, each problem with its line, column and a suggestion. What may be a secret
//! (values of `env` and `headers`, whatever came from the environment or from a file) appears in no message.
//!
//! The reference of the file format is the documentation of the types in `file.rs`; [`Config::json_schema`] publishes it.

mod approval;
mod capture;
mod config;
mod credentials;
mod detection;
mod diagnostic;
mod effects;
mod exceptions;
mod expand;
mod file;
mod guards;
mod idle;
mod install;
mod kept;
mod labels;
pub mod learned;
mod listen;
mod machine;
mod model;
mod moments;
mod oauth;
mod paths;
mod places;
mod policy;
mod problems;
mod profiles;
mod read;
mod redteam;
mod sandbox;
mod schema;
mod secret;
mod secret_files;
mod servers;
mod sign_in;
mod suggest;
mod tls;
mod tree;
mod units;

pub use approval::{Approval, StepUp};
pub use bartizan_keyring::Name as KeyringName;
pub use capture::Capture;
pub use config::{
    AUDIT_KEY, Admin, Audit, AuditKey, Auth, Config, Environment, Limits, Listen, Log, OneServer, OwnProfiles, SignIn,
};
pub use credentials::{Credential, Exchange, Oauth, OauthClient, bearer};
pub use detection::{Detection, Judge, ResponseFormat};
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use effects::Tools;
pub use expand::read_secret;
pub use file::{Bridge, CertificateName, Durable, LogFormat, LogLevel, TlsVersion};
pub use install::{Install, Installer, Packages};
pub use kept::Places;
pub use machine::{NAME_IT, name_unseen};
pub use model::Model;
pub use moments::{duration, end};
pub use oauth::{Claims, Dpop, Introspection, Issuer, PrincipalNames};
pub use paths::{bartizan_home, is_path, plain as plain_path, user_config_place};
pub use profiles::{PROFILES, Profile, built_in};
pub use redteam::Redteam;
pub use sandbox::{
    AUTO, Allowed, Arguments, BoundSecret, DATABASES, Level as SandboxLevel, NetLimits, Reachable, Required, Sandbox,
    UNCONFINED, runner,
};
pub use secret::Secret;
pub use servers::{Command, Http, Server, Upstream};
pub use sign_in::{AuthorizationServer, ClientDocuments};
pub use suggest::nearest;
pub use tls::{Clients, ServerTls, Tls};
