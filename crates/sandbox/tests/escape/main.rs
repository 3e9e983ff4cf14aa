//! What a confined server cannot do, tried by servers that try.
//!
//! Each attempt is played by this very binary, once with nothing around it, where it must succeed (or there would be
//! nothing to prevent), and once confined, where it must not. What counts is what is found outside afterwards.
//! Run as root, everything is tried as root and then again as an ordinary user.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test program")]

mod attempts;
mod cases;
mod foreseen;
#[path = "../shared/suite.rs"]
mod suite;
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
    let mut all = Vec::new();
    for (name, case) in cases::all().into_iter().chain(foreseen::all()) {
        all.push(suite::Named { name: name.to_owned(), case, ordinary: false });
        if support::is_root() {
            all.push(suite::Named { name: format!("ordinary::{name}"), case, ordinary: true });
        }
    }
    suite::run(all, support::become_ordinary)
}
