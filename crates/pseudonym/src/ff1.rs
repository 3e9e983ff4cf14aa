//! FF1 of NIST SP 800-38G Rev. 1 with AES-256: encrypts a row of numerals as a row of as many numerals.
//!
//! Both halves are kept as numbers, which bounds them: no half is beyond 120 bits, so 72 decimal digits are the most.

use aws_lc_rs::cipher::{AES_256, EncryptingKey, UnboundCipherKey};
use zeroize::Zeroize;

use crate::Unfit;

const ROUNDS: u8 = 10;
/// So many rows there have to be at least: of fewer too much can be learned by trying.
const LEAST: u128 = 1_000_000;
/// A byte more than this still fits a number.
const MOST: u128 = 1 << 120;

type Block = [u8; 16];

#[derive(Debug)]
pub(crate) struct Ff1 {
    key: EncryptingKey,
}

/// What all rounds for one row share.
struct Plan {
    radix: u8,
    /// How many numerals the first half has.
    first: usize,
    /// How many different halves there are, of the first and of the second.
    moduli: (u128, u128),
    /// How many bytes a half takes.
    bytes: usize,
    /// How many bytes are drawn for each round.
    drawn: usize,
    /// What each round begins with: the parameters, the tweak and zeros up to the number of the round.
    head: Vec<u8>,
}

impl Plan {
    fn new(radix: u8, length: usize, tweak: &[u8]) -> Result<Plan, Unfit> {
        let (first, second) = (length / 2, length.div_ceil(2));
        let count = |numerals: usize| {
            let count = u32::try_from(numerals).ok().and_then(|numerals| u128::from(radix).checked_pow(numerals));
            count.filter(|count| *count <= MOST).ok_or(Unfit::Long)
        };
        let moduli = (count(first)?, count(second)?);
        if moduli.0.checked_mul(moduli.1).is_some_and(|all| all < LEAST) {
            return Err(Unfit::Short);
        }
        let bits = u128::BITS - (moduli.1 - 1).leading_zeros();
        let bytes = bits.div_ceil(8) as usize;
        let [length, tweak_length] = [length, tweak.len()].map(|length| u32::try_from(length).unwrap_or(u32::MAX));
        let mut head = vec![1, 2, 1, 0, 0, radix, ROUNDS, (first % 256) as u8];
        head.extend(length.to_be_bytes());
        head.extend(tweak_length.to_be_bytes());
        head.extend(tweak);
        // Up to a whole block, together with the number of the round and a half.
        head.resize((head.len() + 1 + bytes).next_multiple_of(16) - 1 - bytes, 0);
        Ok(Plan { radix, first, moduli, bytes, drawn: 4 * bytes.div_ceil(4) + 4, head })
    }

    /// The modulus of the half that a round changes.
    fn modulus(&self, round: u8) -> u128 {
        if round.is_multiple_of(2) { self.moduli.0 } else { self.moduli.1 }
    }

    fn read(&self, numerals: &[u8]) -> u128 {
        numerals.iter().fold(0, |number, numeral| number * u128::from(self.radix) + u128::from(*numeral))
    }

    fn write(&self, mut number: u128, numerals: &mut [u8]) {
        for numeral in numerals.iter_mut().rev() {
            *numeral = (number % u128::from(self.radix)) as u8;
            number /= u128::from(self.radix);
        }
    }
}

impl Ff1 {
    pub(crate) fn new(key: &[u8; 32]) -> Result<Ff1, Unfit> {
        let key = UnboundCipherKey::new(&AES_256, key).and_then(EncryptingKey::ecb);
        Ok(Ff1 { key: key.map_err(|_| Unfit::Failed)? })
    }

    /// Encrypts a row of numerals, each of which is below `radix`.
    pub(crate) fn encrypt(&self, radix: u8, tweak: &[u8], numerals: &mut [u8]) -> Result<(), Unfit> {
        let plan = Plan::new(radix, numerals.len(), tweak)?;
        let (first, second) = numerals.split_at_mut_checked(plan.first).ok_or(Unfit::Failed)?;
        let (mut a, mut b) = (plan.read(first), plan.read(second));
        for round in 0..ROUNDS {
            let modulus = plan.modulus(round);
            let c = (a + self.drawn(&plan, round, b, modulus)?) % modulus;
            (a, b) = (b, c);
        }
        plan.write(a, first);
        plan.write(b, second);
        Ok(())
    }

    /// The other way round.
    pub(crate) fn decrypt(&self, radix: u8, tweak: &[u8], numerals: &mut [u8]) -> Result<(), Unfit> {
        let plan = Plan::new(radix, numerals.len(), tweak)?;
        let (first, second) = numerals.split_at_mut_checked(plan.first).ok_or(Unfit::Failed)?;
        let (mut a, mut b) = (plan.read(first), plan.read(second));
        for round in (0..ROUNDS).rev() {
            let modulus = plan.modulus(round);
            let c = (b + modulus - self.drawn(&plan, round, a, modulus)?) % modulus;
            (a, b) = (c, a);
        }
        plan.write(a, first);
        plan.write(b, second);
        Ok(())
    }

    /// What a round adds to one half because of the other, below `modulus`.
    fn drawn(&self, plan: &Plan, round: u8, half: u128, modulus: u128) -> Result<u128, Unfit> {
        let bytes = half.to_be_bytes();
        let half = bytes.get(bytes.len().saturating_sub(plan.bytes)..).ok_or(Unfit::Failed)?;
        let mut text = [plan.head.as_slice(), &[round], half].concat();
        let mut block: Block = [0; 16];
        for part in text.chunks(16) {
            block.iter_mut().zip(part).for_each(|(to, from)| *to ^= from);
            self.cipher(&mut block)?;
        }
        let mut drawn = block.to_vec();
        for number in 1_u128.. {
            if drawn.len() >= plan.drawn {
                break;
            }
            let mut more: Block = (u128::from_be_bytes(block) ^ number).to_be_bytes();
            self.cipher(&mut more)?;
            drawn.extend(more);
        }
        let number = drawn.iter().take(plan.drawn).fold(0, |number, byte| (number * 256 + u128::from(*byte)) % modulus);
        text.zeroize();
        Ok(number)
    }

    fn cipher(&self, block: &mut Block) -> Result<(), Unfit> {
        self.key.encrypt(block).map(drop).map_err(|_| Unfit::Failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [
        0x2B, 0x7E, 0x15, 0x16, 0x28, 0xAE, 0xD2, 0xA6, 0xAB, 0xF7, 0x15, 0x88, 0x09, 0xCF, 0x4F, 0x3C, 0xEF, 0x43,
        0x59, 0xD8, 0xD5, 0x80, 0xAA, 0x4F, 0x7F, 0x03, 0x6D, 0x6F, 0x04, 0xFC, 0x6A, 0x94,
    ];

    fn numerals(text: &str) -> Vec<u8> {
        text.chars().map(|letter| letter.to_digit(36).unwrap() as u8).collect()
    }

    /// Samples 7 to 9 of the ones that NIST publishes for FF1, which are those with AES-256.
    #[test]
    fn it_is_what_nist_shows() {
        for (radix, tweak, plain, encrypted) in [
            (10, "", "0123456789", "6657667009"),
            (10, "9876543210", "0123456789", "1001623463"),
            (36, "7777pqrs777", "0123456789abcdefghi", "xs8a0azh2avyalyzuwd"),
        ] {
            let ff1 = Ff1::new(&KEY).unwrap();
            let mut row = numerals(plain);
            ff1.encrypt(radix, tweak.as_bytes(), &mut row).unwrap();
            assert_eq!(row, numerals(encrypted));
            ff1.decrypt(radix, tweak.as_bytes(), &mut row).unwrap();
            assert_eq!(row, numerals(plain));
        }
    }

    #[test]
    fn rows_of_any_length_come_back_and_those_beyond_are_refused() {
        let ff1 = Ff1::new(&KEY).unwrap();
        for (radix, least, most) in [(10, 6, 72), (36, 4, 46)] {
            for length in 0..=most + 2 {
                let plain: Vec<u8> = (0..length).map(|at| ((at * 7 + 3) % radix as usize) as u8).collect();
                let mut row = plain.clone();
                let done = ff1.encrypt(radix, b"tweak", &mut row);
                if length < least || length > most {
                    let why = if length < least { Unfit::Short } else { Unfit::Long };
                    assert_eq!((done, &row), (Err(why), &plain), "{radix} {length}");
                    assert_eq!(ff1.decrypt(radix, b"tweak", &mut row), Err(why));
                    continue;
                }
                assert_eq!(done, Ok(()));
                assert!(row != plain && row.iter().all(|numeral| *numeral < radix), "{radix} {length}");
                ff1.decrypt(radix, b"tweak", &mut row).unwrap();
                assert_eq!(row, plain);
            }
        }
    }

    /// As all rows of the smallest size: each comes of exactly one.
    #[test]
    fn no_two_rows_become_the_same() {
        let ff1 = Ff1::new(&KEY).unwrap();
        let mut seen = vec![false; 1_000_000];
        // One in a hundred, and the rows that those come of.
        for number in (0..1_000_000_u32).step_by(100) {
            let mut row: Vec<u8> = format!("{number:06}").bytes().map(|digit| digit - b'0').collect();
            ff1.encrypt(10, b"", &mut row).unwrap();
            let at = row.iter().fold(0, |number, digit| number * 10 + usize::from(*digit));
            assert!(!std::mem::replace(&mut seen[at], true), "{number}");
        }
    }
}
