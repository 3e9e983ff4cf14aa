//! One connection of a server: what it is used for just now, and what ends it.
//!
//! **Threat.** A policy is replaced, and what it no longer allows goes on, or something is let through between the old one and the new. What a
//! connection is used for is noted in the same step in which it is allowed, and held against each new policy.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};

use http::Method;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::connect::{self, Patience, Refusal};
use crate::event::{Event, What};
use crate::host::Target;
use crate::meter::{Meter, Metered};
use crate::proxy::Shared;
use crate::report::Open;
use bartizan_reach::Reason;
use bartizan_reach::{Permit, Policy};

/// One connection of a server to the proxy.
pub(crate) struct Flow {
    pub(crate) shared: Arc<Shared>,
    used: Mutex<Option<Use>>,
    end: Arc<OnceLock<Reason>>,
}

/// What a connection is used for.
#[derive(Debug, Clone)]
struct Use {
    target: Target,
    request: Option<(Method, String)>,
    address: Option<IpAddr>,
    /// Whether what crosses it cannot be seen.
    opaque: bool,
}

impl Use {
    fn is_allowed(&self, policy: &Policy, own: &[IpAddr]) -> bool {
        let Some(permit) = policy.permit(&self.target) else { return false };
        let request = match &self.request {
            Some((method, path)) => permit.request(method, path).is_ok(),
            None => true,
        };
        let address = self.address.is_none_or(|address| permit.reaches(address, own).is_ok());
        request && address && !(self.opaque && permit.looks_at_requests())
    }
}

impl Flow {
    pub(crate) fn new(shared: Arc<Shared>) -> Flow {
        Flow { shared, used: Mutex::default(), end: Arc::default() }
    }

    /// What the policy of this moment allows at `target`, which the connection is used for from now on.
    pub(crate) fn permit(&self, target: &Target, request: Option<(Method, String)>) -> Result<Permit, Refusal> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if target.host.is_metadata() {
            return Err(Reason::Metadata.into());
        }
        let policy = self.shared.policy();
        let permit = policy.permit(target).ok_or(Reason::NotAllowed)?;
        if let Some((method, path)) = &request {
            permit.request(method, path)?;
        }
        // The line to the same host may be used again.
        let address = used.as_ref().filter(|used| used.target == *target).and_then(|used| used.address);
        *used = Some(Use { target: target.clone(), request, address, opaque: false });
        Ok(permit)
    }

    /// What crosses the connection from now on cannot be seen.
    pub(crate) fn is_opaque(&self) {
        if let Some(used) = &mut *self.used.lock().unwrap_or_else(PoisonError::into_inner) {
            used.opaque = true;
        }
    }

    /// Connects to a host that is allowed, and reports it.
    pub(crate) async fn open(&self, target: &Target, permit: &Permit) -> Result<Outside, Refusal> {
        let shared = &self.shared;
        let patience = Patience { lookup: shared.timeouts.lookup, connect: shared.timeouts.connect };
        let (stream, address) = connect::connect(target, permit, &shared.own, &*shared.resolver, &patience).await?;
        let meter = Meter::new(Arc::clone(&shared.totals));
        let open = Open::new(&shared.reports, (target, address), Arc::clone(&meter), Arc::clone(&self.end))?;
        if let Some(used) = &mut *self.used.lock().unwrap_or_else(PoisonError::into_inner) {
            used.address = open.address();
        }
        Ok(Outside { stream: Metered::new(stream, meter), open })
    }

    /// Ends once a policy is in force that does not allow what the connection is used for.
    pub(crate) async fn revoked(&self, mut policy: watch::Receiver<Arc<Policy>>) {
        loop {
            if policy.changed().await.is_err() {
                return;
            }
            let now = Arc::clone(&policy.borrow_and_update());
            let used = self.used.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if used.is_some_and(|used| !used.is_allowed(&now, &self.shared.own)) {
                return;
            }
        }
    }

    /// Says what ends it; what was said first stays.
    pub(crate) fn end(&self, reason: Reason) {
        self.end.get_or_init(|| reason);
    }

    pub(crate) fn refusal(&self, refusal: Refusal, target: Option<&Target>) -> Event {
        let event = self.shared.reports.event(What::Refused, refusal.reason, target);
        Event { address: refusal.address, ..event }
    }

    /// Reports a refusal.
    pub(crate) fn refuse(&self, refusal: Refusal, target: Option<&Target>) -> Reason {
        self.shared.reports.tell(self.refusal(refusal, target));
        self.end(refusal.reason);
        refusal.reason
    }
}

/// A connection to a host, counted and reported.
pub(crate) struct Outside {
    stream: Metered<TcpStream>,
    pub(crate) open: Open,
}

impl AsyncRead for Outside {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Outside {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
