//! Sixteen bytes at once: how far a word goes, without a branch for each of its letters.

/// Sixteen bytes of a text; zeros where it has ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head(u128);

/// How many bytes are looked at together.
pub(crate) const WIDTH: usize = 16;

const HIGH: u128 = every(0x80);
const SMALL: u128 = every(0x20);

const fn every(byte: u8) -> u128 {
    u128::from_le_bytes([byte; WIDTH])
}

impl Head {
    /// The bytes from `at` on.
    #[inline(always)]
    pub(crate) fn of(bytes: &[u8], at: usize) -> Head {
        match bytes.get(at..).and_then(|rest| rest.first_chunk()) {
            Some(chunk) => Head(u128::from_le_bytes(*chunk)),
            None => Head::last(bytes.get(at..).unwrap_or_default()),
        }
    }

    #[cold]
    fn last(rest: &[u8]) -> Head {
        let mut chunk = [0; WIDTH];
        for (to, from) in chunk.iter_mut().zip(rest) {
            *to = *from;
        }
        Head(u128::from_le_bytes(chunk))
    }

    /// How many letters it begins with.
    #[inline(always)]
    pub(crate) fn letters(self) -> usize {
        leading(self.are_letters())
    }

    /// How many letters, digits and underscores it begins with.
    #[inline(always)]
    pub(crate) fn words(self) -> usize {
        leading(self.are_letters() | self.within(b'0', b'9') | self.within(b'_', b'_'))
    }

    /// Whether there is an underscore among its first bytes.
    #[inline(always)]
    pub(crate) fn has_underscore(self, length: usize) -> bool {
        self.within(b'_', b'_') & lowest(length) != 0
    }

    /// How many digits of base64, of either alphabet, it begins with.
    #[inline(always)]
    pub(crate) fn sextets(self) -> usize {
        leading(self.are_sextets())
    }

    /// How many bytes it begins with that are no digits of base64.
    #[inline(always)]
    pub(crate) fn no_sextets(self) -> usize {
        leading(!self.are_sextets() & HIGH)
    }

    /// Its first bytes, letters in small ones: the bit that tells them from capital ones is set in each.
    #[inline(always)]
    pub(crate) fn first(self, length: usize) -> [u64; 2] {
        let low = (self.0 | SMALL) & lowest(length);
        [low as u64, (low >> 64) as u64]
    }

    #[inline(always)]
    fn are_letters(self) -> u128 {
        Head(self.0 | SMALL).within(b'a', b'z')
    }

    #[inline(always)]
    fn are_sextets(self) -> u128 {
        // From the slash on, digits follow it.
        let signs = self.within(b'+', b'+') | self.within(b'-', b'-') | self.within(b'_', b'_');
        self.are_letters() | self.within(b'/', b'9') | signs
    }

    /// The highest bit of each byte that lies between two of ASCII, and no other bit.
    #[inline(always)]
    fn within(self, from: u8, to: u8) -> u128 {
        // The sums stay within their byte, as what is added to is below 0x80.
        let low = self.0 & !HIGH;
        (low + every(0x80 - from)) & !(low + every(0x7F - to)) & !self.0 & HIGH
    }
}

/// All bits of so many of the first bytes.
#[inline(always)]
fn lowest(length: usize) -> u128 {
    if length < WIDTH { (1 << (8 * length)) - 1 } else { u128::MAX }
}

/// How many bytes from the first on are marked.
#[inline(always)]
fn leading(marked: u128) -> usize {
    (!marked & HIGH).trailing_zeros() as usize / 8
}

/// The length of what `bytes` begin with from `at` on, of which `count` tells how much of a head belongs to it.
#[inline(always)]
pub(crate) fn run(bytes: &[u8], at: usize, count: impl Fn(Head) -> usize) -> usize {
    let left = bytes.len().saturating_sub(at);
    let mut length = 0;
    // Behind the end there are zeros without end.
    while length < left {
        let more = count(Head::of(bytes, at + length));
        length += more;
        if more < WIDTH {
            break;
        }
    }
    length.min(left)
}

/// A number for a word of that length, of which these are the bytes, eight at a time.
#[inline(always)]
pub(crate) fn hash(length: usize, [low, high]: [u64; 2], others: impl Iterator<Item = u64>) -> u64 {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let mix = |hash: u64, bytes: u64| (hash ^ (hash >> 32) ^ bytes).wrapping_mul(FACTOR);
    others.fold(mix(mix(length as u64, low), high), mix)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_byte_is_what_it_is() {
        for byte in 0..=u8::MAX {
            let head = Head::of(&[byte; WIDTH], 0);
            let all = |is: bool| if is { WIDTH } else { 0 };
            let is_word = byte.is_ascii_alphanumeric() || byte == b'_';
            let is_sextet = is_word || matches!(byte, b'+' | b'-' | b'/');
            assert_eq!(head.letters(), all(byte.is_ascii_alphabetic()), "{byte}");
            assert_eq!(head.words(), all(is_word), "{byte}");
            assert_eq!(head.sextets(), all(is_sextet), "{byte}");
            assert_eq!(head.no_sextets(), all(!is_sextet), "{byte}");
        }
        assert_eq!(Head::of(b"It is", 0).first(2), [u64::from_le_bytes(*b"it\0\0\0\0\0\0"), 0]);
        let both = [u64::from_le_bytes(*b"abcdefgh"), u64::from_le_bytes(*b"ijklmnop")];
        assert_eq!(Head::of(b"ABCDEFGHIJKLMNOPQ", 0).first(WIDTH), both);
    }

    proptest! {
        #[test]
        fn a_run_ends_where_bytes_say_so(bytes in proptest::collection::vec(prop_oneof![5 => b'a'..=b'z', 1 => any::<u8>()], 0..80), at in 0_usize..90) {
            let rest = bytes.get(at..).unwrap_or_default();
            let length = |is: fn(&&u8) -> bool| rest.iter().take_while(is).count();
            prop_assert_eq!(run(&bytes, at, Head::letters), length(|byte| byte.is_ascii_alphabetic()));
            prop_assert_eq!(run(&bytes, at, Head::words), length(|byte| byte.is_ascii_alphanumeric() || **byte == b'_'));
            let is_sextet = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'+' | b'-' | b'/');
            prop_assert_eq!(run(&bytes, at, Head::sextets), rest.iter().take_while(|byte| is_sextet(byte)).count());
            prop_assert_eq!(run(&bytes, at, Head::no_sextets), rest.iter().take_while(|byte| !is_sextet(byte)).count());
        }
    }
}
