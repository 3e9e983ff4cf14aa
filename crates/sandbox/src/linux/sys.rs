//! The few system calls that only `unsafe` reaches.

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::mount::MountAttrFlags;
use rustix::process::Pid;
use rustix::thread::UnshareFlags;

use super::watcher::Call;

/// Closes everything but stdin, stdout and stderr.
///
/// Only for a process that owns no other descriptor: one whose `main` has just begun.
pub(super) fn close_inherited() {
    let all = libc::c_uint::MAX;
    #[expect(unsafe_code, reason = "closes descriptors nobody told us about, which no safe interface offers")]
    // SAFETY: the caller is at the start of `main` with a single thread, so no object in this process owns a
    // descriptor above 2 yet; the call takes plain numbers and touches no memory.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, 3 as libc::c_uint, all, 0 as libc::c_uint) };
    if closed == 0 {
        return;
    }
    // Before Linux 5.9. The listing's own descriptor is closed by its drop; the second close then fails.
    let open: Vec<i32> = std::fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd > 2)
        .collect();
    for fd in open {
        #[expect(unsafe_code, reason = "as above")]
        // SAFETY: as above; the listing, the one descriptor this function opened, is dropped by now.
        unsafe {
            libc::close(fd)
        };
    }
}

/// Closes everything but this, and puts the null device in the place of stdin, stdout and stderr.
///
/// Only for a process that uses none of its other descriptors any more.
pub(super) fn keep_only(kept: impl AsFd) -> io::Result<()> {
    let null = std::fs::File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    drop(null);
    let kept = kept.as_fd().as_raw_fd().unsigned_abs();
    for (first, last) in [(3, kept.saturating_sub(1)), (kept.saturating_add(1), libc::c_uint::MAX)] {
        if first <= last {
            #[expect(unsafe_code, reason = "closes descriptors whose owners are in frames that are never returned to")]
            // SAFETY: the caller's process uses none of them any more, and ends without dropping their owners; the call
            // takes plain numbers and touches no memory.
            unsafe {
                libc::syscall(libc::SYS_close_range, first, last, 0 as libc::c_uint)
            };
        }
    }
    Ok(())
}

/// Blocks all signals and returns a descriptor from which those in `wanted` can be read.
fn receive_signals(wanted: &[libc::c_int]) -> io::Result<OwnedFd> {
    // A parent may have left SIGCHLD ignored, and then no exit status would ever arrive.
    set_default(libc::SIGCHLD);
    set_mask(&signal_set(|_| true)?)?;
    let wanted = signal_set(|signal| wanted.contains(&signal))?;
    #[expect(unsafe_code, reason = "neither std nor rustix has signalfd")]
    // SAFETY: `wanted` is an initialised set that outlives the call.
    let fd = unsafe { libc::signalfd(-1, &raw const wanted, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    #[expect(unsafe_code, reason = "takes ownership of the descriptor just made")]
    // SAFETY: signalfd has just returned it and nothing else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Blocks all signals, and returns the descriptor of those that a launcher and a first process wait for.
pub(super) fn wait_for_signals() -> io::Result<OwnedFd> {
    receive_signals(&[libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGHUP])
}

/// Reads what has arrived at [`wait_for_signals`]; true if something asks for the end.
pub(super) fn is_asked_to_end(signals: &OwnedFd) -> bool {
    let mut record = [0; size_of::<libc::signalfd_siginfo>()];
    let mut asked = false;
    while let Ok(got) = rustix::io::read(signals, &mut record)
        && got == record.len()
    {
        // A record begins with the signal's number.
        let number = record.first_chunk().copied().map(u32::from_ne_bytes);
        asked |= number != u32::try_from(libc::SIGCHLD).ok();
    }
    asked
}

/// Unblocks all signals and gives each its default action, as a new program expects them.
///
/// Safe to call between fork and exec: it allocates nothing and takes no lock.
pub(super) fn reset_signals() -> io::Result<()> {
    for signal in 1..=64 {
        // The C library's own two, SIGKILL and SIGSTOP refuse, and have no other action anyway.
        set_default(signal);
    }
    set_mask(&signal_set(|_| false)?)
}

/// Gives SIGCHLD its default action if a parent left it ignored.
pub(super) fn expect_children() {
    let mut now = MaybeUninit::<libc::sigaction>::uninit();
    #[expect(unsafe_code, reason = "std cannot ask for a signal's action")]
    // SAFETY: a null new action only asks; the old one is written to `now`, which has its type and size.
    let asked = unsafe { libc::sigaction(libc::SIGCHLD, std::ptr::null(), now.as_mut_ptr()) };
    if asked != 0 {
        return;
    }
    #[expect(unsafe_code, reason = "the call above filled it")]
    // SAFETY: sigaction succeeded, so it wrote the whole structure.
    let now = unsafe { now.assume_init() };
    if now.sa_sigaction == libc::SIG_IGN {
        set_default(libc::SIGCHLD);
    }
}

/// A copy of this process in new namespaces: in the copy none, in this process the copy's id.
///
/// Only for a process with a single thread.
pub(super) fn clone_into(namespaces: libc::c_int) -> io::Result<Option<Pid>> {
    let flags = libc::c_long::from(namespaces | libc::SIGCHLD);
    #[expect(unsafe_code, reason = "no safe interface makes a process in new namespaces")]
    // SAFETY: without CLONE_VM and with no stack given this is what fork does: the copy goes on here with memory of its
    // own. The caller has a single thread, so no lock can be held by one that does not exist in the copy.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0_usize, 0_usize, 0_usize, 0_usize) };
    match i32::try_from(pid) {
        Ok(pid) if pid >= 0 => Ok(Pid::from_raw(pid)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Leaves the namespaces named for new ones. Those of users and mounts only in a process with a single thread.
pub(super) fn unshare(namespaces: UnshareFlags) -> rustix::io::Result<()> {
    #[expect(unsafe_code, reason = "unsafe because of flags that this is not called with")]
    // SAFETY: with CLONE_FILES descriptors could be changed behind the back of their owners; the flags here are of
    // namespaces.
    unsafe {
        rustix::thread::unshare_unsafe(namespaces.difference(UnshareFlags::FILES))
    }
}

/// Sets attributes of a mount, and of all that is mounted below it if that is asked for.
pub(super) fn set_mount_attributes(mount: impl AsFd, attributes: MountAttrFlags, recursive: bool) -> io::Result<()> {
    let attr = libc::mount_attr { attr_set: attributes.bits().into(), attr_clr: 0, propagation: 0, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    let mount = mount.as_fd().as_raw_fd();
    #[expect(unsafe_code, reason = "neither std nor rustix has mount_setattr")]
    // SAFETY: the path is an empty string and the structure is initialised; both outlive the call, and the size is that
    // of the structure.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount,
            c"".as_ptr(),
            flags,
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Puts a filter on the system calls of this process and of all it starts. `no_new_privs` has to be set.
pub(super) fn filter_system_calls(program: &[libc::sock_filter]) -> io::Result<()> {
    let len = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    let mode = libc::SECCOMP_SET_MODE_FILTER;
    #[expect(unsafe_code, reason = "neither std nor rustix installs filters")]
    // SAFETY: `program` points to `len` instructions that outlive the call; the kernel copies and checks them, and
    // writes to none of them.
    let done = unsafe { libc::syscall(libc::SYS_seccomp, mode, 0 as libc::c_uint, &raw const program) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// As [`filter_system_calls`]; calls that the program asks about wait for whoever has the descriptor.
pub(super) fn watch_system_calls(program: &[libc::sock_filter]) -> io::Result<OwnedFd> {
    let len = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    let listen = |flags: libc::c_ulong| {
        let flags = libc::c_uint::try_from(flags | libc::SECCOMP_FILTER_FLAG_NEW_LISTENER).unwrap_or_default();
        #[expect(unsafe_code, reason = "neither std nor rustix installs filters")]
        // SAFETY: as in `filter_system_calls`; what is returned is a new descriptor or an error.
        unsafe {
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
        }
    };
    // Without it, which Linux has from 5.19 on, each signal that comes while a call waits has it begin anew.
    let mut made = listen(libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
    if made < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL) {
        made = listen(0);
    }
    let made = i32::try_from(made).ok().filter(|made| *made >= 0).ok_or_else(io::Error::last_os_error)?;
    #[expect(unsafe_code, reason = "takes ownership of the descriptor just made")]
    // SAFETY: the kernel has just returned it and nothing else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(made) })
}

/// Whether the kernel's records of calls that wait have the form that is read here.
pub(super) fn can_watch_system_calls() -> io::Result<()> {
    let mut sizes = libc::seccomp_notif_sizes { seccomp_notif: 0, seccomp_notif_resp: 0, seccomp_data: 0 };
    #[expect(unsafe_code, reason = "neither std nor rustix asks for them")]
    // SAFETY: the kernel writes one structure of this type, which outlives the call.
    let asked =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_NOTIF_SIZES, 0 as libc::c_uint, &raw mut sizes) };
    if asked != 0 {
        return Err(io::Error::last_os_error());
    }
    let known = usize::from(sizes.seccomp_notif) <= size_of::<libc::seccomp_notif>()
        && usize::from(sizes.seccomp_notif_resp) <= size_of::<libc::seccomp_notif_resp>();
    if known { Ok(()) } else { Err(io::ErrorKind::Unsupported.into()) }
}

/// The next call that waits; waits for one itself if there is none.
pub(super) fn next_call(listener: &OwnedFd) -> io::Result<Call> {
    let data = libc::seccomp_data { nr: 0, arch: 0, instruction_pointer: 0, args: [0; 6] };
    let mut call = libc::seccomp_notif { id: 0, pid: 0, flags: 0, data };
    #[expect(unsafe_code, reason = "neither std nor rustix receives them")]
    // SAFETY: the kernel writes one structure of at most this size (`can_watch_system_calls`), which is all zeroes as it
    // asks for and outlives the call.
    let got = unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut call) };
    if got != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Call { id: call.id, thread: call.pid, number: call.data.nr.into(), arguments: call.data.args })
}

/// Whether a call still waits for its answer, so that its thread is the one that called.
pub(super) fn is_call_waiting(listener: &OwnedFd, id: u64) -> bool {
    #[expect(unsafe_code, reason = "neither std nor rustix asks")]
    // SAFETY: the kernel reads one number, which outlives the call.
    let waits = unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const id) };
    waits == 0
}

/// Has a call go on as if nobody had been asked, or fail with an error.
pub(super) fn answer_call(listener: &OwnedFd, id: u64, error: Option<i32>) -> io::Result<()> {
    let flags = if error.is_none() { libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE } else { 0 };
    let flags = u32::try_from(flags).unwrap_or_default();
    let answer = libc::seccomp_notif_resp { id, val: 0, error: error.map_or(0, i32::wrapping_neg), flags };
    #[expect(unsafe_code, reason = "neither std nor rustix answers")]
    // SAFETY: the kernel reads one structure of this type, which is initialised and outlives the call.
    let sent = unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw const answer) };
    if sent == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The version of Landlock that this kernel offers; none if it has none, or it is switched off.
pub(super) fn landlock_version() -> Option<u32> {
    let no_rules = std::ptr::null::<libc::c_void>();
    #[expect(unsafe_code, reason = "the crate `landlock` does not tell the version")]
    // SAFETY: with this flag, no attributes and a size of 0 the kernel only answers with the version.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, no_rules, 0_usize, 1 as libc::c_uint) };
    u32::try_from(version).ok().filter(|version| *version > 0)
}

/// Starts the loopback interface of this process's network namespace, which is made stopped.
pub(super) fn start_loopback() -> io::Result<()> {
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None)?;
    let mut name: [libc::c_char; libc::IFNAMSIZ] = [0; libc::IFNAMSIZ];
    for (to, from) in name.iter_mut().zip(b"lo") {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    let flags = libc::c_short::try_from(libc::IFF_UP | libc::IFF_RUNNING).unwrap_or_default();
    let request = libc::ifreq { ifr_name: name, ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags: flags } };
    #[expect(unsafe_code, reason = "neither std nor rustix starts an interface")]
    // SAFETY: SIOCSIFFLAGS reads one `ifreq`, which is initialised, has a NUL-terminated name and outlives the call.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Runs `prepare` in the new process of `command`, just before the program would be executed.
///
/// Only for a process with a single thread.
pub(super) fn before_exec(command: &mut Command, prepare: impl FnMut() -> io::Result<()> + Send + Sync + 'static) {
    #[expect(unsafe_code, reason = "the only way to prepare a process between fork and exec")]
    // SAFETY: only the launcher calls this, and it has a single thread, so no lock, that of the allocator
    // included, can be held by a thread that does not exist in the new process.
    unsafe {
        command.pre_exec(prepare)
    };
}

/// Replaces this process's program; returns only if that fails.
///
/// Unlike std's it does not take a file of an unknown format for a shell script.
pub(super) fn execute(program: &CStr, args: &[CString], vars: &[CString]) -> io::Error {
    let pointers = |texts: &[CString]| -> Vec<*const libc::c_char> {
        texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (args, vars) = (pointers(args), pointers(vars));
    #[expect(unsafe_code, reason = "std's way asks the shell to run what the system refuses")]
    // SAFETY: the program and every string are NUL-terminated and outlive the call, as do the two lists,
    // each of which ends with a null pointer.
    unsafe {
        libc::execve(program.as_ptr(), args.as_ptr(), vars.as_ptr())
    };
    io::Error::last_os_error()
}

fn set_default(signal: libc::c_int) {
    #[expect(unsafe_code, reason = "neither std nor rustix sets a signal's action")]
    // SAFETY: SIG_DFL installs no handler, so no code of ours can ever run in a signal's context.
    unsafe {
        libc::signal(signal, libc::SIG_DFL)
    };
}

fn signal_set(holds: impl Fn(libc::c_int) -> bool) -> io::Result<libc::sigset_t> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    #[expect(unsafe_code, reason = "the C library's type has no safe constructor")]
    // SAFETY: sigemptyset initialises the set it is given.
    let made = unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    if made != 0 {
        return Err(io::Error::last_os_error());
    }
    #[expect(unsafe_code, reason = "the call above filled it")]
    // SAFETY: sigemptyset succeeded.
    let mut set = unsafe { set.assume_init() };
    for signal in (1..=64).filter(|signal| holds(*signal)) {
        #[expect(unsafe_code, reason = "as above")]
        // SAFETY: the set is initialised; a number the C library keeps for itself is refused with an error.
        unsafe {
            libc::sigaddset(&raw mut set, signal)
        };
    }
    Ok(set)
}

fn set_mask(set: &libc::sigset_t) -> io::Result<()> {
    #[expect(unsafe_code, reason = "neither std nor rustix sets the signal mask")]
    // SAFETY: the set is initialised and the old mask is not asked for.
    let done = unsafe { libc::sigprocmask(libc::SIG_SETMASK, set, std::ptr::null_mut()) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
