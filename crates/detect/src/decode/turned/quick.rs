//! Tells of nearly all lines that they make sense in no other way than they stand, sixty-four bytes at a time.

use std::ops::Range;

use super::hints::{Turned, is_disguised, turned};
use super::{MIN_LETTERS, MIN_WORDS};
use crate::ascii::{BLOCK, Block};

/// Signs that stand for letters; nearly all digits do as well.
const SIGNS: [u8; 5] = [b'!', b'|', b'@', b'$', b'+'];

/// What was seen of a line so far.
#[derive(Default)]
struct Seen {
    /// Words of the list turned by 13, from their end, and with signs for letters.
    rot13: usize,
    reversed: usize,
    disguised: usize,
    /// Letters that stand apart, and characters that may be such.
    apart: u32,
}

/// Whether the line may make sense in another way; it is never said of one that does that it may not.
pub(super) fn may_make_sense(text: &[u8], line: Range<usize>) -> bool {
    let mut seen = Seen::default();
    // Where the word of letters began that goes on in the next block, and where the one with signs ended that was looked at last.
    let (mut begun, mut looked) = (None, line.start);
    let mut before = Carry::default();
    let mut at = line.start;
    while at < line.end {
        let masks = Masks::of(text, at, line.end);
        let starts = masks.letters & !(masks.letters << 1 | before.letter);
        let ends = !masks.letters & (masks.letters << 1 | before.letter);
        seen.words(text, at, (starts, ends), &mut begun);
        // A letter beside a sign.
        let beside =
            masks.letters & (masks.signs << 1 | before.sign) | masks.signs & (masks.letters << 1 | before.letter);
        seen.with_signs(text, (at, &line), beside, &mut looked);
        let any = masks.letters | masks.digits | masks.firsts;
        let single = masks.letters & !(any << 1 | before.any) & !(any >> 1);
        seen.apart += single.count_ones() + masks.firsts.count_ones();
        before = Carry { letter: masks.letters >> 63, sign: masks.signs >> 63, any: any >> 63 };
        at += BLOCK;
    }
    if let Some(start) = begun {
        seen.word(text, start..line.end);
    }
    seen.rot13 >= MIN_WORDS
        || seen.reversed >= MIN_WORDS
        || seen.disguised >= MIN_WORDS - 1
        || seen.apart as usize >= MIN_LETTERS
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
}

impl Masks {
    fn of(text: &[u8], at: usize, end: usize) -> Masks {
        let block = Block::of(text, at);
        let within = if end - at < BLOCK { (1 << (end - at)) - 1 } else { u64::MAX };
        let digits = block.digits() & within;
        Masks {
            letters: block.letters() & within,
            digits,
            signs: block.any_of(SIGNS) & within | digits,
            firsts: block.firsts() & within,
        }
    }
}

impl Seen {
    /// Looks at the words of letters that end in a block.
    fn words(&mut self, text: &[u8], at: usize, (mut starts, mut ends): (u64, u64), begun: &mut Option<usize>) {
        while ends != 0 {
            let end = at + ends.trailing_zeros() as usize;
            ends &= ends - 1;
            let start = begun.take().unwrap_or_else(|| next(at, &mut starts));
            self.word(text, start..end);
        }
        if starts != 0 {
            *begun = Some(next(at, &mut starts));
        }
    }

    fn word(&mut self, text: &[u8], word: Range<usize>) {
        let Turned { rot13, reversed } = turned(text, word);
        self.rot13 += usize::from(rot13);
        self.reversed += usize::from(reversed);
    }

    /// Looks at the words in which a letter stands beside a sign at one of these places.
    fn with_signs(&mut self, text: &[u8], (at, line): (usize, &Range<usize>), mut beside: u64, looked: &mut usize) {
        while beside != 0 {
            let place = at + beside.trailing_zeros() as usize;
            beside &= beside - 1;
            if place < *looked {
                continue;
            }
            let is_part = |byte: &&u8| byte.is_ascii_alphabetic() || super::letter(**byte) != **byte;
            let before = text.get(line.start..place).unwrap_or_default();
            let start = place - before.iter().rev().take_while(is_part).count();
            let after = text.get(place..line.end).unwrap_or_default();
            let end = place + after.iter().take_while(is_part).count();
            *looked = end;
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
