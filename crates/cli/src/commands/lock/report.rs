//! What the commands say as JSON, and `verify` in words.

use std::path::{Path, PathBuf};

use bartizan_trust::{Change, Labels, What};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::Waiting;
use crate::text::{count, inline};

/// What `lock diff --json` and `lock update --json` print.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Changes<'a> {
    #[schemars(extend("enum" = [Changes::DIFF, Changes::UPDATE]))]
    format: &'static str,
    /// The lock files that were looked at.
    locks: Vec<&'a Path>,
    /// What waits, or what was accepted.
    changes: Vec<OneChange<'a>>,
    /// Of `lock update`: tools that had been approved before there were labels, and have got those that counted until now.
    #[serde(skip_serializing_if = "Option::is_none")]
    labelled: Option<usize>,
}

/// How one definition differs from what was approved.
#[derive(Serialize, JsonSchema)]
struct OneChange<'a> {
    /// The lock file.
    lock: &'a Path,
    /// The server.
    server: &'a str,
    /// What it defines: `tool`, `prompt`, `resource`, `resource_template` or `instructions`.
    kind: &'a str,
    /// Its name, or the URI of a resource.
    name: &'a str,
    /// How it differs: `added`, `changed`, `renamed`, `removed`, or `relabelled` if only what it is taken to do with information does.
    what: &'static str,
    /// The name that it had.
    from: Option<&'a str>,
    /// The canonical JSON that was approved, if it was kept.
    old: Option<&'a str>,
    /// The canonical JSON that waits.
    new: Option<&'a str>,
    /// What the tool was approved to do with information.
    old_labels: Option<Vec<&'static str>>,
    /// What it is taken to do now.
    labels: Option<Vec<&'static str>>,
    /// What an operator had added to what it was taken for, which stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    added_by_hand: Option<Vec<&'static str>>,
    /// What they had taken away, which does not stay so.
    #[serde(skip_serializing_if = "Option::is_none")]
    removed_by_hand: Option<Vec<&'static str>>,
}

/// Changes of which the log says each.
const MOST_NOTED: usize = 64;

/// What the log says of changes that were accepted.
pub(super) fn noted(changes: &[Change]) -> Value {
    let words = |labels: Labels| labels.words().collect::<Vec<_>>();
    let one = |change: &Change| {
        json!({
            "server": change.server, "kind": change.kind, "name": change.name, "what": change.what.as_str(),
            "sha256": change.sha256, "before": change.old_labels.map(words), "labels": change.labels.map(words),
            "added_by_hand": change.by_hand.map(|(added, _)| words(added)),
        })
    };
    let listed: Vec<_> = changes.iter().take(MOST_NOTED).map(one).collect();
    json!({"changes": listed, "more": changes.len().saturating_sub(MOST_NOTED)})
}

impl<'a> Changes<'a> {
    pub(in super::super) const DIFF: &'static str = "bartizan.lock.diff/1";
    pub(in super::super) const UPDATE: &'static str = "bartizan.lock.update/1";

    pub(super) fn of(format: &'static str, found: &'a [Waiting]) -> Self {
        let of = |one: &'a Waiting| one.changes.iter().map(|change| OneChange::of(one.lock.path(), change));
        let locks = found.iter().map(|one| one.lock.path()).collect();
        Changes { format, locks, changes: found.iter().flat_map(of).collect(), labelled: None }
    }

    /// With how many tools have got labels besides.
    pub(super) fn with_labelled(self, tools: usize) -> Self {
        Changes { labelled: Some(tools), ..self }
    }
}

impl<'a> OneChange<'a> {
    fn of(lock: &'a Path, change: &'a Change) -> Self {
        let from = match &change.what {
            What::Renamed(from) => Some(from.as_str()),
            _ => None,
        };
        OneChange {
            lock,
            server: &change.server,
            kind: &change.kind,
            name: &change.name,
            what: change.what.as_str(),
            from,
            old: change.old.as_deref(),
            new: change.new.as_deref(),
            old_labels: change.old_labels.map(|labels| labels.words().collect()),
            labels: change.labels.map(|labels| labels.words().collect()),
            added_by_hand: change.by_hand.map(|(added, _)| added.words().collect()),
            removed_by_hand: change.by_hand.map(|(_, removed)| removed.words().collect()),
        }
    }
}

/// What `lock verify --json` prints.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Verified {
    #[schemars(extend("const" = Verified::FORMAT))]
    pub(super) format: &'static str,
    /// Whether this holds for each of them: it is readable, its texts are as they were kept, and nothing waits.
    pub(super) ok: bool,
    /// The lock files that were looked at.
    pub(super) locks: Vec<VerifiedOne>,
}

impl Verified {
    pub(in super::super) const FORMAT: &str = "bartizan.lock.verify/1";
}

/// What was found of one lock file.
#[derive(Serialize, JsonSchema)]
pub(super) struct VerifiedOne {
    /// Where it is.
    pub(super) lock: PathBuf,
    /// Whether it is readable, its texts are as they were kept, and nothing waits.
    pub(super) ok: bool,
    #[serde(flatten)]
    found: Found,
}

#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Found {
    /// The file can be read.
    Readable {
        /// Servers in it.
        servers: usize,
        /// Definitions that are approved.
        definitions: usize,
        /// Definitions that wait for somebody to accept them.
        waiting: usize,
        /// Approved definitions of which no text is kept for `diff` to show.
        without_text: usize,
        /// Names of approved definitions whose text is another one than was kept.
        changed_texts: Vec<String>,
    },
    /// The file cannot be read.
    Broken {
        /// Where and why.
        problem: String,
    },
}

impl VerifiedOne {
    pub(super) fn of(lock: PathBuf, found: Found) -> Self {
        let ok = matches!(&found, Found::Readable { waiting: 0, changed_texts, .. } if changed_texts.is_empty());
        VerifiedOne { lock, ok, found }
    }

    /// In words, on a line; `place` stands behind the first.
    pub(super) fn line(&self, place: &str) -> String {
        let (servers, definitions, waiting, without_text, changed) = match &self.found {
            // It names the file itself.
            Found::Broken { problem } => return inline(&format!("broken: {problem}")),
            Found::Readable { servers, definitions, waiting, without_text, changed_texts } => {
                (*servers, *definitions, *waiting, *without_text, changed_texts)
            }
        };
        let word = match (changed.is_empty(), waiting) {
            (false, _) => "broken",
            (true, 0) => "ok",
            (true, _) => "waiting",
        };
        let (servers, definitions) = (count(servers, "server"), count(definitions, "definition"));
        let mut line = format!("{word}: {place}{servers}, {definitions} approved, {waiting} waiting");
        if without_text > 0 {
            line.push_str(&format!(", {without_text} without a kept text"));
        }
        if !changed.is_empty() {
            let names: Vec<_> = changed.iter().map(|name| inline(name)).collect();
            line.push_str(&format!(", the kept text was changed of: {}", names.join(", ")));
        }
        line
    }
}
