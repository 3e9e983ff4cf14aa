//! From each place of a text made of another one to where it came from.

use std::ops::Range;

/// Runs in the order of both texts. Between two runs, what stands in the original was left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Map {
    runs: Vec<Run>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    /// Its first byte in the text that was made.
    at: usize,
    from: Range<usize>,
    /// Whether each byte came from one byte; else all of them stand for all that they came from.
    copied: bool,
}

impl Map {
    /// From `at` on, bytes are those of the original from `from` on.
    pub(crate) fn copied(&mut self, at: usize, from: usize) {
        self.begin(Run { at, from: from..from, copied: true });
    }

    /// From `at` on, bytes stand for those of `from`.
    pub(crate) fn stands_for(&mut self, at: usize, from: Range<usize>) {
        self.begin(Run { at, from, copied: false });
    }

    /// One that made nothing of what it is about leaves no trace.
    fn begin(&mut self, run: Run) {
        if self.runs.last().is_some_and(|last| last.at == run.at) {
            self.runs.pop();
        }
        self.runs.push(run);
    }

    /// Where the bytes of `range` came from, of a text of `length`; what is beyond it came from the end.
    pub(crate) fn original(&self, range: Range<usize>, length: usize) -> Range<usize> {
        let end_of = |at: usize| at.checked_sub(1).map_or(0, |last| self.of_byte(last).end);
        let end = end_of(range.end.min(length));
        let start = if range.start < length { self.of_byte(range.start).start } else { end };
        start..if range.is_empty() { start } else { end.max(start) }
    }

    /// Where one byte came from.
    fn of_byte(&self, at: usize) -> Range<usize> {
        let next = self.runs.partition_point(|run| run.at <= at);
        let Some(run) = next.checked_sub(1).and_then(|index| self.runs.get(index)) else { return 0..0 };
        if !run.copied {
            return run.from.clone();
        }
        let place = run.from.start + (at - run.at);
        place..place + 1
    }
}
