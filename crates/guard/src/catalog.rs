//! What a server has defined in this session: its tools, prompts and resources as last listed.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use bartizan_flow::{Nature, guess};
use bartizan_mcp::{Digest, Limits, Message, NodeKind, PartKind, Value};
use bytes::Bytes;

use crate::guards::schema::Compiled;
use crate::named::{self, ByName};
use crate::shared::Shared;

/// What a definition defines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DefinitionKind {
    /// A tool, by `name`.
    Tool,
    /// A prompt, by `name`.
    Prompt,
    /// A resource, by `uri`.
    Resource,
    /// A resource template, by `uriTemplate`.
    ResourceTemplate,
    /// The server's instructions, of which there is one text; no list holds them.
    Instructions,
}

impl DefinitionKind {
    /// All of them.
    pub const ALL: [DefinitionKind; 5] = [
        DefinitionKind::Tool,
        DefinitionKind::Prompt,
        DefinitionKind::Resource,
        DefinitionKind::ResourceTemplate,
        DefinitionKind::Instructions,
    ];
    /// Those that come as elements of a list result.
    pub const LISTED: [DefinitionKind; 4] =
        [DefinitionKind::Tool, DefinitionKind::Prompt, DefinitionKind::Resource, DefinitionKind::ResourceTemplate];

    /// Its name in the lock file and in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            DefinitionKind::Tool => "tool",
            DefinitionKind::Prompt => "prompt",
            DefinitionKind::Resource => "resource",
            DefinitionKind::ResourceTemplate => "resource_template",
            DefinitionKind::Instructions => "instructions",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<DefinitionKind> {
        DefinitionKind::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// The role of its texts.
    #[must_use]
    pub fn part(self) -> PartKind {
        match self {
            DefinitionKind::Tool => PartKind::ToolDefinition,
            DefinitionKind::Prompt => PartKind::PromptDefinition,
            DefinitionKind::Resource | DefinitionKind::ResourceTemplate => PartKind::ResourceDefinition,
            DefinitionKind::Instructions => PartKind::Instructions,
        }
    }

    /// The member of a result that holds such definitions.
    #[must_use]
    pub fn list_member(self) -> &'static str {
        match self {
            DefinitionKind::Tool => "tools",
            DefinitionKind::Prompt => "prompts",
            DefinitionKind::Resource => "resources",
            DefinitionKind::ResourceTemplate => "resourceTemplates",
            DefinitionKind::Instructions => "instructions",
        }
    }

    /// The member of a definition that names it; instructions have none.
    #[must_use]
    pub fn name_member(self) -> &'static str {
        match self {
            DefinitionKind::Tool | DefinitionKind::Prompt => "name",
            DefinitionKind::Resource => "uri",
            DefinitionKind::ResourceTemplate => "uriTemplate",
            DefinitionKind::Instructions => "",
        }
    }

    /// The name that a definition of this kind has; `None` if it has none, or a longer one than can be asked for.
    #[must_use]
    pub fn name_of<'a>(self, definition: Value<'a>) -> Option<Cow<'a, str>> {
        let name = definition.get(self.name_member())?.as_str()?;
        (name.len() <= self.longest_name()).then_some(name)
    }

    /// Whether what it is called by is a URI.
    #[must_use]
    pub fn is_uri(self) -> bool {
        matches!(self, DefinitionKind::Resource | DefinitionKind::ResourceTemplate)
    }

    /// Bytes of a name by which a definition of this kind can be asked for.
    pub(crate) fn longest_name(self) -> usize {
        match self {
            DefinitionKind::Resource | DefinitionKind::ResourceTemplate => Limits::URI_BYTES,
            _ => Limits::NAME_BYTES,
        }
    }

    /// The lists of definitions that a message holds: a result may bring several, and that of a finished task holds
    /// the result of what it did.
    pub fn lists_of(message: &Message) -> impl Iterator<Item = Listing<'_>> {
        let outer = message.result();
        let results = outer.into_iter().chain(outer.and_then(|result| result.get("result")));
        results.flat_map(|result| {
            DefinitionKind::LISTED.into_iter().filter_map(move |kind| {
                let list = result.get(kind.list_member()).filter(|list| list.kind() == NodeKind::Array)?;
                // No client asks for another page with an empty cursor, or one that is no text.
                let last_page = result.get("nextCursor").and_then(Value::as_str).is_none_or(|cursor| cursor.is_empty());
                Some(Listing { kind, list, last_page })
            })
        })
    }
}

/// A list of definitions in a message.
#[derive(Debug, Clone, Copy)]
pub struct Listing<'a> {
    /// What is listed.
    pub kind: DefinitionKind,
    /// The array.
    pub list: Value<'a>,
    /// Whether no more pages follow.
    pub last_page: bool,
}

/// One definition as a server listed it. `Debug` shows nothing of the schemas: whether they have been read yet depends on
/// what other sessions did, and what a definition is does not.
pub struct Definition {
    /// What it defines.
    pub kind: DefinitionKind,
    /// Its name, or the URI of a resource.
    pub name: Box<str>,
    /// The digest of its canonical form.
    pub digest: Digest,
    /// Its JSON text, for `lock diff` and for compiling schemas.
    pub json: Bytes,
    /// The digest of that text as it stands.
    pub(crate) text: Digest,
    /// The schemas of a tool, once the guard that holds messages against them has read them.
    pub(crate) compiled: OnceLock<Arc<Compiled>>,
    /// What a tool does with information, once it was asked for.
    nature: OnceLock<Nature>,
}

impl fmt::Debug for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Definition { kind, name, digest, json, text: _, compiled: _, nature: _ } = self;
        f.debug_struct("Definition")
            .field("kind", kind)
            .field("name", name)
            .field("digest", digest)
            .field("json", json)
            .finish()
    }
}

impl Definition {
    /// Reads an element of a list result; `None` if it has no name by which it could be asked for.
    #[must_use]
    pub fn read(kind: DefinitionKind, element: Value<'_>) -> Option<Definition> {
        kind.name_of(element).map(|name| Definition::named(kind, &name, element))
    }

    /// Reads the text of one, such as it was kept; `None` if it is none.
    #[must_use]
    pub fn of_text(kind: DefinitionKind, json: &[u8]) -> Option<Definition> {
        let text = [br#"{"jsonrpc":"2.0","id":0,"result":"#, json, b"}"].concat();
        Definition::read(kind, Message::parse(text, &Limits::AGAIN).ok()?.result()?)
    }

    /// The same, which is the one that another session has if its text is the same: servers list the same to all.
    pub(crate) fn shared(kind: DefinitionKind, element: Value<'_>, all: &Definitions) -> Option<Arc<Definition>> {
        let name = kind.name_of(element)?;
        let text = Definition::text(element.raw().as_bytes());
        Some(all.get((kind, text), || Definition::named(kind, &name, element)))
    }

    /// The digest of a definition's text as it stands.
    pub(crate) fn text(json: &[u8]) -> Digest {
        Digest(*blake3::hash(json).as_bytes())
    }

    fn named(kind: DefinitionKind, name: &str, element: Value<'_>) -> Definition {
        Definition {
            kind,
            name: name.into(),
            digest: Digest::of(element),
            // A copy, so that a definition does not keep the whole list it came in alive.
            json: Bytes::copy_from_slice(element.raw().as_bytes()),
            text: Definition::text(element.raw().as_bytes()),
            compiled: OnceLock::new(),
            nature: OnceLock::new(),
        }
    }

    /// What the tool does with information, as far as its definition shows it.
    #[must_use]
    pub fn nature(&self) -> Nature {
        *self.nature.get_or_init(|| self.with_value(guess).unwrap_or_default())
    }

    /// Whether the server itself says that the tool destroys something. The protocol takes that for granted where
    /// nothing is said, which would hold for nearly every tool, so here only what is said counts.
    #[must_use]
    pub fn is_destructive(&self) -> bool {
        // Nearly all definitions are told apart without being read again.
        memchr::memmem::find(&self.json, b"destructiveHint").is_some()
            && self.with_value(|value| {
                value.at(&["annotations", "destructiveHint"]).is_some_and(|hint| hint.kind() == NodeKind::True)
            }) == Some(true)
    }

    /// Shows it as a value; for what is asked too rarely to be kept.
    pub fn with_value<T>(&self, show: impl FnOnce(Value<'_>) -> T) -> Option<T> {
        let text = [br#"{"jsonrpc":"2.0","id":0,"result":"#, &*self.json, b"}"].concat();
        // It passed the scanner as a part of a larger message.
        Message::parse(text, &Limits::AGAIN).ok()?.result().map(show)
    }
}

/// Those that sessions have, by kind and the digest of their text as it stands: a server writes each the same way every
/// time, and a text need not be read again to be told apart.
pub(crate) type Definitions = Shared<(DefinitionKind, Digest), Definition>;

/// Definitions by kind and name.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    entries: ByName<Arc<Definition>>,
}

impl Catalog {
    /// Definitions that one server may bring; what is beyond is not remembered, and so cannot be called.
    pub const MAX_ENTRIES: usize = 20_000;

    /// The definition of that name.
    #[must_use]
    pub fn get(&self, kind: DefinitionKind, name: &str) -> Option<&Arc<Definition>> {
        named::get(&self.entries, kind, name)
    }

    /// Whether no definition of this kind is known.
    #[must_use]
    pub fn lacks(&self, kind: DefinitionKind) -> bool {
        self.entries.range((kind, "".into())..).next().is_none_or(|((held, _), _)| *held != kind)
    }

    /// All definitions.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Definition>> {
        self.entries.values()
    }

    /// Remembers a definition. One that is the same as before keeps what was worked out from it.
    pub(crate) fn insert(&mut self, definition: Arc<Definition>) {
        let key = (definition.kind, definition.name.clone());
        match self.entries.get(&key) {
            Some(held) if held.digest == definition.digest => {}
            None if self.entries.len() >= Self::MAX_ENTRIES => {}
            _ => drop(self.entries.insert(key, definition)),
        }
    }
}
