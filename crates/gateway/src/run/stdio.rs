//! A client over stdio with a server of its own: two pumps that keep the order, one each way.
//!
//! Each message goes through the same [`Link::pass`] as everywhere; see [`crate::exchange`] for the HTTP form.

use std::sync::Arc;

use arc_swap::ArcSwap;
use bartizan_guard::{CallSummary, Direction};
use bartizan_mcp::{Id, Kind, Limits, Message};
use bartizan_sandbox::ExitStatus;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::restart::Restart;
use crate::admit::{Admitted, CODE_DENIED, Ran, Refusal};
use crate::learn::{self, Way};
use crate::link::{Link, Standing, TOO_MANY, cancelled};
use crate::problem::Problem;
use crate::relay::Relay;
use crate::upstream::lines::{self, Lines};
use crate::upstream::{Replies, Reply, Upstream};

/// Messages that wait for the client to read; beyond that the server has to wait.
pub(super) const QUEUE: usize = 64;

/// How long a server may go on answering after the client has closed its side.
pub(super) const FAREWELL: std::time::Duration = std::time::Duration::from_secs(5);

/// Why the conversation is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The client closed its side.
    ByClient,
    /// The server ended.
    ByServer,
}

/// Carries messages both ways until one side ends for good. The link's upstream must be a child with ordered routing;
/// if it crashes and is started again, `current` is then the link to the new one.
pub(super) async fn serve(
    current: &ArcSwap<Link>,
    input: Lines<impl AsyncRead + Unpin>,
    output: impl AsyncWrite + Unpin + Send + 'static,
    limits: Limits,
    restart: &Arc<Restart>,
) -> Ended {
    let (queue, outgoing) = mpsc::channel(QUEUE);
    let writer = tokio::spawn(write_all(output, outgoing));
    let ended = carry(current, input, limits, restart, &queue).await;
    drop(queue);
    delivered(writer, restart).await;
    ended
}

/// What was admitted is delivered before the end, unless the client neither reads it nor wants to wait.
pub(super) async fn delivered(mut writer: JoinHandle<()>, restart: &Restart) {
    let too_long = async {
        restart.stopped().await;
        tokio::time::sleep(FAREWELL).await;
    };
    tokio::select! {
        _ = &mut writer => {}
        () = too_long => writer.abort(),
    }
}

async fn carry<R: AsyncRead + Unpin>(
    current: &ArcSwap<Link>,
    input: Lines<R>,
    limits: Limits,
    restart: &Arc<Restart>,
    queue: &mpsc::Sender<Admitted>,
) -> Ended {
    let Ok(from_server) = current.load().upstream.listen(&Relay::default()).await else { return Ended::ByServer };
    let mut client = std::pin::pin!(pump_client(current, input, limits, restart, queue));
    let mut server = std::pin::pin!(pump_server(current.load_full(), from_server, restart, queue));
    loop {
        let ended = tokio::select! {
            () = &mut client => Ended::ByClient,
            () = &mut server => Ended::ByServer,
        };
        let link = current.load_full();
        if ended == Ended::ByClient {
            // A client may close its side right after a request; the answer is still on its way.
            if let Upstream::Stdio(child) = &link.upstream {
                child.close_input();
            }
            if tokio::time::timeout(FAREWELL, server).await.is_ok() {
                // It said all it had to say; what is unanswered then will not be answered.
                report_death(&link, queue).await;
            }
            return ended;
        }
        // While there is no server the client has to wait: it is not read from.
        let status = report_death(&link, queue).await;
        let Some(from_server) = restart.again(current, status, queue).await else { return ended };
        server.set(pump_server(current.load_full(), from_server, restart, queue));
    }
}

async fn pump_client<R: AsyncRead + Unpin>(
    current: &ArcSwap<Link>,
    mut input: Lines<R>,
    limits: Limits,
    restart: &Arc<Restart>,
    queue: &mpsc::Sender<Admitted>,
) {
    // They end with the client's side: nobody is left for whom something would be done once somebody agrees, and the server
    // is told nothing more.
    let mut held = JoinSet::new();
    while let Ok(Some(line)) = input.next().await {
        while held.try_join_next().is_some() {}
        let link = current.load_full();
        let answer = match lines::read(line, &limits) {
            Reply::Message(message, _) => from_client(&link, restart, message, (queue, &mut held)).await,
            Reply::Unreadable(bytes, rejection) => {
                let id = link.unanswered.asking_id(&bytes);
                Some(link.unreadable(Direction::ToServer, &bytes, &rejection).answer(id.as_ref(), None))
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
async fn from_client(
    link: &Arc<Link>,
    restart: &Arc<Restart>,
    message: Message,
    (queue, held): (&mpsc::Sender<Admitted>, &mut JoinSet<()>),
) -> Option<Admitted> {
    let call = CallSummary::of(&message);
    let protest =
        |rule, why: &str| link.protest(&message, Direction::ToServer, None, (rule, why.to_owned()), CODE_DENIED);
    let mut answers = None;
    let cancels = cancelled(&message);
    match (message.kind(), message.id()) {
        (Kind::Request, _) => {
            match call.clone().map(|call| link.unanswered.remember_asked(call)) {
                Some(Err(TOO_MANY)) => {
                    let refusal = protest("gateway.too_many_requests", TOO_MANY);
                    return call.map(|call| refusal.answer(Some(&call.id), Some(&call)));
                }
                Some(Err(why)) => {
                    // No answer: the client could not tell which of the two requests it is for.
                    protest("conformance.duplicate_id", why);
                    return None;
                }
                Some(Ok(())) | None => {}
            }
        }
        (Kind::Result | Kind::Error, id) => {
            answers = id.and_then(|id| link.unanswered.take_asking(id));
            if answers.is_none() {
                protest("conformance.unsolicited", "the response answers no request that is waiting");
                return None;
            }
        }
        (Kind::Notification, _) => {}
    }
    if let Some(Problem { rule, why, code }) = restart.of_two_eras(&message) {
        let refusal = link.protest(&message, Direction::ToServer, None, (rule, why), code);
        let call = link.unanswered.take_asked(&call?.id)?;
        return Some(refusal.answer(Some(&call.id), None));
    }
    restart.note_sent(&message);
    if let Some(id) = cancels {
        link.unanswered.note_cancelled(Direction::ToServer, id);
    }
    // Whatever the client says next waits as well, so that the order stays.
    learn::before(&message, Way::Stream(link)).await;
    let refusal = match link.pass(message.clone(), Direction::ToServer, answers.as_ref()).await {
        Ok(admitted) => match send(link, call.as_ref(), admitted).await {
            Ok(()) => return None,
            Err(refusal) => refusal,
        },
        Err(refusal) if holds(link, &refusal) => {
            held.spawn(hold(Arc::clone(link), Arc::clone(restart), (message, refusal), queue.clone()));
            return None;
        }
        Err(refusal) => {
            if let Some(asked) = &answers {
                // The server waits for what was refused.
                let answer = refusal.answer(Some(&asked.id), None);
                link.upstream.send(answer, &Relay::default()).await.ok();
            }
            refusal
        }
    };
    let call = link.unanswered.take_asked(&call?.id)?;
    Some(refused(restart, &refusal, &call))
}

/// Sends what may go there; its place among those that wait is kept until it is answered.
async fn send(link: &Link, call: Option<&CallSummary>, mut admitted: Admitted) -> Result<(), Refusal> {
    if let Some(call) = call {
        link.unanswered.keep_slot(&call.id, admitted.slot());
    }
    let sent = link.upstream.send(admitted, &Relay::default()).await;
    sent.map(drop).map_err(|error| link.failed(call, &error))
}

/// Whether a call is held while somebody decides about it.
fn holds(link: &Link, refusal: &Refusal) -> bool {
    refusal.waits().is_some() && !link.gateway.policy.load().approval.wait.is_zero()
}

/// Holds a call while somebody decides about it, so that what the client says next does not wait.
async fn hold(
    link: Arc<Link>,
    restart: Arc<Restart>,
    (message, refusal): (Message, Refusal),
    queue: mpsc::Sender<Admitted>,
) {
    let Some(call) = CallSummary::of(&message) else { return };
    let (patience, since) = (link.gateway.policy.load().approval.wait, Instant::now());
    let refusal = match link.pass_held(message, refusal, Standing::Alone, patience).await {
        Ok(admitted) => match send(&link, Some(&call), admitted).await {
            Ok(()) => return,
            Err(refusal) => refusal,
        },
        Err(refusal) => refusal,
    };
    let is_cancelled = link.unanswered.was_cancelled(&call.id, since);
    if let Some(call) = link.unanswered.take_asked(&call.id).filter(|_| !is_cancelled) {
        // A client that reads no more needs no answer.
        queue.send(refused(&restart, &refusal, &call)).await.ok();
    }
}

async fn pump_server(link: Arc<Link>, mut replies: Replies, restart: &Restart, queue: &mpsc::Sender<Admitted>) {
    while let Ok(Some(reply)) = replies.next().await {
        if let Some(message) = deliver(&link, restart, reply).await
            && queue.send(message).await.is_err()
        {
            return;
        }
    }
}

/// What the client is to get of something that the server sent.
pub(super) async fn deliver(link: &Link, restart: &Restart, reply: Reply) -> Option<Admitted> {
    match reply {
        Reply::Message(message, _) => from_server(link, restart, message).await,
        Reply::Unreadable(bytes, rejection) => {
            let refusal = link.unreadable(Direction::ToClient, &bytes, &rejection);
            let call = link.unanswered.claim_asked(&bytes)?;
            match link.take_own(&call.id) {
                Some(_nobody_else_waits) => None,
                None => Some(refused(restart, &refusal.after(Ran::unless_read(Some(&call))), &call)),
            }
        }
        Reply::Mark { .. } => None,
    }
}

/// Passes a server's message on, or puts the reason in its place.
async fn from_server(link: &Link, restart: &Restart, message: Message) -> Option<Admitted> {
    let protest = |rule, why: &str| {
        link.protest(&message, Direction::ToClient, None, (rule, why.to_owned()), CODE_DENIED);
    };
    let mut answers = None;
    let request = (message.kind() == Kind::Request).then(|| message.id().cloned()).flatten();
    match (message.kind(), message.id()) {
        (Kind::Request, _) => {
            if let Some(Err(why)) = CallSummary::of(&message).map(|call| link.unanswered.remember_asking(call)) {
                protest("conformance.duplicate_id", why);
                return None;
            }
        }
        (Kind::Result | Kind::Error, Some(id)) => {
            answers = link.unanswered.take_asked(id);
            if answers.is_none() {
                protest("conformance.unsolicited", "the response answers no request that is waiting");
                return None;
            }
        }
        // An error without an id says that something could not be read.
        _ => {}
    }
    if let Some(id) = cancelled(&message) {
        link.unanswered.note_cancelled(Direction::ToClient, id);
    }
    let own = answers.as_ref().and_then(|call| link.take_own(&call.id));
    match (link.pass(message, Direction::ToClient, answers.as_ref()).await, own) {
        (Ok(admitted), Some(waiting)) => {
            // Whoever waited may have lost patience; what was learned is remembered all the same.
            waiting.send(admitted).ok();
            None
        }
        (Err(_refusal), Some(_gets_nothing)) => None,
        (Ok(admitted), None) => {
            if let Some(call) = &answers {
                restart.note_answer(call, admitted.message());
            }
            Some(admitted)
        }
        (Err(refusal), None) => instead(link, restart, &refusal, answers, request).await,
    }
}

async fn instead(
    link: &Link,
    restart: &Restart,
    refusal: &Refusal,
    answers: Option<CallSummary>,
    request: Option<Id>,
) -> Option<Admitted> {
    if let Some(id) = request {
        link.decline(&id, refusal).await;
    }
    Some(refused(restart, refusal, &answers?))
}

/// What the client gets instead of an answer.
fn refused(restart: &Restart, refusal: &Refusal, call: &CallSummary) -> Admitted {
    restart.note_error(call);
    refusal.answer(Some(&call.id), Some(call))
}

/// Waits for the end of a server that says no more, and tells the client about each request that will not be answered,
/// with the server's last words.
async fn report_death(link: &Link, queue: &mpsc::Sender<Admitted>) -> ExitStatus {
    let Upstream::Stdio(child) = &link.upstream else { return ExitStatus::Code(0) };
    // It may have closed its output and live on, which is of no use to anybody.
    child.end().await;
    let status = child.ended().await;
    let error = child.ended_error();
    for call in link.unanswered.take_all_asked() {
        if link.take_own(&call.id).is_some() {
            continue;
        }
        let refusal = link.failed(Some(&call), &error);
        if queue.send(refusal.answer(Some(&call.id), Some(&call))).await.is_err() {
            break;
        }
    }
    status
}

/// Writes what is put into the queue, each message on a line.
pub(super) async fn write_all(mut output: impl AsyncWrite + Unpin, mut queue: mpsc::Receiver<Admitted>) {
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
