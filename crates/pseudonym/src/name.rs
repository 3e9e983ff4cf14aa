//! Making a name, and telling one's own from others.

use std::fmt;
use std::ops::Range;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;

use crate::code::{self, CHECK, ID, LENGTH};
use crate::key::framed;
use crate::kind::Kind;
use crate::number::Number;
use crate::preserve::Preserving;

/// A name that stands for something of its kind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    kind: Kind,
    code: [u8; LENGTH],
}

impl Token {
    pub(crate) fn new(kind: Kind, code: [u8; LENGTH]) -> Token {
        Token { kind, code }
    }

    /// The one of that kind and [`id`](Token::id), in any letter case; none if it is no id.
    #[must_use]
    pub fn of(kind: Kind, id: &str) -> Option<Token> {
        code::read(id.as_bytes()).map(|code| Token { kind, code })
    }

    /// What it stands for.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What tells it from all others of its tenant and purpose: twenty small letters and digits. It is what to look it up by.
    #[must_use]
    pub fn id(&self) -> &str {
        // It holds nothing but ASCII.
        std::str::from_utf8(&self.code).unwrap_or_default()
    }
}

/// As it stands in a text.
impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = self.kind.form().map_or(("", ""), |form| (form.before, form.after));
        write!(f, "{before}{}{after}", self.id())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({self})")
    }
}

/// Makes the names of one tenant for one purpose: the same of the same data, each time.
pub struct Namer {
    id: hmac::Key,
    check: hmac::Key,
    preserving: Option<Preserving>,
}

impl fmt::Debug for Namer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Namer")
    }
}

impl Namer {
    pub(crate) fn new(id: hmac::Key, check: hmac::Key, preserving: Option<Preserving>) -> Namer {
        Namer { id, check, preserving }
    }

    /// The name of that data. Spellings that are the same data have to come in one form, such as an address in small letters.
    #[must_use]
    pub fn name(&self, kind: Kind, normal_form: &str) -> Token {
        self.token(kind, &[kind.as_str().as_bytes(), normal_form.as_bytes()])
    }

    /// The number that stands for that one, of its length and shape: the same each time, and another one than it is. None if it has
    /// too few digits or none, or is of a kind whose numbers cannot be told from others by their form.
    #[must_use]
    pub fn number(&self, kind: Kind, normal_form: &str) -> Option<Number> {
        let form = self.preserving.as_ref()?.stand_in(kind, normal_form).ok()?;
        Some(Number::new(self.number_token(kind, &form), &form))
    }

    /// Under which name it is kept what a number stands for, if it was made here; no name of data is one.
    #[must_use]
    pub fn number_token(&self, kind: Kind, normal_form: &str) -> Token {
        self.token(kind, &[b"number", kind.as_str().as_bytes(), normal_form.as_bytes()])
    }

    fn token(&self, kind: Kind, parts: &[&[u8]]) -> Token {
        let id: [u8; ID] = code::encode(hmac::sign(&self.id, &framed(parts)).as_ref());
        let mut code = [0; LENGTH];
        let letters = id.into_iter().chain(self.check(kind, &id));
        code.iter_mut().zip(letters).for_each(|(to, from)| *to = from);
        Token { kind, code }
    }

    /// Whether it was made here. Of a million that somebody makes up one passes; whether such a one stands for anything, only
    /// whoever kept them knows.
    #[must_use]
    pub fn is_own(&self, token: &Token) -> bool {
        let (id, check) = token.code.split_at(ID);
        verify_slices_are_equal(&self.check(token.kind, id), check).is_ok()
    }

    /// All names in a text that were made here, and where they stand; see [`find`](crate::find()).
    #[must_use]
    pub fn find(&self, text: &str) -> Vec<(Range<usize>, Token)> {
        let mut found = crate::find(text);
        found.retain(|(_, token)| self.is_own(token));
        found
    }

    /// The kind is part of it, so that a name of one is none of another.
    fn check(&self, kind: Kind, id: &[u8]) -> [u8; CHECK] {
        code::encode(hmac::sign(&self.check, &framed(&[kind.as_str().as_bytes(), id])).as_ref())
    }
}
