//! Edits: whatever is replaced, removed or added, in whatever combination, the result is still one JSON value.
#![no_main]

use bartizan_mcp::{Edits, Fault, Limits, Message, NodeId, NodeKind, Value};
use libfuzzer_sys::fuzz_target;

/// What is put in place of texts: nothing, what needs escaping, and plain words.
const TEXTS: [&str; 3] = ["", "\"\\\u{0}\u{e0041}\n", "cut"];

fuzz_target!(|input: (u64, &[u8])| {
    let (choices, bytes) = input;
    let limits = Limits::default();
    let Ok(message) = Message::parse(bytes.to_vec(), &limits) else { return };
    assert_eq!(Edits::new().apply(message.document()), message.bytes(), "no edits change nothing");
    let edits = choose(&message, choices);
    match message.edited(&edits, &limits) {
        Ok(edited) => assert!(!edits.is_empty() || edited.bytes() == message.bytes()),
        // An edit may well make a message impossible (a second key of the same name), but never broken JSON.
        Err(rejection) => assert!(
            !matches!(rejection.fault, Fault::Syntax | Fault::Utf8 | Fault::LoneSurrogate),
            "{rejection} after {edits:?}"
        ),
    }
});

/// Edits picked by the fuzzer: two bits of choice for each value, from a rotating word.
fn choose(message: &Message, choices: u64) -> Edits {
    let mut edits = Edits::new();
    let mut word = choices;
    let mut next = || {
        word = word.rotate_right(7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        word >> 61
    };
    for part in message.parts() {
        if let Some(text) = TEXTS.get(next() as usize) {
            edits.set_text(part.id(), text);
        }
    }
    for value in message.root().subtree() {
        match next() {
            0 if value.kind() == NodeKind::Object => edits.insert(value.id(), "added", "[1e400,null]"),
            0 => edits.append(value.id(), "[\"added\"]"),
            1 => remove_one(&mut edits, value, next()),
            2 if value.kind() != NodeKind::Key => edits.set_json(value.id(), "{\"a\":-0.0}"),
            _ => {}
        }
    }
    edits
}

fn remove_one(edits: &mut Edits, parent: Value<'_>, choice: u64) {
    let children: Vec<NodeId> = match parent.kind() {
        NodeKind::Object => parent.members().map(|(_, value)| value.id()).collect(),
        NodeKind::Array => parent.elements().map(|value| value.id()).collect(),
        _ => return,
    };
    for (at, child) in children.iter().enumerate() {
        if (choice >> (at % 3)) & 1 == 1 {
            edits.remove(parent.id(), *child);
        }
    }
}
