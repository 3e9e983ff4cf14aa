//! A wrapped server of the other era than its client: what they say to each other goes over a bridge.
//!
//! Over stdio nothing but its first message says of which era a client is, so the server is asked for its eras when that
//! has come, and started for good if it is translated for. A request is worked on in a task of its own, begun in the order
//! in which requests come; to cancel one ends its task, as closing its stream does over HTTP.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bartizan_guard::{CallSummary, Direction};
use bartizan_mcp::{Era, Id, Kind, Message, meta::Meta, method};
use bartizan_sandbox::{ExitStatus, Signal};
use futures_util::{FutureExt, StreamExt};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};

use super::RunError;
use super::restart::Restart;
use super::room::{self, Entry, Room};
use super::stdio::{self, FAREWELL, QUEUE};
use super::wrapping::{Wrapped, pass_on};
use crate::admit::{self, About, Admitted, CODE_DENIED, CODE_UPSTREAM};
use crate::answer::{Answer, Delivery};
use crate::bridge::Bridge;
use crate::link::{TOO_MANY, cancelled};
use crate::problem::Problem;
use crate::upstream::lines::{self, Line, Lines};
use crate::upstream::{Reply, Upstream};

/// How long a server may take to shake hands.
const HANDSHAKE: Duration = Duration::from_secs(60);

/// A bridge, and the message of the client's that it was opened for.
pub(super) struct Opened {
    bridge: Bridge,
    first: Message,
}

/// A bridge for the client whose first message comes next, if the two have no era in common.
pub(super) async fn open<R: AsyncRead + Unpin>(
    of: &Wrapped<'_>,
    input: &mut Lines<R>,
) -> Result<Option<Opened>, RunError> {
    let Ok(Some(line)) = input.peek().await else { return Ok(None) };
    let Reply::Message(first, _) = lines::read(line.clone(), &of.limits) else { return Ok(None) };
    let era = if Meta::of(&first).protocol_version().is_some() { Era::Stateless } else { Era::Legacy };
    let opened = Bridge::open(of.gateway, &of.server, &of.principal, (&of.session, era), About::from(&first)).await;
    let Some(bridge) = opened.map_err(|refusal| RunError::Refused(refusal.sentence()))? else { return Ok(None) };
    // A legacy client's own `initialize` is what begins its session; of a stateless one any request says who it is.
    if era == Era::Stateless {
        let said =
            tokio::time::timeout(HANDSHAKE, bridge.greet(first.clone(), About::from(&first))).await.ok().flatten();
        let said = said.ok_or_else(|| RunError::Refused("the server could not be initialized".to_owned()))?;
        of.restart.knows(said.message());
    }
    Ok(Some(Opened { bridge, first }))
}

/// Carries messages both ways until one side ends for good; how the server ended.
pub(super) async fn serve<R, W>(
    of: &Wrapped<'_>,
    Opened { bridge, first }: Opened,
    input: Lines<R>,
    output: W,
    (mut signals, mut gone): (mpsc::Receiver<Signal>, oneshot::Receiver<()>),
) -> ExitStatus
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let (queue, outgoing) = mpsc::channel(QUEUE);
    let writer = tokio::spawn(stdio::write_all(output, outgoing));
    let current = watch::Sender::new(bridge);
    let status = {
        let mut carrying = pin!(carry(of, &current, &first, input, queue));
        loop {
            tokio::select! {
                status = &mut carrying => break status,
                Some(signal) = signals.recv() => {
                    let links = current.borrow().links();
                    links.iter().for_each(|link| pass_on(signal, link, &of.stop));
                }
                // Whatever the server has still to read, nobody is left for its answers.
                _ = &mut gone => {
                    let bridge = current.borrow().clone();
                    break farewell(&bridge, JoinSet::new()).await;
                }
            }
        }
    };
    stdio::delivered(writer, &of.restart).await;
    status
}

async fn carry<R: AsyncRead + Unpin>(
    of: &Wrapped<'_>,
    current: &watch::Sender<Bridge>,
    first: &Message,
    input: Lines<R>,
    queue: mpsc::Sender<Admitted>,
) -> ExitStatus {
    let client = Client {
        of,
        current,
        queue,
        tasks: JoinSet::new(),
        lasting: JoinSet::new(),
        under_way: HashMap::new(),
        room: Room::new(),
        announces: false,
    };
    let (stop, stopped) = oneshot::channel();
    let mut client = pin!(client.read(input, stopped));
    loop {
        let bridge = current.borrow().clone();
        let status = tokio::select! {
            tasks = &mut client => return farewell(&bridge, tasks).await,
            status = ended(&bridge) => status,
        };
        // While there is no server the client has to wait: it is not read from.
        if !of.restart.mends(status) || again(of, current, first, status).await.is_none() {
            drop(stop);
            // Each request under way is answered with how the server ended.
            answered(client.await).await;
            bridge.end().await;
            let status = of.restart.ended().unwrap_or(status);
            of.say_end(status);
            return status;
        }
    }
}

/// Waits for what works on requests, for a while.
async fn answered(mut tasks: JoinSet<()>) {
    let all = async { while tasks.join_next().await.is_some() {} };
    tokio::time::timeout(FAREWELL, all).await.ok();
}

/// Waits for the end of the server's process.
async fn ended(bridge: &Bridge) -> ExitStatus {
    match bridge.links().first().map(|link| &link.upstream) {
        Some(Upstream::Stdio(child)) => child.ended().await,
        _ => std::future::pending().await,
    }
}

/// A client may close its side right after a request; the answers are still on their way.
async fn farewell(bridge: &Bridge, tasks: JoinSet<()>) -> ExitStatus {
    answered(tasks).await;
    let links = bridge.links();
    bridge.end().await;
    match links.first().map(|link| &link.upstream) {
        Some(Upstream::Stdio(child)) => child.end().await,
        _ => ExitStatus::Code(0),
    }
}

/// Starts a server that crashed again, and says to it what the client has said; `None` if that is not to be.
async fn again(of: &Wrapped<'_>, current: &watch::Sender<Bridge>, first: &Message, status: ExitStatus) -> Option<()> {
    let mut why = format!("the server {status}");
    loop {
        of.restart.pause(&why).await?;
        let old = current.borrow().clone();
        let begun = tokio::select! {
            begun = tokio::time::timeout(HANDSHAKE, begin_again(of, old, first)) => begun.ok().flatten(),
            () = of.restart.stopped() => return None,
        };
        let Some((bridge, said)) = begun else {
            "the server could not be started again".clone_into(&mut why);
            continue;
        };
        if !of.restart.knows(said.message()) {
            of.restart.note_changed();
            bridge.end().await;
            return None;
        }
        let started = json!({"server": of.server.name, "again": true, "after": status.shell_code()});
        of.gateway.recorder.note("server.started", &started).ok()?;
        current.send_replace(bridge);
        return Some(());
    }
}

async fn begin_again(of: &Wrapped<'_>, old: Bridge, first: &Message) -> Option<(Bridge, Admitted)> {
    let (bridge, hello) = match old {
        Bridge::Down(_) => (old, first.clone()),
        Bridge::Up(_) => {
            let opened =
                Bridge::open(of.gateway, &of.server, &of.principal, (&of.session, Era::Legacy), About::default()).await;
            (opened.ok()??, of.restart.initialize()?)
        }
    };
    let said = bridge.greet(hello, About::default()).await?;
    Some((bridge, said))
}

/// The client's side of a conversation.
struct Client<'a> {
    of: &'a Wrapped<'a>,
    current: &'a watch::Sender<Bridge>,
    queue: mpsc::Sender<Admitted>,
    /// What works on requests.
    tasks: JoinSet<()>,
    /// The same for what has no end by design.
    lasting: JoinSet<()>,
    /// By the ids of the requests.
    under_way: HashMap<Id, AbortHandle>,
    room: Room,
    /// Whether it gets what the server sends without being asked.
    announces: bool,
}

impl Client<'_> {
    /// Takes messages until the client closes its side or the sender of `stop` is gone; what is under way then is returned.
    async fn read<R: AsyncRead + Unpin>(mut self, input: Lines<R>, stop: oneshot::Receiver<()>) -> JoinSet<()> {
        tokio::select! {
            () = self.take(input) => {}
            _ = stop => {}
        }
        for message in self.room.give_up() {
            let (queue, refusal) = (self.queue.clone(), self.refusal(&message).await);
            self.tasks.spawn(async move {
                send(&queue, refusal).await;
            });
        }
        self.tasks
    }

    async fn take<R: AsyncRead + Unpin>(&mut self, mut input: Lines<R>) {
        let mut open = true;
        while (open || !self.room.is_empty()) && !self.queue.is_closed() {
            tokio::select! {
                line = input.next(), if open && self.room.takes_more() => match line {
                    Ok(Some(line)) => self.line(line).await,
                    Ok(None) | Err(_) => {
                        open = false;
                        self.room.hurry(FAREWELL);
                    }
                },
                Some(entry) = self.room.next() => self.entered(entry).await,
            }
            while self.tasks.try_join_next().is_some() || self.lasting.try_join_next().is_some() {}
        }
    }

    async fn line(&mut self, line: Line) {
        let Wrapped { gateway, principal, server, session, limits, .. } = self.of;
        let (line, place) = room::counted(line);
        match lines::read(line, limits) {
            Reply::Message(message, _) => {
                let awaited = self.current.borrow().is_awaited(&message);
                let entry = self.room.enter(message, place, awaited);
                self.entered(entry).await;
            }
            Reply::Unreadable(bytes, rejection) => {
                let (recorder, refused) = (&gateway.recorder, (&bytes, &rejection));
                // Under an id that is in use, the client could not tell which of the two it is for.
                let id = lines::asking_id(&bytes).filter(|id| !self.under_way.contains_key(id));
                let direction = Direction::ToServer;
                let refusal = admit::unreadable(recorder, direction, &principal.id, &server.name, session, refused);
                self.queue.send(refusal.answer(id.as_ref(), None)).await.ok();
            }
            Reply::Mark { .. } => {}
        }
    }

    async fn entered(&mut self, entry: Entry) {
        match entry {
            Entry::Goes(message) => self.message(message).await,
            Entry::Waits => {}
            Entry::Refused(message) => send(&self.queue, self.refusal(&message).await).await,
        }
    }

    /// Records that there was no room for a message; the answer, if it wants one.
    async fn refusal(&self, message: &Message) -> Option<Admitted> {
        let Wrapped { gateway, server, .. } = self.of;
        let rule = "gateway.too_many_requests";
        gateway.metrics.failed(&server.name, rule);
        let problem = Problem::new(rule, format!("{}: {TOO_MANY}", server.name), CODE_UPSTREAM);
        let bridge = self.current.borrow().clone();
        let refusal = bridge.front().refuse(message, problem).await;
        (message.kind() == Kind::Request).then(|| refusal.answer_to(message))
    }

    async fn message(&mut self, message: Message) {
        let (bridge, queue) = (self.current.borrow().clone(), self.queue.clone());
        self.under_way.retain(|_, task| !task.is_finished());
        let call = CallSummary::of(&message);
        if call.as_ref().is_some_and(|call| self.under_way.contains_key(&call.id)) {
            // No answer: the client could not tell which of the two requests it is for.
            let problem = ("conformance.duplicate_id", "a request with this id is not answered yet".to_owned());
            for link in bridge.links() {
                link.protest(&message, Direction::ToServer, None, problem.clone(), CODE_DENIED);
            }
            return;
        }
        if let Bridge::Up(_) = bridge
            && let Some(problem) = self.of.restart.of_two_eras(&message)
        {
            let refusal = bridge.front().refuse(&message, problem).await;
            let answer = (message.kind() == Kind::Request).then(|| refusal.answer_to(&message));
            return send(&queue, answer).await;
        }
        self.of.restart.note_sent(&message);
        if let Some(id) = cancelled(&message) {
            match self.under_way.remove(&id) {
                Some(task) => task.abort(),
                None => self.room.cancel(&id),
            }
        }
        if message.method() == Some(method::INITIALIZED) && !std::mem::replace(&mut self.announces, true) {
            self.lasting.spawn(announce(self.current.subscribe(), queue.clone()));
        }
        let tasks = match message.method() {
            Some(method::SUBSCRIPTIONS_LISTEN) => &mut self.lasting,
            _ => &mut self.tasks,
        };
        let free = room::is_free(&message);
        let mut answering = Box::pin(answer(bridge, message, call.clone(), Arc::clone(&self.of.restart), queue));
        if free {
            // One after the other, as nothing else bounds them.
            return answering.await;
        }
        // As far as it goes at once, so that what is cancelled next has begun.
        if (&mut answering).now_or_never().is_none() {
            let task = tasks.spawn(answering);
            if let Some(call) = call {
                self.under_way.insert(call.id, task);
            }
        }
    }
}

async fn send(queue: &mpsc::Sender<Admitted>, message: Option<Admitted>) {
    if let Some(message) = message {
        queue.send(message).await.ok();
    }
}

/// Passes a message on, and what comes back because of it.
async fn answer(
    bridge: Bridge,
    message: Message,
    call: Option<CallSummary>,
    restart: Arc<Restart>,
    queue: mpsc::Sender<Admitted>,
) {
    let note = |message: &Admitted| {
        if let Some(call) = call.as_ref().filter(|_| message.message().is_response()) {
            restart.note_answer(call, message.message());
        }
    };
    match bridge.answer(message, None).await {
        Answer::Message(_, message) => {
            note(&message);
            queue.send(message).await.ok();
        }
        Answer::Stream(mut stream) => {
            while let Some(delivery) = stream.next().await {
                let Delivery::Message(message, _) = delivery else { continue };
                note(&message);
                if queue.send(message).await.is_err() {
                    return;
                }
            }
        }
        Answer::Accepted | Answer::Gone | Answer::Refused(_) => {}
    }
}

/// Passes on what the server sends without being asked, also after it was started again.
async fn announce(mut bridges: watch::Receiver<Bridge>, queue: mpsc::Sender<Admitted>) {
    loop {
        let bridge = bridges.borrow_and_update().clone();
        if let Ok(mut stream) = bridge.listen(None).await {
            while let Some(delivery) = stream.next().await {
                if let Delivery::Message(message, _) = delivery
                    && queue.send(message).await.is_err()
                {
                    return;
                }
            }
        }
        if bridges.changed().await.is_err() {
            return;
        }
    }
}
