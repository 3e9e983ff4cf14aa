//! The part of a name that tells it from others: base32 in small letters and digits, without the letters that are taken for
//! others (`i`, `l`, `o`, `u`).

/// So many characters say which one it is: 80 bits.
pub(crate) const ID: usize = 16;
/// And so many that its key made it: 20 bits.
pub(crate) const CHECK: usize = 4;
pub(crate) const LENGTH: usize = ID + CHECK;

/// Bits that one character stands for.
const BITS: u32 = 5;
const ALPHABET: [u8; 32] = *b"0123456789abcdefghjkmnpqrstvwxyz";

/// The first `N` characters for the bits that `bytes` begin with; what is beyond them reads as zeros.
pub(crate) fn encode<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut bits = bytes.iter().copied().chain(std::iter::repeat(0));
    let (mut held, mut count) = (0_u32, 0_u32);
    [(); N].map(|()| {
        if count < BITS {
            held = (held << 8) | u32::from(bits.next().unwrap_or_default());
            count += 8;
        }
        count -= BITS;
        let letter = (held >> count) & 31;
        held &= (1 << count) - 1;
        ALPHABET.get(letter as usize).copied().unwrap_or_default()
    })
}

/// A code in any letter case, in small letters; none if anything else is in it.
pub(crate) fn read(bytes: &[u8]) -> Option<[u8; LENGTH]> {
    let code: [u8; LENGTH] = bytes.try_into().ok()?;
    let code = code.map(|byte| byte.to_ascii_lowercase());
    code.iter().all(|byte| ALPHABET.contains(byte)).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_written_five_at_a_time() {
        for (bytes, expected) in [
            (&[0_u8; 10][..], *b"0000000000000000"),
            (&[0xFF; 10], *b"zzzzzzzzzzzzzzzz"),
            (&[0b0000_1000, 0b0100_0011, 0b0010_0001, 0b0100_1100, 0b0111_0100], *b"111j2k3m00000000"),
            (&[], *b"0000000000000000"),
        ] {
            let written: [u8; ID] = encode(bytes);
            assert_eq!(String::from_utf8_lossy(&written), String::from_utf8_lossy(&expected));
        }
    }

    #[test]
    fn only_whole_codes_are_read() {
        assert_eq!(read(b"0123456789ABCDEFGHJK"), Some(*b"0123456789abcdefghjk"));
        for wrong in
            ["0123456789abcdefghj", "0123456789abcdefghjkm", "0123456789abcdefghjo", "0123456789abcdefghj_", ""]
        {
            assert_eq!(read(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
