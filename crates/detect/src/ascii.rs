//! Sixteen bytes at once: how far a word goes, without a branch for each of its letters.

use wide::{i8x16, u8x16};

/// Sixteen bytes of a text; zeros where it has ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head([u8; WIDTH]);

/// How many bytes are looked at together.
pub(crate) const WIDTH: usize = 16;

/// For each number of bytes, all bits of as many: looked up, as shifting numbers of 128 bits takes long.
#[expect(clippy::indexing_slicing, reason = "a constant is computed by the compiler, and there is no other way in one")]
const FIRST: [[u64; 2]; WIDTH + 1] = {
    let mut first = [[u64::MAX; 2]; WIDTH + 1];
    let mut length = 0;
    while length < WIDTH {
        let bits = (1_u128 << (8 * length)) - 1;
        first[length] = [bits as u64, (bits >> 64) as u64];
        length += 1;
    }
    first
};

/// The bit that tells small letters from capital ones.
const SMALL: u8 = 0x20;

impl Head {
    /// The bytes from `at` on.
    #[inline(always)]
    pub(crate) fn of(bytes: &[u8], at: usize) -> Head {
        match bytes.get(at..).and_then(|rest| rest.first_chunk()) {
            Some(chunk) => Head(*chunk),
            None => Head::last(bytes.get(at..).unwrap_or_default()),
        }
    }

    #[cold]
    fn last(rest: &[u8]) -> Head {
        let mut chunk = [0; WIDTH];
        for (to, from) in chunk.iter_mut().zip(rest) {
            *to = *from;
        }
        Head(chunk)
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

    /// How many digits of base64, of either alphabet, it begins with.
    #[inline(always)]
    pub(crate) fn sextets(self) -> usize {
        leading(self.are_sextets())
    }

    /// Its first bytes, letters in small ones: the bit that tells them from capital ones is set in each.
    #[inline(always)]
    pub(crate) fn first(self, length: usize) -> [u64; 2] {
        let [low, high] = FIRST.get(length.min(WIDTH)).copied().unwrap_or_default();
        let bytes = u128::from_le_bytes(self.0) | u128::from_le_bytes([SMALL; WIDTH]);
        [bytes as u64 & low, (bytes >> 64) as u64 & high]
    }

    /// One bit for each byte, the lowest for the first: which are letters, which of those capital ones, which are no ASCII, and
    /// which end a line.
    #[inline(always)]
    pub(crate) fn marks(self) -> [u16; 4] {
        let marked = |bytes: u8x16| bytes.to_bitmask() as u16;
        let bytes = u8x16::from(self.0);
        [self.are_letters(), self.within(b'A', b'Z'), bytes, self.within(b'\n', b'\n')].map(marked)
    }

    #[inline(always)]
    fn are_letters(self) -> u8x16 {
        within(u8x16::from(self.0) | u8x16::splat(SMALL), b'a', b'z')
    }

    #[inline(always)]
    fn are_sextets(self) -> u8x16 {
        // From the slash on, digits follow it.
        let signs = self.within(b'+', b'+') | self.within(b'-', b'-') | self.within(b'_', b'_');
        self.are_letters() | self.within(b'/', b'9') | signs
    }

    #[inline(always)]
    fn within(self, from: u8, to: u8) -> u8x16 {
        within(u8x16::from(self.0), from, to)
    }
}

/// All bits of each byte that lies between two, and no bit of another.
#[inline(always)]
fn within(bytes: u8x16, from: u8, to: u8) -> u8x16 {
    if from == to {
        return bytes.simd_eq(u8x16::splat(from));
    }
    // What is below the first one is far above it in a byte. Numbers with a sign are compared in one step, others in two.
    let above = bytes - u8x16::splat(from.wrapping_add(128));
    let least = i8x16::splat((to - from).wrapping_sub(127).cast_signed());
    above.cast_signed().simd_lt(least).cast_unsigned()
}

/// How many bytes from the first on are marked.
#[inline(always)]
fn leading(marked: u8x16) -> usize {
    (!marked.to_bitmask()).trailing_zeros().min(WIDTH as u32) as usize
}

/// Bytes of a [`Block`].
pub(crate) const BLOCK: usize = 64;

/// Sixty-four bytes at once: one bit for each of them that is of a kind, the lowest for the first; none where a text has ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block([Head; BLOCK / WIDTH]);

impl Block {
    /// The bytes from `at` on.
    #[inline(always)]
    pub(crate) fn of(bytes: &[u8], at: usize) -> Block {
        let head = |index: usize| Head::of(bytes, at + index * WIDTH);
        Block([head(0), head(1), head(2), head(3)])
    }

    /// All of them; zeros where a text has ended.
    #[inline(always)]
    pub(crate) fn bytes(&self) -> [u8; BLOCK] {
        let mut bytes = [0; BLOCK];
        for (to, Head(from)) in bytes.as_chunks_mut().0.iter_mut().zip(&self.0) {
            *to = *from;
        }
        bytes
    }

    #[inline(always)]
    pub(crate) fn letters(&self) -> u64 {
        self.bits(Head::are_letters)
    }

    #[inline(always)]
    pub(crate) fn digits(&self) -> u64 {
        self.bits(|head| head.within(b'0', b'9'))
    }

    /// Digits of numbers to the base of sixteen.
    #[inline(always)]
    pub(crate) fn hexadecimal(&self) -> u64 {
        self.bits(|head| within(u8x16::from(head.0) | u8x16::splat(SMALL), b'a', b'f') | head.within(b'0', b'9'))
    }

    /// Digits of base64, of either alphabet.
    #[inline(always)]
    pub(crate) fn sextets(&self) -> u64 {
        self.bits(Head::are_sextets)
    }

    /// Letters, digits and underscores.
    #[inline(always)]
    pub(crate) fn words(&self) -> u64 {
        self.bits(|head| head.are_letters() | head.within(b'0', b'9') | head.within(b'_', b'_'))
    }

    /// Bytes that are not ASCII.
    #[inline(always)]
    pub(crate) fn not_ascii(&self) -> u64 {
        self.bits(|head| u8x16::from(head.0))
    }

    /// Bytes within one of these ranges, ends included.
    #[inline(always)]
    pub(crate) fn within<const N: usize>(&self, wanted: [(u8, u8); N]) -> u64 {
        let mut bits = 0;
        for (index, head) in self.0.iter().enumerate() {
            let mut any = u8x16::ZERO;
            for (from, to) in wanted {
                any |= head.within(from, to);
            }
            bits |= u64::from(any.to_bitmask()) << (WIDTH * index);
        }
        bits
    }

    /// First bytes of characters that are not ASCII.
    #[inline(always)]
    pub(crate) fn firsts(&self) -> u64 {
        self.bits(|head| head.within(0xC0, 0xFF))
    }

    /// Bytes that are one of these.
    #[inline(always)]
    pub(crate) fn any_of<const N: usize>(&self, wanted: [u8; N]) -> u64 {
        self.within(wanted.map(|byte| (byte, byte)))
    }

    #[inline(always)]
    fn bits(&self, marked: impl Fn(Head) -> u8x16) -> u64 {
        let [first, second, third, fourth] = &self.0;
        let bits = |head: &Head| u64::from(marked(*head).to_bitmask());
        bits(first) | bits(second) << 16 | bits(third) << 32 | bits(fourth) << 48
    }
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
            let marks = [byte.is_ascii_alphabetic(), byte.is_ascii_uppercase(), !byte.is_ascii(), byte == b'\n'];
            assert_eq!(head.marks(), marks.map(|is| if is { u16::MAX } else { 0 }), "{byte}");
            let block = Block::of(&[byte; BLOCK], 0);
            let all = |is: bool| if is { u64::MAX } else { 0 };
            assert_eq!(block.letters(), all(byte.is_ascii_alphabetic()), "{byte}");
            assert_eq!(block.digits(), all(byte.is_ascii_digit()), "{byte}");
            assert_eq!(block.hexadecimal(), all(byte.is_ascii_hexdigit()), "{byte}");
            assert_eq!(block.sextets(), all(is_sextet), "{byte}");
            assert_eq!(block.firsts(), all(byte >= 0xC0), "{byte}");
            assert_eq!(block.words(), all(is_word), "{byte}");
            assert_eq!(block.not_ascii(), all(!byte.is_ascii()), "{byte}");
            assert_eq!(block.within([(b'!', b'"'), (b'`', b'`')]), all(matches!(byte, b'!' | b'"' | b'`')), "{byte}");
            assert_eq!(block.any_of([b'!', b'|']), all(matches!(byte, b'!' | b'|')), "{byte}");
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
            let letters = rest.iter().take(BLOCK).enumerate().filter(|(_, byte)| byte.is_ascii_alphabetic());
            prop_assert_eq!(Block::of(&bytes, at).letters(), letters.fold(0, |bits, (place, _)| bits | 1 << place));
        }
    }
}
