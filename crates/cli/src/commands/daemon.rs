//! `bartizan daemon`: the user's Bartizan, which `run` starts when it is needed.

use std::path::PathBuf;
use std::time::Duration;

use bartizan_gateway::run;
use clap::Args;

use crate::common;
use crate::outcome::{Failure, Outcome};

/// Serves this user's wrapped servers; `run` starts it on demand
#[derive(Args)]
pub(crate) struct Arguments {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Seconds after which it ends when nobody needs it
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    idle: u64,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        bartizan_sandbox::leave_session();
        let config = common::user_config(self.config.as_deref())?;
        common::log_to_stderr("info", false);
        let paths = common::paths()?;
        common::block_on(run::daemon(&config, self.config, &paths, Duration::from_secs(self.idle)))?;
        Ok(Outcome::Clean)
    }
}
