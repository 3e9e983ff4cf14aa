//! Which system calls name a path or an address, and where among their arguments.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use crate::watched::{Asked, SocketKind};

/// What a call names, in as far as its arguments say.
pub(super) enum Named {
    /// All of it.
    Plain(Asked),
    /// A path in the memory of whoever called; whether a link at its end is followed, in as far as the call says.
    Path { directory: Option<u64>, at: u64, how: fn(PathBuf) -> Asked, follows: bool },
    /// The address of a socket in that memory.
    Address { at: u64, length: u64 },
}

/// Where paths are among the arguments of a call: in which of them the directory is that they begin at, if they do at one,
/// and in which they are themselves.
struct Paths {
    number: libc::c_long,
    paths: &'static [(Option<usize>, usize)],
    how: How,
}

#[derive(Clone, Copy)]
enum How {
    Look,
    Execute,
    Change,
    /// As the flags say, which are in this argument.
    Flags(usize),
}

const fn of(number: libc::c_long, how: How, paths: &'static [(Option<usize>, usize)]) -> Paths {
    Paths { number, paths, how }
}

const FIRST: &[(Option<usize>, usize)] = &[(None, 0)];
const BESIDE: &[(Option<usize>, usize)] = &[(Some(0), 1)];
const BOTH_BESIDE: &[(Option<usize>, usize)] = &[(Some(0), 1), (Some(2), 3)];
const NEW_BESIDE: &[(Option<usize>, usize)] = &[(Some(2), 3)];
const SECOND_BESIDE: &[(Option<usize>, usize)] = &[(Some(1), 2)];
#[cfg(target_arch = "x86_64")]
const BOTH: &[(Option<usize>, usize)] = &[(None, 0), (None, 1)];
#[cfg(target_arch = "x86_64")]
const SECOND: &[(Option<usize>, usize)] = &[(None, 1)];

/// The C library's crate does not name it for every architecture.
#[cfg(target_arch = "x86_64")]
const RENAMEAT: libc::c_long = libc::SYS_renameat;
#[cfg(target_arch = "aarch64")]
const RENAMEAT: libc::c_long = 38;

const PATHS: &[Paths] = &[
    of(libc::SYS_openat, How::Flags(2), BESIDE),
    of(libc::SYS_execve, How::Execute, FIRST),
    of(libc::SYS_execveat, How::Execute, BESIDE),
    of(libc::SYS_newfstatat, How::Look, BESIDE),
    of(libc::SYS_statx, How::Look, BESIDE),
    of(libc::SYS_faccessat, How::Look, BESIDE),
    of(libc::SYS_faccessat2, How::Look, BESIDE),
    of(libc::SYS_readlinkat, How::Look, BESIDE),
    of(libc::SYS_chdir, How::Look, FIRST),
    of(libc::SYS_mkdirat, How::Change, BESIDE),
    of(libc::SYS_mknodat, How::Change, BESIDE),
    of(libc::SYS_unlinkat, How::Change, BESIDE),
    of(RENAMEAT, How::Change, BOTH_BESIDE),
    of(libc::SYS_renameat2, How::Change, BOTH_BESIDE),
    of(libc::SYS_linkat, How::Change, NEW_BESIDE),
    of(libc::SYS_symlinkat, How::Change, SECOND_BESIDE),
    of(libc::SYS_truncate, How::Change, FIRST),
    of(libc::SYS_fchmodat, How::Change, BESIDE),
    of(452, How::Change, BESIDE), // fchmodat2
    of(libc::SYS_fchownat, How::Change, BESIDE),
    of(libc::SYS_utimensat, How::Change, BESIDE),
    #[cfg(target_arch = "x86_64")]
    of(libc::SYS_open, How::Flags(1), FIRST),
    #[cfg(target_arch = "x86_64")]
    of(libc::SYS_creat, How::Change, FIRST),
    #[cfg(target_arch = "x86_64")]
    of(libc::SYS_stat, How::Look, FIRST),
    #[cfg(target_arch = "x86_64")]
    of(libc::SYS_lstat, How::Look, FIRST),
    #[cfg(target_arch = "x86_64")]
    of(libc::SYS_access, How::Look, FIRST),
    #[cfg(target_arch = "x86_64")]
    of(libc::SYS_readlink, How::Look, FIRST),
    #[cfg(target_arch = "x86_64")]
    of(libc::SYS_mkdir, How::Change, FIRST),
    #[cfg(target_arch = "x86_64")]
    of(libc::SYS_mknod, How::Change, FIRST),
    #[cfg(target_arch = "x86_64")]
    of(libc::SYS_rmdir, How::Change, FIRST),
    #[cfg(target_arch = "x86_64")]
    of(libc::SYS_unlink, How::Change, FIRST),
    #[cfg(target_arch = "x86_64")]
    of(libc::SYS_rename, How::Change, BOTH),
    #[cfg(target_arch = "x86_64")]
    of(libc::SYS_link, How::Change, SECOND),
    #[cfg(target_arch = "x86_64")]
    of(libc::SYS_symlink, How::Change, SECOND),
    #[cfg(target_arch = "x86_64")]
    of(libc::SYS_chmod, How::Change, FIRST),
    #[cfg(target_arch = "x86_64")]
    of(libc::SYS_chown, How::Change, FIRST),
    #[cfg(target_arch = "x86_64")]
    of(libc::SYS_lchown, How::Change, FIRST),
];

/// The numbers of all calls that are looked at because of what they name.
pub(super) fn numbers() -> impl Iterator<Item = libc::c_long> {
    PATHS.iter().map(|call| call.number).chain([libc::SYS_connect])
}

/// What a call names.
pub(super) fn named(number: i64, arguments: &[u64; 6]) -> Vec<Named> {
    let argument = |at: usize| arguments.get(at).copied().unwrap_or(0);
    if let Some(call) = PATHS.iter().find(|call| call.number == number) {
        let follows = !matches!(call.how, How::Change);
        let how = how(call.how, argument);
        let path = |(directory, at): &(Option<usize>, usize)| Named::Path {
            directory: directory.map(argument),
            at: argument(*at),
            how,
            follows,
        };
        return call.paths.iter().map(path).collect();
    }
    let plain = match number {
        libc::SYS_connect => return vec![Named::Address { at: argument(1), length: argument(2) & 0xffff }],
        libc::SYS_socket => Asked::Socket(socket(argument(0), argument(2))),
        libc::SYS_clone | libc::SYS_unshare | libc::SYS_chroot => Asked::Namespaces,
        _ => return Vec::new(),
    };
    vec![Named::Plain(plain)]
}

fn how(how: How, argument: impl Fn(usize) -> u64) -> fn(PathBuf) -> Asked {
    let flag = |flags: u64, flag: libc::c_int| flags & u64::from(flag.unsigned_abs()) != 0;
    match how {
        How::Look => Asked::Look,
        How::Execute => Asked::Execute,
        How::Change => Asked::Change,
        How::Flags(at) => {
            let flags = argument(at);
            let changes = [libc::O_WRONLY, libc::O_RDWR, libc::O_CREAT, libc::O_TRUNC];
            match () {
                () if changes.iter().any(|one| flag(flags, *one)) => Asked::Change,
                () if flag(flags, libc::O_PATH) => Asked::Look,
                () if flag(flags, libc::O_DIRECTORY) => Asked::List,
                () => Asked::Read,
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the kernel reads the lower halves, too")]
fn socket(family: u64, protocol: u64) -> SocketKind {
    let is = |family: libc::c_int, number: u64| family.unsigned_abs() == number as u32;
    match family {
        family if is(libc::AF_UNIX, family) => SocketKind::Unix,
        family if is(libc::AF_NETLINK, family) && is(libc::NETLINK_ROUTE, protocol) => SocketKind::Route,
        family => SocketKind::Other(family as u32),
    }
}

/// An address as it is written; none if it is of another family.
pub(super) fn address(bytes: &[u8]) -> Option<Asked> {
    let (family, rest) = bytes.split_first_chunk()?;
    let family = libc::c_int::from(u16::from_ne_bytes(*family));
    let written = match family {
        libc::AF_UNIX => {
            // A name without a file begins with a zero.
            let (mark, name) = match rest {
                [0, name @ ..] => ("@", name),
                name => ("", name.split(|byte| *byte == 0).next().unwrap_or_default()),
            };
            format!("unix:{mark}{}", String::from_utf8_lossy(name))
        }
        libc::AF_INET => {
            let (port, rest) = rest.split_first_chunk()?;
            let (address, _) = rest.split_first_chunk::<4>()?;
            SocketAddr::new(Ipv4Addr::from(*address).into(), u16::from_be_bytes(*port)).to_string()
        }
        libc::AF_INET6 => {
            let (port, rest) = rest.split_first_chunk()?;
            let (address, _) = rest.get(4..)?.split_first_chunk::<16>()?;
            SocketAddr::new(Ipv6Addr::from(*address).to_canonical(), u16::from_be_bytes(*port)).to_string()
        }
        _ => return None,
    };
    Some(Asked::Connect(written))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(number: libc::c_long, arguments: [u64; 6]) -> Option<Asked> {
        match named(number, &arguments).into_iter().next()? {
            Named::Plain(asked) => Some(asked),
            Named::Path { how, .. } => Some(how("/x".into())),
            Named::Address { .. } => None,
        }
    }

    #[test]
    fn calls_say_what_is_done_with_what_they_name() {
        let open = |flags: libc::c_int| first(libc::SYS_openat, [0, 0, u64::from(flags.unsigned_abs()), 0, 0, 0]);
        assert_eq!(open(libc::O_RDONLY | libc::O_CLOEXEC), Some(Asked::Read("/x".into())));
        assert_eq!(open(libc::O_RDONLY | libc::O_DIRECTORY), Some(Asked::List("/x".into())));
        assert_eq!(open(libc::O_PATH | libc::O_DIRECTORY), Some(Asked::Look("/x".into())));
        for flags in [libc::O_WRONLY, libc::O_RDWR, libc::O_RDONLY | libc::O_CREAT, libc::O_TRUNC] {
            assert_eq!(open(flags), Some(Asked::Change("/x".into())), "{flags:x}");
        }
        let high = 0xdead_beef_0000_0000;
        for (arguments, expected) in [
            ([1, 1, 0, 0, 0, 0], SocketKind::Unix),
            ([high | 1, 1, 0, 0, 0, 0], SocketKind::Unix),
            ([16, 3, 0, 0, 0, 0], SocketKind::Route),
            ([16, 3, 9, 0, 0, 0], SocketKind::Other(16)),
            ([2, 3, 0, 0, 0, 0], SocketKind::Other(2)),
        ] {
            assert_eq!(first(libc::SYS_socket, arguments), Some(Asked::Socket(expected)), "{arguments:x?}");
        }
        assert_eq!(first(libc::SYS_read, [0; 6]), None);
        let both = named(libc::SYS_renameat2, &[3, 10, 4, 11, 0, 0]);
        let places: Vec<_> = both
            .iter()
            .map(|named| match named {
                Named::Path { directory, at, .. } => (*directory, *at),
                _ => panic!("a path was named"),
            })
            .collect();
        assert_eq!(places, [(Some(3), 10), (Some(4), 11)]);
    }

    #[test]
    fn no_number_stands_twice() {
        let mut all: Vec<_> = numbers().collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn addresses_are_written_as_one_knows_them_and_cut_ones_are_none() {
        let family = |family: libc::c_int| u16::try_from(family).unwrap().to_ne_bytes().to_vec();
        let check = |bytes: Vec<u8>, expected: Option<&str>| {
            assert_eq!(address(&bytes), expected.map(|text| Asked::Connect(text.to_owned())), "{bytes:?}");
        };
        check([family(libc::AF_INET), vec![1, 0xbb, 192, 0, 2, 1, 0, 0]].concat(), Some("192.0.2.1:443"));
        check([family(libc::AF_INET), vec![1, 0xbb, 192, 0]].concat(), None);
        let v6 = [vec![0, 80, 0, 0, 0, 0], vec![0x20, 1, 0xd, 0xb8], vec![0; 11], vec![1]].concat();
        check([family(libc::AF_INET6), v6].concat(), Some("[2001:db8::1]:80"));
        check([family(libc::AF_UNIX), b"/run/x.sock\0more".to_vec()].concat(), Some("unix:/run/x.sock"));
        check([family(libc::AF_UNIX), b"\0name".to_vec()].concat(), Some("unix:@name"));
        check(family(libc::AF_VSOCK), None);
        check(vec![1], None);
        check(Vec::new(), None);
    }
}
