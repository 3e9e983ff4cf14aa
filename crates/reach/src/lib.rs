//! What may be reached: hosts read strictly, kinds of addresses, rules, and why something is refused.
//!
//! Plain data, without I/O: whoever makes a connection asks. Both sides of a rule are here, how it is written and what it allows.

pub mod address;
pub mod host;
mod policy;
mod reason;
pub mod secret;

pub use policy::{Cap, Limits, Permit, Policy, RequestRule, Rule, RuleError};
pub use reason::Reason;
