//! **Threat.** A tool brings more than was asked for: whole records for one field of them, thousands of rows, images, the
//! notes that colleagues wrote about a customer. All of it goes to whoever runs the model, stays in the conversation for the
//! next tool to be told, and each text of it is another place for somebody's orders. Arguments that a server has no need of
//! go the other way.
//!
//! So an operator can say what of a tool's results reaches the model, and which arguments reach the server. Nothing happens
//! without that. What is left out is judged like the rest first: what is refused for a text in it stays refused.
//!
//! Structured content and texts that are JSON are treated alike, as most servers say everything twice. A text that is no JSON is
//! one value: with `keep` or `schema` it is left out, unless `$` is kept. What seems to be JSON and cannot be read in one way
//! only is left out where something would have to be dropped of it. A result that is an error (`isError`) is not held
//! against `keep` and `schema`, as it is none of what the tool was asked for; the rest applies.
//!
//! **What this is not:** a control of a hostile server, which can put anything in what is kept. Results of tasks that are
//! fetched later do not say which tool they came of, so they pass as they are and are recorded (`minimise.unknown_tool`).

mod options;
mod project;

use std::collections::BTreeMap;

use bartizan_mcp::{Document, NodeId, NodeKind, PartKind, Value, method};
use serde::Deserialize;

pub use self::options::{named, servers};
use self::options::{Entry, Options};
use self::project::{Left, Walk};
use super::{Guard, GuardSpec, LooksAt, RuleSpec};
use crate::shape::{self, Shapes};
use crate::{Action, Change, Direction, Event, Finding, Report, Session, Severity, as_json, excerpt, note};

/// Specification of the guard.
pub const SPEC: GuardSpec = GuardSpec {
    name: "minimise",
    threat: "A tool brings more than was asked for, or is told more than it needs.",
    rules: RULES,
    actions: &[Action::Observe, Action::Redact, Action::Deny],
    skips: SKIPS,
    looks_at: LooksAt::Else("Results and arguments of the tools that are named in `tool`; without that at nothing."),
    // What is left is what the settings say.
    sees_edited: false,
    raises: &[],
    options: || schemars::schema_for!(Options),
    build: |options, _| Ok(Box::new(Minimise { entries: Options::deserialize(options)?.entries()? })),
};

const NO_RESULT: &str = "It is no part of a tool's result.";
const SKIPS: &[(PartKind, &str)] = &[
    (PartKind::ToolDefinition, NO_RESULT),
    (PartKind::PromptDefinition, NO_RESULT),
    (PartKind::ResourceDefinition, NO_RESULT),
    (PartKind::Instructions, NO_RESULT),
    (PartKind::Error, "It says what went wrong with the protocol."),
    (PartKind::Sampling, NO_RESULT),
    (PartKind::Elicitation, NO_RESULT),
    (PartKind::Notification, NO_RESULT),
    (PartKind::Metadata, "Clients read it, and models do not."),
    (PartKind::Other, NO_RESULT),
];

const RULES: &[RuleSpec] = &[
    RuleSpec::new(PROJECTED, Severity::Info, Action::Redact, "Fields of a result that are not to reach the model."),
    RuleSpec::new(TOO_LONG, Severity::Info, Action::Redact, "A text of a result is longer than `max_length`."),
    RuleSpec::new(
        TOO_MANY_ROWS,
        Severity::Info,
        Action::Redact,
        "An array of a result has more elements than `max_rows`.",
    ),
    RuleSpec::new(
        BLOB,
        Severity::Info,
        Action::Redact,
        "An image, a sound, a blob or a link that is not to reach the model.",
    ),
    RuleSpec::new(ARGUMENT, Severity::Info, Action::Redact, "An argument that is not to reach the server."),
    RuleSpec::new(
        UNKNOWN_TOOL,
        Severity::Low,
        Action::Observe,
        "The result of a task of a server with settings here, of which nothing says which tool it came of.",
    ),
];

const PROJECTED: &str = "minimise.projected";
const TOO_LONG: &str = "minimise.too_long";
const TOO_MANY_ROWS: &str = "minimise.too_many_rows";
const BLOB: &str = "minimise.blob";
const ARGUMENT: &str = "minimise.argument";
const UNKNOWN_TOOL: &str = "minimise.unknown_tool";

struct Minimise {
    entries: Vec<Entry>,
}

impl Guard for Minimise {
    fn inspect(&self, event: &Event<'_>, session: &Session, report: &mut Report) {
        let here = || self.entries.iter().filter(|entry| entry.is_at(&event.server.name));
        if here().next().is_none() {
            return;
        }
        let tool = event.tool();
        let entry = tool.as_deref().and_then(|tool| here().find(|entry| entry.is_for(tool)));
        match (event.direction, entry) {
            (Direction::ToServer, Some(entry)) => arguments(entry, event, session, report),
            (Direction::ToClient, Some(entry)) => {
                event.results().for_each(|result| Pass::of(entry, result, event, session).report(report));
            }
            (Direction::ToClient, None) if tool.is_none() => unknown(event, report),
            _ => {}
        }
    }
}

/// A result that comes later than its call.
fn unknown(event: &Event<'_>, report: &mut Report) {
    let is_late = event.answers.is_some_and(|call| call.method.starts_with("tasks/"));
    let holds = |result: &Value<'_>| result.get("content").is_some() || result.get("structuredContent").is_some();
    if let Some(result) = event.results().find(holds).filter(|_| is_late) {
        find(
            UNKNOWN_TOOL,
            result,
            PartKind::Content,
            "the result of a task does not say which tool it came of",
            report,
        );
    }
}

/// A finding about a value, of which nothing can be cut out.
fn find(rule: &str, at: Value<'_>, kind: PartKind, why: impl Into<String>, report: &mut Report) {
    if let Some(rule) = SPEC.rule(rule) {
        report.find(Finding::about(rule, at, kind, why));
    }
}

/// The same, with what changes because of it.
fn change(rule: &str, (at, kind): (Value<'_>, PartKind), why: String, changes: Vec<Change>, report: &mut Report) {
    if let Some(rule) = SPEC.rule(rule).filter(|_| !changes.is_empty()) {
        report.find(Finding::about(rule, at, kind, why).changing(changes));
    }
}

fn arguments(entry: &Entry, event: &Event<'_>, session: &Session, report: &mut Report) {
    let arguments = event.message.params().and_then(|params| params.get("arguments"));
    let Some((arguments, drop)) = arguments.zip(entry.arguments_drop.as_ref()) else { return };
    if event.message.method() != Some(method::TOOLS_CALL) {
        return;
    }
    let mut shapes = shape::described(event, session).map(|(_, schema)| Shapes::of(schema));
    let left = Walk::of_arguments(drop, shapes.as_mut()).of(arguments);
    if let Some(name) = &left.unfit {
        let why = format!("the argument `{}` is not to reach the server, and the tool requires it", excerpt(name));
        find(ARGUMENT, arguments, PartKind::Argument, why, report);
    }
    let why = format!("{} left out", several(left.projected.len(), "argument"));
    change(ARGUMENT, (arguments, PartKind::Argument), why, left.projected, report);
}

/// One result, and what has to change in it.
struct Pass<'e, 's> {
    entry: &'e Entry,
    result: Value<'e>,
    shapes: Option<Shapes<'s>>,
    /// Whether it is an error.
    failed: bool,
    structured: Left,
    content: Left,
    media: BTreeMap<&'static str, usize>,
    gone: Vec<Change>,
}

impl<'e, 's> Pass<'e, 's> {
    fn of(entry: &'e Entry, result: Value<'e>, event: &Event<'e>, session: &'s Session) -> Pass<'e, 's> {
        let shapes = shape::described(event, session).map(|(_, schema)| Shapes::of(schema));
        let failed = result.get("isError").is_some_and(|flag| flag.kind() == NodeKind::True);
        let (structured, content) = (Left::default(), Left::default());
        let mut pass =
            Pass { entry, result, shapes, failed, structured, content, media: BTreeMap::new(), gone: Vec::new() };
        if let Some(value) = result.get("structuredContent") {
            pass.structured = pass.walk().of(value);
        }
        if let Some(blocks) = result.get("content").filter(|content| content.kind() == NodeKind::Array) {
            blocks.elements().for_each(|block| pass.block(blocks, block));
        }
        pass
    }

    fn walk(&mut self) -> Walk<'_, 's> {
        Walk::of_result(self.entry, self.failed, self.shapes.as_mut())
    }

    fn block(&mut self, blocks: Value<'e>, block: Value<'e>) {
        let kind = block.get("type").map(Value::text).unwrap_or_default();
        let resource = block.get("resource").filter(|_| kind == "resource");
        let blob = resource.and_then(|resource| resource.get("blob"));
        let gone = match &*kind {
            "image" if self.entry.images.drops() => Some("image"),
            "audio" if self.entry.audio.drops() => Some("sound"),
            "resource_link" if self.entry.resource_links.drops() => Some("link"),
            "resource" if blob.is_some_and(|blob| self.entry.blobs.drops(blob)) => Some("blob"),
            _ => None,
        };
        if let Some(gone) = gone {
            *self.media.entry(gone).or_default() += 1;
            return self.gone.push(Change::Remove { parent: blocks.id(), node: block.id() });
        }
        let text = resource.unwrap_or(block).get("text").filter(|text| text.kind() == NodeKind::String);
        if let Some(text) = text {
            self.text(text);
        }
    }

    fn text(&mut self, text: Value<'e>) {
        let said = text.text();
        if note::is_one(&said) {
            return;
        }
        match as_json(&said) {
            Some(document) => self.json(text.id(), &document),
            None if self.entry.keeps_whole(self.failed, &said) => self.content.cut_long(self.entry.max_length, text),
            None => {
                let with = note::of("a text, of which only fields are to be kept").into();
                self.content.fields += 1;
                self.content.projected.push(Change::Cut { text: text.id(), span: 0..said.len(), with });
            }
        }
    }

    fn json(&mut self, text: NodeId, document: &Document) {
        let left = self.walk().within(document.root());
        let held = &mut self.content;
        for (all, changes) in
            [(&mut held.projected, left.projected), (&mut held.long, left.long), (&mut held.rows, left.rows)]
        {
            if !changes.is_empty() {
                all.push(Change::Within { text, changes });
            }
        }
        held.fields += left.fields;
        held.rows_gone = held.rows_gone.max(left.rows_gone);
        held.texts += left.texts;
        held.unfit = held.unfit.take().or(left.unfit);
    }

    fn report(self, report: &mut Report) {
        let blocks = self.result.get("content").filter(|content| content.kind() == NodeKind::Array);
        let note = |said: String| {
            let text = note::of(&said);
            let fits = self.entry.max_length.is_none_or(|most| text.len() <= most);
            blocks.filter(|_| fits).map(|blocks| Change::Note { blocks: blocks.id(), text: text.into() })
        };
        let rows = self.structured.rows_gone.max(self.content.rows_gone);
        let mut rows_note = note(format!("{} of an array", several(rows, "further element"))).filter(|_| rows > 0);
        let kinds: Vec<String> = self.media.iter().map(|(what, count)| several(*count, what)).collect();
        let media_note = note(kinds.join(", "));
        let structured = self.result.get("structuredContent").map(|value| (value, PartKind::StructuredContent));
        let content = self.result.get("content").map(|value| (value, PartKind::Content));
        for (place, left) in [(content, self.content), (structured, self.structured)] {
            let Some(place) = place else { continue };
            if let Some(name) = &left.unfit {
                let why = format!("`{}` is to be left out, and the tool's `outputSchema` requires it", excerpt(name));
                find(PROJECTED, place.0, place.1, why, report);
            }
            let why = format!("{} left out", several(left.fields, "field"));
            change(PROJECTED, place, why, left.projected, report);
            let why = format!("{} cut", several(left.texts, "text"));
            change(TOO_LONG, place, why, left.long, report);
            let why = format!("{} left out", several(left.rows_gone, "element"));
            let mut changes = left.rows;
            if !changes.is_empty() {
                changes.extend(rows_note.take());
            }
            change(TOO_MANY_ROWS, place, why, changes, report);
        }
        if let Some(place) = content.filter(|_| !self.gone.is_empty()) {
            let changes = self.gone.into_iter().chain(media_note).collect();
            change(BLOB, place, format!("left out: {}", kinds.join(", ")), changes, report);
        }
    }
}

fn several(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests;
