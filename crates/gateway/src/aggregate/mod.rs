//! All servers as one: `/mcp`.
//!
//! Tools and prompts are named `SERVER__name`; resources keep their URIs and belong to the first server, by name, that
//! lists them. Every message to and from a server is judged on that server's own link; only what the gateway composes
//! of answers that were admitted (lists, the handshake) is its own.
//!
//! A server that cannot be reached, hangs or dies is left out of what the client sees, and the others are not kept
//! waiting for it beyond a bounded patience. When it comes, or comes back, the client is told that the lists changed.

mod lists;
mod member;
mod merge;
mod names;
mod route;
mod stream;
mod subscription;
mod way;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bartizan_guard::{CallSummary, Principal};
use bartizan_mcp::{Edits, Era, Id, Kind, Limits, Message, Revision, Value, method};
use futures_util::future::join_all;
use http::{HeaderMap, StatusCode};

use crate::admit::{Admitted, CODE_DENIED, Refusal};
use crate::answer::Answer;
use crate::codes::{INVALID_PARAMS, METHOD_NOT_FOUND};
use crate::converse::converse;
use crate::exchange;
use crate::front::Front;
use crate::gateway::Gateway;
use crate::link::Link;
use crate::places::{Brief, Places, brief};
use crate::problem::{Problem, Unfit};
use crate::server::Server;
use crate::status::Asked;
use crate::subscribed::Subscribed;
use crate::tag::{self, Tag};

use member::{Member, Ready, Session};
use names::Names;
use stream::Outlet;
use way::Way;

/// One client's session with all servers.
pub(crate) struct Hub {
    gateway: Arc<Gateway>,
    /// Where messages end that concern no server in particular.
    front: Front,
    members: BTreeMap<Arc<str>, Arc<Member>>,
    /// The session's name in records.
    name: String,
    era: Era,
    names: Names,
    /// The client's `initialize` or, where there is none, its first request: by it servers know the client that are late,
    /// come back, or have to be told because they are of the other era.
    hello: Mutex<Option<Message>>,
    /// The client's answer to it has been composed: whoever joins now is late.
    greeted: AtomicBool,
    /// Somebody joined late and the client was not listening.
    unannounced: AtomicBool,
    /// The level of log messages the client asked for.
    level: Mutex<Option<Message>>,
    /// The resources the client subscribed to, with the request that did it.
    subscribed: Mutex<Subscribed<Message>>,
    /// Which server has a resource.
    resources: Arc<Places<Brief>>,
    /// Which server has a template.
    templates: Arc<Places<String>>,
    /// Which server works on a request, for its cancellation.
    requests: Places<Brief>,
    /// Which server works under a progress token.
    tokens: Arc<Places<Brief>>,
    /// The streams on which the client hears of changes.
    outlets: Mutex<Vec<Arc<Outlet>>>,
}

/// The largest request that is kept to greet servers with.
const HELLO: usize = 64 * 1024;
/// Resources of each server that are remembered as its own.
const RESOURCES: usize = 50_000;
/// Templates of each server; a URI that nobody lists is held against all of them.
const TEMPLATES: usize = 1_000;
/// Requests under way whose server is remembered.
const REQUESTS: usize = 4_096;
/// Resources that a client may be subscribed to again after a server came back.
const SUBSCRIBED: usize = 1_000;
/// What the stateless era has no more.
pub(crate) const GONE: [&str; 7] = [
    method::INITIALIZE,
    method::PING,
    method::LOGGING_SET_LEVEL,
    method::RESOURCES_SUBSCRIBE,
    method::RESOURCES_UNSUBSCRIBE,
    method::TASKS_LIST,
    method::TASKS_RESULT,
];

impl Hub {
    /// A session that has not begun.
    #[must_use]
    pub(crate) fn new(
        gateway: &Arc<Gateway>,
        servers: &BTreeMap<Arc<str>, Arc<Server>>,
        principal: &Principal,
        name: &str,
        era: Era,
    ) -> Arc<Hub> {
        Arc::new_cyclic(|hub| {
            let of = Session { gateway, principal, name, era, hub: Weak::clone(hub) };
            let members = servers.iter().map(|(name, server)| (Arc::clone(name), Member::new(server, &of))).collect();
            Hub {
                members,
                name: name.to_owned(),
                era,
                names: Names::default(),
                hello: Mutex::new(None),
                greeted: AtomicBool::new(false),
                unannounced: AtomicBool::new(false),
                level: Mutex::new(None),
                subscribed: Mutex::new(Subscribed::new(SUBSCRIBED)),
                resources: Arc::new(Places::new(RESOURCES)),
                templates: Arc::new(Places::new(TEMPLATES)),
                requests: Places::new(REQUESTS),
                tokens: Arc::new(Places::new(REQUESTS)),
                outlets: Mutex::default(),
                front: Front::of_all(gateway, principal, name),
                gateway: Arc::clone(gateway),
            }
        })
    }

    /// Answers one message, by whichever servers it concerns.
    pub(crate) async fn answer(self: &Arc<Self>, message: Message, headers: &HeaderMap) -> Answer {
        match (message.kind(), message.id().cloned()) {
            (Kind::Request, Some(id)) => self.request(message, id, headers).await,
            (Kind::Notification, _) => self.notification(message).await,
            _ => self.response(message).await,
        }
    }

    /// Ends the sessions with all servers.
    pub(crate) async fn end(&self) {
        self.close_outlets().await;
        let ready: Vec<_> = self.members.values().filter_map(|member| member.ready_now()).collect();
        join_all(ready.iter().map(|ready| ready.way.end())).await;
    }

    /// The servers that are ready.
    #[must_use]
    pub(crate) fn links(&self) -> Vec<Arc<Link>> {
        let ready = self.members.values().filter_map(|member| member.ready_now());
        ready.flat_map(|ready| ready.way.links()).collect()
    }

    /// Where messages end that concern no server in particular.
    pub(crate) fn front(&self) -> &Front {
        &self.front
    }

    async fn request(self: &Arc<Self>, message: Message, id: Id, headers: &HeaderMap) -> Answer {
        if let Some(refused) = self.unfit(&message).await {
            return refused;
        }
        if self.era == Era::Stateless {
            // It says who the client is, which a small one does as well as a large one.
            let mut hello = self.hello.lock().unwrap_or_else(PoisonError::into_inner);
            if message.bytes().len() <= HELLO {
                hello.get_or_insert_with(|| message.clone());
            }
        }
        let method = message.method().unwrap_or_default().to_owned();
        let param = |path: &[&str]| message.params()?.at(path)?.as_str().map(|text| text.into_owned());
        match &*method {
            method::TOOLS_CALL | method::PROMPTS_GET => self.by_name(&["name"], message, &id, headers).await,
            method::COMPLETION_COMPLETE if param(&["ref", "name"]).is_some() => {
                self.by_name(&["ref", "name"], message, &id, headers).await
            }
            method::COMPLETION_COMPLETE => self.by_uri(param(&["ref", "uri"]), message, &id, headers).await,
            method::RESOURCES_READ | method::RESOURCES_SUBSCRIBE | method::RESOURCES_UNSUBSCRIBE => {
                self.by_uri(param(&["uri"]), message, &id, headers).await
            }
            _ if is_composed(&method) => match self.taken(&method, &message).await {
                Ok(()) => self.compose(&method, message, &id).await,
                Err(refusal) => self.answered(refusal.answer_to(&message)),
            },
            _ => self.elsewhere(message, &id, headers).await,
        }
    }

    /// Judges and records a request that concerns all servers, or none.
    async fn taken(&self, method: &str, message: &Message) -> Result<(), Refusal> {
        let flaw = match method {
            method::SUBSCRIPTIONS_LISTEN => subscription::flaw(message).map(|why| ("gateway.bad_subscription", why)),
            _ if merge::list_of(method).is_some()
                && message.params().is_some_and(|asked| asked.get("cursor").is_some()) =>
            {
                Some(("gateway.unknown_cursor", "this list has one page; there is no such cursor"))
            }
            _ => None,
        };
        match flaw {
            Some((rule, why)) => Err(self.front.refuse(message, Problem::new(rule, why, INVALID_PARAMS)).await),
            None => self.front.take(message).await,
        }
    }

    /// The answer to such a request, put together here.
    async fn compose(self: &Arc<Self>, method: &str, message: Message, id: &Id) -> Answer {
        match (merge::list_of(method), method) {
            (Some(list), _) => self.list(list, &message, id).await,
            (_, method::INITIALIZE) => self.initialize(message, id).await,
            (_, method::SERVER_DISCOVER) => self.discover(message, id).await,
            (_, method::LOGGING_SET_LEVEL) => self.set_level(message, id).await,
            (_, method::SUBSCRIPTIONS_LISTEN) => self.subscribe(message, id).await,
            _ => self.own(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, id.to_json())),
        }
    }

    /// Refuses a request that its era does not know in this form.
    async fn unfit(&self, message: &Message) -> Option<Answer> {
        if self.era == Era::Legacy {
            return None;
        }
        if let Some(unfit) = Unfit::of(message) {
            let refusal = self.front.refuse(message, unfit.problem()).await;
            return Some(Answer::Message(StatusCode::BAD_REQUEST, unfit.answer(&refusal, message, &Revision::ALL)));
        }
        let gone = message.method().is_some_and(|method| GONE.contains(&method));
        let problem = ("gateway.session_only", "this revision has no such method", METHOD_NOT_FOUND);
        if gone { Some(self.refuse(message, problem).await) } else { None }
    }

    async fn notification(self: &Arc<Self>, message: Message) -> Answer {
        let tagged = |name: &str| message.params()?.get(name)?.as_str().map(|text| text.into_owned());
        match message.method().unwrap_or_default() {
            // Each server was told by its member as soon as it was ready.
            method::INITIALIZED => self.absorb(&message).await,
            method::CANCELLED => {
                let id = message.params().and_then(|params| params.get("requestId")).and_then(Id::read);
                match id.and_then(|id| self.requests.get(&brief(&id.to_json()))) {
                    Some(server) => self.send_to(std::slice::from_ref(&server), message).await,
                    None => self.absorb(&message).await,
                }
            }
            // Progress of something that a server asked for, under the token that it got on its way.
            method::PROGRESS => match tagged("progressToken") {
                Some(token) => self.send_back(&token, "progressToken", &message).await,
                None => self.absorb(&message).await,
            },
            _ => {
                let all: Vec<_> = self.members.keys().cloned().collect();
                self.send_to(&all, message).await
            }
        }
    }

    /// A response goes back to the server whose request it answers; its id says which.
    async fn response(&self, message: Message) -> Answer {
        match message.id() {
            Some(Id::String(tagged)) => self.send_back(&tagged.clone(), "id", &message).await,
            _ => self.unasked(&message).await,
        }
    }

    /// Sends a message to the server whose name stands in front of its member `key`, without that.
    async fn send_back(&self, tagged: &str, key: &str, message: &Message) -> Answer {
        // What stands behind the name goes into the message as it is.
        let target = tag::inward(tagged).filter(|(_, own)| tag::is_one_value(own));
        let ready = target.and_then(|(server, _)| Some((server, self.members.get(server)?.ready_now()?)));
        let place = if key == "id" { Some(message.root()) } else { message.params() };
        let (Some((server, ready)), Some(node)) = (ready, place.and_then(|place| place.get(key))) else {
            return self.unasked(message).await;
        };
        let mut edits = tag::tasks_inward(message, server);
        edits.set_json(node.id(), target.map_or("null", |(_, own)| own));
        match message.edited(&edits, &self.limits()) {
            Ok(message) => self.to(&ready, message).await,
            // What was in the place of the server's own is nothing that a server ever sent.
            Err(_) => self.unasked(message).await,
        }
    }

    async fn initialize(self: &Arc<Self>, message: Message, id: &Id) -> Answer {
        let asked = message.param("protocolVersion").and_then(|version| version.parse::<Revision>().ok());
        let version = asked.filter(|version| version.era() == Era::Legacy).unwrap_or(Revision::LATEST_LEGACY);
        *self.hello.lock().unwrap_or_else(PoisonError::into_inner) = Some(message.clone());
        let ready = self.all_ready(&message).await;
        self.greeted.store(true, Ordering::Relaxed);
        let hellos: Vec<_> = ready
            .iter()
            .filter_map(|(member, ready)| Some((Arc::clone(&member.server.name), ready.hello.as_ref()?.message())))
            .collect();
        let all = hellos.len() == self.members.len();
        if self.members.values().filter(|member| member.ready_now().is_some()).count() > hellos.len() {
            // Somebody joined while this was composed.
            self.unannounced.store(true, Ordering::Relaxed);
        }
        self.own(merge::hello(id, Some(version), &hellos, all))
    }

    async fn discover(&self, message: Message, id: &Id) -> Answer {
        let ready = self.all_ready(&message).await;
        let asked = ready.iter().map(|(member, ready)| {
            let message = message.clone();
            async move { Some((Arc::clone(&member.server.name), member.discover(ready, message).await?)) }
        });
        let answers: Vec<(Arc<str>, Admitted)> = join_all(asked).await.into_iter().flatten().collect();
        let (able, others): (Vec<_>, Vec<_>) =
            answers.iter().partition(|(_, answer)| answer.message().result().is_some());
        for (name, answer) in others {
            if let Some(member) = self.members.get(name).filter(|member| !member.server.bridge.on)
                && !Refusal::is_in(answer.message())
            {
                member.note_other_era(method::SERVER_DISCOVER);
            }
        }
        let answers: Vec<_> = able.iter().map(|(name, answer)| (Arc::clone(name), answer.message())).collect();
        if answers.is_empty() {
            // What a server of the legacy era answers: the client then begins with `initialize`, in the era in which
            // there is something for it.
            let why = "no server speaks this revision at present";
            return self.error(id, METHOD_NOT_FOUND, why);
        }
        let all = answers.len() == self.members.len();
        self.own(merge::hello(id, None, &answers, all))
    }

    /// All servers that are ready for a request, after a moment of patience with those that are not.
    async fn all_ready(&self, asked: &Message) -> Vec<(Arc<Member>, Arc<Ready>)> {
        let call = CallSummary::of(asked);
        let ready = self
            .members
            .values()
            .map(|member| async { Some((Arc::clone(member), member.ready(call.as_ref()).await?)) });
        join_all(ready).await.into_iter().flatten().collect()
    }

    async fn to(&self, ready: &Ready, message: Message) -> Answer {
        match &ready.way {
            Way::Straight(link) => {
                let relay = ready.relay(link, &message);
                converse(exchange::begin(link, message, &relay).await).await
            }
            Way::Bridged(bridge) => bridge.answer(message, None).await,
        }
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

    fn tag(&self, server: &Arc<str>, general: bool) -> Tag {
        let (resources, templates) = (Arc::clone(&self.resources), Arc::clone(&self.templates));
        Tag { server: Arc::clone(server), resources, templates, tokens: Arc::clone(&self.tokens), general }
    }

    fn own(&self, json: String) -> Answer {
        self.answered(self.front.own(json))
    }

    fn answered(&self, message: Admitted) -> Answer {
        let asked = match self.era {
            Era::Legacy => Asked::Legacy,
            Era::Stateless => Asked::Stateless { complete: true },
        };
        Answer::Message(asked.status(message.message()), message)
    }

    /// Refuses a request that goes to no server.
    async fn refuse(&self, message: &Message, problem: impl Into<Problem>) -> Answer {
        let refusal = self.front.refuse(message, problem.into()).await;
        self.answered(refusal.answer_to(message))
    }

    /// The answer to a request that was judged already, and of which nothing came.
    fn error(&self, id: &Id, code: i64, text: &str) -> Answer {
        let (id, text) = (id.to_json(), bartizan_mcp::quote(text));
        self.own(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":{text}}}}}"#))
    }

    /// Takes note of a message that concerns no server.
    async fn absorb(&self, message: &Message) -> Answer {
        match self.front.take(message).await {
            Ok(()) => Answer::Accepted,
            Err(refusal) => Answer::Refused(Some(refusal.sentence())),
        }
    }

    /// Refuses a response, or progress, of what no server has asked for.
    async fn unasked(&self, message: &Message) -> Answer {
        let why = "it belongs to nothing that a server has asked for";
        let refusal = self.front.refuse(message, Problem::new("conformance.unsolicited", why, CODE_DENIED)).await;
        if message.is_response() { Answer::Refused(Some(refusal.sentence())) } else { Answer::Accepted }
    }

    fn hello(&self) -> Option<Message> {
        self.hello.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn limits(&self) -> Limits {
        self.gateway.policy.load().limits
    }
}

/// Whether the answer to `method` is put together of all servers', or needs none.
fn is_composed(method: &str) -> bool {
    merge::list_of(method).is_some()
        || matches!(
            method,
            method::INITIALIZE
                | method::SERVER_DISCOVER
                | method::PING
                | method::LOGGING_SET_LEVEL
                | method::SUBSCRIPTIONS_LISTEN
        )
}

/// The same request with a member of its parameters put in or replaced; nothing if it would outgrow the limits.
fn with_param(request: &Message, name: &str, json: &str, limits: &Limits) -> Option<Message> {
    let mut edits = Edits::new();
    match (request.params(), request.params().and_then(|params| params.get(name))) {
        (_, Some(held)) => edits.set_json(held.id(), json),
        (Some(params), None) => edits.insert(params.id(), name, json),
        (None, None) => {
            edits.insert(Value::id(request.root()), "params", format!("{{{}:{json}}}", bartizan_mcp::quote(name)));
        }
    }
    request.edited(&edits, limits).ok()
}
