//! What a client has said that it can do, as far as servers choose by it what they list.
//!
//! **Threat.** What a server lists first is approved by that, and what it adds later is withheld. A server that shows
//! some tools only to clients that can be asked something would have them withheld from all of those, if a client that
//! can do nothing came first. So all of a kind has been seen only by clients that could do as much.

use bartizan_guard::DefinitionKind;
use bartizan_mcp::{Message, NodeKind, meta::Meta, method};

/// By these a server can ask a client; others it learns by name alone.
const NAMES: [&str; 3] = ["elicitation", "roots", "sampling"];
const ALL: u8 = 0b111;
/// Between a kind and names in the lock file.
const BETWEEN: char = ':';

/// A set of abilities.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Abilities(u8);

impl Abilities {
    /// What the message declares, if it is one that does.
    pub(crate) fn declared(message: &Message) -> Option<Abilities> {
        let declared = match message.method() {
            Some(method::INITIALIZE) => message.params().and_then(|params| params.get("capabilities")),
            _ => Meta::of(message).client_capabilities(),
        }?;
        Some(Abilities::of(|name| declared.get(name).is_some_and(|it| it.kind() == NodeKind::Object)))
    }

    /// Every set, in the order of [`Abilities::index`].
    pub(crate) fn every() -> impl Iterator<Item = Abilities> {
        (0..=ALL).map(Abilities)
    }

    /// Its place among all of them.
    pub(crate) fn index(self) -> u8 {
        self.0
    }

    /// The set at that place.
    pub(crate) fn at(index: u8) -> Abilities {
        Abilities(index & ALL)
    }

    /// Whether a client with these could do all that one with `other` can.
    pub(crate) fn cover(self, other: Abilities) -> bool {
        self.0 & other.0 == other.0
    }

    /// How the lock file says that clients with these have seen all of a kind.
    pub(crate) fn seen(self, kind: &str) -> String {
        if self.0 == ALL {
            return kind.to_owned();
        }
        let names = NAMES.iter().enumerate().filter(|(at, _)| self.0 & 1 << at != 0).map(|(_, name)| *name);
        format!("{kind}{BETWEEN}{}", names.collect::<Vec<_>>().join(","))
    }

    /// What the lock file says has been seen in full, and by whom. Of a name that is not known here, what was seen
    /// counts as all there is: to withhold too much is the safe mistake.
    pub(crate) fn read(text: &str) -> Option<(DefinitionKind, Abilities)> {
        let Some((kind, names)) = text.split_once(BETWEEN) else {
            return Some((DefinitionKind::from_name(text)?, Abilities(ALL)));
        };
        let known = names.split(',').all(|name| name.is_empty() || NAMES.contains(&name));
        let abilities = Abilities::of(|name| !known || names.split(',').any(|held| held == name));
        Some((DefinitionKind::from_name(kind)?, abilities))
    }

    fn of(has: impl Fn(&str) -> bool) -> Abilities {
        Abilities(NAMES.iter().enumerate().filter(|(_, name)| has(name)).fold(0, |set, (at, _)| set | 1 << at))
    }
}

#[cfg(test)]
mod tests {
    use bartizan_mcp::Limits;

    use super::*;

    fn declared(method: &str, params: &str) -> Option<Abilities> {
        let message = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        Abilities::declared(&Message::parse(message, &Limits::default()).unwrap())
    }

    #[test]
    fn what_was_seen_is_written_and_read_back() {
        for set in Abilities::every() {
            assert_eq!(Abilities::read(&set.seen("tool")), Some((DefinitionKind::Tool, set)));
        }
        let texts: Vec<_> = Abilities::every().map(|set| set.seen("tool")).collect();
        assert_eq!((&*texts[0], &*texts[5], &*texts[7]), ("tool:", "tool:elicitation,sampling", "tool"));
        assert_eq!(Abilities::read("tool:sight"), Some((DefinitionKind::Tool, Abilities(ALL))));
        assert_eq!((Abilities::read("made_up"), Abilities::read("made_up:")), (None, None));
    }

    #[test]
    fn a_message_says_what_the_client_can_do() {
        let (none, some) = (Abilities(0), declared("initialize", r#"{"capabilities":{"roots":{},"sampling":{}}}"#));
        assert_eq!(declared("initialize", r#"{"capabilities":{}}"#), Some(none));
        assert_eq!(
            declared("x", r#"{"_meta":{"io.modelcontextprotocol/clientCapabilities":{"sampling":{},"roots":{}}}}"#),
            some
        );
        for no_object in ["null", "false", "[]"] {
            let capabilities = format!(r#"{{"capabilities":{{"roots":{{}},"sampling":{no_object}}}}}"#);
            assert_eq!(
                declared("initialize", &capabilities),
                declared("initialize", r#"{"capabilities":{"roots":{}}}"#)
            );
        }
        assert_eq!(declared("tools/list", "{}"), None);
        assert!(some.unwrap().cover(none) && some.unwrap().cover(some.unwrap()) && !none.cover(some.unwrap()));
    }
}
