//! `bartizan audit`: proves the log, shows its end, and sums it up.

mod filter;
mod summary;
mod tail;

use std::path::{Path, PathBuf};

use bartizan_audit::{Fault, Head, Problem, Report, verify};
use clap::{Args, Subcommand};
use schemars::JsonSchema;
use serde::Serialize;

pub(super) use self::summary::Summary;
pub(super) use self::tail::TailEntry;
use super::log;
use crate::outcome::{Failure, Outcome, say};
use crate::output;
use crate::text::{count, inline};

const EXAMPLES: &str = "\
Examples:
  bartizan audit tail --denied              the last refusals, of all logs
  bartizan audit tail --who ann --since 1d  what ann did today
  bartizan audit summary --observed         what was only recorded, summed up
  bartizan audit verify                     checks all logs, gives their heads
  bartizan audit verify --log DIR           checks one log
  bartizan audit verify --head SEQ:CHAIN    checks for an entry kept elsewhere";

/// Reads the audit log
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Checks every entry and the chain that ties them together
    Verify {
        /// The directory of the log, as with `--log`
        #[arg(conflicts_with_all = ["log", "config"])]
        directory: Option<PathBuf>,
        #[command(flatten)]
        place: log::Place,
        /// An entry that was kept elsewhere: the log, or one of the user's logs, has to contain it
        #[arg(long, value_name = "SEQ:CHAIN")]
        head: Option<Head>,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Shows the last entries
    Tail(tail::Arguments),
    /// Sums up what was found, what was done about it, and what would have been done
    Summary(summary::Arguments),
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        match self.command {
            Command::Verify { directory: Some(directory), head, json, .. } => {
                verify_log(&log::directory(Some(directory), None)?, head.as_ref(), json)
            }
            Command::Verify { place, head, json, .. } => match place.named()? {
                Some(directory) => verify_log(&directory, head.as_ref(), json),
                None => verify_all(&place.directories()?, head.as_ref(), json),
            },
            Command::Tail(arguments) => arguments.run(),
            Command::Summary(arguments) => arguments.run(),
        }
    }
}

fn verify_log(directory: &Path, head: Option<&Head>, json: bool) -> Result<Outcome, Failure> {
    let fault = match verify(directory, head) {
        Ok(report) => {
            if json { output::print_json(&Verified::whole(&report)) } else { output::print(&sentences(&report)) }?;
            return Ok(Outcome::Clean);
        }
        Err(fault) => fault,
    };
    let other = head.filter(|_| is_about_head(&fault)).and_then(|head| other_log_with(head, directory));
    if json {
        let said = other.as_deref().map(of_another_log);
        output::print_json(&Verified::broken(&fault, said))?;
    }
    if log::is_unreadable(&fault) {
        return Err(log::unreadable(directory, &fault));
    }
    if let Some(other) = other.filter(|_| !json) {
        output::print(&inline(&format!("not this log: {}", of_another_log(&other))))?;
        say(
            "if it was kept as the head of this one, this one was replaced; else check this one with a head of its own",
        );
    } else if lacks_only_head(directory, &fault) {
        if !json {
            output::print(&inline(&format!("does not contain the head: {}", fault.problem)))?;
            say(
                "its entries hold together; if the head was kept of this log, it was cut back or written anew, and the \
                 files are evidence",
            );
        }
    } else if !json {
        output::print(&inline(&format!("broken: {fault}")))?;
        say("the log up to that line is what was written; keep the files as they are, they are evidence");
    }
    Ok(Outcome::Found)
}

/// Whether a log holds by itself, and only not the entry that was kept elsewhere.
fn is_about_head(fault: &Fault) -> bool {
    matches!(fault.problem, Problem::Rewritten { .. } | Problem::CutBack { .. })
}

/// The same, once the entries behind the one that differs have been looked at as well.
fn lacks_only_head(directory: &Path, fault: &Fault) -> bool {
    is_about_head(fault) && verify(directory, None).is_ok()
}

/// Another log of the user that contains the head: nothing in a head says of which log it is.
fn other_log_with(head: &Head, directory: &Path) -> Option<PathBuf> {
    let real = |place: &Path| place.canonicalize().ok();
    let others = log::users_own().into_iter().filter(|other| real(other) != real(directory));
    others.into_iter().find(|other| verify(other, Some(head)).is_ok())
}

fn of_another_log(place: &Path) -> String {
    format!("this head is of another log, the one in {}", place.display())
}

/// All logs of the user, each on a line of its own. A broken one weighs more than one that could not be read.
fn verify_all(directories: &[PathBuf], head: Option<&Head>, json: bool) -> Result<Outcome, Failure> {
    let mut results: Vec<_> = directories.iter().map(|directory| (directory, verify(directory, head))).collect();
    // A head is of one log, and does not say of which.
    if head.is_some() && results.iter().any(|(_, result)| result.is_ok()) {
        results.retain(|(_, result)| result.is_ok());
    }
    let unread: Vec<_> = results.iter().filter_map(|(place, result)| Some((*place, unread(result)?))).collect();
    let failure = match unread.as_slice() {
        [] => None,
        [(directory, fault)] if results.len() == 1 => Some(log::unreadable(directory, fault)),
        several => Some(log::unread(&several.iter().map(|(directory, _)| directory.as_path()).collect::<Vec<_>>())),
    };
    let ok = results.iter().all(|(_, result)| result.is_ok());
    let broken = !ok && unread.len() < results.iter().filter(|(_, result)| result.is_err()).count();
    // What one error says needs no line that says it before.
    if !json && (broken || results.len() > 1 || failure.is_none()) {
        for (directory, result) in &results {
            output::print(&inline(&line(directory, result)))?;
        }
    }
    if let Some(head) = head.filter(|_| broken) {
        say(&format!("no log of yours contains {head} unchanged; if it is of another log, name its directory"));
    }
    if json {
        let logs = results.into_iter().map(|(directory, result)| VerifiedOne::of(directory, result)).collect();
        output::print_json(&VerifiedAll { format: VerifiedAll::FORMAT, ok, logs })?;
    }
    match failure {
        _ if broken => Ok(Outcome::Found),
        Some(failure) => Err(failure),
        None => Ok(Outcome::Clean),
    }
}

fn unread(result: &Result<Report, Fault>) -> Option<&Fault> {
    result.as_ref().err().filter(|fault| log::is_unreadable(fault))
}

fn line(directory: &Path, result: &Result<Report, Fault>) -> String {
    let place = directory.display();
    match result {
        Ok(report) => format!("ok: {place}: {}", sentences(report).trim_start_matches("ok: ").replace('\n', "; ")),
        Err(fault) if log::is_unreadable(fault) => format!("not checked: {place}: {}", log::obstacle(directory, fault)),
        Err(fault) if lacks_only_head(directory, fault) => {
            format!("does not contain the head: {place}: {}", fault.problem)
        }
        Err(fault) => format!("broken: {place}: {fault}"),
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

impl VerifiedOne {
    fn of(directory: &Path, result: Result<Report, Fault>) -> Self {
        let log = result.map_or_else(|fault| Verified::broken(&fault, None), |report| Verified::whole(&report));
        VerifiedOne { directory: directory.display().to_string(), log }
    }
}

fn sentences(report: &Report) -> String {
    let Report { entries, files, first, last, head, unfinished_bytes } = report;
    let files = count(usize::try_from(*files).unwrap_or(usize::MAX), "file");
    let many = if *entries == 1 { "entry" } else { "entries" };
    let mut text = format!("ok: {entries} {many} ({first} to {last}) in {files}\nhead {head}");
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

    fn broken(fault: &Fault, said: Option<String>) -> Self {
        let problem = said.unwrap_or_else(|| fault.problem.to_string());
        let found = Found::Broken { file: fault.file.clone(), line: fault.line, offset: fault.offset, problem };
        Verified { format: Self::FORMAT, ok: false, found }
    }
}
