//! What a confined server cannot do, tried by servers that try.
//!
//! Each attempt is played by this very binary, once with nothing around it, where it must succeed (or there would be
//! nothing to prevent), and once confined, where it must not. What counts is what is found outside afterwards.
//! Run as root, everything is tried as root and then again as an ordinary user. It is tried at the level `process`, and
//! with each runtime that is on this machine at the level that it gives.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test program")]

mod attempts;
mod cases;
mod counts;
mod ends;
mod foreseen;
mod home;
mod ipc;
mod limits;
mod network;
mod rights;
#[path = "../shared/suite.rs"]
mod suite;
mod support;

use std::path::PathBuf;
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
    let room = std::env::var_os(support::ROOM).map(PathBuf::from);
    let lists = args.iter().any(|arg| arg == "--list");
    // Where it is built an ordinary user may not look, and what root prepares has to be removed by root.
    if support::is_root() && room.is_none() && !lists {
        return support::from_a_copy();
    }
    if room.is_some() {
        support::end_with_the_first();
    }
    bartizan_sandbox::adopt_orphans();
    let mut all = Vec::new();
    for runtime in support::levels() {
        // What is said before a start is about the walls that are there at each level.
        let foreseen = if runtime.is_some() { Vec::new() } else { foreseen::all() };
        for (name, case) in cases::all().into_iter().chain(foreseen).chain(foreseen::at_each_level()) {
            let name = runtime.map_or(name.to_owned(), |runtime| format!("{}::{name}", runtime.name()));
            // Of the levels that start slowly only the beginning is tried each time.
            let ignored = runtime.is_some() && !name.ends_with("a_good_server_works");
            let prepare = || Some(Box::new(move || support::use_level(runtime)) as Box<dyn Fn()>);
            if support::is_root() {
                let name = format!("ordinary::{name}");
                all.push(suite::Named { name, case, ordinary: true, ignored, prepare: prepare() });
            }
            all.push(suite::Named { name, case, ordinary: false, ignored, prepare: prepare() });
        }
    }
    // What is not tried is listed as skipped, and is a failure where all of it should be there.
    for level in support::levels_without_a_runtime() {
        let name = format!("{level}::no_runtime_is_here_so_nothing_is_tried_at_this_level");
        let ignored = std::env::var_os("CI").is_none();
        let case: suite::Case = || Box::pin(support::a_runtime_is_missing());
        all.push(suite::Named { name, case, ordinary: false, ignored, prepare: None });
    }
    suite::run(all, || support::become_ordinary(&room.clone().unwrap_or_default()))
}
