//! **Threat.** A definition enters the model's context before anybody calls anything, and few people read it. So it is
//! where a server gives orders: what to do with *other* servers' tools (`before you use send_mail …`), what to put into a
//! parameter that the tool has no use for (the conversation, the prompt, a key file), what to keep from the user. Or it says
//! so where clients show nothing: in a default, an example, a comment of a schema. Or a tool is called like another server's,
//! but for a letter that only looks the same.
//!
//! Held against each other are a definition's texts, its schema, and the names of what other servers of the configuration
//! have pinned. What an honest definition would not say is withheld, and so is its use; what honest ones say at times (be
//! called first, take the conversation because that is what the tool works on, call itself read-only and write) is recorded.
//! An order about a tool of the *same* server is ordinary (`call begin before commit`) and no finding; so is naming another
//! server's tool as the place where something comes from (`the id from list_notes`).
//!
//! Names of other servers' tools are looked for in lists only: what is withheld there is not pinned, and so its use is refused
//! by `tool_pinning`.
//!
//! What a text says as such, whatever it is, is the business of `prompt_injection`.

mod names;
mod phrases;
mod texts;

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bartizan_mcp::{Digest, NodeKind, PartKind, Value};
use schemars::JsonSchema;
use serde::Deserialize;

use self::names::Others;
use self::texts::Mention;
use super::hidden_text::asked_for;
use super::{Guard, GuardSpec, LARGE, LooksAt, RuleSpec};
use crate::finding::called;
use crate::{Action, Definition, DefinitionKind, Direction, Event, Finding, Report, Session, Severity, excerpt, Label};

/// Specification of the guard.
pub const SPEC: GuardSpec = GuardSpec {
    name: "tool_poisoning",
    threat: "A definition gives the model orders, or asks for what the tool has no use for.",
    rules: RULES,
    actions: &[Action::Observe, Action::Redact, Action::Deny],
    skips: SKIPS,
    looks_at: LooksAt::Else("Whole definitions, in lists and when they are used."),
    sees_edited: true,
    raises: &[Label::Untrusted],
    options: || schemars::schema_for!(Options),
    build: |options, _| {
        let Options {} = Options::deserialize(options)?;
        Ok(Box::new(ToolPoisoning::default()))
    },
};

const RULES: &[RuleSpec] = &[
    RuleSpec::new("tool_poisoning.orders_other_tool", Severity::High, Action::Deny, "A definition says how or when another server's tool is to be used."),
    RuleSpec::new("tool_poisoning.other_servers", Severity::High, Action::Deny, "A definition says how the tools of other servers are to be used."),
    RuleSpec::new("tool_poisoning.wants_conversation", Severity::High, Action::Deny, "A definition asks for the conversation, and the tool is not about conversations."),
    RuleSpec::new("tool_poisoning.wants_prompt", Severity::High, Action::Deny, "A definition asks for the prompt, the reasoning or the tools of the assistant."),
    RuleSpec::new("tool_poisoning.wants_secret", Severity::Critical, Action::Deny, "A definition asks for keys, or for what is in a file that holds them."),
    RuleSpec::new("tool_poisoning.wants_results", Severity::High, Action::Deny, "A definition asks for what other tools gave back."),
    RuleSpec::new("tool_poisoning.hides", Severity::High, Action::Deny, "A definition says what the user is not to know."),
    RuleSpec::new("tool_poisoning.unseen_order", Severity::High, Action::Deny, "A default, an example or another value of a schema that clients do not show gives orders."),
    RuleSpec::new("tool_poisoning.lookalike", Severity::High, Action::Deny, "A name differs from that of another server's tool only in letters that look the same."),
    RuleSpec::new("tool_poisoning.similar", Severity::Low, Action::Observe, "A name differs from that of another server's tool only in case or signs."),
    RuleSpec::new("tool_poisoning.first", Severity::Medium, Action::Observe, "A definition wants the tool to come before others."),
    RuleSpec::new("tool_poisoning.overrides_choice", Severity::High, Action::Deny, "A definition says that the tool is to be used whatever the user says, and others are not."),
    RuleSpec::new("tool_poisoning.context_parameter", Severity::Low, Action::Observe, "A parameter takes the conversation, the prompt or whatever comes to mind."),
    RuleSpec::new("tool_poisoning.secret_parameter", Severity::Low, Action::Observe, "A parameter takes a private key or the like through the model."),
    RuleSpec::new("tool_poisoning.undeclared", Severity::Low, Action::Observe, "A description names a parameter that the schema lacks."),
    RuleSpec::new("tool_poisoning.not_read_only", Severity::Medium, Action::Observe, "A tool says that it only reads, and is called after something else."),
    RuleSpec::new("tool_poisoning.oversized", Severity::Low, Action::Observe, "A description is longer than any that people would read."),
];

const SAID: &str = "Definitions are looked at, not what is said with them.";
const SKIPS: &[(PartKind, &str)] = &[
    (PartKind::Instructions, "They define no tool; `prompt_injection` reads them."),
    (PartKind::Argument, SAID),
    (PartKind::Content, SAID),
    (PartKind::StructuredContent, SAID),
    (PartKind::Error, "An error defines nothing."),
    (PartKind::Sampling, "A request to the client defines nothing."),
    (PartKind::Elicitation, "A request to the client defines nothing."),
    (PartKind::Notification, "A notification defines nothing; the list that follows it is looked at."),
    (PartKind::Metadata, "Only that of a definition belongs to it."),
    (PartKind::Other, "Names no definition, or is looked up in the session's catalog."),
];

/// It has no options of its own.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {}

#[derive(Default)]
struct ToolPoisoning {
    read: Read,
}

impl Guard for ToolPoisoning {
    /// However small a request is, the definition that it uses is looked through again.
    fn takes_long(&self, event: &Event<'_>, session: &Session) -> bool {
        event.direction == Direction::ToServer
            && asked_for(event, session).is_some_and(|(_, _, held)| held.json.len() > LARGE)
    }

    fn inspect(&self, event: &Event<'_>, session: &Session, report: &mut Report) {
        match event.direction {
            Direction::ToClient => self.listed(event, session, report),
            Direction::ToServer => self.used(event, session, report),
        }
    }
}

impl ToolPoisoning {
    fn listed(&self, event: &Event<'_>, session: &Session, report: &mut Report) {
        for listing in DefinitionKind::lists_of(event.message) {
            let kind = listing.kind;
            let names: Vec<_> =
                listing.list.elements().map(|element| kind.name_of(element).unwrap_or_default()).collect();
            let own: BTreeSet<&str> = names.iter().map(|name| &**name).collect();
            let others = Others::of(event, session, &own);
            for (element, name) in listing.list.elements().zip(&names) {
                let json = element.raw();
                let held = self.read.get((kind, Definition::text(json.as_bytes())), json.len(), || texts::read(kind, element));
                let (alike, about) = (others.imitated(kind, name), held.about_others(&others));
                let mut said = held.said.iter().chain(&alike).chain(&about).peekable();
                let texts: Vec<_> = said.peek().map(|_| element.subtree().collect()).unwrap_or_default();
                for said in said {
                    let Some(rule) = SPEC.rule(said.rule) else { continue };
                    let at = said.at.and_then(|index| texts.get(index).copied()).unwrap_or(element);
                    let mut finding = Finding::about(rule, at, kind.part(), said.why.clone());
                    // Without a span it cannot be redacted, as a name must not be; what would be is denied instead.
                    if let Some((first, also)) = said.spans.split_first().filter(|_| at.kind() == NodeKind::String) {
                        finding.span = Some(first.clone());
                        finding.also = also.to_vec();
                    }
                    report.find(finding.in_element(element.id()).of(name));
                }
            }
        }
    }

    /// A request that uses a definition which would be withheld: the client may have been told of it otherwise.
    fn used(&self, event: &Event<'_>, session: &Session, report: &mut Report) {
        let Some((at, name, definition)) = asked_for(event, session) else { return };
        let kind = definition.kind;
        let read = || definition.with_value(|value| texts::read(kind, value)).unwrap_or_default();
        let held = self.read.get((kind, definition.text), definition.json.len(), read);
        let mut told = BTreeSet::new();
        for said in &held.said {
            let Some(rule) = SPEC.rule(said.rule).filter(|rule| told.insert(rule.id)) else { continue };
            let why = format!("the definition of `{}`: {}", called(kind.is_uri(), &name), said.why);
            let mut finding = Finding::about(rule, at, kind.part(), why).of(&name);
            // Where definitions are redacted the client never saw it, and nothing is left to take away here.
            finding.span = Some(0..0);
            report.find(finding);
        }
    }
}

/// What is found in one definition, whatever else there is.
#[derive(Debug, Default)]
struct Held {
    said: Vec<Said>,
    mentions: Vec<Mention>,
}

/// One thing that a definition says.
#[derive(Debug)]
struct Said {
    rule: &'static str,
    /// The number of the text within the definition; nothing if it is about the whole.
    at: Option<usize>,
    spans: Vec<Range<usize>>,
    why: String,
}

impl Held {
    /// What it says about the tools of other servers.
    fn about_others(&self, others: &Others<'_>) -> Vec<Said> {
        let about = self.mentions.iter().filter_map(|mention| {
            let server = others.owner(&mention.name)?;
            let why = format!(
                "it says how `{}` of server `{}` is to be used",
                excerpt(&mention.name),
                excerpt(server)
            );
            let spans = vec![mention.span.clone()];
            Some(Said { rule: "tool_poisoning.orders_other_tool", at: Some(mention.at), spans, why })
        });
        about.collect()
    }
}

/// Definitions that have been read, by what they are: lists come again and again. It changes no outcome, only what one costs.
#[derive(Default)]
struct Read(Mutex<HashMap<(DefinitionKind, Digest), Arc<Held>>>);

/// As many are kept; then all are read anew, for there may be ever new ones.
const KEPT: usize = 8_192;
/// What is read of a longer definition is not kept: it may be as long.
const LONGEST_KEPT: usize = 64 * 1024;

impl Read {
    /// What was read of the definition with that text, of so many bytes.
    fn get(&self, key: (DefinitionKind, Digest), bytes: usize, read: impl FnOnce() -> Held) -> Arc<Held> {
        if let Some(held) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Arc::clone(held);
        }
        // Read without the lock, for it may take a while.
        let held = Arc::new(read());
        if bytes <= LONGEST_KEPT {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() >= KEPT {
                kept.clear();
            }
            kept.insert(key, Arc::clone(&held));
        }
        held
    }
}

/// Whether a tool says that it only reads.
fn says_read_only(tool: Value<'_>) -> bool {
    tool.at(&["annotations", "readOnlyHint"]).is_some_and(|hint| hint.kind() == NodeKind::True)
}
