//! `bartizan audit rotate-key`: a new master key for logs that are encrypted.
//!
//! The keys of the files are wrapped anew, and no entry is written again. Whoever holds a copy of the log from before needs the key
//! from before for it, and nobody knows of all copies, nor of logs of other configurations: so no key is ever removed here.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bartizan_audit::{Keys, Rewrapped, is_open, rewrap};
use bartizan_config::{AuditKey, Config};
use bartizan_gateway::run::audit_directories;
use clap::Args;

use super::super::log;
use crate::outcome::{Failure, Outcome, say};
use crate::output;
use crate::text::inline;

/// Which key, and what becomes of the one before.
#[derive(Args)]
pub(super) struct Arguments {
    /// The configuration that says where the key and the log are; without it they are the user's own
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Makes no key, and moves those before the newest from the file into one beside it that ends with `.old`
    #[arg(long)]
    set_aside: bool,
}

impl Arguments {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        let AuditKey::File(path) = log::key(self.config.as_deref())? else {
            return Err(Failure::usage(
                "the master key of the log is given under [audit]; put the new one in a line before it there, and start again",
            ));
        };
        let logs = self.logs(&path)?;
        if let Some(open) = logs.iter().find(|log| self.set_aside && is_open(log)) {
            return Err(Failure::incomplete(format!(
                "{} is open, and whoever writes to it may still wrap with the key before; stop it first",
                open.display()
            )));
        }
        let keys = if self.set_aside { Keys::read(&path) } else { Keys::renew(&path) }.map_err(incomplete)?;
        let keys = keys.ok_or_else(|| {
            Failure::incomplete(format!(
                "{} is not there: put it back if a log is encrypted with it, else the next start makes it",
                path.display()
            ))
        })?;
        let mut is_all = true;
        for log in &logs {
            let done = rewrap((&**log, &keys)).map_err(incomplete)?;
            is_all &= done.left == 0;
            output::print(&inline(&format!("{}: {}", log.display(), said(done))))?;
        }
        if self.set_aside {
            set_aside(&path)?;
        } else {
            tell_new(&path, &keys)?;
        }
        Ok(if is_all { Outcome::Clean } else { Outcome::Found })
    }

    /// All logs that are known to have this key: those in its directory, and the one of the configuration.
    fn logs(&self, key: &Path) -> Result<BTreeSet<PathBuf>, Failure> {
        let own = key.parent().map(audit_directories).unwrap_or_default();
        let named = self.config.as_deref().map(Config::places).transpose()?.map(|places| places.audit);
        Ok(own.into_iter().chain(named.filter(|log| log.is_dir())).collect())
    }
}

fn incomplete(error: impl std::fmt::Display) -> Failure {
    Failure::incomplete(error.to_string())
}

fn tell_new(path: &Path, keys: &Keys) -> Result<(), Failure> {
    let new = keys.names().next().unwrap_or_default();
    output::print(&inline(&format!("{}: the master key is {new} now", path.display())))?;
    say(
        "a Bartizan that runs wraps with the one before until it starts anew; once all have, `bartizan audit rotate-key --set-aside` \
         takes that out of the file",
    );
    Ok(())
}

fn set_aside(path: &Path) -> Result<(), Failure> {
    let Some(aside) = Keys::set_aside(path).map_err(incomplete)? else {
        return output::print(&inline(&format!("{}: holds the newest key only", path.display())));
    };
    output::print(&inline(&format!(
        "{}: holds the newest key only; the others are in {}",
        path.display(),
        aside.display()
    )))?;
    say(
        "keep that with the backups that it opens, or remove it if there are none and no other log was encrypted with it",
    );
    Ok(())
}

fn said(Rewrapped { anew, left }: Rewrapped) -> String {
    let mut text = match anew {
        0 => "nothing there had to be wrapped anew".to_owned(),
        1 => "one key is wrapped anew".to_owned(),
        several => format!("{several} keys are wrapped anew"),
    };
    if left > 0 {
        text.push_str(&format!("; {left} stay as they are, as the master key that opens them is not in the file"));
    }
    text
}
