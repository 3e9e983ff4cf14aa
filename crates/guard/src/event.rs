//! What a guard is shown.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use bartizan_flow::Traces;
use bartizan_mcp::{Era, Id, Message, Value, meta::Meta, method};
use bartizan_policy::Principal;
use bartizan_pseudonym::Token;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{Grant, History, Names, Opinion, Pins, Told};

/// A moment, in microseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the client to a server.
    ToServer,
    /// From a server to the client.
    ToClient,
}

impl Direction {
    /// Its name in records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::ToServer => "to_server",
            Direction::ToClient => "to_client",
        }
    }
}

/// One message with all that may bear on it.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// The message, read strictly and not edited.
    pub message: &'a Message,
    /// Which way it goes.
    pub direction: Direction,
    /// The request that it answers, if it is a response.
    pub answers: Option<&'a CallSummary>,
    /// On whose behalf the client acts.
    pub principal: &'a Principal,
    /// The server it goes to or comes from.
    pub server: &'a ServerProfile,
    /// What limiters, slow checks and people found out beforehand.
    pub evidence: &'a [Evidence],
    /// An approval that covers exactly this message.
    pub grant: Option<&'a Grant>,
    /// When it is judged.
    pub now: Timestamp,
}

impl Event<'_> {
    /// The tool that is called, or that the reply comes from.
    #[must_use]
    pub fn tool(&self) -> Option<Cow<'_, str>> {
        match self.answers {
            Some(call) => call.tool.as_deref().map(Into::into),
            None if self.message.method() == Some("tools/call") => self.message.param("name"),
            None => None,
        }
    }

    /// The result that a response brings, and the one within if it is that of a finished task.
    pub(crate) fn results(&self) -> impl Iterator<Item = Value<'_>> {
        let result = self.message.result();
        result.into_iter().chain(result.and_then(|result| result.get("result")))
    }
}

/// What is kept of a request until it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallSummary {
    /// The id under which the client asked.
    pub id: Id,
    /// The method.
    pub method: Arc<str>,
    /// Whether it is of the era in which each request says its revision; what it says decides how it is answered.
    pub era: Era,
    /// For `tools/call`, the tool.
    pub tool: Option<Arc<str>>,
    /// The progress token it carries, as JSON.
    pub progress_token: Option<Arc<str>>,
    /// The arguments it carries, as JSON, unless they are longer than [`CallSummary::MOST_ARGUMENTS`] for `prompts/get`, or than
    /// [`CallSummary::MOST_OF_A_CALL`] for `tools/call`.
    pub arguments: Option<Arc<str>>,
    /// For `resources/read`, the URI; nothing in place of one that is longer than [`CallSummary::MOST_OF_A_CALL`].
    pub uri: Option<Arc<str>>,
}

impl CallSummary {
    /// Bytes of arguments that are kept.
    pub const MOST_ARGUMENTS: usize = 64 * 1024;
    /// The same of a call of a tool: what is asked for is short, and of what is sent nothing has to be known when it is answered.
    pub const MOST_OF_A_CALL: usize = 4 * 1024;

    /// The summary of a request; `None` for any other message.
    #[must_use]
    pub fn of(message: &Message) -> Option<CallSummary> {
        let method = message.method()?;
        let most = match method {
            method::PROMPTS_GET => Self::MOST_ARGUMENTS,
            method::TOOLS_CALL => Self::MOST_OF_A_CALL,
            _ => 0,
        };
        let arguments = message.params().filter(|_| most > 0);
        let arguments = arguments.and_then(|params| params.get("arguments")).map(Value::raw);
        let uri = (method == method::RESOURCES_READ).then(|| message.param("uri").unwrap_or_default());
        let is_kept = |uri: &Cow<'_, str>| uri.len() <= Self::MOST_OF_A_CALL;
        let progress = message.params().and_then(|params| params.at(&["_meta", "progressToken"]));
        Some(CallSummary {
            id: message.id()?.clone(),
            tool: (method == "tools/call").then(|| message.param("name").map(|name| name.into())).flatten(),
            method: method.into(),
            era: if Meta::of(message).protocol_version().is_some() { Era::Stateless } else { Era::Legacy },
            progress_token: progress.map(|token| token.raw().into()),
            arguments: arguments.filter(|json| json.len() <= most).map(Into::into),
            uri: uri.map(|uri| if is_kept(&uri) { uri.into() } else { Arc::default() }),
        })
    }
}

/// What the server is called where a message is for all of them or ends at the gateway itself; no server may be called so.
pub const EVERY_SERVER: &str = "*";

/// What is known about one upstream server.
#[derive(Debug, Clone)]
pub struct ServerProfile {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Its definitions as they were approved.
    pub pins: Arc<Pins>,
    /// Names of tools that the servers of the same configuration have pinned, sorted, each with its server; this one's
    /// own may be among them.
    pub elsewhere: Arc<[(Box<str>, Arc<str>)]>,
}

/// Something found out before judging, by a part of the gateway that may wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// A limit is used up.
    RateExceeded {
        /// Whose limit it is.
        scope: RateScope,
        /// The limit as configured, such as `60/min`.
        limit: String,
        /// Milliseconds until one more call would be within it.
        retry_after_ms: u64,
    },
    /// As many calls are under way as may be.
    InFlight {
        /// Whose.
        scope: RateScope,
        /// How many that is.
        most: u32,
    },
    /// What the tool that a reply comes from brought before.
    History(Arc<History>),
    /// Where the values of a call were before.
    Traces(Arc<Traces>),
    /// What makes pseudonyms of what is in the message.
    Names(Names),
    /// The pseudonyms in whose places a call has what they stand for, as its tool is entitled to that.
    Revealed(Arc<[Token]>),
    /// Where what was given back stands, by the positions of texts and numbers in the message: bytes of each.
    Given(Arc<[(u32, Range<usize>)]>),
    /// Numbers of the message that were handed out before in the place of others.
    Standing(Arc<[Box<str>]>),
    /// What the server was given back for pseudonyms of late, also in calls that wait for their answers.
    Told(Arc<Told>),
    /// What slow layers say of the texts that were doubtful when the message was judged without.
    Opinions(Arc<[Opinion]>),
    /// The message names a task or the state of a request that a server handed out.
    HandedOut {
        /// Which of the two.
        what: HandedOut,
        /// Whether this principal got it, or nobody did of whom that is known.
        is_theirs: bool,
        /// The tool that a call was of which became the task, as far as that is known.
        tool: Option<Box<str>>,
    },
}

/// What a server hands out and takes back: whoever has it may go on with what somebody began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HandedOut {
    /// The id of a task.
    Task,
    /// The `requestState` of a request that waits for answers.
    State,
}

impl HandedOut {
    /// Its name in sentences.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            HandedOut::Task => "task",
            HandedOut::State => "`requestState`",
        }
    }
}

/// Whose rate a limit bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RateScope {
    /// One principal over all servers.
    Principal,
    /// One server over all principals.
    Server,
    /// One tool for one principal.
    Tool,
}
