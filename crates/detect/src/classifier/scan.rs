//! A scan of every word of a text, so cheap that no text is spared it: it tells in which parts of a text the classifier is worth
//! asking, which costs ten times as much.
//!
//! It adds up what the classifier has learnt about single words, without pairs, marks and places, for words that the rules have
//! read already. Its cut is set so that most windows of honest texts stay below. How many attacks stay below with them is
//! measured beside what the classifier itself misses (see `docs/src/detection.md`).

use std::ops::Range;

use super::features::{CELL, alone};
use super::words::{self, LETTERS};
use super::{Cell, Classifier, Head, Window};
use crate::Kind;
use crate::rules::{Along, Token, Words};

/// A scan of the readings of one text, of which the words are shown one by one.
pub(crate) struct Scan<'c> {
    head: &'c Head,
    worth: &'c [f32; 256],
    shift: u32,
    /// What a window is worth at least in which the classifier is asked.
    cut: f32,
    before: Option<Cell>,
    cell: Cell,
    scanned: Scanned,
    ended: Vec<Scanned>,
}

/// What a scan tells of a text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scanned {
    /// The parts in which the classifier is worth asking, in order and apart from each other.
    pub(crate) pointed: Vec<Range<usize>>,
    /// How many windows the text has.
    pub(crate) windows: usize,
    /// What the highest of them is worth, as far as single words tell.
    pub(crate) highest: f32,
}

impl Default for Scanned {
    fn default() -> Scanned {
        Scanned { pointed: Vec::new(), windows: 0, highest: f32::MIN }
    }
}

impl<'c> Scan<'c> {
    /// A scan of a text of that kind, in which the classifier is to speak up from the probability `threshold` on; as usual if
    /// there is none.
    pub(super) fn new(classifier: &'c Classifier, kind: Kind, threshold: Option<f32>) -> Option<Scan<'c>> {
        let scale = classifier.model.scale(kind);
        let index = scale.head as usize;
        let (head, worth) = (classifier.model.heads.get(index)?, classifier.worth.get(index)?);
        // Who wants to hear of less has to look at more.
        let sooner = threshold.map_or(0.0, |threshold| scale.raw(scale.wary) - scale.raw(threshold));
        Some(Scan {
            head,
            worth,
            shift: 32 - classifier.model.bits,
            cut: if sooner.is_nan() { f32::MIN } else { scale.cut - sooner.max(0.0) },
            before: None,
            cell: Cell::default(),
            scanned: Scanned::default(),
            ended: Vec::new(),
        })
    }

    /// What it tells of a text that nobody has read yet.
    pub(super) fn of(mut self, text: &str) -> Scanned {
        let mut words = Words::of(text, 0);
        while let Some(word) = words.next() {
            self.word(text, &word);
        }
        self.end();
        self.ended.pop().unwrap_or_default()
    }

    #[inline(always)]
    fn step(&mut self, place: &Range<usize>) {
        if place.end - self.cell.range.start > CELL || self.cell.count == 0 {
            self.close(place.start);
        }
        self.cell.range.end = place.end;
    }

    #[inline(always)]
    fn add(&mut self, hash: u64) {
        let weight = self.head.weights.get((alone(hash) >> self.shift) as usize).copied().unwrap_or(0);
        self.cell.sum += self.worth.get(usize::from(weight)).copied().unwrap_or(0.0);
        self.cell.count += 1;
    }

    /// A word of other letters than those of ASCII, or a name: what it consists of.
    #[inline(never)]
    fn add_each(&mut self, text: &str, place: Range<usize>) {
        words::each(text.get(place).unwrap_or_default(), |hash| self.add(hash));
    }

    /// Ends a cell; the next one begins at `next`.
    fn close(&mut self, next: usize) {
        let cell = std::mem::replace(&mut self.cell, Cell { range: next..next, sum: 0.0, count: 0 });
        if cell.count > 0 {
            if let Some(before) = self.before.take() {
                self.window(&before.with(&cell, self.head.bias));
            }
            self.before = Some(cell);
        }
    }

    fn window(&mut self, window: &Window) {
        self.scanned.windows += 1;
        self.scanned.highest = self.scanned.highest.max(window.raw);
        if window.raw >= self.cut {
            match self.scanned.pointed.last_mut() {
                Some(last) if window.range.start <= last.end => last.end = window.range.end,
                _ => self.scanned.pointed.push(window.range.clone()),
            }
        }
    }

    /// What it tells of each text whose words it was shown.
    pub(crate) fn take(self) -> Vec<Scanned> {
        self.ended
    }
}

impl Along for Scan<'_> {
    #[inline(always)]
    fn word(&mut self, text: &str, word: &Token<'_>) {
        let place = word.start..word.end;
        if word.is_letters() {
            self.step(&place);
            self.add(words::spread(word.packed.hash, LETTERS));
        } else if !word.says_nothing() {
            self.step(&place);
            self.add_each(text, place);
        }
    }

    fn end(&mut self) {
        self.close(0);
        // A text of one cell is a window.
        if let (Some(only), 0) = (self.before.take(), self.scanned.windows) {
            self.window(&only.alone(self.head.bias));
        }
        self.ended.push(std::mem::take(&mut self.scanned));
    }
}
