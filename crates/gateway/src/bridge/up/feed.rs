//! What a stateless server announces of its own accord: one `subscriptions/listen` for each session.
//!
//! It asks for everything that the client wants to hear of. When that changes, a new one is opened first and then the
//! old one closed, so that nothing is missed; what both announce is announced twice, which does no harm.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bartizan_mcp::{Kind, Message, Value, method, quote};
use futures_util::stream;
use tokio::sync::{Mutex as Turn, mpsc, watch};
use tokio::task::AbortHandle;

use super::{Up, answer};
use crate::admit::{self, Admitted};
use crate::answer::{Deliveries, Delivery};
use crate::exchange::{self, Exchange};
use crate::relay::Relay;
use crate::upstream::Upstream;

/// Announcements that wait for the client to read; what is more than that is not kept.
const QUEUE: usize = 64;
/// The largest that is passed on: an announcement is a few words.
const ANNOUNCEMENT: usize = 16 * 1024;
/// Resources that one client may watch.
const RESOURCES: usize = 1_000;
/// How long a server may take to acknowledge.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a server that closed the stream is left alone at first, and at most.
const REST: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The lists whose changes a server may announce: its capability, the member of the filter, the notification.
const LISTS: [(&str, &str, &str); 3] = [
    ("tools", "toolsListChanged", method::TOOLS_LIST_CHANGED),
    ("prompts", "promptsListChanged", method::PROMPTS_LIST_CHANGED),
    ("resources", "resourcesListChanged", method::RESOURCES_LIST_CHANGED),
];

/// The announcements of one session.
pub(super) struct Feed {
    queue: mpsc::Sender<Admitted>,
    incoming: Arc<Turn<mpsc::Receiver<Admitted>>>,
    /// Counts who has listened; only the last one goes on, as the one before may be a connection that has died.
    listener: watch::Sender<u64>,
    wanted: Mutex<Wanted>,
    /// What reads the stream; whoever holds this changes what is subscribed.
    reader: Turn<Option<AbortHandle>>,
    /// What reads the messages of a child process that belong to no request.
    unasked: Turn<Option<AbortHandle>>,
}

#[derive(Debug, Default)]
struct Wanted {
    lists: Vec<(&'static str, &'static str)>,
    resources: BTreeSet<String>,
}

/// Why a subscription does not stand.
pub(super) enum Refused {
    /// The server's answer says.
    ByServer(Admitted),
    /// It does not announce changes of this resource.
    NotAccepted,
    /// The client watches too many.
    TooMany,
    /// The server did not acknowledge it.
    Silence,
}

impl Default for Feed {
    fn default() -> Self {
        let (queue, incoming) = mpsc::channel(QUEUE);
        Feed {
            queue,
            incoming: Arc::new(Turn::new(incoming)),
            listener: watch::Sender::new(0),
            wanted: Mutex::default(),
            reader: Turn::default(),
            unasked: Turn::default(),
        }
    }
}

impl Feed {
    /// Notes which lists the server says it announces changes of.
    pub(super) fn offered(&self, capabilities: Option<Value<'_>>) {
        let announces = |name: &str| {
            capabilities.and_then(|all| all.at(&[name, "listChanged"])).is_some_and(|flag| flag.raw() == "true")
        };
        let lists = LISTS.into_iter().filter(|(name, ..)| announces(name)).map(|(_, filter, method)| (filter, method));
        self.wanted().lists = lists.collect();
    }

    /// Everything announced from now on; who listened before hears no more.
    pub(super) async fn listen(&self, up: &Arc<Up>) -> Deliveries {
        let mut mine = 0;
        self.listener.send_modify(|last| {
            *last += 1;
            mine = *last;
        });
        let (listener, incoming) = (self.listener.subscribe(), Arc::clone(&self.incoming));
        self.begin(up).await;
        Box::pin(stream::unfold((listener, incoming), move |(mut listener, incoming)| async move {
            let message = tokio::select! {
                biased;
                _ = listener.wait_for(|last| *last != mine) => None,
                message = async { incoming.lock().await.recv().await } => message,
            };
            Some((Delivery::Message(message?, None), (listener, incoming)))
        }))
    }

    /// Subscribes to what is wanted already, unless that has been done.
    async fn begin(&self, up: &Arc<Up>) {
        let mut unasked = self.unasked.lock().await;
        if let (None, Upstream::Stdio(_)) = (&*unasked, &up.link.upstream)
            && let Ok(exchange) = exchange::listen(&up.link, &Relay::default()).await
        {
            *unasked = Some(tokio::spawn(relay_all(Arc::downgrade(up), exchange)).abort_handle());
        }
        drop(unasked);
        if self.reader.lock().await.is_none()
            && let Err(_refused) = self.renew(up).await
        {
            // The client has not asked for anything; it hears nothing of changes, which is what the log says.
            tracing::warn!(server = %up.link.server.name, "the server does not announce changes although it said so");
        }
    }

    /// Watches a resource.
    pub(super) async fn subscribe(&self, up: &Arc<Up>, uri: &str) -> Result<(), Refused> {
        {
            let mut wanted = self.wanted();
            if wanted.resources.len() >= RESOURCES {
                return Err(Refused::TooMany);
            }
            wanted.resources.insert(uri.to_owned());
        }
        let renewed = match self.renew(up).await {
            Ok(acknowledged) if acknowledged.as_ref().is_none_or(|message| accepts(message.message(), uri)) => Ok(()),
            Ok(_) => Err(Refused::NotAccepted),
            Err(refused) => Err(refused),
        };
        if renewed.is_err() {
            self.wanted().resources.remove(uri);
        }
        renewed
    }

    /// Watches a resource no longer.
    pub(super) async fn unsubscribe(&self, up: &Arc<Up>, uri: &str) -> Result<(), Refused> {
        if self.wanted().resources.remove(uri) {
            self.renew(up).await?;
        }
        Ok(())
    }

    /// Ends everything.
    pub(super) async fn end(&self) {
        self.close();
        for task in [self.reader.lock().await.take(), self.unasked.lock().await.take()].into_iter().flatten() {
            task.abort();
        }
    }

    /// Ends the stream of whoever listens.
    fn close(&self) {
        self.listener.send_modify(|last| *last += 1);
    }

    /// Puts a subscription to all that is wanted in place of the present one.
    async fn renew(&self, up: &Arc<Up>) -> Result<Option<Admitted>, Refused> {
        let mut reader = self.reader.lock().await;
        let Some(filter) = self.wanted().filter() else {
            if let Some(old) = reader.take() {
                old.abort();
            }
            return Ok(None);
        };
        let (exchange, acknowledged) = open(up, &filter).await?;
        let task = tokio::spawn(keep(Arc::downgrade(up), exchange));
        if let Some(old) = reader.replace(task.abort_handle()) {
            old.abort();
        }
        Ok(Some(acknowledged))
    }

    fn push(&self, message: Admitted) {
        let edits = answer::notification(message.message());
        let message = if edits.is_empty() { message } else { message.rewritten(&edits) };
        if message.bytes().len() > ANNOUNCEMENT || self.queue.try_send(message).is_err() {
            tracing::debug!("an announcement is dropped: it is too large to be one, or the client does not read them");
        }
    }

    /// Announces everything, as it is not known what the server would have announced meanwhile.
    fn missed(&self, up: &Up) {
        let (lists, resources) = {
            let wanted = self.wanted();
            (wanted.lists.clone(), wanted.resources.clone())
        };
        let lists = lists.iter().map(|(_, method)| format!(r#"{{"jsonrpc":"2.0","method":"{method}"}}"#));
        let resources = resources.iter().map(|uri| {
            let (method, uri) = (method::RESOURCE_UPDATED, quote(uri));
            format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{{"uri":{uri}}}}}"#)
        });
        let link = &up.link;
        for json in lists.chain(resources) {
            if let Ok(own) = admit::own(&link.gateway.recorder, &link.server.name, &link.name, json) {
                self.push(own);
            }
        }
    }

    fn wanted(&self) -> std::sync::MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        for task in [self.reader.get_mut().take(), self.unasked.get_mut().take()].into_iter().flatten() {
            task.abort();
        }
    }
}

impl Wanted {
    /// The filter of a subscription to all of it, if there is anything.
    fn filter(&self) -> Option<String> {
        let mut members: Vec<_> = self.lists.iter().map(|(filter, _)| format!(r#""{filter}":true"#)).collect();
        if !self.resources.is_empty() {
            let uris: Vec<_> = self.resources.iter().map(|uri| quote(uri)).collect();
            members.push(format!(r#""resourceSubscriptions":[{}]"#, uris.join(",")));
        }
        (!members.is_empty()).then(|| format!("{{{}}}", members.join(",")))
    }
}

/// Opens a subscription and waits until the server acknowledges it.
async fn open(up: &Up, filter: &str) -> Result<(Exchange, Admitted), Refused> {
    let params = format!(r#","notifications":{filter}"#);
    let request = up.own_request(method::SUBSCRIPTIONS_LISTEN, &params).ok_or(Refused::Silence)?;
    let relay = super::relay(&up.link, &request);
    let acknowledged = async {
        let begun = exchange::begin(&up.link, request, &relay).await;
        let mut exchange = begun.map_err(|failure| failure.answer.map_or(Refused::Silence, Refused::ByServer))?;
        while let Some(delivery) = exchange.next().await {
            match delivery {
                Delivery::Message(answer, _) if exchange.is_finished() => return Err(Refused::ByServer(answer)),
                Delivery::Message(message, _)
                    if message.message().method() == Some(method::SUBSCRIPTIONS_ACKNOWLEDGED) =>
                {
                    return Ok((exchange, message));
                }
                _ => {}
            }
        }
        Err(Refused::Silence)
    };
    tokio::time::timeout(PATIENCE, acknowledged).await.unwrap_or(Err(Refused::Silence))
}

/// Reads a subscription as long as the session lasts, and opens it again when the server closes it.
async fn keep(up: Weak<Up>, mut exchange: Exchange) {
    let mut rest = REST.0;
    loop {
        while let Some(delivery) = exchange.next().await {
            let (Some(up), false) = (up.upgrade(), exchange.is_finished()) else { break };
            if let Delivery::Message(message, _) = delivery
                && message.message().kind() == Kind::Notification
            {
                rest = REST.0;
                up.feed.push(message);
            }
        }
        tokio::time::sleep(rest).await;
        rest = (rest * 2).min(REST.1);
        let Some(up) = up.upgrade() else { return };
        if matches!(&up.link.upstream, Upstream::Stdio(child) if child.has_ended()) {
            return;
        }
        let filter = up.feed.wanted().filter();
        let Some(filter) = filter else { return };
        if let Ok((again, _)) = open(&up, &filter).await {
            exchange = again;
            up.feed.missed(&up);
        }
    }
}

/// Reads what a child process sends that belongs to no request.
async fn relay_all(up: Weak<Up>, mut exchange: Exchange) {
    while let Some(delivery) = exchange.next().await {
        let Some(up) = up.upgrade() else { return };
        if let Delivery::Message(message, _) = delivery {
            up.feed.push(message);
        }
    }
    // The process has ended, and whoever listens is to know.
    if let Some(up) = up.upgrade() {
        up.feed.close();
    }
}

/// Whether the server says that it will announce changes of this resource.
fn accepts(acknowledged: &Message, uri: &str) -> bool {
    let accepted = acknowledged.params().and_then(|params| params.at(&["notifications", "resourceSubscriptions"]));
    accepted.into_iter().flat_map(Value::elements).any(|accepted| accepted.is_text(uri))
}

#[cfg(test)]
mod tests {
    use bartizan_mcp::Limits;

    use super::*;

    fn message(text: &str) -> Message {
        Message::parse(text.to_owned(), &Limits::default()).unwrap()
    }

    #[test]
    fn what_is_wanted_is_one_filter() {
        let feed = Feed::default();
        let check = |expected: Option<&str>| assert_eq!(feed.wanted().filter().as_deref(), expected);
        check(None);
        let offers = message(
            r#"{"jsonrpc":"2.0","id":1,"result":{"tools":{"listChanged":true},"prompts":{"listChanged":false},"resources":{"listChanged":true}}}"#,
        );
        feed.offered(offers.result());
        check(Some(r#"{"toolsListChanged":true,"resourcesListChanged":true}"#));
        feed.offered(None);
        feed.wanted().resources.extend(["b\"".to_owned(), "a".to_owned()]);
        check(Some(r#"{"resourceSubscriptions":["a","b\""]}"#));
    }

    #[test]
    fn a_resource_is_watched_if_the_server_says_so() {
        let cases = [
            (r#"{"notifications":{"resourceSubscriptions":["a","b"]}}"#, true),
            (r#"{"notifications":{"resourceSubscriptions":["a"]}}"#, false),
            (r#"{"notifications":{}}"#, false),
            ("{}", false),
        ];
        for (params, accepted) in cases {
            let text =
                format!(r#"{{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{params}}}"#);
            assert_eq!(accepts(&message(&text), "b"), accepted, "{params}");
        }
    }
}
