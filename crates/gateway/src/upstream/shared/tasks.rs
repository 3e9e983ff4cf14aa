//! Which tasks a client's message is about.
//!
//! **Threat.** The ids of tasks are seldom secret, and whoever names one in a message that nobody looks at gets what
//! another client's call brought. So a task may be named nowhere but by the client that began it: not in a method
//! that no revision has, nor in a list of what to be told of, nor in `_meta`.

use bartizan_mcp::{Message, NodeKind, Value};

/// What a tool or a prompt is given is its own, whatever it calls that.
const ARGUMENTS: &str = "arguments";

/// Whether every task that the message names is one of those that `owns` knows.
pub(super) fn are_all(message: &Message, owns: impl Fn(&str) -> bool) -> bool {
    let is_own = |task: Value<'_>| task.as_str().is_some_and(|task| owns(&task));
    let mut left: Vec<_> = message.params().into_iter().collect();
    while let Some(value) = left.pop() {
        for (key, value) in value.members() {
            let fine = match &*key.text() {
                ARGUMENTS => continue,
                "taskId" => is_own(value),
                "taskIds" if value.kind() == NodeKind::Array => value.elements().all(is_own),
                "taskIds" => is_own(value),
                _ => true,
            };
            if !fine {
                return false;
            }
            left.push(value);
        }
        left.extend(value.elements());
    }
    true
}

#[cfg(test)]
mod tests {
    use bartizan_mcp::Limits;

    use super::*;

    #[test]
    fn a_task_of_anothers_is_found_wherever_it_is_named() {
        let cases = [
            (r#"{"taskId":"own"}"#, true),
            (r#"{"taskId":"other"}"#, false),
            (r#"{"taskId":["other"]}"#, false),
            (r#"{"taskId":7}"#, false),
            (r#"{"task\u0049d":"other"}"#, false),
            (r#"{"notifications":{"taskIds":["own"]}}"#, true),
            (r#"{"notifications":{"taskIds":[]}}"#, true),
            (r#"{"notifications":{"taskIds":["own","other"]}}"#, false),
            (r#"{"notifications":{"taskIds":"other"}}"#, false),
            (r#"{"x":[[{"y":{"taskId":"other"}}]]}"#, false),
            (r#"{"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"own"}}}"#, true),
            (r#"{"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"other"}}}"#, false),
            (r#"{"name":"t","arguments":{"taskId":"other","taskIds":["other"]}}"#, true),
            (r#"{"name":"t","task":{"ttl":1}}"#, true),
        ];
        for (params, fine) in cases {
            let message = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x/y","params":{params}}}"#);
            let message = Message::parse(message, &Limits::default()).unwrap();
            assert_eq!(are_all(&message, |task| task == "own"), fine, "{params}");
        }
        let bare = Message::parse(r#"{"jsonrpc":"2.0","id":1,"method":"x"}"#.to_owned(), &Limits::default()).unwrap();
        assert!(are_all(&bare, |_| false));
    }
}
