//! What a shared child sends because of one client's request.

use std::sync::Arc;

use bartizan_mcp::{Edits, Id, Limits, Message, Value, method};
use tokio::sync::watch;

use super::super::demux::Inbox;
use super::super::{Replies, Reply, UpstreamError};
use super::{Life, SharedChild, SharedUpstream};

/// The messages of a shared child for one request.
pub struct SharedInbox {
    inbox: Inbox,
    shared: Arc<SharedChild>,
    life: Arc<Life>,
    link: u64,
    /// The client's id.
    id: Id,
    /// The id on the wire.
    wire: Id,
    lists_tasks: bool,
    /// The resource that it asks to be subscribed to, until that is answered.
    subscribes: Option<Box<str>>,
    /// Whether the client's session is over.
    over: watch::Receiver<bool>,
}

impl std::fmt::Debug for SharedInbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedInbox").field("link", &self.link).field("id", &self.id).finish_non_exhaustive()
    }
}

/// The replies to `asked`, watched for what is this client's.
pub(super) fn wrap(of: &SharedUpstream, life: &Arc<Life>, asked: &Message, replies: Replies) -> Replies {
    match (replies, asked.id()) {
        (Replies::Channel(inbox), Some(id)) => {
            let Some(wire) = inbox.request().cloned() else { return Replies::Channel(inbox) };
            of.shared.links.sent(of.link, id.clone(), wire.clone());
            let lists_tasks = asked.method() == Some(method::TASKS_LIST);
            let (shared, life, link, id) = (Arc::clone(&of.shared), Arc::clone(life), of.link, id.clone());
            let over = of.over.subscribe();
            let subscribes = asked.method() == Some(method::RESOURCES_SUBSCRIBE);
            let subscribes = asked.param("uri").filter(|_| subscribes).map(Box::from);
            let own = SharedInbox { inbox, shared, life, link, id, wire, lists_tasks, subscribes, over };
            Replies::Shared(Box::new(own))
        }
        (replies, _) => replies,
    }
}

impl SharedInbox {
    pub(crate) async fn next(&mut self) -> Result<Option<Reply>, UpstreamError> {
        let reply = tokio::select! {
            // First, or a child that says much would keep the request of a client that has gone.
            biased;
            _ = self.over.wait_for(|over| *over) => return Err(UpstreamError::Over),
            reply = self.inbox.next() => reply,
        };
        match reply {
            Some(Reply::Message(message, event)) if message.is_response() => {
                Ok(Some(Reply::Message(self.own(message), event)))
            }
            Some(reply) => Ok(Some(reply)),
            None if self.life.child.has_lagged(&self.wire) => Err(UpstreamError::Lagging),
            None => Err(super::ended(&self.life.child).await),
        }
    }

    /// Nobody waits any more; the id on the wire, if the child still works on it.
    pub(crate) fn forget(&self) -> Option<Id> {
        self.life.child.forget_id(&self.wire).then(|| self.wire.clone())
    }

    /// The response without what belongs to others.
    fn own(&mut self, message: Message) -> Message {
        if let Some(uri) = self.subscribes.take() {
            self.shared.links.answer(self.link, &uri, message.result().is_some());
        }
        let Some(result) = message.result() else { return message };
        let task = result.get("taskId").or_else(|| result.at(&["task", "taskId"])).and_then(Value::as_str);
        if let Some(task) = task {
            self.shared.links.take_task(self.link, &task);
        }
        let Some(tasks) = result.get("tasks").filter(|_| self.lists_tasks) else { return message };
        let mut edits = Edits::new();
        for task in tasks.elements() {
            let id = task.get("taskId").and_then(Value::as_str).unwrap_or_default();
            if !self.shared.links.has_task(self.link, &id) {
                edits.remove(tasks.id(), task.id());
            }
        }
        if edits.is_empty() {
            return message;
        }
        // It only gets smaller, and what is left was within the limits.
        message.edited(&edits, &Limits::AGAIN).unwrap_or(message)
    }
}

impl Drop for SharedInbox {
    fn drop(&mut self) {
        if let Some(uri) = self.subscribes.take() {
            self.shared.links.answer(self.link, &uri, false);
        }
        self.shared.links.answered(self.link, &self.id, &self.wire);
    }
}
