//! The cases: each attempt succeeds with nothing around it, fails when confined, and leaves no trace outside.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use bartizan_sandbox::{Confinement, ExitStatus, Guarantee, Limits, Network, Protected, Relay, SpawnError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::counts::{
    a_pair_of_sockets_speaks_to_nobody_else, nobody_waits_for_a_file_that_is_only_read,
    what_somebody_else_has_locked_holds_no_start_up, what_the_kernel_counts_for_each_user_is_bounded,
};
use crate::ends::{
    a_runtime_that_is_not_there_or_does_not_work_starts_nothing, many_starts_leave_nothing,
    whatever_is_killed_nothing_stays,
};
use crate::suite::Case;
use crate::support::{
    Machine, SECRET, by_signal, confined, confinement, eventually, is_root, lines, living, output, own_kernel, parent,
    role, run, runtime, sh,
};

macro_rules! cases {
    ($($name:ident)*) => { vec![$((stringify!($name), (|| Box::pin($name())) as Case)),*] };
}

pub(crate) fn all() -> Vec<(&'static str, Case)> {
    cases! {
        a_good_server_works
        system_calls_no_server_needs_are_refused
        calls_of_other_architectures_end_the_server
        a_terminal_cannot_be_typed_into
        files_outside_are_neither_read_nor_written
        links_lead_nowhere
        protected_names_stay_as_they_are
        a_protected_name_that_is_replaced_ends_the_server
        what_is_named_where_one_may_write_cannot_be_put_elsewhere
        what_is_hidden_is_seen_empty
        other_processes_are_not_there
        only_three_descriptors_are_open
        nothing_of_the_machine_is_changed_through_its_listing
        devices_are_few_and_none_can_be_made
        no_program_gives_back_rights
        no_file_is_made_to_run_as_its_owner
        the_network_ends_at_itself
        a_relay_is_the_only_way_out
        sockets_of_daemons_are_out_of_reach
        a_pair_of_sockets_speaks_to_nobody_else
        what_the_kernel_counts_for_each_user_is_bounded
        nobody_waits_for_a_file_that_is_only_read
        what_somebody_else_has_locked_holds_no_start_up
        a_fork_bomb_is_capped_and_ends_with_its_server
        a_memory_bomb_ends_its_own_server_only
        a_watch_ends_a_memory_bomb_where_no_group_can
        disks_and_descriptors_are_limited
        a_server_that_spins_is_throttled
        what_a_profile_requires_is_there_or_nothing_starts
        a_runtime_that_is_not_there_or_does_not_work_starts_nothing
        whatever_is_killed_nothing_stays
        many_starts_leave_nothing
    }
}

/// Runs a script plainly and confined, where what it says has to hold each text and must not.
async fn differs(machine: &Machine, script: &str, plain: &str, change: impl Fn(&mut Confinement)) -> String {
    let (_, said) = run(&sh(script)).await;
    assert!(said.contains(plain), "the control of `{script}` says {said}, not {plain}");
    let mut walls = confinement(machine);
    change(&mut walls);
    let (_, said) = run(&confined(sh(script), walls)).await;
    assert!(!said.contains(plain), "`{script}` says {said}");
    said
}

async fn a_good_server_works() {
    let machine = Machine::new();
    let first = if own_kernel() { "sh" } else { "bartizan-first" };
    let script = format!(
        "set -e; cd; echo x > f; cat f; echo y > /tmp/g; cat /tmp/g; echo z > \"$0/h\"; pwd; (echo sub) | cat; \
         test -r /proc/self/status; test \"$(cat /proc/1/comm)\" = {first}; echo ok"
    );
    let mut launch = confined(sh(&script), confinement(&machine));
    launch.args.push(machine.work.clone().into());
    let (status, said) = run(&launch).await;
    assert_eq!((status, said.as_str()), (ExitStatus::Code(0), "x\ny\n/home/sandbox\nsub\nok\n"));
    assert_eq!(lines(&machine.work.join("h")), "z\n");
    // Codes, signals and input come through as they do without a sandbox.
    for (script, expected) in [("exit 7", ExitStatus::Code(7)), ("kill -SEGV $$", by_signal(11))] {
        assert_eq!(run(&confined(sh(script), confinement(&machine))).await.0, expected, "{script}");
    }
    // A name that is a link, in a directory that is one: `/bin` and what `/bin/sh` leads to.
    let mut walls = confinement(&machine);
    walls.read_only.push("/bin/sh".into());
    assert_eq!(
        run(&confined(sh("readlink -f /bin/sh >/dev/null && exit 5"), walls.resolved())).await.0,
        ExitStatus::Code(5)
    );
    let mut child = confined(sh("exec cat"), confinement(&machine)).spawn().await.unwrap();
    child.stdin.as_mut().unwrap().write_all(b"there and back").await.unwrap();
    assert_eq!(output(&mut child).await, (ExitStatus::Code(0), "there and back".to_owned()));
}

async fn system_calls_no_server_needs_are_refused() {
    if own_kernel() {
        return system_calls_end_at_the_servers_own_kernel().await;
    }
    let machine = Machine::new();
    let refused = [
        "unshare-user",
        "userfaultfd",
        "io_uring",
        "keyctl",
        "add_key",
        "ptrace",
        "process_vm_readv",
        "name_to_handle",
        "open_tree",
        "personality",
        "socket-unix",
        "socket-netlink",
        "clone-user",
        "clone3-user",
    ];
    let only_for_root = ["bpf", "perf", "mount", "fsopen", "chroot", "sethostname", "socket-packet", "socket-raw"];
    for name in refused.iter().chain(only_for_root.iter().filter(|_| is_root())) {
        let control = if only_for_root.contains(name) { "call-on-a-copy" } else { "call" };
        let (status, said) = run(&role(control, &[name])).await;
        assert_eq!(status, ExitStatus::Code(0), "the control of {name}: {said}");
        let (status, said) = run(&confined(role("call", &[name]), confinement(&machine))).await;
        assert_eq!(status, ExitStatus::Code(1), "{name}: {said}");
        assert!(said.contains("not permitted") || said.contains("not implemented"), "{name}: {said}");
    }
    // A kernel may have none; where there is one, this is no proof but of the wall.
    let (control, _) = run(&role("call", &["socket-vsock"])).await;
    let (status, said) = run(&confined(role("call", &["socket-vsock"]), confinement(&machine))).await;
    assert!(status == ExitStatus::Code(1) && said.contains("not permitted"), "socket-vsock, {control} without: {said}");
    for name in ["clone-plain", "socket-inet"] {
        let (status, said) = run(&confined(role("call", &[name]), confinement(&machine))).await;
        assert_eq!(status, ExitStatus::Code(0), "{name}: {said}");
    }
    for (name, allow) in [
        ("socket-unix", (|c| c.exceptions.unix_sockets = true) as fn(&mut Confinement)),
        ("socket-netlink", |c| c.exceptions.netlink_route = true),
        ("unshare-user", |c| c.exceptions.namespaces = true),
    ] {
        let mut walls = confinement(&machine);
        allow(&mut walls);
        let (status, said) = run(&confined(role("call", &[name]), walls)).await;
        assert_eq!(status, ExitStatus::Code(0), "{name} where the profile lets it: {said}");
    }
}

/// None of its calls reaches this one: it may make what namespaces it likes, and they are of a machine that is not there.
async fn system_calls_end_at_the_servers_own_kernel() {
    let machine = Machine::new();
    for name in ["mount", "bpf", "perf", "open_tree", "userfaultfd", "socket-packet", "socket-raw", "socket-vsock"] {
        let (status, said) = run(&confined(role("call", &[name]), confinement(&machine))).await;
        assert_eq!(status, ExitStatus::Code(1), "{name}: {said}");
    }
    let (_, said) = run(&confined(sh("cat /proc/version; dmesg"), confinement(&machine))).await;
    let here = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert!(said.contains("gVisor") && !said.contains(here.trim()), "{said}");
    assert!(run(&sh("cat /proc/version")).await.1.contains(here.trim()), "the control");
    // With all rights in a namespace of its own it still sees and changes nothing of the machine.
    let script = format!(
        "cat {0}/secret; echo planted > {0}/canary; echo x > /proc/sys/kernel/hostname",
        machine.outside.display()
    );
    let (_, said) =
        run(&confined(sh(&format!("unshare -Urm sh -c '{script}'; {script}")), confinement(&machine))).await;
    assert!(!said.contains(SECRET) && !machine.canary().exists(), "{said}");
}

async fn calls_of_other_architectures_end_the_server() {
    // Another kernel answers them itself.
    if !cfg!(target_arch = "x86_64") || own_kernel() {
        return;
    }
    let machine = Machine::new();
    let killed = by_signal(libc::SIGSYS);
    for name in ["int80", "x32"] {
        // A kernel may have neither; then it says so instead of killing.
        assert_ne!(run(&role(name, &[])).await.0, killed, "the control of {name}");
        assert_eq!(run(&confined(role(name, &[]), confinement(&machine))).await.0, killed, "{name}");
    }
}

async fn a_terminal_cannot_be_typed_into() {
    // Another kernel knows of no terminal but those that it makes.
    if own_kernel() {
        return;
    }
    let machine = Machine::new();
    let (status, said) = run(&role("inject", &[])).await;
    assert_eq!(status, ExitStatus::Code(0), "a pipe is no terminal, which the kernel says in other words: {said}");
    assert_eq!(run(&confined(role("inject", &[]), confinement(&machine))).await.0, ExitStatus::Code(1));
}

async fn files_outside_are_neither_read_nor_written() {
    let machine = Machine::new();
    let (outside, canary) = (machine.outside.display(), machine.canary());
    let secret = format!("{outside}/secret");
    differs(&machine, &format!("cat {secret}"), SECRET, |_| {}).await;
    differs(&machine, &format!("cat {}", machine.work.join("../outside/secret").display()), SECRET, |_| {}).await;
    differs(&machine, &format!("cat /proc/self/root{secret}; cat /proc/1/root{secret}"), SECRET, |_| {}).await;
    differs(&machine, "cat /etc/passwd", "root:", |_| {}).await;
    if is_root() {
        differs(&machine, "cat /etc/shadow", "root:", |_| {}).await;
    }
    for attempt in [
        format!("echo planted > {}", canary.display()),
        format!("cd {}; mv secret ../outside/canary", machine.work.display()),
        format!("mkdir -p {outside}; echo planted > {}", canary.display()),
    ] {
        fs::write(machine.work.join("secret"), "x").unwrap();
        run(&confined(sh(&attempt), confinement(&machine))).await;
        assert!(!canary.exists(), "{attempt}");
        run(&sh(&attempt)).await;
        assert!(canary.exists(), "the control of {attempt}");
        fs::remove_file(&canary).unwrap();
    }
    // What may be read may not be written, not even by root.
    let bin = machine.outside.join("bin");
    fs::create_dir(&bin).unwrap();
    let script = format!("echo planted > {}/tool || echo refused", bin.display());
    let mut walls = confinement(&machine);
    walls.read_only.push(bin.clone());
    let (_, said) = run(&confined(sh(&script), walls)).await;
    assert!(said.contains("refused") && !bin.join("tool").exists(), "{said}");
    run(&sh(&script)).await;
    assert!(bin.join("tool").exists());
}

async fn links_lead_nowhere() {
    let machine = Machine::new();
    let secret = machine.outside.join("secret");
    symlink(&secret, machine.work.join("planted")).unwrap();
    symlink(&machine.outside, machine.work.join("way")).unwrap();
    let work = machine.work.display();
    differs(&machine, &format!("cat {work}/planted"), SECRET, |_| {}).await;
    differs(&machine, &format!("ln -s {} {work}/new; cat {work}/new; rm {work}/new", secret.display()), SECRET, |_| {})
        .await;
    differs(
        &machine,
        &format!("ln {} {work}/hard && cat {work}/hard; rm -f {work}/hard", secret.display()),
        SECRET,
        |_| {},
    )
    .await;
    let script = format!("echo planted > {work}/way/canary");
    run(&confined(sh(&script), confinement(&machine))).await;
    assert!(!machine.canary().exists());
    run(&sh(&script)).await;
    assert!(machine.canary().exists(), "the control");
    // Renaming out of what may be written goes nowhere either.
    let script = format!("mv {work}/planted /usr/canary && echo DONE; ln {work}/planted /tmp/linked && echo DONE");
    let (_, said) = run(&confined(sh(&script), confinement(&machine))).await;
    assert!(!said.contains("DONE") && !Path::new("/usr/canary").exists(), "{said}");
}

async fn protected_names_stay_as_they_are() {
    let machine = Machine::new();
    let work = machine.work.display();
    let protect = |confinement: &mut Confinement| {
        let protected = |(name, directory): &(&str, bool)| Protected { name: (*name).into(), directory: *directory };
        confinement.protected = [(".git/hooks", true), (".git/config", false), (".mcp.json", false), (".vscode", true)]
            .iter()
            .map(protected)
            .collect();
    };
    let attempts = [
        ("echo planted > .git/hooks/pre-commit", ".git/hooks/pre-commit"),
        ("mkdir -p .git/hooks; echo planted > .git/hooks/pre-commit", ".git/hooks/pre-commit"),
        ("echo planted > .git/config", ".git/config"),
        ("mv .git old; mkdir -p .git/hooks; echo planted > .git/hooks/pre-commit", ".git/hooks/pre-commit"),
        ("rm -rf .git; mkdir -p .git/hooks; echo planted > .git/hooks/pre-commit", ".git/hooks/pre-commit"),
        ("mv .git/hooks x; mkdir -p .git/hooks; echo planted > .git/hooks/pre-commit", ".git/hooks/pre-commit"),
        ("echo planted > .mcp.json", ".mcp.json"),
        ("echo planted > new; mv -f new .mcp.json", ".mcp.json"),
        (
            "ln -s /var/tmp .vscode; rm -f .vscode; mkdir -p .vscode; echo planted > .vscode/tasks.json",
            ".vscode/tasks.json",
        ),
    ];
    for (attempt, canary) in attempts {
        let mut succeeded = false;
        for repository in [false, true] {
            let prepare = || {
                for entry in fs::read_dir(&machine.work).unwrap() {
                    let path = entry.unwrap().path();
                    if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
                }
                if repository {
                    fs::create_dir_all(machine.work.join(".git/hooks")).unwrap();
                    fs::write(machine.work.join(".git/config"), "[core]\n").unwrap();
                }
            };
            let script = format!("cd {work}; {attempt}; true");
            let planted = || lines(&machine.work.join(canary)).contains("planted");
            prepare();
            let mut walls = confinement(&machine);
            protect(&mut walls);
            let (status, said) = run(&confined(sh(&script), walls)).await;
            assert_eq!(status, ExitStatus::Code(0), "{said}");
            assert!(!planted(), "{attempt}, repository {repository}: {said}");
            assert!(!machine.work.join(".mcp.json").exists() && !machine.work.join(".vscode").exists(), "{attempt}");
            assert_eq!(machine.work.join(".git").exists(), repository, "a placeholder stayed, or what was there went");
            prepare();
            run(&sh(&script)).await;
            succeeded |= planted();
        }
        assert!(succeeded, "the control of {attempt}");
    }
    // What lies beside them is as free as before.
    let mut walls = confinement(&machine);
    protect(&mut walls);
    let script = format!("cd {work}; rm -rf .git; mkdir src && echo fine > src/a && mkdir -p .github && echo ok");
    assert!(run(&confined(sh(&script), walls)).await.1.contains("ok"));
}

/// Whoever saves a file by renaming takes the mount off the old one; then the new one would be open to the server.
async fn a_protected_name_that_is_replaced_ends_the_server() {
    let machine = Machine::new();
    fs::create_dir(machine.work.join(".git")).unwrap();
    let config = machine.work.join(".git/config");
    fs::write(&config, "mine").unwrap();
    let mut walls = confinement(&machine);
    walls.protected = vec![Protected { name: ".git/config".into(), directory: false }];
    let script = format!("echo ready; while :; do echo planted > {}; sleep 0.01; done 2>/dev/null", config.display());
    for replace in [false, true] {
        let child = confined(sh(&script), walls.clone()).spawn().await.unwrap();
        fs::write(machine.work.join("beside"), "new").unwrap();
        fs::write(&config, "written in place").unwrap();
        if replace {
            fs::rename(machine.work.join("beside"), &config).unwrap();
            assert_eq!(child.wait().await, ExitStatus::Exposed);
            // The next one holds what is there now.
            fs::write(&config, "new").unwrap();
            let script = format!("echo planted > {} || echo refused", config.display());
            assert!(run(&confined(sh(&script), walls.clone())).await.1.contains("refused"));
            assert_eq!(lines(&config), "new");
        } else {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            assert_eq!(
                (child.try_wait(), lines(&config).as_str()),
                (None, "written in place"),
                "what is only written to stays held"
            );
        }
    }
}

/// A server that swaps what its own profile names for links would have the next start follow them.
async fn what_is_named_where_one_may_write_cannot_be_put_elsewhere() {
    let machine = Machine::new();
    let (work, outside) = (machine.work.display(), machine.outside.display());
    let swaps = [
        format!("cd {work}; mv conf old; mkdir conf; ln -s {outside} conf/shown; ln -s {outside}/secret conf/.env"),
        format!("cd {work}; rm -rf conf/shown; ln -s {outside} conf/shown"),
        format!("cd {work}; rm -f conf/.env; ln -s {outside}/secret conf/.env"),
        format!("cd {work}; mv conf/.env conf/env"),
    ];
    for swap in swaps {
        drop(fs::remove_dir_all(machine.work.join("conf")));
        drop(fs::remove_dir_all(machine.work.join("old")));
        fs::create_dir_all(machine.work.join("conf/shown")).unwrap();
        fs::write(machine.work.join("conf/.env"), SECRET).unwrap();
        let mut walls = confinement(&machine);
        walls.read_only.push(machine.work.join("conf/shown"));
        walls.hidden.push(machine.work.join("conf/.env"));
        run(&confined(sh(&swap), walls.clone())).await;
        let read =
            format!("cd {work}; cat conf/shown/secret conf/.env old/.env conf/env; echo planted > conf/shown/canary");
        if let Ok(mut child) = confined(sh(&read), walls).spawn().await {
            let (_, said) = output(&mut child).await;
            assert!(!said.contains(SECRET), "{swap}: {said}");
        }
        assert!(!machine.canary().exists(), "{swap}");
        assert_eq!(lines(&machine.work.join("conf/.env")), SECRET, "{swap}");
    }
    // A link that lies there before the first start is what the user has, and is followed once.
    symlink(&machine.outside, machine.work.join("link")).unwrap();
    let mut walls = confinement(&machine);
    walls.read_only.push(machine.work.join("link"));
    let (_, said) = run(&confined(sh(&format!("cat {outside}/secret")), walls.resolved())).await;
    assert!(said.contains(SECRET), "{said}");
    // Somebody else who replaces what is hidden ends the server, as with what is protected.
    let mut walls = confinement(&machine);
    walls.hidden.push(machine.work.join("conf/.env"));
    let child = confined(sh("sleep 1000"), walls).spawn().await.unwrap();
    fs::write(machine.work.join("conf/new"), SECRET).unwrap();
    fs::rename(machine.work.join("conf/new"), machine.work.join("conf/.env")).unwrap();
    assert_eq!(child.wait().await, ExitStatus::Exposed);
}

async fn what_is_hidden_is_seen_empty() {
    let machine = Machine::new();
    fs::create_dir(machine.work.join("keys")).unwrap();
    fs::write(machine.work.join("keys/id"), SECRET).unwrap();
    fs::write(machine.work.join("token"), SECRET).unwrap();
    let hide = |c: &mut Confinement| c.hidden = vec![machine.work.join("keys"), machine.work.join("token")];
    let work = machine.work.display();
    differs(&machine, &format!("cat {work}/keys/id {work}/token"), SECRET, hide).await;
    let mut walls = confinement(&machine);
    hide(&mut walls);
    run(&confined(
        sh(&format!("echo x > {work}/keys/id; echo x > {work}/token; rm -rf {work}/keys {work}/token")),
        walls,
    ))
    .await;
    assert_eq!(lines(&machine.work.join("keys/id")), SECRET);
    assert_eq!(lines(&machine.work.join("token")), SECRET);
}

async fn other_processes_are_not_there() {
    let machine = Machine::new();
    let me = std::process::id();
    if own_kernel() {
        // Its numbers may be the same, and are of others.
        let (_, said) = run(&confined(sh("cat /proc/[0-9]*/comm; cat /proc/1/environ"), confinement(&machine))).await;
        assert!(!said.contains("escape") && !said.contains("bartizan") && !said.contains("runsc"), "{said}");
        return;
    }
    differs(&machine, &format!("kill -0 {me} && echo alive"), "alive", |_| {}).await;
    differs(&machine, &format!("test -d /proc/{me} && echo SEEN"), "SEEN", |_| {}).await;
    differs(&machine, &format!("tr '\\0' '\\n' < /proc/{me}/cmdline"), "escape", |_| {}).await;
    // The sandbox's own first process says nothing, holds nothing, and cannot be signalled.
    let script = "cat /proc/1/environ /proc/1/maps /proc/1/mem; ls /proc/1/fd /proc/1/cwd/ /proc/1/root/; kill -TERM 1; kill -KILL 1; sleep 0.1; echo alive";
    let mut launch = confined(sh(script), confinement(&machine));
    launch.env.set("TOKEN", SECRET);
    let (status, said) = run(&launch).await;
    assert_eq!(status, ExitStatus::Code(0), "{said}");
    assert!(said.contains("alive") && !said.contains(SECRET) && said.matches("denied").count() >= 4, "{said}");
}

async fn only_three_descriptors_are_open() {
    let machine = Machine::new();
    let held = fs::File::open("/dev/null").unwrap();
    // Such as one that a careless library opened without closing it on exec.
    rustix::io::fcntl_setfd(&held, rustix::io::FdFlags::empty()).unwrap();
    // The fourth is that of the listing.
    let (_, said) = run(&confined(sh("cd /proc/self/fd; echo *"), confinement(&machine))).await;
    assert_eq!(said, "0 1 2 3\n");
}

async fn nothing_of_the_machine_is_changed_through_its_listing() {
    let machine = Machine::new();
    let script = "for f in /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /proc/sysrq-trigger /proc/sys/vm/drop_caches \
                  /proc/self/oom_score_adj; do (printf '' >> $f) 2>/dev/null && echo open $f; done; true";
    for namespaces in [false, true] {
        let mut walls = confinement(&machine);
        walls.exceptions.namespaces = namespaces;
        let (_, said) = run(&confined(sh(script), walls)).await;
        // A browser gives itself a score; that is its own.
        assert!(!said.contains("/proc/sys"), "{said}");
    }
    if is_root() {
        assert!(run(&sh(script)).await.1.contains("open /proc/sys/kernel/core_pattern"), "the control");
    }
    let script = "cd /proc; cat kcore key-users keys kmsg kpage* timer_list interrupts kallsyms pagetypeinfo slabinfo vmallocinfo \
                  | wc -c; ls /sys /proc/acpi";
    let (_, said) = run(&confined(sh(script), confinement(&machine))).await;
    assert!(said.starts_with("0\n"), "{said}");
    // Not all of them: one is read by waiting for what is written to it.
    let (_, said) = run(&sh("head -c 100 /proc/interrupts | wc -c")).await;
    assert_eq!(said, "100\n", "the control");
}

async fn devices_are_few_and_none_can_be_made() {
    let machine = Machine::new();
    let (_, said) = run(&confined(
        sh("cd /dev; echo *; mknod /tmp/disk b 8 0 && echo made; echo x > /dev/null && echo fine"),
        confinement(&machine),
    ))
    .await;
    if own_kernel() {
        // Its own terminals and tunnels are of that kernel.
        assert!(["kvm", "mem", "vda", "vsock"].iter().all(|name| !said.contains(name)), "{said}");
    } else {
        assert!(said.starts_with("fd full null random shm stderr stdin stdout urandom zero\n"), "{said}");
    }
    assert!(said.contains("fine") && !said.contains("made"), "{said}");
    if is_root() {
        let node = machine.work.join("node");
        run(&sh(&format!("mknod {} c 1 5", node.display()))).await;
        differs(&machine, &format!("head -c 4 {} >/dev/null && echo READ", node.display()), "READ", |_| {}).await;
    }
}

async fn no_program_gives_back_rights() {
    let machine = Machine::new();
    // A program with the set-user-ID bit, in a place that may be executed from.
    let program = machine.work.join("id");
    fs::copy("/usr/bin/id", &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o6755)).unwrap();
    let script = format!(
        "grep -E '^(Cap...:|NoNewPrivs|Seccomp:)' /proc/self/status | tr '\\t\\n' '  '; {} -u",
        program.display()
    );
    let (_, said) = run(&confined(sh(&script), confinement(&machine))).await;
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
        assert!(!run(&sh(&script)).await.1.contains(&format!("CapEff: {none}")), "the control");
    }
}

async fn no_file_is_made_to_run_as_its_owner() {
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

async fn the_network_ends_at_itself() {
    let machine = Machine::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    assert_eq!(run(&role("connect", &[&address])).await.0, ExitStatus::Code(0), "the control");
    let (status, said) = run(&confined(role("connect", &[&address]), confinement(&machine))).await;
    assert_eq!(status, ExitStatus::Code(1), "{said}");
    for elsewhere in ["169.254.169.254:80", "1.1.1.1:443", "[2606:4700::1111]:443", "[::ffff:169.254.169.254]:80"] {
        let (status, said) = run(&confined(role("connect", &[elsewhere]), confinement(&machine))).await;
        assert!(status == ExitStatus::Code(1) && said.contains("unreachable"), "{elsewhere}: {said}");
    }
    let mut walls = confinement(&machine);
    walls.network = Network::Host;
    assert_eq!(
        run(&confined(role("connect", &[&address]), walls)).await.0,
        ExitStatus::Code(0),
        "where the profile lets it"
    );
    // Its own loopback works.
    let (_, said) =
        run(&confined(sh("cat /proc/net/dev | grep -c lo:; cat /proc/net/dev | wc -l"), confinement(&machine))).await;
    assert_eq!(said, "1\n3\n");
}

async fn a_relay_is_the_only_way_out() {
    let machine = Machine::new();
    let socket = machine.outside.join("egress.sock");
    let outside = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        for stream in outside.incoming() {
            let mut stream = stream.unwrap();
            let asked = std::io::read_to_string(&mut stream).unwrap();
            std::io::Write::write_all(&mut stream, format!("heard {asked}").as_bytes()).ok();
        }
    });
    let with = |told: &str| {
        let mut walls = confinement(&machine);
        walls.network = Network::Relay(Relay { socket: socket.clone(), told: told.to_owned() });
        walls
    };
    // A port below 1024 needs rights over the network, which only the relay has while it begins.
    let launch = confined(role("ask", &["127.0.0.1:443", "hello"]), with("443"));
    assert_eq!(run(&launch).await, (ExitStatus::Code(0), "heard hello\n".to_owned()));
    let (status, said) = run(&confined(role("ask", &["127.0.0.1:443", "hello"]), confinement(&machine))).await;
    assert!(status == ExitStatus::Code(1) && said.contains("refused"), "without a relay: {said}");
    let host = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for elsewhere in [host.as_str(), "1.1.1.1:443"] {
        assert_eq!(
            run(&confined(role("connect", &[elsewhere]), with("443"))).await.0,
            ExitStatus::Code(1),
            "{elsewhere}"
        );
    }
    // The server does not read the relay, and where the kernel bounds whom it may signal does not end it either.
    let script = "pid=$(grep -lx bartizan-relay /proc/[0-9]*/comm | cut -d/ -f3); kill -KILL $pid && echo KILLED; \
                  cat /proc/$pid/maps >/dev/null 2>&1 && echo READ; sleep 0.1; test -d /proc/$pid && echo there";
    let (_, said) = run(&confined(sh(script), with("443"))).await;
    let bounded = own_kernel() || host_bounds_signals().await;
    assert!(!said.contains("READ") && (!bounded || said.contains("there\n") && !said.contains("KILLED")), "{said}");
    let error = confined(sh("true"), with("fail")).spawn().await.unwrap_err().to_string();
    assert!(error.contains("told to fail"), "{error}");
    // It holds none of the server's streams: who closes one is seen to have. A kernel of its own holds them.
    if !own_kernel() {
        let mut child = confined(sh("exec >&- 2>&-; sleep 1000"), with("443")).spawn().await.unwrap();
        let (mut stdout, mut said) = (child.stdout.take().unwrap(), Vec::new());
        let ended = tokio::time::timeout(std::time::Duration::from_secs(60), stdout.read_to_end(&mut said)).await;
        assert_eq!(ended.unwrap().unwrap(), 0);
    }
    // Its end does not keep the sandbox from ending in time.
    let mut child = confined(sh("exec cat"), with("443")).spawn().await.unwrap();
    assert_eq!(child.shutdown().await, ExitStatus::Code(0));
}

/// Whether Landlock has a server signal only what is in the same walls, from Linux 6.12 on.
async fn host_bounds_signals() -> bool {
    bartizan_sandbox::probe(None).await.unwrap().landlock.is_some_and(|version| version >= 6)
}

async fn sockets_of_daemons_are_out_of_reach() {
    let machine = Machine::new();
    let path = machine.work.join("daemon.sock");
    let _daemon = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let (status, said) = run(&confined(role("unix", &[path.to_str().unwrap()]), confinement(&machine))).await;
    assert_eq!(status, ExitStatus::Code(1), "{said}");
    assert_eq!(run(&role("unix", &[path.to_str().unwrap()])).await.0, ExitStatus::Code(0), "the control");
    // A name without a file belongs to the network namespace.
    let name = format!("bartizan-{}", std::process::id());
    let address =
        <std::os::unix::net::SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name.as_bytes())
            .unwrap();
    let _daemon = std::os::unix::net::UnixListener::bind_addr(&address).unwrap();
    let attempt = format!("@{name}");
    assert_eq!(run(&role("unix", &[&attempt])).await.0, ExitStatus::Code(0), "the control");
    let mut walls = confinement(&machine);
    walls.exceptions.unix_sockets = true;
    assert_eq!(run(&confined(role("unix", &[&attempt]), walls)).await.0, ExitStatus::Code(1));
}

async fn a_fork_bomb_is_capped_and_ends_with_its_server() {
    let machine = Machine::new();
    let mut walls = confinement(&machine);
    // A kernel in a process has threads of its own.
    let pids = if own_kernel() { 150 } else { 40 };
    walls.limits = Limits { pids: Some(pids), ..Limits::default() };
    let mark = format!("BOMB={}", machine.work.display());
    let mut launch = confined(role("fork-bomb", &[]), walls);
    launch.env.set("BOMB", &machine.work);
    let (status, said) = run(&launch).await;
    if own_kernel() {
        // That kernel is among what is counted, and may well end when it gets no more.
        assert_ne!(status, ExitStatus::Code(0), "{said}");
    } else {
        assert_eq!(status, ExitStatus::Code(1), "{said}");
        let count = said.trim().rsplit("stopped after ").next().unwrap().split_whitespace().next().unwrap();
        assert!((10..40).contains(&count.parse::<usize>().unwrap()), "{said}");
    }
    assert_eq!(living(&mark), 0, "what it started ended with it");
}

async fn a_memory_bomb_ends_its_own_server_only() {
    let machine = Machine::new();
    let mut neighbour = confined(sh("exec cat"), confinement(&machine)).spawn().await.unwrap();
    let mut walls = confinement(&machine);
    walls.limits = Limits { memory: Some(64 << 20), ..Limits::default() };
    let much = (256 << 20).to_string();
    assert_eq!(run(&confined(role("memory", &[&much]), walls.clone())).await.0, ExitStatus::OutOfMemory);
    assert_eq!(run(&role("memory", &[&much])).await.0, ExitStatus::Code(0), "the control");
    assert_eq!(
        run(&confined(role("memory", &[&(16 << 20).to_string()]), walls)).await.0,
        ExitStatus::Code(0),
        "in bounds"
    );
    neighbour.stdin.as_mut().unwrap().write_all(b"still here").await.unwrap();
    assert_eq!(output(&mut neighbour).await.1, "still here");
}

/// Root has control groups here and an ordinary user has not, so both ways of holding a limit are met.
async fn a_watch_ends_a_memory_bomb_where_no_group_can() {
    let machine = Machine::new();
    let mut walls = confinement(&machine);
    walls.limits = Limits { memory: Some(64 << 20), ..Limits::default() };
    walls.require = vec![Guarantee::MemoryLimit];
    let group = confined(sh("true"), walls.clone()).spawn().await.is_ok();
    walls.require.clear();
    let (status, _) = run(&confined(role("memory", &[&(512 << 20).to_string()]), walls)).await;
    assert_eq!(status, ExitStatus::OutOfMemory, "kept by a control group: {group}");
    assert!(group || !is_root() || !Path::new("/sys/fs/cgroup").exists(), "root has no control group here");
}

async fn disks_and_descriptors_are_limited() {
    let machine = Machine::new();
    let mut walls = confinement(&machine);
    walls.limits = Limits { nofile: Some(64), fsize: Some(4 << 20), ..Limits::default() };
    let file = |directory: &Path, name: &str| directory.join(name).to_str().unwrap().to_owned();
    let work = file(&machine.work, "big");
    let megabytes = |count: usize| (count << 20).to_string();
    let cases = [
        ("fill", vec!["/tmp/a".into(), megabytes(2)], true),
        ("fill", vec![work.clone(), megabytes(2)], true),
        // A file that grows over its limit ends the program by a signal, or is an error where that is ignored.
        ("fill", vec![work.clone(), megabytes(8)], false),
        ("inodes", vec!["/tmp".into(), "300".into()], true),
        ("inodes", vec!["/tmp".into(), "140000".into()], false),
        ("descriptors", vec!["32".into()], true),
        ("descriptors", vec!["100".into()], false),
    ];
    for (attempt, args, fits) in cases {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let (status, said) = run(&confined(role(attempt, &args), walls.clone())).await;
        assert_eq!(status == ExitStatus::Code(0), fits, "{attempt} {args:?}: {status} {said}");
    }
    walls.limits.fsize = None;
    for directory in ["/tmp", "/var/tmp", "/dev/shm", "/home/sandbox"] {
        let (status, said) =
            run(&confined(role("fill", &[&file(Path::new(directory), "x"), &megabytes(16)]), walls.clone())).await;
        assert!(status == ExitStatus::Code(1) && said.contains("space"), "{directory}: {said}");
    }
    let (status, _) = run(&confined(role("fill", &["/x", "1048576"]), walls.clone())).await;
    assert_eq!(status, ExitStatus::Code(1), "the root itself");
    assert_eq!(run(&role("fill", &[&work, &megabytes(16)])).await.0, ExitStatus::Code(0), "the control");
}

/// Only where control groups are to be had; an ordinary user has none here, and is told so by `require`.
async fn a_server_that_spins_is_throttled() {
    let machine = Machine::new();
    let mut walls = confinement(&machine);
    walls.limits = Limits { cpu: Some(100), ..Limits::default() };
    walls.require = vec![Guarantee::CpuLimit];
    let launch = confined(sh("while :; do :; done"), walls);
    let child = match launch.spawn().await {
        Ok(child) => child,
        Err(SpawnError::Required { what }) => return assert!(!is_root() && what.contains("cpu_limit"), "{what}"),
        Err(other) => panic!("{other}"),
    };
    let group = format!("bartizan-{}", parent(child.pid()));
    let throttled = || {
        let stat =
            find(Path::new("/sys/fs/cgroup"), &group).map(|group| lines(&group.join("cpu.stat"))).unwrap_or_default();
        stat.lines().any(|line| line.strip_prefix("nr_throttled ").is_some_and(|count| count != "0"))
    };
    eventually("it is throttled", throttled).await;
    drop(child);
    // Without a limit there is no group to be throttled in.
    let child = confined(sh("while :; do :; done"), confinement(&machine)).spawn().await.unwrap();
    assert_eq!(find(Path::new("/sys/fs/cgroup"), &format!("bartizan-{}", parent(child.pid()))), None);
}

/// The directory of that name with a count of throttling, or any if none has one.
fn find(below: &Path, name: &str) -> Option<std::path::PathBuf> {
    let directories = || fs::read_dir(below).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir());
    let here = directories().find(|entry| entry.file_name() == name).map(|entry| entry.path());
    here.or_else(|| {
        let real = directories().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        real.filter_map(|entry| find(&entry.path(), name)).find(|group| group.join("cpu.stat").exists())
    })
}

async fn what_a_profile_requires_is_there_or_nothing_starts() {
    let machine = Machine::new();
    let check = async |guarantee, expected: &str| {
        let mut walls = confinement(&machine);
        walls.require = vec![guarantee];
        let script = format!("echo ran > {}/ran", machine.work.display());
        match confined(sh(&script), walls).spawn().await {
            Err(error @ SpawnError::Required { .. }) => assert!(error.to_string().contains(expected), "{error}"),
            other => panic!("{other:?}"),
        }
        assert!(!machine.work.join("ran").exists());
    };
    if own_kernel() {
        check(Guarantee::Landlock(1), "landlock>=1: the level `vm`").await;
    } else {
        check(Guarantee::Landlock(9999), "landlock>=9999: needs a newer kernel").await;
        check(Guarantee::OwnKernel, "own_kernel: needs `level = \"vm\"`").await;
    }
    let mut walls = confinement(&machine);
    walls.require = vec![Guarantee::OwnNetwork];
    walls.require.extend(own_kernel().then_some(Guarantee::OwnKernel));
    assert_eq!(run(&confined(sh("true"), walls.clone())).await.0, ExitStatus::Code(0));
    walls.network = Network::Host;
    let error = confined(sh("true"), walls).spawn().await.unwrap_err().to_string();
    assert!(error.contains("netns: is not to be had with `net.host`"), "{error}");
    // No limit is set, so none holds.
    check(Guarantee::MemoryLimit, "memory_limit").await;
    check(Guarantee::CpuLimit, "cpu_limit").await;
    let mut walls = confinement(&machine);
    walls.writable.push("/var/tmp/bartizan-is-not-there".into());
    let error = confined(sh("true"), walls).spawn().await.unwrap_err().to_string();
    assert!(error.contains("bartizan-is-not-there"), "{error}");
}
