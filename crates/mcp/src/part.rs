//! The parts of a message: every text in it, with where it is and what role it plays.
//!
//! A control that looks at parts sees requests, results, errors, lists, notifications and embedded input requests
//! alike. So the roles come from the shape of the message, never from a list of methods that could lack one.

use std::borrow::Cow;

use crate::TextDigest;
use crate::document::{Document, NodeId, NodeKind, Value};

/// What role a text plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PartKind {
    /// In the definition of a tool: name, description, schemas, annotations. Also of one that a server hands to the
    /// client's model as it asks it something; that one belongs to no list.
    ToolDefinition,
    /// In the definition of a prompt.
    PromptDefinition,
    /// In the definition of a resource or a resource template.
    ResourceDefinition,
    /// A server's instructions to the model, and what it says of itself.
    Instructions,
    /// What the model hands to a tool, a prompt or a completion.
    Argument,
    /// What a tool, a resource or a prompt brings into the context.
    Content,
    /// Structured content of a tool's result.
    StructuredContent,
    /// The message or the data of an error.
    Error,
    /// What a server asks the client's model.
    Sampling,
    /// What a server asks the user.
    Elicitation,
    /// The parameters of a notification.
    Notification,
    /// In a `_meta` object.
    Metadata,
    /// Anything else: names, cursors, unknown members.
    Other,
}

impl PartKind {
    /// All of them.
    pub const ALL: [PartKind; 13] = [
        PartKind::ToolDefinition,
        PartKind::PromptDefinition,
        PartKind::ResourceDefinition,
        PartKind::Instructions,
        PartKind::Argument,
        PartKind::Content,
        PartKind::StructuredContent,
        PartKind::Error,
        PartKind::Sampling,
        PartKind::Elicitation,
        PartKind::Notification,
        PartKind::Metadata,
        PartKind::Other,
    ];

    /// Its name in configuration and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            PartKind::ToolDefinition => "tool_definition",
            PartKind::PromptDefinition => "prompt_definition",
            PartKind::ResourceDefinition => "resource_definition",
            PartKind::Instructions => "instructions",
            PartKind::Argument => "argument",
            PartKind::Content => "content",
            PartKind::StructuredContent => "structured_content",
            PartKind::Error => "error",
            PartKind::Sampling => "sampling",
            PartKind::Elicitation => "elicitation",
            PartKind::Notification => "notification",
            PartKind::Metadata => "metadata",
            PartKind::Other => "other",
        }
    }
}

/// One text of a message.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// The string or key.
    pub value: Value<'a>,
    /// The role it plays.
    pub kind: PartKind,
    /// The element of a list result (one tool, prompt, resource) that it belongs to.
    pub element: Option<NodeId>,
}

impl<'a> Part<'a> {
    /// Its place in the message.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.value.id()
    }

    /// The decoded text.
    #[must_use]
    pub fn text(&self) -> Cow<'a, str> {
        self.value.text()
    }

    /// What names the decoded text, worked out once for a message; see [`text_digest`](crate::text_digest).
    #[must_use]
    pub fn digest(&self) -> TextDigest {
        self.value.digest()
    }

    /// Whether it is the key of an object rather than a string.
    #[must_use]
    pub fn is_key(&self) -> bool {
        self.value.kind() == NodeKind::Key
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    node: NodeId,
    kind: PartKind,
    element: Option<NodeId>,
}

/// Iterator over the parts of a message, in the order of its text.
#[derive(Debug, Clone)]
pub struct Parts<'a> {
    document: &'a Document,
    entries: std::slice::Iter<'a, Entry>,
}

impl<'a> Parts<'a> {
    pub(crate) fn new(document: &'a Document, entries: &'a [Entry]) -> Self {
        Parts { document, entries: entries.iter() }
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        let entry = self.entries.next()?;
        Some(Part { value: self.document.value(entry.node), kind: entry.kind, element: entry.element })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.entries.size_hint()
    }
}

/// Lists the parts of a message.
pub(crate) fn collect(document: &Document) -> Vec<Entry> {
    let mut parts = Collector { entries: Vec::with_capacity(document.len() / 2) };
    let method = document.root().get("method").map(Value::text);
    for (key, value) in document.root().members() {
        match &*key.text() {
            // The keys of the envelope are the scanner's business; their values are not.
            "jsonrpc" => {}
            "params" => parts.params(method.as_deref().unwrap_or_default(), value),
            "result" => parts.result(value, true),
            "error" => parts.all(value, PartKind::Error, None),
            "id" | "method" => parts.all(value, PartKind::Other, None),
            _ => parts.member(key, value, PartKind::Other, None),
        }
    }
    parts.entries
}

struct Collector {
    entries: Vec<Entry>,
}

impl Collector {
    fn params(&mut self, method: &str, params: Value<'_>) {
        let whole = match method {
            "sampling/createMessage" => Some(PartKind::Sampling),
            "elicitation/create" => Some(PartKind::Elicitation),
            _ if method.starts_with("notifications/") => Some(PartKind::Notification),
            _ => None,
        };
        if params.kind() != NodeKind::Object {
            return self.all(params, whole.unwrap_or(PartKind::Argument), None);
        }
        for (key, value) in params.members() {
            let kind = match (&*key.text(), whole) {
                ("_meta", _) => PartKind::Metadata,
                (_, Some(PartKind::Sampling)) => {
                    self.sampling(key, value);
                    continue;
                }
                (_, Some(kind)) => kind,
                ("arguments" | "argument" | "context" | "inputResponses", None) => PartKind::Argument,
                _ => PartKind::Other,
            };
            self.member(key, value, kind, None);
        }
    }

    /// `outermost` is false inside the result that a finished task wraps in its own.
    fn result(&mut self, result: Value<'_>, outermost: bool) {
        if result.kind() != NodeKind::Object {
            return self.all(result, PartKind::Content, None);
        }
        for (key, value) in result.members() {
            match &*key.text() {
                "tools" => self.list(key, value, PartKind::ToolDefinition),
                "prompts" => self.list(key, value, PartKind::PromptDefinition),
                "resources" | "resourceTemplates" => self.list(key, value, PartKind::ResourceDefinition),
                "inputRequests" => self.input_requests(key, value),
                "result" if outermost => {
                    self.push(key, PartKind::Other, None);
                    self.result(value, false);
                }
                name => self.member(key, value, result_member(name), None),
            }
        }
    }

    fn list(&mut self, key: Value<'_>, list: Value<'_>, kind: PartKind) {
        if list.kind() != NodeKind::Array {
            return self.member(key, list, kind, None);
        }
        self.push(key, PartKind::Other, None);
        for element in list.elements() {
            self.all(element, kind, Some(element.id()));
        }
    }

    fn input_requests(&mut self, key: Value<'_>, requests: Value<'_>) {
        if requests.kind() != NodeKind::Object {
            return self.member(key, requests, PartKind::Elicitation, None);
        }
        self.push(key, PartKind::Other, None);
        for (name, request) in requests.members() {
            let sampling = request.get("method").is_some_and(|method| method.is_text("sampling/createMessage"));
            if !sampling {
                self.member(name, request, PartKind::Elicitation, None);
                continue;
            }
            self.push(name, PartKind::Sampling, None);
            for (key, value) in request.members() {
                if key.is_text("params") && value.kind() == NodeKind::Object {
                    self.push(key, PartKind::Sampling, None);
                    value.members().for_each(|(key, value)| self.sampling(key, value));
                } else {
                    self.member(key, value, PartKind::Sampling, None);
                }
            }
        }
    }

    /// A member of what a server asks the client's model.
    fn sampling(&mut self, key: Value<'_>, value: Value<'_>) {
        let kind = if key.is_text("tools") { PartKind::ToolDefinition } else { PartKind::Sampling };
        self.push(key, PartKind::Sampling, None);
        self.all(value, kind, None);
    }

    fn member(&mut self, key: Value<'_>, value: Value<'_>, kind: PartKind, element: Option<NodeId>) {
        self.push(key, kind, element);
        self.all(value, kind, element);
    }

    fn all(&mut self, value: Value<'_>, kind: PartKind, element: Option<NodeId>) {
        for node in value.subtree() {
            if matches!(node.kind(), NodeKind::String | NodeKind::Key) {
                self.push(node, kind, element);
            }
        }
    }

    fn push(&mut self, value: Value<'_>, kind: PartKind, element: Option<NodeId>) {
        self.entries.push(Entry { node: value.id(), kind, element });
    }
}

fn result_member(name: &str) -> PartKind {
    match name {
        "content" | "contents" | "messages" | "completion" | "description" => PartKind::Content,
        "structuredContent" => PartKind::StructuredContent,
        "instructions" | "serverInfo" => PartKind::Instructions,
        "_meta" => PartKind::Metadata,
        _ => PartKind::Other,
    }
}
