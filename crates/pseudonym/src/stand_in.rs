//! Which digits of a number are encrypted so that it stays a number of its kind.
//!
//! A card keeps its first two digits, by which its issuer is told, and Luhn's digit follows anew; an IBAN keeps its country and letters,
//! and its check digits follow anew; a number of a telephone keeps the code of its country. Of all others letters stay and digits
//! become others. Where it could be taken for a number of a program, zeros at the front stay there, no others come there, and what
//! fits a number of 31, 32, 53, 63 or 64 bits fits it still.
//!
//! What is outside of such bounds is encrypted again until it is within. So each number that is within comes of exactly one.

use zeroize::Zeroizing;

use crate::kind::Kind;
use crate::preserve::{Preserving, Unfit, luhn};

/// So often a number is encrypted until it is within its bounds. Thirteen times on average are the most that any of them takes, so
/// that one in 10^140 takes longer.
const MOST_STEPS: usize = 4_096;

/// What programs hold whole numbers in.
const BOUNDS: [u128; 5] = [i32::MAX as u128, u32::MAX as u128, (1 << 53) - 1, i64::MAX as u128, u64::MAX as u128];

impl Kind {
    /// Whether what is of that kind may have a number that stands for it.
    #[must_use]
    pub fn has_numbers(self) -> bool {
        matches!(
            self,
            Kind::PaymentCard
                | Kind::Iban
                | Kind::Phone
                | Kind::BankAccount
                | Kind::BankId
                | Kind::NationalId
                | Kind::TaxId
                | Kind::Passport
                | Kind::DrivingLicence
                | Kind::HealthId
                | Kind::Own
        )
    }
}

impl Preserving {
    /// Another number of that kind, of the same length and shape: the same of the same number, each time. Spellings that are the
    /// same number have to come in one form.
    ///
    /// # Errors
    /// If it has too few digits or too many, if a digit of another script would stay, or if it is not what its kind has to be.
    pub fn stand_in(&self, kind: Kind, form: &str) -> Result<Zeroizing<String>, Unfit> {
        if form.chars().any(|c| c.is_numeric() && !c.is_ascii_digit()) {
            return Err(Unfit::Letter);
        }
        let mut digits =
            Zeroizing::new(form.bytes().filter(u8::is_ascii_digit).map(|digit| digit - b'0').collect::<Vec<_>>());
        match kind {
            Kind::PaymentCard => self.card(&mut digits)?,
            Kind::Iban => self.iban(form, &mut digits)?,
            Kind::Phone => {
                let kept = if form.starts_with('+') { country_code(&digits) } else { 0 };
                self.walk(kind, digits.get_mut(kept..).unwrap_or_default())?;
            }
            // Of one use for all others: which of them a number is, its surroundings say, and not always the same.
            _ if kind.has_numbers() => self.walk(Kind::Own, &mut digits)?,
            _ => return Err(Unfit::Kind),
        }
        let mut digits = digits.iter();
        let number = form.chars().map(|c| match c.is_ascii_digit() {
            true => digits.next().map_or(c, |digit| char::from(b'0' + digit)),
            false => c,
        });
        let number = Zeroizing::new(number.collect::<String>());
        if *number == form { Err(Unfit::Same) } else { Ok(number) }
    }

    fn card(&self, digits: &mut [u8]) -> Result<(), Unfit> {
        const ISSUER: usize = 2;
        let (last, others) = digits.split_last_mut().ok_or(Unfit::Short)?;
        if luhn(others) != *last {
            return Err(Unfit::Luhn);
        }
        self.encrypt(Kind::PaymentCard, "stand-in", others.get_mut(ISSUER..).ok_or(Unfit::Short)?)?;
        *last = luhn(others);
        Ok(())
    }

    fn iban(&self, form: &str, digits: &mut [u8]) -> Result<(), Unfit> {
        let is_one = form.is_ascii()
            && form.get(..2).is_some_and(|country| country.bytes().all(|byte| byte.is_ascii_uppercase()))
            && form.get(2..4).is_some_and(|check| check.bytes().all(|byte| byte.is_ascii_digit()));
        let (check, account) = digits.split_at_mut_checked(2).filter(|_| is_one).ok_or(Unfit::Kind)?;
        self.encrypt(Kind::Iban, "stand-in", account)?;
        let mut account = account.iter();
        let behind = form.bytes().skip(4).map(|byte| match byte.is_ascii_digit() {
            true => account.next().map_or(byte, |digit| b'0' + digit),
            false => byte,
        });
        let follows = 98 - remainder(behind.chain(form.bytes().take(2)).chain(*b"00"));
        check.iter_mut().zip([follows / 10, follows % 10]).for_each(|(to, digit)| *to = digit);
        Ok(())
    }

    /// Encrypts a number behind its leading zeros until it has no more of them and is within the same bounds.
    fn walk(&self, kind: Kind, digits: &mut [u8]) -> Result<(), Unfit> {
        let zeros = digits.iter().take_while(|digit| **digit == 0).count();
        let number = digits.get_mut(zeros..).unwrap_or_default();
        let bounds = bounds(number);
        for _ in 0..MOST_STEPS {
            self.encrypt(kind, "stand-in", number)?;
            if number.first() != Some(&0) && self::bounds(number) == bounds {
                return Ok(());
            }
        }
        Err(Unfit::Failed)
    }
}

/// How many of the bounds it is beyond; all of them if it is beyond what can be told.
fn bounds(digits: &[u8]) -> usize {
    let add = |number: u128, digit: &u8| number.checked_mul(10)?.checked_add(u128::from(*digit));
    match digits.iter().try_fold(0, add) {
        Some(number) => BOUNDS.iter().filter(|bound| number > **bound).count(),
        None => BOUNDS.len(),
    }
}

/// The remainder by 97 of letters and digits, a letter being a number from 10 to 35 (ISO 13616).
fn remainder(letters: impl Iterator<Item = u8>) -> u8 {
    let sum = letters.fold(0_u32, |sum, byte| match char::from(byte).to_digit(36) {
        Some(value) if value < 10 => (sum * 10 + value) % 97,
        Some(value) => (sum * 100 + value) % 97,
        None => sum,
    });
    // Below 97.
    sum as u8
}

/// How many digits the code of a country has (ITU-T E.164).
fn country_code(digits: &[u8]) -> usize {
    match digits {
        [1 | 7, ..] => 1,
        [2, 0 | 7, ..]
        | [3, 0..=4 | 6 | 9, ..]
        | [4, 0 | 1 | 3..=9, ..]
        | [5, 1..=8, ..]
        | [6, 0..=6, ..]
        | [8, 1 | 2 | 4 | 6, ..]
        | [9, 0..=5 | 8, ..] => 2,
        _ => 3,
    }
}
