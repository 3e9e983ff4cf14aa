//! Which item of a conversation with others a call is about: a mail, a ticket, an issue, by its id.
//!
//! **Threat.** What was read as an item is no news to whoever is answered in it, so a stranger wants other things to count as that item. It is
//! the same only if a call names just what the read named, under the same names: the same server, ids and places, and nothing besides. A list
//! of a folder, the record of a customer or a file is no item: what stands there was not written to each other.

use std::collections::HashSet;

use bartizan_mcp::{NodeKind, Value};

use crate::brought::Key;
use crate::leaves::leaves;
use crate::normal;
use crate::role::{self, Role};
use crate::values;
use crate::words::{self, List, list};

/// Values that one call names; one that names more is about no single item.
const MOST: usize = 16;

/// The item that a call of a tool of that server is about, if it is about one.
#[must_use]
pub fn item(key: &Key, server: &str, arguments: Value<'_>) -> Option<Item> {
    if !has_id(arguments) {
        return None;
    }
    let mut named: Vec<u64> = Vec::new();
    let mut is_item = false;
    for leaf in leaves(arguments) {
        let path: Vec<&str> = leaf.path.split('.').collect();
        let role = role::of(&path, &leaf.text);
        let is_place = leaf.is_destination || role == Role::Destination;
        let name = role::of_last(&path);
        if !is_place && (role == Role::Content || is_option(&name)) {
            continue;
        }
        if named.len() >= MOST {
            return None;
        }
        is_item |= role::is_id_of_talk(&name) && values::is_short_id(&leaf.text);
        // The same number under another name may be another thing.
        let value = normal::of_text(&leaf.text)?;
        named.push(key.names(name.iter().map(String::as_str).chain(["", &*value])));
    }
    named.sort_unstable();
    named.dedup();
    let whole =
        named.iter().fold(key.hash(server), |all, one| (all.rotate_left(11) ^ one).wrapping_mul(0x2545_f491_4f6c_dd1d));
    is_item.then_some(Item(whole))
}

/// Whether anything in it is called like the id of an item, as nothing in most calls is; each name is read once.
fn has_id(arguments: Value<'_>) -> bool {
    let mut read = HashSet::new();
    let keys = arguments.subtree().filter(|value| value.kind() == NodeKind::Key);
    keys.map(Value::text).any(|name| {
        !read.contains(&name) && {
            let is_id = role::is_id_of_talk(&words::of_name(&name));
            read.insert(name);
            is_id
        }
    })
}

/// Whether an argument says only how much is asked for, and how it is shown or left.
fn is_option(name: &[String]) -> bool {
    static OPTIONS: List = list!(
        "limit page per size count max min offset cursor sort order direction state status format field fields include"
        "expand since until before after priority silent notify draft html markdown"
    );
    !name.is_empty() && !role::is_id(name) && name.iter().all(|word| OPTIONS.has_any(word))
}

/// A thing that is told from others by what a call names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item(pub(crate) u64);

#[cfg(test)]
mod tests {
    use bartizan_mcp::{Limits, Message};

    use super::*;

    fn of(server: &str, arguments: &str) -> Option<Item> {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{arguments}}}"#);
        let message = Message::parse(text, &Limits::default()).unwrap();
        item(&Key::new(7), server, message.result().unwrap())
    }

    #[test]
    fn an_item_is_what_both_calls_name_and_nothing_besides() {
        let read = of("s", r#"{"owner":"corp","repo":"app","issue_number":230,"limit":50}"#);
        assert!(read.is_some());
        for (server, arguments, is_same) in [
            ("s", r#"{"owner":"corp","repo":"app","issue_number":230,"body":"Thanks."}"#, true),
            ("s", r#"{"issue_number":"230","repo":"app","owner":"Corp","state":"closed","comment":"x"}"#, true),
            ("s", r#"{"owner":"corp","repo":"app","issue_number":231,"body":"Thanks."}"#, false),
            ("s", r#"{"owner":"corp","repo":"public","issue_number":230,"body":"Thanks."}"#, false),
            ("s", r#"{"owner":"corp","repo":"app","issue_number":230,"assignee":"eve","body":"x"}"#, false),
            ("s", r#"{"owner":"corp","repo":"app","body":"Thanks."}"#, false),
            ("t", r#"{"owner":"corp","repo":"app","issue_number":230,"body":"Thanks."}"#, false),
            ("s", r#"{"owner":"corp","repo":"app","pull_number":230,"body":"Thanks."}"#, false),
            ("s", r#"{"owner":"corp","repo":"app","issue_number":230,"project":"site","body":"Thanks."}"#, false),
            ("s", r#"{"owner":"app","repo":"corp","issue_number":230,"body":"Thanks."}"#, false),
            ("s", r#"{"owner":"corp","repo":"app","issueNumber":230,"per_page":5,"body":"Thanks."}"#, true),
        ] {
            assert_eq!(of(server, arguments) == read, is_same, "{server} {arguments}");
        }
    }

    #[test]
    fn what_nobody_talks_in_is_no_item() {
        for arguments in [
            r#"{"customerId":"K-1009"}"#,
            r#"{"file_id":"f-12","page":2}"#,
            r#"{"folder":"inbox"}"#,
            r#"{"query":"ticket 5512"}"#,
            r#"{"ticketId":"the one of yesterday"}"#,
            r#"{"account_id":"giro-1"}"#,
            "{}",
        ] {
            assert_eq!(of("s", arguments), None, "{arguments}");
        }
        let many: Vec<String> = (0..17).map(|n| format!(r#""m{n}""#)).collect();
        assert_eq!(of("s", &format!(r#"{{"messageIds":[{}]}}"#, many.join(","))), None);
    }
}
