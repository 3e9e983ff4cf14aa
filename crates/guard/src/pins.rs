//! The definitions of one server as they were approved.

use std::collections::{BTreeMap, BTreeSet};

use bartizan_flow::{Nature, guess};
use bartizan_mcp::{Digest, Value, canonical};

use crate::named::{self, ByName};
use crate::{Definition, DefinitionKind};

/// What is approved of one server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pins {
    complete: BTreeSet<DefinitionKind>,
    entries: ByName<Approved>,
    /// The names of those that differ in nothing else.
    by_body: BTreeMap<(DefinitionKind, Digest), BTreeSet<Box<str>>>,
    /// What the lock file holds of each kind, so that many of one take no place from another.
    taken: BTreeMap<DefinitionKind, Taken>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Taken {
    entries: usize,
    /// Bytes of the names as they are written.
    names: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Approved {
    digest: Digest,
    body: Option<Digest>,
    labels: Option<Labelled>,
}

/// What a tool was approved to do with information.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Labelled {
    /// What counts.
    pub nature: Nature,
    /// What its definition had been taken for when that was approved: the same, unless an operator knew better.
    pub guessed: Nature,
}

impl From<Nature> for Labelled {
    fn from(nature: Nature) -> Labelled {
        Labelled { nature, guessed: nature }
    }
}

/// One definition, approved or waiting for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// What it defines.
    pub kind: DefinitionKind,
    /// Its name, or the URI of a resource.
    pub name: Box<str>,
    /// The digest of its canonical form.
    pub digest: Digest,
    /// The digest of all but its name, by which a renamed definition is recognised; a pin without one never matches.
    pub body: Option<Digest>,
    /// What it does with information, if it is a tool; what was approved before there were labels has none.
    pub labels: Option<Labelled>,
    /// Its canonical form, for the lock file; [`Pins`] does not keep it.
    pub json: Box<str>,
}

impl Pin {
    /// The pin of an element of a list result; `None` if it has no name by which it could be asked for.
    #[must_use]
    pub fn of(kind: DefinitionKind, element: Value<'_>) -> Option<Pin> {
        let name = kind.name_of(element)?.into();
        let (digest, json) = digested(element);
        let labels = (kind == DefinitionKind::Tool).then(|| guess(element).into());
        Some(Pin { kind, name, digest, body: Some(body_digest(kind, element)), labels, json })
    }

    /// The pin of a server's instructions.
    #[must_use]
    pub fn of_instructions(text: Value<'_>) -> Pin {
        let (digest, json) = digested(text);
        let kind = DefinitionKind::Instructions;
        Pin { kind, name: kind.as_str().into(), digest, body: None, labels: None, json }
    }
}

fn digested(value: Value<'_>) -> (Digest, Box<str>) {
    let text = canonical(value);
    (Digest::of_canonical(&text), text.into())
}

/// What stands between a definition and its approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is approved as it is.
    Approved,
    /// Its name is new, and definitions of its kind have not all been seen yet.
    New,
    /// Its name is new although all of its kind had been seen.
    Added,
    /// Approved under that name is something else.
    Changed,
}

/// What one server may still have pinned of a kind. The lock file is read and written as a whole and serves all servers, so
/// no server may fill it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    entries: usize,
    names: usize,
}

impl Room {
    /// Takes the place for a definition of that name, if there is one.
    pub(crate) fn take(&mut self, name: &str) -> bool {
        let (Some(entries), Some(names)) = (self.entries.checked_sub(1), self.names.checked_sub(written(name))) else {
            return false;
        };
        *self = Room { entries, names };
        true
    }
}

/// Bytes of a name in the lock file, where everything that is not plain is escaped.
fn written(name: &str) -> usize {
    let of = |character: char| match character {
        '"' | '\\' => 2,
        ' ' => 1,
        plain if plain.is_ascii_graphic() => 1,
        _ => 10,
    };
    name.chars().map(of).sum()
}

impl Pins {
    /// Definitions of one kind that may be pinned of one server.
    pub const MAX_ENTRIES: usize = 10_000;
    /// Bytes that their names may take in the lock file: for that many, 300 each.
    pub const MAX_NAMES: usize = 3_000_000;

    /// What is left of both for that kind.
    pub(crate) fn room(&self, kind: DefinitionKind) -> Room {
        let taken = self.taken.get(&kind).copied().unwrap_or_default();
        Room {
            entries: Self::MAX_ENTRIES.saturating_sub(taken.entries),
            names: Self::MAX_NAMES.saturating_sub(taken.names),
        }
    }

    /// The approved digest.
    #[must_use]
    pub fn get(&self, kind: DefinitionKind, name: &str) -> Option<Digest> {
        named::get(&self.entries, kind, name).map(|held| held.digest)
    }

    /// What the tool of that name was approved to do with information, and as which definition.
    #[must_use]
    pub fn labels(&self, tool: &str) -> Option<(Digest, Labelled)> {
        let held = named::get(&self.entries, DefinitionKind::Tool, tool)?;
        held.labels.map(|labels| (held.digest, labels))
    }

    /// Whether this is what was approved, and is taken to do with information what it was taken to do then.
    #[must_use]
    pub fn agrees(&self, definition: &Definition) -> bool {
        let is_same = self.get(definition.kind, &definition.name) == Some(definition.digest);
        let labels = || self.labels(&definition.name).filter(|_| definition.kind == DefinitionKind::Tool);
        is_same && labels().is_none_or(|(_, held)| held.guessed == definition.nature())
    }

    /// What a tool does with information. What was approved counts; as long as another definition was, or none is known, or the same one is taken
    /// for something else by now, whatever is stricter, so that nothing is let off that nobody has agreed to.
    pub(crate) fn nature(&self, tool: &str, known: Option<&Definition>, unknown: Nature) -> Nature {
        let guessed = known.map_or(unknown, Definition::nature);
        match (self.labels(tool), known) {
            (Some((digest, held)), Some(known)) if digest == known.digest && guessed == held.guessed => held.nature,
            (Some((_, held)), _) => guessed.strictest(held.nature),
            (None, _) => guessed,
        }
    }

    /// Approves a definition.
    pub fn insert(&mut self, pin: Pin) {
        let names = written(&pin.name);
        let Pin { kind, name, digest, body, labels, .. } = pin;
        let held = self.entries.insert((kind, name.clone()), Approved { digest, body, labels });
        if held.is_none() {
            let taken = self.taken.entry(kind).or_default();
            *taken = Taken { entries: taken.entries + 1, names: taken.names + names };
        }
        if let Some(names) = held.and_then(|held| held.body).and_then(|body| self.by_body.get_mut(&(kind, body))) {
            names.remove(&name);
        }
        if let Some(body) = body {
            self.by_body.entry((kind, body)).or_default().insert(name);
        }
    }

    /// Whether all definitions of this kind have been seen once: from then on a new name is a change.
    #[must_use]
    pub fn is_complete(&self, kind: DefinitionKind) -> bool {
        self.complete.contains(&kind)
    }

    /// States that all definitions of this kind have been seen.
    pub fn set_complete(&mut self, kind: DefinitionKind) {
        self.complete.insert(kind);
    }

    /// States that of these kinds all definitions have been seen, and of no others.
    pub fn set_complete_only(&mut self, kinds: &[DefinitionKind]) {
        self.complete = kinds.iter().copied().collect();
    }

    /// All of them, sorted by kind and name.
    pub fn iter(&self) -> impl Iterator<Item = (DefinitionKind, &str, Digest)> {
        self.entries.iter().map(|((kind, name), held)| (*kind, &**name, held.digest))
    }

    /// Whether nothing is approved yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn standing(&self, kind: DefinitionKind, name: &str, digest: Option<Digest>) -> Standing {
        match (self.get(kind, name), digest) {
            (Some(approved), Some(digest)) if approved != digest => Standing::Changed,
            (Some(_), _) => Standing::Approved,
            (None, _) if self.is_complete(kind) => Standing::Added,
            (None, _) => Standing::New,
        }
    }

    /// The names under which something that differs in nothing but its name is approved.
    pub(crate) fn namesakes(&self, kind: DefinitionKind, body: Digest) -> impl Iterator<Item = &str> {
        self.by_body.get(&(kind, body)).into_iter().flatten().map(|name| &**name)
    }
}

/// One digest over the digests of all members but the name, in the order of their keys.
pub(crate) fn body_digest(kind: DefinitionKind, element: Value<'_>) -> Digest {
    let mut members: Vec<(Digest, Digest)> = element
        .members()
        .filter(|(key, _)| !key.is_text(kind.name_member()))
        .map(|(key, value)| (Digest::of(key), Digest::of(value)))
        .collect();
    members.sort_unstable();
    let mut hasher = blake3::Hasher::new();
    for (Digest(key), Digest(value)) in members {
        hasher.update(&key).update(&value);
    }
    Digest(*hasher.finalize().as_bytes())
}

/// The same for a definition that was listed before; `None` if its text cannot be read any more.
pub(crate) fn body_digest_of(definition: &Definition) -> Option<Digest> {
    definition.with_value(|element| body_digest(definition.kind, element))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_mcp::{Limits, Message};

    fn pin(tool: &str) -> Pin {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{tool}]}}}}"#);
        let message = Message::parse(text, &Limits::default()).unwrap();
        let list = message.result().unwrap().get("tools").unwrap();
        Pin::of(DefinitionKind::Tool, list.elements().next().unwrap()).unwrap()
    }

    #[test]
    fn the_body_is_all_but_the_name() {
        let pins = [
            r#"{"name":"a","description":"x","inputSchema":{"type":"object"}}"#,
            r#"{"inputSchema":{"type":"object"},"description":"\u0078","name":"b"}"#,
            r#"{"name":"a","description":"y","inputSchema":{"type":"object"}}"#,
            r#"{"name":"a","inputSchema":{"type":"object"},"title":"x"}"#,
        ]
        .map(pin);
        assert_eq!(pins[0].body, pins[1].body);
        assert_ne!(pins[0].digest, pins[1].digest);
        for other in &pins[2..] {
            assert_ne!(pins[0].body, other.body);
        }
    }

    #[test]
    fn what_was_approved_to_be_done_with_information_counts() {
        let read = |tool: &str| Definition::of_text(DefinitionKind::Tool, tool.as_bytes()).unwrap();
        let of = |words: &[&'static str]| Nature::of_words(words.iter().copied()).unwrap();
        let words = |nature: Nature| nature.words().collect::<Vec<_>>().join(" ");
        let unknown = of(&["untrusted_content", "private_data", "public_sink"]);
        let (text, other) = (r#"{"name":"send_email"}"#, r#"{"name":"send_email","title":"x"}"#);
        let mut pins = Pins::default();
        let counts = |pins: &Pins, known: Option<&Definition>| words(pins.nature("send_email", known, unknown));
        assert_eq!(counts(&pins, Some(&read(text))), "public_sink", "nothing is approved, so it is guessed");
        assert_eq!(counts(&pins, None), "untrusted_content private_data public_sink");

        // An operator, or an earlier guess: looser in one respect and stricter in another.
        let labels = Labelled { nature: of(&["destructive", "reads"]), guessed: of(&["public_sink"]) };
        pins.insert(Pin { labels: Some(labels), ..pin(text) });
        assert_eq!(counts(&pins, Some(&read(text))), "destructive reads");
        assert!(pins.agrees(&read(text)));
        assert_eq!(counts(&pins, Some(&read(other))), "public_sink destructive", "another one: whatever is stricter");
        assert_eq!(counts(&pins, None), "untrusted_content private_data public_sink destructive");
        assert!(!pins.agrees(&read(other)));

        pins.insert(Pin { labels: Some(of(&["destructive"]).into()), ..pin(text) });
        assert!(!pins.agrees(&read(text)), "it is taken for something else than it was");
        assert_eq!(counts(&pins, Some(&read(text))), "public_sink destructive", "so whatever is stricter counts");
        pins.insert(Pin { labels: None, ..pin(text) });
        assert!(pins.agrees(&read(text)));
        assert_eq!(counts(&pins, Some(&read(text))), "public_sink", "approved before there were labels");
    }

    #[test]
    fn namesakes_follow_what_is_approved() {
        let mut pins = Pins::default();
        for tool in [r#"{"name":"a"}"#, r#"{"name":"b"}"#, r#"{"name":"c","title":"x"}"#, r#"{"name":"b","title":"x"}"#]
        {
            pins.insert(pin(tool));
        }
        let names = |tool: &str| pins.namesakes(DefinitionKind::Tool, pin(tool).body.unwrap()).collect::<Vec<_>>();
        assert_eq!(names(r#"{"name":"new"}"#), ["a"]);
        assert_eq!(names(r#"{"name":"new","title":"x"}"#), ["b", "c"]);
        assert!(names(r#"{"name":"a","title":"y"}"#).is_empty());
    }

    #[test]
    fn what_stands_between_a_definition_and_its_approval() {
        let (held, other) = (pin(r#"{"name":"a"}"#), pin(r#"{"name":"a","title":"x"}"#));
        let mut pins = Pins::default();
        let tool = DefinitionKind::Tool;
        assert_eq!(pins.standing(tool, "a", Some(held.digest)), Standing::New);
        pins.insert(held.clone());
        assert_eq!(pins.standing(tool, "a", Some(held.digest)), Standing::Approved);
        assert_eq!(pins.standing(tool, "a", None), Standing::Approved);
        assert_eq!(pins.standing(tool, "a", Some(other.digest)), Standing::Changed);
        pins.set_complete(tool);
        assert_eq!(pins.standing(tool, "b", None), Standing::Added);
        assert_eq!(pins.standing(DefinitionKind::Prompt, "b", None), Standing::New);
    }
}
