//! `bartizan secret digest`: by what the guard `secrets` lets a secret pass.
//!
//! **Threat.** A secret in an argument is seen by every user of the machine and kept in the history of a shell, so it only comes over
//! standard input; and a digest without a key could be tried out by whoever reads the configuration.

use std::path::PathBuf;

use bartizan_guard::guards::secrets::{self, SHORTEST_ALLOW_KEY};
use clap::Args;

use crate::common;
use crate::outcome::{Failure, Outcome, say};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  bartizan secret digest --config bartizan.toml           asks for it, twice and unseen
  bartizan secret digest --config bartizan.toml < file    takes what the file holds

What is printed goes into `allow` under [guard.secrets]. In a connection string the secret is the password alone.";

#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The configuration with the `allow_key`; without it the user's own
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Arguments {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        let config = common::user_config(self.config.as_deref())?;
        let options = config.settings.guards.get(secrets::SPEC.name).map(|set| &set.options);
        let key = options.and_then(|options| options.get("allow_key")?.as_str());
        // Before anybody types something in vain.
        let Some(key) = key.filter(|key| key.len() >= SHORTEST_ALLOW_KEY) else { return Err(no_key()) };
        let text = super::read()?;
        // No more than the end of the line: blanks may be part of it.
        let secret = text.strip_suffix('\n').map_or(&*text, |line| line.strip_suffix('\r').unwrap_or(line));
        if secret.trim().is_empty() {
            return Err(Failure::usage("there is no secret on standard input"));
        }
        if !secrets::is_told(secret) {
            say(
                "note: no format that is built in tells this as a whole, so it may pass only where something else tells it, such as the name of what it is \
                 the value of, or a format of your own",
            );
        }
        output::print(&secrets::digest(key, secret))?;
        Ok(Outcome::Clean)
    }
}

fn no_key() -> Failure {
    let help =
        "put a random text of at least 16 characters there, such as what `openssl rand -hex 16` prints, or file:PATH";
    Failure::usage(format!("the configuration has no `allow_key` under [guard.secrets]\n  = help: {help}"))
}
