//! All layers over one text: what each finds, and what they make of it together.

use std::ops::Range;

use crate::decode::{Encoding, Views};
use crate::kind::Kind;

/// All layers with what they have learnt; made once and shared by all texts.
#[derive(Debug, Default)]
pub struct Engine {}

/// What was found in one text.
#[derive(Debug, Clone, PartialEq)]
pub struct Look<'e> {
    /// How likely it is, from 0 to 1, that the text gives the assistant orders that its user did not; calibrated.
    pub score: f32,
    /// Each rule that matched, and the classifier where it is sure enough; in the order of the text.
    pub found: Vec<Found<'e>>,
    /// Whether the text held more encodings in encodings than are read.
    pub cut: bool,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found<'e> {
    /// The id of the rule; `prompt_injection.classifier` for the classifier.
    pub rule: &'e str,
    /// The first place in the original text; never empty and never within a character.
    pub span: Range<usize>,
    /// Further places, in order and apart from each other.
    pub also: Vec<Range<usize>>,
    /// How likely it is that this is an attack, from 0 to 1.
    pub score: f32,
    /// The encodings it stood in, from the outermost on.
    pub how: Vec<Encoding>,
    /// Which layers said so.
    pub votes: Votes,
}

/// The layers that found something suspicious at one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Votes {
    /// A rule matched.
    pub rules: bool,
    /// The classifier is above its threshold.
    pub classifier: bool,
    /// It was hidden or encoded.
    pub hidden: bool,
}

impl Engine {
    /// All layers as they are built in.
    #[must_use]
    pub fn new() -> Engine {
        Engine::default()
    }

    /// Looks at one text.
    #[must_use]
    pub fn look(&self, text: &str, _kind: Kind) -> Look<'_> {
        let views = Views::of(text);
        Look { score: 0.0, found: Vec::new(), cut: views.cut }
    }
}
