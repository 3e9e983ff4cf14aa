//! What the classifier sees of a text: in each cell of it, which words there are, which stand side by side, and
//! which begin a sentence. Each is a number; what is seen twice in a cell counts once.

use std::ops::Range;

use super::words::{self, Made, Word, mix};

/// Bytes of a cell. Two cells in a row are a window, about a sentence: as the longer windows are, the less one sentence weighs
/// in them.
pub(super) const CELL: usize = 75;

/// Bytes that are looked at together, so that a long text needs no more memory than a short one.
const BLOCK: usize = 16 * 1024;

/// What is needed while a text is looked at, kept from text to text.
#[derive(Debug)]
pub struct Scratch {
    words: Vec<Word>,
    /// The features of one cell.
    cell: Vec<u32>,
    /// By some bits of a feature, the last one of those bits that was seen, and in which cell.
    seen: Box<[u64; SEEN]>,
    /// Cells are counted on from text to text, so that nothing has to be wiped between them.
    count: u32,
}

const SEEN: usize = 1 << 11;

/// The feature of a word, wherever it stands.
#[inline(always)]
pub(super) fn alone(hash: u64) -> u32 {
    feature(hash, 11)
}

#[inline(always)]
fn feature(hash: u64, what: u64) -> u32 {
    (mix(hash ^ what) >> 32) as u32
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch { words: Vec::new(), cell: Vec::new(), seen: Box::new([0; SEEN]), count: 0 }
    }
}

impl Scratch {
    /// Shows each cell of `text`: its bytes and its features, each once. A text without words has no cell.
    pub fn cells(&mut self, text: &str, show: impl FnMut(Range<usize>, &[u32])) {
        self.cells_of(text, 0..text.len(), show);
    }

    /// The same of a part of a text, which begins with a word.
    pub(super) fn cells_of(&mut self, text: &str, part: Range<usize>, mut show: impl FnMut(Range<usize>, &[u32])) {
        let (mut at, mut begins) = (part.start, words::begins_at(text, part.start));
        while at < part.end {
            let end = text.ceil_char_boundary(at.saturating_add(BLOCK)).min(part.end);
            let block = (text.get(at..end).unwrap_or_default(), begins, end == part.end);
            let next = self.block(block, |range, ids| show(at + range.start..at + range.end, ids));
            let Some((next, next_begins)) = next else { break };
            (at, begins) = (at + next.max(1), next_begins);
        }
    }

    /// Shows the cells of a block of a text, of which it is known whether its first word begins something and whether it is the
    /// last. Gives where the next block begins, and whether its first word does: what may go on after this one is not shown.
    fn block(
        &mut self,
        (block, begins, last): (&str, bool, bool),
        mut show: impl FnMut(Range<usize>, &[u32]),
    ) -> Option<(usize, bool)> {
        words::read(block, begins, &mut self.words);
        let mut from = 0;
        while let Some(first) = self.words.get(from) {
            let start = first.start as usize;
            let within = |word: &&Word| word.end as usize - start <= CELL;
            let rest = self.words.get(from..).unwrap_or_default();
            let to = from + rest.iter().take_while(within).count().max(1);
            let end = self.words.get(to - 1).map_or(start, |word| word.end as usize);
            if to >= self.words.len() && !last && from > 0 {
                return Some((start, first.begins));
            }
            self.collect(from, to);
            show(start..end, &self.cell);
            from = to;
        }
        (!last).then_some((block.len(), false))
    }

    /// Puts the features of the words `from..to` together, each once.
    fn collect(&mut self, from: usize, to: usize) {
        self.count = match self.count.checked_add(1) {
            Some(count) => count,
            None => {
                self.seen.fill(0);
                1
            }
        };
        let Scratch { words, cell, seen, count, .. } = self;
        // Of a word there are at most four.
        cell.resize(4 * (to - from), 0);
        let mut length = 0;
        // Without a branch for what is seen again, which nothing foretells.
        let mut put = |id: u32| {
            let mark = u64::from(*count) << 32 | u64::from(id);
            let (Some(seen), Some(room)) = (seen.get_mut(id as usize % SEEN), cell.get_mut(length)) else { return };
            *room = id;
            length += usize::from(std::mem::replace(seen, mark) != mark);
        };
        for (index, word) in words.iter().enumerate().take(to).skip(from) {
            put(alone(word.hash));
            let after = words.get(index + 1..).unwrap_or_default();
            if let Some(next) = after.first() {
                put(feature(word.hash.wrapping_mul(3) ^ next.hash, 12));
            }
            if word.made == Made::Letters && word.begins {
                put(feature(word.hash, 21));
                let next = after.iter().take(6).find(|word| word.made == Made::Letters);
                next.inspect(|next| put(feature(word.hash.wrapping_mul(3) ^ next.hash, 22)));
            }
        }
        cell.truncate(length);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cells(text: &str) -> Vec<(Range<usize>, Vec<u32>)> {
        let mut all = Vec::new();
        Scratch::default().cells(text, |range, ids| all.push((range, ids.to_vec())));
        all
    }

    #[test]
    fn a_short_text_is_one_cell_in_which_each_feature_counts_once() {
        assert_eq!(cells(""), []);
        assert_eq!(cells(" \n\t "), []);
        let once = cells("send it");
        assert_eq!(once.len(), 1);
        assert_eq!(once[0].0, 0..7);
        let mut twice = cells("send it send it").remove(0).1;
        let length = twice.len();
        twice.sort_unstable();
        twice.dedup();
        assert_eq!(twice.len(), length);
        assert!(once[0].1.iter().all(|id| twice.contains(id)));
    }

    #[test]
    fn a_long_text_has_the_cells_that_it_would_have_at_once() {
        let text = "Send the report to the office, then wait; 42 times – ñandú.\n".repeat(1200);
        assert!(text.len() > 4 * BLOCK);
        let (long, mut whole) = (cells(&text), Vec::new());
        Scratch::default().block((&text, true, true), |range, ids| whole.push((range, ids.to_vec())));
        assert_eq!(long.len(), whole.len());
        // What stands at the end of a block has no neighbours after it.
        let differ = long.iter().zip(&whole).filter(|(one, other)| one != other).count();
        assert!(differ <= 2 * text.len() / BLOCK, "{differ}");
        assert!(long.iter().zip(&whole).all(|(one, other)| one.0 == other.0));
    }

    #[test]
    fn a_longer_text_and_another_one_need_no_more_room() {
        let room = |scratch: &Scratch| {
            let Scratch { words, cell, seen, .. } = scratch;
            (words.capacity(), words.as_ptr(), cell.capacity(), cell.as_ptr(), seen.as_ptr())
        };
        let line = "Send the report to the office, then wait; 42 times – ñandú.\n";
        let mut scratch = Scratch::default();
        scratch.cells(&line.repeat(600), |_, _| ());
        let first = room(&scratch);
        assert!(first.0 > 0 && first.2 > 0);
        for text in [line.repeat(6_000), line.to_uppercase().repeat(900), "a few words".to_owned()] {
            let mut features = 0;
            scratch.cells(&text, |_, ids| features += ids.len());
            assert!(features > 0);
            assert_eq!(room(&scratch), first, "{features} features");
        }
    }

    proptest! {
        #[test]
        fn cells_cover_the_text_and_are_the_same_again(text in "(\\PC{0,30}[ -~]{0,60}\n?){0,30}") {
            let mut scratch = Scratch::default();
            let mut first = Vec::new();
            scratch.cells(&text, |range, ids| first.push((range, ids.to_vec())));
            let mut again = Vec::new();
            scratch.cells(&text, |range, ids| again.push((range, ids.to_vec())));
            prop_assert_eq!(&first, &again);
            let mut reached = 0;
            for (range, _) in &first {
                prop_assert!(text.get(range.clone()).is_some_and(|part| !part.is_empty()));
                prop_assert!(text.get(reached..range.start).unwrap().trim().is_empty());
                reached = range.end;
            }
            prop_assert!(text.get(reached..).unwrap().trim().is_empty());
            prop_assert!(first.len() <= text.len() / (CELL / 4) + 2, "{} cells of {}", first.len(), text.len());
        }
    }
}
