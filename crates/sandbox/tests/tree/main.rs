//! Runs real process trees and looks in `/proc` for what is left of them.
//!
//! It has its own `main` because the launcher is this very binary started again; some of the servers are too.

#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test program")]

mod cases;
mod roles;
mod support;

use std::process::ExitCode;

fn main() -> ExitCode {
    bartizan_sandbox::init_if_asked();
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some((role, args)) = args.split_first()
        && let Some(role) = role.strip_prefix(support::ROLE)
    {
        return roles::play(role, args);
    }
    bartizan_sandbox::adopt_orphans();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let filter = args.iter().find(|arg| !arg.starts_with('-')).cloned().unwrap_or_default();
    let mut failed = 0;
    for (name, case) in cases::all().into_iter().filter(|(name, _)| name.contains(&filter)) {
        let passed = runtime.block_on(async { tokio::spawn(case()).await.is_ok() });
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        failed += usize::from(!passed);
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
