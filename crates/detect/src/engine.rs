//! All layers over one text: what each finds, and what they make of it together.

use std::ops::Range;
use std::sync::Arc;

use crate::decode::{Encoding, Views};
use crate::kind::Kind;
use crate::rules::{Matched, Problem, Rules};

/// All layers with what they have learnt; made once and shared by all texts.
#[derive(Debug)]
pub struct Engine {
    rules: Arc<Rules>,
}

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
        Engine { rules: Rules::built_in() }
    }

    /// The same with an operator's rules, as TOML.
    ///
    /// # Errors
    ///
    /// If they are none; see [`Rules::with_extra`].
    pub fn with_extra(toml: &str) -> Result<Engine, Problem> {
        Ok(Engine { rules: Arc::new(Rules::with_extra(toml)?) })
    }

    /// The rules that it looks for.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Looks at one text.
    #[must_use]
    pub fn look(&self, text: &str, kind: Kind) -> Look<'_> {
        let views = Views::of(text);
        let matched = self.rules.look(&views, kind);
        let score = Rules::together(&matched);
        let found = matched.into_iter().filter_map(|matched| by_rule(text, matched)).collect();
        Look { score, found, cut: views.cut }
    }
}

impl Default for Engine {
    fn default() -> Engine {
        Engine::new()
    }
}

fn by_rule<'e>(text: &str, matched: Matched<'e>) -> Option<Found<'e>> {
    let votes = Votes { rules: true, classifier: false, hidden: !matched.how.is_empty() };
    let mut places = matched.places.into_iter().map(|place| whole(text, place));
    let span = places.next()?;
    Some(Found { rule: &matched.rule.id, span, also: places.collect(), score: matched.score, how: matched.how, votes })
}

/// A place with at least one character, and no part of one.
fn whole(text: &str, place: Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(place.start.min(text.len().saturating_sub(1)));
    start..text.ceil_char_boundary(place.end.max(start + 1).min(text.len()))
}
