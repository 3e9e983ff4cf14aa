//! Keys that a parser which ignores case takes for a key of the specification although they are spelt otherwise.
//!
//! Threat: Go, Java and .NET match keys without case, and of two spellings the last wins. A message that says
//! `name` to the gateway then says `Name` to the server. Only objects whose members the specification names are
//! looked at: arguments, structured content and schemas may use any keys they like.

use crate::document::{NodeKind, Value};
use crate::{Fault, Rejection};

/// The members of every message.
pub(crate) const ENVELOPE: &[&str] = &["jsonrpc", "id", "method", "params", "result", "error"];

/// The members of `params` by which somebody routes, authorises or correlates.
pub(crate) const PARAMS: &[&str] = &[
    "name",
    "arguments",
    "uri",
    "_meta",
    "requestId",
    "progressToken",
    "cursor",
    "taskId",
    "ref",
    "argument",
    "requestState",
    "inputResponses",
    "notifications",
    "task",
];

/// The members of an error.
pub(crate) const ERROR: &[&str] = &["code", "message", "data"];

/// The members of a result that reach a model or decide what happens next.
const RESULT: &[&str] = &[
    "tools",
    "prompts",
    "resources",
    "resourceTemplates",
    "nextCursor",
    "content",
    "contents",
    "structuredContent",
    "isError",
    "messages",
    "description",
    "instructions",
    "capabilities",
    "serverInfo",
    "protocolVersion",
    "resultType",
    "inputRequests",
    "requestState",
    "task",
    "_meta",
];

/// The results that are lists.
const LISTS: [&str; 4] = ["tools", "prompts", "resources", "resourceTemplates"];

/// The members of a tool, prompt or resource by which it is told from others and approved.
const DEFINITION: &[&str] = &[
    "name",
    "title",
    "description",
    "inputSchema",
    "outputSchema",
    "annotations",
    "execution",
    "arguments",
    "uri",
    "uriTemplate",
    "mimeType",
];

/// Refuses variants of `known` among the members of `object`.
pub(crate) fn refuse(object: Value<'_>, known: &[&str]) -> Result<(), Rejection> {
    match object.members().find(|(key, _)| is_variant(&key.text(), known)) {
        Some((key, _)) => Err(Fault::CaseVariant.at(key.span().start)),
        None => Ok(()),
    }
}

/// Refuses variants in a result and in the definitions it lists.
pub(crate) fn refuse_in_result(result: Value<'_>) -> Result<(), Rejection> {
    refuse(result, RESULT)?;
    for (key, list) in result.members() {
        if list.kind() == NodeKind::Array && LISTS.iter().any(|name| key.is_text(name)) {
            list.elements().try_for_each(|definition| refuse(definition, DEFINITION))?;
        }
    }
    Ok(())
}

/// Whether somebody may read `key` as `name`, which holds no character beyond ASCII.
#[must_use]
pub fn spells(key: &str, name: &str) -> bool {
    key == name || folds_to(key, name)
}

fn is_variant(key: &str, known: &[&str]) -> bool {
    // Nearly all keys are spelt as they are known, which is quicker to see.
    !known.contains(&key) && known.iter().any(|name| folds_to(key, name))
}

fn folds_to(key: &str, name: &str) -> bool {
    if key.len() == name.len() {
        return key.eq_ignore_ascii_case(name);
    }
    // What folds to ASCII from outside of it is longer in UTF-8: Unicode's simple folding has two such characters,
    // Java's comparison in both cases two more.
    let fold = |character: char| match character {
        '\u{17F}' => 's',
        '\u{212A}' => 'k',
        '\u{130}' | '\u{131}' => 'i',
        other => other.to_ascii_lowercase(),
    };
    key.len() > name.len()
        && !key.is_ascii()
        && key.chars().map(fold).eq(name.chars().map(|character| character.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_spellings_are_variants_and_other_keys_are_not() {
        let known = &["params", "taskId", "_meta"];
        for key in [
            "Params",
            "PARAMS",
            "param\u{17F}",
            "ta\u{17F}kId",
            "tas\u{212A}id",
            "task\u{130}d",
            "TASK\u{131}D",
            "_META",
        ] {
            assert!(is_variant(key, known), "{key}");
        }
        for key in ["params", "taskId", "_meta", "param", "paramss", "task_id", "meta", "", "p\u{e1}rams", "\u{1F600}"]
        {
            assert!(!is_variant(key, known), "{key}");
        }
    }
}
