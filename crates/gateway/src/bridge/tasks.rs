//! Tasks are not translated: the eras agree on neither who decides that a call becomes one nor what is then said of it.
//!
//! So neither side is told that the other knows them, and a client that speaks of them all the same is refused.

use bartizan_mcp::{NodeKind, Value};

/// What the legacy era calls them among capabilities.
const LEGACY: &str = "tasks";
/// Where the stateless era has them, and by which name.
const EXTENSIONS: &str = "extensions";
const STATELESS: &str = "io.modelcontextprotocol/tasks";
/// By which a legacy client asks for a call to be one.
pub(super) const PARAMETER: &str = "task";

/// Whether a method is about them, in either era.
pub(super) fn concerns(method: &str) -> bool {
    method.starts_with("tasks/")
}

/// What one side can do as the other is to be told, as JSON.
pub(super) fn without(capabilities: Option<Value<'_>>) -> String {
    kept(capabilities, |name, value| match name {
        LEGACY => None,
        EXTENSIONS if value.kind() == NodeKind::Object => {
            Some(kept(Some(value), |name, value| (name != STATELESS).then(|| value.raw().to_owned())))
        }
        _ => Some(value.raw().to_owned()),
    })
}

/// An object of the members that `keep` keeps, with what it makes of them.
fn kept(object: Option<Value<'_>>, keep: impl Fn(&str, Value<'_>) -> Option<String>) -> String {
    let members = object.into_iter().flat_map(Value::members);
    let kept = members.filter_map(|(name, value)| Some(format!("{}:{}", name.raw(), keep(&name.text(), value)?)));
    format!("{{{}}}", kept.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use bartizan_mcp::{Limits, Message};

    use super::*;

    #[test]
    fn neither_form_is_told_of_and_all_else_stays() {
        let cases = [
            ("{}", "{}"),
            (r#"{"tasks":{"list":{}},"roots":{"n": 1.0}}"#, r#"{"roots":{"n": 1.0}}"#),
            (r#"{"extensions":{"io.modelcontextprotocol/tasks":{},"a/b":{}}}"#, r#"{"extensions":{"a/b":{}}}"#),
            (r#"{"extensions":{"tasks":{}},"a":{"tasks":{}}}"#, r#"{"extensions":{"tasks":{}},"a":{"tasks":{}}}"#),
            (r#"{"\u0074asks":{},"extensions":[]}"#, r#"{"extensions":[]}"#),
            ("1", "{}"),
        ];
        for (given, told) in cases {
            let text = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"capabilities":{given}}}}}"#);
            let message = Message::parse(text, &Limits::default()).unwrap();
            assert_eq!(without(message.result().unwrap().get("capabilities")), told, "{given}");
        }
        assert_eq!(without(None), "{}");
    }
}
