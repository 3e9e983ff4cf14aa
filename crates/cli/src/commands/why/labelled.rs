//! What the session was labelled with when something was decided, and by what.

use bartizan_audit::{Id, Record, iter};
use serde::Deserialize;

use super::{Entry, log};
use crate::text::inline;

/// The entry that says with what a session begins.
const BEGINS: &str = "session.labelled";

/// What the log says of why a session begins labelled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Inherited {
    because: String,
    /// The session in which something was found, and the entry.
    found_in: Option<String>,
    found_by: Option<String>,
}

impl Inherited {
    pub(super) fn of(record: &Record) -> Inherited {
        Inherited::deserialize(record.value()).unwrap_or_default()
    }

    /// Why, as the rest of a sentence.
    pub(super) fn sentence(&self) -> String {
        let mut said = match self.because.as_str() {
            "ended" => "as one of the same client was that it had ended shortly before",
            "forgotten" => "as more labelled clients are about than are remembered, and this may be one of them",
            _ => "as one of the same client before it was",
        }
        .to_owned();
        if let Some(session) = &self.found_in {
            said.push_str("; found in the session ");
            said.push_str(&inline(session));
        }
        if let Some(entry) = &self.found_by {
            said.push_str(", by the decision ");
            said.push_str(&inline(entry));
        }
        said
    }
}

/// Where the labels of an entry are from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum From {
    /// A message of the session that is this entry of the log.
    Entry(String),
    /// Sessions before, of the same client.
    Before(Inherited),
    /// Another session of whoever asks, or an entry that is in the log no more.
    Elsewhere,
}

impl From {
    /// The last entry before this one that labelled its session.
    pub(super) fn of(directory: &log::Directory, id: Id, entry: &Entry) -> Option<From> {
        if entry.labels.is_empty() || entry.kind != "message" {
            return None;
        }
        let mut found = From::Elsewhere;
        for record in iter(directory).ok()? {
            let record = match record {
                Ok(record) => record,
                Err(fault) if log::is_unreadable(&fault) => return Some(found),
                // What is wrong with the log is said by whoever looked for the entry.
                Err(_) => continue,
            };
            if record.id == id {
                break;
            }
            let raises = record.kind == "message" && record.text().contains("\"raises\":");
            if !(raises || record.kind == BEGINS) || !record.text().contains(&entry.session) {
                continue;
            }
            let value = record.value();
            if value.get("session").is_none_or(|of| *of != entry.session) {
                continue;
            }
            if record.kind == BEGINS {
                found = From::Before(Inherited::of(&record));
            } else if value.get("raises").is_some() {
                found = From::Entry(record.id.to_string());
            }
        }
        Some(found)
    }

    /// The entry, if it is known.
    pub(super) fn entry(&self) -> Option<&str> {
        match self {
            From::Entry(id) => Some(id),
            From::Before(inherited) => inherited.found_by.as_deref(),
            From::Elsewhere => None,
        }
    }
}

/// For people, on one line; nothing of a session that bears nothing.
pub(super) fn sentence(entry: &Entry) -> Option<String> {
    let names =
        |labels: &[String]| labels.iter().map(|label| format!("`{}`", inline(label))).collect::<Vec<_>>().join(" and ");
    if !entry.raises.is_empty() {
        return Some(format!("Session: labelled {} from here on", names(&entry.raises)));
    }
    let labels = names(&entry.labels);
    Some(match entry.labelled_by.as_ref()? {
        From::Entry(id) => format!("Session: labelled {labels}, by the decision {id}"),
        From::Before(inherited) => format!("Session: labelled {labels} since it began, {}", inherited.sentence()),
        From::Elsewhere => format!("Session: labelled {labels}"),
    })
}
