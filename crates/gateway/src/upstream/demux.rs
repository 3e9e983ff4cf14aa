//! Whose message is it: all that a server says on one stream, given out to the requests that wait for it.
//!
//! A child's standard output is such a stream, and so is the one event stream of the transport of 2024-11-05.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use bartizan_mcp::{Edits, Id, Limits, Message, meta::Meta, method};
use bytes::Bytes;
use tokio::sync::mpsc::{self, error::TrySendError};

use super::lines;
use super::splice::{self, Chosen};
use super::{Ending, Replies, Reply, UpstreamError};
use crate::admit::Admitted;
use crate::unread::Unread;

/// Messages that wait for a reader; more than that and the server has to wait.
pub(super) const QUEUE: usize = 64;

/// How the server's messages find their reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routing {
    /// All in one stream, in order: for a client that is itself a stream.
    Ordered,
    /// Those that belong to a request go with its replies; the rest is for whoever listens.
    ByRequest,
    /// The same among clients that know nothing of each other: nothing is guessed, every id on the wire is used once,
    /// and a reader that is slow loses its answer instead of keeping the others waiting.
    Shared,
}

/// Gives out one server's messages.
pub(super) struct Demux {
    routing: Routing,
    state: Mutex<State>,
    /// Told of what no reader gets.
    stray: OnceLock<Stray>,
    /// Where what belongs to no request goes; taken away at the end, so that whoever listens hears of it.
    unasked: Mutex<Option<mpsc::Sender<Reply>>>,
    /// The other end of it, unless somebody listens.
    unheard: Mutex<Option<mpsc::Receiver<Reply>>>,
}

/// Takes note of what a server said to nobody.
pub(super) type Stray = Box<dyn Fn(Reply) + Send + Sync>;

impl fmt::Debug for Demux {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Demux").field("routing", &self.routing).field("state", &self.state).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct State {
    /// Requests by their ids on the wire.
    waiting: HashMap<Id, Waiting>,
    /// How many requests there have been.
    asked: u64,
    /// How many ids and tokens have been made up.
    made_up: u64,
    /// Requests whose reader was too slow.
    lagged: HashSet<Id>,
    ended: bool,
}

#[derive(Debug)]
struct Waiting {
    replies: mpsc::Sender<Reply>,
    /// The one on the wire, as JSON.
    progress_token: Option<Box<str>>,
    chosen: Chosen,
    /// How many requests came before it.
    began: u64,
}

/// The messages of one server for one reader.
#[derive(Debug)]
pub struct Inbox {
    messages: mpsc::Receiver<Reply>,
    /// The id on the wire of the request that they come because of.
    request: Option<Id>,
}

impl Inbox {
    /// What belongs to no request.
    pub(super) fn unasked(messages: mpsc::Receiver<Reply>) -> Inbox {
        Inbox { messages, request: None }
    }

    /// What belongs to no request, out of replies.
    pub(super) fn into_unasked(replies: Replies) -> Option<mpsc::Receiver<Reply>> {
        match replies {
            Replies::Channel(Inbox { messages, request: None }) => Some(messages),
            _ => None,
        }
    }

    /// The id on the wire of the request that they come because of.
    pub(super) fn request(&self) -> Option<&Id> {
        self.request.as_ref()
    }

    pub(super) async fn next(&mut self) -> Option<Reply> {
        self.messages.recv().await
    }
}

/// What a request is called on the wire.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) id: Id,
    token: Option<Box<str>>,
    chosen: Chosen,
}

impl Names {
    /// The request as it goes on the wire.
    pub(super) fn outward(&self, message: &Admitted) -> Bytes {
        splice::outward(message.message(), &self.chosen, &self.id, self.token.as_deref())
    }
}

impl Demux {
    pub(super) fn new(routing: Routing) -> Demux {
        let (unasked, unheard) = mpsc::channel(QUEUE);
        let (unasked, unheard) = (Mutex::new(Some(unasked)), Mutex::new(Some(unheard)));
        Demux { routing, state: Mutex::default(), stray: OnceLock::new(), unasked, unheard }
    }

    /// Who is told of what the server says to nobody; set before it is spoken to.
    pub(super) fn on_stray(&self, stray: Stray) {
        self.stray.set(stray).ok();
    }

    /// Makes room for what comes because of a message, if that is a request and answers are told apart.
    pub(super) fn expect(&self, message: &Message) -> Result<Option<(Names, Inbox)>, UpstreamError> {
        let (Some(id), Some(_), Routing::ByRequest | Routing::Shared) = (message.id(), message.method(), self.routing)
        else {
            return Ok(None);
        };
        let (sender, messages) = mpsc::channel(QUEUE);
        let names = self.wait_for(id, splice::token(message), sender)?;
        let inbox = Inbox { messages, request: Some(names.id.clone()) };
        Ok(Some((names, inbox)))
    }

    /// A client's cancellation as it goes on the wire, if the request that it names is called otherwise there.
    pub(super) fn cancellation(&self, message: &Admitted) -> Option<Admitted> {
        let said = message.message();
        let named = said.params().filter(|_| said.method() == Some(method::CANCELLED))?.get("requestId")?;
        let own = Id::read(named)?;
        let mut edits = Edits::new();
        edits.set_json(named.id(), self.state().newest(&own)?.to_json());
        Some(message.again().rewritten(&edits))
    }

    /// What the server sends on its own account; the first caller gets it.
    pub(super) fn listen(&self) -> Option<Replies> {
        let messages = self.unheard.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(Replies::Channel(Inbox::unasked(messages)))
    }

    /// Gives the stream back when a listener has gone, so that the next one can have it.
    pub(super) fn return_stream(&self, replies: Replies) {
        if let Some(messages) = Inbox::into_unasked(replies) {
            *self.unheard.lock().unwrap_or_else(PoisonError::into_inner) = Some(messages);
        }
    }

    /// Forgets a request that nobody waits for any more; the id under which the server knows it, if it still works on it.
    pub(super) fn forget_replies(&self, replies: &Replies) -> Option<Id> {
        let Replies::Channel(Inbox { request: Some(id), .. }) = replies else { return None };
        self.forget(id).then(|| id.clone())
    }

    /// The same by its id on the wire; whether it was still waited for.
    pub(super) fn forget(&self, id: &Id) -> bool {
        self.state().waiting.remove(id).is_some()
    }

    /// Whether a request's reader was too slow; said once.
    pub(super) fn has_lagged(&self, id: &Id) -> bool {
        self.state().lagged.remove(id)
    }

    /// Counts the ids that it makes up from here on.
    pub(super) fn count_from(&self, number: u64) {
        self.state().made_up = number;
    }

    /// Whether the server says no more.
    pub(super) fn has_ended(&self) -> bool {
        self.state().ended
    }

    /// Gives out something that the server said; false if nobody is left to say it to.
    pub(super) async fn deliver(&self, reply: Reply, limits: &Limits) -> bool {
        let (reply, reader) = self.route(reply, limits);
        match reader {
            Some(reader) if self.routing == Routing::Shared => drop(reader.try_send(reply)),
            // A reader that has gone needs no answer any more.
            Some(reader) => drop(reader.send(reply).await),
            None if self.routing == Routing::Ordered => {
                let Some(unasked) = self.unasked() else { return false };
                return unasked.send(reply).await.is_ok();
            }
            None if is_for_nobody(&reply) => self.stray(reply),
            // Nobody may be listening, and the server must not be kept waiting for that.
            None => {
                let sent = match self.unasked() {
                    Some(unasked) => unasked.try_send(reply),
                    None => Err(TrySendError::Closed(reply)),
                };
                if let Err(TrySendError::Full(reply) | TrySendError::Closed(reply)) = sent {
                    self.stray(reply);
                }
            }
        }
        true
    }

    /// The server says no more: whoever waits is told by the end of what it reads.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        state.waiting.clear();
        self.unasked.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn unasked(&self) -> Option<mpsc::Sender<Reply>> {
        self.unasked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn stray(&self, reply: Reply) {
        if let Some(stray) = self.stray.get() {
            stray(reply);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room for the answer, under names that no other request has.
    fn wait_for(&self, id: &Id, token: Option<&str>, replies: mpsc::Sender<Reply>) -> Result<Names, UpstreamError> {
        let mut state = self.state();
        if state.ended {
            return Err(UpstreamError::Ended(Ending::default()));
        }
        let mut chosen = Chosen::default();
        let mut wire_id = id.clone();
        let mut wire_token: Option<Box<str>> = token.map(Into::into);
        if self.routing == Routing::Shared {
            chosen = Chosen { id: Some(id.clone()), token: wire_token.clone() };
            wire_id = state.count().map_or(wire_id, Id::Integer);
            wire_token = wire_token.map(|_| wire_id.to_json().into());
        }
        while state.waiting.contains_key(&wire_id) {
            chosen.id = Some(id.clone());
            wire_id = Id::String(state.make_up().into());
        }
        let taken = |state: &State, token: &Option<Box<str>>| {
            token.is_some() && state.waiting.values().any(|held| held.progress_token == *token)
        };
        while taken(&state, &wire_token) {
            chosen.token = token.map(Into::into);
            wire_token = Some(bartizan_mcp::quote(&state.make_up()).into());
        }
        let waiting =
            Waiting { replies, progress_token: wire_token.clone(), chosen: chosen.clone(), began: state.asked };
        state.asked += 1;
        state.waiting.insert(wire_id.clone(), waiting);
        Ok(Names { id: wire_id, token: wire_token, chosen })
    }

    /// Whose it is, and as its reader is to see it.
    fn route(&self, reply: Reply, limits: &Limits) -> (Reply, Option<mpsc::Sender<Reply>>) {
        if self.routing == Routing::Ordered {
            return (reply, None);
        }
        let mut state = self.state();
        state.waiting.retain(|_, waiting| !waiting.replies.is_closed());
        let message = match reply {
            Reply::Message(message, _) => message,
            Reply::Unreadable(bytes, rejection) => {
                let reader = state.claim_unreadable(&bytes, self.routing);
                return (Reply::Unreadable(bytes, rejection), reader);
            }
            Reply::Mark { .. } => return (reply, None),
        };
        let Some(id) = state.request_of(&message, self.routing) else { return (Reply::Message(message, None), None) };
        let Some(held) = state.waiting.get(&id) else { return (Reply::Message(message, None), None) };
        let reader = held.replies.clone();
        let is_last = message.is_response();
        let message = splice::inward(message, &held.chosen, &id, limits);
        if is_last {
            state.waiting.remove(&id);
        }
        if self.routing == Routing::Shared && reader.capacity() == 0 {
            state.waiting.remove(&id);
            if !reader.is_closed() {
                state.lagged.insert(id);
            }
            return (Reply::Mark { id: None, retry: None }, None);
        }
        (Reply::Message(message, None), Some(reader))
    }
}

impl State {
    /// The request that it answers, reports progress of or is a subscription's, or the only one that is waiting.
    fn request_of(&self, message: &Message, routing: Routing) -> Option<Id> {
        if message.is_response() {
            return message.id().cloned();
        }
        if let Some(subscription) = Meta::of(message).subscription_id() {
            return Some(subscription);
        }
        if let Some(token) = splice::progress_token(message) {
            let mut all = self.waiting.iter();
            return all.find(|(_, held)| held.progress_token.as_deref() == Some(token.raw())).map(|(id, _)| id.clone());
        }
        if routing == Routing::Shared || concerns_everyone(message) {
            return None;
        }
        // With one request under way, a log message or a question of the server belongs to it.
        let mut all = self.waiting.keys();
        let only = all.next()?;
        all.next().is_none().then(|| only.clone())
    }

    /// What the newest request that its client calls `own` is called on the wire, if that is something else.
    fn newest(&self, own: &Id) -> Option<&Id> {
        let named = self.waiting.iter().filter(|(wire, held)| held.chosen.id.as_ref().unwrap_or(*wire) == own);
        let (wire, held) = named.max_by_key(|(_, held)| held.began)?;
        held.chosen.id.is_some().then_some(wire)
    }

    fn make_up(&mut self) -> String {
        self.made_up += 1;
        format!("bartizan-{}", self.made_up)
    }

    fn count(&mut self) -> Option<i64> {
        self.made_up += 1;
        i64::try_from(self.made_up).ok()
    }

    /// An answer that cannot be read safely still ends the wait of the request it was meant for. Its id is read
    /// leniently, which is safe: all it can do is make one waiting request fail.
    fn claim_unreadable(&mut self, bytes: &Unread, routing: Routing) -> Option<mpsc::Sender<Reply>> {
        if !lines::looks_like_message(bytes) {
            return None;
        }
        let named = lines::answered_id(bytes);
        let alone = self.waiting.len() == 1 && routing != Routing::Shared;
        let only = || if alone { self.waiting.keys().next().cloned() } else { None };
        let id = named.filter(|id| self.waiting.contains_key(id)).or_else(only)?;
        self.waiting.remove(&id).map(|waiting| waiting.replies)
    }
}

fn concerns_everyone(message: &Message) -> bool {
    message
        .method()
        .is_some_and(|method| method.ends_with("/list_changed") || method == "notifications/resources/updated")
}

/// Whether no listener could make anything of it: it cannot be read, or answers a request that does not wait.
fn is_for_nobody(reply: &Reply) -> bool {
    match reply {
        Reply::Message(message, _) => message.is_response(),
        Reply::Unreadable(..) => true,
        Reply::Mark { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_listens_hears_of_the_end() {
        for routing in [Routing::Ordered, Routing::ByRequest, Routing::Shared] {
            let (demux, limits) = (Demux::new(routing), Limits::default());
            let mut replies = demux.listen().unwrap();
            let note = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#.to_owned();
            assert!(demux.deliver(Reply::Message(Message::parse(note, &limits).unwrap(), None), &limits).await);
            demux.end();
            let mut next = async || {
                let next = tokio::time::timeout(std::time::Duration::from_secs(60), replies.next());
                next.await.expect("the stream goes on").unwrap()
            };
            assert!(matches!(next().await, Some(Reply::Message(..))), "what was said before comes first");
            assert!(next().await.is_none());
        }
    }
}
