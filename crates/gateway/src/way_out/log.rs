//! What a way out reports, in the log.

use std::sync::Arc;

use bartizan_config::learned::HostUse;
use bartizan_egress::{Event, Sink, Unrecorded, What};
use serde_json::json;

use super::Seen;
use crate::reasons;
use crate::recorder::Recorder;

/// What is reported, in the log.
pub(super) struct Log {
    recorder: Arc<Recorder>,
    /// Whether it is of what installs a server's packages, and not of the server.
    installing: bool,
}

impl Log {
    pub(super) fn of_server(recorder: &Arc<Recorder>) -> Log {
        Log { recorder: Arc::clone(recorder), installing: false }
    }

    pub(super) fn of_installing(recorder: &Arc<Recorder>) -> Log {
        Log { recorder: Arc::clone(recorder), installing: true }
    }
}

impl Sink for Log {
    fn record(&self, event: Event) -> Result<(), Unrecorded> {
        let kind = match event.what {
            What::Opened => "egress.opened",
            What::Closed => "egress.closed",
            What::Request => "egress.request",
            What::Refused => "egress.refused",
        };
        if event.what == What::Refused {
            let (server, reason) = (&*event.server, event.reason.id());
            let host = event.host.as_deref().unwrap_or_default();
            let (what, help) = reasons::of(reason).map(|reason| (reason.what, reason.help)).unwrap_or_default();
            tracing::warn!(
                server,
                host,
                port = event.port,
                reason,
                times = event.times,
                "a confined server was refused a connection: {what}; {help}"
            );
        }
        if !event.kept.is_empty() {
            let (server, host) = (&*event.server, event.host.as_deref().unwrap_or_default());
            let secrets = event.kept.join(", ");
            tracing::warn!(server, host, %secrets, "a confined server sent a placeholder where it stands for nothing");
        }
        let mut fields = json!({"server": &*event.server, "reason": event.reason.id()});
        if let Some(fields) = fields.as_object_mut() {
            let mut add = |name: &str, value: Option<serde_json::Value>| {
                value.into_iter().for_each(|value| _ = fields.insert(name.to_owned(), value));
            };
            add("host", event.host.map(Into::into));
            add("port", event.port.map(Into::into));
            add("address", event.address.map(|address| address.to_string().into()));
            add("method", event.method.map(Into::into));
            add("path", event.path.map(Into::into));
            if event.what == What::Closed {
                add("sent", Some(event.sent.into()));
                add("received", Some(event.received.into()));
                add("ms", Some(u64::try_from(event.duration.as_millis()).unwrap_or(u64::MAX).into()));
            }
            // Names, never values nor what stands for them.
            let names = |names: &[Arc<str>]| names.iter().map(|name| serde_json::Value::from(&**name)).collect();
            add("secrets", (!event.secrets.is_empty()).then(|| names(&event.secrets)));
            add("kept", (!event.kept.is_empty()).then(|| names(&event.kept)));
            add("terminated", event.terminated.then_some(true.into()));
            add("times", (event.times > 1).then(|| event.times.into()));
            add("installing", self.installing.then_some(true.into()));
        }
        self.recorder.note(kind, &fields).map(drop).map_err(|_| Unrecorded)
    }
}

/// The same, of which somebody is told which hosts are asked for.
pub(super) struct Told {
    pub(super) log: Log,
    pub(super) seen: Seen,
}

impl Sink for Told {
    fn record(&self, event: Event) -> Result<(), Unrecorded> {
        let refused = match event.what {
            What::Opened => Some(None),
            What::Refused => Some(Some(event.reason.id().to_owned())),
            What::Closed | What::Request => None,
        };
        let asked = refused.zip(event.host.clone().zip(event.port));
        self.log.record(event)?;
        if let Some((refused, (host, port))) = asked {
            (self.seen)(HostUse { host, port, refused });
        }
        Ok(())
    }
}

/// Records nothing, so that nothing leaves.
pub(super) struct Nobody;

impl Sink for Nobody {
    fn record(&self, _event: Event) -> Result<(), Unrecorded> {
        Err(Unrecorded)
    }
}

#[cfg(test)]
mod tests {
    use crate::reasons::egress;
    use bartizan_egress::Reason;

    #[test]
    fn every_reason_that_is_recorded_has_words() {
        let mut ids = Reason::ALL.map(Reason::id);
        ids.sort_unstable();
        assert_eq!(egress::ALL.iter().map(|reason| reason.id).collect::<Vec<_>>(), ids);
        assert!(egress::ALL.iter().all(|reason| !reason.what.ends_with('.') && !reason.help.ends_with('.')));
    }
}
