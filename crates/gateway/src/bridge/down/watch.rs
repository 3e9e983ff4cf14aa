//! What a legacy server sends on its own account, and the streams of clients that asked to hear of changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bartizan_mcp::{Id, Kind, Message, Value, method, quote};
use futures_util::{StreamExt, stream};
use http::{HeaderValue, StatusCode};
use tokio::sync::mpsc;

use super::call::Signal;
use super::ready::Ready;
use super::{Down, translate};
use crate::admit::Admitted;
use crate::answer::{Answer, Delivery};
use crate::converse::deliveries;
use crate::exchange;
use crate::relay::Relay;
use crate::upstream::UpstreamError;

/// Changes that wait for a client to read them; one that does not loses the next.
const QUEUE: usize = 64;
/// The largest that is passed on: a change is a few words, and each watcher gets a copy.
const CHANGE: usize = 16 * 1024;
/// Streams of one session, and resources of one stream.
const WATCHERS: usize = 64;
const RESOURCES: usize = 256;
/// How long to wait before a stream that ended is opened again, the first and any later time.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// The kinds of change by the members of a filter, with the capability that a server declares for each.
const CHANGES: [(&str, &str, [&str; 2]); 3] = [
    ("toolsListChanged", method::TOOLS_LIST_CHANGED, ["tools", "listChanged"]),
    ("promptsListChanged", method::PROMPTS_LIST_CHANGED, ["prompts", "listChanged"]),
    ("resourcesListChanged", method::RESOURCES_LIST_CHANGED, ["resources", "listChanged"]),
];

/// Whether it tells of a change that clients subscribe to.
pub(super) fn is_change(name: &str) -> bool {
    name == method::RESOURCE_UPDATED || CHANGES.iter().any(|(_, known, _)| *known == name)
}

/// The streams of clients that asked to hear of changes.
#[derive(Default)]
pub(super) struct Watchers(Mutex<State>);

#[derive(Default)]
struct State {
    counted: u64,
    streams: BTreeMap<u64, Watcher>,
}

struct Watcher {
    subscription: Id,
    wanted: BTreeSet<&'static str>,
    resources: BTreeSet<String>,
    sink: mpsc::Sender<Admitted>,
}

impl Watchers {
    /// Tells everyone who wants to hear of it.
    pub(super) fn publish(&self, change: &Admitted) {
        let message = change.message();
        if message.bytes().len() > CHANGE {
            return tracing::debug!("a change is dropped: it is too large to be one");
        }
        let uri = message.params().and_then(|params| params.get("uri")).and_then(Value::as_str);
        for watcher in self.state().streams.values() {
            let wanted = match &uri {
                Some(uri) => message.method() == Some(method::RESOURCE_UPDATED) && watcher.covers(uri),
                None => message.method().is_some_and(|name| watcher.wanted.contains(name)),
            };
            if wanted {
                let stamped = change.again().rewritten(&translate::stamped(message, &watcher.subscription));
                // A client that does not read has to ask for what it wants to know anyway.
                watcher.sink.try_send(stamped).ok();
            }
        }
    }

    /// Ends all streams; their clients can open others.
    pub(super) fn end(&self) {
        self.state().streams.clear();
    }

    /// The resources that somebody wants to hear of.
    pub(super) fn resources(&self) -> BTreeSet<String> {
        self.state().streams.values().flat_map(|watcher| watcher.resources.iter().cloned()).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watcher {
    /// An update may be of a part of the resource that was asked for.
    fn covers(&self, uri: &str) -> bool {
        self.resources.iter().any(|held| {
            uri.strip_prefix(held.as_str())
                .is_some_and(|rest| rest.is_empty() || held.ends_with('/') || rest.starts_with('/'))
        })
    }
}

/// `subscriptions/listen`: subscribes to what the server offers of it, says so, and then passes on what comes.
pub(super) async fn listen(down: &Arc<Down>, ready: &Arc<Ready>, request: &Message, id: &Id) -> Answer {
    let filter = request.params().and_then(|params| params.get("notifications"));
    let asked = |name: &str| filter.and_then(|filter| filter.get(name)).is_some_and(|flag| flag.raw() == "true");
    let granted: Vec<_> = CHANGES.iter().filter(|(name, _, path)| asked(name) && ready.offers(path)).collect();
    let uris = filter.and_then(|filter| filter.get("resourceSubscriptions"));
    let uris = uris.into_iter().flat_map(Value::elements).filter_map(Value::as_str).take(RESOURCES);
    let uris: BTreeSet<String> = uris.map(std::borrow::Cow::into_owned).collect();
    let (sink, changes) = mpsc::channel(QUEUE);
    let key = {
        let mut state = down.watchers.state();
        if state.streams.len() >= WATCHERS {
            drop(state);
            let answer = down.error(id, -32603, "too many subscriptions are open");
            return Answer::Message(StatusCode::OK, answer);
        }
        state.counted += 1;
        let key = state.counted;
        let wanted = granted.iter().map(|(_, method, _)| *method).collect();
        let watcher = Watcher { subscription: id.clone(), wanted, resources: uris.clone(), sink };
        state.streams.insert(key, watcher);
        key
    };
    // From here on, whoever drops the stream ends the subscription.
    let open = Open { down: Arc::clone(down), ready: Arc::clone(ready), key };
    let mut subscribed = Vec::new();
    if ready.offers(&["resources", "subscribe"]) {
        for uri in uris {
            if ready.own(method::RESOURCES_SUBSCRIBE, &format!(r#"{{"uri":{}}}"#, quote(&uri))).await {
                subscribed.push(quote(&uri));
            }
        }
    }
    let mut honoured: Vec<_> = granted.iter().map(|(name, ..)| format!(r#""{name}":true"#)).collect();
    if !subscribed.is_empty() {
        honoured.push(format!(r#""resourceSubscriptions":[{}]"#, subscribed.join(",")));
    }
    let stamp = format!(r#"{{"io.modelcontextprotocol/subscriptionId":{}}}"#, id.to_json());
    let acknowledged = down.own(format!(
        r#"{{"jsonrpc":"2.0","method":"{}","params":{{"notifications":{{{}}},"_meta":{stamp}}}}}"#,
        method::SUBSCRIPTIONS_ACKNOWLEDGED,
        honoured.join(","),
    ));
    let farewell =
        format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{"resultType":"complete","_meta":{stamp}}}}}"#, id.to_json());
    let first = stream::iter([Delivery::Message(acknowledged, None)]);
    let rest = stream::unfold((changes, open, Some(farewell)), |(mut changes, open, farewell)| async move {
        let message = match changes.recv().await {
            Some(message) => return Some((Delivery::Message(message, None), (changes, open, farewell))),
            None => open.down.own(farewell?),
        };
        Some((Delivery::Message(message, None), (changes, open, None)))
    });
    Answer::Stream(Box::pin(first.chain(rest)))
}

/// A subscription that lasts as long as its stream.
struct Open {
    down: Arc<Down>,
    ready: Arc<Ready>,
    key: u64,
}

impl Drop for Open {
    fn drop(&mut self) {
        let Some(gone) = self.down.watchers.state().streams.remove(&self.key) else { return };
        let still = self.down.watchers.resources();
        let unwanted: Vec<_> = gone.resources.into_iter().filter(|uri| !still.contains(uri)).collect();
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if !unwanted.is_empty() && self.ready.offers(&["resources", "subscribe"]) {
            let ready = Arc::clone(&self.ready);
            runtime.spawn(async move {
                for uri in unwanted {
                    ready.own(method::RESOURCES_UNSUBSCRIBE, &format!(r#"{{"uri":{}}}"#, quote(&uri))).await;
                }
            });
        }
    }
}

/// Reads what the server sends on its own account for as long as the session stands.
pub(super) async fn read(down: Weak<Down>, ready: Weak<Ready>) {
    let (mut pause, mut place) = (PAUSE.0, None::<HeaderValue>);
    loop {
        let (link, relay) = match ready.upgrade() {
            Some(ready) => (Arc::clone(&ready.link), Relay { last_event_id: place.clone(), ..ready.relay() }),
            None => return,
        };
        match exchange::listen(&link, &relay).await {
            Ok(exchange) => {
                let mut coming = deliveries(exchange);
                while let Some(delivery) = coming.next().await {
                    let (message, event) = match delivery {
                        Delivery::Message(message, event) => (Some(message), event),
                        Delivery::Mark(event, _) => (None, event),
                    };
                    if let Some(event) = event {
                        place = HeaderValue::try_from(event).ok();
                    }
                    let (Some(down), Some(ready)) = (down.upgrade(), ready.upgrade()) else { return };
                    if let Some(message) = message {
                        pause = PAUSE.0;
                        unasked(&down, &ready, message).await;
                    }
                }
            }
            Err(UpstreamError::NoStream) => return,
            Err(UpstreamError::SessionGone) => break,
            Err(_) => {}
        }
        if !ready.upgrade().is_some_and(|ready| ready.stands()) {
            break;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
    }
    if let (Some(down), Some(ready)) = (down.upgrade(), ready.upgrade()) {
        down.lost(&ready);
    }
}

/// Finds out whom a message is for that the server sent on its own account.
pub(super) async fn unasked(down: &Arc<Down>, ready: &Ready, message: Admitted) {
    let inner = message.message();
    if inner.method().is_some_and(is_change) {
        return down.watchers.publish(&message);
    }
    let owner = down.calls.owner(inner);
    match (inner.kind(), inner.id().cloned()) {
        (Kind::Request, Some(id)) if inner.method() == Some(method::PING) => ready.pong(&id).await,
        (Kind::Request, Some(id)) => match owner {
            // A call whose queue is full has enough to ask already.
            Some(call) if call.try_send(Signal::Unasked(message)).is_ok() => {}
            _ => ready.decline(&id, -32601, "the client cannot be asked this now").await,
        },
        // Nobody waits for it.
        _ => {
            if let Some(call) = owner {
                call.try_send(Signal::Unasked(message)).ok();
            }
        }
    }
}
