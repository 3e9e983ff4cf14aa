//! How many connections there may be, how long each may take, and how many of them for what has no end.

use std::time::Duration;

/// Bounds of the connections.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Connections at once; further ones wait to be accepted.
    pub connections: usize,
    /// How long a client may take to send the head of a request.
    pub header_timeout: Duration,
    /// How long a client may leave unread what is sent to it.
    pub write_timeout: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds { connections: 10_240, header_timeout: Duration::from_secs(10), write_timeout: Duration::from_secs(30) }
    }
}

/// Of so many connections, those on which a stream may be open that has no end: the rest is for what has one, or a
/// client that opens nothing but streams would keep everybody else out.
#[must_use]
pub fn streams(connections: usize) -> usize {
    (connections - connections.div_ceil(4)).max(1)
}
