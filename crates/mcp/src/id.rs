//! JSON-RPC request ids.

use std::fmt;

use crate::document::{NodeKind, Value};

/// An id that can be answered: a string or an integer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Id {
    /// An integer within 64 bits.
    Integer(i64),
    /// A string.
    String(Box<str>),
}

impl Id {
    /// Reads a string or an integer.
    #[must_use]
    pub fn read(value: Value<'_>) -> Option<Id> {
        match value.kind() {
            NodeKind::String => Some(Id::String(value.text().into())),
            _ => value.as_i64().map(Id::Integer),
        }
    }

    /// The id as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        match self {
            Id::Integer(number) => number.to_string(),
            Id::String(text) => crate::quote(text),
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Id::Integer(number) => write!(f, "{number}"),
            Id::String(text) => f.write_str(text),
        }
    }
}

impl From<i64> for Id {
    fn from(number: i64) -> Self {
        Id::Integer(number)
    }
}

impl From<&str> for Id {
    fn from(text: &str) -> Self {
        Id::String(text.into())
    }
}
