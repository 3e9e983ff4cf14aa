//! A server in namespaces of its own, with nothing but what its profile names, and what may stand around it in there.
//!
//! Two processes stand between the gateway and the server. The *launcher* stays on the machine: it makes what has to
//! be made there (control groups, placeholders), watches, and takes it away in the end. The *first process* of the
//! sandbox builds its file system, starts the server and collects what ends. If it dies the kernel ends everything in
//! its namespace, and it dies with the launcher; so whatever is killed, nothing stays.
//!
//! Nothing of this is done by halves. Whatever step fails, the server does not start.

mod bundle;
pub(super) mod cgroup;
pub(super) mod filter;
pub(super) mod first;
pub(super) mod landlock;
mod launcher;
mod monitor;
mod placeholder;
pub(super) mod privileges;
mod relay;
pub(super) mod root;
mod sealed;

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

pub(super) use launcher::run;
pub use relay::{RelayProgram, set_relay_program};
pub(super) use sealed::run as run_sealed;

use super::wire::{self, Failure};
use crate::Confinement;

/// A step towards the sandbox that did not succeed.
type Failed = Failure;
type Step<T> = Result<T, Failed>;

impl Failure {
    fn new(step: &str, error: &io::Error) -> Self {
        // An error of a library carries a text instead of a number.
        let (step, error) = match error.raw_os_error() {
            Some(number) => (step.to_owned(), number),
            None => (format!("{step} ({error})"), 0),
        };
        Self::Confine { step, error }
    }

    fn at(step: &str, path: &Path, error: &io::Error) -> Self {
        Self::new(&format!("{step} {}", path.display()), error)
    }

    fn errno(step: &str, error: rustix::io::Errno) -> Self {
        Self::new(step, &error.into())
    }
}

/// What is done in the server's own process, last of all; after this it can only become the server.
pub(super) fn seal(confinement: &Confinement) -> io::Result<()> {
    seal_but_for_calls(confinement)?;
    filter::install(confinement.exceptions)
}

/// The same, where what the server asks the system for is looked at by whoever `watch` leads to.
pub(super) fn seal_watched(confinement: &Confinement, watch: &OwnedFd) -> io::Result<()> {
    seal_but_for_calls(confinement)?;
    // It is closed where the program is executed, as this copy is at the end of this.
    let listener = filter::install_watched(confinement.exceptions)?;
    wire::send_one(watch, &listener)
}

fn seal_but_for_calls(confinement: &Confinement) -> io::Result<()> {
    privileges::limit(&confinement.limits)?;
    privileges::drop_capabilities()?;
    landlock::restrict(confinement)
}
