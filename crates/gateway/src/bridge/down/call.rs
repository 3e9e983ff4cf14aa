//! One request of a stateless client on a legacy session, from its first id to its last.
//!
//! A legacy server asks its questions (elicitation, sampling, roots) in the middle of a call and waits. The client of
//! the stateless era gets them as the result of its request, and asks again with the answers under a new id. So a call
//! outlives its requests: it runs in a task of its own, with a client attached or, while it waits for answers, with
//! none. Nobody waiting any more, whether gone or too slow, cancels it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bartizan_guard::CallSummary;
use bartizan_mcp::{Digest, Id, Kind, Message, Value, meta::Meta, method};
use futures_util::StreamExt;
use http::HeaderValue;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::coming::{Came, Coming, begin};
use super::ready::Ready;
use super::{Down, translate};
use crate::admit::{self, Admitted, Refusal};
use crate::answer::{Deliveries, Delivery};
use crate::bridge::kept::{self, Share};
use crate::converse::deliveries;
use crate::exchange;
use crate::relay::Relay;
use crate::shown;
use crate::upstream::UpstreamError;

/// How long a call waits for the client to answer questions, if it may take that long in all.
const HELD: Duration = Duration::from_secs(5 * 60);
/// How long before its exchange would be given up a waiting call is, so that the server is told.
const MARGIN: Duration = Duration::from_secs(1);
/// Messages kept for a client that is not attached.
const BACKLOG: usize = 64;
/// Questions of one call that may be open at once.
const QUESTIONS: usize = 16;
/// How often a stream that breaks off is resumed.
const RESUMPTIONS: usize = 100;

/// A request of the client's that waits for this call.
pub(super) struct Waiting {
    pub(super) id: Id,
    pub(super) steps: mpsc::Sender<Step>,
}

/// What the client gets.
pub(super) enum Step {
    /// Something in between.
    Message(Admitted),
    /// The answer.
    Last(Admitted),
    /// The server does not know the session any more, and nothing has happened yet.
    Gone,
}

/// What reaches a call from elsewhere than its exchange.
pub(super) enum Signal {
    /// The server sent it on its own account, and it may be this call's.
    Unasked(Admitted),
    /// The client answers questions.
    Answered(Waiting, Vec<(String, String)>),
}

/// A question of the server's.
struct Question {
    id: Id,
    key: String,
    message: Admitted,
    /// It came on the stream of this call; otherwise it may as well be another call's.
    own: bool,
    room: Share,
}

pub(super) struct Call {
    down: Arc<Down>,
    ready: Arc<Ready>,
    /// The client's request as it came first; its gist, once the client was asked.
    request: Arc<Message>,
    /// What a retry has to ask, once the client was asked.
    essence: Option<Digest>,
    /// The id under which the server knows it.
    id: Id,
    client: Option<Waiting>,
    /// When it is given up, while there is no client; and when at the latest.
    until: Instant,
    ends: Instant,
    questions: Vec<Question>,
    asked: usize,
    backlog: VecDeque<(Admitted, Share)>,
    /// The answer, if it came while no client was attached.
    answer: Option<(Admitted, Option<Share>)>,
    /// Where the stream can be resumed, and after how long.
    resume: Option<(HeaderValue, Duration)>,
    resumed: usize,
}

/// Whether to go on.
type Flow = std::ops::ControlFlow<()>;
const ON: Flow = Flow::Continue(());
const END: Flow = Flow::Break(());

impl Call {
    /// Starts a call for `client`; it goes on by itself.
    pub(super) fn start(down: Arc<Down>, ready: Arc<Ready>, request: Arc<Message>, outward: Message, client: Waiting) {
        let Some(id) = outward.id().cloned() else { return };
        let signals = down.calls.open(&id, &request);
        let ends = Instant::now() + down.server.longest.saturating_sub(MARGIN);
        let call = Call {
            down,
            ready,
            request,
            essence: None,
            id,
            client: Some(client),
            until: ends,
            ends,
            questions: Vec::new(),
            asked: 0,
            backlog: VecDeque::new(),
            answer: None,
            resume: None,
            resumed: 0,
        };
        // What is held until somebody agrees passes only if what it came with is still good.
        tokio::spawn(shown::carried(shown::current(), call.run(outward, signals)));
    }

    async fn run(mut self, outward: Message, mut signals: mpsc::Receiver<Signal>) {
        let mut coming = begin(Arc::clone(&self.ready), outward);
        let mut over = false;
        loop {
            let steps = self.client.as_ref().map(|client| client.steps.clone());
            let left = async {
                match &steps {
                    Some(steps) => steps.closed().await,
                    None => tokio::time::sleep_until(self.until).await,
                }
            };
            let flow = tokio::select! {
                came = coming.next(), if !over => match came {
                    Some(Came::Delivery(delivery)) => self.came(delivery, true).await,
                    Some(Came::Gone) => self.send(Step::Gone).await,
                    None => match self.resumption() {
                        Some(again) => { coming = again; ON }
                        None if self.answer.is_some() => { over = true; ON }
                        None => self.broke_off().await,
                    },
                },
                signal = signals.recv() => match signal {
                    Some(Signal::Unasked(message)) => self.came(Delivery::Message(message, None), false).await,
                    Some(Signal::Answered(client, answers)) => self.answered(client, answers).await,
                    // The session is being ended.
                    None => END,
                },
                () = left => { self.give_up().await; END }
            };
            if flow == END {
                break;
            }
        }
        self.down.calls.close(&self.id);
        self.leave_behind(signals).await;
    }

    /// What was put to this call may be another one's, which is still there; what is its own has no answer any more.
    async fn leave_behind(&mut self, mut signals: mpsc::Receiver<Signal>) {
        for Question { id, message, own, room, .. } in std::mem::take(&mut self.questions) {
            // Whoever has it next takes room for it again.
            drop(room);
            if own {
                self.ready.decline(&id, -32603, "nobody answers any more").await;
            } else {
                super::watch::unasked(&self.down, &self.ready, message).await;
            }
        }
        signals.close();
        while let Some(signal) = signals.recv().await {
            if let Signal::Unasked(message) = signal {
                super::watch::unasked(&self.down, &self.ready, message).await;
            }
        }
    }

    async fn came(&mut self, delivery: Delivery, own: bool) -> Flow {
        match delivery {
            Delivery::Mark(event, retry) => {
                self.note_place(event, retry);
                ON
            }
            Delivery::Message(message, event) => {
                self.note_place(event, None);
                match message.message().kind() {
                    Kind::Request => self.question(message, own).await,
                    Kind::Notification => self.notification(message).await,
                    _ => self.response(message).await,
                }
            }
        }
    }

    async fn response(&mut self, message: Admitted) -> Flow {
        let asked = self.request.method().unwrap_or_default();
        if message.message().id().is_some_and(|id| *id != self.id) {
            return ON;
        }
        match &self.client {
            Some(client) => {
                let edits = translate::completed(message.message(), asked, &client.id, self.ready.server_info());
                let _ = self.send(Step::Last(message.rewritten(&edits))).await;
                END
            }
            None => {
                let call = self.summary();
                self.answer = Some(match self.down.kept.take(message.message()) {
                    Some(room) => (message, Some(room)),
                    None => (self.too_much(call.as_ref()).answer(Some(&self.id), call.as_ref()), None),
                });
                ON
            }
        }
    }

    async fn notification(&mut self, message: Admitted) -> Flow {
        let inner = message.message();
        match inner.method().unwrap_or_default() {
            method::LOG_MESSAGE if !self.wants_log(inner) => ON,
            // These belong to subscriptions, on whichever stream they come.
            name if super::watch::is_change(name) => {
                self.down.watchers.publish(&message);
                ON
            }
            method::CANCELLED => {
                let id = inner.params().and_then(|params| params.get("requestId")).and_then(Id::read);
                if let Some(id) = id {
                    self.ready.link.unanswered.take_asking(&id);
                    self.questions.retain(|question| question.id != id);
                }
                ON
            }
            // The stateless era has no such messages.
            method::ELICITATION_COMPLETE | method::TASKS_STATUS | method::ROOTS_LIST_CHANGED => ON,
            _ if self.client.is_some() => self.send(Step::Message(message)).await,
            _ => {
                if self.backlog.len() < BACKLOG
                    && let Some(room) = self.down.kept.take(message.message())
                {
                    self.backlog.push_back((message, room));
                }
                ON
            }
        }
    }

    fn wants_log(&self, log: &Message) -> bool {
        let Some(wanted) = Meta::of(&self.request).log_level() else { return false };
        let level = log.params().and_then(|params| params.get("level")).map(Value::text).unwrap_or_default();
        translate::severity(&level) >= translate::severity(&wanted)
    }

    /// A request of the server's, which is put to the client if the client can be asked such things.
    async fn question(&mut self, message: Admitted, own: bool) -> Flow {
        let inner = message.message();
        let Some(id) = inner.id().cloned() else { return ON };
        if inner.method() == Some(method::PING) {
            self.ready.pong(&id).await;
            return ON;
        }
        if !translate::can_be_asked(&self.request, inner) {
            self.ready.decline(&id, -32601, "the client cannot be asked this here").await;
            return ON;
        }
        if self.questions.len() >= QUESTIONS {
            self.ready.decline(&id, -32603, "too many questions are open").await;
            return ON;
        }
        let Some(room) = self.down.kept.take(inner) else {
            self.too_much(CallSummary::of(inner).as_ref());
            self.ready.decline(&id, -32603, kept::FULL.1).await;
            return ON;
        };
        self.asked += 1;
        let key = format!("question-{}", self.asked);
        self.questions.push(Question { id, key, message, own, room });
        if self.client.is_some() { self.ask().await } else { ON }
    }

    /// Lets go of the body of the request, of which a client that takes its time could otherwise keep many.
    fn shrink(&mut self) -> Result<Digest, &'static str> {
        if let Some(essence) = self.essence {
            return Ok(essence);
        }
        let gist = translate::gist(&self.request, &self.down.limits());
        let gist = gist.ok_or("what the client says of itself is too large to be kept while it is asked")?;
        let essence = translate::essence(&self.request);
        self.request = Arc::new(gist);
        self.essence = Some(essence);
        Ok(essence)
    }

    /// Answers the client's request with the questions that are open, and lets it go.
    async fn ask(&mut self) -> Flow {
        let Some(client) = self.client.take() else { return ON };
        let held = self.shrink().and_then(|essence| self.down.calls.hold(&self.id, &self.request, essence));
        let asked = self.questions.iter();
        let asked = asked.map(|question| (question.key.clone(), translate::input_request(question.message.message())));
        let answer = match held {
            Ok(state) => self.down.own(translate::input_required(&client.id, &state, asked)),
            Err(why) => {
                let answer = self.down.error(&client.id, admit::CODE_OURS, why);
                client.steps.send(Step::Last(answer)).await.ok();
                self.ready.cancel(&self.id, why).await;
                return END;
            }
        };
        self.until = self.ends.min(Instant::now() + HELD);
        client.steps.send(Step::Last(answer)).await.ok();
        ON
    }

    /// The client asks again, with answers.
    async fn answered(&mut self, client: Waiting, answers: Vec<(String, String)>) -> Flow {
        self.client = Some(client);
        for (key, json) in answers {
            let Some(at) = self.questions.iter().position(|question| question.key == key) else { continue };
            let question = self.questions.swap_remove(at);
            self.pass_on(&question, &json).await;
        }
        while let Some((message, _room)) = self.backlog.pop_front() {
            if self.send(Step::Message(message)).await == END {
                return END;
            }
        }
        if !self.questions.is_empty() {
            return self.ask().await;
        }
        match self.answer.take() {
            Some((answer, _room)) => self.response(answer).await,
            None => ON,
        }
    }

    /// The client's answer goes to the server, under the server's own id, if it may go there.
    async fn pass_on(&self, question: &Question, json: &str) {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{json}}}"#, question.id.to_json());
        let limits = self.down.limits();
        let begun = match Message::parse(text, &limits) {
            Ok(response) => exchange::begin(&self.ready.link, response, &self.ready.relay()).await.map(drop).is_ok(),
            Err(_) => false,
        };
        if !begun {
            self.ready.decline(&question.id, admit::CODE_DENIED, "the client's answer was refused").await;
        }
    }

    /// The client went away, or did not come back in time.
    async fn give_up(&mut self) {
        let why = if self.client.is_some() { "the client has gone" } else { "the client did not answer in time" };
        if self.answer.is_none() {
            self.ready.cancel(&self.id, why).await;
        }
    }

    fn note_place(&mut self, event: Option<String>, retry: Option<u64>) {
        if let Some(retry) = retry {
            let wait = Duration::from_millis(retry.min(60_000));
            self.resume = self.resume.take().map(|(place, _)| (place, wait));
        }
        if let Some(place) = event.and_then(|event| HeaderValue::try_from(event).ok()) {
            let wait = retry.map_or_else(
                || self.resume.as_ref().map_or(Duration::from_secs(1), |(_, wait)| *wait),
                |retry| Duration::from_millis(retry.min(60_000)),
            );
            self.resume = Some((place, wait));
        }
    }

    /// The stream taken up again where it ended, if the server said where.
    fn resumption(&mut self) -> Option<Coming> {
        if self.answer.is_some() || self.resumed >= RESUMPTIONS {
            return None;
        }
        let (place, wait) = self.resume.clone()?;
        self.resumed += 1;
        let (ready, relay) = (Arc::clone(&self.ready), Relay { last_event_id: Some(place), ..self.ready.relay() });
        Some(Box::pin(
            futures_util::stream::once(async move {
                tokio::time::sleep(wait).await;
                match exchange::listen(&ready.link, &relay).await {
                    Ok(exchange) => deliveries(exchange),
                    // The next round tries again, a bounded number of times.
                    Err(_) => Box::pin(futures_util::stream::empty()) as Deliveries,
                }
            })
            .flatten()
            .map(Came::Delivery),
        ))
    }

    /// The server sends no more, and there is no answer.
    async fn broke_off(&mut self) -> Flow {
        let call = self.summary();
        let error = UpstreamError::BrokenOff("it ended without a response".to_owned());
        let refusal = self.ready.link.failed(call.as_ref(), &error);
        self.response(refusal.answer(Some(&self.id), call.as_ref())).await
    }

    /// Records that something of the server's would take too much to be kept; what to say instead.
    fn too_much(&self, call: Option<&CallSummary>) -> Refusal {
        let (link, (rule, why)) = (&self.ready.link, kept::FULL);
        link.gateway.metrics.failed(&link.server.name, rule);
        let why = (rule, format!("{}: {why}", link.server.name));
        admit::failed(&link.gateway.recorder, &link.server.name, &link.name, call.into(), why)
    }

    fn summary(&self) -> Option<CallSummary> {
        CallSummary::of(&self.request).map(|call| CallSummary { id: self.id.clone(), ..call })
    }

    async fn send(&self, step: Step) -> Flow {
        let last = !matches!(step, Step::Message(_));
        let Some(client) = &self.client else { return ON };
        // A client that has gone is noticed by the loop, which cancels.
        client.steps.send(step).await.ok();
        if last { END } else { ON }
    }
}
