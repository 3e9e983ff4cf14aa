//! A stateless client in front of a legacy server.
//!
//! The gateway keeps a session with the server in the client's name. What the client asks goes on in it, without what
//! only the stateless era has; what comes back gains what that era asks for.

mod call;
mod calls;
mod coming;
mod ready;
mod translate;
mod watch;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bartizan_guard::{CallSummary, Principal};
use bartizan_mcp::{Id, Kind, Limits, Message, Revision, method, quote};
use futures_util::{StreamExt, stream};
use http::{HeaderMap, StatusCode};
use tokio::sync::mpsc;

use super::kept::Kept;
use crate::admit::{self, About, Admitted, Refusal};
use crate::answer::{Answer, Delivery};
use crate::codes::{INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND};
use crate::exchange;
use crate::front::Front;
use crate::gateway::Gateway;
use crate::link::Link;
use crate::params;
use crate::problem::{Problem, Unfit};
use crate::server::Server;
use crate::status::Asked;

use call::{Call, Signal, Step, Waiting};
use calls::Calls;
use ready::Ready;
use watch::Watchers;

/// Why a request that comes back with answers comes too late.
const EXPIRED: &str = "this requestState is expired";
/// Messages that wait for a client to read them.
const QUEUE: usize = 64;

/// One client's session with a legacy server, begun when it is needed and again when it is lost.
pub(crate) struct Down {
    gateway: Arc<Gateway>,
    /// Where messages end that do not go on to the server.
    front: Front,
    server: Arc<Server>,
    principal: Principal,
    /// The session's name in records.
    name: String,
    /// A request that says who the client is, if not every one of them does.
    client: OnceLock<Message>,
    session: Mutex<Option<Arc<Ready>>>,
    /// Held while a session is begun, so that there is one.
    beginning: tokio::sync::Mutex<()>,
    calls: Calls,
    kept: Kept,
    watchers: Watchers,
}

impl Down {
    pub(super) fn new(gateway: Arc<Gateway>, server: Arc<Server>, principal: Principal, name: &str) -> Arc<Down> {
        Arc::new(Down {
            front: Front::of(&gateway, &server, &principal, name),
            gateway,
            server,
            principal,
            name: name.to_owned(),
            client: OnceLock::new(),
            session: Mutex::default(),
            beginning: tokio::sync::Mutex::default(),
            calls: Calls::default(),
            kept: Kept::default(),
            watchers: Watchers::default(),
        })
    }

    /// Answers one message of the client's.
    pub(super) async fn answer(self: &Arc<Self>, message: Message, headers: Option<&HeaderMap>) -> Answer {
        match (message.kind(), message.id().cloned()) {
            (Kind::Request, Some(id)) => self.request(message, id, headers).await,
            (Kind::Notification, _) => self.notification(&message).await,
            _ => {
                let why = "in this revision a server has no requests that a client could answer";
                let refusal =
                    self.front.refuse(&message, Problem::new("conformance.unsolicited", why, INVALID_REQUEST)).await;
                Answer::Refused(Some(refusal.sentence()))
            }
        }
    }

    /// Begins the session for the client that `hello` describes, now and whenever it is begun anew; returns the server's
    /// answer to `initialize`. It is begun because of the message that `about` names.
    pub(super) async fn greet(self: &Arc<Self>, hello: Message, about: About<'_>) -> Result<Admitted, Refusal> {
        let hello = self.client.get_or_init(|| hello);
        Ok(self.ready(hello, about).await?.said())
    }

    /// The link to the server, if there is one.
    pub(super) fn link(&self) -> Option<Arc<Link>> {
        self.present().map(|ready| Arc::clone(&ready.link))
    }

    /// Where messages end that do not go on to the server.
    pub(super) fn front(&self) -> &Front {
        &self.front
    }

    /// Ends the session with the server and all that goes on in it.
    pub(super) async fn end(&self) {
        self.calls.end();
        self.watchers.end();
        let ready = self.session.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ready) = ready {
            ready.link.upstream.end().await;
        }
    }

    async fn request(self: &Arc<Self>, message: Message, id: Id, headers: Option<&HeaderMap>) -> Answer {
        if let Some(refused) = self.unfit(&message).await {
            return refused;
        }
        match message.method().unwrap_or_default() {
            method @ (method::SERVER_DISCOVER | method::SUBSCRIPTIONS_LISTEN) => {
                let ready = match self.front.take(&message).await {
                    Ok(()) => self.ready(&message, About::from(&message)).await,
                    Err(refusal) => Err(refusal),
                };
                match ready {
                    Ok(ready) if method == method::SUBSCRIPTIONS_LISTEN => {
                        watch::listen(self, &ready, &message, &id).await
                    }
                    Ok(ready) => Answer::Message(StatusCode::OK, self.own(translate::discovered(ready.hello(), &id))),
                    Err(refusal) => Answer::Message(StatusCode::OK, refusal.answer_to(&message)),
                }
            }
            _ if comes_back(&message) => self.retry(&message, id, headers).await,
            _ => self.call(message, id, headers).await,
        }
    }

    /// Refuses a request that its era does not know in this form.
    async fn unfit(&self, message: &Message) -> Option<Answer> {
        if let Some(unfit) = Unfit::of(message) {
            let refusal = self.front.refuse(message, unfit.problem()).await;
            let answer = unfit.answer(&refusal, message, &[Revision::V2026_07_28]);
            return Some(Answer::Message(StatusCode::BAD_REQUEST, answer));
        }
        let gone = translate::is_gone(message.method().unwrap_or_default());
        if gone {
            Some(
                self.refuse(
                    message,
                    "gateway.session_only",
                    "this revision does not have this method",
                    METHOD_NOT_FOUND,
                )
                .await,
            )
        } else {
            None
        }
    }

    /// A request that goes on to the server.
    async fn call(self: &Arc<Self>, message: Message, id: Id, headers: Option<&HeaderMap>) -> Answer {
        let request = Arc::new(message);
        let mut first = None;
        // Once more if the server has forgotten the session, which is no matter of the client's.
        for _ in 0..2 {
            let ready = match self.ready(&request, About::from(&*request)).await {
                Ok(ready) => ready,
                Err(refusal) => {
                    let call = CallSummary::of(&request);
                    return Answer::Message(StatusCode::OK, refusal.answer(Some(&id), call.as_ref()));
                }
            };
            ready.set_level(&request).await;
            let outward = match translate::outward(&request, Some(&ready.next_id()), &self.limits()) {
                Ok(outward) => outward,
                Err(rejection) => {
                    let (rule, code) = (rejection.fault.rule(), rejection.fault.code());
                    return self.refuse(&request, rule, &rejection.to_string(), code).await;
                }
            };
            if let Some(refused) = differ(&ready, headers, (&request, &outward)).await {
                return refused;
            }
            let (steps, mut coming) = mpsc::channel(QUEUE);
            let waiting = Waiting { id: id.clone(), steps };
            Call::start(Arc::clone(self), Arc::clone(&ready), Arc::clone(&request), outward, waiting);
            match coming.recv().await {
                Some(Step::Gone) => self.lost(&ready),
                step => {
                    first = step.map(|step| (step, coming));
                    break;
                }
            }
        }
        self.converse(first, &id)
    }

    /// A request that comes back with answers to the server's questions.
    async fn retry(&self, message: &Message, id: Id, headers: Option<&HeaderMap>) -> Answer {
        if let Err(why) = self.calls.knows(message) {
            return self.refuse(message, "bridge.unknown_state", why, INVALID_PARAMS).await;
        }
        let (Some(ready), Ok(outward)) = (self.present(), translate::outward(message, None, &self.limits())) else {
            return self.refuse(message, "bridge.unknown_state", EXPIRED, INVALID_PARAMS).await;
        };
        if let Some(refused) = differ(&ready, headers, (message, &outward)).await {
            return refused;
        }
        // It ends here, and is judged as what it asks again; what goes to the server are the answers, which are judged as
        // the responses that they become.
        if let Err(refusal) = ready.link.pass_rest(outward).await {
            return Answer::Message(StatusCode::OK, refusal.answer_to(message));
        }
        let Ok(call) = self.calls.resume(message) else { return self.gone(&id, EXPIRED) };
        let (steps, mut coming) = mpsc::channel(QUEUE);
        let waiting = Waiting { id: id.clone(), steps };
        if call.send(Signal::Answered(waiting, calls::answers(message))).await.is_err() {
            return self.gone(&id, EXPIRED);
        }
        let first = coming.recv().await.map(|step| (step, coming));
        self.converse(first, &id)
    }

    /// The answer in the form that its first step asks for.
    fn converse(&self, first: Option<(Step, mpsc::Receiver<Step>)>, id: &Id) -> Answer {
        match first {
            Some((Step::Last(answer), _)) => {
                let status = Asked::Stateless { complete: true }.status(answer.message());
                Answer::Message(status, answer)
            }
            Some((Step::Message(message), rest)) => {
                let first = stream::iter([Delivery::Message(message, None)]);
                let rest = stream::unfold(rest, |mut rest| async move { rest.recv().await.map(|step| (step, rest)) });
                let rest = rest.filter_map(|step| {
                    std::future::ready(match step {
                        Step::Message(message) | Step::Last(message) => Some(Delivery::Message(message, None)),
                        Step::Gone => None,
                    })
                });
                Answer::Stream(Box::pin(first.chain(rest)))
            }
            Some((Step::Gone, _)) | None => {
                let error = crate::upstream::UpstreamError::SessionGone;
                let answer = self.error(id, admit::CODE_UPSTREAM, &error.to_string());
                Answer::Message(StatusCode::OK, answer)
            }
        }
    }

    /// Cancelling is done by closing the stream; other notifications go on.
    async fn notification(&self, message: &Message) -> Answer {
        let name = message.method().unwrap_or_default();
        let ready = self.present();
        let of_sessions = [method::INITIALIZED, method::CANCELLED, method::ROOTS_LIST_CHANGED, method::PROGRESS];
        let (Some(ready), false) = (ready, of_sessions.contains(&name)) else {
            return match self.front.take(message).await {
                Ok(()) => Answer::Accepted,
                Err(refusal) => Answer::Refused(Some(refusal.sentence())),
            };
        };
        let Ok(outward) = translate::outward(message, None, &self.limits()) else {
            return Answer::Refused(None);
        };
        match exchange::begin(&ready.link, outward, &ready.relay()).await {
            Ok(_) => Answer::Accepted,
            Err(failure) => Answer::Refused(failure.said),
        }
    }

    /// The session with the server, begun in the name of the client that `request` describes if there is none.
    async fn ready(self: &Arc<Self>, request: &Message, about: About<'_>) -> Result<Arc<Ready>, Refusal> {
        if let Some(ready) = self.present() {
            return Ok(ready);
        }
        let _turn = self.beginning.lock().await;
        if let Some(ready) = self.present() {
            return Ok(ready);
        }
        let client = self.client.get().unwrap_or(request);
        let opened = Ready::open(&self.gateway, &self.server, &self.principal, &self.name, client, about).await?;
        let ready = Arc::new(opened);
        let reader = tokio::spawn(watch::read(Arc::downgrade(self), Arc::downgrade(&ready)));
        ready.reader.set(reader.abort_handle()).ok();
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&ready));
        Ok(ready)
    }

    fn present(&self) -> Option<Arc<Ready>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).clone().filter(|ready| ready.stands())
    }

    /// The server does not know this session any more; the next request begins another.
    fn lost(&self, gone: &Arc<Ready>) {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if session.as_ref().is_some_and(|ready| Arc::ptr_eq(ready, gone)) {
            *session = None;
            // Their clients open others, which begins the next session.
            self.watchers.end();
        }
    }

    /// A response of the gateway's own.
    fn own(&self, json: String) -> Admitted {
        self.front.own(json)
    }

    /// The answer to a request that was judged already, and of which nothing came.
    fn error(&self, id: &Id, code: i64, why: &str) -> Admitted {
        let (id, why) = (id.to_json(), quote(why));
        self.own(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":{why}}}}}"#))
    }

    fn gone(&self, id: &Id, why: &str) -> Answer {
        Answer::Message(StatusCode::OK, self.error(id, INVALID_PARAMS, why))
    }

    /// Refuses a request that does not go on.
    async fn refuse(&self, message: &Message, rule: &'static str, why: &str, code: i64) -> Answer {
        let refusal = self.front.refuse(message, Problem::new(rule, why, code)).await;
        let answer = refusal.answer_to(message);
        Answer::Message(Asked::Stateless { complete: true }.status(answer.message()), answer)
    }

    fn limits(&self) -> Limits {
        self.gateway.policy.load().limits
    }
}

/// Refuses a request whose headers do not say what it says.
async fn differ(ready: &Ready, headers: Option<&HeaderMap>, request: (&Message, &Message)) -> Option<Answer> {
    let compared = params::compare(&ready.link, &ready.relay(), headers?, request).await;
    let refusal = compared.err()?;
    Some(Answer::Message(StatusCode::BAD_REQUEST, refusal.answer(request.0.id(), None)))
}

/// Whether a request brings answers. Without the state they belong to no question of this gateway's, and are left out of
/// what goes on.
pub(super) fn comes_back(request: &Message) -> bool {
    translate::may_be_asked_back(request.method().unwrap_or_default())
        && request.params().is_some_and(|params| params.get(translate::STATE).is_some())
}
