//! What a guard has changed in the structure of a message where its finding is redacted.

use std::collections::BTreeSet;
use std::ops::Range;

use bartizan_mcp::{Document, Limits, NodeId, NodeKind, PartKind};

/// One change to a message besides what is cut out of a text. A change in what another one removes is not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The element or the member with the value `node` is taken out of `parent`.
    Remove {
        /// The array or object.
        parent: NodeId,
        /// The value.
        node: NodeId,
    },
    /// Another JSON value comes in the place of `node`.
    Replace {
        /// The value that goes.
        node: NodeId,
        /// The one that comes.
        json: Box<str>,
        /// The role of the texts in it.
        kind: PartKind,
    },
    /// Some bytes of a text are replaced, whatever the settings say of how to redact.
    Cut {
        /// The text.
        text: NodeId,
        /// Bytes of it, decoded.
        span: Range<usize>,
        /// What comes in their place.
        with: Box<str>,
    },
    /// The value of a text that is JSON changes within: what these changes name are places of that value, and bytes of the text.
    Within {
        /// The text.
        text: NodeId,
        /// What changes in it; no notes, and no texts within.
        changes: Vec<Change>,
    },
    /// A block of content that says something to the model is added behind the others.
    Note {
        /// The array of blocks.
        blocks: NodeId,
        /// What it says.
        text: Box<str>,
    },
}

impl Change {
    /// Adds what it puts there that may be a note of the gateway.
    pub(crate) fn say<'c>(&'c self, said: &mut BTreeSet<&'c str>) {
        match self {
            Change::Cut { with: text, .. } | Change::Note { text, .. } => drop(said.insert(text)),
            Change::Within { changes, .. } => changes.iter().for_each(|change| change.say(said)),
            Change::Remove { .. } | Change::Replace { .. } => {}
        }
    }
}

/// Where a change puts parts in the place of others: nodes of the document, and the parts that come there.
struct Turn {
    gone: Range<u32>,
    come: Vec<(PartKind, bool)>,
}

/// The kinds of the parts of a document with all changes made, each with whether it is a key.
pub(crate) fn kinds<'c>(
    document: &Document,
    parts: impl Iterator<Item = (NodeId, PartKind, bool)>,
    changes: impl Iterator<Item = &'c Change>,
) -> Vec<(PartKind, bool)> {
    let mut turns: Vec<Turn> = changes.filter_map(|change| turn(document, change)).collect();
    // As edits are made: what is added before what is taken away behind it, and the widest first.
    turns.sort_by_key(|turn| {
        (turn.gone.start, !turn.gone.is_empty(), std::cmp::Reverse(turn.gone.end), !turn.come.is_empty())
    });
    let mut kinds = Vec::new();
    let mut turns = turns.into_iter().peekable();
    let mut reached = 0;
    let mut take = |up_to: u32, kinds: &mut Vec<(PartKind, bool)>| {
        while let Some(turn) = turns.next_if(|turn| turn.gone.start <= up_to) {
            if turn.gone.start >= reached {
                reached = turn.gone.end;
                kinds.extend(turn.come);
            }
        }
        reached
    };
    for (node, kind, is_key) in parts {
        if node.index() >= take(node.index(), &mut kinds) {
            kinds.push((kind, is_key));
        }
    }
    take(u32::MAX, &mut kinds);
    kinds
}

fn turn(document: &Document, change: &Change) -> Option<Turn> {
    match change {
        Change::Remove { parent, node } => {
            let ids = document.value(*node).ids();
            // The key of a member goes with it.
            let key = u32::from(document.value(*parent).kind() == NodeKind::Object);
            Some(Turn { gone: ids.start.saturating_sub(key)..ids.end, come: Vec::new() })
        }
        Change::Replace { node, json, kind } => {
            Some(Turn { gone: document.value(*node).ids(), come: parts_of(json, *kind) })
        }
        Change::Note { blocks, .. } => {
            let end = document.value(*blocks).ids().end;
            let kind = PartKind::Content;
            Some(Turn { gone: end..end, come: vec![(kind, true), (kind, false), (kind, true), (kind, false)] })
        }
        Change::Cut { .. } | Change::Within { .. } => None,
    }
}

/// The parts of a value by itself.
fn parts_of(json: &str, kind: PartKind) -> Vec<(PartKind, bool)> {
    // Nearly all are empty values.
    if !json.contains('"') {
        return Vec::new();
    }
    let Ok(document) = Document::parse(json.to_owned(), &Limits::AGAIN) else { return Vec::new() };
    let nodes = document.root().subtree().map(|value| value.kind());
    nodes
        .filter(|held| matches!(held, NodeKind::Key | NodeKind::String))
        .map(|held| (kind, held == NodeKind::Key))
        .collect()
}

#[cfg(test)]
mod tests {
    use bartizan_mcp::{Edits, Message, Value};
    use proptest::prelude::*;

    use super::*;

    const RESULT: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"a"},
        {"type":"image","data":"b"}],"structuredContent":{"a":[1,"b",{"c":"d"},["e"]],"f":{"g":{"h":"i"},"j":[],"k":"l"},"m":"n"},
        "_meta":{"o":"p"}},"q":["r"]}"#;

    /// Changes picked by the dice, below removed and replaced values too.
    fn chosen(message: &Message, dice: &[u8]) -> Vec<Change> {
        const VALUES: [&str; 5] = ["\"\"", "0", "null", "[]", r#"{"x":"","y":[""]}"#];
        let mut dice = dice.iter().copied().cycle();
        let mut next = || usize::from(dice.next().unwrap());
        let mut changes = Vec::new();
        let result = message.result().unwrap();
        let (content, structured) = (result.get("content").unwrap(), result.get("structuredContent").unwrap());
        let mut change = |parent: Value<'_>, node: Value<'_>, kind| match next() % 6 {
            0 => changes.push(Change::Remove { parent: parent.id(), node: node.id() }),
            1 if kind == PartKind::StructuredContent => {
                let json = VALUES[next() % VALUES.len()].into();
                changes.push(Change::Replace { node: node.id(), json, kind });
            }
            2 if parent.id() == content.id() => {
                changes.push(Change::Note { blocks: content.id(), text: "said".into() });
            }
            _ => {}
        };
        content.elements().for_each(|block| change(content, block, PartKind::Content));
        for parent in structured.subtree() {
            parent.members().for_each(|(_, member)| change(parent, member, PartKind::StructuredContent));
            parent.elements().for_each(|element| change(parent, element, PartKind::StructuredContent));
        }
        changes
    }

    proptest! {
        #[test]
        fn the_parts_of_what_is_changed_are_known_before(dice in proptest::collection::vec(any::<u8>(), 1..40)) {
            let message = Message::parse(RESULT, &Limits::default()).unwrap();
            let changes = chosen(&message, &dice);
            let mut edits = Edits::new();
            for change in &changes {
                match change {
                    Change::Remove { parent, node } => edits.remove(*parent, *node),
                    Change::Replace { node, json, .. } => edits.set_json(*node, &**json),
                    Change::Note { blocks, .. } => edits.append(*blocks, r#"{"type":"text","text":"said"}"#),
                    Change::Cut { .. } | Change::Within { .. } => {}
                }
            }
            let edited = message.edited(&edits, &Limits::default()).unwrap();
            let parts = message.parts().map(|part| (part.id(), part.kind, part.is_key()));
            let told = kinds(message.document(), parts, changes.iter());
            let held: Vec<_> = edited.parts().map(|part| (part.kind, part.is_key())).collect();
            prop_assert_eq!(told, held, "{:?} {:?}", changes, edited.bytes());
        }
    }
}
