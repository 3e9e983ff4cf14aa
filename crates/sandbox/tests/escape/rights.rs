//! The cases about what a program is given that is not in its profile: rights, descriptors, a terminal, handles.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::process::Command;

use bartizan_sandbox::{ExitStatus, Launch};
use rustix::termios::OptionalActions;

use crate::support::{
    Machine, SECRET, below, confined, confinement, eventually, is_root, lines, own_kernel, parent, program_of_root,
    role, run, runtime, sh,
};

/// The program's own stdin is the user's terminal, and what was typed into it would be the shell's to run.
pub(crate) async fn a_terminal_cannot_be_typed_into() {
    let machine = Machine::new();
    let (typed, said) = typed_into(&role("inject", &[])).await;
    // A kernel may let nobody but root do that.
    if is_root() || lines("/proc/sys/dev/tty/legacy_tiocsti".as_ref()).trim() != "0" {
        assert_eq!(typed, "xy", "the control: {said}");
    } else {
        println!("this kernel lets no ordinary user type into a terminal: {said}");
    }
    let (typed, said) = typed_into(&confined(role("inject", &[]), confinement(&machine))).await;
    assert_eq!(typed, "", "{said}");
    if !own_kernel() {
        // Other than where a kernel has no such call, or where there is no terminal.
        assert_eq!(said.matches("(os error 1)").count(), 4, "{said}");
    }
}

/// What a program leaves to be read at the terminal that it was started at, and what it says of its attempts.
async fn typed_into(launch: &Launch) -> (String, String) {
    let (_screen, keyboard) = terminal();
    let ours =
        File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path_of(&keyboard)).unwrap();
    // Each byte as it comes.
    let mut modes = rustix::termios::tcgetattr(&ours).unwrap();
    modes.make_raw();
    rustix::termios::tcsetattr(&ours, OptionalActions::Now, &modes).unwrap();
    let (said, stdout) = std::io::pipe().unwrap();
    let stderr = stdout.try_clone().unwrap();
    let child = launch.spawn_with([keyboard, stdout.into(), stderr.into()]).await.unwrap();
    let words = tokio::task::spawn_blocking(move || {
        let lines = BufReader::new(said).lines().map(Result::unwrap);
        lines.take_while(|line| line != "tried").collect::<Vec<_>>().join("; ")
    });
    let words = words.await.unwrap();
    // The program is there still: its end would take with it what was typed.
    let mut typed = Vec::new();
    if let Err(error) = (&ours).read_to_end(&mut typed) {
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    }
    drop(child);
    (String::from_utf8(typed).unwrap(), words)
}

/// Both ends of a new terminal: what a window is, and what is a shell's stdin.
#[expect(
    unsafe_code,
    clippy::multiple_unsafe_ops_per_block,
    reason = "neither std nor rustix as it is built here has it"
)]
fn terminal() -> (OwnedFd, OwnedFd) {
    let (mut screen, mut keyboard) = (0, 0);
    let none = std::ptr::null_mut();
    // SAFETY: there is room for both numbers, and what was opened belongs to nobody else.
    unsafe {
        assert_eq!(libc::openpty(&raw mut screen, &raw mut keyboard, none, none.cast(), none.cast()), 0);
        (OwnedFd::from_raw_fd(screen), OwnedFd::from_raw_fd(keyboard))
    }
}

fn path_of(descriptor: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", descriptor.as_raw_fd())
}

pub(crate) async fn only_three_descriptors_are_open() {
    let machine = Machine::new();
    let held = OwnedFd::from(File::open(machine.outside.join("secret")).unwrap());
    // Such as one that a careless library opened without closing it on exec.
    rustix::io::fcntl_setfd(&held, rustix::io::FdFlags::empty()).unwrap();
    let read = format!("cat {}", path_of(&held));
    let plainly = Command::new("sh").args(["-c", &read]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&plainly.stdout), SECRET, "the control");
    let (_, said) = run(&confined(sh(&read), confinement(&machine))).await;
    assert!(!said.contains(SECRET), "{said}");
    // Whoever starts a server at no level inherits as little.
    assert!(!run(&sh(&read)).await.1.contains(SECRET));
    // The fourth is that of the listing.
    let (_, said) = run(&confined(sh("cd /proc/self/fd; echo *"), confinement(&machine))).await;
    assert_eq!(said, "0 1 2 3\n");
}

/// Only who may read everything opens a file by its handle, and needs no path to it then.
pub(crate) async fn files_are_not_opened_by_handle() {
    if !is_root() {
        return;
    }
    let machine = Machine::new();
    let (status, handle) = run(&role("handle", &[machine.outside.join("secret").to_str().unwrap()])).await;
    assert_eq!(status, ExitStatus::Code(0), "{handle}");
    // What it may see lies on the same file system.
    let attempt = role("open-handle", &[machine.work.to_str().unwrap(), handle.trim()]);
    let (_, said) = run(&attempt).await;
    assert!(said.contains(SECRET), "the control: {said}");
    let (status, said) = run(&confined(attempt, confinement(&machine))).await;
    assert!(status == ExitStatus::Code(1) && !said.contains(SECRET), "{said}");
    assert!(own_kernel() || said.contains("not permitted"), "{said}");
}

/// As root there is nothing to be given; an ordinary user gets hold of a program that belongs to root.
pub(crate) async fn no_program_gives_back_rights() {
    let machine = Machine::new();
    let script = "grep -E '^(Cap...:|NoNewPrivs|Seccomp:)' /proc/self/status | tr '\\t\\n' '  '; id -u";
    let (_, said) = run(&confined(sh(script), confinement(&machine))).await;
    let none = "0000000000000000";
    let expected =
        format!("CapInh: {none} CapPrm: {none} CapEff: {none} CapBnd: {none} CapAmb: {none} NoNewPrivs: 1 Seccomp: 2 ");
    // Inside of a runtime everybody is root, by name.
    let user = if runtime().is_some() { 0 } else { rustix::process::getuid().as_raw() };
    if own_kernel() {
        let expected = format!("CapInh: {none} CapPrm: {none} CapEff: {none} CapBnd: {none} ");
        assert!(said.starts_with(&expected) && said.ends_with(&format!(" {user}\n")), "{said}");
    } else {
        assert_eq!(said, format!("{expected}{user}\n"));
    }
    if is_root() {
        assert!(!run(&sh(script)).await.1.contains(&format!("CapEff: {none}")), "the control");
    }
    if is_root() {
        return;
    }
    let Some(program) = program_of_root() else {
        return println!("not started as root, so there is no program of root's to try");
    };
    let launch = sh(&format!("exec {} 1000", program.display()));
    let (plain, _) = users_of(&launch).await;
    assert!(plain.contains(&0), "the control: {plain:?}; is the directory mounted without such programs?");
    let mut walls = confinement(&machine);
    walls.read_only.push(program.to_owned());
    let (users, named) = users_of(&confined(launch, walls)).await;
    let me = rustix::process::getuid().as_raw();
    assert!(users.iter().all(|user| *user == me), "{users:?}");
    assert!(named || own_kernel(), "the program did not run");
}

/// The users, as this machine knows them, that a server and all around it act as once its last program runs; and whether that
/// is to be seen, which it is not behind another kernel.
async fn users_of(launch: &Launch) -> (Vec<u32>, bool) {
    let child = launch.spawn().await.unwrap();
    let status = |pid: u32, name: &str| -> Option<String> {
        let status = lines(format!("/proc/{pid}/status").as_ref());
        status.lines().find_map(|line| line.strip_prefix(name)).map(|rest| rest.trim().to_owned())
    };
    let tree = || below(parent(child.pid()));
    let runs = || tree().iter().any(|process| status(process.pid(), "Name:").as_deref() == Some("sleep"));
    if own_kernel() {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    } else {
        eventually("the program runs", runs).await;
    }
    let effective = |pid| status(pid, "Uid:")?.split_whitespace().nth(1)?.parse().ok();
    (tree().iter().filter_map(|process| effective(process.pid())).collect(), runs())
}

pub(crate) async fn no_file_is_made_to_run_as_its_owner() {
    let machine = Machine::new();
    let program = machine.work.join("id");
    let script = format!("cp /usr/bin/id {0}; chmod 6755 {0}; chmod 755 {0} && echo plain", program.display());
    let mode = || fs::metadata(&program).unwrap().permissions().mode() & 0o7777;
    if own_kernel() {
        // What its own kernel makes of it is its own affair.
        run(&confined(sh(&script.replace("; chmod 755", "; : chmod 755")), confinement(&machine))).await;
        assert_eq!(mode() & 0o6000, 0, "{:o}", mode());
        return;
    }
    let (_, said) =
        run(&confined(sh(&script.replace("; chmod 755", "; echo; chmod 755")), confinement(&machine))).await;
    assert!(said.contains("plain") && said.contains("not permitted") && mode() == 0o755, "{said} {:o}", mode());
    run(&sh(&script.replace("; chmod 755", "; : chmod 755"))).await;
    assert_eq!(mode(), 0o6755, "the control");
    // Nor is anything of a device changed that root owns.
    if is_root() {
        let (_, said) = run(&confined(sh("chmod 600 /dev/full || echo refused"), confinement(&machine))).await;
        assert!(said.contains("refused"), "{said}");
    }
}
