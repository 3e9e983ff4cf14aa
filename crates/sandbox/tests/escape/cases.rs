//! The cases: each attempt succeeds with nothing around it, fails when confined, and leaves no trace outside.

use std::fs;
use std::future::Future;
use std::pin::Pin;

use bartizan_sandbox::ExitStatus;

use crate::support::{Machine, SECRET, confined, confinement, is_root, role, run, sh};

type Case = fn() -> Pin<Box<dyn Future<Output = ()> + Send>>;

macro_rules! cases {
    ($($name:ident)*) => { vec![$((stringify!($name), (|| Box::pin($name())) as Case)),*] };
}

pub(crate) fn all() -> Vec<(&'static str, Case)> {
    cases! {
        a_good_server_works
        system_calls_no_server_needs_are_refused
        files_outside_are_not_there
    }
}

async fn a_good_server_works() {
    let machine = Machine::new();
    let script = "echo hello; id -u; echo x > $HOME/f && cat $HOME/f; echo y > /tmp/g; ls /; cat /proc/1/comm; ps 2>/dev/null | wc -l";
    let launch = confined(sh(script), confinement(&machine));
    let (status, said) = run(&launch).await;
    println!("{said}");
    assert_eq!(status, ExitStatus::Code(0), "{said}");
}

async fn system_calls_no_server_needs_are_refused() {
    let machine = Machine::new();
    let refused = [
        "unshare-user", "userfaultfd", "io_uring", "keyctl", "add_key", "ptrace", "process_vm_readv", "name_to_handle",
        "open_tree", "personality", "socket-unix", "socket-netlink", "clone-user", "clone3-user",
    ];
    let only_for_root = ["bpf", "perf", "mount", "fsopen", "chroot", "sethostname", "socket-packet", "socket-raw"];
    let allowed = ["clone-plain", "socket-inet"];
    for name in refused.iter().chain(only_for_root.iter().filter(|_| is_root())) {
        let (status, said) = run(&role("call", &[name])).await;
        println!("{name} plain {status} {said}");
        let (status, said) = run(&confined(role("call", &[name]), confinement(&machine))).await;
        assert_eq!(status, ExitStatus::Code(1), "{name}: {said}");
    }
    for name in allowed {
        let (status, said) = run(&confined(role("call", &[name]), confinement(&machine))).await;
        assert_eq!(status, ExitStatus::Code(0), "{name}: {said}");
    }
}

async fn files_outside_are_not_there() {
    let machine = Machine::new();
    let secret = machine.outside.join("secret");
    let script = format!("cat {} || true", secret.display());
    assert!(run(&sh(&script)).await.1.contains(SECRET));
    assert!(!run(&confined(sh(&script), confinement(&machine))).await.1.contains(SECRET));
    fs::read(&secret).unwrap();
}
