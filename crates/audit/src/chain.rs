//! The hash that ties each line to every line before it.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// Separates this hash from any other use of SHA-256 over the same bytes.
const GENESIS: &[u8] = b"bartizan audit log, hash chain, format 1\0";

/// The hash at one point of the chain: it stands for that line and all lines before it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Chain([u8; 32]);

impl Chain {
    /// What the first line follows: unique to a log, so a line of one log never fits into another.
    pub(crate) fn genesis(salt: &[u8; 16]) -> Self {
        Self(Sha256::new().chain_update(GENESIS).chain_update(salt).finalize().into())
    }

    /// The hash after a line whose bytes before `,"chain"` are `body`.
    pub(crate) fn next(&self, body: &[u8]) -> Self {
        Self(Sha256::new().chain_update(self.0).chain_update(body).finalize().into())
    }

    pub(crate) fn hex(&self) -> [u8; 64] {
        let mut hex = [0; 64];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        hex
    }

    /// Reads 64 lower-case digits; upper case is refused so that each hash has one spelling.
    pub(crate) fn from_hex(hex: &[u8]) -> Option<Self> {
        from_hex(hex).map(Self)
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.hex().iter().try_for_each(|&digit| write!(f, "{}", char::from(digit)))
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chain({self})")
    }
}

/// The newest line of a log: its number and its hash, written `SEQ:HEX`.
///
/// Keep one somewhere the log's owner cannot write, and [`verify`](crate::verify) against it later.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Number of the line, starting at 1.
    pub seq: u64,
    /// Hash at that line.
    pub chain: Chain,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.chain)
    }
}

impl FromStr for Head {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const SHAPE: &str = "expected SEQ:HEX, a number and 64 lower-case hexadecimal digits";
        let (seq, hex) = text.split_once(':').ok_or(SHAPE)?;
        let seq = seq.parse().map_err(|_| SHAPE)?;
        let chain = Chain::from_hex(hex.as_bytes()).ok_or(SHAPE)?;
        Ok(Self { seq, chain })
    }
}

/// Lower-case hexadecimal text of `bytes`.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(2 * bytes.len());
    hex.extend(bytes.iter().flat_map(|&byte| [digit(byte >> 4), digit(byte & 15)]).map(char::from));
    hex
}

/// Exactly `N` bytes from lower-case hexadecimal text.
pub(crate) fn from_hex<const N: usize>(hex: &[u8]) -> Option<[u8; N]> {
    if hex.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
        let &[high, low] = pair else { return None };
        *byte = value(high)? << 4 | value(low)?;
    }
    Some(bytes)
}

fn digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_is_sha256_of_previous_and_body() {
        let chain = Chain([0; 32]).next(b"");
        // SHA-256 of 32 zero bytes.
        assert_eq!(chain.to_string(), "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925");
    }

    #[test]
    fn a_head_reads_back_and_has_one_spelling() {
        let head = Head { seq: 42, chain: Chain::genesis(&[7; 16]) };
        let text = head.to_string();
        assert_eq!(text.parse(), Ok(head));
        for wrong in [text.to_uppercase(), text.replace(':', "-"), format!("{text}0"), "1:".into(), String::new()] {
            assert!(wrong.parse::<Head>().is_err(), "{wrong}");
        }
    }
}
