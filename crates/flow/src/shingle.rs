//! Fingerprints of a text, by which a piece of it is known again.
//!
//! Winnowing (Schleimer, Wilkerson and Aiken, 2003): of every few neighbouring rows of words the one with the least hash is
//! kept, so that a copied piece of `ROW + WINDOW - 1` words or more always has one in common, wherever it begins.

/// Words of one row.
pub(crate) const ROW: usize = 6;
/// Neighbouring rows of which one is kept.
pub(crate) const WINDOW: usize = 4;
/// Words that are always known again where all rows are winnowed by [`WINDOW`].
#[cfg(test)]
pub(crate) const RUN: usize = ROW + WINDOW - 1;

/// The hash of each row of words.
pub(crate) fn rows(words: &[u64]) -> impl Iterator<Item = u64> {
    words.windows(ROW).map(|row| {
        row.iter().fold(0x9e37_79b9_7f4a_7c15, |all: u64, word| {
            (all.rotate_left(11) ^ word).wrapping_mul(0x2545_f491_4f6c_dd1d)
        })
    })
}

/// Of every `window` neighbouring rows the least.
pub(crate) fn winnowed(words: &[u64], window: usize) -> Vec<u64> {
    let all: Vec<u64> = rows(words).collect();
    let mut kept = Vec::with_capacity(2 * all.len() / (window + 1) + 1);
    // Rows that could be the least of a window to come, each less than those behind it.
    let mut least: std::collections::VecDeque<(usize, u64)> = std::collections::VecDeque::new();
    let mut last = None;
    for (at, hash) in all.iter().copied().enumerate() {
        while least.back().is_some_and(|(_, held)| *held >= hash) {
            least.pop_back();
        }
        least.push_back((at, hash));
        while least.front().is_some_and(|(held, _)| held + window <= at) {
            least.pop_front();
        }
        let full = at + 1 >= window || at + 1 == all.len();
        if let Some((place, hash)) = least.front().copied().filter(|_| full)
            && last != Some(place)
        {
            kept.push(hash);
            last = Some(place);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_copied_run_has_one_in_common(
            before in proptest::collection::vec(any::<u64>(), 0..40),
            run in proptest::collection::vec(any::<u64>(), RUN..30),
            after in proptest::collection::vec(any::<u64>(), 0..40),
        ) {
            let whole = [before, run.clone(), after].concat();
            let kept = winnowed(&whole, WINDOW);
            prop_assert!(rows(&run).any(|row| kept.contains(&row)));
            prop_assert!(kept.len() <= whole.len());
        }
    }
}
