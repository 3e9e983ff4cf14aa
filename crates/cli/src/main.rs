//! `bartizan`: a security gateway for MCP.

mod commands;
mod common;
mod outcome;
mod output;

use std::process::ExitCode;

use clap::Parser;

/// What holds for every command.
const AROUND: &str = "\
Exit status:
  0  clean
  1  something was found: a difference, a broken chain
  2  wrong usage or configuration
  3  incomplete: a file or an entry is not there or not readable
  4  a fault of Bartizan itself, or something could not be started
  `run` ends as the server that it wraps.

Environment:
  BARTIZAN_HOME  Bartizan's own directory
  BARTIZAN_LOG   level of the log: error, warn, info, debug, trace or off
  NO_COLOR       no colours

Files:
  ~/.local/state/bartizan
    Bartizan's own directory; XDG_STATE_HOME moves it
  ~/.config/bartizan/bartizan.toml
    configuration of `run`; XDG_CONFIG_HOME moves it
  bartizan.toml
    configuration of `serve`, where it is started
  mcp.lock
    approvals: of `run` in Bartizan's directory, of `serve` beside its file";

/// A security gateway for the Model Context Protocol: every message between clients and servers is judged, recorded and
/// only then passed on.
#[derive(Parser)]
#[command(name = "bartizan", version, max_term_width = 100, after_long_help = AROUND)]
struct Program {
    #[command(subcommand)]
    command: commands::Command,
}

fn main() -> ExitCode {
    // Before anything else: the launcher of a server is this very program, started again.
    bartizan_sandbox::init_if_asked();
    outcome::exit(Program::parse().command.run())
}
