//! Files of sealed records: who reads one needs its key, and notices if a record was changed, moved, doubled or left out.
//!
//! **Threat.** What clients ask of servers is content: names, amounts, secrets. A file of it is copied, or somebody changes
//! one so that it tells another story. So each file has a key of its own, which stands in it only *wrapped* by a key that is
//! elsewhere; and each record is sealed together with the name of its file and its number.
//!
//! What a record means is nothing to this crate, and neither is where the wrapping key comes from. [`Writer`] writes and
//! removes what is too old; [`Reader`] reads one file, record by record. There is no clock here: moments come in, in
//! microseconds since 1970-01-01 UTC.

mod files;
mod form;
mod key;
mod reader;
mod writer;

pub use files::{Prepared, Unfit, all_in, prepare};
pub use form::FileId;
pub use reader::{End, Fault, Next, Reader};
pub use writer::{Bounds, Removed, Wrap, WriteError, Writer};
