//! Durable state: what has to survive a restart and is not the log.
//!
//! It is a SQLite database beside a small file that says whether it changed ([`Revision`]). Statements are such that
//! PostgreSQL takes them as well. Each kind of thing that is kept has a file with its type and what can be done with it:
//! [`api_keys`], [`approvals`], [`people`] with their [`passkeys`] and [`web_sessions`], [`upstream_tokens`], what they let clients have
//! ([`grants`]), and what [`pseudonyms`] stand for. What is secret of it is sealed ([`Sealer`]).

pub mod api_keys;
pub mod approvals;
#[cfg_attr(not(target_os = "linux"), path = "no_bell.rs")]
mod bell;
mod error;
mod events;
pub mod grants;
mod look;
pub mod passkeys;
pub mod people;
mod place;
pub mod policies;
pub mod pseudonyms;
mod revision;
mod seal;
mod store;
pub mod upstream_tokens;
pub mod web_sessions;

pub use bartizan_seal::Unopened;
pub use error::{Result, StoreError};
pub use events::{Change, Event};
pub use revision::Revision;
pub use seal::{Claimed, MasterKey, PURPOSES, Resealed, Rotated, SealError, Sealer};
pub use store::Store;
