//! How what happens becomes events: each connection has two, and a flood of refusals few.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::event::{Event, Sink, What};
use crate::host::Target;
use crate::meter::Meter;
use bartizan_reach::Reason;

/// Refusals before anything was asked for are reported this often for each reason.
const PAUSE: Duration = Duration::from_secs(1);

/// Reports about one server.
pub(crate) struct Reports {
    server: Arc<str>,
    sink: Arc<dyn Sink>,
    floods: Mutex<Vec<Flood>>,
}

/// Refusals for one reason, which anybody in the sandbox can cause without end.
struct Flood {
    reason: Reason,
    reported: Instant,
    unreported: u64,
}

impl Reports {
    pub(crate) fn new(server: Arc<str>, sink: Arc<dyn Sink>) -> Reports {
        Reports { server, sink, floods: Mutex::new(Vec::new()) }
    }

    pub(crate) fn event(&self, what: What, reason: Reason, target: Option<&Target>) -> Event {
        let mut event = Event::new(&self.server, what, reason);
        event.host = target.map(|target| target.host.to_string());
        event.port = target.map(|target| target.port);
        event
    }

    /// Reports what may only happen if it is recorded.
    pub(crate) fn admit(&self, event: Event) -> Result<(), Reason> {
        self.sink.record(event).map_err(|_| Reason::Unrecorded)
    }

    /// Reports what has happened, whether it can be recorded or not: nothing leaves by it.
    pub(crate) fn tell(&self, event: Event) {
        self.sink.record(event).unwrap_or(());
    }

    /// Reports a refusal of a connection that had asked for nothing yet.
    pub(crate) fn flooded(&self, reason: Reason) {
        let now = Instant::now();
        let mut floods = self.floods.lock().unwrap_or_else(PoisonError::into_inner);
        let times = match floods.iter_mut().find(|flood| flood.reason == reason) {
            Some(flood) if now < flood.reported + PAUSE => {
                flood.unreported += 1;
                return;
            }
            Some(flood) => {
                flood.reported = now;
                std::mem::take(&mut flood.unreported) + 1
            }
            None => {
                floods.push(Flood { reason, reported: now, unreported: 0 });
                1
            }
        };
        drop(floods);
        self.tell(Event { times, ..self.event(What::Refused, reason, None) });
    }
}

impl Drop for Reports {
    fn drop(&mut self) {
        let floods = std::mem::take(self.floods.get_mut().unwrap_or_else(PoisonError::into_inner));
        for flood in floods.into_iter().filter(|flood| flood.unreported > 0) {
            self.tell(Event { times: flood.unreported, ..self.event(What::Refused, flood.reason, None) });
        }
    }
}

/// A connection to a host that was reported as open, and is as closed when this goes.
pub(crate) struct Open {
    reports: Arc<Reports>,
    event: Event,
    began: Instant,
    meter: Arc<Meter>,
    /// What ended it, if it was neither the cap nor the whole proxy; shared with whoever ends it.
    end: Arc<OnceLock<Reason>>,
}

impl Open {
    /// Reports it as open.
    pub(crate) fn new(
        reports: &Arc<Reports>,
        (target, address): (&Target, IpAddr),
        meter: Arc<Meter>,
        end: Arc<OnceLock<Reason>>,
    ) -> Result<Open, Reason> {
        let event = Event { address: Some(address), ..reports.event(What::Opened, Reason::Allowed, Some(target)) };
        reports.admit(event.clone())?;
        Ok(Open { reports: Arc::clone(reports), event, began: Instant::now(), meter, end })
    }

    /// TLS is ended at the proxy.
    pub(crate) fn terminated(&mut self) {
        self.event.terminated = true;
    }

    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.event.address
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let reason = self.meter.capped().or(self.end.get().copied()).unwrap_or(Reason::Stopped);
        self.reports.tell(Event {
            what: What::Closed,
            reason,
            sent: self.meter.sent(),
            received: self.meter.received(),
            duration: self.began.elapsed(),
            ..self.event.clone()
        });
    }
}
