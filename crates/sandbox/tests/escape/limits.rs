//! The cases about what a server may use up.

use std::fs;
use std::path::{Path, PathBuf};

use bartizan_sandbox::{ExitStatus, Guarantee, Limits, SpawnError};
use tokio::io::AsyncWriteExt as _;

use crate::support::{
    Machine, confined, confinement, eventually, is_root, lines, living, output, own_kernel, parent, role, run, sh,
};

pub(crate) async fn a_fork_bomb_is_capped_and_ends_with_its_server() {
    let machine = Machine::new();
    let mut walls = confinement(&machine);
    // A kernel in a process has threads of its own.
    let pids = if own_kernel() { 150 } else { 40 };
    walls.limits = Limits { pids: Some(pids), ..Limits::default() };
    let mark = format!("BOMB={}", machine.work.display());
    let mut launch = confined(role("fork-bomb", &[]), walls);
    launch.env.set("BOMB", &machine.work);
    let (status, said) = run(&launch).await;
    let stayed = living(&mark);
    if own_kernel() {
        // That kernel is among what is counted, and may well end when it gets no more.
        assert_ne!(status, ExitStatus::Code(0), "{said}");
    } else {
        assert_eq!(status, ExitStatus::Code(1), "{said}");
        let count = said.trim().rsplit("stopped after ").next().unwrap().split_whitespace().next().unwrap();
        assert!((10..40).contains(&count.parse::<usize>().unwrap()), "{said}");
    }
    assert_eq!(stayed, 0, "what it started ended with it");
    // Without a limit it starts all that it wants to.
    let (status, said) = run(&role("fork-bomb", &[])).await;
    assert_eq!(status, ExitStatus::Code(0), "the control: {said}");
}

pub(crate) async fn a_memory_bomb_ends_its_own_server_only() {
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
pub(crate) async fn a_watch_ends_a_memory_bomb_where_no_group_can() {
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

pub(crate) async fn disks_and_descriptors_are_limited() {
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
    // The same without a sandbox.
    let many = tempfile::tempdir_in("/dev/shm").unwrap();
    for (attempt, args) in [
        ("fill", vec![work, megabytes(16)]),
        ("inodes", vec![many.path().to_str().unwrap().to_owned(), "140000".into()]),
        ("descriptors", vec!["100".into()]),
    ] {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let (status, said) = run(&role(attempt, &args)).await;
        assert_eq!(status, ExitStatus::Code(0), "the control of {attempt}: {said}");
    }
}

/// Only where control groups are to be had; an ordinary user has none here, and is told so by `require`.
pub(crate) async fn a_server_that_spins_is_throttled() {
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
fn find(below: &Path, name: &str) -> Option<PathBuf> {
    let directories = || fs::read_dir(below).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir());
    let here = directories().find(|entry| entry.file_name() == name).map(|entry| entry.path());
    here.or_else(|| {
        let real = directories().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        real.filter_map(|entry| find(&entry.path(), name)).find(|group| group.join("cpu.stat").exists())
    })
}
