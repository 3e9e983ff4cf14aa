//! Counts what is refused before anyone is authenticated, so that a flood becomes one entry a second instead of one
//! for each attempt. Plain data: time is passed in, and the caller appends what comes out.

use std::collections::{BTreeMap, HashMap};
use std::mem;

use serde::Serialize;

const SECOND: i64 = 1_000_000;

/// Longer names of sources are cut, so that a summary fits a line whatever an attacker calls himself.
const MAX_SOURCE_BYTES: usize = 64;

/// With every byte escaped as six characters this many sources still fit a line.
const MAX_SOURCES: usize = 2048;

/// Refusals of one second; append it as the fields of an entry.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct RefusalSummary {
    /// Start of the second, in microseconds since 1970.
    pub second_micros: i64,
    /// Refusals in all.
    pub total: u64,
    /// Refusals by source, most first.
    pub sources: Vec<SourceCount>,
    /// Refusals from sources that the table had no room for.
    pub other_sources: u64,
    /// Refusals by rule, in the order of their ids.
    pub reasons: Vec<ReasonCount>,
}

/// Refusals under one rule in one second.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ReasonCount {
    /// The rule, as the caller named it.
    pub rule: &'static str,
    /// How often it refused something.
    pub count: u64,
}

/// Refusals of one source in one second.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SourceCount {
    /// The source, as the caller named it.
    pub source: String,
    /// How often it was refused.
    pub count: u64,
}

/// Counts refusals by source and second in bounded memory.
#[derive(Debug)]
pub struct RefusalCounter {
    max_sources: usize,
    second: i64,
    counts: HashMap<String, u64>,
    other_sources: u64,
    /// As many as there are rules in the program at most.
    reasons: BTreeMap<&'static str, u64>,
}

impl Default for RefusalCounter {
    fn default() -> Self {
        Self::new(1024)
    }
}

impl RefusalCounter {
    /// Counts up to `max_sources` sources a second by name (at most 2,048, so that a summary fits a line), and all
    /// further ones together.
    #[must_use]
    pub fn new(max_sources: usize) -> Self {
        let (counts, reasons) = (HashMap::new(), BTreeMap::new());
        Self { max_sources: max_sources.min(MAX_SOURCES), second: i64::MIN, counts, other_sources: 0, reasons }
    }

    /// Counts one refusal under a rule, and returns the summary of the second before if this is the first of a new one.
    pub fn record(&mut self, source: &str, rule: &'static str, at_micros: i64) -> Option<RefusalSummary> {
        let ended = self.tick(at_micros);
        if self.is_empty() {
            self.second = at_micros.div_euclid(SECOND);
        }
        let source = source.get(..source.floor_char_boundary(MAX_SOURCE_BYTES)).unwrap_or_default();
        if let Some(count) = self.counts.get_mut(source) {
            *count += 1;
        } else if self.counts.len() < self.max_sources {
            self.counts.insert(source.to_owned(), 1);
        } else {
            self.other_sources += 1;
        }
        *self.reasons.entry(rule).or_default() += 1;
        ended
    }

    /// Returns the summary if its second is over. Call it about once a second, as refusals may just stop.
    ///
    /// A time before the second that is being counted ends nothing: clocks of several threads are not in order.
    pub fn tick(&mut self, at_micros: i64) -> Option<RefusalSummary> {
        if at_micros.div_euclid(SECOND) > self.second { self.take() } else { None }
    }

    /// Returns what is counted, over or not; for shutting down.
    pub fn take(&mut self) -> Option<RefusalSummary> {
        if self.is_empty() {
            return None;
        }
        let mut sources: Vec<_> = self.counts.drain().map(|(source, count)| SourceCount { source, count }).collect();
        sources.sort_unstable_by(|a, b| b.count.cmp(&a.count).then_with(|| a.source.cmp(&b.source)));
        let other_sources = mem::take(&mut self.other_sources);
        let total = other_sources + sources.iter().map(|source| source.count).sum::<u64>();
        let reasons =
            mem::take(&mut self.reasons).into_iter().map(|(rule, count)| ReasonCount { rule, count }).collect();
        let second_micros = self.second.saturating_mul(SECOND);
        Some(RefusalSummary { second_micros, total, sources, other_sources, reasons })
    }

    fn is_empty(&self) -> bool {
        self.counts.is_empty() && self.other_sources == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Chain, Entry, Id};

    /// Feeds (source, milliseconds) and returns the summaries as `second: source=count …, +others`.
    fn check(max_sources: usize, refusals: &[(&str, i64)], expected: &[&str]) {
        let mut counter = RefusalCounter::new(max_sources);
        let mut summaries: Vec<_> =
            refusals.iter().filter_map(|(source, millis)| counter.record(source, "a.b", millis * 1000)).collect();
        summaries.extend(counter.take());
        let written: Vec<_> = summaries.iter().map(write).collect();
        assert_eq!(written, expected);
        assert_eq!(summaries.iter().map(|summary| summary.total).sum::<u64>(), refusals.len() as u64);
    }

    fn write(summary: &RefusalSummary) -> String {
        let sources: Vec<_> = summary.sources.iter().map(|s| format!("{}={}", s.source, s.count)).collect();
        format!("{}: {}, +{}", summary.second_micros / SECOND, sources.join(" "), summary.other_sources)
    }

    #[test]
    fn refusals_are_counted_by_source_and_second() {
        check(8, &[], &[]);
        check(8, &[("a", 0), ("b", 1), ("b", 999)], &["0: b=2 a=1, +0"]);
        check(8, &[("a", 999), ("a", 1000), ("b", 5500)], &["0: a=1, +0", "1: a=1, +0", "5: b=1, +0"]);
    }

    #[test]
    fn sources_beyond_the_table_are_counted_together() {
        check(2, &[("a", 0), ("b", 0), ("c", 0), ("d", 0), ("a", 0)], &["0: a=2 b=1, +2"]);
        check(0, &[("a", 0), ("b", 0)], &["0: , +2"]);
    }

    #[test]
    fn every_refusal_is_counted_under_its_rule() {
        let mut counter = RefusalCounter::new(1);
        for (source, rule) in [("a", "x.b"), ("b", "x.a"), ("c", "x.b"), ("a", "x.b")] {
            counter.record(source, rule, 0);
        }
        let reasons = |summary: RefusalSummary| {
            summary
                .reasons
                .iter()
                .map(|reason| format!("{}={}", reason.rule, reason.count))
                .collect::<Vec<_>>()
                .join(" ")
        };
        // Also those whose source had no room, and none of the second before.
        assert_eq!(counter.record("a", "x.c", 1_000_000).map(reasons).as_deref(), Some("x.a=1 x.b=3"));
        assert_eq!(counter.take().map(reasons).as_deref(), Some("x.c=1"));
    }

    #[test]
    fn a_clock_that_steps_back_ends_nothing() {
        check(8, &[("a", 2000), ("a", 1999), ("a", 2001)], &["2: a=3, +0"]);
    }

    #[test]
    fn a_quiet_second_is_ended_by_a_tick() {
        let mut counter = RefusalCounter::default();
        assert_eq!(counter.tick(0), None);
        assert_eq!(counter.record("a", "a.b", 500), None);
        assert_eq!(counter.tick(999_999), None);
        assert_eq!(counter.tick(1_000_000).map(|summary| summary.total), Some(1));
        assert_eq!(counter.tick(2_000_000), None);
    }

    #[test]
    fn the_largest_summary_fits_a_line() {
        let mut counter = RefusalCounter::new(usize::MAX);
        for source in 0..5000 {
            // A control character is six characters in JSON, which is the most.
            counter.record(&format!("{source:04}{}", "\u{1}".repeat(200)), "a.b", 0);
        }
        let summary = counter.take().unwrap();
        assert_eq!((summary.sources.len(), summary.other_sources), (2048, 2952));
        let entry = Entry { id: Id::from([0; 16]), at_micros: 0, kind: "refused", fields: &summary };
        crate::entry::render(&mut Vec::new(), u64::MAX, &Chain::genesis(&[0; 16]), &entry).unwrap();
    }
}
