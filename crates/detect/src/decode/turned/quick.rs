//! Tells of nearly all lines that they make sense in no other way than they stand, sixty-four bytes of a text at a time.

use std::ops::Range;

use super::hints::{Streak, Turned, is_disguised, shapes, turned};
use super::{MIN_LETTERS, MIN_WORDS, SHAPES, shape};
use crate::ascii::{BLOCK, Block};

/// Signs that stand for letters; nearly all digits do as well.
const SIGNS: [u8; 5] = [b'!', b'|', b'@', b'$', b'+'];

/// What was seen of a line so far.
struct Seen {
    shapes: &'static [u16; SHAPES.len()],
    /// Where the line began.
    start: usize,
    /// Words of the list turned by 13, from their end, and with signs for letters.
    rot13: Streak,
    reversed: Streak,
    disguised: Streak,
    /// Letters that stand apart, and characters that may be such.
    apart: u32,
    /// Where the word of letters began that goes on in the next block, and where the one with signs ended that was looked at last.
    begun: Option<usize>,
    looked: usize,
}

/// Shows each line that may make sense in another way, with its end; of one that does none is left out.
pub(super) fn lines(text: &[u8], mut show: impl FnMut(Range<usize>)) {
    let mut seen = Seen::of(shapes(), 0);
    let mut before = Carry::default();
    let mut at = 0;
    while at < text.len() {
        let block = Block::of(text, at);
        let masks = Masks::of(&block);
        let starts = masks.letters & !(masks.letters << 1 | before.letter);
        let ends = !masks.letters & (masks.letters << 1 | before.letter);
        // A letter beside a sign.
        let beside =
            masks.letters & (masks.signs << 1 | before.sign) | masks.signs & (masks.letters << 1 | before.letter);
        let any = masks.letters | masks.digits | masks.firsts;
        let single = masks.letters & !(any << 1 | before.any) & !(any >> 1) | masks.firsts;
        let (mut lines, mut from) = (masks.lines, 0);
        // One line after the other, the last of which goes on.
        loop {
            let next = lines.trailing_zeros();
            // A word ends where its line does.
            let part = up_to(next + 1) & !up_to(from);
            seen.words((text, at), &block.bytes(), (starts & part, ends & part));
            seen.with_signs(text, at, beside & part);
            seen.apart += (single & part).count_ones();
            if lines == 0 {
                break;
            }
            lines &= lines - 1;
            from = next + 1;
            let end = at + from as usize;
            if seen.may_make_sense() {
                show(seen.start..end);
            }
            seen = Seen::of(seen.shapes, end);
        }
        before = Carry { letter: masks.letters >> 63, sign: masks.signs >> 63, any: any >> 63 };
        at += BLOCK;
    }
    if let Some(start) = seen.begun.take() {
        seen.look_up(text, start..text.len());
    }
    if seen.may_make_sense() {
        show(seen.start..text.len());
    }
}

/// The bits below one.
fn up_to(bit: u32) -> u64 {
    1_u64.checked_shl(bit).map_or(u64::MAX, |bit| bit - 1)
}

/// What the last byte of the block before was.
#[derive(Default)]
struct Carry {
    letter: u64,
    sign: u64,
    any: u64,
}

struct Masks {
    letters: u64,
    digits: u64,
    signs: u64,
    firsts: u64,
    lines: u64,
}

impl Masks {
    fn of(block: &Block) -> Masks {
        let digits = block.digits();
        Masks {
            letters: block.letters(),
            digits,
            signs: block.any_of(SIGNS) | digits,
            firsts: block.firsts(),
            lines: block.any_of([b'\n']),
        }
    }
}

impl Seen {
    fn of(shapes: &'static [u16; SHAPES.len()], start: usize) -> Seen {
        let [rot13, reversed, disguised] = [const { Streak::NONE }; 3];
        Seen { shapes, start, rot13, reversed, disguised, apart: 0, begun: None, looked: start }
    }

    fn may_make_sense(&self) -> bool {
        self.rot13.has(MIN_WORDS)
            || self.reversed.has(MIN_WORDS)
            || self.disguised.has(MIN_WORDS - 1)
            || self.apart as usize >= MIN_LETTERS
    }

    /// Looks at the words of letters that end in a part of a block.
    fn words(&mut self, (text, at): (&[u8], usize), block: &[u8; BLOCK], (mut starts, mut ends): (u64, u64)) {
        if ends != 0
            && let Some(start) = self.begun.take()
        {
            self.look_up(text, start..at + next(&mut ends));
        }
        while ends != 0 {
            let (start, end) = (next(&mut starts), next(&mut ends));
            let byte = |at: usize| block.get(at % BLOCK).copied().unwrap_or_default();
            let lengths = self.shapes.get(shape(byte(start), byte(end.wrapping_sub(1)))).copied().unwrap_or_default();
            // Of nearly all words their shape says that they are none. Of lengths that are too large for it no bit is set.
            if u32::from(lengths) >> (end - start).min(16) & 1 == 1 {
                self.look_up(text, at + start..at + end);
            }
        }
        if starts != 0 {
            self.begun = Some(at + next(&mut starts));
        }
    }

    #[cold]
    fn look_up(&mut self, text: &[u8], word: Range<usize>) {
        let at = word.start;
        let Turned { rot13, reversed } = turned(text, word);
        for (streak, _) in [(&mut self.rot13, rot13), (&mut self.reversed, reversed)].into_iter().filter(|(_, is)| *is)
        {
            streak.see(at);
        }
    }

    /// Looks at the words in which a letter stands beside a sign at one of these places.
    fn with_signs(&mut self, text: &[u8], at: usize, mut beside: u64) {
        while beside != 0 {
            let place = at + beside.trailing_zeros() as usize;
            beside &= beside - 1;
            if place < self.looked {
                continue;
            }
            let is_part = |byte: &&u8| super::is_part(**byte);
            let before = text.get(self.start..place).unwrap_or_default();
            let start = place - before.iter().rev().take_while(is_part).count();
            let after = text.get(place..).unwrap_or_default();
            let end = place + after.iter().take_while(is_part).count();
            self.looked = end;
            if is_disguised(text, start..end) {
                self.disguised.see(start);
            }
        }
    }
}

/// The place of the lowest bit, which is taken out.
#[inline(always)]
fn next(bits: &mut u64) -> usize {
    let place = bits.trailing_zeros() as usize;
    *bits &= bits.wrapping_sub(1);
    place
}
