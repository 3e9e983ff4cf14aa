//! `bartizan run`: wraps one stdio server in place.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use bartizan_gateway::run::{self, Wrap};
use clap::Args;

use crate::common;
use crate::outcome::{Failure, Outcome, say};

const EXAMPLES: &str = "\
Examples:
  bartizan run --name git -- uvx mcp-server-git --repository ~/project
  bartizan run --name tickets --pass-env TICKETS_TOKEN -- npx -y tickets-mcp";

/// Wraps one stdio server in place: put `bartizan run --` in front of its command
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Name of the server in approvals and records; by default made from the command
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Judges in this process, with a log of its own, instead of in the user's bartizan
    #[arg(long)]
    standalone: bool,
    /// The configuration file [default: bartizan.toml in the user's configuration directory, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Hands this environment variable on to the server, beside those that carry no secret by their nature; repeatable
    #[arg(long, value_name = "NAME")]
    pass_env: Vec<OsString>,
    /// Ends with the server instead of starting it again if it crashes
    #[arg(long)]
    no_restart: bool,
    /// Translates between eras of the protocol if the client and the server have no common revision
    #[arg(long)]
    bridge: bool,
    /// The server's command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        let paths = common::paths()?;
        // The user's bartizan starts elsewhere, and compares the name.
        let config = self.config.as_deref().map(std::fs::canonicalize).transpose();
        let config =
            config.map_err(|error| Failure::usage(format!("the configuration file cannot be read: {error}")))?;
        let mut env = bartizan_sandbox::Environment::inherited();
        for name in &self.pass_env {
            if let Some(value) = std::env::var_os(name) {
                env.set(name, value);
            }
        }
        let wrap = Wrap {
            name: self.name,
            command: self.command,
            directory: std::env::current_dir().unwrap_or_default(),
            env: env.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            restart: !self.no_restart,
            bridge: self.bridge,
            config: config.clone(),
        };
        common::check_name(&wrap.server_name())?;
        // A client reads only MCP from us, so nothing but warnings is said, on standard error.
        common::log_to_stderr("warn", false);
        say("bartizan: isolation level none: the server runs as you, unconfined");
        if self.standalone {
            let config = common::user_config(config.as_deref())?;
            return common::block_on(run::standalone(&config, &paths, &wrap)).map(status);
        }
        let program = std::env::current_exe().map_err(Failure::ours)?;
        let mut arguments: Vec<&OsStr> = vec![OsStr::new("daemon")];
        if let Some(config) = &config {
            arguments.extend([OsStr::new("--config"), config.as_os_str()]);
        }
        common::block_on_one(run::bridge(&paths, &wrap, &program, &arguments)).map(status)
    }
}

/// The server's exit code is ours.
fn status(code: i32) -> Outcome {
    Outcome::Status(u8::try_from(code).unwrap_or(1))
}
