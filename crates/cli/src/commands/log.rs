//! Where the audit log is: what the commands that read it have in common.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use bartizan_audit::{At, Fault, Keys, Problem, is_sealed};
use bartizan_config::{AUDIT_KEY, AuditKey, Config, bartizan_home};
use bartizan_gateway::run::audit_directories;
use bartizan_gateway::setup::keys_to_read;
use clap::Args;
use zeroize::Zeroizing;

use crate::outcome::Failure;

/// Which log a command is about.
#[derive(Args)]
pub(crate) struct Where {
    /// The directory of the log; without it the one of the configuration, or all logs of the user
    #[arg(long, value_name = "DIR")]
    log: Option<PathBuf>,
    /// The configuration that says where the log is
    #[arg(long, value_name = "FILE", conflicts_with = "log")]
    config: Option<PathBuf>,
}

impl Where {
    /// The one directory that was named, by itself or by its configuration.
    pub(crate) fn named(&self) -> Result<Option<PathBuf>, Failure> {
        let is_named = self.log.is_some() || self.config.is_some();
        is_named.then(|| directory(self.log.clone(), self.config.as_deref())).transpose()
    }

    pub(crate) fn directories(&self) -> Result<Vec<PathBuf>, Failure> {
        directories(self.log.clone(), self.config.as_deref())
    }
}

/// Which log a command reads.
#[derive(Args)]
pub(crate) struct Place {
    #[command(flatten)]
    at: Where,
    /// The file of the master key that the log is encrypted with, if it is not where the configuration has it
    #[arg(long, value_name = "FILE")]
    master_key: Option<PathBuf>,
}

/// The directory of a log, and what opens it where it is sealed.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    path: PathBuf,
    keys: Keys,
}

impl Directory {
    /// Another log, with the same keys.
    pub(crate) fn beside(&self, path: &Path) -> Directory {
        Directory { path: path.to_owned(), keys: self.keys.clone() }
    }
}

impl Deref for Directory {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

impl<'a> From<&'a Directory> for At<'a> {
    fn from(log: &'a Directory) -> At<'a> {
        At { dir: &log.path, keys: &log.keys }
    }
}

impl Place {
    /// The configuration that was named.
    pub(crate) fn config(&self) -> Option<&Path> {
        self.at.config.as_deref()
    }

    /// The one log that was named, by its directory or by its configuration.
    pub(crate) fn named(&self) -> Result<Option<Directory>, Failure> {
        self.at.named()?.map(|path| self.opened(path)).transpose()
    }

    pub(crate) fn directories(&self) -> Result<Vec<Directory>, Failure> {
        let paths = self.at.directories()?;
        paths.into_iter().map(|path| self.opened(path)).collect()
    }

    /// The log there, with its keys.
    pub(crate) fn opened(&self, path: PathBuf) -> Result<Directory, Failure> {
        let keys = match self.keys(&path) {
            // Whoever has none needs none for a log that is plain.
            Err(_) if !is_sealed(&path) && self.master_key.is_none() => Keys::NONE,
            keys => keys?,
        };
        Ok(Directory { path, keys })
    }

    fn keys(&self, directory: &Path) -> Result<Keys, Failure> {
        if let Some(file) = &self.master_key {
            let place = file.display().to_string();
            let text = std::fs::read_to_string(file).map(Zeroizing::new);
            let text = text.map_err(|error| Failure::incomplete(format!("{place} cannot be read: {error}")))?;
            return Keys::given(&text, &place).map_err(|error| Failure::incomplete(error.to_string()));
        }
        let key = match self.at.config {
            Some(_) => Some(key(self.config())?),
            // The log may be in the directory of another Bartizan than the one of whoever asks.
            None => directory.ancestors().skip(1).take(DEEPEST).find_map(beside).or_else(|| key(None).ok()),
        };
        key.map_or(Ok(Keys::NONE), |key| keys_to_read(&key)).map_err(|error| Failure::incomplete(error.to_string()))
    }
}

/// Where the master key of that configuration is, or of whoever has none.
pub(crate) fn key(config: Option<&Path>) -> Result<AuditKey, Failure> {
    match config {
        Some(file) => Ok(Config::places(file)?.audit_key),
        None => {
            bartizan_home(|name| std::env::var(name).ok()).map(|home| AuditKey::File(home.join(AUDIT_KEY))).ok_or_else(
                || Failure::usage("nothing says where the master key of the log is: set HOME or BARTIZAN_HOME"),
            )
        }
    }
}

/// How deep in Bartizan's own directory a log may be, such as in `standalone/NAME/audit`.
const DEEPEST: usize = 3;

/// The master key in a directory, if it has one.
fn beside(directory: &Path) -> Option<AuditKey> {
    let file = directory.join(AUDIT_KEY);
    file.is_file().then_some(AuditKey::File(file))
}

/// The directory that was named, else the one of the configuration, else the user's own.
pub(crate) fn directory(named: Option<PathBuf>, config: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(directory) = named {
        // Shown as the log, one of its files would leave out what the others hold.
        let parent = directory.parent().filter(|_| directory.is_file());
        let parent = parent.map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
        return parent.map_or(Ok(directory.clone()), |parent| {
            let (file, parent) = (directory.display(), parent.display());
            Err(Failure::usage(format!("{file} is a file; a log is named by its directory, {parent}")))
        });
    }
    if let Some(file) = config {
        return Ok(Config::places(file)?.audit);
    }
    let home = bartizan_home(|name| std::env::var(name).ok());
    home.map(|home| home.join("audit")).ok_or_else(|| {
        Failure::usage("nothing says where the audit log is: name its directory, or set HOME or BARTIZAN_HOME")
    })
}

/// The directories that were meant: the one that was named, else the one of the configuration, else all of the user's
/// own.
pub(crate) fn directories(named: Option<PathBuf>, config: Option<&Path>) -> Result<Vec<PathBuf>, Failure> {
    if named.is_none() && config.is_none() {
        let own = users_own();
        if !own.is_empty() {
            return Ok(own);
        }
    }
    directory(named, config).map(|directory| vec![directory])
}

/// All logs in Bartizan's own directory.
pub(crate) fn users_own() -> Vec<PathBuf> {
    let home = bartizan_home(|name| std::env::var(name).ok());
    home.map(|home| audit_directories(&home)).unwrap_or_default()
}

/// A log that is not there or not readable could not be checked; any other fault is one of the log.
pub(crate) fn is_unreadable(fault: &Fault) -> bool {
    matches!(fault.problem, Problem::Io(_) | Problem::Empty | Problem::Closed(_))
}

/// That there is no entry: a log has one from its first moment on.
pub(crate) fn without_entries(directory: &Path) -> Fault {
    Fault { file: directory.display().to_string(), line: 0, offset: 0, problem: Problem::Empty }
}

/// Why a log that is not there or not readable is not, without its directory.
pub(crate) fn obstacle(directory: &Path, fault: &Fault) -> String {
    match (&fault.problem, fault.line) {
        (Problem::Empty, _) => match emptied(directory, fault) {
            Some(file) => {
                format!(
                    "{file} is there and holds no entry, although each log begins with one; keep it, it is evidence"
                )
            }
            None => "there is no log, or it was removed".to_owned(),
        },
        // It is about the directory.
        (problem, 0) => problem.to_string(),
        _ => fault.to_string(),
    }
}

/// The file of a log to which it is written, plain or sealed.
const CURRENT: [&str; 2] = ["audit.jsonl", "audit.sealed"];

/// The file of a log that is there, where what was in it is not.
fn emptied(directory: &Path, fault: &Fault) -> Option<&'static str> {
    let is_empty = matches!(fault.problem, Problem::Empty);
    CURRENT.into_iter().find(|name| is_empty && directory.join(name).is_file())
}

pub(crate) fn unreadable(directory: &Path, fault: &Fault) -> Failure {
    let place = directory.display();
    // What may not be looked at may well be there.
    let is_there = !matches!(fault.problem, Problem::Empty) && directory.try_exists().unwrap_or(true);
    if is_there || emptied(directory, fault).is_some() {
        return Failure::incomplete(format!("the audit log in {place}: {}", obstacle(directory, fault)));
    }
    let mut why = format!("there is no audit log in {place}: nothing was recorded there, or it was removed");
    // Whoever only wrapped servers has logs, but none where that of `serve` would be.
    for other in users_own().iter().filter(|other| other.as_path() != directory) {
        why.push_str(&format!("\n  = help: there is one in {}", other.display()));
    }
    Failure::incomplete(why)
}

/// Where to look on, if some of several logs could not be read.
pub(crate) fn unread<'a>(directories: impl IntoIterator<Item = &'a Directory>) -> Failure {
    let places: Vec<_> = directories.into_iter().map(|place| place.display().to_string()).collect();
    Failure::incomplete(format!("not every log could be read: {}", places.join(", ")))
}

/// What tells the logs of a user from each other: how the Bartizan was started that writes it.
pub(crate) fn label(directory: &Path) -> String {
    let home = bartizan_home(|name| std::env::var(name).ok()).unwrap_or_default();
    match directory.strip_prefix(home).ok().and_then(Path::parent) {
        Some(place) if place.as_os_str().is_empty() => "serve".to_owned(),
        Some(place) => place.display().to_string(),
        None => directory.display().to_string(),
    }
}
