//! Tells of nearly all lines that they make sense in no other way than they stand, sixty-four bytes of a text at a time.

use std::ops::Range;

use super::hints::{Turned, is_disguised, shapes, turned};
use super::{MIN_LETTERS, MIN_WORDS, SHAPES};
use crate::ascii::{BLOCK, Block};

/// Signs that stand for letters; nearly all digits do as well.
const SIGNS: [u8; 5] = [b'!', b'|', b'@', b'$', b'+'];

/// What was seen of a line so far.
struct Seen {
    shapes: &'static [u16; SHAPES.len()],
    /// Where the line began.
    start: usize,
    /// Words of the list turned by 13, from their end, and with signs for letters.
    rot13: usize,
    reversed: usize,
    disguised: usize,
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
        let masks = Masks::of(text, at);
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
            seen.words(text, at, (starts & part, ends & part));
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
        seen.word(text, start..text.len());
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
    fn of(text: &[u8], at: usize) -> Masks {
        let block = Block::of(text, at);
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
        Seen { shapes, start, rot13: 0, reversed: 0, disguised: 0, apart: 0, begun: None, looked: start }
    }

    fn may_make_sense(&self) -> bool {
        self.rot13 >= MIN_WORDS
            || self.reversed >= MIN_WORDS
            || self.disguised >= MIN_WORDS - 1
            || self.apart as usize >= MIN_LETTERS
    }

    /// Looks at the words of letters that end in a part of a block.
    fn words(&mut self, text: &[u8], at: usize, (mut starts, mut ends): (u64, u64)) {
        while ends != 0 {
            let end = at + ends.trailing_zeros() as usize;
            ends &= ends - 1;
            let start = self.begun.take().unwrap_or_else(|| next(at, &mut starts));
            self.word(text, start..end);
        }
        if starts != 0 {
            self.begun = Some(next(at, &mut starts));
        }
    }

    #[inline(always)]
    fn word(&mut self, text: &[u8], word: Range<usize>) {
        let Turned { rot13, reversed } = turned(self.shapes, text, word);
        self.rot13 += usize::from(rot13);
        self.reversed += usize::from(reversed);
    }

    /// Looks at the words in which a letter stands beside a sign at one of these places.
    fn with_signs(&mut self, text: &[u8], at: usize, mut beside: u64) {
        while beside != 0 {
            let place = at + beside.trailing_zeros() as usize;
            beside &= beside - 1;
            if place < self.looked {
                continue;
            }
            let is_part = |byte: &&u8| byte.is_ascii_alphabetic() || super::letter(**byte) != **byte;
            let before = text.get(self.start..place).unwrap_or_default();
            let start = place - before.iter().rev().take_while(is_part).count();
            let after = text.get(place..).unwrap_or_default();
            let end = place + after.iter().take_while(is_part).count();
            self.looked = end;
            self.disguised += usize::from(is_disguised(text.get(start..end).unwrap_or_default()));
        }
    }
}

/// The place of the lowest bit, which is taken out.
fn next(at: usize, bits: &mut u64) -> usize {
    let place = at + bits.trailing_zeros() as usize;
    *bits &= bits.wrapping_sub(1);
    place
}
