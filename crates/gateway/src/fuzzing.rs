//! Entries for the fuzz targets to parsers that are not public otherwise. Nothing else uses them.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::io::{AsyncRead, ReadBuf};

use crate::run::frame;
use crate::unread::Unread;
use crate::upstream::lenient;
use crate::upstream::lines::{Line, Lines};

/// Bytes that arrive in pieces of a size, at once.
struct Pieces<'a> {
    rest: &'a [u8],
    size: usize,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        let length = this.size.min(to.remaining()).min(this.rest.len());
        let (piece, rest) = this.rest.split_at(length);
        to.put_slice(piece);
        this.rest = rest;
        Poll::Ready(Ok(()))
    }
}

/// The frames that a bridge reads from bytes, until the first that is none, and what they are when written.
pub fn frames(bytes: &[u8]) -> (usize, Vec<u8>) {
    let mut stream = bytes;
    let mut written = Vec::new();
    let mut count = 0;
    // Reading from memory never waits.
    while let Some(Some(frame)) = frame::Frame::read(&mut stream).now_or_never() {
        frame.write(&mut written).now_or_never();
        count += 1;
    }
    (count, written)
}

/// A bridge's hello as it is read and written again; `None` if it is refused.
pub fn hello(bytes: &[u8]) -> Option<Bytes> {
    frame::read_hello(bytes).ok().map(|wrap| frame::write_hello(&wrap))
}

/// The lines of a stream that arrives in pieces, each with whether it is whole.
pub fn lines(bytes: &[u8], size: usize, limit: usize) -> Vec<(bool, Bytes)> {
    let mut lines = Lines::new(Pieces { rest: bytes, size: size.max(1) }, limit);
    let mut found = Vec::new();
    while let Some(Ok(Some(line))) = lines.next().now_or_never() {
        found.push(match line {
            Line::Whole(text) => (true, text),
            Line::TooLong(start) => (false, Bytes::copy_from_slice(&start)),
        });
    }
    found
}

/// A message as it is written on a line of its own.
pub fn line(bytes: &Bytes) -> Bytes {
    crate::upstream::lines::write(bytes)
}

/// The ids, as JSON, of the request that a refused message is and of the one that it answers; of a message of which only
/// the beginning came, if `is_cut`.
pub fn ids(bytes: &[u8], is_cut: bool) -> (Option<String>, Option<String>) {
    let mut refused = Unread::from(Bytes::copy_from_slice(bytes));
    refused.size += u64::from(is_cut);
    let shown = |id: Option<bartizan_mcp::Id>| id.map(|id| id.to_json().to_string());
    (shown(lenient::asking_id(&refused)), shown(lenient::answered_id(&refused)))
}
