//! One server among those that appear as one.

use std::sync::Arc;
use std::time::Duration;

use bartizan_guard::Principal;
use bartizan_mcp::{Era, Message, Revision, header as mcp_header};
use http::{HeaderName, HeaderValue};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::admit::{self, Admitted, Refusal};
use crate::exchange::{self, Delivery};
use crate::gateway::Gateway;
use crate::link::Link;
use crate::server::Server;
use crate::upstream::{Relay, UpstreamError};

/// How long the others wait for a server that is slow to begin or to list.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How long a server that failed to begin is left alone.
const REST: Duration = Duration::from_secs(5);

/// A server, whether or not it can be reached at present.
pub(super) struct Member {
    pub(super) server: Arc<Server>,
    gateway: Arc<Gateway>,
    principal: Principal,
    /// The session's name in records.
    name: String,
    era: Era,
    state: watch::Sender<State>,
}

#[derive(Clone)]
enum State {
    /// Nobody has asked for it yet.
    Idle,
    Opening,
    Ready(Arc<Ready>),
    Failed(Instant),
}

/// A server with whom the handshake is done.
pub(super) struct Ready {
    pub(super) link: Arc<Link>,
    /// What it said of itself; none in the stateless era.
    pub(super) hello: Option<Admitted>,
    version: Option<HeaderValue>,
}

impl Member {
    pub(super) fn new(gateway: &Arc<Gateway>, server: &Arc<Server>, principal: &Principal, name: &str, era: Era) -> Arc<Self> {
        Arc::new(Member {
            server: Arc::clone(server),
            gateway: Arc::clone(gateway),
            principal: principal.clone(),
            name: name.to_owned(),
            era,
            state: watch::Sender::new(State::Idle),
        })
    }

    /// The server, once it is ready; `hello` is the client's `initialize`, in the legacy era. Waits a while at most.
    pub(super) async fn ready(self: &Arc<Self>, hello: Option<&Message>) -> Option<Arc<Ready>> {
        let mut state = self.state.subscribe();
        let begin = self.state.send_if_modified(|state| {
            let due = match state {
                State::Idle => true,
                State::Failed(since) => since.elapsed() >= REST,
                State::Opening | State::Ready(_) => false,
            };
            if due {
                *state = State::Opening;
            }
            due
        });
        if begin {
            // In a task of its own: a client that goes away must not stop it half way.
            let (member, hello) = (Arc::clone(self), hello.cloned());
            tokio::spawn(async move {
                let opened = member.open(hello).await;
                member.state.send_replace(match opened {
                    Ok(ready) => State::Ready(Arc::new(ready)),
                    Err(_refusal) => State::Failed(Instant::now()),
                });
            });
        }
        let settled = state.wait_for(|state| matches!(state, State::Ready(_) | State::Failed(_)));
        match tokio::time::timeout(PATIENCE, settled).await {
            Ok(Ok(state)) => match &*state {
                State::Ready(ready) => Some(Arc::clone(ready)),
                _ => None,
            },
            _ => None,
        }
    }

    /// The server, if it is ready now.
    pub(super) fn ready_now(&self) -> Option<Arc<Ready>> {
        match &*self.state.borrow() {
            State::Ready(ready) => Some(Arc::clone(ready)),
            _ => None,
        }
    }

    /// The server's session is over; the next one who needs it begins another.
    pub(super) fn lost(&self) {
        self.state.send_replace(State::Failed(Instant::now()));
    }

    async fn open(&self, hello: Option<Message>) -> Result<Ready, Refusal> {
        let link = Arc::new(Link::connect(&self.gateway, &self.server, &self.principal, self.name.clone()).await?);
        let (Era::Legacy, Some(hello)) = (self.era, hello) else {
            return Ok(Ready { link, hello: None, version: stateless_version() });
        };
        let answer = ask(&link, hello, &Relay::default(), self.server.timeout).await?;
        let Some(result) = answer.message().result() else {
            let error = UpstreamError::BrokenOff("it refused to be initialized".to_owned());
            return Err(link.failed(None, &error));
        };
        let version = result.get("protocolVersion").and_then(|version| HeaderValue::try_from(&*version.text()).ok());
        let ready = Ready { hello: Some(answer), version, link };
        let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned();
        let initialized = admit::own(&self.gateway.recorder, &self.server.name, &self.name, initialized)?;
        ready.link.upstream.send(&initialized, &ready.relay(initialized.message())).await.ok();
        Ok(ready)
    }
}

impl Ready {
    /// The headers for a message to this server.
    pub(super) fn relay(&self, message: &Message) -> Relay {
        let stateless = self.version == stateless_version();
        let mut routing = Vec::new();
        if stateless {
            for (name, value) in mcp_header::regenerate(message) {
                if name != mcp_header::PROTOCOL_VERSION
                    && let Ok(value) = HeaderValue::try_from(value)
                {
                    routing.push((HeaderName::from_static(name), value));
                }
            }
        }
        Relay { version: self.version.clone(), last_event_id: None, routing }
    }

    /// The revision that was agreed on.
    pub(super) fn version(&self) -> Option<HeaderValue> {
        self.version.clone()
    }

    /// Whether the server has said that it offers `capability`; in the stateless era it is simply asked.
    pub(super) fn offers(&self, capability: &str) -> bool {
        let said = self.hello.as_ref().and_then(|hello| hello.message().result());
        said.is_none_or(|hello| hello.at(&["capabilities", capability]).is_some())
    }
}

fn stateless_version() -> Option<HeaderValue> {
    Some(HeaderValue::from_static(Revision::V2026_07_28.as_str()))
}

/// Asks a server something on the gateway's account and returns its response; what it sends besides is dropped.
pub(super) async fn ask(link: &Arc<Link>, message: Message, relay: &Relay, patience: Duration) -> Result<Admitted, Refusal> {
    let call = bartizan_guard::CallSummary::of(&message);
    let answered = async {
        let mut exchange = exchange::begin(link, message, relay).await.ok()?;
        while let Some(delivery) = exchange.next().await {
            match delivery {
                Delivery::Message(message, _) if exchange.is_finished() => return Some(message),
                _ => {}
            }
        }
        None
    };
    match tokio::time::timeout(patience, answered).await {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => Err(link.failed(call.as_ref(), &UpstreamError::BrokenOff("no answer came".to_owned()))),
        Err(_) => Err(link.failed(call.as_ref(), &UpstreamError::TimedOut(patience.as_secs()))),
    }
}
