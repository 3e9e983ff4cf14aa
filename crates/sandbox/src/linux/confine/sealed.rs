//! The server's process in a container, before it becomes the server: it puts on itself what the process level would.
//!
//! Threat: a runtime compiles filters of system calls from names, by a library that knows those of its day, and has no
//! word for all that is newer; and it knows nothing of Landlock. So what the runtime executes is this program, which
//! makes sure that every right is gone, seals itself, and executes the server.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::exit;
use std::time::Duration;

use rustix::thread::{CapabilitySet, capabilities, capability_is_in_bounding_set, no_new_privs};

use super::{filter, landlock, monitor, privileges};
use crate::Confinement;
use crate::linux::server::Image;
use crate::linux::wire::{self, Plan};
use crate::linux::{ARGUMENT, NOTHING, SEALED, SEALED_ONLY};

/// What shells answer where a program is there and cannot be executed.
const NOT_EXECUTED: i32 = 126;

/// The words by which the server's process starts as this program, before the server's own; for a trial it ends before it
/// becomes the server.
pub(in crate::linux) fn arguments(confinement: &Confinement, program: &Path, trial: bool) -> Option<Vec<String>> {
    // What of it is needed inside, and nothing that is not the server's to know.
    let inside = Confinement {
        writable: confinement.writable.clone(),
        home: confinement.home.clone(),
        limits: confinement.limits.clone(),
        exceptions: confinement.exceptions,
        ..Confinement::default()
    };
    let told: String = wire::encode_confinement(&inside)?.iter().map(|byte| format!("{byte:02x}")).collect();
    let how = if trial { SEALED_ONLY } else { SEALED };
    Some(vec![monitor::SEAL.into(), ARGUMENT.into(), how.into(), told, program.to_str()?.to_owned()])
}

/// The words by which this program takes the server's place for a trial where it has nothing to seal.
pub(in crate::linux) fn nothing() -> Vec<String> {
    vec![monitor::SEAL.into(), ARGUMENT.into(), NOTHING.into()]
}

/// Seals this process and becomes the server, unless that is only tried.
pub(in crate::linux) fn run(trial: bool) -> ! {
    let mut words = std::env::args_os().skip(3);
    let error = match (words.next().and_then(|told| read(&told)), words.next(), words.next()) {
        (Some(confinement), Some(program), Some(name)) => {
            let program = PathBuf::from(program);
            become_server(&confinement, &program, (name, words.collect()), trial)
        }
        _ => io::Error::other("this argument is for internal use only"),
    };
    eprintln!("bartizan: the server could not be started in its container: {error}");
    exit(NOT_EXECUTED)
}

fn become_server(
    confinement: &Confinement,
    program: &Path,
    (name, args): (OsString, Vec<OsString>),
    trial: bool,
) -> io::Error {
    let (vars, cwd, grace) = (std::env::vars_os().collect(), None, Duration::ZERO);
    let image = Image::new(program, Plan { program: name, args, vars, cwd, grace, confinement: None, trial });
    let sealed = image.and_then(|image| {
        is_without_rights()?;
        privileges::limit(&confinement.limits)?;
        landlock::restrict(confinement)?;
        filter::install(confinement.exceptions)?;
        Ok(image)
    });
    match sealed {
        Ok(_) if trial => exit(0),
        Ok(image) => image.execute(),
        Err(error) => error,
    }
}

/// That the runtime has done what it was told.
fn is_without_rights() -> io::Result<()> {
    let sets = capabilities(None)?;
    let held = sets.effective | sets.permitted | sets.inheritable;
    // A number that the kernel does not know is an error, and the end of those that it does.
    let bound = (0..64)
        .any(|number| capability_is_in_bounding_set(CapabilitySet::from_bits_retain(1 << number)).unwrap_or_default());
    if !held.is_empty() || bound {
        return Err(io::Error::other("the runtime has left it capabilities"));
    }
    if no_new_privs()? { Ok(()) } else { Err(io::Error::other("the runtime has left it a way to new privileges")) }
}

/// Reads what [`arguments`] wrote.
fn read(told: &OsString) -> Option<Confinement> {
    let pairs = told.as_bytes().chunks(2);
    let bytes: Option<Vec<u8>> = pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()).collect();
    wire::decode_confinement(&bytes?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Exceptions, Limits, Network, Relay};

    #[test]
    fn what_the_server_is_held_by_arrives_and_nothing_else() {
        let confinement = Confinement {
            writable: vec!["/w ö".into()],
            home: Some("/home/x".into()),
            limits: Limits { nofile: Some(7), ..Limits::default() },
            exceptions: Exceptions { unix_sockets: true, ..Exceptions::default() },
            network: Network::Relay(Relay { socket: "/s".into(), told: "a token".into() }),
            hidden: vec!["/secret".into()],
            ..Confinement::default()
        };
        let words = arguments(&confinement, Path::new("/usr/bin/node"), false).unwrap();
        assert_eq!(words[4], "/usr/bin/node");
        let read = read(&OsString::from(&words[3])).unwrap();
        let expected = Confinement { network: Network::None, hidden: Vec::new(), ..confinement };
        assert_eq!(read, expected);
    }

    #[test]
    fn nonsense_is_refused() {
        for told in ["", "0", "zz", "01", "ö", "0100000001"] {
            assert_eq!(read(&OsString::from(told)), None, "{told}");
        }
    }
}
