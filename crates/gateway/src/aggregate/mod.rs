//! All servers as one: `/mcp`.
//!
//! Tools and prompts are named `SERVER__name`; resources keep their URIs and belong to the first server that lists
//! them. Every message to and from a server is judged on that server's own link; only what the gateway composes of
//! answers that were admitted (lists, the handshake) is its own.

mod member;
mod merge;
mod names;

use std::collections::HashMap;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bartizan_guard::Principal;
use bartizan_mcp::{Edits, Era, Id, Kind, Limits, Message, Revision, Value};
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::admit::{self, Admitted};
use crate::exchange::{self, Delivery, Tag};
use crate::gateway::Gateway;
use crate::link::Link;
use crate::peer::{Answer, Deliveries, converse, deliveries};
use crate::server::Server;
use crate::upstream::{Relay, UpstreamError};

use member::{Member, PATIENCE, Ready, ask};
use merge::List;
use names::Names;

/// One client's session with all servers.
pub struct Hub {
    gateway: Arc<Gateway>,
    members: BTreeMap<Arc<str>, Arc<Member>>,
    /// The session's name in records.
    name: String,
    era: Era,
    names: Names,
    /// The client's `initialize`, for servers that are late or come back.
    hello: Mutex<Option<Message>>,
    /// Which server has a resource.
    resources: Places<String>,
    /// Which server works on a request, for its cancellation.
    requests: Places<Id>,
    /// Which server has a task.
    tasks: Arc<Mutex<HashMap<String, Arc<str>>>>,
}

/// Where things are, within a bound: beyond it, the oldest knowledge is not worth the memory.
struct Places<K>(Mutex<HashMap<K, Arc<str>>>);

const PLACES: usize = 50_000;
/// Pages that one server's list may have.
const PAGES: usize = 1_000;

impl<K: std::hash::Hash + Eq> Places<K> {
    fn put(&self, key: K, server: &Arc<str>) {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() >= PLACES {
            places.clear();
        }
        places.insert(key, Arc::clone(server));
    }

    fn get(&self, key: &K) -> Option<Arc<str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }
}

impl Hub {
    /// A session that has not begun.
    #[must_use]
    pub fn new(
        gateway: Arc<Gateway>,
        servers: &BTreeMap<Arc<str>, Arc<Server>>,
        principal: &Principal,
        name: &str,
        era: Era,
    ) -> Arc<Hub> {
        let member = |server: &Arc<Server>| Member::new(&gateway, server, principal, name, era);
        let members = servers.iter().map(|(name, server)| (Arc::clone(name), member(server))).collect();
        Arc::new(Hub {
            gateway,
            members,
            name: name.to_owned(),
            era,
            names: Names::default(),
            hello: Mutex::new(None),
            resources: Places(Mutex::default()),
            requests: Places(Mutex::default()),
            tasks: Arc::default(),
        })
    }

    /// Answers one message, by whichever servers it concerns.
    pub async fn answer(self: &Arc<Self>, message: Message) -> Answer {
        match (message.kind(), message.id().cloned()) {
            (Kind::Request, Some(id)) => self.request(message, id).await,
            (Kind::Notification, _) => self.notification(message).await,
            _ => self.response(message).await,
        }
    }

    /// What the servers send without being asked, in one stream; or one server's stream, to be resumed.
    ///
    /// # Errors
    /// If no server offers one.
    pub async fn listen(&self, headers: &HeaderMap) -> Result<Deliveries, UpstreamError> {
        let resume = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.split_once('/'));
        let mut streams = Vec::new();
        for (name, member) in &self.members {
            let Some(ready) = member.ready_now() else { continue };
            let mut relay = Relay { version: ready.version(), ..Relay::default() };
            match resume {
                Some((server, event)) if server == &**name => relay.last_event_id = HeaderValue::from_str(event).ok(),
                Some(_) => continue,
                None => {}
            }
            if let Ok(exchange) = exchange::listen(&ready.link, &relay).await {
                streams.push(deliveries(exchange.tagged(self.tag(name))));
            }
        }
        if streams.is_empty() { Err(UpstreamError::NoStream) } else { Ok(Box::pin(stream::select_all(streams))) }
    }

    /// Ends the sessions with all servers.
    pub async fn end(&self) {
        join_all(self.links().iter().map(|link| link.upstream.end())).await;
    }

    /// The servers that are ready.
    #[must_use]
    pub fn links(&self) -> Vec<Arc<Link>> {
        let ready = self.members.values().filter_map(|member| member.ready_now());
        ready.map(|ready| Arc::clone(&ready.link)).collect()
    }

    async fn request(self: &Arc<Self>, message: Message, id: Id) -> Answer {
        let method = message.method().unwrap_or_default().to_owned();
        let param = |path: &[&str]| message.params()?.at(path)?.as_str().map(|text| text.into_owned());
        if let Some(list) = merge::list_of(&method) {
            return self.list(list, &message, &id).await;
        }
        match &*method {
            "initialize" => self.initialize(message, &id).await,
            "server/discover" => self.discover(message, &id).await,
            "ping" => self.own(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, id.to_json())),
            "logging/setLevel" => self.set_level(message, &id).await,
            "subscriptions/listen" => self.subscribe(message).await,
            "tools/call" | "prompts/get" => self.by_name(&["name"], message, &id).await,
            "completion/complete" if param(&["ref", "name"]).is_some() => self.by_name(&["ref", "name"], message, &id).await,
            "completion/complete" => self.by_uri(param(&["ref", "uri"]), message, &id).await,
            "resources/read" | "resources/subscribe" | "resources/unsubscribe" => {
                self.by_uri(param(&["uri"]), message, &id).await
            }
            _ => match param(&["taskId"]) {
                Some(task) => self.by_task(&task, message, &id).await,
                None => self.error(&id, -32601, "no such method on the aggregate endpoint"),
            },
        }
    }

    async fn notification(&self, message: Message) -> Answer {
        match message.method().unwrap_or_default() {
            // Each server was told by its member as soon as it was ready.
            "notifications/initialized" => self.absorb(&message),
            "notifications/cancelled" => {
                let id = message.params().and_then(|params| params.get("requestId")).and_then(Id::read);
                match id.and_then(|id| self.requests.get(&id)) {
                    Some(server) => self.send_to(std::slice::from_ref(&server), message).await,
                    None => self.absorb(&message),
                }
            }
            _ => {
                let all: Vec<_> = self.members.keys().cloned().collect();
                self.send_to(&all, message).await
            }
        }
    }

    /// A response goes back to the server whose request it answers; its id says which.
    async fn response(&self, message: Message) -> Answer {
        let tagged = message.id().and_then(|id| match id {
            Id::String(text) => text.split_once('/').map(|(server, id)| (server.to_owned(), id.to_owned())),
            Id::Integer(_) => None,
        });
        let ready = tagged.as_ref().and_then(|(server, _)| self.members.get(&**server)?.ready_now());
        let (Some((_, id)), Some(ready), Some(node)) = (tagged, ready, message.root().get("id")) else {
            return self.absorb(&message);
        };
        let mut edits = Edits::new();
        edits.set_json(node.id(), id);
        match message.edited(&edits, &self.limits()) {
            Ok(message) => self.to(&ready, message).await,
            Err(_) => Answer::Refused,
        }
    }

    async fn initialize(self: &Arc<Self>, message: Message, id: &Id) -> Answer {
        let asked = message.param("protocolVersion").and_then(|version| version.parse::<Revision>().ok());
        let version = asked.filter(|version| version.era() == Era::Legacy).unwrap_or(Revision::LATEST_LEGACY);
        *self.hello.lock().unwrap_or_else(PoisonError::into_inner) = Some(message);
        let ready = self.all_ready().await;
        let hellos: Vec<_> = ready
            .iter()
            .filter_map(|(name, ready)| Some((Arc::clone(name), ready.hello.as_ref()?.message())))
            .collect();
        self.own(merge::hello(id, Some(version), &hellos))
    }

    async fn discover(&self, message: Message, id: &Id) -> Answer {
        let ready = self.all_ready().await;
        let asked = ready.iter().map(|(name, ready)| {
            let message = message.clone();
            async move {
                let relay = ready.relay(&message);
                Some((Arc::clone(name), ask(&ready.link, message, &relay, PATIENCE).await.ok()?))
            }
        });
        let answers: Vec<(Arc<str>, Admitted)> = join_all(asked).await.into_iter().flatten().collect();
        let answers: Vec<_> = answers.iter().map(|(name, answer)| (Arc::clone(name), answer.message())).collect();
        self.own(merge::hello(id, None, &answers))
    }

    /// One list of what all servers list; a server that fails is left out, which the log and the metrics say.
    async fn list(&self, list: List, message: &Message, id: &Id) -> Answer {
        if message.params().is_some_and(|params| params.get("cursor").is_some()) {
            return self.error(id, -32602, "this list has one page; there is no such cursor");
        }
        let ready = self.all_ready().await;
        let asked = ready.iter().filter(|(_, ready)| ready.offers(list.capability));
        let pages = join_all(asked.map(|(name, ready)| self.pages(name, ready, message))).await.concat_pages();
        let found = |server: &Arc<str>, key: &str| {
            if !list.named {
                self.resources.put(key.to_owned(), server);
            }
        };
        let stateless = self.era == Era::Stateless;
        self.own(merge::lists(list, id, &pages, &self.names, &self.limits(), stateless, found))
    }

    /// All pages of one server's list, as far as it delivers them.
    async fn pages(&self, name: &Arc<str>, ready: &Ready, first: &Message) -> Vec<(Arc<str>, Admitted)> {
        let mut pages = Vec::new();
        let mut next = Some(first.clone());
        while let Some(message) = next.take()
            && pages.len() < PAGES
        {
            let relay = ready.relay(&message);
            let Ok(page) = ask(&ready.link, message, &relay, PATIENCE).await else { break };
            let Some(result) = page.message().result() else { break };
            if let Some(cursor) = result.get("nextCursor").filter(|cursor| cursor.as_str().is_some()) {
                next = with_cursor(first, cursor.raw(), &self.limits());
            }
            pages.push((Arc::clone(name), page));
        }
        pages
    }

    async fn set_level(&self, message: Message, id: &Id) -> Answer {
        let ready = self.all_ready().await;
        let told = ready.iter().filter(|(_, ready)| ready.offers("logging")).map(|(_, ready)| {
            let relay = ready.relay(&message);
            let message = message.clone();
            async move { ask(&ready.link, message, &relay, PATIENCE).await }
        });
        join_all(told).await;
        self.own(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, id.to_json()))
    }

    /// One stream of all servers' changes: acknowledged once, ended when the last one ends.
    async fn subscribe(self: &Arc<Self>, message: Message) -> Answer {
        let mut streams = Vec::new();
        for (name, ready) in self.all_ready().await {
            let relay = ready.relay(&message);
            if let Ok(exchange) = exchange::begin(&ready.link, message.clone(), &relay).await {
                streams.push(deliveries(exchange.tagged(self.tag(&name))));
            }
        }
        let (mut open, mut acknowledged) = (streams.len(), false);
        let merged = stream::select_all(streams).filter_map(move |delivery| {
            let passes = match &delivery {
                Delivery::Message(message, _) if message.message().is_response() => {
                    open -= 1;
                    open == 0
                }
                Delivery::Message(message, _)
                    if message.message().method() == Some("notifications/subscriptions/acknowledged") =>
                {
                    !std::mem::replace(&mut acknowledged, true)
                }
                _ => true,
            };
            std::future::ready(passes.then_some(delivery))
        });
        Answer::Stream(Box::pin(merged))
    }

    /// Sends a request to the server that its name names, under the name that the server knows.
    async fn by_name(&self, path: &[&str], message: Message, id: &Id) -> Answer {
        let Some(node) = message.params().and_then(|params| params.at(path)) else {
            return self.error(id, -32602, "the name is missing");
        };
        let (name, node) = (node.text().into_owned(), node.id());
        let target = match self.names.inward(&name) {
            Some((server, None)) => {
                // Perhaps a shortened name of a list that this session has not seen.
                self.learn(&server).await;
                self.names.inward(&name).map(|(server, name)| (server, name))
            }
            target => target,
        };
        let unknown = "there is no such tool or prompt; names are SERVER__NAME";
        let Some((server, inner)) = target else { return self.error(id, -32602, unknown) };
        let inner = inner.or_else(|| Some(name.split_once("__")?.1.to_owned())).unwrap_or_default();
        let Some((server, ready)) = self.member(&server).await else { return self.error(id, -32602, unknown) };
        let mut edits = Edits::new();
        edits.set_text(node, &inner);
        match message.edited(&edits, &self.limits()) {
            Ok(message) => self.call(&server, &ready, message, id).await,
            Err(_) => self.error(id, -32600, "the request is too large"),
        }
    }

    async fn by_uri(&self, uri: Option<String>, message: Message, id: &Id) -> Answer {
        let Some(uri) = uri else { return self.error(id, -32602, "the URI is missing") };
        let mut server = self.resources.get(&uri);
        if server.is_none() {
            self.learn_resources().await;
            server = self.resources.get(&uri).or_else(|| self.by_template(&uri));
        }
        match server {
            Some(server) => match self.member(&server).await {
                Some((server, ready)) => self.call(&server, &ready, message, id).await,
                None => self.error(id, -32002, "the server of this resource cannot be reached"),
            },
            None => self.error(id, -32002, "no server lists this resource"),
        }
    }

    async fn by_task(&self, task: &str, message: Message, id: &Id) -> Answer {
        let server = self.tasks.lock().unwrap_or_else(PoisonError::into_inner).get(task).cloned();
        match server {
            Some(server) => match self.member(&server).await {
                Some((server, ready)) => self.call(&server, &ready, message, id).await,
                None => self.error(id, -32603, "the server of this task cannot be reached"),
            },
            None => self.error(id, -32602, "there is no such task"),
        }
    }

    /// The server with the longest template whose fixed beginning the URI has.
    fn by_template(&self, uri: &str) -> Option<Arc<str>> {
        let places = self.resources.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = places.iter().filter_map(|(template, server)| {
            let (fixed, _) = template.split_once('{')?;
            uri.starts_with(fixed).then_some((fixed.len(), server))
        });
        fits.max_by_key(|(length, _)| *length).map(|(_, server)| Arc::clone(server))
    }

    async fn learn(&self, server: &str) {
        let Some((name, ready)) = self.member(server).await else { return };
        for (method, member) in [("tools/list", "tools"), ("prompts/list", "prompts")] {
            let Some(list) = merge::list_of(method).filter(|_| ready.offers(member)) else { continue };
            if let Some(message) = self.own_request(method) {
                let pages = self.pages(&name, &ready, &message).await;
                let id = Id::Integer(0);
                merge::lists(list, &id, &pages, &self.names, &self.limits(), false, |_, _| {});
            }
        }
    }

    async fn learn_resources(&self) {
        for method in ["resources/list", "resources/templates/list"] {
            if let (Some(list), Some(message)) = (merge::list_of(method), self.own_request(method)) {
                let id = message.id().cloned().unwrap_or(Id::Integer(0));
                drop(self.list(list, &message, &id).await);
            }
        }
    }

    /// A request on the gateway's account, with the client's own particulars where the era demands them.
    fn own_request(&self, method: &str) -> Option<Message> {
        let meta = match self.era {
            Era::Legacy => String::new(),
            Era::Stateless => format!(
                r#","params":{{"_meta":{{"io.modelcontextprotocol/protocolVersion":"{}","io.modelcontextprotocol/clientCapabilities":{{}},"io.modelcontextprotocol/clientInfo":{{"name":"bartizan","version":"{}"}}}}}}"#,
                Revision::V2026_07_28,
                env!("CARGO_PKG_VERSION"),
            ),
        };
        let json = format!(r#"{{"jsonrpc":"2.0","id":"bartizan","method":"{method}"{meta}}}"#);
        Message::parse(json, &self.limits()).ok()
    }

    async fn member(&self, server: &str) -> Option<(Arc<str>, Arc<Ready>)> {
        let (name, member) = self.members.get_key_value(server)?;
        let hello = self.hello.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Some((Arc::clone(name), member.ready(hello.as_ref()).await?))
    }

    /// All servers that are ready, after a moment of patience with those that are not.
    async fn all_ready(&self) -> Vec<(Arc<str>, Arc<Ready>)> {
        let hello = self.hello.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let ready = self.members.iter().map(|(name, member)| {
            let hello = hello.as_ref();
            async move { Some((Arc::clone(name), member.ready(hello).await?)) }
        });
        join_all(ready).await.into_iter().flatten().collect()
    }

    async fn call(&self, server: &Arc<str>, ready: &Ready, message: Message, id: &Id) -> Answer {
        self.requests.put(id.clone(), server);
        let relay = ready.relay(&message);
        let begun = exchange::begin(&ready.link, message, &relay).await;
        if begun.as_ref().is_err_and(|failure| failure.session_gone)
            && let Some(member) = self.members.get(server)
        {
            member.lost();
            return self.error(id, admit::CODE_UPSTREAM, "the server has ended its session; try again");
        }
        converse(begun.map(|exchange| exchange.tagged(self.tag(server)))).await
    }

    async fn to(&self, ready: &Ready, message: Message) -> Answer {
        let relay = ready.relay(&message);
        converse(exchange::begin(&ready.link, message, &relay).await).await
    }

    async fn send_to(&self, servers: &[Arc<str>], message: Message) -> Answer {
        let ready = servers.iter().filter_map(|server| self.members.get(server)?.ready_now());
        join_all(ready.map(|ready| {
            let message = message.clone();
            async move { self.to(&ready, message).await }
        }))
        .await;
        Answer::Accepted
    }

    fn tag(&self, server: &Arc<str>) -> Tag {
        Tag { server: Arc::clone(server), tasks: Arc::clone(&self.tasks) }
    }

    fn own(&self, json: String) -> Answer {
        match admit::own(&self.gateway.recorder, "*", &self.name, json) {
            Ok(message) => Answer::Message(StatusCode::OK, message),
            Err(refusal) => Answer::Message(StatusCode::OK, refusal.answer(None, None)),
        }
    }

    fn error(&self, id: &Id, code: i64, text: &str) -> Answer {
        let (id, text) = (id.to_json(), bartizan_mcp::quote(text));
        self.own(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":{text}}}}}"#))
    }

    /// Takes note of a message that concerns no server.
    fn absorb(&self, message: &Message) -> Answer {
        let fields = serde_json::json!({
            "session": self.name, "method": message.method(), "bytes": message.bytes().len(),
            "request": message.id().map(ToString::to_string),
        });
        match self.gateway.recorder.note("absorbed", &fields) {
            Ok(_receipt) => Answer::Accepted,
            Err(_) => Answer::Refused,
        }
    }

    fn limits(&self) -> Limits {
        self.gateway.policy.load().limits
    }
}

/// All pages in one list.
trait ConcatPages {
    fn concat_pages(self) -> Vec<(Arc<str>, Admitted)>;
}

impl ConcatPages for Vec<Vec<(Arc<str>, Admitted)>> {
    fn concat_pages(self) -> Vec<(Arc<str>, Admitted)> {
        self.into_iter().flatten().collect()
    }
}

/// The same request for the page at `cursor`.
fn with_cursor(first: &Message, cursor: &str, limits: &Limits) -> Option<Message> {
    let mut edits = Edits::new();
    match first.params() {
        Some(params) => edits.insert(params.id(), "cursor", cursor),
        None => edits.insert(Value::id(first.root()), "params", format!(r#"{{"cursor":{cursor}}}"#)),
    }
    first.edited(&edits, limits).ok()
}
