//! How an aggregate reaches one server: straight, or over a bridge to the other era.
//!
//! A bridge stands where a link would: names, ids and tasks are the client's on this side of it and the server's own on
//! the other, so neither knows of the other's edits.

use std::sync::Arc;

use bartizan_guard::Direction;
use bartizan_mcp::Message;
use futures_util::StreamExt;

use crate::admit::CODE_DENIED;
use crate::answer::{Answer, Deliveries, Delivery};
use crate::bridge::Bridge;
use crate::link::Link;
use crate::tag::Tag;
use crate::upstream::UpstreamError;

/// The way to a server.
pub(super) enum Way {
    /// It speaks the client's era.
    Straight(Arc<Link>),
    /// It is translated for.
    Bridged(Bridge),
}

impl Way {
    /// The links to the server; none while a bridge has lost its session.
    pub(super) fn links(&self) -> Vec<Arc<Link>> {
        match self {
            Way::Straight(link) => vec![Arc::clone(link)],
            Way::Bridged(bridge) => bridge.links(),
        }
    }

    /// Whether there is no way any more, as far as can be seen from here.
    pub(super) fn has_ended(&self) -> bool {
        match self {
            Way::Straight(link) => link.upstream.has_ended(),
            Way::Bridged(bridge) => bridge.has_ended(),
        }
    }

    /// Ends the session with the server.
    pub(super) async fn end(&self) {
        match self {
            Way::Straight(link) => link.upstream.end().await,
            Way::Bridged(bridge) => bridge.end().await,
        }
    }

    /// Records that the server failed without anybody waiting for it.
    pub(super) fn failed(&self, error: &UpstreamError) {
        self.links().iter().for_each(|link| drop(link.failed(None, error)));
    }
}

/// What a bridge answers, as the client of an aggregate is to see it.
pub(super) fn answered(bridge: &Bridge, tag: Tag, answer: Answer) -> Answer {
    match answer {
        Answer::Message(status, message) => Answer::Message(status, tag.seen(message)),
        Answer::Stream(stream) => Answer::Stream(delivered(bridge, tag, stream)),
        answer => answer,
    }
}

/// The same for messages as they come; what a server may not say is left out.
pub(super) fn delivered(bridge: &Bridge, tag: Tag, stream: Deliveries) -> Deliveries {
    let bridge = bridge.clone();
    Box::pin(stream.filter_map(move |delivery| {
        std::future::ready(match delivery {
            Delivery::Message(message, _) if is_foreign(&bridge, &tag, message.message()) => None,
            Delivery::Message(message, event) => Some(tag.message(message, event)),
            Delivery::Mark(event, retry) => Some(Delivery::Mark(tag.event(event), retry)),
        })
    }))
}

/// Whether a message is about what another server was asked, which is recorded.
fn is_foreign(bridge: &Bridge, tag: &Tag, message: &Message) -> bool {
    let Some(why) = tag.foreign(message) else { return false };
    for link in bridge.links() {
        let problem = ("gateway.not_its_own", why.to_owned());
        link.protest(message, Direction::ToClient, None, problem, CODE_DENIED);
    }
    true
}
