//! `bartizan policy history` and `policy show`: which policies were in force when.

use std::fmt::Write;

use bartizan_config::Config;
use bartizan_store::Store;
use bartizan_store::policies::Version;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::{Place, changes};
use crate::common;
use crate::outcome::{Failure, Outcome, say};
use crate::output;
use crate::text::{inline, printable, shell_word};

/// What `policy history --json` prints.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct History {
    #[schemars(extend("const" = History::FORMAT))]
    format: &'static str,
    /// The oldest first.
    versions: Vec<Held>,
}

#[derive(Serialize, JsonSchema)]
struct Held {
    /// What it is called in the log; `none` where nothing was said about who may do what.
    version: String,
    since: String,
    /// What put it in force: `start` or `reload`.
    cause: String,
    /// Whether it is in force as far as the store says.
    last: bool,
    /// What it changed of the one before, in a few words each; nothing of the oldest that is kept.
    changes: Vec<String>,
}

impl History {
    pub(in super::super) const FORMAT: &str = "bartizan.policy.history/1";
}

/// What `policy show --json` prints.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Shown {
    #[schemars(extend("const" = Shown::FORMAT))]
    format: &'static str,
    version: String,
    since: String,
    cause: String,
    /// All of it: the default, the texts by their names, and who has which role.
    content: Value,
    /// What it changed of the one before, line by line, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<String>,
}

impl Shown {
    pub(in super::super) const FORMAT: &str = "bartizan.policy.show/1";
}

pub(super) fn history(place: &Place) -> Result<Outcome, Failure> {
    let all = versions(place)?;
    let contents = all.iter().map(content).collect::<Result<Vec<_>, _>>()?;
    let before = std::iter::once(None).chain(contents.iter().map(Some));
    let count = all.len();
    let held = all.into_iter().zip(&contents).zip(before).enumerate().map(|(index, ((held, now), before))| Held {
        last: index + 1 == count,
        since: moment(held.since),
        version: held.version,
        cause: held.cause,
        changes: before.map(|before| changes::summary(before, now)).unwrap_or_default(),
    });
    let history = History { format: History::FORMAT, versions: held.collect() };
    if place.json {
        output::print_json(&history)?;
        return Ok(Outcome::Clean);
    }
    let mut text = String::new();
    for held in &history.versions {
        let last = if held.last { "  in force" } else { "" };
        let _ = writeln!(text, "{}  {}  {}{last}", held.version, held.since, held.cause);
        for change in &held.changes {
            let _ = writeln!(text, "    {}", inline(change));
        }
    }
    if text.is_empty() {
        text.push_str("no policies have been in force yet");
    }
    output::print(printable(&text).trim_end())?;
    Ok(Outcome::Clean)
}

pub(super) fn show(version: &str, with_changes: bool, place: &Place) -> Result<Outcome, Failure> {
    let mut all = versions(place)?;
    let found = all.iter().rposition(|held| held.version.starts_with(version) && !version.is_empty());
    let found = found
        .ok_or_else(|| Failure::incomplete(format!("no version `{version}` is kept; see `bartizan policy history`")))?;
    let before = match found.checked_sub(1).and_then(|before| all.get(before)) {
        Some(before) => Some(content(before)?),
        None => None,
    };
    let found = all.swap_remove(found);
    let content = content(&found)?;
    let changes = match (with_changes, before) {
        (false, _) => None,
        (true, Some(before)) => Some(changes::in_full(&before, &content)),
        (true, None) => {
            let why = format!("of the version before `{}` nothing is kept", inline(&found.version));
            return Err(Failure::incomplete(why));
        }
    };
    let shown = Shown {
        format: Shown::FORMAT,
        version: found.version,
        since: moment(found.since),
        cause: found.cause,
        content,
        changes,
    };
    if place.json {
        output::print_json(&shown)?;
    } else {
        output::print(shown.text().trim_end())?;
    }
    Ok(Outcome::Clean)
}

fn content(held: &Version) -> Result<Value, Failure> {
    serde_json::from_str(&held.content).map_err(Failure::incomplete)
}

/// What the store has. Where it is can be told of a configuration with mistakes as well, and what was in force before is
/// needed most while there are some.
fn versions(place: &Place) -> Result<Vec<Version>, Failure> {
    let places = Config::places(place.file())?;
    if Config::load(place.file()).is_err() {
        let file = shell_word(&place.file().display().to_string());
        say(&format!(
            "warning: the configuration has mistakes, so it is not in force: `bartizan config check {file}` shows them"
        ));
    }
    let Some(place) = places.store.as_ref().filter(|place| place.exists()) else { return Ok(Vec::new()) };
    let versions = async { Store::open(place).await?.policies().await };
    common::block_on_one(async { versions.await.map_err(Failure::incomplete) })
}

impl Shown {
    fn text(&self) -> String {
        let mut text = format!("// {} since {}, by {}\n", self.version, self.since, inline(&self.cause));
        if let Some(changes) = &self.changes {
            text.push_str(changes);
            return printable(&text);
        }
        for (what, value) in self.content.as_object().into_iter().flatten().filter(|(what, _)| *what != "sources") {
            let _ = writeln!(text, "// {what}: {value}");
        }
        for source in self.content.get("sources").and_then(Value::as_array).into_iter().flatten() {
            let held = |member: &str| source.get(member).and_then(Value::as_str).unwrap_or_default();
            if !held("text").is_empty() {
                let _ = write!(text, "\n// {}\n{}\n", inline(held("name")), held("text").trim_end());
            }
        }
        printable(&text)
    }
}

/// To the second, as people have no use for more.
pub(super) fn moment(at: i64) -> String {
    bartizan_audit::rfc3339(at - at.rem_euclid(1_000_000)).replace(".000000", "")
}
