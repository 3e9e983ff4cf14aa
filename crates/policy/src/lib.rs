//! Who may do what: principals, what their credentials are good for, and policies in Cedar. Pure: no files, no network, no
//! clock.
//!
//! Start at [`Policies`]: read once, and then asked for a [`Decision`] about a [`Subject`] and a [`Target`].

mod cases;
mod index;
mod input;
mod json;
mod label;
mod lint;
mod names;
mod near;
mod place;
mod policies;
mod principal;
mod problem;
mod reads;
mod roles;
mod rule;
mod schema;
mod scope;
mod spelling;
mod subject;
mod time;
mod unknown;
mod ways;

pub use input::{Input, Unfit};
pub use json::Json;
pub use label::{Label, Labels};
pub use lint::Known;
pub use names::TENANT_OF_ALL;
pub use near::{meant, nearest};
pub use place::canonical as canonical_uri;
pub use policies::{Circumstances, Decision, Otherwise, Outcome, Policies, Purpose};
pub use principal::{Principal, SignedIn};
pub use problem::{Problem, Source};
pub use roles::{Grant, Group, Held, Role, Roles, RolesError};
pub use rule::{Approver, Asks, Challenge, Reason};
pub use schema::{SCHEMA, tool_schema};
pub use scope::{Kind, Scope, ScopeError, Scopes};
pub use subject::{Hints, Subject, Target, Use};
pub use ways::Ways;
