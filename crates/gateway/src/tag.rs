//! What keeps one server's ids apart from another's when all appear as one.
//!
//! Servers choose ids without knowing of each other: two of them ask the client something under the same id, or call
//! a task the same. So whatever a server makes up gets the server's name in front on its way to the client, and loses
//! it on its way back; nothing has to be remembered for that.

use std::sync::Arc;

use bartizan_mcp::{Edits, Kind, Limits, Message, Value, meta, meta::Meta, method};

use crate::admit::Admitted;
use crate::answer::Delivery;
use crate::event_id;
use crate::places::{Brief, Places, brief, fits, token_brief};

/// Between the server's name, which holds no such character, and what the server made up.
const BETWEEN: char = '/';
/// The same for events of the stream that belongs to no request, where resuming means all servers.
const BETWEEN_IN_GENERAL: char = '*';
/// The task to which a message belongs.
const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";
/// What the tasks extension calls a change of a task's status.
const TASKS_CHANGED: &str = "notifications/tasks";

/// By what an aggregate tells one server's messages from another's.
#[derive(Clone)]
pub(crate) struct Tag {
    pub(crate) server: Arc<str>,
    /// Where it is noted which server has a resource.
    pub(crate) resources: Arc<Places<Brief>>,
    /// The same for templates.
    pub(crate) templates: Arc<Places<String>>,
    /// And under which progress token it was asked something last.
    pub(crate) tokens: Arc<Places<Brief>>,
    /// Whether its events belong to no request.
    pub(crate) general: bool,
}

impl Tag {
    /// The message as the client is to see it, with the id of its event.
    pub(crate) fn message(&self, message: Admitted, event: Option<String>) -> Delivery {
        Delivery::Message(self.seen(message), self.event(event))
    }

    /// The message as the client is to see it.
    pub(crate) fn seen(&self, message: Admitted) -> Admitted {
        self.note_links(message.message());
        let edits = self.outward(message.message());
        if edits.is_empty() { message } else { message.rewritten(&edits) }
    }

    /// The place to resume from, as the client is to see it; none if it could not come back with it.
    pub(crate) fn event(&self, event: Option<String>) -> Option<String> {
        let event = event.map(|event| format!("{}{event}", self.prefix()));
        event.filter(|event| event_id::is_event_id(event.as_bytes()))
    }

    /// What stands in front of the ids of events.
    pub(crate) fn prefix(&self) -> String {
        let between = if self.general { BETWEEN_IN_GENERAL } else { BETWEEN };
        format!("{}{between}", self.server)
    }

    /// Why a server may not say this: it is about what another one was asked.
    pub(crate) fn foreign(&self, message: &Message) -> Option<&'static str> {
        let of_other = |owner: Option<Arc<str>>| owner.is_some_and(|owner| owner != self.server);
        match message.method()? {
            method::PROGRESS => {
                let token = message.params()?.get("progressToken")?;
                of_other(self.tokens.get(&token_brief(token)))
                    .then_some("another server works under this progress token")
            }
            method::RESOURCE_UPDATED => of_other(self.resources.get(&brief(&message.param("uri")?)))
                .then_some("another server has this resource"),
            _ => None,
        }
    }

    fn outward(&self, message: &Message) -> Edits {
        let mut edits = Edits::new();
        let mut whole = |value: Option<Value<'_>>| {
            if let Some(value) = value {
                edits.set_text(value.id(), &format!("{}{BETWEEN}{}", self.server, value.raw()));
            }
        };
        let body = message.params().or_else(|| message.result());
        match (message.kind(), message.method()) {
            (Kind::Request, _) => {
                whole(message.root().get("id"));
                whole(Meta::of(message).get(meta::PROGRESS_TOKEN));
            }
            (Kind::Notification, Some(method::CANCELLED)) => whole(body.and_then(|params| params.get("requestId"))),
            _ => {}
        }
        let mut task = |value: Option<Value<'_>>| {
            if let Some((value, text)) = value.and_then(|value| Some((value, value.as_str()?))) {
                edits.set_text(value.id(), &task_outward(&self.server, &text));
            }
        };
        match (message.kind(), message.method()) {
            (Kind::Result, _) => {
                task(body.and_then(|result| result.get("taskId")));
                task(body.and_then(|result| result.at(&["task", "taskId"])));
            }
            (Kind::Notification, Some(method::TASKS_STATUS | TASKS_CHANGED)) => {
                task(body.and_then(|params| params.get("taskId")));
            }
            _ => {}
        }
        task(Meta::of(message).get(RELATED_TASK).and_then(|task| task.get("taskId")));
        edits
    }

    /// A tool may name resources that its server does not list; they are that server's unless another has them, or a template
    /// that they fit.
    fn note_links(&self, message: &Message) {
        let content = message.result().and_then(|result| result.get("content"));
        for block in content.into_iter().flat_map(Value::elements) {
            if block.get("type").is_some_and(|kind| kind.is_text("resource_link"))
                && let Some(uri) = block.get("uri").and_then(Value::as_str)
                // A longer one cannot be asked for.
                && uri.len() <= Limits::URI_BYTES
            {
                let owner = self.templates.first(|template| fits(template, &uri));
                if owner.is_none_or(|owner| owner == self.server) {
                    let _theirs: bool = self.resources.claim(brief(&uri), &self.server);
                }
            }
        }
    }
}

/// What the client calls a server's task.
pub(crate) fn task_outward(server: &str, task: &str) -> String {
    format!("{server}{BETWEEN}{task}")
}

/// The server that made something up, and what that was.
pub(crate) fn inward(tagged: &str) -> Option<(&str, &str)> {
    tagged.split_once(BETWEEN)
}

/// Whether this is an id or a progress token as JSON, and no more than that.
pub(crate) fn is_one_value(json: &str) -> bool {
    let whole = Message::parse(format!(r#"{{"jsonrpc":"2.0","method":"x","id":{json}}}"#), &Limits::default());
    whole.is_ok_and(|whole| whole.root().get("id").is_some_and(|id| id.raw() == json))
}

/// The server of an event id, its own id, and whether the event belonged to no request.
pub(crate) fn event_inward(event: &str) -> Option<(&str, &str, bool)> {
    let at = event.find([BETWEEN, BETWEEN_IN_GENERAL])?;
    let (server, rest) = event.split_at_checked(at)?;
    let mut rest = rest.chars();
    let general = rest.next() == Some(BETWEEN_IN_GENERAL);
    Some((server, rest.as_str(), general))
}

/// Puts a server's own name for the task in place of the client's, wherever a client's message names one of its.
pub(crate) fn tasks_inward(message: &Message, server: &str) -> Edits {
    let mut edits = Edits::new();
    let own = (message.kind() == Kind::Request).then(|| message.params()?.get("taskId")).flatten();
    let related = Meta::of(message).get(RELATED_TASK).and_then(|task| task.get("taskId"));
    for value in own.into_iter().chain(related) {
        if let Some(text) = value.as_str()
            && let Some((owner, task)) = inward(&text)
            && owner == server
        {
            edits.set_text(value.id(), task);
        }
    }
    edits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_sends_back_is_one_value() {
        for json in ["1", "-7", "\"\"", "\"a/b\"", "\"\\u0041 }\""] {
            assert!(is_one_value(json), "{json}");
        }
        for json in
            ["", " 1", "1 ", "null", "1.5", "{}", "[1]", "x", "\"", "1,\"zzz\":1", "1},\"id\":5,\"zzz\":{\"a\":1"]
        {
            assert!(!is_one_value(json), "{json}");
        }
    }

    fn message(text: &str) -> Message {
        Message::parse(text.to_owned(), &Limits::default()).unwrap()
    }

    #[test]
    fn what_a_server_makes_up_gets_its_name_and_loses_it_again() {
        let (resources, tokens) = (Arc::new(Places::new(9)), Arc::new(Places::new(9)));
        let templates = Arc::new(Places::new(9));
        let tag = Tag { server: "a".into(), resources, templates, tokens, general: false };
        let cases = [
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"progressToken":"t"},"n":1.0}}"#,
                r#"{"jsonrpc":"2.0","id":"a/1","method":"ping","params":{"_meta":{"progressToken":"a/\"t\""},"n":1.0}}"#,
            ),
            (
                r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"x"}}"#,
                r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"a/\"x\""}}"#,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"result":{"task":{"taskId":"t"},"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"u"}}}}"#,
                r#"{"jsonrpc":"2.0","id":1,"result":{"task":{"taskId":"a/t"},"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"a/u"}}}}"#,
            ),
            (
                r#"{"jsonrpc":"2.0","method":"notifications/tasks/status","params":{"taskId":"t"}}"#,
                r#"{"jsonrpc":"2.0","method":"notifications/tasks/status","params":{"taskId":"a/t"}}"#,
            ),
            // A task of the client's, which the client named.
            (
                r#"{"jsonrpc":"2.0","id":2,"method":"tasks/get","params":{"taskId":"mine"}}"#,
                r#"{"jsonrpc":"2.0","id":"a/2","method":"tasks/get","params":{"taskId":"mine"}}"#,
            ),
            // Progress is reported under the client's token.
            (
                r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":0.0}}"#,
                r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":0.0}}"#,
            ),
        ];
        for (came, seen) in cases {
            let came = message(came);
            assert_eq!(tag.outward(&came).apply(came.document()), seen);
        }
        let asked = message(r#"{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"a/t/1"}}"#);
        let sent = r#"{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"t/1"}}"#;
        assert_eq!(tasks_inward(&asked, "a").apply(asked.document()), sent);
        assert!(tasks_inward(&asked, "b").is_empty());
        assert_eq!(event_inward("a/1*2"), Some(("a", "1*2", false)));
        assert_eq!(event_inward("a*1/2"), Some(("a", "1/2", true)));
        assert_eq!(event_inward("x"), None);
    }
}
