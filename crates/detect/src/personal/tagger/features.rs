//! What the tagger sees of a word: itself, its ends, how it is written, what the lists say, and its neighbours.

use super::super::fold::{MIX, both};
use super::lexicon::is;
use super::token::{Gap, Token};

/// Features of a word.
pub(super) const COUNT: usize = 32;

/// Three words before a word, itself, and two words behind it.
pub(super) type Window = [Seen; 6];

/// What is made of words once and seen from each of their neighbours: a [`Window`] for each of them.
pub(super) fn see(tokens: &[Token], seen: &mut Vec<Seen>) {
    seen.extend([Seen::NONE; 3]);
    seen.extend(tokens.iter().map(Seen::of));
    seen.extend([Seen::NONE; 2]);
}

/// What makes the number of each feature another one than that of a feature with the same words.
#[expect(clippy::indexing_slicing, reason = "a constant is computed by the compiler, and there is no other way in one")]
const SALTS: [u64; COUNT] = {
    let mut salts = [0; COUNT];
    let mut at = 0;
    while at < COUNT {
        let number = at as u64 + 1;
        salts[at] = number.wrapping_mul(0xD6E8_FEB8_6659_FD93).rotate_left(17) ^ number;
        at += 1;
    }
    salts
};

/// The features of a word, each a number below 2^`bits`.
#[inline]
pub(super) fn of(text: &str, token: &Token, window: &Window, bits: u32) -> [u32; COUNT] {
    let [back3, back2, back, here, next, next2] = window;
    let [two, three, four, first] = token.ends(text);
    let prose = u64::from(token.prose);
    let known = |seen: &Seen| seen.known;
    let named = |seen: &Seen| seen.known & u64::from(is::GIVEN | is::FAMILY | is::COMMON | is::HONORIFIC | is::JOB);
    let placed = |seen: &Seen| {
        seen.known & u64::from(is::TOWN | is::COUNTRY | is::STREET | is::UNIT | is::PEOPLE | is::BODY | is::FORM)
    };
    let all = [
        here.word,
        both(back.word, here.gap),
        both(next.word, next.gap),
        back2.word,
        next2.word,
        both(back.word, back2.word),
        both(next.word, next2.word),
        both(back.word, here.word),
        both(here.word, next.word),
        both(here.shape, known(here)),
        two,
        both(three, here.shape),
        four,
        first,
        both(known(here), known(back)),
        both(known(here), both(known(next), next.gap)),
        both(named(here), both(named(back), both(named(next), here.gap))),
        both(placed(here), both(placed(back), both(placed(next), here.gap))),
        both(both(here.shape, here.gap), both(back.shape, both(next.shape, next.gap))),
        both(both(back2.shape, back.gap), both(back.shape, both(here.shape, here.gap))),
        both(both(here.shape, next.gap), both(next.shape, both(next2.shape, next2.gap))),
        both(both(known(back2), known(back)), both(here.shape, here.gap)),
        both(both(known(next2), known(next)), both(here.shape, next.gap)),
        both(back.word, both(here.shape, known(here))),
        both(next.word, both(here.shape, known(here))),
        both(back2.word, both(back.shape, here.shape)),
        both(both(back.word, back2.word), here.shape),
        both(back3.word, both(back2.word, back.word)),
        both(known(back), both(three, here.gap)),
        both(prose, both(here.gap, next.gap)),
        both(prose, both(here.shape, both(placed(here), here.gap))),
        both(prose, both(named(here), both(back3.shape, both(back2.shape, here.shape)))),
    ];
    let mut ids = [0; COUNT];
    for ((id, feature), salt) in ids.iter_mut().zip(all).zip(SALTS) {
        let mixed = (feature.rotate_left(17) ^ salt).wrapping_mul(MIX) >> (64 - bits);
        #[expect(clippy::cast_possible_truncation, reason = "only the highest bits are left")]
        let mixed = mixed as u32;
        *id = mixed;
    }
    ids
}

/// A neighbour.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    word: u64,
    shape: u64,
    gap: u64,
    known: u64,
}

impl Seen {
    const NONE: Seen = Seen { word: 1, shape: 99, gap: 99, known: 0 };

    fn of(token: &Token) -> Seen {
        // Numbers are alike whatever they say.
        let word = if token.is_number() { 1000 + token.shape as u64 } else { token.hash };
        Seen { word, shape: token.shape as u64, gap: gap(token.gap), known: u64::from(token.known) }
    }
}

fn gap(gap: Gap) -> u64 {
    gap as u64
}
