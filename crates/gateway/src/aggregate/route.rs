//! To which one server a request goes: by the name, the URI or the task that it names.

use std::sync::{Arc, PoisonError};

use bartizan_guard::{CallSummary, DefinitionKind};
use bartizan_mcp::{Edits, Id, Message, meta, meta::Meta, method};
use http::{HeaderMap, StatusCode};

use super::Hub;
use super::member::Member;
use super::way::{self, Way};
use crate::admit::CODE_UPSTREAM;
use crate::answer::Answer;
use crate::codes::{INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, RESOURCE_NOT_FOUND};
use crate::converse::converse;
use crate::exchange::{self, Failure};
use crate::link::Link;
use crate::params;
use crate::places::{brief, fits, token_brief};
use crate::relay;
use crate::tag;

impl Hub {
    /// Sends a request to the server that its name names, under the name that the server knows.
    pub(super) async fn by_name(&self, path: &[&str], message: Message, id: &Id, headers: &HeaderMap) -> Answer {
        let Some(node) = message.params().and_then(|params| params.at(path)) else {
            return self.refuse(&message, ("gateway.no_name", "the name is missing", INVALID_PARAMS)).await;
        };
        let (name, node) = (node.text().into_owned(), node.id());
        let Some((member, inner)) = self.named(&name, &message).await else {
            let why = "there is no such tool or prompt; names are SERVER__NAME";
            return self.refuse(&message, ("gateway.unknown_name", why, INVALID_PARAMS)).await;
        };
        let mut edits = Edits::new();
        edits.set_text(node, &inner);
        self.edited(member, (&message, edits), id, headers).await
    }

    /// The server that a name stands for, and what it calls it.
    async fn named(&self, name: &str, asked: &Message) -> Option<(&Arc<Member>, String)> {
        let (server, mut inner) = self.names.inward(name)?;
        let member = self.members.get(&*server)?;
        if inner.is_none() {
            // A name that was made up, in a list that this session has not seen.
            self.learn(&server, asked).await;
            inner = self.names.inward(name).and_then(|(_, inner)| inner);
        }
        Some((member, inner?))
    }

    pub(super) async fn by_uri(&self, uri: Option<String>, message: Message, id: &Id, headers: &HeaderMap) -> Answer {
        let Some(uri) = uri else {
            return self.refuse(&message, ("gateway.no_uri", "the URI is missing", INVALID_PARAMS)).await;
        };
        let owner = self.owner(&uri, &message).await;
        let Some(member) = owner.and_then(|server| self.members.get(&server)) else {
            let problem = ("gateway.unknown_resource", "no server lists this resource", RESOURCE_NOT_FOUND);
            return self.refuse(&message, problem).await;
        };
        {
            let mut subscribed = self.subscribed.lock().unwrap_or_else(PoisonError::into_inner);
            match message.method() {
                Some(method::RESOURCES_SUBSCRIBE) => subscribed.insert(&uri, message.clone(), message.weight()),
                Some(method::RESOURCES_UNSUBSCRIBE) => subscribed.remove(&uri),
                _ => {}
            }
        }
        self.edited(member, (&message, Edits::new()), id, headers).await
    }

    /// The server that has a resource or a template, as the lists say; they are asked for if need be.
    pub(super) async fn owner(&self, uri: &str, asked: &Message) -> Option<Arc<str>> {
        if let Some(server) = self.resources.get(&brief(uri)).or_else(|| self.templates.get(uri)) {
            return Some(server);
        }
        self.learn_resources(asked).await;
        self.owner_now(uri).or_else(|| self.hidden_owner(uri))
    }

    /// The server that has a template for a resource, although this client is not shown the template: it may be good for that
    /// one resource. Whether it is, is decided on the way to that server, as always.
    fn hidden_owner(&self, uri: &str) -> Option<Arc<str>> {
        let has = |link: &Arc<Link>| {
            let session = link.session();
            let mut all = session.catalog.iter();
            all.any(|held| held.kind == DefinitionKind::ResourceTemplate && fits(&held.name, uri))
        };
        let mut ready = self.members.iter().filter_map(|(name, member)| Some((name, member.ready_now()?)));
        ready.find(|(_, ready)| ready.way.links().iter().any(has)).map(|(name, _)| Arc::clone(name))
    }

    /// The same, as far as is known.
    pub(super) fn owner_now(&self, uri: &str) -> Option<Arc<str>> {
        let named = self.resources.get(&brief(uri)).or_else(|| self.templates.get(uri));
        named.or_else(|| self.templates.first(|template| fits(template, uri)))
    }

    /// A request of which the specification knows nothing: it goes to the server that its task, name or URI is of, or to
    /// the only one that there is.
    pub(super) async fn elsewhere(&self, message: Message, id: &Id, headers: &HeaderMap) -> Answer {
        let param = |name: &str| message.params()?.get(name)?.as_str().map(|text| text.into_owned());
        if let Some(task) = param("taskId") {
            return self.by_task(&task, message, id, headers).await;
        }
        if param("name")
            .and_then(|name| self.names.inward(&name))
            .is_some_and(|(of, _)| self.members.contains_key(&*of))
        {
            return self.by_name(&["name"], message, id, headers).await;
        }
        if let Some(uri) = param("uri").filter(|uri| self.owner_now(uri).is_some()) {
            return self.by_uri(Some(uri), message, id, headers).await;
        }
        let mut members = self.members.values();
        match (members.next(), members.next()) {
            (Some(only), None) => self.edited(only, (&message, Edits::new()), id, headers).await,
            _ => {
                let why = "it does not say which server is meant; call it at the endpoint of that one";
                self.refuse(&message, ("gateway.unknown_method", why, METHOD_NOT_FOUND)).await
            }
        }
    }

    async fn by_task(&self, task: &str, message: Message, id: &Id, headers: &HeaderMap) -> Answer {
        let Some(member) = tag::inward(task).and_then(|(server, _)| self.members.get(server)) else {
            return self.refuse(&message, ("gateway.unknown_task", "there is no such task", INVALID_PARAMS)).await;
        };
        self.edited(member, (&message, Edits::new()), id, headers).await
    }

    /// Passes a request on in the words of its server.
    async fn edited(
        &self,
        member: &Arc<Member>,
        (message, mut edits): (&Message, Edits),
        id: &Id,
        headers: &HeaderMap,
    ) -> Answer {
        edits.extend(tag::tasks_inward(message, &member.server.name));
        match message.edited(&edits, &self.limits()) {
            Ok(message) => self.call(member, message, id, headers).await,
            Err(_) => self.refuse(message, ("gateway.too_large", "the request is too large", INVALID_REQUEST)).await,
        }
    }

    async fn call(&self, member: &Arc<Member>, message: Message, id: &Id, headers: &HeaderMap) -> Answer {
        self.requests.put(brief(&id.to_json()), &member.server.name);
        if let Some(token) = Meta::of(&message).get(meta::PROGRESS_TOKEN) {
            self.tokens.put(token_brief(token), &member.server.name);
        }
        let mut attempted = self.attempt(member, message, id, headers).await;
        if let Err(Forgotten(Some(message))) = attempted {
            attempted = self.attempt(member, message, id, headers).await;
        }
        attempted.unwrap_or_else(|_| self.error(id, CODE_UPSTREAM, "the server has ended its session; try again"))
    }

    /// All of the way to the server, so that a second attempt is looked at like the first: the session in which it is
    /// made may know the tool otherwise.
    async fn attempt(
        &self,
        member: &Arc<Member>,
        message: Message,
        id: &Id,
        headers: &HeaderMap,
    ) -> Result<Answer, Forgotten> {
        let call = CallSummary::of(&message);
        let Some(ready) = member.ready(call.as_ref()).await else {
            let refusal = member.unreachable(call.as_ref());
            return Ok(Answer::Message(StatusCode::OK, refusal.answer(Some(id), call.as_ref())));
        };
        let tag = self.tag(&member.server.name, false);
        let link = match &ready.way {
            Way::Straight(link) => link,
            // It compares the headers itself.
            Way::Bridged(bridge) => {
                return Ok(way::answered(bridge, tag, bridge.answer(message, Some(headers)).await));
            }
        };
        let mut relay = ready.relay(link, &message);
        if !relay.routing.is_empty() {
            relay.routing.extend(relay::params(headers));
        }
        if let Err(refusal) = params::settle(link, &mut relay, headers, &message).await {
            return Ok(Answer::Message(StatusCode::BAD_REQUEST, refusal.answer(Some(id), None)));
        }
        // Only a session can be forgotten by the server, and then the request was not looked at.
        let again = link.upstream.has_session().then(|| message.clone());
        match exchange::begin(link, message, &relay).await {
            Err(Failure { session_gone: true, .. }) => {
                member.lost(&ready);
                Err(Forgotten(again))
            }
            begun => Ok(converse(begun.map(|exchange| exchange.tagged(tag))).await),
        }
    }
}

/// The server has forgotten the session; the request, if it may be sent in another one.
struct Forgotten(Option<Message>);
