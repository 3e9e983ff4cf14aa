//! `bartizan audit prove`, and `audit verify --proof`: shows others that an entry was recorded.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use bartizan_audit::{Checkpoint, Fault, Id, LogKey, Problem, Proof, prove};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::super::log;
use crate::outcome::{Failure, Outcome, say};
use crate::output;
use crate::text::{inline, visible_json};

/// The largest file that is read: the largest entry in a proof, with room for signatures.
pub(super) const MOST: u64 = 2 << 20;

/// Which entry is proven.
#[derive(Args)]
pub(super) struct Arguments {
    /// The entry: the id in the error that a client got, or of any entry
    id: Id,
    #[command(flatten)]
    place: log::Place,
    /// The file for the proof, which must not be there yet; without it, it is printed
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Arguments {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        let directories = self.place.directories()?;
        let mut unread = Vec::new();
        for directory in &directories {
            match prove(directory, self.id) {
                Ok(None) => {}
                Ok(Some(proof)) => return self.tell(directory, &proof),
                Err(fault) if log::is_unreadable(&fault) => unread.push((directory, fault)),
                Err(fault) => return Err(unproven(directory, &fault)),
            }
        }
        Err(match unread.as_slice() {
            [] => Failure::incomplete(format!("no log has an entry {}", self.id)),
            [(directory, fault)] if directories.len() == 1 => log::unreadable(directory, fault),
            several => log::unread(several.iter().map(|(place, _)| *place)),
        })
    }

    fn tell(&self, directory: &log::Directory, proof: &Proof) -> Result<Outcome, Failure> {
        let text = proof.to_string();
        let Some(out) = &self.out else {
            output::print(text.trim_end())?;
            return Ok(Outcome::Clean);
        };
        let failed = |error| Failure::incomplete(format!("{} cannot be written: {error}", out.display()));
        let mut file = fs::File::options().write(true).create_new(true).mode(0o600).open(out).map_err(failed)?;
        if let Err(error) = file.write_all(text.as_bytes()).and_then(|()| file.sync_data()) {
            // Half a proof would be in the way of the next try.
            fs::remove_file(out).ok();
            return Err(failed(error));
        }
        let (file, log) = (out.display(), directory.display());
        say(&inline(&format!(
            "{file} proves it to whoever has the key of the log in {log}: `bartizan audit verify --proof FILE --key KEY`"
        )));
        Ok(Outcome::Clean)
    }
}

/// Why there is no proof of an entry that is there.
fn unproven(directory: &log::Directory, fault: &Fault) -> Failure {
    let place = directory.display();
    match fault.problem {
        Problem::NotYet { .. } => Failure::incomplete(format!(
            "the log in {place}: {}\n  = help: `bartizan audit seal` makes one where a Bartizan was killed",
            fault.problem
        )),
        _ => Failure::incomplete(format!(
            "the log in {place}: {fault}; `bartizan audit verify` says what is wrong with it"
        )),
    }
}

/// A small file that was kept, or came from somewhere.
pub(super) fn read(file: &Path, most: u64) -> Result<String, Failure> {
    let failed = |why: String| Failure::incomplete(format!("{} cannot be read: {why}", file.display()));
    let about = fs::metadata(file).map_err(|error| failed(error.to_string()))?;
    if !about.is_file() || about.len() > most {
        return Err(failed(format!("it is no file of at most {most} bytes")));
    }
    fs::read_to_string(file).map_err(|error| failed(error.to_string()))
}

/// Whether an entry is in the log of this key, as a proof says.
pub(super) fn verify(file: &Path, key: &LogKey, json: bool) -> Result<Outcome, Failure> {
    let text = read(file, MOST)?;
    let (proof, checkpoint) = match Proof::open(&text, key) {
        Ok(proven) => proven,
        Err(why) => {
            if json {
                output::print_json(&ProvenEntry::none(why))?;
            } else {
                output::print(&inline(&format!("not proven: {why}")))?;
            }
            return Ok(Outcome::Found);
        }
    };
    if json {
        output::print_json(&ProvenEntry::of(&proof, checkpoint))?;
        return Ok(Outcome::Clean);
    }
    let Checkpoint { origin, size, .. } = checkpoint;
    let record = &proof.record;
    output::print(&inline(&format!("ok: entry {} is among the first {size} of the log {origin}", record.seq)))?;
    output::print(&visible_json(record.text()))?;
    Ok(Outcome::Clean)
}

/// What `audit verify --proof FILE --json` prints.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct ProvenEntry {
    #[schemars(extend("const" = ProvenEntry::FORMAT))]
    format: &'static str,
    /// Whether the entry is proven.
    ok: bool,
    #[serde(flatten)]
    found: Found,
}

#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum Found {
    /// It is.
    Proven {
        /// The log, by the name of its key.
        log: String,
        /// Entries under the checkpoint.
        size: u64,
        /// The entry.
        entry: Value,
    },
    /// It is not.
    Unproven {
        /// What is wrong with the proof.
        problem: String,
    },
}

impl ProvenEntry {
    pub(in super::super) const FORMAT: &str = "bartizan.audit.proof/1";

    fn of(proof: &Proof, checkpoint: Checkpoint) -> Self {
        let Checkpoint { origin, size, .. } = checkpoint;
        let found = Found::Proven { log: origin, size, entry: proof.record.value() };
        ProvenEntry { format: Self::FORMAT, ok: true, found }
    }

    fn none(why: &str) -> Self {
        ProvenEntry { format: Self::FORMAT, ok: false, found: Found::Unproven { problem: why.to_owned() } }
    }
}
