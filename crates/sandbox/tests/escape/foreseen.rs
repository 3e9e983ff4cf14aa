//! What is said before a start, held against what a start then does.

use std::path::{Path, PathBuf};

use bartizan_sandbox::{Confinement, Guarantee, Launch, Limits, Protected, SpawnError, keepers, kept, probe, unmet};

use crate::suite::Case;
use crate::support::{Machine, confined, confinement, is_root, sh};

pub(crate) fn all() -> Vec<(&'static str, Case)> {
    vec![
        ("what_is_said_of_each_guarantee_is_what_a_start_does", || {
            Box::pin(what_is_said_of_each_guarantee_is_what_a_start_does())
        }),
        ("a_trial_fails_as_a_start_does_and_runs_nothing", || {
            Box::pin(a_trial_fails_as_a_start_does_and_runs_nothing())
        }),
    ]
}

/// What holds whatever stands around the server.
pub(crate) fn at_each_level() -> Vec<(&'static str, Case)> {
    vec![("a_trial_goes_as_far_as_the_program", || Box::pin(a_trial_goes_as_far_as_the_program()))]
}

async fn a_trial_goes_as_far_as_the_program() {
    let machine = Machine::new();
    let launch = confined(sh(&format!("echo ran > {}/ran", machine.work.display())), confinement(&machine));
    launch.try_out().await.unwrap();
    assert!(!machine.work.join("ran").exists());
    launch.spawn().await.unwrap().wait().await;
    assert!(machine.work.join("ran").exists(), "the control");
    let missing = confined(Launch { program: "no-such-program".into(), ..sh("") }, confinement(&machine));
    let (tried, started) = (missing.try_out().await.unwrap_err(), missing.spawn().await.unwrap_err());
    assert_eq!(tried.to_string(), started.to_string());
}

/// Whatever the host offers, each guarantee is said to be there exactly where a start finds it.
async fn what_is_said_of_each_guarantee_is_what_a_start_does() {
    let machine = Machine::new();
    let host = probe(Some(Vec::new())).await.unwrap();
    assert!(host.confines(), "{:?}", host.walls);
    let limited = Limits { memory: Some(64 << 20), pids: Some(64), cpu: Some(500), ..Limits::default() };
    let version = host.landlock.unwrap_or(0);
    let all = [
        Guarantee::Landlock(1),
        Guarantee::Landlock(version.max(1)),
        Guarantee::Landlock(version + 1),
        Guarantee::MemoryLimit,
        Guarantee::PidsLimit,
        Guarantee::CpuLimit,
    ];
    let (mut given, mut missing) = (0, 0);
    for limits in [limited.clone(), Limits::default()] {
        for guarantee in all {
            let mut walls = confinement(&machine);
            (walls.limits, walls.require) = (limits.clone(), vec![guarantee]);
            let said = unmet(&walls, host.landlock, kept(&limits));
            let launch = confined(sh("exit 0"), walls);
            let (tried, started) = (launch.try_out().await, launch.spawn().await);
            match said.first() {
                None => {
                    given += 1;
                    assert!(tried.is_ok() && started.is_ok(), "{guarantee}: {tried:?} {started:?}");
                }
                Some(said) => {
                    missing += 1;
                    for refused in [tried.err(), started.err()] {
                        let Some(SpawnError::Required { what }) = refused else { panic!("{guarantee}: {refused:?}") };
                        assert_eq!(what, said.to_string());
                    }
                }
            }
        }
    }
    // Without limits nothing keeps any, and no kernel has a version beyond its own.
    assert!(missing >= 5 && given >= if version == 0 { 0 } else { 4 }, "{given} {missing}");
    let groups = kept(&limited);
    assert_eq!(groups, host.groups);
    assert!(!is_root() || !Path::new("/sys/fs/cgroup").exists() || groups.memory, "root has no control group here");
    assert_eq!(keepers(&limited, groups).len(), 3);
}

/// Why a start fails is said by a trial in the same words, and a trial runs nothing and leaves nothing.
async fn a_trial_fails_as_a_start_does_and_runs_nothing() {
    let machine = Machine::new();
    let script = |name: &str, content: &str| {
        let path = machine.work.join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        path
    };
    let lost = script("lost", "#!/var/tmp/bartizan-is-not-there/interpreter\n");
    let seen_nowhere = machine.outside.join("program");
    std::fs::write(&seen_nowhere, "#!/bin/sh\n").unwrap();
    let gone = PathBuf::from("/var/tmp/bartizan-is-not-there");
    let plain = |program: &Path| Launch { program: program.into(), ..sh("") };
    let walls = || confinement(&machine);
    let cases: [(&str, Launch, &str); 7] = [
        ("a program that is nowhere", confined(plain(Path::new("no-such-program")), walls()), "no program named"),
        ("one that is not seen", confined(plain(&seen_nowhere), walls()), "does not exist"),
        ("one whose interpreter is not there", confined(plain(&lost), walls()), "interpreter or loader"),
        ("the same, unconfined", plain(&lost), "interpreter or loader"),
        (
            "a directory that is not seen",
            Launch { cwd: Some(machine.outside.clone()), ..confined(sh(""), walls()) },
            "is not seen in its sandbox: name it in `fs.ro` or `fs.rw`",
        ),
        ("one that is not there", Launch { cwd: Some(gone.clone()), ..confined(sh(""), walls()) }, "cannot be entered"),
        (
            "a writable directory that is not there",
            confined(sh(""), Confinement { writable: vec![gone], ..walls() }),
            "bartizan-is-not-there",
        ),
    ];
    for (case, launch, expected) in cases {
        let tried = launch.try_out().await.unwrap_err().to_string();
        let started = launch.spawn().await.unwrap_err().to_string();
        assert_eq!(tried, started, "{case}");
        assert!(tried.contains(expected), "{case}: {tried}");
    }
    // A good one is said to be good, and has done nothing; what was held for it is gone.
    let mut good = walls();
    good.protected = vec![Protected { name: ".git/hooks".into(), directory: true }];
    let touch = format!("echo ran > {}/ran", machine.work.display());
    let launch = confined(sh(&touch), good);
    launch.try_out().await.unwrap();
    assert!(!machine.work.join("ran").exists() && !machine.work.join(".git").exists());
    sh(&touch).try_out().await.unwrap();
    assert!(!machine.work.join("ran").exists());
    // The control: a start of the same does run it.
    launch.spawn().await.unwrap().wait().await;
    assert!(machine.work.join("ran").exists());
}
