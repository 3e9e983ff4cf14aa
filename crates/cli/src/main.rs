//! `bartizan`: a security gateway for MCP.

mod commands;
mod common;
mod outcome;
mod output;

use std::process::ExitCode;

use clap::Parser;

/// A security gateway for the Model Context Protocol: every message between clients and servers is judged, recorded and
/// only then passed on.
#[derive(Parser)]
#[command(name = "bartizan", version, max_term_width = 100)]
struct Program {
    #[command(subcommand)]
    command: commands::Command,
}

fn main() -> ExitCode {
    // Before anything else: the launcher of a server is this very program, started again.
    bartizan_sandbox::init_if_asked();
    outcome::exit(Program::parse().command.run())
}
