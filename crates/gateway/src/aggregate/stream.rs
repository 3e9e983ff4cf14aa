//! What servers send without being asked, for one client: all of it in one stream.
//!
//! In the legacy era that is the stream of the session; in the stateless one it is the answer to
//! `subscriptions/listen`. Either way there is a pump for each server, which goes on trying when its server is away, and
//! tells the client that the lists changed when the server came late or came back.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bartizan_guard::CallSummary;
use bartizan_mcp::{Era, Id, Message, method};
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderValue};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::member::{Member, PATIENCE, Ready};
use super::way::{self, Way};
use super::{Hub, subscription};
use crate::admit::{self, Admitted, CODE_UPSTREAM};
use crate::answer::{Answer, Deliveries, Delivery, NoStream};
use crate::beside;
use crate::converse::{self, deliveries};
use crate::event_id::LAST_EVENT;
use crate::exchange;
use crate::front::ALL;
use crate::link::with_completed;
use crate::relay::Relay;
use crate::tag;
use crate::upstream::UpstreamError;

/// Messages that wait for the client; beyond that its servers' streams wait, where what is lost can be had again.
const QUEUE: usize = 8;
/// How long to wait before a stream that ended is opened again; doubled as long as nothing comes of it.
const REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(30);
/// What is announced, with the capability that a server must have for it.
const LISTS: [(&str, &str); 3] = [
    ("tools", method::TOOLS_LIST_CHANGED),
    ("prompts", method::PROMPTS_LIST_CHANGED),
    ("resources", method::RESOURCES_LIST_CHANGED),
];

/// A stream on which the client hears of changes.
pub(super) struct Outlet {
    queue: mpsc::Sender<Delivery>,
    /// The `subscriptions/listen` that it answers; none for a session's own stream.
    subscription: Option<Message>,
    pumps: Mutex<HashMap<Arc<str>, JoinHandle<()>>>,
}

/// A server's acknowledgement of what is listened for.
type Acknowledged = (Arc<str>, Message);

impl Hub {
    /// What the servers send without being asked, in one stream; or the rest of one server's answer, to be resumed.
    ///
    /// # Errors
    /// If the server whose answer is to be resumed cannot be reached or does not offer that, or must not be asked for it.
    pub(crate) async fn listen(self: &Arc<Self>, headers: &HeaderMap) -> Result<Deliveries, NoStream> {
        let last = headers.get(LAST_EVENT).and_then(|id| id.to_str().ok());
        let mut resume = last.and_then(tag::event_inward);
        if let Some((server, event, general)) = resume
            && let Some(ready) = self.members.get(server).and_then(|member| member.ready_now())
            && let Way::Straight(link) = &ready.way
        {
            // What belongs to no request goes on with what comes next, if the place is of before the server's last start.
            if !general || link.has_named(event) {
                beside::judge_lost(link, event).await?;
            } else {
                resume = None;
            }
        }
        if let Some((server, event, false)) = resume {
            return Ok(self.resume(server, event).await?);
        }
        // A client that listens anew has lost its stream, perhaps before we have.
        self.close_outlets().await;
        let (outlet, stream) = self.open_outlet(None);
        for (name, member) in &self.members {
            let from = resume.filter(|(server, ..)| *server == &**name).map(|(_, event, _)| event.to_owned());
            if let Some(ready) = member.ready_now() {
                outlet.start(name, pump(Arc::clone(self), Arc::clone(&outlet), Arc::clone(member), ready, from));
            } else {
                member.begin(None);
            }
        }
        if self.unannounced.swap(false, Ordering::Relaxed) {
            LISTS.iter().for_each(|(_, method)| self.announce(&outlet, method));
        }
        Ok(stream)
    }

    /// One server's answer from where the client lost it.
    async fn resume(&self, server: &str, event: &str) -> Result<Deliveries, UpstreamError> {
        let member = self.members.get_key_value(server);
        let ready = member.and_then(|(name, member)| Some((name, member.ready_now()?)));
        let Some((name, ready)) = ready else { return Err(UpstreamError::NoStream) };
        self.own_stream(name, &ready, Some(event), false).await
    }

    /// One server's own stream, from the event `last` on if there is one.
    async fn own_stream(
        &self,
        name: &Arc<str>,
        ready: &Ready,
        last: Option<&str>,
        general: bool,
    ) -> Result<Deliveries, UpstreamError> {
        let last_event_id = last.and_then(|event| HeaderValue::from_str(event).ok());
        let tag = self.tag(name, general);
        match &ready.way {
            Way::Straight(link) => {
                let relay = Relay { version: ready.version(), last_event_id, ..Relay::default() };
                let stream = converse::listen(link, &relay, Some(tag)).await?;
                Ok(if general { with_completed(link, stream) } else { stream })
            }
            Way::Bridged(bridge) => Ok(way::delivered(bridge, tag, bridge.listen(last_event_id.as_ref()).await?)),
        }
    }

    /// One stream of all servers' changes, acknowledged once; it lasts until the client ends it.
    pub(super) async fn subscribe(self: &Arc<Self>, message: Message, id: &Id) -> Answer {
        if subscription::resources(&message).iter().any(|uri| self.owner_now(uri).is_none()) {
            self.learn_resources(&message).await;
        }
        let (reports, mut acknowledged) = mpsc::channel(self.members.len().max(1));
        let (outlet, stream) = self.open_outlet(Some(message.clone()));
        for (name, member) in &self.members {
            let report = Some(reports.clone());
            outlet.start(name, follow(Arc::clone(self), Arc::clone(&outlet), Arc::clone(member), report));
        }
        drop(reports);
        let (hub, id) = (Arc::clone(self), id.clone());
        let first = async move {
            let mut all: Vec<Acknowledged> = Vec::new();
            let collected = async {
                while let Some(one) = acknowledged.recv().await {
                    all.push(one);
                }
            };
            // Those who are slower are heard all the same; only their say in this is missed.
            tokio::time::timeout(PATIENCE, collected).await.ok();
            all.sort_by(|(left, _), (right, _)| left.cmp(right));
            let json = subscription::acknowledgement(&message, &id, &all);
            match admit::own(&hub.gateway.recorder, ALL, &hub.name, json) {
                Ok(message) => Delivery::Message(message, None),
                Err(refusal) => Delivery::Message(refusal.answer(Some(&id), None), None),
            }
        };
        Answer::Stream(Box::pin(stream::once(first).chain(stream)))
    }

    /// What one server sends because it is listened to; otherwise its answer, if it gave one.
    async fn subscribed_to(
        &self,
        name: &Arc<str>,
        ready: &Ready,
        message: Message,
    ) -> Result<Deliveries, Option<Admitted>> {
        let tag = self.tag(name, true);
        match &ready.way {
            Way::Straight(link) => {
                let relay = ready.relay(link, &message);
                let exchange = exchange::begin(link, message, &relay).await.map_err(|failure| failure.answer)?;
                Ok(deliveries(exchange.tagged(tag)))
            }
            Way::Bridged(bridge) => match bridge.answer(message, None).await {
                Answer::Stream(stream) => Ok(way::delivered(bridge, tag, stream)),
                Answer::Message(_, answer) => Err(Some(answer)),
                Answer::Accepted | Answer::Gone | Answer::Refused(_) => Err(None),
            },
        }
    }

    /// A server is ready: it is told what the client wants of all, and the client is told if the server is late.
    pub(super) async fn joined(self: &Arc<Self>, member: &Arc<Member>, ready: &Arc<Ready>) {
        if self.era == Era::Stateless {
            return;
        }
        let name = &member.server.name;
        let level = self.level.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let theirs: Vec<Message> = {
            let subscribed = self.subscribed.lock().unwrap_or_else(PoisonError::into_inner);
            let theirs = subscribed.iter().filter(|(uri, _)| self.owner_now(uri).is_some_and(|owner| owner == *name));
            theirs.map(|(_, message)| message.clone()).collect()
        };
        for message in level.filter(|_| ready.offers("logging")).into_iter().chain(theirs) {
            member.ask(ready, message).await;
        }
        if !self.greeted.load(Ordering::Relaxed) {
            return;
        }
        let Some(outlet) = self.open_outlets().into_iter().next() else {
            self.unannounced.store(true, Ordering::Relaxed);
            return;
        };
        outlet.start(name, pump(Arc::clone(self), Arc::clone(&outlet), Arc::clone(member), Arc::clone(ready), None));
        for (_, method) in LISTS.iter().filter(|(capability, _)| ready.offers(capability)) {
            self.announce(&outlet, method);
        }
    }

    /// Whether a client would hear of a server that joins.
    pub(super) fn is_listened_to(&self) -> bool {
        !self.open_outlets().is_empty()
    }

    /// Ends the streams, and waits until they have let go of their servers.
    pub(super) async fn close_outlets(&self) {
        let outlets = std::mem::take(&mut *self.outlets.lock().unwrap_or_else(PoisonError::into_inner));
        for outlet in outlets {
            let pumps = std::mem::take(&mut *outlet.pumps.lock().unwrap_or_else(PoisonError::into_inner));
            for (_, pump) in pumps {
                pump.abort();
                pump.await.ok();
            }
        }
    }

    fn open_outlets(&self) -> Vec<Arc<Outlet>> {
        let mut outlets = self.outlets.lock().unwrap_or_else(PoisonError::into_inner);
        outlets.retain(|outlet| !outlet.queue.is_closed());
        outlets.clone()
    }

    fn open_outlet(&self, subscription: Option<Message>) -> (Arc<Outlet>, Deliveries) {
        let (queue, messages) = mpsc::channel(QUEUE);
        let outlet = Arc::new(Outlet { queue, subscription, pumps: Mutex::default() });
        self.open_outlets();
        self.outlets.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&outlet));
        let stream = stream::unfold(messages, |mut messages| async { Some((messages.recv().await?, messages)) });
        (outlet, Box::pin(stream))
    }

    /// Tells the client that a list changed, because a server came or came back.
    fn announce(&self, outlet: &Outlet, method: &str) {
        let params = match &outlet.subscription {
            None => String::new(),
            Some(asked) if subscription::wants(asked, method) => subscription::params(asked),
            Some(_) => return,
        };
        let json = format!(r#"{{"jsonrpc":"2.0","method":"{method}"{params}}}"#);
        if let Ok(message) = admit::own(&self.gateway.recorder, ALL, &self.name, json) {
            // A client that does not read need not know.
            outlet.queue.try_send(Delivery::Message(message, None)).ok();
        }
    }
}

impl Outlet {
    /// Has a server's messages pumped into it; a pump of the same server ends before that.
    fn start(&self, server: &Arc<str>, pump: impl Future<Output = ()> + Send + 'static) {
        let mut pumps = self.pumps.lock().unwrap_or_else(PoisonError::into_inner);
        let before = pumps.remove(server);
        // At once, as the task that waits for its end may itself be aborted before it begins.
        before.iter().for_each(JoinHandle::abort);
        let task = tokio::spawn(async move {
            if let Some(before) = before {
                before.await.ok();
            }
            pump.await;
        });
        pumps.insert(Arc::clone(server), task);
    }

    /// Waits a while; whether the client is still there.
    async fn rest(&self, rest: &mut Duration) -> bool {
        let now = *rest;
        *rest = rest.saturating_mul(2).min(LONGEST_REST);
        tokio::select! {
            () = self.queue.closed() => false,
            () = tokio::time::sleep(now) => true,
        }
    }

    /// The next message of a server; `None` if there is no more or the client has gone.
    async fn next(&self, deliveries: &mut Deliveries) -> Option<Delivery> {
        tokio::select! {
            // First: what is taken for a client that has gone is lost.
            biased;
            () = self.queue.closed() => None,
            delivery = deliveries.next() => delivery,
        }
    }
}

/// Carries a session's own stream of one server to the client, and opens it again when it ends.
async fn pump(hub: Arc<Hub>, outlet: Arc<Outlet>, member: Arc<Member>, ready: Arc<Ready>, mut last: Option<String>) {
    let mut rest = REST;
    loop {
        match hub.own_stream(&member.server.name, &ready, last.as_deref(), true).await {
            Ok(mut deliveries) => {
                while let Some(delivery) = outlet.next(&mut deliveries).await {
                    let (Delivery::Message(_, event) | Delivery::Mark(event, _)) = &delivery;
                    last = event.as_deref().and_then(tag::event_inward).map(|(_, event, _)| event.to_owned()).or(last);
                    rest = REST;
                    if outlet.queue.send(delivery).await.is_err() {
                        return;
                    }
                }
            }
            Err(UpstreamError::SessionGone) => return member.lost(&ready),
            Err(UpstreamError::NoStream) => return tell_completed(&outlet, &ready).await,
            Err(error) => ready.way.failed(&error),
        }
        if ready.way.has_ended() {
            return member.lost(&ready);
        }
        if !outlet.rest(&mut rest).await {
            return;
        }
    }
}

/// Tells the client of pages that it was sent to, where the server itself has no stream to tell anything on.
async fn tell_completed(outlet: &Outlet, ready: &Ready) {
    let Way::Straight(link) = &ready.way else { return };
    let mut told = with_completed(link, Box::pin(stream::pending()));
    while let Some(delivery) = outlet.next(&mut told).await {
        if outlet.queue.send(delivery).await.is_err() {
            return;
        }
    }
}

/// Carries what one server sends to those who listen for it to the client, and listens again when that ends.
async fn follow(
    hub: Arc<Hub>,
    outlet: Arc<Outlet>,
    member: Arc<Member>,
    mut report: Option<mpsc::Sender<Acknowledged>>,
) {
    let Some(asked) = &outlet.subscription else { return };
    let (mut rest, mut late) = (REST, false);
    loop {
        let followed = match member.ready(CallSummary::of(asked).as_ref()).await {
            Some(ready) => follow_once(&hub, &outlet, &member, &ready, (asked, &mut report, late)).await,
            None => Followed::Away,
        };
        match followed {
            Followed::Refused => return,
            Followed::Ended => rest = REST,
            Followed::Away => {}
        }
        report = None;
        late = true;
        if !outlet.rest(&mut rest).await {
            return;
        }
    }
}

enum Followed {
    /// The server does not want to be listened to.
    Refused,
    /// It was listened to.
    Ended,
    /// It could not be reached.
    Away,
}

async fn follow_once(
    hub: &Arc<Hub>,
    outlet: &Outlet,
    member: &Arc<Member>,
    ready: &Arc<Ready>,
    (asked, report, late): (&Message, &mut Option<mpsc::Sender<Acknowledged>>, bool),
) -> Followed {
    let name = &member.server.name;
    if late && subscription::resources(asked).iter().any(|uri| hub.owner_now(uri).is_none()) {
        hub.learn_resources(asked).await;
    }
    let theirs = |uri: &str| hub.owner_now(uri).is_some_and(|owner| owner == *name);
    let Some(message) = subscription::of_server(asked, name, theirs, &hub.limits()) else { return Followed::Refused };
    let mut deliveries = match hub.subscribed_to(name, ready, message).await {
        Ok(deliveries) => deliveries,
        Err(Some(answer)) if !is_away(answer.message()) => return Followed::Refused,
        Err(_) => return Followed::Away,
    };
    let mut followed = Followed::Away;
    while let Some(delivery) = outlet.next(&mut deliveries).await {
        let Delivery::Message(message, _) = &delivery else { continue };
        if message.message().is_response() {
            return match message.message().error() {
                Some(_) if !is_away(message.message()) => Followed::Refused,
                _ => followed,
            };
        }
        if message.message().method() == Some(method::SUBSCRIPTIONS_ACKNOWLEDGED) {
            followed = Followed::Ended;
            if let Some(report) = report.take() {
                report.try_send((Arc::clone(name), message.message().clone())).ok();
            }
            if late {
                LISTS.iter().for_each(|(_, method)| hub.announce(outlet, method));
            }
        } else if outlet.queue.send(delivery).await.is_err() {
            break;
        }
    }
    followed
}

/// Whether an answer says that the server could not be reached or broke off, rather than what the server says.
pub(super) fn is_away(answer: &Message) -> bool {
    answer.error().and_then(|error| error.get("code")?.as_i64()) == Some(CODE_UPSTREAM)
}
