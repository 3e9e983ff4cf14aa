//! Runs real process trees and looks in `/proc` for what is left of them.
//!
//! It has its own `main` because the launcher is this very binary started again; some of the servers are too.

#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test program")]

mod cases;
mod roles;
#[path = "../shared/suite.rs"]
mod suite;
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
    let named = |(name, case): (&str, _)| suite::Named {
        name: name.to_owned(),
        case,
        ordinary: false,
        ignored: false,
        prepare: None,
    };
    suite::run(cases::all().into_iter().map(named).collect(), || Ok(()))
}
