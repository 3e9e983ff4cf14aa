//! The name of one entry.

use std::fmt;
use std::str::FromStr;

use ulid::{ULID_LEN, Ulid};

/// Identifies one entry: a ULID, so ids sort by the time they were made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(Ulid);

impl Id {
    /// Length of the text form.
    pub(crate) const LEN: usize = ULID_LEN;

    /// Builds an id from a time in microseconds since 1970 and 80 random bits.
    #[must_use]
    pub fn new(at_micros: i64, random: [u8; 10]) -> Self {
        let random = random.iter().fold(0, |bits, &byte| bits << 8 | u128::from(byte));
        Self(Ulid::from_parts(u64::try_from(at_micros / 1_000).unwrap_or(0), random))
    }

    /// When it was made, in milliseconds since 1970.
    #[must_use]
    pub fn millis(self) -> u64 {
        self.0.timestamp_ms()
    }

    pub(crate) fn text(self, buffer: &mut [u8; Self::LEN]) -> &str {
        self.0.array_to_str(buffer)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text(&mut [0; Self::LEN]))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({self})")
    }
}

impl FromStr for Id {
    type Err = &'static str;

    /// Reads the 26 upper-case characters that [`fmt::Display`] writes, and no other spelling of the same number.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const SHAPE: &str = "expected a ULID: 26 characters of 0-9 and A-Z without I, L, O and U";
        let id = Self(Ulid::from_string(text).map_err(|_| SHAPE)?);
        if id.text(&mut [0; Self::LEN]) == text { Ok(id) } else { Err(SHAPE) }
    }
}

impl From<Ulid> for Id {
    fn from(id: Ulid) -> Self {
        Self(id)
    }
}

impl From<u128> for Id {
    fn from(number: u128) -> Self {
        Self(Ulid::from_bytes(number.to_be_bytes()))
    }
}

impl From<[u8; 16]> for Id {
    fn from(bytes: [u8; 16]) -> Self {
        Self(Ulid::from_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = Id::new(1_700_000_000_000_000, [0xab; 10]);
        let text = id.to_string();
        assert_eq!(text.parse(), Ok(id));
        for wrong in [text.to_lowercase(), format!("{text}0"), "8ZZZZZZZZZZZZZZZZZZZZZZZZZ".into(), String::new()] {
            assert!(wrong.parse::<Id>().is_err(), "{wrong}");
        }
    }
}
