//! Names of people, places and bodies, and what else only its surroundings tell: a small tagger over the words of those
//! parts of a text in which there may be a name.
//!
//! It adds up weights for each word and label and takes the best sequence of labels (Viterbi); what it has learnt, and from
//! what, is in `crates/trainer`.

mod features;
mod lexicon;
mod model;
mod token;

use std::ops::Range;

pub use lexicon::entries;
pub use model::{ROW, Weights};

use wide::{i8x16, i16x16};

use super::context::{Words, class};
use super::{Hit, PersonalKind};
use lexicon::{Lexicon, is};
use token::{Gap, Shape, Token};

/// What a word may be labelled as; nothing is the first.
pub const LABELS: usize = 10;

/// The kinds of the labels.
pub const KINDS: [Option<PersonalKind>; LABELS] = [
    None,
    Some(PersonalKind::PersonName),
    Some(PersonalKind::Place),
    Some(PersonalKind::Organisation),
    Some(PersonalKind::PostalAddress),
    Some(PersonalKind::PostalCode),
    Some(PersonalKind::Title),
    Some(PersonalKind::Age),
    Some(PersonalKind::Nationality),
    Some(PersonalKind::Date),
];

const ADDRESS: u8 = 4;
const AGE: u8 = 7;

/// The lists and the weights.
#[derive(Debug)]
pub struct Tagger {
    lexicon: Lexicon,
    weights: Option<Weights>,
}

/// A part of a text as those see it who learn from it.
#[derive(Debug, Clone)]
pub struct Part {
    /// Where each word stands.
    pub words: Vec<Range<usize>>,
    /// Which of them may be anything but a common word.
    pub open: Vec<bool>,
    /// What is seen of each.
    pub features: Vec<[u32; features::COUNT]>,
}

/// What was learnt, as the trainer wrote it.
static FILE: &[u8] = include_bytes!("../../../model/names.bin");

/// Nothing that is longer is one name or address, in bytes: it is told as several.
const LONGEST: usize = 512;

/// Between which a span is surer than not.
const SPREAD: f32 = 0.6;

impl Tagger {
    pub(super) fn built_in() -> Tagger {
        Tagger { lexicon: Lexicon::built_in(), weights: Weights::read(FILE) }
    }

    /// One without any weights, which finds nothing.
    #[must_use]
    pub fn untrained() -> Tagger {
        Tagger { lexicon: Lexicon::built_in(), weights: None }
    }

    /// The same lists with other weights.
    #[must_use]
    pub fn with(weights: Weights) -> Tagger {
        Tagger { lexicon: Lexicon::built_in(), weights: Some(weights) }
    }

    /// The parts of a text that are looked at, with features of so many bits.
    #[must_use]
    pub fn parts(&self, text: &str, bits: u32) -> Vec<Part> {
        let (mut parts, mut seen) = (Vec::new(), Vec::new());
        token::each_part(text, &self.lexicon, |tokens, window| {
            seen.clear();
            features::see(tokens, &mut seen);
            let each = || tokens.iter().zip(seen.array_windows()).filter(|(token, _)| window.contains(&token.start));
            parts.push(Part {
                words: each().map(|(token, _)| token.start..token.end).collect(),
                open: each().map(|(token, _)| token.open).collect(),
                features: each().map(|(token, seen)| features::of(text, token, seen, bits)).collect(),
            });
        });
        parts
    }

    pub(super) fn look(&self, text: &str, words: &Words, hits: &mut Vec<Hit>) {
        let Some(weights) = &self.weights else { return };
        let mut sequence = Sequence::new(weights);
        let (mut worth, mut seen) = (Vec::new(), Vec::new());
        let (mut own, mut told) = (Vec::new(), 0);
        token::each_part(text, &self.lexicon, |tokens, window| {
            seen.clear();
            let mut end = 0;
            // Words that are not open have no label, so that what stands between them is told by itself.
            for run in tokens.chunk_by(|one, other| one.open == other.open) {
                let start = end;
                end += run.len();
                if !run.iter().any(|token| token.open && is_name(token)) {
                    continue;
                }
                if seen.is_empty() {
                    features::see(tokens, &mut seen);
                }
                let windows = seen.get(start..).unwrap_or_default().array_windows();
                worth.clear();
                worth.extend(run.iter().zip(windows).map(|(token, window)| weights.of(text, token, window)));
                let labels = sequence.best(&worth, end < tokens.len());
                if labels.iter().any(|label| *label != 0) {
                    spans(text, run, labels, |label, at| margin(weights, &worth, label, at), words, &mut own);
                }
            }
            for hit in own.drain(..) {
                told = add(hit, tokens, &window, told, hits);
            }
        });
    }
}

/// Adds what of a hit this window has to tell and the one before has not: up to where that `told`. Tells up to where it is now.
fn add(mut hit: Hit, tokens: &[Token], window: &Range<usize>, told: usize, hits: &mut Vec<Hit>) -> usize {
    if hit.span.start < told {
        let next = tokens.partition_point(|token| token.start < told);
        hit.span.start = tokens.get(next).map_or(hit.span.end, |token| token.start);
    }
    // What ends before the window the one before has looked at, with more of what stands around it.
    if hit.span.is_empty() || hit.span.start >= window.end || hit.span.end <= window.start {
        return told;
    }
    let end = hit.span.end;
    hits.push(hit);
    end
}

impl Weights {
    /// What each label is worth for a word.
    #[inline]
    fn of(&self, text: &str, token: &Token, window: &features::Window) -> i16x16 {
        let mut sums = i16x16::ZERO;
        for id in features::of(text, token, window, self.bits) {
            if let Some(row) = self.rows.get(id as usize) {
                sums += i16x16::from_i8x16(i8x16::new(*row));
            }
        }
        sums
    }
}

/// How much more a label is worth for a word than none.
fn margin(weights: &Weights, worth: &[i16x16], label: u8, at: usize) -> f32 {
    let sums = worth.get(at).map_or([0; ROW], |sums| sums.to_array());
    let worth = |label: u8| f32::from(sums.get(usize::from(label)).copied().unwrap_or(0)) * weights.unit;
    worth(label) - worth(0)
}

/// Finds the best sequence of labels: what each is worth for its word, and behind the one before it.
struct Sequence {
    /// What it is worth that a label follows another.
    follows: [i16x16; LABELS],
    /// The same the other way: for each label, what it is worth to stand behind another.
    behind: [[i16; LABELS]; LABELS],
    /// For each word what the best sequence up to it is worth that ends in each label, less what the one is worth that ends in none:
    /// so they stay small, however long the text is.
    held: Vec<[i16; ROW]>,
    labels: Vec<u8>,
}

/// What no sequence is worth.
const NEVER: i16 = -20_000;

impl Sequence {
    fn new(weights: &Weights) -> Sequence {
        let follows = weights.follows.map(|row| {
            let mut wide = [NEVER; ROW];
            wide.iter_mut().zip(row).for_each(|(to, from)| *to = i16::from(from));
            i16x16::new(wide)
        });
        let mut behind = [[0; LABELS]; LABELS];
        for (at, row) in weights.follows.iter().enumerate() {
            for (to, worth) in behind.iter_mut().zip(row) {
                to.iter_mut().skip(at).take(1).for_each(|to| *to = i16::from(*worth));
            }
        }
        Sequence { follows, behind, held: Vec::new(), labels: Vec::new() }
    }

    /// The labels of words behind one without a label; `closed` tells whether they stand before such a word too.
    fn best(&mut self, worth: &[i16x16], closed: bool) -> &[u8] {
        self.held.clear();
        for worth in worth {
            let ways = match self.held.last() {
                None => self.follows[0],
                Some(before) => before
                    .iter()
                    .zip(&self.follows)
                    .map(|(held, follows)| i16x16::splat(*held).saturating_add(*follows))
                    .fold(i16x16::splat(i16::MIN), i16x16::max),
            };
            let now = ways.saturating_add(*worth);
            self.held.push(now.saturating_sub(i16x16::splat(now.to_array()[0])).to_array());
        }
        self.labels.clear();
        self.labels.resize(worth.len(), 0);
        const NONE: [i16; LABELS] = [0; LABELS];
        let mut behind = if closed { &self.behind[0] } else { &NONE };
        for (slot, held) in self.labels.iter_mut().zip(&self.held).rev() {
            let mut most = i16::MIN;
            for ((label, held), behind) in (0_u8..).zip(held).zip(behind) {
                let value = held.saturating_add(*behind);
                if value > most {
                    (most, *slot) = (value, label);
                }
            }
            behind = self.behind.get(usize::from(*slot)).unwrap_or(&NONE);
        }
        &self.labels
    }
}

/// Puts words of one label together that belong together.
fn spans(
    text: &str,
    tokens: &[Token],
    labels: &[u8],
    margin: impl Fn(u8, usize) -> f32,
    words: &Words,
    hits: &mut Vec<Hit>,
) {
    let mut at = 0;
    while let (Some(label), Some(first)) = (labels.get(at).copied(), tokens.get(at)) {
        let begin = at;
        at += 1;
        let Some(kind) = KINDS.get(usize::from(label)).copied().flatten() else { continue };
        let goes_on = |token: &Token| joins(label, token.gap) && token.end - first.start <= LONGEST;
        while labels.get(at) == Some(&label) && tokens.get(at).is_some_and(goes_on) {
            at += 1;
        }
        let these = tokens.get(begin..at).unwrap_or_default();
        // No common words alone, and no small number alone for an address.
        if label != AGE
            && (!these.iter().any(is_name)
                || (label == ADDRESS && these.iter().all(|token| token.is_number() && token.end - token.start < 3)))
        {
            continue;
        }
        let end = tokens.get(at - 1).map_or(first.end, |token| token.end);
        let most = (begin..at).map(|at| margin(label, at)).fold(f32::MIN, f32::max);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1000")]
        let sure = (1000.0 / (1.0 + (-most * SPREAD).exp())) as u16;
        let mut hit = Hit::new(kind, kind.as_str(), first.start..end, sure.min(950));
        if kind == PersonalKind::Date && words.around(text, first.start, end).near.of(class::BIRTH) {
            hit = Hit::new(
                PersonalKind::DateOfBirth,
                PersonalKind::DateOfBirth.as_str(),
                first.start..end,
                sure.min(950),
            );
        }
        hits.push(hit);
    }
}

/// Whether a word may be a name or a part of one without others beside it.
fn is_name(token: &Token) -> bool {
    token.shape != Shape::Small || token.known & is::COMMON == 0
}

/// Whether a word of that label goes on what stands before the gap.
fn joins(label: u8, gap: Gap) -> bool {
    match gap {
        Gap::None | Gap::Space | Gap::Hyphen | Gap::Apostrophe => true,
        Gap::Stop => {
            label == ADDRESS
                || KINDS.get(usize::from(label)).is_some_and(|kind| *kind == Some(PersonalKind::PersonName))
        }
        Gap::And => KINDS.get(usize::from(label)).is_some_and(|kind| *kind == Some(PersonalKind::Organisation)),
        Gap::Comma | Gap::Line | Gap::Open => label == ADDRESS,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
