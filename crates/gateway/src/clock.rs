//! The one place that asks what time it is.

use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use bartizan_guard::Timestamp;
use tokio::time::Instant;

/// A moment for measuring how long ago something was: unlike [`now`] it does not jump when the clock is set, and says
/// nothing by itself.
#[must_use]
pub(crate) fn steady() -> Timestamp {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    Timestamp(i64::try_from(START.elapsed().as_micros()).unwrap_or(i64::MAX))
}

/// Now.
#[must_use]
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
