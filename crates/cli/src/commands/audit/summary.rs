//! `bartizan audit summary`: what was found, what was done about it, and what would have been.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use bartizan_audit::{Fault, Record, iter};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::super::log;
use super::filter::{Filter, Wanted};
use crate::outcome::{Failure, Outcome, say};
use crate::output::{self, Paint};
use crate::text::inline;

/// What is summed up.
#[derive(Args)]
pub(super) struct Arguments {
    /// Only what was recorded and not acted upon, although it would have been otherwise
    #[arg(long)]
    observed: bool,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    place: log::Place,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// Places that a row counts by name; servers choose the names of their tools.
const PLACES: usize = 256;
/// Bytes of a place that count, for the same reason.
const LONGEST: usize = 160;
/// Places that are shown.
const SHOWN: usize = 3;

/// The kinds of entries that say what became of a message.
const MESSAGES: [&str; 2] = ["message", "unreadable"];

/// What `audit summary --json` prints.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Summary {
    #[schemars(extend("const" = Summary::FORMAT))]
    format: &'static str,
    /// When the first entry was written that counts here, in UTC; none if there is none.
    from: Option<String>,
    /// When the last one was.
    until: Option<String>,
    /// What became of messages.
    messages: Messages,
    /// Requests that were refused before there was a message.
    refused_before: u64,
    /// By rule and what was done, what is strictest first.
    rules: Vec<Row>,
}

/// What became of messages, and what else would have.
#[derive(Serialize, JsonSchema, Default)]
struct Messages {
    /// All of them.
    total: u64,
    /// Those that passed as they were.
    allowed: u64,
    /// Those that passed without some of what they held.
    changed: u64,
    /// Those that wait, or waited, until somebody approves them.
    asked: u64,
    /// Those that were refused.
    refused: u64,
    /// Those that passed as they were and would have been changed.
    would_be_changed: u64,
    /// Those that passed and would have been asked about.
    would_be_asked: u64,
    /// Those that passed, or were asked about, and would have been refused.
    would_be_refused: u64,
}

/// One rule with one outcome.
#[derive(Serialize, JsonSchema)]
struct Row {
    /// The rule.
    rule: String,
    /// What was done: `observe`, `redact`, `approve` or `deny`.
    action: String,
    /// What would have been done without `mode = "observe"`, if that is more.
    #[serde(skip_serializing_if = "Option::is_none")]
    would: Option<String>,
    /// How often.
    times: u64,
    /// By server and tool, or server alone, most first.
    places: Vec<PlaceCount>,
    /// The last entry, for `bartizan why`.
    last: String,
}

#[derive(Serialize, JsonSchema)]
struct PlaceCount {
    /// The server, and the tool behind a slash; `others` is what has no place by itself.
    place: String,
    /// How often.
    times: u64,
}

impl Summary {
    pub(in super::super) const FORMAT: &str = "bartizan.audit.summary/1";
}

impl Arguments {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        let wanted = self.filter.wanted()?;
        let directories = self.place.directories()?;
        let (mut sum, mut unread, mut is_broken) = (Sum::default(), Vec::new(), false);
        for directory in &directories {
            match sum.read(directory, &wanted) {
                Ok(None) => {}
                Ok(Some(fault)) => {
                    is_broken = true;
                    let place = directory.display();
                    say(&inline(&format!(
                        "NOT verified: the log in {place} is broken: {fault}; see `bartizan audit verify`"
                    )));
                }
                Err(fault) => unread.push((directory, fault)),
            }
        }
        if let ([(directory, fault)], 1) = (unread.as_slice(), directories.len()) {
            return Err(log::unreadable(directory, fault));
        }
        let summary = sum.summary(self.observed);
        if self.json { output::print_json(&summary) } else { output::print(&text(&summary, Paint::for_stdout())) }?;
        match unread.as_slice() {
            _ if is_broken => Ok(Outcome::Found),
            [] => Ok(Outcome::Clean),
            several => Err(log::unread(several.iter().map(|(place, _)| *place))),
        }
    }
}

/// What has been counted.
#[derive(Default)]
struct Sum {
    /// When the first and the last entry were written, and how that is told.
    span: Option<((i64, String), (i64, String))>,
    messages: Messages,
    refused_before: u64,
    rows: BTreeMap<(String, Action, Option<Action>), Counted>,
}

#[derive(Default)]
struct Counted {
    times: u64,
    places: BTreeMap<String, u64>,
    others: u64,
    last: (i64, String),
}

/// In the order of how much they hold back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    Observe,
    Redact,
    Approve,
    Deny,
}

impl Action {
    fn named(name: &str) -> Option<Action> {
        Some(match name {
            "observe" | "allow" => Action::Observe,
            "redact" | "transform" => Action::Redact,
            "approve" => Action::Approve,
            "deny" => Action::Deny,
            _ => return None,
        })
    }

    fn as_str(self) -> &'static str {
        match self {
            Action::Observe => "observe",
            Action::Redact => "redact",
            Action::Approve => "approve",
            Action::Deny => "deny",
        }
    }
}

impl Sum {
    /// Counts what a log holds; what is wrong with it, if it can be read.
    fn read(&mut self, directory: &log::Directory, wanted: &Wanted<'_>) -> Result<Option<String>, Fault> {
        let (mut log, mut broken, mut any) = (iter(directory)?, None, false);
        for record in log.by_ref() {
            any = true;
            match record {
                Ok(record) if wanted.has(&record) => self.count(&record),
                Ok(_) => {}
                Err(fault) if log::is_unreadable(&fault) => return Err(fault),
                Err(fault) => broken = broken.or(Some(fault)),
            }
        }
        if !any {
            return Err(log::without_entries(directory));
        }
        // The chain shows it before anything else does.
        Ok(log.broken().or(broken.as_ref()).map(Fault::to_string))
    }

    fn count(&mut self, record: &Record) {
        let entry = record.value();
        let text = |key: &str| entry.get(key).and_then(Value::as_str);
        if record.kind == "edge.refused" {
            let total = entry.get("total").and_then(Value::as_u64).unwrap_or_default();
            self.refused_before = self.refused_before.saturating_add(total);
            return;
        }
        // Others have decisions as well, about approvals and hosts.
        if !MESSAGES.contains(&&*record.kind) {
            return;
        }
        let Some(decision) = text("decision").and_then(Action::named) else { return };
        let at = (record.at_micros, text("at").unwrap_or_default().to_owned());
        let (first, last) = self.span.get_or_insert_with(|| (at.clone(), at.clone()));
        if at < *first {
            *first = at;
        } else if at > *last {
            *last = at;
        }
        let findings = || entry.get("findings").and_then(Value::as_array).into_iter().flatten();
        let (mut strictest, mut is_told) = (decision, false);
        for finding in findings() {
            let text_of = |key: &str| finding.get(key).and_then(Value::as_str);
            let name = text_of("own").or_else(|| text_of("rule"));
            let (Some(name), Some(action)) = (name, text_of("action").and_then(Action::named)) else { continue };
            // What an exception lets through, the operator knows and has decided.
            let would = text_of("would").filter(|_| text_of("by") == Some("mode")).and_then(Action::named);
            strictest = strictest.max(would.unwrap_or(decision));
            is_told |= text_of("rule") == text("rule") && action == decision;
            self.row((name, action, would), record, &entry);
        }
        // What the gateway refuses by itself was found by no guard.
        if let Some(rule) = text("rule").filter(|_| decision > Action::Observe && !is_told) {
            self.row((rule, decision, None), record, &entry);
        }
        self.messages.count(decision, strictest);
    }

    fn row(&mut self, (rule, action, would): (&str, Action, Option<Action>), record: &Record, entry: &Value) {
        let counted = self.rows.entry((rule.to_owned(), action, would)).or_default();
        counted.times += 1;
        let text = |key: &str| entry.get(key).and_then(Value::as_str);
        let tool = text("tool").map(|tool| format!("/{tool}")).unwrap_or_default();
        let mut place = format!("{}{tool}", text("server").unwrap_or_default());
        place.truncate(place.floor_char_boundary(LONGEST));
        let is_named = counted.places.len() < PLACES || counted.places.contains_key(&place);
        *if is_named { counted.places.entry(place).or_default() } else { &mut counted.others } += 1;
        let last = (record.at_micros, record.id.to_string());
        counted.last = last.max(std::mem::take(&mut counted.last));
    }

    fn summary(self, observed: bool) -> Summary {
        let mut rows: Vec<_> = self.rows.into_iter().filter(|((.., would), _)| !observed || would.is_some()).collect();
        rows.sort_by_key(|((_, action, would), counted)| Reverse((would.unwrap_or(*action), *action, counted.times)));
        let rules = rows.into_iter().map(|((rule, action, would), counted)| Row {
            rule,
            action: action.as_str().to_owned(),
            would: would.map(|would| would.as_str().to_owned()),
            times: counted.times,
            last: counted.last.1.clone(),
            places: counted.by_place(),
        });
        let (from, until) = self.span.map(|((_, from), (_, until))| (from, until)).unzip();
        Summary {
            format: Summary::FORMAT,
            from,
            until,
            messages: self.messages,
            refused_before: self.refused_before,
            rules: rules.collect(),
        }
    }
}

impl Counted {
    fn by_place(self) -> Vec<PlaceCount> {
        let mut places: Vec<_> = self.places.into_iter().map(|(place, times)| PlaceCount { place, times }).collect();
        places.sort_by_key(|place| Reverse(place.times));
        if self.others > 0 {
            places.push(PlaceCount { place: "others".to_owned(), times: self.others });
        }
        places
    }
}

impl Messages {
    fn count(&mut self, decision: Action, strictest: Action) {
        self.total += 1;
        *match decision {
            Action::Observe => &mut self.allowed,
            Action::Redact => &mut self.changed,
            Action::Approve => &mut self.asked,
            Action::Deny => &mut self.refused,
        } += 1;
        if strictest > decision {
            *match strictest {
                Action::Observe | Action::Redact => &mut self.would_be_changed,
                Action::Approve => &mut self.would_be_asked,
                Action::Deny => &mut self.would_be_refused,
            } += 1;
        }
    }
}

/// The summary for people.
fn text(summary: &Summary, paint: Paint) -> String {
    let Summary { from, until, messages, refused_before, rules, .. } = summary;
    let before = match refused_before {
        0 => String::new(),
        times => format!("\n{times} requests were refused before there was a message"),
    };
    let (Some(from), Some(until)) = (from, until) else { return format!("no message was recorded{before}") };
    let Messages { total, allowed, changed, asked, refused, .. } = messages;
    let mut told = format!(
        "{total} messages, {from} to {until}: {allowed} passed as they were, {changed} were changed, {asked} asked about, {refused} refused"
    );
    let Messages { would_be_changed, would_be_asked, would_be_refused, .. } = messages;
    if would_be_changed + would_be_asked + would_be_refused > 0 {
        // Writing to a text cannot fail, here and below.
        let _ = write!(
            told,
            "\nof those, by what was only recorded: {would_be_changed} would have been changed, {would_be_asked} asked about, {would_be_refused} refused"
        );
    }
    told.push_str(&before);
    if rules.is_empty() {
        return told;
    }
    let width = rules.iter().map(|row| inline(&row.rule).chars().count()).max().unwrap_or(0);
    let _ = write!(told, "\n\n{:>7}  {:9}{:9}{:width$}  where, and the last one", "times", "done", "would", "rule");
    for row in rules {
        let (rule, places) = (inline(&row.rule), places(&row.places));
        let would = row.would.as_deref().map_or_else(|| format!("{:9}", ""), |would| painted(would, paint));
        let done = painted(&row.action, paint);
        let _ = write!(told, "\n{:>7}  {done}{would}{rule:width$}  {places}  {}", row.times, row.last);
    }
    told
}

fn painted(action: &str, paint: Paint) -> String {
    format!("{:9}", paint.decision(action))
}

fn places(all: &[PlaceCount]) -> String {
    let shown = all.iter().take(SHOWN);
    let mut named: Vec<_> = shown.map(|PlaceCount { place, times }| format!("{} ×{times}", inline(place))).collect();
    if all.len() > SHOWN {
        named.push(format!("{} more", all.len() - SHOWN));
    }
    named.join(", ")
}
