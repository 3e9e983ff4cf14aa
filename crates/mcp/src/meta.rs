//! The members of `_meta` that the stateless era reads and writes.

use std::borrow::Cow;

use crate::document::{NodeKind, Value};
use crate::{Id, Message};

/// The revision a request is written in; required in every request.
pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// What the client can do; required in every request.
pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// What the client says it is.
pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
/// The least severe log message the client wants about this request.
pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// What the server says it is; in results.
pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
/// Which `subscriptions/listen` request a notification belongs to.
pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
/// The token under which progress is reported; in every era.
pub const PROGRESS_TOKEN: &str = "progressToken";

/// The members every request of the stateless era must carry.
pub const REQUIRED: [&str; 2] = [PROTOCOL_VERSION, CLIENT_CAPABILITIES];

/// The `_meta` object of one message, which may be absent.
#[derive(Debug, Clone, Copy)]
pub struct Meta<'a>(Option<Value<'a>>);

impl<'a> Meta<'a> {
    /// The one of the parameters or of the result.
    #[must_use]
    pub fn of(message: &'a Message) -> Meta<'a> {
        let body = message.params().or_else(|| message.result());
        Meta(body.and_then(|body| body.get("_meta")).filter(|meta| meta.kind() == NodeKind::Object))
    }

    /// The object itself.
    #[must_use]
    pub fn object(self) -> Option<Value<'a>> {
        self.0
    }

    /// The member `key`, whatever it is.
    #[must_use]
    pub fn get(self, key: &str) -> Option<Value<'a>> {
        self.0?.get(key)
    }

    /// The revision the message says it is written in.
    #[must_use]
    pub fn protocol_version(self) -> Option<Cow<'a, str>> {
        self.get(PROTOCOL_VERSION)?.as_str()
    }

    /// What the client can do, if it is an object.
    #[must_use]
    pub fn client_capabilities(self) -> Option<Value<'a>> {
        self.get(CLIENT_CAPABILITIES).filter(|value| value.kind() == NodeKind::Object)
    }

    /// What the client says it is. Never to be trusted.
    #[must_use]
    pub fn client_info(self) -> Option<Value<'a>> {
        self.get(CLIENT_INFO)
    }

    /// The least severe log message the client wants.
    #[must_use]
    pub fn log_level(self) -> Option<Cow<'a, str>> {
        self.get(LOG_LEVEL)?.as_str()
    }

    /// What the server says it is. Never to be trusted.
    #[must_use]
    pub fn server_info(self) -> Option<Value<'a>> {
        self.get(SERVER_INFO)
    }

    /// The id of the `subscriptions/listen` request the notification belongs to.
    #[must_use]
    pub fn subscription_id(self) -> Option<Id> {
        Id::read(self.get(SUBSCRIPTION_ID)?)
    }

    /// The token under which the sender wants to hear of progress.
    #[must_use]
    pub fn progress_token(self) -> Option<Id> {
        Id::read(self.get(PROGRESS_TOKEN)?)
    }

    /// Those of [`REQUIRED`] that are missing or of the wrong type; the answer to that is -32602.
    #[must_use]
    pub fn missing(self) -> Vec<&'static str> {
        let mut missing = Vec::new();
        if self.protocol_version().is_none() {
            missing.push(PROTOCOL_VERSION);
        }
        if self.client_capabilities().is_none() {
            missing.push(CLIENT_CAPABILITIES);
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    fn parse(members: &str) -> Message {
        Message::parse(format!(r#"{{"jsonrpc":"2.0",{members}}}"#), &Limits::default()).unwrap()
    }

    #[test]
    fn members_are_read() {
        let message = parse(
            r#""id":1,"method":"x","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",
            "io.modelcontextprotocol/clientCapabilities":{"elicitation":{}},"io.modelcontextprotocol/clientInfo":{"name":"c"},
            "io.modelcontextprotocol/logLevel":"debug","progressToken":"p"}}"#,
        );
        let meta = Meta::of(&message);
        assert_eq!(meta.protocol_version().as_deref(), Some("2026-07-28"));
        assert!(meta.client_capabilities().unwrap().get("elicitation").is_some());
        assert!(meta.client_info().unwrap().get("name").unwrap().is_text("c"));
        assert_eq!(meta.log_level().as_deref(), Some("debug"));
        assert_eq!(meta.progress_token(), Some(Id::from("p")));
        assert!(meta.missing().is_empty());
        let message = parse(
            r#""id":1,"result":{"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s"},
            "io.modelcontextprotocol/subscriptionId":7}}"#,
        );
        assert!(Meta::of(&message).server_info().unwrap().get("name").unwrap().is_text("s"));
        assert_eq!(Meta::of(&message).subscription_id(), Some(Id::from(7)));
    }

    #[test]
    fn what_is_required_is_missed() {
        let cases: [(&str, &[&str]); 6] = [
            ("", &REQUIRED),
            (r#","params":{}"#, &REQUIRED),
            (r#","params":{"_meta":[]}"#, &REQUIRED),
            (r#","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":1}}"#, &REQUIRED),
            (r#","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"x"}}"#, &[CLIENT_CAPABILITIES]),
            (r#","params":{"_meta":{"io.modelcontextprotocol/clientCapabilities":{}}}"#, &[PROTOCOL_VERSION]),
        ];
        for (params, missing) in cases {
            let message = parse(&format!(r#""id":1,"method":"x"{params}"#));
            assert_eq!(Meta::of(&message).missing(), missing, "{params}");
        }
    }
}
