//! Measures an MCP server, or a gateway in front of one, with a closed loop of tool calls.
//!
//! Every connection has a session of its own and one call in flight. The report is one JSON line.

mod client;
mod http;
mod options;
mod payload;
mod procs;
mod run;
mod samples;
mod start;
mod stdio;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use tokio::task::LocalSet;

use options::{Options, Verb};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match LocalSet::new().run_until(work(Options::parse().verb)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn work(verb: Verb) -> anyhow::Result<()> {
    let report = match verb {
        Verb::Run { http, call, load } => run::over_http(&http, &call, &load).await?,
        Verb::Stdio { call, load, command } => run::over_stdio(&command, &call, &load).await?,
        Verb::Start { http, call, start } => start::start(&http, &call, &start).await?,
    };
    writeln!(std::io::stdout(), "{report}")?;
    Ok(())
}
