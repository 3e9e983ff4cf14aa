//! What a server was given back is in no entry, whatever the server makes of it: an id, a method, a key.

use std::borrow::Cow;

use bartizan_guard::{Event, Evidence, Told};
use bartizan_mcp::Id as RequestId;
use serde::{Serialize, Serializer};

/// An id as text, without a copy of it.
pub(super) enum Shown<'a> {
    Id(&'a RequestId),
    /// It has something in it that is in no entry in the clear.
    Hidden,
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Shown::Id(id) => serializer.collect_str(id),
            Shown::Hidden => serializer.serialize_str(HIDDEN),
        }
    }
}

/// Stands in an entry for what a server made of a value that it was given back.
pub(super) const HIDDEN: &str = "[redacted]";

/// What the server of a message was given back, if anything: whatever it calls so, an id or a method, is in no entry in the clear.
pub(super) struct Known<'e>(Option<&'e Told>);

impl<'e> Known<'e> {
    pub(super) fn of(event: &Event<'e>) -> Known<'e> {
        Known(event.evidence.iter().find_map(|evidence| match evidence {
            Evidence::Told(told) => Some(&**told),
            _ => None,
        }))
    }

    pub(super) fn hidden<'t>(&self, text: Cow<'t, str>) -> Cow<'t, str> {
        if self.0.is_some_and(|told| told.knows(&text)) { HIDDEN.into() } else { text }
    }

    pub(super) fn is_in(&self, id: &RequestId) -> bool {
        self.0.is_some_and(|told| told.knows(&id.to_string()))
    }
}
