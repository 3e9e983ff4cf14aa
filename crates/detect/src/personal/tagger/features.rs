//! What the tagger sees of a word: itself, its ends, how it is written, what the lists say, and its neighbours.

use super::super::fold::both;
use super::lexicon::is;
use super::token::{Gap, Token};

/// Features of a word.
pub(super) const COUNT: usize = 32;

/// The features of the word at `index`, each a number below 2^`bits`.
#[inline]
pub(super) fn of(tokens: &[Token], index: usize, bits: u32) -> [u32; COUNT] {
    let see =
        |offset: isize| index.checked_add_signed(offset).and_then(|at| tokens.get(at)).map_or(Seen::NONE, Seen::of);
    let [back3, back2, back, here, next, next2] = [see(-3), see(-2), see(-1), see(0), see(1), see(2)];
    let ends = tokens.get(index).map_or([0; 4], |token| token.ends);
    let [two, three, four, first] = ends;
    let prose = u64::from(tokens.get(index).is_some_and(|token| token.prose));
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
        both(here.shape, known(&here)),
        two,
        both(three, here.shape),
        four,
        first,
        both(known(&here), known(&back)),
        both(known(&here), both(known(&next), next.gap)),
        both(named(&here), both(named(&back), both(named(&next), here.gap))),
        both(placed(&here), both(placed(&back), both(placed(&next), here.gap))),
        both(both(here.shape, here.gap), both(back.shape, both(next.shape, next.gap))),
        both(both(back2.shape, back.gap), both(back.shape, both(here.shape, here.gap))),
        both(both(here.shape, next.gap), both(next.shape, both(next2.shape, next2.gap))),
        both(both(known(&back2), known(&back)), both(here.shape, here.gap)),
        both(both(known(&next2), known(&next)), both(here.shape, next.gap)),
        both(back.word, both(here.shape, known(&here))),
        both(next.word, both(here.shape, known(&here))),
        both(back2.word, both(back.shape, here.shape)),
        both(both(back.word, back2.word), here.shape),
        both(back3.word, both(back2.word, back.word)),
        both(known(&back), both(three, here.gap)),
        both(prose, both(here.gap, next.gap)),
        both(prose, both(here.shape, both(placed(&here), here.gap))),
        both(prose, both(named(&here), both(back3.shape, both(back2.shape, here.shape)))),
    ];
    let mut number = 0_u64;
    all.map(|feature| {
        number += 1;
        #[expect(clippy::cast_possible_truncation, reason = "only the highest bits are left")]
        let id = (both(feature ^ number.wrapping_mul(0xD6E8_FEB8_6659_FD93), number) >> (64 - bits)) as u32;
        id
    })
}

/// A neighbour.
struct Seen {
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
