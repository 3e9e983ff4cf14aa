//! Which entries `bartizan audit tail` shows, `summary` counts and `export` hands out.

use std::collections::BTreeMap;

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
    /// Only what this rule decided or found something in; a name that ends with `.` is of all rules that begin so
    #[arg(long, value_name = "RULE")]
    rule: Option<String>,
    /// Only entries in a value of which this text stands, in whatever case
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// Only what was recorded since: a duration before now such as `2h`, or a moment such as `2026-01-31`
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Only what was recorded before that: a duration before now, or a moment
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
}

/// The same, with the moment that it means.
pub(super) struct Wanted<'a> {
    filter: &'a Filter,
    since: Option<i64>,
    until: Option<i64>,
    /// In lower case.
    text: Option<String>,
}

/// Where an entry says who did something, or to whom.
const WHO: [&str; 5] = ["principal", "by", "person", "of", "subject"];

impl Filter {
    pub(super) fn is_since(&self) -> bool {
        self.since.is_some()
    }

    pub(super) fn wanted(&self) -> Result<Wanted<'_>, Failure> {
        let moment =
            |option: &str, text: &Option<String>| text.as_deref().map(|text| moment(option, text, now())).transpose();
        let (since, until) = (moment("--since", &self.since)?, moment("--until", &self.until)?);
        Ok(Wanted { filter: self, since, until, text: self.text.as_deref().map(lower) })
    }

    /// What was asked for, by the names of the options.
    pub(super) fn asked(&self) -> BTreeMap<&'static str, &str> {
        let given = [
            ("denied", self.denied.then_some("yes")),
            ("who", self.who.as_deref()),
            ("server", self.server.as_deref()),
            ("tool", self.tool.as_deref()),
            ("rule", self.rule.as_deref()),
            ("text", self.text.as_deref()),
            ("since", self.since.as_deref()),
            ("until", self.until.as_deref()),
        ];
        given.into_iter().filter_map(|(name, given)| Some((name, given?))).collect()
    }
}

impl Wanted<'_> {
    pub(super) fn has(&self, record: &Record) -> bool {
        let Filter { denied, who, server, tool, rule, .. } = self.filter;
        let at = record.at_micros;
        if self.since.is_some_and(|since| at < since) || self.until.is_some_and(|until| at >= until) {
            return false;
        }
        if self.text.as_ref().is_some_and(|text| !stands_in(&record.value(), text)) {
            return false;
        }
        if !denied && [who, server, tool, rule].into_iter().all(Option::is_none) {
            return true;
        }
        let entry = record.value();
        let is = |key: &str, name: &str| entry.get(key).and_then(Value::as_str) == Some(name);
        (!denied || is_kept_back(record, &entry))
            && who.as_deref().is_none_or(|who| WHO.iter().any(|key| is(key, who)))
            && server.as_deref().is_none_or(|server| is("server", server))
            && tool.as_deref().is_none_or(|tool| is("tool", tool) || is("what", &format!("tool {tool}")))
            && rule.as_deref().is_none_or(|rule| has_rule(&entry, rule))
    }
}

/// In lower case, each letter by itself: what a letter is elsewhere in a word does not matter.
fn lower(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

/// Whether a text stands in one of the values, as it was before it was written as JSON.
fn stands_in(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(text) => lower(text).contains(wanted),
        Value::Array(values) => values.iter().any(|value| stands_in(value, wanted)),
        Value::Object(members) => members.values().any(|value| stands_in(value, wanted)),
        Value::Null => false,
        other => other.to_string().contains(wanted),
    }
}

/// Whether a rule of that name decided, or found something.
fn has_rule(entry: &Value, wanted: &str) -> bool {
    let is = |name: Option<&Value>| {
        let name = name.and_then(Value::as_str);
        name.is_some_and(|name| name == wanted || (wanted.ends_with('.') && name.starts_with(wanted)))
    };
    let among = |list: &str, keys: &[&str]| {
        let found = entry.get(list).and_then(Value::as_array).into_iter().flatten();
        found.into_iter().any(|one| keys.iter().any(|key| is(one.get(key))))
    };
    is(entry.get("rule"))
        || is(entry.get("reason"))
        || among("findings", &["rule", "own"])
        || among("reasons", &["rule"])
}

/// The moment that is so long before `now`, or that one.
fn moment(option: &str, text: &str, now: Timestamp) -> Result<i64, Failure> {
    let ago = duration(text).and_then(|ago| i64::try_from(ago.as_micros()).ok());
    let at = ago.map(|ago| now.0.saturating_sub(ago)).or_else(|| end(text, now).map(|at| at.0));
    at.ok_or_else(|| {
        Failure::usage(format!(
            "{option} is neither a duration such as 2h (a number and one of s, min, h, d) nor a moment such as 2026-01-31 or \
             2026-01-31T08:00:00Z"
        ))
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
