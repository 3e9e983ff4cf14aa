//! `bartizan lock`: shows what differs from what was approved, accepts it, and forgets servers.

mod forget;
mod label;
mod report;

use std::collections::{BTreeSet, HashSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bartizan_config::{Config, Places};
use bartizan_trust::{Change, Labels, Lock, LockError, What};
use clap::{Args, Subcommand};
use sha2::{Digest, Sha256};

pub(super) use self::forget::Forgotten;
pub(super) use self::label::Labelled;
pub(super) use self::report::{Changes, Verified};
use self::report::{Found, VerifiedOne};
use crate::common;
use crate::outcome::{Failure, Outcome, say};
use crate::output::{self, Paint};
use crate::stored;
use crate::text::{count, inline, shell_word};

const EXAMPLES: &str = "\
Examples:
  bartizan lock diff                             what waits, in all lock files
  bartizan lock diff --server files              what waits of one server
  bartizan lock update --server files read_file  accepts one tool of it
  bartizan lock verify --lock mcp.lock           status 1 if anything waits
  bartizan lock label --server files read_file private_data
  bartizan lock forget files                     one that is not used any more";

/// Shows and accepts changes in what servers offer
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows what servers define differently from what was approved
    Diff(Choice),
    /// Accepts the differences that `diff` shows
    Update(Update),
    /// Checks that the lock file is whole and that nothing waits
    Verify(Choice),
    /// Takes a server out that is not used any more; if it comes again, it is new
    Forget(forget::Arguments),
    /// Says what an approved tool does with information, where its definition is taken wrong
    Label(label::Arguments),
}

/// Which lock files.
#[derive(Args)]
struct Place {
    /// The lock file; without it the one of the configuration, or `mcp.lock` in this directory and those of the user
    #[arg(long, value_name = "FILE")]
    lock: Option<PathBuf>,
    /// The configuration that says where the lock file is
    #[arg(long, value_name = "FILE", conflicts_with = "lock")]
    config: Option<PathBuf>,
}

/// Which differences, of which lock files.
#[derive(Args)]
struct Choice {
    /// Only definitions of these names
    names: Vec<String>,
    /// Only those of this server
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    #[command(flatten)]
    place: Place,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Update {
    #[command(flatten)]
    choice: Choice,
    /// Only if it is what `lock diff` showed together with this token
    #[arg(long, value_name = "TOKEN")]
    shown: Option<String>,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        match self.command {
            Command::Diff(choice) => diff(&choice),
            Command::Update(arguments) => update(&arguments),
            Command::Verify(choice) => verify(&choice),
            Command::Forget(arguments) => arguments.run(),
            Command::Label(arguments) => arguments.run(),
        }
    }
}

/// A lock file, and what waits in it.
struct Waiting {
    lock: Lock,
    changes: Vec<Change>,
}

fn diff(choice: &Choice) -> Result<Outcome, Failure> {
    let found = choice.waiting()?;
    let clean = found.iter().all(|one| one.changes.is_empty());
    if choice.json {
        output::print_json(&Changes::of(Changes::DIFF, &found))?;
    } else {
        let paint = Paint::for_stdout();
        choice.print(&found, |change| format!("{}{}\n", title(change, paint), body(change)))?;
        if !clean {
            say(&format!("\naccept what is shown, and nothing else: {}", choice.acceptance(&found)));
            say("for one definition, show only that: bartizan lock diff --server SERVER NAME");
        }
    }
    Ok(if clean { Outcome::Clean } else { Outcome::Found })
}

fn update(update: &Update) -> Result<Outcome, Failure> {
    let choice = &update.choice;
    let mut found = choice.waiting()?;
    // A name that is misspelt must not leave half of a list accepted.
    let waits = |name: &str| found.iter().flat_map(|one| &one.changes).any(|change| change.name == name);
    if let Some(name) = choice.names.iter().find(|name| !waits(name)) {
        return Err(Failure::usage(format!("nothing waits under the name `{}`", inline(name))));
    }
    only_one(&found, |one| !one.changes.is_empty(), "something waits")?;
    choice.check_servers(&found)?;
    if let Some(shown) = &update.shown
        && *shown != token(&found)
    {
        let what = "what waits is not what was shown under this token";
        return Err(Failure::usage(format!("{what}\n  = help: look at it again: {}", choice.look())));
    }
    for Waiting { lock, changes } in found.iter_mut().filter(|one| !one.changes.is_empty()) {
        let accepted = lock.accept(changes, SystemTime::now()).map_err(failure)?;
        if accepted.len() < changes.len() {
            let left = changes.len() - accepted.len();
            say(&format!("{} changed meanwhile and waits: {}", count(left, "definition"), choice.look()));
        }
        *changes = accepted;
    }
    let mut labelled = 0;
    // With nothing named, all that was approved before there were labels; each file by itself, as nothing else comes of it.
    for Waiting { lock, .. } in &mut found {
        labelled += label::label_unlabelled(lock, |server, name| choice.has(server, name))?;
    }
    if choice.json {
        output::print_json(&Changes::of(Changes::UPDATE, &found).with_labelled(labelled))?;
    } else {
        let paint = Paint::for_stdout();
        choice.print(&found, |change| format!("accepted: {}", title(change, paint)))?;
        for change in found.iter().flat_map(|one| &one.changes) {
            by_hand(change).iter().for_each(|lost| say(&format!("{lost}; see `bartizan lock label`")));
        }
        if labelled > 0 {
            say(&format!("{} labelled that had been approved before there were labels", count(labelled, "tool")));
        }
    }
    for Waiting { lock, changes } in found.iter().filter(|one| !one.changes.is_empty()) {
        choice.place.note("lock.accepted", lock, report::noted(changes))?;
    }
    Ok(Outcome::Clean)
}

/// What an operator had said of a tool, and what of it is left once its change is accepted.
fn by_hand(change: &Change) -> Option<String> {
    let (added, removed) = change.by_hand.filter(|_| change.what != What::Removed)?;
    let all = |labels: Labels| labels.words().collect::<Vec<_>>().join(", ");
    let stays = (added != Labels::default()).then(|| format!("{} stays as it was set by hand", all(added)));
    let lost = (removed != Labels::default())
        .then(|| format!("{} counts again, which had been taken away by hand", all(removed)));
    let said: Vec<_> = stays.into_iter().chain(lost).collect();
    let tool = format!("tool `{}` of {}", inline(&change.name), inline(&change.server));
    (!said.is_empty()).then(|| format!("{tool}: {}", said.join(", and ")))
}

/// What changes a lock file has to be about one: under one name two of them may hold different servers, and what was looked
/// at in one is not what is in the other.
fn only_one(found: &[Waiting], concerned: impl Fn(&Waiting) -> bool, what: &str) -> Result<(), Failure> {
    let files: Vec<_> = found.iter().filter(|one| concerned(one)).map(|one| shown(one.lock.path())).collect();
    if files.len() < 2 {
        return Ok(());
    }
    let files = files.join(" and ");
    Err(Failure::usage(format!("{what} in more than one lock file: {files}; say which with --lock FILE")))
}

fn verify(choice: &Choice) -> Result<Outcome, Failure> {
    let mut read = Vec::new();
    for path in choice.place.paths()? {
        match Lock::open(&path).and_then(Waiting::of) {
            Ok(one) => read.push((path, Ok(one))),
            Err(error @ LockError::Corrupt { .. }) => read.push((path, Err(error.to_string()))),
            Err(error) => return Err(failure(error)),
        }
    }
    // A server may well be in a file that cannot be read.
    if read.iter().all(|(_, one)| one.is_ok()) {
        choice.check_names(read.iter().filter_map(|(_, one)| one.as_ref().ok()))?;
    }
    let mut locks = Vec::new();
    for (path, one) in read {
        let found = one.map_or_else(|problem| Ok(Found::Broken { problem }), |one| choice.checked(&one))?;
        locks.push(VerifiedOne::of(path, found));
    }
    let ok = locks.iter().all(|one| one.ok);
    if choice.json {
        output::print_json(&Verified { format: Verified::FORMAT, ok, locks })?;
    } else {
        for one in &locks {
            let place = choice.place.shown(&one.lock).map(|place| format!("{place}: ")).unwrap_or_default();
            output::print(&one.line(&place))?;
        }
    }
    Ok(if ok { Outcome::Clean } else { Outcome::Found })
}

impl Waiting {
    fn of(lock: Lock) -> Result<Self, LockError> {
        let mut changes = lock.diff()?;
        for change in changes.iter_mut().filter(|change| change.labels.is_none() && change.kind == "tool") {
            change.labels = change.new.as_deref().and_then(label::guess_of_text);
        }
        Ok(Waiting { changes, lock })
    }

    fn has_server(&self, name: &str) -> bool {
        self.lock.pins(name).is_some() || self.changes.iter().any(|change| change.server == name)
    }

    fn has_definition(&self, server: Option<&str>, name: &str) -> bool {
        let of = |held: &str| server.is_none_or(|server| server == held);
        let mut servers = self.lock.servers().filter(|held| of(held)).filter_map(|held| self.lock.pins(held));
        servers.any(|pins| pins.definitions.keys().any(|(_, held)| held == name))
            || self.changes.iter().any(|change| of(&change.server) && change.name == name)
    }
}

impl Place {
    /// The lock files that were meant, as far as they are there: without any there is nothing to say about.
    fn paths(&self) -> Result<Vec<PathBuf>, Failure> {
        let mut places = match (&self.lock, &self.config) {
            (Some(path), _) => vec![path.clone()],
            (None, Some(file)) => locks_of(Config::places(file)?).collect(),
            (None, None) => users_own()?,
        };
        let mut named = HashSet::new();
        places.retain(|place| named.insert(place.clone()));
        // What cannot be looked at is said when it is opened.
        let mut there: Vec<_> = places.iter().filter(|place| place.try_exists().unwrap_or(true)).cloned().collect();
        let mut seen = Vec::new();
        there.retain(|place| {
            let file = place.canonicalize().unwrap_or_else(|_| place.clone());
            let new = !seen.contains(&file);
            seen.push(file);
            new
        });
        if there.is_empty() {
            let places: Vec<_> = places.iter().map(|place| shown(place)).collect();
            let help = "\n  = help: one is begun when `run` or `serve` first sees what a server offers";
            return Err(Failure::incomplete(format!("there is no lock file {}{help}", places.join(" or "))));
        }
        Ok(there)
    }

    fn open(&self) -> Result<Vec<Waiting>, Failure> {
        let open = |path| Lock::open(path).and_then(Waiting::of).map_err(failure);
        self.paths()?.into_iter().map(open).collect()
    }

    /// Keeps for the log what was done with a lock file.
    fn note(&self, kind: &str, lock: &Lock, mut fields: serde_json::Value) -> Result<(), Failure> {
        if let Some(fields) = fields.as_object_mut() {
            fields.insert("lock".to_owned(), lock.path().display().to_string().into());
        }
        let store = self.config.clone().map_or_else(stored::Place::here, stored::Place::of);
        store.note(kind, fields)
    }

    /// What says the same in another command, with a space in front.
    fn option(&self) -> String {
        let word = |path: &Path| shell_word(&path.display().to_string());
        match (&self.lock, &self.config) {
            (Some(lock), _) => format!(" --lock {}", word(lock)),
            (None, Some(config)) => format!(" --config {}", word(config)),
            (None, None) => String::new(),
        }
    }

    /// The place of a lock file, unless the user has just named it.
    fn shown(&self, path: &Path) -> Option<String> {
        self.lock.is_none().then(|| shown(path))
    }
}

impl Choice {
    /// What waits of what was chosen, in each of the lock files.
    fn waiting(&self) -> Result<Vec<Waiting>, Failure> {
        let mut found = self.place.open()?;
        self.check_names(found.iter())?;
        found.iter_mut().for_each(|one| one.changes.retain(|change| self.picks(change)));
        Ok(found)
    }

    /// A name that is misspelt must not read as one about which there is nothing to say.
    fn check_names<'a>(&self, found: impl Iterator<Item = &'a Waiting> + Clone) -> Result<(), Failure> {
        self.server.as_deref().map_or(Ok(()), |server| check_server(server, found.clone()))?;
        let known = |name: &&String| found.clone().any(|one| one.has_definition(self.server.as_deref(), name));
        match self.names.iter().find(|name| !known(name)) {
            Some(name) if self.server.is_none() && found.clone().any(|one| one.has_server(name)) => {
                let name = shell_word(name);
                let what = format!("`{name}` is a server, and names are of what servers define");
                Err(Failure::usage(format!("{what}\n  = help: for all that waits of it: --server {name}")))
            }
            Some(name) => {
                let is_file = Path::new(name).is_file() || name.ends_with(".lock");
                let help = format!("\n  = help: a lock file is named by its option: --lock {}", shell_word(name));
                let unknown = unknown("definition", name, found);
                Err(Failure::usage(format!("{unknown}{}", if is_file { &*help } else { "" })))
            }
            None => Ok(()),
        }
    }

    fn picks(&self, change: &Change) -> bool {
        self.has(&change.server, &change.name)
    }

    /// Whether it is about definitions of this name of that server.
    fn has(&self, server: &str, name: &str) -> bool {
        let is_server = self.server.as_ref().is_none_or(|chosen| chosen == server);
        is_server && (self.names.is_empty() || self.names.iter().any(|chosen| chosen == name))
    }

    /// One name may be several servers', and what was looked at of one is not what another has under it.
    fn check_servers(&self, found: &[Waiting]) -> Result<(), Failure> {
        for name in &self.names {
            let of = found.iter().flat_map(|one| &one.changes).filter(|change| change.name == *name);
            let servers: BTreeSet<_> = of.map(|change| inline(&change.server)).collect();
            if servers.len() > 1 {
                let servers = servers.into_iter().collect::<Vec<_>>().join(" and ");
                let name = inline(name);
                return Err(Failure::usage(format!("`{name}` waits of {servers}; say which with --server SERVER")));
            }
        }
        Ok(())
    }

    /// What was chosen, as it is said in a command.
    fn words(&self) -> String {
        let server = self.server.as_ref().map(|server| format!(" --server {}", shell_word(server)));
        let names = self.names.iter().map(|name| format!(" {}", shell_word(name))).collect::<String>();
        format!("{}{}{names}", server.unwrap_or_default(), self.place.option())
    }

    fn look(&self) -> String {
        format!("bartizan lock diff{}", self.words())
    }

    /// The command that accepts what was found.
    fn acceptance(&self, found: &[Waiting]) -> String {
        format!("bartizan lock update{} --shown {}", self.words(), token(found))
    }

    fn print(&self, found: &[Waiting], text: impl Fn(&Change) -> String) -> Result<(), Failure> {
        for Waiting { lock, changes } in found {
            if changes.is_empty() {
                output::print(&format!("nothing waits in {}", shown(lock.path())))?;
                continue;
            }
            if let Some(place) = self.place.shown(lock.path()) {
                output::print(&format!("in {place}"))?;
            }
            output::print(changes.iter().map(&text).collect::<String>().trim_end())?;
        }
        Ok(())
    }

    /// What `verify` says of a lock file that can be read.
    fn checked(&self, one: &Waiting) -> Result<Found, Failure> {
        let chosen = |name: &&str| self.server.as_deref().is_none_or(|only| only == *name);
        let servers: Vec<_> = one.lock.servers().filter(chosen).collect();
        let definitions =
            servers.iter().filter_map(|name| one.lock.pins(name)).map(|pins| pins.definitions.len()).sum();
        let (mut without_text, mut changed_texts) = (0, Vec::new());
        for server in &servers {
            let texts = one.lock.check_texts(server).map_err(failure)?;
            without_text += texts.missing.len();
            changed_texts.extend(texts.changed);
        }
        let waiting = one.changes.iter().filter(|change| self.picks(change)).count();
        Ok(Found::Readable { servers: servers.len(), definitions, waiting, without_text, changed_texts })
    }
}

/// A server that no lock file knows is wrong usage.
fn check_server<'a>(server: &str, found: impl Iterator<Item = &'a Waiting> + Clone) -> Result<(), Failure> {
    if found.clone().any(|one| one.has_server(server)) {
        return Ok(());
    }
    let names: Vec<_> = found.clone().flat_map(|one| one.lock.servers()).map(inline).collect();
    let there = if names.is_empty() { "there are none".into() } else { format!("there are {}", names.join(", ")) };
    Err(Failure::usage(format!("{}; {there}", unknown("server", server, found))))
}

fn unknown<'a>(what: &str, name: &str, found: impl Iterator<Item = &'a Waiting>) -> String {
    let files: Vec<_> = found.map(|one| shown(one.lock.path())).collect();
    format!("no {what} `{}` in {}", inline(name), files.join(" or "))
}

/// The lock files of a configuration, or those that are the user's, as far as they are there.
pub(super) fn of_config(file: Option<&Path>) -> Result<Vec<Lock>, Failure> {
    let place = Place { lock: None, config: file.map(Path::to_owned) };
    place.paths()?.into_iter().map(|path| Lock::open(path).map_err(failure)).collect()
}

/// What an approved definition is, if its text was kept.
pub(super) fn approved(lock: &Lock, server: &str, (kind, name): (&str, &str)) -> Result<Option<String>, Failure> {
    lock.approved_text(server, kind, name).map_err(failure)
}

/// Where a user's lock files may be: that of the project here, that of their configuration, and that of the defaults.
fn users_own() -> Result<Vec<PathBuf>, Failure> {
    let mut places: Vec<_> = std::path::absolute("mcp.lock").into_iter().collect();
    places.extend(found_anywhere()?);
    Ok(places)
}

/// Those of a user's lock files that are found from every directory.
pub(super) fn found_anywhere() -> Result<Vec<PathBuf>, Failure> {
    let mut places = Vec::new();
    if let Some(file) = common::user_config_file() {
        places.extend(locks_of(Config::places(&file)?));
    } else if let Ok(config) = Config::without_file() {
        places.extend(config.other_locks.into_iter().chain([config.lock]));
    }
    places.extend(common::paths().ok().map(|paths| paths.mcp_lock()));
    Ok(places)
}

/// All that may be meant, so that a user can compare them; that in Bartizan's own directory last.
fn locks_of(places: Places) -> impl Iterator<Item = PathBuf> {
    places.other_locks.into_iter().chain([places.lock])
}

/// Stands for what was shown: it is another one if a single text is.
fn token(found: &[Waiting]) -> String {
    let mut hasher = Sha256::new();
    for change in found.iter().flat_map(|one| &one.changes) {
        let Change { server, kind, name, sha256, labels, .. } = change;
        let labels = labels.map(|labels| labels.words().collect::<Vec<_>>().join(" ")).unwrap_or_default();
        for part in [server, kind, name, sha256.as_deref().unwrap_or("gone"), &labels] {
            hasher.update(part.len().to_be_bytes());
            hasher.update(part);
        }
    }
    hasher.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
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
    // Of instructions there is one text, whose name is what it is.
    let what = if kind == "instructions" { kind } else { format!("{kind} `{name}`") };
    format!("{what} of {server}: {}{from}\n", paint.bold(change.what.as_str()))
}

/// The difference, indented.
fn body(change: &Change) -> String {
    let mut out = String::new();
    let lost = matches!(change.what, What::Changed | What::Renamed(_)) && change.old.is_none();
    if lost {
        out.push_str("  (the text that was approved was not kept, so all of it is shown as new)\n");
    }
    if change.labels.is_some() && (change.what != What::Changed || change.old_labels != change.labels) {
        let _ = writeln!(out, "  labels: {}", label::changed(change.old_labels, change.labels));
    }
    let _ = by_hand(change).map(|lost| writeln!(out, "  if accepted, {lost}"));
    // The lines come escaped.
    change.diff().lines().for_each(|line| {
        let _ = writeln!(out, "  {line}");
    });
    out
}
