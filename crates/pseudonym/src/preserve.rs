//! Numbers that stay numbers: of the same length, with what separates their digits where it was.
//!
//! Unlike a name, what comes of it is not told from other numbers, and what anybody made up decrypts to something. It may be
//! the number of somebody else. So it is for where a number has to pass for one, and names are for everything else.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::ff1::Ff1;
use crate::key::framed;
use crate::kind::Kind;

/// Why something is not encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unfit {
    /// So short that all there are can be tried.
    #[error("there are fewer than a million numbers of that length, so that it would hide nothing")]
    Short,
    /// Beyond what can be computed.
    #[error("it is too long")]
    Long,
    /// What is neither a digit nor between digits would stay as it is.
    #[error("it has a letter or a digit that would stay as it is")]
    Letter,
    /// A number of a card whose last digit does not follow from the others.
    #[error("its last digit is not the one that follows from the others")]
    Luhn,
    /// Nothing of its kind can be told from others by its form.
    #[error("numbers of its kind have no form that could be kept")]
    Kind,
    /// What it becomes is itself, which hides nothing.
    #[error("it would stay as it is")]
    Same,
    /// The cryptography itself fails.
    #[error("it cannot be encrypted")]
    Failed,
}

/// Which characters are encrypted.
#[derive(Clone, Copy)]
enum Alphabet {
    Digits = 10,
    Alphanumerics = 36,
}

impl Alphabet {
    fn numeral(self, letter: char) -> Option<u8> {
        let numeral = letter.to_digit(self as u32).filter(|_| !letter.is_ascii_lowercase())?;
        u8::try_from(numeral).ok()
    }

    fn letter(self, numeral: u8) -> Option<char> {
        char::from_digit(numeral.into(), self as u32).map(|letter| letter.to_ascii_uppercase())
    }
}

/// Which way.
#[derive(Clone, Copy)]
enum Way {
    Encrypt,
    Decrypt,
}

/// Encrypts numbers of one tenant for one purpose, and decrypts them: the same of the same number, each time.
pub struct Preserving {
    ff1: Ff1,
    tenant: String,
    purpose: String,
}

impl fmt::Debug for Preserving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Preserving")
    }
}

impl Preserving {
    pub(crate) fn new(key: &[u8; 32], tenant: &str, purpose: &str) -> Result<Preserving, Unfit> {
        Ok(Preserving { ff1: Ff1::new(key)?, tenant: tenant.to_owned(), purpose: purpose.to_owned() })
    }

    /// Encrypts the digits of a text, and leaves what separates them.
    ///
    /// # Errors
    /// If it has fewer than six digits or more than 72, or letters.
    pub fn encrypt_digits(&self, kind: Kind, text: &str) -> Result<Zeroizing<String>, Unfit> {
        self.change(kind, text, Alphabet::Digits, Way::Encrypt)
    }

    /// What [`encrypt_digits`](Self::encrypt_digits) was given.
    ///
    /// # Errors
    /// As for that.
    pub fn decrypt_digits(&self, kind: Kind, text: &str) -> Result<Zeroizing<String>, Unfit> {
        self.change(kind, text, Alphabet::Digits, Way::Decrypt)
    }

    /// Encrypts digits and capital letters of a text, and leaves what separates them. Any of them becomes any.
    ///
    /// # Errors
    /// If it has fewer than four of them or more than 46, or other letters.
    pub fn encrypt_alphanumerics(&self, kind: Kind, text: &str) -> Result<Zeroizing<String>, Unfit> {
        self.change(kind, text, Alphabet::Alphanumerics, Way::Encrypt)
    }

    /// What [`encrypt_alphanumerics`](Self::encrypt_alphanumerics) was given.
    ///
    /// # Errors
    /// As for that.
    pub fn decrypt_alphanumerics(&self, kind: Kind, text: &str) -> Result<Zeroizing<String>, Unfit> {
        self.change(kind, text, Alphabet::Alphanumerics, Way::Decrypt)
    }

    /// Encrypts the digits of a number whose last one follows from the others by Luhn's formula, as on a card, as another such one.
    ///
    /// # Errors
    /// If it is none, or has fewer than seven digits or more than 73, or letters.
    pub fn encrypt_luhn(&self, kind: Kind, text: &str) -> Result<Zeroizing<String>, Unfit> {
        self.change_luhn(kind, text, Way::Encrypt)
    }

    /// What [`encrypt_luhn`](Self::encrypt_luhn) was given.
    ///
    /// # Errors
    /// As for that.
    pub fn decrypt_luhn(&self, kind: Kind, text: &str) -> Result<Zeroizing<String>, Unfit> {
        self.change_luhn(kind, text, Way::Decrypt)
    }

    fn change(&self, kind: Kind, text: &str, alphabet: Alphabet, way: Way) -> Result<Zeroizing<String>, Unfit> {
        let mut numerals = numerals(text, alphabet)?;
        self.run(kind, "", alphabet, way, &mut numerals)?;
        written(text, alphabet, &numerals)
    }

    /// All but the last digit are a number of their own, and the last one is made anew: so each number that is valid becomes one,
    /// and each comes of one, without trying.
    fn change_luhn(&self, kind: Kind, text: &str, way: Way) -> Result<Zeroizing<String>, Unfit> {
        let mut numerals = numerals(text, Alphabet::Digits)?;
        let (last, others) = numerals.split_last_mut().ok_or(Unfit::Short)?;
        if luhn(others) != *last {
            return Err(Unfit::Luhn);
        }
        self.run(kind, "luhn", Alphabet::Digits, way, others)?;
        *last = luhn(others);
        written(text, Alphabet::Digits, &numerals)
    }

    /// Encrypts a row of digits for that use.
    pub(crate) fn encrypt(&self, kind: Kind, form: &str, digits: &mut [u8]) -> Result<(), Unfit> {
        self.run(kind, form, Alphabet::Digits, Way::Encrypt, digits)
    }

    fn run(&self, kind: Kind, form: &str, alphabet: Alphabet, way: Way, numerals: &mut [u8]) -> Result<(), Unfit> {
        let parts = [&*self.tenant, &*self.purpose, kind.as_str(), form].map(str::as_bytes);
        let tweak = digest(&SHA256, &framed(&parts));
        match way {
            Way::Encrypt => self.ff1.encrypt(alphabet as u8, tweak.as_ref(), numerals),
            Way::Decrypt => self.ff1.decrypt(alphabet as u8, tweak.as_ref(), numerals),
        }
    }
}

/// What of a text is encrypted, as numerals.
fn numerals(text: &str, alphabet: Alphabet) -> Result<Zeroizing<Vec<u8>>, Unfit> {
    let mut numerals = Zeroizing::new(Vec::with_capacity(text.len()));
    for letter in text.chars() {
        match alphabet.numeral(letter) {
            Some(numeral) => numerals.push(numeral),
            None if letter.is_alphanumeric() => return Err(Unfit::Letter),
            None => {}
        }
    }
    Ok(numerals)
}

/// The text with these numerals in the places of its own.
fn written(text: &str, alphabet: Alphabet, numerals: &[u8]) -> Result<Zeroizing<String>, Unfit> {
    let mut written = Zeroizing::new(String::with_capacity(text.len()));
    let mut numerals = numerals.iter();
    for letter in text.chars() {
        let letter = match alphabet.numeral(letter) {
            Some(_) => numerals.next().and_then(|numeral| alphabet.letter(*numeral)).ok_or(Unfit::Failed)?,
            None => letter,
        };
        written.push(letter);
    }
    Ok(written)
}

/// The digit that follows from the ones before it.
pub(crate) fn luhn(digits: &[u8]) -> u8 {
    let mut sum = 0_u32;
    for (at, digit) in digits.iter().rev().enumerate() {
        let digit = u32::from(*digit) * if at % 2 == 0 { 2 } else { 1 };
        sum += digit / 10 + digit % 10;
    }
    ((10 - sum % 10) % 10) as u8
}
