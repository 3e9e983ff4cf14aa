//! The filter of system calls: what namespaces leave open is closed here.
//!
//! Threat: a server uses a corner of the kernel that no MCP server needs, to leave its namespaces (mounts, nested user
//! namespaces, handles of files), to read other processes (ptrace and its kin), or to reach code that has often been
//! the way out (`io_uring`, `userfaultfd`, `bpf`, the keyring, exotic sockets).
//!
//! A call of another architecture, x32 included, ends the process. A number that this list has not seen is answered
//! as a kernel without it would answer. The program is written by hand because it needs a range of numbers and
//! answers of three kinds, and both lie at the beginning, where the crates that build such filters have nothing.

use std::io;

use std::os::fd::OwnedFd;

use super::super::{calls, sys};
use crate::Exceptions;

/// The highest number this list has been held against: `removexattrat`, Linux 6.13.
const LAST_VETTED: u32 = 466;
/// From here on numbers are those of x32.
const X32: u32 = 0x4000_0000;

/// Where the fields of `struct seccomp_data` lie; of arguments, the half that counts on a little-endian machine.
const NUMBER: u32 = 0;
/// Of the second argument of `socket` and `socketpair`, the part that says which kind; the rest are flags.
const KIND: u32 = 0xF;
const ARCHITECTURE: u32 = 4;
const ARGUMENT: [u32; 4] = [16, 24, 32, 40];

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;
const NOT_PERMITTED: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
const NOT_THERE: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
/// Whoever watches is asked, and the call waits for the answer.
const ASK: u32 = libc::SECCOMP_RET_USER_NOTIF;

#[cfg(target_arch = "x86_64")]
const AUDIT_ARCH: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const AUDIT_ARCH: u32 = 0xC000_00B7;

/// All `CLONE_NEW*` that `clone` takes: users, mounts, processes, network, IPC, names and control groups.
const NEW_NAMESPACES: u32 = 0x7E02_0000;

/// Programs fall back to what these replaced.
const ABSENT: &[libc::c_long] = &[
    libc::SYS_clone3,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // What it is asked for lies behind a pointer, where a filter cannot look.
    libc::SYS_openat2,
];

/// Calls that give a file its mode, and which argument that is. A file that runs as its owner would be a way back in for
/// whoever finds it outside, and nobody's server makes one.
const MODES: &[(libc::c_long, usize)] = &[
    (libc::SYS_fchmod, 1),
    (libc::SYS_fchmodat, 2),
    (452, 2), // fchmodat2
    (libc::SYS_mknodat, 2),
    (libc::SYS_openat, 3),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_chmod, 1),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_creat, 1),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mknod, 1),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, 2),
];
const AS_OWNER: u32 = libc::S_ISUID | libc::S_ISGID;

/// Calls that make or enter namespaces and change the root: what a browser's own sandbox needs, and nobody else.
const NESTING: &[libc::c_long] = &[libc::SYS_unshare, libc::SYS_chroot];

/// Of what is refused, what is told to whoever watches, who refuses it then: what servers ask for and an exception could let
/// through. Of these calls nothing that is allowed is told, so there is one answer to what is.
pub(in crate::linux) const REFUSED_ALOUD: &[libc::c_long] =
    &[libc::SYS_socket, libc::SYS_clone, libc::SYS_unshare, libc::SYS_chroot];

/// Refused whatever the arguments are. Numbers without a name are those that the C library's crate does not name on
/// every architecture; from 424 on they are the same everywhere.
const REFUSED: &[libc::c_long] = &[
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    // The kernel's own.
    libc::SYS_userfaultfd,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_syslog,
    libc::SYS_memfd_secret,
    // Mounts, roots and namespaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_setns,
    // Files behind the back of paths, and whole file systems.
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_quotactl,
    443, // quotactl_fd
    libc::SYS_acct,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    // The machine.
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_settimeofday,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_personality,
    libc::SYS_vhangup,
    // Pages of others, and of other places.
    libc::SYS_vmsplice,
    libc::SYS_mbind,
    libc::SYS_set_mempolicy,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    450, // set_mempolicy_home_node
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_uselib,
    #[cfg(target_arch = "x86_64")]
    libc::SYS__sysctl,
];

/// What a runtime makes sandboxes of, and traces what is in them with.
const NEEDED: &[libc::c_long] = &[
    libc::SYS_openat2,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_setns,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
];

/// Puts the filter on this process and all that it starts; it cannot be taken off.
pub(in crate::linux) fn install(exceptions: Exceptions) -> io::Result<()> {
    sys::filter_system_calls(&program(exceptions))
}

/// The same, where calls that name something are looked at by whoever has what is returned.
pub(super) fn install_watched(exceptions: Exceptions) -> io::Result<OwnedFd> {
    sys::watch_system_calls(&watched_program(exceptions))
}

/// The same for a runtime, which makes sandboxes and traces what is in them. What it starts keeps this, and may add to it.
pub(super) fn install_for_a_runtime() -> io::Result<()> {
    sys::filter_system_calls(&program_for_a_runtime())
}

fn program_for_a_runtime() -> Vec<libc::sock_filter> {
    let mut program = Program::new(false);
    for number in ABSENT.iter().filter(|number| !NEEDED.contains(number)) {
        program.if_equal(call(*number), NOT_THERE);
    }
    for number in REFUSED.iter().filter(|number| !NEEDED.contains(number)) {
        program.if_equal(call(*number), NOT_PERMITTED);
    }
    // Those between its own processes, and a look at the interfaces of the network it is in.
    let sockets = Exceptions { unix_sockets: true, netlink_route: true, namespaces: true };
    program.what_is_known_by_its_arguments(sockets);
    program.answer(ALLOW);
    program.steps
}

fn program(exceptions: Exceptions) -> Vec<libc::sock_filter> {
    whole(exceptions, false)
}

fn watched_program(exceptions: Exceptions) -> Vec<libc::sock_filter> {
    whole(exceptions, true)
}

fn whole(exceptions: Exceptions, is_watched: bool) -> Vec<libc::sock_filter> {
    let mut program = Program::new(is_watched);
    for number in ABSENT {
        program.if_equal(call(*number), NOT_THERE);
    }
    let nesting = if exceptions.namespaces { &[] } else { NESTING };
    for number in REFUSED.iter().chain(nesting) {
        let answer = program.refusal(*number);
        program.if_equal(call(*number), answer);
    }
    if !exceptions.namespaces {
        let answer = program.refusal(libc::SYS_clone);
        program.arguments_of(libc::SYS_clone, |program| {
            program.load(ARGUMENT[0]);
            program.if_any_bit(NEW_NAMESPACES, answer);
        });
    }
    program.what_is_known_by_its_arguments(exceptions);
    if is_watched {
        for number in calls::numbers() {
            program.if_equal(call(number), ASK);
        }
    }
    program.answer(ALLOW);
    program.steps
}

/// Sockets that carry streams and datagrams over IP, and no others.
fn sockets(program: &mut Program, exceptions: Exceptions, refusal: u32) {
    let family = |family: libc::c_int| family.unsigned_abs();
    program.load(ARGUMENT[0]);
    if exceptions.unix_sockets {
        program.if_equal(family(libc::AF_UNIX), ALLOW);
    }
    if exceptions.netlink_route {
        program.if_equal_then(family(libc::AF_NETLINK), |program| {
            program.load(ARGUMENT[2]);
            program.if_equal(family(libc::NETLINK_ROUTE), ALLOW);
            program.answer(refusal);
        });
    }
    for internet in [libc::AF_INET, libc::AF_INET6] {
        program.if_equal_then(family(internet), |program| {
            // By default, or by name: other protocols of these families are seldom looked after.
            program.load(ARGUMENT[2]);
            program.unless_any_of(&[0, family(libc::IPPROTO_TCP), family(libc::IPPROTO_UDP)], refusal);
            program.load(ARGUMENT[1]);
            program.and(KIND);
            program.if_equal(family(libc::SOCK_STREAM), ALLOW);
            program.if_equal(family(libc::SOCK_DGRAM), ALLOW);
            program.answer(refusal);
        });
    }
    program.answer(refusal);
}

/// System calls have small positive numbers; one that had not would never be met.
fn call(number: libc::c_long) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A program of the classic packet filter, written from top to bottom.
#[derive(Default)]
struct Program {
    steps: Vec<libc::sock_filter>,
    /// Whether somebody watches.
    is_watched: bool,
}

impl Program {
    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const AT_LEAST: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
    const ANY_BIT: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
    const AND: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
    const ANSWER: u32 = libc::BPF_RET | libc::BPF_K;

    /// What comes before all else: the architecture, and numbers that nobody has looked at.
    fn new(is_watched: bool) -> Self {
        let mut program = Self { is_watched, ..Self::default() };
        program.load(ARCHITECTURE);
        program.unless_equal(AUDIT_ARCH, KILL);
        program.load(NUMBER);
        program.if_at_least(X32, KILL);
        program.if_at_least(LAST_VETTED + 1, NOT_THERE);
        program
    }

    /// How a call is refused.
    fn refusal(&self, number: libc::c_long) -> u32 {
        if self.is_watched && REFUSED_ALOUD.contains(&number) { ASK } else { NOT_PERMITTED }
    }

    /// Modes of files, sockets, and requests to terminals.
    fn what_is_known_by_its_arguments(&mut self, exceptions: Exceptions) {
        for (number, argument) in MODES {
            self.arguments_of(*number, |program| {
                program.load(ARGUMENT.get(*argument).copied().unwrap_or(NUMBER));
                program.if_any_bit(AS_OWNER, NOT_PERMITTED);
            });
        }
        self.arguments_of(libc::SYS_socketpair, |program| {
            program.load(ARGUMENT[0]);
            program.unless_equal(libc::AF_UNIX.unsigned_abs(), NOT_PERMITTED);
            if !exceptions.unix_sockets {
                // Each end of any other kind can speak to whoever listens where the server sees a file for it.
                program.load(ARGUMENT[1]);
                program.and(KIND);
                program.unless_any_of(&[libc::SOCK_STREAM, libc::SOCK_SEQPACKET].map(i32::unsigned_abs), NOT_PERMITTED);
            }
        });
        // With a lease on a file that it may only read, it would have whoever writes to that file wait.
        self.arguments_of(libc::SYS_fcntl, |program| {
            program.load(ARGUMENT[1]);
            program.if_equal(libc::F_SETLEASE.unsigned_abs(), NOT_PERMITTED);
        });
        self.arguments_of(libc::SYS_ioctl, |program| {
            program.load(ARGUMENT[1]);
            // Typing into a terminal, and what else speaks through one.
            for request in [libc::TIOCSTI, libc::TIOCLINUX, libc::TIOCSETD] {
                program.if_equal(u32::try_from(request).unwrap_or(u32::MAX), NOT_PERMITTED);
            }
        });
        let refusal = self.refusal(libc::SYS_socket);
        self.arguments_of(libc::SYS_socket, |program| sockets(program, exceptions, refusal));
    }

    fn push(&mut self, code: u32, jt: u8, jf: u8, k: u32) {
        self.steps.push(libc::sock_filter { code: u16::try_from(code).unwrap_or(u16::MAX), jt, jf, k });
    }

    fn load(&mut self, offset: u32) {
        self.push(Self::LOAD, 0, 0, offset);
    }

    fn and(&mut self, mask: u32) {
        self.push(Self::AND, 0, 0, mask);
    }

    fn answer(&mut self, answer: u32) {
        self.push(Self::ANSWER, 0, 0, answer);
    }

    fn if_equal(&mut self, value: u32, answer: u32) {
        self.push(Self::EQUAL, 0, 1, value);
        self.answer(answer);
    }

    fn unless_equal(&mut self, value: u32, answer: u32) {
        self.push(Self::EQUAL, 1, 0, value);
        self.answer(answer);
    }

    /// Goes on if one of a few values is met.
    fn unless_any_of(&mut self, values: &[u32], answer: u32) {
        for (index, value) in values.iter().enumerate() {
            let rest = values.len().saturating_sub(index);
            self.push(Self::EQUAL, u8::try_from(rest).unwrap_or(u8::MAX), 0, *value);
        }
        self.answer(answer);
    }

    fn if_at_least(&mut self, value: u32, answer: u32) {
        self.push(Self::AT_LEAST, 0, 1, value);
        self.answer(answer);
    }

    fn if_any_bit(&mut self, bits: u32, answer: u32) {
        self.push(Self::ANY_BIT, 0, 1, bits);
        self.answer(answer);
    }

    /// Goes on with `then` if the value is met, and behind it if not. What `then` holds is short.
    fn if_equal_then(&mut self, value: u32, then: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        then(&mut inner);
        self.push(Self::EQUAL, 0, u8::try_from(inner.steps.len()).unwrap_or(u8::MAX), value);
        self.steps.append(&mut inner.steps);
    }

    /// Looks at the arguments of one call; what `then` does not answer is allowed, or told first.
    fn arguments_of(&mut self, number: libc::c_long, then: impl FnOnce(&mut Self)) {
        let is_told = self.is_watched && calls::numbers().any(|told| told == number);
        self.if_equal_then(call(number), |program| {
            then(program);
            program.answer(if is_told { ASK } else { ALLOW });
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would answer: an interpreter for the few instructions above.
    fn run(program: &[libc::sock_filter], arch: u32, number: u32, arguments: &[u64]) -> u32 {
        let mut data = [0u8; 64];
        data[..4].copy_from_slice(&number.to_le_bytes());
        data[4..8].copy_from_slice(&arch.to_le_bytes());
        for (index, argument) in arguments.iter().enumerate() {
            data[16 + 8 * index..24 + 8 * index].copy_from_slice(&argument.to_le_bytes());
        }
        let (mut at, mut accumulator) = (0, 0u32);
        loop {
            let step = program[at];
            at += 1;
            let jump = |holds| usize::from(if holds { step.jt } else { step.jf });
            match u32::from(step.code) {
                Program::LOAD => {
                    let from = step.k as usize;
                    accumulator = u32::from_le_bytes(data[from..from + 4].try_into().unwrap());
                }
                Program::AND => accumulator &= step.k,
                Program::EQUAL => at += jump(accumulator == step.k),
                Program::AT_LEAST => at += jump(accumulator >= step.k),
                Program::ANY_BIT => at += jump(accumulator & step.k != 0),
                Program::ANSWER => return step.k,
                other => panic!("unknown instruction {other}"),
            }
        }
    }

    #[test]
    fn each_call_gets_its_answer() {
        let plain = Exceptions::default();
        let unix = Exceptions { unix_sockets: true, ..plain };
        let netlink = Exceptions { netlink_route: true, ..plain };
        let browser = Exceptions { namespaces: true, ..plain };
        let high = 0xdead_beef_0000_0000_u64;
        let inet = libc::AF_INET as u64;
        let nonblocking = (libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC) as u64;
        let cases: &[(Exceptions, libc::c_long, [u64; 3], u32)] = &[
            (plain, libc::SYS_read, [0; 3], ALLOW),
            (plain, libc::SYS_execve, [0; 3], ALLOW),
            (plain, libc::SYS_ptrace, [0; 3], NOT_PERMITTED),
            (plain, libc::SYS_mount, [0; 3], NOT_PERMITTED),
            (browser, libc::SYS_mount, [0; 3], NOT_PERMITTED),
            (plain, libc::SYS_io_uring_setup, [0; 3], NOT_THERE),
            (plain, libc::SYS_clone3, [0; 3], NOT_THERE),
            (plain, 467, [0; 3], NOT_THERE),
            (plain, 466, [0; 3], ALLOW),
            (plain, 0x3fff_ffff, [0; 3], NOT_THERE),
            (plain, 0x4000_0000, [0; 3], KILL),
            (plain, libc::SYS_clone, [0x11, 0, 0], ALLOW),
            (plain, libc::SYS_clone, [libc::CLONE_NEWUSER as u64 | 0x11, 0, 0], NOT_PERMITTED),
            (plain, libc::SYS_clone, [libc::CLONE_NEWNS as u64, 0, 0], NOT_PERMITTED),
            (browser, libc::SYS_clone, [libc::CLONE_NEWUSER as u64 | 0x11, 0, 0], ALLOW),
            (plain, libc::SYS_unshare, [0; 3], NOT_PERMITTED),
            (browser, libc::SYS_unshare, [0; 3], ALLOW),
            (browser, libc::SYS_setns, [0; 3], NOT_PERMITTED),
            (plain, libc::SYS_ioctl, [0, libc::TIOCSTI, 0], NOT_PERMITTED),
            (plain, libc::SYS_ioctl, [0, high | libc::TIOCSTI, 0], NOT_PERMITTED),
            (plain, libc::SYS_ioctl, [0, libc::TIOCGWINSZ, 0], ALLOW),
            (plain, libc::SYS_socket, [inet, nonblocking, 0], ALLOW),
            (plain, libc::SYS_socket, [libc::AF_INET6 as u64, libc::SOCK_DGRAM as u64, 0], ALLOW),
            (plain, libc::SYS_socket, [inet, libc::SOCK_RAW as u64, 0], NOT_PERMITTED),
            (plain, libc::SYS_socket, [high | inet, libc::SOCK_RAW as u64, 0], NOT_PERMITTED),
            (plain, libc::SYS_socket, [libc::AF_PACKET as u64, libc::SOCK_RAW as u64, 0], NOT_PERMITTED),
            (plain, libc::SYS_socket, [libc::AF_VSOCK as u64, libc::SOCK_STREAM as u64, 0], NOT_PERMITTED),
            (plain, libc::SYS_socket, [libc::AF_UNIX as u64, libc::SOCK_STREAM as u64, 0], NOT_PERMITTED),
            (unix, libc::SYS_socket, [libc::AF_UNIX as u64, libc::SOCK_STREAM as u64, 0], ALLOW),
            (plain, libc::SYS_socket, [libc::AF_NETLINK as u64, libc::SOCK_RAW as u64, 0], NOT_PERMITTED),
            (netlink, libc::SYS_socket, [libc::AF_NETLINK as u64, libc::SOCK_RAW as u64, 0], ALLOW),
            (netlink, libc::SYS_socket, [libc::AF_NETLINK as u64, libc::SOCK_RAW as u64, 9], NOT_PERMITTED),
            (plain, libc::SYS_socket, [inet, nonblocking, libc::IPPROTO_TCP as u64], ALLOW),
            (plain, libc::SYS_socket, [inet, libc::SOCK_DGRAM as u64, libc::IPPROTO_UDP as u64], ALLOW),
            (plain, libc::SYS_socket, [inet, nonblocking, libc::IPPROTO_MPTCP as u64], NOT_PERMITTED),
            (plain, libc::SYS_socket, [inet, libc::SOCK_DGRAM as u64, libc::IPPROTO_ICMP as u64], NOT_PERMITTED),
            (plain, libc::SYS_socketpair, [libc::AF_NETLINK as u64, libc::SOCK_RAW as u64, 0], NOT_PERMITTED),
            (plain, libc::SYS_socketpair, [libc::AF_UNIX as u64, nonblocking, 0], ALLOW),
            (plain, libc::SYS_socketpair, [libc::AF_UNIX as u64, libc::SOCK_SEQPACKET as u64, 0], ALLOW),
            (plain, libc::SYS_socketpair, [libc::AF_UNIX as u64, libc::SOCK_DGRAM as u64, 0], NOT_PERMITTED),
            // The system takes it for the one before.
            (plain, libc::SYS_socketpair, [libc::AF_UNIX as u64, libc::SOCK_RAW as u64, 0], NOT_PERMITTED),
            (unix, libc::SYS_socketpair, [libc::AF_UNIX as u64, libc::SOCK_DGRAM as u64, 0], ALLOW),
            (plain, libc::SYS_fcntl, [0, libc::F_SETLEASE as u64, 0], NOT_PERMITTED),
            (plain, libc::SYS_fcntl, [0, libc::F_SETFD as u64, 0], ALLOW),
        ];
        for (exceptions, number, arguments, expected) in cases {
            let answer = run(&program(*exceptions), AUDIT_ARCH, u32::try_from(*number).unwrap(), arguments);
            assert_eq!(answer, *expected, "{exceptions:?} {number} {arguments:x?}");
        }
        // The same number means something else to a 32-bit program.
        assert_eq!(run(&program(plain), 0x4000_0003, 0, &[0; 3]), KILL);
    }

    /// What is watched is held as what is not: each call that was refused is refused or asked about, and what is asked about
    /// with only one answer is nothing that was allowed.
    #[test]
    fn whoever_watches_is_asked_and_lets_nothing_through_that_was_not() {
        let high = 0xdead_beef_0000_0000_u64;
        for exceptions in [
            Exceptions::default(),
            Exceptions { unix_sockets: true, netlink_route: true, namespaces: true },
            Exceptions { netlink_route: true, ..Exceptions::default() },
        ] {
            let (plain, watched) = (program(exceptions), watched_program(exceptions));
            assert!(watched.len() < 4096, "more than the kernel takes");
            for number in 0..=LAST_VETTED + 1 {
                for argument in [0, 1, 2, 3, 0o4755, 10, 16, 17, 0x1000_0000, 0x1000_0011, high | 1, high | 16] {
                    for arguments in
                        [[argument, 0, 0, 0], [2, argument, 0, 0], [2, 1, argument, 0], [0, 0, 0, argument]]
                    {
                        let held = run(&plain, AUDIT_ARCH, number, &arguments);
                        let answer = run(&watched, AUDIT_ARCH, number, &arguments);
                        let number = libc::c_long::from(number);
                        let aloud = REFUSED_ALOUD.contains(&number);
                        let expected = match held {
                            ALLOW if !aloud && calls::numbers().any(|told| told == number) => ASK,
                            NOT_PERMITTED if aloud => ASK,
                            held => held,
                        };
                        assert_eq!(answer, expected, "{exceptions:?} {number} {arguments:x?}");
                    }
                }
            }
            assert_eq!(run(&watched, AUDIT_ARCH, 0x4000_0000, &[0; 3]), KILL);
            assert_eq!(run(&watched, 0x4000_0003, 0, &[0; 3]), KILL);
        }
    }

    #[test]
    fn every_listed_call_has_its_answer_and_the_program_fits() {
        let all = program(Exceptions::default());
        assert!(all.len() < 4096, "more than the kernel takes");
        for number in REFUSED.iter().chain(NESTING) {
            assert_eq!(run(&all, AUDIT_ARCH, call(*number), &[0; 3]), NOT_PERMITTED, "{number}");
        }
        for number in ABSENT {
            assert_eq!(run(&all, AUDIT_ARCH, call(*number), &[0; 3]), NOT_THERE, "{number}");
        }
        for (number, argument) in MODES {
            for (mode, answer) in [(0o755, ALLOW), (0o4755, NOT_PERMITTED), (0o2755, NOT_PERMITTED)] {
                let mut arguments = [0; 4];
                arguments[*argument] = mode;
                assert_eq!(run(&all, AUDIT_ARCH, call(*number), &arguments), answer, "{number} {mode:o}");
            }
        }
    }
}
