//! The cases about beginnings and ends: what does not start, and that nothing stays.

use std::fs;
use std::path::Path;

use bartizan_sandbox::{ExitStatus, Launch, Limits, Network, Protected, Relay, Runtime, RuntimeKind, SpawnError};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::support::{Left, Machine, below, confined, confinement, eventually, living, own_kernel, parent, run, sh};

pub(crate) async fn a_runtime_that_is_not_there_or_does_not_work_starts_nothing() {
    let machine = Machine::new();
    let own = machine.work.join("runsc");
    fs::copy("/bin/true", &own).unwrap();
    for kind in RuntimeKind::ALL {
        let level = kind.level().to_string();
        for (program, expected) in [
            (Path::new("/no/such/runtime"), format!("the level `{level}`, and there is no program")),
            // Ends without having started anything, be it well or badly.
            (Path::new("/bin/false"), format!("start the server with {}", kind.name())),
            (Path::new("/bin/true"), format!("start the server with {}", kind.name())),
            (own.as_path(), "could be replaced".to_owned()),
        ] {
            let mut walls = confinement(&machine);
            walls.runtime = Some(Runtime { program: program.to_owned(), ..Runtime::usual(kind) });
            let script = format!("echo ran > {}/ran", machine.work.display());
            let error = confined(sh(&script), walls).spawn().await.unwrap_err().to_string();
            assert!(error.contains(&expected), "{kind:?} {program:?}: {error}");
            assert!(!machine.work.join("ran").exists());
        }
    }
    // What is wrong with the server is told as without one.
    let error = confined(Launch::new("no-such-program"), confinement(&machine)).spawn().await.unwrap_err();
    assert!(matches!(error, SpawnError::NotFound { .. }), "{error:?}");
    let mut launch = confined(sh("true"), confinement(&machine));
    launch.cwd = Some("/no/such/directory".into());
    let error = launch.spawn().await.unwrap_err();
    assert!(matches!(error, SpawnError::Directory { .. }), "{error:?}");
}

pub(crate) async fn whatever_is_killed_nothing_stays() {
    let machine = Machine::new();
    let mark = format!("KILLED={}", machine.work.display());
    let protect = vec![Protected { name: ".mcp.json".into(), directory: false }];
    let stubborn = "trap '' TERM HUP INT; (setsid sleep 1000 &); (trap '' TERM; sleep 1000) & echo ready; while :; do sleep 1; done";
    for victim in ["handle", "launcher", "first"] {
        let mut walls = confinement(&machine);
        walls.protected = protect.clone();
        let mut launch = confined(sh(stubborn), walls);
        launch.env.set("KILLED", &machine.work);
        let mut child = launch.spawn().await.unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(stdout.next_line().await.unwrap().unwrap(), "ready");
        // Behind a kernel of its own nobody sees the server's processes, but those of that kernel.
        let tree = below(parent(child.pid()));
        let alive = || living(&mark) + tree.iter().filter(|process| process.is_there()).count();
        assert!(alive() >= 3 && machine.work.join(".mcp.json").exists());
        let first = child.pid();
        let pid = |pid: u32| rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
        match victim {
            "launcher" => rustix::process::kill_process(pid(parent(first)), rustix::process::Signal::KILL).unwrap(),
            "first" => rustix::process::kill_process(pid(first), rustix::process::Signal::KILL).unwrap(),
            _ => drop(child),
        }
        eventually(&format!("all is gone after {victim} was killed"), || alive() == 0).await;
        if victim != "launcher" {
            eventually("the placeholder is gone", || !machine.work.join(".mcp.json").exists()).await;
        }
    }
    // The next start takes away what a killed launcher could not.
    let mut walls = confinement(&machine);
    walls.protected = protect;
    run(&confined(sh("true"), walls)).await;
    assert!(!machine.work.join(".mcp.json").exists());
}

/// Half of them with a way out.
pub(crate) async fn many_starts_leave_nothing() {
    let machine = Machine::new();
    let mark = format!("STARTED={}", machine.work.display());
    let socket = machine.outside.join("egress.sock");
    let _outside = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    // A kernel in a process has threads of its own.
    let pids = if own_kernel() { 200 } else { 20 };
    let start = async |number: usize| {
        let mut walls = confinement(&machine);
        walls.limits = Limits { memory: Some(64 << 20), pids: Some(pids), ..Limits::default() };
        if number % 2 == 1 {
            walls.network = Network::Relay(Relay { socket: socket.clone(), told: "443".to_owned() });
        }
        let mut launch = confined(sh("true"), walls);
        launch.env.set("STARTED", &machine.work);
        let (status, said) = run(&launch).await;
        assert_eq!(status, ExitStatus::Code(0), "{said}");
    };
    let descriptors = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = Left::now(&machine);
    start(0).await;
    start(1).await;
    let open = descriptors();
    // A kernel for each takes its time.
    for number in 0..if own_kernel() { 50 } else { 200 } {
        start(number).await;
    }
    eventually("control groups are gone", || groups() == 0).await;
    eventually("descriptors are closed", || descriptors() <= open).await;
    eventually("processes are gone", || living(&mark) == 0 && Left::now(&machine).children == before.children).await;
    assert_eq!(Left::now(&machine), before);
}

/// Control groups that launchers made which are no more; others may run meanwhile.
fn groups() -> usize {
    let mut found = 0;
    let mut pending = vec![std::path::PathBuf::from("/sys/fs/cgroup")];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let name = entry.file_name().to_string_lossy().into_owned();
                let launcher = name.strip_prefix("bartizan-");
                found += usize::from(launcher.is_some_and(|pid| !Path::new("/proc").join(pid).exists()));
                pending.push(entry.path());
            }
        }
    }
    found
}
