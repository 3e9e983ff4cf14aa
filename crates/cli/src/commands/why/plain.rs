//! All that an entry says that is about no message and has no words of its own, such as whose key somebody revoked.

use bartizan_audit::Record;
use serde_json::Value;

use crate::text::inline;

/// What each entry has, and what is said before.
const ELSEWHERE: [&str; 6] = ["seq", "id", "at", "kind", "chain", "change"];

/// Who, to whom: what is looked for first.
const FIRST: [&str; 4] = ["by", "person", "principal", "of"];

/// A line for each thing that it says.
pub(super) fn lines(record: &Record) -> String {
    let entry = record.value();
    let Some(members) = entry.as_object() else { return String::new() };
    let is_first = |key: &str| FIRST.contains(&key);
    let first = FIRST.iter().filter_map(|key| members.get_key_value(*key));
    let rest = members.iter().filter(|(key, _)| !is_first(key) && !ELSEWHERE.contains(&key.as_str()));
    let all = first.chain(rest).filter_map(|(key, value)| Some(format!("  {}: {}\n", inline(key), said(value)?)));
    all.collect()
}

/// A value in one line; nothing of what is empty.
fn said(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        Value::Array(all) => {
            let word = |one: &Value| one.as_str().map_or_else(|| one.to_string(), str::to_owned);
            all.iter().map(word).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    };
    (!text.is_empty()).then(|| inline(&text))
}
