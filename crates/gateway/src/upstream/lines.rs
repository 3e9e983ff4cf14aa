//! Messages over stdio: one a line, each within the limit, whatever the other side writes.

use std::pin::pin;
use std::time::Duration;

use bartizan_mcp::{Fault, Limits, Message};
use bytes::{Buf, Bytes, BytesMut};
use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::Instant;

use super::Reply;
use crate::unread::Unread;

pub(crate) use super::lenient::{answered_id, asking_id};

/// How long the end of a line that is too long may take, so that its size is known when it is refused.
const END: Duration = Duration::from_secs(1);
/// How long it may pause; whoever pauses may be waiting for an answer.
const PAUSE: Duration = Duration::from_millis(100);

/// Reads lines from a stream.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    stream: R,
    buffer: BytesMut,
    scanned: usize,
    limit: usize,
    /// Inside a line that is over the limit and is passed over.
    skipping: bool,
    /// That line as long as nobody has been told of it, and until when that may wait.
    long: Option<(Unread, Instant)>,
    /// One that was looked at and is still to be read.
    held: Option<Line>,
}

/// One line, or the beginning of one that is too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    Whole(Bytes),
    TooLong(Unread),
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(crate) fn new(stream: R, limit: usize) -> Self {
        let buffer = BytesMut::with_capacity(8 * 1024);
        Lines { stream, buffer, scanned: 0, limit, skipping: false, long: None, held: None }
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
            match self.read().await {
                Ok(Some(0)) => return Ok(self.rest()),
                Ok(Some(_)) => {}
                Err(error) if self.long.is_none() => return Err(error),
                // Its end does not come soon, or not at all.
                Ok(None) | Err(_) => return Ok(self.long.take().map(|(long, _)| Line::TooLong(long))),
            }
        }
    }

    /// Reads on; `None` if that would hold up what is to be told.
    async fn read(&mut self) -> std::io::Result<Option<usize>> {
        let mut read = pin!(self.stream.read_buf(&mut self.buffer));
        let Some((_, until)) = &self.long else { return read.await.map(Some) };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        // No clock is needed as long as there is something to read.
        if let Some(found) = read.as_mut().now_or_never() {
            return found.map(Some);
        }
        tokio::time::timeout(left.min(PAUSE), read).await.ok().transpose()
    }

    /// What stands behind the last end of a line.
    fn rest(&mut self) -> Option<Line> {
        let rest = self.buffer.split().freeze();
        self.scanned = 0;
        if let Some((long, _)) = self.long.take() {
            return Some(Line::TooLong(long.ending(0)));
        }
        let nothing = rest.trim_ascii().is_empty() || self.skipping;
        (!nothing).then_some(Line::Whole(rest))
    }

    fn buffered(&mut self) -> Option<Line> {
        let rest = self.buffer.get(self.scanned..).unwrap_or_default();
        let Some(end) = memchr_newline(rest).map(|at| at + self.scanned) else {
            self.scanned = self.buffer.len();
            self.pass_over();
            return None;
        };
        let line = self.buffer.split_to(end).freeze();
        self.buffer.advance(1);
        self.scanned = 0;
        if std::mem::take(&mut self.skipping) {
            let long = self.long.take().map(|(long, _)| long);
            return match long {
                Some(long) => Some(Line::TooLong(long.ending(line.len() as u64))),
                None => self.buffered(),
            };
        }
        Some(if line.len() > self.limit { Line::TooLong(line.into()) } else { Line::Whole(line) })
    }

    /// Keeps the beginning of a line over the limit, and of the rest only the length.
    fn pass_over(&mut self) {
        if self.skipping {
            if let Some((long, _)) = &mut self.long {
                long.size += self.buffer.len() as u64;
            }
            self.buffer.clear();
        } else if self.buffer.len() > self.limit {
            let start = self.buffer.split().freeze();
            self.long = Some((Unread::beginning(&start, self.limit), Instant::now() + END));
            self.skipping = true;
        } else {
            return;
        }
        self.scanned = 0;
    }
}

/// What a line says.
pub(crate) fn read(line: Line, limits: &Limits) -> Reply {
    match line {
        Line::TooLong(start) => Reply::Unreadable(start, Fault::TooLarge.at(limits.bytes)),
        Line::Whole(bytes) => match Message::parse(bytes.clone(), limits) {
            Ok(message) => Reply::Message(message, None),
            Err(rejection) => Reply::Unreadable(bytes.into(), rejection),
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
                Line::TooLong(long) => (format!("{}{}", long.size, if long.ended { "" } else { "+" }), false),
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
        check(b"0123456789x\nok\n", 10, &[("11", false), ("ok", true)]).await;
        check(b"0123456789xyz", 10, &[("13", false)]).await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_size_of_a_long_line_is_told_and_what_goes_on_is_refused_all_the_same() {
        // What comes in which pieces, with a pause after each, and what is told of it.
        let cases: &[(&[&str], u64, &[&str])] = &[
            (&["0123456789xy", "zzz\nok\n"], 10, &["15", "ok"]),
            (&["0123456789xy", "zzz\nok\n"], 200, &["12+", "ok"]),
            (&["0123456789xy", "zzz"], 10, &["15"]),
            (&["0123456789xy", "zzz"], 200, &["12+"]),
        ];
        for (pieces, pause, expected) in cases {
            let (mut there, here) = tokio::io::duplex(64);
            let pieces = pieces.to_vec();
            let pause = Duration::from_millis(*pause);
            tokio::spawn(async move {
                for piece in pieces {
                    tokio::io::AsyncWriteExt::write_all(&mut there, piece.as_bytes()).await.unwrap();
                    tokio::time::sleep(pause).await;
                }
            });
            let mut lines = Lines::new(here, 10);
            let mut found = Vec::new();
            while let Some(line) = lines.next().await.unwrap() {
                found.push(match line {
                    Line::Whole(text) => String::from_utf8(text.to_vec()).unwrap(),
                    Line::TooLong(long) => {
                        assert_eq!((&*long, long.is_cut()), (&b"0123456789"[..], true));
                        format!("{}{}", long.size, if long.ended { "" } else { "+" })
                    }
                });
            }
            assert_eq!(&found, expected, "{pause:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_without_end_is_refused_within_a_second() {
        let (mut there, here) = tokio::io::duplex(64);
        tokio::spawn(async move {
            while tokio::io::AsyncWriteExt::write_all(&mut there, b"xxxxxxxx").await.is_ok() {
                tokio::time::sleep(PAUSE / 2).await;
            }
        });
        let mut lines = Lines::new(here, 10);
        let line = tokio::time::timeout(END * 2, lines.next()).await.expect("it is never refused").unwrap();
        assert!(matches!(line, Some(Line::TooLong(long)) if !long.ended && long.size > 10));
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
