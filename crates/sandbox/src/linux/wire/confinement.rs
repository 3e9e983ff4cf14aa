//! A confinement among what the gateway sends to the launcher.

use std::ffi::OsStr;
use std::path::PathBuf;

use super::{number, put as put_text, put_number, text};
use crate::{Confinement, Exceptions, Guarantee, Limits, Network, Protected, Relay, Runtime, RuntimeKind};

/// Writes it behind what is there.
pub(super) fn put(out: &mut Vec<u8>, confinement: Option<&Confinement>) -> Option<()> {
    put_number(out, u32::from(confinement.is_some()));
    let Some(confinement) = confinement else { return Some(()) };
    let Confinement {
        read_only,
        writable,
        protected,
        hidden,
        links,
        files,
        home,
        scratch,
        network,
        limits,
        exceptions,
        runtime,
        require,
        place,
    } = confinement;
    for paths in [read_only, writable, hidden] {
        put_number(out, u32::try_from(paths.len()).ok()?);
        paths.iter().try_for_each(|path| put_text(out, path.as_os_str()))?;
    }
    put_number(out, u32::try_from(protected.len()).ok()?);
    for Protected { name, directory } in protected {
        put_text(out, name.as_os_str())?;
        put_number(out, u32::from(*directory));
    }
    put_number(out, u32::try_from(links.len()).ok()?);
    for (from, to) in links {
        put_text(out, from.as_os_str())?;
        put_text(out, to.as_os_str())?;
    }
    put_number(out, u32::try_from(files.len()).ok()?);
    for (path, content) in files {
        put_text(out, path.as_os_str())?;
        put_text(out, OsStr::new(content))?;
    }
    put_path(out, home.as_ref())?;
    put_long(out, *scratch);
    match network {
        Network::None => put_number(out, 0),
        Network::Host => put_number(out, 1),
        Network::Relay(Relay { socket, told }) => {
            put_number(out, 2);
            put_text(out, socket.as_os_str())?;
            put_text(out, OsStr::new(told))?;
        }
    }
    let Limits { memory, pids, cpu, nofile, fsize } = limits;
    for limit in [memory, pids, cpu, nofile, fsize] {
        // No limit is 0.
        put_long(out, limit.unwrap_or(0));
    }
    let Exceptions { unix_sockets, netlink_route, namespaces } = exceptions;
    for exception in [unix_sockets, netlink_route, namespaces] {
        put_number(out, u32::from(*exception));
    }
    // The first kind is 1.
    let kind = runtime.as_ref().and_then(|runtime| RuntimeKind::ALL.iter().position(|kind| *kind == runtime.kind));
    put_number(out, kind.map_or(Some(0), |at| u32::try_from(at).ok()?.checked_add(1))?);
    put_text(out, runtime.as_ref().map_or(OsStr::new(""), |runtime| runtime.program.as_os_str()))?;
    put_number(out, u32::try_from(require.len()).ok()?);
    for guarantee in require {
        let (kind, version) = match guarantee {
            Guarantee::Landlock(version) => (0, *version),
            Guarantee::MemoryLimit => (1, 0),
            Guarantee::PidsLimit => (2, 0),
            Guarantee::CpuLimit => (3, 0),
            Guarantee::OwnNetwork => (4, 0),
            Guarantee::OwnKernel => (5, 0),
        };
        put_number(out, kind);
        put_number(out, version);
    }
    put_path(out, place.as_ref())
}

/// Reads what [`put`] wrote; the outer none if that is not what is there.
#[expect(clippy::option_option, reason = "a launch without one is as good as one with it")]
pub(super) fn take(rest: &mut &[u8]) -> Option<Option<Confinement>> {
    if !flag(rest)? {
        return Some(None);
    }
    let (read_only, writable, hidden) = (paths(rest)?, paths(rest)?, paths(rest)?);
    let protected = (0..number(rest)?).map(|_| Some(Protected { name: text(rest)?.into(), directory: flag(rest)? }));
    let protected = protected.collect::<Option<_>>()?;
    let links = (0..number(rest)?).map(|_| Some((text(rest)?.into(), text(rest)?.into()))).collect::<Option<_>>()?;
    let files = (0..number(rest)?).map(|_| Some((text(rest)?.into(), text(rest)?.into_string().ok()?)));
    let files = files.collect::<Option<_>>()?;
    let home = path(rest)?;
    let scratch = long(rest)?;
    let network = match number(rest)? {
        0 => Network::None,
        1 => Network::Host,
        2 => Network::Relay(Relay { socket: text(rest)?.into(), told: text(rest)?.into_string().ok()? }),
        _ => return None,
    };
    let mut limit = || Some(Some(long(rest)?).filter(|limit| *limit != 0));
    let limits = Limits { memory: limit()?, pids: limit()?, cpu: limit()?, nofile: limit()?, fsize: limit()? };
    let exceptions = Exceptions { unix_sockets: flag(rest)?, netlink_route: flag(rest)?, namespaces: flag(rest)? };
    let (kind, program) = (usize::try_from(number(rest)?).ok()?, PathBuf::from(text(rest)?));
    let runtime = match kind.checked_sub(1) {
        None => None,
        Some(at) => Some(Runtime { program, ..Runtime::usual(*RuntimeKind::ALL.get(at)?) }),
    };
    let require = (0..number(rest)?).map(|_| match (number(rest)?, number(rest)?) {
        (0, version) => Some(Guarantee::Landlock(version)),
        (1, _) => Some(Guarantee::MemoryLimit),
        (2, _) => Some(Guarantee::PidsLimit),
        (3, _) => Some(Guarantee::CpuLimit),
        (4, _) => Some(Guarantee::OwnNetwork),
        (5, _) => Some(Guarantee::OwnKernel),
        _ => None,
    });
    let require = require.collect::<Option<_>>()?;
    let place = path(rest)?;
    let confinement = Confinement {
        read_only,
        writable,
        protected,
        hidden,
        links,
        files,
        home,
        scratch,
        network,
        limits,
        exceptions,
        runtime,
        require,
        place,
    };
    Some(Some(confinement))
}

/// Writes a path that may be missing: none is empty.
fn put_path(out: &mut Vec<u8>, path: Option<&PathBuf>) -> Option<()> {
    put_text(out, path.map_or(OsStr::new(""), |path| path.as_os_str()))
}

#[expect(clippy::option_option, reason = "what is missing may be said properly or not at all")]
fn path(rest: &mut &[u8]) -> Option<Option<PathBuf>> {
    Some(Some(PathBuf::from(text(rest)?)).filter(|path| !path.as_os_str().is_empty()))
}

fn paths(rest: &mut &[u8]) -> Option<Vec<PathBuf>> {
    (0..number(rest)?).map(|_| text(rest).map(PathBuf::from)).collect()
}

fn flag(rest: &mut &[u8]) -> Option<bool> {
    Some(number(rest)? != 0)
}

fn put_long(out: &mut Vec<u8>, number: u64) {
    out.extend(number.to_le_bytes());
}

fn long(rest: &mut &[u8]) -> Option<u64> {
    let (number, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(u64::from_le_bytes(*number))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// One in which no field is as it is by default.
    pub(crate) fn full() -> Confinement {
        Confinement {
            read_only: vec!["/usr".into(), "/a b".into()],
            writable: vec!["/w".into()],
            protected: vec![
                Protected { name: ".git/hooks".into(), directory: true },
                Protected { name: ".mcp.json".into(), directory: false },
            ],
            hidden: vec!["/w/.ssh".into()],
            links: vec![("/bin".into(), "/usr/bin".into())],
            files: vec![("/etc/x.json".into(), "{\n}".to_owned())],
            home: Some("/home/x".into()),
            scratch: 1 << 40,
            network: Network::Relay(Relay { socket: "/run/x.sock".into(), told: "443 80".to_owned() }),
            limits: Limits { memory: Some(1 << 33), pids: Some(2), cpu: Some(3), nofile: Some(4), fsize: None },
            exceptions: Exceptions { unix_sockets: true, netlink_route: false, namespaces: true },
            runtime: Some(Runtime { program: "/opt/runsc".into(), ..Runtime::usual(RuntimeKind::Runsc) }),
            require: vec![Guarantee::Landlock(3), Guarantee::CpuLimit, Guarantee::OwnKernel],
            place: Some("/run/x".into()),
        }
    }
}
