//! `bartizan init --learn`: settings that traffic suggests, to be read by somebody before they are used.
//!
//! **Threat.** The traffic is that of servers which may be hostile, and what is written here is meant to be put in force. So a
//! proposal holds names and counts and no value, only ever leaves more out or adds a label, is tried on the traffic that it was
//! learned from, and is written where nothing reads it.

mod captured;
mod proposal;
mod trial;

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bartizan_config::{Config, Environment};
use bartizan_guard::learn::{Learner, Whence};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use self::captured::Captured;
use self::proposal::Proposal;
use self::trial::{Dropped, Tried};
use crate::common;
use crate::outcome::{Failure, Outcome, say};
use crate::output;
use crate::text::{inline, shell_word};

const EXAMPLES: &str = "\
Examples:
  bartizan init --learn > proposal.toml
  bartizan init --learn --from captured --config gateway.toml --out proposal.toml";

/// Proposes settings; nothing is in force by that
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Learns from captured traffic what of tools' results could be left out, and what their labels could be
    #[arg(long, required = true)]
    learn: bool,
    /// Files or directories of a capture [default: where `[capture]` says]
    #[arg(long, value_name = "PATH", num_args = 1..)]
    from: Vec<PathBuf>,
    /// Results of a tool without which nothing is proposed for it
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    least: u64,
    /// Writes the proposal into this new file, and not to standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The configuration [default: bartizan.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Prints JSON, with the proposal in it
    #[arg(long, conflicts_with = "out")]
    json: bool,
}

/// What `init --learn --json` prints.
#[derive(Serialize, JsonSchema)]
pub(super) struct Learnt<'a> {
    #[schemars(extend("const" = Learnt::FORMAT))]
    format: &'static str,
    /// The files that were read, without copies of others.
    files: &'a [String],
    /// Messages that could not be captured, as is said in the files.
    missing: u64,
    /// Messages of servers that the configuration does not have.
    of_other_servers: u64,
    /// What was seen of each tool.
    tools: Vec<SeenTool<'a>>,
    /// What would change, had the proposal been in force.
    trial: &'a Tried,
    /// Settings that were left out, as a result would have been refused for them.
    dropped: &'a [Dropped],
    /// The proposal, in TOML.
    proposal: &'a str,
}

/// A tool that was seen.
#[derive(Serialize, JsonSchema)]
struct SeenTool<'a> {
    server: &'a str,
    tool: &'a str,
    calls: u64,
    /// Results that were read.
    results: u64,
    errors: u64,
    refused: u64,
    sessions: u64,
    /// How many settings are proposed for `minimise`.
    settings: usize,
    /// Labels that traffic adds.
    added: Vec<&'static str>,
    /// Why nothing is proposed, if nothing is.
    nothing: Option<&'a str>,
}

impl Learnt<'_> {
    pub(super) const FORMAT: &'static str = "bartizan.init.learn/1";
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        let file = self.config.as_deref().unwrap_or(Path::new("bartizan.toml"));
        let config = common::load(file)?;
        let captured = Captured::of(&self.from, &config)?;
        let mut learner = Learner::new(&config.settings).map_err(Failure::usage)?;
        let read = captured.each(|record| {
            let (session, client) = (record.session.as_deref(), record.client.as_deref());
            let refused = record.said.decision == "deny" || record.said.decision == "approve";
            learner.read(&record.case, Whence { session, client, refused });
        })?;
        let learned = learner.drafts(self.least);
        if learned.drafts.iter().all(|draft| draft.results == 0) {
            return Err(Failure::incomplete(
                "no result of a tool was captured; set `results = true` in [capture] and let the gateway run for a while",
            ));
        }
        let mut proposal = Proposal::of(learned, self.least);
        let (tried, dropped) = trial::run(&captured, &config.settings, &mut proposal)?;
        let text = proposal.text(&read, &tried, &dropped);
        check(&text, file, &proposal)?;
        self.told(&text, (&read, &proposal), (&tried, &dropped))
    }

    fn told(
        &self,
        text: &str,
        (read, proposal): (&captured::Read, &Proposal),
        (tried, dropped): (&Tried, &[Dropped]),
    ) -> Result<Outcome, Failure> {
        if self.json {
            output::print_json(&Learnt {
                format: Learnt::FORMAT,
                files: &read.files,
                missing: read.missing,
                of_other_servers: read.of_other_servers,
                tools: proposal.tools().collect(),
                trial: tried,
                dropped,
                proposal: text,
            })?;
            return Ok(Outcome::Clean);
        }
        match &self.out {
            Some(path) => write_new(path, text)?,
            None => output::print(text.trim_end())?,
        }
        say(&tried.sentence());
        dropped.iter().for_each(|dropped| say(&format!("note: {}", inline(&dropped.sentence()))));
        read.notes().iter().for_each(|note| say(&format!("note: {}", inline(note))));
        if let Some(path) = &self.out {
            let path = shell_word(&path.display().to_string());
            say(&format!(
                "the proposal is in {path}; nothing of it is in force: read it, then add what is right to the configuration"
            ));
        }
        Ok(Outcome::Clean)
    }
}

/// Never over something that is there, and for its owner only.
fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let cannot = |error: std::io::Error| {
        let hint = if error.kind() == ErrorKind::AlreadyExists { "; nothing is written over" } else { "" };
        Failure::usage(format!("cannot write {}: {error}{hint}", path.display()))
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(cannot)?;
    file.write_all(text.as_bytes()).map_err(cannot)
}

/// Holds the text against the configuration as whoever appends it would.
fn check(text: &str, file: &Path, proposal: &Proposal) -> Result<(), Failure> {
    let read: toml::Table = toml::from_str(text).map_err(Failure::ours)?;
    let read = serde_json::to_value(&read).map_err(Failure::ours)?;
    if read.get("guard").cloned().unwrap_or_default() != proposal.options() {
        return Err(Failure::ours("the proposal does not say what it means to"));
    }
    let own = std::fs::read_to_string(file).map_err(Failure::incomplete)?;
    let directory = std::path::absolute(file).map_err(Failure::incomplete)?;
    let environment = Environment::of_process(directory.parent().unwrap_or(Path::new("/")));
    if let Err(problems) = Config::parse(&format!("{own}\n{text}"), &file.display().to_string(), &environment) {
        say(
            "note: the proposal cannot be appended to the configuration as it is, so its tables have to be put among those there:",
        );
        say(&problems.to_string());
    }
    Ok(())
}
