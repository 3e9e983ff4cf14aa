//! The requests of one session that are being worked on, each of which is kept until it is answered.

use std::collections::HashMap;

use bartizan_mcp::Id;
use tokio::task::AbortHandle;

use crate::link::TOO_MANY;

/// Requests that a client may have under way.
const REQUESTS: usize = 1_024;
/// Bytes that they may have together: a server that asks back keeps them for as long as a person may take to answer.
const BYTES: usize = 16 * 1024 * 1024;
/// Why a request is not taken whose id another one has that goes on.
const IN_USE: &str = "a request with this id is not answered yet";

#[derive(Default)]
pub(super) struct Running(HashMap<Id, Request>);

struct Request {
    /// Tells it from a later one under the same id.
    serial: u64,
    bytes: usize,
    task: AbortHandle,
}

impl Running {
    /// Why there is no place for a request of so many bytes. One that comes alone may be of any size.
    pub(super) fn refuses(&self, id: &Id, bytes: usize) -> Option<&'static str> {
        if self.0.contains_key(id) {
            return Some(IN_USE);
        }
        let held: usize = self.0.values().map(|request| request.bytes).sum();
        let full = self.0.len() >= REQUESTS || held > 0 && held.saturating_add(bytes) > BYTES;
        full.then_some(TOO_MANY)
    }

    pub(super) fn begin(&mut self, id: Id, serial: u64, bytes: usize, task: AbortHandle) {
        self.0.insert(id, Request { serial, bytes, task });
    }

    /// A request is answered.
    pub(super) fn end(&mut self, id: &Id, serial: u64) {
        if self.0.get(id).is_some_and(|request| request.serial == serial) {
            self.0.remove(id);
        }
    }

    /// Whatever waits for the server goes with the task, which is how it gets to know.
    pub(super) fn cancel(&mut self, id: &Id) {
        if let Some(request) = self.0.remove(id) {
            request.task.abort();
        }
    }

    pub(super) fn cancel_all(&mut self) {
        for (_, request) in self.0.drain() {
            request.task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(running: &mut Running, id: i64, bytes: usize) -> Option<&'static str> {
        let refused = running.refuses(&Id::from(id), bytes);
        if refused.is_none() {
            let task = tokio::spawn(std::future::pending::<()>()).abort_handle();
            running.begin(Id::from(id), id.unsigned_abs(), bytes, task);
        }
        refused
    }

    #[tokio::test]
    async fn what_unanswered_requests_keep_is_bounded_in_bytes() {
        let mut running = Running::default();
        assert_eq!(add(&mut running, 1, BYTES / 2), None);
        assert_eq!(add(&mut running, 1, 1), Some(IN_USE));
        assert_eq!(add(&mut running, 2, BYTES / 2 + 1), Some(TOO_MANY));
        assert_eq!(add(&mut running, 2, BYTES / 2), None, "just fits");
        assert_eq!(add(&mut running, 3, 1), Some(TOO_MANY));
        running.end(&Id::from(2), 7);
        assert_eq!(add(&mut running, 3, 1), Some(TOO_MANY), "another request's end");
        running.end(&Id::from(2), 2);
        assert_eq!(add(&mut running, 3, 1), None);
        running.cancel(&Id::from(1));
        assert_eq!(add(&mut running, 4, BYTES - 1), None);
        running.cancel_all();
        assert_eq!(add(&mut running, 5, BYTES + 1), None, "alone");
        assert_eq!(add(&mut running, 6, 1), Some(TOO_MANY));
    }

    #[tokio::test]
    async fn small_requests_are_bounded_in_number() {
        let mut running = Running::default();
        let requests = i64::try_from(REQUESTS).unwrap();
        assert!((0..requests).all(|id| add(&mut running, id, 1_024).is_none()));
        assert_eq!(add(&mut running, requests, 1), Some(TOO_MANY));
    }
}
