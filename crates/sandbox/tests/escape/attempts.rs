//! The attempts, as a hostile server would make them. Each says on its output how it went.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::AsRawFd as _;
use std::process::{Command, ExitCode};
use std::time::Duration;

use crate::ipc;

/// Ends with 0 if the attempt succeeded.
pub(crate) fn play(role: &str, args: &[String]) -> ExitCode {
    let text = |index: usize| args.get(index).cloned().unwrap_or_default();
    let done = match role {
        "call" => call(&text(0)),
        // What changes the machine is tried on a copy of it.
        "call-on-a-copy" => copy_of_the_machine().and_then(|()| call(&text(0))),
        "fork-bomb" => fork_bomb(),
        "memory" => take_memory(text(0).parse().unwrap()),
        "fill" => fill(&text(0), text(1).parse().unwrap()),
        "inodes" => many_files(&text(0), text(1).parse().unwrap()),
        "descriptors" => many_descriptors(text(0).parse().unwrap()),
        "connect" => std::net::TcpStream::connect_timeout(&text(0).parse().unwrap(), Duration::from_secs(5)).map(drop),
        "unix" => unix(&text(0)),
        "ask" => ask(&text(0), &text(1)),
        "int80" => int80(),
        "x32" => x32(),
        "inject" => inject(),
        "handle" => handle(&text(0)),
        "open-handle" => open_handle(&text(0), &text(1)),
        "say" => say(&text(0), &text(1), &text(2)),
        "agent" => agent(&text(0)),
        "read-queue" => ipc::read(&text(0), &text(1)),
        other => crate::counts::play(other, args).unwrap_or_else(|| panic!("no such role: {other} {args:?}")),
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
#[expect(unsafe_code, clippy::multiple_unsafe_ops_per_block, reason = "hostile servers are not written in safe Rust")]
fn call(name: &str) -> io::Result<()> {
    let text = |text: &str| CString::new(text).unwrap();
    let tmp = text("/tmp");
    let mut room = [0u8; 256];
    let room = room.as_mut_ptr();
    // SAFETY: the calls get numbers, NUL-terminated strings and room for what they write, all alive until they return.
    let result = unsafe {
        match name {
            "unshare-user" => libc::syscall(libc::SYS_unshare, libc::CLONE_NEWUSER),
            "userfaultfd" => libc::syscall(libc::SYS_userfaultfd, 1),
            "io_uring" => libc::syscall(libc::SYS_io_uring_setup, 1, room),
            // A map of one pair of numbers.
            "bpf" => {
                [2_u32, 4, 4, 1].iter().enumerate().for_each(|(at, value)| room.cast::<u32>().add(at).write(*value));
                libc::syscall(libc::SYS_bpf, 0, room, 64)
            }
            "keyctl" => libc::syscall(libc::SYS_keyctl, 0, -3, 0),
            "add_key" => {
                libc::syscall(libc::SYS_add_key, text("user").as_ptr(), text("k").as_ptr(), tmp.as_ptr(), 4, -3)
            }
            "ptrace" => libc::syscall(libc::SYS_ptrace, libc::PTRACE_TRACEME, 0, 0, 0),
            "process_vm_readv" => {
                let local = libc::iovec { iov_base: room.cast(), iov_len: 8 };
                let pid = libc::getpid();
                let (one, none) = (1_usize, 0_usize);
                libc::syscall(libc::SYS_process_vm_readv, pid, &raw const local, one, &raw const local, one, none)
            }
            // The clock of a processor, of this very process.
            "perf" => {
                [1_u32, 112].iter().enumerate().for_each(|(at, value)| room.cast::<u32>().add(at).write(*value));
                libc::syscall(libc::SYS_perf_event_open, room, 0, -1, -1, 0_usize)
            }
            "name_to_handle" => {
                room.cast::<u32>().write(128);
                libc::syscall(libc::SYS_name_to_handle_at, libc::AT_FDCWD, tmp.as_ptr(), room, room.add(200), 0)
            }
            "mount" => {
                libc::syscall(libc::SYS_mount, text("none").as_ptr(), tmp.as_ptr(), text("tmpfs").as_ptr(), 0, 0)
            }
            "open_tree" => libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, tmp.as_ptr(), 0),
            "fsopen" => libc::syscall(libc::SYS_fsopen, text("tmpfs").as_ptr(), 0),
            "chroot" => libc::syscall(libc::SYS_chroot, tmp.as_ptr()),
            "personality" => libc::syscall(libc::SYS_personality, 0xffff_ffff_u32),
            "sethostname" => libc::syscall(libc::SYS_sethostname, tmp.as_ptr(), 4),
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
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
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

#[expect(unsafe_code, reason = "as above")]
fn copy_of_the_machine() -> io::Result<()> {
    // SAFETY: takes plain numbers.
    let unshared = unsafe { libc::unshare(libc::CLONE_NEWNS | libc::CLONE_NEWUTS) };
    if unshared != 0 {
        return Err(io::Error::last_os_error());
    }
    let private = rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC;
    Ok(rustix::mount::mount_change("/", private)?)
}

/// Doubles until it is stopped, or far above any limit here.
fn fork_bomb() -> io::Result<()> {
    let mut children = Vec::new();
    for _ in 0..400 {
        match Command::new("sleep").arg("1000").spawn() {
            Ok(child) => children.push(child),
            Err(error) => {
                println!("stopped after {}", children.len());
                return Err(error);
            }
        }
    }
    Ok(())
}

fn take_memory(bytes: usize) -> io::Result<()> {
    let mut taken = Vec::new();
    for _ in 0..bytes / MEGABYTE {
        taken.push(vec![1_u8; MEGABYTE]);
        std::thread::sleep(Duration::from_millis(1));
    }
    // Long enough for any watch.
    std::thread::sleep(Duration::from_secs(2));
    println!("{}", taken.iter().map(|part| usize::from(part.last().copied().unwrap_or_default())).sum::<usize>());
    Ok(())
}

const MEGABYTE: usize = 1 << 20;

fn fill(path: &str, bytes: usize) -> io::Result<()> {
    let mut file = fs::File::create(path)?;
    for _ in 0..bytes / MEGABYTE {
        io::Write::write_all(&mut file, &[7; MEGABYTE])?;
    }
    Ok(())
}

fn many_files(directory: &str, count: usize) -> io::Result<()> {
    (0..count).try_for_each(|number| fs::File::create(format!("{directory}/f{number}")).map(drop))
}

fn many_descriptors(count: usize) -> io::Result<()> {
    let all: io::Result<Vec<_>> = (0..count).map(|_| fs::File::open("/dev/null")).collect();
    all.map(drop)
}

/// A system call as a 32-bit program makes it: `getpid`, number 20.
#[expect(unsafe_code, reason = "as above")]
fn int80() -> io::Result<()> {
    #[cfg(target_arch = "x86_64")]
    {
        let result: i64;
        // SAFETY: number 20 takes no arguments and touches no memory.
        unsafe {
            std::arch::asm!("int 0x80", inlateout("rax") 20_i64 => result, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
        };
        println!("{result}");
    }
    Ok(())
}

#[expect(unsafe_code, reason = "as above")]
fn x32() -> io::Result<()> {
    // SAFETY: the number is that of getpid in x32, which takes nothing.
    let result = unsafe { libc::syscall(0x4000_0000 + libc::SYS_getpid) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Types into the terminal it sits at, also with a number that is only the same in its lower half, and asks for other things
/// that change what is read there. Stays until it is ended.
#[expect(unsafe_code, reason = "as above")]
fn inject() -> io::Result<()> {
    let terminal = io::stdin().as_raw_fd();
    let own = libc::TIOCSCTTY;
    // SAFETY: takes plain numbers. Only what is typed into the terminal of its own session is taken.
    let taken = unsafe { libc::ioctl(terminal, own, 0) };
    println!("its own: {taken}");
    let high = 0xdead_0000_0000_0000;
    let asked = [(libc::TIOCSTI, b'x'), (libc::TIOCSTI | high, b'y'), (libc::TIOCLINUX, 3), (libc::TIOCSETD, 99)];
    for (request, byte) in asked {
        let argument = [byte, 0, 0, 0];
        // SAFETY: the first two read one byte, the third may write as many as it reads, the last reads four.
        let done = unsafe { libc::syscall(libc::SYS_ioctl, terminal, request, argument.as_ptr()) };
        let how = if done == 0 { "done".to_owned() } else { io::Error::last_os_error().to_string() };
        println!("{request:x}: {how}");
    }
    println!("tried");
    std::thread::sleep(Duration::from_secs(1000));
    Ok(())
}

/// Prints the handle of a file, kind first.
#[expect(unsafe_code, reason = "as above")]
fn handle(path: &str) -> io::Result<()> {
    let path = CString::new(path).unwrap();
    let mut room = [HANDLE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut mount = 0;
    let (into, mount): (*mut u32, *mut libc::c_int) = (room.as_mut_ptr(), &raw mut mount);
    // SAFETY: the name ends with NUL, and there is room for a handle of the length that is said, and for a number.
    let done = unsafe { libc::syscall(libc::SYS_name_to_handle_at, libc::AT_FDCWD, path.as_ptr(), into, mount, 0) };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    println!("{}", room.map(|word| word.to_string()).join("."));
    Ok(())
}

/// How many bytes of a handle there is room for.
const HANDLE: u32 = 64;

/// Prints what is in the file of a handle, which lies on the file system of a directory.
#[expect(unsafe_code, reason = "as above")]
fn open_handle(directory: &str, handle: &str) -> io::Result<()> {
    let directory = fs::File::open(directory)?;
    let mut words: Vec<u32> = handle.split('.').map(|word| word.parse().unwrap()).collect();
    // SAFETY: the handle is as long as it says.
    let opened = unsafe {
        libc::syscall(libc::SYS_open_by_handle_at, directory.as_raw_fd(), words.as_mut_ptr(), libc::O_RDONLY)
    };
    if opened < 0 {
        return Err(io::Error::last_os_error());
    }
    println!("{}", fs::read_to_string(format!("/proc/self/fd/{opened}"))?);
    Ok(())
}

/// Sends words to an address, as a stream or as a datagram.
fn say(kind: &str, address: &str, words: &str) -> io::Result<()> {
    if kind == "stream" {
        let mut stream = std::net::TcpStream::connect_timeout(&address.parse().unwrap(), Duration::from_secs(5))?;
        return io::Write::write_all(&mut stream, words.as_bytes());
    }
    let any = if address.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
    std::net::UdpSocket::bind(any)?.send_to(words.as_bytes(), address).map(drop)
}

/// Connects to the agent that the environment names, or that is where it was.
fn agent(path: &str) -> io::Result<()> {
    let named = std::env::var("SSH_AUTH_SOCK");
    println!("named {}", named.as_deref().unwrap_or("nowhere"));
    unix(named.as_deref().unwrap_or(path))
}

/// Says something to an address and prints the answer.
fn ask(address: &str, words: &str) -> io::Result<()> {
    let mut stream = std::net::TcpStream::connect(address)?;
    io::Write::write_all(&mut stream, words.as_bytes())?;
    stream.shutdown(std::net::Shutdown::Write)?;
    println!("{}", io::read_to_string(stream)?);
    Ok(())
}

/// Connects to a socket by its path, or by its name behind an `@`.
fn unix(address: &str) -> io::Result<()> {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixStream};
    match address.strip_prefix('@') {
        Some(name) => UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?).map(drop),
        None => UnixStream::connect(address).map(drop),
    }
}
