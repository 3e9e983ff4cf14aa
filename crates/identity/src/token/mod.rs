//! Access tokens that somebody else has issued: signed ones (RFC 9068), and what is said of opaque ones (RFC 7662).
//!
//! **Threat.** A token that was issued for another service, by somebody else, or that its holder made or changed, opens this
//! gateway. So everything is checked that says for whom, by whom and until when it is good, against what is configured and
//! never against what the token itself says.

mod claims;
mod json;
mod jws;
mod key;
mod seen;

pub use claims::{Access, ClaimPath, Expected, Timeframe};
pub use json::object;
pub use jws::{Jws, LONGEST, TokenError};
pub(crate) use key::encode;
pub use key::{Algorithm, Key, KeySet};
pub use seen::Seen;

#[cfg(test)]
pub(crate) mod tests;
