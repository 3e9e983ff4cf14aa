//! What the revisions of the protocol know: methods, and the members of their parameters and results (specification
//! 2024-11-05 to 2026-07-28, and the extension `io.modelcontextprotocol/tasks`).

use crate::Direction;

/// Members that belong to one method.
struct Known {
    method: &'static str,
    params: &'static [&'static str],
    /// Beside those that every result may have.
    result: &'static [&'static str],
}

/// What the extensions of the specification are called.
const OWN_EXTENSIONS: &str = "io.modelcontextprotocol/";

const ENVELOPE: &[&str] = &["jsonrpc", "id", "method", "params", "result", "error"];
const ERROR: &[&str] = &["code", "message", "data"];
const CAPABILITIES: &[&str] = &[
    "completions",
    "elicitation",
    "experimental",
    "extensions",
    "logging",
    "prompts",
    "resources",
    "roots",
    "sampling",
    "tasks",
    "tools",
];
/// What any request may have in its parameters: `task` asks for one, and the other two bring answers.
const ANY_PARAMS: &[&str] = &["_meta", "task", "inputResponses", "requestState"];
/// What any result may have: questions instead of an answer, a task or what has become of one, hints for caches, a next
/// page.
const ANY_RESULT: &[&str] = &[
    "_meta",
    "cacheScope",
    "createdAt",
    "error",
    "inputRequests",
    "lastUpdatedAt",
    "nextCursor",
    "pollInterval",
    "pollIntervalMs",
    "requestState",
    "result",
    "resultType",
    "status",
    "statusMessage",
    "task",
    "taskId",
    "ttl",
    "ttlMs",
];
const TASK: &[&str] = &[
    "createdAt",
    "error",
    "inputRequests",
    "lastUpdatedAt",
    "pollInterval",
    "pollIntervalMs",
    "result",
    "status",
    "statusMessage",
    "taskId",
    "ttl",
    "ttlMs",
];

const fn request(method: &'static str, params: &'static [&'static str], result: &'static [&'static str]) -> Known {
    Known { method, params, result }
}

const fn notification(method: &'static str, params: &'static [&'static str]) -> Known {
    Known { method, params, result: &[] }
}

/// The task that a result of 2025-11-25 holds, or a list; later ones are the result, as in `TASK`.
const OWN_TASK: &[&str] = &["createdAt", "lastUpdatedAt", "pollInterval", "status", "statusMessage", "taskId", "ttl"];
/// What a request may say of the task that it wants to become.
const WANTED_TASK: &[&str] = &["ttl"];
/// What the result may have that a task brings, beside the members of the request's own.
const ANY_OUTCOME: &[&str] = &["_meta", "cacheScope", "resultType", "ttlMs"];
/// What a server answers that may take its time, and what a client may be asked.
const OF_SERVERS: &[&str] = &["prompts/get", "resources/read", "tools/call"];
const OF_CLIENTS: &[&str] = &["elicitation/create", "roots/list", "sampling/createMessage"];
/// What a question that stands in a result consists of.
const QUESTION: &[&str] = &["method", "params"];

/// Sorted by method.
const METHODS: &[Known] = &[
    request("completion/complete", &["argument", "context", "ref"], &["completion"]),
    request(
        "elicitation/create",
        &["elicitationId", "message", "mode", "requestedSchema", "url"],
        &["action", "content"],
    ),
    request(
        "initialize",
        &["capabilities", "clientInfo", "protocolVersion"],
        &["capabilities", "instructions", "protocolVersion", "serverInfo"],
    ),
    request("logging/setLevel", &["level"], &[]),
    notification("notifications/cancelled", &["reason", "requestId"]),
    notification("notifications/elicitation/complete", &["elicitationId"]),
    notification("notifications/initialized", &[]),
    notification("notifications/message", &["data", "level", "logger"]),
    notification("notifications/progress", &["message", "progress", "progressToken", "total"]),
    notification("notifications/prompts/list_changed", &[]),
    notification("notifications/resources/list_changed", &[]),
    notification("notifications/resources/updated", &["title", "uri"]),
    notification("notifications/roots/list_changed", &[]),
    notification("notifications/subscriptions/acknowledged", &["notifications"]),
    notification("notifications/tasks", TASK),
    notification("notifications/tasks/status", TASK),
    notification("notifications/tools/list_changed", &[]),
    request("ping", &[], &[]),
    request("prompts/get", &["arguments", "name"], &["description", "messages"]),
    request("prompts/list", &["cursor"], &["prompts"]),
    request("resources/list", &["cursor"], &["resources"]),
    request("resources/read", &["uri"], &["contents"]),
    request("resources/subscribe", &["uri"], &[]),
    request("resources/templates/list", &["cursor"], &["resourceTemplates"]),
    request("resources/unsubscribe", &["uri"], &[]),
    request("roots/list", &[], &["roots"]),
    request(
        "sampling/createMessage",
        &[
            "includeContext",
            "maxTokens",
            "messages",
            "metadata",
            "modelPreferences",
            "stopSequences",
            "systemPrompt",
            "temperature",
            "toolChoice",
            "tools",
        ],
        &["content", "model", "role", "stopReason"],
    ),
    request("server/discover", &[], &["capabilities", "instructions", "serverInfo", "supportedVersions"]),
    request("subscriptions/listen", &["notifications"], &[]),
    request("tasks/cancel", &["taskId"], &[]),
    request("tasks/get", &["taskId"], &[]),
    request("tasks/list", &["cursor"], &["tasks"]),
    // Its result is that of the request that the task is for: see `outcome_member`.
    request("tasks/result", &["taskId"], &[]),
    request("tasks/update", &["taskId"], &[]),
    // `toolResult` is what 2024-10-07 called it.
    request("tools/call", &["arguments", "name"], &["content", "isError", "structuredContent", "toolResult"]),
    request("tools/list", &["cursor"], &["tools"]),
];

/// Whether a revision has the method.
pub(super) fn method(name: &str) -> bool {
    find(name).is_some()
}

/// The method that one is which no revision has, but for its case, punctuation and blanks.
pub(super) fn misspelt(name: &str) -> Option<&'static str> {
    let meant = || METHODS.iter().map(|known| known.method).find(|known| letters(known).eq(letters(name)));
    if method(name) { None } else { meant() }
}

/// The letters of a method, as a lenient reader may see them: one that takes it for a path decodes it, and leaves out what
/// comes after.
fn letters(name: &str) -> impl Iterator<Item = u8> {
    let path = name.split(['?', '#']).next().unwrap_or_default();
    let mut rest = path.as_bytes();
    let bytes = std::iter::from_fn(move || {
        let (&first, after) = rest.split_first()?;
        let decoded = after.get(..2).filter(|_| first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = decoded.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            rest = after.get(2..).unwrap_or_default();
            return Some(byte);
        }
        rest = after;
        Some(first)
    });
    bytes.filter(u8::is_ascii_alphabetic).map(|letter| letter.to_ascii_lowercase())
}

/// Whether a message may have this member.
pub(super) fn member(name: &str) -> bool {
    ENVELOPE.contains(&name)
}

/// Whether an error may have this member.
pub(super) fn error_member(name: &str) -> bool {
    ERROR.contains(&name)
}

/// Whether the parameters of a method may have this member. Of a method that nobody knows they may have any.
pub(super) fn param(of: &str, name: &str) -> bool {
    find(of).is_none_or(|known| known.params.contains(&name) || ANY_PARAMS.contains(&name))
}

/// The same for its result.
pub(super) fn result_member(of: &str, name: &str) -> bool {
    find(of).is_none_or(|known| known.result.contains(&name) || ANY_RESULT.contains(&name))
}

/// Whether what comes of a request in the end, and stands in another message than its response, may have this member.
/// Which request that was is not known there, but who answered it.
pub(super) fn outcome_member(direction: Direction, name: &str) -> bool {
    let methods = match direction {
        Direction::ToClient => OF_SERVERS,
        Direction::ToServer => OF_CLIENTS,
    };
    let results = methods.iter().filter_map(|method| find(method));
    ANY_OUTCOME.contains(&name) || results.into_iter().any(|known| known.result.contains(&name))
}

/// Whether a task within a result may have this member.
pub(super) fn task_member(name: &str) -> bool {
    OWN_TASK.contains(&name)
}

/// Whether a request may say this of the task that it wants to become.
pub(super) fn wanted_task_member(name: &str) -> bool {
    WANTED_TASK.contains(&name)
}

/// Whether a question that stands in a result may have this member.
pub(super) fn question_member(name: &str) -> bool {
    QUESTION.contains(&name)
}

/// Whether the specification has this capability.
pub(super) fn capability(name: &str) -> bool {
    CAPABILITIES.contains(&name)
}

/// Whether it is an extension of the specification's own.
pub(super) fn extension(name: &str) -> bool {
    name.starts_with(OWN_EXTENSIONS)
}

fn find(method: &str) -> Option<&'static Known> {
    let at = METHODS.binary_search_by_key(&method, |known| known.method).ok()?;
    METHODS.get(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spelt_like_a_method_is_none() {
        for (name, meant) in [
            ("Tools/Call", Some("tools/call")),
            ("tools//call", Some("tools/call")),
            ("tools\\/call", Some("tools/call")),
            ("tools/call ", Some("tools/call")),
            ("tools/call/", Some("tools/call")),
            ("tools.call", Some("tools/call")),
            ("tools/\u{200b}call", Some("tools/call")),
            ("TasksResult", Some("tasks/result")),
            ("tools%2Fcall", Some("tools/call")),
            ("%74ools/call", Some("tools/call")),
            ("tools/call?x=1", Some("tools/call")),
            ("tools/call#x", Some("tools/call")),
            ("tools%/call%2", Some("tools/call")),
            ("tools/execute?tools/call", None),
            ("notifications/Cancelled", Some("notifications/cancelled")),
            ("tools/call", None),
            ("tools/execute", None),
            ("vendor/tools/call", None),
            ("", None),
            ("/", None),
        ] {
            assert_eq!(misspelt(name), meant, "{name}");
        }
        assert!(METHODS.iter().all(|known| misspelt(known.method).is_none()));
    }

    #[test]
    fn methods_are_sorted() {
        assert!(METHODS.is_sorted_by_key(|known| known.method));
    }
}
