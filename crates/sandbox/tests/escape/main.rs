//! What a confined server cannot do, tried by servers that try.
//!
//! Each attempt is played by this very binary, once with nothing around it, where it must succeed (or there would be
//! nothing to prevent), and once confined, where it must not. What counts is what is found outside afterwards.
//! Run as root, everything is tried as root and then again as an ordinary user.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test program")]

mod attempts;
mod cases;
mod support;

use std::process::ExitCode;

fn main() -> ExitCode {
    bartizan_sandbox::set_relay_program(support::relay);
    bartizan_sandbox::init_if_asked();
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some((role, args)) = args.split_first()
        && let Some(role) = role.strip_prefix(support::ROLE)
    {
        return attempts::play(role, args);
    }
    bartizan_sandbox::adopt_orphans();
    let filter = args.iter().find(|arg| !arg.starts_with('-')).cloned().unwrap_or_default();
    let mut failed = run(&filter, "");
    if support::is_root() && support::become_ordinary() {
        failed += run(&filter, " as an ordinary user");
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(filter: &str, whose: &str) -> usize {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut failed = 0;
    for (name, case) in cases::all().into_iter().filter(|(name, _)| name.contains(filter)) {
        let passed = runtime.block_on(async { tokio::spawn(case()).await.is_ok() });
        println!("test {name}{whose} ... {}", if passed { "ok" } else { "FAILED" });
        failed += usize::from(!passed);
    }
    failed
}
