//! Reads a whole body, within a bound, copying each byte once at most.

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
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if first.len() + all.len() + data.len() > limit {
            return Err(CollectError::TooLarge);
        }
        share.fit(first.len() + all.len() + data.len()).map_err(|_| CollectError::Crowded)?;
        if first.is_empty() && all.is_empty() {
            first = data;
            continue;
        }
        if all.is_empty() {
            // What is announced need not come: memory is only reserved for as much as is likely there already.
            all.reserve(announced.unwrap_or(0).min(2 * 1024 * 1024).max(2 * (first.len() + data.len())));
            all.extend_from_slice(&std::mem::take(&mut first));
        }
        all.extend_from_slice(&data);
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}
