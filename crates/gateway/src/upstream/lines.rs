//! Messages over stdio: one a line, each within the limit, whatever the other side writes.

use bartizan_mcp::{Fault, Id, Limits, Message};
use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::Reply;

/// Reads lines from a stream.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    stream: R,
    buffer: BytesMut,
    scanned: usize,
    limit: usize,
    /// Inside a line that is over the limit and is passed over.
    skipping: bool,
    /// One that was looked at and is still to be read.
    held: Option<Line>,
}

/// One line, or the beginning of one that is too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    Whole(Bytes),
    TooLong(Bytes),
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(crate) fn new(stream: R, limit: usize) -> Self {
        Lines { stream, buffer: BytesMut::with_capacity(8 * 1024), scanned: 0, limit, skipping: false, held: None }
    }

    /// What the next line says, which is still to be read.
    pub(crate) async fn peek(&mut self) -> std::io::Result<Option<&Line>> {
        if self.held.is_none() {
            self.held = self.next().await?;
        }
        Ok(self.held.as_ref())
    }

    /// The next line that is not empty; `None` at the end of the stream. Safe to drop and call again.
    pub(crate) async fn next(&mut self) -> std::io::Result<Option<Line>> {
        if let Some(line) = self.held.take() {
            return Ok(Some(line));
        }
        loop {
            while let Some(line) = self.buffered() {
                match line {
                    Line::Whole(text) if text.trim_ascii().is_empty() => {}
                    line => return Ok(Some(line)),
                }
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                let rest = self.buffer.split().freeze();
                self.scanned = 0;
                let nothing = rest.trim_ascii().is_empty() || self.skipping;
                return Ok((!nothing).then_some(Line::Whole(rest)));
            }
        }
    }

    fn buffered(&mut self) -> Option<Line> {
        let rest = self.buffer.get(self.scanned..).unwrap_or_default();
        let Some(end) = memchr_newline(rest).map(|at| at + self.scanned) else {
            self.scanned = self.buffer.len();
            return self.give_up_if_too_long();
        };
        let line = self.buffer.split_to(end).freeze();
        self.buffer.advance(1);
        self.scanned = 0;
        if std::mem::take(&mut self.skipping) {
            return self.buffered();
        }
        Some(if line.len() > self.limit { Line::TooLong(line) } else { Line::Whole(line) })
    }

    fn give_up_if_too_long(&mut self) -> Option<Line> {
        if self.buffer.len() <= self.limit {
            return None;
        }
        let start = self.buffer.split().freeze();
        self.scanned = 0;
        let first = !std::mem::replace(&mut self.skipping, true);
        first.then_some(Line::TooLong(start))
    }
}

/// What a line says.
pub(crate) fn read(line: Line, limits: &Limits) -> Reply {
    match line {
        Line::TooLong(start) => Reply::Unreadable(start, Fault::TooLarge.at(limits.bytes)),
        Line::Whole(bytes) => match Message::parse(bytes.clone(), limits) {
            Ok(message) => Reply::Message(message, None),
            Err(rejection) => Reply::Unreadable(bytes, rejection),
        },
    }
}

/// The message on one line of its own. In valid JSON a line break can only be white space between values.
pub(crate) fn write(bytes: &Bytes) -> Bytes {
    let mut line = BytesMut::with_capacity(bytes.len() + 1);
    line.extend_from_slice(bytes);
    line.iter_mut().filter(|byte| matches!(**byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
    line.extend_from_slice(b"\n");
    line.freeze()
}

/// The id that a refused message seems to have, read leniently. Good for one thing only: to end the wait of the
/// request that it was meant to answer.
pub(crate) fn lenient_id(bytes: &[u8]) -> Option<Id> {
    #[derive(serde::Deserialize)]
    struct Lenient {
        id: serde_json::Value,
    }
    match serde_json::from_slice::<Lenient>(bytes).ok()?.id {
        serde_json::Value::String(text) => Some(Id::String(text.into())),
        serde_json::Value::Number(number) => number.as_i64().map(Id::Integer),
        _ => None,
    }
}

/// Whether a refused line was meant as a message at all, or is a program talking to itself. A batch was, and so was
/// what begins with byte order marks; `[INFO]` was not.
pub(crate) fn looks_like_message(bytes: &[u8]) -> bool {
    let mut rest = bytes.trim_ascii_start();
    while let Some(after) = rest.strip_prefix(b"\xef\xbb\xbf") {
        rest = after;
    }
    let first = rest.strip_prefix(b"[").map_or(rest, <[u8]>::trim_ascii_start);
    first.starts_with(b"{")
}

fn memchr_newline(bytes: &[u8]) -> Option<usize> {
    memchr::memchr(b'\n', bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(input: &'static [u8], limit: usize, expected: &[(&str, bool)]) {
        let mut lines = Lines::new(input, limit);
        let mut found = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            found.push(match line {
                Line::Whole(text) => (String::from_utf8(text.to_vec()).unwrap(), true),
                Line::TooLong(_) => (String::new(), false),
            });
        }
        let expected: Vec<_> = expected.iter().map(|(text, whole)| ((*text).to_owned(), *whole)).collect();
        assert_eq!(found, expected);
    }

    #[tokio::test]
    async fn lines_are_split_bounded_and_survive_a_long_one() {
        check(b"a\nb\r\n\n  \nc", 10, &[("a", true), ("b\r", true), ("c", true)]).await;
        check(b"", 10, &[]).await;
        check(b"0123456789\nok\n", 10, &[("0123456789", true), ("ok", true)]).await;
        check(b"0123456789x\nok\n", 10, &[("", false), ("ok", true)]).await;
    }

    #[tokio::test]
    async fn a_line_that_was_looked_at_is_still_to_be_read() {
        let mut lines = Lines::new(&b"a\nb\n"[..], 10);
        let [a, b] = ["a", "b"].map(|text| Line::Whole(Bytes::from(text)));
        assert_eq!(lines.peek().await.unwrap(), Some(&a));
        assert_eq!(lines.peek().await.unwrap(), Some(&a));
        assert_eq!(lines.next().await.unwrap(), Some(a));
        assert_eq!(lines.next().await.unwrap(), Some(b));
        assert_eq!(lines.peek().await.unwrap(), None);
    }

    #[test]
    fn messages_are_told_from_noise() {
        for line in ["{", " {\"id\":1", "[{}]", "[ {", "\u{feff}{", "\u{feff}\u{feff}[{"] {
            assert!(looks_like_message(line.as_bytes()), "{line}");
        }
        for line in ["", "[INFO] up", "[1]", "Listening on {port}", "\u{feff}", "[", "\"{\""] {
            assert!(!looks_like_message(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn a_message_is_written_on_one_line() {
        let pretty = Bytes::from_static(b"{\n \"a\":\r\n1}");
        assert_eq!(write(&pretty), Bytes::from_static(b"{  \"a\":  1}\n"));
    }
}
