//! The one place that asks what time it is.

use std::time::{SystemTime, UNIX_EPOCH};

use bartizan_guard::Timestamp;

/// Now.
#[must_use]
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
