//! What the texts of one definition say, and where in it they stand.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use bartizan_detect::Kind;
use bartizan_detect::decode::Views;
use bartizan_detect::rules::Rules;
use bartizan_mcp::{NodeKind, Value};

use super::phrases::{OUTRIGHT, RULES};
use super::{Held, Said, says_read_only};
use crate::{DefinitionKind, excerpt};

/// Another tool that a text gives orders about, if there is one of that name.
#[derive(Debug)]
pub(super) struct Mention {
    pub(super) at: usize,
    pub(super) span: Range<usize>,
    pub(super) name: Box<str>,
}

/// What a value is to whoever reads a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// The definition, or an argument of a prompt.
    Whole,
    /// A schema.
    Schema,
    /// Schemas by the names of parameters.
    Properties,
    /// What a client shows.
    Shown,
    /// What a client does not show.
    Unseen,
    /// A name, a number, a link.
    Other,
}

impl Role {
    /// The role of what stands under `key`.
    fn under(self, key: &str) -> Role {
        match (self, key) {
            (Role::Properties, _) => Role::Schema,
            (Role::Whole | Role::Schema, "description") => Role::Shown,
            (Role::Whole, "inputSchema" | "outputSchema") => Role::Schema,
            (Role::Whole, "arguments") => Role::Whole,
            (Role::Whole, "annotations" | "_meta" | "title") => Role::Unseen,
            (Role::Whole, _) => Role::Other,
            (Role::Schema, "properties" | "$defs" | "definitions" | "patternProperties" | "dependentSchemas") => {
                Role::Properties
            }
            (Role::Schema, "type" | "$ref" | "$id" | "$schema" | "format" | "required") => Role::Other,
            (
                Role::Schema,
                "items" | "prefixItems" | "additionalProperties" | "allOf" | "anyOf" | "oneOf" | "not" | "if" | "then"
                | "else" | "contains" | "propertyNames" | "unevaluatedProperties" | "unevaluatedItems",
            ) => Role::Schema,
            // Defaults, examples, constants, patterns, comments, and whatever a client knows nothing of.
            (Role::Schema, _) => Role::Unseen,
            (role, _) => role,
        }
    }
}

/// The longest description that somebody might read.
const LONGEST: usize = 16 * 1024;

/// All that one definition says.
pub(super) fn read(kind: DefinitionKind, definition: Value<'_>) -> Held {
    let mut held = Held::default();
    let name = kind.name_of(definition).unwrap_or_default();
    let description = definition.get("description").and_then(Value::as_str).unwrap_or_default();
    let about_talk = is_about_talk(&name, &description);
    let first = definition.id().index();
    let mut parameters = BTreeSet::new();
    let mut stack = vec![(definition, Role::Whole)];
    let mut texts = Vec::new();
    while let Some((value, role)) = stack.pop() {
        match value.kind() {
            NodeKind::Object => {
                for (key, below) in value.members() {
                    let text = key.text();
                    if role == Role::Properties {
                        parameters.insert(text.to_string());
                        texts.push((key, Role::Unseen));
                    }
                    stack.push((below, role.under(&text)));
                }
            }
            NodeKind::Array => stack.extend(value.elements().map(|below| (below, role))),
            NodeKind::String if matches!(role, Role::Shown | Role::Unseen) => texts.push((value, role)),
            _ => {}
        }
    }
    texts.sort_by_key(|(value, _)| value.id().index());
    for (value, role) in texts {
        let at = (value.id().index() - first) as usize;
        look(&mut held, at, &value.text(), role, about_talk);
    }
    if kind == DefinitionKind::Tool {
        tool(&mut held, definition, &name, &description, &parameters);
    }
    held
}

/// One text.
fn look(held: &mut Held, at: usize, text: &str, role: Role, about_talk: bool) {
    // Nobody gives an order in two words.
    if text.split_whitespace().nth(2).is_none() && text.len() < 16 {
        return;
    }
    let mut say = |rule, spans, why: String| held.said.push(Said { rule, at: Some(at), spans, why });
    if role == Role::Shown && text.len() > LONGEST {
        say("tool_poisoning.oversized", Vec::new(), format!("a description of {} bytes", text.len()));
    }
    let views = Views::of(text);
    let mut orders = false;
    for matched in RULES.look(&views, Kind::ToolDescription) {
        let Some((rule, what)) = SAYS.iter().find(|(id, _)| *id == matched.rule.id) else { continue };
        if matched.score < OUTRIGHT {
            continue;
        }
        let honest = about_talk && ABOUT_TALK.contains(rule);
        orders |= !honest;
        let rule = if honest { "tool_poisoning.context_parameter" } else { rule };
        say(rule, matched.places, (*what).to_owned());
    }
    if role == Role::Unseen {
        let built_in = Rules::built_in();
        let matched = built_in.look(&views, Kind::ToolDescription);
        if orders || Rules::together(&matched) >= OUTRIGHT {
            let why = format!("a value of {} characters that clients do not show gives orders", text.chars().count());
            let whole = 0..text.len();
            say("tool_poisoning.unseen_order", vec![whole], why);
        }
    }
    if let Some(view) = views.iter().next() {
        mentions(view.text(), |name, span| {
            let span = views.original(view, span);
            held.mentions.push(Mention { at, span, name: name.into() });
        });
    }
}

/// What is said of each phrase.
const SAYS: &[(&str, &str)] = &[
    ("tool_poisoning.wants_conversation", "it asks for the conversation"),
    ("tool_poisoning.wants_prompt", "it asks for the prompt, the reasoning or the tools of the assistant"),
    ("tool_poisoning.wants_secret", "it asks for keys, or for a file that holds them"),
    ("tool_poisoning.wants_results", "it asks for what other tools gave back"),
    ("tool_poisoning.hides", "it says what the user is not to know"),
    ("tool_poisoning.other_servers", "it says how the tools of other servers are to be used"),
    ("tool_poisoning.first", "it wants to come before other tools"),
    ("tool_poisoning.overrides_choice", "it is to be used whatever the user says, and others are not"),
];

/// What is the very business of a tool that works on conversations.
const ABOUT_TALK: &[&str] = &["tool_poisoning.wants_conversation", "tool_poisoning.wants_prompt"];

/// Words of names and openings of tools that work on what is said.
const TALK: &[&str] = &[
    "chat", "conversation", "message", "messages", "prompt", "prompts", "memory", "memories", "thread", "transcript", "llm",
    "completion", "think", "thinking", "thought", "reasoning", "dialogue", "agent", "agents", "history", "feedback",
];

/// Whether a tool says at once that what is said is what it works on: its name, or the first words of its description.
fn is_about_talk(name: &str, description: &str) -> bool {
    let is_talk = |word: &str| TALK.iter().any(|talk| word.eq_ignore_ascii_case(talk));
    let of = |text: &str, most| text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).take(most).any(is_talk);
    of(name, usize::MAX) || of(description, 5)
}

/// What a sentence says that orders something, rather than telling where something comes from.
const ORDERS: &[&str] = &[
    "before", "instead", "must", "always", "never", "first", "whenever", "when", "deprecated", "retired", "replaced",
    "disabled", "broken", "only", "avoid", "don't", "not", "every", "also", "call",
    "calls", "use", "run", "invoke",
];
/// What stands before the name of a tool that something comes from.
const SOURCES: &[&str] = &["from", "by", "see", "via", "like", "returned", "output", "result", "results", "returns"];

/// Names of what may be other tools in sentences that give orders.
fn mentions(text: &str, mut tell: impl FnMut(&str, Range<usize>)) {
    let mut start = 0;
    for sentence in text.split_inclusive(['!', '?', ';', '\n']).flat_map(|piece| piece.split_inclusive(". ")) {
        let words: Vec<(usize, &str)> = words(sentence).collect();
        let orders = words.iter().any(|(_, word)| ORDERS.iter().any(|order| word.eq_ignore_ascii_case(order)));
        for (index, (at, word)) in words.iter().enumerate().filter(|_| orders) {
            let before = words.get(index.saturating_sub(3)..index).unwrap_or_default();
            let comes_from = before.iter().any(|(_, word)| SOURCES.iter().any(|from| word.eq_ignore_ascii_case(from)));
            if is_name(word) && !comes_from {
                tell(word, start + at..start + at + word.len());
            }
        }
        start += sentence.len();
    }
}

/// Words with their places, of which names with signs within are one.
fn words(sentence: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_letter = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '\'');
    let base = sentence.as_ptr() as usize;
    sentence.split(move |c| !is_letter(c)).filter_map(move |word| {
        let word = word.trim_matches(['.', '-', '\'', '/']);
        (!word.is_empty()).then(|| (word.as_ptr() as usize - base, word))
    })
}

/// Whether something can only be a name: what is one word may be meant as a word.
fn is_name(word: &str) -> bool {
    let humps = word.as_bytes().windows(2).any(|pair| matches!(pair, [a, b] if a.is_ascii_lowercase() && b.is_ascii_uppercase()));
    humps || word.contains(['_', '-', '.', '/'])
}

/// What only tools have.
fn tool(held: &mut Held, tool: Value<'_>, name: &str, description: &str, parameters: &BTreeSet<String>) {
    let mut say = |rule, why| held.said.push(Said { rule, at: None, spans: Vec::new(), why });
    let verb = name.split(|c: char| !c.is_alphabetic()).find(|word| !word.is_empty()).unwrap_or_default();
    let verb: String = verb.char_indices().take_while(|(at, c)| *at == 0 || !c.is_uppercase()).map(|(_, c)| c).collect();
    if says_read_only(tool) && CHANGES.iter().any(|change| verb.eq_ignore_ascii_case(change)) {
        say("tool_poisoning.not_read_only", format!("`{}` says that it only reads", excerpt(name)));
    }
    for parameter in parameters {
        let plain: String = parameter.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
        if CONTEXT.contains(&&*plain) && !is_about_talk(name, description) {
            say("tool_poisoning.context_parameter", format!("a parameter `{}`", excerpt(parameter)));
        }
        if SECRETS.contains(&&*plain) {
            say("tool_poisoning.secret_parameter", format!("a parameter `{}`", excerpt(parameter)));
        }
    }
    if let Some(missing) = undeclared(description, parameters) {
        say("tool_poisoning.undeclared", format!("the description names a parameter `{}`", excerpt(&missing)));
    }
}

/// What names of tools begin with that do not only read.
const CHANGES: &[&str] = &[
    "delete", "remove", "drop", "send", "write", "create", "update", "insert", "transfer", "pay", "execute", "exec", "post",
    "publish", "upload", "purge", "destroy", "wipe", "move", "rename", "edit", "grant", "revoke", "deploy", "install",
];
/// Parameters that take what was said, in small letters without signs.
const CONTEXT: &[&str] = &[
    "conversationhistory", "chathistory", "fullconversation", "conversationcontext", "systemprompt", "chainofthought",
    "sidenote", "sidenotes", "innermonologue", "hiddencontext", "fullcontext", "allmessages", "messagehistory", "toollist",
    "availabletools", "userprofile", "guestprofile", "clientfingerprint", "agentcontext", "sessioncontext",
];
/// Parameters that take what no model should hold.
const SECRETS: &[&str] = &[
    "privatekey", "sshkey", "sshprivatekey", "seedphrase", "mnemonic", "recoveryphrase", "awssecretaccesskey",
    "secretaccesskey", "masterpassword", "rootpassword", "sessioncookie", "envfile", "environmentvariables",
];

/// A parameter that a description calls one and the schema does not have.
fn undeclared(description: &str, parameters: &BTreeSet<String>) -> Option<Cow<'static, str>> {
    if parameters.is_empty() {
        return None;
    }
    let mut pieces = description.split('`');
    let mut before = pieces.next()?;
    // Outside and inside of backticks by turns.
    while let (Some(name), Some(after)) = (pieces.next(), pieces.next()) {
        let is_word = |word: &str| ["parameter", "argument", "field", "param"].contains(&word);
        let last = before.split_whitespace().next_back().unwrap_or_default();
        let next = after.split_whitespace().next().unwrap_or_default().trim_end_matches(['.', ',', ':', ';']);
        let plain = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
        if plain && (is_word(last) || is_word(next)) && !parameters.contains(name) {
            return Some(Cow::Owned(name.to_owned()));
        }
        before = after;
    }
    None
}
