//! `bartizan audit verify`: whether a log is what was written.

use std::path::{Path, PathBuf};

use bartizan_audit::{Checkpoint, Fault, Head, Known, LogKey, Problem, Report, verify, verify_against};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use super::super::log;
use super::{export, proof};
use crate::outcome::{Failure, Outcome, say};
use crate::output;
use crate::text::{count, inline};

/// Which logs are checked, and against what.
#[derive(Args)]
pub(super) struct Arguments {
    /// The directory of the log, as with `--log`
    #[arg(conflicts_with_all = ["log", "config"])]
    directory: Option<PathBuf>,
    #[command(flatten)]
    place: log::Place,
    /// An entry that was kept elsewhere: the log, or one of the user's logs, has to contain it
    #[arg(long, value_name = "SEQ:CHAIN")]
    head: Option<Head>,
    /// A copy of the file `checkpoint` of the log that was kept elsewhere: the log has to have grown from there
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// The key of the log that was kept elsewhere: its checkpoints have to be signed with it
    #[arg(long, value_name = "KEY")]
    key: Option<LogKey>,
    /// Checks a proof that `audit prove` made and no log, which need not be there; takes `--key`
    #[arg(long, value_name = "FILE", requires = "key", conflicts_with_all = ["directory", "log", "config", "head", "checkpoint"])]
    proof: Option<PathBuf>,
    /// Checks what `audit export` handed out and no log, which need not be there; takes `--key`
    #[arg(long, value_name = "DIR", requires = "key", conflicts_with_all = ["directory", "log", "config", "head", "checkpoint", "proof"])]
    export: Option<PathBuf>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        if let (Some(file), Some(key)) = (&self.proof, &self.key) {
            return proof::verify(file, key, self.json);
        }
        if let (Some(folder), Some(key)) = (&self.export, &self.key) {
            return export::verify(folder, key, self.json);
        }
        let checkpoint = self.checkpoint.as_deref().map(kept_checkpoint).transpose()?;
        let known = Known { head: self.head.as_ref(), checkpoint: checkpoint.as_deref(), key: self.key.as_ref() };
        let named = match self.directory {
            Some(directory) => Some(self.place.opened(log::directory(Some(directory), None)?)?),
            None => self.place.named()?,
        };
        match named {
            Some(directory) => verify_log(&directory, &known, self.json),
            None => verify_all(&self.place.directories()?, &known, self.json),
        }
    }
}

/// The checkpoint that was kept in a file.
fn kept_checkpoint(file: &Path) -> Result<String, Failure> {
    let note = proof::read(file, proof::MOST)?;
    if Checkpoint::claimed(&note).is_some() {
        return Ok(note);
    }
    Err(Failure::incomplete(format!("{} is no checkpoint, the file of that name of a log", file.display())))
}

/// Whether anything is known of a log from elsewhere.
fn is_known(known: &Known<'_>) -> bool {
    known.head.is_some() || known.checkpoint.is_some() || known.key.is_some()
}

fn verify_log(directory: &log::Directory, known: &Known<'_>, json: bool) -> Result<Outcome, Failure> {
    let fault = match verify_against(directory, known) {
        Ok(report) => {
            if json { output::print_json(&Verified::whole(&report)) } else { output::print(&sentences(&report)) }?;
            return Ok(Outcome::Clean);
        }
        Err(fault) => fault,
    };
    let other = (is_known(known) && is_about_head(&fault)).then(|| other_log_with(known, directory)).flatten();
    if json {
        let said = other.as_deref().map(of_another_log);
        output::print_json(&Verified::broken(&fault, said))?;
    }
    if log::is_unreadable(&fault) {
        return Err(log::unreadable(directory, &fault));
    }
    if let Some(other) = other.filter(|_| !json) {
        output::print(&inline(&format!("not this log: {}", of_another_log(&other))))?;
        say("if it was kept of this one, this one was replaced; else check this one with what was kept of it");
    } else if lacks_only_head(directory, &fault) {
        if !json {
            output::print(&inline(&format!("{NOT_WITH_HEAD}: {}", fault.problem)))?;
            say("its entries hold together; if that was kept of this log, it was cut back or written anew, and the \
                 files are evidence");
        }
    } else if !json {
        output::print(&inline(&format!("broken: {fault}")))?;
        let up_to = if fault.line > 0 { "the log up to that line is what was written; " } else { "" };
        say(&format!("{up_to}keep the files as they are, they are evidence"));
    }
    Ok(Outcome::Found)
}

/// What is said of a log that is whole, and not the one that was kept.
const NOT_WITH_HEAD: &str = "does not contain what was kept of it";

/// Whether a log holds by itself, and only not what was kept of it elsewhere.
fn is_about_head(fault: &Fault) -> bool {
    use Problem::{Checkpoint, CutBack, Rewritten, Root, Shorter};
    matches!(fault.problem, Rewritten { .. } | CutBack { .. } | Root { .. } | Shorter { .. } | Checkpoint(_))
}

/// The same, once the entries behind the one that differs have been looked at as well.
fn lacks_only_head(directory: &log::Directory, fault: &Fault) -> bool {
    is_about_head(fault) && verify(directory, None).is_ok()
}

/// Another log of the user that what was kept is of: nothing in a head says of which log it is.
fn other_log_with(known: &Known<'_>, directory: &log::Directory) -> Option<PathBuf> {
    let real = |place: &Path| place.canonicalize().ok();
    let others = log::users_own().into_iter().filter(|other| real(other) != real(directory));
    others.into_iter().find(|other| verify_against(&directory.beside(other), known).is_ok())
}

fn of_another_log(place: &Path) -> String {
    format!("what was kept is of another log, the one in {}", place.display())
}

/// All logs of the user, each on a line of its own. A broken one weighs more than one that could not be read.
fn verify_all(directories: &[log::Directory], known: &Known<'_>, json: bool) -> Result<Outcome, Failure> {
    let mut results: Vec<_> =
        directories.iter().map(|directory| (directory, verify_against(directory, known))).collect();
    // What was kept is of one log, and does not say of which.
    if is_known(known) && results.iter().any(|(_, result)| result.is_ok()) {
        results.retain(|(_, result)| result.is_ok());
    }
    let unread: Vec<_> = results.iter().filter_map(|(place, result)| Some((*place, unread(result)?))).collect();
    let failure = match unread.as_slice() {
        [] => None,
        [(directory, fault)] if results.len() == 1 => Some(log::unreadable(directory, fault)),
        several => Some(log::unread(several.iter().map(|(directory, _)| *directory))),
    };
    let ok = results.iter().all(|(_, result)| result.is_ok());
    let broken = !ok && unread.len() < results.iter().filter(|(_, result)| result.is_err()).count();
    // What one error says needs no line that says it before.
    if !json && (broken || results.len() > 1 || failure.is_none()) {
        for (directory, result) in &results {
            output::print(&inline(&line(directory, result)))?;
        }
    }
    if is_known(known) && broken {
        let what = known.head.map_or_else(|| "what was kept".to_owned(), Head::to_string);
        say(&format!("no log of yours contains {what} unchanged; if it is of another log, name its directory"));
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

fn line(directory: &log::Directory, result: &Result<Report, Fault>) -> String {
    let place = directory.display();
    match result {
        Ok(report) => format!("ok: {place}: {}", sentences(report).trim_start_matches("ok: ").replace('\n', "; ")),
        Err(fault) if log::is_unreadable(fault) => format!("not checked: {place}: {}", log::obstacle(directory, fault)),
        Err(fault) if lacks_only_head(directory, fault) => {
            format!("{NOT_WITH_HEAD}: {place}: {}", fault.problem)
        }
        Err(fault) => format!("broken: {place}: {fault}"),
    }
}

/// What `audit verify --json` prints for all logs of the user.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct VerifiedAll {
    #[schemars(extend("const" = VerifiedAll::FORMAT))]
    format: &'static str,
    /// Whether all of them are whole.
    ok: bool,
    /// Each of them.
    logs: Vec<VerifiedOne>,
}

impl VerifiedAll {
    pub(in super::super) const FORMAT: &str = "bartizan.audit.verify.all/1";
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
    fn of(directory: &log::Directory, result: Result<Report, Fault>) -> Self {
        let log = result.map_or_else(|fault| Verified::broken(&fault, None), |report| Verified::whole(&report));
        VerifiedOne { directory: directory.display().to_string(), log }
    }
}

fn sentences(report: &Report) -> String {
    let Report { entries, files, first, last, head, checkpoint, key, unfinished_bytes } = report;
    let files = count(usize::try_from(*files).unwrap_or(usize::MAX), "file");
    let many = if *entries == 1 { "entry" } else { "entries" };
    let mut text = format!("ok: {entries} {many} ({first} to {last}) in {files}\nhead {head}");
    if let (Some(Checkpoint { size, .. }), Some(key)) = (checkpoint, key) {
        text.push_str(&format!("\ncheckpoint of the first {size}, signed by {key}"));
    }
    if *unfinished_bytes > 0 {
        text.push_str(&format!("\n{unfinished_bytes} bytes of an entry that is being written, or whose writer died"));
    }
    text
}

/// What `audit verify --json` prints.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Verified {
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
        /// Entries under the newest checkpoint, the file `checkpoint` of the log; none of a log from before there were any.
        checkpoint: Option<u64>,
        /// The key that has signed it, to be kept elsewhere and given to `--key` later.
        key: Option<String>,
        /// Bytes behind the last entry that are the start of one.
        unfinished_bytes: u64,
    },
    /// The first line that does not fit.
    Broken {
        /// The file.
        file: String,
        /// The line, from 1; 0 if it is about the file as a whole.
        line: u64,
        /// The byte of the file at which that line starts.
        offset: u64,
        /// What is wrong with it.
        problem: String,
    },
}

impl Verified {
    pub(in super::super) const FORMAT: &str = "bartizan.audit.verify/1";

    fn whole(report: &Report) -> Self {
        let Report { entries, files, first, last, unfinished_bytes, .. } = *report;
        let head = report.head.to_string();
        let checkpoint = report.checkpoint.as_ref().map(|checkpoint| checkpoint.size);
        let key = report.key.as_ref().map(LogKey::to_string);
        let found = Found::Whole { entries, files, first, last, head, checkpoint, key, unfinished_bytes };
        Verified { format: Self::FORMAT, ok: true, found }
    }

    fn broken(fault: &Fault, said: Option<String>) -> Self {
        let problem = said.unwrap_or_else(|| fault.problem.to_string());
        let found = Found::Broken { file: fault.file.clone(), line: fault.line, offset: fault.offset, problem };
        Verified { format: Self::FORMAT, ok: false, found }
    }
}
