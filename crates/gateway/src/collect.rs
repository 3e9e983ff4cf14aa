//! Reads a whole body, within a bound, copying each byte twice at most.

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use thiserror::Error;

use crate::budget::Share;

/// Why a body could not be read.
#[derive(Debug, Error)]
pub(crate) enum CollectError {
    /// It is larger than the bound, or says that it is.
    #[error("larger than the limit")]
    TooLarge,
    /// Too many large ones arrive at once.
    #[error("too many large messages at once")]
    Crowded,
    /// The connection failed first.
    #[error(transparent)]
    Broken(#[from] hyper::Error),
}

/// All of `body`, if it is no more than `limit` bytes and the budget has them; `share` is to be kept while it is used.
pub(crate) async fn collect(mut body: Incoming, limit: usize, share: &mut Share) -> Result<Bytes, CollectError> {
    let announced = body.size_hint().exact().map(|size| usize::try_from(size).unwrap_or(usize::MAX));
    if announced.is_some_and(|size| size > limit) {
        return Err(CollectError::TooLarge);
    }
    let mut arrived = Arrived::default();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        let length = arrived.length + data.len();
        if length > limit {
            return Err(CollectError::TooLarge);
        }
        share.fit(length).map_err(|_| CollectError::Crowded)?;
        arrived.push(data, announced.unwrap_or(0));
    }
    Ok(arrived.whole())
}

/// What has arrived so far, in blocks: a buffer that grows has room for twice of what came, and for a while its old self too,
/// which the budget knows nothing of.
#[derive(Default)]
struct Arrived {
    /// The first frame as it came, while it is the only one.
    first: Bytes,
    blocks: Vec<BytesMut>,
    length: usize,
}

/// Bytes of a block.
const BLOCK: usize = 256 * 1024;

impl Arrived {
    fn push(&mut self, data: Bytes, announced: usize) {
        self.length += data.len();
        if self.length == data.len() {
            self.first = data;
            return;
        }
        let first = std::mem::take(&mut self.first);
        self.copy(&first, announced);
        self.copy(&data, announced);
    }

    /// A frame is a part of a buffer that would live as long as it, so it is copied, however small it is.
    fn copy(&mut self, mut data: &[u8], announced: usize) {
        while !data.is_empty() {
            let Some(block) = self.blocks.last_mut().filter(|block| block.len() < block.capacity()) else {
                let first = announced.max(2 * self.length).min(BLOCK);
                self.blocks.push(BytesMut::with_capacity(if self.blocks.is_empty() { first } else { BLOCK }));
                continue;
            };
            let (now, later) = data.split_at(data.len().min(block.capacity() - block.len()));
            block.extend_from_slice(now);
            data = later;
        }
    }

    fn whole(mut self) -> Bytes {
        match self.blocks.len() {
            0 => self.first,
            1 => self.blocks.swap_remove(0).freeze(),
            _ => {
                let mut all = BytesMut::with_capacity(self.length);
                // Each block goes as soon as it is copied.
                self.blocks.into_iter().for_each(|block| all.extend_from_slice(&block));
                all.freeze()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrives_in_parts_is_what_was_sent() {
        for (sizes, announced) in [
            (&[0][..], 0),
            (&[5], 5),
            (&[1, 1, 1], 0),
            (&[9_000, 9_000, 1], 18_001),
            (&[BLOCK, 1], 0),
            (&[70_000; 20], 1_400_000),
            (&[3, 2 * BLOCK + 1, 1, BLOCK - 5], 7),
        ] {
            let mut arrived = Arrived::default();
            let mut sent = Vec::new();
            for (number, size) in sizes.iter().enumerate() {
                let data: Vec<u8> = (0..*size).map(|at| (at * 7 + number) as u8).collect();
                sent.extend_from_slice(&data);
                arrived.push(data.into(), announced);
            }
            let room: usize = arrived.blocks.iter().map(BytesMut::capacity).sum();
            assert!(room <= sent.len() + BLOCK, "{sizes:?} take {room}");
            assert!(arrived.whole() == sent, "{sizes:?}");
        }
    }
}
