//! Who asks: the credentials that clients show, read and checked. Pure: what is kept of them, the time and random bytes
//! come in as values.

mod api_key;
pub mod dpop;
pub mod grant;
pub mod one_time;
pub mod passkey;
pub mod password;
pub mod token;

pub use api_key::{ApiKey, ApiKeyId, Digest, NotAKey};
