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
        let mut parts = Vec::new();
        token::each_part(text, &self.lexicon, |tokens| {
            parts.push(Part {
                words: tokens.iter().map(|token| token.start..token.end).collect(),
                open: tokens.iter().map(|token| token.open).collect(),
                features: (0..tokens.len()).map(|index| features::of(tokens, index, bits)).collect(),
            });
        });
        parts
    }

    pub(super) fn look(&self, text: &str, words: &Words, hits: &mut Vec<Hit>) {
        let Some(weights) = &self.weights else { return };
        token::each_part(text, &self.lexicon, |tokens| {
            let open: Vec<bool> = tokens.iter().map(|token| token.open).collect();
            if !open.contains(&true) {
                return;
            }
            let worth: Vec<[f32; LABELS]> = tokens
                .iter()
                .enumerate()
                .map(|(index, token)| if token.open { worth(weights, tokens, index) } else { [0.0; LABELS] })
                .collect();
            let follows = weights.follows.map(|row| row.map(|weight| f32::from(weight) * weights.unit));
            let labels = best(&worth, &open, &follows);
            spans(text, tokens, &labels, &worth, words, hits);
        });
    }
}

/// What each label is worth for a word.
fn worth(weights: &Weights, tokens: &[Token], index: usize) -> [f32; LABELS] {
    let mut sums = i16x16::ZERO;
    for id in features::of(tokens, index, weights.bits) {
        if let Some(row) = weights.rows.get(id as usize) {
            sums += i16x16::from_i8x16(i8x16::new(*row));
        }
    }
    let mut worth = [0.0; LABELS];
    worth.iter_mut().zip(sums.to_array()).for_each(|(worth, sum)| *worth = f32::from(sum) * weights.unit);
    worth
}

/// The best sequence of labels: what each is worth for its word, and behind the one before it. Words that are not open have none.
#[must_use]
pub fn best(worth: &[[f32; LABELS]], open: &[bool], follows: &[[f32; LABELS]; LABELS]) -> Vec<u8> {
    let mut before = [f32::NEG_INFINITY; LABELS];
    before[0] = 0.0;
    let mut came: Vec<[u8; LABELS]> = Vec::with_capacity(worth.len());
    for (worth, open) in worth.iter().zip(open) {
        let mut now = [f32::NEG_INFINITY; LABELS];
        let mut from = [0_u8; LABELS];
        for ((previous, held), follows) in (0_u8..).zip(&before).zip(follows) {
            for ((now, from), follows) in now.iter_mut().zip(&mut from).zip(follows) {
                let value = held + follows;
                let better = value > *now;
                *now = if better { value } else { *now };
                *from = if better { previous } else { *from };
            }
        }
        now.iter_mut().zip(worth).for_each(|(now, worth)| *now += worth);
        if !open {
            now.iter_mut().skip(1).for_each(|now| *now = f32::NEG_INFINITY);
        }
        before = now;
        came.push(from);
    }
    let highest = (0_u8..).zip(&before).max_by(|one, other| one.1.total_cmp(other.1));
    let mut label = highest.map_or(0, |(label, _)| label);
    let mut labels: Vec<u8> = came
        .iter()
        .rev()
        .map(|from| {
            let this = label;
            label = from.get(usize::from(label)).copied().unwrap_or(0);
            this
        })
        .collect();
    labels.reverse();
    labels
}

/// Puts words of one label together that belong together.
fn spans(text: &str, tokens: &[Token], labels: &[u8], worth: &[[f32; LABELS]], words: &Words, hits: &mut Vec<Hit>) {
    let mut at = 0;
    while let (Some(label), Some(first)) = (labels.get(at).copied(), tokens.get(at)) {
        let begin = at;
        at += 1;
        let Some(kind) = KINDS.get(usize::from(label)).copied().flatten() else { continue };
        while labels.get(at) == Some(&label) && tokens.get(at).is_some_and(|token| joins(label, token.gap)) {
            at += 1;
        }
        let these = tokens.get(begin..at).unwrap_or_default();
        // No common words alone, and no small number alone for an address.
        let is_name = |token: &Token| token.shape != Shape::Small || token.known & is::COMMON == 0;
        if label != AGE
            && (!these.iter().any(is_name)
                || (label == ADDRESS && these.iter().all(|token| token.is_number() && token.end - token.start < 3)))
        {
            continue;
        }
        let end = tokens.get(at - 1).map_or(first.end, |token| token.end);
        let margin = |worth: &[f32; LABELS]| worth.get(usize::from(label)).copied().unwrap_or(0.0) - worth[0];
        let most = worth.get(begin..at).unwrap_or_default().iter().map(margin).fold(f32::MIN, f32::max);
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
