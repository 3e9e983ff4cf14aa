//! Edits against a model of what must come out, where what was not changed is still the same bytes.

#![cfg(test)]

mod common;

use bartizan_mcp::{Edits, Limits, Message, NodeId, NodeKind, Value, quote};
use proptest::prelude::*;

/// What a value must have become.
#[derive(Debug)]
enum Expected {
    /// Exactly this text.
    Raw(String),
    Array(Vec<Expected>),
    /// Keys as they are spelt.
    Object(Vec<(String, Expected)>),
}

/// Decides at random what happens to each value of a document, below removed and replaced ones too.
struct Planner {
    dice: Vec<u8>,
    thrown: usize,
    edits: Edits,
}

impl Planner {
    fn throw(&mut self) -> usize {
        self.thrown += 1;
        usize::from(self.dice[self.thrown % self.dice.len()]) + self.thrown / self.dice.len()
    }

    /// JSON that no random value equals, so that a misplaced one is noticed.
    fn fresh(&self) -> String {
        [r#"{ "new" : [1.0e2, "{}"] }"#, "[]", "{}"][self.thrown % 3].replace("{}", &self.thrown.to_string())
    }

    fn plan(&mut self, value: Value<'_>) -> Expected {
        let before = self.edits.clone();
        let plan = match value.kind() {
            NodeKind::Array => {
                let elements = value.elements().filter_map(|element| self.child(value.id(), element));
                let mut elements: Vec<_> = elements.collect();
                for _ in 0..self.throw().saturating_sub(200) % 3 {
                    let json = self.fresh();
                    self.edits.append(value.id(), &*json);
                    elements.push(Expected::Raw(json));
                    self.throw();
                }
                Expected::Array(elements)
            }
            NodeKind::Object => Expected::Object(self.members(value)),
            _ => Expected::Raw(value.raw().to_owned()),
        };
        // Where nothing was changed, white space stays too.
        if self.edits == before { Expected::Raw(value.raw().to_owned()) } else { plan }
    }

    fn members(&mut self, object: Value<'_>) -> Vec<(String, Expected)> {
        let mut members = Vec::new();
        for _ in 0..self.throw().saturating_sub(200) % 3 {
            let (key, json) = (format!("inserted \"{}", self.thrown), self.fresh());
            self.edits.insert(object.id(), &key, &*json);
            members.push((quote(&key), Expected::Raw(json)));
            self.throw();
        }
        for (key, member) in object.members() {
            let mut name = key.raw().to_owned();
            if self.throw().is_multiple_of(7) {
                let new = format!("renamed {}", self.thrown);
                self.edits.set_text(key.id(), &new);
                name = quote(&new);
            }
            let member = self.child(object.id(), member);
            members.extend(member.map(|member| (name, member)));
        }
        members
    }

    fn child(&mut self, parent: NodeId, value: Value<'_>) -> Option<Expected> {
        let below = self.plan(value);
        match self.throw() % 10 {
            0 | 1 => self.edits.remove(parent, value.id()),
            2 => {
                let json = self.fresh();
                self.edits.set_json(value.id(), &*json);
                return Some(Expected::Raw(json));
            }
            3 => {
                // Both at once: the removal counts, and once more does not matter.
                self.edits.set_json(value.id(), "0");
                self.edits.remove(parent, value.id());
                self.edits.remove(parent, value.id());
            }
            _ => return Some(below),
        }
        None
    }
}

fn assert_became(value: Value<'_>, expected: &Expected) {
    match expected {
        Expected::Raw(raw) => assert_eq!(value.raw(), raw),
        Expected::Array(elements) => {
            assert_eq!(value.kind(), NodeKind::Array);
            assert_eq!(value.elements().count(), elements.len(), "{}", value.raw());
            value.elements().zip(elements).for_each(|(value, expected)| assert_became(value, expected));
        }
        Expected::Object(members) => {
            assert_eq!(value.kind(), NodeKind::Object);
            let keys: Vec<_> = value.members().map(|(key, _)| key.raw()).collect();
            assert_eq!(keys, members.iter().map(|(key, _)| key).collect::<Vec<_>>());
            value.members().zip(members).for_each(|((_, value), (_, expected))| assert_became(value, expected));
        }
    }
}

fn message(result: &str) -> Message {
    let text = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#);
    Message::parse(text, &Limits::default()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn many_edits_at_once_do_what_each_of_them_says(
        json in common::json(),
        mut style in common::style(),
        dice in proptest::collection::vec(any::<u8>(), 1..40),
    ) {
        let message = message(&json.write(&mut style));
        let mut planner = Planner { dice, thrown: 0, edits: Edits::new() };
        let expected = planner.plan(message.result().unwrap());
        let edited = message.edited(&planner.edits, &Limits::default()).unwrap();
        assert_became(edited.result().unwrap(), &expected);
    }

    #[test]
    fn the_bytes_around_a_replaced_value_stay(json in common::object(), mut style in common::style(), at: prop::sample::Index) {
        let message = message(&json.write(&mut style));
        let values: Vec<_> = message.root().subtree().skip(6).collect();
        prop_assume!(!values.is_empty());
        let value = values[at.index(values.len())];
        let mut edits = Edits::new();
        edits.set_text(value.id(), "\u{1}other\"");
        let (text, span) = (message.bytes(), value.span());
        let expected = [&text[..span.start], br#""\u0001other\"""#, &text[span.end..]].concat();
        prop_assert_eq!(edits.apply(message.document()), expected);
    }
}

/// Takes the values at the pointers out of `result`.
fn removed(result: &str, pointers: &[&str]) -> String {
    let message = message(result);
    let document = message.document();
    let mut edits = Edits::new();
    for parent in message.result().unwrap().subtree() {
        let children = parent.elements().chain(parent.members().map(|(_, value)| value));
        for child in children {
            if pointers.iter().any(|pointer| format!("/result{pointer}") == document.pointer(child.id())) {
                edits.remove(parent.id(), child.id());
            }
        }
    }
    message.edited(&edits, &Limits::default()).unwrap().result().unwrap().raw().to_owned()
}

#[test]
fn removals_take_their_commas_along() {
    let cases: [(&str, &[&str], &str); 12] = [
        ("[1, 2, 3]", &["/0"], "[2, 3]"),
        ("[1, 2, 3]", &["/1"], "[1, 3]"),
        ("[1, 2, 3]", &["/2"], "[1, 2]"),
        ("[1, 2, 3]", &["/1", "/2"], "[1]"),
        ("[1, 2, 3]", &["/0", "/2"], "[2]"),
        ("[ 1 ]", &["/0"], "[  ]"),
        ("[1,2,3]", &["/0", "/1", "/2"], "[]"),
        (r#"{ "a" : 1 , "b" : 2 }"#, &["/a"], r#"{ "b" : 2 }"#),
        (r#"{ "a" : 1 , "b" : 2 }"#, &["/b"], r#"{ "a" : 1 }"#),
        (r#"{"a":[1,2],"b":2}"#, &["/a", "/a/1"], r#"{"b":2}"#),
        (r#"{"a":[1,2],"b":{"c":0,"~/":1}}"#, &["/a/0", "/a/1", "/b/~0~1"], r#"{"a":[],"b":{"c":0}}"#),
        ("[]", &[], "[]"),
    ];
    for (before, pointers, after) in cases {
        assert_eq!(removed(before, pointers), after, "{before} without {pointers:?}");
    }
}

#[test]
fn members_are_added_at_the_front() {
    let inserted = |result: &str| {
        let message = message(result);
        let mut edits = Edits::new();
        let object = message.result().unwrap().id();
        edits.insert(object, "x", "1");
        edits.insert(object, "y\n", r#""z""#);
        edits.extend(Edits::new());
        String::from_utf8(edits.apply(message.document()).to_vec()).unwrap()
    };
    for (before, after) in [
        ("{}", r#"{"x":1,"y\n":"z"}"#),
        ("{ }", r#"{"x":1,"y\n":"z" }"#),
        (r#"{ "a":0}"#, r#"{"x":1,"y\n":"z", "a":0}"#),
        ("[]", "[]"),
        ("1", "1"),
    ] {
        assert_eq!(inserted(before), format!(r#"{{"jsonrpc":"2.0","id":1,"result":{after}}}"#));
    }
}

#[test]
fn an_edit_that_leaves_no_message_is_refused() {
    let message = message("{}");
    let mut edits = Edits::new();
    assert!(edits.is_empty());
    edits.set_json(message.result().unwrap().id(), r#"{},"method":"x""#);
    assert!(message.edited(&edits, &Limits::default()).is_err());
    let small = Limits { bytes: 20, ..Limits::default() };
    assert!(message.edited(&Edits::new(), &small).is_err());
}
