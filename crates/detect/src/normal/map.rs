//! From each place of a text made of another one to where it came from.

use std::ops::Range;

/// Runs in the order of both texts. Between two runs, what stands in the original was left out.
///
/// A text letter by letter has as many runs as letters, so that a run is kept small: no text is longer than 4 GiB.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Map {
    runs: Vec<Run>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    /// Its first byte in the text that was made.
    at: u32,
    start: u32,
    /// The end of what all bytes stand for; [`COPIED`] if each byte came from one byte.
    end: u32,
}

const COPIED: u32 = u32::MAX;

impl Run {
    fn new(at: usize, start: usize, end: u32) -> Run {
        Run { at: place(at), start: place(start), end }
    }

    fn at(self) -> usize {
        self.at as usize
    }

    fn start(self) -> usize {
        self.start as usize
    }

    fn is_copied(self) -> bool {
        self.end == COPIED
    }

    fn from(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(COPIED).min(COPIED - 1)
}

impl Map {
    /// From `at` on, bytes are those of the original from `from` on.
    pub(crate) fn copied(&mut self, at: usize, from: usize) {
        self.begin(Run::new(at, from, COPIED));
    }

    /// From `at` on, bytes stand for those of `from`.
    pub(crate) fn stands_for(&mut self, at: usize, from: Range<usize>) {
        self.begin(Run::new(at, from.start, place(from.end)));
    }

    /// From `at` on, bytes came from where `other` says that its own did.
    pub(crate) fn append(&mut self, at: usize, other: &Map) {
        for run in &other.runs {
            self.begin(Run { at: place(at + run.at()), ..*run });
        }
    }

    /// One that made nothing of what it is about leaves no trace.
    fn begin(&mut self, run: Run) {
        match self.runs.last_mut() {
            Some(last) if last.at == run.at => *last = run,
            _ => self.runs.push(run),
        }
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
            if !run.is_copied() {
                map.stands_for(run.at(), outer.original(run.from(), length));
                continue;
            }
            // A copied run is as many as the runs that it lies in.
            let end = self.runs.get(index + 1).map_or(usize::MAX, |next| run.start() + (next.at() - run.at()));
            let first = outer.runs.partition_point(|other| other.at() <= run.start()).saturating_sub(1);
            for other in outer.runs.iter().skip(first).take_while(|other| other.at() < end) {
                let from = other.at().max(run.start());
                let at = run.at() + (from - run.start());
                if other.is_copied() {
                    map.copied(at, other.start() + (from - other.at()));
                } else {
                    map.stands_for(at, other.from());
                }
            }
        }
        map
    }

    /// Where one byte came from.
    fn of_byte(&self, at: usize) -> Range<usize> {
        let next = self.runs.partition_point(|run| run.at() <= at);
        let Some(run) = next.checked_sub(1).and_then(|index| self.runs.get(index)) else { return 0..0 };
        if !run.is_copied() {
            return run.from();
        }
        let place = run.start() + (at - run.at());
        place..place + 1
    }
}
