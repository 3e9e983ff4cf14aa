//! One digest for every spelling of one value, and another for every other value.

#![cfg(test)]

mod common;

use bartizan_mcp::{Digest, Limits, Message};
use common::Json;
use proptest::prelude::*;

fn digest(result: &str) -> Digest {
    let text = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#);
    Digest::of(Message::parse(text, &Limits::default()).unwrap().result().unwrap())
}

fn reversed(json: &Json) -> Json {
    match json {
        Json::Array(elements) => Json::Array(elements.iter().map(reversed).collect()),
        Json::Object(members) => {
            Json::Object(members.iter().rev().map(|(key, value)| (key.clone(), reversed(value))).collect())
        }
        other => other.clone(),
    }
}

fn sorted(json: &Json) -> Json {
    match json {
        Json::Array(elements) => Json::Array(elements.iter().map(sorted).collect()),
        Json::Object(members) => {
            let mut members: Vec<_> = members.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
            members.sort_by(|(left, _), (right, _)| left.cmp(right));
            Json::Object(members)
        }
        other => other.clone(),
    }
}

proptest! {
    #[test]
    fn spelling_and_order_of_members_do_not_matter(
        json in common::json(),
        mut left in common::style(),
        mut right in common::style(),
    ) {
        prop_assert_eq!(digest(&json.write(&mut left)), digest(&reversed(&json).write(&mut right)));
    }

    #[test]
    fn different_values_differ(left in common::json(), right in common::json(), mut style in common::style()) {
        let same = digest(&left.write(&mut style)) == digest(&right.write(&mut style));
        prop_assert_eq!(same, sorted(&left) == sorted(&right));
    }
}

#[test]
fn values_that_look_alike_differ() {
    let values = [
        "1",
        "1.0",
        "1e0",
        "10e-1",
        "-0",
        "0",
        r#""1""#,
        "true",
        r#""true""#,
        "null",
        r#""""#,
        "[]",
        "{}",
        "[[]]",
        "[1,2]",
        "[2,1]",
        r#"{"a":1}"#,
        r#"{"A":1}"#,
        r#"{"a":[1]}"#,
        r#"["a",1]"#,
        "\"\u{e9}\"",
        "\"e\u{301}\"",
        r#""a,b""#,
        r#"["a","b"]"#,
    ];
    for (position, left) in values.iter().enumerate() {
        for right in &values[position + 1..] {
            assert_ne!(digest(left), digest(right), "{left} {right}");
        }
    }
}
