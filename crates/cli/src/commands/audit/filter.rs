//! Which entries `bartizan audit tail` shows, and `bartizan audit summary` counts.

use bartizan_audit::Record;
use bartizan_config::{duration, end};
use bartizan_guard::Timestamp;
use clap::Args;
use serde_json::Value;

use crate::outcome::Failure;
use crate::stored::now;

/// What is asked for; an entry has to have all of it.
#[derive(Args)]
pub(super) struct Filter {
    /// Only what did not come through as it was: refused, also until somebody approves it, not answered by the server,
    /// or passed without some of it
    #[arg(long)]
    denied: bool,
    /// Only what somebody did, or what was done to them: a name as the log has it, such as `ann` or `uid:1000`
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    /// Only what concerns this server
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// Only what concerns a tool of this name
    #[arg(long, value_name = "NAME")]
    tool: Option<String>,
    /// Only what was recorded since: a duration before now such as `2h`, or a moment such as `2026-01-31`
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
}

/// The same, with the moment that it means.
pub(super) struct Wanted<'a> {
    filter: &'a Filter,
    since: Option<i64>,
}

/// Where an entry says who did something, or to whom.
const WHO: [&str; 4] = ["principal", "by", "person", "of"];

impl Filter {
    pub(super) fn is_since(&self) -> bool {
        self.since.is_some()
    }

    pub(super) fn wanted(&self) -> Result<Wanted<'_>, Failure> {
        let since = self.since.as_deref().map(|text| moment(text, now())).transpose()?;
        Ok(Wanted { filter: self, since })
    }
}

impl Wanted<'_> {
    pub(super) fn has(&self, record: &Record) -> bool {
        let Filter { denied, who, server, tool, .. } = self.filter;
        if self.since.is_some_and(|since| record.at_micros < since) {
            return false;
        }
        if !denied && who.is_none() && server.is_none() && tool.is_none() {
            return true;
        }
        let entry = record.value();
        let is = |key: &str, name: &str| entry.get(key).and_then(Value::as_str) == Some(name);
        (!denied || is_kept_back(record, &entry))
            && who.as_deref().is_none_or(|who| WHO.iter().any(|key| is(key, who)))
            && server.as_deref().is_none_or(|server| is("server", server))
            && tool.as_deref().is_none_or(|tool| is("tool", tool) || is("what", &format!("tool {tool}")))
    }
}

/// The moment that is so long before `now`, or that one.
fn moment(text: &str, now: Timestamp) -> Result<i64, Failure> {
    let ago = duration(text).and_then(|ago| i64::try_from(ago.as_micros()).ok());
    let at = ago.map(|ago| now.0.saturating_sub(ago)).or_else(|| end(text, now).map(|at| at.0));
    at.ok_or_else(|| {
        Failure::usage(
            "--since is neither a duration such as 2h (a number and one of s, min, h, d) nor a moment such as 2026-01-31 or \
             2026-01-31T08:00:00Z",
        )
    })
}

/// Whether something did not come through as it was, so that a client may have got an error. What was refused before there
/// was a message is counted, without a decision for each.
fn is_kept_back(record: &Record, entry: &Value) -> bool {
    let decided = || matches!(entry.get("decision").and_then(Value::as_str), Some("deny" | "approve" | "transform"));
    let cut_off = || {
        let reason = entry.get("reason").and_then(Value::as_str);
        matches!(reason, Some("egress.replaced" | "egress.sent_cap" | "egress.received_cap"))
    };
    match record.kind.as_str() {
        "edge.refused" | "egress.refused" => true,
        "egress.closed" => cut_off(),
        _ => decided(),
    }
}
