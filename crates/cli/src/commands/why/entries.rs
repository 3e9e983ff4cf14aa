//! All that one log says of one thing, such as a request for approval.

use bartizan_audit::{Fault, Record, iter};

use super::log;
use crate::outcome::Failure;

/// The entries about it, in their order.
pub(super) struct Entries {
    pub(super) all: Vec<Record>,
    /// What is wrong with the log up to the last of them.
    pub(super) broken: Option<String>,
}

impl Entries {
    /// From the first log that has any; none if no log has. One that cannot be read matters only then.
    pub(super) fn read(
        directories: &[log::Directory],
        is_about: impl Fn(&Record) -> bool,
    ) -> Result<Option<Entries>, Failure> {
        let mut failure = None;
        for directory in directories {
            match Entries::of(directory, &is_about) {
                Ok(entries) if entries.all.is_empty() => {}
                Ok(entries) => return Ok(Some(entries)),
                Err(fault) => failure = Some(log::unreadable(directory, &fault)),
            }
        }
        failure.map_or(Ok(None), Err)
    }

    fn of(directory: &log::Directory, is_about: impl Fn(&Record) -> bool) -> Result<Entries, Fault> {
        let mut entries = Entries { all: Vec::new(), broken: None };
        let mut records = iter(directory)?;
        while let Some(record) = records.next() {
            match record {
                Ok(record) if is_about(&record) => {
                    entries.all.push(record);
                    entries.broken = records.broken().map(ToString::to_string);
                }
                Err(fault) if log::is_unreadable(&fault) => return Err(fault),
                // The chain shows what is wrong with the entries behind it.
                Ok(_) | Err(_) => {}
            }
        }
        Ok(entries)
    }
}
