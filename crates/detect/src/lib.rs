//! Finds in a text what it should not hold.
//!
//! Pure and linear in the length of the text, whatever it holds; nothing here panics on hostile input.

mod ascii;
pub mod classifier;
pub mod decode;
mod engine;
pub mod hidden;
mod kind;
pub mod normal;
mod notes;
pub mod personal;
pub mod rules;
pub mod secrets;

pub use engine::{CLASSIFIER, Engine, Found, Look, Suspect, Votes};
pub use kind::Kind;
