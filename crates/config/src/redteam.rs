//! Attacks that a gateway tries on its own configuration from time to time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::paths;
use crate::problems::Problems;
use crate::tree::{self, Node};
use crate::units::Span;

/// `serve` tries its own configuration as `bartizan redteam` does, with state and servers of the trial's own, and writes what
/// comes of it to the log and the metrics; as soon as this table is there.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RedteamTable {
    /// How often, about: from `1min` on.
    pub(crate) schedule: Span,
    /// How many attacks each time, the same ones each time, and as many honest texts: 1 to 10,000.
    pub(crate) sample: usize,
    /// What each is held against, besides the one before: a file that `redteam --write-baseline` has written.
    pub(crate) baseline: Option<PathBuf>,
    /// On whose behalf the client of the trial acts, for policies; `redteam` unless set, where a credential is required.
    pub(crate) principal: Option<String>,
    /// The roles that they have.
    pub(crate) roles: Vec<String>,
}

impl Default for RedteamTable {
    fn default() -> Self {
        let schedule = Span::seconds(24 * 3_600);
        RedteamTable { schedule, sample: 112, baseline: None, principal: None, roles: Vec::new() }
    }
}

/// How often the configuration is tried, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redteam {
    /// How often, about.
    pub schedule: Duration,
    /// How many attacks, and how many honest texts.
    pub sample: usize,
    /// The file with what is to be stopped at least.
    pub baseline: Option<PathBuf>,
    /// On whose behalf.
    pub principal: Option<String>,
    /// With which roles.
    pub roles: Vec<String>,
}

/// The shortest time between two trials, and the longest: one that is never made would be none.
const SCHEDULE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(366 * 24 * 3_600));

/// The checked table; none if nothing is to be tried.
pub(crate) fn redteam(
    table: Option<RedteamTable>,
    (root, directory): (&Node<'_>, &Path),
    problems: &mut Problems,
) -> Option<Redteam> {
    let table = table?;
    let place = |key: &str| tree::place(root, &["redteam", key]);
    if !cfg!(feature = "redteam") {
        problems
            .error(tree::key_place(root, &["redteam"]), "this bartizan is built without the feature `redteam`")
            .help("use one that is built with it, or leave this table out");
    }
    if !(1..=10_000).contains(&table.sample) {
        problems.error(place("sample"), format!("`sample` is {}, and has to be from 1 to 10,000", table.sample));
    }
    let schedule = table.schedule.0;
    if schedule < SCHEDULE.0 {
        problems.error(place("schedule"), "`schedule` has to be a minute at least");
    } else if schedule > SCHEDULE.1 {
        problems.error(place("schedule"), "`schedule` is more than a year");
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.@:".contains(c);
    let fits = |name: &String| (1..=64).contains(&name.len()) && name.chars().all(plain);
    if table.principal.as_ref().is_some_and(|name| !fits(name)) {
        problems.error(place("principal"), "a name has 1 to 64 letters, digits and -_.@:");
    }
    if table.baseline.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
        problems.error(place("baseline"), "`baseline` names no file");
    }
    let baseline = table.baseline.map(|path| paths::beside(directory, &path));
    Some(Redteam { schedule, sample: table.sample, baseline, principal: table.principal, roles: table.roles })
}
