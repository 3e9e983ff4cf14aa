//! Reads a capture, record by record: nothing of it is kept.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use bartizan_capture::{End, Fault, Next};
use bartizan_config::Config;
use bartizan_gateway::capture::{self, Record};
use bartizan_guard::Known;
use bartizan_store::Sealer;

use super::super::policy;
use crate::outcome::Failure;
use crate::text::count;

/// The files of a capture, and what opens them.
pub(super) struct Captured {
    files: Vec<PathBuf>,
    sealer: Arc<Sealer>,
    servers: BTreeSet<String>,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) files: Vec<String>,
    pub(super) missing: u64,
    pub(super) of_other_servers: u64,
    copies: usize,
    open: usize,
    pub(super) from: Option<i64>,
    pub(super) to: Option<i64>,
}

impl Captured {
    pub(super) fn of(named: &[PathBuf], config: &Config) -> Result<Captured, Failure> {
        let mut files = Vec::new();
        for path in named {
            files.extend(policy::captured_files(Some(path), config)?);
        }
        if named.is_empty() {
            if config.capture.is_none() {
                return Err(Failure::usage(
                    "the configuration has no [capture]; name a file or directory of one behind `--from`",
                ));
            }
            files = policy::captured_files(None, config)?;
        }
        Ok(Captured { files, sealer: policy::sealer(config)?, servers: config.servers.keys().cloned().collect() })
    }

    /// Shows each record of a server that the configuration has, once. A file that was changed, or that is none of this gateway's,
    /// is refused as a whole: what it says is nothing to learn from.
    pub(super) fn each(&self, mut look: impl FnMut(Record)) -> Result<Read, Failure> {
        let (mut read, mut seen, mut known) = (Read::default(), HashSet::new(), Known::default());
        for path in &self.files {
            let refuse = |why: &str| Failure::incomplete(format!("{} {why}", path.display()));
            let mut reader = match capture::open(path, &self.sealer) {
                Ok(reader) => reader,
                // A writer was killed at once, and there is nothing to be missed.
                Err(Fault::Unbegun) => continue,
                Err(fault) => return Err(refuse(&fault.to_string())),
            };
            if !seen.insert(reader.id()) {
                read.copies += 1;
                continue;
            }
            read.files.push(path.display().to_string());
            loop {
                match reader.next().map_err(|fault| refuse(&fault.to_string()))? {
                    Next::Record(content) => {
                        let record = Record::read(&content, &mut known);
                        let record =
                            record.map_err(|error| refuse(&format!("holds a record that cannot be read: {error}")))?;
                        if !self.servers.contains(&**record.case.server()) {
                            read.of_other_servers += 1;
                            continue;
                        }
                        read.is_of(record.case.now().0);
                        look(record);
                    }
                    Next::Gap(missing) => read.missing = read.missing.saturating_add(missing),
                    Next::End(end) => {
                        read.open += usize::from(end != End::Closed);
                        break;
                    }
                }
            }
        }
        Ok(read)
    }
}

impl Read {
    fn is_of(&mut self, at: i64) {
        self.from = Some(self.from.map_or(at, |from| from.min(at)));
        self.to = Some(self.to.map_or(at, |to| to.max(at)));
    }

    /// What somebody should know of the files.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.missing > 0 {
            notes.push(format!("missing in the capture, as they could not be recorded: {} messages", self.missing));
        }
        if self.of_other_servers > 0 {
            let count = self.of_other_servers;
            notes.push(format!("left out, as the configuration does not have their servers: {count} messages"));
        }
        if self.copies > 0 {
            notes.push(format!("left out, as they are copies of others: {}", count(self.copies, "file")));
        }
        if self.open > 0 {
            notes
                .push(format!("not closed, so still written, or their ends are missing: {}", count(self.open, "file")));
        }
        notes
    }
}
