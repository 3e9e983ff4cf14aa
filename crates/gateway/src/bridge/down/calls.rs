//! The calls under way in one session, and those of them that wait for answers.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bartizan_mcp::meta::{self, Meta};
use bartizan_mcp::{Digest, Id, Message, NodeKind, Value, method};
use tokio::sync::mpsc;

use super::call::Signal;
use super::translate;
use crate::random;

/// Calls of one session that may wait for answers at once.
const HELD: usize = 64;
/// Messages that wait for a call to read them.
const QUEUE: usize = 64;

#[derive(Default)]
pub(super) struct Calls(Mutex<State>);

#[derive(Default)]
struct State {
    open: BTreeMap<Id, Open>,
    /// By `requestState`, a secret that is good for one retry.
    held: HashMap<Box<str>, Held>,
    ended: bool,
}

/// Why a retry goes on with nothing.
const UNKNOWN: &str = "this requestState is unknown, spent or expired";

struct Open {
    signals: mpsc::Sender<Signal>,
    /// What the client asked, and with it what it can be asked; its gist while it waits.
    request: Arc<Message>,
}

struct Held {
    call: Id,
    essence: Digest,
}

impl State {
    /// Under which secret a retry goes on with which call.
    fn held_by<'a>(&self, retry: &'a Message) -> Result<(Cow<'a, str>, Id), &'static str> {
        let params = retry.params();
        let key = params.and_then(|params| params.get(translate::STATE)).and_then(Value::as_str);
        let key = key.ok_or("answers come with the requestState of the questions")?;
        let held = self.held.get(&*key).ok_or(UNKNOWN)?;
        if held.essence != translate::essence(retry) {
            return Err("this requestState belongs to another request");
        }
        Ok((key, held.call.clone()))
    }
}

impl Calls {
    /// A call begins; what it is to know comes through the receiver.
    pub(super) fn open(&self, id: &Id, request: &Arc<Message>) -> mpsc::Receiver<Signal> {
        let (signals, receiver) = mpsc::channel(QUEUE);
        let mut state = self.state();
        if !state.ended {
            state.open.insert(id.clone(), Open { signals, request: Arc::clone(request) });
        }
        receiver
    }

    /// A call is over.
    pub(super) fn close(&self, id: &Id) {
        let mut state = self.state();
        state.open.remove(id);
        state.held.retain(|_, held| held.call != *id);
    }

    /// A call waits for answers, and no more of its request is kept than this: the secret under which its client comes
    /// back.
    pub(super) fn hold(&self, id: &Id, gist: &Arc<Message>, essence: Digest) -> Result<String, &'static str> {
        let key = random::key().map_err(|_| "there is no randomness")?;
        let mut state = self.state();
        if state.held.len() >= HELD {
            return Err("too many calls wait for answers");
        }
        state.held.insert(key.as_str().into(), Held { call: id.clone(), essence });
        if let Some(open) = state.open.get_mut(id) {
            open.request = Arc::clone(gist);
        }
        Ok(key)
    }

    /// Whether there is a call that a retry goes on with.
    pub(super) fn knows(&self, retry: &Message) -> Result<(), &'static str> {
        self.state().held_by(retry).map(|_| ())
    }

    /// The call that a retry goes on with. Its secret is spent by that, unless the retry does not ask the same.
    pub(super) fn resume(&self, retry: &Message) -> Result<mpsc::Sender<Signal>, &'static str> {
        let mut state = self.state();
        let (key, call) = state.held_by(retry)?;
        state.held.remove(&*key);
        state.open.get(&call).map(|open| open.signals.clone()).ok_or(UNKNOWN)
    }

    /// The call that a message most likely belongs to which the server sent on its own account. Nothing in it says which;
    /// all of them are calls of one client, as far as clients are told apart (SECURITY.md says how far that is).
    pub(super) fn owner(&self, message: &Message) -> Option<mpsc::Sender<Signal>> {
        let state = self.state();
        let token = message.params().and_then(|params| params.get("progressToken")).map(Value::raw);
        let fits = |request: &Message| match message.method().unwrap_or_default() {
            method::PROGRESS => token.is_some() && Meta::of(request).get(meta::PROGRESS_TOKEN).map(Value::raw) == token,
            method::LOG_MESSAGE => Meta::of(request).log_level().is_some(),
            _ => message.id().is_some() && translate::can_be_asked(request, message),
        };
        // One that is attached to a client comes before one whose client is answering already.
        let held = |id: &Id| state.held.values().any(|held| held.call == *id);
        let mut fitting: Vec<_> = state.open.iter().filter(|(_, open)| fits(&open.request)).collect();
        fitting.sort_by_key(|(id, _)| held(id));
        fitting.first().map(|(_, open)| open.signals.clone())
    }

    /// No call goes on, and none begins any more.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        state.open.clear();
        state.held.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answers in a retry, by the keys of their questions, as JSON.
pub(super) fn answers(retry: &Message) -> Vec<(String, String)> {
    let held = retry.params().and_then(|params| params.get(translate::ANSWERS));
    let members = held.into_iter().flat_map(Value::members);
    let objects = members.filter(|(_, value)| value.kind() == NodeKind::Object);
    objects.map(|(key, value)| (key.text().into_owned(), value.raw().to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use bartizan_mcp::Limits;

    use super::*;

    fn request(members: &str, capabilities: &str) -> Arc<Message> {
        let meta =
            format!(r#""_meta":{{"io.modelcontextprotocol/clientCapabilities":{capabilities},"progressToken":"t"}}"#);
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{{members},{meta}}}}}"#);
        Arc::new(Message::parse(text, &Limits::default()).unwrap())
    }

    fn message(members: &str) -> Message {
        Message::parse(format!(r#"{{"jsonrpc":"2.0",{members}}}"#), &Limits::default()).unwrap()
    }

    fn hold(calls: &Calls, id: i64, asked: &Arc<Message>) -> Result<String, &'static str> {
        calls.hold(&Id::from(id), asked, translate::essence(asked))
    }

    #[test]
    fn the_body_of_a_request_that_waits_is_let_go() {
        let calls = Calls::default();
        let asked = request(r#""name":"x","arguments":{"large":"y"}"#, r#"{"roots":{}}"#);
        let body = Arc::downgrade(&asked);
        let _signals = calls.open(&Id::from(1), &asked);
        let (gist, essence) = (translate::gist(&asked, &Limits::default()).unwrap(), translate::essence(&asked));
        drop(asked);
        assert!(body.upgrade().is_some());
        let state = calls.hold(&Id::from(1), &Arc::new(gist), essence).unwrap();
        assert!(body.upgrade().is_none());
        assert!(calls.owner(&message(r#""id":9,"method":"roots/list""#)).is_some());
        assert!(calls.owner(&message(r#""method":"notifications/progress","params":{"progressToken":"t"}"#)).is_some());
        let retry = |large: &str| {
            request(&format!(r#""name":"x","arguments":{{"large":"{large}"}},"requestState":"{state}""#), "{}")
        };
        assert!(calls.resume(&retry("z")).is_err());
        assert!(calls.resume(&retry("y")).is_ok());
    }

    #[test]
    fn a_state_is_good_for_one_retry_of_the_same_request() {
        let calls = Calls::default();
        let asked = request(r#""name":"x""#, "{}");
        let _signals = calls.open(&Id::from(1), &asked);
        let state = hold(&calls, 1, &asked).unwrap();
        let retry = |name: &str, state: &str| request(&format!(r#""name":"{name}","requestState":"{state}""#), "{}");
        assert!(calls.resume(&retry("x", "guessed")).is_err());
        assert!(calls.resume(&retry("y", &state)).is_err());
        assert!(calls.resume(&asked).is_err());
        assert!(calls.resume(&retry("x", &state)).is_ok());
        assert!(calls.resume(&retry("x", &state)).is_err());
        let state = hold(&calls, 1, &asked).unwrap();
        calls.close(&Id::from(1));
        assert!(calls.resume(&retry("x", &state)).is_err());
    }

    #[test]
    fn calls_that_wait_are_bounded() {
        let calls = Calls::default();
        let asked = request(r#""name":"x""#, "{}");
        let held: Vec<_> = (0..HELD).map(|_| hold(&calls, 1, &asked)).collect();
        assert!(held.iter().all(Result::is_ok));
        assert!(hold(&calls, 2, &asked).is_err());
        calls.close(&Id::from(1));
        assert!(hold(&calls, 2, &asked).is_ok());
    }

    #[test]
    fn what_comes_unasked_finds_the_call_that_can_take_it() {
        let calls = Calls::default();
        let (mute, asker) = (request(r#""name":"x""#, "{}"), request(r#""name":"x""#, r#"{"roots":{}}"#));
        let _mute = calls.open(&Id::from(1), &mute);
        let question = message(r#""id":9,"method":"roots/list""#);
        assert!(calls.owner(&question).is_none());
        let mut signals = calls.open(&Id::from(2), &asker);
        assert!(calls.owner(&question).is_some());
        assert!(calls.owner(&message(r#""id":9,"method":"sampling/createMessage","params":{}"#)).is_none());
        assert!(calls.owner(&message(r#""method":"notifications/message","params":{"level":"error"}"#)).is_none());
        for (token, known) in [(r#""t""#, true), (r#""u""#, false)] {
            let progress = format!(r#""method":"notifications/progress","params":{{"progressToken":{token}}}"#);
            assert_eq!(calls.owner(&message(&progress)).is_some(), known, "{token}");
        }
        calls.end();
        assert!(calls.owner(&question).is_none() && signals.try_recv().is_err());
    }
}
