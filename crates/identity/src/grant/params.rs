//! The parameters of a request, from a query or a form.

use std::borrow::Cow;

use thiserror::Error;

use super::OAuthError;

/// The most parameters, and the longest of them in bytes.
const MANY: usize = 64;
const LONGEST: usize = 4096;

/// Parameters, each of which occurs once.
#[derive(Debug, Clone, Default)]
pub struct Params<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

/// Why a text holds no parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Malformed {
    /// It is not in the form, or not UTF-8, or holds control characters.
    #[error("the parameters cannot be read")]
    Form,
    /// There are too many, or one is too long.
    #[error("there are too many parameters, or one is too long")]
    Size,
}

impl<'a> Params<'a> {
    /// Reads `application/x-www-form-urlencoded`. What two readers might read differently is refused: text that is not
    /// UTF-8, percent signs without two digits, and control characters.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn parse(text: &'a [u8]) -> Result<Params<'a>, Malformed> {
        if !is_plain(text) {
            return Err(Malformed::Form);
        }
        let pairs: Vec<_> = form_urlencoded::parse(text).take(MANY + 1).collect();
        if pairs.len() > MANY || pairs.iter().any(|(name, value)| name.len() > LONGEST || value.len() > LONGEST) {
            return Err(Malformed::Size);
        }
        // The decoder puts the replacement character where there is no UTF-8.
        let odd = |text: &str| text.contains('\u{FFFD}') || text.contains(char::is_control);
        if pairs.iter().any(|(name, value)| odd(name) || odd(value)) {
            return Err(Malformed::Form);
        }
        Ok(Params(pairs))
    }

    /// The value of a parameter. One without a value is treated as if it were not there (RFC 6749, section 3.1).
    ///
    /// # Errors
    /// If it occurs more than once.
    pub fn one(&self, name: &'static str) -> Result<Option<&str>, OAuthError> {
        let mut values = self.0.iter().filter(|(found, _)| found == name).map(|(_, value)| &**value);
        match (values.next(), values.next()) {
            (value, None) => Ok(value.filter(|value| !value.is_empty())),
            _ => Err(OAuthError::request(format!("{name} occurs more than once"))),
        }
    }

    /// The value of a parameter that has to be there.
    ///
    /// # Errors
    /// If it is not there, or more than once.
    pub fn needed(&self, name: &'static str) -> Result<&str, OAuthError> {
        self.one(name)?.ok_or_else(|| OAuthError::request(format!("{name} is missing")))
    }

    /// All values of a parameter.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(found, _)| found == name).map(|(_, value)| &**value)
    }

    /// Whether no parameter occurs twice but those that may.
    pub(super) fn check_single(&self, but: &[&str]) -> Result<(), OAuthError> {
        let twice = self.0.iter().enumerate().any(|(at, (name, _))| {
            !but.contains(&&**name) && self.0.iter().skip(at + 1).any(|(other, _)| other == name)
        });
        if twice { Err(OAuthError::request("a parameter occurs more than once")) } else { Ok(()) }
    }
}

/// Whether each percent sign is followed by two digits, and all else is ASCII that shows.
fn is_plain(text: &[u8]) -> bool {
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        let digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
        match byte {
            b'%' if !(digit(bytes.next()) && digit(bytes.next())) => return false,
            byte if !byte.is_ascii_graphic() => return false,
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_one_meaning_is_read() {
        let params = Params::parse(b"a=1&b=x%20y+z&c=&d&e=%C3%A9&a=2&").unwrap();
        assert_eq!(params.one("b").unwrap(), Some("x y z"));
        assert_eq!(params.one("c").unwrap(), None, "without a value it is not there");
        assert_eq!(params.one("d").unwrap(), None);
        assert_eq!(params.one("e").unwrap(), Some("é"));
        assert_eq!(params.one("none").unwrap(), None);
        assert_eq!(params.one("a").unwrap_err().error, "invalid_request");
        assert_eq!(params.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(params.needed("c").unwrap_err().error_description, "c is missing");
        assert!(params.check_single(&[]).is_err() && params.check_single(&["a", "b"]).is_ok());
    }

    #[test]
    fn what_has_two_meanings_is_not() {
        for text in ["a=%", "a=%4", "a=%zz", "a=%ff", "a=%00", "a=%0A", "a=b c", "a=é", "a=\u{7f}", "%EF%BF%BD=1"] {
            assert_eq!(Params::parse(text.as_bytes()).unwrap_err(), Malformed::Form, "{text}");
        }
        assert_eq!(Params::parse("a&".repeat(65).as_bytes()).unwrap_err(), Malformed::Size);
        assert_eq!(Params::parse(format!("a={}", "x".repeat(4097)).as_bytes()).unwrap_err(), Malformed::Size);
        assert!(Params::parse(format!("a={}", "x".repeat(4096)).as_bytes()).is_ok());
        assert!(Params::parse(b"").unwrap().one("a").unwrap().is_none());
    }
}
