//! What became of all texts, and what is worse than it was.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fmt, io};

use bartizan_guard::Settings;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::mutation::Mutation;
use crate::range;
use crate::suite::{self, Case, Selection};
use crate::trial::{Fate, Seen};

/// What `redteam --json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Report {
    #[schemars(extend("const" = Report::FORMAT))]
    format: &'static str,
    /// The configuration file that was tried; `null` for the defaults.
    config: Option<String>,
    /// Its `mode`: `enforce` or `observe`.
    mode: &'static str,
    /// The guards that judged what was sent.
    guards: Vec<&'static str>,
    /// What was sent.
    suite: Suite,
    /// The servers of the configuration that texts were sent for; something else stood in for each.
    servers: Vec<String>,
    /// All attacks.
    attacks: Tally,
    /// The same, by family.
    families: BTreeMap<String, Tally>,
    /// The same, by disguise.
    mutations: BTreeMap<String, Tally>,
    /// Honest texts that look like attacks; what is stopped of them is stopped wrongly.
    benign: Tally,
    /// Texts of which nobody knows what became of them, and why.
    unknown: Vec<Unknown>,
    /// What is worse than in the baseline; `null` without one.
    worse: Option<Vec<Worse>>,
}

/// Which texts were sent; two reports are compared if that is the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// Families of attacks; `null` for all.
    families: Option<Vec<String>>,
    /// Disguises of attacks.
    mutations: Vec<String>,
    /// How many attacks at most, and how many honest texts; `null` for all.
    sample: Option<usize>,
    /// What chose them.
    seed: u64,
    /// A checksum of all that was sent: another version of Bartizan may have other texts.
    texts: String,
}

/// What became of some texts.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Tally {
    /// How many were sent.
    sent: usize,
    /// How many did not reach whom they were meant for.
    stopped: usize,
    /// How many were refused, withheld and so on.
    fates: BTreeMap<&'static str, usize>,
    /// The rules that stopped some, and how many; several may stop one.
    by: BTreeMap<String, usize>,
    /// What came through, or of honest texts what did not.
    ids: Vec<String>,
}

/// A text that nobody knows about.
#[derive(Debug, Serialize, JsonSchema)]
struct Unknown {
    id: String,
    server: String,
    why: String,
}

/// What is kept of a report to hold later ones against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    #[schemars(extend("const" = Baseline::FORMAT))]
    format: String,
    suite: Suite,
    families: BTreeMap<String, Kept>,
    benign: Kept,
}

/// How many were sent, and how many of these stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    sent: usize,
    stopped: usize,
}

/// Why there is no baseline.
#[derive(Debug, Error)]
pub enum UnreadBaseline {
    /// The file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It holds something else.
    #[error("{} is no file that `redteam --write-baseline` wrote: {error}", path.display())]
    Content {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        error: serde_json::Error,
    },
}

/// What is worse than it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Worse {
    /// The family; `null` for honest texts.
    pub family: Option<String>,
    /// How it was.
    pub before: Kept,
    /// How it is.
    pub now: Kept,
}

impl Tally {
    fn add(&mut self, id: &str, seen: &Seen, is_attack: bool) {
        self.sent += 1;
        *self.fates.entry(seen.fate.as_str()).or_default() += 1;
        if seen.fate.is_stopped() {
            self.stopped += 1;
            seen.rules.iter().for_each(|rule| *self.by.entry(rule.clone()).or_default() += 1);
        }
        if seen.fate.is_stopped() != is_attack && seen.fate != Fate::Unknown {
            self.ids.push(id.to_owned());
        }
    }

    fn kept(&self) -> Kept {
        Kept { sent: self.sent, stopped: self.stopped }
    }

    /// How many were sent.
    #[must_use]
    pub fn sent(&self) -> usize {
        self.sent
    }

    /// How many did not reach whom they were meant for.
    #[must_use]
    pub fn stopped(&self) -> usize {
        self.stopped
    }

    /// How many became that.
    #[must_use]
    pub fn count(&self, fate: Fate) -> usize {
        self.fates.get(fate.as_str()).copied().unwrap_or_default()
    }

    /// The rules that stopped some, those that stopped most first.
    #[must_use]
    pub fn by(&self) -> Vec<(&str, usize)> {
        let mut by: Vec<_> = self.by.iter().map(|(rule, count)| (rule.as_str(), *count)).collect();
        by.sort_by_key(|(rule, count)| (std::cmp::Reverse(*count), *rule));
        by
    }

    /// What came through, or of honest texts what did not.
    #[must_use]
    pub fn ids(&self) -> &[String] {
        &self.ids
    }
}

impl Report {
    /// Its form.
    pub const FORMAT: &'static str = "bartizan.redteam/1";

    /// Of these texts, which were selected so, through what these settings say.
    pub(crate) fn new(selection: &Selection, cases: &[Case], servers: &[String], settings: &Settings) -> Report {
        Report {
            format: Report::FORMAT,
            config: None,
            mode: settings.mode.as_str(),
            guards: range::guards(settings),
            suite: Suite::of(selection, cases),
            servers: servers.to_vec(),
            attacks: Tally::default(),
            families: BTreeMap::new(),
            mutations: BTreeMap::new(),
            benign: Tally::default(),
            unknown: Vec::new(),
            worse: None,
        }
    }

    pub(crate) fn add(&mut self, server: &str, case: &Case, is_attack: bool, seen: &Seen) {
        let id = if self.servers.len() > 1 { format!("{server}/{}", case.id()) } else { case.id() };
        if let Some(why) = &seen.why {
            self.unknown.push(Unknown { id: case.id(), server: server.to_owned(), why: why.clone() });
        }
        if !is_attack {
            return self.benign.add(&id, seen, false);
        }
        let family = self.families.entry(case.sample.family.clone()).or_default();
        let mutation = self.mutations.entry(case.mutation.as_str().to_owned()).or_default();
        [&mut self.attacks, family, mutation].into_iter().for_each(|tally| tally.add(&id, seen, true));
    }

    /// The same, of the configuration in that file.
    #[must_use]
    pub fn of_file(self, file: Option<&Path>) -> Report {
        Report { config: file.map(|file| file.display().to_string()), ..self }
    }

    /// The configuration file that was tried, if there is one.
    #[must_use]
    pub fn config(&self) -> Option<&str> {
        self.config.as_deref()
    }

    /// Whether what is found is stopped.
    #[must_use]
    pub fn mode(&self) -> &'static str {
        self.mode
    }

    /// The guards that judged what was sent.
    #[must_use]
    pub fn guards(&self) -> &[&'static str] {
        &self.guards
    }

    /// The servers that texts were sent for.
    #[must_use]
    pub fn servers(&self) -> &[String] {
        &self.servers
    }

    /// All attacks.
    #[must_use]
    pub fn attacks(&self) -> &Tally {
        &self.attacks
    }

    /// Attacks by family.
    #[must_use]
    pub fn families(&self) -> &BTreeMap<String, Tally> {
        &self.families
    }

    /// Attacks by disguise.
    #[must_use]
    pub fn mutations(&self) -> &BTreeMap<String, Tally> {
        &self.mutations
    }

    /// Honest texts.
    #[must_use]
    pub fn benign(&self) -> &Tally {
        &self.benign
    }

    /// Texts of which nobody knows what became of them: which, and why.
    pub fn unknown(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.unknown.iter().map(|unknown| (unknown.id.as_str(), unknown.why.as_str()))
    }

    /// The rule that stops nearly all honest texts, whatever they say: then the report says little about attacks.
    #[must_use]
    pub fn refused_by(&self) -> Option<&str> {
        let (rule, count) = self.benign.by().into_iter().next()?;
        (count.saturating_mul(3) > self.benign.sent.saturating_mul(2)).then_some(rule)
    }

    /// What to hold later ones against.
    #[must_use]
    pub fn baseline(&self) -> Baseline {
        let families = self.families.iter().map(|(family, tally)| (family.clone(), tally.kept()));
        Baseline {
            format: Baseline::FORMAT.to_owned(),
            suite: self.suite.clone(),
            families: families.collect(),
            benign: self.benign.kept(),
        }
    }

    /// Says in it what is worse than in the baseline.
    ///
    /// # Errors
    /// If nothing can be said, as for [`Report::worse_than`].
    pub fn hold_against(&mut self, baseline: &Baseline) -> Result<&[Worse], String> {
        let worse = self.worse_than(baseline)?;
        Ok(self.worse.insert(worse))
    }

    /// What is worse than in the baseline.
    ///
    /// # Errors
    /// If the baseline is of other texts, so that nothing can be said.
    pub fn worse_than(&self, baseline: &Baseline) -> Result<Vec<Worse>, String> {
        baseline.is_of(&self.suite, self.families.keys().map(String::as_str))?;
        let mut worse = Vec::new();
        for (family, tally) in &self.families {
            let now = tally.kept();
            let Some(before) = baseline.families.get(family).copied() else { continue };
            if now.share_is_below(before) {
                worse.push(Worse { family: Some(family.clone()), before, now });
            }
        }
        let (before, now) = (baseline.benign, self.benign.kept());
        if before.share_is_below(now) {
            worse.push(Worse { family: None, before, now });
        }
        Ok(worse)
    }
}

impl Baseline {
    /// Its form.
    pub const FORMAT: &'static str = "bartizan.redteam.baseline/1";

    /// That of a file.
    ///
    /// # Errors
    /// If it cannot be read, or holds something else.
    pub fn read(path: &Path) -> Result<Baseline, UnreadBaseline> {
        let path = path.to_owned();
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| UnreadBaseline::Content { path, error }),
            Err(error) => Err(UnreadBaseline::File { path, error }),
        }
    }

    /// Whether what is selected can be held against it, which is known before anything is sent.
    ///
    /// # Errors
    /// In what it differs.
    pub fn fits(&self, selection: &Selection) -> Result<(), String> {
        let (attacks, benign) = suite::cases(selection);
        let all: Vec<_> = attacks.iter().chain(&benign).cloned().collect();
        self.is_of(&Suite::of(selection, &all), attacks.iter().map(|case| case.sample.family.as_str()))
    }

    /// Whether it is of these texts, which are of these families.
    fn is_of<'f>(&self, suite: &Suite, families: impl Iterator<Item = &'f str>) -> Result<(), String> {
        if self.format != Baseline::FORMAT {
            return Err(format!("it has the format {} and not {}", self.format, Baseline::FORMAT));
        }
        if let Some(differs) = self.suite.differs(suite) {
            return Err(format!("it is of other texts: {differs}"));
        }
        if self.suite.texts != suite.texts {
            let why = "it is of other texts: those of this version of Bartizan are others; look at what is stopped now, and write it anew";
            return Err(why.to_owned());
        }
        // Somebody may have edited it.
        let families: BTreeSet<_> = families.collect();
        if let Some(family) = self.families.keys().find(|family| !families.contains(family.as_str())) {
            return Err(format!("it has the family `{family}`, which is not sent"));
        }
        match families.iter().find(|family| !self.families.contains_key(**family)) {
            Some(family) => Err(format!("it does not have the family `{family}`")),
            None => Ok(()),
        }
    }
}

impl Suite {
    fn of(selection: &Selection, cases: &[Case]) -> Suite {
        let families: BTreeSet<_> = selection.families.iter().cloned().collect();
        Suite {
            families: (!families.is_empty()).then(|| families.into_iter().collect()),
            mutations: selection.mutations.iter().map(|mutation| mutation.as_str().to_owned()).collect(),
            sample: selection.sample,
            seed: selection.seed,
            texts: suite::checksum(cases),
        }
    }

    /// What is chosen otherwise here, as the options that choose it.
    fn differs(&self, here: &Suite) -> Option<String> {
        let others: Vec<_> =
            self.options().into_iter().zip(here.options()).filter(|(one, other)| one != other).collect();
        let list = |options: Vec<String>| options.join(" and ");
        let (was, is): (Vec<_>, Vec<_>) = others.into_iter().unzip();
        (!was.is_empty()).then(|| format!("it was written with {}, and this is with {}", list(was), list(is)))
    }

    /// What chooses the texts, as it would be typed.
    fn options(&self) -> [String; 4] {
        let all: Vec<_> = Mutation::ALL.iter().map(|mutation| mutation.as_str()).collect();
        [
            self.families.as_ref().map_or("all families".to_owned(), |names| format!("--families {}", names.join(","))),
            match self.mutations == all {
                true => "all mutations".to_owned(),
                false => format!("--mutations {}", self.mutations.join(",")),
            },
            self.sample.map_or("no --sample".to_owned(), |sample| format!("--sample {sample}")),
            format!("--seed {}", self.seed),
        ]
    }
}

impl fmt::Display for Worse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = self.family.as_deref().unwrap_or("honest texts");
        let (now, before) = (self.now, self.before);
        let (is, was) = (if now.stopped == 1 { "is" } else { "are" }, if before.stopped == 1 { "was" } else { "were" });
        let (now, before) = (format!("{} of {} {is}", now.stopped, now.sent), (before.stopped, before.sent));
        write!(f, "of {of} {now} stopped, and {} of {} {was}", before.0, before.1)
    }
}

impl Kept {
    /// Whether less of these is stopped than of others; there may be more of one than of the other.
    fn share_is_below(self, other: Kept) -> bool {
        self.stopped.saturating_mul(other.sent.max(1)) < other.stopped.saturating_mul(self.sent.max(1))
    }

    /// How many were sent.
    #[must_use]
    pub fn sent(self) -> usize {
        self.sent
    }

    /// How many of these were stopped.
    #[must_use]
    pub fn stopped(self) -> usize {
        self.stopped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::cases;

    fn selection() -> Selection {
        let families = vec!["payment".to_owned()];
        Selection { families, mutations: vec![Mutation::Plain], sample: Some(4), seed: 0 }
    }

    fn report(stopped: usize, wrongly: usize) -> Report {
        let selection = selection();
        let (attacks, benign) = cases(&selection);
        let all: Vec<_> = attacks.iter().chain(&benign).cloned().collect();
        let mut report = Report::new(&selection, &all, &["one".to_owned()], &Settings::default());
        let seen = |is_stopped| match is_stopped {
            true => Seen { fate: Fate::Refused, rules: vec!["a.b".to_owned()], why: None },
            false => Seen { fate: Fate::Through, rules: Vec::new(), why: None },
        };
        attacks.iter().enumerate().for_each(|(at, case)| report.add("one", case, true, &seen(at < stopped)));
        benign.iter().enumerate().for_each(|(at, case)| report.add("one", case, false, &seen(at < wrongly)));
        report
    }

    #[test]
    fn it_says_what_came_through_and_what_stopped_the_rest() {
        let report = report(3, 1);
        let family = &report.families()["payment"];
        assert_eq!((family.sent(), family.stopped(), family.by()), (4, 3, vec![("a.b", 3)]));
        assert_eq!((family.ids().len(), report.benign().ids().len(), report.benign().stopped()), (1, 1, 1));
        assert_eq!((family.count(Fate::Refused), family.count(Fate::Through)), (3, 1));
    }

    #[test]
    fn less_attacks_stopped_and_more_honest_texts_are_worse() {
        let baseline = report(3, 1).baseline();
        let worse = |stopped, wrongly| {
            let worse = report(stopped, wrongly).worse_than(&baseline).unwrap();
            worse.into_iter().map(|worse| worse.family.unwrap_or_default()).collect::<Vec<_>>()
        };
        assert_eq!(worse(3, 1), Vec::<String>::new());
        assert_eq!(worse(4, 0), Vec::<String>::new());
        assert_eq!(worse(2, 1), ["payment"]);
        assert_eq!(worse(3, 2), [""]);
        assert_eq!(worse(0, 4), ["payment", ""]);
        let read: Baseline = serde_json::from_str(&serde_json::to_string(&baseline).unwrap()).unwrap();
        assert_eq!(read, baseline);
        let mut held = report(2, 1);
        assert_eq!(held.hold_against(&baseline).unwrap().len(), 1);
        assert_eq!(serde_json::to_value(&held).unwrap()["worse"][0]["before"]["stopped"], 3);
        assert_eq!(serde_json::to_value(report(2, 1)).unwrap()["worse"], serde_json::Value::Null);
    }

    #[test]
    fn what_is_of_other_texts_is_no_comparison() {
        let baseline = report(3, 1).baseline();
        let suite = &baseline.suite;
        let with = |suite: Suite| Baseline { suite, ..baseline.clone() };
        let families = |more: &str| {
            let families = baseline.families.iter().map(|(family, kept)| (format!("{family}{more}"), *kept));
            Baseline { families: families.collect(), ..baseline.clone() }
        };
        let mut more = baseline.clone();
        more.families.insert("other".to_owned(), baseline.benign);
        for (other, why) in [
            (with(Suite { seed: 1, ..suite.clone() }), "it was written with --seed 1, and this is with --seed 0"),
            (
                with(Suite { families: None, sample: None, ..suite.clone() }),
                "with all families and no --sample, and this is with --families payment and --sample 4",
            ),
            (with(Suite { mutations: vec!["tags".to_owned()], ..suite.clone() }), "--mutations tags, and"),
            (with(Suite { texts: "0".repeat(16), ..suite.clone() }), "this version"),
            (Baseline { format: "bartizan.redteam.baseline/2".to_owned(), ..baseline.clone() }, "format"),
            (Baseline { families: BTreeMap::new(), ..baseline.clone() }, "does not have the family `payment`"),
            (families("s"), "it has the family `payments`"),
            (more, "it has the family `other`"),
        ] {
            let said = report(3, 1).worse_than(&other).unwrap_err();
            assert!(said.contains(why), "{said}");
            // And it is known before anything is sent.
            assert_eq!(other.fits(&selection()).unwrap_err(), said);
        }
        assert_eq!(baseline.fits(&selection()), Ok(()));
        let all = Selection { mutations: Mutation::ALL.to_vec(), ..selection() };
        assert!(baseline.fits(&all).unwrap_err().contains("and this is with all mutations"));
    }

    #[test]
    fn what_stops_nearly_all_honest_texts_is_named() {
        assert_eq!((report(4, 2).refused_by(), report(4, 3).refused_by()), (None, Some("a.b")));
    }
}
