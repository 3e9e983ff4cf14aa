//! Bridging eras: a client and a server that have no revision in common are translated for each other.
//!
//! `down` is for clients of the stateless era in front of legacy servers, `up` for legacy clients in front of servers
//! that only know the stateless era. What goes to a server or comes from it is judged in the form that the server
//! sees; what the client sees is made of that by edits, or composed by the gateway and recorded as its own.

mod down;
pub(crate) mod era;
mod kept;
mod tasks;
mod up;

use std::sync::Arc;

use bartizan_guard::Principal;
use bartizan_mcp::{Digest, Era, Message, meta::Meta};
use http::{HeaderMap, HeaderValue};

use crate::admit::{About, Admitted, Refusal};
use crate::answer::{Answer, Deliveries, response};
use crate::front::Front;
use crate::gateway::Gateway;
use crate::link::{Link, with_completed};
use crate::server::Server;
use crate::upstream::UpstreamError;

pub(crate) use down::Down;
use up::Up;

/// One client's session with a server of the other era.
#[derive(Clone)]
pub(crate) enum Bridge {
    /// A stateless client in front of a legacy server.
    Down(Arc<Down>),
    /// A legacy client in front of a server that only knows the stateless era.
    Up(Arc<Up>),
}

impl Bridge {
    /// A bridge to `server` for a client of `era`, if the setting wants one and the two have no revision in common; it is opened because of the message that `about` names.
    ///
    /// # Errors
    /// What to tell the client if it cannot be found out what the server speaks.
    pub(crate) async fn open(
        gateway: &Arc<Gateway>,
        server: &Arc<Server>,
        principal: &Principal,
        (name, era): (&str, Era),
        about: About<'_>,
    ) -> Result<Option<Bridge>, Refusal> {
        if !server.bridge.on {
            return Ok(None);
        }
        let speaks = era::era_of(gateway, server, principal, name, about).await?;
        Ok(match era {
            Era::Stateless if !speaks.modern() => {
                Some(Bridge::Down(Down::new(Arc::clone(gateway), Arc::clone(server), principal.clone(), name)))
            }
            Era::Legacy if !speaks.legacy() => {
                let link = Link::connect(gateway, server, principal, name.to_owned(), about).await?;
                Some(Bridge::Up(Up::new(Arc::new(link))))
            }
            _ => None,
        })
    }

    /// Answers one message of the client's; `headers` are those that it came with, if it came with any.
    pub(crate) async fn answer(&self, message: Message, headers: Option<&HeaderMap>) -> Answer {
        match self {
            Bridge::Down(down) => down.answer(message, headers).await,
            // In the era of its clients no header repeats what a message says.
            Bridge::Up(up) => up.answer(message).await,
        }
    }

    /// Where messages end that do not go on to the server.
    pub(crate) fn front(&self) -> &Front {
        match self {
            Bridge::Down(down) => down.front(),
            Bridge::Up(up) => up.front(),
        }
    }

    /// Whether the server waits for what this request brings: in the stateless era, that is how its questions are answered.
    pub(crate) fn is_awaited(&self, request: &Message) -> bool {
        match self {
            Bridge::Down(_) => down::comes_back(request),
            Bridge::Up(_) => false,
        }
    }

    /// What the server sends without being asked, for a client of the legacy era; or the rest of the stream that `last` is
    /// an event of.
    pub(crate) async fn listen(&self, last: Option<&HeaderValue>) -> Result<Deliveries, UpstreamError> {
        match self {
            // Its clients have `subscriptions/listen` instead.
            Bridge::Down(_) => Err(UpstreamError::NoStream),
            Bridge::Up(up) => Ok(with_completed(up.link(), up.listen(last.and_then(|last| last.to_str().ok())).await)),
        }
    }

    /// Shakes hands with the server for the client that has said `hello`, which is its `initialize` or else any request
    /// of its; returns what says what the server offers. It is done because of the message that `about` names.
    pub(crate) async fn greet(&self, hello: Message, about: About<'_>) -> Option<Admitted> {
        let said = match self {
            Bridge::Down(down) => down.greet(hello, about).await.ok(),
            Bridge::Up(up) => response(up.answer(hello).await).await,
        };
        said.filter(|said| said.message().result().is_some())
    }

    /// Whether there is no session with the server any more, as far as can be seen from here.
    pub(crate) fn has_ended(&self) -> bool {
        match self {
            Bridge::Down(down) => down.link().is_none(),
            Bridge::Up(up) => up.link().upstream.has_ended(),
        }
    }

    /// Ends the session with the server.
    pub(crate) async fn end(&self) {
        match self {
            Bridge::Down(down) => down.end().await,
            Bridge::Up(up) => up.end().await,
        }
    }

    /// Whether the server has ended and is not begun anew from here.
    pub(crate) fn is_over(&self) -> bool {
        match self {
            // The next request begins another session.
            Bridge::Down(_) => false,
            Bridge::Up(up) => up.link().upstream.has_ended(),
        }
    }

    /// The link to the server, once there is one.
    pub(crate) fn links(&self) -> Vec<Arc<Link>> {
        match self {
            Bridge::Down(down) => down.link().into_iter().collect(),
            Bridge::Up(up) => vec![Arc::clone(up.link())],
        }
    }
}

/// What a legacy server is told once of the client that sends this request: another one needs another session.
pub(crate) fn abilities(request: &Message) -> String {
    let declared = Meta::of(request).client_capabilities();
    declared.map(|declared| format!("\n{}", Digest::of(declared))).unwrap_or_default()
}
