//! Finds in a text what it should not hold.
//!
//! Pure and linear in the length of the text, whatever it holds; nothing here panics on hostile input.

pub mod decode;
pub mod hidden;
pub mod normal;
