//! The words of a name, however they are joined: `getUserEmails`, `get_user_emails`, `get-user.emails`.

use std::collections::HashSet;
use std::sync::LazyLock;

/// The words of a name, in lower case.
pub(crate) fn of_name(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut before = ' ';
    for c in name.chars() {
        let begins = c.is_uppercase() && before.is_lowercase() || c.is_numeric() != before.is_numeric();
        if (!c.is_alphanumeric() || begins) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Words that are looked for, written in one text.
pub(crate) struct List(LazyLock<HashSet<&'static str>>);

impl List {
    pub(crate) const fn new(read: fn() -> HashSet<&'static str>) -> List {
        List(LazyLock::new(read))
    }

    /// Whether a word is one of them, as it stands there.
    pub(crate) fn has(&self, word: &str) -> bool {
        self.0.contains(word)
    }

    /// Whether a word is one of them, also in its plural.
    pub(crate) fn has_any(&self, word: &str) -> bool {
        self.has(word)
            || word.strip_suffix('s').is_some_and(|word| self.has(word))
            || word.strip_suffix("es").is_some_and(|word| self.has(word))
            || word.strip_suffix("ies").is_some_and(|stem| self.has(&format!("{stem}y")))
    }
}

/// A [`List`] of the words in a text.
macro_rules! list {
    ($($words:literal)+) => {
        $crate::words::List::new(|| concat!($($words, " "),+).split_ascii_whitespace().collect())
    };
}
pub(crate) use list;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_words() {
        for (name, words) in [
            ("getUserEmails", vec!["get", "user", "emails"]),
            ("get_user_emails", vec!["get", "user", "emails"]),
            ("mail.send-message", vec!["mail", "send", "message"]),
            ("HTTPFetch", vec!["httpfetch"]),
            ("s3_put", vec!["s", "3", "put"]),
            ("", vec![]),
        ] {
            assert_eq!(of_name(name), words, "{name}");
        }
        static LIST: List = list!("reply email inbox news buy");
        for word in ["replies", "emails", "inboxes", "news", "buy"] {
            assert!(LIST.has_any(word), "{word}");
        }
        assert!(!LIST.has_any("bus") && !LIST.has("emails"));
    }
}
