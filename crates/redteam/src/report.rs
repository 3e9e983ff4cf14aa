//! What became of all texts, and what is worse than it was.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::suite::{Case, Selection};
use crate::trial::{Fate, Seen};

/// What `redteam --json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Report {
    #[schemars(extend("const" = Report::FORMAT))]
    format: &'static str,
    /// What was sent.
    suite: Suite,
    /// The servers of the configuration that texts were sent for.
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
}

/// Which texts were sent; two reports are compared if that is the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// Disguises of attacks.
    mutations: Vec<String>,
    /// How many attacks at most, and how many honest texts; `null` for all.
    sample: Option<usize>,
    /// What chose them.
    seed: u64,
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

/// What is worse than it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worse {
    /// The family; none for honest texts.
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

    pub(crate) fn new(selection: &Selection, servers: &[String]) -> Report {
        Report {
            format: Report::FORMAT,
            suite: Suite {
                mutations: selection.mutations.iter().map(|mutation| mutation.as_str().to_owned()).collect(),
                sample: selection.sample,
                seed: selection.seed,
            },
            servers: servers.to_vec(),
            attacks: Tally::default(),
            families: BTreeMap::new(),
            mutations: BTreeMap::new(),
            benign: Tally::default(),
            unknown: Vec::new(),
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

    /// What is worse than in the baseline.
    ///
    /// # Errors
    /// If the baseline is of another suite, so that nothing can be said.
    pub fn worse_than(&self, baseline: &Baseline) -> Result<Vec<Worse>, String> {
        if baseline.format != Baseline::FORMAT {
            return Err(format!("it has the format {} and not {}", baseline.format, Baseline::FORMAT));
        }
        if baseline.suite != self.suite {
            return Err("it is of another suite: --mutations, --sample or --seed were others".to_owned());
        }
        let mut worse = Vec::new();
        for (family, tally) in &self.families {
            let now = tally.kept();
            let before = baseline.families.get(family).copied();
            let before = before.ok_or_else(|| format!("it does not have the family `{family}`"))?;
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
    use crate::Mutation;
    use crate::suite::cases;

    fn report(stopped: usize, wrongly: usize) -> Report {
        let selection = Selection {
            families: vec!["payment".to_owned()],
            mutations: vec![Mutation::Plain],
            sample: Some(4),
            seed: 0,
        };
        let (attacks, benign) = cases(&selection);
        let mut report = Report::new(&selection, &["one".to_owned()]);
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
        let other = Baseline { suite: Suite { seed: 1, ..baseline.suite.clone() }, ..baseline.clone() };
        assert!(report(3, 1).worse_than(&other).is_err());
        assert!(report(3, 1).worse_than(&Baseline { families: BTreeMap::new(), ..baseline }).is_err());
    }
}
