//! What a tool does with information, whoever says so: a guess, the lock file or an operator.

use crate::label::{ToolLabel, ToolLabels};

/// What a tool does with information.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Nature {
    /// In words that an operator can correct.
    pub labels: ToolLabels,
    /// Whether a call changes nothing: if it reaches others at all, then by what it asks for.
    pub reads: bool,
    /// Whether it reaches others only where a call says whom.
    pub if_addressed: bool,
    /// Whether only an annotation says that it reaches others.
    pub by_hint: bool,
}

const READS: &str = "reads";
const IF_ADDRESSED: &str = "if_addressed";
const BY_HINT: &str = "by_hint";

impl Nature {
    /// Its words in the lock file: the labels, and what lets a call off.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        let more = [(self.reads, READS), (self.if_addressed, IF_ADDRESSED), (self.by_hint, BY_HINT)];
        self.labels.iter().map(ToolLabel::as_str).chain(more.into_iter().filter_map(|(is, word)| is.then_some(word)))
    }

    /// What these words say; `None` if one of them is not known, as nobody can say then what it was to keep up.
    #[must_use]
    pub fn of_words<'w>(words: impl Iterator<Item = &'w str>) -> Option<Nature> {
        let mut nature = Nature::default();
        for word in words {
            match word {
                READS => nature.reads = true,
                IF_ADDRESSED => nature.if_addressed = true,
                BY_HINT => nature.by_hint = true,
                label => nature.labels = nature.labels.with(ToolLabel::named(label)?),
            }
        }
        Some(nature)
    }

    /// The stricter of both in each respect: all labels of either, and nothing let off that one of them does not let off.
    #[must_use]
    pub fn strictest(self, other: Nature) -> Nature {
        Nature {
            labels: self.labels.iter().chain(other.labels.iter()).collect(),
            reads: self.reads && other.reads,
            if_addressed: self.if_addressed && other.if_addressed,
            by_hint: self.by_hint && other.by_hint,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Each nature that there is.
    pub(crate) fn every() -> impl Iterator<Item = Nature> {
        (0..128_u8).map(|bits| {
            let has = |bit: u8| bits & (1 << bit) != 0;
            let labels = ToolLabel::ALL.into_iter().filter(|label| has(*label as u8)).collect();
            Nature { labels, reads: has(4), if_addressed: has(5), by_hint: has(6) }
        })
    }

    #[test]
    fn words_say_all_of_it() {
        for nature in every() {
            assert_eq!(Nature::of_words(nature.words()), Some(nature));
            assert_eq!(nature.strictest(nature), nature);
        }
        assert_eq!(Nature::of_words(["reads", "harmless"].into_iter()), None);
    }

    #[test]
    fn the_strictest_lets_nothing_off() {
        for one in every().step_by(5) {
            for other in every().step_by(3) {
                let both = one.strictest(other);
                assert_eq!(both, other.strictest(one));
                assert!(one.labels.iter().chain(other.labels.iter()).all(|label| both.labels.has(label)));
                let let_off = |nature: Nature| [nature.reads, nature.if_addressed, nature.by_hint];
                let held = let_off(one).into_iter().zip(let_off(other)).zip(let_off(both));
                assert!(held.into_iter().all(|((one, other), both)| both == (one && other)));
            }
        }
    }
}
