//! One request of the client's, with as many rounds of questions as the server needs.
//!
//! A conversation runs in a task of its own, and what it says is kept for a client that comes back: to a legacy client,
//! a connection that breaks off is no cancellation. What cancels is `notifications/cancelled` or the end of the session.

use std::sync::Arc;
use std::time::Duration;

use bartizan_guard::CallSummary;
use bartizan_mcp::{Id, Kind, Limits, Message, Value, method};
use futures_util::future::join_all;
use futures_util::{Stream, stream};
use tokio::sync::mpsc;

use super::Up;
use super::answer::{self, Outcome};
use super::client;
use super::questions::Question;
use crate::admit::{self, Admitted};
use crate::answer::Delivery;
use crate::bridge::kept;
use crate::exchange;
use crate::upstream::UpstreamError;

/// How often a server may ask before it answers.
const ROUNDS: usize = 16;
/// How many things it may ask at once.
const QUESTIONS: usize = 32;
/// How long a person may take to answer.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// How long to wait before a request is repeated for which nothing was asked.
const PAUSE: Duration = Duration::from_millis(200);
/// Messages that wait for the client to read; beyond that the server has to wait.
const QUEUE: usize = 64;

/// A request under way.
pub(super) struct Conversation {
    up: Arc<Up>,
    /// The client's own id.
    id: Id,
    call: Option<CallSummary>,
    /// The request as the server sees it.
    request: Message,
    client: mpsc::Sender<Admitted>,
}

/// Why a conversation ends without an answer of the server's: with one of the gateway's, or with none.
type Ended = Option<Admitted>;

impl Conversation {
    /// Starts one, which says what [`coming`] yields.
    pub(super) fn begin(
        up: &Arc<Up>,
        id: Id,
        request: Message,
    ) -> (impl Future<Output = ()> + Send + use<>, mpsc::Receiver<Admitted>) {
        let (client, steps) = mpsc::channel(QUEUE);
        let call = CallSummary::of(&request).map(|call| CallSummary { id: id.clone(), ..call });
        let conversation = Conversation { up: Arc::clone(up), id, call, request, client };
        (conversation.run(), steps)
    }

    async fn run(self) {
        if let Some(answer) = self.answered().await {
            self.client.send(answer).await.ok();
        }
    }

    /// The answer under the client's id; `None` if there is nobody to tell.
    async fn answered(&self) -> Option<Admitted> {
        let mut request = self.request.clone();
        let mut missed_a_header = false;
        for _ in 0..ROUNDS {
            let response = self.round(request).await?;
            let next = match answer::outcome(response.message()) {
                Outcome::Questions => self.asked(response.message()).await,
                // A definition that the session has not seen may ask for headers, and nothing has been done yet.
                Outcome::HeaderMismatch if !missed_a_header && self.request.method() == Some(method::TOOLS_CALL) => {
                    missed_a_header = true;
                    self.up.learn_tools().await;
                    self.again(None, None)
                }
                Outcome::Answer | Outcome::HeaderMismatch => return Some(self.clients(response)),
                Outcome::Unknown(kind) => {
                    let why = format!("the server answers with {kind}, which this client does not know");
                    return Some(self.failed("bridge.result_type", &why));
                }
            };
            match next {
                Ok(again) => request = again,
                Err(ended) => return ended,
            }
        }
        Some(self.failed("bridge.rounds", &format!("the server has asked {ROUNDS} times and not answered")))
    }

    /// Sends the request once and waits for its response; what else comes goes to the client.
    async fn round(&self, request: Message) -> Ended {
        let relay = super::relay(&self.up.link, &request);
        let mut exchange = match exchange::begin(&self.up.link, request, &relay).await {
            Ok(exchange) => exchange,
            Err(failure) => return failure.answer,
        };
        while let Some(delivery) = exchange.next().await {
            match delivery {
                Delivery::Message(response, _) if exchange.is_finished() => return Some(response),
                // Whether or not the client still reads, the work goes on.
                Delivery::Message(message, _) => drop(self.client.send(message).await),
                // A place to resume from is of no use: the client's stream is another one.
                Delivery::Mark(..) => {}
            }
        }
        let error = UpstreamError::BrokenOff("it ended without a response".to_owned());
        Some(self.up.link.failed(self.call.as_ref(), &error).answer(Some(&self.id), self.call.as_ref()))
    }

    /// Asks the client what the server wants to know; the request to send next.
    async fn asked(&self, response: &Message) -> Result<Message, Ended> {
        let Some(result) = response.result() else { return Err(None) };
        let state = result.get("requestState").map(Value::raw);
        let wanted: Vec<_> = result.get("inputRequests").into_iter().flat_map(Value::members).collect();
        if wanted.is_empty() {
            tokio::time::sleep(PAUSE).await;
            return self.again(None, state);
        }
        if wanted.len() > QUESTIONS {
            let why = format!("the server asks {} things at once", wanted.len());
            return Err(Some(self.failed("bridge.questions", &why)));
        }
        for (_, request) in &wanted {
            if !self.up.client().is_some_and(|client| client.can_answer(*request)) {
                let why =
                    format!("the server asks for {}, which this client has not said it can answer", named(*request));
                return Err(Some(self.failed("bridge.capability", &why)));
            }
        }
        let Some(_until_answered) = self.up.kept.take(response) else {
            return Err(Some(self.failed(kept::FULL.0, kept::FULL.1)));
        };
        let mut open = Vec::with_capacity(wanted.len());
        for (_, request) in &wanted {
            open.push(self.ask(*request).await?);
        }
        let answers = tokio::time::timeout(PATIENCE, join_all(open.iter_mut().map(Question::answered))).await;
        let Ok(answers) = answers else {
            self.withdraw(&open).await;
            return Err(Some(self.failed("bridge.unanswered", "the client did not answer what the server asks")));
        };
        let mut responses = Vec::with_capacity(wanted.len());
        for ((key, request), answer) in wanted.iter().zip(answers) {
            let Some(answer) = answer else { return Err(None) };
            match (answer.kind(), answer.result()) {
                (Kind::Result, Some(result)) => responses.push((key.raw().to_owned(), result.raw().to_owned())),
                _ => return Err(Some(self.declined(*request, &answer))),
            }
        }
        self.again(Some(&client::object(responses)), state)
    }

    /// Puts one question to the client.
    async fn ask(&self, request: Value<'_>) -> Result<Question, Ended> {
        let link = &self.up.link;
        let question = self.up.questions.open(&self.up.make_up());
        let Some(json) = answer::question(&question.id.to_string(), request, &self.limits()) else {
            return Err(Some(self.failed("bridge.question", "the server asks something that is no request")));
        };
        match admit::own(&link.gateway.recorder, &link.server.name, &link.name, json) {
            Ok(own) => {
                let sent = self.client.send(own).await;
                // Without a session nobody can answer.
                sent.map(|()| question).map_err(|_| None)
            }
            Err(refusal) => Err(Some(self.clients(refusal.answer(Some(&self.id), self.call.as_ref())))),
        }
    }

    /// Tells the client that its answers are not waited for any more.
    async fn withdraw(&self, open: &[Question]) {
        let link = &self.up.link;
        for question in open {
            let id = question.id.to_json();
            let json =
                format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#);
            if let Ok(own) = admit::own(&link.gateway.recorder, &link.server.name, &link.name, json) {
                self.client.send(own).await.ok();
            }
        }
    }

    /// The same request under a new id.
    fn again(&self, responses: Option<&str>, state: Option<&str>) -> Result<Message, Ended> {
        client::again(&self.request, &self.up.make_up(), responses, state, &self.limits()).map_err(|_too_large| {
            Some(self.failed("bridge.too_large", "the request with the client's answers is larger than the limit"))
        })
    }

    fn declined(&self, request: Value<'_>, answer: &Message) -> Admitted {
        let method = request.get("method").map(|method| method.text().into_owned()).unwrap_or_default();
        let said = answer.error().and_then(|error| error.get("message")).map(Value::text).unwrap_or_default();
        let quoted = format!("the client answers {method} with an error: {}", bartizan_guard::excerpt(&said));
        let length = format!("the client answers {method} with an error of {} bytes", said.len());
        self.failed_saying("bridge.declined", (&length, &quoted))
    }

    fn failed(&self, rule: &'static str, why: &str) -> Admitted {
        self.failed_saying(rule, (why, why))
    }

    /// The same where a reason quotes what was said; the log does that only if the operator wants it.
    fn failed_saying(&self, rule: &'static str, (why, quoting): (&str, &str)) -> Admitted {
        let link = &self.up.link;
        let recorder = &link.gateway.recorder;
        link.gateway.metrics.failed(&link.server.name, rule);
        let of = |why: &str| format!("{}: {why}", link.server.name);
        let recorded = (rule, of(if recorder.quotes() { quoting } else { why }));
        let refusal = admit::failed(recorder, &link.server.name, &link.name, self.call.as_ref().into(), recorded);
        let refusal = refusal.saying(of(quoting));
        self.clients(refusal.answer(Some(&self.id), self.call.as_ref()))
    }

    fn clients(&self, response: Admitted) -> Admitted {
        let edits = answer::response(response.message(), &self.id);
        if edits.is_empty() { response } else { response.rewritten(&edits) }
    }

    fn limits(&self) -> Limits {
        self.up.limits()
    }
}

/// What a question asks for; the client reads it as the gateway's words, so none of the server's own are in it.
fn named(question: Value<'_>) -> &'static str {
    let known = [method::ROOTS_LIST, method::SAMPLING_CREATE_MESSAGE, method::ELICITATION_CREATE];
    let asked = question.get("method").and_then(Value::as_str).unwrap_or_default();
    known.into_iter().find(|known| *known == asked).unwrap_or("something")
}

/// What a conversation says, and whether it is the last of it.
pub(super) fn coming(said: mpsc::Receiver<Admitted>) -> impl Stream<Item = (Delivery, bool)> + Send + 'static {
    stream::unfold(said, |mut said| async move {
        let message = said.recv().await?;
        let last = message.message().is_response();
        Some(((Delivery::Message(message, None), last), said))
    })
}
