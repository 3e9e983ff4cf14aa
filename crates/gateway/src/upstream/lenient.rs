//! The id that a refused message seems to have, good for one thing only: to end somebody's wait.
//!
//! It is read leniently, as what is refused does not follow the rules, and not at all where two readers could find
//! different ones.

use std::fmt;

use bartizan_mcp::Id;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::unread::Unread;

/// The id of the request that a refused message was meant to answer.
pub(crate) fn answered_id(refused: &Unread) -> Option<Id> {
    Head::of(refused)?.id
}

/// The id under which whoever sent a refused message waits for an answer, if it is a request.
pub(crate) fn asking_id(refused: &Unread) -> Option<Id> {
    let head = Head::of(refused)?;
    head.id.filter(|_| head.asks)
}

/// What the outermost object says about itself.
#[derive(Default)]
struct Head {
    id: Option<Id>,
    /// Keys that somebody could take for that of the id.
    ids: usize,
    asks: bool,
}

impl Head {
    fn of(refused: &Unread) -> Option<Head> {
        let mut head = Head::default();
        let mut reader = serde_json::Deserializer::from_slice(refused);
        let read = (&mut head).deserialize(&mut reader).and_then(|()| reader.end());
        let sound = match read {
            Ok(()) => true,
            // Of what is too large to be kept, the beginning has to do.
            Err(error) => refused.is_cut() && error.is_eof(),
        };
        (sound && head.ids == 1).then_some(head)
    }
}

impl<'de> DeserializeSeed<'de> for &mut Head {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Head {
    type Value = ();

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a message")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut id = None;
        while let Some(key) = members.next_key::<String>()? {
            // Only now: where a message is cut off within a number, what is there of it is another one.
            self.id = id.take().or_else(|| self.id.take());
            if key == "id" {
                id = match members.next_value()? {
                    serde_json::Value::String(text) => Some(Id::String(text.into())),
                    serde_json::Value::Number(number) => number.as_i64().map(Id::Integer),
                    _ => None,
                };
                self.ids += 1;
                continue;
            }
            self.ids += usize::from(key.to_lowercase() == "id");
            self.asks |= key == "method";
            members.next_value::<IgnoredAny>()?;
        }
        self.id = id.or_else(|| self.id.take());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn check(text: &[u8], expected: Option<&str>) {
        let refused = Unread::from(Bytes::copy_from_slice(text));
        let found = asking_id(&refused).map(|id| id.to_json());
        assert_eq!(found.as_deref(), expected, "{}", String::from_utf8_lossy(text));
    }

    #[test]
    fn the_id_of_a_refused_request_is_found_where_there_is_one_only() {
        let deep = format!(r#"{{"id":1,"method":"m","params":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        for (text, id) in [
            (r#"{"jsonrpc":"2.0","id":1,"method":"m","method":"n"}"#, Some("1")),
            (r#"{"jsonrpc":"2.0","id":"a\u0062","method":"m","Method":"n"}"#, Some(r#""ab""#)),
            (r#"{"method":"m","params":{"id":2,"id":3},"id":-1}"#, Some("-1")),
            (r#"{"id":1,"method":"m","x":"\ud800"}"#, Some("1")),
            (&deep, Some("1")),
            // Two readers may find different ones, or none.
            (r#"{"id":1,"method":"m","id":2}"#, None),
            (r#"{"id":1,"method":"m","\u0069d":1}"#, None),
            (r#"{"id":1,"method":"m","ID":2}"#, None),
            (r#"{"id":1,"method":"m"}{"id":2}"#, None),
            (r#"{"id":1,"method":"m",}"#, None),
            (r#"[{"id":1,"method":"m"}]"#, None),
            ("\u{feff}{\"id\":1,\"method\":\"m\"}", None),
            // Nothing waits under these.
            (r#"{"id":null,"method":"m"}"#, None),
            (r#"{"id":1.5,"method":"m"}"#, None),
            (r#"{"id":18446744073709551616,"method":"m"}"#, None),
            (r#"{"id":{"a":1},"method":"m"}"#, None),
            (r#"{"method":"m","a":1,"a":2}"#, None),
            (r#"{"id":1,"result":{},"result":{}}"#, None),
            ("", None),
        ] {
            check(text.as_bytes(), id);
        }
        check(b"{\"id\":1,\"method\":\"m\",\"x\":\"\xff\"}", Some("1"));
    }

    #[test]
    fn a_cut_off_message_has_the_id_of_its_beginning() {
        for (text, cut, id) in [
            (r#"{"id":7,"method":"m","params":{"x":"yyyy"#, true, Some(7)),
            (r#"{"id":7,"method":"m","params":{"x":"yyyy"#, false, None),
            (r#"{"method":"m","params":{"x":"yyyy"#, true, None),
            (r#"{"id":7,"method":"m","id":8,"params":{"x":"yyyy"#, true, None),
            // Its last digits may be missing.
            (r#"{"method":"m","id":7"#, true, None),
            (r#"{"method":"m","id":7,"x":"#, true, Some(7)),
            (r#"{"method":"m","id":7}"#, true, Some(7)),
            (r#"{"id":7,"method":"m",,"params":{"x":"yyyy"#, true, None),
        ] {
            let mut refused = Unread::from(Bytes::copy_from_slice(text.as_bytes()));
            refused.size += u64::from(cut);
            assert_eq!(asking_id(&refused), id.map(Id::Integer), "{text}");
        }
    }
}
