//! Numbers that stand for numbers, and how one is written where the other stood.

use std::fmt;

use crate::kind::Kind;
use crate::name::Token;

/// A number that stands for another one of its kind, and under which name it is kept what that is.
#[derive(Clone, PartialEq, Eq)]
pub struct Number {
    token: Token,
    form: Box<str>,
}

/// It is shown to whoever is not to know the other one, but nobody else need see it.
impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Number({})", self.token)
    }
}

impl Number {
    pub(crate) fn new(token: Token, form: &str) -> Number {
        Number { token, form: form.into() }
    }

    /// What tells it from all others of its tenant and purpose.
    #[must_use]
    pub fn token(&self) -> Token {
        self.token
    }

    /// Its normal form.
    #[must_use]
    pub fn form(&self) -> &str {
        &self.form
    }

    /// Its digits.
    #[must_use]
    pub fn digits(&self) -> String {
        digits(&self.form)
    }

    /// It, as the number that it stands for is written there; none if that has other digits.
    #[must_use]
    pub fn written_as(&self, text: &str) -> Option<String> {
        written_as(self.token.kind(), &self.form, text)
    }
}

/// The ASCII digits of a text.
#[must_use]
pub fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// The digits of a normal form in the places of those of another number of its kind: what separates them there stays, and so do
/// letters, and what is dialled before the code of a country. None if there are fewer places than digits.
#[must_use]
pub fn written_as(kind: Kind, form: &str, text: &str) -> Option<String> {
    let digits: Vec<u8> = form.bytes().filter(u8::is_ascii_digit).collect();
    let mut bytes = text.as_bytes().to_vec();
    let mut left = digits.iter().rev();
    let mut at = bytes.len();
    while let Some(place) = at.checked_sub(1) {
        // `(0)` is not dialled from abroad.
        let skipped = kind == Kind::Phone && text.get(..at).is_some_and(|before| before.ends_with("(0)"));
        if skipped {
            at -= "(0)".len();
            continue;
        }
        at = place;
        let Some(byte) = bytes.get_mut(place).filter(|byte| byte.is_ascii_digit()) else { continue };
        match left.next() {
            Some(digit) => *byte = *digit,
            None => break,
        }
    }
    // Digits were put in the places of digits, so it is text still.
    left.next().is_none().then(|| String::from_utf8(bytes).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_come_into_the_places_of_digits() {
        for (kind, form, text, expected) in [
            (Kind::PaymentCard, "4123456789012345", "4111-1111 1111 1111", Some("4123-4567 8901 2345")),
            (Kind::PaymentCard, "4123456789012345", "4111111111111111", Some("4123456789012345")),
            (Kind::PaymentCard, "4123456789012345", "411111111111111", None),
            (Kind::Phone, "+4971234567", "0049 (0)30 901820", Some("0049 (0)71 234567")),
            (Kind::Phone, "+4971234567", "+49 (30) 901820", Some("+49 (71) 234567")),
            (Kind::Iban, "DE12370400440532013000", "de89 3704 0044 0532 0130 00", Some("de12 3704 0044 0532 0130 00")),
            (Kind::Passport, "C01X00T47", "c99x99t99", Some("c01x00t47")),
            (Kind::Own, "", "none", Some("none")),
        ] {
            assert_eq!(written_as(kind, form, text).as_deref(), expected, "{text}");
        }
    }
}
