//! An append-only, hash-chained log in plain files.
//!
//! One entry is one line of JSON. Each line ends in a SHA-256 over the previous line's hash and its own bytes, so a
//! change, a removal or a swap anywhere breaks every hash after it, and [`verify`] names the first line that is wrong:
//!
//! ```text
//! {"seq":7,"id":"01J…","at":"2026-01-02T03:04:05.678901Z","kind":"tool.call","decision":"allow","chain":"9f2c…"}
//! ```
//!
//! With [`Keys`] each line is sealed in its file, and everything else is the same; see [`At`].
//!
//! Open a [`Log`], [`append`](Log::append) an [`Entry`], and keep the [`Receipt`]: only this crate can make one, so a
//! function that asks for a receipt cannot be called for something that was not recorded. A receipt says how much is
//! promised: [`Level::Written`] survives the death of the process, [`Level::Durable`] also survives the loss of power.
//!
//! The chain makes changes evident, not impossible. Whoever can write the files can also compute a new chain, or cut
//! the log back to an earlier state: compare with a [`Head`] kept elsewhere to notice either.
//!
//! The crate knows nothing about what is recorded, uses no async runtime and reads the clock only for the few entries
//! it writes about itself.

mod chain;
mod entry;
mod error;
mod evidence;
mod fault;
mod files;
mod grow;
mod heads;
mod id;
mod keys;
mod line;
mod lines;
mod log;
mod note;
mod proof;
mod read;
mod receipt;
mod recover;
mod refusals;
mod sealed;
mod sync;
mod tiles;
mod time;
mod tree;
mod verify;
mod writer;

pub use bartizan_seal::KeyFileError;
pub use chain::{Chain, Head, to_hex};
pub use entry::{Entry, MAX_ENTRY_BYTES};
pub use error::AuditError;
pub use evidence::{Evidence, gather, newest, sign};
pub use fault::{Fault, Problem};
pub use id::Id;
pub use keys::{At, Closed, Keys, is_sealed};
pub use log::{Log, Options, State, is_open, rewrap};
pub use note::{Checkpoint, LogKey, open as open_note};
pub use proof::{Proof, prove};
pub use read::{Record, Records, Trace, find, iter, last, trace};
pub use receipt::{Level, Receipt};
pub use recover::{Recovery, Torn};
pub use refusals::{ReasonCount, RefusalCounter, RefusalSummary, SourceCount};
pub use sealed::Rewrapped;
pub use sync::Pending;
pub use time::rfc3339;
pub use verify::{Known, Report, verify, verify_against};
