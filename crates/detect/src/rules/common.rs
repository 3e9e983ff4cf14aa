//! How common words are, so that patterns wait for the rarest of theirs.

use std::collections::BTreeMap;

/// Words that each stand for about one in so many words of an English text, most common ones first.
const COMMON: &[(u32, &str)] = &[
    (20, "the to of and a"),
    (60, "in is it you that for on as with be are this not or by from at"),
    (
        150,
        "have has had was were will would can could should may must if when which who they we he she i his her their its your our all any no do does did an but what there been one more other than then them me him my up out so",
    ),
    (
        400,
        "user use used using file files data time new first last also only into about after before some each every these those how name list get set make made see read write text page line code call tool tools value number work need take give show know find please here now next two",
    ),
    (
        1000,
        "message messages system key keys url link address account account add change run send report result results output input function server client email mail password document content information details answer reply response question request instructions rules policy test assistant agent model ai never always without same end following above below say says said tell ask asks way day people person human own back because",
    ),
];

/// How many of 100,000 words of a text may be a certain one.
#[derive(Debug)]
pub(super) struct Shares(BTreeMap<&'static [u8], u32>);

impl Default for Shares {
    fn default() -> Shares {
        let of = |(one_in, words): &(u32, &'static str)| {
            let share = 100_000 / *one_in;
            words.split(' ').map(move |word| (word.as_bytes(), share)).collect::<Vec<_>>()
        };
        Shares(COMMON.iter().flat_map(of).collect())
    }
}

impl Shares {
    pub(super) fn of(&self, word: &[u8]) -> u32 {
        match self.0.get(word) {
            Some(share) => *share,
            // Of scripts without spaces each character is a word, and there are few.
            None if word.first().is_some_and(|byte| *byte >= 0xE0) && word.len() <= 4 => 300,
            None if word.len() <= 3 => 30,
            None => 10,
        }
    }
}
