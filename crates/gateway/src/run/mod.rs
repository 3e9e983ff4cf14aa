//! `bartizan run`: one stdio server, wrapped in place.
//!
//! On a laptop there is one Bartizan per user, started on demand; `run` is a thin bridge to it, so that all wrapped
//! servers share one policy, one memory and one log. With `--standalone` the same happens in this process.

mod bridge;
mod complaints;
mod daemon;
mod error;
pub(crate) mod frame;
mod inside;
mod learning;
mod paths;
mod restart;
mod room;
mod signals;
mod stdio;
mod translated;
mod turned_away;
mod wrap;
mod wrapped;
mod wrapping;

pub use bridge::{bridge, is_served};
pub use daemon::{daemon, stop};
pub use error::RunError;
pub use inside::{Inside, attend};
pub use learning::{Hosts, Learned, Learning, Listed, learn};
pub use paths::{Paths, audit_directories};
pub use turned_away::turn_away;
pub use wrap::{Confined, Isolation, Wrap};
pub use wrapped::standalone;
