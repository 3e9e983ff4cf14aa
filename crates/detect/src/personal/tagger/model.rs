//! What the tagger has learnt, as it is kept in a file.
//!
//! | bytes | |
//! |---|---|
//! | 8 | `BZNAMES1` |
//! | 4 | how many bits of a feature choose its weights |
//! | 4 | how much a weight of one stands for, IEEE 754 |
//! | 10 × 10 | what it is worth that one label follows another, row by row |
//! | 10 × 2^bits | the weights of each feature, one for each label |
//!
//! Numbers are little-endian; a weight is a byte with a sign.

use super::LABELS;

const MAGIC: &[u8; 8] = b"BZNAMES1";

/// How long a row is in memory, so that it is added in one step.
pub const ROW: usize = 16;

/// Weights by feature and label.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    /// How many bits of a feature choose its weights.
    pub bits: u32,
    /// What a weight of one stands for.
    pub unit: f32,
    /// What it is worth that one label follows another.
    pub follows: [[i8; LABELS]; LABELS],
    /// One row for each feature, filled up with zeros.
    pub rows: Vec<[i8; ROW]>,
}

impl Weights {
    /// Reads a file; `None` if it is none of this version, or not whole.
    #[must_use]
    pub fn read(file: &[u8]) -> Option<Weights> {
        let rest = file.strip_prefix(MAGIC)?;
        let (bits, rest) = rest.split_first_chunk()?;
        let (unit, rest) = rest.split_first_chunk()?;
        let (bits, unit) = (u32::from_le_bytes(*bits), f32::from_le_bytes(*unit));
        let (follows, rest) = rest.split_at_checked(LABELS * LABELS)?;
        if !(8..=20).contains(&bits) || !unit.is_finite() || rest.len() != LABELS << bits {
            return None;
        }
        let row = |bytes: &[u8; LABELS]| bytes.map(u8::cast_signed);
        let mut weights = Weights { bits, unit, follows: [[0; LABELS]; LABELS], rows: Vec::new() };
        for (to, from) in weights.follows.iter_mut().zip(follows.as_chunks().0) {
            *to = row(from);
        }
        let padded = |bytes: &[u8; LABELS]| {
            let mut padded = [0; ROW];
            padded.iter_mut().zip(row(bytes)).for_each(|(to, from)| *to = from);
            padded
        };
        weights.rows = rest.as_chunks().0.iter().map(padded).collect();
        Some(weights)
    }

    /// The weights as a file.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut file = MAGIC.to_vec();
        file.extend(self.bits.to_le_bytes());
        file.extend(self.unit.to_le_bytes());
        for row in &self.follows {
            file.extend(row.map(i8::cast_unsigned));
        }
        for row in &self.rows {
            file.extend(row.iter().take(LABELS).map(|weight| weight.cast_unsigned()));
        }
        file
    }
}
