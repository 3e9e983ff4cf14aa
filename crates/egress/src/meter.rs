//! Counts what crosses a connection, and ends it where no more may.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use bartizan_reach::Reason;
use bartizan_reach::{Cap, Limits};

/// What one server has sent and received in all, and may.
#[derive(Debug)]
pub(crate) struct Totals {
    sent: Direction,
    received: Direction,
}

/// One direction.
#[derive(Debug)]
struct Direction {
    all: AtomicU64,
    cap_of_each: AtomicU64,
    cap_of_all: AtomicU64,
}

impl Totals {
    pub(crate) fn new(limits: &Limits) -> Totals {
        let direction = |cap: Cap| Direction {
            all: AtomicU64::new(0),
            cap_of_each: AtomicU64::new(cap.each),
            cap_of_all: AtomicU64::new(cap.all),
        };
        Totals { sent: direction(limits.sent), received: direction(limits.received) }
    }

    /// Counts without a cap: where nothing has left or come from outside.
    pub(crate) fn unlimited() -> Totals {
        let none = Cap { each: u64::MAX, all: u64::MAX };
        Totals::new(&Limits { sent: none, received: none, ..Limits::default() })
    }

    /// Other caps, which count at once also for what is open.
    pub(crate) fn limit(&self, limits: &Limits) {
        for (direction, cap) in [(&self.sent, limits.sent), (&self.received, limits.received)] {
            direction.cap_of_each.store(cap.each, Ordering::Relaxed);
            direction.cap_of_all.store(cap.all, Ordering::Relaxed);
        }
    }
}

impl Direction {
    /// How many more bytes may go, of which this connection has had `each`.
    fn left(&self, each: u64) -> u64 {
        let of_each = self.cap_of_each.load(Ordering::Relaxed).saturating_sub(each);
        of_each.min(self.cap_of_all.load(Ordering::Relaxed).saturating_sub(self.all.load(Ordering::Relaxed)))
    }

    /// Takes so many bytes if they may go.
    fn take(&self, each: &AtomicU64, count: u64) -> bool {
        let all = self.all.fetch_add(count, Ordering::Relaxed).saturating_add(count);
        let each = each.fetch_add(count, Ordering::Relaxed).saturating_add(count);
        each <= self.cap_of_each.load(Ordering::Relaxed) && all <= self.cap_of_all.load(Ordering::Relaxed)
    }

    fn give_back(&self, each: &AtomicU64, count: u64) {
        self.all.fetch_sub(count, Ordering::Relaxed);
        each.fetch_sub(count, Ordering::Relaxed);
    }
}

/// What crossed one connection.
#[derive(Debug)]
pub(crate) struct Meter {
    totals: Arc<Totals>,
    sent: AtomicU64,
    received: AtomicU64,
    capped: std::sync::OnceLock<Reason>,
}

impl Meter {
    pub(crate) fn new(totals: Arc<Totals>) -> Arc<Meter> {
        let zero = || AtomicU64::new(0);
        Arc::new(Meter { totals, sent: zero(), received: zero(), capped: std::sync::OnceLock::new() })
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// The cap that ended it, if one has.
    pub(crate) fn capped(&self) -> Option<Reason> {
        self.capped.get().copied()
    }

    /// Ends when nothing has crossed for that long, or up to twice as long.
    pub(crate) async fn idle(&self, patience: Duration) {
        let moved = || self.sent().wrapping_add(self.received());
        loop {
            let before = moved();
            tokio::time::sleep(patience).await;
            if moved() == before {
                return;
            }
        }
    }

    fn cap(&self, reason: Reason) -> io::Error {
        self.capped.get_or_init(|| reason);
        io::Error::new(io::ErrorKind::QuotaExceeded, reason.id())
    }
}

/// A connection whose bytes are counted: what is written as sent, what is read as received.
#[derive(Debug)]
pub(crate) struct Metered<S> {
    io: S,
    meter: Arc<Meter>,
}

impl<S> Metered<S> {
    pub(crate) fn new(io: S, meter: Arc<Meter>) -> Metered<S> {
        Metered { io, meter }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let count = (buf.filled().len() - before) as u64;
        let meter = &self.meter;
        if !meter.totals.received.take(&meter.received, count) {
            meter.totals.received.give_back(&meter.received, count);
            // What is over the cap is not handed on.
            buf.set_filled(before);
            return Poll::Ready(Err(meter.cap(Reason::ReceivedCap)));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Pin::new(&mut self.io).poll_write(cx, buf);
        }
        let meter = Arc::clone(&self.meter);
        let sent = &meter.totals.sent;
        let most = sent.left(meter.sent()).min(buf.len() as u64);
        // Taken before it is written, as other connections take of the same.
        if most == 0 || !sent.take(&meter.sent, most) {
            sent.give_back(&meter.sent, most);
            return Poll::Ready(Err(meter.cap(Reason::SentCap)));
        }
        let part = usize::try_from(most).ok().and_then(|most| buf.get(..most)).unwrap_or_default();
        let written = Pin::new(&mut self.io).poll_write(cx, part);
        let count = if let Poll::Ready(Ok(count)) = &written { *count as u64 } else { 0 };
        sent.give_back(&meter.sent, most - count);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
