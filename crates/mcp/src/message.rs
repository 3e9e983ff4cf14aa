//! One JSON-RPC message of MCP, read strictly.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::document::{Document, NodeKind, Value};
use crate::part::{self, Parts};
use crate::variant;
use crate::{Edits, Fault, Id, Limits, NodeId, Rejection, names, subject};

/// A message that can be read in exactly one way, with the bytes it came in. Cloning it copies nothing.
#[derive(Clone)]
pub struct Message(Arc<Read>);

#[derive(Clone)]
struct Read {
    document: Document,
    kind: Kind,
    id: Option<Id>,
    method: Option<Box<str>>,
    /// `params`, `result` or `error`, whichever the kind has.
    body: Option<NodeId>,
    parts: Vec<part::Entry>,
}

/// The four forms of a JSON-RPC message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Has a method and an id.
    Request,
    /// Has a method and no id.
    Notification,
    /// Has a result.
    Result,
    /// Has an error; its id may be missing or `null` if the request's could not be read.
    Error,
}

impl Message {
    /// Reads one message.
    ///
    /// # Errors
    /// What two parsers could read differently, or what is no JSON-RPC 2.0 message; see [`Fault`].
    pub fn parse(bytes: impl Into<Bytes>, limits: &Limits) -> Result<Message, Rejection> {
        let document = crate::scan::scan(bytes.into(), limits)?;
        let root = document.root();
        match root.kind() {
            NodeKind::Object => {}
            NodeKind::Array => return Err(Fault::Batch.at(root.span().start)),
            _ => return Err(Fault::NotJsonRpc.at(root.span().start)),
        }
        variant::refuse(root, variant::ENVELOPE)?;
        let members = Envelope::read(root)?;
        let (kind, id, body) = members.classify(root, limits)?;
        let method = members.method.map(|method| method.text().into());
        let parts = part::collect(&document);
        Ok(Message(Arc::new(Read { document, kind, id, method, body, parts })))
    }

    /// The same, without decoded texts that take memory: for what waits to be sent, and is not read any more.
    #[must_use]
    pub fn settled(self) -> Message {
        if !self.0.document.memo.is_large() {
            return self;
        }
        let Read { document, kind, id, method, body, parts } = Arc::unwrap_or_clone(self.0);
        Message(Arc::new(Read { document: document.settled(), kind, id, method, body, parts }))
    }

    /// Which form it has.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The id, if it has one that can be matched.
    #[must_use]
    pub fn id(&self) -> Option<&Id> {
        self.0.id.as_ref()
    }

    /// The method of a request or notification.
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        self.0.method.as_deref()
    }

    /// The parameters of a request or notification.
    #[must_use]
    pub fn params(&self) -> Option<Value<'_>> {
        matches!(self.0.kind, Kind::Request | Kind::Notification).then(|| self.body()).flatten()
    }

    /// The result of a response.
    #[must_use]
    pub fn result(&self) -> Option<Value<'_>> {
        (self.0.kind == Kind::Result).then(|| self.body()).flatten()
    }

    /// The error of a response.
    #[must_use]
    pub fn error(&self) -> Option<Value<'_>> {
        (self.0.kind == Kind::Error).then(|| self.body()).flatten()
    }

    /// Whether it answers a request.
    #[must_use]
    pub fn is_response(&self) -> bool {
        matches!(self.0.kind, Kind::Result | Kind::Error)
    }

    /// A string member of `params`.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<std::borrow::Cow<'_, str>> {
        self.params()?.get(name)?.as_str()
    }

    /// Every text in it, in order.
    #[must_use]
    pub fn parts(&self) -> Parts<'_> {
        Parts::new(&self.0.document, &self.0.parts)
    }

    /// The scanned JSON.
    #[must_use]
    pub fn document(&self) -> &Document {
        &self.0.document
    }

    /// The whole message as a value.
    #[must_use]
    pub fn root(&self) -> Value<'_> {
        self.0.document.root()
    }

    /// The bytes, exactly as they came or as the edits left them.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        self.0.document.bytes()
    }

    /// Bytes that it takes for as long as it is kept, about.
    #[must_use]
    pub fn weight(&self) -> usize {
        let each = size_of::<crate::document::Node>() + size_of::<part::Entry>();
        self.bytes().len().saturating_add(self.0.document.len().saturating_mul(each))
    }

    /// The message with `edits` applied and read again from scratch.
    ///
    /// # Errors
    /// If the edits made it larger than a limit or took away what makes it a message.
    pub fn edited(&self, edits: &Edits, limits: &Limits) -> Result<Message, Rejection> {
        Message::parse(edits.apply(&self.0.document), limits)
    }

    fn body(&self) -> Option<Value<'_>> {
        self.0.body.map(|id| self.0.document.value(id))
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Message({:?}, id {:?}, method {:?}, {} bytes)",
            self.0.kind,
            self.0.id,
            self.0.method,
            self.bytes().len()
        )
    }
}

#[derive(Default)]
struct Envelope<'a> {
    version: Option<Value<'a>>,
    id: Option<Value<'a>>,
    method: Option<Value<'a>>,
    params: Option<Value<'a>>,
    result: Option<Value<'a>>,
    error: Option<Value<'a>>,
}

impl<'a> Envelope<'a> {
    fn read(root: Value<'a>) -> Result<Self, Rejection> {
        let mut envelope = Envelope::default();
        for (key, value) in root.members() {
            let slot = match &*key.text() {
                "jsonrpc" => &mut envelope.version,
                "id" => &mut envelope.id,
                "method" => &mut envelope.method,
                "params" => &mut envelope.params,
                "result" => &mut envelope.result,
                "error" => &mut envelope.error,
                _ => continue,
            };
            *slot = Some(value);
        }
        if envelope.version.is_none_or(|version| !version.is_text("2.0")) {
            return Err(Fault::NotJsonRpc.at(root.span().start));
        }
        Ok(envelope)
    }

    fn classify(&self, root: Value<'a>, limits: &Limits) -> Result<(Kind, Option<Id>, Option<NodeId>), Rejection> {
        let kind = match (self.method, self.result, self.error) {
            (Some(_), None, None) if self.id.is_some() => Kind::Request,
            (Some(_), None, None) => Kind::Notification,
            (None, Some(_), None) => Kind::Result,
            (None, None, Some(_)) => Kind::Error,
            _ => return Err(Fault::Ambiguous.at(root.span().start)),
        };
        if let Some(params) = self.params {
            let fits = self.method.is_some() && params.kind() == NodeKind::Object;
            if !fits {
                return Err(Fault::BadEnvelope.at(params.span().start));
            }
            variant::refuse(params, variant::PARAMS)?;
            names::refuse_in_params(params, limits)?;
        }
        if let Some(method) = self.method {
            if method.kind() != NodeKind::String {
                return Err(Fault::BadEnvelope.at(method.span().start));
            }
            names::within(method, limits.name_bytes)?;
            self.params.map_or(Ok(()), |params| subject::refuse(&method.text(), params))?;
        }
        if let Some(result) = self.result {
            variant::refuse_in_result(result)?;
            names::refuse_in_result(result, limits)?;
        }
        if let Some(error) = self.error {
            variant::refuse(error, variant::ERROR)?;
            let fits = error.get("code").is_some_and(|code| code.as_i64().is_some())
                && error.get("message").is_some_and(|message| message.kind() == NodeKind::String);
            if !fits {
                return Err(Fault::BadEnvelope.at(error.span().start));
            }
        }
        let id = self.read_id(kind, root, limits)?;
        let body = self.params.or(self.result).or(self.error).map(Value::id);
        Ok((kind, id, body))
    }

    fn read_id(&self, kind: Kind, root: Value<'a>, limits: &Limits) -> Result<Option<Id>, Rejection> {
        let Some(id) = self.id else {
            // An error may answer something that could not be read; a result always answers a request.
            let fits = matches!(kind, Kind::Notification | Kind::Error);
            return if fits { Ok(None) } else { Err(Fault::BadId.at(root.span().start)) };
        };
        let bad = Fault::BadId.at(id.span().start);
        match id.kind() {
            NodeKind::Null if kind == Kind::Error => Ok(None),
            _ => {
                names::within(id, limits.name_bytes)?;
                Id::read(id).map(Some).ok_or(bad)
            }
        }
    }
}
