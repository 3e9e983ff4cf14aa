//! The life of one request, top to bottom.
//!
//! ```text
//! client ── begin ──> judge, record, admit ──> server
//! client <── next ─── judge, record, admit <── server   (until its response)
//! ```
//!
//! What a client sends and what a server sends goes through the same [`Link::pass`]; the writers on both sides take
//! an [`Admitted`] and nothing else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bartizan_guard::{CallSummary, Direction};
use bartizan_mcp::{Edits, Id, Kind, Message, Value};

use crate::admit::{Admitted, CODE_DENIED, Refusal};
use crate::link::Link;
use crate::status::Asked;
use crate::upstream::{Relay, Replies, Reply, UpstreamError};

/// A message of a client's under way, with all that the server sends because of it.
pub struct Exchange {
    link: Arc<Link>,
    /// What the client asked; none for a notification, a response, or a stream that belongs to no request.
    call: Option<CallSummary>,
    asked: Asked,
    replies: Replies,
    /// The server named places to resume from, so its stream may end before the response.
    resumable: bool,
    finished: bool,
    tag: Option<Tag>,
}

/// By what an aggregate tells one server's ids from another's.
#[derive(Debug, Clone)]
pub struct Tag {
    /// The server.
    pub server: Arc<str>,
    /// Where the aggregate notes which server has a task.
    pub tasks: Arc<Mutex<HashMap<String, Arc<str>>>>,
}

/// Something for the client.
#[derive(Debug)]
pub enum Delivery {
    /// A message, with the id of its event.
    Message(Admitted, Option<String>),
    /// A place to resume from, or how long to wait in milliseconds.
    Mark(Option<String>, Option<u64>),
}

/// What a client gets instead of an exchange: the answer to put on the wire, and why.
#[derive(Debug)]
pub struct Failure {
    /// The answer; none if nobody waits for one.
    pub answer: Option<Admitted>,
    /// The server no longer knows the session.
    pub session_gone: bool,
}

/// Sends a client's message to the server, if it may go there.
///
/// # Errors
/// If it may not, or if the server does not take it.
pub async fn begin(link: &Arc<Link>, message: Message, relay: &Relay) -> Result<Exchange, Failure> {
    let call = CallSummary::of(&message);
    let asked = Asked::of(&message, relay);
    let method = message.method().map(str::to_owned);
    let answers = client_answers(link, &message).map_err(|refusal| Failure::of(&refusal, None, None))?;
    let admitted = link
        .pass(message, Direction::ToServer, answers.as_ref())
        .await
        .map_err(|refusal| Failure::of(&refusal, call.as_ref().map(|call| &call.id), method.as_deref()))?;
    match link.upstream.send(&admitted, relay).await {
        Ok(replies) => Ok(Exchange::new(link, call, asked, replies)),
        Err(error) => Err(Failure::upstream(link, call.as_ref(), &error)),
    }
}

/// Opens the stream on which a server sends what no request asked for.
///
/// # Errors
/// If the server offers none, or somebody has it already.
pub async fn listen(link: &Arc<Link>, relay: &Relay) -> Result<Exchange, UpstreamError> {
    let replies = link.upstream.listen(relay).await?;
    let mut exchange = Exchange::new(link, None, Asked::Legacy, replies);
    exchange.resumable = true;
    Ok(exchange)
}

impl Exchange {
    fn new(link: &Arc<Link>, call: Option<CallSummary>, asked: Asked, replies: Replies) -> Self {
        Exchange { link: Arc::clone(link), call, asked, replies, resumable: false, finished: false, tag: None }
    }

    /// The same exchange as part of an aggregate.
    #[must_use]
    pub fn tagged(mut self, tag: Tag) -> Self {
        self.tag = Some(tag);
        self
    }

    /// Whether the server answers with a stream, so that the client should be told at once.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        matches!(self.replies, Replies::Events(_))
    }

    /// Whether there is nothing to wait for.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        matches!(self.replies, Replies::None)
    }

    /// Whether the response has been delivered.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// The HTTP status for a single answer: the one that it came under, or the one that it should have.
    #[must_use]
    pub fn status(&self, answer: &Admitted) -> http::StatusCode {
        match self.replies {
            Replies::One(_, status) => status,
            _ => self.asked.status(answer.message()),
        }
    }

    /// The next message for the client; `None` when all has been delivered.
    pub async fn next(&mut self) -> Option<Delivery> {
        while !self.finished {
            let delivery = match self.replies.next().await {
                Ok(Some(Reply::Message(message, event))) => self.deliver(message, event).await,
                Ok(Some(Reply::Mark { id, retry })) => {
                    self.resumable |= id.is_some();
                    Some(Delivery::Mark(id, retry))
                }
                Ok(Some(Reply::Unreadable(bytes, rejection))) => {
                    let refusal = self.link.unreadable(Direction::ToClient, &bytes, &rejection);
                    self.finish_with(&refusal)
                }
                Ok(None) => return self.end(None),
                Err(error) => return self.end(Some(error)),
            };
            if delivery.is_some() {
                return delivery;
            }
        }
        None
    }

    /// Lets one of the server's messages through to the client, or says why not.
    async fn deliver(&mut self, message: Message, event: Option<String>) -> Option<Delivery> {
        self.resumable |= event.is_some();
        let kind = message.kind();
        let id = message.id().cloned();
        let answers = match self.server_answers(&message) {
            Ok(answers) => answers,
            // Not what anybody asked for: recorded, and the wait goes on.
            Err(_refusal) => return None,
        };
        let is_answer = message.is_response() && self.call.is_some();
        match self.link.pass(message, Direction::ToClient, answers.as_ref()).await {
            Ok(admitted) => {
                self.finished = is_answer;
                Some(match &self.tag {
                    Some(tag) => tag.apply(admitted, event),
                    None => Delivery::Message(admitted, event),
                })
            }
            Err(refusal) if kind == Kind::Request => {
                self.refuse_server(id.as_ref(), &refusal).await;
                None
            }
            Err(refusal) if is_answer => self.finish_with(&refusal),
            // The response to an earlier request, on a stream of its own.
            Err(refusal) => answers.map(|call| answer(&refusal, &call)),
        }
    }

    /// What the server's message answers.
    fn server_answers(&mut self, message: &Message) -> Result<Option<CallSummary>, Refusal> {
        let protest = |why: &str| {
            let problem = ("conformance.unsolicited", why.to_owned());
            self.link.protest(message, Direction::ToClient, None, problem, CODE_DENIED)
        };
        match (message.kind(), message.id()) {
            (Kind::Request, Some(_)) => {
                let call = CallSummary::of(message);
                match call.map(|call| self.link.remember_asking(call)) {
                    Some(Err(why)) => Err(protest(why)),
                    _ => Ok(None),
                }
            }
            (Kind::Result | Kind::Error, Some(id)) => match &self.call {
                Some(call) if call.id == *id => Ok(Some(call.clone())),
                Some(_) => Err(protest("the response's id is not the request's")),
                None => match self.link.take_asked(id) {
                    Some(call) => Ok(Some(call)),
                    None => Err(protest("the response answers no request that is waiting")),
                },
            },
            // An error without an id answers what was sent, if anything was.
            (Kind::Error, None) => Ok(self.call.clone()),
            _ => Ok(None),
        }
    }

    /// Tells the server that its request was refused, so that it does not wait.
    async fn refuse_server(&self, id: Option<&Id>, refusal: &Refusal) {
        let Some(id) = id else { return };
        self.link.take_asking(id);
        // A server that no longer listens needs no answer.
        self.link.upstream.send(&refusal.answer(Some(id), None), &Relay::default()).await.ok();
    }

    fn finish_with(&mut self, refusal: &Refusal) -> Option<Delivery> {
        let call = self.call.as_ref()?;
        self.finished = true;
        Some(answer(refusal, call))
    }

    /// The server sends no more. If the client still waits it is told, unless it can resume.
    fn end(&mut self, error: Option<UpstreamError>) -> Option<Delivery> {
        self.finished = true;
        let call = self.call.take()?;
        if self.resumable {
            self.link.remember_asked(call).ok();
            return None;
        }
        let error = error.unwrap_or_else(|| match &self.link.upstream {
            crate::upstream::Upstream::Stdio(child) => child.ended_error(),
            crate::upstream::Upstream::Http(_) => UpstreamError::BrokenOff("it ended without a response".to_owned()),
        });
        Some(answer(&self.link.failed(Some(&call), &error), &call))
    }
}

impl Tag {
    /// Makes ids unique among servers, and notes whose a new task is.
    fn apply(&self, message: Admitted, event: Option<String>) -> Delivery {
        let event = event.map(|event| format!("{}/{event}", self.server));
        if let Some(result) = message.message().result() {
            let task = result.get("taskId").or_else(|| result.at(&["task", "taskId"])).and_then(Value::as_str);
            if let Some(task) = task {
                let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
                if tasks.len() < TASKS {
                    tasks.insert(task.into_owned(), Arc::clone(&self.server));
                }
            }
        }
        let id = (message.message().kind() == Kind::Request).then(|| message.message().root().get("id")).flatten();
        let Some(id) = id else { return Delivery::Message(message, event) };
        let unique = format!("{}/{}", self.server, id.raw());
        let mut edits = Edits::new();
        edits.set_text(id.id(), &unique);
        Delivery::Message(message.rewritten(&edits), event)
    }
}

/// Tasks whose server an aggregate remembers.
const TASKS: usize = 50_000;

/// What the client's message answers, if it is a response.
fn client_answers(link: &Link, message: &Message) -> Result<Option<CallSummary>, Refusal> {
    if !message.is_response() {
        return Ok(None);
    }
    let call = message.id().and_then(|id| link.take_asking(id));
    call.map(Some).ok_or_else(|| {
        let problem = ("conformance.unsolicited", "the response answers no request that is waiting".to_owned());
        link.protest(message, Direction::ToServer, None, problem, -32600)
    })
}

fn answer(refusal: &Refusal, call: &CallSummary) -> Delivery {
    Delivery::Message(refusal.answer(Some(&call.id), Some(&call.method)), None)
}

impl Failure {
    fn of(refusal: &Refusal, id: Option<&Id>, method: Option<&str>) -> Self {
        let answer = id.map(|id| refusal.answer(Some(id), method));
        Failure { answer, session_gone: false }
    }

    fn upstream(link: &Link, call: Option<&CallSummary>, error: &UpstreamError) -> Self {
        let refusal = link.failed(call, error);
        let session_gone = *error == UpstreamError::SessionGone;
        Failure { session_gone, ..Failure::of(&refusal, call.map(|call| &call.id), call.map(|call| &*call.method)) }
    }
}

impl Drop for Exchange {
    /// A client that has gone needs no answer; a child process would keep a place for it.
    fn drop(&mut self) {
        let crate::upstream::Upstream::Stdio(child) = &self.link.upstream else { return };
        match (&self.call, self.asked) {
            _ if self.finished => {}
            (None, _) => child.return_stream(std::mem::replace(&mut self.replies, Replies::None)),
            (Some(_), asked) => match (child.forget(&self.replies), asked) {
                // In this era, to go is to cancel; before it, the work goes on.
                (Some(id), Asked::Stateless { .. }) => self.link.cancel(&id),
                _ => {}
            },
        }
    }
}
