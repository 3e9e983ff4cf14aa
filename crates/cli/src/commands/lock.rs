//! `bartizan lock`: shows what differs from what was approved, and accepts it.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bartizan_config::{Config, bartizan_home};
use bartizan_trust::{Change, Lock, LockError, What};
use clap::{Args, Subcommand};
use schemars::JsonSchema;
use serde::Serialize;

use crate::outcome::{Failure, Outcome, say};
use crate::output::{self, Paint, inline};

/// Shows and accepts changes in what servers offer
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows what servers define differently from what was approved
    Diff(Choice),
    /// Accepts the differences that `diff` shows
    Update(Choice),
    /// Checks that the lock file is whole and that nothing waits
    Verify(Choice),
}

/// Which differences, of which lock file.
#[derive(Args)]
struct Choice {
    /// Only definitions of these names
    names: Vec<String>,
    /// Only those of this server
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// The lock file; without it the one of the configuration, `mcp.lock` in this directory, or the user's own
    #[arg(long, value_name = "FILE")]
    lock: Option<PathBuf>,
    /// The configuration that says where the lock file is
    #[arg(long, value_name = "FILE", conflicts_with = "lock")]
    config: Option<PathBuf>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        match self.command {
            Command::Diff(choice) => diff(&choice),
            Command::Update(choice) => update(&choice),
            Command::Verify(choice) => verify(&choice),
        }
    }
}

fn diff(choice: &Choice) -> Result<Outcome, Failure> {
    let path = choice.path()?;
    let changes = choice.pick(Lock::open(&path).and_then(|lock| lock.diff()).map_err(failure)?);
    if choice.json {
        output::print_json(&Changes::of(Changes::DIFF, &path, &changes))?;
    } else if changes.is_empty() {
        output::print(&format!("nothing waits in {}", shown(&path)))?;
    } else {
        let paint = Paint::for_stdout();
        let text: String = changes.iter().map(|change| format!("{}{}\n", title(change, paint), body(change))).collect();
        output::print(text.trim_end())?;
        say("\naccept what is meant with `bartizan lock update`");
    }
    Ok(if changes.is_empty() { Outcome::Clean } else { Outcome::Found })
}

fn update(choice: &Choice) -> Result<Outcome, Failure> {
    let path = choice.path()?;
    let mut lock = Lock::open(&path).map_err(failure)?;
    // A name that is misspelt must not leave half of a list accepted.
    let waiting = choice.pick(lock.diff().map_err(failure)?);
    if let Some(name) = choice.names.iter().find(|name| waiting.iter().all(|change| change.name != **name)) {
        return Err(Failure::usage(format!("nothing waits under the name `{}`", inline(name))));
    }
    let names = if choice.names.is_empty() { vec![None] } else { choice.names.iter().map(Some).collect() };
    let mut accepted = Vec::new();
    for name in names {
        let name = name.map(String::as_str);
        accepted.extend(lock.accept(choice.server.as_deref(), name, SystemTime::now()).map_err(failure)?);
    }
    if choice.json {
        output::print_json(&Changes::of(Changes::UPDATE, &path, &accepted))?;
    } else if accepted.is_empty() {
        output::print(&format!("nothing waits in {}", shown(&path)))?;
    } else {
        let paint = Paint::for_stdout();
        let lines: String = accepted.iter().map(|change| format!("accepted: {}", title(change, paint))).collect();
        output::print(lines.trim_end())?;
    }
    Ok(Outcome::Clean)
}

fn verify(choice: &Choice) -> Result<Outcome, Failure> {
    let path = choice.path()?;
    if !path.exists() {
        return Err(Failure::incomplete(format!("there is no lock file {}", path.display())));
    }
    let read = Lock::open(&path).and_then(|lock| Ok((lock.diff()?, lock)));
    let (waiting, lock) = match read {
        Ok((changes, lock)) => (choice.pick(changes), lock),
        Err(error @ LockError::Corrupt { .. }) => {
            if choice.json {
                let found = Found::Broken { problem: error.to_string() };
                output::print_json(&Verified { format: Verified::FORMAT, ok: false, found })?;
            } else {
                output::print(&inline(&format!("broken: {error}")))?;
            }
            return Ok(Outcome::Found);
        }
        Err(error) => return Err(failure(error)),
    };
    let servers: Vec<_> =
        lock.servers().filter(|name| choice.server.as_deref().is_none_or(|only| only == *name)).collect();
    let count = |name: &&&str| lock.pins(name).map_or(0, |pins| pins.definitions.len());
    let definitions: usize = servers.iter().map(|name| count(&name)).sum();
    let (servers, waiting) = (servers.len(), waiting.len());
    if choice.json {
        let found = Found::Whole { lock: path, servers, definitions, waiting };
        output::print_json(&Verified { format: Verified::FORMAT, ok: waiting == 0, found })?;
    } else {
        let word = if waiting == 0 { "ok" } else { "waiting" };
        output::print(&format!("{word}: {servers} servers, {definitions} definitions approved, {waiting} waiting"))?;
    }
    Ok(if waiting == 0 { Outcome::Clean } else { Outcome::Found })
}

impl Choice {
    /// Where the lock file is.
    fn path(&self) -> Result<PathBuf, Failure> {
        if let Some(path) = &self.lock {
            return Ok(path.clone());
        }
        if let Some(file) = &self.config {
            return Ok(Config::load(file)?.0.lock);
        }
        let here = PathBuf::from("mcp.lock");
        if here.is_file() {
            return Ok(here);
        }
        let home = bartizan_home(|name| std::env::var(name).ok());
        home.map(|home| home.join("mcp.lock"))
            .ok_or_else(|| Failure::usage("nothing says where the lock file is: name it, or set HOME or BARTIZAN_HOME"))
    }

    fn pick(&self, mut changes: Vec<Change>) -> Vec<Change> {
        changes.retain(|change| {
            let server = self.server.as_ref().is_none_or(|server| *server == change.server);
            server && (self.names.is_empty() || self.names.contains(&change.name))
        });
        changes
    }
}

fn failure(error: LockError) -> Failure {
    match error {
        LockError::Corrupt { .. } | LockError::Newer { .. } => Failure::usage(error),
        LockError::Io { .. } => Failure::incomplete(error),
        _ => Failure::ours(error),
    }
}

fn shown(path: &Path) -> String {
    inline(&path.display().to_string())
}

/// What changed, on one line.
fn title(change: &Change, paint: Paint) -> String {
    let from = match &change.what {
        What::Renamed(from) => format!(" from `{}`", inline(from)),
        _ => String::new(),
    };
    let (kind, server, name) = (inline(&change.kind), inline(&change.server), inline(&change.name));
    format!("{} `{name}` of {server}: {}{from}\n", kind, paint.bold(change.what.as_str()))
}

/// The difference, indented.
fn body(change: &Change) -> String {
    let mut out = String::new();
    let lost = matches!(change.what, What::Changed | What::Renamed(_)) && change.old.is_none();
    if lost {
        out.push_str("  (the text that was approved was not kept, so all of it is shown as new)\n");
    }
    // The lines come escaped.
    change.diff().lines().for_each(|line| {
        let _ = writeln!(out, "  {line}");
    });
    out
}

/// What `lock diff --json` and `lock update --json` print.
#[derive(Serialize, JsonSchema)]
pub(super) struct Changes<'a> {
    #[schemars(extend("enum" = [Changes::DIFF, Changes::UPDATE]))]
    format: &'static str,
    /// The lock file.
    lock: &'a Path,
    /// What waits, or what was accepted.
    changes: Vec<OneChange<'a>>,
}

/// How one definition differs from what was approved.
#[derive(Serialize, JsonSchema)]
struct OneChange<'a> {
    /// The server.
    server: &'a str,
    /// What it defines: `tool`, `prompt`, `resource`, `resource_template` or `instructions`.
    kind: &'a str,
    /// Its name, or the URI of a resource.
    name: &'a str,
    /// How it differs: `added`, `changed`, `renamed` or `removed`.
    what: &'static str,
    /// The name that it had.
    from: Option<&'a str>,
    /// The canonical JSON that was approved, if it was kept.
    old: Option<&'a str>,
    /// The canonical JSON that waits.
    new: Option<&'a str>,
}

impl<'a> Changes<'a> {
    pub(super) const DIFF: &'static str = "bartizan.lock.diff/1";
    pub(super) const UPDATE: &'static str = "bartizan.lock.update/1";

    fn of(format: &'static str, lock: &'a Path, changes: &'a [Change]) -> Self {
        Changes { format, lock, changes: changes.iter().map(OneChange::of).collect() }
    }
}

impl<'a> OneChange<'a> {
    fn of(change: &'a Change) -> Self {
        let from = match &change.what {
            What::Renamed(from) => Some(from.as_str()),
            _ => None,
        };
        OneChange {
            server: &change.server,
            kind: &change.kind,
            name: &change.name,
            what: change.what.as_str(),
            from,
            old: change.old.as_deref(),
            new: change.new.as_deref(),
        }
    }
}

/// What `lock verify --json` prints.
#[derive(Serialize, JsonSchema)]
pub(super) struct Verified {
    #[schemars(extend("const" = Verified::FORMAT))]
    format: &'static str,
    /// Whether the file is whole and nothing waits.
    ok: bool,
    #[serde(flatten)]
    found: Found,
}

#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum Found {
    /// The file is whole.
    Whole {
        /// The lock file.
        lock: PathBuf,
        /// Servers in it.
        servers: usize,
        /// Definitions that are approved.
        definitions: usize,
        /// Definitions that wait for somebody to accept them.
        waiting: usize,
    },
    /// The file cannot be read.
    Broken {
        /// Where and why.
        problem: String,
    },
}

impl Verified {
    pub(super) const FORMAT: &str = "bartizan.lock.verify/1";
}
