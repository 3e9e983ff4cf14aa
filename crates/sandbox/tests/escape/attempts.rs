//! The attempts, as a hostile server would make them. Each says on its output how it went.

use std::ffi::CString;
use std::process::ExitCode;

/// Ends with 0 if the attempt succeeded.
pub(crate) fn play(role: &str, args: &[String]) -> ExitCode {
    let text = |index: usize| args.get(index).cloned().unwrap_or_default();
    let done = match role {
        "call" => call(&text(0)),
        other => panic!("no such role: {other} {args:?}"),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Makes one system call that no server needs, in the form in which it would succeed.
#[expect(unsafe_code, reason = "hostile servers are not written in safe Rust")]
fn call(name: &str) -> std::io::Result<()> {
    let text = |text: &str| CString::new(text).unwrap();
    let (empty, tmp) = (text(""), text("/tmp"));
    let mut room = [0u8; 256];
    let room = room.as_mut_ptr();
    // SAFETY: the calls get numbers, NUL-terminated strings and room for what they write, all alive until they return.
    let result = unsafe {
        match name {
            "unshare-user" => libc::syscall(libc::SYS_unshare, libc::CLONE_NEWUSER),
            "userfaultfd" => libc::syscall(libc::SYS_userfaultfd, 1),
            "io_uring" => libc::syscall(libc::SYS_io_uring_setup, 1, room),
            "bpf" => libc::syscall(libc::SYS_bpf, 0, room, 0),
            "keyctl" => libc::syscall(libc::SYS_keyctl, 0, -3, 0),
            "add_key" => libc::syscall(libc::SYS_add_key, text("user").as_ptr(), text("k").as_ptr(), tmp.as_ptr(), 4, -3),
            "ptrace" => libc::syscall(libc::SYS_ptrace, libc::PTRACE_TRACEME, 0, 0, 0),
            "process_vm_readv" => {
                let local = libc::iovec { iov_base: room.cast(), iov_len: 8 };
                let pid = libc::getpid();
                libc::syscall(libc::SYS_process_vm_readv, pid, &raw const local, 1, &raw const local, 1, 0)
            }
            "perf" => libc::syscall(libc::SYS_perf_event_open, room, 0, -1, -1, 0),
            "name_to_handle" => {
                room.cast::<u32>().write(128);
                libc::syscall(libc::SYS_name_to_handle_at, libc::AT_FDCWD, tmp.as_ptr(), room, room.add(200), 0)
            }
            "mount" => libc::syscall(libc::SYS_mount, text("none").as_ptr(), tmp.as_ptr(), text("tmpfs").as_ptr(), 0, 0),
            "open_tree" => libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, tmp.as_ptr(), 0),
            "fsopen" => libc::syscall(libc::SYS_fsopen, text("tmpfs").as_ptr(), 0),
            "chroot" => libc::syscall(libc::SYS_chroot, tmp.as_ptr()),
            "personality" => libc::syscall(libc::SYS_personality, 0xffff_ffff_u32),
            "sethostname" => libc::syscall(libc::SYS_sethostname, empty.as_ptr(), 0),
            "socket-unix" => i64::from(libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0)),
            "socket-vsock" => i64::from(libc::socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0)),
            "socket-netlink" => i64::from(libc::socket(libc::AF_NETLINK, libc::SOCK_RAW, 0)),
            "socket-packet" => i64::from(libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0)),
            "socket-raw" => i64::from(libc::socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP)),
            "clone-user" => clone(libc::CLONE_NEWUSER | libc::SIGCHLD),
            "clone-plain" => clone(libc::SIGCHLD),
            "clone3-user" => {
                let mut arguments = [0u64; 8];
                arguments[0] = libc::CLONE_NEWUSER as u64;
                arguments[4] = libc::SIGCHLD as u64;
                leave_if_copy(libc::syscall(libc::SYS_clone3, arguments.as_ptr(), 64))
            }
            "socket-inet" => i64::from(libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0)),
            other => panic!("no such call: {other}"),
        }
    };
    if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}

#[expect(unsafe_code, reason = "as above")]
fn clone(flags: libc::c_int) -> i64 {
    // SAFETY: without CLONE_VM this is a fork, and this program has one thread.
    leave_if_copy(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })
}

#[expect(unsafe_code, reason = "as above")]
fn leave_if_copy(result: i64) -> i64 {
    if result == 0 {
        // SAFETY: ends the copy at once.
        unsafe { libc::_exit(0) };
    }
    result
}
