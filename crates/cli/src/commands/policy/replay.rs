//! `bartizan policy test --replay`: what was captured, judged again by the configuration as it is now.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bartizan_capture::{End, Fault, FileId, Next, all_in};
use bartizan_config::{Config, Secret};
use bartizan_gateway::capture::{self, Record, Said};
use bartizan_gateway::retrial::{Judged, Retrial, Unjudged};
use bartizan_guard::{Named, plain_uri};
use bartizan_store::{MasterKey, Sealer, Store};
use schemars::JsonSchema;
use serde::Serialize;

use super::history::moment;
use super::{Place, lock};
use crate::common;
use crate::outcome::{Failure, Outcome};
use crate::output;

/// Examples of each change that are named.
const EXAMPLES: usize = 3;
/// Changes that are told apart; of more it is only said how many messages they are about. Of one principal and one decision
/// there are no more than that, or whoever makes many would have others' overlooked.
const GROUPS: usize = 10_000;
const EACH: usize = 100;
/// How a file ended that is cut off, and one that was not read as the same was read already.
const TORN: &str = "torn";
const COPY: &str = "copy";
/// What is wrong with a copy of a file that was not read to its end.
const DAMAGED: &str = "it is a copy of a file here that is damaged: move that one away to have this one read";

/// What `policy test --replay --json` prints.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Replayed {
    #[schemars(extend("const" = Replayed::FORMAT))]
    pub(super) format: &'static str,
    /// The version of the policies that judged; none if there are none.
    pub(super) policies: Option<String>,
    /// Those by which was decided when it was captured; `none` where there were none.
    pub(super) captured_under: BTreeSet<String>,
    pub(super) files: Vec<File>,
    /// When the first of the messages was judged, and the last.
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    /// How many messages were judged again.
    pub(super) judged: u64,
    /// Of these, about how many the same was decided.
    pub(super) same: u64,
    pub(super) now_denied: u64,
    pub(super) now_allowed: u64,
    /// How many would need somebody's agreement or a fresh proof, which they did not, or another one.
    pub(super) now_asks: u64,
    /// How many would pass with something taken out, which passed as they were or not at all.
    pub(super) now_edited: u64,
    pub(super) changes: Vec<Change>,
    /// What cannot be judged again, of which nothing is known therefore.
    pub(super) unjudged: Vec<Obstacle>,
    /// How many messages changes are about that are not told apart any more, as there are so many.
    pub(super) further: u64,
}

/// A file of the capture.
#[derive(Serialize, JsonSchema)]
pub(super) struct File {
    pub(super) file: String,
    pub(super) records: u64,
    /// How many could not be captured, as is said in it.
    pub(super) missing: u64,
    /// `closed`, `open` if nobody closed it, `torn` if it ends within a record, `copy` if it is one of another file, for which
    /// it was left out, or `unread`.
    pub(super) end: &'static str,
    /// Why it, or the rest of it, cannot be read.
    pub(super) fault: Option<String>,
}

/// Messages that are alike, about which another thing would be decided.
#[derive(Serialize, JsonSchema)]
pub(super) struct Change {
    #[serde(flatten)]
    pub(super) about: About,
    pub(super) before: Told,
    pub(super) now: Told,
    /// Why, if policies decide now.
    pub(super) why: Option<String>,
    pub(super) messages: u64,
    /// The first of them.
    pub(super) examples: Vec<Example>,
}

/// What cannot be judged again.
#[derive(Serialize, JsonSchema)]
pub(super) struct Obstacle {
    pub(super) why: &'static str,
    /// What it is about, as far as that can be read.
    #[serde(flatten)]
    pub(super) about: Option<About>,
    pub(super) messages: u64,
    pub(super) examples: Vec<Example>,
}

/// Who says what to whom.
#[derive(Serialize, JsonSchema, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct About {
    pub(super) principal: String,
    pub(super) server: String,
    pub(super) method: Option<String>,
    /// The tool, resource or prompt.
    pub(super) name: Option<String>,
}

#[derive(Serialize, JsonSchema, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Told {
    /// `allow`, `transform`, `approve` or `deny`.
    pub(super) decision: String,
    pub(super) rule: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Example {
    /// The entry of the audit log, for `bartizan why`.
    pub(super) entry: Option<String>,
    pub(super) at: String,
    /// The arguments, if they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) arguments: Option<String>,
}

impl Replayed {
    pub(in super::super) const FORMAT: &str = "bartizan.policy.replay/1";
}

pub(super) fn run(named: Option<&Path>, shows_arguments: bool, place: &Place) -> Result<Outcome, Failure> {
    let config = place.load()?;
    let files = files(named, &config)?;
    let sealer = sealer(&config)?;
    let mut retrial = Retrial::new(&config, lock(&config)?).map_err(Failure::usage)?;
    let mut tally = Tally { shows_arguments, ..Tally::default() };
    let files = tally.read_all(&files, &sealer, &mut retrial);
    let replayed = tally.told(files, retrial.policies());
    if place.json {
        output::print_json(&replayed)?;
    } else {
        output::print(replayed.text().trim_end())?;
    }
    replayed.outcome()
}

/// The files of the capture that is named, or that the configuration names.
pub(in super::super) fn files(named: Option<&Path>, config: &Config) -> Result<Vec<PathBuf>, Failure> {
    let own = || config.capture.as_ref().map(|capture| capture.path.as_path());
    let none = "the configuration has no [capture]; name a file or directory of one behind `--replay`";
    let path = named.or_else(own).ok_or_else(|| Failure::usage(none))?;
    let hint = if named.is_none() { "; `serve` makes it once it runs with [capture]" } else { "" };
    let cannot = |error| Failure::incomplete(format!("cannot read {}: {error}{hint}", path.display()));
    if !std::fs::metadata(path).map_err(cannot)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let files = all_in(path).map_err(cannot)?;
    // Nothing that is right because there is nothing.
    if files.is_empty() {
        Err(Failure::incomplete(format!("nothing is captured in {}", path.display())))
    } else {
        Ok(files)
    }
}

/// What opens the keys of the files.
pub(in super::super) fn sealer(config: &Config) -> Result<Arc<Sealer>, Failure> {
    let place = config.store.as_deref().filter(|place| place.exists());
    let none = "there is no store here, in which the key is that opens what was captured; set `path` in [store]";
    let place = place.ok_or_else(|| Failure::incomplete(none))?;
    let key = MasterKey::of(config.store_key.as_ref().map(Secret::expose), config.store_keyring.as_ref());
    let sealer = async { Store::open_with(place, key).await?.opener().await };
    common::block_on_one(async { sealer.await.map_err(Failure::incomplete) })
}

/// What was found so far.
#[derive(Default)]
struct Tally {
    shows_arguments: bool,
    captured_under: BTreeSet<String>,
    from: Option<i64>,
    to: Option<i64>,
    judged: u64,
    same: u64,
    by_decision: BTreeMap<String, u64>,
    changes: BTreeMap<(About, Told, Told), Found>,
    /// Of whom so many changes are told apart, and to which decision; those that cannot be judged have none.
    of_each: BTreeMap<(String, String), usize>,
    unjudged: BTreeMap<(&'static str, Option<About>), Found>,
    further: u64,
}

#[derive(Default)]
struct Found {
    why: Option<String>,
    messages: u64,
    examples: Vec<Example>,
}

impl Tally {
    /// Reads each file once, however many copies of it there are: those first that have the names which they were given.
    fn read_all(&mut self, paths: &[PathBuf], sealer: &Sealer, retrial: &mut Retrial) -> Vec<File> {
        let mut read = BTreeMap::new();
        // Whether each was read to its end.
        let mut seen: HashMap<FileId, bool> = HashMap::new();
        for is_first in [true, false] {
            for (place, path) in paths.iter().enumerate() {
                if read.contains_key(&place) {
                    continue;
                }
                let mut own = None;
                let takes = |id, is_named: bool| {
                    (is_named || !is_first).then(|| {
                        own = Some(id);
                        seen.get(&id).copied()
                    })
                };
                let Some(file) = self.read(path, takes, sealer, retrial) else { continue };
                if let Some(id) = own.filter(|_| file.end != COPY) {
                    seen.insert(id, file.fault.is_none() && file.end != TORN);
                }
                read.insert(place, file);
            }
        }
        read.into_values().collect()
    }

    /// Reads a file unless `takes` says that it is to be read later (nothing), by its id and whether it has its own name; or that
    /// the same was read already, and whether to its end.
    fn read(
        &mut self,
        path: &Path,
        takes: impl FnOnce(FileId, bool) -> Option<Option<bool>>,
        sealer: &Sealer,
        retrial: &mut Retrial,
    ) -> Option<File> {
        let name = path.display().to_string();
        let mut file = File { file: name, records: 0, missing: 0, end: "unread", fault: None };
        let mut reader = match capture::open(path, sealer) {
            Ok(reader) => reader,
            // A writer was killed at once, and there is nothing to be missed.
            Err(Fault::Unbegun) => return Some(File { end: TORN, ..file }),
            Err(fault) => return Some(File { fault: Some(fault.to_string()), ..file }),
        };
        if let Some(is_whole) = takes(reader.id(), reader.is_named(path))? {
            // It may hold what the one that was read has lost, and counting some of it twice would be no better.
            let fault = (!is_whole).then(|| DAMAGED.to_owned());
            return Some(File { end: COPY, fault, ..file });
        }
        loop {
            match reader.next() {
                Ok(Next::Record(content)) => {
                    file.records += 1;
                    self.count(retrial.judge(&content));
                }
                Ok(Next::Gap(missing)) => file.missing = file.missing.saturating_add(missing),
                Ok(Next::End(end)) => {
                    file.end = match end {
                        End::Closed => "closed",
                        End::Open => "open",
                        End::Torn(_) => TORN,
                    };
                    return Some(file);
                }
                Err(fault) => return Some(File { fault: Some(fault.to_string()), ..file }),
            }
        }
    }

    fn count(&mut self, judged: Result<Judged, Box<Unjudged>>) {
        let Judged { record, now } = match judged {
            Ok(judged) => judged,
            Err(unjudged) => return self.count_unjudged(&unjudged),
        };
        let at = record.case.now().0;
        self.from = Some(self.from.map_or(at, |from| from.min(at)));
        self.to = Some(self.to.map_or(at, |to| to.max(at)));
        let under = record.said.policies.clone().unwrap_or_else(|| "none".to_owned());
        self.captured_under.insert(under);
        self.judged += 1;
        if is_same(&record.said, &now) {
            self.same += 1;
            return;
        }
        *self.by_decision.entry(now.decision.clone()).or_default() += 1;
        // What policies say of a message names no argument; what other rules say may.
        let why = now.why.clone().filter(|_| now.rule.as_deref().is_some_and(|rule| rule.starts_with("policy.")));
        let key = (About::of(&record), Told::of(&record.said), Told::of(&now));
        if !self.changes.contains_key(&key) && !self.has_room(&key.0.principal, &now.decision) {
            self.further += 1;
            return;
        }
        let found = self.changes.entry(key).or_insert_with(|| Found { why, ..Found::default() });
        found.add(&record, self.shows_arguments);
    }

    fn count_unjudged(&mut self, unjudged: &Unjudged) {
        let key = (unjudged.why.as_str(), unjudged.record.as_ref().map(About::of));
        let who = key.1.as_ref().map(|about| about.principal.clone()).unwrap_or_default();
        if !self.unjudged.contains_key(&key) && !self.has_room(&who, "") {
            self.further += 1;
            return;
        }
        let found = self.unjudged.entry(key).or_default();
        match &unjudged.record {
            Some(record) => found.add(record, self.shows_arguments),
            None => found.messages += 1,
        }
    }

    /// Whether one more is told apart, which is then counted.
    fn has_room(&mut self, principal: &str, decision: &str) -> bool {
        if self.changes.len() + self.unjudged.len() >= GROUPS {
            return false;
        }
        let counted = self.of_each.entry((principal.to_owned(), decision.to_owned())).or_default();
        *counted += 1;
        *counted <= EACH
    }

    fn told(self, files: Vec<File>, policies: Option<&str>) -> Replayed {
        let decided = |decision: &str| self.by_decision.get(decision).copied().unwrap_or_default();
        let changes = self.changes.into_iter().map(|((about, before, now), found)| {
            let Found { why, messages, examples } = found;
            Change { about, before, now, why, messages, examples }
        });
        let unjudged = self.unjudged.into_iter().map(|((why, about), found)| {
            let Found { messages, examples, .. } = found;
            Obstacle { why, about, messages, examples }
        });
        Replayed {
            format: Replayed::FORMAT,
            policies: policies.map(str::to_owned),
            captured_under: self.captured_under,
            files,
            from: self.from.map(moment),
            to: self.to.map(moment),
            judged: self.judged,
            same: self.same,
            now_denied: decided("deny"),
            now_allowed: decided("allow"),
            now_asks: decided("approve"),
            now_edited: decided("transform"),
            changes: changes.collect(),
            unjudged: unjudged.collect(),
            further: self.further,
        }
    }
}

/// Whether the same happens to the message: of what is asked for, the rule says what that is.
fn is_same(before: &Said, now: &Said) -> bool {
    before.decision == now.decision && (now.decision != "approve" || before.rule == now.rule)
}

impl Found {
    fn add(&mut self, record: &Record, shows_arguments: bool) {
        self.messages += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(Example {
                entry: record.entry.clone(),
                at: moment(record.case.now().0),
                arguments: arguments(record).filter(|_| shows_arguments),
            });
        }
    }
}

fn arguments(record: &Record) -> Option<String> {
    let params = record.case.message().params()?;
    Some(params.get("arguments").unwrap_or(params).raw().to_owned())
}

impl About {
    fn of(record: &Record) -> About {
        let case = &record.case;
        About {
            principal: case.principal().id.to_string(),
            server: case.server().to_string(),
            method: case.message().method().map(str::to_owned),
            name: case.named().first().map(name),
        }
    }
}

/// What the log would say of it, too.
fn name(named: &Named) -> String {
    if named.kind.is_uri() { plain_uri(&named.name).into_owned() } else { named.name.to_string() }
}

impl Told {
    fn of(said: &Said) -> Told {
        Told { decision: said.decision.clone(), rule: said.rule.clone() }
    }
}

impl Replayed {
    fn outcome(&self) -> Result<Outcome, Failure> {
        let unread = self.files.iter().filter(|file| file.fault.is_some()).count();
        if unread > 0 {
            let of = if unread == 1 { "a file".to_owned() } else { format!("{unread} files") };
            return Err(Failure::incomplete(format!("{of} of the capture cannot be read, or not to the end")));
        }
        if self.judged == 0 {
            return Err(Failure::incomplete("no message was judged again, so nothing is known"));
        }
        Ok(if self.same == self.judged { Outcome::Clean } else { Outcome::Found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_changes_much_hides_nobody_elses() {
        let mut tally = Tally::default();
        let room = (0..20_000).filter(|_| tally.has_room("mallory", "deny")).count();
        assert_eq!(room, EACH);
        assert!(tally.has_room("mallory", "allow") && tally.has_room("ann", "deny"));
    }
}
