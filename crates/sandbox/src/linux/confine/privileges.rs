//! What the server's process gives up before it becomes the server.
//!
//! Threat: inside a user namespace a process has all capabilities over it, and a program with the set-user-ID bit may
//! get more. Without capabilities, and with `no_new_privs`, neither the namespace nor any program can give any.

use std::io;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets};

use crate::Limits;

/// More capabilities than any kernel has so far; those it does not know end the search.
const MOST: u32 = 64;

/// So many timers and signals a server may have waiting, and so many bytes in queues of messages.
const SIGNALS: u64 = 1024;
const QUEUED: u64 = 64 << 10;

/// Gives up all capabilities for good.
pub(in crate::linux) fn drop_capabilities() -> io::Result<()> {
    rustix::thread::clear_ambient_capability_set()?;
    let bits = CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::NO_SETUID_FIXUP
        | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
        | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
    rustix::thread::set_capabilities_secure_bits(bits)?;
    for number in 0..MOST {
        match rustix::thread::remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)) {
            Ok(()) => {}
            Err(Errno::INVAL) => break,
            Err(error) => return Err(error.into()),
        }
    }
    let none = CapabilitySet::empty();
    rustix::thread::set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    Ok(rustix::thread::set_no_new_privs(true)?)
}

/// Sets the limits that belong to a process. `pids` holds only where the user is not root.
pub(super) fn limit(limits: &Limits) -> io::Result<()> {
    let wanted = [
        (Resource::Core, Some(0)),
        // Timers and signals that wait, and messages in queues: the kernel counts them for each user of the machine, too.
        (Resource::Sigpending, Some(SIGNALS)),
        (Resource::Msgqueue, Some(QUEUED)),
        (Resource::Nofile, limits.nofile),
        (Resource::Fsize, limits.fsize),
        (Resource::Nproc, limits.pids),
    ];
    for (resource, value) in wanted {
        let Some(value) = value else { continue };
        // Without capabilities a limit can only be lowered.
        let value = getrlimit(resource).maximum.map_or(value, |maximum| value.min(maximum));
        setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })?;
    }
    Ok(())
}
