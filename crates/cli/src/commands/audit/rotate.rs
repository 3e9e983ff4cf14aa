//! `bartizan audit rotate-key`: a new master key for logs that are encrypted.
//!
//! The keys of the files are wrapped anew, and no entry is written again. Whoever holds a copy of the log from before needs the key
//! from before for it.

use std::path::Path;

use bartizan_audit::{Keys, is_open, rewrap};
use bartizan_config::AuditKey;
use clap::Args;

use super::super::log;
use crate::outcome::{Failure, Outcome, say};
use crate::output;
use crate::text::inline;

/// Which logs, and what becomes of the key before.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: log::Place,
    /// Makes no key, and takes those before the newest out of the file: what only they open, such as a backup, needs a copy of them
    #[arg(long)]
    drop_old: bool,
}

impl Arguments {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::incomplete(error.to_string());
        let AuditKey::File(path) = self.place.key()? else {
            return Err(Failure::usage(
                "the master key of the log is given under [audit]; put the new one in a line before it there, and start again",
            ));
        };
        let keys = if self.drop_old { Keys::read(&path) } else { Keys::renew(&path).map(Some) };
        let Some(keys) = keys.map_err(|error| failed(&error))? else {
            return Err(Failure::incomplete(format!(
                "{} is not there, so nothing is encrypted with it",
                path.display()
            )));
        };
        let directories = self.place.directories()?;
        for directory in &directories {
            let wrapped = rewrap((&**directory, &keys)).map_err(|error| failed(&error))?;
            output::print(&inline(&format!("{}: {}", directory.display(), said(wrapped))))?;
        }
        if self.drop_old {
            self.drop_old(&path, &directories)?;
        } else {
            let new = keys.names().next().unwrap_or_default();
            output::print(&inline(&format!("{}: the master key is {new} now", path.display())))?;
            say(
                "a Bartizan that runs wraps with the one before until it starts anew; once all have, `bartizan audit rotate-key \
                 --drop-old` takes that out of the file",
            );
        }
        Ok(Outcome::Clean)
    }

    /// Takes the keys before the newest out of the file, if nobody wraps with one of them any more.
    fn drop_old(&self, path: &Path, directories: &[log::Directory]) -> Result<(), Failure> {
        if let Some(open) = directories.iter().find(|directory| is_open(directory)) {
            return Err(Failure::incomplete(format!(
                "{} is open, and whoever writes to it may still wrap with the key before; stop it first",
                open.display()
            )));
        }
        Keys::drop_old(path).map_err(|error| Failure::incomplete(error.to_string()))?;
        output::print(&inline(&format!("{}: holds the newest key only", path.display())))
    }
}

fn said(wrapped: usize) -> String {
    match wrapped {
        0 => "nothing there is wrapped with another key".to_owned(),
        1 => "the key of one file is wrapped anew".to_owned(),
        several => format!("the keys of {several} files are wrapped anew"),
    }
}
