//! A value of a message as the validator wants it, with its size by depth.

use bartizan_mcp::{NodeId, NodeKind, Value};
use serde_json::{Map, Number};

/// How much a value holds at each depth; the value itself is at depth 0.
#[derive(Debug, Default)]
pub(super) struct Profile {
    /// Values, with one for each key.
    pub(super) nodes: Vec<u64>,
    /// Bytes of strings and of keys; those of a key count at the depth of its value.
    pub(super) bytes: Vec<u64>,
}

impl Profile {
    fn add(&mut self, depth: usize, nodes: u64, bytes: usize) {
        if self.nodes.len() <= depth {
            self.nodes.resize(depth + 1, 0);
            self.bytes.resize(depth + 1, 0);
        }
        if let (Some(held), Some(text)) = (self.nodes.get_mut(depth), self.bytes.get_mut(depth)) {
            *held += nodes;
            *text += bytes as u64;
        }
    }
}

/// Longer strings are left empty where nothing looks into them: copying them would cost more than validating.
const LONG: usize = 256;

/// Converts without a detour over text. Integers stay exact within 64 bits and are rounded beyond. Long strings keep
/// what they say only with `strings`.
///
/// # Errors
/// The place of a number that is too large for any of the validator's.
pub(super) fn convert(value: Value<'_>, strings: bool) -> Result<(serde_json::Value, Profile), NodeId> {
    let mut profile = Profile::default();
    let converted = at_depth(value, 0, strings, &mut profile)?;
    Ok((converted, profile))
}

/// What a call without arguments means.
pub(super) fn nothing() -> (serde_json::Value, Profile) {
    (serde_json::Value::Object(Map::new()), Profile { nodes: vec![1], bytes: vec![0] })
}

/// Recurses as deep as the document nests, which the scanner has bounded.
fn at_depth(value: Value<'_>, depth: usize, strings: bool, profile: &mut Profile) -> Result<serde_json::Value, NodeId> {
    Ok(match value.kind() {
        NodeKind::Object => {
            profile.add(depth, 1, 0);
            let mut object = Map::new();
            for (key, member) in value.members() {
                profile.add(depth + 1, 1, key.raw().len());
                object.insert(key.text().into_owned(), at_depth(member, depth + 1, strings, profile)?);
            }
            serde_json::Value::Object(object)
        }
        NodeKind::Array => {
            profile.add(depth, 1, 0);
            let elements = value.elements().map(|element| at_depth(element, depth + 1, strings, profile));
            serde_json::Value::Array(elements.collect::<Result<_, _>>()?)
        }
        NodeKind::String | NodeKind::Key => {
            profile.add(depth, 1, value.raw().len());
            let said = strings || value.raw().len() <= LONG;
            serde_json::Value::String(if said { value.text().into_owned() } else { String::new() })
        }
        kind => {
            profile.add(depth, 1, 0);
            match kind {
                NodeKind::Number => serde_json::Value::Number(number(value.raw()).ok_or(value.id())?),
                NodeKind::True => serde_json::Value::Bool(true),
                NodeKind::False => serde_json::Value::Bool(false),
                _ => serde_json::Value::Null,
            }
        }
    })
}

fn number(text: &str) -> Option<Number> {
    if let Ok(number) = text.parse::<i64>() {
        return Some(number.into());
    }
    if let Ok(number) = text.parse::<u64>() {
        return Some(number.into());
    }
    Number::from_f64(text.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_mcp::{Limits, Message};

    fn converted(json: &str) -> Result<(serde_json::Value, Profile), NodeId> {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{json}}}"#);
        convert(Message::parse(text, &Limits::default()).unwrap().result().unwrap(), true)
    }

    #[test]
    fn it_means_what_the_text_means() {
        for json in [
            "{}",
            r#"{"a":[1,-2,0.5,1e3,true,false,null,"x\n\u00e9"],"b":{"c":{}}}"#,
            "[9223372036854775807,-9223372036854775808,18446744073709551615]",
            "[123456789012345678901234567890]",
            r#"{"\u0061\"":1}"#,
        ] {
            assert_eq!(converted(json).unwrap().0, serde_json::from_str::<serde_json::Value>(json).unwrap(), "{json}");
        }
        assert!(converted(r#"{"a":[1e999]}"#).is_err());
    }

    #[test]
    fn sizes_are_counted_by_depth() {
        let (_, profile) = converted(r#"{"ab":"xyz","c":[1,2,{"d":null}]}"#).unwrap();
        assert_eq!(profile.nodes, [1, 4, 3, 2]);
        assert_eq!(profile.bytes, [0, 4 + 5 + 3, 0, 3]);
    }
}
