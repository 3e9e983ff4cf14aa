//! The life of one request, top to bottom.
//!
//! ```text
//! client ── begin ──> judge, record, admit ──> server
//! client <── next ─── judge, record, admit <── server   (until its response)
//! ```
//!
//! What a client sends and what a server sends goes through the same [`Link::pass`]; the writers on both sides take
//! an [`Admitted`] and nothing else.

use std::sync::Arc;

use bartizan_guard::{CallSummary, Direction};
use bartizan_mcp::{Id, Kind, Message, Revision, method};
use tokio::time::Instant;

use crate::admit::{Admitted, CODE_DENIED, Ran, Refusal};
use crate::answer::Delivery;
use crate::in_flight::Place;
use crate::learn::{self, Way};
use crate::limiter::Slot;
use crate::link::{self, Link};
use crate::patience::Patience;
use crate::relay::{self, Relay};
use crate::shown;
use crate::status::Asked;
use crate::tag::Tag;
use crate::upstream::{Replies, Reply, UpstreamError};

/// A message of a client's under way, with all that the server sends because of it.
pub struct Exchange {
    link: Arc<Link>,
    /// What the client asked; none for a notification, a response, or a stream that belongs to no request.
    call: Option<CallSummary>,
    asked: Asked,
    replies: Replies,
    /// The server named places to resume from, so its stream may end before the response.
    resumable: bool,
    /// It is the rest of a stream that the client lost.
    resumes: bool,
    /// What else than its own call was answered on it.
    answered: Vec<Id>,
    finished: bool,
    tag: Option<Tag>,
    /// The revision that the client's header names.
    revision: Option<Revision>,
    /// The clocks of a request that has to be answered some time.
    patience: Option<Patience>,
    /// Its place among the requests that wait for the server.
    place: Option<Place>,
    /// Its place among those of its principal.
    slot: Option<Arc<Slot>>,
}

/// What becomes of one message of a server's.
pub(crate) enum Step {
    Delivered(Delivery),
    /// It is not for the client, which is recorded.
    KeptBack,
}

/// What a client gets instead of an exchange: the answer to put on the wire, and why.
#[derive(Debug, Default)]
pub struct Failure {
    /// The answer; none if nobody waits for one.
    pub answer: Option<Admitted>,
    /// What to say then.
    pub said: Option<String>,
    /// The server no longer knows the session.
    pub session_gone: bool,
    /// The client said meanwhile that it does not wait for an answer, so there is none.
    pub cancelled: bool,
}

/// Sends a client's message to the server, if it may go there.
///
/// # Errors
/// If it may not, or if the server does not take it.
pub async fn begin(link: &Arc<Link>, message: Message, relay: &Relay) -> Result<Exchange, Failure> {
    if message.is_response() {
        // In a task of its own: a client that goes away meanwhile must not take the answer with it, as the server waits
        // for it and no other one would be taken for it.
        let answering = respond(Arc::clone(link), message, relay.clone());
        let answered = tokio::spawn(shown::carried(shown::current(), answering)).await;
        return answered.unwrap_or(Err(Failure::default()));
    }
    let call = CallSummary::of(&message);
    let asked = Asked::of(&message, relay);
    let place = place(link, call.as_ref(), asked)?;
    learn::before(&message, Way::Exchange(link, relay)).await;
    if let Some(id) = link::cancelled(&message) {
        link.unanswered.note_cancelled(Direction::ToServer, id);
    }
    let begun = Instant::now();
    let mut admitted = match link.pass_agreed(message).await {
        Ok(admitted) => admitted,
        // It was held, and nobody waits for it any more.
        Err(refusal)
            if refusal.waits().is_some()
                && call.as_ref().is_some_and(|call| link.unanswered.was_cancelled(&call.id, begun)) =>
        {
            return Err(Failure { cancelled: true, ..Failure::default() });
        }
        Err(refusal) => return Err(Failure::of(&refusal, call.as_ref())),
    };
    let slot = admitted.slot();
    if let (Some(call), Some(slot), Asked::Legacy) = (&call, &slot, asked) {
        link.unanswered.note_slot(&call.id, slot);
    }
    let since = Instant::now();
    match link.upstream.send(admitted, relay).await {
        Ok(replies) => {
            let mut exchange = Exchange::new(link, call, asked, replies);
            exchange.revision = relay.revision();
            exchange.patience = place.is_some().then(|| Patience::new(&link.server, since));
            exchange.place = place;
            exchange.slot = slot;
            Ok(exchange)
        }
        // As in `Exchange::end`; but that its session is gone, every client has to know.
        Err(error)
            if error != UpstreamError::SessionGone
                && call.as_ref().is_some_and(|call| link.unanswered.was_cancelled(&call.id, since)) =>
        {
            Err(Failure { cancelled: true, ..Failure::default() })
        }
        Err(error) => Err(Failure::upstream(link, call.as_ref(), &error)),
    }
}

/// Sends a client's answer to the server that waits for it, or the reason why it does not get it.
async fn respond(link: Arc<Link>, message: Message, relay: Relay) -> Result<Exchange, Failure> {
    let asked = Asked::of(&message, &relay);
    let answers = client_answers(&link, &message).map_err(|refusal| Failure::of(&refusal, None))?;
    match link.pass(message, Direction::ToServer, Some(&answers)).await {
        Ok(admitted) => match link.upstream.send(admitted, &relay).await {
            Ok(replies) => Ok(Exchange::new(&link, None, asked, replies)),
            Err(error) => Err(Failure::upstream(&link, None, &error)),
        },
        Err(refusal) => {
            link.upstream.send(refusal.answer(Some(&answers.id), None), &relay).await.ok();
            Err(Failure::of(&refusal, None))
        }
    }
}

/// Asks on the gateway's own account, with the particulars of `like`; the answer, judged like any.
pub(crate) async fn ask(link: &Arc<Link>, request: Message, like: &Relay) -> Option<Admitted> {
    let mut relay = Relay { version: like.version.clone(), ..Relay::default() };
    if !like.routing.is_empty() {
        relay.routing = relay::routing(&request).collect();
    }
    let mut exchange = Box::pin(begin(link, request, &relay)).await.ok()?;
    while let Some(delivery) = exchange.next().await {
        if let Delivery::Message(message, _) = delivery
            && exchange.is_finished()
        {
            return Some(message);
        }
    }
    None
}

/// Opens the stream on which a server sends what no request asked for.
///
/// # Errors
/// If the server offers none, or somebody has it already.
pub async fn listen(link: &Arc<Link>, relay: &Relay) -> Result<Exchange, UpstreamError> {
    let replies = link.upstream.listen(relay).await?;
    let mut exchange = Exchange::new(link, None, Asked::Legacy, replies);
    exchange.revision = relay.revision();
    exchange.resumes = relay.last_event_id.is_some();
    Ok(exchange)
}

impl Exchange {
    fn new(link: &Arc<Link>, call: Option<CallSummary>, asked: Asked, replies: Replies) -> Self {
        let link = Arc::clone(link);
        Exchange {
            link,
            call,
            asked,
            replies,
            resumable: false,
            resumes: false,
            answered: Vec::new(),
            finished: false,
            tag: None,
            revision: None,
            patience: None,
            place: None,
            slot: None,
        }
    }

    /// The same exchange as part of an aggregate.
    #[must_use]
    pub(crate) fn tagged(mut self, tag: Tag) -> Self {
        self.tag = Some(tag);
        self
    }

    /// The link, if the client may come back to a stream that the server does not keep.
    pub(crate) fn keeper(&self) -> Option<Arc<Link>> {
        let keeps = self.link.upstream.keeps_no_streams() && self.asked == Asked::Legacy;
        keeps.then(|| Arc::clone(&self.link))
    }

    /// Whether a stream begins with an event without a message; clients of older revisions take it for a broken one.
    pub(crate) fn primes(&self) -> bool {
        self.revision.is_some_and(|revision| revision >= Revision::V2025_11_25)
    }

    /// What the ids of its events begin with.
    pub(crate) fn prefix(&self) -> String {
        self.tag.as_ref().map(Tag::prefix).unwrap_or_default()
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
            // Others mean something to a client's HTTP library: that there is no body, or that it should sign in.
            Replies::One(_, status @ (http::StatusCode::BAD_REQUEST | http::StatusCode::NOT_FOUND))
                if answer.message().error().is_some() =>
            {
                status
            }
            _ => self.asked.status(answer.message()),
        }
    }

    /// The next message for the client; `None` when all has been delivered.
    pub async fn next(&mut self) -> Option<Delivery> {
        loop {
            match self.step().await? {
                Step::Delivered(delivery) => return Some(delivery),
                Step::KeptBack => {}
            }
        }
    }

    /// What becomes of the next message of the server's; `None` when all has been delivered.
    pub(crate) async fn step(&mut self) -> Option<Step> {
        if self.finished {
            return None;
        }
        let delivery = {
            let reply = match &mut self.patience {
                Some(patience) => {
                    let since = patience.since();
                    patience.wait(self.replies.next(), || self.link.unanswered.is_asking(since)).await
                }
                None => self.replies.next().await,
            };
            match reply {
                Ok(Some(Reply::Message(message, event))) => self.deliver(message, event).await,
                Ok(Some(Reply::Mark { id, retry })) => {
                    self.note_event(id.as_deref());
                    let id = match &self.tag {
                        Some(tag) => tag.event(id),
                        None => id,
                    };
                    Some(Delivery::Mark(id, retry))
                }
                Ok(Some(Reply::Unreadable(bytes, rejection))) => {
                    let refusal = self.link.unreadable(Direction::ToClient, &bytes, &rejection);
                    self.finish_with(&refusal.after(Ran::unless_read(self.call.as_ref())))
                }
                Ok(None) => {
                    self.link.upstream.last_words().await;
                    return self.end(None).map(Step::Delivered);
                }
                Err(error) => return self.end(Some(error)).map(Step::Delivered),
            }
        };
        Some(delivery.map_or(Step::KeptBack, Step::Delivered))
    }

    /// Lets one of the server's messages through to the client, or says why not.
    async fn deliver(&mut self, message: Message, event: Option<String>) -> Option<Delivery> {
        self.note_event(event.as_deref());
        let kind = message.kind();
        let id = message.id().cloned();
        let answers = match self.server_answers(&message) {
            Ok(answers) => answers,
            // Not what anybody asked for: recorded, and the wait goes on.
            Err(_refusal) => return None,
        };
        if let Some(why) = self.tag.as_ref().and_then(|tag| tag.foreign(&message)) {
            let problem = ("gateway.not_its_own", why.to_owned());
            self.link.protest(&message, Direction::ToClient, None, problem, CODE_DENIED);
            return None;
        }
        let is_answer = message.is_response() && self.call.is_some();
        match self.link.pass(message, Direction::ToClient, answers.as_ref()).await {
            Ok(admitted) => {
                if is_answer {
                    // Whoever has its answer may ask again at once.
                    self.finished = true;
                    self.slot = None;
                }
                Some(match &self.tag {
                    Some(tag) => tag.message(admitted, event),
                    None => Delivery::Message(admitted, event),
                })
            }
            Err(refusal) if kind == Kind::Request => {
                if let Some(id) = id {
                    self.link.decline(&id, &refusal).await;
                }
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
                match call.map(|call| self.link.unanswered.remember_asking(call)) {
                    Some(Err(why)) => {
                        let problem = ("conformance.duplicate_id", why.to_owned());
                        Err(self.link.protest(message, Direction::ToClient, None, problem, CODE_DENIED))
                    }
                    _ => Ok(None),
                }
            }
            (Kind::Result | Kind::Error, Some(id)) => match &self.call {
                Some(call) if call.id == *id => Ok(Some(call.clone())),
                Some(_) => Err(protest("the response's id is not the request's")),
                None => {
                    match self.link.unanswered.resumable(id).filter(|_| self.resumes && !self.answered.contains(id)) {
                        Some(call) => {
                            self.answered.push(id.clone());
                            Ok(Some(call))
                        }
                        None => Err(protest("the response answers no request that is waiting")),
                    }
                }
            },
            // An error without an id answers what was sent, if anything was.
            (Kind::Error, None) => Ok(self.call.clone()),
            _ => Ok(None),
        }
    }

    /// A place to resume from: from then on the answer may come on another stream, too, as only the client knows what
    /// of this one has reached it. The stateless era has no such thing.
    fn note_event(&mut self, id: Option<&str>) {
        if let Some(id) = id {
            self.link.note_event(id);
        }
        if id.is_none() || self.resumable || self.asked != Asked::Legacy {
            return;
        }
        self.resumable = true;
        if let Some(call) = &self.call {
            self.link.unanswered.note_resumable(call.clone());
        }
    }

    fn finish_with(&mut self, refusal: &Refusal) -> Option<Delivery> {
        let call = self.call.as_ref()?;
        self.finished = true;
        self.slot = None;
        Some(answer(refusal, call))
    }

    /// The server sends no more. If the client still waits it is told, unless it can resume.
    fn end(&mut self, error: Option<UpstreamError>) -> Option<Delivery> {
        self.finished = true;
        self.place = None;
        self.slot = None;
        let call = self.call.take()?;
        let cancelled = self
            .patience
            .as_ref()
            .is_some_and(|patience| self.link.unanswered.was_cancelled(&call.id, patience.since()));
        // The server goes on, and may work on it still.
        let given_up = matches!(error, Some(UpstreamError::TimedOut(_) | UpstreamError::Over));
        if given_up
            && let Some(id) = self.link.upstream.forget(&self.replies)
            && !cancelled
        {
            self.link.cancel(&id);
        }
        // What was cancelled is not answered any more (specification, "Cancellation"). A client that then ends its
        // session would get that answer while it takes itself down.
        if cancelled {
            return None;
        }
        // Only a stream that ended can be resumed; one that was given up would be given up again.
        if self.resumable && matches!(error, None | Some(UpstreamError::BrokenOff(_))) {
            return None;
        }
        let error = error.unwrap_or_else(|| self.link.upstream.ended_error());
        Some(answer(&self.link.failed(Some(&call), &error), &call))
    }
}

/// A place among the requests that wait for the server; what has no end by design or needs no answer takes none.
fn place(link: &Link, call: Option<&CallSummary>, asked: Asked) -> Result<Option<Place>, Failure> {
    // In a session it goes on when its client has gone, so there it is a request like any other.
    let endless = |call: &CallSummary| asked != Asked::Legacy && &*call.method == method::SUBSCRIPTIONS_LISTEN;
    let Some(call) = call.filter(|call| !endless(call)) else { return Ok(None) };
    match link.server.places.take(&link.name) {
        Some(place) => Ok(Some(place)),
        None => Err(Failure::upstream(link, Some(call), &UpstreamError::Busy)),
    }
}

/// What the client's response answers.
fn client_answers(link: &Link, message: &Message) -> Result<CallSummary, Refusal> {
    let call = message.id().and_then(|id| link.unanswered.take_asking(id));
    call.ok_or_else(|| {
        let problem = ("conformance.unsolicited", "the response answers no request that is waiting".to_owned());
        link.protest(message, Direction::ToServer, None, problem, -32600)
    })
}

fn answer(refusal: &Refusal, call: &CallSummary) -> Delivery {
    Delivery::Message(refusal.answer(Some(&call.id), Some(call)), None)
}

impl Failure {
    fn of(refusal: &Refusal, call: Option<&CallSummary>) -> Self {
        let answer = call.map(|call| refusal.answer(Some(&call.id), Some(call)));
        let said = call.is_none().then(|| refusal.sentence());
        Failure { answer, said, ..Failure::default() }
    }

    fn upstream(link: &Link, call: Option<&CallSummary>, error: &UpstreamError) -> Self {
        let refusal = link.failed(call, error);
        let session_gone = *error == UpstreamError::SessionGone;
        Failure { session_gone, ..Failure::of(&refusal, call) }
    }
}

impl Drop for Exchange {
    /// A client that has gone needs no answer; a child process would keep a place for it.
    fn drop(&mut self) {
        let upstream = &self.link.upstream;
        match (&self.call, self.asked) {
            _ if self.finished => {}
            (None, _) => upstream.return_stream(std::mem::replace(&mut self.replies, Replies::None)),
            (Some(_), asked) => {
                // In this era, to go is to cancel; before it, the work goes on.
                if let (Some(id), Asked::Stateless { .. }) = (upstream.forget(&self.replies), asked) {
                    self.link.cancel(&id);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bartizan_guard::Principal;
    use bartizan_mcp::Limits;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::admit::About;

    fn message(text: &str) -> Message {
        Message::parse(text.to_owned(), &Limits::default()).unwrap()
    }

    /// A link to a server at this address.
    async fn link(home: &std::path::Path, address: std::net::SocketAddr) -> Arc<Link> {
        let (file, lock) = (home.join("bartizan.toml"), home.join("mcp.lock"));
        let text = format!(
            "[server.one]\nurl = \"http://{address}/mcp\"\n[audit]\ndirectory = {home:?}\nencrypt = false\n[lock]\npath = {lock:?}\n"
        );
        std::fs::write(&file, text).unwrap();
        let (config, _) = bartizan_config::Config::load(&file).unwrap();
        let gateway = crate::setup::gateway(&config).unwrap();
        let servers = crate::setup::servers(&config, &gateway, home).unwrap();
        let link =
            Link::connect(&gateway, &servers["one"], &Principal::new("somebody"), "s".to_owned(), About::default())
                .await;
        Arc::new(link.ok().unwrap())
    }

    const QUESTION: &str = r#"{"jsonrpc":"2.0","id":"q","method":"sampling/createMessage","params":{}}"#;

    #[tokio::test]
    async fn an_answer_reaches_the_server_although_its_client_leaves() {
        // Large enough that its judging waits for a place, of which there is none for now.
        let large = format!(r#"{{"jsonrpc":"2.0","id":"q","result":{{"text":"{}"}}}}"#, "x".repeat(100_000));
        for leaves in [false, true] {
            let home = tempfile::tempdir().unwrap();
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let link = link(home.path(), listener.local_addr().unwrap()).await;
            link.unanswered.remember_asking(CallSummary::of(&message(QUESTION)).unwrap()).unwrap();
            let places = u32::try_from(link.gateway.turns.heavy.available_permits()).unwrap();
            let taken = link.gateway.turns.heavy.acquire_many(places).await.unwrap();
            let relay = Relay::default();
            let mut begun = Box::pin(begin(&link, message(&large), &relay));
            assert!(tokio::time::timeout(Duration::from_millis(50), &mut begun).await.is_err());
            let begun = (!leaves).then_some(begun);
            drop(taken);
            let heard = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut got = Vec::new();
                while !String::from_utf8_lossy(&got).contains(r#""id":"q""#) {
                    assert_ne!(stream.read_buf(&mut got).await.unwrap(), 0);
                }
                stream
                    .write_all(b"HTTP/1.1 202 Accepted\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
                    .await
                    .unwrap();
                // Read to its end, as the sender is not done before.
                stream.read_to_end(&mut got).await.ok();
            };
            let answered = async {
                if let Some(begun) = begun {
                    assert!(begun.await.is_ok());
                }
            };
            let both = tokio::time::timeout(Duration::from_secs(60), futures_util::future::join(heard, answered));
            both.await.expect("the server never got the answer");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_the_server_asked_meanwhile_excuses_its_silence() {
        let home = tempfile::tempdir().unwrap();
        let link = link(home.path(), ([127, 0, 0, 1], 9).into()).await;
        let before = Instant::now();
        assert!(!link.unanswered.is_asking(before));
        link.unanswered.remember_asking(CallSummary::of(&message(QUESTION)).unwrap()).unwrap();
        assert!(link.unanswered.is_asking(before));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!link.unanswered.is_asking(Instant::now()), "a question of before is no reason to wait");
        link.unanswered.take_asking(&Id::from("q")).unwrap();
        assert!(!link.unanswered.is_asking(before));
    }
}
