//! `bartizan audit`: proves the log, and shows its end.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use bartizan_audit::{Fault, Head, Record, Report, iter, verify};
use clap::{Args, Subcommand};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::log;
use crate::outcome::{Failure, Outcome, say};
use crate::output::{self, Paint, inline};

/// Reads the audit log
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Checks every entry and the chain that ties them together
    Verify {
        /// The directory of the log; without it the one of the configuration, or all logs of the user
        directory: Option<PathBuf>,
        /// The configuration that says where the log is
        #[arg(long, value_name = "FILE", conflicts_with = "directory")]
        config: Option<PathBuf>,
        /// An entry that was kept elsewhere: the log, which is that of `serve` unless it is named, has to contain it
        #[arg(long, value_name = "SEQ:CHAIN")]
        head: Option<Head>,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Shows the last entries
    Tail {
        /// How many
        #[arg(short = 'n', long = "lines", default_value_t = 20, value_name = "N")]
        count: usize,
        #[command(flatten)]
        place: log::Place,
        /// Prints the entries as they are, one JSON object a line
        #[arg(long)]
        json: bool,
    },
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        match self.command {
            Command::Verify { directory: None, config: None, head: None, json } => {
                verify_all(&log::directories(None, None)?, json)
            }
            Command::Verify { directory, config, head, json } => {
                verify_log(&log::directory(directory, config.as_deref())?, head.as_ref(), json)
            }
            Command::Tail { count, place, json } => tail(&place.directory()?, count, json),
        }
    }
}

fn verify_log(directory: &Path, head: Option<&Head>, json: bool) -> Result<Outcome, Failure> {
    let fault = match verify(directory, head) {
        Ok(report) => {
            if json { output::print_json(&Verified::whole(&report)) } else { output::print(&sentences(&report)) }?;
            return Ok(Outcome::Clean);
        }
        Err(fault) if log::is_unreadable(&fault) => return Err(log::unreadable(directory, &fault)),
        Err(fault) => fault,
    };
    if json {
        output::print_json(&Verified::broken(&fault))?;
    } else {
        output::print(&inline(&format!("broken: {fault}")))?;
        say("the log up to that line is what was written; keep the files as they are, they are evidence");
    }
    Ok(Outcome::Found)
}

/// All logs of the user, each on a line of its own. A broken one weighs more than one that could not be read.
fn verify_all(directories: &[PathBuf], json: bool) -> Result<Outcome, Failure> {
    let (mut outcome, mut unread) = (Outcome::Clean, None);
    let mut logs = Vec::new();
    for directory in directories {
        let result = verify(directory, None);
        let place = directory.display();
        let line = match &result {
            Ok(report) => format!("ok: {place}: {}", sentences(report).trim_start_matches("ok: ").replace('\n', "; ")),
            Err(fault) if log::is_unreadable(fault) => {
                unread = Some(log::unreadable(directory, fault));
                format!("not checked: {place}: {fault}")
            }
            Err(fault) => {
                outcome = Outcome::Found;
                format!("broken: {place}: {fault}")
            }
        };
        if !json {
            output::print(&inline(&line))?;
        }
        let log = result.map_or_else(|fault| Verified::broken(&fault), |report| Verified::whole(&report));
        logs.push(VerifiedOne { directory: place.to_string(), log });
    }
    if json {
        let ok = logs.iter().all(|one| one.log.ok);
        output::print_json(&VerifiedAll { format: VerifiedAll::FORMAT, ok, logs })?;
    }
    match (outcome, unread) {
        (Outcome::Clean, Some(failure)) => Err(failure),
        (outcome, _) => Ok(outcome),
    }
}

/// What `audit verify --json` prints for all logs of the user.
#[derive(Serialize, JsonSchema)]
pub(super) struct VerifiedAll {
    #[schemars(extend("const" = VerifiedAll::FORMAT))]
    format: &'static str,
    /// Whether all of them are whole.
    ok: bool,
    /// Each of them.
    logs: Vec<VerifiedOne>,
}

impl VerifiedAll {
    pub(super) const FORMAT: &str = "bartizan.audit.verify.all/1";
}

/// One log of the user.
#[derive(Serialize, JsonSchema)]
struct VerifiedOne {
    /// Where it is.
    directory: String,
    #[serde(flatten)]
    log: Verified,
}

fn sentences(report: &Report) -> String {
    let Report { entries, files, first, last, head, unfinished_bytes } = report;
    let many = if *files == 1 { "file" } else { "files" };
    let mut text = format!("ok: {entries} entries ({first} to {last}) in {files} {many}\nhead {head}");
    if *unfinished_bytes > 0 {
        text.push_str(&format!("\n{unfinished_bytes} bytes of an entry that is being written, or whose writer died"));
    }
    text
}

/// What `audit verify --json` prints.
#[derive(Serialize, JsonSchema)]
pub(super) struct Verified {
    #[schemars(extend("const" = Verified::FORMAT))]
    format: &'static str,
    /// Whether the log is whole.
    ok: bool,
    #[serde(flatten)]
    found: Found,
}

#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum Found {
    /// Nothing is wrong.
    Whole {
        /// Entries in the log.
        entries: u64,
        /// Files they are in.
        files: u64,
        /// Number of the first entry.
        first: u64,
        /// Number of the last entry.
        last: u64,
        /// The last entry as SEQ:CHAIN, to be kept elsewhere and given to `--head` later.
        head: String,
        /// Bytes behind the last entry that are the start of one.
        unfinished_bytes: u64,
    },
    /// The first line that does not fit.
    Broken {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// The byte of the file at which that line starts.
        offset: u64,
        /// What is wrong with it.
        problem: String,
    },
}

impl Verified {
    pub(super) const FORMAT: &str = "bartizan.audit.verify/1";

    fn whole(report: &Report) -> Self {
        let Report { entries, files, first, last, unfinished_bytes, .. } = *report;
        let found = Found::Whole { entries, files, first, last, head: report.head.to_string(), unfinished_bytes };
        Verified { format: Self::FORMAT, ok: true, found }
    }

    fn broken(fault: &Fault) -> Self {
        let problem = fault.problem.to_string();
        let found = Found::Broken { file: fault.file.clone(), line: fault.line, offset: fault.offset, problem };
        Verified { format: Self::FORMAT, ok: false, found }
    }
}

/// What every entry of the log has, as `audit tail --json` prints it, one a line. The rest depends on the kind.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "entries are printed as they were written, so this only describes them")]
pub(super) struct TailEntry {
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

fn tail(directory: &Path, count: usize, json: bool) -> Result<Outcome, Failure> {
    let records = iter(directory).map_err(|fault| log::unreadable(directory, &fault))?;
    let mut last = VecDeque::new();
    let mut broken = None;
    for record in records {
        match record {
            Ok(record) => last.push_back(record),
            // A fault further back must not hide the end, which is what was asked for.
            Err(fault) if log::is_unreadable(&fault) => return Err(log::unreadable(directory, &fault)),
            Err(fault) => broken = Some(fault),
        }
        if last.len() > count {
            last.pop_front();
        }
    }
    let paint = Paint::for_stdout();
    for record in &last {
        if json { output::print_json_line(record.text()) } else { output::print(&line(record, paint)) }?;
    }
    match broken {
        Some(fault) => {
            say(&inline(&format!("the log is broken: {fault}; see `bartizan audit verify`")));
            Ok(Outcome::Found)
        }
        None => Ok(Outcome::Clean),
    }
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
    let (at, rule) = (text("at"), text("rule"));
    let (what, decision) = (what.join(" "), paint.decision(&decision));
    format!("{:>6}  {at}  {}  {way} {decision:9}  {what}  {rule}", record.seq, record.id).trim_end().to_owned()
}
