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

/// Of every `window` neighbouring rows the least, of several the last.
pub(crate) fn winnowed(words: &[u64], window: usize) -> Vec<u64> {
    let all: Vec<u64> = rows(words).collect();
    let mut kept = Vec::with_capacity(2 * all.len() / (window + 1) + 1);
    let mut least: Option<(usize, u64)> = None;
    let mut last = None;
    for (at, hash) in all.iter().copied().enumerate() {
        least = match least {
            // Hashes nobody can foretell, so that it is seldom the first of its window that is the least.
            Some((held, _)) if held + window <= at => least_of(&all, at + 1 - window..at + 1),
            Some((_, held)) if hash > held => least,
            _ => Some((at, hash)),
        };
        let full = at + 1 >= window || at + 1 == all.len();
        if let Some((place, hash)) = least.filter(|_| full)
            && last != Some(place)
        {
            kept.push(hash);
            last = Some(place);
        }
    }
    kept
}

/// Where the last of the least is.
fn least_of(all: &[u64], span: std::ops::Range<usize>) -> Option<(usize, u64)> {
    let held = all.get(span.clone())?.iter().copied();
    span.zip(held).reduce(|least, next| if next.1 <= least.1 { next } else { least })
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
