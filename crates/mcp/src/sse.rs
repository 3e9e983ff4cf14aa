//! Server-sent events (WHATWG HTML, "Server-sent events"), read incrementally and within a bound.

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// The `id` field, if the event has one.
    pub id: Option<String>,
    /// The `event` field, if the event has one that is not empty; none means `message`.
    pub name: Option<String>,
    /// The `data` fields, joined by line feeds. Empty for an event without any, which only sets `id` or `retry`.
    pub data: Bytes,
    /// The `retry` field in milliseconds.
    pub retry: Option<u64>,
}

/// Why a stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Fault {
    /// One event is larger than the decoder's bound.
    #[error("an event of the stream is larger than the limit")]
    TooLarge,
}

/// Turns bytes, in whatever pieces they come, into events.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    /// How far the buffer is known to hold no line end.
    scanned: usize,
    event: Event,
    data: Data,
    /// Bytes kept for the event so far.
    size: usize,
    fields: bool,
    started: bool,
    /// The last line ended with a carriage return; a line feed that follows belongs to it.
    after_return: bool,
    limit: usize,
}

/// The data of the event so far. Nearly all events have one line of it, which is then never copied.
#[derive(Debug, Default)]
enum Data {
    #[default]
    None,
    One(Bytes),
    Joined(BytesMut),
}

impl Decoder {
    /// A decoder that refuses an event whose lines, field names included, take more than `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Decoder {
            buffer: BytesMut::new(),
            scanned: 0,
            event: Event::default(),
            data: Data::None,
            size: 0,
            fields: false,
            started: false,
            after_return: false,
            limit,
        }
    }

    /// Adds bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes kept until the event that they belong to is complete.
    #[must_use]
    pub fn held(&self) -> usize {
        self.buffer.len().saturating_add(self.size)
    }

    /// The next complete event; `None` until more bytes are pushed. An event cut off by the end of the stream is
    /// never returned.
    ///
    /// # Errors
    /// If an event exceeds the bound; the stream cannot be read on after that.
    #[expect(clippy::should_implement_trait, reason = "`None` is not the end, and a fault is")]
    pub fn next(&mut self) -> Result<Option<Event>, Fault> {
        while let Some(line) = self.line()? {
            if line.is_empty() {
                if let Some(event) = self.dispatch() {
                    return Ok(Some(event));
                }
            } else {
                self.field(&line);
            }
        }
        Ok(None)
    }

    fn line(&mut self) -> Result<Option<Bytes>, Fault> {
        if !self.started && !self.skip_mark() {
            return Ok(None);
        }
        if self.after_return && !self.buffer.is_empty() {
            if self.buffer.first() == Some(&b'\n') {
                self.buffer.advance(1);
            }
            self.after_return = false;
        }
        let rest = self.buffer.get(self.scanned..).unwrap_or_default();
        let found = memchr::memchr2(b'\n', b'\r', rest).map(|at| at + self.scanned);
        self.scanned = found.map_or(self.buffer.len(), |_| 0);
        if self.size.saturating_add(found.unwrap_or(self.buffer.len())) > self.limit {
            return Err(Fault::TooLarge);
        }
        let Some(end) = found else { return Ok(None) };
        let line = self.buffer.split_to(end).freeze();
        self.after_return = self.buffer.first() == Some(&b'\r');
        self.buffer.advance(1);
        Ok(Some(line))
    }

    /// Passes over a byte order mark; false while the stream is too short to tell.
    fn skip_mark(&mut self) -> bool {
        const MARK: &[u8] = b"\xef\xbb\xbf";
        if self.buffer.starts_with(MARK) {
            self.buffer.advance(MARK.len());
        } else if MARK.starts_with(&self.buffer) {
            return false;
        }
        self.started = true;
        true
    }

    fn field(&mut self, line: &Bytes) {
        let colon = memchr::memchr(b':', line);
        let name = line.get(..colon.unwrap_or(line.len())).unwrap_or_default();
        let mut value = colon.map_or(Bytes::new(), |at| line.slice(at + 1..));
        if value.first() == Some(&b' ') {
            value.advance(1);
        }
        let text = || String::from_utf8_lossy(&value).into_owned();
        match name {
            b"data" => self.data.push(value),
            b"event" => self.event.name = Some(text()).filter(|name| !name.is_empty()),
            b"id" if !value.contains(&0) => self.event.id = Some(text()),
            // Anything but digits leaves the field as it was.
            b"retry" if value.iter().all(u8::is_ascii_digit) => self.event.retry = text().parse().ok(),
            // Comments, which only keep the connection alive, and unknown fields. They are not kept, so not counted.
            _ => return,
        }
        self.fields = true;
        self.size = self.size.saturating_add(line.len());
    }

    fn dispatch(&mut self) -> Option<Event> {
        self.size = 0;
        let mut event = std::mem::take(&mut self.event);
        event.data = std::mem::take(&mut self.data).finish();
        std::mem::take(&mut self.fields).then_some(event)
    }
}

impl Data {
    fn push(&mut self, line: Bytes) {
        *self = match std::mem::take(self) {
            Data::None => Data::One(line),
            Data::One(first) => {
                let mut joined = BytesMut::from(first);
                joined.extend_from_slice(b"\n");
                joined.extend_from_slice(&line);
                Data::Joined(joined)
            }
            Data::Joined(mut joined) => {
                joined.extend_from_slice(b"\n");
                joined.extend_from_slice(&line);
                Data::Joined(joined)
            }
        };
    }

    fn finish(self) -> Bytes {
        match self {
            Data::None => Bytes::new(),
            Data::One(line) => line,
            Data::Joined(joined) => joined.freeze(),
        }
    }
}

/// Writes an event. A line feed or carriage return within `data` is read back as a line feed, which in JSON is white
/// space too; an `id` that an event cannot carry is left out.
#[must_use]
pub fn encode(id: Option<&str>, data: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(data.len() + id.map_or(0, str::len) + 32);
    out.extend_from_slice(b"event: message\n");
    if let Some(id) = id.filter(|id| !id.contains(['\r', '\n', '\0'])) {
        out.extend_from_slice(b"id: ");
        out.extend_from_slice(id.as_bytes());
        out.extend_from_slice(b"\n");
    }
    let mut start = 0;
    for end in memchr::memchr2_iter(b'\n', b'\r', data).chain([data.len()]) {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(data.get(start..end).unwrap_or_default());
        out.extend_from_slice(b"\n");
        start = end + 1;
    }
    out.extend_from_slice(b"\n");
    out.freeze()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All events of a stream that comes in these pieces, and how it ends.
    fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limit: usize) -> (Vec<Event>, Option<Fault>) {
        let mut decoder = Decoder::new(limit);
        let mut events = Vec::new();
        for piece in pieces {
            decoder.push(piece);
            loop {
                match decoder.next() {
                    Ok(Some(event)) => events.push(event),
                    Ok(None) => break,
                    Err(fault) => return (events, Some(fault)),
                }
            }
        }
        (events, None)
    }

    fn event(id: Option<&str>, name: Option<&str>, data: &str, retry: Option<u64>) -> Event {
        Event { id: id.map(Into::into), name: name.map(Into::into), data: data.to_owned().into(), retry }
    }

    #[test]
    fn events_are_read_as_the_standard_says() {
        let data = |data: &str| event(None, None, data, None);
        let cases: Vec<(&str, Vec<Event>)> = vec![
            ("data: a\n\n", vec![data("a")]),
            ("data:a\r\n\r\n", vec![data("a")]),
            ("data:  a \r\r", vec![data(" a ")]),
            ("\u{feff}data: a\n\n", vec![data("a")]),
            ("\u{feff}\u{feff}data: a\n\n", vec![]),
            ("data: a\ndata: b\n\n", vec![data("a\nb")]),
            ("data: a\r\ndata\rdata:\ndata: b\n\n", vec![data("a\n\n\nb")]),
            ("data: a\n\ndata: b\n\n", vec![data("a"), data("b")]),
            (": comment\n\n:\n\ndata: a\n: more\n\n", vec![data("a")]),
            ("event: ping\ndata: a\n\n", vec![event(None, Some("ping"), "a", None)]),
            ("event:\ndata: a\n\n", vec![data("a")]),
            ("id: 7\ndata:\n\n", vec![event(Some("7"), None, "", None)]),
            ("id\n\n", vec![event(Some(""), None, "", None)]),
            ("id: 1\nid: a\0b\ndata: a\n\n", vec![event(Some("1"), None, "a", None)]),
            ("retry: 3000\n\n", vec![event(None, None, "", Some(3000))]),
            ("retry: 5\nretry: +6\nretry: x\n\n", vec![event(None, None, "", Some(5))]),
            ("retry: 99999999999999999999\ndata: a\n\n", vec![data("a")]),
            ("Data: a\nfoo: b\ndata : c\n\n", vec![]),
            ("\n\n\r\r\r\n\n", vec![]),
            ("data: a\n\ndata: cut off\n", vec![data("a")]),
            ("data: a\n\ndata: cut", vec![data("a")]),
            ("data: a", vec![]),
        ];
        for (stream, expected) in cases {
            assert_eq!(decode([stream.as_bytes()], 100), (expected, None), "{stream:?}");
        }
    }

    #[test]
    fn an_event_is_there_as_soon_as_its_empty_line_is() {
        let mut decoder = Decoder::new(100);
        decoder.push(b"data: a\r\n\r");
        assert_eq!(decoder.next(), Ok(Some(event(None, None, "a", None))));
        decoder.push(b"\ndata: b\n\n");
        assert_eq!(decoder.next(), Ok(Some(event(None, None, "b", None))));
        assert_eq!(decoder.next(), Ok(None));
    }

    #[test]
    fn an_event_larger_than_the_limit_ends_the_stream() {
        let cases = [
            ("data: 1234\n\n", 10, false),
            ("data: 12345\n\n", 10, true),
            ("data: 1234567890", 10, true),
            ("data: 1\ndata: 2\n\n", 14, false),
            ("data: 1\ndata: 2\n\n", 13, true),
            ("data\ndata\ndata\ndata\n\n", 10, true),
            (": 1234567\n: 1234567\n: 1234567\ndata: 1\n\n", 10, false),
            ("data: 1\n\ndata: 2\n\ndata: 3\n\n", 10, false),
            ("event: 123456\n\n", 10, true),
        ];
        for (stream, limit, refused) in cases {
            let whole = decode([stream.as_bytes()], limit);
            assert_eq!(whole.1.is_some(), refused, "{stream:?}");
            assert_eq!(decode(stream.as_bytes().chunks(1), limit), whole, "{stream:?}");
        }
    }

    /// Streams that are mostly well formed.
    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let field = prop_oneof![
            "data",
            "data: [a-z ]{0,8}",
            "id: [0-9\\x00]{0,3}",
            "event:[a-z]{0,3}",
            "retry: [0-9x]{1,3}",
            ":[a-z]{0,4}",
            "[\\PC]{0,6}"
        ];
        let end = prop_oneof![Just("\n"), Just("\r"), Just("\r\n"), Just("\n\n"), Just("\r\r"), Just("\r\n\r\n")];
        let lines = proptest::collection::vec((field, end), 0..20);
        (any::<bool>(), lines, "[a-z:\r\n]{0,5}").prop_map(|(mark, lines, tail)| {
            let mark = if mark { "\u{feff}" } else { "" };
            let lines: String = lines.into_iter().map(|(field, end)| field + end).collect();
            format!("{mark}{lines}{tail}").into_bytes()
        })
    }

    proptest! {
        #[test]
        fn how_the_bytes_are_cut_does_not_matter(
            stream in prop_oneof![stream(), proptest::collection::vec(any::<u8>(), 0..200)],
            sizes in proptest::collection::vec(1..20_usize, 1..50),
            limit in 5..80_usize,
        ) {
            let mut pieces = Vec::new();
            let mut rest = stream.as_slice();
            for size in sizes.iter().cycle() {
                let (piece, after) = rest.split_at(rest.len().min(*size));
                pieces.push(piece);
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(decode(pieces, limit), decode([stream.as_slice()], limit));
        }

        #[test]
        fn what_is_written_is_read_back(id in proptest::option::of("[^\r\n\0]{0,20}"), data in "[^\r]{0,200}") {
            let written = encode(id.as_deref(), data.as_bytes());
            let (events, fault) = decode([&*written], 10_000);
            prop_assert_eq!(fault, None);
            prop_assert_eq!(events, [event(id.as_deref(), Some("message"), &data, None)]);
        }

        #[test]
        fn nothing_written_makes_two_events(id in any::<String>(), data in any::<Vec<u8>>()) {
            let (events, fault) = decode([&*encode(Some(&id), &data)], 100_000);
            prop_assert_eq!(fault, None);
            prop_assert_eq!(events.len(), 1);
        }
    }

    #[test]
    fn line_ends_within_a_message_become_line_feeds() {
        let (events, _) = decode([&*encode(None, b"{\r\n\"a\":\r1\n}")], 1000);
        assert_eq!(events, [event(None, Some("message"), "{\n\n\"a\":\n1\n}", None)]);
    }
}
