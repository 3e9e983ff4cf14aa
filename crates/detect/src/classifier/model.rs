//! What the classifier has learnt, as it is kept in a file.
//!
//! | bytes | |
//! |---|---|
//! | 8 | `BZMODEL2` |
//! | 4 | how many bits of a feature choose its weight |
//! | 4 | how many heads there are |
//! | 4 × 9 for each [`Kind`], in their order | its head; `spread`, `slope`, `offset`, the thresholds `wary` and `sure`, the `cut`, `cut_slope` and `cut_offset` |
//! | 4 × 2 for each head | its bias and its largest weight |
//! | 2^bits for each head | its weights |
//!
//! Numbers are little-endian, fractions IEEE 754. A weight `q` stands for `(q / 127)² · largest`, with the sign of `q`: most
//! weights are small, and so are the steps between them.

use std::borrow::Cow;

use thiserror::Error;

use crate::Kind;

const MAGIC: &[u8; 8] = b"BZMODEL2";

/// What is wrong with a file that should hold a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ModelError {
    /// It begins with something else.
    #[error("this is no model of this version")]
    Form,
    /// It is shorter or longer than it says.
    #[error("the model is cut off, or there is more than it says")]
    Length,
    /// A number in it makes no sense.
    #[error("the model holds a number that makes no sense")]
    Number,
}

/// Weights by feature.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// What a window without any feature is worth.
    pub bias: f32,
    /// What the largest weight stands for.
    pub largest: f32,
    /// By feature, each the byte of a signed number; those of the model that is built in are read where they stand in the program.
    pub weights: Cow<'static, [u8]>,
}

/// What a raw score means in a text of one kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// Which head looks at it.
    pub head: u32,
    /// What the logarithm of the number of windows takes away: the highest of many is high by chance.
    pub spread: f32,
    /// The probability is `1 / (1 + exp(-(slope · raw + offset)))`.
    pub slope: f32,
    /// See `slope`.
    pub offset: f32,
    /// The probability that one in a hundred benign texts reaches.
    pub wary: f32,
    /// The probability that one in a thousand benign texts reaches.
    pub sure: f32,
    /// What single words have to be worth together in a window so that the classifier is asked: most of benign texts is not.
    pub cut: f32,
    /// Of a text in which nothing is: the probability is `1 / (1 + exp(-(cut_slope · worth + cut_offset)))`, where `worth` is what
    /// the single words of its highest window are worth.
    pub cut_slope: f32,
    /// See `cut_slope`.
    pub cut_offset: f32,
}

impl Scale {
    /// The raw score, in a text of one window, that stands for a probability; not a number where there is none.
    #[must_use]
    pub fn raw(&self, probability: f32) -> f32 {
        ((probability / (1.0 - probability)).ln() - self.offset) / self.slope
    }
}

/// All that was learnt.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// How many bits of a feature choose its weight.
    pub bits: u32,
    /// For each kind of text, in the order of [`Kind::ALL`].
    pub scales: [Scale; Kind::ALL.len()],
    /// At least one.
    pub heads: Vec<Head>,
}

impl Model {
    /// Reads a model.
    ///
    /// # Errors
    /// If it is no model, or not whole.
    pub fn read(bytes: &'static [u8]) -> Result<Model, ModelError> {
        let mut rest = Rest(bytes.strip_prefix(MAGIC).ok_or(ModelError::Form)?);
        let (bits, count) = (rest.number()?, rest.number()?);
        if !(8..=24).contains(&bits) || !(1..=8).contains(&count) {
            return Err(ModelError::Number);
        }
        let nothing = Scale {
            head: 0,
            spread: 0.0,
            slope: 0.0,
            offset: 0.0,
            wary: 0.0,
            sure: 0.0,
            cut: 0.0,
            cut_slope: 0.0,
            cut_offset: 0.0,
        };
        let mut scales = [nothing; Kind::ALL.len()];
        for scale in &mut scales {
            *scale = Scale {
                head: rest.number()?,
                spread: rest.fraction()?,
                slope: rest.fraction()?,
                offset: rest.fraction()?,
                wary: rest.fraction()?,
                sure: rest.fraction()?,
                cut: rest.fraction()?,
                cut_slope: rest.fraction()?,
                cut_offset: rest.fraction()?,
            };
            if scale.head >= count {
                return Err(ModelError::Number);
            }
        }
        let mut heads = Vec::new();
        for _ in 0..count {
            heads.push(Head { bias: rest.fraction()?, largest: rest.fraction()?, weights: Cow::default() });
        }
        for head in &mut heads {
            head.weights = Cow::Borrowed(rest.take(1 << bits)?);
        }
        if rest.0.is_empty() { Ok(Model { bits, scales, heads }) } else { Err(ModelError::Length) }
    }

    /// The model as a file.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut file = MAGIC.to_vec();
        file.extend(self.bits.to_le_bytes());
        file.extend(u32::try_from(self.heads.len()).unwrap_or(u32::MAX).to_le_bytes());
        for scale in &self.scales {
            file.extend(scale.head.to_le_bytes());
            let Scale { head: _, spread, slope, offset, wary, sure, cut, cut_slope, cut_offset } = *scale;
            for number in [spread, slope, offset, wary, sure, cut, cut_slope, cut_offset] {
                file.extend(number.to_le_bytes());
            }
        }
        for head in &self.heads {
            file.extend(head.bias.to_le_bytes());
            file.extend(head.largest.to_le_bytes());
        }
        for head in &self.heads {
            file.extend(&*head.weights);
        }
        file
    }

    /// What a raw score of that many windows means in a text of that kind: a probability.
    #[must_use]
    pub fn probability(&self, kind: Kind, raw: f32, windows: usize) -> f32 {
        let scale = self.scale(kind);
        #[expect(clippy::cast_precision_loss, reason = "a logarithm of it is all that is used")]
        let raw = raw - scale.spread * (windows.max(1) as f32).ln();
        logistic(scale.slope * raw + scale.offset)
    }

    /// What it means that no window of a text of that kind was looked at, and the single words of the highest are worth this: a
    /// probability.
    #[must_use]
    pub fn probability_unseen(&self, kind: Kind, worth: f32) -> f32 {
        let scale = self.scale(kind);
        logistic(scale.cut_slope * worth + scale.cut_offset)
    }

    /// What raw scores mean in a text of that kind.
    #[must_use]
    pub fn scale(&self, kind: Kind) -> Scale {
        let [tool, result, document, prompt, argument] = self.scales;
        match kind {
            Kind::ToolDescription => tool,
            Kind::ToolResult => result,
            Kind::Document => document,
            Kind::UserPrompt => prompt,
            Kind::Argument => argument,
        }
    }
}

fn logistic(value: f32) -> f32 {
    1.0 / (1.0 + (-value).exp())
}

/// What is left to read.
struct Rest(&'static [u8]);

impl Rest {
    fn take(&mut self, length: usize) -> Result<&'static [u8], ModelError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(ModelError::Length)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u32, ModelError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(ModelError::Length)?;
        self.0 = rest;
        Ok(u32::from_le_bytes(*taken))
    }

    fn fraction(&mut self) -> Result<f32, ModelError> {
        let value = f32::from_bits(self.number()?);
        if value.is_finite() { Ok(value) } else { Err(ModelError::Number) }
    }
}
