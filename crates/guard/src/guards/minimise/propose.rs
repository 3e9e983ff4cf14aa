//! A first draft of what to keep of a tool's results, from some that were seen.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bartizan_mcp::{JsonPath, NodeKind, Value};

use crate::as_json;

/// What `keep` and `drop` could be for a tool. It is a draft for somebody who knows what the tool is used for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proposal {
    /// Paths of fields that say something.
    pub keep: Vec<String>,
    /// Paths of fields that seem to hold personal data or secrets.
    pub drop: Vec<String>,
}

/// Fields that are told apart.
const MOST_FIELDS: usize = 1_000;

/// Proposes what to keep of the results of one tool. Fields that look like internals are in neither list: what is always
/// `null`, links of a programming interface, digests, addresses of images.
#[must_use]
pub fn propose<'v>(observed: impl IntoIterator<Item = Value<'v>>) -> Proposal {
    let mut fields = Fields::default();
    let Ok(root) = JsonPath::parse("$") else { return Proposal::default() };
    for result in observed {
        let structured = result.get("structuredContent");
        structured.into_iter().for_each(|value| fields.note(value, &root, 0));
        let texts = result.get("content").into_iter().flat_map(Value::elements).filter_map(|block| block.get("text"));
        for text in texts.filter(|_| structured.is_none()) {
            match as_json(&text.text()) {
                Some(document) => fields.note(document.root(), &root, 0),
                None => fields.note(text, &root, 0),
            }
        }
    }
    let mut proposal = Proposal::default();
    for (path, field) in fields.0 {
        if field.is_private {
            proposal.drop.push(path);
        } else if field.says_something {
            proposal.keep.push(path);
        }
    }
    proposal
}

/// What was seen of single fields, by their paths.
#[derive(Default)]
struct Fields(BTreeMap<String, Field>);

#[derive(Default)]
struct Field {
    says_something: bool,
    is_private: bool,
}

impl Fields {
    /// Recurses no deeper than a path may be long.
    fn note(&mut self, value: Value<'_>, at: &JsonPath, depth: usize) {
        let members = value.members().map(|(key, member)| (key.text(), member)).filter(|(name, _)| !is_internal(name));
        match value.kind() {
            NodeKind::Object if depth < JsonPath::MOST_STEPS => {
                for (name, member) in members.take(MOST_FIELDS) {
                    if is_private_name(&name) {
                        self.field(&at.member(&name)).is_private = true;
                    } else {
                        self.note(member, &at.member(&name), depth + 1);
                    }
                }
            }
            NodeKind::Array if depth < JsonPath::MOST_STEPS => {
                let at = at.all();
                value.elements().for_each(|element| self.note(element, &at, depth + 1));
            }
            NodeKind::Object | NodeKind::Array | NodeKind::Null => {}
            NodeKind::String => {
                let text = value.text();
                let field = self.field(at);
                field.is_private |= is_private(&text);
                field.says_something |= !is_noise(&text);
            }
            _ => self.field(at).says_something = true,
        }
    }

    fn field(&mut self, at: &JsonPath) -> &mut Field {
        // What is beyond counts for nothing.
        let is_full = self.0.len() >= MOST_FIELDS && !self.0.contains_key(at.as_str());
        let key = if is_full { Cow::Borrowed("$..*") } else { Cow::Owned(at.as_str().to_owned()) };
        self.0.entry(key.into_owned()).or_default()
    }
}

/// A name as one word of small letters.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn is_internal(name: &str) -> bool {
    const NAMES: [&str; 14] = [
        "links",
        "embedded",
        "etag",
        "hash",
        "sha",
        "checksum",
        "digest",
        "revision",
        "avatar",
        "avatarurl",
        "gravatarid",
        "thumbnail",
        "icon",
        "nodeid",
    ];
    let plain = plain(name);
    name.starts_with("__") || NAMES.contains(&&*plain) || plain.ends_with("avatar") || plain.ends_with("checksum")
}

fn is_private_name(name: &str) -> bool {
    const WORDS: [&str; 20] = [
        "password",
        "passwd",
        "secret",
        "apikey",
        "accesskey",
        "privatekey",
        "accesstoken",
        "refreshtoken",
        "credential",
        "email",
        "phone",
        "mobile",
        "birthdate",
        "dateofbirth",
        "birthday",
        "iban",
        "creditcard",
        "cardnumber",
        "socialsecurity",
        "passport",
    ];
    const NAMES: [&str; 6] = ["ssn", "dob", "token", "cvv", "pin", "fax"];
    let plain = plain(name);
    NAMES.contains(&&*plain) || WORDS.iter().any(|word| plain.contains(word))
}

/// Whether a text is an address of a person, or a key of a known form.
fn is_private(text: &str) -> bool {
    const KEYS: [&str; 8] = ["ghp_", "github_pat_", "sk-", "xoxb-", "xoxp-", "AKIA", "-----BEGIN", "eyJ"];
    let is_address = text.len() <= 254
        && text
            .split_once('@')
            .is_some_and(|(user, host)| !user.is_empty() && host.contains('.') && !host.contains('@'))
        && !text.contains(char::is_whitespace);
    is_address || text.len() >= 20 && KEYS.iter().any(|key| text.starts_with(key))
}

/// Whether a text says nothing to a reader: a digest, or the address of an image.
fn is_noise(text: &str) -> bool {
    const IMAGES: [&str; 6] = [".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp"];
    let is_digest = text.len() >= 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let path = text.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    let is_image = path.starts_with("http") && IMAGES.iter().any(|ending| path.ends_with(ending));
    text.is_empty() || is_digest || is_image
}

#[cfg(test)]
mod tests {
    use bartizan_mcp::{Limits, Message};

    use super::*;

    fn proposed(results: &[&str]) -> (Vec<String>, Vec<String>) {
        let read = |result: &&str| {
            let text = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#);
            Message::parse(text, &Limits::default()).unwrap()
        };
        let messages: Vec<_> = results.iter().map(read).collect();
        let Proposal { keep, drop } = propose(messages.iter().filter_map(Message::result));
        (keep, drop)
    }

    #[test]
    fn what_says_something_is_kept_and_what_is_private_is_not() {
        let rows = r#"[{"id":7,"name":"Ann","contact":"ann@example.org","_links":{"self":"x"},"etag":"9",
            "sum":"d41d8cd98f00b204e9800998ecf8427e","picture":"https://h/a.PNG?s=1","old":null,"apiKey":"k","a b":true}]"#;
        for result in [
            format!(r#"{{"structuredContent":{{"rows":{rows}}},"content":[{{"type":"text","text":"other"}}]}}"#),
            format!(
                r#"{{"content":[{{"type":"text","text":{}}}]}}"#,
                bartizan_mcp::quote(&format!("{{\"rows\":{rows}}}"))
            ),
        ] {
            let (keep, drop) = proposed(&[&result]);
            assert_eq!(keep, ["$.rows[*].id", "$.rows[*].name", "$.rows[*]['a b']"].map(str::to_owned));
            assert_eq!(drop, ["$.rows[*].apiKey", "$.rows[*].contact"]);
        }
    }

    #[test]
    fn one_result_in_which_it_says_something_is_enough() {
        let with = |value: &str| format!(r#"{{"structuredContent":{{"note":{value}}}}}"#);
        assert_eq!(proposed(&[&with("null"), &with("\"\"")]), (vec![], vec![]));
        assert_eq!(proposed(&[&with("null"), &with("\"hm\"")]).0, ["$.note"]);
        assert_eq!(proposed(&[r#"{"content":[{"type":"text","text":"It rains."}]}"#]).0, ["$"]);
        assert_eq!(proposed(&[]), (vec![], vec![]));
    }
}
