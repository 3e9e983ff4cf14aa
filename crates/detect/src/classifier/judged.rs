//! Which parts of a text have to go so that the rest of it no longer speaks like an attack.

use std::ops::Range;

use super::{Classifier, Highest, Scanned, Window};
use crate::Kind;

/// What the classifier says of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// How likely it is, from 0 to 1, that the text gives an assistant orders.
    pub probability: f32,
    /// The parts that say so, in order and apart from each other; none below the threshold.
    pub spans: Vec<Range<usize>>,
}

/// How often what is left is looked at again: without its worst windows a text has others, of what stood around them.
const MAX_ROUNDS: usize = 4;

impl Classifier {
    /// The same of a text of which a scan tells where it is worth asking. Where it is nowhere, what the scan says has to do.
    pub(crate) fn judge_pointed(&self, text: &str, kind: Kind, threshold: f32, scanned: &Scanned) -> Judged {
        let Highest { raw, words, looked_at, windows } = self.highest_of(text, kind, scanned);
        let probability = match (windows, looked_at) {
            (0, _) => 0.0,
            // What nobody looked at is never as likely as what is spoken up about.
            (_, 0) => {
                let probability = self.model.probability_unseen(kind, words).min(threshold);
                return Judged { probability, spans: Vec::new() };
            }
            _ => self.model.probability(kind, raw, windows),
        };
        if probability < threshold {
            Judged { probability, spans: Vec::new() }
        } else {
            self.judge(text, kind, threshold)
        }
    }

    /// Judges a text of that kind, and finds the parts in which it reaches `threshold`, a probability.
    ///
    /// Without those parts, with a space in the place of each, it stays below. Where no few parts are to blame, all of it is.
    #[must_use]
    pub fn judge(&self, text: &str, kind: Kind, threshold: f32) -> Judged {
        let windows = self.windows(text, kind);
        let probability = self.probability(&windows, kind);
        if probability < threshold {
            return Judged { probability, spans: Vec::new() };
        }
        let mut spans = Vec::new();
        self.add_worst(&windows, kind, threshold, |range| range, &mut spans);
        for _ in 0..MAX_ROUNDS {
            let left = Left::of(text, &spans);
            let windows = self.windows(&left.text, kind);
            if self.probability(&windows, kind) < threshold {
                return Judged { probability, spans };
            }
            self.add_worst(&windows, kind, threshold, |range| left.original(range), &mut spans);
        }
        Judged { probability, spans: std::iter::once(0..text.len()).collect() }
    }

    /// Adds the windows that reach the threshold by themselves, joined where they touch.
    fn add_worst(
        &self,
        windows: &[Window],
        kind: Kind,
        threshold: f32,
        original: impl Fn(Range<usize>) -> Range<usize>,
        spans: &mut Vec<Range<usize>>,
    ) {
        let worst =
            windows.iter().filter(|window| self.model.probability(kind, window.raw, windows.len()) >= threshold);
        spans.extend(worst.map(|window| original(window.range.clone())));
        spans.sort_by_key(|span| (span.start, span.end));
        let mut joined: Vec<Range<usize>> = Vec::new();
        for span in spans.drain(..) {
            match joined.last_mut() {
                Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
                _ => joined.push(span),
            }
        }
        *spans = joined;
    }
}

/// What is left of a text, and where each piece of it stood.
struct Left {
    text: String,
    /// For each piece where it begins here, and where it began.
    pieces: Vec<(usize, usize)>,
}

impl Left {
    fn of(text: &str, spans: &[Range<usize>]) -> Left {
        let mut left = Left { text: String::with_capacity(text.len()), pieces: Vec::new() };
        let mut at = 0;
        for (start, next) in spans.iter().map(|span| (span.start, span.end)).chain([(text.len(), text.len())]) {
            let piece = text.get(at..start).unwrap_or_default();
            left.pieces.push((left.text.len(), at));
            left.text.push_str(piece);
            left.text.push(' ');
            at = next;
        }
        left
    }

    /// Where it stood, with what was cut out within it.
    fn original(&self, range: Range<usize>) -> Range<usize> {
        let of = |at: usize| {
            let piece = self.pieces.partition_point(|(begin, _)| *begin <= at).checked_sub(1);
            piece.and_then(|piece| self.pieces.get(piece)).map_or(0, |(begin, began)| began + (at - begin))
        };
        let last = range.end.saturating_sub(1);
        of(range.start)..of(last) + 1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Head, Model, Scale};
    use super::*;

    /// A model to which some words are bad: those of about one in eight of all hashes.
    fn classifier() -> Classifier {
        let weights = (0_u32..1 << 12)
            .map(|at| if at.wrapping_mul(0x9E37_79B9) >> 29 == 0 { 100_u8 } else { (-20_i8).cast_unsigned() })
            .collect();
        let scale = Scale {
            head: 0,
            spread: 0.1,
            slope: 1.0,
            offset: 0.0,
            wary: 0.5,
            sure: 0.9,
            cut: 0.0,
            cut_slope: 1.0,
            cut_offset: 0.0,
        };
        let head = Head { bias: -0.2, largest: 1.0, weights };
        Classifier::new(Model { bits: 12, scales: [scale; Kind::ALL.len()], heads: vec![head] })
    }

    proptest! {
        #[test]
        fn without_the_spans_a_text_stays_below(text in "([a-z]{1,6}[ .,\n–]{1,2}){0,200}", threshold in 0.3_f32..0.9) {
            let classifier = classifier();
            let judged = classifier.judge(&text, Kind::Document, threshold);
            prop_assert_eq!(judged.spans.is_empty(), judged.probability < threshold);
            let mut reached = 0;
            for span in &judged.spans {
                prop_assert!(span.start < span.end && text.get(span.clone()).is_some());
                prop_assert!(span.start > reached || reached == 0);
                reached = span.end;
            }
            let left = Left::of(&text, &judged.spans);
            prop_assert!(classifier.judge(&left.text, Kind::Document, threshold).probability < threshold);
        }
    }
}
