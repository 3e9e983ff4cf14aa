//! MCP messages as plain data: a strict scanner, the JSON-RPC envelope, the parts that guards look at, and edits
//! that leave everything else byte for byte as it was.
//!
//! Start at [`Message::parse`]. Nothing here does I/O, reads a clock or draws a random number, and nothing here
//! panics on hostile input: what cannot be read in exactly one way is a [`Rejection`].

mod canonical;
mod document;
mod edit;
pub mod header;
mod id;
mod limits;
mod memo;
mod message;
pub mod meta;
pub mod method;
mod names;
mod part;
mod path;
mod rejection;
mod revision;
mod scan;
mod show;
pub mod sse;
mod subject;
mod text;
mod variant;

pub use canonical::{Digest, canonical};
pub use document::{Document, Elements, Members, NodeId, NodeKind, Value};
pub use edit::Edits;
pub use id::Id;
pub use limits::Limits;
pub use memo::{TextDigest, digest as text_digest};
pub use message::{Kind, Message};
pub use part::{Part, PartKind, Parts};
pub use path::{Down, JsonPath, PathError, Paths, Trail};
pub use rejection::{Fault, Rejection};
pub use revision::{Era, Revision};
pub use show::{is_unseen, show};
pub use text::quote;
pub use variant::spells;
