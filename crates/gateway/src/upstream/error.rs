//! Why a server gave no answer: for the log, and for its client.

use std::fmt;

use thiserror::Error;

/// Why a server gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UpstreamError {
    /// It did not take the connection.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// Its program cannot be started; why names places of this machine.
    #[error("the server cannot be reached: {0}")]
    NotStarted(String),
    /// It is not known to be who it should be; why may name what its certificate says.
    #[error("the server's certificate is not accepted: {0}")]
    Certificate(String),
    /// It failed, so often if it is not shared, that it is left alone for a while.
    #[error("the server failed and is left alone for now; it is tried again in {0} s")]
    Resting(u64),
    /// As many requests wait for it as may.
    #[error("too many requests wait for the server already; try again later")]
    Busy,
    /// It did not answer in time.
    #[error("the server did not answer within {0} s")]
    TimedOut(u64),
    /// It ended before it answered.
    #[error("the server ended before it answered{0}")]
    Ended(Ending),
    /// The same of one that several clients use. Its last words may hold what belongs to any of them, those that have gone
    /// included: they are for whoever runs the gateway, and no part of what is shown.
    #[error("the server ended before it answered{}", .0.saying(NOT_TO_CLIENTS))]
    SharedEnded(Ending),
    /// The stream broke off before the response.
    #[error("the server's answer broke off: {0}")]
    BrokenOff(String),
    /// What it answered is not HTTP.
    #[error("the server's answer is not valid HTTP: {0}")]
    Malformed(String),
    /// It answered with an HTTP status and no message.
    #[error("the server answered with HTTP status {0}")]
    Status(u16),
    /// Whoever asks has to sign in to it first; the text says how.
    #[error("{0}")]
    SignIn(String),
    /// What it is shown to say on whose behalf it is asked cannot be had; why is for whoever runs the gateway.
    #[error("what the server is shown to say who asks cannot be had: {0}")]
    Credential(String),
    /// It answered with something that is neither JSON nor an event stream.
    #[error("the server answered with {0} instead of JSON or events")]
    ContentType(&'static str),
    /// Its answer is compressed, which nobody asked for.
    #[error("the server's answer is encoded, although the request accepts no encoding")]
    Encoded,
    /// It named a session in a way that no header may.
    #[error("the server's session id is not 1 to 1024 visible ASCII characters")]
    BadSession,
    /// Its answer is larger than the limit.
    #[error("the server's answer is larger than the limit")]
    TooLarge,
    /// Too many servers send much at once.
    #[error("too many large answers arrive at once; try again later")]
    Crowded,
    /// It no longer knows the session.
    #[error("the server has ended the session")]
    SessionGone,
    /// The client's session is over, but not the server, which others use.
    #[error("the session is over")]
    Over,
    /// It does not know how a client of this era begins.
    #[error("the server does not answer {0}; if it speaks another era of the protocol, bridge = \"auto\" translates")]
    OtherEra(&'static str),
    /// It does not offer this.
    #[error("the server does not offer a stream of its own")]
    NoStream,
    /// It reads too slowly.
    #[error("the server takes no more messages")]
    Stuffed,
    /// The client reads too slowly what others must not wait for.
    #[error("the client did not read the answer fast enough, and others use the same server")]
    Lagging,
}

/// What stands before a server's last words.
const LAST_WORDS: &str = "its last words: ";
/// What stands in the place of a server's last words where other clients' data may be in them.
const NOT_TO_CLIENTS: &str = "other clients use it too, so its last words are only in the gateway's log";

/// How a server ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ending {
    /// What Bartizan knows of it, in its own words.
    known: String,
    /// What the server said of it on standard error, or what is said in the place of that.
    words: String,
}

impl Ending {
    /// Of a server that ended with these lines on standard error.
    pub(crate) fn new(known: impl Into<String>, lines: &[&str]) -> Ending {
        let words = if lines.is_empty() { String::new() } else { format!("{LAST_WORDS}{}", lines.join(" | ")) };
        Ending { known: known.into(), words }
    }

    /// What the server said.
    pub(crate) fn words(&self) -> &str {
        &self.words
    }

    /// The same with this in the place of what the server said, if it said anything.
    fn saying(&self, words: impl Into<String>) -> Ending {
        let words = if self.words.is_empty() { String::new() } else { words.into() };
        Ending { known: self.known.clone(), words }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        [&self.known, &self.words]
            .into_iter()
            .filter(|text| !text.is_empty())
            .try_for_each(|text| write!(f, "; {text}"))
    }
}

impl UpstreamError {
    /// The same with all that is known of it, for whoever runs the gateway.
    pub(crate) fn in_full(&self) -> UpstreamError {
        match self {
            UpstreamError::SharedEnded(ending) => UpstreamError::Ended(ending.clone()),
            other => other.clone(),
        }
    }

    /// The same of a server that several clients use.
    pub(crate) fn of_shared(self) -> UpstreamError {
        match self {
            UpstreamError::Ended(ending) => UpstreamError::SharedEnded(ending),
            other => other,
        }
    }

    /// The same without what the server said on standard error or in its certificate, and without where its program was
    /// looked for.
    pub(crate) fn without_words(&self) -> UpstreamError {
        match self {
            UpstreamError::Ended(ending) => {
                UpstreamError::Ended(ending.saying("its last words are not passed on, as a guard objects to them"))
            }
            UpstreamError::NotStarted(_) => {
                UpstreamError::NotStarted("its program cannot be started, for the reason in the log".to_owned())
            }
            UpstreamError::Certificate(_) => UpstreamError::Certificate("the reason is in the log".to_owned()),
            UpstreamError::Credential(_) => UpstreamError::Credential("the reason is in the log".to_owned()),
            other => other.clone(),
        }
    }

    /// The same without what the server said on standard error, of which only the length is told.
    pub(crate) fn unquoted(&self) -> UpstreamError {
        match self {
            UpstreamError::Ended(ending) => {
                let bytes = ending.words.len().saturating_sub(LAST_WORDS.len());
                UpstreamError::Ended(ending.saying(format!("its last words, {bytes} bytes, are not quoted")))
            }
            other => other.clone(),
        }
    }

    /// The rule id under which the failure is recorded.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        match self {
            UpstreamError::Unreachable(_) | UpstreamError::NotStarted(_) => "upstream.unreachable",
            UpstreamError::Certificate(_) => "upstream.certificate",
            UpstreamError::Resting(_) => "upstream.resting",
            UpstreamError::Busy => "upstream.busy",
            UpstreamError::TimedOut(_) => "upstream.timeout",
            UpstreamError::Ended(_) | UpstreamError::SharedEnded(_) => "upstream.ended",
            UpstreamError::BrokenOff(_) => "upstream.broken_off",
            UpstreamError::Malformed(_) => "upstream.malformed",
            UpstreamError::Status(_) => "upstream.status",
            UpstreamError::SignIn(_) => "upstream.sign_in",
            UpstreamError::Credential(_) => "upstream.credential",
            UpstreamError::ContentType(_) => "upstream.content_type",
            UpstreamError::Encoded => "upstream.content_encoding",
            UpstreamError::BadSession => "upstream.session_id",
            UpstreamError::TooLarge => "upstream.too_large",
            UpstreamError::Crowded => "upstream.crowded",
            UpstreamError::SessionGone => "upstream.session_gone",
            UpstreamError::Over => "gateway.session_over",
            UpstreamError::OtherEra(_) => "upstream.other_era",
            UpstreamError::NoStream => "upstream.no_stream",
            UpstreamError::Stuffed => "upstream.stuffed",
            UpstreamError::Lagging => "gateway.slow_client",
        }
    }
}
