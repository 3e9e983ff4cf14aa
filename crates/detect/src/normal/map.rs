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
        let Some(last) = range.end.min(length).checked_sub(1) else { return 0..0 };
        let last = self.of_byte(last);
        if range.start >= length {
            return last.end..last.end;
        }
        let first = self.of_byte(range.start);
        if range.is_empty() {
            return first.start..first.start;
        }
        // A text may have been made from the end to the beginning.
        first.start.min(last.start)..first.end.max(last.end)
    }

    /// The way back through `outer`, which leads further back from a text of `length`.
    pub(crate) fn through(&self, outer: &Map, length: usize) -> Map {
        let mut map = Map::default();
        for (index, run) in self.runs.iter().enumerate() {
            if !run.copied {
                map.stands_for(run.at, outer.original(run.from.clone(), length));
                continue;
            }
            // A copied run is as many as the runs that it lies in.
            let end = self.runs.get(index + 1).map_or(usize::MAX, |next| run.from.start + (next.at - run.at));
            let first = outer.runs.partition_point(|other| other.at <= run.from.start).saturating_sub(1);
            for other in outer.runs.iter().skip(first).take_while(|other| other.at < end) {
                let from = other.at.max(run.from.start);
                let at = run.at + (from - run.from.start);
                if other.copied {
                    map.copied(at, other.from.start + (from - other.at));
                } else {
                    map.stands_for(at, other.from.clone());
                }
            }
        }
        map
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
