//! The parts this binary plays when it is started as a server or as a gateway.

use std::process::{Command, ExitCode};

use crate::support::{self, ROLE};

pub(crate) fn play(role: &str, args: &[String]) -> ExitCode {
    match (role, args) {
        ("gateway", [mark]) => gateway(mark),
        ("descriptors", []) => descriptors(),
        ("chain", [generation, counter]) => chain(generation.parse().unwrap(), counter),
        _ => panic!("no such role: {role} {args:?}"),
    }
}

/// Starts a stubborn tree, prints its server's pid and stays until it is killed.
fn gateway(mark: &str) -> ExitCode {
    bartizan_sandbox::adopt_orphans();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let child = support::stubborn(mark).await;
        println!("{}", child.pid());
        child.wait().await;
    });
    ExitCode::FAILURE
}

/// Prints what it was given open.
fn descriptors() -> ExitCode {
    for entry in std::fs::read_dir("/proc/self/fd").unwrap() {
        let entry = entry.unwrap();
        let target = std::fs::read_link(entry.path()).unwrap();
        // All but the listing itself.
        if !target.ends_with(format!("{}/fd", std::process::id())) {
            println!("{}", entry.file_name().to_str().unwrap());
        }
    }
    ExitCode::SUCCESS
}

/// Runs away: each generation goes into a session of its own, starts the next and exits at once.
#[expect(clippy::zombie_processes, reason = "leaving its child behind is the point")]
fn chain(generation: u32, counter: &str) -> ExitCode {
    rustix::process::setsid().ok();
    std::fs::write(counter, generation.to_string()).unwrap();
    // Should it really get away, it does not do so for ever.
    if generation < 200_000 {
        let next = (generation + 1).to_string();
        Command::new("/proc/self/exe").args([&format!("{ROLE}chain"), &next, counter]).spawn().unwrap();
    }
    ExitCode::SUCCESS
}
