//! `bartizan audit`: proves the log, shows its end, and sums it up.

mod export;
mod filter;
mod formats;
mod ocsf;
mod proof;
mod rotate;
mod seal;
mod summary;
mod tail;
mod verify;

use clap::{Args, Subcommand};

pub(super) use self::export::{Export, Verified as VerifiedExport};
pub(super) use self::proof::ProvenEntry;
pub(super) use self::summary::Summary;
pub(super) use self::tail::TailEntry;
pub(super) use self::verify::{Verified, VerifiedAll};

use crate::outcome::{Failure, Outcome};

const EXAMPLES: &str = "\
Examples:
  bartizan audit tail --denied              the last refusals, of all logs
  bartizan audit tail --who ann --since 1d  what ann did today
  bartizan audit summary --observed         what was only recorded, summed up
  bartizan audit verify                     checks all logs, gives their heads
  bartizan audit verify --log DIR           checks one log
  bartizan audit verify --checkpoint FILE   checks against one kept elsewhere
  bartizan audit prove ID > one.tlog-proof  shows others that it is recorded
  bartizan audit export --since 30d --out D the same of all of a month";

/// Reads the audit log
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Checks every entry, the chain that ties them together and the tree over them
    Verify(verify::Arguments),
    /// Makes a proof that an entry is in the log, for whoever has the log's key and not the log
    Prove(proof::Arguments),
    /// Puts what a Bartizan that was killed has left under a checkpoint, so that it can be proven and exported
    Seal(seal::Arguments),
    /// Makes a new master key for logs that are encrypted
    RotateKey(rotate::Arguments),
    /// Hands out entries as files, signed, as they were recorded or in a form that other systems read
    Export(export::Arguments),
    /// Shows the last entries
    Tail(tail::Arguments),
    /// Sums up what was found, what was done about it, and what would have been done
    Summary(summary::Arguments),
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        match self.command {
            Command::Verify(arguments) => arguments.run(),
            Command::Prove(arguments) => arguments.run(),
            Command::Seal(arguments) => arguments.run(),
            Command::RotateKey(arguments) => arguments.run(),
            Command::Export(arguments) => arguments.run(),
            Command::Tail(arguments) => arguments.run(),
            Command::Summary(arguments) => arguments.run(),
        }
    }
}
