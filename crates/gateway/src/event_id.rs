//! `Last-Event-ID`: the place in a stream from which a client wants the rest.
//!
//! It goes from a server to a client as the id of an event and back as a header, so it has a strict form both ways.

use http::HeaderMap;

/// The place in a stream from which a client wants the rest.
pub(crate) const LAST_EVENT: &str = "last-event-id";
/// The longest id of an event.
const EVENT_ID: usize = 1024;

/// Whether an event of that id can be resumed from: it has to fit into a header, where nothing may be taken for the end of
/// it or be lost at its edges.
pub(crate) fn is_event_id(id: &[u8]) -> bool {
    (1..=EVENT_ID).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

/// A header that has not the form that it should have.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Where a client has lost its stream, if it says so.
pub(crate) fn lost(headers: &HeaderMap) -> Result<Option<&str>, Malformed> {
    let mut all = headers.get_all(LAST_EVENT).iter();
    match (all.next(), all.next()) {
        (None, _) => Ok(None),
        (Some(id), None) if is_event_id(id.as_bytes()) => id.to_str().map(Some).map_err(|_| Malformed),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_id_of_an_event_has_one_form() {
        let (longest, longer) = ("e".repeat(EVENT_ID), "e".repeat(EVENT_ID + 1));
        let cases: [(&[&[u8]], bool); 11] = [
            (&[], true),
            (&[b"e1"], true),
            (&[b"one*7-12"], true),
            (&[b"<!-->=?{\"'~"], true),
            (&[longest.as_bytes()], true),
            (&[longer.as_bytes()], false),
            (&[b""], false),
            (&[b"a b"], false),
            (&[b"a\tb"], false),
            (&["caf\u{e9}".as_bytes()], false),
            (&[b"e1", b"e1"], false),
        ];
        for (values, sound) in cases {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(LAST_EVENT, HeaderValue::from_bytes(value).unwrap());
            }
            let first = values.first().and_then(|value| std::str::from_utf8(value).ok());
            assert_eq!(lost(&headers), if sound { Ok(first) } else { Err(Malformed) }, "{values:?}");
        }
    }
}
