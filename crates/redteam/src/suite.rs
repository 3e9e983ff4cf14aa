//! Which texts are sent, and in which disguise.

use std::collections::BTreeMap;

use crate::corpus::{self, Sample};
use crate::mutation::{Disguised, Mutation};

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Families of attacks; all of them if there are none.
    pub families: Vec<String>,
    /// Disguises of attacks.
    pub mutations: Vec<Mutation>,
    /// So many attacks at most, and as many honest texts; all if there is none.
    pub sample: Option<usize>,
    /// What chooses them: the same seed chooses the same.
    pub seed: u64,
}

/// One text as it is sent.
#[derive(Debug, Clone)]
pub struct Case {
    /// The text it is made of.
    pub sample: Sample,
    /// How it is disguised.
    pub mutation: Mutation,
    /// What is sent.
    pub sent: Disguised,
}

impl Case {
    /// Its name in reports.
    #[must_use]
    pub fn id(&self) -> String {
        match self.mutation {
            Mutation::Plain => self.sample.id.clone(),
            mutation => format!("{}/{}", self.sample.id, mutation.as_str()),
        }
    }
}

/// The families of attacks.
#[must_use]
pub fn families() -> Vec<String> {
    let mut families: Vec<_> = corpus::attacks().into_iter().map(|sample| sample.family).collect();
    families.dedup();
    families
}

/// The text of that name as it is sent with this seed; reports may have the server's name in front of it.
#[must_use]
pub fn named(name: &str, seed: u64) -> Option<Case> {
    let words: Vec<_> = name.split('/').collect();
    corpus::attacks().into_iter().chain(corpus::benign()).find_map(|sample| {
        let at = words.iter().position(|word| *word == sample.id)?;
        let mutation = match words.get(at + 1..)? {
            [] => Mutation::Plain,
            [mutation] => Mutation::named(mutation)?,
            _ => return None,
        };
        disguised(&sample, &[mutation], seed).pop()
    })
}

/// The attacks that are sent, and the honest texts.
pub(crate) fn cases(selection: &Selection) -> (Vec<Case>, Vec<Case>) {
    let wanted = |sample: &Sample| selection.families.is_empty() || selection.families.contains(&sample.family);
    let attacks = corpus::attacks().into_iter().filter(wanted);
    let attacks = attacks.flat_map(|sample| disguised(&sample, &selection.mutations, selection.seed)).collect();
    let benign = corpus::benign().into_iter().flat_map(|sample| disguised(&sample, &[Mutation::Plain], selection.seed));
    let chosen = |cases| match selection.sample {
        Some(most) => some(cases, most, selection.seed),
        None => cases,
    };
    (chosen(attacks), chosen(benign.collect()))
}

fn disguised(sample: &Sample, mutations: &[Mutation], seed: u64) -> Vec<Case> {
    let of = |mutation: &Mutation| {
        let pick = usize::try_from(mixed(seed, &sample.id) >> 33).unwrap_or_default();
        let sent = mutation.of(&sample.text, pick)?;
        Some(Case { sample: sample.clone(), mutation: *mutation, sent })
    };
    mutations.iter().filter_map(of).collect()
}

/// As many of each family as can be, chosen by the seed, in the order in which they were.
fn some(cases: Vec<Case>, most: usize, seed: u64) -> Vec<Case> {
    let mut families: BTreeMap<String, Vec<(u64, usize)>> = BTreeMap::new();
    for (at, case) in cases.iter().enumerate() {
        families.entry(case.sample.family.clone()).or_default().push((mixed(seed, &case.id()), at));
    }
    families.values_mut().for_each(|held| held.sort_unstable());
    let rounds = families.values().map(Vec::len).max().unwrap_or_default();
    let turns = (0..rounds).flat_map(|round| families.values().filter_map(move |held| held.get(round)));
    let mut chosen: Vec<_> = turns.take(most).map(|(_, at)| *at).collect();
    chosen.sort_unstable();
    let mut chosen = chosen.into_iter().peekable();
    let kept = cases.into_iter().enumerate().filter(|(at, _)| chosen.next_if_eq(at).is_some());
    kept.map(|(_, case)| case).collect()
}

/// What tells these texts from others, as they are sent and in this order. It guards against mistakes and not against people.
pub(crate) fn checksum(cases: &[Case]) -> String {
    let of = |sum: u64, text: &str| mixed(sum.rotate_left(7), text);
    let sum = cases.iter().fold(0, |sum, case| {
        let sum = of(of(sum, &case.id()), case.sample.kind.as_str());
        case.sent.parts.iter().fold(sum, |sum, part| of(sum, part))
    });
    format!("{sum:016x}")
}

/// A number that hangs on all of both: FNV-1a, and the end of splitmix64.
fn mixed(seed: u64, text: &str) -> u64 {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325 ^ seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn selection(sample: Option<usize>, seed: u64) -> Selection {
        Selection { families: Vec::new(), mutations: Mutation::ALL.to_vec(), sample, seed }
    }

    fn ids(cases: &[Case]) -> Vec<String> {
        cases.iter().map(Case::id).collect()
    }

    #[test]
    fn a_sample_is_the_same_each_time_and_of_all_families() {
        let (attacks, benign) = cases(&selection(Some(56), 1));
        assert_eq!((attacks.len(), benign.len()), (56, 56));
        let families: BTreeSet<_> = attacks.iter().map(|case| &case.sample.family).collect();
        assert_eq!(families.len(), 28);
        assert_eq!(ids(&attacks), ids(&cases(&selection(Some(56), 1)).0));
        assert_ne!(ids(&attacks), ids(&cases(&selection(Some(56), 2)).0));
    }

    #[test]
    fn each_text_is_found_by_its_name_as_it_is_sent() {
        let (attacks, benign) = cases(&selection(Some(112), 3));
        for case in attacks.iter().chain(&benign) {
            for name in [case.id(), format!("web/{}", case.id())] {
                let found = named(&name, 3).unwrap();
                assert_eq!((found.id(), found.sent), (case.id(), case.sent.clone()), "{name}");
            }
        }
        for name in ["", "payment", "payment-001/none", "payment-001/tags/tags", "none-001"] {
            assert!(named(name, 3).is_none(), "{name}");
        }
    }

    #[test]
    fn a_checksum_is_of_each_text_and_of_their_order() {
        let (cases, _) = cases(&selection(Some(56), 1));
        let sum = checksum(&cases);
        assert_eq!((sum.len(), &sum), (16, &checksum(&cases.clone())));
        for at in [0, 20, 55] {
            let mut other = cases.clone();
            other[at].sent.parts[0].push(' ');
            assert_ne!(checksum(&other), sum);
        }
        let swapped: Vec<_> = cases.iter().rev().cloned().collect();
        assert_ne!(checksum(&swapped), sum);
        assert_ne!(checksum(&cases[1..]), sum);
    }

    #[test]
    fn all_is_every_text_in_every_disguise_that_fits() {
        let (attacks, benign) = cases(&selection(None, 0));
        assert!(attacks.len() > 448 * 14 && benign.len() == corpus::benign().len(), "{}", attacks.len());
        assert_eq!(ids(&attacks).into_iter().collect::<BTreeSet<_>>().len(), attacks.len());
        let one =
            Selection { families: vec!["payment".to_owned()], mutations: vec![Mutation::Plain], ..selection(None, 0) };
        assert!(cases(&one).0.iter().all(|case| case.sample.family == "payment"));
        assert_eq!(cases(&one).0.len(), 15);
    }
}
