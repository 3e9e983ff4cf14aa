//! What concerns all servers at once: their lists, and the level of their log messages.

use std::sync::{Arc, PoisonError};

use bartizan_guard::CallSummary;
use bartizan_mcp::{Era, Id, Message};
use futures_util::future::join_all;

use super::member::{Member, PATIENCE, Ready};
use super::merge::{self, Key, List};
use super::{Hub, with_param};
use crate::admit::Admitted;
use crate::answer::Answer;
use crate::own;
use crate::places::brief;
use crate::upstream::UpstreamError;

/// Pages that one server's list may have. All of them together may be as large as one message, and as long under way as
/// the others can be asked to wait: a server that lists without end is left out like one that does not answer.
const PAGES: usize = 100;

/// The id of the gateway's own requests, as JSON.
const OWN: &str = r#""bartizan""#;

/// A page with the server that it comes from.
pub(super) type Page = (Arc<str>, Admitted);

impl Hub {
    /// One list of what all servers list; a server that fails is left out, which the log and the metrics say.
    pub(super) async fn list(&self, list: List, message: &Message, id: &Id) -> Answer {
        let ready = self.all_ready(message).await;
        let asked = ready.iter().filter(|(_, ready)| ready.offers(list.capability));
        let pages: Vec<Page> = join_all(asked.map(|(member, ready)| self.pages(member, ready, message)))
            .await
            .into_iter()
            .flatten()
            .collect();
        self.own(self.merged(list, id, &pages))
    }

    /// The pages as one list. Whoever listed a resource first in this session has it: another server that lists it later
    /// does not take it over.
    fn merged(&self, list: List, id: &Id, pages: &[Page]) -> String {
        let found = |server: &Arc<str>, key: &str| match list.key {
            Key::Uri => self.resources.claim(brief(key), server),
            Key::Template => self.templates.claim(key.to_owned(), server),
            Key::Name | Key::Task => true,
        };
        let stateless = self.era == Era::Stateless;
        merge::lists(list, id, pages, &self.names, stateless, found)
    }

    /// All pages of one server's list; none if it does not deliver all of them, which the log says.
    async fn pages(&self, member: &Arc<Member>, ready: &Arc<Ready>, first: &Message) -> Vec<Page> {
        match tokio::time::timeout(PATIENCE, self.all_pages(member, ready, first)).await {
            Ok(Ok(pages)) => return pages,
            Ok(Err(Some(error))) => member.note_left_out(&error),
            // It failed, and that is in the log.
            Ok(Err(None)) => {}
            Err(_) => member.note_left_out(&UpstreamError::TimedOut(PATIENCE.as_secs())),
        }
        Vec::new()
    }

    async fn all_pages(
        &self,
        member: &Arc<Member>,
        ready: &Arc<Ready>,
        first: &Message,
    ) -> Result<Vec<Page>, Option<UpstreamError>> {
        let limits = self.limits();
        let (mut pages, mut bytes) = (Vec::new(), 0_usize);
        let mut next = Some(first.clone());
        while let Some(message) = next.take() {
            let page = member.ask(ready, message).await.ok_or(None)?;
            let Some(result) = page.message().result() else {
                // What it does not know at all is no list that broke off.
                return if pages.is_empty() { Ok(pages) } else { Err(None) };
            };
            bytes = bytes.saturating_add(page.bytes().len());
            if bytes > limits.bytes || pages.len() >= PAGES {
                return Err(Some(UpstreamError::TooLarge));
            }
            // Clients take an empty cursor for the end.
            let cursor = result.get("nextCursor").filter(|cursor| cursor.as_str().is_some_and(|text| !text.is_empty()));
            if let Some(cursor) = cursor {
                next = with_param(first, "cursor", cursor.raw(), &limits);
            }
            pages.push((Arc::clone(&member.server.name), page));
        }
        Ok(pages)
    }

    /// Finds out what a server calls its tools and prompts, for the request that is `asked`.
    pub(super) async fn learn(&self, server: &str, asked: &Message) {
        let Some(member) = self.members.get(server) else { return };
        let Some(ready) = member.ready(CallSummary::of(asked).as_ref()).await else { return };
        for (method, member_name) in [("tools/list", "tools"), ("prompts/list", "prompts")] {
            let Some(list) = merge::list_of(method).filter(|_| ready.offers(member_name)) else { continue };
            if let Some(message) = self.own_request(method) {
                let pages = self.pages(member, &ready, &message).await;
                self.merged(list, &Id::Integer(0), &pages);
            }
        }
    }

    /// Finds out which server has which resource, for the request that is `asked`.
    pub(super) async fn learn_resources(&self, asked: &Message) {
        let ready = self.all_ready(asked).await;
        for method in ["resources/list", "resources/templates/list"] {
            if let (Some(list), Some(message)) = (merge::list_of(method), self.own_request(method)) {
                let asked = ready.iter().filter(|(_, ready)| ready.offers(list.capability));
                let pages = join_all(asked.map(|(member, ready)| self.pages(member, ready, &message))).await;
                self.merged(list, &Id::Integer(0), &pages.into_iter().flatten().collect::<Vec<_>>());
            }
        }
    }

    /// A request on the gateway's account, with what the era demands.
    pub(super) fn own_request(&self, method: &str) -> Option<Message> {
        let json = match self.era {
            Era::Legacy => format!(r#"{{"jsonrpc":"2.0","id":{OWN},"method":"{method}"}}"#),
            Era::Stateless => own::stateless(OWN, method),
        };
        Message::parse(json, &self.limits()).ok()
    }

    pub(super) async fn set_level(&self, message: Message, id: &Id) -> Answer {
        *self.level.lock().unwrap_or_else(PoisonError::into_inner) = Some(message.clone());
        let ready = self.all_ready(&message).await;
        let told = ready.iter().filter(|(_, ready)| ready.offers("logging")).map(|(member, ready)| {
            let message = message.clone();
            async move { member.ask(ready, message).await }
        });
        let answers: Vec<Admitted> = join_all(told).await.into_iter().flatten().collect();
        let all_refuse = !answers.is_empty() && answers.iter().all(|answer| answer.message().error().is_some());
        match answers.into_iter().next() {
            // They agree that the client asks for what cannot be; one of them may say so.
            Some(answer) if all_refuse => Answer::Message(http::StatusCode::OK, answer),
            _ => self.own(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, id.to_json())),
        }
    }
}
