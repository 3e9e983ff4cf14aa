//! A legacy client in front of a server that only knows the stateless era.
//!
//! The gateway answers the handshake out of `server/discover`, adds to each request what a stateless one carries, and
//! turns what a server has to know first (`input_required`) into requests to the client. Requests and responses are
//! judged as the server sees and sends them; what the client sees of them differs by edits.

mod answer;
mod client;
mod conversation;
mod feed;
mod questions;
mod running;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bartizan_mcp::{Edits, Id, Kind, Limits, Message, Revision, meta::Meta, method, quote};
use futures_util::StreamExt;
use http::{HeaderValue, StatusCode};

use client::{Client, Untranslatable};
use conversation::Conversation;
use feed::{Feed, Refused};
use questions::Questions;
use running::Running;

use super::kept::Kept;
use super::tasks;
use crate::admit::{self, Admitted};
use crate::answer::{Answer, Deliveries, Delivery};
use crate::codes::{INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND};
use crate::converse::converse;
use crate::exchange;
use crate::front::Front;
use crate::link::Link;
use crate::params;
use crate::problem::Problem;
use crate::relay::Relay;
use crate::replay::Source;
use crate::shown;

/// One legacy client's session with a stateless server.
pub(crate) struct Up {
    link: Arc<Link>,
    /// Where messages end that do not go on to the server.
    front: Front,
    /// What the client said in `initialize`.
    client: OnceLock<Client>,
    /// What the server said in answer to `server/discover`.
    discovered: OnceLock<Admitted>,
    /// The least severe log message that the client wants.
    level: Mutex<&'static str>,
    /// How many ids the gateway has made up.
    made_up: AtomicU64,
    questions: Questions,
    kept: Kept,
    running: Mutex<Running>,
    feed: Feed,
}

/// How long a server may take to say what it is, or to list its tools for the gateway itself.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pages of a list of tools that the gateway reads for itself.
const PAGES: usize = 100;
/// Levels of log messages. What a client gets that names none is the server's choice, and so the gateway's here.
const LEVELS: [&str; 8] = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];
const USUAL_LEVEL: &str = "info";

impl Up {
    /// A session that has not begun.
    pub(crate) fn new(link: Arc<Link>) -> Arc<Up> {
        Arc::new(Up {
            front: Front::of(&link.gateway, &link.server, &link.principal, &link.name),
            link,
            client: OnceLock::new(),
            discovered: OnceLock::new(),
            level: Mutex::new(USUAL_LEVEL),
            made_up: AtomicU64::new(0),
            questions: Questions::default(),
            kept: Kept::default(),
            running: Mutex::default(),
            feed: Feed::default(),
        })
    }

    /// Answers one message of the client's.
    pub(crate) async fn answer(self: &Arc<Self>, message: Message) -> Answer {
        match (message.kind(), message.id().cloned()) {
            (Kind::Request, Some(id)) => self.request(message, &id).await,
            (Kind::Notification, _) => self.notification(message).await,
            _ => self.response(message).await,
        }
    }

    /// What the server announces, or the rest of the stream that `last` is an event of.
    pub(crate) async fn listen(self: &Arc<Self>, last: Option<&str>) -> Deliveries {
        let streams = &self.link.streams;
        if let Some(rest) = streams.again(last) {
            return rest;
        }
        let coming = self.feed.listen(self).await.map(|delivery| (delivery, false));
        streams.listen(self.kept(coming))
    }

    /// Where messages end that do not go on to the server.
    pub(crate) fn front(&self) -> &Front {
        &self.front
    }

    /// Ends the session with the server.
    pub(crate) async fn end(&self) {
        self.running().cancel_all();
        self.feed.end().await;
        self.link.upstream.end().await;
    }

    /// The link to the server.
    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    async fn request(self: &Arc<Self>, message: Message, id: &Id) -> Answer {
        match message.method().unwrap_or_default() {
            method::INITIALIZE => self.initialize(message, id).await,
            method::PING => self.done(&message, id).await,
            method::LOGGING_SET_LEVEL => self.set_level(&message, id).await,
            method::RESOURCES_SUBSCRIBE | method::RESOURCES_UNSUBSCRIBE => self.subscribe(&message, id).await,
            method if tasks::concerns(method) => {
                self.refuse(&message, "tasks are not translated between revisions of the protocol", METHOD_NOT_FOUND)
                    .await
            }
            method::SERVER_DISCOVER | method::SUBSCRIPTIONS_LISTEN => {
                self.refuse(&message, "the revision of this session has no such method", METHOD_NOT_FOUND).await
            }
            _ => self.ask_server(&message, id).await,
        }
    }

    async fn notification(self: &Arc<Self>, message: Message) -> Answer {
        match message.method().unwrap_or_default() {
            // None of these has a counterpart, and none is missed: what they tell, the server asks for.
            method::INITIALIZED | method::ROOTS_LIST_CHANGED | method::PROGRESS => self.absorb(&message).await,
            method::CANCELLED => {
                let id = message.params().and_then(|params| params.get("requestId")).and_then(Id::read);
                if let Some(id) = id {
                    self.running().cancel(&id);
                }
                self.absorb(&message).await
            }
            _ => {
                let relay = relay(&self.link, &message);
                converse(exchange::begin(&self.link, message, &relay).await).await
            }
        }
    }

    /// The client's answer to a question goes to the server with the request that is sent again, and is judged there.
    async fn response(&self, message: Message) -> Answer {
        match self.questions.answer(message.clone()) {
            Ok(()) => self.absorb(&message).await,
            Err(message) => {
                let relay = relay(&self.link, &message);
                converse(exchange::begin(&self.link, message, &relay).await).await
            }
        }
    }

    async fn initialize(self: &Arc<Self>, message: Message, id: &Id) -> Answer {
        if let Err(refusal) = self.front.take(&message).await {
            return Answer::Message(StatusCode::OK, refusal.answer_to(&message));
        }
        let client = Client::new(message.clone());
        let Ok(request) = client.own(&self.make_up(), method::SERVER_DISCOVER, "", &self.limits()) else {
            return self.failed(id, INVALID_REQUEST, "what the client says of itself is too large");
        };
        let Some(response) = self.ask(request).await else {
            return self.failed(id, admit::CODE_UPSTREAM, "the server did not say what it is");
        };
        let Some(discovered) = response.message().result() else { return self.deliver(response, id) };
        let revision = client.revision();
        let info = Meta::of(response.message()).server_info();
        let hello = answer::hello(id, revision.as_str(), &self.link.server.name, discovered, info);
        self.feed.offered(discovered.get("capabilities"));
        // Each session is initialized once: another `initialize` begins another session.
        self.client.set(client).ok();
        self.discovered.set(response).ok();
        self.own(hello)
    }

    async fn set_level(&self, message: &Message, id: &Id) -> Answer {
        if !self.offers(&["logging"]) {
            return self.refuse(message, "the server does not offer logging", METHOD_NOT_FOUND).await;
        }
        let asked = message.param("level");
        let known = LEVELS.into_iter().find(|level| asked.as_deref() == Some(level));
        let Some(level) = known else {
            return self.refuse(message, "there is no such level of log messages", INVALID_PARAMS).await;
        };
        *self.level.lock().unwrap_or_else(PoisonError::into_inner) = level;
        self.done(message, id).await
    }

    async fn subscribe(self: &Arc<Self>, message: &Message, id: &Id) -> Answer {
        if !self.offers(&["resources", "subscribe"]) {
            return self.refuse(message, "the server does not announce changes of resources", METHOD_NOT_FOUND).await;
        }
        let Some(uri) = message.param("uri") else {
            return self.refuse(message, "the URI is missing", INVALID_PARAMS).await;
        };
        let changed = match message.method() {
            Some(method::RESOURCES_SUBSCRIBE) => self.feed.subscribe(self, &uri).await,
            _ => self.feed.unsubscribe(self, &uri).await,
        };
        match changed {
            Ok(()) => self.done(message, id).await,
            Err(Refused::ByServer(answer)) if answer.message().error().is_some() => self.deliver(answer, id),
            Err(Refused::NotAccepted) => {
                self.refuse(message, "the server does not announce changes of this resource", INVALID_PARAMS).await
            }
            Err(Refused::TooMany) => {
                self.refuse(message, "the client watches too many resources", INVALID_REQUEST).await
            }
            Err(Refused::ByServer(_) | Refused::Silence) => {
                self.refuse(message, "the server did not acknowledge the subscription", admit::CODE_UPSTREAM).await
            }
        }
    }

    /// Sends a request on, and answers with whatever comes of it.
    async fn ask_server(self: &Arc<Self>, message: &Message, id: &Id) -> Answer {
        let Some(client) = self.client() else {
            return self.refuse(message, "the session has not been initialized", INVALID_REQUEST).await;
        };
        let level = self.offers(&["logging"]).then(|| *self.level.lock().unwrap_or_else(PoisonError::into_inner));
        let request = match client.translated(message, level, &self.limits()) {
            Ok(request) => request,
            Err(Untranslatable::Meta) => return self.refuse(message, "_meta is not an object", INVALID_PARAMS).await,
            Err(Untranslatable::TooLarge) => {
                return self.refuse(message, "the request is too large", INVALID_REQUEST).await;
            }
        };
        let bytes = request.bytes().len();
        let (work, steps) = Conversation::begin(self, id.clone(), request);
        if let Err(why) = self.start(id, bytes, work) {
            return self.refuse(message, why, INVALID_REQUEST).await;
        }
        self.link.streams.answer(self.kept(conversation::coming(steps))).await
    }

    /// Has a request worked on in a task of its own, if there is room for it.
    fn start(
        self: &Arc<Self>,
        id: &Id,
        bytes: usize,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), &'static str> {
        let (up, own_id, serial) = (Arc::clone(self), id.clone(), self.made_up.fetch_add(1, Ordering::Relaxed));
        // Held until the task is noted, so that it cannot end before.
        let mut running = self.running();
        if let Some(why) = running.refuses(id, bytes) {
            return Err(why);
        }
        // What is held until somebody agrees passes only if what it came with is still good.
        let work = shown::carried(shown::current(), work);
        let task = tokio::spawn(async move {
            work.await;
            up.running().end(&own_id, serial);
        });
        running.begin(id.clone(), serial, bytes, task.abort_handle());
        Ok(())
    }

    /// A stream that the client can come back to: the server has none, whatever it is.
    fn kept<S>(&self, coming: S) -> Source<S> {
        let primes = self.client().is_some_and(|client| client.revision() >= Revision::V2025_11_25);
        Source { coming, prefix: String::new(), primes }
    }

    /// Lists the server's tools for the session itself, which then knows which headers they want.
    async fn learn_tools(&self) {
        let mut cursor = String::new();
        for _ in 0..PAGES {
            let Some(request) = self.own_request(method::TOOLS_LIST, &cursor) else { return };
            let Some(page) = self.ask(request).await else { return };
            let next = page.message().result().and_then(|result| result.get("nextCursor"));
            match next.filter(|next| next.as_str().is_some()) {
                Some(next) => cursor = format!(r#","cursor":{}"#, next.raw()),
                None => return,
            }
        }
    }

    /// Asks the server something on the gateway's account; its response, or what says why there is none.
    async fn ask(&self, request: Message) -> Option<Admitted> {
        let relay = relay(&self.link, &request);
        let answered = async {
            let mut exchange = match exchange::begin(&self.link, request, &relay).await {
                Ok(exchange) => exchange,
                Err(failure) => return failure.answer,
            };
            while let Some(delivery) = exchange.next().await {
                match delivery {
                    Delivery::Message(message, _) if exchange.is_finished() => return Some(message),
                    _ => {}
                }
            }
            None
        };
        tokio::time::timeout(PATIENCE, answered).await.ok().flatten()
    }

    /// A request on the gateway's account; `params` are members besides `_meta`, as JSON.
    fn own_request(&self, method: &str, params: &str) -> Option<Message> {
        self.client()?.own(&self.make_up(), method, params, &self.limits()).ok()
    }

    fn client(&self) -> Option<&Client> {
        self.client.get()
    }

    /// Whether the server has said that it offers this.
    fn offers(&self, path: &[&str]) -> bool {
        let said = self.discovered.get().and_then(|discovered| discovered.message().result()?.get("capabilities"));
        said.and_then(|capabilities| capabilities.at(path))
            .is_some_and(|value| !matches!(value.raw(), "false" | "null"))
    }

    /// An id that no other message of this session has.
    fn make_up(&self) -> String {
        format!("bartizan-{}", self.made_up.fetch_add(1, Ordering::Relaxed))
    }

    fn deliver(&self, response: Admitted, id: &Id) -> Answer {
        let edits: Edits = answer::response(response.message(), id);
        let response = if edits.is_empty() { response } else { response.rewritten(&edits) };
        Answer::Message(StatusCode::OK, response)
    }

    /// Answers a request that concerns only the gateway.
    async fn done(&self, message: &Message, id: &Id) -> Answer {
        match self.front.take(message).await {
            Ok(()) => self.own(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, id.to_json())),
            Err(refusal) => Answer::Message(StatusCode::OK, refusal.answer_to(message)),
        }
    }

    fn own(&self, json: String) -> Answer {
        Answer::Message(StatusCode::OK, self.front.own(json))
    }

    /// The answer to a request that was judged already, and of which nothing came.
    fn failed(&self, id: &Id, code: i64, why: &str) -> Answer {
        let (id, why) = (id.to_json(), quote(why));
        self.own(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":{why}}}}}"#))
    }

    /// Records and refuses a request that cannot be translated.
    async fn refuse(&self, message: &Message, why: &str, code: i64) -> Answer {
        let refusal = self.front.refuse(message, Problem::new("bridge.untranslated", why, code)).await;
        Answer::Message(StatusCode::OK, refusal.answer_to(message))
    }

    /// Takes note of a message that does not go on to the server.
    async fn absorb(&self, message: &Message) -> Answer {
        match self.front.take(message).await {
            Ok(()) => Answer::Accepted,
            Err(refusal) => Answer::Refused(Some(refusal.sentence())),
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn limits(&self) -> Limits {
        self.link.gateway.policy.load().limits
    }
}

/// The headers under which a message goes to the server.
fn relay(link: &Link, message: &Message) -> Relay {
    let mut routing: Vec<_> = crate::relay::routing(message).collect();
    params::regenerate(&link.session(), &mut routing, message);
    let version = Some(HeaderValue::from_static(Revision::V2026_07_28.as_str()));
    Relay { version, last_event_id: None, routing }
}
