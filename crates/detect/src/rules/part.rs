//! Where in a part of a text words and signs are, as bits: so most of it is passed over without a look at each byte.

use crate::ascii::{BLOCK, Block};

/// Signs that say something about the words around them; all others are passed over.
const SIGNS: [(u8, u8); 8] = [
    (b'\n', b'\n'),
    (b'!', b'"'),
    (b'\'', b'\''),
    (b'.', b'.'),
    (b';', b';'),
    (b'>', b'@'),
    (b'`', b'`'),
    (b'|', b'|'),
];

/// Which of sixty-four bytes are what, and which of the sixty-four after them, as a word may go on there.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) start: usize,
    pub(super) words: [u64; 2],
    /// Of words what is no letter.
    pub(super) others: [u64; 2],
    /// What is not passed over and in no word.
    pub(super) signs: [u64; 2],
}

impl Part {
    pub(super) fn of(bytes: &[u8], start: usize) -> Part {
        Part { start, words: [0; 2], others: [0; 2], signs: [0; 2] }.with_next(bytes, start).next(bytes, start)
    }

    /// The part that begins at `start`, which is where the second half of this one begins.
    pub(super) fn next(self, bytes: &[u8], start: usize) -> Part {
        let ([_, words], [_, others], [_, signs]) = (self.words, self.others, self.signs);
        let next = Part { start, words: [words, 0], others: [others, 0], signs: [signs, 0] };
        next.with_next(bytes, start.saturating_add(BLOCK))
    }

    #[inline(always)]
    fn with_next(mut self, bytes: &[u8], at: usize) -> Part {
        if at < bytes.len() {
            let block = Block::of(bytes, at);
            let ([_, words], [_, others], [_, signs]) = (&mut self.words, &mut self.others, &mut self.signs);
            *words = block.words();
            *others = *words & !block.letters();
            *signs = block.within(SIGNS) | block.not_ascii();
        }
        self
    }
}

/// Sixty-four bits of which the first is that one of the first half.
#[inline(always)]
pub(super) fn from([here, next]: [u64; 2], bit: u32) -> u64 {
    here >> bit | (next << 1) << (63 - bit)
}
