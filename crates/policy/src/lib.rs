//! Who may do what: principals, and what their credentials are good for. Pure: no files, no network, no clock.

mod principal;
mod scope;

pub use principal::Principal;
pub use scope::{Kind, Scope, ScopeError, Scopes};
