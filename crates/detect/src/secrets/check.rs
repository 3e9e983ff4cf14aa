//! Checksums that secrets carry, so that one can be told from a text that only looks like it without asking anybody.

/// How a checksum is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// The last six letters are the CRC-32 of those between the first `_` and them, in base 62.
    Crc32Base62,
    /// The last six letters are the CRC-32 of all before them, in base 62.
    Crc32Base62Whole,
    /// Behind the last `_` stands the CRC-32 of all before it, in hex, the lowest byte first.
    Crc32Hex,
    /// The last six letters are the checksum of Bech32 (BIP 173).
    Bech32,
}

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BECH32: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const DIGITS: usize = 6;

impl Check {
    /// Whether the checksum of a secret is right.
    #[must_use]
    pub fn holds(self, secret: &str) -> bool {
        self.right(secret).is_some_and(|right| right == secret)
    }

    /// The secret with the right checksum in the place of the one that it has.
    #[must_use]
    pub fn right(self, secret: &str) -> Option<String> {
        let (body, _) = secret.split_at_checked(secret.len().checked_sub(DIGITS)?)?;
        match self {
            Check::Crc32Base62 => {
                let (_, checked) = body.split_once('_')?;
                Some(format!("{body}{}", base62(crc32(checked.as_bytes()))))
            }
            Check::Crc32Base62Whole => Some(format!("{body}{}", base62(crc32(body.as_bytes())))),
            Check::Crc32Hex => {
                let (body, _) = secret.rsplit_once('_')?;
                let digits = crc32(body.as_bytes()).to_le_bytes().map(|byte| format!("{byte:02x}")).concat();
                Some(format!("{body}_{digits}"))
            }
            Check::Bech32 => bech32(body),
        }
    }
}

fn base62(mut rest: u32) -> String {
    let mut digits = ['0'; DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62.get((rest % 62) as usize).copied().map_or('0', char::from);
        rest /= 62;
    }
    digits.iter().collect()
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

/// With its checksum, in the case that it has.
fn bech32(body: &str) -> Option<String> {
    let lower = body.to_ascii_lowercase();
    let (name, data) = lower.rsplit_once('1')?;
    let value = |byte: u8| BECH32.iter().position(|digit| *digit == byte).and_then(|at| u32::try_from(at).ok());
    let data: Option<Vec<u32>> = data.bytes().map(value).collect();
    let high = name.bytes().map(|byte| u32::from(byte >> 5));
    let low = name.bytes().map(|byte| u32::from(byte & 31));
    let all = high.chain([0]).chain(low).chain(data?).chain([0; DIGITS]);
    let sum = all.fold(1, polymod) ^ 1;
    let digits = (0..DIGITS as u32).map(|place| (sum >> (5 * (5 - place))) & 31);
    let digits: String = digits.filter_map(|digit| BECH32.get(digit as usize).copied().map(char::from)).collect();
    let is_upper = body.bytes().any(|byte| byte.is_ascii_uppercase());
    Some(format!("{body}{}", if is_upper { digits.to_ascii_uppercase() } else { digits }))
}

fn polymod(sum: u32, value: u32) -> u32 {
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let top = sum >> 25;
    let shifted = (sum & 0x1ff_ffff) << 5 ^ value;
    GENERATOR.iter().enumerate().fold(shifted, |sum, (bit, term)| if top >> bit & 1 == 1 { sum ^ term } else { sum })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_issuers() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        for (check, body, sum) in [
            // Published as explanations of the formats; none opens anything.
            (Check::Crc32Base62, "ghp_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ", "0mLq17"),
            (Check::Crc32Hex, "glsa_yscW25imSKJIuav8zF37RZmnbiDvB05G", "_fcaaf58a"),
            // A test vector of BIP 173.
            (Check::Bech32, "A1", "2UEL5L"),
            (Check::Bech32, "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7l", "mqqqxw"),
        ] {
            let good = format!("{body}{sum}");
            assert!(check.holds(&good), "{good}");
            let wrong: String = good.chars().take(good.len() - 1).chain(['2']).collect();
            assert!(!check.holds(&wrong), "{wrong}");
        }
    }
}
