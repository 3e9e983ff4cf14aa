//! The lock file `mcp.lock`: what was approved of each server, by digest, and what waits for approval.
//!
//! Start at [`Lock::open`]. Nothing here knows what a digest is over: definitions come in as canonical JSON text with
//! its SHA-256, kinds and names as strings.

mod change;
mod disk;
mod entry;
mod error;
mod format;
mod labels;
mod lock;
mod text;
mod time;

pub use change::{Change, What};
pub use entry::{Approved, Definition, Forgotten, ServerPins, TextCheck};
pub use error::LockError;
pub use labels::Labels;
pub use lock::{Labelling, Lock};
pub use text::{unified_diff, unified_diff_of_texts};

/// A lock file as it is read and written again; for the fuzz target, nothing else uses it.
///
/// # Errors
/// If it is no lock file.
#[doc(hidden)]
pub fn rewritten(text: &str) -> Result<String, LockError> {
    format::parse(std::path::Path::new("mcp.lock"), text).map(|servers| format::write(&servers))
}
