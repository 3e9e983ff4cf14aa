//! `bartizan audit seal`: a checkpoint over what a Bartizan that was killed has left without one.

use bartizan_audit::{AuditError, Log, Options, is_sealed, iter};
use clap::Args;

use super::super::log;
use crate::outcome::{Failure, Outcome};
use crate::output;
use crate::text::inline;

/// Which logs.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: log::Place,
}

impl Arguments {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        let directories = self.place.directories()?;
        let (mut is_damaged, mut failure) = (false, None);
        for directory in &directories {
            // Opening would make one where there is none.
            if let Err(fault) = iter(directory) {
                failure = Some(log::unreadable(directory, &fault));
                continue;
            }
            match seal(directory) {
                Ok(said) => output::print(&inline(&format!("{}: {said}", directory.display())))?,
                Err(AuditError::Damaged(fault)) => {
                    is_damaged = true;
                    output::print(&inline(&format!("broken: {}: {fault}", directory.display())))?;
                }
                Err(error) => failure = Some(Failure::incomplete(format!("{}: {error}", directory.display()))),
            }
        }
        match failure {
            _ if is_damaged => Ok(Outcome::Found),
            Some(failure) => Err(failure),
            None => Ok(Outcome::Clean),
        }
    }
}

/// Opens a log and closes it again, which puts all of it under a checkpoint; what was found.
fn seal(directory: &log::Directory) -> Result<String, AuditError> {
    // It stays what it is, plain or sealed.
    let options = Options { seal: is_sealed(directory), ..Options::default() };
    let (log, recovery) = match Log::open(directory, &options) {
        Err(AuditError::Locked { .. }) => return Ok("open; whoever writes to it makes checkpoints".to_owned()),
        opened => opened?,
    };
    log.settle();
    let cut = match recovery.torn.len() {
        0 => "",
        _ => "; an entry that was not written to its end was cut off, and the log says so",
    };
    let entries = log.head().seq;
    Ok(match log.behind() {
        Some(why) => format!("no checkpoint can be made: {why}"),
        None => format!("all {entries} entries are under a checkpoint{cut}"),
    })
}
