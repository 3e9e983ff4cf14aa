//! Which texts of a message somebody goes by to the letter: names, addresses, ids and words of the protocol.
//!
//! Without its hidden characters such a text would say something else, or be the name of something else that exists. What
//! a text is follows from where the protocol has it, not from what its key is called: `name` is a tool's in a
//! definition, and anybody's data in what a tool returns.

use std::collections::BTreeSet;

use bartizan_mcp::{NodeId, NodeKind, Part, PartKind, Value, meta, method};

use crate::Event;

/// What must not be edited in one message.
#[derive(Default)]
pub(super) struct Exact {
    /// Texts that are gone by.
    texts: BTreeSet<NodeId>,
    /// Keys of data in which a server or client may call things what it likes. All other keys are gone by.
    free_keys: BTreeSet<NodeId>,
}

/// One step of a path is a key, or this for each element of a list.
const EACH: &str = "*";

/// In the parameters of a request or notification, and in a result. Elsewhere such members are text like any other: a log
/// may well hold a `requestId`.
const IN_BODY: &[&[&str]] = &[
    // Which request, stream, question or task it is about. Without hidden characters it would be about another one.
    &["requestId"],
    &["progressToken"],
    &["elicitationId"],
    &["taskId"],
    &["task", "taskId"],
    &["tasks", EACH, "taskId"],
    &["_meta", meta::PROGRESS_TOKEN],
    &["_meta", meta::SUBSCRIPTION_ID],
    &["_meta", RELATED_TASK, "taskId"],
    &["notifications", "taskIds", EACH],
    // What it is, and how things stand.
    &["resultType"],
    &["status"],
    &["task", "status"],
    &["tasks", EACH, "status"],
    &["role"],
    &["messages", EACH, "role"],
    // What comes back to the server as it is.
    &["nextCursor"],
    &["requestState"],
    // Which thing is meant.
    &["uri"],
    &["notifications", "resourceSubscriptions", EACH],
    &["contents", EACH, "uri"],
    &["contents", EACH, "mimeType"],
    &["roots", EACH, "name"],
    &["roots", EACH, "uri"],
    &["serverInfo", "name"],
    &["_meta", meta::SERVER_INFO, "name"],
    &["_meta", meta::CLIENT_INFO, "name"],
    &["modelPreferences", "hints", EACH, "name"],
];

/// The task that a message belongs to, in `_meta`.
const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";
/// What the protocol puts into `_meta` begins so.
const RESERVED: &str = "io.modelcontextprotocol/";

/// Members of a body that are lists of definitions.
const DEFINITIONS: [&str; 4] = ["tools", "prompts", "resources", "resourceTemplates"];

/// In a definition, besides its schemas.
const IN_DEFINITION: &[&[&str]] = &[
    &["name"],
    &["uri"],
    &["uriTemplate"],
    &["mimeType"],
    &["arguments", EACH, "name"],
    &["icons", EACH, "mimeType"],
    &["execution", "taskSupport"],
];

/// In a block of content of this type.
fn in_block(kind: &str) -> &'static [&'static [&'static str]] {
    match kind {
        "text" => &[&["type"]],
        "image" | "audio" => &[&["type"], &["mimeType"]],
        "resource_link" => &[&["type"], &["name"], &["uri"], &["mimeType"], &["icons", EACH, "mimeType"]],
        "resource" => &[&["type"], &["resource", "uri"], &["resource", "mimeType"]],
        "tool_use" => &[&["type"], &["id"], &["name"]],
        "tool_result" => &[&["type"], &["toolUseId"]],
        // Of a type that is not known yet, what the known ones have.
        _ => &[
            &["type"],
            &["id"],
            &["name"],
            &["uri"],
            &["mimeType"],
            &["toolUseId"],
            &["resource", "uri"],
            &["resource", "mimeType"],
        ],
    }
}

impl Exact {
    pub(super) fn of(event: &Event<'_>) -> Exact {
        let mut exact = Exact::default();
        let root = event.message.root();
        let outer = [root.get("params"), root.get("result")].into_iter().flatten();
        // What a finished task brings stands in a result within.
        let bodies: Vec<_> = outer.flat_map(|body| [Some(body), body.get("result")]).flatten().collect();
        let questions = bodies.iter().filter_map(|body| body.get("inputRequests")).flat_map(Value::members);
        for (_, question) in questions {
            exact.each(question, &["method"]);
            exact.each(question, &["params", "elicitationId"]);
            question.get("params").into_iter().for_each(|params| exact.body(params));
        }
        bodies.iter().for_each(|body| exact.body(*body));
        // A user's answers stand under `content` as well, and are no blocks of it.
        if event.answers.is_none_or(|call| &*call.method != method::ELICITATION_CREATE) {
            bodies.iter().filter_map(|body| body.get("content")).for_each(|content| exact.blocks(content));
        }
        if event.message.method() == Some(method::LOG_MESSAGE) {
            root.at(&["params", "data"]).into_iter().for_each(|data| exact.free(data));
        }
        root.at(&["error", "data"]).into_iter().for_each(|data| exact.error_data(data));
        exact
    }

    /// Whether a part must not be edited.
    pub(super) fn holds(&self, part: &Part<'_>) -> bool {
        match part.kind {
            // Keys and names are data like any other there.
            PartKind::Argument | PartKind::StructuredContent => false,
            _ if part.is_key() => !self.free_keys.contains(&part.id()),
            _ => self.texts.contains(&part.id()),
        }
    }

    /// Parameters or a result, but for its `content`.
    fn body(&mut self, body: Value<'_>) {
        IN_BODY.iter().for_each(|path| self.each(body, path));
        for definition in DEFINITIONS.iter().filter_map(|list| body.get(list)).flat_map(Value::elements) {
            IN_DEFINITION.iter().for_each(|path| self.each(definition, path));
            let schemas = [definition.get("inputSchema"), definition.get("outputSchema")];
            schemas.into_iter().flatten().for_each(|schema| self.schema(schema));
        }
        body.get("requestedSchema").into_iter().for_each(|schema| self.schema(schema));
        for message in body.get("messages").into_iter().flat_map(Value::elements) {
            message.get("content").into_iter().for_each(|content| self.blocks(content));
            self.meta(message);
        }
        body.get("contents").into_iter().flat_map(Value::elements).for_each(|contents| self.meta(contents));
        self.meta(body);
    }

    /// One block of content or a list of them.
    fn blocks(&mut self, content: Value<'_>) {
        let mut blocks = vec![content];
        while let Some(block) = blocks.pop() {
            blocks.extend(block.elements());
            let kind = block.get("type").map(Value::text).unwrap_or_default();
            in_block(&kind).iter().for_each(|path| self.each(block, path));
            if kind == "tool_result" {
                blocks.extend(block.get("content"));
                block.get("structuredContent").into_iter().for_each(|structured| self.free(structured));
            }
            self.meta(block);
            block.get("resource").into_iter().for_each(|resource| self.meta(resource));
        }
    }

    /// A JSON Schema: its words, and the names that callers have to use. What it only quotes, such as a default, is data.
    fn schema(&mut self, schema: Value<'_>) {
        let mut schemas = vec![schema];
        while let Some(schema) = schemas.pop() {
            schemas.extend(schema.elements());
            for (key, value) in schema.members() {
                match &*key.text() {
                    "const" | "default" | "enum" | "examples" => {}
                    "$id" | "$ref" | "$schema" | "id" | "required" | "type" => {
                        self.each(value, &[]);
                        self.each(value, &[EACH]);
                    }
                    "$defs" | "definitions" | "dependentSchemas" | "patternProperties" | "properties" => {
                        schemas.extend(value.members().map(|(_, property)| property));
                    }
                    _ => schemas.push(value),
                }
            }
        }
    }

    /// The data of an error, and the questions to be answered first, which may stand there.
    fn error_data(&mut self, data: Value<'_>) {
        self.each(data, &["elicitations", EACH, "elicitationId"]);
        let members = data.members().filter(|(key, _)| !key.is_text("elicitations")).map(|(_, value)| value);
        members.chain(data.elements()).for_each(|value| self.free(value));
    }

    /// What stands in the `_meta` of `holder` under keys that are not the protocol's.
    fn meta(&mut self, holder: Value<'_>) {
        let members = holder.get("_meta").into_iter().flat_map(Value::members);
        members.filter(|(key, _)| !key.text().starts_with(RESERVED)).for_each(|(_, value)| self.free(value));
    }

    /// Data of any form.
    fn free(&mut self, data: Value<'_>) {
        self.free_keys.extend(data.subtree().filter(|node| node.kind() == NodeKind::Key).map(Value::id));
    }

    fn each(&mut self, value: Value<'_>, path: &[&str]) {
        match path {
            [] => drop(self.texts.insert(value.id())),
            [EACH, rest @ ..] => value.elements().for_each(|element| self.each(element, rest)),
            [key, rest @ ..] => value.get(key).into_iter().for_each(|member| self.each(member, rest)),
        }
    }
}
