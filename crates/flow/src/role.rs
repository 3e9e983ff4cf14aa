//! What an argument is for: where something goes, what is said, or which thing is meant.

use crate::words;

/// What an argument is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Who or what it goes to: a recipient, an address, an account, a place.
    Destination,
    /// What is said there; long texts are that whatever they are called.
    Content,
    /// Which thing is meant, and how: ids, names, dates, options.
    Selector,
}

/// Names of arguments that say where something goes. Facts of many servers' schemas, not of any one.
const DESTINATIONS: &[&str] = &[
    "to",
    "cc",
    "bcc",
    "recipient",
    "receiver",
    "email",
    "mail",
    "address",
    "participant",
    "attendee",
    "guest",
    "invitee",
    "user",
    "username",
    "member",
    "collaborator",
    "assignee",
    "reviewer",
    "contact",
    "person",
    "people",
    "channel",
    "chat",
    "room",
    "group",
    "team",
    "conversation",
    "url",
    "uri",
    "link",
    "href",
    "webhook",
    "endpoint",
    "callback",
    "host",
    "hostname",
    "domain",
    "server",
    "phone",
    "mobile",
    "number",
    "iban",
    "bic",
    "account",
    "payee",
    "beneficiary",
    "destination",
    "target",
    "dest",
    "remote",
    "repo",
    "repository",
    "owner",
    "organization",
    "org",
    "bucket",
    "audience",
    "who",
    "share",
    "forward",
    "invite",
    "handle",
    "wallet",
    "site",
    "website",
];

/// Names of arguments that hold what is said.
const CONTENTS: &[&str] = &[
    "body",
    "text",
    "message",
    "content",
    "comment",
    "description",
    "subject",
    "title",
    "summary",
    "note",
    "query",
    "question",
    "code",
    "html",
    "markdown",
    "caption",
    "reason",
    "prompt",
    "data",
    "payload",
    "blob",
    "patch",
    "diff",
    "memo",
    "details",
    "answer",
    "reply",
    "post",
    "tweet",
    "status",
    "bio",
    "headline",
    "instruction",
    "attachment",
    "keyword",
    "search",
    "term",
];

/// Longer texts of more words are said, whatever their argument is called.
const LONGEST: usize = 160;

/// What an argument is for, by the names on the way to it (the innermost last) and what it holds.
pub(crate) fn of(path: &[&str], text: &str) -> Role {
    if text.len() > LONGEST && text.contains(' ') {
        return Role::Content;
    }
    // The innermost name says most; of it, the last word: `repo_name` is a name, `reply_to` an address.
    for name in path.iter().rev() {
        let words = words::of_name(name);
        let ids = ["id", "ids", "name", "names", "slug", "key", "list"];
        let telling = words.iter().rev().filter(|word| !ids.contains(&word.as_str()));
        for word in telling {
            if words::is_among(word, DESTINATIONS) {
                return Role::Destination;
            }
            if words::is_among(word, CONTENTS) {
                return Role::Content;
            }
        }
        if !words.is_empty() {
            return Role::Selector;
        }
    }
    Role::Selector
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_for_something() {
        let long = "word ".repeat(40);
        for (path, text, role) in [
            (&["to"][..], "a@b.example", Role::Destination),
            (&["recipients"], "a@b.example", Role::Destination),
            (&["reply_to"], "a@b.example", Role::Destination),
            (&["message", "to"], "a@b.example", Role::Destination),
            (&["channel_id"], "C024", Role::Destination),
            (&["webhookUrl"], "https://a.example", Role::Destination),
            (&["body"], "hello", Role::Content),
            (&["to"], &long, Role::Content),
            (&["event_id"], "12", Role::Selector),
            (&["date"], "2026-11-29", Role::Selector),
            (&[], "x", Role::Selector),
        ] {
            assert_eq!(of(path, text), role, "{path:?}");
        }
    }
}
