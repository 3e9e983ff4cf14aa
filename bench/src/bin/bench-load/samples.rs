//! How long answers took, kept one by one so that percentiles are exact.

use std::time::Duration;

/// The measured times in microseconds.
#[derive(Default)]
pub(crate) struct Samples(Vec<u32>);

impl Samples {
    pub(crate) fn record(&mut self, took: Duration) {
        self.0.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
    }

    /// In order, so that percentiles can be asked for.
    pub(crate) fn sorted(mut self) -> Sorted {
        self.0.sort_unstable();
        Sorted(self.0)
    }
}

/// The same times in ascending order.
pub(crate) struct Sorted(Vec<u32>);

impl Sorted {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The smallest time that at least `percent` of all times do not exceed; 0 when there are none.
    pub(crate) fn percentile(&self, percent: f64) -> u32 {
        let rank = (percent / 100.0 * self.0.len() as f64).ceil() as usize;
        self.0.get(rank.saturating_sub(1)).or(self.0.last()).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(micros: &[u64], percent: f64, expected: u32) {
        let mut samples = Samples::default();
        micros.iter().for_each(|micros| samples.record(Duration::from_micros(*micros)));
        assert_eq!(samples.sorted().percentile(percent), expected, "{micros:?} at {percent}");
    }

    #[test]
    fn percentiles_are_the_nearest_rank() {
        check(&[], 50.0, 0);
        check(&[7], 50.0, 7);
        check(&[7], 99.0, 7);
        check(&[3, 1, 2], 50.0, 2);
        check(&[4, 3, 1, 2], 50.0, 2);
        check(&[4, 3, 1, 2], 51.0, 3);
        check(&[4, 3, 1, 2], 0.0, 1);
        check(&[4, 3, 1, 2], 100.0, 4);
        let hundred: Vec<u64> = (1..=100).collect();
        check(&hundred, 99.0, 99);
        check(&hundred, 99.9, 100);
        check(&[u64::MAX / 2], 50.0, u32::MAX);
    }
}
