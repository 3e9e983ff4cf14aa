//! `bartizan serve`: the gateway for many servers and clients over HTTP.

#[cfg_attr(not(feature = "redteam"), path = "serve/no_trials.rs")]
mod trials;

use std::path::{Path, PathBuf};

use bartizan_config::{Config, Diagnostic, Severity};
use bartizan_gateway::serve::{self, ServeError, Unconfined};
use bartizan_gateway::{ConfigFile, check_tools};
use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::common;
use crate::outcome::{Failure, Outcome};
use crate::text::{inline, printable};

const EXAMPLES: &str = "\
Examples:
  bartizan config check bartizan.toml
  bartizan serve --config bartizan.toml

  The least that such a file holds:
    [server.files]
    command = [\"uvx\", \"mcp-server-git\", \"--repository\", \"/srv/code\"]

  A client then uses http://127.0.0.1:8484/mcp, or /mcp/NAME for one server.
  SIGHUP reads the file again.";

/// What no server is called.
const ALL: &str = "*";

fn allowed(names: Vec<String>) -> Unconfined {
    if names.iter().any(|name| name == ALL) { Unconfined::All } else { Unconfined::Named(names) }
}

/// Serves the configured servers over Streamable HTTP
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "bartizan.toml")]
    config: PathBuf,
    /// Lets this server run unconfined, if its `sandbox` has `level = "none"`; repeatable; without a name all of these
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = ALL)]
    allow_unconfined: Vec<String>,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        common::block_on(async {
            // What happens to it while it is read is not lost.
            let file = ConfigFile::at(self.config.clone()).map_err(Failure::ours)?;
            let (config, warnings) = Config::load(&self.config)?;
            let notices = common::log_as(&config.log);
            let more = check_tools(&config).into_iter().chain(baseline_warning(&self.config, &config));
            warnings.into_iter().chain(more).for_each(|warning| notices.problem(&warning));
            config.notices().iter().for_each(|notice| notices.warn(&format!("bartizan: {notice}")));
            // Before anything says that it is ready: whoever reads that may well ask for the end at once.
            let mut signals = StopSignals::new().map_err(Failure::ours)?;
            let started = serve::start_with(&config, Some(file), allowed(self.allow_unconfined)).await;
            let running = started.map_err(|error| unstarted(&error))?;
            notices.say(&format!("bartizan serves MCP at {}/mcp", running.url()));
            let public = running.public_url();
            if public != running.url() {
                notices.say(&format!("clients connect to {public}/mcp"));
            }
            if config.sign_in.is_some() {
                notices.say(&format!("people sign in at {public}/bartizan/sign-in"));
            }
            if let Some(admin) = running.admin_url() {
                notices.say(&format!("health and metrics at {admin}/readyz and /metrics"));
            }
            let trials = trials::Scheduled::begin(running.trials(), notices);
            signals.asked().await;
            notices.say(&stopping(running.leave()));
            trials.end().await;
            running.stop_unless(signals.asked()).await;
            Ok::<_, Failure>(Outcome::Clean)
        })
    }
}

/// That the trials of a configuration cannot be held against its `baseline`, which would be noticed only after the first.
pub(super) fn baseline_warning(file: &Path, config: &Config) -> Option<Diagnostic> {
    let why = trials::unheld(config)?;
    let name = inline(&file.display().to_string());
    let message = format!("[redteam]: no trial can be held against `baseline`: {}", printable(&why));
    let help = "write it with `bartizan redteam --write-baseline FILE` and the `sample` that [redteam] has";
    let mut warning = Diagnostic::of_file(&name, message).with_help(help);
    warning.severity = Severity::Warning;
    Some(warning)
}

fn unstarted(error: &ServeError) -> Failure {
    let help = match error {
        ServeError::Setup(setup) if common::is_log_taken(setup) => {
            "\n  = help: stop that process, or give this one a log of its own: `directory` under [audit]"
        }
        _ => "",
    };
    Failure::ours(format!("{error}{help}"))
}

/// What is said while requests under way, and then servers, come to their end.
fn stopping(requests: usize) -> String {
    let waiting = match requests {
        0 => String::new(),
        1 => ", waiting for 1 request".to_owned(),
        more => format!(", waiting for {more} requests"),
    };
    format!("bartizan: stopping{waiting}; Ctrl-C again to stop now")
}

/// SIGTERM and SIGINT, which do not end the process any more once this exists.
pub(crate) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(StopSignals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for one of them.
    pub(crate) async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
