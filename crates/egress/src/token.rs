//! What one server's relay says first, so that nobody else uses its way out.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Characters of a token.
pub(crate) const LENGTH: usize = 32;

/// 128 random bits as hexadecimal digits.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// A new one.
    ///
    /// # Errors
    /// If the system gives no random numbers.
    pub fn generate() -> Result<Token, getrandom::Error> {
        random().map(Token)
    }

    /// One that was handed over as text; none if it is not of that form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Token> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == LENGTH && text.bytes().all(digit)).then(|| Token(Zeroizing::new(text.to_owned())))
    }

    /// The text, to be handed to the relay and to nobody else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether these are it, in a time that does not depend on how many are.
    pub(crate) fn is(&self, bytes: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(bytes).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// 128 random bits as hexadecimal digits.
pub(crate) fn random() -> Result<Zeroizing<String>, getrandom::Error> {
    let mut bytes = Zeroizing::new([0; 16]);
    getrandom::fill(&mut *bytes)?;
    Ok(Zeroizing::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_itself_alone_and_not_shown() {
        let token = Token::generate().unwrap();
        let other = Token::generate().unwrap();
        assert!(token.is(token.expose().as_bytes()) && !token.is(other.expose().as_bytes()));
        assert!(!token.is(b"") && !token.is(&token.expose().as_bytes()[1..]));
        assert_eq!(Token::parse(token.expose()).unwrap().expose(), token.expose());
        for wrong in ["", "0", &"A".repeat(32), &"0".repeat(33), &"g".repeat(32)] {
            assert!(Token::parse(wrong).is_none(), "{wrong}");
        }
        assert_eq!(format!("{token:?}"), "Token(..)");
    }
}
