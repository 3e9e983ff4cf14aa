//! What the kernel counts for each user of the machine, so that one server could take all that the user has; and what holds up
//! others who only wait.

use std::fs::{self, File, FileTimes};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, SystemTime};

use bartizan_sandbox::{ExitStatus, Protected};

use crate::support::{Machine, confined, confinement, own_kernel, role, run, sh};

/// Plays one of the attempts below; none if it is none of them.
pub(crate) fn play(role: &str, args: &[String]) -> Option<io::Result<()>> {
    let first = args.first().map(String::as_str).unwrap_or_default();
    let many = || first.parse().unwrap();
    Some(match role {
        "watches" => many_watches(many()),
        "timers" => many_timers(many()),
        "pair" => pair(first, args.get(1).map(Path::new)),
        "lease" => lease(Path::new(first)),
        _ => return None,
    })
}

fn many_watches(count: usize) -> io::Result<()> {
    let flags = rustix::fs::inotify::CreateFlags::CLOEXEC;
    let all: Result<Vec<_>, _> = (0..count).map(|_| rustix::fs::inotify::init(flags)).collect();
    Ok(all.map(drop)?)
}

#[expect(unsafe_code, reason = "hostile servers are not written in safe Rust")]
fn many_timers(count: usize) -> io::Result<()> {
    (0..count).try_for_each(|_| {
        let mut timer: libc::timer_t = std::ptr::null_mut();
        // SAFETY: no event is the usual one, and the timer's number has room.
        let done = unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, std::ptr::null_mut(), &raw mut timer) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    })
}

/// A pair of sockets, of which one end speaks to somebody else, if anybody is named.
#[expect(unsafe_code, clippy::multiple_unsafe_ops_per_block, reason = "as above")]
fn pair(kind: &str, to: Option<&Path>) -> io::Result<()> {
    let kind = if kind == "stream" { libc::SOCK_STREAM } else { libc::SOCK_DGRAM };
    let mut pair = [0; 2];
    // SAFETY: there is room for two descriptors.
    if unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, pair.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let Some(to) = to else { return Ok(()) };
    // SAFETY: zeros are a valid address, and the size passed is its own.
    let sent = unsafe {
        let mut address: libc::sockaddr_un = std::mem::zeroed();
        address.sun_family = libc::sa_family_t::try_from(libc::AF_UNIX).unwrap();
        for (place, byte) in address.sun_path.iter_mut().zip(to.as_os_str().as_bytes()) {
            *place = byte.cast_signed();
        }
        let size = libc::socklen_t::try_from(size_of_val(&address)).unwrap();
        libc::sendto(pair[0], c"x".as_ptr().cast(), 1, 0, (&raw const address).cast(), size)
    };
    if sent == 1 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[expect(unsafe_code, reason = "as above")]
fn lease(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    // SAFETY: takes plain numbers.
    let done = unsafe { libc::fcntl(std::os::fd::AsRawFd::as_raw_fd(&file), libc::F_SETLEASE, libc::F_RDLCK) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

pub(crate) async fn what_the_kernel_counts_for_each_user_is_bounded() {
    // Another kernel counts for itself.
    if own_kernel() {
        return;
    }
    let machine = Machine::new();
    for (attempt, fits, much) in [("watches", "8", "24"), ("timers", "100", "2000")] {
        let (status, said) = run(&role(attempt, &[much])).await;
        assert_eq!(status, ExitStatus::Code(0), "the control of {attempt}: {said}");
        for (count, expected) in [(fits, 0), (much, 1)] {
            let (status, said) = run(&confined(role(attempt, &[count]), confinement(&machine))).await;
            assert_eq!(status, ExitStatus::Code(expected), "{count} {attempt}: {said}");
        }
    }
}

pub(crate) async fn a_pair_of_sockets_speaks_to_nobody_else() {
    if own_kernel() {
        return;
    }
    let machine = Machine::new();
    let path = machine.work.join("daemon.sock");
    let daemon = UnixDatagram::bind(&path).unwrap();
    daemon.set_nonblocking(true).unwrap();
    let heard = || daemon.recv(&mut [0; 8]).is_ok();
    let attempt = || role("pair", &["datagrams", path.to_str().unwrap()]);
    assert_eq!(run(&attempt()).await.0, ExitStatus::Code(0));
    assert!(heard(), "the control");
    let (status, said) = run(&confined(attempt(), confinement(&machine))).await;
    assert!(status == ExitStatus::Code(1) && said.contains("not permitted") && !heard(), "{said}");
    // Who may have sockets may have these, and reaches what lies where it sees it.
    let mut walls = confinement(&machine);
    walls.exceptions.unix_sockets = true;
    assert_eq!(run(&confined(attempt(), walls)).await.0, ExitStatus::Code(0));
    assert!(heard());
    let (status, said) = run(&confined(role("pair", &["stream"]), confinement(&machine))).await;
    assert_eq!(status, ExitStatus::Code(0), "a pair that reaches itself alone: {said}");
}

pub(crate) async fn nobody_waits_for_a_file_that_is_only_read() {
    if own_kernel() {
        return;
    }
    let machine = Machine::new();
    let secret = machine.outside.join("secret");
    let attempt = || role("lease", &[secret.to_str().unwrap()]);
    let (status, said) = run(&attempt()).await;
    assert_eq!(status, ExitStatus::Code(0), "the control: {said}");
    let mut walls = confinement(&machine);
    walls.read_only.push(secret.clone());
    let (status, said) = run(&confined(attempt(), walls)).await;
    assert!(status == ExitStatus::Code(1) && said.contains("not permitted"), "{said}");
}

pub(crate) async fn what_somebody_else_has_locked_holds_no_start_up() {
    let machine = Machine::new();
    let path = machine.work.join(".mcp.json");
    fs::write(&path, "{}").unwrap();
    let file = File::options().read(true).write(true).open(&path).unwrap();
    // As a placeholder is known.
    let made = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_007);
    file.set_times(FileTimes::new().set_modified(made)).unwrap();
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let mut walls = confinement(&machine);
    walls.protected = vec![Protected { name: ".mcp.json".into(), directory: false }];
    let launch = confined(sh("echo started"), walls);
    let refused = launch.spawn().await.unwrap_err().to_string();
    assert!(refused.contains(".mcp.json") && refused.contains("another program has a lock on it"), "{refused}");
    drop(file);
    assert_eq!(run(&launch).await, (ExitStatus::Code(0), "started\n".to_owned()));
}
