//! Why a message was refused before it was understood.

use thiserror::Error;

/// One refusal: what is wrong, and where it begins.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{fault} at byte {offset}")]
pub struct Rejection {
    /// What is wrong.
    pub fault: Fault,
    /// Offset into the message, in bytes.
    pub offset: usize,
}

/// Everything that makes a message unreadable or readable in two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Fault {
    /// The message is larger than [`Limits::bytes`](crate::Limits::bytes).
    #[error("message larger than the limit")]
    TooLarge,
    /// Arrays and objects nest deeper than [`Limits::depth`](crate::Limits::depth).
    #[error("nested too deeply")]
    TooDeep,
    /// More values than [`Limits::nodes`](crate::Limits::nodes).
    #[error("too many values")]
    TooMany,
    /// Not UTF-8, or a byte order mark in front.
    #[error("not plain UTF-8")]
    Utf8,
    /// Not JSON as RFC 8259 defines it.
    #[error("not valid JSON")]
    Syntax,
    /// A `\u` escape that is half of a surrogate pair; parsers replace, keep or refuse it.
    #[error("lone surrogate escape")]
    LoneSurrogate,
    /// A key that occurs twice in one object; parsers disagree on which value counts.
    #[error("duplicate key")]
    DuplicateKey,
    /// A key that some parsers take for a key of the specification although it is spelt otherwise.
    #[error("key that differs from a protocol key only in case")]
    CaseVariant,
    /// A JSON array where one message was expected.
    #[error("batches are not accepted")]
    Batch,
    /// Not an object with `"jsonrpc": "2.0"`.
    #[error("not a JSON-RPC 2.0 message")]
    NotJsonRpc,
    /// An id that is neither a string nor a 64-bit integer (`null` only in an error response).
    #[error("id is neither a string nor an integer")]
    BadId,
    /// Neither, or more than one, of request, notification, result and error.
    #[error("not clearly a request, a notification or a response")]
    Ambiguous,
    /// An id, a method, a token or what names a tool, a prompt, a task or a resource is longer than
    /// [`Limits::name_bytes`](crate::Limits::name_bytes) or [`Limits::uri_bytes`](crate::Limits::uri_bytes).
    #[error("id, name, token or URI longer than the limit")]
    LongName,
    /// What names the tool, prompt or resource that a method of the specification is about is no text.
    #[error("what it is about is named by something else than a text")]
    BadName,
    /// `method`, `params` or `error` is not of the type that JSON-RPC and MCP give it.
    #[error("envelope member of the wrong type")]
    BadEnvelope,
}

impl Fault {
    /// The rule id under which the refusal is recorded.
    #[must_use]
    pub fn rule(self) -> &'static str {
        match self {
            Fault::TooLarge => "conformance.size",
            Fault::TooDeep => "conformance.depth",
            Fault::TooMany => "conformance.count",
            Fault::Utf8 => "conformance.utf8",
            Fault::Syntax => "conformance.syntax",
            Fault::LoneSurrogate => "conformance.lone_surrogate",
            Fault::DuplicateKey => "conformance.duplicate_key",
            Fault::CaseVariant => "conformance.case_variant",
            Fault::Batch => "conformance.batch",
            Fault::NotJsonRpc => "conformance.not_json_rpc",
            Fault::BadId => "conformance.id",
            Fault::Ambiguous => "conformance.ambiguous",
            Fault::LongName => "conformance.name_length",
            Fault::BadName => "conformance.name",
            Fault::BadEnvelope => "conformance.envelope",
        }
    }

    /// The JSON-RPC error code for the answer: -32700 for what is no JSON, else -32600.
    #[must_use]
    pub fn code(self) -> i64 {
        match self {
            Fault::Utf8 | Fault::Syntax | Fault::LoneSurrogate => -32700,
            _ => -32600,
        }
    }

    /// This fault at `offset`.
    #[must_use]
    pub fn at(self, offset: usize) -> Rejection {
        Rejection { fault: self, offset }
    }
}
