//! How long a server may keep a client waiting.
//!
//! **Threat.** A server answers with a stream and then says nothing, or says something every second and never the
//! response. The client waits for ever, and so do its connection and its place among the requests under way.
//!
//! Two clocks run for each request. One measures silence (`timeout` of the server): it starts again with each message,
//! since progress is a reason to wait, and is patient while the server itself waits for the client, such as for what a
//! person answers; but not for something that it had asked before this request. The other (`limits.request_timeout`) measures the whole and never starts again. Comments and other
//! events without a message count as silence. A `subscriptions/listen` has no end by design, so neither applies to it.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::server::Server;
use crate::upstream::{Reply, UpstreamError};

/// The two clocks of one request.
#[derive(Debug)]
pub(crate) struct Patience {
    silence: Duration,
    longest: Duration,
    since: Instant,
    quiet_until: Instant,
    ends: Instant,
}

impl Patience {
    /// The clocks of a request that was sent just now; what the server asked `since` then may be because of it.
    pub(crate) fn new(server: &Server, since: Instant) -> Self {
        let now = Instant::now();
        let (silence, longest) = (server.timeout, server.longest);
        Patience { silence, longest, since, quiet_until: now + silence, ends: now + longest }
    }

    /// Since when what the server asks may be because of the request.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// Waits for what the server sends next; `asking` tells whether the server waits for the client meanwhile.
    pub(crate) async fn wait(
        &mut self,
        next: impl Future<Output = Result<Option<Reply>, UpstreamError>>,
        asking: impl Fn() -> bool,
    ) -> Result<Option<Reply>, UpstreamError> {
        let mut next = std::pin::pin!(next);
        loop {
            let until = self.quiet_until.min(self.ends);
            // Looked at first, because a server that sends without pause would never let a timer win.
            if Instant::now() >= self.ends {
                return Err(UpstreamError::TimedOut(self.longest.as_secs()));
            }
            match timeout_at(until, next.as_mut()).await {
                Ok(reply) => {
                    if matches!(reply, Ok(Some(Reply::Message(..)))) {
                        self.quiet_until = Instant::now() + self.silence;
                    }
                    return reply;
                }
                Err(_) if until < self.ends && asking() => self.quiet_until = Instant::now() + self.silence,
                Err(_) if until < self.ends => return Err(UpstreamError::TimedOut(self.silence.as_secs())),
                Err(_) => return Err(UpstreamError::TimedOut(self.longest.as_secs())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clocks(silence: u64, longest: u64) -> Patience {
        let now = Instant::now();
        let (silence, longest) = (Duration::from_secs(silence), Duration::from_secs(longest));
        Patience { silence, longest, since: now, quiet_until: now + silence, ends: now + longest }
    }

    fn message() -> Reply {
        let json = r#"{"jsonrpc":"2.0","method":"notifications/progress"}"#.to_owned();
        Reply::Message(bartizan_mcp::Message::parse(json, &bartizan_mcp::Limits::default()).unwrap(), None)
    }

    async fn after(seconds: u64, reply: Reply) -> Result<Option<Reply>, UpstreamError> {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        Ok(Some(reply))
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_the_wait_and_messages_prolong_it_up_to_the_whole() {
        let mut clocks = clocks(10, 25);
        assert!(clocks.wait(after(9, message()), || false).await.is_ok());
        assert!(clocks.wait(after(9, message()), || false).await.is_ok());
        assert_eq!(clocks.wait(after(9, message()), || false).await.unwrap_err(), UpstreamError::TimedOut(25));
    }

    #[tokio::test(start_paused = true)]
    async fn events_without_a_message_are_silence() {
        let mut clocks = clocks(10, 60);
        assert!(clocks.wait(after(6, Reply::Mark { id: None, retry: None }), || false).await.is_ok());
        assert_eq!(clocks.wait(after(6, message()), || false).await.unwrap_err(), UpstreamError::TimedOut(10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_waits_for_the_client_is_not_silent() {
        let mut clocks = clocks(10, 60);
        assert!(clocks.wait(after(45, message()), || true).await.is_ok());
        assert_eq!(clocks.wait(after(45, message()), || true).await.unwrap_err(), UpstreamError::TimedOut(60));
    }
}
