//! The cases: each attempt succeeds with nothing around it, fails when confined, and leaves no trace outside.

use std::fs;
use std::os::unix::fs::symlink;

use bartizan_sandbox::{Confinement, ExitStatus, Guarantee, Network, Protected, SpawnError};
use tokio::io::AsyncWriteExt as _;

use crate::counts::{
    a_pair_of_sockets_speaks_to_nobody_else, nobody_waits_for_a_file_that_is_only_read,
    what_somebody_else_has_locked_holds_no_start_up, what_the_kernel_counts_for_each_user_is_bounded,
};
use crate::ends::{
    a_runtime_that_is_not_there_or_does_not_work_starts_nothing, many_starts_leave_nothing,
    whatever_is_killed_nothing_stays,
};
use crate::home::what_others_read_in_the_home_directory_is_not_written;
use crate::limits::{
    a_fork_bomb_is_capped_and_ends_with_its_server, a_memory_bomb_ends_its_own_server_only,
    a_server_that_spins_is_throttled, a_watch_ends_a_memory_bomb_where_no_group_can, disks_and_descriptors_are_limited,
};
use crate::network::{
    a_relay_is_the_only_way_out, an_agent_that_holds_keys_is_neither_named_nor_reached,
    queues_and_memory_of_others_are_not_there, sockets_between_processes_reach_only_what_is_shown,
    sockets_of_daemons_are_out_of_reach, the_network_ends_at_itself, what_is_sent_to_the_host_does_not_arrive,
};
use crate::rights::{
    a_terminal_cannot_be_typed_into, files_are_not_opened_by_handle, no_file_is_made_to_run_as_its_owner,
    no_program_gives_back_rights, only_three_descriptors_are_open,
};
use crate::suite::Case;
use crate::support::{
    Machine, SECRET, by_signal, confined, confinement, differs, host_bounds_signals, is_root, lines, output,
    own_kernel, role, run, sh,
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
        files_are_not_opened_by_handle
        links_lead_nowhere
        what_others_read_in_the_home_directory_is_not_written
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
        what_is_sent_to_the_host_does_not_arrive
        a_relay_is_the_only_way_out
        sockets_of_daemons_are_out_of_reach
        sockets_between_processes_reach_only_what_is_shown
        an_agent_that_holds_keys_is_neither_named_nor_reached
        queues_and_memory_of_others_are_not_there
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
    // Nor is a file that may only be read renamed, replaced, or written under another name.
    let shown = machine.outside.join("shown");
    let at = shown.display();
    let tool = || lines(&shown.join("tool"));
    let prepare = || {
        drop(fs::remove_dir_all(&shown));
        fs::create_dir(&shown).unwrap();
        fs::write(shown.join("tool"), "mine").unwrap();
        fs::write(machine.work.join("new"), "planted").unwrap();
    };
    for script in [
        format!("ln {at}/tool {work}/linked && echo planted > {work}/linked; rm -f {work}/linked"),
        format!("mv {at}/tool {work}/moved; rm -f {work}/moved"),
        format!("mv -f {work}/new {at}/tool"),
        format!("ln -f {work}/new {at}/tool"),
        format!("mv {at} {work}/away; rm -rf {work}/away"),
    ] {
        prepare();
        let mut walls = confinement(&machine);
        walls.read_only.push(shown.clone());
        run(&confined(sh(&script), walls)).await;
        assert_eq!(tool(), "mine", "{script}");
        prepare();
        run(&sh(&script)).await;
        assert_ne!(tool(), "mine", "the control of {script}");
    }
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
    // The sandbox's own first process says nothing, holds nothing, and where the kernel bounds whom a server may signal cannot be
    // asked to end: elsewhere that ends the server as well.
    let script = "cat /proc/1/environ /proc/1/maps /proc/1/mem; ls /proc/1/fd /proc/1/cwd/ /proc/1/root/; kill -TERM 1; kill -KILL 1; sleep 0.1; echo alive";
    let mut launch = confined(sh(script), confinement(&machine));
    launch.env.set("TOKEN", SECRET);
    let (status, said) = run(&launch).await;
    let stays = status == ExitStatus::Code(0) && said.contains("alive");
    assert!(stays || !host_bounds_signals().await, "{status} {said}");
    assert!(!said.contains(SECRET) && said.matches("denied").count() >= 4, "{said}");
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
