//! `bartizan redteam`: attacks through a configuration, and what became of them.

mod table;

use std::io::{self, IsTerminal, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use bartizan_config::Config;
use bartizan_redteam::{
    Baseline, Caller, Home, Mutation, Progress, RangeError, Selection, UnreadBaseline, families, named, run,
};
use clap::Args;
use clap::builder::PossibleValuesParser;

use super::serve::StopSignals;
use crate::common;
use crate::outcome::{Failure, Outcome, say};
use crate::output;
use crate::text::{count, inline};

const EXAMPLES: &str = "\
Examples:
  bartizan redteam --sample 200
  bartizan redteam --families shadowing,parameter --mutations plain,base64
  bartizan redteam --config bartizan.toml --write-baseline redteam.json
  bartizan redteam --config bartizan.toml --baseline redteam.json
  bartizan redteam --show payment-001/base64 | bartizan inspect";

/// Sends attacks through a configuration and says what is stopped, by what, and what comes through
///
/// Its guards, policies, exceptions and mode judge real messages between a client and servers that stand in for those of the
/// configuration: none of these is started or called. The log, the lock file, approvals and keys of the configuration are
/// not touched: what the trial keeps is in a temporary directory that goes away with it.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The configuration [default: bartizan.toml if it is here, else the defaults]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only these servers of the configuration; without it all, one after the other
    #[arg(long = "server", value_name = "NAME", value_delimiter = ',')]
    servers: Vec<String>,
    /// Only these families of attacks
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    families: Vec<String>,
    /// Only these disguises [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = PossibleValuesParser::new(Mutation::ALL.map(Mutation::as_str)))]
    mutations: Vec<String>,
    /// At most so many attacks, of all families alike, and as many honest texts
    #[arg(long, value_name = "N")]
    sample: Option<NonZeroUsize>,
    /// What chooses the sample: the same number, the same texts
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// On whose behalf the client acts, for policies
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
    /// A role that they have; may be given several times
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// Holds what comes of it against this file: status 1 if less is stopped of a family, or more of honest texts
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Writes such a file
    #[arg(long, value_name = "FILE")]
    write_baseline: Option<PathBuf>,
    /// Names all that came through
    #[arg(long)]
    all: bool,
    /// Prints the text that a report names so, as it is sent, as input for `bartizan inspect`; sends nothing
    #[arg(long, value_name = "ID", conflicts_with_all = ["families", "mutations", "sample", "baseline", "write_baseline", "all"])]
    show: Option<String>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        common::log_to_stderr("error", false);
        if let Some(id) = &self.show {
            return self.shown(id);
        }
        let file = self.file();
        let config = file.map_or_else(|| Config::without_file().map_err(Failure::from), common::load)?;
        let selection = self.selection()?;
        // What cannot be read, compared or written is said before anything is tried.
        let baseline = self.baseline.as_deref().map(|path| held(path, &selection)).transpose()?;
        self.write_baseline.as_deref().map_or(Ok(()), check_place)?;
        // It outlives what writes to it.
        let home = Home::make().map_err(|error| failure(error.into()))?;
        let mut report = common::block_on(async {
            let mut signals = StopSignals::new().map_err(Failure::ours)?;
            let caller = Caller { name: self.name.clone(), roles: self.roles.clone() };
            let mut bar = Bar::new();
            let tried = run(&config, &home, (&selection, &self.servers, &caller), async |progress| bar.show(progress));
            let tried = tokio::select! {
                tried = tried => tried.map_err(failure),
                () = signals.asked() => Err(Failure::incomplete("stopped before all was sent")),
            };
            bar.clear();
            tried.map(|report| report.of_file(file))
        })?;
        let worse = baseline.map(|baseline| report.hold_against(&baseline).map(<[_]>::to_vec)).transpose();
        let worse = worse.map_err(Failure::ours)?;
        if self.json {
            output::print_json(&report)?;
        } else {
            output::print(table::text(&report, self.all).trim_end())?;
        }
        worse.iter().flatten().for_each(|worse| say(&format!("worse: {worse}")));
        if let Some((id, why)) = report.unknown().next() {
            let of = count(report.unknown().len(), "text");
            return Err(Failure::incomplete(format!("nobody knows what became of {of}, such as {id}: {why}")));
        }
        // Only now: what is not known is no measure of anything.
        if let Some(path) = &self.write_baseline {
            write(path, &report.baseline())?;
        }
        Ok(if worse.is_some_and(|worse| !worse.is_empty()) { Outcome::Found } else { Outcome::Clean })
    }

    /// The configuration that is meant, if there is one.
    fn file(&self) -> Option<&Path> {
        let here = Path::new("bartizan.toml");
        self.config.as_deref().or_else(|| here.is_file().then_some(here))
    }

    /// One text, of which each part is a line.
    fn shown(&self, id: &str) -> Result<Outcome, Failure> {
        let case = named(id, self.seed).ok_or_else(|| {
            Failure::usage(format!("there is no text `{}`; reports have names such as payment-001/base64", inline(id)))
        })?;
        for text in &case.sent.parts {
            let line = serde_json::json!({"id": case.id(), "kind": case.sample.kind.as_str(), "text": text});
            output::print_json_line(&line.to_string())?;
        }
        Ok(Outcome::Clean)
    }

    fn selection(&self) -> Result<Selection, Failure> {
        let known = families();
        if let Some(unknown) = self.families.iter().find(|family| !known.contains(family)) {
            return Err(Failure::usage(format!("there is no family `{unknown}`; there are {}", known.join(", "))));
        }
        let mut mutations: Vec<_> = self.mutations.iter().filter_map(|name| Mutation::named(name)).collect();
        if mutations.is_empty() {
            mutations = Mutation::ALL.to_vec();
        }
        mutations.sort();
        mutations.dedup();
        Ok(Selection {
            families: self.families.clone(),
            mutations,
            sample: self.sample.map(NonZeroUsize::get),
            seed: self.seed,
        })
    }
}

/// The baseline in that file, if what is selected can be held against it.
fn held(path: &Path, selection: &Selection) -> Result<Baseline, Failure> {
    let baseline = Baseline::read(path).map_err(unread)?;
    match baseline.fits(selection) {
        Ok(()) => Ok(baseline),
        Err(why) => {
            let help = "try it with the options that it was written with, or write it anew with --write-baseline";
            Err(Failure::usage(format!(
                "nothing was sent: cannot hold it against {}: {why}\n  = help: {help}",
                path.display()
            )))
        }
    }
}

/// Whether a file can be in that place.
fn check_place(path: &Path) -> Result<(), Failure> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let why = if path.is_dir() {
        "it is a directory"
    } else if !directory.is_dir() {
        "there is no such directory"
    } else {
        return Ok(());
    };
    Err(Failure::usage(format!("nothing was sent: cannot write {}: {why}", path.display())))
}

fn failure(error: RangeError) -> Failure {
    match error {
        RangeError::NoServer(_) | RangeError::Nothing => Failure::usage(error),
        _ => Failure::ours(error),
    }
}

fn unread(error: UnreadBaseline) -> Failure {
    match error {
        UnreadBaseline::File { .. } => Failure::incomplete(error),
        UnreadBaseline::Content { .. } => Failure::usage(error),
    }
}

fn write(path: &Path, baseline: &Baseline) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(baseline).map_err(Failure::ours)?;
    std::fs::write(path, text + "\n")
        .map_err(|error| Failure::incomplete(format!("cannot write {}: {error}", path.display())))
}

/// How far it is, on a terminal.
struct Bar {
    is_shown: bool,
    last: usize,
}

impl Bar {
    fn new() -> Bar {
        Bar { is_shown: io::stderr().is_terminal(), last: usize::MAX }
    }

    fn show(&mut self, Progress { sent, all }: Progress) {
        let percent = sent * 100 / all.max(1);
        if self.is_shown && percent != self.last {
            self.last = percent;
            write!(io::stderr().lock(), "\r{percent:3} %  {sent} of {all} texts").ok();
        }
    }

    fn clear(&self) {
        if self.is_shown {
            write!(io::stderr().lock(), "\r{:40}\r", "").ok();
        }
    }
}
