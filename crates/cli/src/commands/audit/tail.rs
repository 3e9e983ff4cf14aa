//! `bartizan audit tail`: the last entries of one log, or of all logs of the user in the order of time.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use bartizan_audit::{Fault, Problem, Record, iter};
use clap::Args;
use schemars::JsonSchema;
use serde_json::Value;

use super::super::log;
use crate::outcome::{Failure, Outcome, say};
use crate::output::{self, Paint, inline};

/// What is shown.
#[derive(Args)]
pub(super) struct Arguments {
    /// How many
    #[arg(short = 'n', long = "lines", default_value_t = 20, value_name = "N")]
    count: usize,
    /// Only what was refused, also until somebody approves it
    #[arg(long)]
    denied: bool,
    #[command(flatten)]
    place: log::Place,
    /// Prints the entries as they are, one JSON object a line
    #[arg(long)]
    json: bool,
}

/// What every entry of the log has, as `audit tail --json` prints it, one a line. The rest depends on the kind.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "entries are printed as they were written, so this only describes them")]
pub(in super::super) struct TailEntry {
    /// Its number, from 1 and without gaps.
    seq: u64,
    /// Its name, for `bartizan why`.
    id: String,
    /// When it was written, in UTC.
    at: String,
    /// What it is about: `message`, `unreadable`, `own` and others.
    kind: String,
    /// The hash over the one before and this entry.
    chain: String,
}

/// The end of one log.
struct End<'a> {
    directory: &'a Path,
    records: VecDeque<Record>,
    broken: Option<Fault>,
}

impl Arguments {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        let directories = self.place.directories()?;
        let (mut ends, mut unread) = (Vec::new(), Vec::new());
        for directory in &directories {
            match end(directory, self.count, self.denied) {
                Ok(end) => ends.push(end),
                Err(fault) => unread.push((directory, fault)),
            }
        }
        print(&ends, self.count, self.json)?;
        for (End { directory, .. }, fault) in ends.iter().filter_map(|end| Some((end, end.broken.as_ref()?))) {
            let place = directory.display();
            say(&inline(&format!("NOT verified: the log in {place} is broken: {fault}; see `bartizan audit verify`")));
        }
        match unread.as_slice() {
            _ if ends.iter().any(|end| end.broken.is_some()) => Ok(Outcome::Found),
            [] => Ok(Outcome::Clean),
            [(directory, fault)] if ends.is_empty() => Err(log::unreadable(directory, fault)),
            several => Err(log::unread(&several.iter().map(|(place, _)| place.as_path()).collect::<Vec<_>>())),
        }
    }
}

fn end(directory: &PathBuf, count: usize, denied: bool) -> Result<End<'_>, Fault> {
    let mut read = iter(directory)?;
    let (mut records, mut broken, mut is_empty) = (VecDeque::new(), None, true);
    for record in read.by_ref() {
        is_empty = false;
        match record {
            Ok(record) if denied && !is_refusal(&record) => {}
            Ok(record) => records.push_back(record),
            // A fault further back must not hide the end, which is what was asked for.
            Err(fault) if log::is_unreadable(&fault) => return Err(fault),
            Err(fault) => broken = Some(fault),
        }
        if records.len() > count {
            records.pop_front();
        }
    }
    if is_empty {
        // A log has an entry from its first moment on.
        return Err(Fault { file: directory.display().to_string(), line: 0, offset: 0, problem: Problem::Empty });
    }
    // The first fault says the most, and it is there whenever a line could be read at all.
    Ok(End { directory, records, broken: read.into_broken().or(broken) })
}

fn is_refusal(record: &Record) -> bool {
    matches!(record.value().get("decision").and_then(Value::as_str), Some("deny" | "approve"))
}

fn print(ends: &[End<'_>], count: usize, json: bool) -> Result<(), Failure> {
    let several = ends.len() > 1;
    let label = |end: &End<'_>| if several { inline(&log::label(end.directory)) } else { String::new() };
    let mut all: Vec<_> =
        ends.iter().flat_map(|end| end.records.iter().map(move |record| (label(end), record))).collect();
    all.sort_by_key(|(_, record)| record.at_micros);
    let shown = all.get(all.len().saturating_sub(count)..).unwrap_or_default();
    let width = shown.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
    let paint = Paint::for_stdout();
    for (label, record) in shown {
        if json {
            output::print_json_line(record.text())?;
        } else {
            let label = if several { format!("{label:width$}  ") } else { String::new() };
            output::print(&format!("{label}{}", line(record, paint)))?;
        }
    }
    Ok(())
}

/// One entry on one line: when, what, whose, what became of it.
fn line(record: &Record, paint: Paint) -> String {
    let value = record.value();
    let text = |key: &str| value.get(key).and_then(Value::as_str).map(inline).unwrap_or_default();
    let way = match text("direction").as_str() {
        "to_server" => "→",
        "to_client" => "←",
        _ => " ",
    };
    let mut what = vec![text("server"), text("method"), text("tool")];
    what.retain(|word| !word.is_empty());
    if record.kind != "message" {
        what.insert(0, inline(&record.kind));
    }
    let decision = text("decision");
    let (at, rule) = (text("at"), rules(&value));
    let (what, decision) = (what.join(" "), paint.decision(&decision));
    format!("{:>6}  {at}  {}  {way} {decision:9}  {what}  {rule}", record.seq, record.id).trim_end().to_owned()
}

/// The rule that decided, or those that changed what passed.
fn rules(entry: &Value) -> String {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(inline);
    if let Some(rule) = text(entry, "rule") {
        return rule;
    }
    let findings = entry.get("findings").and_then(Value::as_array).into_iter().flatten();
    let acted = findings.filter(|found| text(found, "action").is_some_and(|action| action != "observe"));
    let mut rules: Vec<_> = acted.filter_map(|found| text(found, "rule")).collect();
    rules.dedup();
    rules.join(", ")
}
