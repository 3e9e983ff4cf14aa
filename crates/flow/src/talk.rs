//! Which results are what people have written to each other, so that whoever is answered knows them, and which are what is said about them.
//!
//! **Threat.** A tool reads what colleagues note about a ticket, by the id of the ticket, and another answers the ticket. The first is news to whoever
//! is answered. So a result counts as a conversation only if its tool's name says nothing else, and not if it says of itself that it
//! is not for those outside: what is not known to be part of a conversation is none.

use bartizan_mcp::{Document, Limits, NodeKind, Value};

use crate::role;
use crate::words::{self, List, list};

/// What reading is called.
static READS: List = list!("get read list fetch view show open retrieve load find lookup look");

/// What answering is called.
static ANSWERS: List = list!(
    "reply respond answer add post send create write submit comment update edit set close reopen resolve transition"
);

/// What people write to each other, and its parts.
static TALKS: List = list!(
    "message msg mail email thread ticket issue comment post conversation chat discussion pull pr request case question"
    "reply answer response topic"
);

/// What says only how much of it, by what, or how.
static PLAIN: List =
    list!("by id key number with in on to of for and the a all up full detail info content body text new latest");

/// What is not for those outside.
static INSIDE: List =
    list!("internal internally private confidential restricted staff colleague moderator moderation audit risk hidden");

/// What is said about something, and not in it.
static ABOUT: List = list!("note notes annotation annotations memo memos assessment assessments");

/// What is for everybody who takes part, if it is so.
static OPEN: List = list!("public published external");

/// Whether a result of `reader` is what is written where `answerer` answers, by the names of the two.
pub(crate) fn is_answered(reader: &str, answerer: &str) -> bool {
    let (read, answers) = (words::of_name(reader), words::of_name(answerer));
    // Names of one product begin alike: `jira_get_issue`, `jira_add_comment`.
    let alike =
        read.iter().zip(&answers).take_while(|(one, other)| one == other && !READS.has(one) && !ANSWERS.has(one));
    let alike = alike.count();
    let says = |words: &[String], verbs: &List| {
        let rest = words.get(alike..).unwrap_or_default();
        // Without a verb nobody knows what it does.
        let acts = rest.iter().any(|word| verbs.has(word));
        acts && rest.iter().all(|word| verbs.has(word) || TALKS.has_any(word) || PLAIN.has_any(word))
    };
    says(&read, &READS) && says(&answers, &ANSWERS)
}

/// Whether a result is not for those whom it is about: its tool's name says so, or it says so itself where it was read by the id of what is
/// written to others.
#[must_use]
pub fn is_inside(tool: &str, arguments: Option<Value<'_>>, result: Value<'_>) -> bool {
    let named = words::of_name(tool);
    if named.iter().any(|word| INSIDE.has_any(word)) {
        return true;
    }
    let by_id = arguments.is_some_and(|arguments| {
        let mut keys = arguments.subtree().filter(|value| value.kind() == NodeKind::Key);
        keys.any(|name| role::is_id_of_talk(&words::of_name(&name.text())))
    });
    by_id && (named.iter().any(|word| ABOUT.has(word)) || says_inside(result, 0))
}

/// JSON in a text.
const DEEPEST: usize = 2;

fn says_inside(result: Value<'_>, depth: usize) -> bool {
    result.subtree().any(|node| match node.kind() {
        NodeKind::Object => node.members().any(|(name, value)| is_said(&name.text(), value)),
        NodeKind::String => {
            let text = node.text();
            let trimmed = text.trim();
            if depth < DEEPEST && trimmed.starts_with(['{', '[']) {
                let inner = Document::parse(trimmed.to_owned(), &Limits::AGAIN);
                return inner.is_ok_and(|inner| says_inside(inner.root(), depth + 1));
            }
            text.lines().any(|line| line.split_once(':').is_some_and(|(name, value)| is_headed(name, value)))
        }
        _ => false,
    })
}

/// Whether a member says that something is not for those outside, or holds what is not.
fn is_said(name: &str, value: Value<'_>) -> bool {
    let words = words::of_name(name);
    let has = |list: &List| words.iter().any(|word| list.has(word));
    let is_empty = match value.kind() {
        NodeKind::Null | NodeKind::False => true,
        NodeKind::String => {
            value.text().trim().is_empty() || matches!(&*value.text().to_lowercase(), "false" | "no" | "none")
        }
        NodeKind::Array => value.elements().next().is_none(),
        NodeKind::Object => value.members().next().is_none(),
        NodeKind::Number => value.raw() == "0",
        _ => false,
    };
    if has(&OPEN) {
        return value.kind() == NodeKind::False || value.kind() == NodeKind::String && value.is_text("false");
    }
    let says = value.kind() == NodeKind::String && words::of_name(&value.text()).iter().any(|word| INSIDE.has(word));
    let is_kind = words
        .iter()
        .any(|word| matches!(&**word, "visibility" | "type" | "kind" | "audience" | "channel" | "scope" | "access"));
    (has(&INSIDE) || has(&ABOUT)) && !is_empty || is_kind && says && value.text().len() <= LONGEST_KIND
}

/// Bytes of what says of which kind something is.
const LONGEST_KIND: usize = 40;

/// The same of a line `name: value` of a text for people.
fn is_headed(name: &str, value: &str) -> bool {
    let words = words::of_name(name);
    let is_name = !words.is_empty() && words.len() <= 3;
    is_name
        && !value.trim().is_empty()
        && words.iter().any(|word| INSIDE.has(word))
        && words.iter().any(|word| ABOUT.has(word) || TALKS.has_any(word))
}

#[cfg(test)]
mod tests {
    use bartizan_mcp::Message;

    use super::*;

    #[test]
    fn what_is_read_where_it_is_answered_is_told_by_both_names() {
        for (reader, answerer, is) in [
            ("get_ticket", "reply_ticket", true),
            ("getTicket", "replyToTicket", true),
            ("list_issue_comments", "add_issue_comment", true),
            ("jira_get_issue", "jira_add_comment", true),
            ("read_email", "reply_email", true),
            ("gmail_read", "gmail_send", true),
            ("get_internal_notes", "reply_ticket", false),
            ("get_ticket_notes", "reply_ticket", false),
            ("list_ticket_attachments", "reply_ticket", false),
            ("get_ticket_customer", "reply_ticket", false),
            ("notes_list", "reply_ticket", false),
            ("helpdesk_notes_list", "helpdesk_reply", false),
            ("add_internal_note", "reply_ticket", false),
            ("add_comment", "reply_ticket", false),
            ("ticket", "reply_ticket", false),
            ("get_ticket", "publish_ticket", false),
            ("get_ticket", "export_ticket_to_wiki", false),
            ("get_ticket", "get_ticket", false),
            ("", "", false),
        ] {
            assert_eq!(is_answered(reader, answerer), is, "{reader} {answerer}");
        }
    }

    #[test]
    fn what_says_that_it_is_not_for_those_outside_is_not() {
        let parse = |json: &str| {
            Message::parse(format!(r#"{{"jsonrpc":"2.0","id":1,"result":{json}}}"#), &Limits::default()).unwrap()
        };
        let asked = parse(r#"{"ticketId":5512}"#);
        for (tool, result, is) in [
            ("get_ticket", r#"{"subject":"Order","comments":[{"public":true,"body":"Where is it?"}]}"#, false),
            ("get_ticket", r#"{"subject":"Order","internal_notes":[],"private":false}"#, false),
            ("get_ticket", r#"{"content":[{"type":"text","text":"Note: my internal phone does not work."}]}"#, false),
            (
                "get_ticket",
                r#"{"content":[{"type":"text","text":"{\"type\":\"question\",\"body\":\"Is it internal?\"}"}]}"#,
                false,
            ),
            ("get_ticket", r#"{"subject":"Order","internal_notes":["A risk."]}"#, true),
            ("get_ticket", r#"{"comments":[{"public":false,"body":"A risk."}]}"#, true),
            ("get_ticket", r#"{"comments":[{"visibility":"internal","body":"A risk."}]}"#, true),
            ("get_ticket", r#"{"content":[{"type":"text","text":"{\"notes\":\"A risk.\"}"}]}"#, true),
            ("get_ticket", r#"{"content":[{"type":"text","text":"Subject: Order\nInternal note: a risk."}]}"#, true),
            ("get_ticket_notes", r#"{"items":["A risk."]}"#, true),
            ("list_internal_comments", r#"{"items":["A risk."]}"#, true),
        ] {
            let result = parse(result);
            assert_eq!(is_inside(tool, asked.result(), result.result().unwrap()), is, "{tool} {result:?}");
        }
        // Notes of their own are nobody's notes about them.
        let (own, notes) = (parse(r#"{"title":"Lunch"}"#), parse(r#"{"notes":"Bring bread."}"#));
        assert!(!is_inside("read_notes", own.result(), notes.result().unwrap()));
    }
}
