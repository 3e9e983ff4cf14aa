//! **Threat.** What a tool brings stands in the model's context like anything else: a page that says "now do this" looks
//! like somebody who may say so. What a person fills into a prompt stands in the middle of a template the same way.
//!
//! So content from outside can be *marked*: where it begins, where it ends and whence it came, with a tag that is new for
//! each session and that the content cannot end by itself ([`crate::mark`]). That helps a model and guarantees nothing.
//! It is off unless `mark` is set, as it changes what clients get.
//!
//! Marked are texts in what tools and resources bring, and the message of an error; not structured content, images, blobs and
//! links, which a program reads, and not what a prompt's own text says, as that is there to instruct.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bartizan_mcp::{NodeId, NodeKind, PartKind, Value, method};
use memchr::memmem;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Guard, GuardSpec, LooksAt, RuleSpec};
use crate::mark::{self, Mark, Marking};
use crate::{Action, CallSummary, Direction, Event, Finding, Report, Session, Severity, Label};

/// Specification of the guard.
pub const SPEC: GuardSpec = GuardSpec {
    name: "provenance",
    threat: "Content from outside looks to the model like something that its user said.",
    rules: RULES,
    actions: &[Action::Observe, Action::Redact, Action::Deny],
    skips: SKIPS,
    looks_at: LooksAt::Else(
        "Texts that tools and resources bring and the message of an error, if `mark` is set, and the arguments of a \
         prompt where they stand in it. `redact` marks them.",
    ),
    // What is left of a message after redaction is marked, once.
    sees_edited: false,
    raises: &[Label::Untrusted],
    options: || schemars::schema_for!(Options),
    build: |options, _| Ok(Box::new(Provenance(Options::deserialize(options)?))),
};

const DEFINED: &str = "definitions are approved, and a client's program reads them";
const READ: &str = "a program reads it, which a mark would break";
const SKIPS: &[(PartKind, &str)] = &[
    (PartKind::ToolDefinition, DEFINED),
    (PartKind::PromptDefinition, DEFINED),
    (PartKind::ResourceDefinition, DEFINED),
    (PartKind::Instructions, DEFINED),
    (PartKind::StructuredContent, READ),
    (PartKind::Sampling, "the client shows a person what a server asks"),
    (PartKind::Elicitation, "the client shows a person what a server asks"),
    (PartKind::Notification, READ),
    (PartKind::Metadata, READ),
    (PartKind::Other, READ),
];

const UNTRUSTED: &str = "provenance.untrusted";
const ARGUMENT: &str = "provenance.argument";
const BREAKOUT: &str = "provenance.breakout";

const RULES: &[RuleSpec] = &[
    RuleSpec::new(UNTRUSTED, Severity::Info, Action::Redact, "Content from outside, which is marked."),
    RuleSpec::new(
        ARGUMENT,
        Severity::Info,
        Action::Redact,
        "What was filled into a prompt, which is marked where it stands in it.",
    ),
    RuleSpec::new(
        BREAKOUT,
        Severity::Medium,
        Action::Observe,
        "Content imitates a mark, to end its own or to look like one; it is broken up.",
    ),
];

/// How content is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum How {
    /// Not at all.
    #[default]
    None,
    /// Between tags.
    Delimit,
    /// Between tags, and with a rare character for the spaces; JSON only between tags.
    Datamark,
    /// Between tags and as base64.
    Encode,
}

/// What is done with a text that is JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Json {
    /// It is marked, and no JSON any more to a client that reads it as a whole.
    #[default]
    Mark,
    /// It is left as it is.
    Leave,
}

/// Marks for the model; where they are set, `action` and `servers` say whose content gets them (`redact`) and whose does not
/// (`observe`).
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// How content is marked.
    mark: How,
    /// What is done with a text that is JSON.
    json: Json,
}

struct Provenance(Options);

/// Characters of an argument that is looked for in a prompt: a shorter one says nothing, and stands in many places.
const SHORTEST: usize = 8;
/// Arguments of one prompt that are looked for.
const MOST: usize = 64;

impl Guard for Provenance {
    fn inspect(&self, event: &Event<'_>, session: &Session, report: &mut Report) {
        if self.0.mark == How::None {
            return;
        }
        if event.direction == Direction::ToServer {
            return too_much(event, report);
        }
        let (brought, prompted) = texts(event);
        let values = event.answers.map(filled_in).unwrap_or_default();
        if brought.is_empty() && (prompted.is_empty() || values.is_empty()) {
            return;
        }
        let Some(tag) = &session.tag else {
            // Without a span this refuses what would be marked.
            let why = "this session has no tag that marks could bear";
            return find(UNTRUSTED, event, why.to_owned(), |finding| finding.span = None, report);
        };
        let source = match event.tool() {
            Some(tool) => format!("{}/{tool}", event.server.name),
            None => event.server.name.to_string(),
        };
        let marks: Vec<_> = brought.iter().filter_map(|text| self.whole(*text, tag, &source)).collect();
        let document = event.message.document();
        imitations(marks.iter().map(|(node, _)| document.value(*node).text()), event, tag, report);
        marked(UNTRUSTED, marks, event, report);
        let marks: Vec<_> = prompted.iter().filter_map(|text| within(*text, &values, tag)).collect();
        if !marks.is_empty() {
            imitations(values.iter().map(Cow::from), event, tag, report);
        }
        marked(ARGUMENT, marks, event, report);
    }
}

impl Provenance {
    /// The mark of a text that it does not bear yet.
    fn whole(&self, text: Value<'_>, tag: &Arc<str>, source: &str) -> Option<(NodeId, Mark)> {
        let said = text.text();
        let how = match self.0.mark {
            How::None | How::Delimit => Marking::Delimit,
            How::Datamark => Marking::Datamark,
            How::Encode => Marking::Encode,
        };
        let mark = Mark::whole(tag, source, how);
        let left = self.0.json == Json::Leave && mark::is_json(&said);
        let stays = said.is_empty() || left || mark.undone(&said).is_some();
        (!stays).then(|| (text.id(), mark))
    }
}

/// Reports marks, if there are any, as one finding: the message may hold any number of texts.
fn marked(rule: &str, marks: Vec<(NodeId, Mark)>, event: &Event<'_>, report: &mut Report) {
    if !marks.is_empty() {
        let why = match marks.len() {
            1 => "one text is marked".to_owned(),
            several => format!("{several} texts are marked"),
        };
        find(rule, event, why, |finding| finding.marks = marks, report);
    }
}

/// Reports what looks like a mark.
fn imitations<'t>(texts: impl Iterator<Item = Cow<'t, str>>, event: &Event<'_>, tag: &str, report: &mut Report) {
    let (mut some, mut own) = (false, false);
    for text in texts.filter(|text| mark::breaks_out(text, tag)) {
        (some, own) = (true, own || mark::has_tag(&text, tag));
    }
    if some {
        let why = if own { "content bears the tag of this session's marks" } else { "content imitates a mark" };
        find(BREAKOUT, event, why.to_owned(), |_| (), report);
    }
}

/// A finding about the message, of which nothing has to be cut.
fn find(rule: &str, event: &Event<'_>, why: String, with: impl FnOnce(&mut Finding), report: &mut Report) {
    let Some(rule) = SPEC.rule(rule) else { return };
    let mut finding = Finding::about(rule, event.message.root(), PartKind::Content, why);
    finding.span = Some(0..0);
    with(&mut finding);
    report.find(finding);
}

/// A request for a prompt whose arguments could not all be found in it again.
fn too_much(event: &Event<'_>, report: &mut Report) {
    if event.message.method() != Some(method::PROMPTS_GET) {
        return;
    }
    let Some(arguments) = event.message.params().and_then(|params| params.get("arguments")) else { return };
    let count = arguments.members().filter(|(_, value)| value.as_str().is_some_and(|text| is_looked_for(&text))).count();
    if arguments.raw().len() > CallSummary::MOST_ARGUMENTS || count > MOST {
        let why = format!("more than {MOST} arguments, or more than {} bytes, which could not be marked", CallSummary::MOST_ARGUMENTS);
        find(ARGUMENT, event, why, |finding| (finding.span, finding.kind) = (None, PartKind::Argument), report);
    }
}

/// What is from outside in a message, and the texts of a prompt.
fn texts<'e>(event: &Event<'e>) -> (Vec<Value<'e>>, Vec<Value<'e>>) {
    let (mut brought, mut prompted) = (Vec::new(), Vec::new());
    // What a finished task brings stands in a result within.
    let results = event.message.result().into_iter().flat_map(|result| [Some(result), result.get("result")]).flatten();
    for result in results {
        let contents = result.get("contents").into_iter().flat_map(Value::elements);
        brought.extend(contents.filter_map(|contents| string(contents, "text")));
        for block in result.get("content").into_iter().flat_map(blocks) {
            brought.extend(text_of(block));
            brought.extend(resource_of(block));
        }
        for message in result.get("messages").into_iter().flat_map(Value::elements) {
            for block in message.get("content").into_iter().flat_map(blocks) {
                prompted.extend(text_of(block));
                brought.extend(resource_of(block));
            }
        }
    }
    const ASKED: [&str; 4] = [method::TOOLS_CALL, method::RESOURCES_READ, method::PROMPTS_GET, method::TASKS_RESULT];
    if event.answers.is_some_and(|call| ASKED.contains(&&*call.method)) {
        brought.extend(event.message.error().and_then(|error| string(error, "message")));
    }
    (brought, prompted)
}

/// One block of content, or a list of them.
fn blocks(content: Value<'_>) -> impl Iterator<Item = Value<'_>> {
    let one = (content.kind() == NodeKind::Object).then_some(content);
    one.into_iter().chain(content.elements())
}

/// The text of a block; one of a type that is not known yet may have one as well.
fn text_of(block: Value<'_>) -> Option<Value<'_>> {
    let kind = block.get("type").map(Value::text).unwrap_or_default();
    string(block, "text").filter(|_| !matches!(&*kind, "image" | "audio" | "resource" | "resource_link"))
}

fn resource_of(block: Value<'_>) -> Option<Value<'_>> {
    string(block.get("resource")?, "text")
}

fn string<'e>(object: Value<'e>, member: &str) -> Option<Value<'e>> {
    object.get(member).filter(|value| value.kind() == NodeKind::String)
}

/// The arguments that a prompt was asked for with, as far as they are looked for.
fn filled_in(call: &CallSummary) -> Vec<String> {
    let is_prompt = *call.method == *method::PROMPTS_GET;
    let Some(arguments) = call.arguments.as_deref().filter(|_| is_prompt) else { return Vec::new() };
    let held: BTreeMap<String, serde_json::Value> = serde_json::from_str(arguments).unwrap_or_default();
    let texts = held.into_values().filter_map(|value| match value {
        serde_json::Value::String(text) if is_looked_for(&text) => Some(text),
        _ => None,
    });
    texts.take(MOST).collect()
}

fn is_looked_for(argument: &str) -> bool {
    argument.chars().nth(SHORTEST - 1).is_some()
}

/// The mark of the places of a prompt's text where arguments stand and are not marked yet.
fn within(text: Value<'_>, values: &[String], tag: &Arc<str>) -> Option<(NodeId, Mark)> {
    const SOURCE: &str = "argument of the prompt";
    let said = text.text();
    let mut found: Vec<Range<usize>> = Vec::new();
    for value in values {
        found.extend(memmem::find_iter(said.as_bytes(), value).map(|at| at..at + value.len()));
    }
    // Of two that share something the first, and of two that begin together the longer.
    found.sort_by_key(|part| (part.start, Reverse(part.end)));
    let mut end = 0;
    found.retain(|part| {
        let apart = part.start >= end;
        end = if apart { part.end } else { end };
        apart
    });
    let bare = Mark::within(tag, SOURCE, Vec::new());
    found.retain(|part| !bare.is_around(&said, part));
    (!found.is_empty()).then(|| (text.id(), Mark::within(tag, SOURCE, found)))
}
