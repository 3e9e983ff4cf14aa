//! In one pass over a line, in which ways it may make sense.
//!
//! Nearly no line makes sense in any other way than it stands, and finding that out for each way by itself costs more than
//! all other layers together.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::LazyLock;

use super::super::Encoding;
use super::{MIN_LETTERS, MIN_WORDS, SHAPES, WORDS, letter, shape, turn};
use crate::ascii::{self, Head};

/// What a line is or may be. It is never said of a line that makes sense in some way that it does not.
pub(super) struct Hints {
    /// Words of the list turned by 13, and from their end.
    rot13: Streak,
    reversed: Streak,
    /// Words of the list with digits or signs in the place of letters.
    disguised: Streak,
    /// Letters in a row that stand apart from each other.
    apart: usize,
}

/// Words of one way of writing that stand near each other, with few between them that make sense as they stand, however long the
/// line is around them.
pub(super) struct Streak {
    now: usize,
    longest: usize,
    /// Where the last one was.
    last: usize,
}

/// Bytes behind which a word goes with none before. By chance there are enough words in a text that is long enough.
const FAR: usize = 256;

impl Streak {
    pub(super) const NONE: Streak = Streak { now: 0, longest: 0, last: 0 };

    /// The word at `at` is of this way of writing.
    pub(super) fn see(&mut self, at: usize) {
        self.now = if at.saturating_sub(self.last) > FAR { 1 } else { self.now + 1 };
        self.last = at;
        self.longest = self.longest.max(self.now);
    }

    /// A word makes sense as it stands, and not in this way of writing.
    fn see_plain(&mut self) {
        self.now = self.now.saturating_sub(2);
    }

    /// Whether so many words make sense so.
    pub(super) fn has(&self, words: usize) -> bool {
        self.longest >= words
    }
}

const PLAIN: u8 = 1;
const ROT13: u8 = 2;
const REVERSED: u8 = 4;

/// The words of the list, as they stand and turned, where they are found by what they are made of.
struct Known {
    /// For each first and last letter, one bit for each length of a form.
    shapes: [u16; SHAPES.len()],
    /// The same of the forms that are turned.
    turned: [u16; SHAPES.len()],
    forms: Vec<([u64; 2], u8)>,
    /// By some bits of a form, one more than its place, or than that of the first of some that follow each other.
    slots: Vec<u16>,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let mut forms = BTreeMap::<Vec<u8>, u8>::new();
    for word in WORDS {
        *forms.entry(word.bytes().collect()).or_default() |= PLAIN;
        *forms.entry(word.bytes().map(turn).collect()).or_default() |= ROT13;
        *forms.entry(word.bytes().rev().collect()).or_default() |= REVERSED;
    }
    let mut known =
        Known { shapes: [0; SHAPES.len()], turned: [0; SHAPES.len()], forms: Vec::new(), slots: vec![0; 1 << BITS] };
    for (index, (form, flags)) in forms.into_iter().enumerate() {
        if let Some(lengths) = known.shapes.get_mut(shape_of(&form)) {
            *lengths |= 1 << form.len();
        }
        if flags != PLAIN
            && let Some(lengths) = known.turned.get_mut(shape_of(&form))
        {
            *lengths |= 1 << form.len();
        }
        let letters = Head::of(&form, 0).first(form.len());
        known.forms.push((letters, flags));
        let first = place(letters);
        let free = (first..known.slots.len()).chain(0..first).find(|slot| known.slots.get(*slot) == Some(&0));
        if let Some(slot) = free.and_then(|free| known.slots.get_mut(free)) {
            *slot = u16::try_from(index + 1).unwrap_or(0);
        }
    }
    known
});

impl Known {
    /// What the word of letters at that place of a text is.
    fn flags_at(&self, text: &[u8], place: Range<usize>) -> u8 {
        let flags = self.flags(text.get(place.clone()).unwrap_or_default(), || Head::of(text, place.start));
        if flags != 0 && is_between_digits(text, &place) { 0 } else { flags }
    }

    /// What the word of these letters is.
    fn flags(&self, word: &[u8], head: impl Fn() -> Head) -> u8 {
        // Of most words it is told at once that they are none.
        if word.len() > LONGEST || self.shapes.get(shape_of(word)).is_none_or(|lengths| lengths >> word.len() & 1 == 0)
        {
            return 0;
        }
        let letters = head().first(word.len());
        let mut at = place(letters);
        loop {
            let Some(index) = self.slots.get(at).and_then(|slot| usize::from(*slot).checked_sub(1)) else { return 0 };
            match self.forms.get(index) {
                Some((form, flags)) if *form == letters => return *flags,
                _ => at = (at + 1) % self.slots.len(),
            }
        }
    }
}

/// Whether a word has two letters and is beside a digit: it is of a number, or was drawn by chance.
fn is_between_digits(text: &[u8], place: &Range<usize>) -> bool {
    let is_digit = |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(u8::is_ascii_digit);
    place.len() < 3 && (is_digit(place.start.checked_sub(1)) || is_digit(Some(place.end)))
}

/// Which word of the list a word of letters is, turned.
pub(super) struct Turned {
    pub(super) rot13: bool,
    pub(super) reversed: bool,
}

/// Of each first and last letter, for which lengths a form that is turned has them; see [`Known`].
pub(super) fn shapes() -> &'static [u16; SHAPES.len()] {
    &KNOWN.turned
}

/// What the word at that place of a text is.
pub(super) fn turned(text: &[u8], place: Range<usize>) -> Turned {
    let flags = KNOWN.flags_at(text, place);
    Turned { rot13: flags & ROT13 != 0, reversed: flags & REVERSED != 0 }
}

fn shape_of(word: &[u8]) -> usize {
    shape(word.first().copied().unwrap_or_default(), word.last().copied().unwrap_or_default())
}

const BITS: u32 = 11;

/// Letters of the longest word of the list.
const LONGEST: usize = 12;

fn place([low, high]: [u64; 2]) -> usize {
    ((low ^ high.rotate_left(32)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - BITS)) as usize
}

/// What a byte is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    /// A digit or sign that stands for a letter.
    Sign,
    Digit,
    /// A byte of a character that is not ASCII; the first of its bytes.
    First,
    /// One of its others.
    Further,
    Else,
}

static CLASSES: LazyLock<[Class; 256]> = LazyLock::new(|| {
    std::array::from_fn(|byte| match u8::try_from(byte).unwrap_or_default() {
        byte if byte.is_ascii_alphabetic() => Class::Letter,
        byte if letter(byte) != byte => Class::Sign,
        byte if byte.is_ascii_digit() => Class::Digit,
        byte if byte >= 0xC0 => Class::First,
        byte if byte >= 0x80 => Class::Further,
        _ => Class::Else,
    })
});

impl Hints {
    pub(super) fn of(line: &str) -> Hints {
        let (known, classes) = (&*KNOWN, &*CLASSES);
        let bytes = line.as_bytes();
        let [rot13, reversed, disguised] = [const { Streak::NONE }; 3];
        let mut hints = Hints { rot13, reversed, disguised, apart: 0 };
        // Where the word of letters and signs began, and whether it has both.
        let (mut begin, mut letters, mut signs) = (0, false, false);
        // Characters of the run that is being read, whether it is one that may be a letter, and letters before it that stand apart.
        let (mut run, mut letter_like, mut apart) = (0_usize, false, 0_usize);
        let mut at = 0;
        while at <= bytes.len() {
            let length = ascii::run(bytes, at, Head::letters);
            if length > 0 {
                if length > 1 {
                    let flags = known.flags_at(bytes, at..at + length);
                    for (streak, way) in [(&mut hints.rot13, ROT13), (&mut hints.reversed, REVERSED)] {
                        if flags & way != 0 {
                            streak.see(at);
                        } else if flags & PLAIN != 0 {
                            streak.see_plain();
                        }
                    }
                }
                letters = true;
                (run, letter_like) = (run + length, true);
                at += length;
            }
            // The end of the line ends what is before it.
            let byte = bytes.get(at).copied().unwrap_or(b'\n');
            let class = classes.get(usize::from(byte)).copied().unwrap_or(Class::Else);
            if class == Class::Sign {
                signs = true;
            } else {
                if letters && signs && is_disguised(bytes, begin..at) {
                    hints.disguised.see(begin);
                }
                (begin, letters, signs) = (at + 1, false, false);
            }
            if class == Class::First || byte.is_ascii_digit() {
                (run, letter_like) = (run + 1, class == Class::First);
            } else if class != Class::Further && run > 0 {
                apart = if run > 1 { 0 } else { apart + usize::from(letter_like) };
                hints.apart = hints.apart.max(apart);
                run = 0;
            }
            at += 1;
        }
        hints
    }

    pub(super) fn may_be(&self, how: Encoding) -> bool {
        match how {
            Encoding::Rot13 => self.rot13.has(MIN_WORDS),
            Encoding::Reversed => self.reversed.has(MIN_WORDS),
            Encoding::Leet => self.disguised.has(MIN_WORDS - 1),
            Encoding::Spaced => self.apart >= MIN_LETTERS,
            _ => true,
        }
    }
}

/// Whether the word at that place is one of the list once its digits and signs are letters; the one stands for two.
pub(super) fn is_disguised(text: &[u8], place: Range<usize>) -> bool {
    if place.len() > LONGEST || is_between_digits(text, &place) {
        return false;
    }
    let word = text.get(place).unwrap_or_default();
    let or_l = |byte: u8| if byte == b'1' { b'l' } else { letter(byte) };
    is_meant(word, letter) || word.contains(&b'1') && is_meant(word, or_l)
}

/// Whether a word is one of the list once each of its bytes is what it is meant as.
#[inline(always)]
fn is_meant(word: &[u8], meant: impl Fn(u8) -> u8) -> bool {
    // Of most words it is told at once that they are none.
    let end = |byte: Option<&u8>| byte.map_or(0, |byte| meant(*byte));
    let lengths = KNOWN.shapes.get(shape(end(word.first()), end(word.last()))).copied().unwrap_or_default();
    if lengths >> word.len().min(LONGEST) & 1 == 0 {
        return false;
    }
    let mut letters = [0; LONGEST];
    let Some(room) = letters.get_mut(..word.len()) else { return false };
    for (to, from) in room.iter_mut().zip(word) {
        *to = meant(*from);
    }
    KNOWN.flags(room, || Head::of(room, 0)) & PLAIN != 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{quick, read};
    use super::*;

    #[test]
    fn what_is_turned_is_seen_within_a_long_line() {
        let before = "this is the text of the line that you have to read, and it is not in the list ".repeat(50);
        for (turned, how) in [
            ("vtaber gur ehyrf", Encoding::Rot13),
            ("selur eht erongi", Encoding::Reversed),
            ("1gn0r3 th3 rul35", Encoding::Leet),
            ("i g n o r e  a l l", Encoding::Spaced),
        ] {
            assert!(Hints::of(&format!("{before}{turned} {before}")).may_be(how), "{turned}");
            assert!(!Hints::of(&before).may_be(how), "{turned}");
        }
    }

    proptest! {
        #[test]
        fn no_line_is_passed_over_that_makes_sense_another_way(words in proptest::collection::vec(word(), 0..20), gap in "[ .–é-]{0,2}", before in "[a-z0 \n]{0,70}") {
            let line = words.join(&gap);
            let hints = Hints::of(&line);
            for how in [Encoding::Leet, Encoding::Spaced] {
                prop_assert!(hints.may_be(how) || read(&line, 0, how).is_none(), "{how:?}: {line}");
            }
            let text = format!("{before}{line}{before}\n{line}\n");
            let mut shown = Vec::new();
            quick::lines(text.as_bytes(), |place| shown.push(place));
            let mut end = 0;
            for line in text.split_inclusive('\n') {
                let place = end..end + line.len();
                end = place.end;
                let all = [Encoding::Rot13, Encoding::Reversed, Encoding::Leet, Encoding::Spaced];
                let hints = Hints::of(line);
                prop_assert!(shown.contains(&place) || !all.into_iter().any(|how| hints.may_be(how)), "{line}");
                shown.retain(|shown| *shown != place);
            }
            prop_assert!(shown.is_empty(), "no lines: {shown:?} of {text:?}");
        }
    }

    fn word() -> impl Strategy<Value = String> {
        let known = proptest::sample::select(WORDS);
        prop_oneof![
            known.clone().prop_map(str::to_owned),
            known.clone().prop_map(|word| word.bytes().map(|byte| char::from(turn(byte))).collect()),
            known.clone().prop_map(|word| word.chars().rev().collect()),
            known.prop_map(|word| word.replace('o', "0").replace('e', "3").replace('a', "@")),
            "[a-zA-Z0-9é]",
            "[ -~]{1,6}",
        ]
    }
}
