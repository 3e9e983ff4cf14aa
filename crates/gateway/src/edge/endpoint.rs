//! The MCP endpoints: `/mcp/NAME` for one server, `/mcp` for all of them together.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bartizan_audit::Id;
use bartizan_guard::{Direction, Principal};
use bartizan_mcp::{Era, Kind, Limits, Message, Revision, header as mcp_header, meta::Meta, method};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::join_all;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::body::Reply;
use super::checks::{self, Allowed, Stranger};
use super::respond::{self, SESSION, VERSION};
use super::sessions::{ANONYMOUS, Full, Held, Sessions, random_key};
use crate::abilities::Abilities;
use crate::admit::{self, CODE_OURS};
use crate::aggregate::{GONE, Hub};
use crate::beside;
use crate::bridge::{self, Bridge};
use crate::codes::{INVALID_REQUEST, METHOD_NOT_FOUND};
use crate::collect::{CollectError, collect};
use crate::front::{self, ALL, Problem, Unfit};
use crate::gateway::Gateway;
use crate::link::Link;
use crate::peer::{Answer, NoStream, Peer};
use crate::server::Server;
use crate::upstream::UpstreamError;

/// All endpoints of one gateway with their sessions.
pub struct Front {
    gateway: Arc<Gateway>,
    servers: ArcSwap<Current>,
    settings: FrontSettings,
    /// Legacy sessions by the secret that the client was given.
    sessions: Sessions<Peer>,
    /// What stands for a session in the stateless era, by server, principal, address and client.
    stateless: Sessions<Peer>,
    /// Places for streams that have no end.
    streams: Arc<Semaphore>,
    /// Set when streams that have no end are to end.
    leaving: watch::Sender<bool>,
    /// Held by each request that has an end, until it is answered.
    under_way: Arc<()>,
    /// Set when a reload failed: the old configuration is still in force.
    degraded: ArcSwap<Option<String>>,
}

/// The servers of the configuration in force.
struct Current {
    /// Counts the configurations, so that what was begun under one is not taken for part of another.
    generation: u64,
    by_name: BTreeMap<Arc<str>, Arc<Server>>,
}

/// What does not change while a gateway runs.
#[derive(Debug, Clone)]
pub struct FrontSettings {
    /// Whom it answers.
    pub allowed: Allowed,
    /// How long a client may take to send a body.
    pub body_timeout: Duration,
    /// Sessions at once.
    pub sessions: usize,
    /// Streams without an end at once.
    pub streams: usize,
    /// When a session that nobody uses is forgotten.
    pub idle: Duration,
}

impl Default for FrontSettings {
    fn default() -> Self {
        FrontSettings {
            allowed: Allowed::default(),
            body_timeout: Duration::from_secs(30),
            sessions: 100_000,
            streams: super::streams(super::Bounds::default().connections),
            idle: Duration::from_secs(30 * 60),
        }
    }
}

/// A client claims its session right after it began, as the protocol has it; one that does not has this long.
const UNCLAIMED: Duration = Duration::from_secs(60);

/// The largest `initialize`: it is kept for as long as its session, for servers that come late or come back.
const HANDSHAKE: usize = 64 * 1024;

/// How long servers may take in all to end their sessions when the gateway stops: longer than it takes to end a process
/// that does not want to. What is left then ends with the gateway.
const FAREWELL: Duration = Duration::from_secs(20);

/// How often a session is chosen that makes room, as long as others are faster.
const CHOICES: usize = 64;

/// An answer given before there is an exchange.
type Early = Box<Response<Reply>>;

impl Front {
    /// Endpoints for these servers.
    #[must_use]
    pub fn new(gateway: Arc<Gateway>, servers: BTreeMap<Arc<str>, Arc<Server>>, settings: FrontSettings) -> Arc<Front> {
        let front = Arc::new(Front {
            gateway,
            servers: ArcSwap::from_pointee(Current { generation: 0, by_name: servers }),
            sessions: Sessions::new(settings.sessions, settings.idle, UNCLAIMED),
            // Nothing claims these, as each is found by what a request says anyway.
            stateless: Sessions::new(settings.sessions, settings.idle, settings.idle),
            streams: Arc::new(Semaphore::new(settings.streams)),
            leaving: watch::Sender::new(false),
            under_way: Arc::default(),
            settings,
            degraded: ArcSwap::from_pointee(None),
        });
        let weak = Arc::downgrade(&front);
        front.gateway.on_full(move |server| weak.upgrade().is_some_and(|front| front.make_room(server)));
        front
    }

    /// Puts other servers in place of the present ones. Sessions that a client has begun keep theirs; a stateless
    /// request is always for the present ones.
    pub fn replace_servers(&self, servers: BTreeMap<Arc<str>, Arc<Server>>) {
        let generation = self.servers.load().generation.wrapping_add(1);
        self.servers.store(Arc::new(Current { generation, by_name: servers }));
        self.stateless.retire();
    }

    /// Ends the session that is missed least of those that have a process of this server; whether there is one.
    fn make_room(&self, server: &Server) -> bool {
        let has_process = |peer: &Peer| peer.links().iter().any(|link| std::ptr::eq(&raw const *link.server, server));
        let of = |sessions: &'_ Sessions<Peer>| sessions.least_missed([&server.name, ALL], has_process);
        // Somebody else may come to use the one that was chosen, or end it for a process of theirs: then it is another.
        for _ in 0..CHOICES {
            let evicted = match (of(&self.stateless), of(&self.sessions)) {
                (Some((rank, key)), Some((other, _))) if rank <= other => self.stateless.remove_unused(&key),
                (_, Some((_, key))) => self.sessions.remove_unused(&key),
                (Some((_, key)), None) => self.stateless.remove_unused(&key),
                (None, None) => return false,
            };
            if let Some(evicted) = evicted {
                part(evicted);
                return true;
            }
        }
        false
    }

    /// Says that the configuration on disk could not be put in force, or that it now is.
    pub fn set_degraded(&self, why: Option<String>) {
        self.degraded.store(Arc::new(why));
    }

    /// Ends sessions that nobody uses any more; their servers take as long as they take.
    pub fn expire(&self) {
        for held in self.sessions.expire().into_iter().chain(self.stateless.expire()) {
            part(held);
        }
        self.gateway
            .metrics
            .sessions
            .set(i64::try_from(self.sessions.len() + self.stateless.len()).unwrap_or(i64::MAX));
    }

    /// Ends the streams that would not end by themselves, now and from now on; how many requests are still to be answered.
    pub fn end_streams(&self) -> usize {
        self.leaving.send_replace(true);
        Arc::strong_count(&self.under_way) - 1
    }

    /// Ends all sessions, as well as their servers let themselves be ended.
    pub async fn close(&self) {
        let all = self.sessions.drain().into_iter().chain(self.stateless.drain());
        let ended = async {
            join_all(all.map(part)).await;
            join_all(self.servers.load_full().by_name.values().map(|server| server.close())).await;
        };
        if tokio::time::timeout(FAREWELL, ended).await.is_err() {
            tracing::warn!("some servers did not end their sessions in time");
        }
    }

    pub(super) fn allowed(&self, request: &Request<Incoming>) -> Result<(), Stranger> {
        self.settings.allowed.check(request.uri(), request.headers())
    }

    pub(super) fn metrics(&self) -> String {
        self.gateway.metrics.render()
    }

    pub(super) fn readiness(&self) -> Result<String, String> {
        if self.gateway.recorder.log().state() != bartizan_audit::State::Writing {
            return Err("not ready: the audit log cannot be written\n".to_owned());
        }
        let degraded = self.degraded.load();
        Ok(match &**degraded {
            Some(why) => format!("ready, degraded: {why}\n"),
            None => "ready\n".to_owned(),
        })
    }

    /// Answers one request.
    pub(super) async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Reply> {
        if let Err(stranger) = self.allowed(&request) {
            let (rule, text) = match stranger {
                Stranger::Host => ("edge.host", "the Host header does not name this gateway"),
                Stranger::Origin => ("edge.origin", "requests from this Origin are not allowed"),
            };
            return self.refused(peer, respond::refused(StatusCode::FORBIDDEN, rule, text));
        }
        if checks::is_coded(request.headers()) {
            let refused = respond::refused(StatusCode::BAD_REQUEST, "edge.transfer_coding", "");
            return respond::last(self.refused(peer, refused));
        }
        if let Some(name) = checks::repeated(request.headers()) {
            let text = format!("the header {name} stands there twice");
            return self.refused(peer, respond::refused(StatusCode::BAD_REQUEST, "edge.repeated", &text));
        }
        // Whoever went by a length that stood beside the chunks would take what follows for something else.
        let in_chunks = request.headers().contains_key(header::TRANSFER_ENCODING);
        let answer = self.dispatch(request, peer).await;
        if in_chunks { respond::last(answer) } else { answer }
    }

    async fn dispatch(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Reply> {
        let current = self.servers.load_full();
        let Some(target) = Target::of(&current, request.uri().path()) else {
            let text = "there is no such server; each is at /mcp/NAME, and all are at /mcp";
            return self.refused(peer, respond::refused(StatusCode::NOT_FOUND, "edge.path", text));
        };
        let (parts, body) = request.into_parts();
        let answered = match parts.method {
            Method::POST => self.post(&target, &parts, body, peer.ip()).await,
            Method::GET => Box::pin(self.get(&target, &parts)).await,
            Method::DELETE => Box::pin(self.delete(&target, &parts)).await,
            _ => Err(Box::new(respond::not_allowed("GET, POST, DELETE"))),
        };
        answered.unwrap_or_else(|early| self.refused(peer, *early))
    }

    /// Counts a refusal that is not in the log by itself, as nothing was read yet, and says where it will be found.
    fn refused(&self, peer: SocketAddr, response: Response<Reply>) -> Response<Reply> {
        let Some(rule) = respond::rule(&response) else { return response };
        let decision = self.count_refused(peer, rule);
        respond::explain(response, decision)
    }

    /// Counts what was refused before there was a message to record; the id of the entry that will hold it.
    pub(super) fn count_refused(&self, peer: SocketAddr, rule: &'static str) -> Option<Id> {
        self.gateway.recorder.count_refusal(&peer.ip().to_string(), rule)
    }

    async fn post(
        &self,
        target: &Target<'_>,
        parts: &Parts,
        body: Incoming,
        from: IpAddr,
    ) -> Result<Response<Reply>, Early> {
        let principal = Principal::new(ANONYMOUS);
        let limits = self.gateway.policy.load().limits;
        let bytes = self.read(parts, body, &limits).await?;
        let message = self.parse(target, &principal, &bytes, &limits)?;
        // The message has its own reference; with this one the bytes would stay until the answer is there.
        drop(bytes);
        let listens = message.method() == Some(method::SUBSCRIPTIONS_LISTEN);
        let until =
            if listens { Until::Left(self.stream_place()?) } else { Until::Answered(Arc::clone(&self.under_way)) };
        if era(&parts.headers, &message) == Era::Stateless {
            let (key, held) = self.stateless(target, &principal, from, &message).await?;
            check_headers(&held.value, &parts.headers, &message).await?;
            check_meta(&held.value, &message).await?;
            check_era(&held.value, &message).await?;
            let answer = held.value.answer(message, &parts.headers).await;
            if matches!(answer, Answer::Gone) {
                self.stateless.remove_this(&key, &held);
            }
            return Ok(respond::answer(self.in_use(answer, held, until)));
        }
        if message.method() == Some("initialize") {
            return Box::pin(self.initialize(target, (principal, from), message, &parts.headers)).await;
        }
        let (key, held) = self.session(target, &parts.headers, &principal)?;
        if self.has_ended(&self.sessions, &key, &held) {
            return Err(no_session());
        }
        check_session(&held.value, &parts.headers, &message).await?;
        let answer = held.value.answer(message, &parts.headers).await;
        if matches!(answer, Answer::Gone) {
            self.sessions.remove(&key);
        }
        Ok(respond::answer(self.in_use(answer, held, until)))
    }

    /// Begins a legacy session.
    async fn initialize(
        &self,
        target: &Target<'_>,
        (principal, from): (Principal, IpAddr),
        message: Message,
        headers: &HeaderMap,
    ) -> Result<Response<Reply>, Early> {
        if message.bytes().len() > HANDSHAKE {
            return Err(Box::new(respond::refused(
                StatusCode::PAYLOAD_TOO_LARGE,
                "edge.handshake",
                "an `initialize` of this size is none\n",
            )));
        }
        let key = random_key()
            .map_err(|_| Box::new(respond::refused(StatusCode::INTERNAL_SERVER_ERROR, "edge.failed", "")))?;
        let peer = self.connect(target, Era::Legacy, &principal, &key, &message).await?;
        // Kept only once the server has answered: a client that leaves meanwhile leaves nothing behind.
        let mut begun = Begun(Some(peer.clone()));
        check_session(&peer, headers, &message).await?;
        let answer = peer.answer(message, headers).await;
        // An error begins no session.
        let failed = matches!(&answer, Answer::Message(_, admitted) if admitted.message().error().is_some());
        let mut response = respond::answer(answer);
        match HeaderValue::from_str(&key) {
            Ok(value) if response.status().is_success() && !failed => {
                self.keep(&self.sessions, &target.slot(&key), (principal, from), peer)?;
                begun.0 = None;
                response.headers_mut().insert(SESSION, value);
            }
            _ => drop(begun),
        }
        Ok(response)
    }

    async fn get(&self, target: &Target<'_>, parts: &Parts) -> Result<Response<Reply>, Early> {
        check_method(&parts.headers)?;
        let lost = beside::lost(&parts.headers).map_err(|beside::Malformed| {
            let text = "Last-Event-ID has to be one id, of 1 to 1024 visible ASCII characters\n";
            Box::new(respond::refused(StatusCode::BAD_REQUEST, "edge.event_id", text))
        })?;
        let (_, held) = self.session(target, &parts.headers, &Principal::new(ANONYMOUS))?;
        let place = self.stream_place()?;
        // One that is resumed may bring the rest of an answer.
        let until = if lost.is_some() { Until::Over(place) } else { Until::Left(place) };
        match held.value.listen(&parts.headers).await {
            Ok(deliveries) => Ok(respond::answer(self.in_use(Answer::Stream(deliveries), held, until))),
            // It is in the log by itself.
            Err(NoStream::Refused(refusal)) => {
                Ok(respond::plain(StatusCode::BAD_REQUEST, &format!("{}\n", refusal.sentence())))
            }
            Err(NoStream::Upstream(UpstreamError::SessionGone)) => {
                Err(Box::new(respond::refused(StatusCode::NOT_FOUND, "edge.session", "")))
            }
            // No refusal: this is how clients find out.
            Err(NoStream::Upstream(UpstreamError::NoStream)) => Ok(respond::not_allowed("POST, DELETE")),
            Err(NoStream::Upstream(error)) => {
                held.value.links().iter().for_each(|link| drop(link.failed(None, &error)));
                Err(Box::new(respond::refused(
                    StatusCode::BAD_GATEWAY,
                    "edge.stream",
                    "the server's stream could not be opened\n",
                )))
            }
        }
    }

    async fn delete(&self, target: &Target<'_>, parts: &Parts) -> Result<Response<Reply>, Early> {
        check_method(&parts.headers)?;
        let (key, held) = self.session(target, &parts.headers, &Principal::new(ANONYMOUS))?;
        self.sessions.remove(&key);
        part(held).await.ok();
        Ok(respond::status(StatusCode::NO_CONTENT))
    }

    /// Reads a body. What it takes of the budget is given back once nobody uses its bytes any more.
    async fn read(&self, parts: &Parts, body: Incoming, limits: &Limits) -> Result<Bytes, Early> {
        let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
            return Err(Box::new(respond::refused(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "edge.content_type",
                "send application/json\n",
            )));
        }
        let too_large = || {
            Box::new(respond::refused(
                StatusCode::PAYLOAD_TOO_LARGE,
                "edge.too_large",
                "the message is larger than the limit\n",
            ))
        };
        let mut share = self.gateway.memory.share();
        let collected = collect(body, limits.bytes, &mut share);
        match tokio::time::timeout(self.settings.body_timeout, collected).await {
            Ok(Ok(bytes)) => Ok(share.kept_by(bytes)),
            Ok(Err(CollectError::TooLarge)) => Err(too_large()),
            Ok(Err(CollectError::Crowded)) => Err(Box::new(respond::refused(
                StatusCode::SERVICE_UNAVAILABLE,
                "edge.crowded",
                "too many large messages at once; try again\n",
            ))),
            Ok(Err(CollectError::Broken(_))) => {
                Err(Box::new(respond::refused(StatusCode::BAD_REQUEST, "edge.body", "")))
            }
            Err(_) => Err(Box::new(respond::refused(
                StatusCode::REQUEST_TIMEOUT,
                "edge.too_slow",
                "the message took too long to arrive\n",
            ))),
        }
    }

    /// The message in `bytes`, or the answer to what is none.
    fn parse(&self, target: &Target, principal: &Principal, bytes: &Bytes, limits: &Limits) -> Result<Message, Early> {
        Message::parse(bytes.clone(), limits).map_err(|rejection| {
            let gateway = &self.gateway.recorder;
            let refused = (&bytes.clone().into(), &rejection);
            let refusal = admit::unreadable(gateway, Direction::ToServer, &principal.id, target.name(), "", refused);
            Box::new(respond::message(StatusCode::BAD_REQUEST, &refusal.answer(None, None)))
        })
    }

    /// The legacy session that a request claims, with the key that it is kept under. One that was begun at another
    /// path is unknown here: whoever decides by the path must not be led to another server by a session id.
    fn session(
        &self,
        target: &Target<'_>,
        headers: &HeaderMap,
        principal: &Principal,
    ) -> Result<(String, Arc<Held<Peer>>), Early> {
        let Some(key) = headers.get(SESSION).and_then(|value| value.to_str().ok()) else {
            return Err(Box::new(respond::refused(
                StatusCode::BAD_REQUEST,
                "edge.session",
                "no Mcp-Session-Id header; initialize first\n",
            )));
        };
        if headers.get(VERSION).is_some_and(|version| revision(version).is_none()) {
            return Err(Box::new(respond::refused(
                StatusCode::BAD_REQUEST,
                "edge.revision",
                "unsupported MCP-Protocol-Version\n",
            )));
        }
        let key = target.slot(key);
        let held = self.sessions.find(&key, principal);
        held.map(|held| (key, held)).ok_or_else(no_session)
    }

    /// A place for a stream without an end.
    fn stream_place(&self) -> Result<OwnedSemaphorePermit, Early> {
        let full =
            |_| Box::new(respond::refused(StatusCode::SERVICE_UNAVAILABLE, "edge.streams", "too many open streams\n"));
        Arc::clone(&self.streams).try_acquire_owned().map_err(full)
    }

    /// An answer that keeps its session in use, and the place that it takes, for as long as it goes on.
    fn in_use(&self, answer: Answer, held: Arc<Held<Peer>>, until: Until) -> Answer {
        let Answer::Stream(deliveries) = answer else { return answer };
        let mut leaving = matches!(until, Until::Left(_)).then(|| self.leaving.subscribe());
        let left = async move {
            match &mut leaving {
                Some(leaving) => drop(leaving.wait_for(|leaving| *leaving).await.map(drop)),
                None => std::future::pending().await,
            }
        };
        let in_use = (held, until);
        let deliveries = deliveries.inspect(move |_| {
            let _in_use = &in_use;
        });
        Answer::Stream(Box::pin(deliveries.take_until(Box::pin(left))))
    }

    /// Whether nothing comes of a session any more because its server has ended. It is no longer kept then: what is
    /// begun in its place has a new one.
    fn has_ended(&self, sessions: &Sessions<Peer>, key: &str, held: &Arc<Held<Peer>>) -> bool {
        let ended = held.value.has_ended();
        if ended {
            sessions.remove_this(key, held);
            part(Arc::clone(held));
        }
        ended
    }

    /// What stands for a session of a stateless request, with the key that it is kept under. A name is no secret, so
    /// somebody at another address has nothing of it.
    async fn stateless(
        &self,
        target: &Target<'_>,
        principal: &Principal,
        from: IpAddr,
        message: &Message,
    ) -> Result<(String, Arc<Held<Peer>>), Early> {
        let client = Meta::of(message).client_info().and_then(|info| info.get("name")).map(|name| name.text());
        let client: String = client.as_deref().unwrap_or_default().chars().take(64).collect();
        let able = Abilities::declared(message).unwrap_or_default().index();
        // The name is whatever the client says, the address is not: from elsewhere nobody uses up what is this client's.
        let mut key = target.slot(&format!("{}\n{principal}\n{from}\n{able}\n{client}", target.generation()));
        if target.bridges() {
            // A legacy server is told once what the client can do.
            key.push_str(&bridge::abilities(message));
        }
        if let Some(held) = self.stateless.find(&key, principal)
            && !self.has_ended(&self.stateless, &key, &held)
        {
            return Ok((key, held));
        }
        let peer = Box::pin(self.connect(target, Era::Stateless, principal, &key, message)).await?;
        let held = self.keep(&self.stateless, &key, (principal.clone(), from), peer)?;
        Ok((key, held))
    }

    /// Opens a way to what `asked` is for.
    async fn connect(
        &self,
        target: &Target<'_>,
        era: Era,
        principal: &Principal,
        key: &str,
        asked: &Message,
    ) -> Result<Peer, Early> {
        // A record must not hold what a session can be claimed with.
        let name: String = blake3::hash(key.as_bytes()).to_hex().chars().take(16).collect();
        let gateway = &self.gateway;
        match target {
            Target::All(current) => Ok(Peer::All(Hub::new(gateway, &current.by_name, principal, &name, era))),
            Target::One(_, server) => {
                let unreachable = |refusal: admit::Refusal| {
                    Box::new(respond::message(StatusCode::BAD_GATEWAY, &refusal.answer(asked.id(), None)))
                };
                if let Some(bridge) =
                    Bridge::open(gateway, server, principal, (&name, era), asked.into()).await.map_err(unreachable)?
                {
                    return Ok(Peer::Bridged(bridge));
                }
                let link = Link::connect(gateway, server, principal, name, asked.into()).await;
                link.map(|link| Peer::One(Arc::new(link))).map_err(unreachable)
            }
        }
    }

    fn keep(
        &self,
        sessions: &Sessions<Peer>,
        key: &str,
        (principal, from): (Principal, IpAddr),
        peer: Peer,
    ) -> Result<Arc<Held<Peer>>, Early> {
        let kept = sessions.insert(key, principal, from, peer).map(|(held, evicted)| {
            evicted.into_iter().for_each(|old| drop(part(old)));
            held
        });
        self.gateway
            .metrics
            .sessions
            .set(i64::try_from(self.sessions.len() + self.stateless.len()).unwrap_or(i64::MAX));
        kept.map_err(|Full| {
            Box::new(respond::refused(StatusCode::SERVICE_UNAVAILABLE, "edge.sessions", "too many sessions\n"))
        })
    }
}

/// How long an answer may go on, and what it takes meanwhile.
enum Until {
    /// Until a request is answered.
    Answered(#[expect(dead_code, reason = "it counts while it is held")] Arc<()>),
    /// Until it is over, which may be never.
    Over(#[expect(dead_code, reason = "its place is taken while it is held")] OwnedSemaphorePermit),
    /// Until the gateway leaves: it has no end of its own.
    Left(#[expect(dead_code, reason = "its place is taken while it is held")] OwnedSemaphorePermit),
}

/// Ends a session. In a task of its own: whoever waits for it may go away, and nobody else would end it then.
fn part(held: Arc<Held<Peer>>) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move { held.value.end().await })
}

fn no_session() -> Early {
    Box::new(respond::refused(StatusCode::NOT_FOUND, "edge.session", "no such session; initialize again\n"))
}

/// What has begun and is not kept yet; unless it is, it is ended, also with servers elsewhere.
struct Begun(Option<Peer>);

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some(peer) = self.0.take() {
            tokio::spawn(async move { peer.end().await });
        }
    }
}

/// Whom a request is for, among the servers of one configuration.
enum Target<'a> {
    One(&'a Current, &'a Arc<Server>),
    All(&'a Current),
}

impl Target<'_> {
    fn of<'a>(current: &'a Current, path: &str) -> Option<Target<'a>> {
        if path == "/mcp" {
            return Some(Target::All(current));
        }
        let name = path.strip_prefix("/mcp/")?;
        current.by_name.get(name).map(|server| Target::One(current, server))
    }

    fn name(&self) -> &str {
        match self {
            Target::One(_, server) => &server.name,
            Target::All(_) => ALL,
        }
    }

    fn generation(&self) -> u64 {
        match self {
            Target::One(current, _) | Target::All(current) => current.generation,
        }
    }

    /// Whether a server behind it may be translated for.
    fn bridges(&self) -> bool {
        match self {
            Target::One(_, server) => server.bridge.on,
            Target::All(current) => current.by_name.values().any(|server| server.bridge.on),
        }
    }

    /// What a session with this target is kept under.
    fn slot(&self, key: &str) -> String {
        format!("{}\n{key}", self.name())
    }
}

/// What of a client's notifications concerns a session. In the stateless era there is none, and who closes a stream has
/// cancelled.
const OF_SESSIONS: [&str; 4] = [method::INITIALIZED, method::CANCELLED, method::ROOTS_LIST_CHANGED, method::PROGRESS];

/// What has a meaning only in a session goes nowhere in the stateless era: several clients may stand behind what is
/// kept in place of one, and it would concern them all.
async fn check_era(peer: &Peer, message: &Message) -> Result<(), Early> {
    let method = message.method().unwrap_or_default();
    match message.kind() {
        Kind::Notification if OF_SESSIONS.contains(&method) => {
            Err(Box::new(match Box::pin(peer.take(message)).await {
                Ok(()) => respond::status(StatusCode::ACCEPTED),
                Err(refusal) => {
                    let ours = refusal.code == CODE_OURS;
                    let status = if ours { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::BAD_REQUEST };
                    respond::plain(status, &format!("{}\n", refusal.sentence()))
                }
            }))
        }
        Kind::Result | Kind::Error => {
            let problem =
                ("conformance.unsolicited", "in this revision a server asks a client nothing", INVALID_REQUEST);
            Err(refuse(peer, message, problem, StatusCode::BAD_REQUEST).await)
        }
        // The others say so themselves.
        Kind::Request if GONE.contains(&method) && matches!(peer, Peer::One(_)) => {
            let problem = ("gateway.session_only", "this revision does not have this method", METHOD_NOT_FOUND);
            Err(refuse(peer, message, problem, StatusCode::NOT_FOUND).await)
        }
        _ => Ok(()),
    }
}

/// The headers of the stateless era must say what the body says. Those for single arguments are compared on the way to the
/// server, where it is found out first what they have to be.
async fn check_headers(peer: &Peer, headers: &HeaderMap, message: &Message) -> Result<(), Early> {
    let given = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let Err(mismatch) = mcp_header::check(given, message) else { return Ok(()) };
    let problem = Problem::new("conformance.header_mismatch", mismatch.to_string(), mcp_header::Mismatch::CODE);
    Err(refuse(peer, message, problem, StatusCode::BAD_REQUEST).await)
}

/// In a session nothing says that it is of the era without sessions. If that is the revision, it contradicts the header.
async fn check_session(peer: &Peer, headers: &HeaderMap, message: &Message) -> Result<(), Early> {
    let Some(mut problem) = front::of_two_eras(message) else { return Ok(()) };
    let (said, meant) = (headers.get(VERSION), Meta::of(message).protocol_version());
    if let (Some(said), Some(meant)) = (said, meant)
        && said.as_bytes() != meant.as_bytes()
    {
        let why = format!("the header {} differs from the body: {}", mcp_header::PROTOCOL_VERSION, problem.why);
        problem = Problem::new("conformance.header_mismatch", why, mcp_header::Mismatch::CODE);
    }
    Err(refuse(peer, message, problem, StatusCode::BAD_REQUEST).await)
}

/// What a request of the stateless era has to say of itself in its body. A program gets no headers, so to one of the
/// legacy era what lacks this would be a request of a client that it knows nothing of; and before it nobody but this
/// gateway is the HTTP server that has to refuse it. Servers over HTTP see what came, and know which revisions they speak.
async fn check_meta(peer: &Peer, message: &Message) -> Result<(), Early> {
    // The others say so themselves.
    let Peer::One(link) = peer else { return Ok(()) };
    if message.kind() != Kind::Request || !link.server.is_program() {
        return Ok(());
    }
    let Some(unfit) = Unfit::of(message) else { return Ok(()) };
    // Apart, as in `refuse`.
    let refusal = Box::pin(peer.refuse(message, unfit.problem())).await;
    Err(Box::new(respond::message(StatusCode::BAD_REQUEST, &unfit.answer(&refusal, message, &Revision::ALL))))
}

/// In the stateless era everything is said by POST.
fn check_method(headers: &HeaderMap) -> Result<(), Early> {
    let stateless = headers.get(VERSION).is_some_and(|version| version == Revision::V2026_07_28.as_str());
    if stateless { Err(Box::new(respond::not_allowed("POST"))) } else { Ok(()) }
}

/// Records a refusal and says so.
async fn refuse(peer: &Peer, message: &Message, problem: impl Into<Problem>, status: StatusCode) -> Early {
    // Apart, so that requests that are not refused do not make room for it.
    let refusal = Box::pin(peer.refuse(message, problem.into())).await;
    Box::new(respond::message(status, &refusal.answer_to(message)))
}

fn revision(value: &HeaderValue) -> Option<Revision> {
    value.to_str().ok()?.parse().ok()
}

/// The era that a request belongs to. Its header decides; without one, its body.
fn era(headers: &HeaderMap, message: &Message) -> Era {
    match headers.get(VERSION) {
        Some(version) => match revision(version) {
            Some(revision) => revision.era(),
            // A revision after the ones we know has no sessions either; the server says whether it knows it.
            None if headers.get(SESSION).is_none() && message.method() != Some("initialize") => Era::Stateless,
            None => Era::Legacy,
        },
        None if Meta::of(message).protocol_version().is_some() => Era::Stateless,
        None => Era::Legacy,
    }
}
