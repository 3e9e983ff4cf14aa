//! **Threat.** A server hides instructions where the model reads them and no person looks: in Unicode tag characters
//! that no font shows, in runs of characters without width, in variation selectors that carry a byte each, behind
//! terminal sequences that wipe a line, in comments and invisible elements of HTML. Controls of direction make a
//! command read as another one. The other way round, a model that has been turned smuggles data out in arguments that
//! look harmless on the screen where a person approves them.
//!
//! What happens by default depends on where it is. A definition that hides text is withheld, and so is its use: nobody
//! writes one by accident. In what servers say, hidden characters are taken out and the rest passes. Arguments are
//! never rewritten, because other guards and the person who approved saw them as they are, and `/etc/pass\u{200B}wd`
//! without its hidden character is another file: what only serves to hide is denied there, and what an editor or a
//! terminal may well be asked to write is recorded. Names, URIs, ids and words of the protocol are not rewritten either,
//! for the same reason, wherever the protocol has them; in data of a free form such a key means nothing. Definitions have
//! no need of markup, so what keeps a few words out of sight is denied there, however it does that; an element that is
//! named and not closed is recorded, as a sentence about it looks the same. A lone character without width is ordinary
//! typesetting: it is recorded, and taken out of definitions without withholding them. Comments in HTML are ordinary in
//! fetched pages and documents, so they are recorded.

mod exact;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ops::Range;

use bartizan_detect::hidden::{self, Hidden, Kind};
use bartizan_mcp::{NodeId, Part, PartKind, Value};
use schemars::JsonSchema;
use serde::Deserialize;

use self::exact::Exact;
use super::{Guard, GuardSpec, RuleSpec, LooksAt, LARGE};
use crate::finding::called;
use crate::{Action, Definition, DefinitionKind, Direction, Event, Finding, Report, Session, Severity, excerpt, Label};

/// Specification of the guard.
pub const SPEC: GuardSpec = GuardSpec {
    name: "hidden_text",
    threat: "Text that people do not see and models do carries instructions in, or data out.",
    rules: RULES,
    actions: &[Action::Observe, Action::Redact, Action::Approve, Action::Deny],
    skips: &[],
    looks_at: LooksAt::Texts("a\u{E0041}\u{E0042}b"),
    sees_edited: true,
    raises: &[Label::Untrusted],
    options: || schemars::schema_for!(Options),
    build: |options, _| {
        let Options {} = Options::deserialize(options)?;
        Ok(Box::new(HiddenText))
    },
};

/// Defaults of what serves no purpose but to hide.
const CERTAIN: &[(PartKind, Action)] = &[
    (PartKind::ToolDefinition, Action::Deny),
    (PartKind::PromptDefinition, Action::Deny),
    (PartKind::ResourceDefinition, Action::Deny),
    (PartKind::Argument, Action::Deny),
];

/// Defaults of what somebody may have a reason to hand to a tool.
const WRITABLE: &[(PartKind, Action)] = &[
    (PartKind::ToolDefinition, Action::Deny),
    (PartKind::PromptDefinition, Action::Deny),
    (PartKind::ResourceDefinition, Action::Deny),
    (PartKind::Argument, Action::Observe),
];

/// Defaults of what may stand even in a definition by accident, and is harmless once it is gone.
const STRAY: &[(PartKind, Action)] = &[(PartKind::Argument, Action::Observe)];

/// Defaults of what documents hold and files may need exactly as it is.
const TYPESETTING: &[(PartKind, Action)] = &[
    (PartKind::Content, Action::Observe),
    (PartKind::StructuredContent, Action::Observe),
    (PartKind::Argument, Action::Observe),
];

/// Defaults of what is usual wherever documents are.
const DEFINITIONS: &[(PartKind, Action)] = &[
    (PartKind::ToolDefinition, Action::Deny),
    (PartKind::PromptDefinition, Action::Deny),
    (PartKind::ResourceDefinition, Action::Deny),
];

const RULES: &[RuleSpec] = &[
    RuleSpec::new("hidden_text.tags", Severity::Critical, Action::Redact, "Unicode tag characters hide ASCII text.")
        .in_kinds(CERTAIN),
    RuleSpec::new("hidden_text.variation", Severity::High, Action::Redact, "Variation selectors carry data.")
        .in_kinds(CERTAIN),
    RuleSpec::new(
        "hidden_text.zero_width",
        Severity::Medium,
        Action::Redact,
        "Characters without width split or carry text.",
    )
    .in_kinds(WRITABLE),
    RuleSpec::new(
        "hidden_text.stray",
        Severity::Low,
        Action::Redact,
        "A lone character without width, as typesetting puts it between others.",
    )
    .in_kinds(TYPESETTING),
    RuleSpec::new(
        "hidden_text.bidi",
        Severity::High,
        Action::Redact,
        "Controls of direction show text in another order.",
    )
    .in_kinds(WRITABLE),
    RuleSpec::new(
        "hidden_text.terminal_escape",
        Severity::High,
        Action::Redact,
        "Terminal sequences or control characters.",
    )
    .in_kinds(WRITABLE),
    RuleSpec::new(
        "hidden_text.overwrite",
        Severity::Low,
        Action::Redact,
        "Later text covers earlier text on a terminal.",
    )
    .in_kinds(STRAY),
    RuleSpec::new("hidden_text.format", Severity::Low, Action::Redact, "Deprecated or stray format characters.")
        .in_kinds(STRAY),
    RuleSpec::new(
        "hidden_text.html_invisible",
        Severity::Medium,
        Action::Observe,
        "An element of HTML that is not shown.",
    )
    .in_kinds(DEFINITIONS),
    RuleSpec::new(
        "hidden_text.unseen",
        Severity::Medium,
        Action::Observe,
        "Text in a definition that nobody sees: in a comment, an element that shows nothing, or behind blank space.",
    )
    .in_kinds(DEFINITIONS),
    RuleSpec::new(
        "hidden_text.faint",
        Severity::Low,
        Action::Observe,
        "Text in a definition that some readers of markup do not show.",
    ),
    RuleSpec::new(
        "hidden_text.unclosed",
        Severity::Low,
        Action::Observe,
        "An element in a definition that hides all that follows it, if it is not only talked about.",
    ),
    RuleSpec::new("hidden_text.html_comment", Severity::Low, Action::Observe, "A comment in HTML or Markdown."),
    RuleSpec::new(
        "hidden_text.flood",
        Severity::High,
        Action::Deny,
        "More hidden characters than any honest text has.",
    ),
];

fn rule_id(kind: Kind) -> &'static str {
    match kind {
        Kind::Tags => "hidden_text.tags",
        Kind::ZeroWidth => "hidden_text.zero_width",
        Kind::Stray => "hidden_text.stray",
        Kind::Bidi => "hidden_text.bidi",
        Kind::Variation => "hidden_text.variation",
        Kind::Terminal => "hidden_text.terminal_escape",
        Kind::Overwrite => "hidden_text.overwrite",
        Kind::Format => "hidden_text.format",
        Kind::Comment => "hidden_text.html_comment",
        Kind::Invisible => "hidden_text.html_invisible",
        Kind::Unseen => "hidden_text.unseen",
        Kind::Faint => "hidden_text.faint",
        Kind::Unclosed => "hidden_text.unclosed",
        Kind::Flood => "hidden_text.flood",
    }
}

/// Whether what it is called is more than one thing.
fn is_plural(kind: Kind) -> bool {
    match kind {
        Kind::Tags | Kind::ZeroWidth | Kind::Bidi | Kind::Variation | Kind::Terminal | Kind::Format => true,
        Kind::Stray
        | Kind::Overwrite
        | Kind::Comment
        | Kind::Invisible
        | Kind::Unseen
        | Kind::Faint
        | Kind::Unclosed
        | Kind::Flood => false,
    }
}

fn noun(kind: Kind) -> &'static str {
    match kind {
        Kind::Tags => "tag characters",
        Kind::ZeroWidth => "characters without width",
        Kind::Stray => "a lone character without width",
        Kind::Bidi => "controls of direction",
        Kind::Variation => "variation selectors",
        Kind::Terminal => "terminal sequences",
        Kind::Overwrite => "overwritten text",
        Kind::Format => "format characters",
        Kind::Comment => "a comment",
        Kind::Invisible => "an invisible element",
        Kind::Unseen => "text out of sight",
        Kind::Faint => "text that may be out of sight",
        Kind::Unclosed => "an element that is not closed",
        Kind::Flood => "a flood of hidden characters",
    }
}

/// It has no options of its own.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {}

struct HiddenText;

impl Guard for HiddenText {
    /// However small a request is, the definition that it uses is looked through again.
    fn takes_long(&self, event: &Event<'_>, session: &Session) -> bool {
        event.direction == Direction::ToServer
            && asked_for(event, session).is_some_and(|(_, _, held)| held.json.len() > LARGE && !is_clean(&String::from_utf8_lossy(&held.json)))
    }

    fn inspect(&self, event: &Event<'_>, session: &Session, report: &mut Report) {
        let exact = OnceCell::new();
        for part in event.message.parts() {
            look(event, &part, &exact, report);
        }
        if event.direction == Direction::ToServer {
            used(event, session, report);
        }
    }
}

/// One text: a finding for each way in which something in it is hidden. What is `exact` is found out when it is needed first,
/// as nearly all messages hide nothing.
fn look(event: &Event<'_>, part: &Part<'_>, exact: &OnceCell<Exact>, report: &mut Report) {
    let defines = DEFINITIONS.iter().any(|(kind, _)| *kind == part.kind);
    let raw = part.value.raw();
    let clean = if defines { is_clean(raw) } else { is_plain(raw, |_, _| false) };
    if clean {
        return;
    }
    let text = part.text();
    let found = if defines { hidden::find_in_definition(&text) } else { hidden::find(&text) };
    if found.is_empty() {
        return;
    }
    for (kind, first, also) in by_kind(found) {
        let Some(rule) = SPEC.rule(rule_id(kind)) else { continue };
        let says = Says::of(kind, &first, &text, also.len());
        let mut finding = Finding::within(rule, part, first.span.clone(), says.why).quoting(says.quoting);
        // What a person writes goes to a server; what a server asks under that name is its own.
        if part.kind == PartKind::Argument && event.direction == Direction::ToClient {
            finding.kind = PartKind::Other;
        }
        if routes(event, part) || exact.get_or_init(|| Exact::of(event)).holds(part) {
            // Without a span it cannot be redacted; what would be is denied instead.
            finding.span = None;
        } else {
            finding.also = also;
        }
        if kind == Kind::Overwrite {
            finding.replacement = Some(" ".into());
        }
        report.find(match part.element.and_then(|element| name_of(event, element)) {
            Some(name) => finding.of(&name),
            None => finding,
        });
    }
}

/// What is hidden in one way: the first place, and the others.
fn by_kind(found: Vec<Hidden>) -> impl Iterator<Item = (Kind, Hidden, Vec<Range<usize>>)> {
    let mut kinds: BTreeMap<Kind, (Hidden, Vec<Range<usize>>)> = BTreeMap::new();
    for hidden in found {
        match kinds.get_mut(&hidden.kind) {
            Some((_, also)) => also.push(hidden.span),
            None => drop(kinds.insert(hidden.kind, (hidden, Vec::new()))),
        }
    }
    kinds.into_iter().map(|(kind, (first, also))| (kind, first, also))
}

/// What is said of something hidden: how long it is, and if that can be told how it begins.
struct Says {
    why: String,
    quoting: Option<String>,
}

impl Says {
    fn of(kind: Kind, first: &Hidden, text: &str, more: usize) -> Says {
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        let sentence = |hides: String| format!("{}{hides}{more}", noun(kind));
        let Some(decoded) = first.decoded(text) else { return Says { why: sentence(String::new()), quoting: None } };
        let length = match decoded.chars().count() {
            1 => "1 character".to_owned(),
            length if length < Hidden::MAX_DECODED => format!("{length} characters"),
            most => format!("{most} characters or more"),
        };
        let hide = if is_plural(kind) { "hide" } else { "hides" };
        Says {
            why: sentence(format!(" that {hide} {length}")),
            quoting: Some(sentence(format!(" that {hide} “{}”", excerpt(&decoded)))),
        }
    }

    /// The same, of something that a definition holds.
    fn in_definition(&self, kind: DefinitionKind, name: &str) -> Says {
        let sentence = |says: &String| format!("the definition of `{}` holds {says}", called(kind.is_uri(), name));
        Says { why: sentence(&self.why), quoting: self.quoting.as_ref().map(sentence) }
    }
}

/// Whether somebody goes by the exact text: rewritten, a request would be another one than was judged, and an answer
/// would belong to nothing.
fn routes(event: &Event<'_>, part: &Part<'_>) -> bool {
    let request = event.message.method().is_some();
    part.kind == PartKind::Other && (request || event.message.root().get("id").is_some_and(|id| id.id() == part.id()))
}

/// The name of the definition that is an element of a list.
pub(super) fn name_of(event: &Event<'_>, element: NodeId) -> Option<String> {
    let element = event.message.document().value(element);
    let name = DefinitionKind::LISTED.into_iter().find_map(|kind| element.get(kind.name_member())?.as_str())?;
    Some(name.into_owned())
}

/// The definition that a request uses, and where and by what name the request asks for it.
pub(super) fn asked_for<'e, 's>(
    event: &Event<'e>,
    session: &'s Session,
) -> Option<(Value<'e>, Cow<'e, str>, &'s Definition)> {
    let (kind, member) = match event.message.method()? {
        "tools/call" => (DefinitionKind::Tool, "name"),
        "prompts/get" => (DefinitionKind::Prompt, "name"),
        "resources/read" => (DefinitionKind::Resource, "uri"),
        _ => return None,
    };
    let at = event.message.params()?.get(member)?;
    let name = at.as_str()?;
    let definition = session.catalog.get(kind, &name)?;
    Some((at, name, definition))
}

/// A request that uses a definition which would be withheld: the client may have been told of it otherwise.
fn used(event: &Event<'_>, session: &Session, report: &mut Report) {
    let Some((at, name, definition)) = asked_for(event, session) else { return };
    for (hidden, says) in hidden_in(definition) {
        let Some(rule) = SPEC.rule(rule_id(hidden)) else { continue };
        let says = says.in_definition(definition.kind, &name);
        let mut finding =
            Finding::about(rule, at, definition.kind.part(), says.why).quoting(says.quoting).of(&name);
        // Where definitions are redacted the client never saw it, and nothing is left to take away here.
        finding.span = Some(0..0);
        report.find(finding);
    }
}

/// Whether a JSON text cannot hide anything, which is seen of nearly all texts without decoding them: ASCII without
/// markup, without the beginning of a Markdown reference, without escapes other than the everyday ones, and without two
/// bytes in a row of which `also` says more.
fn is_plain(json: &str, also: impl Fn(u8, u8) -> bool) -> bool {
    const BLOCK: usize = 256;
    let bytes = json.as_bytes();
    let followers = bytes.get(1..).unwrap_or_default();
    // No branch within a block, not even on a backslash, of which code has one every few bytes: the compiler makes
    // vector instructions of it. A backslash that is itself escaped counts as one; the closer look tells them apart.
    let suspect = |hit: bool, (&byte, &next): (&u8, &u8)| {
        let escape = (byte == b'\\') & ((next == b'u') | (next == b'b') | (next == b'r'));
        hit | alone(byte) | escape | (byte == b']') & (next == b':') | also(byte, next)
    };
    let pairs = bytes.chunks(BLOCK).zip(followers.chunks(BLOCK));
    pairs.into_iter().all(|(block, next)| !block.iter().zip(next).fold(false, suspect))
        && !bytes.last().copied().is_some_and(alone)
}

/// Whether a byte calls for a closer look, whatever follows it.
fn alone(byte: u8) -> bool {
    (byte >= 0x7F) | (byte == b'<')
}

/// Whether a JSON text may hold so much blank space that it hides what follows: some block of it, then, is nothing but
/// space and escapes.
fn may_be_blank(json: &str) -> bool {
    const BLOCK: usize = 64;
    let blank = |byte: u8| (byte == b' ') | (byte == b'\\') | (byte == b'n') | (byte == b't') | (byte == b'r') | (byte == b'f');
    let (blocks, _) = json.as_bytes().as_chunks::<BLOCK>();
    blocks.iter().any(|block| block.iter().fold(true, |all, &byte| all & blank(byte)))
}

/// Whether the JSON of a definition or of a text in it cannot hide anything, which is seen without decoding it.
fn is_clean(json: &str) -> bool {
    // Titles of links and what stands behind the marks of code are not seen either.
    let also = |byte, next| (byte == b']') & (next == b'(') | (byte == next) & ((byte == b'`') | (byte == b'~'));
    is_plain(json, also) && !may_be_blank(json)
}

/// The ways in which a definition hides something.
fn hidden_in(definition: &Definition) -> BTreeMap<Kind, Says> {
    let mut kinds = BTreeMap::new();
    if is_clean(&String::from_utf8_lossy(&definition.json)) {
        return kinds;
    }
    definition.with_value(|value| {
        for text in value.subtree().filter_map(Value::as_str) {
            for hidden in hidden::find_in_definition(&text) {
                kinds.entry(hidden.kind).or_insert_with(|| Says::of(hidden.kind, &hidden, &text, 0));
            }
        }
    });
    kinds
}
