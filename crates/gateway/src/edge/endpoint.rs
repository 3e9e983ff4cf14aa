//! The MCP endpoints: `/mcp/NAME` for one server, `/mcp` for all of them together.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use bartizan_audit::Id;
use bartizan_guard::{Direction, Principal};
use bartizan_mcp::{Era, Limits, Message};
use bytes::Bytes;
use futures_util::future::join_all;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;

use super::agreement;
use super::body::Reply;
use super::bounds::{Bounds, streams};
use super::caller;
use super::checks::{self, Allowed, Flaw};
use super::cors::Page;
use super::lasting::{Lasting, Until};
use super::peers::{Peers, part};
use super::resource::{self, Resource};
use super::respond::{self, Early, SESSION};
use super::sessions::Held;
use super::standing::Standing;
use super::target::{Current, Target};
use crate::admit;
use crate::answer::{Answer, NoStream};
use crate::clock;
use crate::collect::{CollectError, collect};
use crate::event_id;
use crate::gateway::Gateway;
use crate::identity::{Asked, Caller, Certificate, Identity, Stopped, Told};
use crate::peer::Peer;
use crate::random;
use crate::server::Server;
use crate::shown::Shown;
use crate::upstream::UpstreamError;
use crate::web::Web;

/// All endpoints of one gateway with their sessions.
pub struct Front {
    gateway: Arc<Gateway>,
    identity: Arc<Identity>,
    servers: ArcSwap<Current>,
    settings: FrontSettings,
    peers: Peers,
    lasting: Lasting,
    /// Pages for people, if there are any.
    web: OnceLock<Arc<Web>>,
    standing: Standing,
    /// Set when a reload failed: the old configuration is still in force.
    degraded: ArcSwap<Option<String>>,
    /// Set while a changed certificate cannot be put in force.
    is_behind: AtomicBool,
}

/// What does not change while a gateway runs.
#[derive(Debug, Clone)]
pub struct FrontSettings {
    /// Where clients find it: scheme, host and port, without a slash at the end.
    pub public: Arc<str>,
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
            public: "http://127.0.0.1:8484".into(),
            allowed: Allowed::default(),
            body_timeout: Duration::from_secs(30),
            sessions: 100_000,
            streams: streams(Bounds::default().connections),
            idle: Duration::from_secs(30 * 60),
        }
    }
}

/// The largest `initialize`: it is kept for as long as its session, for servers that come late or come back.
const HANDSHAKE: usize = 64 * 1024;

/// How long servers may take in all to end their sessions when the gateway stops: longer than it takes to end a process
/// that does not want to. What is left then ends with the gateway.
const FAREWELL: Duration = Duration::from_secs(20);

impl Front {
    /// Endpoints for these servers.
    #[must_use]
    pub fn new(
        gateway: Arc<Gateway>,
        identity: Arc<Identity>,
        servers: BTreeMap<Arc<str>, Arc<Server>>,
        settings: FrontSettings,
    ) -> Arc<Front> {
        let front = Arc::new(Front {
            peers: Peers::new(&gateway, settings.sessions, settings.idle),
            lasting: Lasting::new(settings.streams),
            standing: Standing::default(),
            gateway,
            identity,
            servers: ArcSwap::from_pointee(Current { generation: 0, by_name: servers }),
            settings,
            web: OnceLock::new(),
            degraded: ArcSwap::from_pointee(None),
            is_behind: AtomicBool::new(false),
        });
        front.gateway.keep_apart();
        let weak = Arc::downgrade(&front);
        front.gateway.on_full(move |server| weak.upgrade().is_some_and(|front| front.peers.make_room(server)));
        front
    }

    /// Puts other servers in place of the present ones. Sessions that a client has begun keep theirs; a stateless
    /// request is always for the present ones.
    pub fn replace_servers(&self, servers: BTreeMap<Arc<str>, Arc<Server>>) {
        let before = self.servers.load();
        let generation = before.generation.wrapping_add(1);
        // What is in a session goes on with the server that it began with, but not with what that may no longer reach.
        for (name, server) in &before.by_name {
            server.follow(servers.get(name).map(|now| &**now));
        }
        self.servers.store(Arc::new(Current { generation, by_name: servers }));
        self.peers.retire();
    }

    /// Where clients find it: scheme, host and port, without a slash at the end. `/mcp` behind it is what tokens are for.
    #[must_use]
    pub fn public(&self) -> &str {
        &self.settings.public
    }

    /// Has pages for people be shown.
    pub(crate) fn show(&self, web: Arc<Web>) {
        self.web.set(web).ok();
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Says that the configuration on disk could not be put in force, or that it now is.
    pub fn set_degraded(&self, why: Option<String>) {
        self.degraded.store(Arc::new(why));
    }

    /// Says whether a changed certificate could not be put in force.
    pub(crate) fn set_behind(&self, is_behind: bool) {
        self.is_behind.store(is_behind, Ordering::Relaxed);
    }

    /// Ends sessions that nobody uses any more; their servers take as long as they take.
    pub fn expire(&self) {
        self.peers.expire();
    }

    /// Ends the streams of those who may have them no more.
    pub(crate) async fn end_revoked(&self) {
        self.standing.look(&self.identity, &self.gateway).await;
    }

    /// Ends the streams that would not end by themselves, now and from now on; how many requests are still to be answered.
    pub fn end_streams(&self) -> usize {
        self.lasting.end_streams()
    }

    /// Ends all sessions, as well as their servers let themselves be ended.
    pub async fn close(&self) {
        let all = self.peers.drain();
        let ended = async {
            join_all(all.map(part)).await;
            join_all(self.servers.load_full().by_name.values().map(|server| server.close())).await;
        };
        if tokio::time::timeout(FAREWELL, ended).await.is_err() {
            tracing::warn!("some servers did not end their sessions in time");
        }
    }

    pub(super) fn allowed(&self, request: &Request<Incoming>) -> Result<(), Flaw> {
        self.settings.allowed.check(request.uri(), request.headers())
    }

    pub(super) fn metrics(&self) -> String {
        self.gateway.metrics.sessions.set(i64::try_from(self.peers.count()).unwrap_or(i64::MAX));
        self.gateway.metrics.render()
    }

    pub(super) fn readiness(&self) -> Result<String, String> {
        if self.gateway.recorder.log().state() != bartizan_audit::State::Writing {
            return Err("not ready: the audit log cannot be written\n".to_owned());
        }
        let config = self.degraded.load();
        let behind = "a changed certificate cannot be used; the one before is in force";
        let behind = self.is_behind.load(Ordering::Relaxed).then_some(behind);
        // Each by itself: what one hides, nobody mends.
        let unsigned = self.gateway.recorder.log().behind();
        let all = config
            .as_deref()
            .into_iter()
            .chain(behind)
            .chain(unsigned.as_deref())
            .map(|why| format!("ready, degraded: {why}\n"));
        Ok(Some(all.collect::<String>()).filter(|all| !all.is_empty()).unwrap_or_else(|| "ready\n".to_owned()))
    }

    /// Answers one request.
    pub(super) async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Reply> {
        if let Err(flaw) = self.settings.allowed.check_head(request.uri(), request.headers()) {
            let answer = self.refused(peer, flaw.refusal());
            if flaw == Flaw::Host {
                self.gateway.recorder.note_host(&checks::host_of(request.uri(), request.headers()));
            }
            return flaw.mark(answer);
        }
        let web = self.web.get().filter(|web| web.has(request.uri().path()));
        if let Some(web) = web.filter(|_| !Web::is_for_clients(request.uri().path())) {
            return Box::pin(self.shown_page(web, request, peer)).await;
        }
        let page = Page::of(request.headers());
        if let Some(answer) = page.as_ref().and_then(|page| page.preflight(&request)) {
            return shown(page, answer);
        }
        if let Some(web) = web {
            return shown(page, Box::pin(self.shown_page(web, request, peer)).await);
        }
        if let Some(answer) = resource::metadata(&self.resource(request.uri().path()), request.method()) {
            return shown(page, answer);
        }
        // Whoever went by a length that stood beside the chunks would take what follows for something else.
        let in_chunks = request.headers().contains_key(header::TRANSFER_ENCODING);
        let by_a_person = self.web.get().is_some() && checks::is_by_a_person(&request);
        let answer = Told::during(peer.ip(), self.answer_caller(request, peer)).await;
        let answer = if by_a_person { respond::for_a_person(answer) } else { answer };
        let answer = if in_chunks { respond::last(answer) } else { answer };
        shown(page, answer)
    }

    /// Answers a request of a client, or says why it may not come in.
    async fn answer_caller(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Reply> {
        match self.caller(&request, peer.ip()).await {
            Ok(caller) => self.shown(&caller).during(self.dispatch(request, peer, &caller)).await,
            Err(early) => self.refused(peer, early),
        }
    }

    /// Whether there is a server of that name.
    pub(crate) fn has_server(&self, name: &str) -> bool {
        self.servers.load().by_name.contains_key(name)
    }

    /// A page for people, who sign in by themselves, or what leads clients to it.
    async fn shown_page(&self, web: &Web, request: Request<Incoming>, peer: SocketAddr) -> Response<Reply> {
        let in_chunks = request.headers().contains_key(header::TRANSFER_ENCODING);
        let (answer, rule) = web.answer(request, peer.ip()).await;
        rule.and_then(|rule| self.count_refused(peer, rule));
        let answer = answer.map(Reply::from);
        if in_chunks { respond::last(answer) } else { answer }
    }

    /// Who asks.
    async fn caller(&self, request: &Request<Incoming>, from: IpAddr) -> Result<Caller, Early> {
        let required = self.gateway.policy.load().credential_required;
        let certificate = request.extensions().get::<Arc<Certificate>>().map(|shown| &**shown);
        let asked = Asked {
            headers: request.headers(),
            certificate,
            method: request.method(),
            public: &self.settings.public,
            path: request.uri().path(),
            query: request.uri().query(),
        };
        let known = self.identity.authenticate(&asked, required, from, clock::now()).await;
        known.map_err(|stopped| caller::refusal(stopped, &self.resource(asked.path)))
    }

    fn resource<'a>(&'a self, path: &'a str) -> Resource<'a> {
        Resource { public: &self.settings.public, path, tokens: self.identity.tokens() }
    }

    /// Refuses who may come in no more: it takes as long as a client likes until a message is there, and as long as a server
    /// likes until it is answered, and meanwhile its key may have been revoked.
    async fn check_still(&self, caller: &Caller, path: &str) -> Result<(), Early> {
        let good = match &caller.credential {
            Some(credential) => self.identity.is_good(credential, clock::now()).await,
            None => !self.gateway.policy.load().credential_required,
        };
        if good { Ok(()) } else { Err(caller::refusal(Stopped::Invalid, &self.resource(path))) }
    }

    fn shown(&self, caller: &Caller) -> Shown {
        let principal = Arc::clone(&caller.principal.id);
        Shown { identity: Arc::clone(&self.identity), principal, credential: caller.credential.clone() }
    }

    async fn dispatch(&self, request: Request<Incoming>, peer: SocketAddr, caller: &Caller) -> Response<Reply> {
        let current = self.servers.load_full();
        let Some(target) = Target::of(&current, request.uri().path()) else {
            let text = "there is no such server; each is at /mcp/NAME, and all are at /mcp";
            return self.refused(peer, respond::refused(StatusCode::NOT_FOUND, "edge.path", text));
        };
        if let Err(early) = caller::check_reach(caller, &target, &self.resource(request.uri().path())) {
            return self.refused(peer, early);
        }
        let (parts, body) = request.into_parts();
        let answered = match parts.method {
            Method::POST => self.post(&target, &parts, body, (caller, peer.ip())).await,
            Method::GET => Box::pin(self.get(&target, &parts, (caller, peer.ip()))).await,
            Method::DELETE => Box::pin(self.delete(&target, &parts, caller)).await,
            _ => Err(Box::new(respond::not_allowed("GET, POST, DELETE"))),
        };
        answered.unwrap_or_else(|early| self.refused(peer, early))
    }

    /// Counts a refusal that is not in the log by itself, as nothing was read yet, and says where it will be found.
    fn refused(&self, peer: SocketAddr, early: Early) -> Response<Reply> {
        let Some(rule) = respond::rule(&early) else { return *early };
        let decision = self.count_refused(peer, rule);
        Told::is_decided(decision);
        respond::explain(*early, decision)
    }

    /// Counts what was refused before there was a message to record; the id of the entry that will hold it.
    pub(super) fn count_refused(&self, peer: SocketAddr, rule: &'static str) -> Option<Id> {
        self.gateway.metrics.refused(rule);
        self.gateway.recorder.count_refusal(&peer.ip().to_string(), rule)
    }

    async fn post(
        &self,
        target: &Target<'_>,
        parts: &Parts,
        body: Incoming,
        (caller, from): (&Caller, IpAddr),
    ) -> Result<Response<Reply>, Early> {
        let principal = &caller.principal;
        let policy = self.gateway.policy.load();
        let (limits, how) = (policy.limits, policy.approval.step_up);
        drop(policy);
        let bytes = self.read(parts, body, &limits).await?;
        let message = self.parse(target, principal, &bytes, &limits)?;
        // The message has its own reference; with this one the bytes would stay until the answer is there.
        drop(bytes);
        let until = self.lasting.of(&message)?;
        let (path, lacking) = (parts.uri.path(), caller::lacks(caller, target, &message));
        if agreement::era(&parts.headers, &message) == Era::Stateless {
            let (key, held) = self.peers.stateless(target, principal, from, &message).await?;
            self.peers.note_credential(Era::Stateless, (&key, &held), caller, from);
            agreement::check(&held.value, &parts.headers, &message).await?;
            self.check_still(caller, path).await?;
            let answer = held.value.answer(message, &parts.headers).await;
            if matches!(answer, Answer::Gone) {
                self.peers.remove_stateless(&key, &held);
            }
            self.check_still(caller, path).await?;
            let answer = self.in_use(answer, held, until, caller);
            return Ok(caller::step_up(answer, caller, lacking.as_deref(), (&self.resource(path), how)));
        }
        self.check_still(caller, path).await?;
        if message.method() == Some("initialize") {
            return Box::pin(self.initialize(target, (principal, from), message, &parts.headers)).await;
        }
        let (key, held) = self.peers.living(target, &parts.headers, principal)?;
        self.peers.note_credential(Era::Legacy, (&key, &held), caller, from);
        agreement::check_session(&held.value, &parts.headers, &message).await?;
        let answer = held.value.answer(message, &parts.headers).await;
        if matches!(answer, Answer::Gone) {
            self.peers.remove(&key);
        }
        self.check_still(caller, path).await?;
        let answer = self.in_use(answer, held, until, caller);
        Ok(caller::step_up(answer, caller, lacking.as_deref(), (&self.resource(path), how)))
    }

    /// Begins a legacy session.
    async fn initialize(
        &self,
        target: &Target<'_>,
        (principal, from): (&Principal, IpAddr),
        message: Message,
        headers: &HeaderMap,
    ) -> Result<Response<Reply>, Early> {
        if message.bytes().len() > HANDSHAKE {
            return Err(respond::refused(
                StatusCode::PAYLOAD_TOO_LARGE,
                "edge.handshake",
                "an `initialize` of this size is none\n",
            ));
        }
        let key = random::key().map_err(|_| respond::refused(StatusCode::INTERNAL_SERVER_ERROR, "edge.failed", ""))?;
        let peer = self.peers.connect(target, Era::Legacy, (principal, from), &key, &message).await?;
        // Kept only once the server has answered: a client that leaves meanwhile leaves nothing behind.
        let mut begun = Begun(Some(peer.clone()));
        agreement::check_session(&peer, headers, &message).await?;
        let answer = peer.answer(message, headers).await;
        // An error begins no session.
        let failed = matches!(&answer, Answer::Message(_, admitted) if admitted.message().error().is_some());
        let mut response = respond::answer(answer);
        match HeaderValue::from_str(&key) {
            Ok(value) if response.status().is_success() && !failed => {
                self.peers.begin(&target.slot(&key), (principal.clone(), from), peer)?;
                begun.0 = None;
                response.headers_mut().insert(SESSION, value);
            }
            _ => drop(begun),
        }
        Ok(response)
    }

    async fn get(
        &self,
        target: &Target<'_>,
        parts: &Parts,
        (caller, from): (&Caller, IpAddr),
    ) -> Result<Response<Reply>, Early> {
        agreement::check_method(&parts.headers)?;
        let lost = event_id::lost(&parts.headers).map_err(|event_id::Malformed| {
            let text = "Last-Event-ID has to be one id, of 1 to 1024 visible ASCII characters\n";
            respond::refused(StatusCode::BAD_REQUEST, "edge.event_id", text)
        })?;
        let (key, held) = self.peers.legacy(target, &parts.headers, &caller.principal)?;
        self.peers.note_credential(Era::Legacy, (&key, &held), caller, from);
        let until = self.lasting.of_stream(lost.is_some())?;
        match held.value.listen(&parts.headers).await {
            Ok(deliveries) => Ok(respond::answer(self.in_use(Answer::Stream(deliveries), held, until, caller))),
            // It is in the log by itself.
            Err(NoStream::Refused(refusal)) => {
                Ok(respond::plain(StatusCode::BAD_REQUEST, &format!("{}\n", refusal.sentence())))
            }
            Err(NoStream::Upstream(UpstreamError::SessionGone)) => {
                Err(respond::refused(StatusCode::NOT_FOUND, "edge.session", ""))
            }
            // No refusal: this is how clients find out.
            Err(NoStream::Upstream(UpstreamError::NoStream)) => Ok(respond::not_allowed("POST, DELETE")),
            Err(NoStream::Upstream(error)) => {
                held.value.links().iter().for_each(|link| drop(link.failed(None, &error)));
                Err(respond::refused(
                    StatusCode::BAD_GATEWAY,
                    "edge.stream",
                    "the server's stream could not be opened\n",
                ))
            }
        }
    }

    async fn delete(&self, target: &Target<'_>, parts: &Parts, caller: &Caller) -> Result<Response<Reply>, Early> {
        agreement::check_method(&parts.headers)?;
        let (key, held) = self.peers.legacy(target, &parts.headers, &caller.principal)?;
        self.peers.remove(&key);
        held.value.conversation().is_ended_by_client();
        part(held).await.ok();
        Ok(respond::status(StatusCode::NO_CONTENT))
    }

    /// An answer that takes what it takes, for as long as whoever asked may have it.
    fn in_use(&self, answer: Answer, held: Arc<Held<Peer>>, until: Until, caller: &Caller) -> Answer {
        let Answer::Stream(deliveries) = answer else { return answer };
        let ended = self.standing.ended(caller.credential.clone());
        self.lasting.in_use(deliveries, held, until, ended)
    }

    /// Reads a body. What it takes of the budget is given back once nobody uses its bytes any more.
    async fn read(&self, parts: &Parts, body: Incoming, limits: &Limits) -> Result<Bytes, Early> {
        let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
            return Err(respond::refused(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "edge.content_type",
                "send application/json\n",
            ));
        }
        let too_large = || {
            respond::refused(StatusCode::PAYLOAD_TOO_LARGE, "edge.too_large", "the message is larger than the limit\n")
        };
        let mut share = self.gateway.memory.share();
        let collected = collect(body, limits.bytes, &mut share);
        match tokio::time::timeout(self.settings.body_timeout, collected).await {
            Ok(Ok(bytes)) => Ok(share.kept_by(bytes)),
            Ok(Err(CollectError::TooLarge)) => Err(too_large()),
            Ok(Err(CollectError::Crowded)) => Err(respond::refused(
                StatusCode::SERVICE_UNAVAILABLE,
                "edge.crowded",
                "too many large messages at once; try again\n",
            )),
            Ok(Err(CollectError::Broken(_))) => Err(respond::refused(StatusCode::BAD_REQUEST, "edge.body", "")),
            Err(_) => Err(respond::refused(
                StatusCode::REQUEST_TIMEOUT,
                "edge.too_slow",
                "the message took too long to arrive\n",
            )),
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
}

/// An answer as the page sees it that asked, if one did.
fn shown(page: Option<Page>, answer: Response<Reply>) -> Response<Reply> {
    match page {
        Some(page) => page.shown(answer),
        None => answer,
    }
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
