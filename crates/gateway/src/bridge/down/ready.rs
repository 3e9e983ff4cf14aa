//! A legacy session that has been initialized: what is said in it on the gateway's account.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bartizan_guard::Principal;
use bartizan_mcp::{Id, Limits, Message, meta::Meta, quote};
use http::HeaderValue;
use tokio::sync::Mutex;
use tokio::task::AbortHandle;

use super::translate;
use crate::admit::{self, About, Admitted, Refusal};
use crate::answer::Delivery;
use crate::exchange::{self, Failure};
use crate::gateway::Gateway;
use crate::link::Link;
use crate::relay::Relay;
use crate::server::Server;
use crate::upstream::UpstreamError;

/// How long a server may take for what only the gateway asks of it.
const PATIENCE: Duration = Duration::from_secs(10);

/// One session with the server, past the handshake.
pub(super) struct Ready {
    pub(super) link: Arc<Link>,
    /// The server's answer to `initialize`.
    hello: Admitted,
    version: Option<HeaderValue>,
    /// Several clients may share the session, and all count from one; so the gateway counts for them.
    counted: AtomicI64,
    /// The level of log messages that was asked for last.
    level: Mutex<Option<String>>,
    /// Reads what the server sends on its own account.
    pub(super) reader: std::sync::OnceLock<AbortHandle>,
}

impl Ready {
    /// Connects and shakes hands as the client that `request` describes, because of the message that `about` names.
    pub(super) async fn open(
        gateway: &Arc<Gateway>,
        server: &Arc<Server>,
        principal: &Principal,
        name: &str,
        request: &Message,
        about: About<'_>,
    ) -> Result<Ready, Refusal> {
        let link = Arc::new(Link::connect(gateway, server, principal, name.to_owned(), about).await?);
        // The client is of another era than this session.
        link.ask_plainly();
        let id = Id::Integer(0);
        let broken = |why: &str| link.failed_about(about, &UpstreamError::BrokenOff(why.to_owned()));
        let limits = gateway.policy.load().limits;
        let initialize = Message::parse(translate::initialize(request, &id), &limits);
        let initialize = initialize.map_err(|rejection| broken(&rejection.to_string()))?;
        let hello = match ask(&link, initialize, &Relay::default(), server.timeout).await {
            Ok(Some(answer)) => answer,
            Ok(None) => return Err(broken("it did not answer initialize")),
            Err(_) => return Err(broken("it could not be initialized")),
        };
        let Some(result) = hello.message().result() else { return Err(broken("it refused to be initialized")) };
        let version = result.get("protocolVersion").and_then(|version| HeaderValue::try_from(&*version.text()).ok());
        let (counted, level, reader) = (AtomicI64::new(1), Mutex::default(), std::sync::OnceLock::new());
        let ready = Ready { link: Arc::clone(&link), hello, version, counted, level, reader };
        ready.tell(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned()).await?;
        Ok(ready)
    }

    /// What the server said of itself.
    pub(super) fn hello(&self) -> &Message {
        self.hello.message()
    }

    /// The same for those who keep it.
    pub(super) fn said(&self) -> Admitted {
        self.hello.again()
    }

    /// What it calls itself, as JSON.
    pub(super) fn server_info(&self) -> Option<&str> {
        Some(self.hello().result()?.get("serverInfo")?.raw())
    }

    /// Whether the server has said that it offers this.
    pub(super) fn offers(&self, path: &[&str]) -> bool {
        let said = self.hello().result().and_then(|hello| hello.get("capabilities")?.at(path));
        said.is_some_and(|said| said.raw() != "false")
    }

    /// Whether the session still stands, as far as can be seen from here.
    pub(super) fn stands(&self) -> bool {
        !self.link.upstream.has_ended()
    }

    /// The headers for a message of this session.
    pub(super) fn relay(&self) -> Relay {
        Relay { version: self.version.clone(), ..Relay::default() }
    }

    /// An id that the session has not seen.
    pub(super) fn next_id(&self) -> Id {
        Id::Integer(self.counted.fetch_add(1, Ordering::Relaxed))
    }

    /// Sends something of the gateway's own that needs no answer.
    pub(super) async fn tell(&self, json: String) -> Result<(), Refusal> {
        let own = admit::own(&self.link.gateway.recorder, &self.link.server.name, &self.link.name, json)?;
        // A server that does not take it will not take the next request either, and that one is answered.
        self.link.upstream.send(own, &self.relay()).await.ok();
        Ok(())
    }

    /// Answers a request of the server's with an error.
    pub(super) async fn decline(&self, id: &Id, code: i64, why: &str) {
        self.link.unanswered.take_asking(id);
        let (id, why) = (id.to_json(), quote(why));
        let json = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":{why}}}}}"#);
        self.tell(json).await.ok();
    }

    /// Answers a `ping` of the server's.
    pub(super) async fn pong(&self, id: &Id) {
        self.link.unanswered.take_asking(id);
        self.tell(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, id.to_json())).await.ok();
    }

    /// Tells the server that nobody waits for a request any more.
    pub(super) async fn cancel(&self, id: &Id, why: &str) {
        let (id, why) = (id.to_json(), quote(why));
        let params = format!(r#"{{"requestId":{id},"reason":{why}}}"#);
        self.tell(format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{params}}}"#)).await.ok();
    }

    /// Asks for log messages as the client's request wants them, if that is not how they come already.
    pub(super) async fn set_level(&self, request: &Message) {
        let Some(wanted) = Meta::of(request).log_level() else { return };
        if !self.offers(&["logging"]) {
            return;
        }
        let mut level = self.level.lock().await;
        if level.as_deref() != Some(&*wanted)
            && self.own("logging/setLevel", &format!(r#"{{"level":{}}}"#, quote(&wanted))).await
        {
            *level = Some(wanted.into_owned());
        }
    }

    /// Makes a request on the gateway's account; whether the server agreed.
    pub(super) async fn own(&self, method: &str, params: &str) -> bool {
        let json =
            format!(r#"{{"jsonrpc":"2.0","id":{},"method":"{method}","params":{params}}}"#, self.next_id().to_json());
        let Ok(message) = Message::parse(json, &Limits::default()) else { return false };
        let answer = ask(&self.link, message, &self.relay(), PATIENCE.min(self.link.server.timeout)).await;
        matches!(answer, Ok(Some(answer)) if answer.message().result().is_some())
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.get() {
            reader.abort();
        }
    }
}

/// Asks, and returns the response if it comes in time; what the server sends besides is dropped.
async fn ask(
    link: &Arc<Link>,
    message: Message,
    relay: &Relay,
    patience: Duration,
) -> Result<Option<Admitted>, Failure> {
    let answered = async {
        let mut exchange = exchange::begin(link, message, relay).await?;
        while let Some(delivery) = exchange.next().await {
            match delivery {
                Delivery::Message(message, _) if message.message().is_response() => return Ok(Some(message)),
                _ => {}
            }
        }
        Ok(None)
    };
    tokio::time::timeout(patience, answered).await.unwrap_or(Ok(None))
}
