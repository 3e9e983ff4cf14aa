//! What the logs say of what people let clients have: who agreed to what, and what became of it.

use std::fmt::Write;

use bartizan_audit::{Id, Record, rfc3339};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::super::log::Directory;
use super::entries::Entries;
use crate::outcome::Failure;
use crate::output::Paint;
use crate::text::inline;

/// The kinds of entries about it.
const KINDS: [&str; 4] = ["consent.given", "grant.given", "grant.refreshed", "grant.ended"];

/// The name of a grant, if it can be one.
pub(super) fn name(text: &str) -> Option<String> {
    let text = text.trim_end_matches('.').to_ascii_lowercase();
    let rest = text.strip_prefix("g-")?;
    let can_be = rest.len() == 32 && rest.bytes().all(|byte| byte.is_ascii_hexdigit());
    can_be.then_some(text)
}

/// Whether an entry says what somebody lets a client have, or that it has that no more.
pub(super) fn is_about(record: &Record) -> bool {
    KINDS.contains(&record.kind.as_str())
}

/// All entries of one log about one grant, in their order.
pub(super) struct Story {
    id: String,
    entries: Vec<Record>,
    /// What is wrong with the log up to the last of them.
    pub(super) broken: Option<String>,
    /// What a command needs to find the configuration, with a space in front.
    config: String,
}

impl Story {
    /// From the first log that has any; none if no log has.
    pub(super) fn read(directories: &[Directory], id: &str) -> Result<Option<Story>, Failure> {
        // Most entries are about something else, and are not worth reading as JSON.
        let is_about =
            |record: &Record| is_about(record) && record.text().contains(id) && text(&record.value(), "grant") == id;
        let entries = Entries::read(directories, is_about)?;
        Ok(entries.map(|Entries { all, broken }| Story {
            id: id.to_owned(),
            entries: all,
            broken,
            config: String::new(),
        }))
    }

    /// The same, under a configuration that commands find with this option.
    pub(super) fn in_force(self, config: &str) -> Story {
        Story { config: config.to_owned(), ..self }
    }

    /// The last entry about it.
    pub(super) fn last(&self) -> Option<Id> {
        self.entries.last().map(|record| record.id)
    }

    /// For people: a line for each thing that happened with it.
    pub(super) fn sentences(&self, paint: Paint) -> String {
        let mut out = format!("Grant {}\n", paint.bold(&self.id));
        for record in &self.entries {
            let _ = writeln!(out, "  {}", sentence(record));
        }
        if !self.entries.iter().any(|record| record.kind == "grant.ended") {
            let _ = writeln!(out, "  to end it: `bartizan grant revoke {}{}`", self.id, self.config);
        }
        out
    }
}

/// What an entry says: when, who, which client, where, and what for.
pub(super) fn sentence(record: &Record) -> String {
    let entry = record.value();
    let of = |key: &str| inline(&text(&entry, key));
    let client = match of("client_name") {
        name if name.is_empty() => format!("the client {}", of("client")),
        name => format!("the client {} ({name})", of("client")),
    };
    let done_at = moment(&entry, "done_at").map(|at| format!("{at}: ")).unwrap_or_default();
    let person = of("person");
    let scopes = entry.get("scopes").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let scopes: Vec<_> = scopes.map(inline).collect();
    let scopes = if scopes.is_empty() { "nothing".to_owned() } else { scopes.join(" ") };
    let until = moment(&entry, "expires_at").map(|until| format!(", until {until}")).unwrap_or_default();
    let what = match record.kind.as_str() {
        "consent.given" => format!("{person} let {client} have {scopes} at {}", of("resource")),
        "grant.given" => format!("{client} came for what {person} lets it have at {}: {scopes}{until}", of("resource")),
        "grant.refreshed" => format!("{client} got a new token of {person}'s"),
        _ => format!("it ended, for {}, by {}; {client} has nothing of {person}'s by it any more", of("why"), of("by")),
    };
    let grant = of("grant");
    let named = if grant.is_empty() { String::new() } else { format!(" (grant {grant})") };
    format!("{done_at}{what}{named}.")
}

/// A moment to the second, as a text or in microseconds.
fn moment(entry: &Value, key: &str) -> Option<String> {
    let at = match entry.get(key)? {
        Value::String(at) => at.clone(),
        at => rfc3339(at.as_i64()?),
    };
    Some(inline(&at.split_once('.').map_or(at.clone(), |(seconds, _)| format!("{seconds}Z"))))
}

fn text(entry: &Value, key: &str) -> String {
    entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// What `why --json` prints about a grant.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Granted {
    #[schemars(extend("const" = Granted::FORMAT))]
    format: &'static str,
    /// Whether the chain holds from the first entry of the log up to the last about the grant.
    verified: bool,
    /// If not, where it breaks: from there on the log may say anything.
    problem: Option<String>,
    /// What it is called.
    grant: String,
    /// What was done with it: the entries as they stand in the log.
    events: Vec<Value>,
}

impl Granted {
    pub(in super::super) const FORMAT: &str = "bartizan.why.grant/1";

    pub(super) fn of(story: &Story) -> Self {
        Granted {
            format: Self::FORMAT,
            verified: story.broken.is_none(),
            problem: story.broken.clone(),
            grant: story.id.clone(),
            events: story.entries.iter().map(Record::value).collect(),
        }
    }
}
