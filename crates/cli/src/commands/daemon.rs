//! `bartizan daemon`: the user's Bartizan, which `run` starts when it is needed.

use std::path::PathBuf;
use std::time::Duration;

use bartizan_gateway::{ConfigFile, run};
use clap::Args;

use crate::common;
use crate::outcome::{Failure, Outcome, say};
use crate::text::printable;

/// Serves this user's wrapped servers; `run` starts it on demand
#[derive(Args)]
pub(crate) struct Arguments {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Seconds after which it ends when nobody needs it
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    idle: u64,
    /// End the one that runs, with the servers that it wraps
    #[arg(long, conflicts_with_all = ["config", "idle"])]
    stop: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        if self.stop {
            let stopped = common::block_on_one(run::stop(&common::paths()?))?;
            // One that a client started may go by another, if that hands on fewer variables.
            let place = printable(&common::home()?.display().to_string());
            let what = if stopped { "stopped" } else { "none runs for this user" };
            say(&format!("bartizan: {what}; its directory is {place}"));
            return Ok(Outcome::Clean);
        }
        bartizan_sandbox::leave_session();
        // Bridges name it from other directories.
        let named = self.config.clone().map(|file| std::fs::canonicalize(&file).unwrap_or(file));
        common::block_on(async {
            // What happens to it while it is read, and while others are waited for, is not lost.
            let file =
                named.or_else(common::user_config_place).map(ConfigFile::at).transpose().map_err(Failure::ours)?;
            let config = common::user_config(self.config.as_deref())?;
            common::log_to_stderr("info", false);
            let paths = common::paths()?;
            Ok::<_, common::Stop>(run::daemon(&config, file, &paths, Duration::from_secs(self.idle)).await?)
        })?;
        Ok(Outcome::Clean)
    }
}
