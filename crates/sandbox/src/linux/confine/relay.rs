//! The relay beside a server: the one process in its network that leads out, to somebody who decides.
//!
//! Threat: a program that is to reach one host would be given the whole network for it. So its network stays without a
//! way out, and what it connects to is a process of ours that passes bytes to a socket. The server cannot signal it,
//! and would gain nothing by it: everything is decided on the other side.
//!
//! What the relay does is not this crate's business: the program hands it in, before anything else.

use std::io;
use std::path::Path;
use std::process::exit;
use std::sync::OnceLock;

use rustix::process::Signal;

use super::{Failed, Step, filter, privileges};
use crate::linux::sys;
use crate::{Exceptions, Relay};

/// Where the socket is seen in the sandbox.
pub(super) const SOCKET: &str = "/run/bartizan/egress.sock";

/// Listens in the sandbox's network, for what leads to the socket of that path; then serves until it is killed.
///
/// It is called with all rights over that network, and what it returns is called without any. The text is
/// [`Relay::told`].
pub type RelayProgram = fn(socket: &Path, told: &str) -> io::Result<Box<dyn FnOnce()>>;

static PROGRAM: OnceLock<RelayProgram> = OnceLock::new();

/// Names what relays do. Before [`init_if_asked`](crate::init_if_asked), in the same `main`; the first call holds.
pub fn set_relay_program(program: RelayProgram) {
    PROGRAM.set(program).ok();
}

/// Starts the relay, and returns once it listens.
pub(super) fn start(relay: &Relay) -> Step<()> {
    let failed = |error: io::Error| Failed::new("start the relay to the outside", &error);
    let program = PROGRAM.get().ok_or_else(|| failed(io::Error::other("this program has none")))?;
    let (mut ready, mut word) = io::pipe().map_err(failed)?;
    let copy = sys::clone_into(0).map_err(failed)?;
    if copy.is_none() {
        drop(ready);
        let failure = run(*program, relay, &mut word).err();
        // Without a word the other side knows that it failed, and this is why, if anybody still listens.
        if let Some(error) = failure {
            io::Write::write_all(&mut word, error.to_string().as_bytes()).ok();
        }
        exit(1)
    }
    drop(word);
    let mut said = String::new();
    io::Read::read_to_string(&mut ready, &mut said).map_err(failed)?;
    if said == READY { Ok(()) } else { Err(failed(io::Error::other(said))) }
}

/// What the relay says before it closes its end.
const READY: &str = "ready";

fn run(program: RelayProgram, relay: &Relay, word: &mut io::PipeWriter) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    rustix::thread::set_name(c"bartizan-relay")?;
    // As the server is, so that it is asked to end as the server is.
    rustix::process::setsid()?;
    // Neither the server's streams nor what leads to the gateway: whoever waits for their end would wait for this.
    sys::keep_only(&*word)?;
    sys::reset_signals()?;
    let serve = program(Path::new(SOCKET), &relay.told)?;
    privileges::drop_capabilities()?;
    filter::install(Exceptions { unix_sockets: true, ..Exceptions::default() })?;
    io::Write::write_all(word, READY.as_bytes())?;
    // The other side reads to the end.
    let closed = std::mem::replace(word, io::pipe()?.1);
    drop(closed);
    serve();
    Ok(())
}
