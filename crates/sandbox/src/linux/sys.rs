//! The few system calls that only `unsafe` reaches.

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

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

/// Blocks all signals and returns a descriptor from which those in `wanted` can be read.
pub(super) fn receive_signals(wanted: &[libc::c_int]) -> io::Result<OwnedFd> {
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
