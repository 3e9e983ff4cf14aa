//! What real clients and servers say passes byte for byte, and has the parts that are in it.
//!
//! `tests/recorded/record.py` makes the recordings and counts the parts in its own way.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};

use bartizan_mcp::{Edits, Limits, Message, Revision};
use serde::Deserialize;

#[derive(Deserialize)]
struct Recorded {
    parts: BTreeMap<String, usize>,
    text: String,
}

fn recorded(revision: Revision) -> Vec<Recorded> {
    let path = format!("{}/tests/data/recorded/{revision}.jsonl", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_recorded_message_keeps_its_bytes() {
    let limits = Limits::default();
    for revision in Revision::ALL {
        let messages = recorded(revision);
        assert!(messages.len() > 50, "{revision}: {}", messages.len());
        for Recorded { text, .. } in messages {
            let message =
                Message::parse(text.clone(), &limits).unwrap_or_else(|why| panic!("{revision}: {why}: {text}"));
            assert_eq!(message.bytes(), text.as_bytes());
            let edited = message.edited(&Edits::new(), &limits).unwrap();
            assert_eq!(edited.bytes(), text.as_bytes());
        }
    }
}

#[test]
fn a_recorded_message_has_the_parts_that_are_in_it() {
    let mut kinds = BTreeSet::new();
    for revision in Revision::ALL {
        for Recorded { parts, text } in recorded(revision) {
            let message = Message::parse(text.clone(), &Limits::default()).unwrap();
            let mut found = BTreeMap::new();
            message.parts().for_each(|part| *found.entry(part.kind.as_str().to_owned()).or_insert(0) += 1);
            assert_eq!(found, parts, "{revision}: {text}");
            kinds.extend(found.into_keys());
        }
    }
    assert_eq!(kinds.len(), bartizan_mcp::PartKind::ALL.len(), "every kind is recorded: {kinds:?}");
}
