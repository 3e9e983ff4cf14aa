//! `bartizan audit tail`: the last entries of one log, or of all logs of the user in the order of time.

use std::collections::VecDeque;
use std::time::Duration;

use bartizan_audit::{Fault, Record, Records, iter};
use clap::Args;
use schemars::JsonSchema;
use serde_json::Value;

use super::super::{log, why::egress};
use super::filter::{Filter, Wanted};
use crate::outcome::{Failure, Outcome, say};
use crate::output::{self, Paint};
use crate::text::inline;

/// What is shown.
#[derive(Args)]
pub(super) struct Arguments {
    /// How many; without it 20, and with --since all
    #[arg(short = 'n', long = "lines", value_name = "N")]
    count: Option<usize>,
    /// Goes on with what is recorded from now on, until it is told to end
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    filter: Filter,
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

/// One log, as far as it was read.
struct End {
    directory: log::Directory,
    log: Records,
    /// What is still to be shown.
    records: VecDeque<Record>,
    broken: Option<Fault>,
}

/// So many are shown if nobody says how many.
const COUNT: usize = 20;

/// How long nothing is looked for after all that was there has been shown.
const PAUSE: Duration = Duration::from_millis(300);

impl Arguments {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        let wanted = self.filter.wanted()?;
        let count = self.count.unwrap_or(if self.filter.is_since() { usize::MAX } else { COUNT });
        let directories = self.place.directories()?;
        let (mut ends, mut unread) = (Vec::new(), Vec::new());
        for directory in &directories {
            match End::of(directory, count, &wanted) {
                Ok(end) => ends.push(end),
                Err(fault) => unread.push((directory, fault)),
            }
        }
        print(&mut ends, count, self.json)?;
        ends.iter().for_each(End::warn);
        if self.follow && !ends.is_empty() {
            return self.keep_on(ends, &wanted);
        }
        match unread.as_slice() {
            _ if ends.iter().any(|end| end.fault().is_some()) => Ok(Outcome::Found),
            [] => Ok(Outcome::Clean),
            [(directory, fault)] if ends.is_empty() => Err(log::unreadable(directory, fault)),
            several => Err(log::unread(several.iter().map(|(place, _)| *place))),
        }
    }
}

impl Arguments {
    /// Shows what comes, also in logs that come.
    fn keep_on(&self, mut ends: Vec<End>, wanted: &Wanted<'_>) -> Result<Outcome, Failure> {
        loop {
            std::thread::sleep(PAUSE);
            for end in &mut ends {
                let was_whole = end.fault().is_none();
                let read = end.log.resume().and_then(|()| end.read(usize::MAX, wanted));
                read.map_err(|fault| log::unreadable(&end.directory, &fault))?;
                if was_whole {
                    end.warn();
                }
            }
            for directory in self.place.directories()? {
                if ends.iter().all(|end| *end.directory != *directory) {
                    // One that is being made has no entry yet.
                    ends.extend(End::of(&directory, usize::MAX, wanted));
                }
            }
            print(&mut ends, usize::MAX, self.json)?;
        }
    }
}

impl End {
    fn of(directory: &log::Directory, count: usize, wanted: &Wanted<'_>) -> Result<Self, Fault> {
        let log = iter(directory)?;
        let mut end = End { directory: directory.clone(), log, records: VecDeque::new(), broken: None };
        if end.read(count, wanted)? { Ok(end) } else { Err(log::without_entries(directory)) }
    }

    /// Reads what there is, and keeps the last entries of it; whether there was anything.
    fn read(&mut self, count: usize, wanted: &Wanted<'_>) -> Result<bool, Fault> {
        let mut any = false;
        for record in self.log.by_ref() {
            any = true;
            match record {
                Ok(record) if !wanted.has(&record) => {}
                Ok(record) => self.records.push_back(record),
                // A fault further back must not hide the end, which is what was asked for.
                Err(fault) if log::is_unreadable(&fault) => return Err(fault),
                Err(fault) => self.broken = self.broken.take().or(Some(fault)),
            }
            if self.records.len() > count {
                self.records.pop_front();
            }
        }
        Ok(any)
    }

    /// The first thing wrong with the log, which the chain shows before anything else does.
    fn fault(&self) -> Option<&Fault> {
        self.log.broken().or(self.broken.as_ref())
    }

    fn warn(&self) {
        if let Some(fault) = self.fault() {
            let place = self.directory.display();
            say(&inline(&format!("NOT verified: the log in {place} is broken: {fault}; see `bartizan audit verify`")));
        }
    }
}

/// Shows what was kept, in the order of time, and keeps it no longer.
fn print(ends: &mut [End], count: usize, json: bool) -> Result<(), Failure> {
    let several = ends.len() > 1;
    let mut all = Vec::new();
    for end in ends {
        let label = if several { inline(&log::label(&end.directory)) } else { String::new() };
        all.extend(end.records.drain(..).map(|record| (label.clone(), record)));
    }
    all.sort_by_key(|(_, record)| record.at_micros);
    let shown = all.get(all.len().saturating_sub(count)..).unwrap_or_default();
    let width = shown.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
    let lines: Vec<_> = shown.iter().map(|(label, record)| (label, record, record.value())).collect();
    // A long name moves its own line alone.
    let whose = lines.iter().map(|(_, record, value)| who(record, value).chars().count()).filter(|long| *long <= LONG);
    let whose = whose.max().unwrap_or(0);
    let paint = Paint::for_stdout();
    for (label, record, value) in &lines {
        if json {
            output::print_json_line(record.text())?;
        } else {
            let label = if several { format!("{label:width$}  ") } else { String::new() };
            output::print(&format!("{label}{}", line((record, value), whose, paint)))?;
        }
    }
    Ok(())
}

/// A name up to here is a column with others.
const LONG: usize = 24;

/// One entry on one line: when, what became of it, who, and what it was.
fn line((record, value): (&Record, &Value), whose: usize, paint: Paint) -> String {
    let text = |key: &str| value.get(key).and_then(Value::as_str).map(inline).unwrap_or_default();
    let way = match text("direction").as_str() {
        "to_server" => "→",
        "to_client" => "←",
        _ => " ",
    };
    let decision = match text("decision").as_str() {
        // It is not approved: it waits until somebody does, or nobody was asked.
        "approve" if text("approval").is_empty() => format!("{:9}", paint.decision("deny")),
        "approve" => format!("{:9}", paint.like("approve", "waits")),
        "" if record.kind == "egress.refused" => format!("{:9}", paint.decision("deny")),
        decision => format!("{:9}", paint.decision(decision)),
    };
    let (at, rule, who) = (text("at"), rules(value), who(record, value));
    let what = what(record, value).join(" ");
    let who = if whose == 0 && who.is_empty() { String::new() } else { format!("{who:whose$}  ") };
    format!("{:>6}  {at}  {}  {way} {decision}  {who}{what}  {rule}", record.seq, record.id).trim_end().to_owned()
}

/// On whose behalf a message passes; of anything else, who did it.
fn who(record: &Record, entry: &Value) -> String {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(inline);
    if record.kind == "message" {
        return text("principal").unwrap_or_default();
    }
    text("by").or_else(|| text("person")).or_else(|| text("principal")).unwrap_or_default()
}

/// What names something that an event is about, beside whoever did it.
const SUBJECTS: [&str; 14] = [
    "approval",
    "what",
    "server",
    "method",
    "tool",
    "key",
    "grant",
    "client",
    "principal",
    "person",
    "factor",
    "issuer",
    "table",
    "config",
];

/// What a message is, or what happened and with what.
fn what(record: &Record, entry: &Value) -> Vec<String> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(inline);
    if record.kind == "message" {
        return ["server", "method", "tool"].into_iter().filter_map(text).collect();
    }
    if egress::is_about(&record.kind) {
        // Where to, and what was asked there, if that was seen.
        let times = entry.get("times").and_then(Value::as_u64).map(|times| format!("×{times}"));
        let all =
            [Some(inline(&record.kind)), text("server"), egress::target(entry), text("method"), text("path"), times];
        return all.into_iter().flatten().collect();
    }
    let who = who(record, entry);
    let mut what = vec![inline(&record.kind)];
    what.extend(SUBJECTS.into_iter().filter_map(|key| {
        let found = text(key)?;
        // The column before says so.
        let is_said = matches!(key, "principal" | "person") && found == who;
        let found = if key == "principal" { format!("for {found}") } else { found };
        (!is_said).then_some(found)
    }));
    what.extend(entry.get("total").and_then(Value::as_u64).map(|total| format!("×{total}")));
    what.extend(sources(entry));
    what
}

/// So many sources are named; `bartizan why` names more.
const SOURCES: usize = 3;

/// Where what was counted came from, most first; how often from each, if there are several.
fn sources(entry: &Value) -> Option<String> {
    let all = entry.get("sources").and_then(Value::as_array)?;
    let more = all.len().saturating_sub(SOURCES);
    let others = entry.get("other_sources").and_then(Value::as_u64).unwrap_or_default();
    let is_one = all.len() == 1 && others == 0;
    let named = all.iter().take(SOURCES).filter_map(|source| {
        let name = inline(source.get("source").and_then(Value::as_str)?);
        let count = source.get("count").and_then(Value::as_u64).filter(|_| !is_one);
        Some(name + &count.map(|count| format!(" ×{count}")).unwrap_or_default())
    });
    let mut named: Vec<_> = named.collect();
    if more > 0 || others > 0 {
        named.push("others".to_owned());
    }
    (!named.is_empty()).then(|| format!("from {}", named.join(", ")))
}

/// The rule that decided, or those that changed what passed.
fn rules(entry: &Value) -> String {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(inline);
    if let Some(rule) = text(entry, "rule") {
        return rule;
    }
    let kind = text(entry, "kind").unwrap_or_default();
    if let Some(reason) = text(entry, "reason").filter(|_| egress::is_about(&kind)) {
        return reason;
    }
    let list = |key: &str| entry.get(key).and_then(Value::as_array).into_iter().flatten();
    let (findings, counted) = (list("findings"), list("reasons"));
    let acted = findings.filter(|found| text(found, "action").is_some_and(|action| action != "observe"));
    let mut rules: Vec<_> = acted.chain(counted).filter_map(|found| text(found, "rule")).collect();
    rules.dedup();
    rules.join(", ")
}
