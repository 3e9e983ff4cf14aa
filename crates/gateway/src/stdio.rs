//! A client over stdio with a server of its own: two pumps that keep the order, one each way.
//!
//! Each message goes through the same [`Link::pass`] as everywhere; see [`crate::exchange`] for the HTTP form.

use std::sync::Arc;

use bartizan_guard::{CallSummary, Direction};
use bartizan_mcp::{Kind, Limits, Message};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::admit::{Admitted, CODE_DENIED, Refusal};
use crate::link::Link;
use crate::upstream::lines::{self, Lines};
use crate::upstream::{Relay, Replies, Reply, Upstream, UpstreamError};

/// Messages that wait for the client to read; beyond that the server has to wait.
const QUEUE: usize = 64;

/// How long a server may go on answering after the client has closed its side.
const FAREWELL: std::time::Duration = std::time::Duration::from_secs(5);

/// Why the conversation is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The client closed its side.
    ByClient,
    /// The server ended.
    ByServer,
}

/// Carries messages both ways until one side ends. The link's upstream must be a child with ordered routing.
pub async fn serve(
    link: Arc<Link>,
    input: impl AsyncRead + Unpin + Send + 'static,
    output: impl AsyncWrite + Unpin + Send + 'static,
    limits: Limits,
) -> Ended {
    let (queue, outgoing) = mpsc::channel(QUEUE);
    let writer = tokio::spawn(write_all(output, outgoing));
    let Ok(from_server) = link.upstream.listen(&Relay::default()).await else { return Ended::ByServer };
    let client = pump_client(&link, Lines::new(input, limits.bytes), limits, queue.clone());
    let mut server = std::pin::pin!(pump_server(&link, from_server, queue.clone()));
    let ended = tokio::select! {
        () = client => Ended::ByClient,
        () = &mut server => Ended::ByServer,
    };
    if ended == Ended::ByClient
        && let Upstream::Stdio(child) = &link.upstream
    {
        // A client may close its side right after a request; the answer is still on its way.
        child.close_input();
        tokio::time::timeout(FAREWELL, server).await.ok();
    }
    if ended == Ended::ByServer {
        report_death(&link, &queue).await;
    }
    drop(queue);
    // What was admitted is delivered before the end; a client that does not read is the caller's to give up on.
    writer.await.ok();
    ended
}

async fn pump_client<R: AsyncRead + Unpin>(link: &Link, mut input: Lines<R>, limits: Limits, queue: mpsc::Sender<Admitted>) {
    while let Ok(Some(line)) = input.next().await {
        let answer = match lines::read(line, &limits) {
            Reply::Message(message, _) => from_client(link, message).await,
            Reply::Unreadable(bytes, rejection) => {
                Some(link.unreadable(Direction::ToServer, &bytes, &rejection).answer(None, None))
            }
            Reply::Mark { .. } => None,
        };
        if let Some(answer) = answer
            && queue.send(answer).await.is_err()
        {
            return;
        }
    }
}

/// Passes a client's message on; returns what the client is to be told instead of the server's answer.
async fn from_client(link: &Link, message: Message) -> Option<Admitted> {
    let call = CallSummary::of(&message);
    let protest = |rule, why: &str| {
        link.protest(&message, Direction::ToServer, None, (rule, why.to_owned()), CODE_DENIED);
    };
    let mut answers = None;
    match (message.kind(), message.id()) {
        (Kind::Request, _) => {
            if let Some(Err(why)) = call.clone().map(|call| link.remember_asked(call)) {
                // No answer: the client could not tell which of the two requests it is for.
                protest("conformance.duplicate_id", why);
                return None;
            }
        }
        (Kind::Result | Kind::Error, id) => {
            answers = id.and_then(|id| link.take_asking(id));
            if answers.is_none() {
                protest("conformance.unsolicited", "the response answers no request that is waiting");
                return None;
            }
        }
        (Kind::Notification, _) => {}
    }
    let refusal = match link.pass(message, Direction::ToServer, answers.as_ref()).await {
        Ok(admitted) => match link.upstream.send(&admitted, &Relay::default()).await {
            Ok(_) => return None,
            Err(error) => link.failed(call.as_ref(), &error),
        },
        Err(refusal) => {
            if let Some(asked) = &answers {
                // The server waits for what was refused.
                let answer = refusal.answer(Some(&asked.id), None);
                link.upstream.send(&answer, &Relay::default()).await.ok();
            }
            refusal
        }
    };
    let call = link.take_asked(&call?.id)?;
    Some(refusal.answer(Some(&call.id), Some(&call.method)))
}

async fn pump_server(link: &Link, mut replies: Replies, queue: mpsc::Sender<Admitted>) {
    while let Ok(Some(reply)) = replies.next().await {
        let delivery = match reply {
            Reply::Message(message, _) => from_server(link, message).await,
            Reply::Unreadable(bytes, rejection) => {
                let refusal = link.unreadable(Direction::ToClient, &bytes, &rejection);
                link.claim_asked(&bytes).map(|call| refusal.answer(Some(&call.id), Some(&call.method)))
            }
            Reply::Mark { .. } => None,
        };
        if let Some(message) = delivery
            && queue.send(message).await.is_err()
        {
            return;
        }
    }
}

/// Passes a server's message on, or puts the reason in its place.
async fn from_server(link: &Link, message: Message) -> Option<Admitted> {
    let protest = |why: &str| {
        let problem = ("conformance.unsolicited", why.to_owned());
        link.protest(&message, Direction::ToClient, None, problem, CODE_DENIED);
    };
    let mut answers = None;
    let request = (message.kind() == Kind::Request).then(|| message.id().cloned()).flatten();
    match (message.kind(), message.id()) {
        (Kind::Request, _) => {
            if let Some(Err(why)) = CallSummary::of(&message).map(|call| link.remember_asking(call)) {
                protest(why);
                return None;
            }
        }
        (Kind::Result | Kind::Error, Some(id)) => {
            answers = link.take_asked(id);
            if answers.is_none() {
                protest("the response answers no request that is waiting");
                return None;
            }
        }
        // An error without an id says that something could not be read.
        _ => {}
    }
    match link.pass(message, Direction::ToClient, answers.as_ref()).await {
        Ok(admitted) => Some(admitted),
        Err(refusal) => instead(link, &refusal, answers, request).await,
    }
}

async fn instead(
    link: &Link,
    refusal: &Refusal,
    answers: Option<CallSummary>,
    request: Option<bartizan_mcp::Id>,
) -> Option<Admitted> {
    if let Some(id) = request {
        link.take_asking(&id);
        link.upstream.send(&refusal.answer(Some(&id), None), &Relay::default()).await.ok();
    }
    answers.map(|call| refusal.answer(Some(&call.id), Some(&call.method)))
}

/// Tells the client about each request that will not be answered any more, with the server's last words.
async fn report_death(link: &Link, queue: &mpsc::Sender<Admitted>) {
    let error = match &link.upstream {
        Upstream::Stdio(child) => {
            child.ended().await;
            child.ended_error()
        }
        Upstream::Http(_) => UpstreamError::Ended(String::new()),
    };
    for call in link.take_all_asked() {
        let refusal = link.failed(Some(&call), &error);
        if queue.send(refusal.answer(Some(&call.id), Some(&call.method))).await.is_err() {
            return;
        }
    }
}

async fn write_all(mut output: impl AsyncWrite + Unpin, mut queue: mpsc::Receiver<Admitted>) {
    while let Some(message) = queue.recv().await {
        if output.write_all(&lines::write(message.bytes())).await.is_err() {
            return;
        }
        while let Ok(more) = queue.try_recv() {
            if output.write_all(&lines::write(more.bytes())).await.is_err() {
                return;
            }
        }
        if output.flush().await.is_err() {
            return;
        }
    }
}
