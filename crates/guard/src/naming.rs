//! What makes pseudonyms for a message, what one is to stand for, and how a call gets that back.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bartizan_mcp::{Edits, Message, NodeKind, Value, quote};
use bartizan_pseudonym::{Kind, Namer, Root, Token};

use crate::{Event, Evidence, as_json};

/// What makes the names of one tenant for one purpose, for as long as a message is judged.
#[derive(Clone)]
pub struct Names(Arc<Namer>);

impl Names {
    /// Those that this one makes.
    #[must_use]
    pub fn new(namer: Arc<Namer>) -> Names {
        Names(namer)
    }

    /// Names that stand for nothing: a message that is judged again, elsewhere and later, is judged without anybody's key.
    #[must_use]
    pub(crate) fn stand_in() -> Names {
        Names(Arc::new(Root::new(&[0; 32]).namer("nobody", "nothing")))
    }

    /// The name of that data.
    #[must_use]
    pub fn name(&self, kind: Kind, normal_form: &str) -> Token {
        self.0.name(kind, normal_form)
    }

    /// Those in the arguments of a call that were made here, each once.
    #[must_use]
    pub fn in_arguments(&self, call: &Message) -> Vec<Token> {
        let mut found: Vec<Token> = Vec::new();
        for text in arguments(call) {
            found.extend(self.0.find(&text.text()).into_iter().map(|(_, token)| token));
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Whether that name was made here.
    #[must_use]
    pub fn made(&self, token: &Token) -> bool {
        self.0.is_own(token)
    }

    /// Where one that was made here stands in a text.
    #[must_use]
    pub(crate) fn places(&self, text: &str) -> Vec<Range<usize>> {
        self.0.find(text).into_iter().map(|(span, _)| span).collect()
    }

    /// Those that a message is judged with, if any are to be had.
    #[must_use]
    pub(crate) fn of(event: &Event<'_>) -> Option<Names> {
        event.evidence.iter().find_map(|evidence| match evidence {
            Evidence::Names(names) => Some(names.clone()),
            _ => None,
        })
    }
}

/// There is one for each tenant and purpose.
impl PartialEq for Names {
    fn eq(&self, other: &Names) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Names {}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Names")
    }
}

/// A name, and what it is to stand for. It never shows the latter.
#[derive(Clone, PartialEq, Eq)]
pub struct Pseudonym {
    /// The name.
    pub token: Token,
    /// As it stood in the text.
    pub value: Box<str>,
}

impl fmt::Debug for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pseudonym({})", self.token)
    }
}

/// The texts in the arguments of a call.
fn arguments(call: &Message) -> impl Iterator<Item = Value<'_>> {
    let arguments = call.params().and_then(|params| params.get("arguments"));
    arguments.into_iter().flat_map(Value::subtree).filter(|value| value.kind() == NodeKind::String)
}

/// What pseudonyms stand for, to be put in their places.
pub struct Revealed<'v>(BTreeMap<Token, &'v str>);

impl fmt::Debug for Revealed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Revealed({})", self.0.len())
    }
}

impl<'v> Revealed<'v> {
    /// These.
    #[must_use]
    pub fn new(values: impl IntoIterator<Item = (Token, &'v str)>) -> Revealed<'v> {
        Revealed(values.into_iter().collect())
    }

    /// Puts them into the arguments of a call. In a text that is JSON they stay within the strings that they come into, and
    /// where the `@` of a pseudonym is percent-encoded so are they.
    #[must_use]
    pub fn in_arguments(&self, call: &Message) -> Edits {
        let mut edits = Edits::new();
        for value in arguments(call) {
            let text = value.text();
            let found = bartizan_pseudonym::find(&text);
            if found.iter().any(|(_, token)| self.0.contains_key(token)) {
                edits.set_text(value.id(), &self.with_values(&text));
            }
        }
        edits
    }

    fn with_values(&self, text: &str) -> String {
        let is_json = as_json(text).is_some();
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        for (span, token) in bartizan_pseudonym::find(text) {
            let Some(value) = self.0.get(&token) else { continue };
            out.push_str(text.get(at..span.start).unwrap_or_default());
            let is_encoded = text.get(span.clone()).is_some_and(|name| name.contains('%'));
            match (is_encoded, is_json) {
                (true, _) => out.push_str(&percent_encoded(value)),
                (false, true) => {
                    let quoted = quote(value);
                    let within = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
                    out.push_str(within.unwrap_or_default());
                }
                (false, false) => out.push_str(value),
            }
            at = span.end;
        }
        out.push_str(text.get(at..).unwrap_or_default());
        out
    }
}

/// As RFC 3986 has it in a part of a URI, with everything encoded that may mean something there.
fn percent_encoded(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use bartizan_mcp::Limits;

    use super::*;

    #[test]
    fn values_come_where_their_names_stand() {
        let namer = Arc::new(Root::new(&[1; 32]).namer("tenant", "default"));
        let names = Names::new(Arc::clone(&namer));
        let foreign = Root::new(&[2; 32]).namer("tenant", "default").name(Kind::Email, "anna@example.org");
        let [mail, own] = [(Kind::Email, "anna@example.org"), (Kind::Own, "a \"quoted\\ \"one\"")];
        let [mail, own] = [mail, own].map(|(kind, value)| (names.name(kind, value), value));
        let url = mail.0.to_string().replace('@', "%40");
        for (argument, expected) in [
            (mail.0.to_string(), "anna@example.org".to_owned()),
            (format!("to {}, and {}.", mail.0, mail.0), "to anna@example.org, and anna@example.org.".to_owned()),
            (mail.0.to_string().to_uppercase(), "anna@example.org".to_owned()),
            (format!("https://a.example/?to={url}&x=1"), "https://a.example/?to=anna%40example.org&x=1".to_owned()),
            (format!("{{\"to\":\"{}\"}}", own.0), r#"{"to":"a \"quoted\\ \"one\""}"#.to_owned()),
            (own.0.to_string(), own.1.to_owned()),
            (foreign.to_string(), foreign.to_string()),
            ("nothing".to_owned(), "nothing".to_owned()),
        ] {
            let call = format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"t","arguments":{{"a":[{}]}}}}}}"#,
                quote(&argument)
            );
            let call = Message::parse(call, &Limits::default()).unwrap();
            assert!(!names.in_arguments(&call).contains(&foreign));
            let edits = Revealed::new([mail, own]).in_arguments(&call);
            let edited = call.edited(&edits, &Limits::default()).unwrap();
            let arguments = edited.params().unwrap().get("arguments").unwrap();
            assert_eq!(arguments.raw(), format!("{{\"a\":[{}]}}", quote(&expected)), "{argument}");
        }
    }
}
