//! Starts a local server and makes sure that its whole process tree ends with it.
//!
//! On Linux a small launcher process stands between the gateway and the server. It is the gateway's own
//! binary, started again with a hidden argument, so `main` has to call [`init_if_asked`] before anything
//! else. The launcher adopts whatever the server leaves behind, also what double-forked into a session of
//! its own, and ends all of it when the server exits, when the gateway asks, or when the gateway vanishes.
//! If the launcher itself is killed the server dies with it and the gateway, once it called
//! [`adopt_orphans`], ends the rest.
//!
//! With a [`Confinement`] the server also runs in namespaces of its own and sees, uses and reaches no more than
//! that names ([`Level::Process`]), and with a [`Runtime`] in it that stands around it as well. What cannot be held without one: a server of the same user may kill both the
//! gateway and the launcher at once and then lives on.

mod child;
mod confinement;
mod detached;
mod environment;
mod error;
mod laid;
mod launch;
mod prepare;
mod probe;
mod runtimes;
mod stderr;
mod watched;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as platform;
#[cfg(not(target_os = "linux"))]
mod portable;
#[cfg(not(target_os = "linux"))]
use portable as platform;

pub use child::{Child, ChildStderr, ChildStdin, ChildStdout, ExitStatus, Signal};
pub use confinement::{Confinement, Exceptions, Guarantee, Limits, Network, Protected, Relay};
pub use detached::{leave_session, spawn_detached};
pub use environment::Environment;
pub use error::SpawnError;
pub use laid::{may_be_laid, resolve};
pub use launch::{Launch, Level};
pub use platform::{RelayProgram, adopt_orphans, init_if_asked, kept, probe, set_init_program, set_relay_program};
pub use prepare::{Prepare, Prepared};
pub use probe::{Device, Host, Keeper, Kept, LANDLOCK, Tried, Unmet, Wall, keepers, unmet};
pub use runtimes::{FoundRuntime, Runtime, RuntimeKind, runtimes};
pub use stderr::StderrTail;
pub use watched::{Asked, SocketKind, Watch, Watched, Wish};
