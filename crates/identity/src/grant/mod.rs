//! What clients are given when a person agrees: the rules of the embedded authorization server (OAuth 2.1).
//!
//! **Threat.** A web page or a program has a person who is signed in give away what they did not mean to: to somebody who
//! calls himself by another client's name, to an address that is not the client's, or for something that was not asked.
//! Whoever reads a code or a token on its way uses it. So nothing goes to an address that was not found to be the client's
//! ([`redirect`]), a code is good once, for who asked for it and can prove it ([`pkce`]), and a refresh token that comes
//! twice ends all that was given with it.
//!
//! Pure: parameters, what is kept, the time and random bytes come in as values. [`authorize`] reads what a browser brings,
//! [`token`] what a client says afterwards, [`client`] what a client says of itself.

pub mod authorize;
pub mod client;
mod error;
mod params;
pub mod pkce;
pub mod redirect;
mod secret;
pub mod token;

pub use error::OAuthError;
pub use params::{Malformed, Params};
pub use secret::{Secret, SecretKind};
