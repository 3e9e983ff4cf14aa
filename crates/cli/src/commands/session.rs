//! `bartizan session`: what the conversations of a gateway that runs are labelled with, and having one forget.

mod report;

use std::path::{Path, PathBuf};

use bartizan_gateway::control::{self, ControlError, Reset, Seen};
use clap::{Args, Subcommand};

pub(super) use self::report::{Cleared, Listed, Shown};
use super::log;
use crate::ask;
use crate::common;
use crate::outcome::{Failure, Outcome, say};
use crate::output::{self, Paint};
use crate::text::{inline, shell_word};

const EXAMPLES: &str = "\
Examples:
  bartizan session list                           of all that runs for this user
  bartizan session list --config bartizan.toml    of the `serve` with that configuration
  bartizan session show 3f6c
  bartizan session reset 3f6c --yes

It has to be the user as whom the gateway runs, on the same machine.";

/// What somebody agrees to.
const ASKS: &str = "what strangers wrote there may then say where things go; reset it?";

/// Shows what conversations are labelled with and how much they remember, and has one forget it
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lists the conversations that go on, and those that are over whose labels the next one begins with
    List(List),
    /// Shows one: which results gave it its labels, and when
    Show(One),
    /// Has a client forget its labels and all that it was brought, with all of its sessions
    Reset(Forget),
}

#[derive(Args)]
struct List {
    #[command(flatten)]
    place: log::Where,
    /// Only those that are labelled
    #[arg(long)]
    labelled: bool,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct One {
    /// The session, as the log names it, or the beginning of that
    session: String,
    #[command(flatten)]
    place: log::Where,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Forget {
    #[command(flatten)]
    one: One,
    /// Does it without asking back
    #[arg(long)]
    yes: bool,
}

/// A conversation, and the gateway that has it.
struct Held {
    log: PathBuf,
    seen: Seen,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        match self.command {
            Command::List(list) => list.run(),
            Command::Show(one) => one.show(),
            Command::Reset(forget) => forget.run(),
        }
    }
}

impl List {
    fn run(&self) -> Result<Outcome, Failure> {
        let mut all = sessions(&self.place)?;
        if self.labelled {
            all.retain(|held| !held.seen.labels.is_empty());
        }
        if self.json {
            output::print_json(&Listed::of(&all))?;
        } else if all.is_empty() {
            say(if self.labelled { "no session is labelled" } else { "there are no sessions" });
        } else {
            output::print(report::table(&all, Paint::for_stdout()).trim_end())?;
        }
        Ok(Outcome::Clean)
    }
}

impl One {
    fn show(&self) -> Result<Outcome, Failure> {
        let held = self.find()?;
        if self.json {
            output::print_json(&Shown::of(&held))?;
        } else {
            output::print(report::one(&held, Paint::for_stdout()).trim_end())?;
        }
        Ok(Outcome::Clean)
    }

    /// The one that is named; the beginning of a name is enough where it is no other one's.
    fn find(&self) -> Result<Held, Failure> {
        if self.session.is_empty() {
            return Err(Failure::usage("a session has a name; `bartizan session list` shows them"));
        }
        let all = sessions(&self.place)?;
        let exact = all.iter().any(|held| held.seen.session == self.session);
        let is_meant = |held: &Held| {
            if exact { held.seen.session == self.session } else { held.seen.session.starts_with(&self.session) }
        };
        let mut meant = all.into_iter().filter(is_meant);
        let name = inline(&self.session);
        match (meant.next(), meant.next()) {
            (Some(held), None) => Ok(held),
            (None, _) => {
                Err(Failure::usage(format!("there is no session `{name}`; `bartizan session list` shows them")))
            }
            (Some(_), Some(_)) => {
                Err(Failure::usage(format!("more than one session begins with `{name}`; give more of it")))
            }
        }
    }
}

impl Forget {
    fn run(&self) -> Result<Outcome, Failure> {
        if self.one.json && !self.yes {
            return Err(Failure::usage("with --json nobody is shown what is forgotten; say --yes as well"));
        }
        let held = self.one.find()?;
        if !self.one.json {
            output::print(report::one(&held, Paint::for_stdout()).trim_end())?;
        }
        if !self.yes && !ask::yes(ASKS, "to reset")? {
            say("nothing was reset");
            return Ok(Outcome::Found);
        }
        // By its whole name: what it begins with may be another one's by now.
        match answered(control::reset_session(&held.log, &held.seen.session))?.map_err(Failure::incomplete)? {
            Reset::Done { cleared, entry } => {
                let done = Cleared::of(&cleared, &entry);
                if self.one.json {
                    output::print_json(&done)?;
                } else {
                    output::print(&done.sentence())?;
                }
                Ok(Outcome::Clean)
            }
            Reset::Unknown => Err(Failure::usage(format!(
                "the session `{}` is over, and nothing is left of it",
                inline(&held.seen.session)
            ))),
        }
    }
}

/// What a gateway answers, or why it does not.
fn answered<T>(asking: impl Future<Output = Result<T, ControlError>>) -> Result<Result<T, ControlError>, Failure> {
    common::block_on_one(async { Ok::<_, Failure>(asking.await) })
}

/// The sessions of all gateways that were meant and run.
fn sessions(place: &log::Where) -> Result<Vec<Held>, Failure> {
    let logs = place.directories()?;
    let (mut all, mut runs) = (Vec::new(), false);
    for log in &logs {
        match answered(control::sessions(log))? {
            Ok(seen) => {
                runs = true;
                all.extend(seen.into_iter().map(|seen| Held { log: log.clone(), seen }));
            }
            Err(ControlError::NotRunning(_)) => {}
            Err(error) => return Err(Failure::incomplete(error)),
        }
    }
    if runs { Ok(all) } else { Err(nothing_runs(place, &logs)) }
}

fn nothing_runs(place: &log::Where, logs: &[PathBuf]) -> Failure {
    let shown = |path: &Path| inline(&path.display().to_string());
    let logs = logs.iter().map(|log| shown(log)).collect::<Vec<_>>().join(" or ");
    let help = match place.named() {
        Ok(Some(_)) => {
            "what conversations are labelled with is in the memory of the gateway, and ends with it".to_owned()
        }
        _ => format!(
            "for a `serve` with a log of its own name its configuration: --config {}",
            shell_word("bartizan.toml")
        ),
    };
    Failure::incomplete(format!("no gateway that runs has its audit log in {logs}\n  = help: {help}"))
}
